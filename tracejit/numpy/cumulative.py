"""Cumulative functions, differences and `ufunc.accumulate`, `outer`, `at`, `reduceat`.

Flows in:  arrays and an axis.
Flows out: cumulative ops; slices and subtractions; scatter ops.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dtypes import BOOL
from tracejit.numpy.indexing import read, update
from tracejit.numpy.joining import concatenate
from tracejit.numpy.reductions import is_given, reduce, sum_dtype
from tracejit.numpy.support import (
    as_dtype,
    compare,
    emit,
    fail,
    finish,
    flattened,
    normal_axis,
    operand,
    reshaped,
    select,
    shape_of,
    sliced,
    unsupported,
    widened,
)
from tracejit.numpy.ufuncs import MEANINGS, elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, convert, lift, static_int, write
from tracejit.tracing.implements import NUMPY, implements


def accumulate(op: str, x: Array, axis: int) -> Array:
    """One cumulative op; 16-bit floats are accumulated in f32."""
    return convert(emit(op, widened(x), axis=axis, reverse=False), x.type.dtype)


def _line(a: Any, axis: Any, dtype: Any, small: bool = True) -> tuple[Array, int]:
    x = operand(a)
    kind = as_dtype(dtype) if dtype is not None else sum_dtype(x.type.dtype) if small else x.type.dtype
    x = convert(x, kind)
    if axis is None or x.ndim == 0:
        return flattened(x), 0
    return x, normal_axis(axis, x.ndim)


@implements(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return finish(accumulate("cumulative_sum", *_line(a, axis, dtype)), out)


@implements(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return finish(accumulate("cumulative_prod", *_line(a, axis, dtype)), out)


def _array_api(op: str, identity: int) -> Any:
    def function(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None,
                 include_initial: bool = False) -> Any:
        array = lift(x)
        if array.ndim == 0:
            fail(ValueError, f"{op} requires at least one-dimensional input")
        if axis is None and array.ndim > 1:
            fail(ValueError, "For arrays which have more than one dimension ``axis`` argument is required.")
        line, at = _line(array, 0 if axis is None else axis, dtype)
        result = accumulate(op, line, at)
        if include_initial:
            zero = constant(line.type.dtype.numpy.type(identity).item(), line.type.dtype)
            low = tuple(int(i == at) for i in range(line.ndim))
            result = emit("pad", result, zero, low=low, high=(0,) * line.ndim, interior=(0,) * line.ndim)
        return finish(result, out)
    return function


implements(np.cumulative_sum)(_array_api("cumulative_sum", 0))
implements(np.cumulative_prod)(_array_api("cumulative_prod", 1))

_ACCUMULATE: dict[np.ufunc, str] = {    # fixed table
    np.add: "cumulative_sum", np.multiply: "cumulative_prod", np.maximum: "cumulative_max",
    np.minimum: "cumulative_min", np.logaddexp: "cumulative_logsumexp", np.logical_or: "cumulative_max",
    np.logical_and: "cumulative_min"}


def _accumulator_of(ufunc: np.ufunc) -> Any:
    op = _ACCUMULATE[ufunc]

    def function(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        line, at = _line(array, axis, dtype, small=ufunc in (np.add, np.multiply))
        if ufunc in (np.logical_or, np.logical_and):
            line = convert(line, BOOL)
        if line.type.dtype is BOOL:
            return finish(convert(accumulate(op, convert(line, "u8"), at), BOOL), out)
        return finish(accumulate(op, line, at), out)
    return function


def _outer_of(ufunc: np.ufunc) -> Any:
    def function(A: Any, B: Any, /, **options: Any) -> Any:
        x, y = operand(A), operand(B)
        return NUMPY[ufunc](reshaped(x, (*shape_of(x), *[1] * y.ndim)) if y.ndim else x, y, **options)
    return function


_AT: dict[np.ufunc, str] = {    # fixed table
    np.add: "add", np.multiply: "multiply", np.maximum: "maximum", np.minimum: "minimum", np.bitwise_or: "or",
    np.bitwise_and: "and", np.logical_or: "or", np.logical_and: "and"}


def _at_of(ufunc: np.ufunc) -> Any:
    """`ufunc.at(a, indices, b)`: unbuffered, duplicates accumulate."""
    def function(a: Any, indices: Any, b: Any = None, /) -> None:
        x = lift(a)
        if ufunc is np.subtract:
            write(x, Ellipsis, update(x, indices, elementwise(np.negative, b), "add"))
        elif ufunc in _AT:
            write(x, Ellipsis, update(x, indices, b, _AT[ufunc]))
        elif ufunc.nin == 1:
            write(x, Ellipsis, update(x, indices, elementwise(ufunc, read(x, indices))))
        else:
            unsupported(f"np.{ufunc.__name__}.at can't be compiled", why="repeated indices would be applied one by one",
                        fix="use add, subtract, multiply, minimum or maximum, or x[i] = ... for distinct indices")
    return function


for _ufunc in MEANINGS:
    if _ufunc.nin == 2 and _ufunc.nout == 1:
        implements((_ufunc, "outer"))(_outer_of(_ufunc))
    implements((_ufunc, "at"))(_at_of(_ufunc))
for _ufunc in _ACCUMULATE:
    implements((_ufunc, "accumulate"))(_accumulator_of(_ufunc))


@implements((np.bitwise_and, "reduce"))
def bitwise_and_reduce(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False,
                       initial: Any = None, where: Any = True) -> Any:
    return _bits("and", array, axis, out, keepdims)


@implements((np.bitwise_or, "reduce"))
def bitwise_or_reduce(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False,
                      initial: Any = None, where: Any = True) -> Any:
    return _bits("or", array, axis, out, keepdims)


def _bits(op: str, array: Any, axis: Any, out: Any, keepdims: bool) -> Any:
    """and / or of all elements along one axis, by halving it."""
    x = operand(array)
    at = normal_axis(axis, x.ndim)
    if x.type.dtype is BOOL:
        return finish(reduce(f"reduce_{op}", x, (at,), keepdims), out)
    n = static_int(x.shape[at])
    if n == 0:
        unsupported(f"np.bitwise_{op}.reduce of an empty axis can't be compiled")
    while n > 1:
        half = n // 2
        folded = emit(op, sliced(x, at, 0, half), sliced(x, at, half, 2 * half))
        x = folded if n % 2 == 0 else emit("concatenate", folded, sliced(x, at, n - 1, n), axis=at)
        n = half + n % 2
    shape = shape_of(x)
    return finish(x if keepdims else reshaped(x, (*shape[:at], *shape[at + 1:])), out)


@implements((np.add, "reduceat"))
def add_reduceat(array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """Sums between consecutive indices; where they don't rise, the one element."""
    x, at = _line(array, axis, dtype)
    if x.ndim != 1:
        unsupported("np.add.reduceat of an array with several axes can't be compiled", fix="ravel it first")
    starts = convert(operand(indices), "i64")
    n, count = shape_of(x)[0], shape_of(starts)[0]
    total = emit("pad", accumulate("cumulative_sum", x, at), constant(x.type.dtype.numpy.type(0).item(), x.type.dtype),
                 low=(1,), high=(0,), interior=(0,))
    end = convert(lift(n if isinstance(n, int) else emit("dimension", size=n)), "i64")
    stops = emit("concatenate", sliced(starts, 0, 1, count), reshaped(end, (1,)), axis=0)
    rising = compare("LT", starts, stops)
    sums = emit("subtract", emit("gather", total, stops, axes=(0,)), emit("gather", total, starts, axes=(0,)))
    return finish(select(rising, sums, read(x, starts)), out)


