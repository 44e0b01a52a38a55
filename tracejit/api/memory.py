"""What a compiled function keeps for the way back of its derivatives, and what it computes again there.

Flows in:  the fused graph of a trace; the places of its values, which tell what belongs to derivatives.
Flows out: `Memory`: bytes of each kept array, with the user's line; a text for `explain()`.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracejit.base.dims import Size, product
from tracejit.base.spans import SourceSpan
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that the way back reads. bytes: in all; of what grows with the rounds of a loop, of each round.

    is_result: the function gives it anyway.
    """

    types: tuple[ArrayType, ...]
    bytes: Size
    span: SourceSpan | None
    each_round: bool = False
    is_result: bool = False

    def __str__(self) -> str:
        what = f"{self.bytes} bytes{' a round' if self.each_round else ''}: {', '.join(map(str, self.types))}"
        return f"{what}{f' of {self.span}' if self.span else ''}{', which is a result too' if self.is_result else ''}"


@dataclass(frozen=True, slots=True)
class Memory:
    """kept: see `Kept`.  again: ops that are computed a second time, with their places."""

    kept: tuple[Kept, ...] = ()
    again: tuple[tuple[str, SourceSpan], ...] = ()

    @property
    def bytes(self) -> Size:
        """Of arrays that are kept for the way back alone, without those that grow while the program runs."""
        total: Size = 0
        for one in self.kept:
            total = total if one.each_round or one.is_result else total + one.bytes
        return total

    def lines(self) -> list[str]:
        """For `explain()`."""
        found = [f"  keeps for the way back {one}" for one in self.kept]
        places: dict[str, list[str]] = {}
        for op, span in self.again:
            places.setdefault(str(span), []).append(op)
        return [*found, *(f"  computes again on the way back, of {place}: {', '.join(dict.fromkeys(ops))}"
                          for place, ops in places.items())]


def memory_of(graph: Graph) -> Memory:
    """What nodes of derivatives read that other nodes have made. Linear in the number of nodes."""
    back = _way_back(graph)
    readers: dict[Value, None] = dict.fromkeys(v for n in graph.nodes if n in back for v in n.operands)
    kept = [k for v in readers if v.node is not None and v.node not in back and (k := _kept(graph, v)) is not None]
    return Memory(tuple(kept), tuple(_again(graph, back)))


def _way_back(graph: Graph) -> set[Node]:
    """Nodes of derivatives, and those that do again what a checkpoint has done."""
    found: set[Node] = set()
    repeated: set[Value] = set()
    for node in graph.nodes:
        repeats = any(m.op.name == "again" for m in _all(node)) or any(v in repeated for v in node.operands)
        if repeats:
            repeated.update(node.results)
        if repeats or any(m.span is not None and m.span.derivative_of for m in _all(node)):
            found.add(node)
    return found


def _all(node: Node) -> Iterator[Node]:
    """A node and those of its regions."""
    yield node
    for _, region in node.regions():
        for inner in region.nodes:
            yield from _all(inner)


def _kept(graph: Graph, value: Value) -> Kept | None:
    node = value.node
    assert node is not None
    if node.op.name == "stack_new":
        types = node.attributes["types"]
        return Kept(types, sum(map(_bytes, types)), _place_of_pushes(graph, value), each_round=True)
    if node.op.kind in ("source", "effect") or not value.rank:
        return None
    return Kept((value.type,), _bytes(value.type), _place(value), is_result=value in graph.outputs)


def _bytes(type: ArrayType) -> Size:
    return product(type.shape) * type.dtype.bytes


def _place(value: Value) -> SourceSpan | None:
    """The line of what is in an array: rows that rounds of a loop put there, or what a fusion gives."""
    node = value.node
    while node is not None and (body := node.attributes.get("body")) is not None:
        inner = body.outputs[value.index].node
        if inner is None:
            break
        if inner.op.kind == "scatter":
            value = inner.operands[1]
            return _place(value) or inner.span or node.span
        node, value = inner, body.outputs[value.index]
    return node.span if node is not None else None


def _place_of_pushes(graph: Graph, handle: Value) -> SourceSpan | None:
    """The line of what goes into a stack first."""
    for node in graph.nodes:
        if node.op.name == "stack_push" and node.operands[0] is handle:
            made = next((v.node for v in node.operands[1:] if v.node is not None and v.node.span is not None), None)
            return made.span if made is not None else node.span
        for _, region in node.regions():
            own = dict(zip(reversed(node.operands), reversed(region.params), strict=False))
            if handle in own and (found := _place_of_pushes(region, own[handle]) or node.span) is not None:
                return found
    return None


def _again(graph: Graph, back: set[Node]) -> Iterator[tuple[str, SourceSpan]]:
    """Ops of the user's that the way back has, and that were computed before it."""
    def named(node: Node) -> Iterator[tuple[str, SourceSpan]]:
        for inner in _all(node):
            if inner.span is not None and not inner.span.derivative_of and inner.op.kind not in (
                    "source", "view", "control", "effect", "gather", "scatter"):
                yield inner.op.name, inner.span

    before = {item for n in graph.nodes if n not in back for item in named(n)}
    yield from dict.fromkeys(item for n in graph.nodes if n in back for item in named(n) if item in before)
