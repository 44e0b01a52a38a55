"""Whole arrays in loops: element-local iterations, stencils, dynamic programs, small simulations.

Flows in: small arrays and numbers.  Flows out: `TABLE`.
"""

import math

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
NAN = math.nan


def a(*values):
    return np.array(values, dtype=float)


POINTS = np.array([0j, 1 + 1j, -0.5 + 0.5j, 2 + 2j, -1.0 + 0j])


@program("element-local loops", (POINTS, 20), (POINTS, 0), (POINTS * 0, 5))
def mandelbrot_counts(c, limit):
    z = np.zeros_like(c)
    counts = np.zeros(c.shape, dtype=np.int64)
    for _ in range(limit):
        inside = np.abs(z) <= 2
        z = np.where(inside, z * z + c, z)
        counts += inside
    return counts


@program("element-local loops", (POINTS, 20), (POINTS, 0), (POINTS * 0, 5))
def mandelbrot_masked(c, limit):
    z = np.zeros_like(c)
    counts = np.zeros(c.shape, dtype=np.int64)
    active = np.ones(c.shape, dtype=bool)
    i = 0
    while np.any(active) and i < limit:
        z[active] = z[active] ** 2 + c[active]
        active = np.abs(z) <= 2
        counts[active] += 1
        i += 1
    return counts


@program("element-local loops", (a(1, 2, 3, 4), 1e-12), (a(1, 2, 3, 4), 1e3), (a(0.5, 100, 9, NAN), 1e-12))
def newton_to_tolerance(x, tolerance):
    y = x.copy()
    for _ in range(50):
        new = 0.5 * (y + x / y)
        done = np.abs(new - y) <= tolerance * new
        y = new
        if np.all(done):
            break
    return y


@program("element-local loops", (a(0.1, 0.5, 0.9), 3.7, 20), (a(0.1, 0.5, 0.9), 3.7, 0), (a(0.0, 1.0, NAN), 2.0, 5))
def logistic_map(x, r, n):
    for _ in range(n):
        x = r * x * (1 - x)
    return x


@program("element-local loops", (a(1, 0, -1), a(0, 1, 0.5), 0.1, 10), (a(1, 0, -1), a(0, 1, 0.5), 0.1, 0))
def rk4_oscillators(x, v, h, n):
    def f(x, v):
        return v, -x - 0.1 * v

    for _ in range(n):
        a1, b1 = f(x, v)
        a2, b2 = f(x + h / 2 * a1, v + h / 2 * b1)
        a3, b3 = f(x + h / 2 * a2, v + h / 2 * b2)
        a4, b4 = f(x + h * a3, v + h * b3)
        x = x + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
        v = v + h / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
    return x, v


@program("element-local loops", (a(5, -3, 0, 2),), (a(-5, -3, -1, NAN),), (a(0.5, 0.25, 0, 0.1),))
def wrap_angles(x):
    while np.any(x > 1):
        x = np.where(x > 1, x - 1, x)
    while (x < 0).any():
        x = np.where(x < 0, x + 1, x)
    return x


@program("stencils", (a(0, 0, 1, 0, 0, 0), 5), (a(0, 0, 1, 0, 0, 0), 0), (a(1, 2, NAN, 0, 0, 1), 1))
def jacobi_1d(u, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1] = 0.25 * u[:-2] + 0.5 * u[1:-1] + 0.25 * u[2:]
    return u


@program("stencils", (np.eye(6), 3), (np.eye(6), 0), (-np.ones((6, 6)), 1))
def heat_2d(u, steps):
    for _ in range(steps):
        inner = u[1:-1, 1:-1]
        u[1:-1, 1:-1] = inner + 0.1 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * inner)
    return u


@program("stencils", (np.eye(5), np.zeros((5, 5)), 4), (np.eye(5), np.zeros((5, 5)), 0))
def double_buffered(p, q, steps):
    for _ in range(steps):
        q[1:-1, 1:-1] = 0.25 * (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2])
        p, q = q, p
    return p


@program("stencils", (np.eye(5), 1e-3, 50), (np.zeros((5, 5)), 1e-3, 50), (np.eye(5), 1e-3, 0))
def relax_until_settled(u, tolerance, limit):
    for step in range(limit):
        new = u.copy()
        new[1:-1, 1:-1] = 0.25 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2])
        change = np.abs(new - u).max()
        u = new
        if change < tolerance:
            break
    else:
        step = limit
    return u, step


