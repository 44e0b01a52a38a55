"""Products: matmul, dot, inner, outer, tensordot, vdot, kron, cross, trace, multi_dot.

Flows in:  arrays of any rank, with NumPy's rules for vectors and stacks of matrices.
Flows out: dot_general ops in the common dtype; 1-D and 0-D operands are reshaped, never copied.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.dtypes import BOOL
from tracejit.numpy.diagonals import diagonal
from tracejit.numpy.reductions import sum_
from tracejit.numpy.shapes import moveaxis, unit_axes
from tracejit.numpy.support import (
    emit,
    fail,
    finish,
    flattened,
    is_half,
    normal_axis,
    operand,
    placed,
    reshaped,
    shape_of,
    sliced,
    transposed,
)
from tracejit.numpy.ufuncs import elementwise, resolve
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast, broadcast_shapes, broadcast_to, convert, promote, static_int
from tracejit.tracing.context import current
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size


def dot_general(x: Array, y: Array, contract: tuple[Sequence[int], Sequence[int]],
                batch: tuple[Sequence[int], Sequence[int]] = ((), ())) -> Array:
    """batch axes, other axes of x, other axes of y. bool is computed as `any of and`, 16-bit floats in f32."""
    own = x.type.dtype
    if own is BOOL:
        x, y = convert(x, "f32"), convert(y, "f32")
    elif is_half(own):
        x, y = convert(x, "f32"), convert(y, "f32")
    result = emit("dot_general", x, y, lhs_batch=tuple(batch[0]), rhs_batch=tuple(batch[1]),
                  lhs_contract=tuple(contract[0]), rhs_contract=tuple(contract[1]))
    return convert(result, own)


def _operands(ufunc: np.ufunc, *args: Any, dtype: Any = None) -> list[Array]:
    """Arrays in the dtype that NumPy resolves for the product."""
    arrays = [operand(a) for a in args]
    return [convert(a, d) for a, d in zip(arrays, resolve(ufunc, arrays, dtype))]


def require_equal(x: Any, y: Any, message: str) -> None:
    if not same_size(x, y):
        fail(ValueError, message)


# ---- matmul and its relatives ----------------------------------------------------------------------------------


@implements(np.matmul)
def matmul(x1: Any, x2: Any, /, out: Any = None, *, casting: str = "same_kind", order: str = "K", dtype: Any = None,
           subok: bool = True, axes: Any = None, axis: Any = None, keepdims: Any = None) -> Any:
    """x1 @ x2."""
    x, y = _operands(np.matmul, x1, x2, dtype=dtype)
    if x.ndim == 0 or y.ndim == 0:
        fail(ValueError, f"matmul: Input operand {0 if x.ndim == 0 else 1} does not have enough dimensions (has 0, "
             "gufunc core with signature (n?,k),(k,m?)->(n?,m?) requires 1)", fix="use * for scalars")
    return finish(_matmul(x, y), out[0] if isinstance(out, tuple) else out, casting=casting, name="matmul")


def _matmul(x: Array, y: Array) -> Array:
    a, b = x.ndim - 1, max(y.ndim - 2, 0)
    n, m = shape_of(x)[a], shape_of(y)[b]
    require_equal(n, m, "matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature "
                  f"(n?,k),(k,m?)->(n?,m?) (size {m} is different from {n})")
    if x.ndim <= 2 or y.ndim <= 2:
        return _matmul_unbatched(x, y, a, b)
    lead = broadcast_shapes(shape_of(x)[:-2], shape_of(y)[:-2])
    x = _batched(x, lead)
    y = _batched(y, lead)
    rank = len(lead)
    return dot_general(x, y, ((rank + 1,), (rank,)), (range(rank), range(rank)))


def _batched(x: Array, lead: Sequence[Any]) -> Array:
    return broadcast_to(x, (*lead, *shape_of(x)[-2:]))


def _matmul_unbatched(x: Array, y: Array, a: int, b: int) -> Array:
    """At most one operand has batch axes, which come along as free axes."""
    result = dot_general(x, y, ((a,), (b,)))
    if y.ndim <= 2 or x.ndim == 1:
        return result
    return transposed(result, [*range(1, y.ndim - 1), 0, y.ndim - 1])


@implements(np.vecdot)
def vecdot(x1: Any, x2: Any, /, out: Any = None, *, axis: Any = -1, **options: Any) -> Any:
    """The sum of conj(x1) * x2 along an axis."""
    x, y = _operands(np.vecdot, x1, x2)
    x = elementwise(np.conjugate, x)
    x, y = moveaxis(x, axis, -1), moveaxis(y, axis, -1)
    n, m = shape_of(x)[-1], shape_of(y)[-1]
    require_equal(n, m, "vecdot: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature "
                  f"(n),(n)->() (size {m} is different from {n})")
    x, y = broadcast(x, y)
    rank = x.ndim - 1
    return finish(dot_general(x, y, ((rank,), (rank,)), (range(rank), range(rank))), out)


@implements(np.matvec)
def matvec(x1: Any, x2: Any, /, out: Any = None, **options: Any) -> Any:
    matrix, vector = operand(x1), operand(x2)
    column = reshaped(vector, (*shape_of(vector), 1))
    result = matmul(matrix, column)
    return finish(reshaped(result, shape_of(result)[:-1]), out)


@implements(np.vecmat)
def vecmat(x1: Any, x2: Any, /, out: Any = None, **options: Any) -> Any:
    vector, matrix = elementwise(np.conjugate, operand(x1)), operand(x2)
    row = reshaped(vector, (*shape_of(vector)[:-1], 1, shape_of(vector)[-1]))
    result = matmul(row, matrix)
    return finish(reshaped(result, (*shape_of(result)[:-2], shape_of(result)[-1])), out)


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """The sum over the last axis of a and the second-to-last of b."""
    x, y = promote(operand(a), operand(b))
    if x.ndim == 0 or y.ndim == 0:
        return finish(elementwise(np.multiply, x, y), out)
    at = max(y.ndim - 2, 0)
    n, m = shape_of(x)[-1], shape_of(y)[at]
    require_equal(n, m, f"shapes {x.shape} and {y.shape} not aligned: {n} (dim {x.ndim - 1}) != {m} (dim {at})")
    return finish(dot_general(x, y, ((x.ndim - 1,), (at,))), out)


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    x, y = promote(operand(a), operand(b))
    if x.ndim == 0 or y.ndim == 0:
        return elementwise(np.multiply, x, y)
    n, m = shape_of(x)[-1], shape_of(y)[-1]
    require_equal(n, m, f"shapes {x.shape} and {y.shape} not aligned: {n} (dim {x.ndim - 1}) != {m} (dim {y.ndim - 1})")
    return dot_general(x, y, ((x.ndim - 1,), (y.ndim - 1,)))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    x, y = promote(flattened(operand(a)), flattened(operand(b)))
    require_equal(shape_of(x)[0], shape_of(y)[0], "cannot reshape array: vdot takes arrays of equal size")
    return dot_general(elementwise(np.conjugate, x), y, ((0,), (0,)))


@implements(np.outer, np.linalg.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    x, y = flattened(operand(a)), flattened(operand(b))
    shape = (shape_of(x)[0], shape_of(y)[0])
    return finish(elementwise(np.multiply, placed(x, shape, (0,)), placed(y, shape, (1,))), out)


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    x, y = promote(operand(a), operand(b))
    if isinstance(axes, (tuple, list)):
        left, right = (list(p) if isinstance(p, (tuple, list)) else [p] for p in axes)
    else:
        count = static_int(axes)
        left, right = list(range(x.ndim - count, x.ndim)), list(range(count))
    if len(left) != len(right):
        fail(ValueError, "shape-mismatch for sum")
    left, right = [normal_axis(i, x.ndim) for i in left], [normal_axis(i, y.ndim) for i in right]
    for i, j in zip(left, right):
        require_equal(shape_of(x)[i], shape_of(y)[j], "shape-mismatch for sum")
    return dot_general(x, y, (left, right))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    x, y = operand(a), operand(b)
    rank = max(x.ndim, y.ndim)
    x, y = unit_axes(x, rank), unit_axes(y, rank)
    pairs = [n for p in zip(shape_of(x), shape_of(y)) for n in p]
    wide = elementwise(np.multiply, placed(x, pairs, range(0, 2 * rank, 2)), placed(y, pairs, range(1, 2 * rank, 2)))
    return reshaped(wide, [n * m for n, m in zip(shape_of(x), shape_of(y))])


# ---- cross products, chains ------------------------------------------------------------------------------------


@implements(np.cross)
def cross(a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None) -> Any:
    """Vectors of 3 (2-vectors as NumPy still takes them)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = moveaxis(operand(a), axisa, -1), moveaxis(operand(b), axisb, -1)
    n, m = static_int(x.shape[-1]), static_int(y.shape[-1])
    if n not in (2, 3) or m not in (2, 3):
        fail(ValueError, "incompatible dimensions for cross product\n(dimension must be 2 or 3)")
    p, q = _components(x, n), _components(y, m)

    def minus(i: int, j: int) -> Any:
        left = elementwise(np.multiply, p[i], q[j]) if i < n and j < m else None
        right = elementwise(np.multiply, p[j], q[i]) if j < n and i < m else None
        if left is None:
            return elementwise(np.negative, right)
        return left if right is None else elementwise(np.subtract, left, right)

    if n == m == 2:
        return minus(0, 1)
    parts = [reshaped(c, (*shape_of(c), 1)) for c in broadcast(minus(1, 2), minus(2, 0), minus(0, 1))]
    return moveaxis(emit("concatenate", *parts, axis=parts[0].ndim - 1), -1, axisc)


