"""Canonicalisation of whole graphs: random ones, deep ones, ones with regions; and its time."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph, Value
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.canonicalize import canonicalize

SHAPE = (2, 3)
F64 = ArrayType.parse("f64[2,3]")


# ---- random graphs ---------------------------------------------------------------------------------------------


def grow(graph: Graph, pool: list[Value], draw: Any) -> Value:
    """One more f64 value made of earlier ones; views are undone so that most values have one shape."""
    x = draw(st.sampled_from(pool))
    kind = draw(st.sampled_from(["unary", "binary", "constant", "reshape", "transpose", "slice", "broadcast",
                                 "reduce", "reverse", "concatenate", "select"]))
    add = graph.add
    if kind == "unary":
        return add(draw(st.sampled_from(["negate", "abs", "sine"])), x)
    if kind == "binary":
        same = [v for v in pool if v.shape == x.shape]
        return add(draw(st.sampled_from(["add", "subtract", "multiply", "maximum"])), x, draw(st.sampled_from(same)))
    if kind == "constant":
        number = draw(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5]))
        value = add("constant", value=number, type=x.type)
        return add(draw(st.sampled_from(["add", "subtract", "multiply", "divide", "power"])), x, value)
    if kind == "reshape":
        size = int(x.type.size)     # type: ignore[arg-type]
        shapes = [(size,), (1, size), (size, 1)] + [(size // k, k) for k in (2, 3) if size % k == 0]
        return add("reshape", x, shape=draw(st.sampled_from(shapes)))
    if kind == "transpose":
        return add("transpose", x, permutation=tuple(draw(st.permutations(range(x.rank)))))
    if kind == "slice":
        start = tuple(draw(st.integers(0, n - 1)) for n in x.shape)
        stride = tuple(draw(st.integers(1, 2)) for _ in x.shape)
        return add("slice", x, start=start, limit=x.shape, stride=stride)
    if kind == "broadcast":
        at = draw(st.integers(0, x.rank))
        shape = (*x.shape[:at], draw(st.integers(1, 3)), *x.shape[at:])
        return add("broadcast_in_dim", x, shape=shape, dims=tuple(a + (a >= at) for a in range(x.rank)))
    if kind == "reduce":
        axes = tuple(a for a in range(x.rank) if draw(st.booleans()))
        return add(draw(st.sampled_from(["reduce_max", "reduce_min", "reduce_sum"])), x, axes=axes)
    if kind == "reverse":
        return add("reverse", x, axes=tuple(a for a in range(x.rank) if draw(st.booleans())))
    if kind == "concatenate" and x.rank:
        return add("concatenate", x, x, axis=draw(st.integers(0, x.rank - 1)))
    return add("select", add("compare", x, x, direction=draw(st.sampled_from(["EQ", "LT"]))), x, add("negate", x))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_graphs_keep_their_meaning_and_reach_a_fixed_point(data: st.DataObject) -> None:
    graph = Graph([F64, ArrayType.parse("f64[3]")])
    pool = list(graph.params)
    for _ in range(data.draw(st.integers(1, 14))):
        value = grow(graph, pool, data.draw)
        if value.type.size and value.type.size <= 200 and value.rank < 5:     # type: ignore[operator]
            pool.append(value)
    graph.outputs = tuple(pool[-2:])
    after = canonicalize(graph)
    verify(after)
    rng = np.random.default_rng(0)
    arrays = [rng.choice([-2.5, -1.0, -0.0, 0.0, 0.5, 1.5, np.inf, np.nan], v.shape) for v in graph.params]
    for old, new in zip(evaluate(graph, arrays), evaluate(after, arrays), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-12, err_msg=f"{graph}\n{after}")
    assert canonicalize(after) is after, f"{graph}\n{after}\n{canonicalize(after)}"


# ---- whole graphs ----------------------------------------------------------------------------------------------


def long_graph(count: int) -> Graph:
    """A chain in which every fourth node is of no use, over symbolic sizes."""
    graph = Graph([ArrayType.parse("f32[n,784]"), ArrayType.parse("f32[784]")])
    x, row = graph.params
    for i in range(count // 5):
        number = graph.add("constant", value=float(i % 7 + 1), type=x.type)
        spread = graph.add("broadcast_in_dim", row, shape=x.shape, dims=(1,))
        x = graph.add("add", graph.add("multiply", x, spread), number)
        x = graph.add("convert", x, dtype=x.dtype)
        row = graph.add("tanh", row)
    graph.outputs = (x,)
    return graph


def test_three_hundred_nodes_take_about_ten_milliseconds() -> None:
    graph = long_graph(300)
    canonicalize(graph)
    best = min(_timed(lambda: canonicalize(graph)) for _ in range(5))
    assert best < 0.03      # three times the goal, for slow machines


def _timed(fn: Any) -> float:
    start = time.perf_counter()
    fn()
    return time.perf_counter() - start


def test_a_very_deep_graph_does_not_recurse() -> None:
    graph = Graph([ArrayType.parse("f32[4]")])
    x = graph.params[0]
    for _ in range(30_000):
        x = graph.add("negate", graph.add("sine", x))
    x = graph.add("reshape", x, shape=(2, 2))
    graph.outputs = (graph.add("sine", x),)
    assert len(canonicalize(graph).nodes) == len(graph.nodes)


def test_many_undone_views_vanish() -> None:
    graph = Graph([ArrayType.parse("f32[4,1]")])
    x = graph.params[0]
    for i in range(2000):
        x = graph.add("transpose", x, permutation=(1, 0)) if i % 2 else graph.add("reshape", x, shape=x.shape[::-1])
    graph.outputs = (x,)
    assert len(canonicalize(graph).nodes) <= 1


REGION = """
graph(%0: i64[], %1: f32[3]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=1)
  %4: f32[3] = for(%2, %0, %3, %1, carries=1)
    body = graph(%0: i64[], %1: f32[3]) {
      %2: f32[3] = sine(%1)
      %3: f32[3] = negate(%1)
      %4: f32[3] = negate(%3)
      return %4
    }
  return %4
}
"""


def test_regions_are_simplified() -> None:
    graph = parse_graph(REGION)
    after = canonicalize(graph)
    (loop,) = (n for n in after.nodes if n.op.name == "for")
    assert loop.attributes["body"].nodes == []
    assert canonicalize(after) is after


def test_effects_stay_in_place() -> None:
    text = """
graph(%0: bool[], %1: f32[]) {
  %2: f32[] = negate(%1)
  %3: f32[] = negate(%2)
  assert(%0, %3, exception='ValueError', message='{0}')
  print(%1, end='', text='{0}')
  print(%1, end='', text='{0}')
  return
}
"""
    after = canonicalize(parse_graph(text))
    assert [n.op.name for n in after.nodes] == ["assert", "print", "print"]


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64", "c64", "i8", "u64", "bool"])
def test_folded_constants_keep_dtype_and_value(dtype: str) -> None:
    type = ArrayType.parse(f"{dtype}[3]")
    graph = Graph([])
    values = (True, False, True) if dtype == "bool" else (1, 2, 3)
    x = graph.add("constant", value=values, type=type)
    y = graph.add("not" if dtype == "bool" else "multiply", *[x] * (1 if dtype == "bool" else 2))
    graph.outputs = (graph.add("reverse", y, axes=(0,)),)
    after = canonicalize(graph)
    assert len(after.nodes) == 1
    for old, new in zip(evaluate(graph, []), evaluate(after, []), strict=True):
        np.testing.assert_array_equal(old, new)