GLIDER = np.zeros((6, 6), dtype=np.int64)
GLIDER[[0, 1, 2, 2, 2], [1, 2, 0, 1, 2]] = 1


@program("stencils", (GLIDER, 4), (GLIDER, 0), (GLIDER * 0, 3), (1 - GLIDER, 1))
def game_of_life(board, generations):
    for _ in range(generations):
        neighbours = sum(np.roll(np.roll(board, i, 0), j, 1)
                         for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))
        board = ((neighbours == 3) | ((board == 1) & (neighbours == 2))).astype(board.dtype)
    return board


@program("scalar loops over arrays", (np.arange(9.0).reshape(3, 3), a(1, 2, 3)), (np.eye(3) * NAN, a(1, 2, 3)))
def matrix_vector_by_hand(m, v):
    out = np.zeros(3)
    for i in range(3):
        for j in range(3):
            out[i] += m[i, j] * v[j]
    return out


@program("scalar loops over arrays", (np.array([1, 5, 2, 9]), np.array([5, 2, 2, 9, 1])),
         (np.array([1, 1, 1, 1]), np.array([0, 0, 0, 0, 0])))
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


@program("scalar loops over arrays", (a(1, 3, 5, 7, 9), 5.0), (a(1, 3, 5, 7, 9), 0.0), (a(1, 3, 5, 7, 9), 10.0))
def binary_search(x, wanted):
    low, high = 0, len(x) - 1
    while low <= high:
        middle = (low + high) // 2
        if x[middle] == wanted:
            return middle
        if x[middle] < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return -1


@program("scalar loops over arrays", (a(1, -2, 3, 4, -1),), (a(-1, -2, -3, -4, -5),), (a(NAN, 1, 2, 3, 4),))
def largest_subarray_sum(x):
    best = current = x[0]
    for v in x[1:]:
        current = max(v, current + v)
        best = max(best, current)
    return best


@program("scalar loops over arrays", (np.array([[4.0, 1.0], [2.0, 3.0]]), 1e-10), (np.eye(2), 1e-10),
         (np.zeros((2, 2)), 1e-10))
def power_iteration(m, tolerance):
    v = np.ones(2)
    value, rounds = 0.0, 0
    while rounds < 100:
        w = m @ v
        norm = np.sqrt(w @ w)
        if norm == 0:
            break
        v = w / norm
        new = v @ m @ v
        rounds += 1
        if abs(new - value) < tolerance:
            value = new
            break
        value = new
    return value * v, rounds


@program("scalar loops over arrays", (np.array([[2.0, 1, 0], [1, 3, 1], [0, 1, 4]]), a(1, 2, 3)),
         (np.eye(3), a(NAN, 2, 3)))
def conjugate_gradient(m, b):
    x = np.zeros_like(b)
    r = b - m @ x
    p = r.copy()
    for _ in range(10):
        rr = r @ r
        if rr < 1e-20:
            break
        mp = m @ p
        alpha = rr / (p @ mp)
        x += alpha * p
        r = r - alpha * mp
        p = r + (r @ r) / rr * p
    return x


@program("scalar loops over arrays", (np.array([2, 0, 1, 2, 0, 1, 3]), 4), (np.array([0, 0, 0, 0, 0, 0, 0]), 1))
def histogram_by_hand(values, n):
    counts = [0] * 4
    for v in values:
        if v < n:
            counts[v] += 1
    return counts


@program("scalar loops over arrays", (a(0.0, 1.0), a(3.0, 4.0), 6), (a(0.0, 0.0), a(0.0, 0.0), 6))
def gradient_descent(x, target, n):
    history = np.zeros(6)
    rate = 0.1
    for i in range(n):
        error = x - target
        loss = (error * error).sum()
        history[i] = loss
        if i > 0 and loss > history[i - 1]:
            rate *= 0.5
        x = x - rate * 2 * error
    return x, history


@program("scalar loops over arrays", (np.arange(12.0).reshape(4, 3), 2), (np.zeros((4, 3)), 2))
def k_means(points, rounds):
    centres = points[:2].copy()
    for _ in range(rounds):
        distances = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
        labels = distances.argmin(axis=1)
        for k in range(2):
            mask = labels == k
            if mask.any():
                centres[k] = (points * mask[:, None]).sum(axis=0) / mask.sum()
    return centres
