"""Loops of scalars and single elements in `main`: against the evaluator, and without calls or copies inside."""
from __future__ import annotations

from textwrap import indent

import numpy as np
import pytest

from tests.compiled.test_compiled_control import check
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.interface import OPTIMISATION, SCALAR_LOOPS
from tracejit.xla_lite.kernels.kernel_ir import Call, If, Loop, While, statements
from tracejit.xla_lite.replay import compile_for_arrays, run

CONSTANTS = """
%90: i64[] = constant(type=i64[], value=0)
%91: i64[] = constant(type=i64[], value=1)
%92: i64[] = constant(type=i64[], value=2)
"""


def region(name: str, params: str, *lines: str) -> str:
    """One region in text form; constants 0, 1, 2 are %90, %91, %92."""
    body = "\n".join([*CONSTANTS.strip().splitlines(), *lines])
    return f"{name} = graph({params}) {{\n{indent(body, '  ')}\n}}"


def program(params: str, *lines: str) -> Graph:
    text = region("x", params, *lines).removeprefix("x = ")
    return parse_graph(text)


def inside_loops(graph: Graph) -> list[object]:
    """Statements within loops of `main`."""
    main = compile_for_arrays(graph).stages.program.main
    found: list[object] = []
    for s in statements(main.body):
        if isinstance(s, Loop):
            found += statements(s.body)
        elif isinstance(s, While):
            found += [*statements(s.before), *statements(s.body)]
    return found


def calls(graph: Graph) -> int:
    """Kernels called from within loops of `main`: copies are such calls."""
    return sum(isinstance(s, Call) for s in inside_loops(graph))


HALVE = region("branches1", "%0: i64[]", "%1: i64[] = floor_divide(%0, %92)", "return %1")
TRIPLE = region("branches0", "%0: i64[]", "%1: i64[] = constant(type=i64[], value=3)", "%2: i64[] = multiply(%0, %1)",
                "%3: i64[] = add(%2, %91)", "return %3")
COLLATZ = program(
    "%0: i64[]", "%1: i64[], %2: i64[] = while(%0, %90, carries=2)",
    indent(region("cond", "%0: i64[], %1: i64[]", "%2: bool[] = compare(%0, %91, direction='GT')", "return %2"), "  "),
    indent(region("body", "%0: i64[], %1: i64[]", "%2: i64[] = remainder(%0, %92)",
                  "%3: bool[] = compare(%2, %90, direction='EQ')", "%4: i64[] = case(%3, %0)",
                  indent(TRIPLE, "  "), indent(HALVE, "  "), "%5: i64[] = add(%1, %91)", "return %4, %5"), "  "),
    "return %2")


@pytest.mark.parametrize("n", [-5, 0, 1, 2, 7, 27, 97])
def test_collatz_runs_in_registers(n: int) -> None:
    check(COLLATZ, np.int64(n))
    assert not calls(COLLATZ)


def test_loops_of_scalars_get_the_whole_of_llvm() -> None:
    assert compile_for_arrays(COLLATZ).stages.level == SCALAR_LOOPS
    plain = parse_graph("graph(%0: f64[8]) {\n  %1: f64[8] = sine(%0)\n  return %1\n}")
    assert compile_for_arrays(plain).stages.level == OPTIMISATION


@pytest.mark.parametrize(("x", "y"), [(7, 2), (-7, 2), (7, -2), (-7, -2), (7, 0), (0, 3), (-(2**63), -1), (-8, 4),
                                      (2**63 - 1, -1), (-(2**63), 1), (5, -1), (-5, 8)])
def test_scalar_division_follows_numpy_and_never_traps(x: int, y: int) -> None:
    graph = program("%0: i64[], %1: i64[]", "%2: i64[] = floor_divide(%0, %1)", "%3: i64[] = remainder(%0, %1)",
                    "%4: i64[] = constant(type=i64[], value=8)", "%5: i64[] = floor_divide(%0, %4)",
                    "%6: i64[] = remainder(%0, %4)", "return %2, %3, %5, %6")
    with np.errstate(all="ignore"):
        check(graph, np.int64(x), np.int64(y))


