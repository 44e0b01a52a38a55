"""Control flow and failures in native code, against the evaluator."""
from __future__ import annotations

import numpy as np
import pytest

from tests.ops import test_control as examples
from tracejit.base.dtypes import F64
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.replay import compile_for_arrays, run


def check(graph: Graph, *arrays: object) -> None:
    expected = evaluate(graph, arrays)
    for got, wanted in zip(run(compile_for_arrays(graph), arrays), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("trips", [0, 1, 7])
def test_while_with_scalar_and_array_state(trips: int) -> None:
    check(parse_graph(examples.COUNTDOWN), np.int64(trips), np.array([1.0, 2.0]), np.array([0.5, -1.0]))


@pytest.mark.parametrize(("lower", "upper", "step"),
                         [(0, 5, 1), (5, 0, -2), (3, 3, 1), (4, 1, 1), (0, 7, 3), (0, 4, 0)])
def test_for_runs_as_range(lower: int, upper: int, step: int) -> None:
    check(parse_graph(examples.TRIANGLE), np.int64(lower), np.int64(upper), np.int64(step), np.int64(100))


@pytest.mark.parametrize("index", [-3, 0, 1, 2, 9])
def test_case_takes_the_branch(index: int) -> None:
    check(parse_graph(examples.CASE), np.int64(index), np.float32(3.0))


def test_state_arrays_may_change_places() -> None:
    text = """
graph(%0: i64[], %1: f64[3], %2: f64[3]) {
  %3: i64[] = constant(type=i64[], value=0)
  %4: i64[] = constant(type=i64[], value=1)
  %5: f64[3], %6: f64[3] = for(%3, %0, %4, %1, %2, carries=2)
    body = graph(%0: i64[], %1: f64[3], %2: f64[3]) {
      %3: f64[3] = sine(%1)
      return %2, %3
    }
  return %5, %6
}
"""
    for trips in range(4):
        check(parse_graph(text), np.int64(trips), np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.0, 1.0]))


def test_update_in_a_loop_writes_in_place() -> None:
    text = """
graph(%0: f64[100]) {
  %1: i64[] = constant(type=i64[], value=0)
  %2: i64[] = constant(type=i64[], value=99)
  %3: i64[] = constant(type=i64[], value=1)
  %4: f64[100] = for(%1, %2, %3, %0, carries=1)
    body = graph(%0: i64[], %1: f64[100]) {
      %2: f64[1] = dynamic_slice(%1, %0, sizes=(1,))
      %3: i64[] = constant(type=i64[], value=1)
      %4: i64[] = add(%0, %3)
      %5: f64[1] = dynamic_slice(%1, %4, sizes=(1,))
      %6: f64[1] = add(%2, %5)
      %7: f64[100] = dynamic_update_slice(%1, %6, %4)
      return %7
    }
  return %4
}
"""
    check(parse_graph(text), np.linspace(0, 1, 100))


def test_assert_raises_with_its_values() -> None:
    text = """
graph(%0: i64[], %1: f64[2]) {
  %2: i64[] = constant(type=i64[], value=2)
  %3: bool[] = compare(%0, %2, direction='LT')
  assert(%3, %0, %2, exception='IndexError', message='index {0} is out of bounds for size {1}')
  %4: f64[1] = dynamic_slice(%1, %0, sizes=(1,))
  return %4
}
"""
    graph = parse_graph(text)
    executable = compile_for_arrays(graph)
    assert run(executable, [np.int64(1), np.array([3.0, 4.0])])[0] == [4.0]
    with pytest.raises(IndexError):
        run(executable, [np.int64(5), np.array([3.0, 4.0])])
    assert executable.error_sites[0].exception == "IndexError"


def test_size_known_at_run_time() -> None:
    text = """
graph(%0: f64[9]) {
  %1: f64[9] = constant(type=f64[9], value=0.0)
  %2: bool[9] = compare(%0, %1, direction='GT')
  %3: i64[9] = convert(%2, dtype=i64)
  %4: i64[] = reduce_sum(%3, axes=(0,))
  %5: i64[] = bind_dim(%4, dim='u0')
  %6: i64[u0] = compact_indices(%2, size=u0)
  %7: f64[u0] = gather(%0, %6, axes=(0,))
  %8: f64[u0] = exponential(%7)
  %9: f64[] = reduce_sum(%8, axes=(0,))
  return %8, %9
}
"""
    for count in (0, 4, 9):
        x = np.where(np.arange(9) < count, 1.0, -1.0) * np.linspace(1, 2, 9)
        check(parse_graph(text), x.astype(F64.numpy))


def test_try_gives_what_its_body_or_the_handler_gives() -> None:
    text = examples.RETRY.replace(", kept=(0,), message='bad {0}'", ", message='bad {0}'")
    text = text.replace("assert(%7, %0, %2,", "assert(%7, %0,")
    for way in ("LT", "GT"):
        graph = parse_graph(text.replace("LT')\n          assert", f"{way}')\n          assert"))
        for n in (0, 1, 2, 5):
            check(graph, np.int64(n), np.array([1.0, 2.0]))