@implements(np.linalg.cross)
def linalg_cross(x1: Any, x2: Any, /, *, axis: Any = -1) -> Any:
    return cross(x1, x2, axis=axis)


def _components(x: Array, count: int) -> list[Array]:
    last = x.ndim - 1
    return [reshaped(sliced(x, last, i, i + 1), shape_of(x)[:-1]) for i in range(count)]


implements(np.linalg.matmul)(matmul)
implements(np.linalg.vecdot)(vecdot)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """A chain of products in the order that costs least."""
    parts = [operand(a) for a in arrays]
    if len(parts) < 2:
        fail(ValueError, "Expecting at least two arrays.")
    first, last = parts[0].ndim == 1, parts[-1].ndim == 1
    parts[0] = reshaped(parts[0], (1, *shape_of(parts[0]))) if first else parts[0]
    parts[-1] = reshaped(parts[-1], (*shape_of(parts[-1]), 1)) if last else parts[-1]
    result = _chain(parts, _best_splits(parts), 0, len(parts) - 1)
    shape = shape_of(result)
    return finish(reshaped(result, shape[1 if first else 0: 1 if last else 2]), out)


def _best_splits(parts: Sequence[Array]) -> dict[tuple[int, int], int]:
    """Dynamic programming over today's sizes."""
    sizes = [current().hint(n) or 1 for n in (*(shape_of(p)[0] for p in parts), shape_of(parts[-1])[1])]
    cost = {(i, i): 0 for i in range(len(parts))}
    splits: dict[tuple[int, int], int] = {}
    for length in range(2, len(parts) + 1):
        for i in range(len(parts) - length + 1):
            j = i + length - 1
            options = {k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)}
            splits[i, j] = min(options, key=lambda k: options[k])
            cost[i, j] = options[splits[i, j]]
    return splits


def _chain(parts: Sequence[Array], splits: dict[tuple[int, int], int], i: int, j: int) -> Array:
    if i == j:
        return parts[i]
    k = splits[i, j]
    return dot(_chain(parts, splits, i, k), _chain(parts, splits, k + 1, j))  # type: ignore[no-any-return]


@implements(np.trace, np.linalg.trace)
def trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None) -> Any:
    return finish(sum_(diagonal(operand(a), offset, axis1, axis2), -1, dtype), out)
