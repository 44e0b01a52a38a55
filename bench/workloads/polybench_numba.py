"""Hand-written Numba versions of the PolyBench-like programs which threads or another order of loops make faster.

Flows in: nothing.  Flows out: builders with the names of the functions of polybench.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Built = Callable[..., Any]


def gemm() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(alpha, beta, c, a, b):
        c = c.copy()
        for i in numba.prange(c.shape[0]):
            for j in range(c.shape[1]):
                c[i, j] *= beta
            for k in range(a.shape[1]):
                factor = alpha * a[i, k]
                for j in range(c.shape[1]):
                    c[i, j] += factor * b[k, j]
        return c

    return run


def cholesky() -> Built:
    import numba

    @numba.njit(fastmath=True)
    def run(a):
        a = a.copy()
        n = a.shape[0]
        for i in range(n):
            for j in range(i):
                s = a[i, j]
                for k in range(j):
                    s -= a[i, k] * a[j, k]
                a[i, j] = s / a[j, j]
            s = a[i, i]
            for k in range(i):
                s -= a[i, k] * a[i, k]
            a[i, i] = np.sqrt(s)
        return a

    return run


def lu() -> Built:
    import numba

    @numba.njit(fastmath=True)
    def run(a):
        a = a.copy()
        n = a.shape[0]
        for i in range(n):
            for k in range(i):
                a[i, k] /= a[k, k]
                factor = a[i, k]
                for j in range(k + 1, n):
                    a[i, j] -= factor * a[k, j]
        return a

    return run


def covariance() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(data):
        n, m = data.shape
        mean = data.sum(axis=0) / n
        centred = np.ascontiguousarray((data - mean).T)
        cov = np.empty((m, m))
        for i in numba.prange(m):
            for j in range(i, m):
                s = 0.0
                for k in range(n):
                    s += centred[i, k] * centred[j, k]
                cov[i, j] = cov[j, i] = s / (n - 1.0)
        return cov

    return run


def gramschmidt() -> Built:
    import numba

    @numba.njit(fastmath=True)
    def run(a):
        a = np.ascontiguousarray(a.T)    # columns lie side by side
        n, m = a.shape
        q, r = np.zeros((n, m)), np.zeros((n, n))
        for k in range(n):
            norm = 0.0
            for i in range(m):
                norm += a[k, i] * a[k, i]
            r[k, k] = np.sqrt(norm)
            for i in range(m):
                q[k, i] = a[k, i] / r[k, k]
            for j in range(k + 1, n):
                s = 0.0
                for i in range(m):
                    s += q[k, i] * a[j, i]
                r[k, j] = s
                for i in range(m):
                    a[j, i] -= q[k, i] * s
        return np.ascontiguousarray(q.T), r

    return run


def durbin() -> Built:
    import numba

    @numba.njit(fastmath=True)
    def run(r):
        n = r.size
        y, z = np.zeros(n), np.zeros(n)
        y[0] = -r[0]
        alpha, beta = -r[0], 1.0
        for k in range(1, n):
            beta *= 1.0 - alpha * alpha
            total = 0.0
            for i in range(k):
                total += r[k - i - 1] * y[i]
            alpha = -(r[k] + total) / beta
            for i in range(k):
                z[i] = y[i] + alpha * y[k - i - 1]
            y, z = z, y
            y[k] = alpha
        return y

    return run


def floyd_warshall() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(path):
        path = path.copy()
        n = path.shape[0]
        for k in range(n):
            for i in numba.prange(n):
                through = path[i, k]
                for j in range(n):
                    path[i, j] = min(path[i, j], through + path[k, j])
        return path

    return run


floyd_warshall_loops = floyd_warshall


def jacobi_2d() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(steps, a, b):
        a, b = a.copy(), b.copy()
        n = a.shape[0]
        for _ in range(steps):
            for i in numba.prange(1, n - 1):
                for j in range(1, n - 1):
                    b[i, j] = 0.2 * (a[i, j] + a[i, j - 1] + a[i, j + 1] + a[i + 1, j] + a[i - 1, j])
            for i in numba.prange(1, n - 1):
                for j in range(1, n - 1):
                    a[i, j] = 0.2 * (b[i, j] + b[i, j - 1] + b[i, j + 1] + b[i + 1, j] + b[i - 1, j])
        return a, b

    return run


def seidel_2d() -> Built:
    import numba

    @numba.njit(fastmath=True)
    def run(steps, a):
        a = a.copy()
        n = a.shape[0]
        for _ in range(steps):
            for i in range(1, n - 1):
                for j in range(1, n - 1):
                    above = a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1]
                    below = a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]
                    a[i, j] = (above + below + a[i, j] + a[i, j + 1] + a[i, j - 1]) / 9.0
        return a

    return run


def heat_3d() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def step(u, w):
        n = u.shape[0]
        for i in numba.prange(1, n - 1):
            for j in range(1, n - 1):
                for k in range(1, n - 1):
                    around = (u[i + 1, j, k] + u[i - 1, j, k] + u[i, j + 1, k] + u[i, j - 1, k]
                              + u[i, j, k + 1] + u[i, j, k - 1])
                    w[i, j, k] = 0.25 * u[i, j, k] + 0.125 * around

    @numba.njit(fastmath=True)
    def run(steps, a, b):
        a, b = a.copy(), b.copy()
        for _ in range(steps):
            step(a, b)
            step(b, a)
        return a

    return run


def longest_common_subsequence() -> Built:
    import numba

    @numba.njit
    def run(s, t):
        row = np.zeros(t.size + 1, dtype=np.int32)
        for i in range(s.size):
            corner = 0
            for j in range(t.size):
                above = row[j + 1]
                row[j + 1] = corner + 1 if s[i] == t[j] else max(above, row[j])
                corner = above
        return row[t.size]

    return run
