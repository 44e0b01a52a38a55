"""Derivatives of graphs by the transforms and by differences.

Flows in:  graphs and points.
Flows out: `check_gradients`: forward mode against central differences, reverse mode against forward mode.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.transforms.forward import jvp
from tracejit.transforms.reverse import joint, split

Array = NDArray[Any]
STEP = 1e-6


def random_like(x: Array, rng: np.random.Generator) -> Array:
    made = rng.uniform(-1, 1, np.shape(x))
    return np.asarray(made + 1j * rng.uniform(-1, 1, np.shape(x)) if np.iscomplexobj(x) else made, np.asarray(x).dtype)


def is_inexact(x: Any) -> bool:
    return bool(np.asarray(x).dtype.kind in "fc")


def check_gradients(graph: Graph, point: Sequence[Array], rng: np.random.Generator, rtol: float = 1e-6,
                    sizes: Mapping[str, int] | None = None) -> None:
    """All derivatives of `graph` at `point`, in float64 or complex128."""
    active = [is_inexact(x) for x in point]
    moves = [random_like(x, rng) for x, a in zip(point, active, strict=True) if a]
    outputs, tangents = forward(graph, point, moves, active, sizes)
    check_differences(graph, point, moves, active, tangents, rtol, sizes)
    cts = [random_like(t, rng) for t in tangents]
    flags = [v.dtype.is_inexact for v in graph.outputs]
    expected = sum(np.sum(c * t).real for c, t in zip(cts, tangents, strict=True))
    for way in (pulled, pulled_split):
        back = way(graph, point, cts, active, flags, sizes)
        found = sum(np.sum(b * m).real for b, m in zip(back, moves, strict=True))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def forward(graph: Graph, point: Sequence[Array], moves: Sequence[Array], active: Sequence[bool],
            sizes: Mapping[str, int] | None) -> tuple[list[Array], list[Array]]:
    """Outputs, and tangents of those of inexact dtype."""
    made, _ = jvp(graph, active, [v.dtype.is_inexact for v in graph.outputs])
    results = evaluate(made, [*point, *moves], sizes)
    return list(results[:len(graph.outputs)]), list(results[len(graph.outputs):])


def check_differences(graph: Graph, point: Sequence[Array], moves: Sequence[Array], active: Sequence[bool],
                      tangents: Sequence[Array], rtol: float, sizes: Mapping[str, int] | None) -> None:
    def shifted(h: float) -> list[Array]:
        rest = iter(moves)
        return [x + h * next(rest) if a else x for x, a in zip(point, active, strict=True)]

    above, below = (evaluate(graph, shifted(h), sizes) for h in (STEP, -STEP))
    slopes = [(np.asarray(a) - b) / (2 * STEP) for a, b in zip(above, below, strict=True) if is_inexact(a)]
    for slope, tangent in zip(slopes, tangents, strict=True):
        known = np.isfinite(slope)     # the least of nothing is infinite
        np.testing.assert_allclose(tangent[known], slope[known], rtol=max(rtol, 1e-5), atol=1e-6)


def pulled(graph: Graph, point: Sequence[Array], cts: Sequence[Array], active: Sequence[bool], flags: Sequence[bool],
           sizes: Mapping[str, int] | None) -> list[Array]:
    """Cotangents of the active parameters, by one graph for both ways."""
    both = joint(graph, active, flags)
    results = iter(evaluate(both.graph, [*point, *cts], sizes)[len(graph.outputs):])
    return [next(results) if g else np.zeros_like(x) for x, g, a in zip(point, both.given, active, strict=True) if a]


def pulled_split(graph: Graph, point: Sequence[Array], cts: Sequence[Array], active: Sequence[bool],
                 flags: Sequence[bool], sizes: Mapping[str, int] | None) -> list[Array]:
    """The same by two graphs, with what the first keeps for the second."""
    halves = split(graph, active, flags, [False] * len(point))
    kept = evaluate(halves.forward, point, sizes)[len(graph.outputs):]
    results = iter(evaluate(halves.backward, [*kept, *cts], sizes))
    return [next(results) if g else np.zeros_like(x) for x, g, a in zip(point, halves.given, active, strict=True) if a]
