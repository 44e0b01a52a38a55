"""Folds over windows that move along an array, and what the derivative of an extreme needs.

Flows in:  the vocabulary of `declare`, the folds of `reductions`.
Flows out: ops of kind `window`. Attributes have one entry for each axis; an axis without windows has a window of 1.

Of equal extremes in a window the first one counts, a NaN before any number: StableHLO's select_and_scatter.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tracejit.base.dims import Size
from tracejit.base.dtypes import F64, DType, dtype_of
from tracejit.base.errors import DtypeError, ShapeError
from tracejit.base.types import ArrayType
from tracejit.ir.op import OPS, Case, Op
from tracejit.ir.terms import Term, apply, constant, spread
from tracejit.ops.batching import all_lifted
from tracejit.ops.convolutions import Pads, dilated, places, positive, window_span
from tracejit.ops.declare import BOOLEAN, NUMBER, ORDERED, REAL, declare, refuse, require_dtype
from tracejit.ops.derivatives import Attributes, Gradient, Terms, linear
from tracejit.ops.reductions import others_product
from tracejit.ops.references import in_single

Array = NDArray[Any]
Ints = tuple[int, ...]
FOLDS = {"add": "reduce_sum", "multiply": "reduce_prod", "minimum": "reduce_min", "maximum": "reduce_max",
         "and": "reduce_and", "or": "reduce_or"}      # fixed table: combine -> the reduction that folds alike
_ACCEPTED = {"add": NUMBER, "multiply": NUMBER, "minimum": ORDERED, "maximum": ORDERED, "and": BOOLEAN, "or": BOOLEAN}


def identity_of(combine: str, dtype: DType) -> Any:
    """What padding is filled with."""
    return OPS[FOLDS[combine]].lower.identity(dtype)[0]


def _require_windows(name: str, types: Sequence[ArrayType], *attributes: Sequence[Any]) -> None:
    if any(len(values) != types[0].rank for values in attributes):
        refuse(ShapeError, name, types, f"windows, strides and the like must have {types[0].rank} entries",
               "give one per axis, 1 for an axis without windows")
    if any(isinstance(n, int) and n < 1 for values in attributes for n in values if not isinstance(n, tuple)):
        refuse(ShapeError, name, types, "windows, strides and dilations must be positive", "use 1 for none")


def _window_type(x: ArrayType, *, combine: str, window: Ints, strides: Ints, padding: Pads, base_dilation: Ints,
                 window_dilation: Ints) -> list[ArrayType]:
    require_dtype("reduce_window", [x], 0, _ACCEPTED[combine])
    _require_windows("reduce_window", [x], window, strides, padding, base_dilation, window_dilation)
    return [ArrayType(x.dtype, tuple(map(places, x.shape, window, strides, padding, base_dilation, window_dilation)))]


def _under_windows(x: Array, fill: Any, window: Ints, strides: Ints, padding: tuple[tuple[int, int], ...],
                   base_dilation: Ints, window_dilation: Ints) -> Array:
    """What is under each window, on as many new axes at the end."""
    shape = [max(0, (n - 1) * g + 1) for n, g in zip(np.shape(x), base_dilation)]
    padded = np.full([max(0, a) + n + max(0, b) for n, (a, b) in zip(shape, padding)], fill, x.dtype)
    inner = tuple(slice(max(0, a), max(0, a) + n, g) for n, g, (a, _) in zip(shape, base_dilation, padding))
    padded[inner] = x
    cut = padded[tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(padded.shape, padding))]
    spans = tuple((w - 1) * d + 1 for w, d in zip(window, window_dilation))
    if any(n < s for n, s in zip(cut.shape, spans)):
        return np.zeros((*(max(0, (n - span) // s + 1) for n, span, s in zip(cut.shape, spans, strides)), *window),
                        x.dtype)
    moved = sliding_window_view(cut, spans)
    return np.asarray(moved[(*(slice(None, None, s) for s in strides),
                             *(slice(None, None, d) for d in window_dilation))])


def _reduce_window(x: Array, *, combine: str, window: Ints, strides: Ints, padding: tuple[tuple[int, int], ...],
                   base_dilation: Ints, window_dilation: Ints) -> Array:
    x = np.asarray(x)
    under = _under_windows(x, identity_of(combine, dtype_of(x.dtype)), window, strides, padding, base_dilation,
                           window_dilation)
    return np.asarray(OPS[FOLDS[combine]].numpy(under, axes=tuple(range(x.ndim, 2 * x.ndim))))


# ---- the place of the extreme ----------------------------------------------------------------------------------


def _select_type(name: str, of_source: bool) -> Any:
    """of_source: the second operand has the shape of the first, else of the windows' places."""
    def rule(x: ArrayType, y: ArrayType, *, select: str, window: Ints, strides: Ints, padding: Pads,
             window_dilation: Ints) -> list[ArrayType]:
        require_dtype(name, [x, y], 0, REAL)
        if y.dtype is not x.dtype:
            refuse(DtypeError, name, [x, y], f"both operands must be {x.dtype}", "convert one first")
        _require_windows(name, [x], window, strides, padding, window_dilation)
        small = tuple(map(places, x.shape, window, strides, padding, (1,) * x.rank, window_dilation))
        if y.shape != (x.shape if of_source else small):
            refuse(ShapeError, name, [x, y], f"the second must have the shape {x.shape if of_source else small}",
                   "give it one element for each")
        return [ArrayType(x.dtype, small if of_source else x.shape)]

    return rule


