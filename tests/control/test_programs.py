"""Every program over Python's control flow: plain, converted and compiled agree in all that a caller sees.

Flows in: the tables of this folder.  Flows out: two tests for each program.
"""

from typing import Any

import pytest

import tracejit as tj
from tests.control import (
    programs_algorithms,
    programs_arrays,
    programs_branches,
    programs_builtins,
    programs_carried,
    programs_errors,
    programs_functions,
    programs_iterables,
    programs_lists,
    programs_loops,
    programs_names,
    programs_numerics,
    programs_objects,
    programs_results,
    programs_scalars,
    programs_searches,
    programs_state,
    programs_texts,
    programs_trying,
)
from tests.control.not_yet import NOT_YET, UNENDING
from tests.control.program import Program, outcome_difference, outcomes, python_frames
from tracejit.autograph import convert

MODULES = (programs_branches, programs_loops, programs_iterables, programs_functions, programs_carried,
           programs_state, programs_errors, programs_trying, programs_scalars, programs_arrays, programs_numerics,
           programs_searches, programs_results, programs_texts, programs_lists, programs_names,
           programs_objects, programs_builtins, programs_algorithms)
PROGRAMS = [program for module in MODULES for program in module.TABLE.programs]


def rows(failing: set[str]) -> list[Any]:
    mark = pytest.mark.xfail(strict=True)
    unending = pytest.mark.xfail(run=False)
    return [pytest.param(p, id=p.name, marks=[unending if p.name in UNENDING else mark] if p.name in failing else [])
            for p in PROGRAMS]


@pytest.mark.parametrize("program", rows(set()))
def test_converted_program_equals_plain_python(program: Program) -> None:
    plain, converted = outcomes(program, lambda fn: fn), outcomes(program, convert)
    expected = list(plain)
    for i, (actual, wanted) in enumerate(zip(converted, expected, strict=True)):
        assert not outcome_difference(actual, wanted, program.rtol), f"call {i}"


@pytest.mark.parametrize("program", rows(NOT_YET))
def test_one_trace_gives_what_plain_python_gives(program: Program) -> None:
    expected = list(outcomes(program, lambda fn: fn))
    decorated: list[Any] = []

    def decorate(fn: Any) -> Any:
        decorated.append(tj.function(fn))
        return decorated[-1]

    compiled = outcomes(program, decorate)
    for i, wanted in enumerate(expected):
        with python_frames() as frames:
            actual = next(compiled)
        assert not (why := outcome_difference(actual, wanted, program.rtol)), f"call {i}: {why}"
        assert i < program.traces or not frames, f"call {i} ran Python code: {frames}"
    explanations = [fn.explain() for fn in decorated]
    assert not any(e.plain for e in explanations), explanations
    assert sum(len(e.traces) for e in explanations) <= program.traces, explanations


def test_there_are_many_programs_with_names_of_their_own() -> None:
    names = [program.name for program in PROGRAMS]
    assert len(names) >= 130 and len(set(names)) == len(names)


def test_every_program_has_several_input_sets() -> None:
    assert not [p.name for p in PROGRAMS if len(p.inputs) < 2]
