"""Functions of one vector (four floats, between 0.2 and 1.2) that give a scalar: gradients of them are compared.

Flows in:  NumPy.
Flows out: `STRAIGHT`, `CONTROL`: functions as users write them.
"""
# ruff: noqa: E731
from __future__ import annotations

import math

import numpy as np

W = np.linspace(-1, 1, 16).reshape(4, 4)
B = np.linspace(0.5, -0.5, 4)


def softmax_entropy(x):
    z = W @ x
    p = np.exp(z - z.max())
    p = p / p.sum()
    return -(p * np.log(p)).sum()


def layer_norm(x):
    y = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return (y * B).sum() ** 2


def two_layers(x):
    h = np.tanh(W @ x + B)
    return (np.maximum(W.T @ h, 0.0) ** 2).mean()


def masked_root(x):
    return np.where(x > 0.7, np.sqrt(np.maximum(x - 0.7, 0)), 0.0).sum() + (x * x).sum()


def gather_and_scatter(x):
    y = np.zeros(6)
    y[[1, 3, 1, 5]] = x
    y[2:5] += x[:3] * 2
    return (y[[0, 1, 2, 3, 4, 5, 3]] ** 2).sum()


def sorted_weights(x):
    return (np.sort(x)[::-1] * np.arange(4)).sum() + np.cumsum(x).prod()


def norms(x):
    return np.linalg.norm(x) + np.abs(W @ x).max() + np.hypot(x[0], x[1])


def outer_products(x):
    m = np.outer(x, x) + np.eye(4)
    return (m @ m.T * W).sum() + np.trace(m)


def concatenated(x):
    y = np.concatenate([x, x[::-1] * 2, np.ones(2)])
    return (np.pad(y, 1)[1:-1].reshape(5, 2).T @ np.arange(5.0)).prod()


def mixed_functions(x):
    return (np.arctan2(x, 1 + x) * np.log1p(x) + np.expm1(x) / np.cosh(x) + np.cbrt(x) * np.exp2(x)).sum()


def clipped(x):
    return np.clip(x, 0.4, 0.9).sum() + np.minimum(x, 0.65).prod() + np.fmax(x, B).sum()


def statistics_of(x):
    return x.std() + np.var(x, ddof=1) + np.median(x[:3]) + np.ptp(x)


def powers(x):
    return (x ** 3 + x ** 0.5 + 2.0 ** x + x ** x + x ** -2).sum()


def differences(x):
    return (np.diff(x) ** 2).sum() + (np.roll(x, 1) * x).sum() + np.convolve(x, np.array([1.0, 2.0])).sum()


def einsum_of(x):
    m = x.reshape(2, 2)
    return np.einsum("ij,jk,ki->", m, m, m) + np.tensordot(m, m, 2)


STRAIGHT = [softmax_entropy, layer_norm, two_layers, masked_root, gather_and_scatter, sorted_weights, norms,
            outer_products, concatenated, mixed_functions, clipped, statistics_of, powers, differences, einsum_of]


def branch(x):
    return x.sum() ** 2 if x[0] > 0.5 else np.sin(x).prod()


def early_return(x):
    for i in range(4):
        if x[i] > 0.9:
            return x[i] ** 3 + x.sum()
    return x.prod()


def recurrence(x):
    s = 0.3
    for v in x:
        s = math.tanh(s * 2 + v)
    return s


def in_place(x):
    y = np.zeros(5)
    for i in range(4):
        y[i + 1] = y[i] * 0.5 + x[i] ** 2
    return y.sum()


def newton_root(x):
    a, r = x.sum(), 1.0
    while abs(r * r - a) > 1e-13:
        r = 0.5 * (r + a / r)
    return r


def fixed_point(x):
    y = np.zeros(4)
    change = 1.0
    while change > 1e-13:
        z = 0.3 * np.tanh(W @ y + x)
        change = np.abs(z - y).max()
        y = z
    return (y * y).sum()


def runge_kutta(x):
    y, h = x.copy(), 0.05

    def f(v):
        return np.sin(W @ v) - 0.1 * v
    for _ in range(30):
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return (y ** 2).sum()


def nested_loops(x):
    total = 0.0
    for i in range(4):
        for j in range(i + 1):
            total += x[i] * x[j] ** 2 / (1 + i + j)
    return total


