"""Activation functions, element by element or along one axis.

Flows in:  arrays of floats of any shape; integers become float64.
Flows out: arrays of the same shape and dtype. NaN stays NaN.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.nn.arguments import along, floats, normal_axes, require, shape_text
from tracejit.tracing.building import emit, lift

ROOT_2 = math.sqrt(2)


# ---- kinks: the derivative there is 0 unless said otherwise ------------------------------------------------------


@library()
def relu(x: Any) -> Any:
    """max(x, 0). The derivative at 0 is 0."""
    x = lift(x)
    return np.where(x <= 0, 0, x)


@library()
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6). The derivative at 0 and 6 is 0."""
    return _between(lift(x), 0, 6)


@library()
def hard_tanh(x: Any) -> Any:
    """min(max(x, -1), 1). The derivative at -1 and 1 is 0."""
    return _between(lift(x), -1, 1)


def _between(x: Any, low: int, high: int) -> Any:
    return np.where(x <= low, low, np.where(x >= high, high, x))


@library()
def hard_sigmoid(x: Any) -> Any:
    """min(max(x + 3, 0), 6) / 6."""
    return _between(floats(x) + 3, 0, 6) / 6


@library()
def hard_swish(x: Any) -> Any:
    """x hard_sigmoid(x)."""
    x = floats(x)
    return x * _between(x + 3, 0, 6) / 6


@library()
def leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    """x for x > 0, else slope * x; the derivative at 0 is the slope."""
    return _leaky(floats(x), lift(slope))


@library(static=("axis",))
def prelu(x: Any, slopes: Any, axis: int = -1) -> Any:
    """Leaky relu with one slope per channel, the position along `axis`. Source: K. He et al. (2015)."""
    x = floats(x)
    return _leaky(x, along(slopes, axis, x.ndim))


def _leaky(x: Any, slope: Any) -> Any:
    return np.where(x > 0, x, slope * x)


# ---- exponentials ------------------------------------------------------------------------------------------------


@library()
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x for x > 0, else alpha (exp(x) - 1)."""
    return _elu(floats(x), alpha)


def _elu(x: Any, alpha: Any) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


@library()
def celu(x: Any, alpha: Any = 1.0) -> Any:
    """x for x > 0, else alpha (exp(x / alpha) - 1)."""
    x = floats(x)
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x) / alpha))


@library()
def selu(x: Any) -> Any:
    """Scaled elu whose fixed point is mean 0 and variance 1. Source: G. Klambauer et al. (2017)."""
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return scale * _elu(floats(x), alpha)


@library()
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return logistic(floats(x))


def logistic(x: Any) -> Any:
    return emit("logistic", lift(x))


@library()
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return -log_one_plus_exp(-floats(x))


def log_one_plus_exp(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


@library()
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return log_one_plus_exp(floats(x))


@library()
def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    x = floats(x)
    return x / (1 + np.abs(x))


@library()
def silu(x: Any) -> Any:
    """x sigmoid(x), also called swish."""
    x = floats(x)
    return x * logistic(x)


@library()
def mish(x: Any) -> Any:
    """x tanh(softplus(x)). Source: D. Misra (2019)."""
    x = floats(x)
    return x * np.tanh(log_one_plus_exp(x))


@library(static=("approximate",))
def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function of x; approximate: by tanh.

    Source: D. Hendrycks and K. Gimpel, Gaussian error linear units (2016).
    """
    x = floats(x)
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + emit("erf", x / ROOT_2))


@library(static=("axis",))
def glu(x: Any, axis: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second."""
    x = floats(x)
    (at,) = normal_axes(axis, x.ndim)
    require(int(x.shape[at]) % 2 == 0, f"glu got {shape_text(x)}: axis {at} can't be halved",
            why="one half gates the other", fix="give that axis an even size")
    a, b = np.split(x, 2, at)
    return a * logistic(b)


# ---- along an axis -----------------------------------------------------------------------------------------------


def _shifted(x: Any, axis: Any, where: Any) -> Any:
    """x minus its largest element along an axis, through which no derivative flows: it cancels."""
    if where is not None:
        x = np.where(where, x, -np.inf)
    sizes = [x.type.shape[a] for a in normal_axes(axis, x.ndim)]
    filled = all(isinstance(n, int) and n for n in sizes)
    top: Any = np.max(x, axis=axis, keepdims=True) if filled else np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return x - emit("stop_gradient", lift(np.where(np.isinf(top), 0, top)))


@library(static=("axis",))
def softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """exp(x) over its sum along an axis (or axes).

    where: elements that count; the others get 0, all of them where none counts.
    """
    powers = np.exp(_shifted(floats(x), axis, where))
    total = np.sum(powers, axis=axis, keepdims=True)
    return powers / (total if where is None else np.where(total == 0, 1, total))


@library(static=("axis",))
def log_softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """log(softmax(x)), without overflow. where: elements that count; the others get -inf."""
    moved = _shifted(floats(x), axis, where)
    total = np.sum(np.exp(moved), axis=axis, keepdims=True)
    return moved - np.log(total if where is None else np.where(total == 0, 1, total))


@library(static=("axis",))
def standardize(x: Any, axis: Any = -1, epsilon: Any = 1e-5) -> Any:
    """Mean 0 and variance 1 along an axis."""
    x = floats(x)
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=axis, keepdims=True) + epsilon)
