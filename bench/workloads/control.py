"""Loops as people write them in plain Python: element-local iterations, number theory, time steps of stencils.

Flows in: arrays and Python numbers.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.workloads import control_jax, control_numba
from tracejit.cli.harness.workload import Case, Workload

ARRAY_SYSTEMS = frozenset({"torch", "torch.compile", "drjit", "numexpr", "tensorflow"})    # no version was written
SCALAR = ARRAY_SYSTEMS | {"numpy"}    # plain Python would take minutes
BOUNDARY = 1.0    # the count of a point beside the set is a matter of rounding; tests compare points that are not


# ---- one element at a time ------------------------------------------------------------------------------------------


def mandelbrot_arrays(c, limit):
    z = np.zeros_like(c)
    counts = np.zeros(c.shape, dtype=np.int64)
    for _ in range(limit):
        inside = z.real * z.real + z.imag * z.imag <= 4.0
        z = np.where(inside, z * z + c, z)
        counts += inside
    return counts


def mandelbrot_pixels(width, height, limit, counts):
    for y in range(height):
        for x in range(width):
            cr = -2.0 + 3.0 * x / width
            ci = -1.5 + 3.0 * y / height
            zr = zi = 0.0
            n = 0
            while n < limit and zr * zr + zi * zi <= 4.0:
                zr, zi = zr * zr - zi * zi + cr, 2.0 * zr * zi + ci
                n += 1
            counts[y, x] = n
    return counts


def mandelbrot_grid(width, height, limit, counts):
    """What `mandelbrot_pixels` computes, with arrays."""
    x, y = np.arange(width), np.arange(height)[:, None]
    return mandelbrot_arrays((-2.0 + 3.0 * x / width) + 1j * (-1.5 + 3.0 * y / height), limit)


def cube_roots(x):
    """Newton's iteration until every element has settled."""
    y = np.where(x > 1, x, 1.0)
    active = np.ones(x.shape, dtype=bool)
    while np.any(active):
        new = (2.0 * y + x / (y * y)) / 3.0
        active = np.abs(new - y) > 1e-12 * np.abs(new)
        y = np.where(active, new, y)
    return y


def predator_prey(u, v, h, steps):
    """Lotka-Volterra by classical Runge-Kutta, one system an element."""

    def slope(u, v):
        return u * (1.1 - 0.4 * v), v * (0.1 * u - 0.4)

    for _ in range(steps):
        u1, v1 = slope(u, v)
        u2, v2 = slope(u + 0.5 * h * u1, v + 0.5 * h * v1)
        u3, v3 = slope(u + 0.5 * h * u2, v + 0.5 * h * v2)
        u4, v4 = slope(u + h * u3, v + h * v3)
        u = u + h / 6 * (u1 + 2 * u2 + 2 * u3 + u4)
        v = v + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
    return u, v


def predator_prey_each(u, v, h, steps):
    """What `predator_prey` computes, one system after the other."""
    p, q = np.empty_like(u), np.empty_like(v)
    for i in range(len(u)):
        x, y = u[i], v[i]
        for _ in range(steps):
            x1, y1 = x * (1.1 - 0.4 * y), y * (0.1 * x - 0.4)
            a, b = x + 0.5 * h * x1, y + 0.5 * h * y1
            x2, y2 = a * (1.1 - 0.4 * b), b * (0.1 * a - 0.4)
            a, b = x + 0.5 * h * x2, y + 0.5 * h * y2
            x3, y3 = a * (1.1 - 0.4 * b), b * (0.1 * a - 0.4)
            a, b = x + h * x3, y + h * y3
            x4, y4 = a * (1.1 - 0.4 * b), b * (0.1 * a - 0.4)
            x += h / 6 * (x1 + 2 * x2 + 2 * x3 + x4)
            y += h / 6 * (y1 + 2 * y2 + 2 * y3 + y4)
        p[i], q[i] = x, y
    return p, q


# ---- numbers --------------------------------------------------------------------------------------------------------


def longest_collatz(limit):
    best, best_start = 0, 1
    for start in range(1, limit):
        n, steps = start, 0
        while n != 1:
            if n % 2 == 0:
                n //= 2
            else:
                n = 3 * n + 1
            steps += 1
        if steps > best:
            best, best_start = steps, start
    return best_start, best


