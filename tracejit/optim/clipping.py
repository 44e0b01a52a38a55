"""Gradients kept within bounds.

Flows in:  pytrees of gradients.
Flows out: pytrees of the same structure.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.trees import flatten, tree_map
from tracejit.tracing.building import convert, lift


@library()
def clip_by_value(grads: Any, low: float, high: float) -> Any:
    """Each element within [low, high]."""
    return tree_map(lambda g: np.clip(g, low, high), grads)


@library()
def clip_by_norm(grads: Any, norm: float) -> Any:
    """Each array scaled down to a Euclidean norm of at most `norm`."""
    return tree_map(lambda g: _scaled(g, _factor(global_norm(g), norm)), grads)


@library()
def clip_by_global_norm(grads: Any, norm: float) -> Any:
    """All arrays scaled down together to a Euclidean norm of at most `norm`."""
    factor = _factor(global_norm(grads), norm)
    return tree_map(lambda g: _scaled(g, factor), grads)


@library()
def global_norm(tree: Any) -> Any:
    """The Euclidean norm of all elements of all arrays; 0 of none."""
    return np.sqrt(sum([np.sum(np.abs(g) ** 2) for g in flatten(tree)[0]]))


def _factor(size: Any, limit: float) -> Any:
    """1 up to the limit; above, what brings the size to it."""
    return limit / np.maximum(size, limit)


def _scaled(g: Any, factor: Any) -> Any:
    """A gradient in its own dtype whatever that of the others."""
    dtype = lift(g).type.dtype
    return g * convert(lift(factor), dtype)
