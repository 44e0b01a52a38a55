"""What singular values tell: pinv, lstsq, matrix_rank, cond.

Flows in:  stacks of matrices, and what counts as zero.
Flows out: compositions of `svd`. The pseudo-inverse has a derivative of its own, which is right where singular
           values are equal, as long as the rank stays.
Source: G. Golub and V. Pereyra, The differentiation of pseudo-inverses and nonlinear least squares problems whose
variables separate (1973).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracejit.base.dims import dim_function
from tracejit.base.types import ArrayType
from tracejit.ir.terms import Term, apply, apply_all, build, compare, select, spread
from tracejit.numpy import support
from tracejit.numpy.decompositions import svd
from tracejit.numpy.indexing import read
from tracejit.numpy.matrices import (
    doubled,
    is_wide,
    prepared,
    result_type,
    square,
    stacked,
)
from tracejit.numpy.norms import norm
from tracejit.numpy.products import matmul
from tracejit.numpy.reductions import any_, count_nonzero, max_, sum_
from tracejit.numpy.support import (
    NO_VALUE,
    emit,
    expanded,
    fail,
    filled,
    operand,
    reshaped,
    shape_of,
    size_scalar,
    sliced,
)
from tracejit.numpy.systems import inverse
from tracejit.numpy.ufuncs import elementwise
from tracejit.ops import linalg_rules as rules
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_to, convert
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size

NESTED = 1      # derivatives of the pseudo-inverse's derivative that are stated too


def _element(x: Array, k: int) -> Array:
    """Element k of the last axis, -1 for the last one."""
    axis, size = x.ndim - 1, shape_of(x)[-1]
    start = size - 1 if k < 0 else k
    return reshaped(sliced(x, axis, start, start + 1), shape_of(x)[:-1])


def _longer(x: Array) -> Any:
    """max(m, n), to compute with."""
    return size_scalar(dim_function("max", *shape_of(x)[-2:]))


def _is_empty(x: Array) -> bool:
    return 0 in shape_of(x)[-2:]


def _behind(x: Any) -> Array:
    """One number for each matrix, against its singular values."""
    array = operand(x)
    return expanded(array, (array.ndim,))


# ---- the pseudo-inverse ----------------------------------------------------------------------------------------


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NO_VALUE) -> Any:
    array = operand(a)
    if rcond is not None and rtol is not NO_VALUE:
        fail(ValueError, "`rtol` and `rcond` can't be both set.")
    if rcond is None and rtol is None:
        rcond = elementwise(np.multiply, _longer(array), float(np.finfo(array.type.dtype.numpy).eps))
    elif rcond is None:
        rcond = 1e-15 if rtol is NO_VALUE else rtol
    m, n = shape_of(stacked(array))[-2:]
    if _is_empty(array):
        return filled(0, array.type.dtype, (*shape_of(array)[:-2], n, m))
    x, dtype = prepared(array)
    found, _ = _inverse(x, rcond, hermitian)
    return convert(found, dtype)


def _inverse(x: Array, rcond: Any, hermitian: bool = False) -> tuple[Array, Array]:
    """The pseudo-inverse without singular values that are at most rcond times the greatest one, and all of these."""
    s = svd(x, False, True, hermitian)[1]
    bound = broadcast_to(convert(operand(rcond), "f64"), shape_of(x)[:-2])
    options = {"lower": True, "vectors": True} if hermitian else {
        "full_matrices": False, "vectors": True, "wide": is_wide(x)}
    attributes = _stated([x.type, bound.type], options, NESTED)
    return emit("custom", x, bound, **attributes), s


def _stated(types: Sequence[ArrayType], options: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Value and tangent of the pseudo-inverse. Derivatives of higher order than `depth` go through its factors."""
    def value(a: Term, bound: Term) -> list[Term]:
        return [_inverse_of_factors(a, bound, options)]

    def tangent(a: Term, bound: Term, move: Term) -> list[Term]:
        (p,) = apply_all("custom", [a, bound], _stated(types, options, depth - 1)) if depth else value(a, bound)
        return [_moved_inverse(a, p, move)]

    return {"name": "pinv", "leaves": 1, "body": build(types, value), "forward": None, "backward": None,
            "tangent": build([*types, types[0]], tangent)}


def _inverse_of_factors(a: Term, bound: Term, options: Mapping[str, Any]) -> Term:
    """V S^-1 U^H; of Hermitian matrices eigenvalues are singular values with a sign."""
    if "lower" in options:
        s, right, _ = apply_all("eigh", [a], dict(options))
        left = right
    else:
        left, s, vh, _ = apply_all("svd", [a], dict(options))
        right = rules.adjoint(vh)
    size = apply("abs", s)
    least = bound * apply("reduce_max", size, axes=(s.rank - 1,))
    large = compare("GT", size, spread(least, s.shape, (s.rank - 1,)))
    scale = select(large, 1.0 / select(large, s, 1), 0)
    return rules.matmul(right * rules.along_columns(scale, right), rules.adjoint(left))


