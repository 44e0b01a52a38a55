"""Kernels of convolutions and windows: run by the interpreter of Kernel IR, which checks every index."""
from __future__ import annotations

import numpy as np
import pytest

from tests.ops.cases import all_cases, draw_inputs, graph_of
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.op import Case, Op
from tracejit.xla_lite.kernels.frame import Request
from tracejit.xla_lite.kernels.generate import generate
from tracejit.xla_lite.kernels.interpreter import run_kernel
from tracejit.xla_lite.kernels.kernel_ir import TileMatmul, statements
from tracejit.xla_lite.kernels.verify import verify_kernel
from tracejit.xla_lite.passes.convolutions import normalise_convolutions


def interpreted(kind, graph, inputs):
    """What the kernel of a graph of one op gives, and whether it is made of blocks."""
    made = generate(Request("k", kind, graph))
    verify_kernel(made)
    expected = evaluate(graph, inputs)
    outputs = [np.full_like(x, 77) for x in expected]
    run_kernel(made, [*inputs, *outputs])
    for found, value in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-9)
    return any(isinstance(s, TileMatmul) for s in statements(made.body))


@pytest.mark.parametrize(("op", "case"), [p for p in all_cases("window") if p.values[1][0][0].dtype.name == "f64"
                                          and max(p.values[1][1].get("base_dilation", (1,))) == 1])
def test_windows(op: Op, case: Case) -> None:
    interpreted(op.name, graph_of(op, case), draw_inputs(op, case, np.random.default_rng(3)))


@pytest.mark.parametrize("shapes, dims, strides, padding, gaps, blocks", [
    ("[2,5,6,3] [3,2,3,5]", "b01i,01io->b01o", (1, 2), ((0, 0), (0, 0)), (1, 1), False),
    ("[1,4,3] [3,3,4]", "b0i,0io->b0o", (1,), ((2, 2),), (3,), False),
    ("[2,17,8] [2,15,20]", "b0i,b0o->0io", (1,), ((0, 0),), (1,), True),
    ("[3,5,15,2] [3,4,13,4]", "b01i,b01o->01io", (1, 1), ((0, 0), (0, 0)), (1, 1), False),
])
def test_convolutions(shapes, dims, strides, padding, gaps, blocks):
    graph = Graph([ArrayType.parse(f"f64{s}") for s in shapes.split()])
    graph.outputs = (graph.add("convolution", *graph.params, dims=dims, strides=strides, padding=padding,
                               lhs_dilation=gaps, rhs_dilation=(1,) * len(strides)),)
    made = normalise_convolutions(graph)
    (node,) = [n for n in made.nodes if n.op.name == "convolution"]
    alone = Graph([v.type for v in node.operands])
    alone.outputs = alone.emit(node.op, alone.params, node.attributes)
    r = np.random.default_rng(4)
    assert interpreted("convolution", alone, [r.normal(size=v.shape) for v in node.operands]) == blocks
