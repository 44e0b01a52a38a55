"""Rules for gathers and scatters at consecutive places: they are slices and slice updates.

Flows in:  indices that are sums of `iota` and numbers.
Flows out: rules for `canonicalize`. The measure that shrinks is the number of indices read from data.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Value
from tracejit.ir.op import Op
from tracejit.xla_lite.passes.rewriting import Bindings, Results, Rewriter, rewrite_each, splat


@dataclass(frozen=True, slots=True)
class Count:
    """The index along an axis, plus an offset."""

    axis: int
    offset: int

    def covers(self, length: Size, size: Size) -> bool:
        """Whether all `length` places lie inside of `size`."""
        if self.offset == 0 and length == size:
            return True
        return self.offset >= 0 and isinstance(length, int) and isinstance(size, int) and self.offset + length <= size


def count_of(value: Value) -> Count | None:
    """What an integer array counts, through sums with numbers and copies along other axes."""
    node = value.node
    if node is None or not value.dtype.is_integer:
        return None
    if node.op.name == "iota":
        return Count(node.attributes["dimension"], 0)
    if node.op.name == "broadcast_in_dim":
        below = count_of(node.operands[0])
        if below is None or node.operands[0].shape[below.axis] != value.shape[node.attributes["dims"][below.axis]]:
            return None
        return Count(node.attributes["dims"][below.axis], below.offset)
    if node.op.name in ("add", "subtract"):
        below, number = count_of(node.operands[0]), splat(node.operands[1])
        if below is not None and number is not None:
            return Count(below.axis, below.offset + (int(number) if node.op.name == "add" else -int(number)))
    return None


def _counts(operands: Sequence[Value], indices: Sequence[Value], axes: Sequence[int]) -> list[Count] | None:
    """What the indices of leading axes count, if each counts along an axis of its own and stays inside."""
    source = operands[0]
    if tuple(axes) != tuple(range(len(axes))):
        return None
    counts = [c for v in indices if (c := count_of(v)) is not None]
    if len(counts) != len(indices) or len({c.axis for c in counts}) != len(counts):
        return None
    shape = indices[0].shape
    return counts if all(c.covers(shape[c.axis], source.shape[a]) for a, c in zip(axes, counts, strict=True)) else None


@rewrite_each("gather")
def gather_of_neighbours(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """x[start + iota, ...] = slice(x), its axes where the indices count."""
    x, *indices = operands
    if op.name != "gather" or (counts := _counts(operands, indices, attributes["axes"])) is None:
        return None
    shape, rest = indices[0].shape, x.shape[len(counts):]
    start = (*(c.offset for c in counts), *(0 for _ in rest))
    sizes = (*(shape[c.axis] for c in counts), *rest)
    limit = tuple(o + n if o else n for o, n in zip(start, sizes, strict=True))
    part = x if sizes == x.shape else g.add("slice", x, start=start, limit=limit, stride=(1,) * x.rank)
    order = sorted(range(len(counts)), key=lambda a: counts[a].axis)
    if order != list(range(len(counts))):
        part = g.add("transpose", part, permutation=(*order, *range(len(counts), x.rank)))
    dims = (*(counts[a].axis for a in order), *(len(shape) + k for k in range(len(rest))))
    whole = (*shape, *rest)
    return (part if whole == part.shape else g.add("broadcast_in_dim", part, shape=whole, dims=dims),)


@rewrite_each("scatter")
def scatter_to_neighbours(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """x[start + iota, ...] = updates: a slice update, or the updates themselves where they are all of x."""
    x, updates, *indices = operands
    if op.name != "scatter" or attributes["combine"] != "set" or not indices or indices[0].rank != len(indices):
        return None
    if (counts := _counts(operands, indices, attributes["axes"])) is None:
        return None
    order = [c.axis for c in counts]
    if order != sorted(order):
        updates = g.add("transpose", updates, permutation=(*order, *range(len(order), updates.rank)))
    if updates.shape == x.shape:
        return (updates,)
    offsets = [c.offset for c in counts] + [0] * (x.rank - len(counts))
    starts = [g.graph.add("constant", value=n, type=ArrayType(I64)) for n in offsets]
    return (g.add("dynamic_update_slice", x, updates, *starts),)


RULES = (gather_of_neighbours, scatter_to_neighbours)
