"""Normalisations: mean and variance over axes taken out, a scale and an offset put in.

Flows in:  arrays, statistics, scales and offsets that broadcast.
Flows out: arrays of the same shape.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library


def _moments(x: Any, axes: Any, keepdims: bool) -> tuple[Any, Any]:
    mean = np.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = np.mean(centred * centred, axis=axes, keepdims=keepdims)
    return (mean if keepdims else np.squeeze(mean, axes)), variance


def _scaled(x: Any, mean: Any, variance: Any, scale: Any, offset: Any, epsilon: Any) -> Any:
    y = (x - mean) / np.sqrt(variance + epsilon)
    if scale is not None:
        y = y * scale
    return y if offset is None else y + offset


@library(static=("axes", "keepdims"))
def moments(x: Any, axes: Any, keepdims: bool = False) -> tuple[Any, Any]:
    """Mean and variance over axes."""
    return _moments(x, axes, keepdims)


@library(static=("axis",))
def layer_norm(x: Any, scale: Any = None, offset: Any = None, axis: Any = -1, epsilon: Any = 1e-5) -> Any:
    """Mean 0 and variance 1 along the last axis (or `axis`) of each example. Source: J. Ba et al. (2016)."""
    return _scaled(x, *_moments(x, axis, True), scale, offset, epsilon)


@library(static=("axis",))
def rms_norm(x: Any, scale: Any = None, axis: Any = -1, epsilon: Any = 1e-6) -> Any:
    """Root mean square 1 along an axis. Source: B. Zhang and R. Sennrich (2019)."""
    y = x / np.sqrt(np.mean(x * x, axis=axis, keepdims=True) + epsilon)
    return y if scale is None else y * scale


@library(static=("groups",))
def group_norm(x: Any, groups: int, scale: Any = None, offset: Any = None, epsilon: Any = 1e-5) -> Any:
    """Mean 0 and variance 1 over each group of channels (the last axis) and all places. Source: Y. Wu, K. He (2018)."""
    *shape, channels = x.shape
    split = np.reshape(x, (*shape, groups, channels // groups))
    axes = (*range(1, len(shape)), len(shape) + 1)
    mean, variance = _moments(split, axes, True)
    flat = np.reshape((split - mean) / np.sqrt(variance + epsilon), x.shape)
    return _scaled(flat, 0, 1, scale, offset, 0)


@library(static=("training", "axis"))
def batch_norm(x: Any, mean: Any, variance: Any, scale: Any = None, offset: Any = None, training: bool = True,
               momentum: Any = 0.99, epsilon: Any = 1e-3, axis: int = -1) -> tuple[Any, Any, Any]:
    """(y, mean, variance): y normalised over all axes but the channels' `axis`.

    training: by the batch's own statistics, of which the running ones take a part 1 - momentum; else by the running
    ones, which come back as they are. Source: S. Ioffe and C. Szegedy (2015).
    """
    rank = len(x.shape)
    channel = axis % rank
    axes = tuple(a for a in range(rank) if a != channel)
    shape = tuple(n if a == channel else 1 for a, n in enumerate(x.shape))
    used_mean, used_variance = _moments(x, axes, False) if training else (mean, variance)
    whole = [None if p is None else np.reshape(p, shape) for p in (scale, offset)]
    y = _scaled(x, np.reshape(used_mean, shape), np.reshape(used_variance, shape), whole[0], whole[1], epsilon)
    if not training:
        return y, mean, variance
    return (y, momentum * mean + (1 - momentum) * used_mean, momentum * variance + (1 - momentum) * used_variance)
