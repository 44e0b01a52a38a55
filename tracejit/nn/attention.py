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
from tracejit.nn.arguments import floats, positions, require, shape_text
from tracejit.tracing.building import lift
from tracejit.tracing.sizes import same_size


@library(static=("causal",))
def attention(query: Any, key: Any, value: Any, mask: Any = None, causal: bool = False, bias: Any = None,
              scale: Any = None) -> Any:
    """softmax(query key^T * scale + bias) value, for every head.

    mask: bool, broadcasts to (..., heads, length, source): True where attention is allowed; a query that may look
    nowhere gives 0.  causal: position i looks at positions up to i, counted from the end if the lengths differ.  scale:
    1 / sqrt(width) by default. Keys and values with fewer heads serve groups of queries' heads.
    Source: A. Vaswani et al., Attention is all you need (2017); J. Ainslie et al. (2023) for groups.
    """
    query, key, value = _grouped(floats(query), floats(key), floats(value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = np.einsum("...qhd,...khd->...hqk", query, key) * factor
    if bias is not None:
        scores = scores + bias
    weights = softmax(scores, where=_allowed(scores, mask, causal))
    return np.einsum("...hqk,...khd->...qhd", weights, value)


def _grouped(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Keys and values once for each head of the queries."""
    shapes = ", ".join(map(shape_text, (query, key, value)))
    require(min(query.ndim, key.ndim, value.ndim) > 2, f"attention got {shapes}", why="an axis of heads is before the "
            "last one", fix="give one head as x[..., None, :]")
    if all(same_size(query.type.shape[-2], x.type.shape[-2]) for x in (key, value)):
        return query, key, value
    heads, groups, others = (int(x.shape[-2]) for x in (query, key, value))
    require(groups == others and groups > 0 and heads % groups == 0, f"attention got {shapes}: {heads} heads of "
            f"queries, {groups} of keys, {others} of values", why="each head of keys and values serves as many of "
            "the queries", fix="give keys and values a number of heads that divides the queries'")
    return query, np.repeat(key, heads // groups, -2), np.repeat(value, heads // groups, -2)


def _allowed(scores: Any, mask: Any, causal: bool) -> Any:
    """Where queries may look; None: everywhere."""
    if not causal:
        return mask
    length, source = scores.type.shape[-2:]
    below = positions((length, source), 1) <= positions((length, source), 0) + lift(source - length)
    return below if mask is None else np.logical_and(below, lift(mask))
