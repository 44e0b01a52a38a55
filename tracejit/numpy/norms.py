"""Norms of vectors and matrices.

Flows in:  vectors, matrices, stacks of them, the order of the norm.
Flows out: reductions, of singular values for the orders 2, -2 and 'nuc'.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.numpy.decompositions import svdvals
from tracejit.numpy.reductions import length, max_, min_, sum_
from tracejit.numpy.shapes import matrix_transpose, moveaxis
from tracejit.numpy.support import fail, flattened, listed_axes, operand, reshaped, shape_of
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import convert, emit
from tracejit.tracing.implements import implements

implements(np.linalg.matrix_transpose)(matrix_transpose)


def _magnitude(x: Array) -> Array:
    return elementwise(np.absolute, x)  # type: ignore[no-any-return]


def _square_sum(x: Array, axis: Any, keepdims: bool) -> Array:
    """sum |x|^2."""
    if x.type.dtype.is_complex:
        magnitude = _magnitude(x)
        return sum_(elementwise(np.multiply, magnitude, magnitude), axis, keepdims=keepdims)  # type: ignore[no-any-return]
    return sum_(elementwise(np.multiply, x, x), axis, keepdims=keepdims)  # type: ignore[no-any-return]


def _inexact(x: Any) -> Array:
    array = operand(x)
    return convert(array, array.type.dtype if array.type.dtype.is_inexact else "f64")


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    array = _inexact(x)
    if axis is None and (ord is None or (ord in ("f", "fro") and array.ndim == 2) or (ord == 2 and array.ndim == 1)):
        total = length(_square_sum(flattened(array), None, False))
        return reshaped(total, [1] * array.ndim) if keepdims else total
    axes = tuple(range(array.ndim)) if axis is None else listed_axes(axis, array.ndim)
    if len(axes) == 1:
        return _vector_norm(array, 2 if ord is None else ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(array, "fro" if ord is None else ord, axes, keepdims)
    fail(ValueError, "Improper number of dimensions to norm.")


def _vector_norm(x: Array, ord: Any, axis: Any, keepdims: bool) -> Any:
    if isinstance(ord, str):
        fail(ValueError, f"Invalid norm order '{ord}' for vectors")
    if isinstance(ord, (int, float)):
        if ord == np.inf:
            return max_(_magnitude(x), axis, keepdims=keepdims)
        if ord == -np.inf:
            return min_(_magnitude(x), axis, keepdims=keepdims)
        if ord == 0:
            return convert(sum_(elementwise(np.not_equal, x, 0), axis, keepdims=keepdims), x.type.dtype.real)
        if ord == 1:
            return sum_(_magnitude(x), axis, keepdims=keepdims)
        if ord == 2:
            return length(_square_sum(x, axis, keepdims))
    total = sum_(elementwise(np.power, _magnitude(x), ord), axis, keepdims=keepdims)
    result = elementwise(np.power, total, elementwise(np.true_divide, 1.0, ord))
    if not isinstance(ord, (int, float)) or ord < 0:
        return result
    return emit("select", elementwise(np.equal, total, 0), total, result)     # its derivative there as that of `length`


def _matrix_norm(x: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord in ("f", "fro"):
        return length(_square_sum(x, axes, keepdims))
    if ord in (2, -2, "nuc"):
        return _by_singular_values(x, ord, axes, keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        fail(ValueError, "Invalid norm order for matrices.")
    along, over = axes if abs(ord) == 1 else axes[::-1]
    sums = sum_(_magnitude(x), along, keepdims=True)
    extreme = (max_ if ord > 0 else min_)(sums, over, keepdims=True)
    if keepdims:
        return extreme
    return reshaped(extreme, [n for i, n in enumerate(shape_of(extreme)) if i not in axes])


def _by_singular_values(x: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    s = svdvals(moveaxis(x, axes, (-2, -1)))
    found = sum_(s, -1) if ord == "nuc" else max_(s, -1, initial=0) if ord == 2 else min_(s, -1)
    return reshaped(found, [1 if a in axes else n for a, n in enumerate(shape_of(x))]) if keepdims else found


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    array = _inexact(x)
    if axis is None:
        result = _vector_norm(flattened(array), ord, 0, False)
        return reshaped(result, [1] * array.ndim) if keepdims else result
    axes = listed_axes(axis, array.ndim)
    return _vector_norm(array, ord, axes if len(axes) > 1 else axes[0], keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    array = _inexact(x)
    return _matrix_norm(array, ord, (array.ndim - 2, array.ndim - 1), keepdims)


