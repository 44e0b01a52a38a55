"""Rules for views: chains of views become one view, and views of everything disappear.

Flows in:  patterns over reshape, transpose, broadcast_in_dim, slice, reverse, pad, concatenate, dynamic_slice.
Flows out: rules for `canonicalize`. The measure that shrinks is the number of views, or of elements moved.

Normal form: what only adds, drops or moves axes of size 1 is a reshape; views that shrink stand before views that grow.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Node, Value
from tracejit.ir.op import Op
from tracejit.ops.views import inverse
from tracejit.xla_lite.passes.rewriting import Bindings, Results, Rewriter, Rule, p, rewrite, rewrite_each, splat

Shape = tuple[Size, ...]
Axes = tuple[int, ...]
Numbers = tuple[int, ...]

MOST_RESHAPED = 64    # pointwise nodes that a reshape is pushed through


# ---- nothing to do ---------------------------------------------------------------------------------------------


@rewrite_each("view")
def drop_identity_view(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A view that moves nothing is its operand."""
    if not operands:
        return None
    x = operands[0]
    match op.name:
        case "reshape" | "broadcast_in_dim":
            same = attributes["shape"] == x.shape
        case "transpose":
            same = attributes["permutation"] == tuple(range(x.rank))
        case "slice":
            same = attributes["limit"] == x.shape and not any(attributes["start"]) and set(attributes["stride"]) <= {1}
        case "reverse":
            same = all(x.shape[a] == 1 for a in attributes["axes"])
        case "pad":
            same = not any((*attributes["low"], *attributes["high"], *attributes["interior"]))
        case _:
            same = op.name == "concatenate" and len(operands) == 1
    return (x,) if same else None


# ---- reshape ---------------------------------------------------------------------------------------------------


@rewrite(p.reshape(p.reshape("x"), shape="shape"))
def merge_reshapes(g: Rewriter, x: Value, shape: Shape) -> Value | None:
    """reshape . reshape = reshape."""
    return g.add("reshape", x, shape=shape)


def wide_axes(shape: Shape) -> list[int]:
    """Axes whose size is not 1."""
    return [a for a, n in enumerate(shape) if n != 1]


def unit_map(source: Shape, target: Shape) -> dict[int, int] | None:
    """Where each wide axis of `source` is in `target`, if the two differ in axes of size 1 only."""
    rows, columns = wide_axes(source), wide_axes(target)
    same = [source[a] for a in rows] == [target[a] for a in columns]
    return dict(zip(rows, columns)) if same else None


def place_axes(places: Sequence[int | None], rank: int) -> Axes | None:
    """Increasing dims with the given ones fixed; axes of size 1 (None) go wherever there is room, since they expand."""
    dims, free = [], 0
    for i, place in enumerate(places):
        place = free if place is None else place
        limit = next((q for q in places[i + 1:] if q is not None), rank)
        if place < free or place >= limit:
            return None
        dims.append(place)
        free = place + 1
    return tuple(dims)


@rewrite(p.broadcast_in_dim(p.reshape("x", shape="middle"), shape="shape", dims="dims"))
def broadcast_reshaped(g: Rewriter, x: Value, middle: Shape, shape: Shape, dims: Axes) -> Value | None:
    """A reshape that only adds or drops axes of size 1 before a broadcast is part of the broadcast."""
    if (at := unit_map(x.shape, middle)) is None:
        return None
    found = place_axes([dims[at[a]] if a in at else None for a in range(x.rank)], len(shape))
    return None if found is None else g.add("broadcast_in_dim", x, shape=shape, dims=found)


def reshaped_dims(dims: Axes, inner: Shape, shape: Shape) -> Axes | None:
    """dims of a broadcast to `inner` after a reshape to `shape` that only adds or drops axes of size 1."""
    if (at := unit_map(inner, shape)) is None:
        return None
    return place_axes([at.get(d) for d in dims], len(shape))


@rewrite(p.reshape(p.broadcast_in_dim("x", shape="inner", dims="dims"), shape="shape"))
def reshape_broadcast(g: Rewriter, x: Value, inner: Shape, dims: Axes, shape: Shape) -> Value | None:
    """A reshape that only adds or drops axes of size 1 after a broadcast is part of the broadcast."""
    moved = reshaped_dims(dims, inner, shape)
    return None if moved is None else g.add("broadcast_in_dim", x, shape=shape, dims=moved)


