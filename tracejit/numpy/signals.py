"""Small one-dimensional tools: gradient, trapezoid, interp, convolve, correlate, polynomials, windows.

Flows in:  samples and their places.
Flows out: slices and pointwise ops; a convolution is a sum of shifted products, or one op.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL
from tracejit.numpy.cumulative import diff
from tracejit.numpy.floats import i0
from tracejit.numpy.joining import as_list, concatenate, take_along
from tracejit.numpy.reductions import sum_
from tracejit.numpy.sorting import order_along, search
from tracejit.numpy.support import (
    as_size,
    compare,
    emit,
    fail,
    filled,
    flattened,
    iota,
    like,
    listed_axes,
    normal_axis,
    operand,
    placed,
    reshaped,
    select,
    shape_of,
    sliced,
    unsupported,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_to, constant, convert, lift, promote, result_dtype, static_int
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size

_FEW_TAPS = 32     # up to here a convolution is written out as shifted products, which fuse


def _inexact(x: Array) -> Array:
    return convert(x, x.type.dtype if x.type.dtype.is_inexact else "f64")


def _row(x: Array, axis: int, first: int, last: Size) -> Array:
    """Elements first..last of an axis; negative positions count from the end."""
    n = shape_of(x)[axis]
    return sliced(x, axis, first + n if first < 0 else first, n + last if isinstance(last, int) and last <= 0 else last)


# ---- gradient and integral -------------------------------------------------------------------------------------


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences inside, one-sided ones at the ends."""
    x = operand(f)
    axes = tuple(range(x.ndim)) if axis is None else listed_axes(axis, x.ndim)
    spacings: list[Any] = [1.0] * len(axes) if not varargs else list(varargs) * (
        len(axes) if len(varargs) == 1 and operand(varargs[0]).ndim == 0 else 1)
    if len(spacings) != len(axes):
        fail(TypeError, "invalid number of arguments")
    if edge_order not in (1, 2):
        fail(ValueError, "'edge_order' greater than 2 not supported")
    results = [_gradient_along(_inexact(x), a, h, edge_order) for a, h in zip(axes, spacings)]
    return results[0] if len(results) == 1 else tuple(results)


def _gradient_along(x: Array, axis: int, spacing: Any, order: int) -> Array:
    n = shape_of(x)[axis]
    if isinstance(n, int) and n < order + 1:
        fail(ValueError, "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) "
             "elements are required.")
    h = operand(spacing)
    return _gradient_uneven(x, axis, h, order) if h.ndim else _gradient_even(x, axis, h, order)


def _weighted(*terms: tuple[Any, Array]) -> Array:
    """Sum of weights times arrays."""
    total: Any = None
    for weight, x in terms:
        part = elementwise(np.multiply, weight, x)
        total = part if total is None else elementwise(np.add, total, part)
    return total  # type: ignore[no-any-return]


def _gradient_even(x: Array, axis: int, h: Array, order: int) -> Array:
    def at(first: int, last: Size) -> Array:
        return _row(x, axis, first, last)

    def over(value: Any, by: Any) -> Array:
        return elementwise(np.true_divide, value, by)  # type: ignore[no-any-return]
    inside = over(elementwise(np.subtract, at(2, 0), at(0, -2)), elementwise(np.multiply, 2.0, h))
    if order == 1:
        first = over(elementwise(np.subtract, at(1, 2), at(0, 1)), h)
        last = over(elementwise(np.subtract, at(-1, 0), at(-2, -1)), h)
    else:
        a, b, c = (elementwise(np.true_divide, w, h) for w in (-1.5, 2.0, -0.5))
        first = _weighted((a, at(0, 1)), (b, at(1, 2)), (c, at(2, 3)))
        a, b, c = (elementwise(np.true_divide, w, h) for w in (0.5, -2.0, 1.5))
        last = _weighted((a, at(-3, -2)), (b, at(-2, -1)), (c, at(-1, 0)))
    return concatenate([first, inside, last], axis)  # type: ignore[no-any-return]


