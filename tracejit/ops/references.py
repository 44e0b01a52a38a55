"""Meanings that NumPy has no function for, in NumPy and `math`; slow, exact enough to judge compiled results.

Flows in:  arrays.
Flows out: arrays of the same dtype.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def in_double(fn: Callable[..., Array]) -> Callable[..., Array]:
    """`fn` computed in float64 and rounded once to the dtype of its operand; complex operands stay as they are."""
    def computed(*xs: Array) -> Array:
        dtype = np.asarray(xs[0]).dtype
        if dtype.kind == "c":
            return np.asarray(fn(*xs), dtype)
        return np.asarray(fn(*(np.asarray(x, np.float64) for x in xs))).astype(dtype)

    return computed


def in_single(fn: Callable[..., Array]) -> Callable[..., Array]:
    """`fn` with float16 operands computed in float32, and the result rounded once."""
    def computed(x: Array, *rest: Any, **attributes: Any) -> Array:
        x = np.asarray(x)
        if x.dtype != np.float16:
            return fn(x, *rest, **attributes)
        widened = [np.asarray(r, np.float32) for r in rest]
        return np.asarray(fn(x.astype(np.float32), *widened, **attributes)).astype(np.float16)

    return computed


def elementwise(fn: Callable[[float], float]) -> Callable[..., Array]:
    """A function of a Python float over arrays."""
    vectorized = np.vectorize(fn, otypes=[np.float64])
    return in_double(lambda x: np.asarray(vectorized(x), np.float64))


@in_double
def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(np.isnan(x), x, np.where(x >= 0, 1 / (1 + e), e / (1 + e)))


@elementwise
def lgamma(x: float) -> float:
    """log |gamma(x)|; inf at the poles 0, -1, -2, ..."""
    return math.inf if math.isinf(x) or (x <= 0 and x == math.floor(x)) else math.lgamma(x)


@elementwise
def digamma(x: float) -> float:
    """The derivative of lgamma, by reflection, recurrence and the asymptotic series (DLMF 5.5.4, 5.5.2, 5.11.2)."""
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x == 0:
        return -math.copysign(math.inf, x)
    if x < 0:
        if x == math.floor(x):
            return math.nan
        fraction = x - math.floor(x)
        return _digamma_positive(1 - x) - math.pi / math.tan(math.pi * fraction)
    return _digamma_positive(x)


def _digamma_positive(x: float) -> float:
    if x == math.inf:
        return x
    shift = 0.0
    while x < 10:
        shift -= 1 / x
        x += 1
    t = 1 / (x * x)
    series = t * (1 / 12 - t * (1 / 120 - t * (1 / 252 - t * (1 / 240 - t * (1 / 132 - t * (691 / 32760 - t / 12))))))
    return shift + math.log(x) - 0.5 / x - series


@elementwise
def erf_inv(y: float) -> float:
    """x with erf(x) = y: Winitzki's start, then Halley's method on erf or, near 1, on erfc."""
    size = abs(y)
    if not size < 1:
        return math.copysign(math.inf, y) if size == 1 else math.nan
    if size < 1e-8:
        return y * math.sqrt(math.pi) / 2
    log = math.log1p(-y * y)
    t = 2 / (math.pi * 0.147) + log / 2
    x = math.sqrt(math.sqrt(t * t - log / 0.147) - t)
    for _ in range(4):
        error = math.erf(x) - size if size < 0.5 else (1 - size) - math.erfc(x)
        step = error * math.sqrt(math.pi) / 2 * math.exp(x * x)
        x -= step / (1 + x * step)
    return math.copysign(x, y)
