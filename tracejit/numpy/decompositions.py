"""np.linalg's factors and spectra: cholesky, qr, eigh, eig, svd.

Flows in:  stacks of matrices.
Flows out: ops of the same names; LinAlgError when the function runs, at the user's line. Eigenvalues of matrices
           that are not symmetric are always complex: NumPy gives real ones where it happens to find no others.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.numpy.matrices import (
    EighResult,
    EigResult,
    QRResult,
    SVDResult,
    adjoint,
    is_wide,
    prepared,
    require_success,
    results,
    square,
    stacked,
    turned,
)
from tracejit.numpy.selecting import take_along_axis
from tracejit.numpy.shapes import flip
from tracejit.numpy.sorting import argsort, sort
from tracejit.numpy.support import emit, expanded, fail
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, convert
from tracejit.tracing.implements import implements

_NOT_FOUND = "Eigenvalues did not converge"


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    x, dtype = prepared(square(a))
    factor, failed = results("cholesky", x, lower=not upper)
    require_success(failed, "Matrix is not positive definite")
    return convert(factor, dtype)


@implements(np.linalg.qr)
def qr(a: Any, mode: Any = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r", "raw"):
        fail(ValueError, f"Unrecognized mode '{mode}'", fix="use 'reduced', 'complete', 'r' or 'raw'")
    x, dtype = prepared(stacked(a))
    wide = is_wide(x)
    if mode == "raw":
        packed, factors = results("geqrf", x, wide=wide)
        return convert(turned(packed), dtype), convert(factors, dtype)
    q, r = results("qr", x, full_matrices=mode == "complete" and not wide, wide=wide)
    return convert(r, dtype) if mode == "r" else QRResult(convert(q, dtype), convert(r, dtype))


# ---- eigenvalues -----------------------------------------------------------------------------------------------


def _hermitian(a: Any, side: Any, vectors: bool) -> list[Array]:
    """Eigenvalues in the dtype of results, and vectors."""
    if side.upper() not in ("L", "U"):
        fail(ValueError, "UPLO argument must be 'L' or 'U'")
    x, dtype = prepared(square(a))
    w, *v, failed = results("eigh", x, lower=side.upper() == "L", vectors=vectors)
    require_success(failed, _NOT_FOUND)
    return [convert(w, dtype.real), *(convert(y, dtype) for y in v)]


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: Any = "L") -> Any:
    return EighResult(*_hermitian(a, UPLO, vectors=True))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    return _hermitian(a, UPLO, vectors=False)[0]


def _general(a: Any, vectors: bool) -> list[Array]:
    x, dtype = prepared(square(a))
    finite = emit("is_finite", x)
    assert_(emit("reduce_and", finite, axes=tuple(range(finite.ndim))), "LinAlgError",
            "Array must not contain infs or NaNs")
    *found, failed = results("eig", x, vectors=vectors)
    require_success(failed, _NOT_FOUND)
    return [convert(y, "c64" if dtype.real.bits == 32 else "c128") for y in found]


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    return EigResult(*_general(a, vectors=True))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    return _general(a, vectors=False)[0]


# ---- singular values -------------------------------------------------------------------------------------------


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if hermitian:
        return _svd_of_hermitian(a, compute_uv)
    x, dtype = prepared(stacked(a))
    wide = is_wide(x)
    *found, failed = results("svd", x, full_matrices=bool(full_matrices) and bool(compute_uv), vectors=bool(compute_uv),
                             wide=wide)
    require_success(failed, "SVD did not converge")
    if not compute_uv:
        return convert(found[0], dtype.real)
    u, s, vh = found
    return SVDResult(convert(u, dtype), convert(s, dtype.real), convert(vh, dtype))


def _svd_of_hermitian(a: Any, compute_uv: bool) -> Any:
    """By eigenvalues, whose signs go to the right vectors."""
    if not compute_uv:
        values = sort(elementwise(np.absolute, eigvalsh(a)))
        return flip(values, -1)
    values, u = eigh(a)
    sign, s = elementwise(np.copysign, 1.0, values), elementwise(np.absolute, values)
    order = flip(argsort(s), -1)
    sign, s = take_along_axis(sign, order, -1), take_along_axis(s, order, -1)
    u = take_along_axis(u, expanded(order, (order.ndim - 1,)), -1)
    return SVDResult(u, s, adjoint(elementwise(np.multiply, u, expanded(sign, (sign.ndim - 1,)))))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    return svd(x, compute_uv=False)