PREFIX = program(
    "%0: f64[9], %1: i64[]", "%2: f64[9] = for(%91, %1, %91, %0, carries=1)",
    indent(region("body", "%0: i64[], %1: f64[9]", "%2: i64[] = subtract(%0, %91)",
                  "%3: f64[] = gather(%1, %2, axes=(0,))", "%4: f64[] = gather(%1, %0, axes=(0,))",
                  "%5: f64[] = add(%3, %4)", "%6: f64[9] = scatter(%1, %5, %0, axes=(0,), combine='set')",
                  "return %6"), "  "),
    "return %2")


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_running_sum_is_written_in_place(n: int) -> None:
    x = np.linspace(1, 2, 9)
    check(PREFIX, x, np.int64(n))
    assert not calls(PREFIX)
    assert x[0] == 1 and x[8] == 2


def test_elements_of_strided_and_complex_arrays() -> None:
    graph = parse_graph(str(PREFIX).replace("f64[9]", "c128[9]").replace("f64[]", "c128[]"))
    x = (np.linspace(1, 2, 18) + 1j * np.linspace(3, 5, 18))[::2]
    (wanted,) = evaluate(graph, [x, np.int64(9)])
    (got,) = run(compile_for_arrays(graph, [True, False]), [x, np.int64(9)])
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_slices_of_one_element_stay_in_registers() -> None:
    graph = program(
        "%0: f32[4,4]", "%9: i64[] = constant(type=i64[], value=4)", "%1: f32[4,4] = for(%91, %9, %91, %0, carries=1)",
        indent(region("body", "%0: i64[], %1: f32[4,4]", "%2: i64[] = subtract(%0, %91)",
                      "%3: f32[1,1] = dynamic_slice(%1, %2, %0, sizes=(1, 1))",
                      "%4: f32[1,1] = dynamic_slice(%1, %0, %2, sizes=(1, 1))",
                      "%5: f32[1,1] = multiply(%3, %4)", "%6: f32[] = reshape(%5, shape=())",
                      "%7: f32[1,1] = reshape(%6, shape=(1, 1))",
                      "%8: f32[4,4] = dynamic_update_slice(%1, %7, %0, %0)", "return %8"), "  "),
        "return %1")
    check(graph, np.arange(16, dtype=np.float32).reshape(4, 4))
    assert not calls(graph)


KEEP = region("branches0", "%0: i64[6,6], %1: i64[], %2: i64[], %3: i64[]", "return %0")
WRITE = region("branches1", "%0: i64[6,6], %1: i64[], %2: i64[], %3: i64[]",
               "%4: i64[6,6] = scatter(%0, %3, %1, %2, axes=(0, 1), combine='set')", "return %4")
INNER = region(
    "body", "%0: i64[], %1: i64[6,6], %2: i64[], %3: i64[]", "%4: i64[] = gather(%1, %2, %3, axes=(0, 1))",
    "%5: i64[] = gather(%1, %3, %0, axes=(0, 1))", "%6: i64[] = add(%4, %5)",
    "%7: i64[] = gather(%1, %2, %0, axes=(0, 1))", "%8: bool[] = compare(%6, %7, direction='LT')",
    "%9: i64[6,6] = case(%8, %1, %2, %0, %6)", indent(KEEP, "  "), indent(WRITE, "  "), "return %9")
MIDDLE = region("body", "%0: i64[], %1: i64[6,6], %2: i64[]", "%3: i64[] = constant(type=i64[], value=6)",
                "%4: i64[6,6] = for(%90, %3, %91, %1, %0, %2, carries=1)", indent(INNER, "  "), "return %4")
OUTER = region("body", "%0: i64[], %1: i64[6,6]", "%3: i64[] = constant(type=i64[], value=6)",
               "%4: i64[6,6] = for(%90, %3, %91, %1, %0, carries=1)", indent(MIDDLE, "  "), "return %4")
FLOYD = program("%0: i64[6,6]", "%1: i64[] = constant(type=i64[], value=6)",
                "%2: i64[6,6] = for(%90, %1, %91, %0, carries=1)", indent(OUTER, "  "), "return %2")


def test_nested_loops_and_branches_update_one_array() -> None:
    check(FLOYD, np.random.default_rng(0).integers(1, 50, (6, 6)))
    assert not calls(FLOYD)


def test_what_is_still_read_is_not_overwritten() -> None:
    graph = program(
        "%0: i64[5], %1: i64[]", "%2: i64[5], %3: i64[5] = for(%90, %1, %91, %0, %0, carries=2)",
        indent(region("body", "%0: i64[], %1: i64[5], %2: i64[5]", "%3: i64[] = gather(%1, %0, axes=(0,))",
                      "%4: i64[] = add(%3, %91)", "%5: i64[5] = scatter(%1, %4, %90, axes=(0,), combine='set')",
                      "%6: i64[5] = scatter(%2, %3, %0, axes=(0,), combine='add')",
                      "%7: i64[] = gather(%1, %90, axes=(0,))",
                      "%8: i64[5] = scatter(%6, %7, %91, axes=(0,), combine='set')", "return %8, %5"), "  "),
        "%4: i64[] = gather(%0, %90, axes=(0,))", "return %2, %3, %4")
    for trips in range(6):
        check(graph, np.array([3, 1, 4, 1, 5]), np.int64(trips))


