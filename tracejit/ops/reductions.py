"""Reductions: fold axes away.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `reduction`. Sums and products of 16-bit floats run in f32 and round once.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64, DType, dtype_of
from tracejit.base.types import ArrayType
from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply, compare, constant, select, spread, total
from tracejit.ops.declare import ANY, BOOLEAN, NUMBER, ORDERED, Combine, position_reduction, reduction
from tracejit.ops.derivatives import ZERO, Attributes, Gradient, Terms, linear
from tracejit.ops.references import in_single
from tracejit.ops.scalars import greatest, is_nan, least, maximum, minimum
from tracejit.ops.views import inverse

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


# ---- derivatives -----------------------------------------------------------------------------------------------


def _fold_rule(share: Callable[..., Term]) -> Gradient:
    """d(out) = sum over the folded axes of share(out, x, axes) dx."""
    def jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
        (t,) = tangents
        return [None if t is None else total(t * share(outs[0], ins[0], **attributes), attributes["axes"])]

    def vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool]) -> Terms:
        (ct,) = cotangents
        assert ct is not None
        return [spread(ct, ins[0].shape, attributes["axes"]) * share(outs[0], ins[0], **attributes)]

    return Gradient(jvp, vjp, gaps=True)


def share_of_extreme(out: Term, x: Term, axes: tuple[int, ...]) -> Term:
    """1 / (number of elements equal to the extreme) at each of them, 0 elsewhere: the symmetric subgradient."""
    hit = compare("EQ", x, spread(out, x.shape, axes))
    hits = select(hit, x.like(1), 0)
    return hits / spread(total(hits, axes), x.shape, axes)


def others_product(out: Term, x: Term, axes: tuple[int, ...]) -> Term:
    """The product of all other elements along the axes: exclusive products from both ends, so zeros are right."""
    kept = tuple(a for a in range(x.rank) if a not in axes)
    lengths = [x.shape[a] for a in axes]
    length: Size = math.prod(lengths)
    order = (*kept, *axes)
    front = tuple(x.shape[a] for a in kept)
    flat = apply("reshape", apply("transpose", x, permutation=order), shape=(*front, length))
    product = _before(flat) * _before(flat, reverse=True)
    back = apply("reshape", product, shape=(*front, *lengths))
    return apply("transpose", back, permutation=inverse(order))


def _before(x: Term, reverse: bool = False) -> Term:
    """The product of all elements before (after) each, along the last axis."""
    axis, one = x.rank - 1, constant(x, 1, ArrayType(x.dtype))
    zeros = (0,) * axis
    edge = {"low": (*zeros, int(not reverse)), "high": (*zeros, int(reverse)), "interior": (0,) * x.rank}
    padded = apply("pad", x, one, **edge)
    start = (*zeros, int(reverse))
    limit = tuple(n + a for n, a in zip(x.shape, start, strict=True))
    kept = apply("slice", padded, start=start, limit=limit, stride=(1,) * x.rank)
    return apply("cumulative_prod", kept, axis=axis, reverse=reverse)


reduce_sum = reduction("reduce_sum", dtypes=NUMBER, combine=SUM, exact=False,
                       numpy=in_single(lambda x, axes: np.sum(x, axis=axes, dtype=x.dtype)),
                       gradient=linear(lambda ct, x, axes: spread(ct, x.shape, axes)))
reduce_prod = reduction("reduce_prod", dtypes=NUMBER, combine=PRODUCT, exact=False,
                        numpy=in_single(lambda x, axes: np.prod(x, axis=axes, dtype=x.dtype)),
                        gradient=_fold_rule(others_product))
reduce_min = reduction("reduce_min", dtypes=ANY, combine=MINIMUM, numpy=_extreme(np.min, greatest),
                       gradient=_fold_rule(share_of_extreme))
reduce_max = reduction("reduce_max", dtypes=ANY, combine=MAXIMUM, numpy=_extreme(np.max, least),
                       gradient=_fold_rule(share_of_extreme))
reduce_and = reduction("reduce_and", dtypes=BOOLEAN, combine=AND, numpy=lambda x, axes: np.all(x, axis=axes),
                       gradient=ZERO)
reduce_or = reduction("reduce_or", dtypes=BOOLEAN, combine=OR, numpy=lambda x, axes: np.any(x, axis=axes),
                      gradient=ZERO)
reduce_argmin = position_reduction(
    "reduce_argmin", dtypes=ORDERED, combine=_best_position("LT", greatest), facts={"values": "reduce_min"},
    numpy=lambda x, axis: np.asarray(np.argmin(x, axis=axis), np.int64),
                                   gradient=ZERO)
reduce_argmax = position_reduction(
    "reduce_argmax", dtypes=ORDERED, combine=_best_position("GT", least), facts={"values": "reduce_max"},
    numpy=lambda x, axis: np.asarray(np.argmax(x, axis=axis), np.int64),
                                   gradient=ZERO)