def _chosen(x: Array, select: str, window: Ints, strides: Ints, padding: tuple[tuple[int, int], ...],
            window_dilation: Ints) -> Array:
    """The flat position in x of the extreme under each window; -1 where there is only padding."""
    ones = (1,) * x.ndim
    positions = np.arange(x.size).reshape(x.shape)
    where = _under_windows(positions, -1, window, strides, padding, ones, window_dilation)
    fill = identity_of(select, dtype_of(x.dtype))
    values = _under_windows(x, fill, window, strides, padding, ones, window_dilation)
    count = int(np.prod(window))
    where, values = (a.reshape(*a.shape[:x.ndim], count) for a in (where, values))
    best = (np.max if select == "maximum" else np.min)(values, axis=-1, keepdims=True, initial=fill)
    hit = ((values == best) | (values != values) & (best != best)) & (where >= 0)
    first = np.argmax(hit, axis=-1)[..., None]
    return np.asarray(np.where(hit.any(axis=-1), np.take_along_axis(where, first, -1)[..., 0], -1))


def _gathered(x: Array, t: Array, **windows: Any) -> Array:
    at = _chosen(np.asarray(x), **windows)
    found = np.asarray(t).reshape(-1)[np.maximum(at, 0)] if np.size(t) else np.zeros(at.shape, t.dtype)
    return np.asarray(np.where(at >= 0, found, np.zeros((), t.dtype)))


def _scattered(x: Array, ct: Array, **windows: Any) -> Array:
    at = _chosen(np.asarray(x), **windows)
    out = np.zeros(np.size(x), np.float32 if ct.dtype == np.float16 else ct.dtype)
    with np.errstate(all="ignore"):
        np.add.at(out, at[at >= 0], ct[at >= 0])
    return np.asarray(out.astype(ct.dtype).reshape(np.shape(x)))


# ---- derivatives -----------------------------------------------------------------------------------------------


def _sum_transpose(ct: Term, x: Term, combine: str, window: Ints, strides: Ints, padding: Pads, base_dilation: Ints,
                   window_dilation: Ints) -> Term:
    """The same windows over the cotangent, whose elements lie `strides` apart."""
    pads = []
    for n, m, w, s, (low, _), g, d in zip(x.shape, ct.shape, window, strides, padding, base_dilation, window_dilation,
                                          strict=True):
        span = window_span(w, d)
        before = span - 1 - low
        pads.append((before, dilated(n, g) + span - 1 - dilated(m, s) - before))
    return apply("reduce_window", ct, combine=combine, window=window, strides=base_dilation, padding=tuple(pads),
                 base_dilation=strides, window_dilation=window_dilation)


