"""Quantiles, percentiles and medians, by all thirteen methods of NumPy.

Flows in:  arrays, probabilities (static or traced), axes.
Flows out: one sort, then gathers at positions; positions are computed while tracing where everything is known.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.numpy.reductions import mean_of, sum_
from tracejit.numpy.sorting import sorted_along
from tracejit.numpy.support import (
    count_of,
    emit,
    expanded,
    fail,
    finish,
    iota_along,
    like,
    normal_axes,
    operand,
    refuse_arguments,
    reshaped,
    select,
    shape_of,
    size_scalar,
    sliced,
    transposed,
    unsupported,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, broadcast_shapes, broadcast_to, constant, convert, lift
from tracejit.tracing.implements import implements


def _compute(ufunc: np.ufunc, *args: Any) -> Any:
    """The ufunc, at once where nothing is traced."""
    return elementwise(ufunc, *args) if any(isinstance(a, Array) for a in args) else ufunc(*args)


def _add(x: Any, y: Any) -> Any: return _compute(np.add, x, y)
def _sub(x: Any, y: Any) -> Any: return _compute(np.subtract, x, y)
def _mul(x: Any, y: Any) -> Any: return _compute(np.multiply, x, y)


def _choose(flag: Any, x: Any, y: Any) -> Any:
    if not any(isinstance(v, Array) for v in (flag, x, y)):
        return np.where(flag, x, y)
    flag, x, y = lift(flag), lift(x), lift(y)
    shape = broadcast_shapes(shape_of(flag), shape_of(x), shape_of(y))
    kind = x.type.dtype
    return select(broadcast_to(flag, shape), broadcast_to(x, shape), broadcast_to(convert(y, kind), shape))


# ---- where the quantile lies: the virtual index ----------------------------------------------------------------


def _estimate(alpha: float, beta: float) -> Callable[[Any, Any], Any]:
    """Hyndman and Fan's continuous methods: n q + alpha + q (1 - alpha - beta) - 1."""
    return lambda n, q: _sub(_add(_mul(n, q), _add(alpha, _mul(q, 1 - alpha - beta))), 1)


def _linear(n: Any, q: Any) -> Any:
    return _mul(_sub(n, 1), q)


def _step(index: Any, stays: Callable[[Any, Any], Any]) -> Any:
    """The next position unless the index stays; never below 0."""
    before = _compute(np.floor, index)
    chosen = _choose(stays(_sub(index, before), before), before, _add(before, 1))
    return _compute(np.maximum, chosen, 0)


def _is_zero(gamma: Any, before: Any) -> Any:
    return _compute(np.equal, gamma, 0)


def _is_zero_at_odd(gamma: Any, before: Any) -> Any:
    return _compute(np.logical_and, _is_zero(gamma, before), _compute(np.equal, _compute(np.remainder, before, 2), 1))


_INDEX: dict[str, Callable[[Any, Any], Any]] = {    # fixed table: method -> virtual index of (count, probability)
    "linear": _linear, "lower": lambda n, q: _compute(np.floor, _linear(n, q)),
    "higher": lambda n, q: _compute(np.ceil, _linear(n, q)), "nearest": lambda n, q: _compute(np.rint, _linear(n, q)),
    "midpoint": lambda n, q: _mul(0.5, _add(_compute(np.floor, _linear(n, q)), _compute(np.ceil, _linear(n, q)))),
    "inverted_cdf": lambda n, q: _step(_sub(_mul(n, q), 1), _is_zero),
    "averaged_inverted_cdf": lambda n, q: _sub(_mul(n, q), 1),
    "closest_observation": lambda n, q: _step(_sub(_sub(_mul(n, q), 1), 0.5), _is_zero_at_odd),
    "interpolated_inverted_cdf": _estimate(0, 1), "hazen": _estimate(0.5, 0.5), "weibull": _estimate(0, 0),
    "median_unbiased": _estimate(1 / 3.0, 1 / 3.0), "normal_unbiased": _estimate(3 / 8.0, 3 / 8.0)}
_DISCRETE = frozenset(("lower", "higher", "nearest", "inverted_cdf", "closest_observation"))


