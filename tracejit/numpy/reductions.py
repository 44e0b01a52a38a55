"""Reductions: sum, prod, min, max, any, all, argmin, argmax, count_nonzero, mean, var, std, ptp, and `ufunc.reduce`.

Flows in:  an array, axes as NumPy takes them, dtype=, keepdims=, initial=, where=, out=.
Flows out: reduce ops over non-negative sorted axes, with NumPy's result dtypes and its rules for empty arrays.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, F64, I64, U64, DType
from tracejit.numpy.support import (
    NO_VALUE,
    as_bool,
    as_dtype,
    count_of,
    emit,
    expanded,
    fail,
    filled,
    finish,
    flattened,
    is_half,
    like,
    normal_axes,
    normal_axis,
    operand,
    placed,
    select,
    shape_of,
    size_scalar,
    transposed,
    widened,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast, broadcast_to, constant, convert, lift
from tracejit.tracing.implements import implements


def reduce(op: str, x: Array, axes: Sequence[int], keepdims: bool = False) -> Array:
    """One reduce op; 16-bit floats are accumulated in f32."""
    result = convert(emit(op, widened(x), axes=tuple(axes)), x.type.dtype) if axes else x
    return expanded(result, axes) if keepdims else result


def is_given(value: Any) -> bool:
    return value is not None and value is not NO_VALUE


def _masked(x: Array, where: Any, identity: Any) -> Array:
    """`x` with the identity where `where` is False."""
    if where is True or not is_given(where):
        return x
    x, mask = broadcast(x, as_bool(where))
    return select(mask, x, like(x, identity))


def sum_dtype(dtype: DType) -> DType:
    """What sums and products of small integers are accumulated in."""
    if dtype.kind in "bi":
        return I64
    return U64 if dtype.kind == "u" else dtype


def _fold(op: str, combine: np.ufunc, identity: Any, x: Array, axis: Any, keepdims: Any, initial: Any,
          where: Any) -> Array:
    """A reduction that has an identity."""
    x = _masked(x, where, identity)
    result = reduce(op, x, normal_axes(axis, x.ndim), keepdims is True)
    return convert(elementwise(combine, initial, result), x.type.dtype) if is_given(initial) else result


@implements(np.sum)
def sum_(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
         where: Any = True) -> Any:
    """np.sum."""
    x = operand(a)
    x = convert(x, sum_dtype(x.type.dtype) if dtype is None else as_dtype(dtype))
    if x.type.dtype is BOOL:
        return finish(_fold("reduce_or", np.logical_or, False, x, axis, keepdims, initial, where), out)
    return finish(_fold("reduce_sum", np.add, 0, x, axis, keepdims, initial, where), out, name="add")


@implements(np.prod)
def prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
         where: Any = True) -> Any:
    """np.prod."""
    x = operand(a)
    x = convert(x, sum_dtype(x.type.dtype) if dtype is None else as_dtype(dtype))
    if x.type.dtype is BOOL:
        return finish(_fold("reduce_and", np.logical_and, True, x, axis, keepdims, initial, where), out)
    return finish(_fold("reduce_prod", np.multiply, 1, x, axis, keepdims, initial, where), out, name="multiply")


@implements(np.any)
def any_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    x = as_bool(operand(a))
    return finish(_fold("reduce_or", np.logical_or, False, x, axis, keepdims, None, where), out)


@implements(np.all)
def all_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    x = as_bool(operand(a))
    return finish(_fold("reduce_and", np.logical_and, True, x, axis, keepdims, None, where), out)


# ---- extremes --------------------------------------------------------------------------------------------------

_EXTREMES = {"minimum": ("reduce_min", "reduce_and", np.minimum), "maximum": ("reduce_max", "reduce_or", np.maximum)}


def extreme(name: str, a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
            where: Any = True) -> Any:
    """min or max; ValueError for an empty axis without `initial`."""
    x = operand(a)
    x = convert(x, x.type.dtype)
    op, bool_op, combine = _EXTREMES[name]
    axes = normal_axes(axis, x.ndim)
    if is_given(initial):
        x = _masked(x, where, _as_number(initial)) if not isinstance(initial, Array) else _masked_by(x, where, initial)
    elif where is not True and is_given(where):
        fail(ValueError, f"reduction operation '{name}' does not have an identity, so to use a where mask one has to "
             "specify 'initial'")
    require_elements(x, axes, name, initial)
    if x.type.dtype.is_complex:
        result = _extreme_complex(name, x, axes, keepdims is True)
    else:
        result = reduce(bool_op if x.type.dtype is BOOL else op, x, axes, keepdims is True)
    if is_given(initial):
        result = convert(elementwise(combine, result, initial), x.type.dtype)
    return finish(result, out, name=name)


def _as_number(value: Any) -> Any:
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value


def _masked_by(x: Array, where: Any, initial: Array) -> Array:
    if where is True or not is_given(where):
        return x
    x, mask = broadcast(x, as_bool(where))
    return select(mask, x, broadcast_to(convert(initial, x.type.dtype), shape_of(x)))


def require_elements(x: Array, axes: Sequence[int], name: str, initial: Any = NO_VALUE) -> None:
    """ValueError if a reduced axis is empty and nothing says what the result would be."""
    shape = shape_of(x)
    if not is_given(initial) and any(shape[a] == 0 for a in axes) and all(
            n != 0 for a, n in enumerate(shape) if a not in axes):
        fail(ValueError, f"zero-size array to reduction operation {name} which has no identity")


def _extreme_complex(name: str, x: Array, axes: Sequence[int], keepdims: bool) -> Array:
    """By real part, then imaginary part; NaN first: the last or first element in sorted order."""
    kept = [a for a in range(x.ndim) if a not in axes]
    lines = emit("reshape", transposed(x, [*kept, *axes]),
                 shape=(*(shape_of(x)[a] for a in kept), count_of(x, axes)))
    bad = emit("is_nan", lines)
    nan_first = convert(bad if name == "maximum" else emit("not", bad), "i8")
    ordered = emit("sort", nan_first, emit("real", lines), emit("imag", lines), axis=len(kept), num_keys=3,
                   descending=name == "maximum")
    value = emit("complex", *(emit("reshape", emit(
        "slice", part, start=(0,) * part.ndim, limit=(*shape_of(part)[:-1], 1), stride=(1,) * part.ndim),
        shape=shape_of(part)[:-1]) for part in ordered[1:]))
    return expanded(value, axes) if keepdims else value


@implements(np.min, np.amin)
def min_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
         where: Any = True) -> Any:
    return extreme("minimum", a, axis, out, keepdims, initial, where)


@implements(np.max, np.amax)
def max_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NO_VALUE,
         where: Any = True) -> Any:
    return extreme("maximum", a, axis, out, keepdims, initial, where)


def _position(op: str, name: str, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    x = operand(a)
    rank = x.ndim
    flat = axis is None or rank == 0
    x = convert(x, x.type.dtype)
    line = flattened(x) if flat else x
    at = 0 if flat else normal_axis(axis, rank)
    if shape_of(line)[at] == 0:
        fail(ValueError, f"attempt to get {name} of an empty sequence")
    line = convert(line, "u8") if line.type.dtype is BOOL else line
    result = emit(op, line, axis=at)
    if keepdims is True:
        result = expanded(result, range(rank) if flat else (at,))
    return finish(result, out, casting="safe")


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return _position("reduce_argmin", "argmin", a, axis, out, keepdims)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return _position("reduce_argmax", "argmax", a, axis, out, keepdims)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """max - min."""
    high, low = max_(a, axis, keepdims=keepdims), min_(a, axis, keepdims=keepdims)
    return finish(elementwise(np.subtract, high, low), out)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return sum_(as_bool(operand(a)), axis, keepdims=keepdims)


# ---- moments ---------------------------------------------------------------------------------------------------


def count_array(x: Array, axes: Sequence[int], where: Any, keepdims: bool) -> Any:
    """How many elements go into each result: an int, the scalar of a `Dim`, or an array with `where`."""
    if where is True or not is_given(where):
        return size_scalar(count_of(x, axes))
    mask = broadcast_to(as_bool(where), shape_of(x))
    return sum_(mask, tuple(axes), keepdims=keepdims)


def divided(x: Array, count: Any) -> Array:
    """x / count in the dtype of `x`, as NumPy's `true_divide(x, count, casting='unsafe')`."""
    if not isinstance(count, Array):
        return emit("divide", x, filled(count, x.type.dtype, shape_of(x)))
    return emit("divide", x, broadcast_to(convert(count, x.type.dtype), shape_of(x)))