IN_PLACE = """
graph(%0: i64[], %1: f64[1000]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=1)
  %4: f64[1000] = for(%2, %0, %3, %1, carries=1)
    body = graph(%0: i64[], %1: f64[1000]) {
      %2: f64[1000] = try(%0, %1, label='t')
        body = graph(%0: i64[], %1: f64[1000]) {
          %2: f64[1] = dynamic_slice(%1, %0, sizes=(1,))
          %3: f64[1] = add(%2, %2)
          %4: f64[1000] = dynamic_update_slice(%1, %3, %0)
          %5: i64[] = constant(type=i64[], value=7)
          %6: bool[] = compare(%0, %5, direction='NE')
          assert(%6, %4, exception='ValueError', kept=(0,), message='', to='t:0')
          %7: f64[1] = add(%3, %3)
          %8: f64[1000] = dynamic_update_slice(%4, %7, %0)
          return %8
        }
        handlers0 = graph(%0: f64[1000], %1: i64[], %2: f64[1000]) {
          %3: f64[1] = constant(type=f64[1], value=-1.0)
          %4: f64[1000] = dynamic_update_slice(%0, %3, %2)
          return %4
        }
      return %2
    }
  return %4
}
"""


def test_an_array_that_attempts_change_stays_where_it_is() -> None:
    text = IN_PLACE.replace("dynamic_update_slice(%0, %3, %2)", "dynamic_update_slice(%0, %3, %1)")
    graph = parse_graph(text)
    for n in (0, 5, 20):
        check(graph, np.int64(n), np.linspace(1, 2, 1000))
    main = compile_for_arrays(graph).kernels_text.partition("kernel main")[2]
    before, _, loop = main.partition("loop n")
    assert before.count("call") == 1 and "call" not in loop


def test_a_handler_may_want_an_array_as_it_was() -> None:
    text = IN_PLACE.replace("dynamic_update_slice(%0, %3, %2)", "dynamic_update_slice(%2, %3, %1)")
    for n in (0, 5, 20):
        check(parse_graph(text), np.int64(n), np.linspace(1, 2, 1000))


def test_an_attempt_that_can_not_fail_is_its_body() -> None:
    text = IN_PLACE.replace("%5: i64[] = constant(type=i64[], value=7)", "%5: i64[] = add(%0, %0)")
    known = text.replace("compare(%0, %5, direction='NE')", "constant(type=bool[], value=True)")
    known = known.replace("dynamic_update_slice(%0, %3, %2)", "dynamic_update_slice(%0, %3, %1)")
    executable = compile_for_arrays(parse_graph(known))
    assert "try" not in str(executable.fused) and "attempt" not in executable.kernels_text


def test_state_of_a_size_known_at_run_time() -> None:
    text = """
graph(%0: f64[9], %1: i64[]) {
  %2: f64[9] = constant(type=f64[9], value=0.0)
  %3: bool[9] = compare(%0, %2, direction='GT')
  %4: i64[9] = convert(%3, dtype=i64)
  %5: i64[] = reduce_sum(%4, axes=(0,))
  %6: i64[] = bind_dim(%5, dim='u0')
  %7: i64[u0] = compact_indices(%3, size=u0)
  %8: f64[u0] = gather(%0, %7, axes=(0,))
  %9: f64[u0] = try(%8, %1, label='t')
    body = graph(%0: f64[u0], %1: i64[]) {
      %2: f64[u0] = exponential(%0)
      %3: i64[] = dimension(size=u0)
      %4: bool[] = compare(%1, %3, direction='LT')
      assert(%4, %2, exception='IndexError', kept=(0,), message='', to='t:0')
      %5: f64[u0] = sine(%2)
      return %5
    }
    handlers0 = graph(%0: f64[u0], %1: f64[u0], %2: i64[]) {
      %3: f64[u0] = add(%0, %1)
      return %3
    }
  %10: f64[] = reduce_sum(%9, axes=(0,))
  return %9, %10
}
"""
    x = np.where(np.arange(9) < 4, 1.0, -1.0) * np.linspace(1, 2, 9)
    for n in (0, 9):
        check(parse_graph(text), x, np.int64(n))


def test_nodes_may_share_a_region() -> None:
    add_one = parse_graph("graph(%0: i64[]) {\n  %1: i64[] = constant(type=i64[], value=-1)\n"
                          "  %2: i64[] = add(%0, %1)\n  return %2\n}")
    graph = parse_graph("graph(%0: bool[], %1: i64[]) {\n  return %1\n}")
    same = parse_graph("graph(%0: i64[]) {\n  return %0\n}")
    inner = Graph([graph.params[1].type, graph.params[0].type])
    inner.outputs = inner.emit("case", [inner.params[1], inner.params[0]], {"branches": (add_one, same)})
    first, = graph.emit("case", [*graph.params, graph.params[0]], {"branches": (inner, inner)})
    second, = graph.emit("case", [graph.params[0], first], {"branches": (add_one, same)})
    graph.outputs = (first, second)
    for flag in (False, True):
        check(graph, np.bool_(flag), np.int64(7))
