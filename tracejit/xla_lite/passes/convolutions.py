"""Brings every convolution to the form that its kernel wants, or makes a matrix product of it.

Flows in:  graphs with any `convolution`.
Flows out: graphs in which a `convolution` reads nothing outside of its input, has no axis of size 1, and the axis that
           lanes run over last in each array that has it. A window of one place, or with one place, is a matrix product.
"""
from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild, without_dead_nodes
from tracejit.ops.convolutions import Roles, dilated, positive
from tracejit.xla_lite.passes.manager import graph_pass

OF_SPACE = ("strides", "padding", "lhs_dilation", "rhs_dilation")
Facts = dict[str, Any]      # of one axis of space, by these names
PHASES = 32     # places that read different elements of a window, each with code of its own, at most
LANES = 16      # elements that fill a vector: more make no better axis for lanes


@graph_pass(needs=(), gives=("convolutions are normal",))
def normalise_convolutions(graph: Graph) -> Graph:
    """Linear in the number of nodes. Returns the same graph if it has no convolution to change."""
    made = rebuild(graph, _replace)
    return graph if made is graph else without_dead_nodes(made)


def _replace(graph: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
    if node.op.name != "convolution":
        changed = map_regions(node, normalise_convolutions)
        return None if changed is None else graph.emit(node.op, operands, changed, node.span)
    if (digit := _spread_out(node)) is not None:
        return [_as_blocks(graph, node, operands, digit)]
    form = _Form(graph, node, operands)
    form.pad()
    for digit in form.roles.space:
        form.without_window(digit)
    form.drop_units()
    made = form.as_product() if not form.roles.space else form.as_convolution()
    return None if made is None else [made]


def _spread_out(node: Node) -> str | None:
    """An axis of space whose input has gaps no shorter than the window, if there are many such gaps."""
    a, roles = node.attributes, Roles.of(node.attributes["dims"])
    if prod(a["lhs_dilation"]) <= PHASES:
        return None
    for d, c in enumerate(roles.space):
        window, gaps = node.operands[1].shape[roles.rhs.index(c)], a["lhs_dilation"][d]
        plain = a["strides"][d] == a["rhs_dilation"][d] == 1 and isinstance(a["padding"][d][0], int)
        if gaps > 1 and plain and isinstance(window, int) and 0 < window <= gaps:
            return c
    return None


def _as_blocks(graph: Graph, node: Node, operands: list[Value], digit: str) -> Value:
    """Each place of the input gives a block of the result, the window times it: a product for this axis."""
    a, roles, (x, w) = node.attributes, Roles.of(node.attributes["dims"]), operands
    d, axis = roles.space.index(digit), roles.out.index(digit)
    place = roles.unused
    within = Roles(roles.lhs, roles.rhs, roles.out + place).unused
    inner = Roles(roles.lhs.replace(digit, place), roles.rhs.replace(digit, within),
                  roles.out.replace(digit, place + within))
    turned = graph.add("reverse", w, axes=(roles.rhs.index(digit),), span=node.span)
    made = graph.add("convolution", x, turned, dims=str(inner), span=node.span,
                     **{k: (*a[k][:d], *a[k][d + 1:]) for k in OF_SPACE})
    assert made.node is not None
    normal = _replace(graph, made.node, list(made.node.operands))
    made = made if normal is None else normal[0]
    count, window, gaps = made.shape[axis], made.shape[axis + 1], a["lhs_dilation"][d]
    made = _resized(graph, made, axis + 1, 0, gaps)
    made = graph.add("reshape", made, shape=(*made.shape[:axis], count * gaps, *made.shape[axis + 2:]), span=node.span)
    return _resized(graph, made, axis, a["padding"][d][0] - window + 1, node.result.shape[axis])


def _resized(graph: Graph, x: Value, axis: int, first: Size, size: Size) -> Value:
    """x moved by `first` places along an axis that is `size` long then: zeros come in, what is outside is left out."""
    low, high = positive(first), positive(size - x.shape[axis] - first)
    start = low - first
    if low != 0 or high != 0:
        zero, pads = graph.add("constant", value=0, type=ArrayType(x.dtype)), [(0,) * x.rank, (0,) * x.rank]
        low_pads, high_pads = ((*p[:axis], n, *p[axis + 1:]) for p, n in zip(pads, (low, high), strict=True))
        x = graph.add("pad", x, zero, low=low_pads, high=high_pads, interior=(0,) * x.rank)
    if x.shape[axis] == size:
        return x
    begin: list[Size] = [0] * x.rank
    limit = list(x.shape)
    begin[axis], limit[axis] = start, start + size
    return graph.add("slice", x, start=tuple(begin), limit=tuple(limit), stride=(1,) * x.rank)


class _Form:
    """A convolution on its way: operands, the names of their axes, and what is known of each axis of space."""

    def __init__(self, graph: Graph, node: Node, operands: Sequence[Value]):
        self.graph, self.node = graph, node
        self.x, self.w = operands
        self.given = self.roles = Roles.of(node.attributes["dims"])
        self.space: dict[str, Facts] = {c: {k: node.attributes[k][d] for k in OF_SPACE}
                                        for d, c in enumerate(self.roles.space)}
        self.sizes: dict[str, Size] = dict(zip(self.roles.out, node.result.shape))

    def add(self, op: str, *operands: Value, **attributes: Any) -> Value:
        return self.graph.add(op, *operands, span=self.node.span, **attributes)

    def size(self, c: str) -> Size:
        """Of a letter anywhere, of a digit in the result."""
        if c in self.sizes:
            return self.sizes[c]
        size: Size = self.x.shape[self.roles.lhs.index(c)]
        return size

    # ---- space --------------------------------------------------------------------------------------

    def pad(self) -> None:
        """Padding and gaps become part of the array; what padding cuts off is sliced away.

        Gaps between elements that single steps go over stay: no element is ever put there.
        """
        few = prod(f["lhs_dilation"] for f in self.space.values()) <= PHASES
        kept = {c: self.pad_around_gaps(c) for c, f in self.space.items() if few and f["lhs_dilation"] > 1
                and f["strides"] == f["rhs_dilation"] == 1 and isinstance(f["padding"][0], int)}
        none: Facts = {"padding": (0, 0), "lhs_dilation": 1}
        facts: list[Facts] = [{"padding": kept[c], "lhs_dilation": 1} if c in kept else self.space.get(c, none)
                 for c in self.roles.lhs]
        low, high = (tuple(positive(f["padding"][k]) for f in facts) for k in (0, 1))
        interior = tuple(f["lhs_dilation"] - 1 for f in facts)
        if any(n != 0 for n in (*low, *high, *interior)):
            zero = self.add("constant", value=0, type=ArrayType(self.x.dtype))
            self.x = self.add("pad", self.x, zero, low=low, high=high, interior=interior)
        start, cut = (tuple(n - f["padding"][k] for n, f in zip(side, facts, strict=True))
                      for k, side in enumerate((low, high)))
        if any(n != 0 for n in (*start, *cut)):
            limit = tuple(n - c for n, c in zip(self.x.shape, cut, strict=True))
            self.x = self.add("slice", self.x, start=start, limit=limit, stride=(1,) * self.x.rank)
        for c, space in self.space.items():
            if c not in kept:
                space["padding"], space["lhs_dilation"] = (0, 0), 1

    def pad_around_gaps(self, digit: str) -> tuple[Size, Size]:
        """Elements put before and behind, so that nothing outside is read; the rest of the padding is negative."""
        facts, n, window = self.space[digit], self.x.shape[self.roles.lhs.index(digit)], \
            self.w.shape[self.roles.rhs.index(digit)]
        gaps, low = facts["lhs_dilation"], facts["padding"][0]
        before = positive((low + gaps - 1) // gaps)
        start = before * gaps - low
        behind = positive((self.sizes[digit] + window - 2 + start) // gaps + 1 - n - before)
        wide = dilated(n + before + behind, gaps)
        facts["padding"] = (-start, self.sizes[digit] + window - 1 - wide + start)
        return before, behind

    def without_window(self, digit: str) -> None:
        """A window of one place makes a batch axis, a window with one place is summed over like any other axis."""
        facts, window = self.space[digit], self.w.shape[self.roles.rhs.index(digit)]
        roles, letter = self.roles, self.roles.unused
        if facts["lhs_dilation"] > 1:
            return
        if window == 1:
            self.take(digit, self.sizes[digit], facts["strides"])
            self.w = self.dropped(self.w, roles.rhs, digit)
            self.roles = Roles(roles.lhs.replace(digit, letter), roles.rhs.replace(digit, ""),
                               roles.out.replace(digit, letter))
            self.given = Roles(self.given.lhs, self.given.rhs, self.given.out.replace(digit, letter))
            self.sizes[letter] = self.sizes[digit]
        elif self.sizes[digit] == 1:
            self.take(digit, window, facts["rhs_dilation"])
            self.roles = Roles(roles.lhs.replace(digit, letter), roles.rhs.replace(digit, letter),
                               roles.out.replace(digit, ""))

    def take(self, digit: str, count: Size, stride: int) -> None:
        """Every stride-th element along an axis of space, `count` of them."""
        axis = self.roles.lhs.index(digit)
        limit = list(self.x.shape)
        limit[axis] = dilated(count, stride)
        if tuple(limit) == self.x.shape and stride == 1:
            return
        strides = tuple(stride if a == axis else 1 for a in range(self.x.rank))
        self.x = self.add("slice", self.x, start=(0,) * self.x.rank, limit=tuple(limit), stride=strides)

    def dropped(self, value: Value, names: str, gone: str) -> Value:
        """Without axes of size 1."""
        return self.reshaped(value, tuple(n for c, n in zip(names, value.shape, strict=True) if c not in gone))

    def drop_units(self) -> None:
        roles = self.roles
        gone = "".join(c for c in sorted(set(str(roles))) if c.isalpha() and self.size(c) == 1)
        if gone:
            self.x, self.w = self.dropped(self.x, roles.lhs, gone), self.dropped(self.w, roles.rhs, gone)
            table = str.maketrans("", "", gone)
            self.roles = Roles(*(s.translate(table) for s in (roles.lhs, roles.rhs, roles.out)))

    # ---- what is left -------------------------------------------------------------------------------

    def as_product(self) -> Value:
        """No windows are left."""
        lhs, rhs, out = self.roles.lhs, self.roles.rhs, self.roles.out
        batch = [c for c in out if c in lhs and c in rhs]
        contract = [c for c in rhs if c in lhs and c not in out]
        made = self.add("dot_general", self.x, self.w, lhs_batch=tuple(map(lhs.index, batch)),
                        rhs_batch=tuple(map(rhs.index, batch)), lhs_contract=tuple(map(lhs.index, contract)),
                        rhs_contract=tuple(map(rhs.index, contract)))
        free = [c for side in (lhs, rhs) for c in side if c not in batch and c not in contract]
        return self.result(made, "".join((*batch, *free)))

    def as_convolution(self) -> Value | None:
        """The same convolution with the axis for lanes last, and the window's axes in the order of the input's."""
        last = self.lanes()
        lhs, out = self.roles.lhs, self.roles.out.replace(last, "") + last
        if last in lhs and not last.isdigit():
            lhs = lhs.replace(last, "") + last
        rhs = self.roles.rhs
        if last in rhs and not last.isdigit() and not rhs.endswith(last):
            shared = [c for c in lhs if c in rhs and c != last]
            rhs = "".join((*shared, *(c for c in rhs if c not in lhs and c != last), last))
        x, w = self.turned(self.x, self.roles.lhs, lhs), self.turned(self.w, self.roles.rhs, rhs)
        facts = {k: tuple(self.space[c][k] for c in self.roles.space) for k in OF_SPACE}
        attributes = {"dims": str(Roles(lhs, rhs, out)), **facts}
        if attributes == self.node.attributes:
            return None
        made = self.add("convolution", x, w, **attributes)
        return self.result(made, out)

    def lanes(self) -> str:
        """The axis of the result that lanes run over: a long one, and one that is last in most arrays."""
        def score(c: str) -> tuple[int, int, bool]:
            size, arrays = self.size(c), (self.roles.lhs, self.roles.rhs, self.roles.out)
            moves = sum(c in names and not names.endswith(c) for names in arrays[2 * c.isdigit():])
            dense = not c.isdigit() or self.roles.lhs.endswith(c) and \
                self.space[c]["strides"] == self.space[c]["lhs_dilation"] == 1
            return (min(size, LANES) if isinstance(size, int) else LANES) if dense else 1, -moves, c in self.roles.rhs

        return max(self.roles.out, key=score)

    def turned(self, value: Value, names: str, wanted: str) -> Value:
        if names == wanted:
            return value
        return self.add("transpose", value, permutation=tuple(map(names.index, wanted)))

    def result(self, value: Value, names: str) -> Value:
        """In the order of axes, and with the axes of size 1, that the convolution was asked for."""
        wanted = "".join(c for c in self.given.out if c in names)
        return self.reshaped(self.turned(value, names, wanted), self.node.result.shape)

    def reshaped(self, value: Value, shape: tuple[Size, ...]) -> Value:
        return value if value.shape == shape else self.add("reshape", value, shape=shape)