def _moment_dtype(x: Array, dtype: Any) -> DType:
    """What the sum of a mean is taken in: f64 for ints, f32 for 16-bit floats."""
    if dtype is not None:
        return as_dtype(dtype)
    own = x.type.dtype
    return own if own.is_inexact else F64


def mean_of(x: Array, axes: Sequence[int], dtype: Any = None, where: Any = True, keepdims: bool = False) -> Array:
    """The mean of the elements over axes."""
    wide = convert(x, _moment_dtype(x, dtype))
    half = is_half(wide.type.dtype) and dtype is None
    summed = reduce("reduce_sum", _masked(widened(wide) if half else wide, where, 0), axes, keepdims)
    if not summed.type.dtype.is_inexact:
        return convert(elementwise(np.true_divide, summed, count_array(x, axes, where, keepdims)), summed.type.dtype)
    mean = divided(summed, count_array(x, axes, where, keepdims))
    return convert(mean, wide.type.dtype) if half else mean


@implements(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
         where: Any = True) -> Any:
    """np.mean; of an empty axis NaN."""
    x = operand(a)
    x = convert(x, x.type.dtype)
    return finish(mean_of(x, normal_axes(axis, x.ndim), dtype, where, keepdims is True), out, casting="unsafe")


@implements(np.var)
def var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = True, mean: Any = NO_VALUE, correction: Any = NO_VALUE) -> Any:
    """np.var: the mean of |x - mean|^2, in two passes, with n - ddof below."""
    return finish(_variance(a, axis, dtype, _ddof(ddof, correction), keepdims, where, mean), out, casting="unsafe")


