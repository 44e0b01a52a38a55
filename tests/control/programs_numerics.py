"""Programs as users bring them: integration, linear algebra, root finding, filters, simulations in plain Python.

Flows in: arrays and Python numbers.  Flows out: `TABLE`.
"""

import math
from dataclasses import dataclass

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
RANDOM = np.random.default_rng(4)


@program("scalar functions", (0.0, 1.0, 2.0, 1e-8), (0.0, 2.0, 5.0, 1e-6), (1.0, 0.0, 1.0, 1e-6))
def rk45(t, y, t_end, tol):
    """Adaptive Fehlberg"""
    def f(t, y):
        return -2.0 * y + math.sin(t)
    h = 0.1
    accepted = rejected = 0
    while t < t_end:
        if t + h > t_end:
            h = t_end - t
        k1 = h * f(t, y)
        k2 = h * f(t + h / 4, y + k1 / 4)
        k3 = h * f(t + 3 * h / 8, y + 3 * k1 / 32 + 9 * k2 / 32)
        k4 = h * f(t + 12 * h / 13, y + (1932 * k1 - 7200 * k2 + 7296 * k3) / 2197)
        k5 = h * f(t + h, y + 439 * k1 / 216 - 8 * k2 + 3680 * k3 / 513 - 845 * k4 / 4104)
        k6 = h * f(t + h / 2, y - 8 * k1 / 27 + 2 * k2 - 3544 * k3 / 2565 + 1859 * k4 / 4104 - 11 * k5 / 40)
        error = abs(k1 / 360 - 128 * k3 / 4275 - 2197 * k4 / 75240 + k5 / 50 + 2 * k6 / 55)
        if error <= tol:
            t += h
            y += 25 * k1 / 216 + 1408 * k3 / 2565 + 2197 * k4 / 4104 - k5 / 5
            accepted += 1
        else:
            rejected += 1
        scale = 0.84 * (tol / error) ** 0.25 if error > 0 else 2.0
        h *= min(max(scale, 0.1), 4.0)
    return y, accepted, rejected


@program("scalar loops over arrays", (RANDOM.normal(size=(5, 5)), np.arange(5.0)),
         (RANDOM.normal(size=(5, 5)), np.ones(5)), (np.zeros((5, 5)), np.ones(5)), rtol=1e-8)
def lu_solve(a, b):
    a = a.copy()
    x = b.copy()
    n = a.shape[0]
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[p, k]):
                p = i
        if a[p, k] == 0:
            raise ValueError(f"matrix is singular in column {k}")
        if p != k:
            a[[k, p]] = a[[p, k]]
            x[k], x[p] = x[p], x[k]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            a[i, k:] -= factor * a[k, k:]
            x[i] -= factor * x[k]
    for i in range(n - 1, -1, -1):
        x[i] = (x[i] - a[i, i + 1:] @ x[i + 1:]) / a[i, i]
    return x


@program("scalar loops over arrays", (np.full(6, -1.0), np.full(6, 4.0), np.full(6, -1.0), np.arange(6.0)),
         (RANDOM.random(6), 4 + RANDOM.random(6), RANDOM.random(6), RANDOM.random(6)))
def thomas(a, b, c, d):
    n = len(d)
    cp, dp = np.zeros(n), np.zeros(n)
    cp[0] = c[0] / b[0]
    dp[0] = d[0] / b[0]
    for i in range(1, n):
        m = b[i] - a[i] * cp[i - 1]
        cp[i] = c[i] / m
        dp[i] = (d[i] - a[i] * dp[i - 1]) / m
    x = np.zeros(n)
    x[-1] = dp[-1]
    for i in reversed(range(n - 1)):
        x[i] = dp[i] - cp[i] * x[i + 1]
    return x


@program("lists, tuples and dicts", ([1.0, -2.0, 3.0], 2.0), ([0.5, 0.0, 1.0], -1.0))
def horner_list(coefficients, x):
    value = slope = 0
    for c in coefficients:
        slope = slope * x + value
        value = value * x + c
    return value, slope


