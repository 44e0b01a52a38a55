"""Random numbers that are drawn in rounds: gamma and what is made of it, Poisson.

Flows in:  keys, parameters that broadcast to the shape.
Flows out: arrays. Every element goes on until one of its candidates is accepted; round k takes the key folded with k.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.dtypes import BOOL, F64, I64, dtype_of
from tracejit.random.distributions import fitted, float_type, full_shape, standard_normal, unit
from tracejit.random.keys import fold_in, op, split
from tracejit.tracing.building import constant, convert, lift
from tracejit.tracing.context import current
from tracejit.tracing.implements import NUMPY

Candidates = Callable[[Any], tuple[Any, Any]]


@library(static=("shape", "dtype"))
def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Gamma numbers of shape parameter a and scale 1; NaN where a is negative or NaN."""
    kind = float_type(dtype)
    return NUMPY[np.exp](log_gamma(key, fitted(a, kind, full_shape(shape, a))))


@library(static=("shape", "dtype"))
def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Beta numbers: x / (x + y) for x and y of the gamma distributions of a and b."""
    kind = float_type(dtype)
    size = full_shape(shape, a, b)
    keys = split(key, 2)
    x, y = log_gamma(keys[0], fitted(a, kind, size)), log_gamma(keys[1], fitted(b, kind, size))
    return op("logistic", NUMPY[np.subtract](x, y))


@library(static=("shape", "dtype"))
def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Vectors (*shape, n) of parts of 1, for concentrations (..., n): gamma numbers over their sum."""
    kind, array = float_type(dtype), lift(alpha)
    size = array.type.shape if shape is None else (*full_shape(shape), *array.type.shape[-1:])
    logs: Any = log_gamma(key, fitted(array, kind, size))
    parts = NUMPY[np.exp](logs - NUMPY[np.max](logs, axis=-1, keepdims=True))
    return parts / NUMPY[np.sum](parts, axis=-1, keepdims=True)


def log_gamma(key: Any, a: Any) -> Any:
    """Logarithms of gamma numbers, which don't vanish for small a; log(a) for 0, infinity, and what is no parameter.

    Source: G. Marsaglia and W. Tsang, A simple method for generating gamma variables (2000); for a < 1 that of a + 1
    times u^(1/a).
    """
    whole, a = a, NUMPY[np.reshape](a, (-1,))
    kind, shape = a.type.dtype, a.type.shape
    keys = split(key, 2)
    one = constant(1, kind, shape)
    usual: Any = (a > 0) & NUMPY[np.isfinite](a)
    small = usual & (a < 1)
    boosted: Any = NUMPY[np.where](usual, NUMPY[np.where](small, a + 1, a), one)
    d: Any = boosted - constant(1 / 3, kind, shape)
    c: Any = constant(1 / 3, kind, shape) / NUMPY[np.sqrt](d)

    def candidates(key: Any) -> tuple[Any, Any]:
        pair = split(key, 2)
        x: Any = standard_normal(pair[0], shape, kind)
        u: Any = unit(pair[1], shape, kind)
        v = (1 + c * x) ** 3
        safe = NUMPY[np.where](v > 0, v, 1.0)
        bound = 0.5 * x * x + d - d * safe + d * NUMPY[np.log](safe)
        return d * safe, (v > 0) & (NUMPY[np.log1p](-u) < bound)

    drawn = NUMPY[np.log](accepted(keys[0], candidates, boosted))
    u = op("subtract", one, unit(keys[1], shape, kind))
    found = drawn + NUMPY[np.where](small, NUMPY[np.log](u) / NUMPY[np.where](small, a, one), 0.0)
    return NUMPY[np.reshape](NUMPY[np.where](usual, found, NUMPY[np.log](a)), whole.type.shape)


SEARCHED = 10.0     # from this mean on candidates are accepted or not; below, one number is inverted
LARGEST = 2.0 ** 62


@library(static=("shape", "dtype"))
def poisson(key: Any, lam: Any, shape: Any = None, dtype: Any = np.int64) -> Any:
    """Poisson numbers of mean lam; -1 where lam is negative, NaN or above 2^62.

    Source: W. Hoermann, The transformed rejection method for generating Poisson random variables (1993), algorithm
    PTRS; for small means the distribution function is searched from 0.
    """
    size = full_shape(shape, lam)
    mean: Any = fitted(lam, F64, size)
    keys, usual, large = split(key, 2), (mean >= 0) & (mean <= LARGEST), (mean >= SEARCHED) & (mean <= LARGEST)
    few = _searched(keys[0], NUMPY[np.where](usual & (mean < SEARCHED), mean, 0.0))
    many = _transformed(keys[1], NUMPY[np.where](large, mean, SEARCHED), large)
    return convert(NUMPY[np.where](usual, NUMPY[np.where](large, many, few), -1.0), dtype_of(np.dtype(dtype)))


def _searched(key: Any, mean: Any) -> Any:
    """The smallest k whose distribution function is above a uniform number."""
    u: Any = unit(key, mean.type.shape, F64)
    k: Any = constant(0, F64, mean.type.shape)
    part: Any = NUMPY[np.exp](-mean)
    total = part

    def test() -> Any:
        return NUMPY[np.any]((u >= total) & (part > 0))

    def body() -> None:
        nonlocal k, part, total
        above = (u >= total) & (part > 0)
        k = NUMPY[np.where](above, k + 1, k)
        part = NUMPY[np.where](above, part * mean / NUMPY[np.maximum](k, 1.0), part)
        total = NUMPY[np.where](above, total + part, total)

    current().namespace.while_(test, body, ("k", "part", "total"))
    return k


def _transformed(key: Any, mean: Any, wanted: Any) -> Any:
    """Numbers of large mean, where they are wanted."""
    shape = mean.type.shape
    b = 0.931 + 2.53 * NUMPY[np.sqrt](mean)
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    logs = NUMPY[np.log](mean)

    def candidates(key: Any) -> tuple[Any, Any]:
        pair = split(key, 2)
        u: Any = op("subtract", unit(pair[0], shape, F64), constant(0.5, F64, shape))
        v: Any = op("subtract", constant(1, F64, shape), unit(pair[1], shape, F64))
        near = 0.5 - NUMPY[np.abs](u)
        k = NUMPY[np.floor]((2 * a / NUMPY[np.maximum](near, 1e-300) + b) * u + mean + 0.43)
        quick = (near >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
        sensible = (k >= 0) & ((near >= 0.013) | (v <= near))
        left = NUMPY[np.log](v * inverse / (a / (near * near) + b))
        exact = left <= k * logs - mean - op("lgamma", NUMPY[np.maximum](k, 0.0) + 1)
        return k, quick | sensible & exact

    return accepted(key, candidates, mean, NUMPY[np.logical_not](wanted))


def accepted(key: Any, candidates: Candidates, like: Any, done: Any = None) -> Any:
    """The first candidate of every element that is accepted. candidates(key) -> (values, whether they are accepted).

    like: an array of the type of the result.  done: elements that need none.
    """
    step: Any = constant(0, I64)
    value = op("multiply", like, constant(0, like.type.dtype, like.type.shape))
    rest: Any = constant(True, BOOL, like.type.shape) if done is None else NUMPY[np.logical_not](done)

    def test() -> Any:
        return NUMPY[np.any](rest)

    def body() -> None:
        nonlocal step, rest, value
        found, takes = candidates(fold_in(key, step))
        value = NUMPY[np.where](rest & takes, found, value)
        rest = rest & NUMPY[np.logical_not](takes)
        step = step + constant(1, I64)

    current().namespace.while_(test, body, ("step", "rest", "value"))
    return value