def _patches(x: Term, fill: int, window: Ints, strides: Ints, padding: Pads, base_dilation: Ints,
             window_dilation: Ints) -> Term:
    """What is under each window, on one new last axis."""
    low, high = _pads(padding)
    padded = apply("pad", x, constant(x, fill, ArrayType(x.dtype)), low=low, high=high,
                   interior=tuple(g - 1 for g in base_dilation))
    counts = tuple(map(places, x.shape, window, strides, padding, base_dilation, window_dilation))
    parts = []
    for start in _starts(window, padding, window_dilation):
        limit = tuple(a + (c - 1) * s + 1 for a, c, s in zip(start, counts, strides, strict=True))
        part = apply("slice", padded, start=start, limit=limit, stride=strides)
        parts.append(apply("reshape", part, shape=(*part.shape, 1)))
    return apply("concatenate", *parts, axis=x.rank)


def _from_patches(parts: Term, x: Term, window: Ints, strides: Ints, padding: Pads, base_dilation: Ints,
                  window_dilation: Ints) -> Term:
    """The way back of `_patches`: every element goes where it was read."""
    zero, counts = constant(x, 0, ArrayType(x.dtype)), parts.shape[:-1]
    low, high = _pads(padding)
    whole = tuple(a + dilated(n, g) + b for n, g, a, b in zip(x.shape, base_dilation, low, high, strict=True))
    total: Term | None = None
    for k, start in enumerate(_starts(window, padding, window_dilation)):
        part = apply("slice", parts, start=(*(0,) * x.rank, k), limit=(*counts, k + 1), stride=(1,) * (x.rank + 1))
        behind = tuple(n - (a + (c - 1) * s + 1) for n, a, c, s in zip(whole, start, counts, strides, strict=True))
        placed = apply("pad", apply("reshape", part, shape=counts), zero, low=start, high=behind,
                       interior=tuple(s - 1 for s in strides))
        total = placed if total is None else total + placed
    assert total is not None
    limit = tuple(a + dilated(n, g) for n, g, a in zip(x.shape, base_dilation, low, strict=True))
    return apply("slice", total, start=low, limit=limit, stride=base_dilation)


def _pads(padding: Pads) -> tuple[tuple[Size, ...], tuple[Size, ...]]:
    """Padding without what it cuts off."""
    low, high = (tuple(positive(p[k]) for p in padding) for k in (0, 1))
    return low, high


def _starts(window: Ints, padding: Pads, window_dilation: Ints) -> Iterator[tuple[int, ...]]:
    """Where the first window reads, for each place in it; in the padded array."""
    cut = [max(-low, 0) if isinstance(low, int) else 0 for low, _ in padding]
    for place in np.ndindex(*window):
        yield tuple(int(c + k * d) for c, k, d in zip(cut, place, window_dilation, strict=True))


def _spread_out(x: Term, combine: str, base_dilation: Ints) -> Term:
    """x with gaps between its elements, filled."""
    if all(g == 1 for g in base_dilation):
        return x
    zeros = (0,) * x.rank
    return apply("pad", x, constant(x, identity_of(combine, x.dtype), ArrayType(x.dtype)), low=zeros, high=zeros,
                 interior=tuple(g - 1 for g in base_dilation))


def _jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    (x,), (t,), combine = ins, tangents, attributes["combine"]
    if t is None:
        return [None]
    windows = {k: v for k, v in attributes.items() if k != "combine"}
    if combine == "add":
        return [apply(op, t, **attributes)]
    if combine == "multiply":
        shares = others_product(outs[0], _patches(x, 1, **windows), axes=(x.rank,))
        return [apply("reduce_sum", _patches(t, 0, **windows) * shares, axes=(x.rank,))]
    gaps = windows.pop("base_dilation")
    return [apply("select_and_gather", _spread_out(x, combine, gaps), _spread_out(t, "add", gaps), select=combine,
                  **windows)]


def _vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
         wanted: Sequence[bool]) -> Terms:
    (x,), (ct,), combine = ins, cotangents, attributes["combine"]
    assert ct is not None
    windows = {k: v for k, v in attributes.items() if k != "combine"}
    if combine == "add":
        return [_sum_transpose(ct, x, **attributes)]
    if combine == "multiply":
        shares = others_product(outs[0], under := _patches(x, 1, **windows), axes=(x.rank,))
        return [_from_patches(spread(ct, under.shape, (x.rank,)) * shares, x, **windows)]
    gaps = windows.pop("base_dilation")
    made = apply("select_and_scatter", _spread_out(x, combine, gaps), ct, select=combine, **windows)
    if all(g == 1 for g in gaps):
        return [made]
    return [apply("slice", made, start=(0,) * x.rank, limit=made.shape, stride=gaps)]