def longest_collatz_arrays(limit):
    n, steps = np.arange(1, limit), np.zeros(limit - 1, dtype=np.int64)
    live = np.flatnonzero(n != 1)
    while live.size:
        value = n[live]
        n[live] = value = np.where(value % 2 == 0, value // 2, 3 * value + 1)
        steps[live] += 1
        live = live[value != 1]
    return int(steps.argmax()) + 1, int(steps.max())


def gcd_sum(limit):
    total = 0
    for i in range(1, limit):
        for j in range(1, i):
            a, b = i, j
            while b:
                a, b = b, a % b
            total += a
    return total


def gcd_sum_arrays(limit):
    return sum(int(np.gcd(i, np.arange(1, i)).sum()) for i in range(1, limit))


def sieve(limit):
    prime = np.ones(limit, dtype=bool)
    prime[:2] = False
    for i in range(2, int(limit**0.5) + 1):
        if prime[i]:
            prime[i * i::i] = False
    return np.count_nonzero(prime)


def kepler(anomalies, eccentricity):
    """Kepler's equation by bisection, one planet after the other."""
    out = np.empty_like(anomalies)
    for i in range(len(anomalies)):
        low, high = anomalies[i] - 1.0, anomalies[i] + 1.0
        while high - low > 1e-10:
            middle = 0.5 * (low + high)
            if middle - eccentricity * np.sin(middle) > anomalies[i]:
                high = middle
            else:
                low = middle
        out[i] = 0.5 * (low + high)
    return out


def kepler_arrays(anomalies, eccentricity):
    low, high = anomalies - 1.0, anomalies + 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = middle - eccentricity * np.sin(middle) > anomalies
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high)


def bisection(target, tolerance):
    """The root of x^3 + x = target."""
    low, high = 0.0, target + 1.0
    while high - low > tolerance:
        middle = 0.5 * (low + high)
        if middle * middle * middle + middle > target:
            high = middle
        else:
            low = middle
    return low


def logistic(x, rate, steps):
    """A while loop with a scalar body: the cost of one round."""
    i = 0
    while i < steps:
        x = rate * x * (1.0 - x)
        i += 1
    return x


def edit_distance(s, t):
    m, n = len(s), len(t)
    d = np.zeros((m + 1, n + 1), dtype=np.int64)
    for i in range(m + 1):
        d[i, 0] = i
    for j in range(n + 1):
        d[0, j] = j
    for i in range(1, m + 1):
        for j in range(1, n + 1):
            cost = 0 if s[i - 1] == t[j - 1] else 1
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + cost)
    return d[m, n]


def edit_distance_rows(s, t):
    j = np.arange(len(t) + 1)
    row = j.copy()
    for i, letter in enumerate(s, 1):
        new = np.concatenate([[i], np.minimum(row[1:] + 1, row[:-1] + (t != letter))])
        row = np.minimum.accumulate(new - j) + j
    return row[-1]


# ---- time steps with neighbours -------------------------------------------------------------------------------------


def heat_2d(u, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1, 1:-1] = u[1:-1, 1:-1] + 0.1 * (
            u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1])
    return u


def periodic_heat(u, steps):
    for _ in range(steps):
        around = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
        u = u + 0.1 * (around - 4.0 * u)
    return u


def jacobi_1d(u, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1] = 0.33333 * (u[:-2] + u[1:-1] + u[2:])
    return u


def fdtd_2d(ex, ey, hz, steps):
    ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
    for t in range(steps):
        ey[0, :] = t
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return ex, ey, hz


def life(board, generations):
    for _ in range(generations):
        rows = np.roll(board, 1, 0) + board + np.roll(board, -1, 0)
        around = np.roll(rows, 1, 1) + rows + np.roll(rows, -1, 1) - board
        board = ((around == 3) | ((around == 2) & (board == 1))).astype(board.dtype)
    return board


# ---- inputs ---------------------------------------------------------------------------------------------------------


def plane(size: tuple[int, int], r: np.random.Generator) -> tuple[Any, ...]:
    n, limit = size
    x = np.linspace(-2.0, 1.0, n)
    return x + 1j * np.linspace(-1.5, 1.5, n)[:, None], limit


def pixels(size: tuple[int, int], r: np.random.Generator) -> tuple[Any, ...]:
    n, limit = size
    return n, n, limit, np.zeros((n, n), dtype=np.int64)


