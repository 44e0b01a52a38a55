"""Values with the graph that they are in: rules of ops are written as arithmetic on them.

Flows in:  graphs under construction and their values.
Flows out: `Term`, `apply`; what derivative and batching rules take and give.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64, DType
from tracejit.base.spans import SourceSpan
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value

Number = bool | int | float | complex


class Term:
    """A value of a graph under construction. Operators apply ops; numbers take the term's type."""

    __slots__ = ("graph", "span", "value")

    def __init__(self, graph: Graph, value: Value, span: SourceSpan | None = None):
        self.graph, self.value, self.span = graph, value, span

    def at(self, span: SourceSpan | None) -> Term:
        """The same value, for ops that belong to another place."""
        return Term(self.graph, self.value, span)

    @property
    def type(self) -> ArrayType:
        return self.value.type

    @property
    def shape(self) -> tuple[Size, ...]:
        return self.value.type.shape

    @property
    def dtype(self) -> DType:
        return self.value.type.dtype

    @property
    def rank(self) -> int:
        return len(self.value.type.shape)

    def like(self, number: Number) -> Term:
        """A constant of this term's type."""
        return constant(self, number, self.type)

    def __add__(self, other: Term | Number) -> Term:
        return apply("add", self, _term(self, other))

    def __radd__(self, other: Number) -> Term:
        return apply("add", _term(self, other), self)

    def __sub__(self, other: Term | Number) -> Term:
        return apply("subtract", self, _term(self, other))

    def __rsub__(self, other: Number) -> Term:
        return apply("subtract", _term(self, other), self)

    def __mul__(self, other: Term | Number) -> Term:
        return apply("multiply", self, _term(self, other))

    __rmul__ = __mul__

    def __truediv__(self, other: Term | Number) -> Term:
        return apply("divide", self, _term(self, other))

    def __rtruediv__(self, other: Number) -> Term:
        return apply("divide", _term(self, other), self)

    def __neg__(self) -> Term:
        return apply("negate", self)

    def __repr__(self) -> str:
        return f"<term {self.value!r}>"


def _term(near: Term, other: Term | Number) -> Term:
    return other if isinstance(other, Term) else near.like(other)


def constant(near: Term, number: Any, type: ArrayType) -> Term:
    """A constant in the graph of `near`."""
    (value,) = near.graph.emit("constant", (), {"value": number, "type": type}, near.span)
    return Term(near.graph, value, near.span)


def apply(op: Any, *terms: Term, **attributes: Any) -> Term:
    """One op with one result, in the graph of its operands."""
    (result,) = apply_all(op, terms, attributes)
    return result


def apply_all(op: Any, terms: Sequence[Term], attributes: dict[str, Any], near: Term | None = None) -> list[Term]:
    """One op on terms of one graph; all its results. near: a term of that graph, if there are no operands."""
    near = near or terms[0]
    return [Term(near.graph, v, near.span)
            for v in near.graph.emit(op, [t.value for t in terms], attributes, near.span)]


def compare(direction: str, x: Term, y: Term | Number) -> Term:
    return apply("compare", x, _term(x, y), direction=direction)


def select(predicate: Term, x: Term | Number, y: Term | Number) -> Term:
    """x where the predicate holds, else y; one of them is a term."""
    near = x if isinstance(x, Term) else y
    assert isinstance(near, Term)
    return apply("select", predicate, _term(near, x), _term(near, y))


def convert(x: Term, dtype: DType) -> Term:
    return x if x.dtype is dtype else apply("convert", x, dtype=dtype)


def spread(x: Term, shape: tuple[Size, ...], axes: Iterable[int]) -> Term:
    """Repeats `x` along `axes` of `shape`, which it does not have: the way back of a sum over them."""
    lost = set(axes)
    return apply("broadcast_in_dim", x, shape=shape, dims=tuple(i for i in range(len(shape)) if i not in lost))


def splat(x: Term, shape: tuple[Size, ...]) -> Term:
    """A scalar in every element."""
    return x if x.shape == shape else spread(x, shape, range(len(shape)))


