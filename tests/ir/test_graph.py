"""The graph: interning, text, verifier, evaluator, copies."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit.ops  # noqa: F401
from tracejit.base.dtypes import F32
from tracejit.base.errors import InternalError, ShapeError
from tracejit.base.spans import SourceSpan
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate, round_to_bf16
from tracejit.ir.graph import Graph, Node
from tracejit.ir.op import OPS, Op, register
from tracejit.ir.parser import parse_graph
from tracejit.ir.printer import print_graph
from tracejit.ir.rewriting import live_nodes, map_regions, rebuild, without_dead_nodes
from tracejit.ir.verifier import sizes_bound_by, verify

F32_2 = ArrayType.parse("f32[2]")


def pair() -> Graph:
    return Graph([F32_2, F32_2])


def test_equal_nodes_are_one_node() -> None:
    graph = pair()
    x, y = graph.params
    assert graph.add("add", x, y) is graph.add("add", x, y)
    assert graph.add("add", x, y) is not graph.add("add", y, x)


@pytest.mark.parametrize(("a", "b"), [(0.0, -0.0), (1, True), (1, 1.0), ((0.0, 1.0), (-0.0, 1.0))])
def test_constants_that_python_calls_equal_stay_apart(a: object, b: object) -> None:
    graph = Graph()
    assert graph.add("constant", value=a, type=F32_2) is not graph.add("constant", value=b, type=F32_2)


def test_nan_is_interned() -> None:
    graph = Graph()
    nan = float("nan")
    assert graph.add("constant", value=nan, type=F32_2) is graph.add("constant", value=-nan * 0, type=F32_2)


def test_type_errors_carry_the_line() -> None:
    graph = Graph([F32_2, ArrayType.parse("f32[3]")])
    with pytest.raises(ShapeError, match="add got f32.2. and f32.3.: sizes of axis 0 differ, 2 against 3") as error:
        graph.add("add", *graph.params, span=SourceSpan("user.py", 7))
    assert error.value.span == SourceSpan("user.py", 7)


def test_printing_shows_spans_when_asked_and_parsing_skips_them() -> None:
    graph = pair()
    graph.outputs = (graph.add("add", *graph.params, span=SourceSpan("user.py", 7)),)
    text = print_graph(graph, with_spans=True)
    assert text.splitlines()[1] == "  %2: f32[2] = add(%0, %1)    # user.py:7"
    assert parse_graph(text) == graph


@pytest.mark.parametrize(("text", "complaint"), [
    ("graph(%0: f32[2]) {\n  return %1\n}", "%1 is not defined"),
    ("graph(%0: f32[2]) {\n  %1: f32[2] = sinus(%0)\n  return %1\n}", "unknown op 'sinus'"),
    ("graph(%0: f32[2]) {\n  %1: f32[2] = sine(%0\n  return %1\n}", "can't read"),
    ("graph(%0: f32[2]) {\n  return %0", "no end"),
    ("graph(%0: f32[2]) {\n  return %0\n}\n}", "text after the end"),
    ("function(%0: f32[2]) {\n  return %0\n}", "expected `graph")])
def test_unreadable_text_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_graph(text)


# ---- verifier --------------------------------------------------------------------------------------------------


def test_use_before_definition_is_found() -> None:
    graph = pair()
    y = graph.add("sine", graph.add("negate", graph.params[0]))
    graph.outputs = (y,)
    verify(graph)
    graph.nodes.reverse()
    with pytest.raises(InternalError, match="operand used before its definition in `sine`"):
        verify(graph)


def test_types_that_no_rule_gives_are_found() -> None:
    graph = pair()
    node = Node(OPS["sine"], graph.params[:1], {}, (), [ArrayType.parse("f32[3]")], None)
    graph.nodes.append(node)
    with pytest.raises(InternalError, match="result types of `sine` disagree with its rule"):
        verify(graph)


def test_outputs_of_other_graphs_are_found() -> None:
    graph, other = pair(), pair()
    graph.outputs = other.params
    with pytest.raises(InternalError, match="an output is not defined"):
        verify(graph)


def test_sizes_must_be_bound_before_they_are_used() -> None:
    graph = Graph([ArrayType.parse("f32[2]")])
    size = ArrayType.parse("f32[u0]").shape
    graph.outputs = (graph.add("broadcast_in_dim", graph.add("constant", value=1.0, type=ArrayType(F32)),
                               shape=size, dims=()),)
    with pytest.raises(InternalError, match="a size of f32.u0. .* is bound nowhere before"):
        verify(graph)


def test_sizes_read_off_parameters_are_those_that_stand_alone() -> None:
    graph = Graph([ArrayType.parse("f32[n,2*m]"), ArrayType.parse("f32[k]")])
    assert sizes_bound_by(graph.params) == {"n", "k"}


# ---- evaluator -------------------------------------------------------------------------------------------------


def test_symbolic_sizes_are_read_off_the_arrays() -> None:
    text = """
