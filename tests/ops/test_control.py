"""Ops that no generated test can draw inputs for: control flow, effects, and conventions of sort."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit.ops  # noqa: F401
from tracejit.base.errors import InternalError, TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.op import OPS
from tracejit.ir.parser import parse_graph
from tracejit.ops.effects import host_function

COUNTDOWN = """
graph(%0: i64[], %1: f64[2], %2: f64[2]) {
  %3: i64[], %4: f64[2] = while(%0, %1, %2, carries=2)
    body = graph(%0: i64[], %1: f64[2], %2: f64[2]) {
      %3: i64[] = constant(type=i64[], value=1)
      %4: i64[] = subtract(%0, %3)
      %5: f64[2] = add(%1, %2)
      return %4, %5
    }
    cond = graph(%0: i64[], %1: f64[2], %2: f64[2]) {
      %3: i64[] = constant(type=i64[], value=0)
      %4: bool[] = compare(%0, %3, direction='GT')
      return %4
    }
  return %3, %4
}
"""

TRIANGLE = """
graph(%0: i64[], %1: i64[], %2: i64[], %3: i64[]) {
  %4: i64[] = for(%0, %1, %2, %3, carries=1)
    body = graph(%0: i64[], %1: i64[]) {
      %2: i64[] = add(%0, %1)
      return %2
    }
  return %4
}
"""

CASE = """
graph(%0: i64[], %1: f32[]) {
  %2: f32[] = case(%0, %1)
    branches0 = graph(%0: f32[]) {
      return %0
    }
    branches1 = graph(%0: f32[]) {
      %1: f32[] = negate(%0)
      return %1
    }
    branches2 = graph(%0: f32[]) {
      %1: f32[] = multiply(%0, %0)
      return %1
    }
  return %2
}
"""

RETRY = """
graph(%0: i64[], %1: f64[2]) {
  %2: i64[], %3: f64[2] = try(%0, %1, label='t1')
    body = graph(%0: i64[], %1: f64[2]) {
      %2: f64[2] = add(%1, %1)
      %3: i64[] = constant(type=i64[], value=0)
      %4: i64[] = for(%3, %0, %0, %3, %0, %2, carries=1)
        body = graph(%0: i64[], %1: i64[], %2: i64[], %3: f64[2]) {
          %4: bool[] = compare(%2, %0, direction='LT')
          assert(%4, %2, %3, exception='ValueError', kept=(0,), message='', to='t1:0')
          return %1
        }
      %5: i64[] = constant(type=i64[], value=2)
      %6: bool[] = compare(%0, %5, direction='LT')
      assert(%6, %0, exception='KeyError', message='', to='t1:1')
      %7: bool[] = compare(%0, %3, direction='GE')
      assert(%7, %0, %2, exception='IndexError', kept=(0,), message='bad {0}')
      return %4, %2
    }
    handlers0 = graph(%0: i64[], %1: f64[2], %2: i64[], %3: f64[2]) {
      return %0, %1
    }
    handlers1 = graph(%0: i64[], %1: i64[], %2: f64[2]) {
      return %0, %2
    }
  return %2, %3
}
"""


def run(text: str, *arrays: object) -> list[object]:
    graph = parse_graph(text)
    assert str(parse_graph(str(graph))) == str(graph)
    return [r.tolist() for r in evaluate(graph, arrays)]


def test_while_runs_until_its_condition_fails() -> None:
    assert run(COUNTDOWN, 3, [1.0, 0.0], [0.5, 2.0]) == [0, [2.5, 6.0]]


def test_while_whose_condition_fails_at_once_gives_its_operands() -> None:
    assert run(COUNTDOWN, 0, [1.0, 0.0], [0.5, 2.0]) == [0, [1.0, 0.0]]


@pytest.mark.parametrize("bounds", [(0, 5, 1), (5, 0, -2), (3, 3, 1), (0, 10, 4), (0, 5, -1)])
def test_for_counts_as_range_does(bounds: tuple[int, int, int]) -> None:
    assert run(TRIANGLE, *bounds, 100) == [100 + sum(range(*bounds))]


def test_for_with_step_zero_runs_nothing() -> None:
    assert run(TRIANGLE, 0, 5, 0, 7) == [7]


@pytest.mark.parametrize(("index", "result"), [(0, 3.0), (1, -3.0), (2, 9.0), (3, 9.0), (-1, 9.0)])
def test_case_takes_the_last_branch_for_an_index_out_of_range(index: int, result: float) -> None:
    assert run(CASE, index, 3.0) == [result]


def test_try_gives_what_its_body_or_the_handler_of_the_failure_gives() -> None:
    assert run(RETRY, 0, [1.0, 2.0]) == [0, [2.0, 4.0]]
    assert run(RETRY.replace("LT')\n          assert", "GT')\n          assert"), 5, [1.0, 2.0]) == [5, [1.0, 2.0]]
    assert run(RETRY, 5, [1.0, 2.0]) == [5, [2.0, 4.0]]


def test_assert_without_a_handler_leaves_the_try() -> None:
    with pytest.raises(IndexError, match="bad -1"):
        run(RETRY, -1, [1.0, 2.0])


def test_assert_that_names_no_handler_around_it_is_refused() -> None:
    with pytest.raises(InternalError, match="does not give what handler t1:7 takes, None"):
        parse_graph(RETRY.replace("to='t1:1'", "to='t1:7'"))
    with pytest.raises(InternalError, match="does not give what handler t1:1 takes"):
        parse_graph(RETRY.replace("(%6, %0, exception", "(%6, %6, exception"))


def test_carries_that_change_type_are_refused() -> None:
    wrong = COUNTDOWN.replace("%5: f64[2] = add(%1, %2)\n      return %4, %5", "return %4, %0")
    with pytest.raises(TypeRuleError, match="while got .*region `body` gives .i64.., i64...*expected .i64.., f64.2.."):
        parse_graph(wrong)


def test_branches_of_different_types_are_refused() -> None:
    wrong = CASE.replace("%1: f32[] = negate(%0)", "%1: f64[] = convert(%0, dtype=f64)")
    with pytest.raises(TypeRuleError, match="case got .*region `branches1` gives .f64...*expected .f32..."):
        parse_graph(wrong)


def test_assert_raises_its_exception_with_its_message() -> None:
    graph = Graph([ArrayType.parse("bool[]"), ArrayType.parse("i64[]")])
    graph.emit("assert", graph.params, {"exception": "IndexError", "message": "index {0} is # out of 100% [] f32[]"})
    graph = parse_graph(str(graph))
    assert evaluate(graph, [True, 7]) == ()
    with pytest.raises(IndexError, match=r"index 7 is # out of 100% \[\] f32\[\]"):
        evaluate(graph, [False, 7])


def test_print_writes_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    graph = Graph([ArrayType.parse("f64[2]"), ArrayType.parse("i64[]")])
    graph.emit("print", graph.params, {"text": "x={0} n={1}", "end": "!\n"})
    evaluate(parse_graph(str(graph)), [[1.0, 2.0], 3])
    assert capsys.readouterr().out == "x=[1. 2.] n=3!\n"


def test_host_call_runs_a_python_function() -> None:
    name = host_function("test.double", lambda x: x * 2)
    graph = Graph([ArrayType.parse("f32[2]")])
    graph.outputs = graph.emit("host_call", graph.params, {"name": name, "types": (graph.params[0].type,)})
    assert evaluate(parse_graph(str(graph)), [[1.0, 2.0]])[0].tolist() == [2.0, 4.0]


def test_effects_are_neither_merged_nor_dropped() -> None:
    body = Graph([ArrayType.parse("i64[]"), ArrayType.parse("i64[]")])
    body.emit("print", [body.params[0]], {"text": "{0}", "end": " "})
    body.outputs = (body.params[1],)
    graph = Graph([ArrayType.parse("i64[]")])
    for _ in range(2):
        graph.emit("print", graph.params, {"text": "{0}", "end": ""})
        graph.emit("for", [graph.params[0]] * 4, {"body": body, "carries": 1})
    assert len(graph.nodes) == 4 and all(n.has_effect for n in graph.nodes)


def test_compact_indices_has_a_size_known_at_run_time() -> None:
    text = """
