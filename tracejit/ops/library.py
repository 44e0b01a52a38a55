"""Ops that are one routine of the run-time library each.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `library`.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, I64
from tracejit.base.errors import DtypeError, ShapeError, TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply, apply_all, iota
from tracejit.ops.batching import all_lifted, shifted_axis
from tracejit.ops.declare import declare, refuse, require_arity, require_axis
from tracejit.ops.derivatives import ZERO, Attributes, Gradient, Terms

Array = NDArray[Any]


def _sort_type(*xs: ArrayType, axis: int, num_keys: int, descending: bool) -> list[ArrayType]:
    if not 1 <= num_keys <= len(xs):
        refuse(TypeRuleError, "sort", xs, f"num_keys={num_keys} must be 1 to the number of operands", "name a key")
    require_axis("sort", xs[0], axis)
    if any(x.shape != xs[0].shape for x in xs):
        refuse(ShapeError, "sort", xs, "operands must have one shape", "broadcast them first")
    return list(xs)


def _sort(*xs: Array, axis: int, num_keys: int, descending: bool) -> tuple[Array, ...]:
    """Stable, by the first `num_keys` operands, NaN last; descending is the stable reverse of that order."""
    turned = [np.flip(x, axis) if descending else x for x in xs]
    order = np.lexsort(turned[num_keys - 1::-1], axis=axis)
    found = [np.take_along_axis(x, order, axis) for x in turned]
    return tuple(np.flip(x, axis) if descending else x for x in found)


def _order(ins: Sequence[Term], attributes: Attributes) -> list[Term]:
    """The indices of the element that each result was."""
    axis, shape = attributes["axis"], ins[0].shape
    order = apply_all("sort", [*ins, iota(ins[0], shape, axis)], dict(attributes))[-1]
    return [order if a == axis else iota(ins[0], shape, a) for a in range(len(shape))]


def _sort_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    order, axes = _order(ins, attributes), tuple(range(ins[0].rank))
    return [None if t is None else apply("gather", t, *order, axes=axes) for t in tangents]


def _sort_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
              wanted: Sequence[bool]) -> Terms:
    order, axes = _order(ins, attributes), tuple(range(ins[0].rank))
    return [None if ct is None or not want else apply("scatter", ct.like(0), ct, *order, axes=axes, combine="add")
            for ct, want in zip(cotangents, wanted, strict=True)]


sort = declare("library", "sort", type_rule=_sort_type, numpy=_sort, cost=40, cases=[
    *((f"{t}[3,4]", {"axis": 1, "num_keys": 1, "descending": d})
      for t in ("f64", "f32", "f16", "bf16", "i8", "i32", "i64", "u8", "u64", "bool", "c128") for d in (False, True)),
    ("f64[5]", {"axis": 0, "num_keys": 1, "descending": False}),
    ("f64[3,4] i64[3,4]", {"axis": 0, "num_keys": 1, "descending": False}),
    ("i8[9] f32[9] i64[9]", {"axis": 0, "num_keys": 2, "descending": True}),
    ("f64[0,2]", {"axis": 0, "num_keys": 1, "descending": False}),
    ("f64[2,1]", {"axis": 1, "num_keys": 1, "descending": True})],
               gradient=Gradient(_sort_jvp, _sort_vjp), batch=all_lifted(shifted_axis))


def _compact_type(mask: ArrayType, *, size: Size) -> list[ArrayType]:
    if mask.dtype is not BOOL or mask.rank != 1:
        refuse(TypeRuleError, "compact_indices", [mask], "the mask must be bool[n]", "ravel the mask first")
    return [ArrayType(I64, (size,))]


# `size` must be the number of True elements; front ends bind it by bind_dim(count) just before.
compact_indices = declare("library", "compact_indices", type_rule=_compact_type, cost=3,
                          numpy=lambda mask, size: np.flatnonzero(mask)[:size].astype(np.int64),
                          gradient=ZERO)


def _searchsorted_type(x: ArrayType, v: ArrayType, *, side: str) -> list[ArrayType]:
    require_arity("searchsorted", [x, v], 2)
    if x.rank != 1 or v.rank != 1:
        refuse(ShapeError, "searchsorted", [x, v], "both operands must have one axis", "ravel the second")
    if x.dtype is not v.dtype:
        refuse(DtypeError, "searchsorted", [x, v], "operands must have one dtype", "convert one first")
    if side not in ("left", "right"):
        refuse(TypeRuleError, "searchsorted", [x, v], f"side={side!r} is neither 'left' nor 'right'", "say which")
    return [ArrayType(I64, v.shape)]


searchsorted = declare("library", "searchsorted", type_rule=_searchsorted_type, cost=30,
                       facts={"sorted_operands": (0,)},
                       numpy=lambda x, v, side: np.searchsorted(x, v, side).astype(np.int64),
                       cases=[(f"{t}[7] {t}[4]", {"side": side}) for side in ("left", "right")
                              for t in ("f64", "f32", "i32", "i64", "u8")] + [("f64[0] f64[3]", {"side": "left"})],
                       gradient=ZERO)


# An array of its own whose content nobody reads; passes put it where everything is written first. number: tells arrays
# of one type apart.
empty = declare("library", "empty", type_rule=lambda *, type, number: [type], cost=0, gradient=ZERO,
                numpy=lambda type, number: np.zeros(tuple(map(int, type.shape)), type.dtype.numpy),
                cases=[("", {"type": ArrayType.parse("f64[0,2]"), "number": 0})])
