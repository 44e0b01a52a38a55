"""Common subexpression elimination.

Flows in:  a `Graph`, perhaps read from text or put together of parts.
Flows out: one node for equal nodes, also inside regions. Graphs built by `emit` have this property already.
"""
from __future__ import annotations

from tracejit.ir.graph import Graph
from tracejit.ir.rewriting import rebuild
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.regions import in_regions


@graph_pass(gives=("no equal nodes",))
def merge_equal_nodes(graph: Graph) -> Graph:
    """Rebuilds with interning. Linear in the number of nodes."""
    return rebuild(in_regions(graph, merge_equal_nodes.run), lambda copy, node, operands: None)
