"""More functions of four floats between 0.2 and 1.2 that give a scalar, as people write them who compute with NumPy.

Flows in:  NumPy.
Flows out: `FORMULAS`, without control flow; `ALGORITHMS`, with it.
"""
from __future__ import annotations

import math

import numpy as np

W = np.linspace(-1, 1, 16).reshape(4, 4)
B = np.linspace(0.5, -0.5, 4)
TIMES = np.linspace(0.0, 2.0, 9)


def interpolated(x):
    nodes = np.cumsum(x)
    return (np.interp(np.array([0.4, 0.9, 1.6]), nodes, np.sin(nodes) * x) ** 2).sum()


def quantiles(x):
    return np.percentile(x, 30) * np.median(x) + np.quantile(x * x, np.array([0.2, 0.8])).sum()


def covariances(x):
    rows = np.stack([x, x ** 2, np.sin(3 * x)])
    return np.cov(rows).sum() + np.corrcoef(rows)[0, 2]


def trapezoids(x):
    y = np.exp(-x[:, None] * TIMES) * np.cos(x[::-1, None] * TIMES)
    return (np.trapezoid(y, TIMES, axis=1) * B).sum()


def complex_impedance(x):
    omega = 2 * np.pi * TIMES[1:]
    z = x[0] + 1j * omega * x[1] + 1 / (1 / x[2] + 1j * omega * x[3])
    return (np.abs(z) ** 2).sum() + np.angle(z).sum() + (z * z).real.sum()


def fourier_by_hand(x):
    phases = np.exp(-2j * np.pi * np.outer(np.arange(4), np.arange(4)) / 4)
    return (np.abs(phases @ x) ** 2 * np.arange(4)).sum()


def kronecker(x):
    m = np.kron(x.reshape(2, 2), np.eye(2)) + W
    return np.einsum("ij,jk,ik->", m, m.T, W) + np.trace(m @ m)


def filtered(x):
    kernel = x / x.sum()
    return (np.convolve(np.sin(TIMES), kernel, "same") ** 2).sum() + np.correlate(TIMES, x).max()


def triangles(x):
    low = np.tril(np.outer(x, x + 1)) + np.diag(x)
    return np.vdot(low, W) + np.triu(low.T, 1).sum() + np.diagonal(low).prod()


def rolled(x):
    y = np.tile(x, 2).reshape(2, 4)
    return (np.roll(y, 1, axis=1) * np.flip(y, 0) * np.repeat(x[:2], 4).reshape(2, 4)).sum() + np.ptp(y)


def selected(x):
    return (np.select([x > 0.9, x > 0.5], [x ** 3, np.sqrt(x)], np.exp(x)) * np.arange(4)).sum() + np.choose(
        np.array([0, 1, 1, 0]), [x, x * x]).prod()


def distances(x):
    points = np.stack([x, np.cos(x)], axis=1)
    gaps = points[:, None] - points[None]
    far = np.sqrt((gaps ** 2).sum(-1) + np.eye(4))
    return (1 / far).sum() + np.linalg.norm(gaps, axis=-1).max()


def log_likelihood(x):
    means, scales = x[:2], x[2:]
    z = (TIMES[:, None] - means) / scales
    logs = -0.5 * z * z - np.log(scales)
    top = logs.max(axis=1, keepdims=True)
    return (top[:, 0] + np.log(np.exp(logs - top).sum(axis=1))).sum()


def polynomials(x):
    return np.polyval(x, 0.7) + np.polyval(np.polymul(x, x), -0.4) + (np.vander(x, 3) * B[:, None]).sum()


def scattered(x):
    bins = np.zeros(3)
    np.add.at(bins, np.array([0, 2, 2, 1]), x * x)
    counts = np.bincount(np.array([1, 0, 1, 3]), weights=x, minlength=5)
    return (bins ** 2).sum() + (counts ** 2).sum()


def normalised_in_place(x):
    m = np.outer(x, x) + 1
    m -= m.mean(axis=0)
    m /= np.abs(m).sum(axis=1, keepdims=True) + 1
    m[m < 0] *= 0.1
    m[1:3, ::2] += x[:2]
    return (m ** 2).sum()


FORMULAS = [interpolated, quantiles, covariances, trapezoids, complex_impedance, fourier_by_hand, kronecker, filtered,
            triangles, rolled, selected, distances, log_likelihood, polynomials, scattered, normalised_in_place]


