"""Choosing elements: dropout, embeddings, one-hot vectors, the largest k.

Flows in:  arrays, keys, integer labels.
Flows out: arrays.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.dtypes import I64
from tracejit.nn.arguments import floats, normal_axes, positions, require, shape_text
from tracejit.random.distributions import unit
from tracejit.random.keys import as_shape
from tracejit.tracing.building import assert_, convert, emit, lift


@library(static=("training", "shape"))
def dropout(key: Any, x: Any, rate: Any, training: bool = True, shape: Any = None) -> Any:
    """Each element 0 with probability `rate`, else divided by 1 - rate; outside of training x itself.

    shape: that of what is drawn, which broadcasts to x: sizes of 1 drop whole slices.
    """
    if not training:
        return x
    require(not isinstance(rate, (int, float)) or 0 <= rate <= 1, f"dropout got the rate {rate}",
            why="it is a probability", fix="give a number from 0 to 1")
    array = floats(x)
    drawn = unit(key, array.type.shape if shape is None else as_shape(shape), array.type.dtype)
    return np.where(drawn >= rate, array / (1 - rate), 0)


@library()
def embedding(table: Any, ids: Any) -> Any:
    """Rows of a table by integer ids: (*ids.shape, width). The derivative of the table is added up row by row."""
    return np.take(lift(table), ids, 0)


@library(static=("classes", "dtype", "axis"))
def one_hot(labels: Any, classes: int, dtype: Any = np.float64, axis: int = -1) -> Any:
    """1 at the label along a new axis, 0 elsewhere; labels out of range give zeros."""
    array = convert(lift(labels), I64)
    (at,) = normal_axes(axis, array.ndim + 1)
    hot = np.expand_dims(array, at) == positions((*array.type.shape[:at], classes, *array.type.shape[at:]), at)
    return convert(hot, np.dtype(dtype))


@library(static=("k", "axis"))
def top_k(x: Any, k: int, axis: int = -1) -> tuple[Any, Any]:
    """The k largest along an axis, largest first, and their positions; equal ones in order of position, NaN first."""
    array = lift(x)
    require(bool(array.ndim), "top_k got a scalar", fix="give it an array")
    (at,) = normal_axes(axis, array.ndim)
    _require_elements(array, k, at)
    sorted_ones = emit("sort", array, positions(array.type.shape, at), axis=at, num_keys=1, descending=True)
    first = tuple([slice(k) if a == at else slice(None) for a in range(array.ndim)])
    return sorted_ones[0][first], sorted_ones[1][first]


def _require_elements(array: Any, k: int, axis: int) -> None:
    size = array.type.shape[axis]
    require(k >= 0 and (not isinstance(size, int) or k <= size), f"top_k got {shape_text(array)}: axis {axis} has no "
            f"{k} elements", fix="choose a smaller k")
    if not isinstance(size, int):
        assert_(array.shape[axis] >= k, "ValueError", f"top_k: there are no {k} largest of {{0}} elements",
                array.shape[axis])


@library(static=("k",))
def in_top_k(scores: Any, labels: Any, k: int) -> Any:
    """Whether the score at the label is among the k largest of its row; ties count, NaN does not."""
    scores, labels = lift(scores), lift(labels)
    mine = np.take_along_axis(scores, np.expand_dims(labels, -1), -1)
    return (np.sum(scores > mine, axis=-1) < k) & np.isfinite(np.squeeze(mine, -1))