def _gradient_uneven(x: Array, axis: int, places: Array, order: int) -> Array:
    """Second order accurate for uneven spacing."""
    if places.ndim != 1 or not same_size(shape_of(places)[0], shape_of(x)[axis]):
        fail(ValueError, "when 1d, distances must match the length of the corresponding dimension")
    steps = convert(diff(places), result_dtype(places, np.float64(1)) if not places.type.dtype.is_inexact
                    else places.type.dtype)
    n = shape_of(steps)[0]
    shape = tuple(-1 if i == axis else 1 for i in range(x.ndim))

    def wide(h: Array) -> Array:
        return reshaped(h, [shape_of(h)[0] if k == -1 else 1 for k in shape])

    def mul(*v: Any) -> Any:
        return v[0] if len(v) == 1 else elementwise(np.multiply, v[0], mul(*v[1:]))

    def div(p: Any, q: Any) -> Any:
        return elementwise(np.true_divide, p, q)
    d1, d2 = wide(sliced(steps, 0, 0, n - 1)), wide(sliced(steps, 0, 1, n))
    both = elementwise(np.add, d1, d2)
    a = div(elementwise(np.negative, d2), mul(d1, both))
    b = div(elementwise(np.subtract, d2, d1), mul(d1, d2))
    c = div(d1, mul(d2, both))
    inside = _weighted((a, _row(x, axis, 0, -2)), (b, _row(x, axis, 1, -1)), (c, _row(x, axis, 2, 0)))
    h0, h1 = wide(sliced(steps, 0, 0, 1)), wide(sliced(steps, 0, n - 1, n))
    if order == 1:
        first = div(elementwise(np.subtract, _row(x, axis, 1, 2), _row(x, axis, 0, 1)), h0)
        last = div(elementwise(np.subtract, _row(x, axis, -1, 0), _row(x, axis, -2, -1)), h1)
    else:
        first, last = _uneven_ends(x, axis, wide, steps, mul, div)
    return concatenate([first, inside, last], axis)  # type: ignore[no-any-return]


def _uneven_ends(x: Array, axis: int, wide: Any, steps: Array, mul: Any, div: Any) -> tuple[Array, Array]:
    n = shape_of(steps)[0]
    d1, d2 = wide(sliced(steps, 0, 0, 1)), wide(sliced(steps, 0, 1, 2))
    both = elementwise(np.add, d1, d2)
    a = div(elementwise(np.negative, elementwise(np.add, mul(2.0, d1), d2)), mul(d1, both))
    first = _weighted((a, _row(x, axis, 0, 1)), (div(both, mul(d1, d2)), _row(x, axis, 1, 2)),
                      (div(elementwise(np.negative, d1), mul(d2, both)), _row(x, axis, 2, 3)))
    d1, d2 = wide(sliced(steps, 0, n - 2, n - 1)), wide(sliced(steps, 0, n - 1, n))
    both = elementwise(np.add, d1, d2)
    c = div(elementwise(np.add, mul(2.0, d2), d1), mul(d2, both))
    last = _weighted((div(d2, mul(d1, both)), _row(x, axis, -3, -2)),
                     (div(elementwise(np.negative, both), mul(d1, d2)), _row(x, axis, -2, -1)),
                     (c, _row(x, axis, -1, 0)))
    return first, last


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """Sum of step (y[i] + y[i+1]) / 2."""
    values = operand(y)
    at = normal_axis(axis, values.ndim)
    step: Any = dx
    if x is not None:
        places = operand(x)
        if places.ndim == 1:
            steps = lift(diff(places))
            step = reshaped(steps, [shape_of(steps)[0] if i == at else 1 for i in range(values.ndim)])
        else:
            step = diff(places, axis=at)
    n = shape_of(values)[at]
    pairs = elementwise(np.add, sliced(values, at, 1, n), sliced(values, at, 0, n - 1))
    return sum_(elementwise(np.true_divide, elementwise(np.multiply, step, pairs), 2.0), at)


