"""Several slice updates of one round become one sweep over the rows, so that each array passes through the caches once.

Flows in:  a fused graph.
Flows out: the same, with runs of updates that read each other's arrays a few rows away as one fusion of kind `sweep`.
           Its kernel lets later updates follow some rows behind: what order the user wrote can't be told from outside.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tracejit.base.dims import product
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.slice_updates import Window, reads_of_target, window_of

REACH = 3         # rows that an update may look ahead or behind
FEWEST_ROWS = 64  # of the highest window of a sweep
FEWEST_BYTES = 4 << 20      # of all arrays: fewer stay in a core's own caches between updates


@graph_pass(needs=("loops are fusions",), gives=("updates are sweeps",))
def sweep_updates(graph: Graph) -> Graph:
    """Neighbouring updates of the same number of rows, in every region. Linear in nodes and their operands."""
    changed = {n: a for n in graph.nodes if n.op.kind == "control" and n.op.name != "fusion"
               and (a := map_regions(n, sweep_updates.run)) is not None}
    groups = _groups(graph)
    return _emit(graph, groups, changed) if groups or changed else graph


@dataclass(slots=True)
class _Group:
    """Updates that can be one sweep. latest: what an array is after them.  old: what they have replaced.

    read: arrays that they read.
    """

    stages: list[Node] = field(default_factory=list)
    latest: dict[Value, Value] = field(default_factory=dict)
    old: set[Value] = field(default_factory=set)
    read: set[Value] = field(default_factory=set)

    def takes(self, node: Node) -> bool:
        """Whether an update reads the latest version of all arrays, and is of arrays with as many rows."""
        return not self.old & set(node.operands) and (
            not self.stages or node.result.shape[0] == self.stages[0].result.shape[0])

    def add(self, node: Node) -> None:
        target = _target(node)
        self.stages.append(node)
        self.read |= {v for v in node.operands if v is not target}
        self.old.add(target)
        self.latest = {first: node.result if last is target else last for first, last in self.latest.items()}
        if node.result not in self.latest.values():
            self.latest[target] = node.result

    def pays(self, readers: dict[Value, list[Node]], outputs: set[Value]) -> bool:
        """Whether arrays are read twice, and nobody else wants what is there only for a while."""
        arrays = dict.fromkeys(v for n in self.stages for v in n.operands if v.node not in self.stages)
        if len(self.stages) < 2 or all(_rows(n) < FEWEST_ROWS for n in self.stages) \
                or sum(map(_bytes, arrays)) < FEWEST_BYTES:
            return False
        passing = {n.result for n in self.stages} - set(self.latest.values())
        if passing & outputs or any(r not in self.stages for v in passing for r in readers[v]):
            return False
        reads = [v for n in self.stages for v in dict.fromkeys(n.operands) if v.rank]
        return len(set(reads)) < len(reads) or any(n.result in self.read for n in self.stages)


def _groups(graph: Graph) -> list[_Group]:
    readers, outputs = graph.users(), set(graph.outputs)
    groups: list[_Group] = []
    group = _Group()
    for node in graph.nodes:
        stage = _is_stage(node)
        if stage and group.takes(node):
            group.add(node)
        elif stage or node.has_effect or any(n.result in node.operands for n in group.stages):
            groups.append(group)
            group = _Group()
            if stage:
                group.add(node)
    return [g for g in (*groups, group) if g.pays(readers, outputs)]


def _is_stage(node: Node) -> bool:
    """A fusion of one update, of a window that is known, whose values are computed from rows near by."""
    if node.op.name != "fusion" or node.attributes["kind"] != "scatter" or node.operands.count(_target(node)) != 1:
        return False
    body: Graph = node.attributes["body"]
    root, window = body.outputs[0].node, window_of(node)
    if root is None or window is None or root.operands[0].node is not None or len(window.shape) < 2:
        return False
    shapes = (window.shape, *(v.shape for v in body.params))
    if not all(isinstance(n, int) for shape in shapes for n in shape) or reads_of_target(root) == "other":
        return False
    return all(_is_near(n, window, body.params) for n in body.nodes if n is not root)


def _is_near(node: Node, window: Window, params: Sequence[Value]) -> bool:
    """Whether a node computes rows from the same rows, or takes them out of an array not far away."""
    if node.op.kind == "source":
        return not node.operands
    rank = len(window.shape)
    direct = [v for v in node.operands if v in params and v.rank == rank]
    if node.op.name == "slice":
        return bool(direct) and set(node.attributes["stride"]) == {1} and node.result.shape == window.shape \
            and abs(node.attributes["start"][0] - window.start[0]) <= REACH
    if node.op.name == "broadcast_in_dim":
        return not direct and node.operands[0].rank < rank and (
            not node.operands[0].rank or node.attributes["dims"][0] > 0)
    return node.op.kind == "pointwise" and (not direct or window.start[0] <= REACH) and (
        not node.result.rank or node.result.shape == window.shape or node.result.rank < rank)


def _target(node: Node) -> Value:
    body: Graph = node.attributes["body"]
    root = body.outputs[0].node
    assert root is not None
    target = root.operands[0]
    return node.operands[body.params.index(target)] if target.node is None else node.result


def _bytes(value: Value) -> int:
    size = product(value.shape)
    assert isinstance(size, int)
    total: int = size * value.dtype.bytes
    return total


def _rows(node: Node) -> int:
    """Rows of the window that is written."""
    window = window_of(node)
    assert window is not None and isinstance(window.shape[0], int)
    return window.shape[0]


def _emit(graph: Graph, groups: Iterable[_Group], changed: dict[Node, dict[str, object]]) -> Graph:
    """Each group stands where its last update stood."""
    last = {g.stages[-1]: g for g in groups}
    gone = {n for g in last.values() for n in g.stages}
    copy = Graph([p.type for p in graph.params], graph.names)
    env: dict[Value, Value] = dict(zip(graph.params, copy.params, strict=True))
    for node in graph.nodes:
        if (group := last.get(node)) is not None:
            results = list(group.latest.values())
            env.update(zip(results, _sweep(copy, env, group.stages, results), strict=True))
        elif node not in gone:
            operands = [env[v] for v in node.operands]
            made = copy.emit(node.op, operands, changed[node], node.span) if node in changed else \
                copy.keep(node, operands)
            env.update(zip(node.results, made, strict=True))
    copy.outputs = tuple(env[v] for v in graph.outputs)
    return copy


def _sweep(copy: Graph, env: dict[Value, Value], stages: Sequence[Node], results: Sequence[Value]) -> Sequence[Value]:
    made = {n.result for n in stages}
    operands = list(dict.fromkeys(v for n in stages for v in n.operands if v not in made))
    body = Graph([v.type for v in operands])
    inner = dict(zip(operands, body.params, strict=True))
    for node in stages:
        (inner[node.result],) = body.inline(node.attributes["body"], [inner[v] for v in node.operands])
    body.outputs = tuple(inner[v] for v in results)
    return copy.emit("fusion", [env[v] for v in operands], {"body": body, "kind": "sweep"}, stages[-1].span)
