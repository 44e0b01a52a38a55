"""Folds over windows of arrays with gaps between their elements, in terms of arrays without gaps.

Flows in:  graphs with any `reduce_window`.
Flows out: graphs in which none has gaps. A sum that spreads elements over windows side by side repeats them.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild
from tracejit.ops.windows import identity_of
from tracejit.xla_lite.passes.manager import graph_pass


@graph_pass(needs=(), gives=("windows have no gaps below",))
def normalise_windows(graph: Graph) -> Graph:
    """Linear in the number of nodes. Returns the same graph if it has no fold to change."""
    return rebuild(graph, _replace)


def _replace(graph: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
    if node.op.name != "reduce_window":
        changed = map_regions(node, normalise_windows)
        return None if changed is None else graph.emit(node.op, operands, changed, node.span)
    if all(g == 1 for g in node.attributes["base_dilation"]):
        return None
    return [_repeated(graph, node, operands[0]) if _repeats(node) else _filled(graph, node, operands[0])]


def _filled(graph: Graph, node: Node, x: Value) -> Value:
    """With the identity of the fold in the gaps."""
    a: dict[str, Any] = dict(node.attributes)
    zeros = (0,) * x.rank
    fill = graph.add("constant", value=identity_of(a["combine"], x.dtype), type=ArrayType(x.dtype))
    interior = tuple(g - 1 for g in a["base_dilation"])
    spread = graph.add("pad", x, fill, low=zeros, high=zeros, interior=interior, span=node.span)
    (made,) = graph.emit(node.op, [spread], {**a, "base_dilation": (1,) * x.rank}, node.span)
    return made


def _repeats(node: Node) -> bool:
    """Whether each result is one element or none: what an average over windows side by side gives back."""
    a = node.attributes
    sides = zip(a["window"], a["strides"], a["padding"], a["base_dilation"], a["window_dilation"], node.result.shape,
                node.operands[0].shape)
    return a["combine"] == "add" and all(
        (w, s, d, low) == (g, 1, 1, w - 1) and _room(n, m, g) is not None for w, s, (low, _), g, d, n, m in sides)


def _room(size: Size, count: Size, each: int) -> Size | None:
    """What is left behind `count` windows of `each`; None if it may be negative."""
    left = size - count * each
    return left if isinstance(left, int) and left >= 0 else None


def _repeated(graph: Graph, node: Node, x: Value) -> Value:
    """Every element over its window, zeros behind the last one."""
    window = node.attributes["window"]
    shape = tuple(n for pair in zip(x.shape, window) for n in pair)
    dims = tuple(range(0, 2 * x.rank, 2))
    wide = graph.add("broadcast_in_dim", x, shape=shape, dims=dims, span=node.span)
    made = graph.add("reshape", wide, shape=tuple(n * w for n, w in zip(x.shape, window)), span=node.span)
    high = tuple(n - m for n, m in zip(node.result.shape, made.shape))
    if all(n == 0 for n in high):
        return made
    zero, zeros = graph.add("constant", value=0, type=ArrayType(x.dtype)), (0,) * x.rank
    return graph.add("pad", made, zero, low=zeros, high=high, interior=zeros, span=node.span)
