"""Normalisations: mean and variance over axes taken out, a scale and an offset put in.

Flows in:  arrays, statistics, scales and offsets: one number per position along the axes that are named.
Flows out: arrays of the same shape.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.nn.arguments import along, floats, normal_axes, require, shape_text


def _moments(x: Any, axes: Any, keepdims: bool) -> tuple[Any, Any]:
    centred = x - np.mean(x, axis=axes, keepdims=True)
    return np.mean(x, axis=axes, keepdims=keepdims), np.mean(centred * centred, axis=axes, keepdims=keepdims)


def _scaled(y: Any, scale: Any, offset: Any, axes: Any) -> Any:
    """y * scale + offset, both along `axes`."""
    if scale is not None:
        y = y * along(scale, axes, y.ndim)
    return y if offset is None else y + along(offset, axes, y.ndim)


def _normal(x: Any, axes: Any, epsilon: Any) -> Any:
    """Mean 0 and variance 1 over axes."""
    mean, variance = _moments(x, axes, True)
    return (x - mean) / np.sqrt(variance + epsilon)


@library(static=("axes", "keepdims"))
def moments(x: Any, axes: Any, keepdims: bool = False) -> tuple[Any, Any]:
    """Mean and variance over axes."""
    x = floats(x)
    return _moments(x, normal_axes(axes, x.ndim), keepdims)


@library(static=("axis",))
def layer_norm(x: Any, scale: Any = None, offset: Any = None, axis: Any = -1, epsilon: Any = 1e-5) -> Any:
    """Mean 0 and variance 1 along the last axis (or `axis`) of each example. Source: J. Ba et al. (2016)."""
    x = floats(x)
    return _scaled(_normal(x, normal_axes(axis, x.ndim), epsilon), scale, offset, axis)


@library(static=("axis",))
def rms_norm(x: Any, scale: Any = None, axis: Any = -1, epsilon: Any = 1e-6) -> Any:
    """Root mean square 1 along an axis. Source: B. Zhang and R. Sennrich (2019)."""
    x = floats(x)
    y = x / np.sqrt(np.mean(x * x, axis=axis, keepdims=True) + epsilon)
    return _scaled(y, scale, None, axis)


@library(static=("axis",))
def instance_norm(x: Any, scale: Any = None, offset: Any = None, epsilon: Any = 1e-5, axis: int = -1) -> Any:
    """Mean 0 and variance 1 over all places, for each example and channel (`axis`).

    Source: D. Ulyanov et al. (2016).
    """
    x = floats(x)
    (channel,) = normal_axes(axis, x.ndim)
    places = tuple([a for a in range(1, x.ndim) if a != channel])
    require(bool(places), f"instance_norm got {shape_text(x)}: no axes of places are left",
            why="the first axis is the batch, one is the channels'", fix="use layer_norm")
    return _scaled(_normal(x, places, epsilon), scale, offset, channel)


@library(static=("groups", "axis"))
def group_norm(x: Any, groups: int, scale: Any = None, offset: Any = None, epsilon: Any = 1e-5, axis: int = -1) -> Any:
    """Mean 0 and variance 1 over each group of channels (`axis`) and all places. Source: Y. Wu and K. He (2018)."""
    x = floats(x)
    (channel,) = normal_axes(axis, x.ndim)
    count = int(x.shape[channel])
    require(count % groups == 0, f"{count} channels can't be split into {groups} groups",
            fix="choose a number of groups that divides the channels")
    shape = x.shape
    split = np.reshape(x, (*shape[:channel], groups, count // groups, *shape[channel + 1:]))
    axes = tuple([a for a in range(1, split.ndim) if a != channel])
    return _scaled(np.reshape(_normal(split, axes, epsilon), shape), scale, offset, channel)


@library(static=("training", "axis"))
def batch_norm(x: Any, mean: Any, variance: Any, scale: Any = None, offset: Any = None, training: bool = True,
               momentum: Any = 0.99, epsilon: Any = 1e-3, axis: int = -1) -> tuple[Any, Any, Any]:
    """(y, mean, variance): y normalised over all axes but the channels' `axis`.

    training: by the batch's own statistics, of which the running ones take a part 1 - momentum; else by the running
    ones, which come back as they are. An empty batch changes nothing. Source: S. Ioffe and C. Szegedy (2015).
    """
    x = floats(x)
    rank = x.ndim
    (channel,) = normal_axes(axis, rank)
    if not training or 0 in x.type.shape:
        y = (x - along(mean, channel, rank)) / np.sqrt(along(variance, channel, rank) + epsilon)
        return _scaled(y, scale, offset, channel), mean, variance
    axes = tuple([a for a in range(rank) if a != channel])
    batch_mean, batch_variance = _moments(x, axes, True)
    y = (x - batch_mean) / np.sqrt(batch_variance + epsilon)
    running = [momentum * floats(old) + (1 - momentum) * np.squeeze(new, axes)
               for old, new in ((mean, batch_mean), (variance, batch_variance))]
    return _scaled(y, scale, offset, channel), running[0], running[1]