# ---- interpolation ---------------------------------------------------------------------------------------------


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear interpolation of the points (xp, fp), constant outside."""
    places, table, values = convert(operand(x), "f64"), convert(operand(xp), "f64"), operand(fp)
    values = convert(values, "c128" if values.type.dtype.is_complex else "f64")
    if period is not None:
        places, table, values = _periodic(places, table, values, period)
    n = shape_of(table)[0]
    if table.ndim != 1 or values.ndim != 1:
        fail(ValueError, "Data points must be 1-D sequences")
    if not same_size(n, shape_of(values)[0]):
        fail(ValueError, "fp and xp are not of the same length.")
    if isinstance(n, int) and n == 0:
        fail(ValueError, "array of sample points is empty")
    if isinstance(n, int) and n == 1:
        below = above = sliced(values, 0, 0, 1)
        inside = broadcast_to(reshaped(below, ()), shape_of(places))
    else:
        inside = _interpolated(places, table, values)
    low = reshaped(sliced(table, 0, 0, 1), ())
    high = reshaped(sliced(table, 0, n - 1, n), ())
    below = _outside(left, sliced(values, 0, 0, 1), values)
    above = _outside(right, sliced(values, 0, n - 1, n), values)
    result = select(compare("LT", places, broadcast_to(low, shape_of(places))),
                    broadcast_to(below, shape_of(places)), inside)
    result = select(compare("GT", places, broadcast_to(high, shape_of(places))),
                    broadcast_to(above, shape_of(places)), result)
    return result


def _outside(given: Any, end: Array, values: Array) -> Array:
    return reshaped(end, ()) if given is None else convert(lift(given), values.type.dtype)


def _interpolated(places: Array, table: Array, values: Array) -> Array:
    n = shape_of(table)[0]
    at = elementwise(np.subtract, search(table, places, "right"), 1)
    at = elementwise(np.maximum, elementwise(np.minimum, at, elementwise(np.subtract, table.shape[0], 2)), 0)
    after = elementwise(np.add, at, 1)
    (x0, x1), (y0, y1) = ([emit("gather", v, i, axes=(0,)) for i in (at, after)] for v in (table, values))
    slope = elementwise(np.true_divide, elementwise(np.subtract, y1, y0), elementwise(np.subtract, x1, x0))
    inside = elementwise(np.add, elementwise(np.multiply, slope, elementwise(np.subtract, places, x0)), y0)
    last = emit("gather", values, filled(0, "i64", shape_of(places)) if n == 0 else after, axes=(0,))
    return select(compare("EQ", places, x1), last, inside)


def _periodic(places: Array, table: Array, values: Array, period: Any) -> tuple[Array, Array, Array]:
    period = elementwise(np.absolute, operand(period))
    places, table = (elementwise(np.remainder, v, period) for v in (places, table))
    order = order_along(table, 0)
    table, values = take_along(table, order, 0), take_along(values, order, 0)
    n = shape_of(table)[0]
    first = elementwise(np.subtract, sliced(table, 0, n - 1, n), period)
    last = elementwise(np.add, sliced(table, 0, 0, 1), period)
    wide = emit("concatenate", sliced(values, 0, n - 1, n), values, sliced(values, 0, 0, 1), axis=0)
    return places, emit("concatenate", first, table, last, axis=0), wide


# ---- convolution -----------------------------------------------------------------------------------------------


def correlated(x: Array, taps: Array, mode: str) -> Array:
    """out[i] = sum_k x[i + k] taps[k] over full, same or valid overlaps; `taps` is not longer than `x`."""
    n, k = shape_of(x)[0], static_int(taps.shape[0])
    before, after = {"valid": (0, 0), "full": (k - 1, k - 1), "same": (k // 2, (k - 1) // 2)}[mode]
    if k > _FEW_TAPS and x.type.dtype is BOOL:
        return compare("NE", correlated(convert(x, "i64"), convert(taps, "i64"), mode), 0)
    if k > _FEW_TAPS:
        made: Array = emit("convolution", x, taps, dims="0,0->0", strides=(1,), padding=((before, after),),
                           lhs_dilation=(1,), rhs_dilation=(1,))
        return made
    zero = constant(x.type.dtype.numpy.type(0).item(), x.type.dtype)
    padded = emit("pad", x, zero, low=(before,), high=(after,), interior=(0,)) if before + after else x
    return _shifted_sum(padded, taps, n + before + after - k + 1, k)


def _shifted_sum(x: Array, taps: Array, size: Size, count: int) -> Array:
    total: Any = None
    multiply, add = ("and", "or") if x.type.dtype is BOOL else ("multiply", "add")
    for i in range(count):
        weight = broadcast_to(reshaped(sliced(taps, 0, i, i + 1), ()), (size,))
        part = emit(multiply, sliced(x, 0, i, i + size), weight)
        total = part if total is None else emit(add, total, part)
    return total  # type: ignore[no-any-return]


def _two_lines(a: Any, v: Any, empty: str) -> tuple[Array, Array]:
    x, y = promote(operand(a), operand(v))
    x, y = (flattened(p) if p.ndim == 0 else p for p in (x, y))
    if x.ndim != 1 or y.ndim != 1:
        fail(ValueError, "object too deep for desired array")
    for p, name in ((x, "first"), (y, "second")):
        if shape_of(p)[0] == 0:
            fail(ValueError, empty.format(name))
    return x, y


def _mode(mode: Any) -> str:
    found = {0: "valid", 1: "same", 2: "full"}.get(mode, mode)
    if found not in ("valid", "same", "full"):
        fail(ValueError, f"mode must be one of 'valid', 'same', or 'full' (got '{mode}')")
    return str(found)


def _is_longer(x: Array, y: Array) -> bool:
    return bool(x.shape[0] > y.shape[0])


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    x, y = _two_lines(a, v, "a cannot be empty")
    if _is_longer(y, x):
        x, y = y, x
    return correlated(x, emit("reverse", y, axes=(0,)), _mode(mode))


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """sum_n a[n + k] conj(v[n])."""
    x, y = _two_lines(a, v, "{} array argument cannot be empty")
    y = elementwise(np.conjugate, y) if y.type.dtype.is_complex else y
    if not _is_longer(y, x):
        return correlated(x, y, _mode(mode))
    return emit("reverse", correlated(y, x, _mode(mode)), axes=(0,)) if _mode(mode) != "same" else _same_swapped(x, y)


def _same_swapped(x: Array, y: Array) -> Array:
    """mode 'same' with the longer array second: the middle of the full correlation, reversed."""
    full = emit("reverse", correlated(y, x, "full"), axes=(0,))
    n, start = shape_of(y)[0], static_int(x.shape[0]) // 2
    return sliced(full, 0, start, start + n)


# ---- polynomials -----------------------------------------------------------------------------------------------


def coefficients(p: Any) -> list[Any]:
    """Coefficients, highest power first, as scalars."""
    if isinstance(p, (list, tuple)):
        return list(p)
    x = operand(p)
    if x.ndim == 0:
        return [x]
    return [reshaped(sliced(x, 0, i, i + 1), ()) for i in range(static_int(x.shape[0]))]


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Horner's scheme."""
    if isinstance(x, np.poly1d):
        unsupported("np.polyval at a poly1d can't be compiled", fix="pass an array")
    places = operand(x)
    kind = result_dtype(*([operand(p)] if not isinstance(p, (list, tuple)) else [operand(list(p))]), places)
    result: Any = filled(places.type.dtype.numpy.type(0).item(), places.type.dtype, shape_of(places))
    for c in coefficients(p):
        result = elementwise(np.add, elementwise(np.multiply, result, places), c)
    return convert(lift(result), kind)


