"""The passes in order: simplify, bring products to one form, simplify what that made, fuse.

Flows in:  a graph as traced.
Flows out: a fused graph.
"""
from __future__ import annotations

from tracejit.ir.graph import Graph
from tracejit.xla_lite.passes.cse import merge_equal_nodes
from tracejit.xla_lite.passes.dce import eliminate_dead_code
from tracejit.xla_lite.passes.fuse import fuse
from tracejit.xla_lite.passes.manager import Observer, Pass, run_passes
from tracejit.xla_lite.passes.products import normalise_products

PASSES: tuple[Pass, ...] = (normalise_products, merge_equal_nodes, eliminate_dead_code, fuse)


def optimise(graph: Graph, observe: Observer | None = None) -> Graph:
    """Runs all passes; observe(name, graph) sees each that changed the graph."""
    return run_passes(graph, PASSES, observe)
