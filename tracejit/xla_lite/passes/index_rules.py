"""Rules for gathers and scatters: consecutive places are slices, one place in every row is a choice.

Flows in:  indices that are sums of `iota` and numbers, beside others.
Flows out: rules for `canonicalize`. The measure that shrinks is the number of indices read from data, or of elements
           that are computed to be gathered.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracejit.base.dims import Size, product
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Node, Value
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


@rewrite_each("pointwise")
def clamp_of_count(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """min(iota, n - 1) = iota of n places, max(iota, 0) = iota."""
    if op.name not in ("minimum", "maximum") or (count := count_of(operands[0])) is None:
        return None
    bound, length = size_of(operands[1]), operands[0].shape[count.axis]
    if bound is None:
        return None
    if op.name == "maximum":
        keeps = isinstance(bound, int) and count.offset >= bound
    else:
        last = length + count.offset - 1
        keeps = last == bound or isinstance(last, int) and isinstance(bound, int) and last <= bound
    return (operands[0],) if keeps else None


def size_of(value: Value) -> Size | None:
    """The size that all elements of an integer array are."""
    node = value.node
    if node is None or not value.dtype.is_integer:
        return None
    if (number := splat(value)) is not None:
        return int(number)
    match node.op.name:
        case "dimension":
            size: Size = node.attributes["size"]
            return size
        case "broadcast_in_dim":
            return size_of(node.operands[0])
        case "add" | "subtract":
            left, right = map(size_of, node.operands)
            if left is not None and right is not None:
                return left + right if node.op.name == "add" else left - right
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


# ---- one place in every row ------------------------------------------------------------------------------------

COMBINED = ("set", "add", "multiply", "minimum", "maximum")
CHEAP = 1               # cost of ops that are computed once more for what is gathered
MOST_GATHERED = 64      # pointwise nodes that a gather is pushed through


@dataclass(frozen=True, slots=True)
class RowPlaces:
    """One place in every row of an array: along `axis` it is `place`; dims: where the indices' wide axes lie."""

    axis: int
    place: Value
    dims: tuple[int, ...]


def row_places(x: Value, indices: Sequence[Value], axes: Sequence[int]) -> RowPlaces | None:
    """For indices of all axes, all but one of which count whole axes."""
    counts = [count_of(v) for v in indices]
    free = [a for a, c in zip(axes, counts, strict=True) if c is None]
    if len(axes) != x.rank or x.rank < 2 or len(free) != 1:
        return None
    shape, at = indices[0].shape, {c.axis: a for a, c in zip(axes, counts, strict=True) if c is not None}
    whole = len(at) == x.rank - 1 and all(
        c is None or c.offset == 0 and shape[c.axis] == x.shape[a] for a, c in zip(axes, counts, strict=True))
    dims = tuple(at[i] for i in sorted(at))
    if not whole or dims != tuple(sorted(dims)) or any(n != 1 for i, n in enumerate(shape) if i not in at):
        return None
    return RowPlaces(free[0], indices[tuple(axes).index(free[0])], dims)


@rewrite_each("scatter")
def scatter_once_a_row(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """f(y) with one element of every row changed = select(iota == place, changed, f(y)), of an array that only this
    node reads: all of it is written anyway. Of several changes only the first: each would compare every element."""
    x, updates, *indices = operands
    if op.name != "scatter" or attributes["combine"] not in COMBINED:
        return None
    if splat(x) is None and (x.node is None or x.node.op.kind != "pointwise" or x.node.op.name == "select"
                             or g.uses(x) > 1):
        return None
    if (rows := row_places(x, indices, attributes["axes"])) is None:
        return None
    place, new = (_along_rows(g, v, x, rows) for v in (rows.place, updates))
    number = g.graph.add("iota", dimension=rows.axis, type=place.type, span=g.span)
    if attributes["combine"] != "set":
        new = g.add(attributes["combine"], x, new)
    return (g.add("select", g.add("compare", number, place, direction="EQ"), new, x),)


def _along_rows(g: Rewriter, value: Value, x: Value, rows: RowPlaces) -> Value:
    """One number per row, repeated along the row."""
    short = g.add("reshape", value, shape=tuple(x.shape[a] for a in rows.dims))
    return g.add("broadcast_in_dim", short, shape=x.shape, dims=rows.dims)


@rewrite_each("gather")
def gather_before_pointwise(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """f(y)[places] = f(y[places]) where fewer elements are gathered than there are."""
    x, *indices = operands
    node = x.node
    if op.name != "gather" or node is None or node.op.kind not in ("pointwise", "view"):
        return None
    if not _gathers_less(x, indices, attributes["axes"]):
        return None
    if node.op.name == "broadcast_in_dim":
        found = _gather_broadcast(g, node, indices, attributes["axes"])
        return None if found is None else (found,)
    nodes = _gathered_tree(g, node, row_places(x, indices, attributes["axes"]) is not None)
    if not nodes:
        return None
    env: dict[Value, Value] = {}
    for one in nodes:
        parts = [env[v] if v in env else env.setdefault(v, _gathered(g, v, indices, attributes["axes"]))
                 for v in one.operands]
        env[one.results[0]] = g.emit(one.op, parts, one.attributes)[0]
    return (env[x],)


def _gathered_tree(g: Rewriter, root: Node, once_a_row: bool) -> list[Node]:
    """The pointwise nodes to compute of gathered elements, operands first: those that nothing else reads, and cheap
    ones where only one element of a row is taken. Empty if there are none, or too many."""
    found: list[Node] = []
    seen: set[Node] = set()

    def visit(node: Node | None) -> None:
        if node is None or node in seen or len(seen) > MOST_GATHERED or node.op.kind != "pointwise":
            return
        if g.uses(node.results[0]) > 1 and not (once_a_row and node.op.cost <= CHEAP):
            return
        seen.add(node)
        for value in node.operands:
            visit(value.node)
        found.append(node)

    visit(root)
    return found if len(seen) <= MOST_GATHERED else []


def _gathers_less(x: Value, indices: Sequence[Value], axes: Sequence[int]) -> bool:
    taken = product((*indices[0].shape, *(n for a, n in enumerate(x.shape) if a not in axes)))
    if isinstance(taken, int) and isinstance(x.type.size, int):
        return taken < x.type.size
    return row_places(x, indices, axes) is not None


def _gathered(g: Rewriter, value: Value, indices: Sequence[Value], axes: Sequence[int]) -> Value:
    if splat(value) is not None:
        rest = [n for a, n in enumerate(value.shape) if a not in axes]
        return g.constant_like(value, (*indices[0].shape, *rest))
    return g.add("gather", value, *indices, axes=tuple(axes))


def _gather_broadcast(g: Rewriter, node: Node, indices: Sequence[Value], axes: Sequence[int]) -> Value | None:
    """Elements of a broadcast are elements of its operand, where all axes are indexed."""
    (y,), dims = node.operands, node.attributes["dims"]
    shape = indices[0].shape
    if len(axes) != node.result.rank or any(y.shape[i] != node.result.shape[d] for i, d in enumerate(dims)):
        return None
    if not dims:
        return g.add("broadcast_in_dim", y, shape=shape, dims=())
    at = dict(zip(axes, indices, strict=True))
    return g.add("gather", y, *(at[d] for d in dims), axes=tuple(range(y.rank)))


RULES = (clamp_of_count, gather_of_neighbours, scatter_to_neighbours, scatter_once_a_row, gather_before_pointwise)
