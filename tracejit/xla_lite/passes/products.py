"""Brings every matrix product to one form: [batch,] m, k times [batch,] k, n, and turns those that are sums into sums.

Flows in:  graphs with any `dot_general`.
Flows out: graphs in which a `dot_general` has at most one batch axis, one contracted axis, one free axis each, and
           operands that lie either way round. A product with a vector is a multiplication and a sum, which fuse.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.base.dims import Size, product
from tracejit.base.dtypes import F32, F64
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild
from tracejit.xla_lite.passes.manager import graph_pass


def takes_followers(node: Node) -> bool:
    """Whether the product's kernel computes in blocks, and what follows element by element before they are stored."""
    return node.op.name == "dot_general" and node.result.dtype in (F32, F64) and node.result.rank in (2, 3)


@graph_pass(needs=(), gives=("products are matrices",))
def normalise_products(graph: Graph) -> Graph:
    """Linear in the number of nodes. Returns the same graph if it has no product to change."""
    return rebuild(graph, _replace)


def _replace(graph: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
    if node.op.name != "dot_general":
        changed = map_regions(node, normalise_products)
        return None if changed is None else graph.emit(node.op, operands, changed, node.span)
    roles = {k: tuple(v) for k, v in node.attributes.items()}
    sides = [_Side(operands[0], roles["lhs_batch"], roles["lhs_contract"]),
             _Side(operands[1], roles["rhs_batch"], roles["rhs_contract"])]
    if any(product(s.sizes(s.free)) == 1 for s in sides):
        return [_as_sum(graph, node, sides)]
    if _is_normal(node):
        return None
    return [_as_matrices(graph, node, sides)]


class _Side:
    """One operand and the roles of its axes."""

    def __init__(self, value: Value, batch: tuple[int, ...], contract: tuple[int, ...]):
        self.value, self.batch, self.contract = value, batch, contract
        self.free = tuple(a for a in range(value.rank) if a not in batch + contract)

    def sizes(self, axes: Sequence[int]) -> tuple[Size, ...]:
        return tuple(self.value.shape[a] for a in axes)


def _is_normal(node: Node) -> bool:
    a = node.attributes
    batch = tuple(a["lhs_batch"])
    rank = len(batch) + 2
    return (batch == tuple(a["rhs_batch"]) == tuple(range(len(batch))) and len(batch) <= 1
            and len(a["lhs_contract"]) == len(a["rhs_contract"]) == 1
            and node.operands[0].rank == node.operands[1].rank == rank)


def _as_sum(graph: Graph, node: Node, sides: list[_Side]) -> Value:
    """sum over k of x * y, both spread over batch + free + k; k + free where a matrix lies so."""
    lhs, rhs = sides
    batch, contract = lhs.sizes(lhs.batch), lhs.sizes(lhs.contract)
    free = (*lhs.sizes(lhs.free), *rhs.sizes(rhs.free))
    down = not batch and any(s.free and s.contract == tuple(range(len(contract))) for s in sides)
    shape = (*contract, *free) if down else (*batch, *free, *contract)
    begin = len(contract) if down else len(batch)
    first, last = begin + len(lhs.free), begin + len(free)
    summed = tuple(range(len(contract))) if down else tuple(range(last, len(shape)))
    heads = tuple(range(len(batch)))
    x = _spread(graph, node, lhs, shape, heads, tuple(range(begin, first)), summed)
    y = _spread(graph, node, rhs, shape, heads, tuple(range(first, last)), summed)
    if node.result.dtype.kind == "b":
        return graph.add("reduce_or", graph.add("and", x, y, span=node.span), axes=summed, span=node.span)
    return graph.add("reduce_sum", graph.add("multiply", x, y, span=node.span), axes=summed, span=node.span)


def _spread(graph: Graph, node: Node, side: _Side, shape: tuple[Size, ...], heads: tuple[int, ...],
            free: tuple[int, ...], summed: tuple[int, ...]) -> Value:
    """The operand where its axes go: batch, free, contracted."""
    places = dict(zip(side.batch + side.free + side.contract, heads + free + summed, strict=True))
    order = tuple(sorted(places, key=places.__getitem__))
    dims = tuple(places[a] for a in order)
    value = _transposed(graph, node, side.value, order)
    if value.shape == shape:
        return value
    return graph.add("broadcast_in_dim", value, shape=shape, dims=dims, span=node.span)


def _as_matrices(graph: Graph, node: Node, sides: list[_Side]) -> Value:
    lhs, rhs = sides
    x, x_contract = _matrix(graph, node, lhs, free_first=True)
    y, y_contract = _matrix(graph, node, rhs, free_first=False)
    batch = (0,) if lhs.batch else ()
    made = graph.add("dot_general", x, y, lhs_batch=batch, rhs_batch=batch, lhs_contract=(x_contract,),
                     rhs_contract=(y_contract,), span=node.span)
    shape = node.result.shape
    return made if made.shape == shape else graph.add("reshape", made, shape=shape, span=node.span)


def _matrix(graph: Graph, node: Node, side: _Side, free_first: bool) -> tuple[Value, int]:
    """The operand as [batch,] free, contracted, or turned round where it lies so or its last axis stays; and its
    contracted axis."""
    either = [side.batch + side.free + side.contract, side.batch + side.contract + side.free]
    in_memory = tuple(range(side.value.rank))
    cheap = [o for test in (in_memory, in_memory[-1:]) for o in either if o[-len(test):] == test]
    order = next(iter(cheap), either[0 if free_first else 1])
    value = _transposed(graph, node, side.value, order)
    groups = [side.free, side.contract] if order == either[0] else [side.contract, side.free]
    batch = (product(side.sizes(side.batch)),) if side.batch else ()
    shape = (*batch, *(product(side.sizes(g)) for g in groups))
    if value.shape != shape:
        value = graph.add("reshape", value, shape=shape, span=node.span)
    return value, len(batch) + (1 if order == either[0] else 0)


def _transposed(graph: Graph, node: Node, value: Value, order: tuple[Any, ...]) -> Value:
    if order == tuple(range(len(order))):
        return value
    return graph.add("transpose", value, permutation=order, span=node.span)
