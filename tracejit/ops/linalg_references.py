"""What the ops of linear algebra mean in NumPy. Where NumPy would raise, a matrix's results are NaN and it is marked.

Flows in:  stacks of matrices.
Flows out: arrays, as the op's type rule says.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Made = tuple[Array, ...]

BLOCK = 32      # columns of a panel of LU


def attempted(function: Callable[[Array], Sequence[Array]], x: Array, made: Sequence[tuple[tuple[int, ...], Any]]
              ) -> Made:
    """The results of `function` on a stack, and which matrices it failed on. made: shape and dtype of one's results."""
    batch = x.shape[:-2]
    try:
        return (*(np.asarray(r, d) for r, (_, d) in zip(function(x), made, strict=True)), np.zeros(batch, bool))
    except np.linalg.LinAlgError:
        outs, failed = [np.full(batch + shape, np.nan, dtype) for shape, dtype in made], np.zeros(batch, bool)
    for at in np.ndindex(batch):
        try:
            for out, result in zip(outs, function(x[at]), strict=True):
                out[at] = result
        except np.linalg.LinAlgError:
            failed[at] = True
    return (*outs, failed)


def cholesky(x: Array, lower: bool) -> Made:
    """The factor whose other triangle is zero; of x, that triangle is read."""
    return attempted(lambda a: [np.linalg.cholesky(a, upper=not lower)], x, [(x.shape[-2:], x.dtype)])


def eigh(x: Array, lower: bool, vectors: bool) -> Made:
    n, side = x.shape[-1], cast(Any, "L" if lower else "U")
    values = (n,), x.real.dtype
    if not vectors:
        return attempted(lambda a: [np.linalg.eigvalsh(a, side)], x, [values])
    return attempted(lambda a: np.linalg.eigh(a, side), x, [values, ((n, n), x.dtype)])


def svd(x: Array, full_matrices: bool, vectors: bool) -> Made:
    m, n = x.shape[-2:]
    k = min(m, n)
    values = (k,), x.real.dtype
    if not vectors:
        return attempted(lambda a: [np.linalg.svd(a, compute_uv=False)], x, [values])
    left, right = ((m, m), (n, n)) if full_matrices else ((m, k), (k, n))
    return attempted(lambda a: np.linalg.svd(a, full_matrices), x, [(left, x.dtype), values, (right, x.dtype)])


def eig(x: Array, vectors: bool) -> Made:
    n, dtype = x.shape[-1], np.result_type(x.dtype, np.complex64)
    if not vectors:
        return attempted(lambda a: [np.linalg.eigvals(a)], x, [((n,), dtype)])
    return attempted(np.linalg.eig, x, [((n,), dtype), ((n, n), dtype)])


def qr(x: Array, full_matrices: bool) -> Made:
    q, r = np.linalg.qr(x, "complete" if full_matrices else "reduced")
    return q, r


def geqrf(x: Array) -> Made:
    packed, taus = np.linalg.qr(x, "raw")
    return np.swapaxes(packed, -1, -2), taus


def solve(a: Array, b: Array) -> Array:
    """NaN where a is singular."""
    shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    both = np.concatenate([np.broadcast_to(x, shape + x.shape[-2:]) for x in (a, b)], -1)
    n = a.shape[-1]
    return attempted(lambda x: [np.linalg.solve(x[..., :n], x[..., n:])], both, [(b.shape[-2:], a.dtype)])[0]


def lu_solve(a: Array, lu: Array, permutation: Array, b: Array, transpose_a: bool) -> Array:
    """By a itself."""
    return solve(np.swapaxes(a, -1, -2) if transpose_a else a, b)


def triangular_solve(a: Array, b: Array, left_side: bool, lower: bool, transpose_a: bool, unit_diagonal: bool) -> Array:
    triangle = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        eye = np.eye(a.shape[-1], dtype=a.dtype)
        triangle = triangle * (1 - eye) + eye
    if transpose_a == left_side:
        triangle = np.swapaxes(triangle, -1, -2)
    if left_side:
        return solve(triangle, b)
    return np.ascontiguousarray(np.swapaxes(solve(triangle, np.swapaxes(b, -1, -2)), -1, -2))


def lu(x: Array) -> Made:
    """LU with row exchanges: both factors in one matrix, row exchanged with row i, order of rows, singular."""
    *batch, m, n = x.shape
    k, work = min(m, n), np.array(x).reshape(int(np.prod(batch)), m, n)
    pivots, order = np.zeros((len(work), k), np.int64), np.tile(np.arange(m), (len(work), 1))
    with np.errstate(all="ignore"):
        for start in range(0, k, BLOCK):
            stop = min(start + BLOCK, k)
            for j in range(start, stop):
                _exchange(work, pivots, order, j)
                _eliminate(work, j, stop)
            for i in range(start + 1, stop):
                work[:, i, stop:] -= np.matmul(work[:, i:i + 1, start:i], work[:, start:i, stop:])[:, 0]
            work[:, stop:, stop:] -= np.matmul(work[:, stop:, start:stop], work[:, start:stop, stop:])
    singular = (np.diagonal(work, 0, 1, 2) == 0).any(-1)
    shape = tuple(batch)
    return (work.reshape(x.shape), pivots.reshape((*shape, k)), order.reshape((*shape, m)).astype(np.int64),
            singular.reshape(shape))


def _exchange(work: Array, pivots: Array, order: Array, j: int) -> None:
    """The greatest element of column j on the diagonal, by |re| + |im| as LAPACK has it."""
    column = work[:, j:, j]
    pivot = j + np.argmax(np.abs(column.real) + np.abs(column.imag), 1)
    rows = np.arange(len(work))
    for memory in (work, order):
        mine = memory[:, j].copy()
        memory[:, j] = memory[rows, pivot]
        memory[rows, pivot] = mine
    pivots[:, j] = pivot


def _eliminate(work: Array, j: int, stop: int) -> None:
    """Column j below the diagonal, in columns up to `stop`."""
    pivot = work[:, j, j]
    work[:, j + 1:, j] /= np.where(pivot == 0, 1, pivot)[:, None]
    work[:, j + 1:, j + 1:stop] -= work[:, j + 1:, j, None] * work[:, j, None, j + 1:stop]
