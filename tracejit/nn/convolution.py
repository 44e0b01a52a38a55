"""Convolutions as matrix products over windows (implicit gemm).

Flows in:  inputs (batch, *space, channels) or (batch, channels, *space), kernels (*window, channels in, channels out).
Flows out: outputs in the input's layout. Windows are slices of the padded input, one per place in the kernel.
"""
from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.errors import ShapeError
from tracejit.tracing.spans import current_span

Padding = Any       # "same", "valid", an int, or (low, high) per axis


def _per_axis(name: str, value: Any, rank: int) -> tuple[int, ...]:
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(found) != rank:
        raise ShapeError(f"{name}={value!r} has {len(found)} entries for {rank} axes", span=current_span(3),
                         fix="give one per axis of space, or one for all")
    return found


def padding_of(padding: Padding, sizes: Sequence[Any], window: Sequence[int], strides: Sequence[int],
               dilation: Sequence[int]) -> tuple[tuple[Any, Any], ...]:
    """Zeros before and after each axis of space; "same" gives ceil(size / stride) places."""
    spans = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    if padding in ("valid", "VALID"):
        return ((0, 0),) * len(window)
    if padding in ("same", "SAME"):
        return tuple([_same(n, span, s) for n, span, s in zip(sizes, spans, strides, strict=True)])
    pairs = (padding,) * len(window) if isinstance(padding, int) else tuple(padding)
    if isinstance(padding, str) or len(pairs) != len(window):
        raise ShapeError(f"padding={padding!r} does not fit {len(window)} axes", span=current_span(3),
                         fix='give "same", "valid", an int, or a pair (before, after) per axis')
    return tuple([(p, p) if isinstance(p, int) else tuple(p) for p in pairs])


def _same(size: Any, span: int, stride: int) -> tuple[Any, Any]:
    """Zeros so that there are ceil(size / stride) places. With stride 1 they don't depend on the size."""
    if stride == 1:
        total = span - 1
    else:
        places = (int(size) + stride - 1) // stride
        total = max((places - 1) * stride + span - int(size), 0)
    return total // 2, total - total // 2


