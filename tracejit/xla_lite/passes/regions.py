"""A pass applied inside regions.

Flows in:  a `Graph` and a graph-to-graph function.
Flows out: a copy with each region changed, or the same graph.
"""
from __future__ import annotations

from collections.abc import Callable

from tracejit.ir.graph import Graph
from tracejit.ir.rewriting import map_regions, rebuild


def in_regions(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """`change` applied to each region of each node of `graph`."""
    changed = {n: attributes for n in graph.nodes if n.op.kind == "control"
               and (attributes := map_regions(n, change)) is not None}
    if not changed:
        return graph
    return rebuild(graph, lambda copy, node, operands: copy.emit(node.op, operands, changed[node], node.span)
                   if node in changed else None)
