"""Dead code elimination.

Flows in:  a `Graph`.
Flows out: the nodes that outputs and effects need, also inside regions.
"""
from __future__ import annotations

from tracejit.ir.graph import Graph
from tracejit.ir.rewriting import without_dead_nodes
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.regions import in_regions


@graph_pass(gives=("no dead nodes",))
def eliminate_dead_code(graph: Graph) -> Graph:
    """Keeps what the outputs and effects need. Linear in the number of nodes."""
    return without_dead_nodes(in_regions(graph, eliminate_dead_code.run))
