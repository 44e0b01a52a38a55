"""Groups ops into kernels: each group becomes one `fusion` node whose body a generator turns into one loop nest.

Flows in:  a simplified graph.
Flows out: a graph of `fusion` nodes and of nodes that are no loops (control flow, products, sorts, scalars, effects).

Method: some nodes are *roots*, values that are stored or reduced; everything between roots is computed again wherever
it is read. Roots join the group of a producer, or of a sibling that reads the same arrays, when one loop nest can
serve both (`clusters.can_join`) and no cycle arises. A root that nobody outside its group reads never reaches memory.
"""
from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from tracejit.base.dims import Dim
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import live_nodes, map_regions
from tracejit.xla_lite.passes.clusters import Cluster, can_join, new_cluster, reads_of
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.roots import find_roots, is_inlined


@graph_pass(needs=("canonical",), gives=("loops are fusions",))
def fuse(graph: Graph) -> Graph:
    """The same graph in terms of fusions. Linear in nodes, but for a bit mask over groups per root."""
    return _Fuser(graph).run()


SIBLINGS = 8      # groups tried for a root that no producer takes in


class _Fuser:
    """State of one graph's fusion. A *unit* is a cluster of roots, or one node that is no loop."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.live = live_nodes(graph)
        self.nodes = [n for n in graph.nodes if n in self.live]
        self.users = graph.users()
        self.roots = find_roots(graph, self.nodes, self.users)
        self.units: list[Cluster] = []
        self.unit_of: dict[Node, Cluster] = {}
        self.reading: dict[Value, dict[Cluster, None]] = {}     # array -> units that read it, in order
        self.position = {n: i for i, n in enumerate(self.nodes)}
        self.regions: dict[Node, dict[str, Any] | None] = {}    # attributes with fused regions, made once

    def run(self) -> Graph:
        if self.is_done():
            return self.graph
        self.form_units()
        return self.emit()

    def is_done(self) -> bool:
        return not self.roots and len(self.nodes) == len(self.graph.nodes) and \
            all(self.fused_regions(n) is None for n in self.nodes)

    def fused_regions(self, node: Node) -> dict[str, Any] | None:
        """The attributes with every region fused; None if none changed. Fused twice, loops in loops take ages."""
        if node not in self.regions:
            self.regions[node] = None if node.op.name == "fusion" else map_regions(node, fuse)
        return self.regions[node]

    # ---- grouping -------------------------------------------------------------------------------

    def form_units(self) -> None:
        last_effect: Cluster | None = None
        binders: dict[str, Cluster] = {}
        for position, node in enumerate(self.nodes):
            if is_inlined(node, self.roots):
                continue
            reads = reads_of(node, self.roots)
            needs = self.producers(reads) + self.binders_of(node, binders)
            if node.has_effect and last_effect is not None:
                needs.append(last_effect)
            unit = self.place(node, position, reads, needs)
            self.unit_of[node] = unit
            if node.has_effect:
                last_effect = unit
            if node.op.name == "bind_dim":
                binders[node.attributes["dim"]] = unit

    def producers(self, reads: dict[Node, set[str]]) -> list[Cluster]:
        return list(dict.fromkeys(self.unit_of[n] for n in reads if n in self.unit_of))

    def binders_of(self, node: Node, binders: dict[str, Cluster]) -> list[Cluster]:
        """Units that bind the run-time sizes which this node, or what is inlined below it, mentions."""
        if not binders:
            return []
        sizes = {s for n in self.region(node) for s in sizes_in(n)}
        return [unit for name, unit in binders.items() if name in sizes]

    def place(self, node: Node, position: int, reads: dict[Node, set[str]], needs: list[Cluster]) -> Cluster:
        """The unit that takes the node in: one that is there, or a new one."""
        if node not in self.roots:
            return self.open_unit(node, position, needs)
        inputs = self.inputs(node, reads)
        unit = self.join(node, reads, needs, inputs) or self.open_unit(node, position, needs)
        for value in inputs:
            self.reading.setdefault(value, {})[unit] = None
        return unit

    def inputs(self, root: Node, reads: dict[Node, set[str]]) -> list[Value]:
        """Arrays that the root's loops read."""
        return list(dict.fromkeys(v for n in self.region(root) for v in n.operands
                                  if v.rank and (v.node is None or v.node in reads)))

    def join(self, root: Node, reads: dict[Node, set[str]], needs: list[Cluster],
             inputs: list[Value]) -> Cluster | None:
        """The unit that takes `root` in, or None."""
        for unit in dict.fromkeys([*reversed(needs), *self.siblings(root, inputs)]):
            if not unit.loops:
                continue
            others = [n for n in needs if n is not unit]
            if not mask_of(others) & unit.bit and can_join(unit, root, reads, self.unit_of):
                self.absorb(unit, root, others)
                return unit
        return None

    def siblings(self, root: Node, inputs: list[Value]) -> list[Cluster]:
        """The latest units that run alike and read an array which `root` reads too.

        Siblings without a common array would only lengthen each other's loop body.
        """
        key = new_cluster(root, 0, 0).key
        found: dict[Cluster, None] = {}
        for value in inputs:
            latest = islice(reversed(self.reading.get(value, {})), SIBLINGS)
            found.update((unit, None) for unit in latest if unit.key == key)
        return sorted(found, key=lambda unit: -unit.number)[:SIBLINGS]

    def region(self, root: Node) -> Iterator[Node]:
        """`root` and the inlined nodes below it."""
        todo, seen = [root], {root}
        while todo:
            node = todo.pop()
            yield node
            for value in node.operands:
                below = value.node
                if below is not None and below not in seen and is_inlined(below, self.roots):
                    seen.add(below)
                    todo.append(below)

    def absorb(self, unit: Cluster, root: Node, others: list[Cluster]) -> None:
        """Adds a root; whatever runs after the unit runs after the root's producers too."""
        unit.add(root)
        self.depend(unit, others)
        todo = [unit]
        while todo:
            before = todo.pop()
            for after in before.readers:
                if before.ancestors & ~after.ancestors:
                    after.ancestors |= before.ancestors
                    todo.append(after)

    def open_unit(self, node: Node, position: int, needs: list[Cluster]) -> Cluster:
        unit = new_cluster(node, len(self.units), position, loops=node in self.roots)
        self.units.append(unit)
        self.depend(unit, needs)
        return unit

    def depend(self, unit: Cluster, needs: list[Cluster]) -> None:
        unit.ancestors |= mask_of(needs)
        for before in needs:
            before.readers[unit] = None

    # ---- writing the fused graph ----------------------------------------------------------------

    def emit(self) -> Graph:
        graph = Graph([p.type for p in self.graph.params], self.graph.names)
        env: dict[Value, Value] = dict(zip(self.graph.params, graph.params, strict=True))
        regions = {u: self.unit_nodes(u) for u in self.units}
        needed = self.read_outside(regions)
        for unit in self.ordered():
            if unit.loops:
                self.emit_fusion(graph, env, unit, regions[unit], needed)
            else:
                self.emit_plain(graph, env, unit.roots[0])
        for value in self.graph.outputs:
            self.copy_inlined(graph, env, value)
        graph.outputs = tuple(env[v] for v in self.graph.outputs)
        return graph

    def unit_nodes(self, unit: Cluster) -> list[Node]:
        """What a unit computes, in program order: its roots and everything inlined below them."""
        if not unit.loops:
            return unit.roots
        mine = {n for root in unit.roots for n in self.region(root)}
        return sorted(mine, key=self.position.__getitem__)

    def read_outside(self, regions: dict[Cluster, list[Node]]) -> set[Value]:
        """Values of roots that another unit or the graph's output reads."""
        needed = set(self.graph.outputs)
        for nodes in regions.values():
            inside = set(nodes)
            needed.update(v for n in nodes for v in n.operands if v.node not in inside)
        return needed

    def ordered(self) -> Iterator[Cluster]:
        """Units, producers first, else in program order of their first root."""
        waiting = dict.fromkeys(self.units, 0)
        for unit in self.units:
            for later in unit.readers:
                waiting[later] += 1
        ready = [(u.position, u.number) for u in self.units if not waiting[u]]
        heapq.heapify(ready)
        while ready:
            unit = self.units[heapq.heappop(ready)[1]]
            yield unit
            for later in unit.readers:
                waiting[later] -= 1
                if not waiting[later]:
                    heapq.heappush(ready, (later.position, later.number))

    def emit_fusion(self, graph: Graph, env: dict[Value, Value], unit: Cluster, nodes: list[Node],
                    needed: set[Value]) -> None:
        inside = set(nodes)
        outside = list(dict.fromkeys(v for n in nodes for v in n.operands if v.node not in inside))
        body = Graph([v.type for v in outside])
        local: dict[Value, Value] = dict(zip(outside, body.params, strict=True))
        for node in nodes:
            made = body.emit(node.op, [local[v] for v in node.operands], node.attributes, node.span)
            local.update(zip(node.results, made, strict=True))
        stored = [r for root in unit.roots for r in root.results if r in needed]
        body.outputs = tuple(local[v] for v in stored)
        for value in outside:
            self.copy_inlined(graph, env, value)
        made = graph.emit("fusion", [env[v] for v in outside], {"body": body, "kind": unit.kind}, unit.roots[-1].span)
        env.update(zip(stored, made, strict=True))

    def emit_plain(self, graph: Graph, env: dict[Value, Value], node: Node) -> None:
        attributes = self.fused_regions(node) or node.attributes
        for value in node.operands:
            self.copy_inlined(graph, env, value)
        made = graph.emit(node.op, [env[v] for v in node.operands], attributes, node.span)
        env.update(zip(node.results, made, strict=True))

    def copy_inlined(self, graph: Graph, env: dict[Value, Value], value: Value) -> None:
        """Scalar constants are copied to wherever they are read."""
        if value not in env:
            assert value.node is not None and not value.node.operands
            env[value] = graph.emit(value.node.op, (), value.node.attributes, value.node.span)[value.index]


def sizes_in(node: Node) -> set[str]:
    """Every symbolic size of the node's types, attributes and regions."""
    found = {s for v in (*node.results, *node.operands) for s in v.type.symbols()}
    todo = list(node.attributes.values())
    while todo:
        item = todo.pop()
        if isinstance(item, tuple):
            todo.extend(item)
        elif isinstance(item, Dim):
            found |= item.symbols()
        elif isinstance(item, Graph):
            found.update(*map(sizes_in, item.nodes))
    return found


def mask_of(units: Iterable[Cluster]) -> int:
    """The bits of some units and of all that they depend on."""
    mask = 0
    for unit in units:
        mask |= unit.bit | unit.ancestors
    return mask
