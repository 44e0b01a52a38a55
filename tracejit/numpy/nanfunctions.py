"""Reductions that leave NaN out: nansum, nanmean, nanmedian and their like.

Flows in:  arrays with NaN.
Flows out: the reductions of `reductions` and `quantiles` on arrays with NaN replaced, or with a mask.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.numpy.cumulative import cumprod, cumsum
from tracejit.numpy.quantiles import quantile_of
from tracejit.numpy.reductions import all_, argmax, argmin, max_, mean, min_, prod, std, sum_, var
from tracejit.numpy.support import NO_VALUE, emit, finish, like, operand, select
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, broadcast_to, convert
from tracejit.tracing.implements import implements

Function = Callable[..., Any]


def _replaced(a: Any, value: float) -> tuple[Array, Array | None]:
    """The array with `value` for NaN, and where NaN was (None: nowhere)."""
    x = operand(a)
    x = convert(x, x.type.dtype)
    if not x.type.dtype.is_inexact:
        return x, None
    bad = emit("is_nan", x)
    return select(bad, like(x, complex(value) if x.type.dtype.is_complex else value), x), bad


def _with_identity(function: Function, identity: float) -> Function:
    def call(a: Any, *args: Any, **options: Any) -> Any:
        return function(_replaced(a, identity)[0], *args, **options)
    return call


implements(np.nansum)(_with_identity(sum_, 0.0))
implements(np.nanprod)(_with_identity(prod, 1.0))
implements(np.nancumsum)(_with_identity(cumsum, 0.0))
implements(np.nancumprod)(_with_identity(cumprod, 1.0))


def _masked(function: Function) -> Function:
    """The function over elements that are not NaN."""
    def call(a: Any, axis: Any = None, *args: Any, **options: Any) -> Any:
        x, bad = _replaced(a, 0.0)
        given = options.pop("where", True)
        if bad is None:
            return function(x, axis, *args, where=given, **options)
        kept = emit("not", bad)
        if given is not True and given is not NO_VALUE:
            kept = emit("and", kept, broadcast_to(convert(operand(given), "bool"), kept.type.shape))
        return function(x, axis, *args, where=kept, **options)
    return call


implements(np.nanmean)(_masked(mean))
implements(np.nanvar)(_masked(var))
implements(np.nanstd)(_masked(std))


def _extreme(function: Function, value: float) -> Function:
    """NaN where all elements are NaN."""
    def call(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
        x, bad = _replaced(a, value)
        result = function(x, axis, keepdims=keepdims, **options)
        if bad is not None:
            result = select(all_(bad, axis, keepdims=keepdims), like(result, float("nan")), result)
        return finish(result, out)
    return call


implements(np.nanmax)(_extreme(max_, float("-inf")))
implements(np.nanmin)(_extreme(min_, float("inf")))


def _position(function: Function, value: float) -> Function:
    def call(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        x, bad = _replaced(a, value)
        if bad is not None:
            lost = all_(bad, axis)
            none_lost = emit("not", emit("reduce_or", lost, axes=tuple(range(lost.ndim))) if lost.ndim else lost)
            assert_(none_lost, "ValueError", "All-NaN slice encountered")
        return function(x, axis, out, keepdims=keepdims)
    return call


implements(np.nanargmax)(_position(argmax, float("-inf")))
implements(np.nanargmin)(_position(argmin, float("inf")))


@implements(np.nanquantile)
def nanquantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
                method: str = "linear", keepdims: Any = False, **options: Any) -> Any:
    return finish(quantile_of(a, q, axis, method, keepdims is True, skip_nan=True), out)


@implements(np.nanpercentile)
def nanpercentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
                  method: str = "linear", keepdims: Any = False, **options: Any) -> Any:
    return finish(quantile_of(a, q, axis, method, keepdims is True, skip_nan=True, scale=100), out)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    return finish(quantile_of(a, 0.5, axis, "linear", keepdims is True, skip_nan=True), out)
