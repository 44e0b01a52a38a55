"""Linear algebra: systems, inverses and factors of stacks of small matrices and of large ones.

Flows in: well-conditioned float64 matrices.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.cli.harness.workload import Case, Workload

SKIP = frozenset({"numexpr", "drjit", "tensorflow"})
STACKS = (Case("1e5x3x3", (100_000, 3), 1.0, 0.3), Case("1000x8x8", (1000, 8), 1.0, 0.5))


def solve(a, b):
    return np.linalg.solve(a, b)


def inverse(a):
    return np.linalg.inv(a)


def cholesky(a):
    return np.linalg.cholesky(a)


def mahalanobis(points, covariance):
    """How far points are from zero, in deviations along each of them, and the log of the volume."""
    factor = np.linalg.cholesky(covariance)
    scaled = np.linalg.solve(factor, points)
    return np.sum(scaled * scaled, axis=-2), 2 * np.sum(np.log(np.diagonal(factor, 0, -2, -1)), axis=-1)


def elimination(a, x, n):
    """By rows, with pivots; x becomes the solution."""
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[pivot, k]):
                pivot = i
        for j in range(n):
            a[k, j], a[pivot, j] = a[pivot, j], a[k, j]
        for j in range(x.shape[1]):
            x[k, j], x[pivot, j] = x[pivot, j], x[k, j]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            for j in range(k + 1, n):
                a[i, j] -= factor * a[k, j]
            for j in range(x.shape[1]):
                x[i, j] -= factor * x[k, j]
    for k in range(n - 1, -1, -1):
        for j in range(x.shape[1]):
            for i in range(k + 1, n):
                x[k, j] -= a[k, i] * x[i, j]
            x[k, j] /= a[k, k]


def numba_solve() -> Callable[..., Any]:
    import numba

    eliminate = numba.njit(elimination)

    @numba.njit(parallel=True)
    def run(a, b):
        x = b.copy()
        for k in numba.prange(a.shape[0]):
            eliminate(a[k].copy(), x[k], a.shape[1])
        return x

    return run


def numba_inverse() -> Callable[..., Any]:
    import numba

    eliminate = numba.njit(elimination)

    @numba.njit(parallel=True)
    def run(a):
        x = np.zeros_like(a)
        for k in numba.prange(a.shape[0]):
            for i in range(a.shape[1]):
                x[k, i, i] = 1.0
            eliminate(a[k].copy(), x[k], a.shape[1])
        return x

    return run


def matrices(count: int, n: int, r: np.random.Generator) -> Any:
    return r.normal(size=(count, n, n)) + 2 * n * np.eye(n)


def positive(n: int, r: np.random.Generator) -> Any:
    a = r.normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


WORKLOADS = [
    Workload("solve, stacked", solve, lambda size, r: (matrices(*size, r), r.normal(size=(*size, 1))), STACKS, (10, 3),
             peers={"numba": numba_solve}, skip=SKIP),
    Workload("inverse, stacked", inverse, lambda size, r: (matrices(*size, r),), STACKS, (10, 3),
             peers={"numba": numba_inverse}, skip=SKIP),
    Workload("cholesky", cholesky, lambda n, r: (positive(n, r),),
             (Case("64", 64, 1.0, 0.8), Case("500", 500, 1.0, 0.9)), 5, skip=SKIP | {"numba"}),
    Workload("Mahalanobis", mahalanobis, lambda n, r: (r.normal(size=(n, 200)), positive(n, r)),
             (Case("8", 8, 1.0, 0.5), Case("200", 200, 1.0, 0.9)), 4, skip=SKIP | {"numba", "torch", "torch.compile"}),
]
