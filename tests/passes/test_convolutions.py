"""What convolutions and windows become before code is made for them."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.ops.cases import draw
from tracejit import nn
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.xla_lite.passes.convolutions import normalise_convolutions
from tracejit.xla_lite.passes.windows import normalise_windows


def convolution(shapes, dims, strides=(), padding=(), lhs_dilation=(), rhs_dilation=()):
    """One convolution in normal form, after it was compared with what it was; its ops."""
    space = sum(c.isdigit() for c in dims.split(",")[0])
    graph = Graph([ArrayType.parse(f"f64{s}") for s in shapes.split()])
    graph.outputs = (graph.add("convolution", *graph.params, dims=dims, strides=strides or (1,) * space,
                               padding=padding or ((0, 0),) * space, lhs_dilation=lhs_dilation or (1,) * space,
                               rhs_dilation=rhs_dilation or (1,) * space),)
    made = normalise_convolutions(graph)
    inputs = [draw(p.type, (-3.0, 3.0), np.random.default_rng(1)) for p in graph.params]
    np.testing.assert_allclose(evaluate(made, inputs)[0], evaluate(graph, inputs)[0], rtol=1e-10, atol=1e-10)
    assert normalise_convolutions(made) is made
    return made, [n.op.name for n in made.nodes if n.op.name != "constant"]


def test_a_window_of_one_is_a_product():
    assert convolution("[2,4,5,3] [1,1,3,7]", "b01i,01io->b01o")[1] == ["reshape", "reshape", "dot_general"]
    assert "convolution" not in convolution("[2,4,5,3] [1,1,3,7]", "b01i,01io->b01o", (2, 1))[1]


def test_one_place_is_a_product():
    assert "convolution" not in convolution("[2,4,5,3] [4,5,3,7]", "b01i,01io->b01o")[1]


def test_padding_becomes_part_of_the_input():
    assert convolution("[2,4,5,3] [2,3,3,7]", "b01i,01io->b01o", padding=((1, 0), (-1, 1)))[1] == [
        "pad", "slice", "convolution"]


def test_gaps_are_not_filled():
    made, ops = convolution("[2,4,3] [3,3,7]", "b0i,0io->b0o", padding=((2, 1),), lhs_dilation=(2,))
    assert ops == ["pad", "convolution"]
    assert made.nodes[-1].operands[0].shape == (2, 5, 3)


def test_wide_gaps_make_blocks():
    shapes = "[2,3,2,5] [8,6,5,7]"
    for padding, gaps in ((((7, 7), (4, 2)), (8, 6)), (((3, 9), (8, 1)), (9, 5))):
        made, _ = convolution(shapes, "b01i,01io->b01o", padding=padding, lhs_dilation=gaps)
        (left,) = [n for n in made.nodes if n.op.name == "convolution"]
        assert left.attributes["lhs_dilation"] == gaps[1:]
    assert "dot_general" in convolution("[3,5] [4,5,7]", "0i,0io->0o", padding=((5, 2),), lhs_dilation=(40,))[1]


def test_lanes_run_over_the_longest_axis():
    made, ops = convolution("[2,3,6,6] [17,3,2,2]", "bi01,oi01->bo01")
    (node,) = [n for n in made.nodes if n.op.name == "convolution"]
    assert node.attributes["dims"] == "bi01,i01o->b01o" and ops.count("transpose") == 2
    assert convolution("[64,1] [5,1,1]", "0i,0io->0o")[0].nodes[-2].attributes["dims"] == "0,0->0"


def test_the_derivative_of_a_mean_over_windows_repeats_it():
    graph = Graph([ArrayType.parse("f64[2,3]")])
    graph.outputs = (graph.add("reduce_window", graph.params[0], combine="add", window=(1, 2), strides=(1, 1),
                               padding=((0, 0), (1, 2)), base_dilation=(1, 2), window_dilation=(1, 1)),)
    made, x = normalise_windows(graph), np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(evaluate(made, [x])[0], evaluate(graph, [x])[0])
    assert [n.op.name for n in made.nodes] == ["broadcast_in_dim", "reshape", "constant", "pad"]


@pytest.mark.parametrize("layers", [1, 2])
def test_a_training_step_has_few_kernels(layers):
    """Of each layer: the padded input, three convolutions at most, what goes with pooling before and behind."""
    def loss(params, x):
        for w, b in params:
            x = nn.max_pool(np.maximum(nn.conv2d(x, w, padding="same") + b, 0), 2)
        return (x * x).sum()

    step = tj.function(lambda params, x: [(w - g, b - h) for (w, b), (g, h) in zip(
        params, tj.grad(loss)(params, x), strict=True)])
    params = [(np.ones((3, 3, 4, 4), np.float32), np.zeros(4, np.float32)) for _ in range(layers)]
    x = np.ones((2, 8, 8, 4), np.float32)
    step(params, x)
    ops = [n.attributes.get("kind", n.op.name) for n in step.stages(params, x).optimized.nodes]
    assert ops.count("convolution") == 3 * layers - 1
    assert ops.count("pad") == 2 * layers - 1 and ops.count("concatenate") == 0
    assert ops.count("select_and_scatter") == ops.count("reduce_window") == layers
