"""What tests of tj.nn share: gradients against differences, and precision by dtype."""
from __future__ import annotations

import numpy as np

import tracejit as tj

TOLERANCE = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-11, "atol": 1e-12}}


def logistic(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def softmax(x, axis=-1):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def check_gradient(fn, x, rtol=1e-5, seed=0):
    """Along a random direction. fn gives a number."""
    direction, h = np.random.default_rng(seed).normal(size=x.shape), 1e-6
    slope = (fn(x + h * direction) - fn(x - h * direction)) / (2 * h)
    np.testing.assert_allclose((tj.grad(fn)(x) * direction).sum(), slope, rtol=rtol, atol=1e-7)


def same(found, expected):
    """Equal up to rounding in the dtype of what was found."""
    np.testing.assert_allclose(found, expected, **TOLERANCE[np.asarray(found).dtype.name])
