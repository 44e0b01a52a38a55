"""The passes in order: simplify, bring products to one form, simplify, loops over elements, fuse.

Flows in:  a graph as traced.
Flows out: a fused graph.
"""
from __future__ import annotations

from tracejit.ir.graph import Graph
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.element_loops import fuse_element_loops
from tracejit.xla_lite.passes.fuse import fuse
from tracejit.xla_lite.passes.loop_to_map import map_loops
from tracejit.xla_lite.passes.manager import Observer, Pass, run_passes
from tracejit.xla_lite.passes.products import normalise_products

LOOPS: tuple[Pass, ...] = (map_loops, canonicalize, fuse_element_loops)
PASSES: tuple[Pass, ...] = (canonicalize, normalise_products, canonicalize, *LOOPS, fuse)
WITHOUT_PRODUCTS: tuple[Pass, ...] = (canonicalize, *LOOPS, fuse)


def optimise(graph: Graph, observe: Observer | None = None) -> Graph:
    """Runs all passes; observe(name, graph) sees each that changed the graph."""
    passes = PASSES if has_product(graph) else WITHOUT_PRODUCTS
    return run_passes(graph, passes, observe)


def has_product(graph: Graph) -> bool:
    """Whether there is a `dot_general` anywhere in it."""
    return any(n.op.name == "dot_general" or any(has_product(r) for _, r in n.regions()) for n in graph.nodes)
