"""Every op of the table: native code against the evaluator, over dtypes, shapes and layouts.

Flows in:  the cases that ops declare.  Flows out: nothing.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.cases import all_cases, assert_agrees, draw_inputs, graph_of
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph, Value
from tracejit.ir.op import Case, Op
from tracejit.xla_lite.replay import compile_for_arrays, run


def is_exact(graph: Graph, value: Value) -> bool:
    """Parts of complex results are exact to a few units only."""
    return not (value.dtype.is_inexact and any(p.dtype.is_complex for p in graph.params))


KINDS = ("pointwise", "source", "view", "gather", "scatter", "reduction", "cumulative", "contraction", "library",
         "window")


@pytest.mark.parametrize(("op", "case"), all_cases(*KINDS))
def test_compiled_equals_evaluator(op: Op, case: Case) -> None:
    inputs = draw_inputs(op, case, np.random.default_rng(7))
    graph = graph_of(op, case)
    expected = evaluate(graph, inputs)
    for value, got, wanted in zip(graph.outputs, run(compile_for_arrays(graph), inputs), expected, strict=True):
        assert_agrees(op, got, wanted, value.dtype, is_exact(graph, value))


def strided(array: Any) -> Any:
    """The same values with a gap between elements and the axes turned round in memory."""
    array = np.asarray(array)
    if not array.ndim:
        return array
    turned = np.empty(tuple(2 * n for n in reversed(array.shape)), array.dtype).T
    view = turned[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


@pytest.mark.parametrize(("op", "case"), all_cases("pointwise", "view", "reduction", "contraction")[::5])
def test_strided_operands(op: Op, case: Case) -> None:
    inputs = draw_inputs(op, case, np.random.default_rng(7))
    graph = graph_of(op, case)
    expected = evaluate(graph, inputs)
    layouts = [strided(x) for x in inputs]
    found = run(compile_for_arrays(graph, [True] * len(inputs)), layouts)
    for value, got, wanted in zip(graph.outputs, found, expected, strict=True):
        assert_agrees(op, got, wanted, value.dtype, is_exact(graph, value))