def _aligned(a1: Any, a2: Any) -> tuple[Array, Array]:
    x, y = promote(*(flattened(operand(a)) for a in (a1, a2)))
    n = max(static_int(x.shape[0]), static_int(y.shape[0]))

    def lengthened(p: Array) -> Array:
        missing = n - static_int(p.shape[0])
        zero = constant(p.type.dtype.numpy.type(0).item(), p.type.dtype)
        return emit("pad", p, zero, low=(missing,), high=(0,), interior=(0,)) if missing else p
    return lengthened(x), lengthened(y)


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    return elementwise(np.add, *_aligned(a1, a2))


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    return elementwise(np.subtract, *_aligned(a1, a2))


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    return convolve(flattened(operand(a1)), flattened(operand(a2)))


@implements(np.polyder)
def polyder(p: Any, m: Any = 1) -> Any:
    x = flattened(operand(p))
    for _ in range(static_int(m)):
        n = static_int(x.shape[0])
        powers = constant(tuple(range(n - 1, 0, -1)), "i64", (n - 1,))
        x = elementwise(np.multiply, sliced(x, 0, 0, n - 1), powers)
    return x


@implements(np.polyint)
def polyint(p: Any, m: Any = 1, k: Any = None) -> Any:
    x = flattened(operand(p))
    given = 0 if k is None else k
    for c in as_list(given) if isinstance(given, (list, tuple)) else [given] * static_int(m):
        n = static_int(x.shape[0])
        powers = constant(tuple(range(n, 0, -1)), "i64", (n,))
        x = lift(elementwise(np.true_divide, x, powers))
        x = lift(concatenate([x, reshaped(convert(lift(c), x.type.dtype), (1,))]))
    return x


