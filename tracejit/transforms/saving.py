"""What the backward pass keeps of the forward pass, and what it computes again: a minimum cut.

Flows in:  a graph with forward and backward nodes.
Flows out: the values to keep: the fewest bytes from which cheap ops give all that the backward nodes read.

Source: the cut of T. Chen et al., Training deep nets with sublinear memory cost (2016), as AOT partitioners use it;
maximum flow by E. Dinitz (1970).
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from tracejit.base.dims import Dim, symbols_of
from tracejit.ir.graph import Graph, Node, Value

UNKNOWN_SIZE = 1000         # assumed where only the run will tell
COSTLY = 20                 # pointwise ops of this cost are kept rather than computed again
DEAR, INFINITE = 1 << 40, 1 << 60
_AGAIN = frozenset({"pointwise", "source", "view", "gather"})


def bytes_of(value: Value) -> int:
    total = max(1, value.dtype.bits // 8)
    for n in value.shape:
        total *= UNKNOWN_SIZE if isinstance(n, Dim) else int(n)
    return int(max(total, 1))


def can_repeat(node: Node) -> bool:
    """Whether a node may be computed a second time rather than kept."""
    return node.op.kind in _AGAIN and not node.has_effect and node.op.cost < COSTLY


def binding(graph: Graph) -> dict[str, Node]:
    """The nodes that find out a size when they run, by its symbol."""
    return {n.attributes["dim"]: n for n in graph.nodes if n.op.name == "bind_dim"}


def unbound_sizes(graph: Graph) -> set[str]:
    """The symbols of sizes that the graph mentions and does not find out."""
    found: set[str] = set()
    for node in graph.nodes:
        found.update(symbols_of(n for v in node.results for n in v.shape))
        found.update(symbols_of(n for n in node.attributes.values() if isinstance(n, Dim)))
        for _, region in node.regions():
            found |= unbound_sizes(region)
    return found - set(binding(graph))


def has_size_of(value: Value, symbols: frozenset[str]) -> bool:
    """Whether one of the symbols is in the shape. Such values are kept only if there is no other way: each run of the
    graph has another size.
    """
    return any(isinstance(n, Dim) and not symbols.isdisjoint(n.symbols()) for n in value.shape)


def kept_values(graph: Graph, params: Sequence[Value], backward: set[Node], outputs: Sequence[Value],
                free: set[Value]) -> list[Value]:
    """The values that the forward part hands over, in program order. params: without the cotangents."""
    order = [*params, *(v for n in graph.nodes if n not in backward for v in n.results)]
    number = {v: k for k, v in enumerate(order)}
    bound = frozenset(binding(graph))
    wanted = _read_by(graph, backward, outputs)
    network = Network()
    for value in order:
        if value in free:
            continue
        inner, outer = 2 + 2 * number[value], 3 + 2 * number[value]
        passes = has_size_of(value, bound)
        network.edge(inner, outer, bytes_of(value) + (DEAR if passes else 0))
        if value.node is None or not can_repeat(value.node) and not (passes and not value.node.has_effect):
            network.edge(SOURCE, inner, INFINITE)
        else:
            for operand in value.node.operands:
                if operand not in free:
                    network.edge(3 + 2 * number[operand], inner, INFINITE)
        if value in wanted:
            network.edge(outer, SINK, INFINITE)
    reached = network.cut()
    return [v for v in order if 2 + 2 * number[v] in reached and 3 + 2 * number[v] not in reached]


def _read_by(graph: Graph, backward: set[Node], outputs: Sequence[Value]) -> set[Value]:
    """Values that live backward nodes read, or that are cotangents themselves."""
    live = set(outputs)
    for node in reversed(graph.nodes):
        if node in backward and (node.has_effect or any(v in live for v in node.results)):
            live.update(node.operands)
    return live


SOURCE, SINK = 0, 1


class Network:
    """A flow network; nodes are numbers."""

    def __init__(self) -> None:
        self.heads: dict[int, list[int]] = {SOURCE: [], SINK: []}
        self.ends: list[int] = []
        self.room: list[int] = []

    def edge(self, start: int, end: int, capacity: int) -> None:
        for a, b, room in ((start, end, capacity), (end, start, 0)):
            self.heads.setdefault(a, []).append(len(self.ends))
            self.ends.append(b)
            self.room.append(room)

    def cut(self) -> set[int]:
        """The nodes on the source's side of the minimum cut that is nearest to the sink: the least is repeated."""
        while (levels := self._levels()).get(SINK) is not None:
            following = {node: iter(edges) for node, edges in self.heads.items()}
            while self._push(levels, following):
                pass
        return set(self.heads) - self._before_sink()

    def _before_sink(self) -> set[int]:
        """The nodes from which more could flow to the sink."""
        found, todo = {SINK}, [SINK]
        while todo:
            for e in self.heads[todo.pop()]:
                if self.room[e ^ 1] and self.ends[e] not in found:
                    found.add(self.ends[e])
                    todo.append(self.ends[e])
        return found

    def _levels(self) -> dict[int, int]:
        levels, queue = {SOURCE: 0}, deque([SOURCE])
        while queue:
            node = queue.popleft()
            for e in self.heads[node]:
                if self.room[e] and self.ends[e] not in levels:
                    levels[self.ends[e]] = levels[node] + 1
                    queue.append(self.ends[e])
        return levels

    def _push(self, levels: dict[int, int], following: dict[int, Iterator[int]]) -> int:
        """One path to the sink; its flow, 0 if there is none left in this level graph."""
        path: list[int] = []
        node = SOURCE
        while node != SINK:
            for e in following[node]:
                if self.room[e] and levels.get(self.ends[e], -1) == levels[node] + 1:
                    path.append(e)
                    node = self.ends[e]
                    break
            else:
                if not path:
                    return 0
                node = self.ends[path.pop() ^ 1]
        flow = min(self.room[e] for e in path)
        for e in path:
            self.room[e] -= flow
            self.room[e ^ 1] += flow
        return flow