graph(%0: bool[n]) {
  %1: i64[n] = convert(%0, dtype=i64)
  %2: i64[] = reduce_sum(%1, axes=(0,))
  %3: i64[] = bind_dim(%2, dim='u0')
  %4: i64[u0] = compact_indices(%0, size=u0)
  return %4
}
"""
    assert run(text, [True, False, True, True]) == [[0, 2, 3]]
    assert run(text, [False]) == [[]]


def test_sort_is_stable_and_puts_nan_last_or_first_when_descending() -> None:
    x = np.array([2.0, np.nan, -0.0, 0.0, 2.0, -1.0])
    place = np.arange(6)
    sort = OPS["sort"].numpy
    up = sort(x, place, axis=0, num_keys=1, descending=False)[1]
    down = sort(x, place, axis=0, num_keys=1, descending=True)[1]
    assert up.tolist() == [5, 2, 3, 0, 4, 1]
    assert down.tolist() == [1, 0, 4, 2, 3, 5]


def test_scatter_set_keeps_the_last_of_duplicates_and_drops_what_is_outside() -> None:
    out = OPS["scatter"].numpy(np.zeros(3), np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 5, -1]), axes=(0,),
                               combine="set")
    assert out.tolist() == [0.0, 2.0, 0.0]


def test_population_count_counts_bits_of_negative_numbers() -> None:
    assert OPS["population_count"].numpy(np.array([-1, 3], np.int8)).tolist() == [8, 2]