graph(%0: f32[n,m]) {
  %1: f32[m*n] = reshape(%0, shape=(m*n,))
  %2: i64[] = dimension(size=m*n+1)
  return %1, %2
}
"""
    flat, size = evaluate(parse_graph(text), [np.ones((2, 3))])
    assert flat.shape == (6,) and size == 7


def test_a_wrong_meaning_is_found() -> None:
    graph = pair()
    liar = Op(name="liar", kind="pointwise", type_rule=lambda x: [x], numpy=lambda x: x.astype(np.float64))
    graph.outputs = (graph.add(liar, graph.params[0]),)
    with pytest.raises(AssertionError, match=r"`liar` gave float64\[2\], its type is f32\[2\]"):
        evaluate(graph, [np.ones(2)] * 2)


def test_bfloat16_is_rounded_after_each_op() -> None:
    graph = Graph([ArrayType.parse("bf16[1]")] * 2)
    graph.outputs = (graph.add("add", *graph.params),)
    assert evaluate(graph, [np.float32([256.0]), np.float32([1.0])])[0] == 256.0
    ties = np.float32([1 + 2**-8, 1 + 3 * 2**-8, np.inf, np.nan, -0.0])
    np.testing.assert_array_equal(round_to_bf16(ties), np.float32([1.0, 1 + 2**-6, np.inf, np.nan, -0.0]))


def test_an_op_is_declared_once() -> None:
    with pytest.raises(ValueError, match="op `add` is declared twice"):
        register(OPS["add"])


# ---- copies ----------------------------------------------------------------------------------------------------


def test_dead_nodes_are_dropped_and_a_graph_without_them_is_the_same_object() -> None:
    graph = pair()
    x, y = graph.params
    graph.add("sine", y)
    graph.outputs = (graph.add("negate", x),)
    assert len(live_nodes(graph)) == 1
    after = without_dead_nodes(graph)
    assert [n.op.name for n in after.nodes] == ["negate"] and without_dead_nodes(after) is after


def test_rebuilding_without_replacement_gives_the_same_object() -> None:
    graph = pair()
    graph.outputs = (graph.add("add", *graph.params),)
    assert rebuild(graph, lambda copy, node, operands: None) is graph
    after = rebuild(graph, lambda copy, node, operands: copy.emit("subtract", operands))
    assert [n.op.name for n in after.nodes] == ["subtract"] and after.outputs[0].type == F32_2


def test_regions_that_come_back_unchanged_change_nothing() -> None:
    body = Graph([F32_2])
    body.outputs = body.params
    graph = Graph([ArrayType.parse("bool[]"), F32_2])
    graph.emit("case", graph.params, {"branches": (body, body)})
    assert map_regions(graph.nodes[0], lambda region: region) is None
    assert map_regions(graph.nodes[0], lambda region: Graph([F32_2])) is not None


def test_inlining_shares_equal_nodes() -> None:
    body = pair()
    body.outputs = (body.add("add", *body.params),)
    graph = pair()
    first, second = (graph.inline(body, graph.params) for _ in range(2))
    assert first == second and len(graph.nodes) == 1


def test_readers_are_listed_once_in_program_order() -> None:
    graph = pair()
    x, y = graph.params
    square = graph.add("multiply", x, x)
    total = graph.add("add", square, x)
    users = graph.users()
    assert [n.op.name for n in users[x]] == ["multiply", "add"] and users[y] == [] and users[total] == []
