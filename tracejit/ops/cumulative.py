"""Cumulative ops: every prefix of a fold along one axis.

Flows in:  the vocabulary of `declare`, the folds of `reductions`.
Flows out: ops of kind `cumulative`.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply, compare, iota, select, size_of, splat
from tracejit.ops.declare import ANY, FLOAT, NUMBER, cumulative
from tracejit.ops.derivatives import Attributes, Gradient, Terms, linear
from tracejit.ops.reductions import MAXIMUM, MINIMUM, PRODUCT, SUM, folding
from tracejit.ops.references import in_single

Array = NDArray[Any]


def _accumulate(ufunc: Any) -> Any:
    def computed(x: Array, axis: int, reverse: bool) -> Array:
        x = np.flip(x, axis) if reverse else np.asarray(x)
        out = ufunc.accumulate(x, axis=axis, dtype=x.dtype)
        return np.flip(out, axis) if reverse else np.asarray(out)

    return in_single(computed)


LOG_SUM_EXP = folding(lambda dtype: -math.inf, lambda b, x, y: b.call("logaddexp", x, y))

# ---- derivatives -----------------------------------------------------------------------------------------------


def _running(op: str, x: Term, axis: int, reverse: bool) -> Term:
    return apply(f"cumulative_{op}", x, axis=axis, reverse=reverse)


def _parts_of_product(x: Term, axis: int, reverse: bool) -> tuple[Term, Term, Term, Term]:
    """Where the first zero is, where it or anything after it is, x with that zero as 1, and the products of those."""
    zero = select(compare("EQ", x, 0), x.like(1), 0)
    so_far = _running("sum", zero, axis, reverse)
    first = apply("and", compare("NE", zero, 0), compare("EQ", so_far, 1))
    ones = select(first, 1, x)
    return first, compare("NE", so_far, 0), ones, _running("prod", ones, axis, reverse)


def _product_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    """out * sum(t / x) before the first zero; from there on only the change of that zero counts."""
    (x,), (t,) = ins, tangents
    if t is None:
        return [None]
    first, after, ones, products = _parts_of_product(x, **attributes)
    plain = outs[0] * _running("sum", select(after, 0, t / select(after, 1, ones)), **attributes)
    return [select(after, _running("sum", select(first, t, 0), **attributes) * products, plain)]


def _product_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                 wanted: Sequence[bool]) -> Terms:
    (x,), (ct,) = ins, cotangents
    assert ct is not None
    first, after, ones, products = _parts_of_product(x, **attributes)
    axis, back = attributes["axis"], not attributes["reverse"]
    plain = _running("sum", select(after, 0, ct * outs[0]), axis, back) / select(after, 1, ones)
    from_zero = _running("sum", select(after, ct * products, 0), axis, back)
    return [select(after, select(first, from_zero, 0), plain)]


def _sources(out: Term, x: Term, axis: int, reverse: bool) -> list[Term]:
    """The indices of the element that each result is: of equal ones the nearest."""
    position = iota(x, x.shape, axis)
    if reverse:
        found = select(compare("EQ", x, out), position, splat(size_of(x, x.shape[axis]), x.shape))
    else:
        found = select(compare("EQ", x, out), position, -1)
    nearest = _running("min" if reverse else "max", found, axis, reverse)
    return [nearest if a == axis else iota(x, x.shape, a) for a in range(x.rank)]


def _extreme_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    (x,), (t,) = ins, tangents
    return [None if t is None else apply("gather", t, *_sources(outs[0], x, **attributes), axes=tuple(range(x.rank)))]


def _extreme_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                 wanted: Sequence[bool]) -> Terms:
    (x,), (ct,) = ins, cotangents
    assert ct is not None
    sources = _sources(outs[0], x, **attributes)
    return [apply("scatter", x.like(0), ct, *sources, axes=tuple(range(x.rank)), combine="add")]


EXTREME = Gradient(_extreme_jvp, _extreme_vjp, gaps=True)


def _log_parts(t: Term) -> list[tuple[int, Term]]:
    """Logarithms of the positive and of the negative part, with their signs."""
    low = -math.inf
    return [(sign, select(compare("GT", part, 0), apply("log", select(compare("GT", part, 0), part, 1)), low))
            for sign, part in ((1, t), (-1, -t))]


def _finite(out: Term) -> Term:
    """0 for the logarithm of nothing: what is subtracted from -inf there must not be -inf."""
    return select(compare("EQ", out, -math.inf), 0, out)


def _logsumexp_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes
                   ) -> Terms:
    """sum of t e^x / e^out, both parts of t in logarithms: nothing overflows."""
    (x,), (t,) = ins, tangents
    if t is None:
        return [None]
    out = _finite(outs[0])
    parts = [apply("exponential", _running("logsumexp", part + x, **attributes) - out) for _, part in _log_parts(t)]
    return [parts[0] - parts[1]]


def _logsumexp_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                   wanted: Sequence[bool]) -> Terms:
    (x,), (ct,) = ins, cotangents
    assert ct is not None
    axis, back, out = attributes["axis"], not attributes["reverse"], _finite(outs[0])
    parts = [apply("exponential", _running("logsumexp", part - out, axis, back) + x) for _, part in _log_parts(ct)]
    return [parts[0] - parts[1]]


cumulative_sum = cumulative("cumulative_sum", dtypes=NUMBER, numpy=_accumulate(np.add), combine=SUM, exact=False,
                            gradient=linear(lambda ct, x, axis, reverse: _running("sum", ct, axis, not reverse)))
cumulative_prod = cumulative("cumulative_prod", dtypes=NUMBER, numpy=_accumulate(np.multiply), combine=PRODUCT,
                             exact=False,
                             gradient=Gradient(_product_jvp, _product_vjp))
cumulative_min = cumulative("cumulative_min", dtypes=ANY, numpy=_accumulate(np.minimum), combine=MINIMUM,
                            gradient=EXTREME)
cumulative_max = cumulative("cumulative_max", dtypes=ANY, numpy=_accumulate(np.maximum), combine=MAXIMUM,
                            gradient=EXTREME)
cumulative_logsumexp = cumulative("cumulative_logsumexp", dtypes=FLOAT, numpy=_accumulate(np.logaddexp),
                                  combine=LOG_SUM_EXP, exact=False, ulps=16.0, cost=30,
                                  gradient=Gradient(_logsumexp_jvp, _logsumexp_vjp))
