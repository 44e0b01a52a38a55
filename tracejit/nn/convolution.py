"""Convolutions of one to three axes of space: plain, grouped, dilated, transposed, depthwise, separable.

Flows in:  inputs (batch, *space, channels) or (batch, channels, *space), kernels (*window, channels in, channels out).
Flows out: outputs in the input's layout. Each is one `convolution` op; as in all such libraries the kernel is not
           flipped.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.api.library import library
from tracejit.base.dims import Size
from tracejit.base.errors import ShapeError
from tracejit.ops.convolutions import positive, window_span
from tracejit.tracing.building import emit, promote
from tracejit.tracing.spans import current_span

Padding = Any       # "same", "valid", an int, or (before, after) per axis
Sides = tuple[tuple[Size, Size], ...]


# ---- options ---------------------------------------------------------------------------------------------------


def per_axis(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """One number for all axes of space, or one for each."""
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(found) != rank or any(n < 1 for n in found):
        raise ShapeError(f"{name}={value!r} does not fit {rank} axes of space", span=current_span(3),
                         fix="give one positive number per axis of space, or one for all")
    return found


def channels_last(layout: str) -> bool:
    if layout not in ("NHWC", "NCHW"):
        raise ShapeError(f"layout={layout!r} is unknown", span=current_span(3),
                         fix='use "NHWC" (channels last) or "NCHW" (channels first), for any number of axes')
    return layout == "NHWC"


def sides_of(padding: Padding, sizes: Sequence[Size], window: Sequence[Size], strides: Sequence[int],
             dilation: Sequence[int]) -> Sides:
    """What is put before and after each axis of space; "same" gives ceil(size / stride) places."""
    spans = [window_span(w, d) for w, d in zip(window, dilation, strict=True)]
    if padding in ("valid", "VALID"):
        return ((0, 0),) * len(window)
    if padding in ("same", "SAME"):
        return tuple([_same(n, span, s) for n, span, s in zip(sizes, spans, strides, strict=True)])
    pairs = (padding,) * len(window) if isinstance(padding, int) else tuple(padding)
    if isinstance(padding, str) or len(pairs) != len(window):
        raise ShapeError(f"padding={padding!r} does not fit {len(window)} axes", span=current_span(3),
                         fix='give "same", "valid", an int, or a pair (before, after) per axis')
    return tuple([(p, p) if isinstance(p, int) else (p[0], p[1]) for p in pairs])


def _same(size: Size, span: Size, stride: int) -> tuple[Size, Size]:
    """With stride 1 this does not depend on the size."""
    total = span - 1 if stride == 1 else positive(((size + stride - 1) // stride - 1) * stride + span - size)
    return total // 2, total - total // 2


def require_room(sizes: Sequence[Size], window: Sequence[Size], dilation: Sequence[int], sides: Sides) -> None:
    """The window fits into the padded input at least once."""
    for n, w, d, (low, high) in zip(sizes, window, dilation, sides, strict=True):
        room = n + low + high - window_span(w, d)
        if isinstance(room, int) and room < 0:
            raise ShapeError(f"a window of {window_span(w, d)} places does not fit into {n + low + high}",
                             span=current_span(3), fix="use a smaller window, or more padding")


# ---- one op ----------------------------------------------------------------------------------------------------


def _names(rank: int, last: bool, front: str, features: str) -> str:
    """The axes of an input or a result: "b01gi" or "bgi01"."""
    space = "012"[:rank]
    return front + space + features if last else front + features + space


def _split(x: Any, axis: int, groups: int, each: Size) -> Any:
    """A channel axis as groups of `each` channels."""
    shape = x.type.shape
    return emit("reshape", x, shape=(*shape[:axis], groups, each, *shape[axis + 1:]))


def _joined(x: Any, axis: int) -> Any:
    shape = x.type.shape
    return emit("reshape", x, shape=(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2:]))


def _convolved(x: Any, kernel: Any, strides: Any, padding: Padding, dilation: Any, groups: int, layout: str,
               rank: int) -> Any:
    """A convolution over `rank` axes of space."""
    x, kernel = promote(x, kernel)
    steps, gaps, last = per_axis("strides", strides, rank), per_axis("dilation", dilation, rank), channels_last(layout)
    _require_channels(x, kernel, groups, rank, last)
    window, sizes = kernel.type.shape[:rank], _space_sizes(x, rank, last)
    sides = sides_of(padding, sizes, window, steps, gaps)
    require_room(sizes, window, gaps, sides)
    space, channel = "012"[:rank], rank + 1 if last else 1
    names = f"{_names(rank, last, 'b', 'i')},{space}io->{_names(rank, last, 'b', 'o')}"
    if groups != 1:
        *_, inside, outputs = kernel.type.shape
        x, kernel = _split(x, channel, groups, inside), _split(kernel, rank + 1, groups, outputs // groups)
        names = f"{_names(rank, last, 'b', 'gi')},{space}igo->{_names(rank, last, 'b', 'go')}"
    made = emit("convolution", x, kernel, dims=names, strides=steps, padding=sides, lhs_dilation=(1,) * rank,
                rhs_dilation=gaps)
    return made if groups == 1 else _joined(made, channel)


def _static(x: Any, kernel: Any, last: bool) -> tuple[tuple[Size, ...], tuple[int, ...]]:
    """The shapes; code is made for the shape of the kernel and for the number of channels."""
    known = tuple([int(n) for n in kernel.shape])
    if len(x.shape) > 1:
        int(x.shape[-1 if last else 1])
    return tuple(x.type.shape), known


def _space_sizes(x: Any, rank: int, last: bool) -> tuple[Size, ...]:
    shape: tuple[Size, ...] = x.type.shape
    return shape[1:rank + 1] if last else shape[2:]


def _require_channels(x: Any, kernel: Any, groups: int, rank: int, last: bool) -> None:
    shapes = _static(x, kernel, last)
    fits = len(shapes[0]) == rank + 2 == len(shapes[1]) and groups >= 1
    fits = fits and shapes[0][-1 if last else 1] == shapes[1][-2] * groups and shapes[1][-1] % groups == 0
    if not fits:
        raise ShapeError(f"an input {shapes[0]} (channels {'last' if last else 'first'}) does not fit a kernel "
                         f"{shapes[1]} with {groups} groups", span=current_span(4),
                         why=f"the kernel has the shape ({'window, ' * rank}channels / groups, channels out)",
                         fix="transpose one of them, or change groups or layout")


_STATIC = ("strides", "padding", "dilation", "groups", "layout")


@library(static=_STATIC)
def conv1d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NHWC") -> Any:
    """(batch, length, in) with (window, in / groups, out); layout "NCHW": channels first."""
    return _convolved(x, kernel, strides, padding, dilation, groups, layout, 1)


@library(static=_STATIC)
def conv2d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NHWC") -> Any:
    """(batch, height, width, in) with (window, window, in / groups, out); layout "NCHW": channels first."""
    return _convolved(x, kernel, strides, padding, dilation, groups, layout, 2)


@library(static=_STATIC)
def conv3d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NHWC") -> Any:
    """(batch, depth, height, width, in) with (window, window, window, in / groups, out)."""
    return _convolved(x, kernel, strides, padding, dilation, groups, layout, 3)


# ---- transposed ------------------------------------------------------------------------------------------------


def _transposed(x: Any, kernel: Any, strides: Any, padding: Padding, dilation: Any, layout: str, rank: int) -> Any:
    """The window turned round goes over inputs that lie `strides` apart."""
    x, kernel = promote(x, kernel)
    steps, gaps, last = per_axis("strides", strides, rank), per_axis("dilation", dilation, rank), channels_last(layout)
    _require_channels(x, kernel, 1, rank, last)
    spans = [window_span(w, d) for w, d in zip(kernel.type.shape[:rank], gaps, strict=True)]
    if padding in ("same", "SAME"):
        cut: Sides = tuple([_same_cut(span, s) for span, s in zip(spans, steps, strict=True)])
    else:
        cut = sides_of(padding, (0,) * rank, spans, steps, (1,) * rank)
    sides = tuple((span - 1 - low, span - 1 - high) for span, (low, high) in zip(spans, cut, strict=True))
    names = f"{_names(rank, last, 'b', 'i')},{'012'[:rank]}io->{_names(rank, last, 'b', 'o')}"
    turned = emit("reverse", kernel, axes=tuple(range(rank)))
    return emit("convolution", x, turned, dims=names, strides=(1,) * rank, padding=sides, lhs_dilation=steps,
                rhs_dilation=gaps)


def _same_cut(span: Size, stride: int) -> tuple[Size, Size]:
    """What is cut off so that size * stride places are left; negative: zeros."""
    total = span - stride
    if isinstance(total, int) and total < 0:
        return 0, total
    return total // 2, total - total // 2


_TRANSPOSED = ("strides", "padding", "dilation", "layout")


@library(static=_TRANSPOSED)
def conv_transpose1d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "same", dilation: Any = 1,
                     layout: str = "NHWC") -> Any:
    """The transpose of a strided `conv1d`: (batch, length, in) with (window, in, out). See `conv_transpose2d`."""
    return _transposed(x, kernel, strides, padding, dilation, layout, 1)


@library(static=_TRANSPOSED)
def conv_transpose2d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "same", dilation: Any = 1,
                     layout: str = "NHWC") -> Any:
    """The transpose of a strided `conv2d`: (batch, height, width, in) with (window, window, in, out).

    "same" gives size * stride places, "valid" (size - 1) * stride + window; numbers are cut off at both ends, they are
    the padding of the convolution whose transpose this is.
    """
    return _transposed(x, kernel, strides, padding, dilation, layout, 2)


@library(static=_TRANSPOSED)
def conv_transpose3d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "same", dilation: Any = 1,
                     layout: str = "NHWC") -> Any:
    """The transpose of a strided `conv3d`: with (window, window, window, in, out). See `conv_transpose2d`."""
    return _transposed(x, kernel, strides, padding, dilation, layout, 3)


# ---- depthwise -------------------------------------------------------------------------------------------------


def _depthwise(x: Any, kernel: Any, strides: Any, padding: Padding, dilation: Any, layout: str, rank: int) -> Any:
    x, kernel = promote(x, kernel)
    steps, gaps, last = per_axis("strides", strides, rank), per_axis("dilation", dilation, rank), channels_last(layout)
    _require_channels(x, kernel, 1, rank, last)
    window, sizes = kernel.type.shape[:rank], _space_sizes(x, rank, last)
    sides = sides_of(padding, sizes, window, steps, gaps)
    require_room(sizes, window, gaps, sides)
    names = f"{_names(rank, last, 'b', 'g')},{'012'[:rank]}go->{_names(rank, last, 'b', 'go')}"
    made = emit("convolution", x, kernel, dims=names, strides=steps, padding=sides, lhs_dilation=(1,) * rank,
                rhs_dilation=gaps)
    return _joined(made, rank + 1 if last else 1)


@library(static=_TRANSPOSED)
def depthwise_conv2d(x: Any, kernel: Any, strides: Any = 1, padding: Padding = "valid", dilation: Any = 1,
                     layout: str = "NHWC") -> Any:
    """Each channel by itself: (batch, height, width, in) with (window, window, in, multiplier): in * multiplier out."""
    return _depthwise(x, kernel, strides, padding, dilation, layout, 2)


@library(static=_TRANSPOSED)
def separable_conv2d(x: Any, depthwise: Any, pointwise: Any, strides: Any = 1, padding: Padding = "valid",
                     dilation: Any = 1, layout: str = "NHWC") -> Any:
    """`depthwise_conv2d`, then a 1x1 convolution with (1, 1, in * multiplier, out)."""
    each = _depthwise(x, depthwise, strides, padding, dilation, layout, 2)
    return _convolved(each, pointwise, 1, "valid", 1, 1, layout, 2)
