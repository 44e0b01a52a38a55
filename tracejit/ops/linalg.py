"""Linear algebra on stacks of matrices: the last two axes are a matrix, all others are the stack.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `library`, which LAPACK does. `facts["routines"]`: what its kernel calls; where one is missing,
           the op runs on the host as it is declared. None of them fails: a matrix that LAPACK refuses is marked in the
           last result, `failed`, and what has no meaning then is NaN.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dims import Size, dim_function
from tracejit.base.dtypes import BOOL, C64, C128, F32, F64, I64, DType
from tracejit.base.errors import DtypeError, ShapeError, TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Case, Op
from tracejit.ops import linalg_references as references
from tracejit.ops import linalg_rules as rules
from tracejit.ops.batching import all_lifted
from tracejit.ops.declare import declare, refuse, require_arity, require_dtype
from tracejit.ops.derivatives import Gradient, Transposed

Array = NDArray[Any]
Types = list[ArrayType]

DECOMPOSED = frozenset({F32, F64, C64, C128})
ULPS = 4000.0     # the tests' matrices are small and far from singular
COST = 200


# ---- types -----------------------------------------------------------------------------------------------------


def _require_matrices(op: str, types: Sequence[ArrayType], square: bool = False) -> None:
    x = types[0]
    require_dtype(op, types, 0, DECOMPOSED)
    if x.rank < 2:
        refuse(ShapeError, op, types, f"operand 0 has rank {x.rank}", "give it two axes at least")
    if square and x.shape[-1] != x.shape[-2]:
        refuse(ShapeError, op, types, f"matrices of {x.shape[-2]} rows and {x.shape[-1]} columns are not square",
               "take a square part")


def _shorter(op: str, x: ArrayType, wide: bool | None) -> Size:
    """The smaller side of a matrix: its rows if it is wide; None if only the run will tell."""
    m, n = x.shape[-2:]
    if wide is None:
        return dim_function("min", m, n)
    if isinstance(m, int) and isinstance(n, int) and (m < n) != wide:
        refuse(TypeRuleError, op, [x], f"wide={wide} does not fit its shape", "say whether rows are fewer than columns")
    return m if wide else n


def _stack(x: ArrayType, dtype: DType, *shape: Size) -> ArrayType:
    return ArrayType(dtype, (*x.shape[:-2], *shape))


def _failed(x: ArrayType) -> ArrayType:
    return ArrayType(BOOL, x.shape[:-2])


def _cholesky_type(x: ArrayType, *, lower: bool) -> Types:
    _require_matrices("cholesky", [x], square=True)
    return [x, _failed(x)]


def _lu_type(x: ArrayType) -> Types:
    _require_matrices("lu", [x])
    m, n = x.shape[-2:]
    k = dim_function("min", m, n)
    return [x, _stack(x, I64, k), _stack(x, I64, m), _failed(x)]


def _qr_type(x: ArrayType, *, full_matrices: bool, wide: bool | None) -> Types:
    _require_matrices("qr", [x])
    m, n = x.shape[-2:]
    width = m if full_matrices else _shorter("qr", x, wide)
    return [_stack(x, x.dtype, m, width), _stack(x, x.dtype, width, n)]


def _geqrf_type(x: ArrayType, *, wide: bool | None) -> Types:
    _require_matrices("geqrf", [x])
    return [x, _stack(x, x.dtype, _shorter("geqrf", x, wide))]


def _eigh_type(x: ArrayType, *, lower: bool, vectors: bool) -> Types:
    _require_matrices("eigh", [x], square=True)
    return [_stack(x, x.dtype.real, x.shape[-1]), *([x] if vectors else []), _failed(x)]


def _svd_type(x: ArrayType, *, full_matrices: bool, vectors: bool, wide: bool | None) -> Types:
    _require_matrices("svd", [x])
    (m, n), k = x.shape[-2:], _shorter("svd", x, wide)
    values = _stack(x, x.dtype.real, k)
    if not vectors:
        return [values, _failed(x)]
    left, right = (m, n) if full_matrices else (k, k)
    return [_stack(x, x.dtype, m, left), values, _stack(x, x.dtype, right, n), _failed(x)]


def _eig_type(x: ArrayType, *, vectors: bool) -> Types:
    _require_matrices("eig", [x], square=True)
    dtype, n = {F32: C64, F64: C128}.get(x.dtype, x.dtype), x.shape[-1]
    return [_stack(x, dtype, n), *([_stack(x, dtype, n, n)] if vectors else []), _failed(x)]


def _system_type(op: str, types: Sequence[ArrayType], left_side: bool) -> Types:
    a, b = types[0], types[-1]
    _require_matrices(op, types, square=True)
    if b.dtype is not a.dtype:
        refuse(DtypeError, op, types, "matrix and right-hand side have different dtypes", "convert one first")
    if b.rank != a.rank or b.shape[:-2] != a.shape[:-2] or b.shape[-2 if left_side else -1] != a.shape[-1]:
        refuse(ShapeError, op, types, "the right-hand side does not fit the matrix", "give it as many rows, and the "
               "axes of the stack")
    return [b]


def _triangular_type(a: ArrayType, b: ArrayType, *, left_side: bool, lower: bool, transpose_a: bool,
                     unit_diagonal: bool) -> Types:
    return _system_type("triangular_solve", [a, b], left_side)


def _lu_solve_type(*types: ArrayType, transpose_a: bool) -> Types:
    require_arity("lu_solve", types, 4)
    a, factors, order, _ = types
    if factors != a or order != ArrayType(I64, a.shape[:-1]):
        refuse(TypeRuleError, "lu_solve", types, "the factors are not those of the matrix", "pass what lu gives for it")
    return _system_type("lu_solve", types, True)


# ---- what tests draw -------------------------------------------------------------------------------------------


def positive(a: Array) -> Array:
    """A positive definite matrix."""
    return np.asarray(np.matmul(a, np.conj(np.swapaxes(a, -1, -2))) + np.eye(a.shape[-1], dtype=a.dtype), a.dtype)


def dominant(a: Array) -> Array:
    """A matrix whose diagonal is larger than the rest."""
    return np.asarray(a + 6 * a.shape[-1] * np.eye(a.shape[-1], dtype=a.dtype), a.dtype)


def factored(a: Array, lu: Array, order: Array, b: Array) -> list[Array]:
    """A matrix with its factors."""
    a = dominant(a)
    return [a, *references.lu(a)[:3:2], b]


def cases(*shapes: str, values: Sequence[Mapping[str, Any]] = ({},),
          others: Mapping[DType, Sequence[Mapping[str, Any]]] | None = None) -> Callable[..., Iterator[Case]]:
    """Every dtype on the first shapes, every shape in f64. shapes: operands, `t` for the dtype: "t[3,3] i64[3]".

    others: attributes for one dtype alone: vectors have phases, which rounding and differences turn round.
    """
    def made(full: bool = False) -> Iterator[Case]:
        for k, dtype in enumerate((F64, F32, C64, C128)):
            for text in shapes if full or k == 0 else shapes[:1]:
                for attributes in (others or {}).get(dtype, values):
                    given = {n: v(text) if callable(v) else v for n, v in attributes.items()}
                    yield tuple(map(ArrayType.parse, text.replace("t[", f"{dtype}[").split())), given
    return made


def is_wide(text: str) -> bool:
    """Whether the first operand of a case has fewer rows than columns."""
    m, n = ArrayType.parse(text.replace("t[", "f64[").split()[0]).shape[-2:]
    return bool(m < n)     # type: ignore[operator]


TRIANGLES = ({"lower": True}, {"lower": False})
SQUARE = ("t[3,3]", "t[2,4,4]", "t[1,1]", "t[0,0]", "t[0,2,2]")
ANY_SHAPE = ("t[4,3]", "t[3,4]", "t[2,3,3]", "t[1,1]", "t[0,3]", "t[2,0]")


THIN: dict[str, Any] = {"full_matrices": False, "wide": is_wide}


def _op(name: str, routines: Sequence[str], **others: Any) -> Op:
    """What all of them share. routines: of LAPACK and BLAS."""
    facts = {"routines": tuple(routines), **others.pop("facts", {})}
    return declare("library", name, exact=False, ulps=ULPS, cost=COST, facts=facts,
                   batch=others.pop("batch", all_lifted()), **others)


# ---- declarations ----------------------------------------------------------------------------------------------

# x -> factor with zeros in the other triangle, failed.  lower: which triangle of x is read, and made.
cholesky = _op("cholesky", ["potrf"], type_rule=_cholesky_type, numpy=references.cholesky,
               cases=cases(*SQUARE, "t[9,6,6]", values=TRIANGLES), facts={"drawn": lambda a: [positive(a)]},
               gradient=Transposed(rules.cholesky_rule))

# x -> L below and U on and above the diagonal, row exchanged with row i, order of rows, whether it is singular.
lu = _op("lu", ["getrf"], type_rule=_lu_type, numpy=references.lu, cases=cases(*SQUARE, "t[9,6,6]", "t[4,3]", "t[3,4]"),
         gradient=Transposed(rules.lu_rule))

# x -> reflections below R, their factors: as LAPACK has them.
geqrf = _op("geqrf", ["geqrf"], type_rule=_geqrf_type, numpy=lambda x, wide: references.geqrf(x),
            cases=cases(*ANY_SHAPE, values=[{"wide": is_wide}]))

# x -> Q, R.  wide, here and of svd: whether rows are fewer than columns, None if only the run will tell.
qr = _op("qr", ["geqrf", "orgqr"], type_rule=_qr_type, gradient=Transposed(rules.qr_rule),
         numpy=lambda x, full_matrices, wide: references.qr(x, full_matrices),
         cases=cases(*ANY_SHAPE, values=[THIN]))

# Hermitian x, of which one triangle is read -> eigenvalues from the least on, eigenvectors as columns, failed.
eigh = _op("eigh", ["syevd"], type_rule=_eigh_type, numpy=references.eigh, gradient=Transposed(rules.eigh_rule),
           cases=cases(*SQUARE, values=[{**t, "vectors": v} for t in TRIANGLES for v in (True, False)],
                       others={C128: [{"lower": True, "vectors": False}]}))

# x -> left singular vectors as columns, singular values from the greatest on, right ones as conjugate rows, failed.
svd = _op("svd", ["gesdd"], type_rule=_svd_type, gradient=Transposed(rules.svd_rule),
          numpy=lambda x, full_matrices, vectors, wide: references.svd(x, full_matrices, vectors),
          cases=cases(*ANY_SHAPE, values=[THIN | {"vectors": True}, THIN | {"vectors": False}],
                      others={C128: [THIN | {"vectors": False}]}))

# x -> eigenvalues, right eigenvectors as columns of length 1 whose largest element is real, failed; complex numbers.
eig = _op("eig", ["geev"], type_rule=_eig_type, numpy=references.eig, gradient=Transposed(rules.eig_rule),
          cases=cases(*SQUARE, values=[{"vectors": True}, {"vectors": False}], others={F32: [{"vectors": False}]}))

# a, b -> a^-1 b, or b a^-1 if not left_side; of a one triangle is read, without its diagonal if that is one.
triangular_solve = _op("triangular_solve", ["trsm", "trsv"], type_rule=_triangular_type,
                       numpy=references.triangular_solve, batch=rules.solve_batch,
                       gradient=Gradient(rules.triangular_jvp, rules.triangular_vjp),
                       facts={"drawn": lambda a, b: [dominant(a), b]},
                       cases=cases("t[3,3] t[3,3]", "t[2,2,2] t[2,2,2]", "t[3,3] t[3,3]", "t[0,0] t[0,0]", values=[
                           {"left_side": left, "lower": lower, "transpose_a": turned, "unit_diagonal": False}
                           for left in (True, False) for lower in (True, False) for turned in (True, False)] + [
                           {"left_side": True, "lower": True, "transpose_a": False, "unit_diagonal": True}]))

# a, its factors, its order of rows, b -> a^-1 b. Derivatives go by a, of which the factors are another form.
lu_solve = _op("lu_solve", ["trsm", "trsv"], type_rule=_lu_solve_type, numpy=references.lu_solve,
               batch=rules.solve_batch, gradient=Gradient(rules.lu_solve_jvp, rules.lu_solve_vjp),
               facts={"drawn": factored},
               cases=cases("t[3,3] t[3,3] i64[3] t[3,2]", "t[2,4,4] t[2,4,4] i64[2,4] t[2,4,1]",
                           "t[1,1] t[1,1] i64[1] t[1,3]", "t[0,0] t[0,0] i64[0] t[0,2]",
                           values=[{"transpose_a": False}, {"transpose_a": True}]))