@program("for over a range", (RANDOM.normal(size=20), 0.01, 0.1), (RANDOM.normal(size=20), 1.0, 0.1))
def kalman(z, q, r):
    f = np.array([[1.0, 1.0], [0.0, 1.0]])
    h = np.array([1.0, 0.0])
    x = np.zeros(2)
    p = np.eye(2) * 1000
    track = np.zeros((len(z), 2))
    for t in range(len(z)):
        x = f @ x
        p = f @ p @ f.T + q * np.eye(2)
        innovation = z[t] - h @ x
        s = h @ p @ h + r
        gain = p @ h / s
        x = x + gain * innovation
        p = p - np.outer(gain, h @ p)
        track[t] = x
    return track, p


@program("return in a loop", (np.array([[4., 1, 0], [1, 4, 1], [0, 1, 4]]), np.array([1., 2, 3]), 1e-10, 100),
         (np.array([[1., 2, 0], [2, 1, 1], [0, 3, 1]]), np.array([1., 2, 3]), 1e-10, 20))
def gauss_seidel(a, b, tol, limit):
    n = len(b)
    x = np.zeros_like(b)
    for k in range(limit):
        delta = 0.0
        for i in range(n):
            s = b[i]
            for j in range(n):
                if j != i:
                    s -= a[i, j] * x[j]
            new = s / a[i, i]
            delta = max(delta, abs(new - x[i]))
            x[i] = new
        if delta < tol:
            return x, k + 1
    raise RuntimeError(f"no convergence in {limit} rounds, last change {delta:.3e}")


@program("item assignment in loops", (RANDOM.normal(size=(6, 6)),), (np.eye(6),))
def qr_gram(a):
    m, n = a.shape
    q, r = np.zeros((m, n)), np.zeros((n, n))
    for j in range(n):
        v = a[:, j].copy()
        for i in range(j):
            r[i, j] = q[:, i] @ a[:, j]
            v -= r[i, j] * q[:, i]
        r[j, j] = np.linalg.norm(v)
        q[:, j] = v / r[j, j]
    return q, r


@program("break", (RANDOM.normal(size=(5, 5)), 1e-12, 200), (np.diag([3., 1, 2, 5, 4]), 1e-10, 500), rtol=1e-6)
def largest_eigenvalue(a, tol, limit):
    a = a + a.T
    x = np.ones(a.shape[0])
    old = 0.0
    for k in range(limit):
        y = a @ x
        lam = x @ y / (x @ x)
        x = y / np.linalg.norm(y)
        if abs(lam - old) < tol:
            break
        old = lam
    return lam, k


