"""Choosing elements: dropout, embeddings, one-hot vectors, the largest k.

Flows in:  arrays, keys, integer labels.
Flows out: arrays.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.dtypes import I64
from tracejit.random.distributions import unit
from tracejit.random.keys import iota
from tracejit.tracing.building import convert, emit, lift


@library(static=("training",))
def dropout(key: Any, x: Any, rate: Any, training: bool = True) -> Any:
    """Each element 0 with probability `rate`, else divided by 1 - rate; outside of training x itself."""
    if not training:
        return x
    array = lift(x)
    kept = unit(key, array.type.shape, array.type.dtype) >= rate
    return np.where(kept, array / (1 - rate), 0)


@library()
def embedding(table: Any, ids: Any) -> Any:
    """Rows of a table by integer ids: (*ids.shape, width). The derivative of the table is added up row by row."""
    return np.take(table, ids, 0)


@library(static=("classes", "dtype", "axis"))
def one_hot(labels: Any, classes: int, dtype: Any = np.float64, axis: int = -1) -> Any:
    """1 at the label along a new axis, 0 elsewhere; labels out of range give zeros."""
    array = convert(lift(labels), I64)
    rank = len(array.type.shape) + 1
    at = axis % rank
    hot = np.expand_dims(array, at) == iota((*array.type.shape[:at], classes, *array.type.shape[at:]), at)
    return convert(hot, np.dtype(dtype))


@library(static=("k", "axis"))
def top_k(x: Any, k: int, axis: int = -1) -> tuple[Any, Any]:
    """The k largest along an axis, largest first, and their positions; equal ones in order of position."""
    array = lift(x)
    axis %= len(array.type.shape)
    values, positions = emit("sort", array, iota(array.type.shape, axis), axis=axis, num_keys=1, descending=False)
    rank = len(array.type.shape)
    order = tuple(slice(None, -k - 1, -1) if a == axis else slice(None) for a in range(rank))
    return values[order], positions[order]


@library(static=("k",))
def in_top_k(scores: Any, labels: Any, k: int) -> Any:
    """Whether the score at the label is among the k largest of its row; ties count."""
    mine = np.take_along_axis(scores, np.expand_dims(labels, -1), -1)
    return np.sum(scores > mine, axis=-1) < k
