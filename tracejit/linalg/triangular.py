"""Triangular systems and factors, by the names that SciPy and JAX users know.

Flows in:  stacks of triangular or square matrices, right-hand sides.
Flows out: ops `triangular_solve` and `lu`. Single precision stays single, unlike in np.linalg.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.numpy.matrices import results, square, stacked, turned
from tracejit.numpy.products import require_equal
from tracejit.numpy.support import compare, emit, fail, iota_along, operand, placed, reshaped, select, shape_of, sliced
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_shapes, broadcast_to, convert, promote

TURNED = {0: "N", 1: "T", 2: "C", "N": "N", "T": "T", "C": "C"}     # SciPy's ways to say it


@library(static=("trans", "lower", "unit_diagonal"))
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False) -> Any:
    """x of a x = b. trans: 1 or "T" of a^T x = b, 2 or "C" of a^H x = b.

    a: f64[..., n, n], of which one triangle is read.  b: f64[n] or f64[..., n, k].  Infinite or NaN if a is singular.
    """
    if trans not in TURNED:
        fail(ValueError, f"trans={trans!r} is unknown", fix="use 0, 1, 2, 'N', 'T' or 'C'")
    x, y = _floats(square(a), operand(b))
    vector = y.ndim == 1
    y = reshaped(y, (*shape_of(y), 1)) if vector else y
    n, m = shape_of(x)[-1], shape_of(stacked(y))[-2]
    require_equal(n, m, f"the matrix has {n} rows, the right-hand side {m}")
    x = elementwise(np.conjugate, x) if TURNED[trans] == "C" else x
    batch = broadcast_shapes(shape_of(x)[:-2], shape_of(y)[:-2])
    x, y = (broadcast_to(z, (*batch, *shape_of(z)[-2:])) for z in (x, y))
    found = emit("triangular_solve", x, y, left_side=True, lower=bool(lower), transpose_a=TURNED[trans] != "N",
                 unit_diagonal=bool(unit_diagonal))
    return reshaped(found, shape_of(found)[:-1]) if vector else found


@library()
def cho_solve(c_and_lower: Any, b: Any) -> Any:
    """x of a x = b by Cholesky's factor of a: (the factor, whether it is the lower one)."""
    factor, lower = c_and_lower
    first = solve_triangular(factor, b, 0 if lower else "C", lower)
    return solve_triangular(factor, first, "C" if lower else 0, lower)


@library(static=("p_indices",))
def lu(a: Any, p_indices: bool = False) -> Any:
    """p, l, u with a = p @ l @ u; the order of rows, a = (l @ u)[p], instead of p if p_indices."""
    (x,) = _floats(stacked(a))
    factors, pivots, order, _ = results("lu", x)
    (m, _), k = shape_of(x)[-2:], shape_of(pivots)[-1]
    low, high = sliced(factors, x.ndim - 1, 0, k), sliced(factors, x.ndim - 2, 0, k)
    low = select(_where("GT", low), low, convert(_where("EQ", low), x.type.dtype))
    high = select(_where("LE", high), high, 0)
    wide = (*shape_of(order), m)
    chosen = compare("EQ", placed(order, wide, range(order.ndim)), iota_along(wide, len(wide) - 1))
    places = turned(convert(chosen, x.type.dtype.real))
    if not p_indices:
        return places, low, high
    return emit("reduce_argmax", places, axis=places.ndim - 1), low, high


def _where(direction: str, x: Array) -> Array:
    """Where row direction column."""
    return compare(direction, *(iota_along(shape_of(x), axis) for axis in (x.ndim - 2, x.ndim - 1)))


def _floats(*arrays: Array) -> list[Array]:
    """In their common dtype, float64 for integers."""
    found = promote(*arrays)
    return [x if x.type.dtype.is_inexact else convert(x, "f64") for x in found]
