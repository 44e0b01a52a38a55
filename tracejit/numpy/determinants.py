"""np.linalg.det and slogdet, by LU.

Flows in:  stacks of square matrices.
Flows out: products of the pivots, with derivatives of their own: that of det is right at singular matrices too, that
           of log |det| is infinite or NaN there.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.terms import Term, apply, apply_all, build, compare, convert, iota, select, spread
from tracejit.numpy.matrices import SlogdetResult, prepared, results, square
from tracejit.ops.linalg_rules import adjoint, diagonal, matmul, real, transposed, where_index
from tracejit.tracing import building
from tracejit.tracing.arrays import Array
from tracejit.tracing.implements import implements


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    x, dtype = prepared(square(a))
    sign, logarithm = _with_derivative("slogdet", x, _parts, _moved_parts)
    return SlogdetResult(building.convert(sign, dtype), building.convert(logarithm, dtype.real))


@implements(np.linalg.det)
def det(a: Any) -> Any:
    x, dtype = prepared(square(a))
    (result,) = _with_derivative("det", x, _product, _moved_product)
    return building.convert(result, dtype)


def _with_derivative(name: str, x: Array, value: Callable[..., Sequence[Term]], moved: Callable[..., Sequence[Term]]
                     ) -> tuple[Array, ...]:
    """value(a, lu, pivots, order, singular), whose tangent is moved(the same, tangent of a)."""
    body = build([x.type], lambda a: value(a, *apply_all("lu", [a], {})))
    tangent = build([x.type, x.type], lambda a, move: moved(a, *apply_all("lu", [a], {}), move))
    return results("custom", x, name=name, leaves=1, body=body, forward=None, backward=None, tangent=tangent)


def _parts(a: Term, factors: Term, pivots: Term, order: Term, singular: Term) -> list[Term]:
    """The sign, or phase, and log |det|: pivots multiplied, with a sign for every exchange of rows."""
    pivot, last = diagonal(factors), (pivots.rank - 1,)
    size = apply("abs", pivot)
    turns = compare("NE", pivots, iota(pivots, pivots.shape, pivots.rank - 1))
    if not pivot.dtype.is_complex:
        turns = apply("xor", turns, compare("LT", pivot, 0))
    sign = apply("reduce_prod", select(turns, size.like(-1), 1), axes=last)
    if pivot.dtype.is_complex:
        sign = convert(sign, pivot.dtype) * apply("reduce_prod", pivot / convert(size, pivot.dtype), axes=last)
    logarithm = apply("reduce_sum", apply("log", size), axes=last)
    return [select(singular, 0, sign), select(singular, -np.inf, logarithm)]


def _product(*known: Term) -> list[Term]:
    sign, logarithm = _parts(*known)
    return [sign * convert(apply("exponential", logarithm), sign.dtype)]


def _trace(x: Term) -> Term:
    return apply("reduce_sum", select(where_index("EQ", x), x, 0), axes=(x.rank - 2, x.rank - 1))


def _relative(a: Term, factors: Term, order: Term, move: Term) -> Term:
    """trace(A^-1 dA), the derivative of log det."""
    return _trace(apply("lu_solve", a, factors, order, move, transpose_a=False))


def _moved_parts(a: Term, factors: Term, pivots: Term, order: Term, singular: Term, move: Term) -> list[Term]:
    change = _relative(a, factors, order, move)
    (sign, _), turn = _parts(a, factors, pivots, order, singular), real(change).like(0)
    if sign.dtype.is_complex:
        return [sign * apply("complex", turn, apply("imag", change)), real(change)]
    return [turn, change]


def _moved_product(*known: Term) -> list[Term]:
    """det(A) trace(A^-1 dA); with a singular matrix in the stack trace(adj(A) dA), which costs singular values."""
    types, singular = [t.type for t in known], known[4]
    any_singular = apply("reduce_or", singular, axes=tuple(range(singular.rank))) if singular.rank else singular
    branches = build(types, _moved_regular), build(types, _moved_singular)
    return apply_all("case", [any_singular, *known], {"branches": branches})


def _moved_regular(a: Term, factors: Term, pivots: Term, order: Term, singular: Term, move: Term) -> list[Term]:
    (value,) = _product(a, factors, pivots, order, singular)
    return [value * _relative(a, factors, order, move)]


def _moved_singular(a: Term, factors: Term, pivots: Term, order: Term, singular: Term, move: Term) -> list[Term]:
    """adj(A) = det(U V^H) V adj(S) U^H, where adj(S) holds the products of all singular values but one."""
    u, s, vh, _ = apply_all("svd", [a], {"full_matrices": False, "vectors": True, "wide": False})
    rows = spread(s, (*s.shape, s.shape[-1]), (s.rank - 1,))
    rest = apply("reduce_prod", select(where_index("EQ", rows), 1, rows), axes=(rows.rank - 1,))
    turn = matmul(u, vh)
    (phase,) = _product(turn, *apply_all("lu", [turn], {}))
    columns = convert(spread(rest, (*rest.shape[:-1], a.shape[-1], rest.shape[-1]), (rest.rank - 1,)), a.dtype)
    adjugate = matmul(adjoint(vh) * columns, adjoint(u))
    return [phase * apply("reduce_sum", transposed(adjugate) * move, axes=(a.rank - 2, a.rank - 1))]
