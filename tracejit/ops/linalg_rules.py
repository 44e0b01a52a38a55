"""Derivatives of the ops of linear algebra: tangents of factors from the tangent of the matrix.

Flows in:  stacks of matrices as terms, their factors, tangents.
Flows out: rules for `Transposed` and `Gradient`.

Of Hermitian matrices the op reads one triangle: the derivative is that of what is read, nothing flows to the other
triangle. Factors that are not unique have no derivative: eigenvectors or singular vectors of equal values are NaN or
infinite there, as in JAX; the values themselves have one wherever they differ.
Sources: M. Giles, An extended collection of matrix derivative results (2008); F. de Hoog, R. Anderssen and M. Lukas,
Differentiation of matrix functionals using triangular factorization (2011); S. Walter et al., Algorithmic
differentiation of QR and eigenvalue decompositions (2012).
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.errors import GradientError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Op
from tracejit.ir.terms import (
    Term,
    apply,
    apply_all,
    compare,
    constant,
    convert,
    iota,
    select,
    size_of,
    splat,
    spread,
)
from tracejit.ops.batching import Batched, all_lifted
from tracejit.ops.derivatives import Attributes, Terms

# ---- matrices ------------------------------------------------------------------------------------------------------


def matmul(x: Term, y: Term) -> Term:
    """The product of stacks of matrices."""
    batch, rank = tuple(range(x.rank - 2)), x.rank
    return apply("dot_general", x, y, lhs_batch=batch, rhs_batch=batch, lhs_contract=(rank - 1,),
                 rhs_contract=(rank - 2,))


def transposed(x: Term) -> Term:
    return apply("transpose", x, permutation=(*range(x.rank - 2), x.rank - 1, x.rank - 2))


def conjugate(x: Term) -> Term:
    return apply("conjugate", x) if x.dtype.is_complex else x


def adjoint(x: Term) -> Term:
    return conjugate(transposed(x))


def where_index(direction: str, x: Term, shift: int = 0) -> Term:
    """Where row direction column + shift."""
    row, column = (iota(x, x.shape, axis) for axis in (x.rank - 2, x.rank - 1))
    return compare(direction, row, column + shift if shift else column)


def lower_part(x: Term, strict: bool = False) -> Term:
    return select(where_index("GT" if strict else "GE", x), x, 0)


def upper_part(x: Term, strict: bool = False) -> Term:
    return select(where_index("LT" if strict else "LE", x), x, 0)


def identity(like: Term, size: Size) -> Term:
    """A stack of identities with the batch axes and dtype of `like`."""
    zero = constant(like, 0, ArrayType(like.dtype, (*like.shape[:-2], size, size)))
    return select(where_index("EQ", zero), 1, zero)


def diagonal(x: Term) -> Term:
    """The diagonal of square matrices."""
    return apply("reduce_sum", select(where_index("EQ", x), x, 0), axes=(x.rank - 1,))


def real(x: Term) -> Term:
    return apply("real", x) if x.dtype.is_complex else x


def along_rows(v: Term, like: Term) -> Term:
    """[..., i, j] = v[..., i], in the dtype of `like`."""
    wide = spread(v, (*v.shape, like.shape[-1]), (v.rank,))
    return convert(wide, like.dtype)


def along_columns(v: Term, like: Term) -> Term:
    """[..., i, j] = v[..., j], in the dtype of `like`."""
    wide = spread(v, (*v.shape[:-1], like.shape[-2], v.shape[-1]), (v.rank - 1,))
    return convert(wide, like.dtype)


def block(x: Term, axis: int, start: Size, limit: Size) -> Term:
    """Rows (axis -2) or columns (axis -1) start .. limit."""
    at, rank = x.rank + axis, x.rank
    return apply("slice", x, start=tuple(start if a == at else 0 for a in range(rank)),
                 limit=tuple(limit if a == at else n for a, n in enumerate(x.shape)), stride=(1,) * rank)


def padded(x: Term, rows: Size, columns: Size) -> Term:
    """With zeros up to so many rows and columns."""
    high = (*[0] * (x.rank - 2), rows - x.shape[-2], columns - x.shape[-1])
    none = (0,) * x.rank
    return apply("pad", x, constant(x, 0, ArrayType(x.dtype)), low=none, high=high, interior=none)


def solve_triangle(a: Term, b: Term, left_side: bool = True, lower: bool = True, transpose_a: bool = False,
                   unit_diagonal: bool = False) -> Term:
    return apply("triangular_solve", a, b, left_side=left_side, lower=lower, transpose_a=transpose_a,
                 unit_diagonal=unit_diagonal)


def solve(a: Term, b: Term) -> Term:
    """a^-1 b of square matrices."""
    factors, _, permutation, _ = apply_all("lu", [a], {})
    return apply("lu_solve", a, factors, permutation, b, transpose_a=False)


def hermitian(x: Term, lower: bool) -> Term:
    """The Hermitian matrix whose triangle is that of x."""
    strict = lower_part(x, strict=True) if lower else upper_part(x, strict=True)
    middle = convert(real(select(where_index("EQ", x), x, 0)), x.dtype)
    return strict + adjoint(strict) + middle


# ---- factorisations --------------------------------------------------------------------------------------------


def cholesky_rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes,
                  asked: Sequence[bool] | None) -> Terms:
    """dL = L F(L^-1 dA L^-H), F the lower triangle with half of the diagonal."""
    (t,), lower = tangents, attributes["lower"]
    assert t is not None
    factor = outs[0] if lower else adjoint(outs[0])
    inner = solve_triangle(factor, hermitian(t, lower))
    inner = solve_triangle(conjugate(factor), inner, left_side=False, transpose_a=True)
    move = matmul(factor, select(where_index("EQ", inner), inner * 0.5, lower_part(inner)))
    return [move if lower else adjoint(move), None]


def lu_rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes,
            asked: Sequence[bool] | None) -> Terms:
    """With rows in the order of the pivots, L^-1 dA U^-1 is L^-1 dL below the diagonal and dU U^-1 above.

    Both factors are filled up to square matrices by the identity.
    """
    (t,), (factors, pivots, order, _) = tangents, outs
    assert t is not None
    m, n = factors.shape[-2:]
    k = pivots.shape[-1]
    low = padded(lower_part(block(factors, -1, 0, k), strict=True), m, m) + identity(factors, m)
    high = padded(upper_part(block(factors, -2, 0, k)), n, n)
    row, column = (iota(high, high.shape, axis) for axis in (high.rank - 2, high.rank - 1))
    missing = apply("and", compare("EQ", row, column), compare("GE", row, splat(size_of(row, k), row.shape)))
    high = select(missing, 1, high)
    moved = solve_triangle(low, rows_in_order(t, order), unit_diagonal=True)
    moved = solve_triangle(high, moved, left_side=False, lower=False)
    return [matmul(low, lower_part(moved, strict=True)) + matmul(upper_part(moved), high), None, None, None]


def rows_in_order(x: Term, order: Term) -> Term:
    """Row order[i] as row i."""
    lead = x.rank - 2
    places = [*(iota(order, order.shape, axis) for axis in range(lead)), order]
    return apply("gather", x, *places, axes=(*range(lead), lead))


def qr_rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes,
            asked: Sequence[bool] | None) -> Terms:
    """dA R^-1 = dQ + Q dR R^-1. Of a wide matrix the left square decides Q, and the rest of R follows."""
    (t,), (q, r) = tangents, outs
    assert t is not None
    m, n = t.shape[-2:]
    wide = attributes["wide"]
    if attributes["full_matrices"] and not wide and m != n:
        raise GradientError(f"the derivative of a complete QR decomposition of a tall matrix, {ins[0].type}, is asked "
                            "for", span=t.span, why="the columns of q that complete it are any orthonormal ones",
                            fix="use mode='reduced'")
    if wide is None:
        raise GradientError(f"the derivative of a QR decomposition of {ins[0].type} is asked for", span=t.span,
                            why="only the run will tell whether it is tall or wide", fix="give it a known size")
    left, corner = (block(t, -1, 0, m), block(r, -1, 0, m)) if wide else (t, r)
    over = solve_triangle(corner, left, left_side=False, lower=False)
    inside = matmul(adjoint(q), over)
    below = lower_part(inside, strict=True)
    turn = below - adjoint(below)
    if inside.dtype.is_complex:
        turn = turn + select(where_index("EQ", inside), inside - convert(real(inside), inside.dtype), 0)
    dq = matmul(q, turn - inside) + over
    dr = matmul(inside - turn, corner)
    if wide:
        rest = matmul(adjoint(dq), matmul(q, block(r, -1, m, n))) + matmul(adjoint(q), block(t, -1, m, n))
        dr = apply("concatenate", dr, rest, axis=dr.rank - 1)
    return [dq, dr]


# ---- spectra ---------------------------------------------------------------------------------------------------


def reciprocal_gaps(v: Term, like: Term) -> Term:
    """[..., i, j] = 1 / (v[..., j] - v[..., i]), 0 on the diagonal; infinite where two are equal."""
    gaps = along_columns(v, like) - along_rows(v, like)
    inside = where_index("EQ", gaps)
    return select(inside, 0, 1.0 / select(inside, 1, gaps))


def eigh_rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes,
              asked: Sequence[bool] | None) -> Terms:
    """dw = diag(V^H dA V);  dV = V (F * V^H dA V), F the reciprocal gaps."""
    (t,), vectors = tangents, attributes["vectors"]
    assert t is not None
    w, v = outs[:2] if vectors else apply_all(op, ins, {**attributes, "vectors": True})[:2]
    inner = matmul(matmul(adjoint(v), hermitian(t, attributes["lower"])), v)
    moves: list[Term | None] = [real(diagonal(inner))]
    if vectors:
        moves.append(matmul(v, reciprocal_gaps(w, v) * inner))
    return [*moves, None]


def svd_rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes,
             asked: Sequence[bool] | None) -> Terms:
    """ds = diag(U^H dA V); vectors turn by the rest, over gaps of squares, and out of their space by what is left."""
    (t,), vectors, wide = tangents, attributes["vectors"], attributes["wide"]
    assert t is not None
    m, n = t.shape[-2:]
    thin = outs if vectors and not attributes["full_matrices"] else apply_all(
        op, ins, {**attributes, "vectors": True, "full_matrices": False})
    u, s, vh = thin[:3]
    inner = matmul(matmul(adjoint(u), t), adjoint(vh))
    ds = real(diagonal(inner))
    if not vectors:
        return [ds, None]
    if asked is not None and not asked[0] and not asked[2]:
        return [None, ds, None, None]
    if attributes["full_matrices"] and m != n:
        if asked is None:
            return [outs[0].like(math.nan), ds, outs[2].like(math.nan), None]
        raise GradientError(f"the derivative of all singular vectors of {ins[0].type} is asked for", span=t.span,
                            why="the vectors that complete them are any orthonormal ones",
                            fix="use full_matrices=False")
    du, dvh = _singular_vectors(u, s, vh, inner)
    if not wide and m != n:      # zero where rows are fewer; so is the other one where columns are
        moved = matmul(t, adjoint(vh))
        du = du + (moved - matmul(u, inner)) / along_columns(s, moved)
    if wide is not False and m != n:
        moved = matmul(adjoint(u), t)
        dvh = dvh + (moved - matmul(inner, vh)) / along_rows(s, moved)
    return [du, ds, dvh, None]


def _singular_vectors(u: Term, s: Term, vh: Term, inner: Term) -> tuple[Term, Term]:
    """How both sides turn within the space that they span. inner: U^H dA V."""
    column, row = along_columns(s, inner), along_rows(s, inner)
    over = reciprocal_gaps(s * s, inner)
    right, left = inner * column, inner * row
    du = over * (right + adjoint(right))
    dv = over * (left + adjoint(left))
    if inner.dtype.is_complex:     # only the difference of both phases is determined
        skew = select(where_index("EQ", inner), inner - adjoint(inner), 0) * 0.5
        du = du + skew / row
    return matmul(u, du), matmul(adjoint(dv), vh)


def eig_rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes,
             asked: Sequence[bool] | None) -> Terms:
    """dw = diag(V^-1 dA V);  dV = V (F * V^-1 dA V), then as LAPACK scales: of length 1, the largest element real."""
    (t,), vectors = tangents, attributes["vectors"]
    assert t is not None
    w, v = outs[:2] if vectors else apply_all(op, ins, {"vectors": True})[:2]
    inner = solve(v, matmul(convert(t, v.dtype), v))
    moves: list[Term | None] = [diagonal(inner)]
    if vectors:
        turned = matmul(v, reciprocal_gaps(w, v) * inner)
        moves.append(turned if v.shape[-1] == 0 else _scaled(v, turned))
    return [*moves, None]


def _scaled(v: Term, move: Term) -> Term:
    """A move of eigenvectors less what changes their length or the phase of their largest element."""
    axis = v.rank - 2
    length = apply("reduce_sum", real(conjugate(v) * move), axes=(axis,))
    at = apply("reduce_argmax", apply("abs", v), axis=axis)
    places = [iota(at, at.shape, a) for a in range(at.rank)]
    places.insert(axis, at)
    axes = tuple(range(v.rank))
    largest, moved = (apply("gather", x, *places, axes=axes) for x in (v, move))
    turn = apply("imag", moved) / apply("real", largest)
    return move - v * along_columns(apply("complex", length, turn), v)


# ---- systems ---------------------------------------------------------------------------------------------------


def triangle_of(x: Term, attributes: Attributes) -> Term:
    """What a triangular solve reads of its matrix."""
    return (lower_part if attributes["lower"] else upper_part)(x, strict=attributes["unit_diagonal"])


def triangular_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    """A X = B: dX = A^-1 (dB - dA X), or from the right (dB - X dA) A^-1."""
    (a, _), (x,), (da, db) = ins, outs, tangents
    if da is not None:
        moved = triangle_of(da, attributes)
        moved = transposed(moved) if attributes["transpose_a"] else moved
        moved = matmul(moved, x) if attributes["left_side"] else matmul(x, moved)
        db = -moved if db is None else db - moved
    return [None if db is None else apply(op, a, db, **attributes)]


def triangular_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                   wanted: Sequence[bool]) -> Terms:
    (a, _), (x,), (ct,) = ins, outs, cotangents
    assert ct is not None
    turned = attributes["transpose_a"]
    back = apply(op, a, ct, **{**attributes, "transpose_a": not turned})
    if not wanted[0]:
        return [None, back]
    first, second = (x, back) if attributes["left_side"] == turned else (back, x)
    if attributes["left_side"]:
        ca = matmul(first, transposed(second))
    else:
        ca = matmul(transposed(first), second)
    return [-triangle_of(ca, attributes), back if wanted[1] else None]


def lu_solve_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    """The factors are those of a: the derivative goes by a alone."""
    (a, factors, order, _), (x,), (da, _, _, db) = ins, outs, tangents
    if da is not None:
        moved = matmul(transposed(da) if attributes["transpose_a"] else da, x)
        db = -moved if db is None else db - moved
    return [None if db is None else apply(op, a, factors, order, db, **attributes)]


def lu_solve_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                 wanted: Sequence[bool]) -> Terms:
    (a, factors, order, _), (x,), (ct,) = ins, outs, cotangents
    assert ct is not None
    turned = attributes["transpose_a"]
    back = apply(op, a, factors, order, ct, transpose_a=not turned)
    first, second = (x, back) if turned else (back, x)
    ca = -matmul(first, transposed(second)) if wanted[0] else None
    return [ca, None, None, back if wanted[3] else None]


# ---- batching --------------------------------------------------------------------------------------------------


def solve_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
                ) -> Batched:
    """Many right-hand sides of one matrix are columns (rows, from the right) of one right-hand side."""
    if any(batched[:-1]):
        return all_lifted()(op, ins, batched, attributes, size, recur)
    b = ins[-1]
    rank, shape = b.rank, b.shape
    last = rank - 1 if attributes.get("left_side", True) else rank - 2
    order = (*range(1, last), 0, *range(last, rank))
    wide = (*shape[1:last], size * shape[last], *shape[last + 1:])
    joined = apply("reshape", apply("transpose", b, permutation=order), shape=wide)
    x = apply(op, *ins[:-1], joined, **attributes)
    x = apply("reshape", x, shape=tuple(shape[a] for a in order))
    return [apply("transpose", x, permutation=tuple(order.index(a) for a in range(rank)))], [True]