# ---- windows ---------------------------------------------------------------------------------------------------


def _window(formula: Any) -> Any:
    """A window of M points from the odd integers 1 - M, 3 - M, ... M - 1."""
    def function(M: Any) -> Any:
        count = as_size(M)
        if isinstance(count, int) and count < 1:
            return filled(0.0, "f64", (0,))
        if isinstance(count, int) and count == 1:
            return filled(1.0, "f64", (1,))
        n = emit("subtract", emit("add", iota(count), iota(count)), placed_size(count - 1, (count,)))
        last = convert(placed_size(count - 1, (count,)), "f64")
        return formula(convert(n, "f64"), last)
    return function


def placed_size(size: Size, shape: tuple[Size, ...]) -> Array:
    """A size as an i64 array."""
    if isinstance(size, int):
        return filled(size, "i64", shape)
    return placed(emit("dimension", size=size), shape, ())


def _cosine(n: Array, last: Array, *weights: float) -> Array:
    """w0 + w1 cos(pi n / last) + w2 cos(2 pi n / last)."""
    total: Any = like(n, weights[0])
    for k, w in enumerate(weights[1:], 1):
        angle = elementwise(np.true_divide, elementwise(np.multiply, n, k * float(np.pi)), last)
        total = elementwise(np.add, total, elementwise(np.multiply, w, elementwise(np.cos, angle)))
    return total  # type: ignore[no-any-return]


implements(np.hanning)(_window(lambda n, last: _cosine(n, last, 0.5, 0.5)))
implements(np.hamming)(_window(lambda n, last: _cosine(n, last, 0.54, 0.46)))
implements(np.blackman)(_window(lambda n, last: _cosine(n, last, 0.42, 0.5, 0.08)))
implements(np.bartlett)(_window(lambda n, last: elementwise(
    np.subtract, 1.0, elementwise(np.absolute, elementwise(np.true_divide, n, last)))))


@implements(np.kaiser)
def kaiser(M: Any, beta: Any) -> Any:
    count = as_size(M)
    if isinstance(count, int) and count <= 1:
        return filled(1.0, "f64", (max(count, 0),))
    half = elementwise(np.true_divide, placed_size(count - 1, (count,)), 2.0)
    ratio = elementwise(np.true_divide, elementwise(np.subtract, iota(count), half), half)
    inner = elementwise(np.sqrt, elementwise(np.subtract, 1.0, elementwise(np.multiply, ratio, ratio)))
    return elementwise(np.true_divide, i0(elementwise(np.multiply, beta, inner)), i0(convert(operand(beta), "f64")))

