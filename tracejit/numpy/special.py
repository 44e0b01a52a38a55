"""Special functions: `erf`, `expit`, `gammaln`, `logsumexp`, `softmax` and their like.

Flows in:  arrays, Tensors or numbers; inside a trace tracers.
Flows out: single ops or short compositions. `scipy.special`'s functions of the same names mean the same when traced.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.api.tensor import call
from tracejit.numpy.reductions import max_, sum_
from tracejit.numpy.support import compare, emit, expanded, like, normal_axes, operand, select, shape_of
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast, broadcast_to, convert, lift, promote
from tracejit.tracing.implements import implements

__all__ = ["digamma", "erf", "erfc", "erfinv", "expit", "gammaln", "log_softmax", "logit", "logsumexp", "softmax",
           "xlogy"]

Function = Callable[..., Any]


def _floating(x: Any) -> Array:
    """Floats as they are, everything else as float64."""
    array = operand(x)
    return convert(array, array.type.dtype if array.type.dtype.is_inexact else "f64")


def _public(name: str, *scipy_names: str) -> Callable[[Function], Function]:
    """Declares the traced meaning; the name that is bound calls it in a trace, or compiles it and runs it."""
    def declare(function: Function) -> Function:
        key = f"special.{name}"
        implements(key)(function)
        scipy = sys.modules.get("scipy.special")
        for other in (name, *scipy_names) if scipy is not None else ():
            implements(getattr(scipy, other))(function)

        def public(*args: Any, **options: Any) -> Any:
            return call(key, *args, **options)
        public.__name__, public.__doc__ = name, function.__doc__
        return public
    return declare


def _one_op(name: str, op: str, doc: str, *scipy_names: str) -> Function:
    def function(x: Any) -> Any:
        return emit(op, _floating(x))
    function.__doc__ = doc
    return _public(name, *scipy_names)(function)


erf = _one_op("erf", "erf", "The error function.")
erfc = _one_op("erfc", "erfc", "1 - erf(x), exact for large x.")
erfinv = _one_op("erfinv", "erf_inv", "The inverse of erf.")
expit = _one_op("expit", "logistic", "1 / (1 + exp(-x)).")
gammaln = _one_op("gammaln", "lgamma", "The logarithm of |gamma(x)|.")
digamma = _one_op("digamma", "digamma", "The derivative of gammaln.", "psi")


@_public("logit")
def logit(x: Any) -> Any:
    """log(x / (1 - x))."""
    p = _floating(x)
    return emit("log", emit("divide", p, emit("subtract", like(p, 1.0), p)))


@_public("xlogy")
def xlogy(x: Any, y: Any) -> Any:
    """x log(y), 0 where x is 0 and y is not NaN."""
    factor, value = broadcast(*promote(_floating(x), _floating(y)))
    product = emit("multiply", factor, emit("log", value))
    zero = emit("and", compare("EQ", factor, 0.0), emit("not", emit("is_nan", value)))
    return select(zero, like(factor, 0.0), product)


def _finite_max(x: Array, axes: tuple[int, ...]) -> Array:
    """The maximum over axes, kept as axes of size 1; 0 where it is infinite or NaN."""
    top = lift(max_(x, axes, keepdims=True))
    return select(emit("is_finite", top), top, like(top, 0.0))


@_public("logsumexp")
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """log(sum(b exp(a))) without overflow; with return_sign also the sign of the sum."""
    x = _floating(a)
    axes = normal_axes(axis, x.ndim)
    top = _finite_max(x, axes)
    terms = emit("exponential", emit("subtract", x, broadcast_to(top, shape_of(x))))
    if b is not None:
        terms = elementwise(np.multiply, terms, b)
    total = lift(sum_(terms, axes))
    sign = elementwise(np.sign, total)
    if return_sign:
        total = elementwise(np.absolute, total)
    dropped = emit("reshape", top, shape=shape_of(total)) if top.ndim else top
    result = elementwise(np.add, elementwise(np.log, total), dropped)
    if keepdims:
        result, sign = expanded(result, axes), expanded(sign, axes)
    return (result, sign) if return_sign else result


def _exponentials(a: Any, axis: Any) -> tuple[Array, Array, Array]:
    """x - max, its exponential, and the sum of that over axes (kept)."""
    x = _floating(a)
    axes = normal_axes(axis, x.ndim)
    top = lift(max_(x, axes, keepdims=True))
    shifted = emit("subtract", x, broadcast_to(top, shape_of(x)))
    terms = emit("exponential", shifted)
    return shifted, terms, lift(sum_(terms, axes, keepdims=True))


@_public("softmax")
def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / sum(exp(x)), computed from x - max(x)."""
    _, terms, total = _exponentials(x, axis)
    return emit("divide", terms, broadcast_to(total, shape_of(terms)))


@_public("log_softmax")
def log_softmax(x: Any, axis: Any = None) -> Any:
    """x - log(sum(exp(x))), computed from x - max(x)."""
    shifted, _, total = _exponentials(x, axis)
    return emit("subtract", shifted, broadcast_to(emit("log", total), shape_of(shifted)))