def fields(size: tuple[int, int], r: np.random.Generator) -> tuple[Any, ...]:
    n, steps = size
    return r.random((n, n)), r.random((n, n)), r.random((n, n)), steps


def words(n: int, r: np.random.Generator) -> tuple[Any, ...]:
    return r.integers(0, 4, n).astype(np.uint8), r.integers(0, 4, n).astype(np.uint8)


def workload(name: str, fn: Callable[..., Any], inputs: Callable[..., tuple[Any, ...]], case: tuple[str, Any],
             smoke: Any, strive: float, **options: Any) -> Workload:
    """One case; Numba gets the text itself where control_numba has nothing better, JAX only its own versions."""
    peers = {system: getattr(module, fn.__name__) for system, module in [("numba", control_numba), ("jax", control_jax)]
             if hasattr(module, fn.__name__)}
    skip = options.pop("skip", ARRAY_SYSTEMS) | ({"jax"} - peers.keys())
    return Workload(name, fn, inputs, (Case(*case, 1.0, strive),), smoke, peers=peers, skip=frozenset(skip), **options)


WORKLOADS = [
    workload("Mandelbrot arrays", mandelbrot_arrays, plane, ("1000x1000x100", (1000, 100)), (8, 10), 0.5,
             rtol=BOUNDARY),
    workload("Mandelbrot pixels", mandelbrot_pixels, pixels, ("1000x1000x100", (1000, 100)), (8, 10), 0.5,
             skip=SCALAR, reference=mandelbrot_grid, rtol=BOUNDARY),
    workload("Newton cube roots", cube_roots, lambda n, r: (r.random(n) * 100,), ("1e6", 1_000_000), 50, 0.5,
             rtol=1e-11),
    workload("RK4 systems", predator_prey, lambda n, r: (1 + r.random(n), 1 + r.random(n), 0.01, 100),
             ("1e5x100", 100_000), 20, 0.5),
    workload("RK4 one by one", predator_prey_each, lambda n, r: (1 + r.random(n), 1 + r.random(n), 0.01, 100),
             ("1e5x100", 100_000), 20, 0.5, skip=SCALAR, reference=predator_prey),
    workload("Collatz", longest_collatz, lambda n, r: (n,), ("1e6", 1_000_000), 30, 0.8, skip=SCALAR,
             reference=longest_collatz_arrays),
    workload("gcd sum", gcd_sum, lambda n, r: (n,), ("2000", 2000), 20, 0.8, skip=SCALAR, reference=gcd_sum_arrays),
    workload("sieve", sieve, lambda n, r: (n,), ("1e7", 10_000_000), 50, 0.8),
    workload("edit distance", edit_distance, words, ("2000x2000", 2000), 9, 0.8, skip=SCALAR,
             reference=edit_distance_rows),
    workload("Kepler by bisection", kepler, lambda n, r: (r.random(n) * 6, 0.3), ("1e5", 100_000), 20, 0.8,
             skip=SCALAR, reference=kepler_arrays),
    workload("bisection", bisection, lambda n, r: (float(n), 1e-12), ("one root", 10), 10, 0.8),
    workload("while, scalar body", logistic, lambda n, r: (0.3, 2.5, n), ("1e7", 10_000_000), 20, 1.0,
             skip=SCALAR),
    workload("heat 2-D", heat_2d, lambda size, r: (r.random((size[0],) * 2), size[1]), ("1000x1000x100", (1000, 100)),
             (8, 3), 0.6),
    workload("periodic heat", periodic_heat, lambda size, r: (r.random((size[0],) * 2), size[1]),
             ("1000x1000x100", (1000, 100)), (8, 3), 0.6),
    workload("Jacobi 1-D", jacobi_1d, lambda size, r: (r.random(size[0]), size[1]), ("1e6x100", (1_000_000, 100)),
             (20, 3), 0.6),
    workload("FDTD 2-D", fdtd_2d, fields, ("1000x1000x50", (1000, 50)), (8, 3), 0.6),
    workload("Game of Life", life, lambda size, r: (r.integers(0, 2, (size[0],) * 2).astype(np.int8), size[1]),
             ("1024x100", (1024, 100)), (8, 3), 0.6),
]
