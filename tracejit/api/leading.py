"""The nodes that a tape goes back over: those that its targets are made of, also through native lists.

Flows in:  recorded nodes and the values of targets.
Flows out: `leading_to`; for lists from before the tape what made them, and whether they were changed since.

What is read of a list depends on every change of it before. A list that is only ever used as a list is known by its
handle; handles that go into lists, or through results of branches and loops, may all be the same list.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tracejit.ir.graph import Graph, Node, Value
from tracejit.transforms.activity import stacks_from_outside

_READING = ("stack_get", "stack_length", "stack_array", "stack_companion", "stack_release")
_SAME = ("stack_companion", "stack_release")      # their results stand for the list that they are given
_ANY = object()     # every list whose handle is passed on


class Lists:
    """Which list a handle in a graph is."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.known: dict[Value, object] = {}

    def of(self, node: Node) -> set[object]:
        """The lists that a node reads or changes."""
        return {self.identity(handle) for handle in handles_of(node)}

    def identity(self, handle: Value) -> object:
        while handle.node is not None and handle.node.op.name in _SAME:
            handle = handle.node.operands[0]
        if handle not in self.known:
            made = handle.node is None or handle.node.op.name == "stack_new"
            self.known[handle] = handle if made and not passes_on(self.graph, handle) else _ANY
        return self.known[handle]


def handles_of(node: Node) -> list[Value]:
    return stacks_from_outside([node])


def passes_on(graph: Graph, handle: Value) -> bool:
    """Whether a handle becomes another value, or part of a list."""
    return handle in graph.outputs or any(
        _passes_on(node, k) for node in graph.nodes for k, v in enumerate(node.operands) if v is handle)


def _passes_on(node: Node, k: int) -> bool:
    if node.op.name.startswith("stack_"):
        return k > 0
    regions = [region for _, region in node.regions()]
    from_end = len(node.operands) - k
    return not regions or any(passes_on(r, r.params[-from_end]) for r in regions if from_end <= len(r.params))


def leading_to(graph: Graph, nodes: Sequence[Node], values: Iterable[Value]) -> list[Node]:
    """The nodes which `values` are made of, in order."""
    lists, needed, read = Lists(graph), set(values), set[object]()
    found = []
    for node in reversed(nodes):
        used = lists.of(node) if uses_lists(node) else set()
        if not needed.isdisjoint(node.results) or not read.isdisjoint(used):
            needed.update(node.operands)
            read |= used
            found.append(node)
    return found[::-1]


def uses_lists(node: Node) -> bool:
    """Whether a node reads or changes a native list, also in its regions."""
    return node.op.name.startswith("stack_") or any(
        uses_lists(inner) for _, region in node.regions() for inner in region.nodes)


def history(graph: Graph, nodes: Sequence[Node], before: Sequence[Node]) -> list[Node] | None:
    """Those of the nodes `before` that made the lists which `nodes` use what they were; None if that can't be told, or
    if doing them again would do more."""
    lists = Lists(graph)
    used = {lists.identity(handle) for handle in stacks_from_outside(nodes)}
    made, found = set[object](), []
    for node in reversed(before):
        mine = lists.of(node) if uses_lists(node) else set()
        if not used.isdisjoint(mine) or not used.isdisjoint(node.results):
            used |= mine
            made.update(node.results)
            found.append(node)
    return found[::-1] if used <= made and all(map(can_be_repeated, found)) else None


def can_be_repeated(node: Node) -> bool:
    """Whether a node has no effect but on lists."""
    regions = [region for _, region in node.regions()]
    if not regions:
        return not node.has_effect or node.op.name.startswith("stack_") or node.op.name in ("assert", "bind_dim")
    return all(can_be_repeated(inner) for region in regions for inner in region.nodes)


def changed_since(graph: Graph, nodes: Sequence[Node], since: Sequence[Node]) -> bool:
    """Whether lists from before `nodes`, which they use, were changed by `since`, which they are among."""
    lists = Lists(graph)
    outside = {lists.identity(handle) for handle in stacks_from_outside(nodes)}
    return any(lists.identity(handle) in outside for node in since for handle in changed_by(node))


def changed_by(node: Node) -> Iterator[Value]:
    """The handles of the lists which a node changes that it is given."""
    if node.op.name.startswith("stack_"):
        yield from node.operands[:1] if node.op.name not in _READING else ()
    for _, region in node.regions():
        outer = dict(zip(reversed(region.params), reversed(node.operands), strict=False))
        yield from (outer[v] for inner in region.nodes for v in changed_by(inner) if v in outer)


def read_first(nodes: Sequence[Node], also: Iterable[Value]) -> list[Value]:
    """The values which nodes read, and `also`, that none of the nodes makes."""
    made = {v for n in nodes for v in n.results}
    return list(dict.fromkeys(v for v in (*(v for n in nodes for v in n.operands), *also) if v not in made))


def repeated(graph: Graph, nodes: Sequence[Node], env: dict[Value, Value]) -> dict[Value, Value]:
    """Adds copies of nodes to a graph. env: values of theirs -> of the graph; with those of the copies."""
    for node in nodes:
        env.update(zip(node.results, graph.keep(node, [env[v] for v in node.operands]), strict=True))
    return env