def kepler(x):
    """The eccentric anomaly by Newton's method."""
    eccentricity, mean = x[0] * 0.5, x[1] + 1
    e = mean
    for _ in range(50):
        step = (e - eccentricity * math.sin(e) - mean) / (1 - eccentricity * math.cos(e))
        e -= step
        if abs(step) < 1e-14:
            break
    return math.cos(e) * x[2]


def pendulum(x):
    """Symplectic Euler; energy at the end."""
    angle, speed, h = x[0], x[1], 0.05
    for _ in range(40):
        speed -= h * (x[2] * math.sin(angle) + 0.1 * x[3] * speed)
        angle += h * speed
    return 0.5 * speed * speed + 1 - math.cos(angle)


def epidemic(x):
    s, i, r = 0.9, 0.1, 0.0
    peak = 0.0
    for _ in range(30):
        new, gone = 0.3 * x[0] * s * i, 0.1 * x[1] * i
        s, i, r = s - new, i + new - gone, r + gone
        if i > peak:
            peak = i
    return peak + r * x[2]


def lasso(x):
    """Iterated soft thresholds."""
    w = np.zeros(4)
    a = W + np.diag(x)
    for _ in range(15):
        w = w - 0.1 * (a.T @ (a @ w - x))
        w = np.sign(w) * np.maximum(np.abs(w) - 0.002, 0)
    return (w ** 2).sum()


def descent_inside(x):
    """A value at the end of an inner descent, by a gradient by hand."""
    w = np.ones(4)
    for _ in range(10):
        w = w - 0.05 * (4 * w ** 3 - 2 * x * w)
    return (w * x).sum()


def elimination(x):
    """A linear system by Gauss's method, pivots chosen."""
    a, b = W * 0.3 + np.diag(x + 1), x.copy()
    n = 4
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[p, k]):
                p = i
        if p != k:
            for j in range(n):
                a[k, j], a[p, j] = a[p, j], a[k, j]
            b[k], b[p] = b[p], b[k]
        for i in range(k + 1, n):
            f = a[i, k] / a[k, k]
            a[i, k:] -= f * a[k, k:]
            b[i] -= f * b[k]
    for i in range(n - 1, -1, -1):
        b[i] = (b[i] - a[i, i + 1:] @ b[i + 1:]) / a[i, i]
    return (b ** 2).sum()


def power_iteration(x):
    m = W @ W.T + np.diag(x)
    v = np.ones(4)
    for _ in range(60):
        v = m @ v
        v /= np.linalg.norm(v)
    return v @ m @ v


def continued_fraction(x):
    value = 1.0
    for k in range(8, 0, -1):
        value = k + x[k % 4] / value
    return value


def adaptive_steps(x):
    """Steps that grow and shrink by an estimate of the error."""
    t, y, h = 0.0, x[0], 0.1
    while t < 1.0:
        h_now = 1.0 - t if t + h > 1.0 else h
        slope = -x[1] * y + math.sin(x[2] * t)
        middle = -x[1] * (y + 0.5 * h_now * slope) + math.sin(x[2] * (t + 0.5 * h_now))
        y += h_now * middle
        t += h_now
        h = h_now * 1.5 if abs(middle - slope) < 0.05 else 0.08
    return y * y


def longest_path(x):
    """Dynamic programming over a triangle."""
    best = np.zeros(5)
    for row in range(4):
        new = np.zeros(5)
        for j in range(row + 1):
            before = max(best[j], best[j - 1]) if j > 0 else best[0]
            new[j] = before + math.sin(3.0 * x[j] + row)
        best = new
    return best.max() + best[0]


def hidden_markov(x):
    """The forward algorithm in logarithms."""
    steps = np.log(np.array([[0.7, 0.3], [0.4, 0.6]]))
    alpha = np.log(x[:2])
    for t in range(6):
        seen = np.log(np.array([0.2 + 0.1 * t, 0.9 - 0.1 * t])) * x[2:]
        scores = alpha[:, None] + steps
        top = scores.max(axis=0)
        alpha = top + np.log(np.exp(scores - top).sum(axis=0)) + seen
    return np.logaddexp(alpha[0], alpha[1])


def two_loops_share_state(x):
    state = {"v": x * 0.5, "n": 0}
    while state["n"] < 3:
        for k in range(2):
            state["v"] = np.sin(state["v"]) + x * k
        state["n"] += 1
    return state["v"].sum() * state["n"]


ALGORITHMS = [kepler, pendulum, epidemic, lasso, descent_inside, elimination, power_iteration, continued_fraction,
              adaptive_steps, longest_path, hidden_markov, two_loops_share_state]