def _pick_transpose(other: str) -> Any:
    """x chooses; what is chosen is linear in the second operand."""
    return lambda ct, x, y, **windows: (None, apply(other, x, ct, **windows))


def _selecting(transpose: Any) -> Gradient:
    rule = linear(transpose, given=[0])

    def jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
        return [None] if tangents[1] is None else [apply(op, ins[0], tangents[1], **attributes)]

    return Gradient(jvp, rule.vjp)


# ---- batching --------------------------------------------------------------------------------------------------


def _one_more_axis(ins: Sequence[Term], size: Size, **attributes: Any) -> dict[str, Any]:
    return {k: v if isinstance(v, str) else ((0, 0) if k == "padding" else 1, *v) for k, v in attributes.items()}


# ---- declarations ----------------------------------------------------------------------------------------------


def _windows(window: Ints, strides: Ints, padding: Pads, window_dilation: Ints = (), **others: Any) -> dict[str, Any]:
    return {"window": window, "strides": strides, "padding": padding,
            "window_dilation": window_dilation or (1,) * len(window), **others}


_SHAPES = (
    ((5, 4), _windows((2, 2), (2, 2), ((0, 1), (0, 0)))),
    ((6, 5), _windows((3, 2), (1, 2), ((1, 1), (0, 1)))),
    ((9,), _windows((3,), (2,), ((2, -1),), (2,))),
    ((1, 4, 6, 2), _windows((1, 2, 3, 1), (1, 2, 3, 1), ((0, 0),) * 4)),
    ((2, 3), _windows((1, 4), (1, 1), ((0, 0), (0, 0)))),
    ((0, 4), _windows((1, 2), (1, 2), ((0, 0), (0, 0)))))


def _fold_cases(full: bool = False) -> Iterator[Case]:
    for combine, accepted in _ACCEPTED.items():
        dtypes = sorted(accepted, key=lambda d: (d is not F64, d.name))
        for k, (shape, windows) in enumerate(_SHAPES):
            for dtype in dtypes if full or k == 0 else dtypes[:1]:
                yield (ArrayType(dtype, shape),), {"combine": combine, **windows, "base_dilation": (1,) * len(shape)}
        if F64 in accepted:
            gaps = {"combine": combine, **_windows((3, 2), (2, 1), ((1, 2), (-1, 1))), "base_dilation": (3, 2)}
            yield (ArrayType(F64, (3, 4)),), gaps


def _select_cases(of_source: bool) -> Any:
    def cases(full: bool = False) -> Iterator[Case]:
        for k, (shape, windows) in enumerate(_SHAPES):
            for select in ("maximum", "minimum"):
                for dtype in sorted(REAL, key=lambda d: (d is not F64, d.name))[:None if full or k == 0 else 1]:
                    small = tuple(map(places, shape, windows["window"], windows["strides"], windows["padding"],
                                      (1,) * len(shape), windows["window_dilation"]))
                    yield ((ArrayType(dtype, shape), ArrayType(dtype, shape if of_source else small)),
                           {"select": select, **windows})

    return cases


reduce_window = declare("window", "reduce_window", type_rule=_window_type, numpy=in_single(_reduce_window),
                        exact=False, ulps=16.0, cases=_fold_cases, gradient=Gradient(_jvp, _vjp),
                        batch=all_lifted(_one_more_axis))
select_and_gather = declare("window", "select_and_gather", type_rule=_select_type("select_and_gather", True),
                            numpy=_gathered, cases=_select_cases(True), cost=3,
                            gradient=_selecting(_pick_transpose("select_and_scatter")),
                            batch=all_lifted(_one_more_axis))
select_and_scatter = declare("window", "select_and_scatter", type_rule=_select_type("select_and_scatter", False),
                             numpy=_scattered, exact=False, ulps=16.0, cases=_select_cases(False), cost=3,
                             gradient=_selecting(_pick_transpose("select_and_gather")),
                             batch=all_lifted(_one_more_axis))
