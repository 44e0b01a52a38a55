"""Hand-written Numba versions of the control-flow workloads which threads, or other loops than the text's, make faster.

Flows in: nothing.  Flows out: builders with the names of the functions of control.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Built = Callable[..., Any]


def mandelbrot_arrays() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(c, limit):
        counts = np.zeros(c.shape, dtype=np.int64)
        for i in numba.prange(c.shape[0]):
            for j in range(c.shape[1]):
                cr, ci = c[i, j].real, c[i, j].imag
                zr = zi = 0.0
                n = 0
                while n < limit and zr * zr + zi * zi <= 4.0:
                    zr, zi = zr * zr - zi * zi + cr, 2.0 * zr * zi + ci
                    n += 1
                counts[i, j] = n
        return counts

    return run


def mandelbrot_pixels() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(width, height, limit, counts):
        for y in numba.prange(height):
            for x in range(width):
                cr, ci = -2.0 + 3.0 * x / width, -1.5 + 3.0 * y / height
                zr = zi = 0.0
                n = 0
                while n < limit and zr * zr + zi * zi <= 4.0:
                    zr, zi = zr * zr - zi * zi + cr, 2.0 * zr * zi + ci
                    n += 1
                counts[y, x] = n
        return counts

    return run


def cube_roots() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        out = np.empty_like(x)
        for i in numba.prange(x.size):
            y = max(x[i], 1.0)
            while True:
                new = (2.0 * y + x[i] / (y * y)) / 3.0
                settled = abs(new - y) <= 1e-12 * abs(new)
                if settled:
                    break
                y = new
            out[i] = y
        return out

    return run


def predator_prey() -> Built:
    import numba

    @numba.njit(fastmath=True)
    def slope(u, v):
        return u * (1.1 - 0.4 * v), v * (0.1 * u - 0.4)

    @numba.njit(fastmath=True, parallel=True)
    def run(u, v, h, steps):
        p, q = np.empty_like(u), np.empty_like(v)
        for i in numba.prange(u.size):
            x, y = u[i], v[i]
            for _ in range(steps):
                x1, y1 = slope(x, y)
                x2, y2 = slope(x + 0.5 * h * x1, y + 0.5 * h * y1)
                x3, y3 = slope(x + 0.5 * h * x2, y + 0.5 * h * y2)
                x4, y4 = slope(x + h * x3, y + h * y3)
                x += h / 6 * (x1 + 2 * x2 + 2 * x3 + x4)
                y += h / 6 * (y1 + 2 * y2 + 2 * y3 + y4)
            p[i], q[i] = x, y
        return p, q

    return run


def predator_prey_each() -> Built:
    return predator_prey()


def longest_collatz() -> Built:
    import numba

    @numba.njit
    def run(limit):
        best, best_start = 0, 1
        for start in range(1, limit):
            n, steps = start, 0
            while n != 1:
                n = n >> 1 if n & 1 == 0 else 3 * n + 1
                steps += 1
            if steps > best:
                best, best_start = steps, start
        return best_start, best

    return run


def gcd_sum() -> Built:
    import numba

    @numba.njit(parallel=True)
    def run(limit):
        total = 0
        for i in numba.prange(1, limit):
            for j in range(1, i):
                a, b = i, j
                while b:
                    a, b = b, a % b
                total += a
        return total

    return run


def sieve() -> Built:
    import numba

    @numba.njit
    def run(limit):
        prime = np.ones(limit, dtype=np.bool_)
        prime[:2] = False
        i = 2
        while i * i < limit:
            if prime[i]:
                for j in range(i * i, limit, i):
                    prime[j] = False
            i += 1
        count = 0
        for i in range(limit):
            count += prime[i]
        return count

    return run


def kepler() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(anomalies, eccentricity):
        out = np.empty_like(anomalies)
        for i in numba.prange(anomalies.size):
            low, high = anomalies[i] - 1.0, anomalies[i] + 1.0
            while high - low > 1e-10:
                middle = 0.5 * (low + high)
                if middle - eccentricity * np.sin(middle) > anomalies[i]:
                    high = middle
                else:
                    low = middle
            out[i] = 0.5 * (low + high)
        return out

    return run


def edit_distance() -> Built:
    import numba

    @numba.njit
    def run(s, t):
        row = np.arange(t.size + 1)
        for i in range(s.size):
            corner, row[0] = row[0], i + 1
            for j in range(t.size):
                best = min(row[j + 1] + 1, row[j] + 1, corner + (s[i] != t[j]))
                corner, row[j + 1] = row[j + 1], best
        return row[-1]

    return run


def heat_2d() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(u, steps):
        u = u.copy()
        w = u.copy()
        n, m = u.shape
        for _ in range(steps):
            for i in numba.prange(1, n - 1):
                for j in range(1, m - 1):
                    around = u[i + 1, j] + u[i - 1, j] + u[i, j + 1] + u[i, j - 1]
                    w[i, j] = u[i, j] + 0.1 * (around - 4.0 * u[i, j])
            u, w = w, u
        return u

    return run


def periodic_heat() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(u, steps):
        n, m = u.shape
        old, new = u.copy(), np.empty_like(u)
        for _ in range(steps):
            for i in numba.prange(n):
                up, down = i - 1 if i else n - 1, i + 1 if i + 1 < n else 0
                new[i, 0] = old[i, 0] + 0.1 * (old[up, 0] + old[down, 0] + old[i, m - 1] + old[i, 1] - 4.0 * old[i, 0])
                for j in range(1, m - 1):
                    around = old[up, j] + old[down, j] + old[i, j - 1] + old[i, j + 1]
                    new[i, j] = old[i, j] + 0.1 * (around - 4.0 * old[i, j])
                last = old[up, m - 1] + old[down, m - 1] + old[i, m - 2] + old[i, 0]
                new[i, m - 1] = old[i, m - 1] + 0.1 * (last - 4.0 * old[i, m - 1])
            old, new = new, old
        return old

    return run


def jacobi_1d() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(u, steps):
        u = u.copy()
        w = u.copy()
        for _ in range(steps):
            for i in numba.prange(1, u.size - 1):
                w[i] = 0.33333 * (u[i - 1] + u[i] + u[i + 1])
            u, w = w, u
        return u

    return run


def fdtd_2d() -> Built:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(ex, ey, hz, steps):
        ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
        n, m = hz.shape
        for t in range(steps):
            for i in numba.prange(n):
                for j in range(m):
                    if i:
                        ey[i, j] -= 0.5 * (hz[i, j] - hz[i - 1, j])
                    else:
                        ey[i, j] = t
                    if j:
                        ex[i, j] -= 0.5 * (hz[i, j] - hz[i, j - 1])
            for i in numba.prange(n - 1):
                for j in range(m - 1):
                    hz[i, j] -= 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])
        return ex, ey, hz

    return run


def life() -> Built:
    import numba

    @numba.njit(parallel=True)
    def run(board, generations):
        n, m = board.shape
        old, new = board.copy(), np.empty_like(board)
        for _ in range(generations):
            for i in numba.prange(n):
                up, down = i - 1 if i else n - 1, i + 1 if i + 1 < n else 0
                for j in range(m):
                    left, right = j - 1 if j else m - 1, j + 1 if j + 1 < m else 0
                    around = (old[up, left] + old[up, j] + old[up, right] + old[i, left] + old[i, right]
                              + old[down, left] + old[down, j] + old[down, right])
                    new[i, j] = around == 3 or (around == 2 and old[i, j] == 1)
            old, new = new, old
        return old

    return run