def test_branches_may_swap_arrays_and_read_what_they_write() -> None:
    graph = program(
        "%0: bool[], %1: f64[3], %2: f64[3]",
        "%3: f64[3] = sine(%1)", "%4: f64[3] = cosine(%2)", "%5: f64[3], %6: f64[3] = case(%0, %3, %4)",
        indent(region("branches0", "%0: f64[3], %1: f64[3]", "return %1, %0"), "  "),
        indent(region("branches1", "%0: f64[3], %1: f64[3]", "%2: f64[] = gather(%1, %92, axes=(0,))",
                      "%3: f64[3] = scatter(%0, %2, %91, axes=(0,), combine='set')", "return %3, %0"), "  "),
        "%7: f64[3] = exponential(%5)", "return %7, %6")
    for flag in (False, True):
        check(graph, np.bool_(flag), np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.0, 0.5]))


@pytest.mark.parametrize("index", [-1, 0, 3, 4])
def test_a_write_outside_is_dropped_and_a_read_is_clamped(index: int) -> None:
    graph = program("%0: f32[4], %1: i64[], %2: f32[]", "%3: f32[] = gather(%0, %1, axes=(0,))",
                    "%4: f32[4] = scatter(%0, %2, %1, axes=(0,), combine='multiply')", "return %3, %4")
    check(graph, np.array([1, 2, 3, 4], np.float32), np.int64(index), np.float32(9))


def test_failure_in_a_loop_leaves_with_its_values() -> None:
    graph = program(
        "%0: f64[4], %1: i64[]", "%2: f64[4] = for(%90, %1, %91, %0, carries=1)",
        indent(region("body", "%0: i64[], %1: f64[4]", "%2: i64[] = constant(type=i64[], value=4)",
                      "%3: bool[] = compare(%0, %2, direction='LT')",
                      "assert(%3, %0, exception='IndexError', message='index {0}')",
                      "%4: f64[] = convert(%0, dtype=f64)",
                      "%5: f64[4] = scatter(%1, %4, %0, axes=(0,), combine='add')", "return %5"), "  "),
        "return %2")
    check(graph, np.ones(4), np.int64(4))
    with pytest.raises(IndexError):
        run(compile_for_arrays(graph), [np.ones(4), np.int64(5)])
    assert sum(isinstance(s, If) for s in inside_loops(graph)) >= 1 and not calls(graph)


def test_break_flags_leave_a_search() -> None:
    graph = program(
        "%0: i64[7], %1: i64[]", "%9: i64[] = constant(type=i64[], value=7)",
        "%2: bool[] = constant(type=bool[], value=False)", "%3: i64[] = constant(type=i64[], value=-1)",
        "%4: i64[], %5: bool[], %6: i64[] = while(%90, %2, %3, %0, %1, carries=3)",
        indent(region("cond", "%0: i64[], %1: bool[], %2: i64[], %3: i64[7], %4: i64[]",
                      "%5: i64[] = constant(type=i64[], value=7)", "%6: bool[] = compare(%0, %5, direction='LT')",
                      "%7: bool[] = not(%1)", "%8: bool[] = and(%6, %7)", "return %8"), "  "),
        indent(region("body", "%0: i64[], %1: bool[], %2: i64[], %3: i64[7], %4: i64[]",
                      "%5: i64[] = gather(%3, %0, axes=(0,))", "%6: bool[] = compare(%5, %4, direction='EQ')",
                      "%7: i64[], %8: i64[] = case(%6, %0, %2)",
                      indent(region("branches0", "%0: i64[], %1: i64[]", "%2: i64[] = add(%0, %91)",
                                    "return %2, %1"), "  "),
                      indent(region("branches1", "%0: i64[], %1: i64[]", "return %0, %0"), "  "),
                      "return %7, %6, %8"), "  "),
        "return %6, %4")
    for wanted in (3, 1, 9, 8):
        check(graph, np.array([3, 1, 4, 1, 5, 9, 2]), np.int64(wanted))
