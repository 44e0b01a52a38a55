"""np.polyfit: polynomials of least squares.

Flows in:  points, values in one or more columns, weights.
Flows out: coefficients by `least_squares`, from the highest power on; no warning where they are not determined.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.numpy.creation import vander
from tracejit.numpy.least_squares import fitted, squares_left
from tracejit.numpy.matrices import turned
from tracejit.numpy.products import matmul, outer
from tracejit.numpy.reductions import sum_
from tracejit.numpy.support import expanded, fail, operand, reshaped, shape_of, size_scalar
from tracejit.numpy.systems import inv
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import convert, static_int
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size


@implements(np.polyfit)
def polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    points, values = _checked(elementwise(np.add, x, 0.0), elementwise(np.add, y, 0.0))
    order = static_int(deg) + 1
    if order < 1:
        fail(ValueError, "expected deg >= 0")
    if rcond is None:
        epsilon = float(np.finfo(points.type.dtype.numpy).eps)
        rcond = elementwise(np.multiply, size_scalar(shape_of(points)[0]), epsilon)
    powers, values = _weighted(vander(points, order), values, w)
    scale = elementwise(np.sqrt, sum_(elementwise(np.multiply, powers, powers), 0))
    powers = elementwise(np.true_divide, powers, scale)
    columns = values if values.ndim == 2 else reshaped(values, (*shape_of(values), 1))
    found, rank, s = fitted(powers, columns, rcond)
    result = elementwise(np.true_divide, found, reshaped(scale, (order, 1)))
    result = result if values.ndim == 2 else reshaped(result, (order,))
    if full:
        return result, squares_left(powers, columns, found, rank), convert(rank, "i32"), s, rcond
    if not cov:
        return result
    return result, _covariance(powers, columns, found, scale, cov, values.ndim)


def _checked(x: Array, y: Array) -> tuple[Array, Array]:
    if x.ndim != 1:
        fail(TypeError, "expected 1D vector for x")
    if shape_of(x) == (0,):
        fail(TypeError, "expected non-empty vector for x")
    if y.ndim not in (1, 2):
        fail(TypeError, "expected 1D or 2D array for y")
    if not same_size(shape_of(x)[0], shape_of(y)[0]):
        fail(TypeError, "expected x and y to have same length")
    return x, y


def _weighted(powers: Array, values: Array, w: Any) -> tuple[Array, Array]:
    if w is None:
        return powers, values
    weights = elementwise(np.add, operand(w), 0.0)
    if weights.ndim != 1:
        fail(TypeError, "expected a 1-d array for weights")
    if not same_size(shape_of(weights)[0], shape_of(values)[0]):
        fail(TypeError, "expected w and y to have the same length")
    column = expanded(weights, (1,))
    return (elementwise(np.multiply, powers, column),
            elementwise(np.multiply, values, column if values.ndim == 2 else weights))


def _covariance(powers: Array, columns: Array, found: Array, scale: Array, cov: Any, rank: int) -> Any:
    """Of the coefficients; scaled by what is left per degree of freedom, unless `cov` is "unscaled"."""
    base = elementwise(np.true_divide, inv(matmul(turned(powers), powers)), outer(scale, scale))
    points, order = shape_of(powers)
    factor: Any = 1
    if cov != "unscaled":
        if isinstance(points, int) and points <= order:     # type: ignore[operator]
            fail(ValueError, "the number of data points must exceed order to scale the covariance matrix")
        rest = elementwise(np.subtract, columns, matmul(powers, found))
        factor = elementwise(np.true_divide, sum_(elementwise(np.multiply, rest, rest), 0), size_scalar(points - order))
    return elementwise(np.multiply, base if rank == 1 else expanded(base, (2,)), factor)
