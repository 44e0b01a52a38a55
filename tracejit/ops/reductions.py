"""Reductions: fold axes away.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `reduction`. Sums and products of 16-bit floats run in f32 and round once.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import I64, DType, dtype_of
from tracejit.ops.declare import ANY, BOOLEAN, NUMBER, ORDERED, Combine, position_reduction, reduction
from tracejit.ops.references import in_single
from tracejit.ops.scalars import greatest, is_nan, least, maximum, minimum

Array = NDArray[Any]
LAST_POSITION = (1 << 63) - 1


def folding(identity: Callable[[DType], Any], combine: Callable[[Any, Any, Any], Any]) -> Combine:
    """A fold whose state is one value."""
    return Combine(identity=lambda dtype: (identity(dtype),), combine=lambda b, acc, x: (combine(b, acc[0], x[0]),))


SUM = folding(lambda dtype: 0, lambda b, x, y: b.add(x, y))
PRODUCT = folding(lambda dtype: 1, lambda b, x, y: b.multiply(x, y))
MINIMUM = folding(greatest, minimum)
MAXIMUM = folding(least, maximum)
AND = folding(lambda dtype: True, lambda b, x, y: b.and_(x, y))
OR = folding(lambda dtype: False, lambda b, x, y: b.or_(x, y))


def _best_position(wins: str, identity: Callable[[DType], Any]) -> Combine:
    """State (value, position): the better value, a NaN before any number, and of equals the first."""
    def combine(b: Any, acc: tuple[Any, ...], x: tuple[Any, ...]) -> tuple[Any, ...]:
        (old, at), (new, here) = acc, x
        nan_old, nan_new = is_nan(b, old), is_nan(b, new)
        better = b.compare(wins, new, old)
        tie = b.compare("EQ", new, old)
        if old.dtype.is_inexact:
            better = b.or_(b.and_(better, b.not_(nan_old)), b.and_(nan_new, b.not_(nan_old)))
            tie = b.or_(tie, b.and_(nan_old, nan_new))
        takes = b.or_(better, b.and_(tie, b.compare("LT", here, at)))
        return b.select(takes, new, old), b.select(takes, here, at)

    return Combine(identity=lambda dtype: (identity(dtype), LAST_POSITION), combine=combine,
                   state=lambda dtype: (dtype.compute, I64), takes_position=True, result=1)


def folded_axes(attributes: Mapping[str, Any]) -> tuple[int, ...]:
    """The axes that a reduction with these attributes folds away."""
    return tuple(attributes["axes"]) if "axes" in attributes else (attributes["axis"],)


def _extreme(fn: Any, identity: Callable[[DType], Any]) -> Callable[..., Array]:
    """min or max; of nothing, its identity (NumPy raises, front ends do so for it)."""
    def computed(x: Array, axes: tuple[int, ...]) -> Array:
        x = np.asarray(x)
        start = {"initial": identity(dtype_of(x.dtype))} if x.size == 0 else {}
        return np.asarray(fn(x, axis=axes, **start))

    return computed


reduce_sum = reduction("reduce_sum", dtypes=NUMBER, combine=SUM, exact=False,
                       numpy=in_single(lambda x, axes: np.sum(x, axis=axes, dtype=x.dtype)))
reduce_prod = reduction("reduce_prod", dtypes=NUMBER, combine=PRODUCT, exact=False,
                        numpy=in_single(lambda x, axes: np.prod(x, axis=axes, dtype=x.dtype)))
reduce_min = reduction("reduce_min", dtypes=ANY, combine=MINIMUM, numpy=_extreme(np.min, greatest))
reduce_max = reduction("reduce_max", dtypes=ANY, combine=MAXIMUM, numpy=_extreme(np.max, least))
reduce_and = reduction("reduce_and", dtypes=BOOLEAN, combine=AND, numpy=lambda x, axes: np.all(x, axis=axes))
reduce_or = reduction("reduce_or", dtypes=BOOLEAN, combine=OR, numpy=lambda x, axes: np.any(x, axis=axes))
reduce_argmin = position_reduction(
    "reduce_argmin", dtypes=ORDERED, combine=_best_position("LT", greatest), facts={"values": "reduce_min"},
    numpy=lambda x, axis: np.asarray(np.argmin(x, axis=axis), np.int64))
reduce_argmax = position_reduction(
    "reduce_argmax", dtypes=ORDERED, combine=_best_position("GT", least), facts={"values": "reduce_max"},
    numpy=lambda x, axis: np.asarray(np.argmax(x, axis=axis), np.int64))