@rewrite_each("broadcast_in_dim")
def broadcast_without_growth(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A broadcast that repeats nothing is a reshape, which costs nothing on stored values."""
    (x,), shape, dims = operands, attributes["shape"], attributes["dims"]
    grows = any(n != 1 and (d not in dims or x.shape[dims.index(d)] != n) for d, n in enumerate(shape))
    return None if grows else (g.add("reshape", x, shape=shape),)


@rewrite(p.transpose("x", permutation="order"))
def transpose_of_units(g: Rewriter, x: Value, order: Axes) -> Value | None:
    """A transpose that moves axes of size 1 only is a reshape."""
    wide = [a for a in order if x.shape[a] != 1]
    return g.add("reshape", x, shape=tuple(x.shape[a] for a in order)) if wide == sorted(wide) else None


@rewrite_each("reshape")
def reshape_before_pointwise(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """reshape(f(x, y)) = f(reshape(x), reshape(y)) where those reshapes end at stored values, so cost nothing.

    Not for a value that is only an output: storing it reshapes it for free.
    """
    (x,), shape = operands, attributes["shape"]
    if x.node is None or x.node.op.kind != "pointwise" or not g.is_read_by_nodes():
        return None
    found = _pointwise_at(g, x, x.node, shape)
    return None if found is None else (found,)


def _pointwise_at(g: Rewriter, x: Value, root: Node, shape: Shape) -> Value | None:
    """reshape(x, shape) by computing x in that shape, from what reshapes for free."""
    nodes = _pointwise_tree(g, root, shape)
    if nodes is None:
        return None
    env: dict[Value, Value] = {}

    def reshaped(value: Value) -> Value:
        if value not in env:
            env[value] = (g.constant_like(value, shape) if splat(value) is not None
                          else g.add("reshape", value, shape=shape))
        return env[value]

    for node in reversed(nodes):
        env[node.results[0]] = g.emit(node.op, [reshaped(v) for v in node.operands], node.attributes)[0]
    return env[x]


@rewrite_each("broadcast_in_dim")
def broadcast_pointwise_of_units(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings
                                 ) -> Results | None:
    """A broadcast of f(x), whose axes of size 1 come from reshapes, is a broadcast of f without those axes."""
    (x,), dims = operands, attributes["dims"]
    wide = wide_axes(x.shape)
    if x.node is None or x.node.op.kind != "pointwise" or len(wide) == x.rank:
        return None
    found = _pointwise_at(g, x, x.node, tuple(x.shape[a] for a in wide))
    return None if found is None else (
        g.add("broadcast_in_dim", found, shape=attributes["shape"], dims=tuple(dims[a] for a in wide)),)


def _pointwise_tree(g: Rewriter, root: Node, shape: Shape) -> list[Node] | None:
    """`root` and the pointwise nodes below it, users first, if a reshape passes through all for free."""
    found: dict[Node, int] = {root: 0}     # how often each is read inside
    stack = [root]
    while stack:
        for value in stack.pop().operands:
            node = value.node
            if node is not None and node.op.kind == "pointwise":
                if node not in found:
                    found[node] = 0
                    stack.append(node)
                found[node] += 1
            elif not _reshapes_freely(value, shape):
                return None
        if len(found) > MOST_RESHAPED:
            return None
    found[root] += 1
    if any(g.uses(node.results[0]) > count for node, count in found.items()):
        g.declined = True
        return None
    return _users_first(root, found)


def _users_first(root: Node, inside: dict[Node, int]) -> list[Node]:
    """Topological order by counting the readers that are still to come."""
    waiting, order, ready = dict(inside), [], [root]
    while ready:
        order.append(ready.pop())
        for value in order[-1].operands:
            if value.node in waiting:
                waiting[value.node] -= 1
                if waiting[value.node] == 0:
                    ready.append(value.node)
    return order


STORED = frozenset(("reduction", "contraction", "window", "scatter", "cumulative", "library", "control", "effect"))


def _reshapes_freely(value: Value, shape: Shape) -> bool:
    node = value.node
    if node is None or splat(value) is not None or node.op.kind in STORED or node.op.name == "reshape":
        return True
    if keeps_points(value, shape) or picks_elements(value):
        return True
    return (node.op.name == "broadcast_in_dim"
            and reshaped_dims(node.attributes["dims"], value.shape, shape) is not None)


def keeps_points(value: Value, shape: Shape) -> bool:
    """Whether `value` is x[i, ...] with scalar indices, and `shape` has their axes too, of one element."""
    node = value.node
    if node is None or node.op.name != "gather" or any(i.rank for i in node.operands[1:]):
        return False
    kept = list(value.shape)
    for axis in sorted(node.attributes["axes"]):
        kept.insert(axis, 1)
    return tuple(kept) == shape


@rewrite_each("reshape")
def reshape_gathered(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """Elements picked one by one are picked in any shape; iota without axes of size 1 is an iota."""
    (x,), shape = operands, attributes["shape"]
    if x.node is None:
        return None
    if picks_elements(x) and g.is_read_by_nodes() and g.uses(x) <= 1:
        source, *indices = x.node.operands
        moved = [g.add("reshape", i, shape=shape) for i in indices]
        return (g.add("gather", source, *moved, axes=x.node.attributes["axes"]),)
    if x.node.op.name == "iota" and (at := unit_map(x.shape, shape)) is not None:
        axis = at.get(x.node.attributes["dimension"])
        return None if axis is None else (
            g.graph.add("iota", dimension=axis, type=x.type.with_shape(shape), span=g.span),)
    return None


def picks_elements(value: Value) -> bool:
    """Whether `value` is x[i, j, ...] with an index for each axis."""
    node = value.node
    return (node is not None and node.op.name == "gather" and value.rank > 0
            and len(node.attributes["axes"]) == node.operands[0].rank)


@rewrite_each("reshape")
def reshape_points(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """x[i] with its axis kept is the window x[i:i+1]: one view, at a place that can be compared with an update's."""
    if not keeps_points(operands[0], attributes["shape"]):
        return None
    node = operands[0].node
    assert node is not None
    x, *indices = node.operands
    points = dict(zip(node.attributes["axes"], indices, strict=True))
    if (window := _window_across(x, points)) is not None:
        x, starts = window
    else:
        starts = [0] * x.rank
    if any(x.shape[a] == 0 for a in points):
        return None     # code that never runs: there is no element to read
    places = [points.get(a, n) for a, n in enumerate(starts)]
    made = [v if isinstance(v, Value) else g.graph.add("constant", value=v, type=ArrayType(I64)) for v in places]
    return (g.add("dynamic_slice", x, *made, sizes=attributes["shape"]),)


def _window_across(value: Value, axes: Iterable[int]) -> tuple[Value, list[Any]] | None:
    """What `value` is a window of, and where it starts, if it is a window that has these axes whole."""
    node = value.node
    if node is None or node.op.name not in ("slice", "dynamic_slice"):
        return None
    x = node.operands[0]
    if any(value.shape[a] != x.shape[a] for a in axes):
        return None
    if node.op.name == "dynamic_slice":
        return x, list(node.operands[1:])
    start = node.attributes["start"]
    known = set(node.attributes["stride"]) <= {1} and all(isinstance(n, int) for n in start)
    return (x, list(start)) if known else None


# ---- transpose -------------------------------------------------------------------------------------------------


@rewrite(p.transpose(p.transpose("x", permutation="first"), permutation="second"))
def merge_transposes(g: Rewriter, x: Value, first: Axes, second: Axes) -> Value | None:
    """transpose_q . transpose_p = transpose_(p[q])."""
    return g.add("transpose", x, permutation=tuple(first[i] for i in second))


@rewrite(p.transpose(p.broadcast_in_dim("x", shape="shape", dims="dims"), permutation="order"))
def transpose_broadcast(g: Rewriter, x: Value, shape: Shape, dims: Axes, order: Axes) -> Value | None:
    """transpose(broadcast(x)) = broadcast(transpose(x)): the small array is moved, or nothing at all."""
    went = inverse(order)
    moved = [went[d] for d in dims]
    by_place = sorted(range(len(dims)), key=lambda i: moved[i])
    small = g.add("transpose", x, permutation=tuple(by_place))
    return g.add("broadcast_in_dim", small, shape=tuple(shape[a] for a in order), dims=tuple(sorted(moved)))


# ---- broadcast -------------------------------------------------------------------------------------------------


@rewrite(p.broadcast_in_dim(p.broadcast_in_dim("x", dims="first"), shape="shape", dims="second"))
def merge_broadcasts(g: Rewriter, x: Value, first: Axes, shape: Shape, second: Axes) -> Value | None:
    """broadcast . broadcast = broadcast."""
    return g.add("broadcast_in_dim", x, shape=shape, dims=tuple(second[d] for d in first))


# ---- slice -----------------------------------------------------------------------------------------------------


@rewrite(p.slice(p.slice("x", start="a", limit="b", stride="s"), start="c", limit="d", stride="t"))
def merge_slices(g: Rewriter, x: Value, a: Shape, b: Shape, s: Numbers, c: Shape, d: Shape, t: Numbers
                 ) -> Value | None:
    """Element c + t i of element a + s j is element a + s c + s t i."""
    start = tuple(lo + first * step for lo, first, step in zip(a, c, s))
    limit = tuple(lo + last * step if step == 1 else min_size(lo + last * step, hi)
                  for lo, hi, last, step in zip(a, b, d, s))
    if None in limit:
        return None
    start = tuple(hi if isinstance(lo, int) and isinstance(hi, int) and lo > hi else lo for lo, hi in zip(start, limit))
    return g.add("slice", x, start=start, limit=limit, stride=tuple(i * j for i, j in zip(s, t)))


def min_size(x: Size, y: Size) -> Size | None:
    """The smaller of two known sizes."""
    return min(x, y) if isinstance(x, int) and isinstance(y, int) else None


@rewrite_each("slice")
def slice_concatenation(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A slice that lies inside one part of a concatenation reads that part only."""
    joined = operands[0].node
    if joined is None or joined.op.name != "concatenate":
        return None
    axis, low = joined.attributes["axis"], 0
    start, limit = attributes["start"][axis], attributes["limit"][axis]
    for part in joined.operands:
        size = part.shape[axis]
        if not all(isinstance(n, int) for n in (size, start, limit)):
            return None
        if low <= start and limit <= low + size:
            moved = {k: _replaced(attributes[k], axis, attributes[k][axis] - low) for k in ("start", "limit")}
            return (g.add("slice", part, **moved, stride=attributes["stride"]),)
        low += size
    return None


def _replaced(items: Shape, at: int, item: Size) -> Shape:
    return (*items[:at], item, *items[at + 1:])


@rewrite(p.slice(p.broadcast_in_dim("x", shape="shape", dims="dims"), start="a", limit="b", stride="s"))
def slice_broadcast(g: Rewriter, x: Value, shape: Shape, dims: Axes, a: Shape, b: Shape, s: Numbers) -> Value | None:
    """slice(broadcast(x)) = broadcast(slice(x)): along repeated axes there is less to repeat."""
    cut = [x.shape[i] != 1 or shape[d] == 1 for i, d in enumerate(dims)]
    small = g.add("slice", x, start=tuple(a[d] if c else 0 for c, d in zip(cut, dims)),
                  limit=tuple(b[d] if c else 1 for c, d in zip(cut, dims)),
                  stride=tuple(s[d] if c else 1 for c, d in zip(cut, dims)))
    sizes = tuple((hi - lo + step - 1) // step for lo, hi, step in zip(a, b, s))
    if any(isinstance(n, int) and n == 0 for n in sizes):
        return None
    return g.add("broadcast_in_dim", small, shape=sizes, dims=dims)


# ---- reverse, concatenate, dynamic_slice -----------------------------------------------------------------------


@rewrite(p.reverse(p.reverse("x", axes="first"), axes="second"))
def merge_reverses(g: Rewriter, x: Value, first: Axes, second: Axes) -> Value | None:
    """An axis that is reversed twice is not reversed."""
    return g.add("reverse", x, axes=tuple(sorted(set(first) ^ set(second))))


@rewrite_each("concatenate")
def flatten_concatenation(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """concatenate(concatenate(x, y), z) = concatenate(x, y, z) along one axis; empty parts are dropped."""
    parts: list[Value] = []
    axis = attributes["axis"]
    for v in operands:
        node = v.node
        nested = node is not None and node.op is op and node.attributes["axis"] == axis
        parts += node.operands if nested and node is not None else [v]
    parts = [v for v in parts if not _is_empty(v.shape[axis])] or parts[:1]
    return (g.add("concatenate", *parts, axis=axis),) if len(parts) != len(operands) else None


def _is_empty(size: Size) -> bool:
    return isinstance(size, int) and size == 0


@rewrite_each("dynamic_slice")
def slice_at_constants(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A dynamic_slice whose starts are known is a slice."""
    x, *starts = operands
    known: list[Any] = [splat(s) for s in starts]
    sizes = attributes["sizes"]
    if None in known or not all(isinstance(n, int) for n in (*x.shape, *sizes)):
        return None
    begin = tuple(min(max(k, 0), n - size) for k, n, size in zip(known, x.shape, sizes))
    return (g.add("slice", x, start=begin, limit=tuple(k + n for k, n in zip(begin, sizes)),
                  stride=(1,) * len(sizes)),)


RULES: tuple[Rule, ...] = (
    drop_identity_view, merge_reshapes, broadcast_reshaped, reshape_broadcast, broadcast_without_growth,
    transpose_of_units, reshape_points, reshape_gathered, reshape_before_pointwise, broadcast_pointwise_of_units,
    merge_transposes, transpose_broadcast, merge_broadcasts, merge_slices, slice_concatenation, slice_broadcast,
    merge_reverses, flatten_concatenation, slice_at_constants)
