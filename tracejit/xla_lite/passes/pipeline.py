"""The passes in order: simplify, make loops carry little, bring products to one form, loops over elements, fuse.

Flows in:  a graph as traced.
Flows out: a fused graph.
"""
from __future__ import annotations

from tracejit.ir.graph import Graph
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.convolutions import normalise_convolutions
from tracejit.xla_lite.passes.counted_loops import map_counted_loops, map_counted_loops_in_order
from tracejit.xla_lite.passes.element_loops import fuse_element_loops
from tracejit.xla_lite.passes.fuse import fuse
from tracejit.xla_lite.passes.loop_invariants import hoist_invariants
from tracejit.xla_lite.passes.loop_products import gather_products
from tracejit.xla_lite.passes.loop_state import simplify_loop_state
from tracejit.xla_lite.passes.loop_to_map import map_loops
from tracejit.xla_lite.passes.manager import Observer, Pass, run_passes
from tracejit.xla_lite.passes.products import normalise_products
from tracejit.xla_lite.passes.sweeps import sweep_updates
from tracejit.xla_lite.passes.tiles import tile_joined
from tracejit.xla_lite.passes.windows import normalise_windows

FIRST: tuple[Pass, ...] = (canonicalize,)
STATE: tuple[Pass, ...] = (hoist_invariants, simplify_loop_state, canonicalize)
PRODUCTS: tuple[Pass, ...] = (normalise_convolutions, normalise_windows, normalise_products, canonicalize)


def optimise(graph: Graph, observe: Observer | None = None, in_order: bool = False) -> Graph:
    """Runs all passes; observe(name, graph) sees each that changed the graph. in_order: float sums in loops stay so."""
    counted = map_counted_loops_in_order if in_order else map_counted_loops
    state = (*STATE, *(() if in_order else (gather_products,))) if has_loop(graph) else ()
    loops = (map_loops, canonicalize, counted, canonicalize, fuse_element_loops, tile_joined, fuse, sweep_updates)
    return run_passes(graph, (*FIRST, *state, *(PRODUCTS if has_product(graph) else ()), *loops), observe)


def has_loop(graph: Graph) -> bool:
    """Whether there is a loop anywhere in it."""
    return any(n.op.name in ("for", "while") or any(has_loop(r) for _, r in n.regions()) for n in graph.nodes)


def has_product(graph: Graph) -> bool:
    """Whether there is a contraction or a window anywhere in it."""
    return any(n.op.kind in ("contraction", "window") or any(has_product(r) for _, r in n.regions())
               for n in graph.nodes)