@implements(np.std)
def std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = True, mean: Any = NO_VALUE, correction: Any = NO_VALUE) -> Any:
    """np.std."""
    result = _variance(a, axis, dtype, _ddof(ddof, correction), keepdims, where, mean)
    return finish(length(result), out, casting="unsafe")


def length(square: Array) -> Array:
    """The root of a sum of squares. Where it is 0 so is its derivative, the shortest of all subgradients, not NaN."""
    is_zero = emit("compare", square, constant(0, square.type.dtype, shape_of(square)), direction="EQ")
    return emit("select", is_zero, square, emit("sqrt", square))


def _ddof(ddof: Any, correction: Any) -> Any:
    if not is_given(correction):
        return ddof
    if not isinstance(ddof, int) or ddof != 0:
        fail(ValueError, "ddof and correction can't be provided simultaneously.")
    return correction


def _variance(a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, where: Any, given_mean: Any) -> Array:
    x = operand(a)
    axes = normal_axes(axis, x.ndim)
    wide = convert(x, _moment_dtype(x, dtype))
    if is_given(given_mean):
        center = convert(lift(given_mean), wide.type.dtype)
    else:
        center = divided(reduce("reduce_sum", _masked(wide, where, 0), axes, True), count_array(x, axes, where, True))
    apart = emit("subtract", wide, broadcast_to(center, shape_of(wide)))
    if apart.type.dtype.is_complex:
        real, imag = emit("real", apart), emit("imag", apart)
        squared = emit("add", emit("multiply", real, real), emit("multiply", imag, imag))
    else:
        squared = emit("multiply", apart, apart)
    summed = reduce("reduce_sum", _masked(squared, where, 0), axes, keepdims is True)
    return divided(summed, _degrees_of_freedom(count_array(x, axes, where, keepdims is True), ddof))


def _degrees_of_freedom(count: Any, ddof: Any) -> Any:
    """max(count - ddof, 0)."""
    if isinstance(ddof, int) and ddof == 0:
        return count
    if not isinstance(count, Array) and not isinstance(ddof, Array):
        return max(count - ddof, 0)
    return elementwise(np.maximum, elementwise(np.subtract, count, ddof), 0)


def spread(x: Array, shape: Sequence[Size], axes: Sequence[int]) -> Array:
    """A reduced array broadcast back over the axes that were reduced."""
    return placed(x, shape, [a for a in range(len(shape)) if a not in axes])


# ---- ufunc.reduce ----------------------------------------------------------------------------------------------


def _reducer(function: Any, takes_dtype: bool) -> Any:
    """`ufunc.reduce`: as the function, over axis 0 by default."""
    def call(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False,
             initial: Any = NO_VALUE, where: Any = True) -> Any:
        x = operand(array) if dtype is None or takes_dtype else convert(operand(array), as_dtype(dtype))
        options = {"axis": axis, "out": out, "keepdims": bool(keepdims), "where": where}
        options |= {"dtype": dtype} if takes_dtype else {}
        return function(x, **options, **({"initial": initial} if is_given(initial) else {}))
    return call


for _ufunc, _function in ((np.add, sum_), (np.multiply, prod), (np.logical_or, any_), (np.logical_and, all_),
                          (np.minimum, min_), (np.maximum, max_)):
    implements((_ufunc, "reduce"))(_reducer(_function, _function in (sum_, prod)))