def break_out(x):
    s = 0.0
    for i in range(4):
        s += x[i] * x[i]
        if s > 0.8:
            break
    return s * 3


def continue_some(x):
    s = 1.0
    for i in range(4):
        if x[i] < 0.5:
            continue
        s *= x[i] + i
    return s


def branch_in_while(x):
    v, n = x[0] + 2, 0
    while n < 12:
        v = v * 0.5 if v > 1 else 1.3 * v + x[1] * 0.1
        n += 1
    return v * x[2]


def matrix_power(x):
    m = W * x
    p = np.eye(4)
    for _ in range(5):
        p = p @ m
    return p.sum()


def heat(x):
    u = np.zeros(12)
    u[4:8] = x
    for _ in range(20):
        u[1:-1] += 0.2 * (u[2:] - 2 * u[1:-1] + u[:-2])
    return (u ** 2).sum()


def cholesky(x):
    a = W @ W.T + np.diag(x + 2)
    n = 4
    c = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            s = a[i, j] - (c[i, :j] * c[j, :j]).sum()
            c[i, j] = math.sqrt(s) if i == j else s / c[j, j]
    return np.log(np.diag(c)).sum()


def bisection(x):
    low, high = 0.0, 4.0
    for _ in range(20):
        mid = (low + high) / 2
        if mid * mid * mid < x.sum():
            low = mid
        else:
            high = mid
    return (low + x.sum() / (low * low)) / 2


def best_so_far(x):
    best = None
    for i in range(4):
        y = math.sin(3 * x[i]) + 0.1 * x[i]
        if best is None or y > best:
            best = y
    return best * best


def appended(x):
    parts = []
    for i in range(4):
        parts.append(x[i] ** (i + 1))
    return np.array(parts).sum() + parts[2] * parts[0]


def appended_in_a_loop(x):
    parts = []
    for i in range(10):
        parts.append(x[i % 4] * i)
    return (np.array(parts) ** 2).sum()


def comprehension(x):
    return sum([v * v for v in x]) + sum(v ** 3 for v in x if v > 0.5)


def helper(v, depth):
    return v if depth == 0 else math.sin(helper(v, depth - 1) + 0.1)


def recursion(x):
    return helper(x[0], 3) * helper(x[1], 2)


def collatz_like(x):
    v, steps = x[0] * 10, 0
    while v > 0.5 and steps < 50:
        v = v / 2 if steps % 2 == 0 else v * 0.9
        steps += 1
    return v + x[3]


def swap(x):
    u, v = x.copy(), np.zeros(4)
    for _ in range(7):
        v[1:-1] = 0.5 * (u[2:] + u[:-2])
        v[0], v[-1] = u[0], u[-1]
        u, v = v, u
    return (u * np.arange(4)).sum()


def lstm_like(x):
    h, c = np.zeros(4), np.zeros(4)
    for t in range(6):
        z = W @ h + x * (t + 1)
        i, f = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(-z[::-1]))
        c = f * c + i * np.tanh(z)
        h = i * np.tanh(c)
    return h.sum()


def dictionary(x):
    state = {"a": x[:2], "b": x[2:]}
    for _ in range(5):
        state = {"a": np.sin(state["b"]), "b": state["a"] * 0.9}
    return (state["a"] * state["b"]).sum()


def two_way(x):
    s = 0.0
    for i in range(4):
        if x[i] > 0.6:
            s += x[i] ** 2
        elif x[i] > 0.4:
            s -= x[i]
        else:
            s *= 1.5 + x[i]
    return s


def caught(x):
    try:
        if x[0] > 0.5:
            raise ValueError("large")
        y = x.sum() ** 2
    except ValueError:
        y = x.prod()
    return y


def caught_in_a_loop(x):
    s = 0.0
    for i in range(4):
        try:
            if x[i] > 0.8:
                raise ArithmeticError
            y = x[i] ** 2
        except ArithmeticError:
            y = math.sin(x[i])
        finally:
            s += x[0]
        s += y
    return s


CONTROL = [branch, early_return, recurrence, in_place, newton_root, fixed_point, runge_kutta, nested_loops, break_out,
           continue_some, branch_in_while, matrix_power, heat, cholesky, bisection, best_so_far, appended,
           appended_in_a_loop, comprehension, recursion, collatz_like, swap, lstm_like, dictionary, two_way, caught,
           caught_in_a_loop]
