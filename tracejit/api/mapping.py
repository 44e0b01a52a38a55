"""Loops whose rounds don't see each other become maps before reverse mode: their way back is a map too.

Flows in:  recorded calls.
Flows out: the same calls. What each round would keep on a stack of its own is kept for all of them at once.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.ir.graph import Graph
from tracejit.tracing.arrays import Array
from tracejit.tracing.control.subgraph import Recorded, record


def record_maps(namespace: Any, function: Callable[..., Any], given: Sequence[Array]) -> Recorded:
    """`record`, for reverse mode."""
    recorded = record(namespace, function, given)
    if _has_loop(recorded.graph):
        from tracejit.xla_lite.passes.loop_to_map import map_loops_as_written
        recorded.graph = map_loops_as_written.run(recorded.graph)
    return recorded


def _has_loop(graph: Graph) -> bool:
    return any(n.op.name == "for" or any(_has_loop(region) for _, region in n.regions()) for n in graph.nodes)
