"""Pooling: the largest or the mean of windows.

Flows in:  (batch, *space, channels), or channels first with layout="NCHW".
Flows out: the same layout, space made smaller.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.nn.arguments import floats
from tracejit.nn.convolution import Padding, channels_last, per_axis, require_room, sides_of
from tracejit.tracing.building import broadcast_to, constant, emit, lift

_STATIC = ("window", "strides", "padding", "dilation", "layout")


def _windows(x: Any, window: Any, strides: Any, padding: Padding, dilation: Any, layout: str) -> dict[str, Any]:
    """The attributes of a fold over the windows of the axes of space."""
    last, rank = channels_last(layout), len(x.type.shape) - 2
    space = slice(1, rank + 1) if last else slice(2, rank + 2)
    shape, gaps = per_axis("window", window, rank), per_axis("dilation", dilation, rank)
    steps = shape if strides is None else per_axis("strides", strides, rank)
    sides = sides_of(padding, x.type.shape[space], shape, steps, gaps)
    require_room(x.type.shape[space], shape, gaps, sides)

    def everywhere(values: tuple[Any, ...], none: Any) -> tuple[Any, ...]:
        return (none, *values, none) if last else (none, none, *values)

    return {"window": everywhere(shape, 1), "strides": everywhere(steps, 1), "padding": everywhere(sides, (0, 0)),
            "base_dilation": (1,) * (rank + 2), "window_dilation": everywhere(gaps, 1)}


@library(static=_STATIC)
def max_pool(x: Any, window: Any, strides: Any = None, padding: Padding = "valid", dilation: Any = 1,
             layout: str = "NHWC") -> Any:
    """The largest element of each window; strides are the window by default. Padding does not count.

    The derivative goes to the first of equal elements.
    """
    x = lift(x)
    return emit("reduce_window", x, combine="maximum", **_windows(x, window, strides, padding, dilation, layout))


@library(static=_STATIC)
def avg_pool(x: Any, window: Any, strides: Any = None, padding: Padding = "valid", dilation: Any = 1,
             layout: str = "NHWC") -> Any:
    """The mean of each window; padding does not count."""
    x = floats(x)
    windows = _windows(x, window, strides, padding, dilation, layout)
    total = emit("reduce_window", x, combine="add", **windows)
    if all(p == (0, 0) for p in windows["padding"]):
        return total / float(np.prod(windows["window"]))
    space = _space(x, layout)
    ones = broadcast_to(constant(1, x.type.dtype), tuple([n if a in space else 1 for a, n in enumerate(x.type.shape)]))
    return total / emit("reduce_window", ones, combine="add", **windows)


def _space(x: Any, layout: str) -> tuple[int, ...]:
    rank = len(x.shape)
    return tuple(range(1, rank - 1)) if channels_last(layout) else tuple(range(2, rank))


@library(static=("keepdims", "layout"))
def global_max_pool(x: Any, keepdims: bool = False, layout: str = "NHWC") -> Any:
    """The largest over all of space."""
    return np.max(x, axis=_space(x, layout), keepdims=keepdims)


@library(static=("keepdims", "layout"))
def global_avg_pool(x: Any, keepdims: bool = False, layout: str = "NHWC") -> Any:
    """The mean over all of space."""
    return np.mean(x, axis=_space(x, layout), keepdims=keepdims)
