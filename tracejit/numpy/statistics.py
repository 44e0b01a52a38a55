"""Averages with weights, covariance and correlation.

Flows in:  samples and weights.
Flows out: reductions and one contraction.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.numpy.products import dot_general
from tracejit.numpy.reductions import mean_of, sum_
from tracejit.numpy.shapes import boxed, unit_axes
from tracejit.numpy.support import (
    as_dtype,
    emit,
    fail,
    iota,
    listed_axes,
    normal_axes,
    operand,
    placed,
    reshaped,
    shape_of,
    size_scalar,
    transposed,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_to, convert, lift, result_dtype
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    """The mean, or sum(a w) / sum(w)."""
    x = operand(a)
    axes = normal_axes(axis, x.ndim)
    if weights is None:
        result = mean_of(x, axes, keepdims=keepdims is True)
        total: Any = elementwise(np.true_divide, x.size, result.size)
        return (result, broadcast_to(convert(lift(total), result.type.dtype), shape_of(result))) if returned else result
    w = _spread_weights(operand(weights), x, axis)
    kind = result_dtype(convert(x, x.type.dtype), w) if x.type.dtype.is_inexact else result_dtype(x, w, np.float64(1))
    total = sum_(w, axes, kind, keepdims=keepdims)
    weighted = elementwise(np.multiply, convert(x, kind), convert(w, kind))
    result = elementwise(np.true_divide, sum_(weighted, axes, keepdims=keepdims), total)
    return (result, broadcast_to(total, shape_of(result))) if returned else result


def _spread_weights(w: Array, x: Array, axis: Any) -> Array:
    """Weights in the shape of `x`."""
    if w.ndim == x.ndim and all(map(same_size, shape_of(w), shape_of(x))):
        return w
    if axis is None:
        fail(TypeError, "Axis must be specified when shapes of a and weights differ.")
    axes = listed_axes(axis, x.ndim)
    if w.ndim != len(axes) or not all(same_size(n, shape_of(x)[a]) for n, a in zip(shape_of(w), axes)):
        fail(ValueError, "Shape of weights must be consistent with shape of a along specified axis.")
    order = sorted(range(len(axes)), key=lambda i: axes[i])
    return placed(transposed(w, order), shape_of(x), sorted(axes))


@implements(np.cov)
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
        aweights: Any = None, *, dtype: Any = None) -> Any:
    """The covariance matrix of variables in rows."""
    x = _variables(operand(m), rowvar)
    others = [] if y is None else [operand(y)]
    kind = as_dtype(dtype) if dtype is not None else result_dtype(x, np.float64(1), *others)
    x = convert(x, kind)
    if y is not None:
        x = emit("concatenate", x, convert(_variables(operand(y), rowvar), kind), axis=0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    w = _joint_weights(fweights, aweights)
    n = shape_of(x)[1]
    if w is None:
        center = mean_of(x, (1,))
        factor = elementwise(np.subtract, size_scalar(n), ddof)
    else:
        total = sum_(w)
        spread = broadcast_to(convert(w, kind), shape_of(x))
        center = elementwise(np.true_divide, sum_(elementwise(np.multiply, x, spread), 1), total)
        factor = _weighted_factor(total, w, aweights, ddof)
    factor = elementwise(np.maximum, factor, 0)
    apart = elementwise(np.subtract, x, reshaped(center, (*shape_of(center), 1)))
    scaled = apart if w is None else elementwise(np.multiply, apart, w)
    c = dot_general(apart, convert(elementwise(np.conjugate, scaled), apart.type.dtype), ((1,), (1,)))
    c = elementwise(np.true_divide, c, factor)
    return boxed(reshaped(c, ())) if all(k == 1 for k in shape_of(c)) else c


def _variables(x: Array, rowvar: bool) -> Array:
    if x.ndim > 2:
        fail(ValueError, "m has more than 2 dimensions")
    rows = unit_axes(x, 2)
    return transposed(rows, (1, 0)) if not rowvar and x.ndim != 1 else rows


def _joint_weights(fweights: Any, aweights: Any) -> Array | None:
    given = [operand(v) for v in (fweights, aweights) if v is not None]
    if not given:
        return None
    return given[0] if len(given) == 1 else elementwise(np.multiply, *given)


def _weighted_factor(total: Array, w: Array, aweights: Any, ddof: Any) -> Any:
    if isinstance(ddof, int) and ddof == 0:
        return total
    if aweights is None:
        return elementwise(np.subtract, total, ddof)
    square = sum_(elementwise(np.multiply, w, operand(aweights)))
    return elementwise(np.subtract, total, elementwise(np.true_divide, elementwise(np.multiply, ddof, square), total))


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Covariances over the product of deviations, clipped to [-1, 1]."""
    c = lift(cov(x, y, rowvar, dtype=dtype))
    if c.ndim == 0:
        return elementwise(np.true_divide, c, c)
    n = shape_of(c)[0]
    along = iota(n)
    variance = emit("gather", c, along, along, axes=(0, 1))
    real = emit("real", variance) if c.type.dtype.is_complex else variance
    deviation = elementwise(np.sqrt, real)
    c = elementwise(np.true_divide, c, reshaped(deviation, (n, 1)))
    c = elementwise(np.true_divide, c, reshaped(deviation, (1, n)))
    if c.type.dtype.is_complex:
        return emit("complex", *(_clipped(emit(p, c)) for p in ("real", "imag")))
    return _clipped(c)


def _clipped(x: Array) -> Array:
    return elementwise(np.minimum, elementwise(np.maximum, x, -1.0), 1.0)  # type: ignore[no-any-return]