def _weight(method: str, index: Any) -> Any:
    """How much of the next element goes into the result."""
    gamma = _sub(index, _compute(np.floor, index))
    zero = _compute(np.equal, gamma, 0)
    if method == "midpoint":
        return _choose(zero, _mul(gamma, 0.0), _add(_mul(gamma, 0.0), 0.5))
    if method == "averaged_inverted_cdf":
        return _choose(zero, _add(_mul(gamma, 0.0), 0.5), _add(_mul(gamma, 0.0), 1.0))
    return gamma


# ---- the quantile ----------------------------------------------------------------------------------------------


def quantile_of(a: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool = False,
                scale: int = 1) -> Array:
    """Quantiles over axes, those of `q` in front. scale: 100 for percentiles."""
    if method not in _INDEX:
        fail(ValueError, f"{method!r} is not a valid method. Use one of: {_INDEX.keys()}")
    x = operand(a)
    if x.type.dtype.is_complex:
        fail(TypeError, "a must be an array of real numbers")
    x = convert(x, "u8" if x.type.dtype.kind == "b" else x.type.dtype)
    axes = normal_axes(axis, x.ndim)
    lines = merged_lines(x, axes)
    probability = _probability(q, x, scale)
    ordered = sorted_along(lines, lines.ndim - 1)
    count = _count(lines, skip_nan)
    result = _between(ordered, count, probability, method)
    result = _nan_where_lost(result, ordered, count, skip_nan)
    rank = result.ndim - (lines.ndim - 1)
    return expanded(result, [rank + i for i in axes]) if keepdims else result


def merged_lines(x: Array, axes: Sequence[int]) -> Array:
    """`x` with these axes merged into one, the last."""
    kept = [i for i in range(x.ndim) if i not in axes]
    return reshaped(transposed(x, [*kept, *axes]), (*(shape_of(x)[i] for i in kept), count_of(x, axes)))


def _probability(q: Any, x: Array, scale: int) -> Any:
    """Probabilities in [0, 1]: NumPy numbers where they are known, else traced and checked at run time."""
    if isinstance(q, (int, float)) and x.type.dtype.is_float:
        q = x.type.dtype.compute.numpy.type(q)
    static = not isinstance(q, Array) and (isinstance(q, (int, float, np.generic)) or (
        isinstance(q, (list, tuple)) and all(isinstance(p, (int, float, np.generic)) for p in q)))
    found: Any = np.asarray(q) if static else operand(q)
    divisor: Any = scale
    if scale != 1:
        found = _compute(np.true_divide, found, x.type.dtype.compute.numpy.type(divisor)
                         if x.type.dtype.is_float and static else divisor)
    name = "Quantiles must be in the range [0, 1]" if scale == 1 else "Percentiles must be in the range [0, 100]"
    if static:
        if not np.all((found >= 0) & (found <= 1)):
            fail(ValueError, name)
        return found
    inside = lift(_compute(np.logical_and, _compute(np.greater_equal, found, 0), _compute(np.less_equal, found, 1)))
    assert_(emit("reduce_and", inside, axes=tuple(range(inside.ndim))) if inside.ndim else inside, "ValueError", name)
    return found


def _count(lines: Array, skip_nan: bool) -> Any:
    """Elements per line: a number, or an array with one per line where NaN is left out."""
    if skip_nan and lines.type.dtype.is_float:
        return sum_(emit("not", emit("is_nan", lines)), -1)
    return size_scalar(shape_of(lines)[-1])


def _between(ordered: Array, count: Any, probability: Any, method: str) -> Array:
    """The elements at the virtual index and after it, interpolated."""
    per_line = isinstance(count, Array) and count.ndim > 0
    if per_line and not isinstance(probability, Array):
        flat = np.asarray(probability)
        probability = constant(tuple(flat.ravel().tolist()), flat.dtype, flat.shape) if flat.ndim else lift(flat[()])
    if per_line:
        probability = reshaped(probability, (*shape_of(probability), *[1] * count.ndim))
    index = _INDEX[method](count, probability)
    first = _clipped(_compute(np.floor, index), count)
    low = _picked(ordered, first, per_line)
    if method in _DISCRETE:
        return low
    high = _picked(ordered, _clipped(_add(_compute(np.floor, index), 1), count), per_line)
    weight = _weight(method, index)
    if not per_line:
        weight = _beside(weight, ordered.ndim - 1)
    return _interpolated(low, high, weight)


