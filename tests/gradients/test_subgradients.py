"""Conventions: which subgradient is taken where there are several, and zeros next to infinite slopes."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj

Z = np.zeros(3)
X = np.array([-1.0, 0.0, 4.0])
NAN = np.nan


def overwritten(x):
    y = np.sqrt(x)
    y[x <= 0] = 0
    return y.sum()


def assigned(x):
    y = np.zeros(3)
    y[x > 0] = np.sqrt(x[x > 0])
    return y.sum()


def in_a_loop(x):
    s = 0.0
    for i in range(3):
        y = np.log(x) * x
        if x[i] > 0:
            s += y[i]
    return s


def shared(x):
    y = np.sqrt(x)
    return np.where(x > 0, y, 0).sum() + np.where(x > 1, y * y, 0).sum()


# name: function, point, gradient
KINKS = {
    "abs at 0: 0": (lambda x: np.abs(x).sum(), Z, [0, 0, 0]),
    "maximum of equals: half each": (lambda x: np.maximum(x, 0).sum(), X, [0, 0.5, 1]),
    "max of equals: shares": (np.max, np.array([2.0, 1, 2]), [0.5, 0, 0.5]),
    "min of equals: shares": (lambda x: np.min(x), Z, [1 / 3, 1 / 3, 1 / 3]),
    "clip at its bounds: 1": (lambda x: np.clip(x, 0, 1).sum(), np.array([0.0, 1, 2]), [1, 1, 0]),
    "where at its bound: the branch taken": (lambda x: np.where(x > 0, x, 0).sum(), X, [0, 0, 1]),
    "sort of equals: in order": (lambda x: (np.sort(x) * np.arange(3)).sum(), Z, [0, 1, 2]),
    "running maximum of equals: the nearest": (lambda x: (np.maximum.accumulate(x) * [1, 2, 4]).sum(), Z, [1, 2, 4]),
    "floor, sign, rint: 0": (lambda x: (np.floor(x) + np.sign(x) + np.rint(x)).sum(), Z, [0, 0, 0]),
    "remainder at a jump: 1": (lambda x: np.mod(x, 2.0).sum(), np.array([2.0, 4, 1]), [1, 1, 1]),
    "norm at 0: 0": (lambda x: np.linalg.norm(x), Z, [0, 0, 0]),
    "norm of order 3 at 0: 0": (lambda x: np.linalg.norm(x, 3), Z, [0, 0, 0]),
    "hypot at 0: 0": (lambda x: np.hypot(x, 0).sum(), Z, [0, 0, 0]),
    "deviation of equals: 0": (lambda x: np.std(x), Z + 1, [0, 0, 0]),
    "largest magnitude of equals: shares": (lambda x: np.linalg.norm(x, np.inf), np.array([1.0, -1, 0]), [.5, -.5, 0]),
    "x ** 0 at 0: 0": (lambda x: (x ** 0).sum() + (x ** 0.0).sum(), Z, [0, 0, 0]),
    "x ** 1, x ** 2 at 0": (lambda x: (x ** np.array([1.0, 2.0, 3.0])).sum(), Z, [1, 0, 0]),
    "2 ** x, 0 ** x": (lambda x: (np.array([1.0, 0.0, 1.0]) ** x).sum(), Z + 2, [0, 0, 0]),
    "product with zeros": (np.prod, np.array([0.0, 2, 3]), [6, 0, 0]),
    "running product with zeros": (lambda x: np.cumprod(x).sum(), np.array([2.0, 0, 3]), [1, 8, 0]),
    "logaddexp of nothing": (lambda x: np.logaddexp(x, -np.inf).sum(), Z, [1, 1, 1]),
    "running logaddexp of nothing": (lambda x: np.logaddexp.accumulate(x)[2], np.array([-np.inf, 0, 0]), [0, .5, .5]),
    "sinc, i0 at 0: 0": (lambda x: (np.sinc(x) + np.i0(x)).sum(), Z, [0, 0, 0]),
    "fmax beside NaN": (lambda x: np.fmax(x, np.array([NAN, 0, 1])).sum(), np.array([1.0, NAN, 1]), [1, 0, 0.5]),
    "interpolation at a node: the slope on its right": (
        lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 4]).sum(), np.array([0.0, 1, 3]), [1, 3, 0]),
    "saturated tanh": (lambda x: np.tanh(x).sum(), np.array([1e3, -1e3, 0]), [0, 0, 1]),
    "slopes that are infinite": (lambda x: np.sqrt(x).sum(), np.array([0.0, 1, 4]), [np.inf, 0.5, 0.25])}

# Functions that leave out where sqrt or log are NaN or infinite.
ROOT = [0, 0, 0.25]
MASKED = {
    "where": (lambda x: np.where(x > 0, np.sqrt(x), 0).sum(), ROOT),
    "where, twice": (lambda x: np.where(x > 0, np.where(x > 0, np.sqrt(x), 0), 0).sum(), ROOT),
    "where of a chain": (lambda x: np.where(x != 0, 4 / x + 4 / (x * x) * x, 0)[1:].sum(), [0, 0, -0.5]),
    "where of a power": (lambda x: np.where(x > 0, x ** 0.5, 1.0).sum(), ROOT),
    "where, then a sum": (lambda x: np.where(x > 0, np.sqrt(x), 0).reshape(3, 1).sum(1).sum(), ROOT),
    "where of a reshape": (lambda x: np.where(x[:, None] > 0, (np.sqrt(x) * 1)[:, None], 0).sum(), ROOT),
    "where of a broadcast": (lambda x: np.where(x > 0, np.broadcast_to(np.sqrt(x), (2, 3)), 0).sum() / 2, ROOT),
    "where of a concatenation": (
        lambda x: np.where(np.concatenate([x, x]) > 0, np.concatenate([np.sqrt(x), x]), 0).sum(), [0, 0, 1.25]),
    "where of something used twice": (shared, [0, 0, 1.25]),
    "where beside an overflow": (lambda x: np.where(x > 3, x, np.log1p(np.exp(x * 500))).sum(), [0, 250, 1]),
    "slices": (lambda x: np.sqrt(x)[2:].sum(), ROOT),
    "masks": (lambda x: np.sqrt(x)[x > 0].sum(), ROOT),
    "sums with where": (lambda x: np.sum(np.sqrt(x), where=x > 0), ROOT),
    "select": (lambda x: np.select([x > 0, x < 0], [np.sqrt(x), np.sqrt(-x)], 0).sum(), [-0.5, 0, 0.25]),
    "piecewise": (lambda x: np.piecewise(x, [x > 0], [np.sqrt, lambda t: t * t]).sum(), [-2, 0, 0.25]),
    "writing over it": (overwritten, ROOT),
    "writing elsewhere": (assigned, ROOT),
    "a branch in a loop": (in_a_loop, [0, 0, np.log(4) + 1]),
    "the largest": (lambda x: np.max(np.where(x < 0, 0, np.sqrt(np.abs(x)))), ROOT)}


@pytest.mark.parametrize("name", KINKS)
def test_the_subgradient_is(name):
    fn, x, expected = KINKS[name]
    np.testing.assert_allclose(tj.grad(lambda x: fn(x))(x), expected, rtol=1e-12)
    np.testing.assert_allclose(tj.jvp(fn, (x,), (np.ones(3),))[1], np.sum(expected), rtol=1e-12)


@pytest.mark.parametrize("name", MASKED)
def test_zero_stays_zero_beside_infinite_slopes(name):
    fn, expected = MASKED[name]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(tj.grad(fn)(X), expected, rtol=1e-12, atol=1e-12)


def test_cotangents_that_are_zero_stay_zero():
    x = np.array([0.0, 1.0, 4.0])
    np.testing.assert_allclose(tj.vjp(np.sqrt, x)[1](np.array([0.0, 1.0, 1.0]))[0], [0, 0.5, 0.25])
    expected = np.diag([np.inf, 0.5, 0.25])
    np.testing.assert_array_equal(tj.jacobian(lambda x: np.sqrt(x), mode="reverse")(x), expected)


def test_second_derivatives_where_the_first_is_zero():
    """The square of log x has its minimum at 1: the cotangent of the logarithm is zero there, its derivative is not."""
    found = tj.hessian(lambda x: (np.where(x > 0, np.log(x), 0)[1:] ** 2).sum())(np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(np.diag(found), [0, 2, (1 - np.log(2)) / 2], rtol=1e-12)