def windows(x: Any, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> list[Any]:
    """For each place in the window the elements of (batch, *space, channels) under it, row-major."""
    sizes = x.shape[1:1 + len(window)]
    counts = [(n - (w - 1) * d - 1) // s + 1 for n, w, s, d in zip(sizes, window, strides, dilation, strict=True)]
    found = []
    for place in itertools.product(*map(range, window)):
        index = tuple(slice(p * d, p * d + (c - 1) * s + 1, s)
                      for p, d, c, s in zip(place, dilation, counts, strides, strict=True))
        found.append(x[(slice(None), *index)])
    return found


def channels_last(x: Any, layout: str) -> Any:
    return x if layout == "NHWC" else np.moveaxis(x, 1, -1)


def as_layout(y: Any, layout: str) -> Any:
    return y if layout == "NHWC" else np.moveaxis(y, -1, 1)


def _padded(x: Any, pads: Sequence[tuple[Any, Any]]) -> Any:
    return np.pad(x, ((0, 0), *pads, (0, 0))) if any(p != (0, 0) for p in pads) else x


def convolved(x: Any, kernel: Any, strides: Any, padding: Padding, dilation: Any, groups: int, layout: str) -> Any:
    """The convolution of any rank (as in all such libraries: the kernel is not flipped)."""
    rank = len(kernel.shape) - 2
    strides, dilation = _per_axis("strides", strides, rank), _per_axis("dilation", dilation, rank)
    x = channels_last(x, layout)
    _require_channels(x, kernel, groups, rank)
    window = tuple(map(int, kernel.shape[:rank]))
    pads = padding_of(padding, x.shape[1:-1], window, strides, dilation)
    parts = windows(_padded(x, pads), window, strides, dilation)
    return as_layout(_product(parts, kernel, window, groups), layout)


def _require_channels(x: Any, kernel: Any, groups: int, rank: int) -> None:
    if len(x.shape) != rank + 2 or x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:
        raise ShapeError(f"an input {tuple(x.shape)} (channels last) does not fit a kernel {tuple(kernel.shape)} with "
                         f"{groups} groups", span=current_span(3),
                         why="the kernel has the shape (*window, channels / groups, channels out)",
                         fix="transpose one of them, or change groups or layout")


def _product(parts: Sequence[Any], kernel: Any, window: Sequence[int], groups: int) -> Any:
    """One matrix product over all places of the window and all channels."""
    *space, channels = parts[0].shape
    outputs = kernel.shape[-1]
    if groups == 1:
        columns = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return np.matmul(columns, np.reshape(kernel, (len(parts) * channels, outputs)))
    inside = channels // groups
    split = [np.reshape(p, (*space, groups, inside)) for p in parts]
    columns = split[0] if len(split) == 1 else np.concatenate(split, axis=-1)
    weights = np.reshape(kernel, (len(parts) * inside, groups, outputs // groups))
    made = np.einsum("...gk,kgo->...go", columns, weights)
    return np.reshape(made, (*space, outputs))


_STATIC = ("strides", "padding", "dilation", "groups", "layout")


@library(static=_STATIC)
def conv1d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NHWC") -> Any:
    """(batch, length, in) with (window, in / groups, out); layout "NCHW": channels first."""
    return convolved(x, kernel, strides, padding, dilation, groups, layout)


@library(static=_STATIC)
def conv2d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NHWC") -> Any:
    """(batch, height, width, in) with (window, window, in / groups, out); layout "NCHW": channels first."""
    return convolved(x, kernel, strides, padding, dilation, groups, layout)


@library(static=_STATIC)
def conv3d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NHWC") -> Any:
    """(batch, depth, height, width, in) with (window, window, window, in / groups, out)."""
    return convolved(x, kernel, strides, padding, dilation, groups, layout)


@library(static=("strides", "padding", "layout"))
def conv_transpose2d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "same", layout: str = "NHWC") -> Any:
    """The transpose of a strided `conv2d`: (batch, height, width, in) with (window, window, in, out).

    "same" gives size * stride places, "valid" (size - 1) * stride + window.
    """
    rank = len(kernel.shape) - 2
    steps = _per_axis("strides", strides, rank)
    x = channels_last(x, layout)
    pads = [_transposed_padding(padding, int(w), s) for w, s in zip(kernel.shape, steps, strict=False)]
    spread = _with_gaps(x, steps)
    parts = windows(np.pad(spread, ((0, 0), *pads, (0, 0))), tuple(map(int, kernel.shape[:rank])), (1,) * rank,
                    (1,) * rank)
    return as_layout(_product(parts, kernel[(slice(None, None, -1),) * rank], kernel.shape[:rank], 1), layout)


def _transposed_padding(padding: Padding, window: int, stride: int) -> tuple[int, int]:
    if padding in ("valid", "VALID"):
        return window - 1, window - 1 + max(0, stride - 1) - (stride - 1)
    total = window + stride - 2
    low = window - 1 if stride > window - 1 else -(-total // 2)
    return low, total - low


def _with_gaps(x: Any, steps: Sequence[int]) -> Any:
    """steps - 1 zeros between neighbours along each axis of space."""
    if all(s == 1 for s in steps):
        return x
    shape = tuple((n - 1) * s + 1 for n, s in zip(x.shape[1:-1], steps, strict=True))
    made = np.zeros_like(x, shape=(x.shape[0], *shape, x.shape[-1]))
    made[(slice(None), *(slice(None, None, s) for s in steps))] = x
    return made


@library(static=("strides", "padding", "dilation", "layout"))
def depthwise_conv2d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "valid", dilation: Any = 1,
                     layout: str = "NHWC") -> Any:
    """Each channel by itself: (batch, height, width, in) with (window, window, in, multiplier): in * multiplier out."""
    steps, gaps = _per_axis("strides", strides, 2), _per_axis("dilation", dilation, 2)
    x = channels_last(x, layout)
    window = tuple(map(int, kernel.shape[:2]))
    pads = padding_of(padding, x.shape[1:-1], window, steps, gaps)
    parts = windows(_padded(x, pads), window, steps, gaps)
    total: Any = 0
    for part, place in zip(parts, itertools.product(*map(range, window)), strict=True):
        total = total + np.expand_dims(part, -1) * kernel[place]
    return as_layout(np.reshape(total, (*total.shape[:-2], total.shape[-2] * total.shape[-1])), layout)


@library(static=("strides", "padding", "dilation", "layout"))
def separable_conv2d(x: Any, depthwise: Any, pointwise: Any, strides: Any = 1, padding: Padding = "valid",
                     dilation: Any = 1, layout: str = "NHWC") -> Any:
    """`depthwise_conv2d`, then a 1x1 convolution with (1, 1, in * multiplier, out)."""
    each = depthwise_conv2d(x, depthwise, strides, padding, dilation, layout)
    return convolved(each, pointwise, 1, "valid", 1, 1, layout)