def _beside(weight: Any, ndim: int) -> Any:
    """Axes for the lines behind those of the probabilities."""
    if isinstance(weight, Array):
        return reshaped(weight, (*shape_of(weight), *[1] * ndim))
    array = np.asarray(weight)
    if array.ndim == 0:
        return array[()]
    return constant(tuple(array.tolist()), array.dtype, (*array.shape, *[1] * ndim))


def _clipped(position: Any, count: Any) -> Any:
    bounded = _compute(np.minimum, position, _sub(count, 1))
    bounded = _compute(np.maximum, bounded, 0)
    return convert(bounded, "i64") if isinstance(bounded, Array) else np.asarray(bounded).astype(np.int64)


def _picked(ordered: Array, position: Any, per_line: bool) -> Array:
    """ordered[..., position], with the axes of `position` in front."""
    last = ordered.ndim - 1
    if per_line:
        every = [iota_along(shape_of(position), position.ndim - last + i) for i in range(last)]
        return emit("gather", ordered, *every, position, axes=tuple(range(ordered.ndim)))
    if isinstance(position, np.ndarray) and position.ndim == 0:
        at = int(position)
        return reshaped(sliced(ordered, last, at, at + 1), shape_of(ordered)[:-1])
    index = position if isinstance(position, Array) else constant(tuple(position.tolist()), "i64", position.shape)
    return emit("gather", ordered, index, axes=(last,))


def _interpolated(low: Array, high: Array, weight: Any) -> Array:
    """low + (high - low) w, from the nearer end."""
    apart = _sub(high, low)
    from_low = _add(low, _mul(apart, weight))
    from_high = _sub(high, _mul(apart, _sub(1, weight)))
    near_high = _compute(np.greater_equal, weight, 0.5)
    if not isinstance(near_high, Array):
        return from_high if near_high else from_low  # type: ignore[no-any-return]
    return select(broadcast_to(near_high, shape_of(from_low)), from_high, from_low)


def _nan_where_lost(result: Array, ordered: Array, count: Any, skip_nan: bool) -> Array:
    """NaN for lines with a NaN (which is last in order), or of which nothing is left."""
    if not ordered.type.dtype.is_float:
        return result
    if skip_nan:
        lost = elementwise(np.equal, count, 0)
    else:
        n = shape_of(ordered)[-1]
        lost = emit("is_nan", reshaped(sliced(ordered, ordered.ndim - 1, n - 1, n), shape_of(ordered)[:-1]))
    return select(broadcast_to(lost, shape_of(result)), like(result, float("nan")), result)


@implements(np.quantile)
def quantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
             keepdims: Any = False, *, weights: Any = None) -> Any:
    refuse_arguments("np.quantile", weights=weights)
    return finish(quantile_of(a, q, axis, method, keepdims is True), out)


@implements(np.percentile)
def percentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
               keepdims: Any = False, *, weights: Any = None) -> Any:
    refuse_arguments("np.percentile", weights=weights)
    return finish(quantile_of(a, q, axis, method, keepdims is True, scale=100), out)


@implements(np.median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    """The mean of the one or two elements in the middle."""
    x = operand(a)
    x = convert(x, x.type.dtype)
    if x.type.dtype.is_complex:
        unsupported("np.median of complex numbers can't be compiled", fix="take it of the real and imaginary parts")
    axes = normal_axes(axis, x.ndim)
    lines = merged_lines(x, axes)
    n, last = shape_of(lines)[-1], lines.ndim - 1
    if not isinstance(n, int):
        return finish(quantile_of(x, 0.5, axis, "linear", keepdims is True), out)
    if n == 0:
        middle = mean_of(lines, (last,))
    else:
        ordered = sorted_along(lines, last)
        half = n // 2
        middle = mean_of(sliced(ordered, last, half if n % 2 else half - 1, half + 1), (last,))
        middle = _nan_where_lost(middle, ordered, None, False)
    return finish(expanded(middle, axes) if keepdims is True else middle, out)


