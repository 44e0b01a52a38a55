"""Stacks that are filled in order become arrays; others stay stacks; both mean the same.

Flows in: graphs as text, functions.  Flows out: the ops that are left.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.tracing.filling import all_nodes, fill_stacks


def ops_of(graph: Graph) -> set[str]:
    return {node.op.name for node in all_nodes(graph)}


def graph_of(fn: Any, *args: Any) -> Graph:
    return tj.function(fn).stages(*args).graph


def squares(x: Any) -> Any:
    out = []
    for i in range(len(x)):
        out.append(x[i] * x[i])
    return np.array(out)


def test_one_append_per_round_writes_element_i() -> None:
    graph = graph_of(squares, np.ones(100))
    assert not any(name.startswith("stack") for name in ops_of(graph))
    (loop,) = [n for n in graph.nodes if n.op.name == "for"]
    (update,) = [n for n in loop.attributes["body"].nodes if n.op.name == "scatter"]
    assert update.operands[2] is loop.attributes["body"].params[0]


def test_appends_of_nested_loops_multiply() -> None:
    def table(n: int, m: int) -> Any:
        out = [0.0]
        for i in range(n):
            for j in range(m):
                out.append(i * 0.5 + j)
            out.append(-1.0)
        return np.array(out)

    assert not any(name.startswith("stack") for name in ops_of(graph_of(table, 3, 4)))
    np.testing.assert_array_equal(tj.function(table)(3, 4), table(3, 4))
    np.testing.assert_array_equal(tj.function(table)(0, 4), table(0, 4))


def test_items_are_read_and_replaced_in_arrays_too() -> None:
    def sums(x: Any, n: int) -> Any:
        out = [x[0]]
        for i in range(n):
            out.append(out[-1] + x[i])
            if x[i] > 0.5:
                out[i] = out[i] * 2
        return np.array(out), out[n // 2], len(out)

    x = np.array([0.1, 0.9, 0.3, 0.7, 0.2])
    assert not any(name.startswith("stack") for name in ops_of(graph_of(sums, x, 5)))
    for mine, wanted in zip(tj.function(sums)(x, 5), sums(x, 5), strict=True):
        np.testing.assert_allclose(mine, wanted)


@pytest.mark.parametrize("condition", ["x[i] > 0", "i % 2 == 0"])
def test_appends_under_a_condition_stay_stacks(condition: str) -> None:
    def some(x: Any) -> Any:
        out = []
        for i in range(len(x)):
            if x[i] > 0 if condition == "x[i] > 0" else i % 2 == 0:
                out.append(x[i])
        return np.array(out)

    assert "stack_push" in ops_of(graph_of(some, np.ones(10)))


HANDLES = """
graph(%0: i64[], %1: f64[4]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=1)
  %4: i64[] = constant(type=i64[], value=4)
  %5: i64[] = stack_new(types=(f64[], f64[4]))
  for(%2, %4, %3, %1, %5, carries=0)
    body = graph(%0: i64[], %1: f64[4], %2: i64[]) {
      %3: f64[] = gather(%1, %0, axes=(0,))
      stack_push(%2, %3, %1)
      return
    }
  %6: f64[], %7: f64[4] = stack_get(%5, %0, types=(f64[], f64[4]))
  %8: f64[4] = stack_array(%5, %2, field=0, type=f64[4], types=(f64[], f64[4]))
  EXTRA
  return %6, %7, %8
}
"""


@pytest.mark.parametrize(("extra", "filled"), [
    ("", True), ("stack_push(%5, %6, %7)", True), ("stack_set(%5, %0, %6, %7)", True),
    ("stack_truncate(%5, %0)", False), ("%9: f64[], %10: f64[4] = stack_pop(%5, types=(f64[], f64[4]))", False)])
def test_graphs_mean_the_same_with_arrays(extra: str, filled: bool) -> None:
    graph = parse_graph(HANDLES.replace("EXTRA", extra))
    made = fill_stacks(graph)
    assert ("stack_new" not in ops_of(made)) is filled
    arrays = np.int64(2), np.array([1.0, -2.0, 3.0, 4.0])
    for mine, wanted in zip(evaluate(made, arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_a_graph_without_stacks_is_the_same_object() -> None:
    graph = parse_graph("graph(%0: f64[3]) {\n  %1: f64[3] = negate(%0)\n  return %1\n}")
    assert fill_stacks(graph) is graph


def test_a_list_of_one_round_is_one_stack_for_all_rounds() -> None:
    def rounds(n: int) -> int:
        total = 0
        for i in range(n):
            row = []
            for j in range(6):
                if (i + j) % 3:
                    row.append(j)
            while row:
                total += row.pop() * len(row)
        return total

    graph = graph_of(rounds, 5)
    assert [n.op.name for n in graph.nodes].count("stack_new") == 1
    (loop,) = [n for n in graph.nodes if n.op.name == "for"]
    assert "stack_new" not in ops_of(loop.attributes["body"]) and "stack_truncate" in ops_of(loop.attributes["body"])
    assert tj.function(rounds)(5) == rounds(5)


def test_a_list_that_outlives_its_round_is_a_stack_of_its_own() -> None:
    def rows(n: int) -> int:
        kept: list[list[int]] = []
        for i in range(n):
            row = [i]
            if i % 2:
                row.append(i)
            kept.append(row)
        return sum([len(row) for row in kept])

    graph = graph_of(rows, 5)
    (loop, *_) = [n for n in graph.nodes if n.op.name == "for"]
    assert "stack_new" in ops_of(loop.attributes["body"])
    assert tj.function(rows)(5) == rows(5)