@program("nested loops", (RANDOM.normal(size=16) + 1j * RANDOM.normal(size=16),), (np.ones(16, complex),))
def fft_radix2(x):
    x = x.copy()
    n = len(x)
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            x[i], x[j] = x[j], x[i]
    length = 2
    while length <= n:
        w = np.exp(-2j * np.pi / length)
        for i in range(0, n, length):
            t = 1.0 + 0j
            for k in range(length // 2):
                u = x[i + k]
                v = x[i + k + length // 2] * t
                x[i + k] = u + v
                x[i + k + length // 2] = u - v
                t *= w
        length *= 2
    return x


@program("nested loops", (100.0, 0.05, 0.2, 1.0, 20), (90.0, 0.01, 0.4, 0.5, 30))
def american_put(s, r, sigma, t, n, strike=100.0):
    dt = t / n
    u = math.exp(sigma * math.sqrt(dt))
    d = 1 / u
    p = (math.exp(r * dt) - d) / (u - d)
    values = np.zeros(64)
    for i in range(n + 1):
        values[i] = max(strike - s * u ** (2 * i - n), 0.0)
    for step in range(n - 1, -1, -1):
        for i in range(step + 1):
            hold = math.exp(-r * dt) * (p * values[i + 1] + (1 - p) * values[i])
            values[i] = max(hold, strike - s * u ** (2 * i - step))
    return values[0]


@program("while", (2.0, 1e-12), (10.0, 1e-8))
def brent(target, tol):
    def f(x):
        return x ** 3 + x - target
    a, b = 0.0, target + 1
    fa, fb = f(a), f(b)
    if fa * fb > 0:
        raise ValueError("not bracketed")
    if abs(fa) < abs(fb):
        a, b, fa, fb = b, a, fb, fa
    c, fc = a, fa
    used_bisection = True
    d = None
    n = 0
    while fb != 0 and abs(b - a) > tol:
        if fa != fc and fb != fc:
            s = a * fb * fc / ((fa - fb) * (fa - fc)) + b * fa * fc / ((fb - fa) * (fb - fc))
            s += c * fa * fb / ((fc - fa) * (fc - fb))
        else:
            s = b - fb * (b - a) / (fb - fa)
        low = (3 * a + b) / 4
        slow = used_bisection and abs(s - b) >= abs(b - c) / 2
        if not (min(low, b) < s < max(low, b)) or slow or (
                not used_bisection and d is not None and abs(s - b) >= abs(c - d) / 2):
            s = (a + b) / 2
            used_bisection = True
        else:
            used_bisection = False
        fs = f(s)
        d, c, fc = c, b, fb
        if fa * fs < 0:
            b, fb = s, fs
        else:
            a, fa = s, fs
        if abs(fa) < abs(fb):
            a, b, fa, fb = b, a, fb, fa
        n += 1
    return b, n


@program("scalar loops over arrays", (RANDOM.normal(size=50), RANDOM.normal(size=50), 0.01, 200),
         (RANDOM.normal(size=50), RANDOM.normal(size=50), 0.1, 5))
def logistic_sgd(x, y, rate, epochs):
    w = b = 0.0
    history = np.zeros(3)
    labels = (y > 0).astype(float)
    for epoch in range(epochs):
        loss = 0.0
        for i in range(len(x)):
            z = w * x[i] + b
            p = 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
            g = p - labels[i]
            w -= rate * g * x[i]
            b -= rate * g
            loss -= math.log(max(p if labels[i] else 1 - p, 1e-12))
        history[epoch % 3] = loss
    return w, b, history


@dataclass
class Particle:
    x: float
    v: float


@program("attribute assignment", (Particle(0.0, 1.0), 0.01, 100), (Particle(1.0, -1.0), 0.1, 3))
def bounce(p, dt, steps):
    hits = 0
    for _ in range(steps):
        p.v -= 9.81 * dt
        p.x += p.v * dt
        if p.x < 0:
            p.x = -p.x
            p.v = -0.9 * p.v
            hits += 1
    return hits, p.x


@program("continue", (RANDOM.random((20, 3)), RANDOM.random((20, 3)), 0.01, 5),
         (RANDOM.random((20, 3)), np.zeros((20, 3)), 0.01, 1))
def nbody(pos, vel, dt, steps):
    pos, vel = pos.copy(), vel.copy()
    n = len(pos)
    for _ in range(steps):
        acc = np.zeros_like(pos)
        for i in range(n):
            for j in range(n):
                if i == j:
                    continue
                d = pos[j] - pos[i]
                r2 = d @ d + 0.01
                acc[i] += d / (r2 * math.sqrt(r2))
        vel += dt * acc
        pos += dt * vel
    return pos, vel


@program("for ... else", (10, 0.3), (3, 2.0))
def bessel_series(terms, x):
    total = 0.0
    term = 1.0
    for k in range(terms):
        if k > 0:
            term *= -(x / 2) ** 2 / (k * k)
        total += term
        if abs(term) < 1e-16:
            break
    else:
        return total, False
    return total, True
