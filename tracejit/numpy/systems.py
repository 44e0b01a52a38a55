"""np.linalg.solve, inv and what is made of them: tensorsolve, tensorinv, matrix_power.

Flows in:  stacks of square matrices, right-hand sides.
Flows out: LU once for each matrix, triangular solves; LinAlgError when the function runs, at the user's line.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.numpy.creation import eye
from tracejit.numpy.matrices import doubled, prepared, require_success, result_type, results, square
from tracejit.numpy.products import matmul, require_equal
from tracejit.numpy.support import count_of, emit, fail, operand, reshaped, shape_of, transposed
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_shapes, broadcast_to, convert, static_int
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """b is a vector only if it has one axis."""
    x, y = square(a), operand(b)
    dtype = result_type(x, y)
    vector = y.ndim == 1
    if y.ndim == 0:
        fail(ValueError, "solve: Input operand 1 does not have enough dimensions (has 0, gufunc core with signature "
             "(m,m),(m,n)->(m,n) requires 2)")
    n, m = shape_of(x)[-1], shape_of(y)[0 if vector else -2]
    name, signature = ("solve1", "(m,m),(m)->(m)") if vector else ("solve", "(m,m),(m,n)->(m,n)")
    require_equal(n, m, f"{name}: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature "
                  f"{signature} (size {m} is different from {n})")
    y = reshaped(y, (*shape_of(y), 1)) if vector else y
    found = solved(doubled(x, dtype), doubled(y, dtype))
    found = reshaped(found, shape_of(found)[:-1]) if vector else found
    return convert(found, dtype)


def solved(a: Array, b: Array) -> Array:
    """a^-1 b in double precision. Stacks broadcast; many right-hand sides of one matrix are columns of one."""
    factors, _, order, singular = results("lu", a)
    require_success(singular, "Singular matrix")
    if a.ndim == 2 and b.ndim > 2:
        *lead, m, k = range(b.ndim)
        columns = transposed(b, (m, *lead, k))
        shape = shape_of(columns)
        flat = _lu_solve(a, factors, order, reshaped(columns, (shape[0], count_of(columns, range(1, b.ndim)))))
        return transposed(reshaped(flat, shape), (*range(1, m + 1), 0, k))
    batch = broadcast_shapes(shape_of(a)[:-2], shape_of(b)[:-2])
    a, factors, b = (broadcast_to(x, (*batch, *shape_of(x)[-2:])) for x in (a, factors, b))
    return _lu_solve(a, factors, broadcast_to(order, (*batch, shape_of(order)[-1])), b)


def _lu_solve(a: Array, factors: Array, order: Array, b: Array) -> Array:
    return emit("lu_solve", a, factors, order, b, transpose_a=False)


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    x, dtype = prepared(square(a))
    found, singular = inverse(x)
    require_success(singular, "Singular matrix")
    return convert(found, dtype)


def inverse(x: Array) -> tuple[Array, Array]:
    """Inverses in double precision, and which of the matrices have none."""
    factors, _, order, singular = results("lu", x)
    ones = operand(broadcast_to(eye(shape_of(x)[-1], dtype=x.type.dtype), shape_of(x)))
    return _lu_solve(x, factors, order, ones), singular


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    x, y = operand(a), operand(b)
    if axes is not None:
        order = list(range(x.ndim))
        for axis in map(static_int, axes):
            order.remove(axis)
            order.insert(x.ndim, axis)
        x = transposed(x, order)
    rest = range(x.ndim)[-(x.ndim - y.ndim):]
    shape, size = tuple(shape_of(x)[a] for a in rest), count_of(x, rest)
    if not same_size(x.type.size, size * size):
        fail(np.linalg.LinAlgError, "Input arrays must satisfy the requirement             prod(a.shape[b.ndim:]) == "
             "prod(a.shape[:b.ndim])")
    return reshaped(solve(reshaped(x, (size, size)), reshaped(y, (y.type.size,))), shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: Any = 2) -> Any:
    x, first = operand(a), static_int(ind)
    if first <= 0:
        fail(ValueError, "Invalid ind argument.")
    rows, columns = count_of(x, range(first, x.ndim)), count_of(x, range(min(first, x.ndim)))
    if not same_size(rows, columns):
        fail(np.linalg.LinAlgError, "Last 2 dimensions of the array must be square")
    shape = shape_of(x)
    return reshaped(inv(reshaped(x, (rows, columns))), (*shape[first:], *shape[:first]))


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Any:
    x = square(a)
    if isinstance(n, (float, complex, str)):
        fail(TypeError, "exponent must be an integer")
    power = static_int(n)
    if power == 0:
        return operand(broadcast_to(eye(shape_of(x)[-1], dtype=x.type.dtype), shape_of(x)))
    x = inv(x) if power < 0 else x
    power, result = abs(power), None
    while power:
        if power & 1:
            result = x if result is None else matmul(result, x)
        power >>= 1
        x = matmul(x, x) if power else x
    return result
