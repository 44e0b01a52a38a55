"""Rules for masks: elements that are picked by a mask, changed and put back are changed where they are.

Flows in:  `compact_indices`, gathers at its result, pointwise ops on what was gathered, and the way back: a `select`
           between the array and elements numbered by a running count of the mask, or a scatter.
Flows out: rules for `canonicalize`: a `select` over the whole array, without a size that is known only at run time.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.base.dims import Dim, Size, product
from tracejit.ir.graph import Value
from tracejit.ir.op import Op
from tracejit.xla_lite.passes.fuse import sizes_in
from tracejit.xla_lite.passes.rewriting import Bindings, Results, Rewriter, Rule, rewrite_each, splat

Shape = tuple[Size, ...]

MOST_EXPANDED = 100     # pointwise nodes that are moved from the picked elements to the whole array


def made_by(value: Value, name: str) -> tuple[Value, ...] | None:
    """The operands of the op called `name` that makes a value."""
    node = value.node
    return node.operands if node is not None and node.op.name == name else None


def without_reshape(value: Value) -> Value:
    while (below := made_by(value, "reshape")) is not None:
        value = below[0]
    return value


# ---- the way back ----------------------------------------------------------------------------------------------


@rewrite_each("select")
def select_picked(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """select(m, f(x[m])[number of each], y) = select(m, f(x), y)."""
    mask, new, old = operands
    numbered = without_reshape(new).node
    if numbered is None or numbered.op.name != "gather" or numbered.operands[0].rank != 1 \
            or len(numbered.operands) != 2:
        return None
    flat = _counted(numbered.operands[1])
    if flat is None or without_reshape(flat) is not without_reshape(mask):
        return None
    found = _Expansion(g, flat, mask.shape).of(numbered.operands[0])
    return None if found is None else (g.add("select", mask, found, old),)


def _counted(number: Value) -> Value | None:
    """The mask whose running count, less one, is `number`."""
    parts = made_by(number, "subtract") or made_by(number, "add")
    if parts is None or splat(parts[1]) != (1 if made_by(number, "subtract") else -1):
        return None
    total = parts[0].node
    if total is None or total.op.name != "cumulative_sum" or total.attributes["reverse"]:
        return None
    ones = made_by(total.operands[0], "convert")
    return ones[0] if ones is not None and ones[0].dtype.name == "bool" and ones[0].rank == 1 else None


@rewrite_each("scatter")
def scatter_picked(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """x with f(x[m]) put back at the places that m picked = select(m, f(x), x)."""
    target, new, *places = operands
    if op.name != "scatter" or attributes["combine"] != "set" or len(places) != target.rank or not target.rank:
        return None
    flat = _mask_of(places[0])
    if flat is None or not is_place(places, target.shape, flat):
        return None
    found = _Expansion(g, flat, target.shape).of(new)
    if found is None:
        return None
    return (g.add("select", g.add("reshape", flat, shape=target.shape), found, target),)


def _mask_of(place: Value) -> Value | None:
    """The mask whose true elements a place runs over."""
    for _ in range(3):
        if (mask := made_by(place, "compact_indices")) is not None:
            return mask[0]
        if place.node is None or not place.node.operands:
            return None
        place = place.node.operands[0]
    return None


# ---- from picked elements to the whole array -------------------------------------------------------------------


class _Expansion:
    """Values of the picked elements, computed for all elements of an array of `shape` whose mask is `flat`."""

    def __init__(self, g: Rewriter, flat: Value, shape: Shape):
        self.g, self.flat, self.shape = g, flat, shape
        self.made: dict[Value, Value] = {}

    def of(self, value: Value) -> Value | None:
        """The value over the whole array, or None if anything else than pointwise ops made it."""
        order = self.order(value)
        if order is None:
            return None
        for v in order:
            found = self.leaf(v)
            if found is None:
                node = v.node
                if node is None or node.op.kind != "pointwise":
                    return None
                found = self.g.emit(node.op, [self.made[o] for o in node.operands], node.attributes)[v.index]
            self.made[v] = found
        return self.made[value]

    def order(self, value: Value) -> list[Value] | None:
        """What must be computed, operands first; None if there is too much."""
        found: dict[Value, None] = {}
        todo = [value]
        while todo:
            v = todo[-1]
            below = v.node.operands if v.node is not None and v.node.op.kind == "pointwise" else ()
            missing = [o for o in below if o not in found]
            if missing:
                todo += missing
            else:
                found[todo.pop()] = None
            if len(todo) + len(found) > MOST_EXPANDED:
                return None
        return list(found)

    def leaf(self, value: Value) -> Value | None:
        """Constants, scalars for every element, and elements picked from an array of the same shape."""
        node = value.node
        if node is None:
            return None
        if splat(value) is not None:
            return self.g.constant_like(value, self.shape)
        if node.op.name == "broadcast_in_dim" and not node.operands[0].rank:
            return self.g.add("broadcast_in_dim", node.operands[0], shape=self.shape, dims=())
        if node.op.name != "gather":
            return None
        source, *places = node.operands
        whole = node.attributes["axes"] == tuple(range(source.rank)) and source.shape in (self.shape, self.flat.shape)
        if not whole or not is_place(places, source.shape, self.flat):
            return None
        return self.g.add("reshape", source, shape=self.shape)


def is_place(places: Sequence[Value], shape: Shape, flat: Value) -> bool:
    """Whether the indices are those of the true elements of a mask, in an array of `shape`."""
    if len(places) != len(shape) or product(shape) != flat.shape[0]:
        return False
    if len(shape) == 1:
        return made_by(places[0], "compact_indices") == (flat,)
    for axis, place in enumerate(places):
        wanted = (product(shape[axis + 1:]), None if axis == 0 else shape[axis])
        if _digit(place, flat) != wanted:
            return False
    return True


def _digit(place: Value, flat: Value) -> tuple[int, int | None] | None:
    """(d, m) if the index is position // d % m of the true elements; m is None without a remainder."""
    divisor, modulus = 1, None
    for _ in range(3):
        if made_by(place, "compact_indices") == (flat,):
            return divisor, modulus
        node = place.node
        number = splat(node.operands[1]) if node is not None and len(node.operands) == 2 else None
        if node is None or number is None:
            return None
        match node.op.name:
            case "remainder" if modulus is None and divisor == 1:
                modulus = number
            case "and" if modulus is None and divisor == 1 and number & (number + 1) == 0:
                modulus = number + 1
            case "floor_divide" if divisor == 1:
                divisor = number
            case "shift_right" if divisor == 1:
                divisor = 1 << number
            case _:
                return None
        place = node.operands[0]
    return None


# ---- sizes that nobody needs any more --------------------------------------------------------------------------


@rewrite_each("dimension")
def dimension_of_bound(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A size that was bound to a number is that number."""
    size: Any = attributes["size"]
    name = size.as_symbol if isinstance(size, Dim) else None
    if name is None:
        return None
    for node in g.graph.nodes:
        if node.op.name == "bind_dim" and node.attributes["dim"] == name:
            return (node.operands[0],)
    return None


@rewrite_each("assert")
def drop_true_assertion(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """What is known to hold is not checked."""
    return () if splat(operands[0]) is True else None


@rewrite_each("bind_dim")
def drop_unused_size(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A size that no type mentions need not be bound."""
    name = attributes["dim"]
    if any(name in sizes_in(n) for n in g.source.nodes if n.op is not op):
        g.declined = True
        return None
    return (operands[0],)


RULES: tuple[Rule, ...] = (select_picked, scatter_picked, dimension_of_bound, drop_true_assertion, drop_unused_size)
