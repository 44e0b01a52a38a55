"""Attention: weighted means of values, by how well keys fit queries.

Flows in:  queries (..., length, heads, width), keys and values (..., source, heads, width).
Flows out: (..., length, heads, width of the values).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.nn.activations import softmax
from tracejit.random.distributions import lift_size
from tracejit.random.keys import iota
from tracejit.tracing.building import lift


@library(static=("causal",))
def attention(query: Any, key: Any, value: Any, mask: Any = None, causal: bool = False, bias: Any = None,
              scale: Any = None) -> Any:
    """softmax(query key^T * scale + bias) value, for every head.

    mask: bool, broadcasts to (..., heads, length, source): True where attention is allowed; a query that may look
    nowhere gives 0.  causal: position i looks at positions up to i, counted from the end if the lengths differ.  scale:
    1 / sqrt(width) by default. Source: A. Vaswani et al., Attention is all you need (2017).
    """
    width = query.shape[-1]
    factor = 1 / math.sqrt(width) if scale is None else scale
    scores = np.einsum("...qhd,...khd->...hqk", query, key) * factor
    if bias is not None:
        scores = scores + bias
    allowed = _allowed(scores, mask, causal)
    if allowed is None:
        return np.einsum("...hqk,...khd->...qhd", softmax(scores), value)
    scores = np.where(allowed, scores, -np.inf)
    weights = np.where(allowed, softmax(np.where(np.any(allowed, axis=-1, keepdims=True), scores, 0)), 0)
    return np.einsum("...hqk,...khd->...qhd", weights, value)


def _allowed(scores: Any, mask: Any, causal: bool) -> Any:
    if not causal:
        return mask
    length, source = lift(scores).type.shape[-2:]
    offset = lift_size(source - length)
    rows: Any = iota((length, source), 0)
    below = iota((length, source), 1) <= rows + offset
    return below if mask is None else np.logical_and(below, mask)


