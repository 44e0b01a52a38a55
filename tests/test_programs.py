"""Every program of tests/programs, plain and decorated: value, dtype, shape, kind and changed arguments agree.

Flows in: the `PROGRAMS` tables.  Flows out: one test per program.
"""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.programs import finance, geometry, images, indexing, linear, objects, physics, signals, statistics
from tests.programs.program import Program

MODULES = (statistics, signals, finance, images, geometry, physics, linear, indexing, objects)
PROGRAMS = [program for module in MODULES for program in module.PROGRAMS]


def assert_same(actual: Any, expected: Any, rtol: float, where: str) -> None:
    """Compares two results of any structure; `where` names the place inside it."""
    assert type(actual) is type(expected), f"{where}: kind {type(actual).__name__}, not {type(expected).__name__}"
    if isinstance(expected, np.ndarray | np.generic):
        assert_same_array(actual, expected, rtol, where)
    elif isinstance(expected, dict):
        assert list(actual) == list(expected), f"{where}: keys"
        for key in expected:
            assert_same(actual[key], expected[key], rtol, f"{where}[{key!r}]")
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected), f"{where}: length"
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            assert_same(a, e, rtol, f"{where}[{i}]")
    elif dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            assert_same(getattr(actual, field.name), getattr(expected, field.name), rtol, f"{where}.{field.name}")
    elif isinstance(expected, float):
        np.testing.assert_allclose(actual, expected, rtol=rtol, err_msg=where)
    else:
        assert actual == expected, where


def assert_same_array(actual: Any, expected: Any, rtol: float, where: str) -> None:
    """Dtype, shape and values; the absolute tolerance is `rtol` of the largest finite value."""
    assert actual.dtype == expected.dtype, f"{where}: dtype {actual.dtype}, not {expected.dtype}"
    assert actual.shape == expected.shape, f"{where}: shape {actual.shape}, not {expected.shape}"
    if expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(actual, expected, err_msg=where)
        return
    tolerance = rtol if expected.dtype in (np.float64, np.complex128) else max(rtol, 1e-5)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 0.0
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, err_msg=where)


def runs(program: Program) -> Iterator[tuple[Any, ...]]:
    """The input sets in order, then the first once more."""
    sets = program.inputs(np.random.default_rng(7))
    yield from sets
    yield copy.deepcopy(sets[0])


def attributes(fn: Any) -> dict[str, Any]:
    """The attributes of the instance that a method is bound to."""
    return dict(vars(fn.__self__)) if getattr(fn, "__self__", None) is not None else {}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_decorated_program_equals_plain_python(program: Program) -> None:
    plain, decorated = program.build(lambda fn: fn), program.build(tj.function)
    for i, args in enumerate(runs(program)):
        ours, theirs = copy.deepcopy(args), copy.deepcopy(args)
        expected, actual = plain(*theirs), decorated(*ours)
        assert_same(actual, expected, program.rtol, f"call {i}: result")
        assert_same(ours, theirs, program.rtol, f"call {i}: arguments after the call")
        assert_same(attributes(decorated), attributes(plain), program.rtol, f"call {i}: attributes")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_every_call_is_one_native_call(program: Program) -> None:
    decorated = program.build(tj.function)
    for args in runs(program):
        decorated(*args)
    explanation = getattr(decorated, "__func__", decorated).explain()
    assert explanation.traces and not explanation.plain, str(explanation)
    assert not any(record.host_calls for record in explanation.traces), str(explanation)
    assert len(explanation.traces) <= len(program.inputs(np.random.default_rng(7))), str(explanation)


def test_there_are_many_programs_with_names_of_their_own() -> None:
    names = [program.name for program in PROGRAMS]
    assert len(names) >= 40 and len(set(names)) == len(names)
