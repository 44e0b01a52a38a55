"""Fusion: what shares a loop nest, what it never does, and how long it takes.

Flows in: small graphs, random ones, deep ones.  Flows out: golden text and facts.
"""
from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.compiled.random_graphs import SIZES, random_graph, random_inputs
from tests.compiled.random_programs import program_inputs, random_program
from tests.passes.examples import graph, number
from tracejit.base.dtypes import F32
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.buffers import plan_buffers
from tracejit.xla_lite.passes.fuse import fuse
from tracejit.xla_lite.passes.plan import Target

ROWS = "f32[8,32] = broadcast_in_dim(%{0}, shape=(8, 32), dims=(0,))"

EXAMPLES = {
    "softmax": graph("f32[8,32]", "f32[8] = reduce_max(%0, axes=(1,))", ROWS.format(1), "f32[8,32] = subtract(%0, %2)",
                     "f32[8,32] = exponential(%3)", "f32[8] = reduce_sum(%4, axes=(1,))", ROWS.format(5),
                     "f32[8,32] = divide(%4, %6)"),
    "layer_norm": graph("f32[8,32] f32[32]", "f32[8] = reduce_sum(%0, axes=(1,))", number("32.0", "f32[8]"),
                        "f32[8] = divide(%2, %3)", ROWS.format(4), "f32[8,32] = subtract(%0, %5)",
                        "f32[8,32] = multiply(%6, %6)", "f32[8] = reduce_sum(%7, axes=(1,))",
                        "f32[8] = divide(%8, %3)", "f32[8] = sqrt(%9)", ROWS.format(10), "f32[8,32] = divide(%6, %11)",
                        "f32[8,32] = broadcast_in_dim(%1, shape=(8, 32), dims=(1,))", "f32[8,32] = multiply(%12, %13)"),
    "mean_and_variance": """
graph(%0: f32[9999]) {
  %1: f32[] = reduce_sum(%0, axes=(0,))
  %2: f32[9999] = multiply(%0, %0)
  %3: f32[] = reduce_sum(%2, axes=(0,))
  %4: f32[] = multiply(%1, %1)
  %5: f32[] = subtract(%3, %4)
  return %1, %5
}""",
    "column_sums_with_epilogue": graph("f32[8,32] f32[32]", "f32[32] = reduce_sum(%0, axes=(0,))",
                                       "f32[32] = multiply(%2, %1)", "f32[32] = add(%3, %1)"),
    "siblings": """
graph(%0: f32[9999], %1: f32[9999]) {
  %2: f32[9999] = multiply(%0, %1)
  %3: f32[9999] = sine(%0)
  %4: f32[] = reduce_sum(%2, axes=(0,))
  %5: i64[] = reduce_argmax(%0, axis=0)
  return %2, %3, %4, %5
}""",
    "scatter": graph("f32[9] f32[4] i64[4]", "f32[4] = sine(%1)", "f32[9] = scatter(%0, %3, %2, axes=(0,), "
                     "combine='add')", "f32[9] = exponential(%4)"),
    "concatenate": graph("f32[9] f32[4]", "f32[9] = sine(%0)", "f32[4] = cosine(%1)",
                         "f32[13] = concatenate(%2, %3, axis=0)", "f32[13] = exponential(%4)"),
    "while_body": """
graph(%0: i64[], %1: f32[9]) {
  %2: i64[], %3: f32[9] = while(%0, %1, carries=2)
    body = graph(%0: i64[], %1: f32[9]) {
      %2: i64[] = constant(type=i64[], value=1)
      %3: i64[] = subtract(%0, %2)
      %4: f32[9] = sine(%1)
      %5: f32[9] = multiply(%4, %1)
      return %3, %5
    }
    cond = graph(%0: i64[], %1: f32[9]) {
      %2: i64[] = constant(type=i64[], value=0)
      %3: bool[] = compare(%0, %2, direction='GT')
      return %3
    }
  return %3
}""",
    "independent_consumers": """
graph(%0: f32[9], %1: f32[5]) {
  %2: f32[9] = sine(%0)
  %3: f32[5] = sine(%1)
  return %2, %3
}""",
    # sorting needs %2 and gives %3: %4 may not join the loop of %2 although both read %0
    "diamond": """
graph(%0: f32[9,9]) {
  %1: f32[9,9] = sine(%0)
  %2: f32[9,9] = sort(%1, axis=1, num_keys=1, descending=False)
  %3: f32[9,9] = add(%2, %0)
  return %1, %3
}""",
    # what follows a product element by element is done with its blocks; what is read by it exists before
    "product": """
graph(%0: f32[9,8], %1: f32[8,7], %2: f32[7], %3: f32[9,7]) {
  %4: f32[9,8] = sine(%0)
  %5: f32[9,7] = dot_general(%4, %1, lhs_batch=(), lhs_contract=(1,), rhs_batch=(), rhs_contract=(0,))
  %6: f32[9,7] = broadcast_in_dim(%2, shape=(9, 7), dims=(1,))
  %7: f32[9,7] = add(%5, %6)
  %8: f32[9,7] = exponential(%7)
  %9: f32[9,7] = multiply(%8, %3)
  %10: f32[7] = reduce_sum(%9, axes=(0,))
  return %8, %9, %10
}""",
    # the size is bound by an effect: what mentions it, even through a scalar, comes after
    "bound_size": """
graph(%0: f64[9]) {
  %1: f64[9] = constant(type=f64[9], value=0.0)
  %2: bool[9] = compare(%0, %1, direction='GT')
  %3: i64[9] = convert(%2, dtype=i64)
  %4: i64[] = reduce_sum(%3, axes=(0,))
  %5: i64[] = bind_dim(%4, dim='u0')
  %6: i64[] = dimension(size=u0)
  %7: f64[] = convert(%6, dtype=f64)
  %8: f64[9] = broadcast_in_dim(%7, dims=(), shape=(9,))
  %9: f64[9] = multiply(%0, %8)
  return %9
}""",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_fused_graph(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"fuse/{name}", str(fuse(parse_graph(EXAMPLES[name]))))


def fusions(fused: Graph) -> list[str]:
    return [n.attributes["kind"] for n in fused.nodes if n.op.name == "fusion"]


@pytest.mark.parametrize(("name", "kinds"), [
    ("softmax", ["rows"]), ("layer_norm", ["rows"]), ("mean_and_variance", ["full"]), ("siblings", ["full"]),
    ("column_sums_with_epilogue", ["columns"]), ("diamond", ["elementwise", "elementwise"]),
    ("product", ["elementwise", "product", "columns"])])
def test_one_loop_nest_serves(name: str, kinds: list[str]) -> None:
    assert fusions(fuse(parse_graph(EXAMPLES[name]))) == kinds


def check_fused(before: Graph) -> Graph:
    after = fuse(before)
    verify(after)
    assert fuse(after) is after
    for node in after.nodes:
        if node.op.name == "fusion":
            body = node.attributes["body"]
            assert len(set(body.outputs)) == len(body.outputs)
            assert not any(n.op.kind in ("control", "effect") for n in body.nodes)
            assert (node.attributes["kind"] == "product") == any(n.op.kind == "contraction" for n in body.nodes)
    return after


@pytest.mark.parametrize("seed", range(40))
def test_fusion_keeps_the_meaning_of_a_random_graph(seed: int) -> None:
    before = random_graph(seed, 5 + seed % 20)
    after = check_fused(before)
    inputs = random_inputs(before, seed)
    for x, y in zip(evaluate(before, inputs, SIZES), evaluate(after, inputs, SIZES), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(40))
def test_fusion_keeps_the_meaning_of_a_random_program(seed: int) -> None:
    before = random_program(seed, 5 + seed % 20).graph
    after = check_fused(before)
    inputs = program_inputs(before, seed)
    for x, y in zip(evaluate(before, inputs, SIZES), evaluate(after, inputs, SIZES), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("seed", range(40))
def test_every_reduction_is_computed_once(seed: int) -> None:
    def count(g: Graph) -> int:
        inner = [n.attributes["body"] for n in g.nodes if n.op.name == "fusion"]
        return sum(n.op.kind in ("reduction", "scatter", "cumulative") for n in g.nodes) + sum(map(count, inner))

    before = random_graph(seed, 5 + seed % 20)
    after = fuse(before)
    assert count(after) <= count(before)
    assert count(fuse(parse_graph(str(before)))) == count(after)


def chain(length: int) -> Graph:
    g = Graph([ArrayType(F32, (1000,))])
    x = g.params[0]
    for i in range(length):
        x = g.add(("sine", "negate")[i % 2], x)
    g.outputs = (x,)
    return g


def reductions(length: int) -> Graph:
    """Rows, columns and whole arrays in turn, each of what the one before gave."""
    g = Graph([ArrayType(F32, (50, 40))])
    x = g.params[0]
    for i in range(length):
        small = g.add("reduce_sum", x, axes=((0,), (1,), (0, 1))[i % 3])
        wide = g.add("broadcast_in_dim", small, shape=(50, 40), dims=((1,), (0,), ())[i % 3])
        x = g.add("add", g.add("sine", x), wide)
    g.outputs = (x,)
    return g


def independent(length: int) -> Graph:
    g = Graph([ArrayType(F32, (50, 40))] * length)
    g.outputs = tuple(g.add("reduce_sum", p, axes=((0,), (1,), (0, 1))[i % 3]) for i, p in enumerate(g.params))
    return g


@pytest.mark.parametrize("deep", [chain(20_000), reductions(2000), independent(2000)], ids=["chain", "sums", "apart"])
def test_deep_graphs_are_fused_and_planned_in_seconds(deep: Graph) -> None:
    start = time.process_time()
    fused = fuse(deep)
    plan_buffers(fused, [Target()] * len(fused.outputs))
    assert time.process_time() - start < 4.0
    assert len(fused.nodes) < len(deep.nodes) + 1