def total(x: Term, axes: Sequence[int]) -> Term:
    """The sum over `axes`."""
    return apply("reduce_sum", x, axes=tuple(axes)) if axes else x


def iota(near: Term, shape: tuple[Size, ...], axis: int, dtype: DType = I64) -> Term:
    """The position along `axis` of each element."""
    attributes = {"dimension": axis, "type": ArrayType(dtype, shape)}
    return Term(near.graph, near.graph.emit("iota", (), attributes, near.span)[0], near.span)


def size_of(near: Term, size: Size) -> Term:
    """A size as an i64[]."""
    if isinstance(size, int):
        return constant(near, size, ArrayType(I64))
    return Term(near.graph, near.graph.emit("dimension", (), {"size": size}, near.span)[0], near.span)


def is_zero(x: Term) -> bool:
    """Whether a term is known to be zero everywhere."""
    node = x.value.node
    while node is not None and node.op.name in ("broadcast_in_dim", "reshape"):
        node = node.operands[0].node
    if node is None or node.op.name != "constant":
        return False
    value = node.attributes["value"]
    return not isinstance(value, tuple) and value == 0


def inlined(graph: Graph, terms: Sequence[Term], near: Term) -> list[Term]:
    """The nodes of `graph` in the graph of `near`, with `terms` for its parameters; its outputs."""
    values = near.graph.inline(graph, [t.value for t in terms])
    return [Term(near.graph, v, near.span) for v in values]


def sum_in_place(x: Term, y: Term) -> Term:
    """x + y, where a scatter into zeros goes into the other one instead, what lies side by side is joined, and what one
    mask chooses is chosen once."""
    if is_zero(x) or is_zero(y):
        return y if is_zero(x) else x
    if (chosen := _sum_of_chosen(x, y) or _side_by_side(x, y) or _side_by_side(y, x)) is not None:
        return chosen
    for base, sparse in ((x, y), (y, x)):
        node = sparse.value.node
        if (found := _sum_with_padded(base, sparse)) is not None:
            return found
        if node is None or node.op.name not in ("scatter", "dynamic_update_slice"):
            continue
        target, update, *indices = [Term(sparse.graph, v, sparse.span) for v in node.operands]
        if not is_zero(target):
            continue
        if node.op.name == "dynamic_update_slice" and indices:
            there = apply("dynamic_slice", base, *indices, sizes=update.shape)
            return apply("dynamic_update_slice", base, there + update, *indices)
        if node.op.name == "scatter" and node.attributes["combine"] == "add":
            return apply("scatter", base, update, *indices, **node.attributes)
    return x + y


def _sum_with_padded(base: Term, sparse: Term) -> Term | None:
    """The sum with an array in the midst of zeros is another slice of the sum. What was taken out of an array and
    comes back into the gap gives the array again."""
    node = sparse.value.node
    if node is None or node.op.name != "pad" or any(node.attributes["interior"]) or not sparse.rank \
            or not is_zero(Term(sparse.graph, node.operands[1])):
        return None
    piece, low = Term(sparse.graph, node.operands[0], sparse.span), node.attributes["low"]
    if any(isinstance(n, int) and n < 0 for n in (*low, *node.attributes["high"])):
        return None
    starts = [size_of(sparse, n) for n in low]
    bottom, added = _without_slices(base)
    if (around := _array_with_gap(bottom, piece, starts)) is None:
        return _with_slice(base, piece, low)
    total = around if _is_slice_of(piece, around, low) else apply("dynamic_update_slice", around, piece, *starts)
    for more, place in reversed(added):
        total = _with_slice(total, more, place)
    return total


MOST_SLICES = 8     # that are taken off a sum, to look below


def _with_slice(base: Term, piece: Term, low: tuple[Size, ...]) -> Term:
    """base[low:low + n] += piece"""
    limit = tuple(a + n for a, n in zip(low, piece.shape, strict=True))
    there = apply("slice", base, start=low, limit=limit, stride=(1,) * base.rank)
    return apply("dynamic_update_slice", base, there + piece, *(size_of(base, n) for n in low))


