"""Programs in the manner of PolyBench: linear algebra, stencils and dynamic programs as loops over NumPy arrays.

Flows in: float64 matrices, strings as bytes.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.workloads import polybench_jax, polybench_numba
from bench.workloads.control import ARRAY_SYSTEMS, SCALAR, words
from tracejit.cli.harness.workload import Case, Workload


def gemm(alpha, beta, c, a, b):
    c = c.copy()
    for i in range(c.shape[0]):
        c[i, :] *= beta
        for k in range(a.shape[1]):
            c[i, :] += alpha * a[i, k] * b[k, :]
    return c


def gemm_product(alpha, beta, c, a, b):
    return alpha * a @ b + beta * c


def atax(a, x):
    y = np.zeros(a.shape[1])
    for i in range(a.shape[0]):
        t = 0.0
        for j in range(a.shape[1]):
            t += a[i, j] * x[j]
        for j in range(a.shape[1]):
            y[j] += a[i, j] * t
    return y


def atax_products(a, x):
    return (a @ x) @ a


def trisolv(l, b):
    x = np.zeros_like(b)
    for i in range(len(b)):
        s = b[i]
        for j in range(i):
            s -= l[i, j] * x[j]
        x[i] = s / l[i, i]
    return x


def trisolv_rows(l, b):
    x = np.zeros_like(b)
    for i in range(len(b)):
        x[i] = (b[i] - l[i, :i] @ x[:i]) / l[i, i]
    return x


def cholesky(a):
    a = a.copy()
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                a[i, j] -= a[i, k] * a[j, k]
            a[i, j] /= a[j, j]
        for k in range(i):
            a[i, i] -= a[i, k] * a[i, k]
        a[i, i] = np.sqrt(a[i, i])
    return a


def cholesky_rows(a):
    lower = np.linalg.cholesky(a)
    return np.tril(lower) + np.triu(a, 1)


def lu(a):
    a = a.copy()
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]
    return a


def lu_outer(a):
    """Right-looking elimination: the same factors."""
    a = a.copy()
    for k in range(len(a)):
        a[k + 1:, k] /= a[k, k]
        a[k + 1:, k + 1:] -= a[k + 1:, k, None] * a[k, k + 1:]
    return a


def covariance(data):
    n, m = data.shape
    mean = np.zeros(m)
    for i in range(n):
        mean += data[i, :]
    mean /= n
    cov = np.zeros((m, m))
    for i in range(m):
        for j in range(i, m):
            s = 0.0
            for k in range(n):
                s += (data[k, i] - mean[i]) * (data[k, j] - mean[j])
            cov[i, j] = s / (n - 1.0)
            cov[j, i] = cov[i, j]
    return cov


def covariance_product(data):
    return np.cov(data, rowvar=False)


def gramschmidt(a):
    a = a.copy()
    m, n = a.shape
    q, r = np.zeros((m, n)), np.zeros((n, n))
    for k in range(n):
        norm = 0.0
        for i in range(m):
            norm += a[i, k] * a[i, k]
        r[k, k] = np.sqrt(norm)
        q[:, k] = a[:, k] / r[k, k]
        for j in range(k + 1, n):
            r[k, j] = q[:, k] @ a[:, j]
            a[:, j] -= q[:, k] * r[k, j]
    return q, r


def durbin(r):
    n = len(r)
    y = np.zeros(n)
    z = np.zeros(n)
    y[0] = -r[0]
    alpha, beta = -r[0], 1.0
    for k in range(1, n):
        beta = (1.0 - alpha * alpha) * beta
        total = 0.0
        for i in range(k):
            total += r[k - i - 1] * y[i]
        alpha = -(r[k] + total) / beta
        for i in range(k):
            z[i] = y[i] + alpha * y[k - i - 1]
        for i in range(k):
            y[i] = z[i]
        y[k] = alpha
    return y


def durbin_slices(r):
    y = np.zeros_like(r)
    y[0] = alpha = -r[0]
    beta = 1.0
    for k in range(1, len(r)):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + r[k - 1::-1] @ y[:k]) / beta
        y[:k] = y[:k] + alpha * y[:k][::-1]
        y[k] = alpha
    return y


def floyd_warshall(path):
    path = path.copy()
    n = path.shape[0]
    for k in range(n):
        for i in range(n):
            path[i, :] = np.minimum(path[i, :], path[i, k] + path[k, :])
    return path


def floyd_warshall_loops(path):
    """The same, element by element."""
    path = path.copy()
    n = path.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if path[i, k] + path[k, j] < path[i, j]:
                    path[i, j] = path[i, k] + path[k, j]
    return path


def jacobi_2d(steps, a, b):
    a, b = a.copy(), b.copy()
    for _ in range(steps):
        b[1:-1, 1:-1] = 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])
        a[1:-1, 1:-1] = 0.2 * (b[1:-1, 1:-1] + b[1:-1, :-2] + b[1:-1, 2:] + b[2:, 1:-1] + b[:-2, 1:-1])
    return a, b


def seidel_2d(steps, a):
    a = a.copy()
    n = a.shape[0]
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                a[i, j] = (a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1] + a[i, j - 1] + a[i, j] + a[i, j + 1]
                           + a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]) / 9.0
    return a


def heat_3d(steps, a, b):
    def step(u, w):
        c = u[1:-1, 1:-1, 1:-1]
        w[1:-1, 1:-1, 1:-1] = (0.125 * (u[2:, 1:-1, 1:-1] - 2.0 * c + u[:-2, 1:-1, 1:-1])
                               + 0.125 * (u[1:-1, 2:, 1:-1] - 2.0 * c + u[1:-1, :-2, 1:-1])
                               + 0.125 * (u[1:-1, 1:-1, 2:] - 2.0 * c + u[1:-1, 1:-1, :-2]) + c)

    a, b = a.copy(), b.copy()
    for _ in range(steps):
        step(a, b)
        step(b, a)
    return a


def longest_common_subsequence(s, t):
    best = np.zeros((len(s) + 1, len(t) + 1), dtype=np.int32)
    for i in range(len(s)):
        for j in range(len(t)):
            if s[i] == t[j]:
                best[i + 1, j + 1] = best[i, j] + 1
            elif best[i, j + 1] > best[i + 1, j]:
                best[i + 1, j + 1] = best[i, j + 1]
            else:
                best[i + 1, j + 1] = best[i + 1, j]
    return best[len(s), len(t)]


def longest_common_subsequence_rows(s, t):
    row = np.zeros(len(t) + 1, dtype=np.int64)
    for letter in s:
        row[1:] = np.maximum.accumulate(np.maximum(row[1:], row[:-1] + (t == letter)))
    return row[-1]


# ---- inputs ---------------------------------------------------------------------------------------------------------


def matrices(count: int, *first: float) -> Callable[[int, np.random.Generator], tuple[Any, ...]]:
    return lambda n, r: (*first, *(r.random((n, n)) for _ in range(count)))


def positive(n: int, r: np.random.Generator) -> tuple[Any, ...]:
    """A symmetric positive definite matrix."""
    m = r.random((n, n))
    return (m @ m.T + n * np.eye(n),)


def triangle(n: int, r: np.random.Generator) -> tuple[Any, ...]:
    return np.tril(r.random((n, n))) + n * np.eye(n), r.random(n)


def grids(rank: int, count: int) -> Callable[[tuple[int, int], np.random.Generator], tuple[Any, ...]]:
    """Steps, then arrays."""
    return lambda size, r: (size[1], *[r.random((size[0],) * rank)] * count)


def distances(n: int, r: np.random.Generator) -> tuple[Any, ...]:
    return (r.integers(1, 100, (n, n)).astype(np.float64),)


def workload(fn: Callable[..., Any], inputs: Callable[..., tuple[Any, ...]], case: tuple[str, Any], smoke: Any,
             reference: Callable[..., Any] | None = None, rtol: float = 1e-9) -> Workload:
    """One case; Numba gets the text itself where polybench_numba has nothing better, JAX only its own versions."""
    peers = {system: getattr(module, fn.__name__)
             for system, module in [("numba", polybench_numba), ("jax", polybench_jax)] if hasattr(module, fn.__name__)}
    skip = (SCALAR if reference else ARRAY_SYSTEMS) | ({"jax"} - peers.keys())
    return Workload(fn.__name__, fn, inputs, (Case(*case, 1.0, 0.8),), smoke, peers, frozenset(skip), rtol=rtol,
                    reference=reference)


WORKLOADS = [
    workload(gemm, matrices(3, 1.5, 1.2), ("256", 256), 6, gemm_product),
    workload(atax, lambda n, r: (r.random((n, n)), r.random(n)), ("1000", 1000), 6, atax_products),
    workload(trisolv, triangle, ("1000", 1000), 6, trisolv_rows),
    workload(cholesky, positive, ("400", 400), 6, cholesky_rows),
    workload(lu, positive, ("400", 400), 6, lu_outer),
    workload(covariance, lambda n, r: (r.random((n, n // 2)),), ("400", 400), 8, covariance_product),
    workload(gramschmidt, lambda n, r: (r.random((n, n // 2)) + np.eye(n, n // 2) * n,), ("400", 400), 8),
    workload(durbin, lambda n, r: (0.5 ** np.arange(1, n + 1) * r.random(n),), ("2000", 2000), 8, durbin_slices),
    workload(floyd_warshall, distances, ("512", 512), 6),
    workload(floyd_warshall_loops, distances, ("512", 512), 6, floyd_warshall),
    workload(jacobi_2d, grids(2, 2), ("500x50", (500, 50)), (6, 2)),
    workload(seidel_2d, grids(2, 1), ("400x20", (400, 20)), (6, 2)),
    workload(heat_3d, grids(3, 2), ("60x20", (60, 20)), (6, 2)),
    workload(longest_common_subsequence, words, ("2000x2000", 2000), 8, longest_common_subsequence_rows),
]
