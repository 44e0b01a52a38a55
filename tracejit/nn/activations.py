"""Activation functions, element by element or along one axis.

Flows in:  arrays of floats of any shape.
Flows out: arrays of the same shape and dtype.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.tracing.building import emit, lift

ROOT_2 = math.sqrt(2)


@library()
def relu(x: Any) -> Any:
    """max(x, 0). The derivative at 0 is 0."""
    return np.where(x > 0, x, 0)


@library()
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6)."""
    return np.where(x > 0, np.where(x < 6, x, 6), 0)


@library()
def leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    """x for x > 0, else slope * x."""
    return np.where(x > 0, x, slope * x)


@library()
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x for x > 0, else alpha (exp(x) - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


@library()
def celu(x: Any, alpha: Any = 1.0) -> Any:
    """x for x > 0, else alpha (exp(x / alpha) - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x) / alpha))


@library()
def selu(x: Any) -> Any:
    """Scaled elu whose fixed point is mean 0 and variance 1. Source: G. Klambauer et al. (2017)."""
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return scale * np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


@library()
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return emit("logistic", lift(x))


@library()
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return -_softplus(-x)


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


@library()
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return _softplus(x)


@library()
def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return x / (1 + np.abs(x))


@library()
def silu(x: Any) -> Any:
    """x sigmoid(x), also called swish."""
    return x * emit("logistic", lift(x))


@library()
def mish(x: Any) -> Any:
    """x tanh(softplus(x))."""
    return x * np.tanh(_softplus(x))


@library()
def hard_sigmoid(x: Any) -> Any:
    """min(max(x + 3, 0), 6) / 6."""
    return np.clip(x + 3, 0, 6) / 6


@library()
def hard_swish(x: Any) -> Any:
    """x hard_sigmoid(x)."""
    return x * np.clip(x + 3, 0, 6) / 6


@library(static=("approximate",))
def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function of x; approximate: by tanh.

    Source: D. Hendrycks and K. Gimpel, Gaussian error linear units (2016).
    """
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + emit("erf", lift(x / ROOT_2)))


@library(static=("axis",))
def glu(x: Any, axis: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second."""
    a, b = np.split(x, 2, axis)
    return a * emit("logistic", lift(b))


def _shifted(x: Any, axis: Any, where: Any) -> Any:
    """x minus its largest element along an axis, through which no derivative flows: it cancels."""
    if where is not None:
        x = np.where(where, x, -np.inf)
    top = np.max(x, axis=axis, keepdims=True)
    return x - emit("stop_gradient", lift(np.where(np.isfinite(top), top, 0)))


@library(static=("axis",))
def softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """exp(x) over its sum along an axis (or axes). where: elements that count; the others get 0."""
    powers = np.exp(_shifted(x, axis, where))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@library(static=("axis",))
def log_softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """log(softmax(x)), without overflow."""
    moved = _shifted(x, axis, where)
    return moved - np.log(np.sum(np.exp(moved), axis=axis, keepdims=True))


@library(static=("axis",))
def standardize(x: Any, axis: Any = -1, epsilon: Any = 1e-5) -> Any:
    """Mean 0 and variance 1 along an axis."""
    mean = np.mean(x, axis=axis, keepdims=True)
    centred = x - mean
    return centred / np.sqrt(np.mean(centred * centred, axis=axis, keepdims=True) + epsilon)