def _without_slices(base: Term) -> tuple[Term, list[tuple[Term, tuple[Size, ...]]]]:
    """The array to which slices were added last by `_with_slice`, and these, the last one first."""
    added: list[tuple[Term, tuple[Size, ...]]] = []
    while len(added) < MOST_SLICES:
        node = base.value.node
        total = node.operands[1].node if node is not None and node.op.name == "dynamic_update_slice" else None
        there = total.operands[0].node if total is not None and total.op.name == "add" else None
        if node is None or total is None or there is None or there.op.name != "slice" \
                or there.operands[0] is not node.operands[0]:
            break
        added.append((Term(base.graph, total.operands[1], base.span), there.attributes["start"]))
        base = Term(base.graph, node.operands[0], base.span)
    return base, added


def _array_with_gap(base: Term, piece: Term, starts: Sequence[Term]) -> Term | None:
    """The array that has zeros in the place of `piece` in `base`."""
    node = base.value.node
    if node is None or node.op.name != "dynamic_update_slice" or node.operands[1].type != piece.type \
            or not is_zero(Term(base.graph, node.operands[1])) or not _same_numbers(node.operands[2:], starts):
        return None
    return Term(base.graph, node.operands[0], base.span)


def _same_numbers(values: Sequence[Value], terms: Sequence[Term]) -> bool:
    return all(v is t.value or v.node is not None and t.value.node is not None and v.node.op.name == "constant"
               and t.value.node.op.name == "constant"
               and v.node.attributes["value"] == t.value.node.attributes["value"]
               for v, t in zip(values, terms, strict=True))


def _is_slice_of(piece: Term, array: Term, start: tuple[Size, ...]) -> bool:
    node = piece.value.node
    if node is None or node.operands[:1] != (array.value,):
        return False
    if node.op.name == "dynamic_slice":
        return _same_numbers(node.operands[1:], [size_of(piece, n) for n in start])
    return node.op.name == "slice" and node.attributes["start"] == start and set(node.attributes["stride"]) == {1}


def _sum_of_chosen(x: Term, y: Term) -> Term | None:
    """select(p, a, b) + select(p, c, d) = select(p, a + c, b + d): zeros stay what one mask makes."""
    one, other = x.value.node, y.value.node
    if one is None or other is None or not one.op.name == other.op.name == "select" \
            or one.operands[0] is not other.operands[0]:
        return None
    yes, no = [sum_in_place(Term(x.graph, a, x.span), Term(y.graph, b, y.span))
               for a, b in zip(one.operands[1:], other.operands[1:], strict=True)]
    return select(Term(x.graph, one.operands[0], x.span), yes, no)


def _side_by_side(x: Term, y: Term) -> Term | None:
    """The sum of two arrays with zeros around them, if the second one begins where the first one ends."""
    one, other = x.value.node, y.value.node
    if one is None or other is None or one.op.name != "pad" or other.op.name != "pad":
        return None
    if any((*one.attributes["interior"], *other.attributes["interior"])) or not all(
            is_zero(Term(x.graph, n.operands[1])) for n in (one, other)):
        return None
    (low, high), (later, end) = ((n.attributes["low"], n.attributes["high"]) for n in (one, other))
    apart = [a for a in range(x.rank) if (low[a], high[a]) != (later[a], end[a])]
    if len(apart) != 1 or low[apart[0]] + one.operands[0].shape[apart[0]] != later[apart[0]]:
        return None
    (axis,) = apart
    parts = [Term(t.graph, n.operands[0], t.span) for t, n in ((x, one), (y, other))]
    joined = apply("concatenate", *parts, axis=axis)
    left = tuple(end[a] if a == axis else n for a, n in enumerate(high))
    if not any((*low, *left)):
        return joined
    zero = Term(x.graph, one.operands[1], x.span)
    return apply("pad", joined, zero, low=low, high=left, interior=one.attributes["interior"])


def build(types: Iterable[ArrayType], function: Callable[..., Iterable[Term]]) -> Graph:
    """The graph that `function` makes of its parameters."""
    graph = Graph(types)
    outputs = function(*[Term(graph, p) for p in graph.params])
    graph.outputs = tuple(t.value for t in outputs)
    return graph