def _moved_inverse(a: Term, p: Term, move: Term) -> Term:
    """dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P."""
    turned, outer = rules.adjoint(move), rules.adjoint(p)
    right = rules.matmul(rules.matmul(p, outer), turned)
    left = rules.matmul(turned, rules.matmul(outer, p))
    right = right - rules.matmul(rules.matmul(right, a), p)
    left = left - rules.matmul(p, rules.matmul(a, left))
    return right + left - rules.matmul(rules.matmul(p, move), p)


# ---- least squares ---------------------------------------------------------------------------------------------


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """x, sums of squares of what is left, rank, singular values. Sums only where columns are independent and fewer than
    rows: how many there are is known when the function runs."""
    x, y = operand(a), operand(b)
    vector = y.ndim == 1
    y = reshaped(y, (*shape_of(y), 1)) if vector else y
    for array in (x, y):
        if array.ndim != 2:
            fail(np.linalg.LinAlgError, f"{array.ndim}-dimensional array given. Array must be two-dimensional")
    if not same_size(shape_of(x)[0], shape_of(y)[0]):
        fail(np.linalg.LinAlgError, "Incompatible dimensions")
    dtype = result_type(x, y)
    x, y = doubled(x, dtype), doubled(y, dtype)
    if rcond is None:
        rcond = elementwise(np.multiply, _longer(x), float(np.finfo(np.float64).eps))
    found, rank, s = fitted(x, y, rcond)
    rest = squares_left(x, y, found, rank)
    found = reshaped(found, shape_of(found)[:-1]) if vector else found
    return convert(found, dtype), convert(rest, dtype.real), convert(rank, "i32"), convert(s, dtype.real)


def fitted(x: Array, y: Array, rcond: Any) -> tuple[Array, Array, Array]:
    """Coefficients of the columns of x, rank, singular values."""
    n, k = shape_of(x)[1], shape_of(y)[1]
    if _is_empty(x):
        return filled(0, x.type.dtype, (n, k)), filled(0, "i64", ()), filled(0, "f64", (0,))
    inverted, s = _inverse(x, rcond)
    found = matmul(inverted, y)
    rank = count_nonzero(elementwise(np.greater, s, elementwise(np.multiply, rcond, max_(s))))
    return found, rank, s


def squares_left(x: Array, y: Array, found: Array, rank: Array) -> Array:
    """Sums of squares of y - x found, one for each column; none if columns of x depend on each other, or are as many as
    rows."""
    (m, n), k, wide = shape_of(x), shape_of(y)[1], is_wide(x)
    if wide or wide is not None and same_size(m, n):
        return filled(0, "f64", (0,))
    size = elementwise(np.absolute, elementwise(np.subtract, y, matmul(x, found)))
    squares = sum_(elementwise(np.multiply, size, size), 0)
    full = emit("compare", rank, convert(size_scalar(n), "i64"), direction="EQ")
    if wide is None:
        taller = emit("compare", *(convert(size_scalar(size), "i64") for size in (m, n)), direction="GT")
        full = emit("and", full, taller)
    kept: Array = read(squares, broadcast_to(full, (k,)))
    return kept


# ---- rank and condition ----------------------------------------------------------------------------------------


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    if rtol is not None and tol is not None:
        fail(ValueError, "`tol` and `rtol` can't be both set.")
    x = operand(A)
    if x.ndim < 2:
        return convert(any_(elementwise(np.not_equal, x, 0)), "i64")
    s = svd(x, compute_uv=False, hermitian=hermitian)
    if tol is None:
        epsilon = float(np.finfo(s.type.dtype.numpy).eps)
        relative = elementwise(np.multiply, _longer(x), epsilon) if rtol is None else _behind(rtol)
        bound = elementwise(np.multiply, max_(s, -1, keepdims=True, initial=0), relative)
    else:
        bound = _behind(tol)
    return count_nonzero(elementwise(np.greater, s, bound), -1)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """Infinite for singular matrices."""
    array = operand(x)
    if array.ndim >= 2 and _is_empty(array):
        fail(np.linalg.LinAlgError, "cond is not defined on empty arrays")
    unknown = any_(elementwise(np.isnan, array), (-2, -1)) if array.ndim >= 2 else None
    if p is None or p in (2, -2):
        s = svd(array, compute_uv=False)
        ratio = elementwise(np.true_divide, *[_element(s, k) for k in ((-1, 0) if p == -2 else (0, -1))])
    else:
        ratio = _by_inverse(square(array), p)
    lost = emit("and", elementwise(np.isnan, ratio), elementwise(np.logical_not, unknown))
    return support.select(lost, np.inf, ratio)


def _by_inverse(array: Array, p: Any) -> Array:
    x, dtype = prepared(array)
    inverted, singular = inverse(x)
    ratio = elementwise(np.multiply, norm(array, p, (-2, -1)), norm(inverted, p, (-2, -1)))
    return convert(support.select(singular, np.nan, ratio), dtype.real)
