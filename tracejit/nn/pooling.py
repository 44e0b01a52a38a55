"""Pooling: the largest or the mean of windows.

Flows in:  (batch, *space, channels), or channels first with layout="NCHW".
Flows out: the same layout, space made smaller.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.nn.convolution import Padding, _per_axis, as_layout, channels_last, padding_of, windows

_STATIC = ("window", "strides", "padding", "layout")


def _windows(x: Any, window: Any, strides: Any, padding: Padding, layout: str, fill: Any) -> tuple[list[Any], Any]:
    x = channels_last(x, layout)
    rank = len(x.shape) - 2
    sizes = _per_axis("window", window, rank)
    steps = sizes if strides is None else _per_axis("strides", strides, rank)
    pads = padding_of(padding, x.shape[1:-1], sizes, steps, (1,) * rank)
    if any(p != (0, 0) for p in pads):
        x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    return windows(x, sizes, steps, (1,) * rank), (pads, sizes, steps)


@library(static=_STATIC)
def max_pool(x: Any, window: Any, strides: Any = None, padding: Padding = "valid", layout: str = "NHWC") -> Any:
    """The largest element of each window; strides are the window by default. Equal ones share the derivative."""
    parts, _ = _windows(x, window, strides, padding, layout, -math.inf)
    result = parts[0]
    for part in parts[1:]:
        result = np.maximum(result, part)
    return as_layout(result, layout)


@library(static=_STATIC)
def avg_pool(x: Any, window: Any, strides: Any = None, padding: Padding = "valid", layout: str = "NHWC") -> Any:
    """The mean of each window; padding does not count."""
    parts, (pads, _, _) = _windows(x, window, strides, padding, layout, 0)
    total = sum(parts[1:], parts[0])
    if all(p == (0, 0) for p in pads):
        return as_layout(total / len(parts), layout)
    counts, _ = _windows(np.ones_like(x), window, strides, padding, layout, 0)
    return as_layout(total / sum(counts[1:], counts[0]), layout)


def _space(x: Any, layout: str) -> tuple[int, ...]:
    rank = len(x.shape)
    return tuple(range(1, rank - 1)) if layout == "NHWC" else tuple(range(2, rank))


@library(static=("keepdims", "layout"))
def global_max_pool(x: Any, keepdims: bool = False, layout: str = "NHWC") -> Any:
    """The largest over all of space."""
    return np.max(x, axis=_space(x, layout), keepdims=keepdims)


@library(static=("keepdims", "layout"))
def global_avg_pool(x: Any, keepdims: bool = False, layout: str = "NHWC") -> Any:
    """The mean over all of space."""
    return np.mean(x, axis=_space(x, layout), keepdims=keepdims)