# ---- differences -----------------------------------------------------------------------------------------------


@implements(np.diff)
def diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours, n times; of bools, whether they differ."""
    x, times = operand(a), static_int(n)
    if times < 0:
        fail(ValueError, f"order must be non-negative but got {times!r}")
    if x.ndim == 0:
        fail(ValueError, "diff requires input that is at least one dimensional")
    at = normal_axis(axis, x.ndim)
    ends = [None if not is_given(e) else _end(e, x, at) for e in (prepend, append)]
    if ends[0] is not None or ends[1] is not None:
        x = concatenate([p for p in (ends[0], x, ends[1]) if p is not None], at)
    for _ in range(times):
        size = shape_of(x)[at]
        if isinstance(size, int) and size < 2:
            return sliced(x, at, 0, 0)
        after, before = sliced(x, at, 1, size), sliced(x, at, 0, size - 1)
        x = elementwise(np.not_equal if x.type.dtype is BOOL else np.subtract, after, before)
    return convert(x, x.type.dtype)


def _end(end: Any, x: Array, axis: int) -> Array:
    value = operand(end)
    if value.ndim:
        return value
    shape = [1 if i == axis else n for i, n in enumerate(shape_of(x))]
    return emit("broadcast_in_dim", convert(value, value.type.dtype), shape=tuple(shape), dims=())


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    x = diff(flattened(operand(ary)))
    parts = [None if p is None else convert(flattened(operand(p)), x.type.dtype) for p in (to_begin, to_end)]
    return concatenate([p for p in (parts[0], x, parts[1]) if p is not None])

