"""Reading and writing elements whose place is data.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `gather` and `scatter`. Index operands are i32 or i64 arrays.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dims import Size
from tracejit.base.dtypes import F64, I32, I64
from tracejit.base.errors import DtypeError, ShapeError, TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Case, Op
from tracejit.ir.terms import Term, apply, compare, constant, convert, iota, select, size_of, splat, spread
from tracejit.ops.batching import dynamic_slice_batch, dynamic_update_slice_batch, gather_batch, scatter_batch
from tracejit.ops.declare import (
    ANY,
    BITS,
    NUMBER,
    GatherRule,
    Index,
    ScatterRule,
    declare,
    refuse,
    require_axes,
)
from tracejit.ops.derivatives import Attributes, Gradient, Terms, linear
from tracejit.ops.scalars import maximum, minimum

Array = NDArray[Any]
Shape = tuple[Size, ...]
Axes = tuple[int, ...]
INDICES = range(1, 64)      # operands from 1 on


def _index_shape(op: str, types: Sequence[ArrayType], indices: Sequence[ArrayType], axes: Axes) -> Shape:
    """The one shape of all indices."""
    require_axes(op, types[0], axes)
    if not indices or len(indices) != len(axes):
        refuse(TypeRuleError, op, types, f"axes={axes} need {len(axes)} index operands, at least one",
               "give one index array per indexed axis")
    for t in indices:
        if t.dtype is not I64 and t.dtype is not I32:
            refuse(DtypeError, op, types, f"indices are {t.dtype}", "convert them to int64")
        if t.shape != indices[0].shape:
            refuse(ShapeError, op, types, "indices must have one shape", "broadcast them first")
    return indices[0].shape


def _others(shape: Shape, axes: Axes) -> Shape:
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _scatter_index(front: Sequence[Any], rest: Sequence[Any], axes: Axes) -> Index:
    """`front` at `axes`, `rest` at the other axes in order."""
    at, others = dict(zip(axes, front)), iter(rest)
    return tuple(at[a] if a in at else next(others) for a in range(len(front) + len(rest)))


def _typed(cases: Callable[[], Iterator[tuple[str, dict[str, Any]]]]) -> Callable[..., Iterator[Case]]:
    """Cases in f64 from text with `T` for the element type; then the first case in every dtype."""
    def drawn(full: bool = False) -> Iterator[Case]:
        dtypes = sorted(ANY, key=lambda d: (d is not F64, d.name))
        for n, (text, attributes) in enumerate(cases()):
            accepted = COMBINED.get(attributes.get("combine", "set"), ANY)
            for dtype in (d for d in (dtypes if full or n == 0 else dtypes[:1]) if d in accepted):
                yield tuple(ArrayType.parse(t.replace("T", dtype.name)) for t in text.split()), attributes

    return drawn


# ---- gather ----------------------------------------------------------------------------------------------------


def _gather_type(x: ArrayType, *indices: ArrayType, axes: Axes) -> list[ArrayType]:
    shape = _index_shape("gather", [x, *indices], indices, axes)
    return [ArrayType(x.dtype, shape + _others(x.shape, axes))]


def _gather(x: Array, *indices: Array, axes: Axes) -> Array:
    front = np.moveaxis(x, axes, range(len(axes)))
    at = tuple(np.clip(i, 0, max(n - 1, 0)) for i, n in zip(indices, front.shape))
    return np.asarray(front[at])


def _gather_index(index: Index, read: Callable[[int, Index], Any], source: Shape, *, axes: Axes) -> Index:
    rank = len(index) - (len(source) - len(axes))
    at, rest = index[:rank], index[rank:]
    return _scatter_index([read(k, at) for k in range(len(axes))], rest, axes)


def in_range(indices: Sequence[Term], shape: Shape, axes: Axes) -> list[Term]:
    """Indices as `gather` reads them: clamped."""
    return [clamp_index(i, shape[a]) for i, a in zip(indices, axes, strict=True)]


def clamp_index(index: Term, size: Size) -> Term:
    last = splat(convert(size_of(index, size - 1), index.dtype), index.shape)
    return apply("maximum", apply("minimum", index, last), index.like(0))


def _gather_transpose(ct: Term, x: Term, *indices: Term, axes: Axes) -> list[Term | None]:
    target = apply("scatter", x.like(0), ct, *in_range(indices, x.shape, axes), axes=axes, combine="add")
    return [target, *[None] * len(indices)]


gather = declare("gather", "gather", type_rule=_gather_type, numpy=_gather, cost=3, domain=(-2, 6),
                 lower=GatherRule(_gather_index, lambda source, axes: tuple(source[a] - 1 for a in axes)),
                 cases=_typed(lambda: iter([
                     ("T[4,3] i64[2]", {"axes": (0,)}), ("T[4,3] i64[2,2]", {"axes": (1,)}),
                     ("T[4,3] i64[5] i64[5]", {"axes": (0, 1)}), ("T[2,4,3] i32[2] i32[2]", {"axes": (0, 2)}),
                     ("T[4] i64[]", {"axes": (0,)}), ("T[4,3] i64[0]", {"axes": (0,)}),
                     ("T[4,0] i64[2]", {"axes": (0,)})])),
                 gradient=linear(_gather_transpose, given=INDICES, gaps=True), batch=gather_batch)


def _require_starts(op: str, types: Sequence[ArrayType], starts: Sequence[ArrayType]) -> None:
    if len(starts) != types[0].rank or any(s.shape != () or s.dtype not in (I32, I64) for s in starts):
        refuse(TypeRuleError, op, types, f"it needs {types[0].rank} starts of type i64[]", "give one start per axis")


def _require_fit(op: str, types: Sequence[ArrayType], sizes: Shape) -> None:
    if len(sizes) != types[0].rank or any(isinstance(s, int) and isinstance(n, int) and not 0 <= s <= n
                                          for s, n in zip(sizes, types[0].shape)):
        refuse(ShapeError, op, types, f"sizes {sizes} do not fit into {types[0]}", "take at most the whole axis")


def _dynamic_slice_type(x: ArrayType, *starts: ArrayType, sizes: Shape) -> list[ArrayType]:
    _require_starts("dynamic_slice", [x, *starts], starts)
    _require_fit("dynamic_slice", [x, *starts], sizes)
    return [ArrayType(x.dtype, sizes)]


def _window(shape: Sequence[int], starts: Sequence[Array], sizes: Sequence[int]) -> tuple[slice, ...]:
    begins = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, shape, sizes)]
    return tuple(slice(a, a + size) for a, size in zip(begins, sizes))


def _room(source: Shape, sizes: Shape) -> Shape:
    """The greatest start at which a window of `sizes` fits."""
    return tuple(n - size for n, size in zip(source, sizes))


def _dynamic_slice_transpose(ct: Term, x: Term, *starts: Term, sizes: Shape) -> list[Term | None]:
    return [apply("dynamic_update_slice", x.like(0), ct, *starts), *[None] * len(starts)]


dynamic_slice = declare(
    "gather", "dynamic_slice", type_rule=_dynamic_slice_type, cost=1, domain=(-2, 6),
    numpy=lambda x, *starts, sizes: x[_window(x.shape, starts, sizes)],
    lower=GatherRule(lambda index, read, source, sizes: tuple(i + read(a, ()) for a, i in enumerate(index)),
                     lambda source, sizes: _room(source, sizes)),
    cases=_typed(lambda: iter([("T[4,3] i64[] i64[]", {"sizes": (2, 2)}), ("T[4] i64[]", {"sizes": (4,)}),
                               ("T[4] i32[]", {"sizes": (0,)}), ("T[]", {"sizes": ()})])),
                        gradient=linear(_dynamic_slice_transpose, given=INDICES, gaps=True), batch=dynamic_slice_batch)


# ---- scatter ---------------------------------------------------------------------------------------------------

UFUNCS: dict[str, Any] = {"add": np.add, "multiply": np.multiply, "minimum": np.minimum, "maximum": np.maximum,
                          "and": np.bitwise_and, "or": np.bitwise_or}
COMBINES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "set": lambda b, old, new: new, "add": lambda b, old, new: b.add(old, new),
    "multiply": lambda b, old, new: b.multiply(old, new), "minimum": minimum, "maximum": maximum,
    "and": lambda b, old, new: b.and_(old, new), "or": lambda b, old, new: b.or_(old, new)}
COMBINED = {"set": ANY, "add": NUMBER, "multiply": NUMBER, "minimum": ANY, "maximum": ANY, "and": BITS, "or": BITS}


def _scatter_type(x: ArrayType, updates: ArrayType, *indices: ArrayType, axes: Axes, combine: str) -> list[ArrayType]:
    types = [x, updates, *indices]
    shape = _index_shape("scatter", types, indices, axes)
    if combine not in COMBINED or x.dtype not in COMBINED[combine]:
        refuse(DtypeError, "scatter", types, f"combine={combine!r} has no meaning for {x.dtype}",
               f"use one of {', '.join(COMBINED)} that fits the dtype")
    if updates.dtype is not x.dtype:
        refuse(DtypeError, "scatter", types, f"updates are {updates.dtype}, not {x.dtype}", "convert them first")
    if updates.shape != shape + _others(x.shape, axes):
        expected = ArrayType(x.dtype, shape + _others(x.shape, axes))
        refuse(ShapeError, "scatter", types, f"updates must be {expected}", "broadcast or reshape the updates")
    return [x]


def _scatter(x: Array, updates: Array, *indices: Array, axes: Axes, combine: str) -> Array:
    """Duplicates in program order: the last one wins for `set`."""
    out = np.array(x)
    front = np.moveaxis(out, axes, range(len(axes)))
    rest = front.shape[len(axes):]
    flat = [np.reshape(i, -1) for i in indices]
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(flat, front.shape)])
    at = tuple(i[inside] for i in flat)
    values = np.reshape(updates, (len(inside), *rest))[inside]
    if combine == "set":
        front[at] = values
    else:
        UFUNCS[combine].at(front, at, values)
    return out


def _scatter_target(index: Index, read: Callable[[int, Index], Any], target: Shape, updates: Shape, *, axes: Axes,
                    combine: str) -> Index:
    rank = len(index) - (len(target) - len(axes))
    at, rest = index[:rank], index[rank:]
    return _scatter_index([read(k, at) for k in range(len(axes))], rest, axes)


def _scatter_cases() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "T[4,3] T[2,3] i64[2]", {"axes": (0,), "combine": "set"}
    for combine in ("set", "add", "multiply", "minimum", "maximum"):
        yield "T[4] T[6] i64[6]", {"axes": (0,), "combine": combine}
    yield "T[4,3] T[5] i64[5] i64[5]", {"axes": (0, 1), "combine": "add"}
    yield "T[4,3] T[2,2,4] i32[2,2]", {"axes": (1,), "combine": "set"}
    yield "T[4] T[] i64[]", {"axes": (0,), "combine": "add"}
    yield "T[4] T[0] i64[0]", {"axes": (0,), "combine": "add"}


def _weights(out: Term, x: Term, updates: Term, indices: Sequence[Term], axes: Axes, combine: str
             ) -> tuple[Term | int, Term]:
    """wx, wu with d(out) = wx dx + scatter_add(wu du). Of equal extremes each has its share."""
    def put(base: Term, new: Term, how: str) -> Term:
        return apply("scatter", base, new, *indices, axes=axes, combine=how)

    def at(array: Term) -> Term:
        return apply("gather", array, *indices, axes=axes)

    inside = _inside(updates, indices, x.shape, axes)
    if combine == "add":
        return 1, select(inside, updates.like(1), 0)
    if combine == "multiply":
        return put(x.like(1), updates, "multiply"), select(inside, _others_product(put, at, out, x, updates), 0)
    hit_x, hit_u = compare("EQ", x, out), apply("and", inside, compare("EQ", updates, at(out)))
    hits = put(select(hit_x, x.like(1), 0), select(hit_u, updates.like(1), 0), "add")
    return select(hit_x, 1 / hits, 0), select(hit_u, 1 / at(hits), 0)


def _others_product(put: Any, at: Any, out: Term, x: Term, updates: Term) -> Term:
    """For each update the product of everything else at its place, right for zeros too."""
    zero = compare("EQ", updates, 0)
    nonzero = select(zero, 1, updates)
    zeros = put(x.like(0), select(zero, updates.like(1), 0), "add")
    rest = select(compare("EQ", at(zeros), 1), at(put(x, nonzero, "multiply")), 0)
    return select(zero, rest, at(out) / nonzero)


def _inside(updates: Term, indices: Sequence[Term], shape: Shape, axes: Axes) -> Term:
    """Which updates are not dropped."""
    result: Term | None = None
    for index, axis in zip(indices, axes, strict=True):
        below = compare("LT", index, splat(convert(size_of(index, shape[axis]), index.dtype), index.shape))
        here = apply("and", compare("GE", index, 0), below)
        result = here if result is None else apply("and", result, here)
    assert result is not None
    return _over_updates(result, updates)


def _over_updates(x: Term, updates: Term) -> Term:
    """Something per index, for every element of the updates."""
    return spread(x, updates.shape, range(x.rank, updates.rank))


def _lasting(inside: Term, updates: Term, x: Term, indices: Sequence[Term], axes: Axes) -> Term:
    """Which updates are not overwritten by later ones with the same index."""
    index = indices[0]
    if not index.rank:
        return inside
    count: Size = math.prod(index.shape)
    number = apply("reshape", iota(index, (count,), 0), shape=index.shape)
    places = tuple(x.shape[a] for a in axes)
    blank = splat(constant(index, -1, ArrayType(I64)), places)
    winner = apply("scatter", blank, number, *indices, axes=tuple(range(len(axes))), combine="set")
    last = compare("EQ", apply("gather", winner, *indices, axes=tuple(range(len(axes)))), number)
    return apply("and", inside, _over_updates(last, updates))


def _scatter_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    x, updates, *indices = ins
    tx, tu = tangents[:2]
    if tx is None and tu is None:
        return [None]
    if attributes["combine"] == "set":
        return [apply(op, x.like(0) if tx is None else tx, updates.like(0) if tu is None else tu, *indices,
                      **attributes)]
    wx, wu = _weights(outs[0], x, updates, indices, **attributes)
    kept = x.like(0) if tx is None else tx if isinstance(wx, int) else tx * wx
    if tu is None:
        return [kept]
    return [apply("scatter", kept, tu * wu, *indices, axes=attributes["axes"], combine="add")]


def _scatter_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                 wanted: Sequence[bool]) -> Terms:
    x, updates, *indices = ins
    (ct,) = cotangents
    assert ct is not None
    if attributes["combine"] == "set":
        return _set_vjp(ct, ins, attributes, wanted)
    wx, wu = _weights(outs[0], x, updates, indices, **attributes)
    from_updates = apply("gather", ct, *indices, axes=attributes["axes"]) * wu if wanted[1] else None
    return [ct if isinstance(wx, int) else ct * wx, from_updates, *[None] * len(indices)]


def _set_vjp(ct: Term, ins: Sequence[Term], attributes: Attributes, wanted: Sequence[bool]) -> Terms:
    """Nothing for what was written over, be it by an update or by a later one at the same place.

    The cotangent is read before zeros are written into it: then they can be written in place.
    """
    x, updates, *indices = ins
    axes, found = attributes["axes"], None
    if wanted[1]:
        there = apply("gather", ct, *indices, axes=axes)
        written = _lasting(_inside(updates, indices, x.shape, axes), updates, x, indices, axes)
        found = select(written, there, 0)
    kept = apply("scatter", ct, updates.like(0), *indices, **attributes) if wanted[0] else None
    return [kept, found, *[None] * len(indices)]


scatter = declare("scatter", "scatter", type_rule=_scatter_type, numpy=_scatter, cost=6, domain=(-2, 6),
                  lower=ScatterRule(_scatter_target, lambda target, updates, axes, combine: None,
                                    lambda b, old, new, axes, combine: COMBINES[combine](b, old, new)),
                  cases=_typed(_scatter_cases),
                  gradient=Gradient(_scatter_jvp, _scatter_vjp, gaps=True), batch=scatter_batch)


def _dynamic_update_slice_type(x: ArrayType, update: ArrayType, *starts: ArrayType) -> list[ArrayType]:
    types = [x, update, *starts]
    _require_starts("dynamic_update_slice", types, starts)
    if update.dtype is not x.dtype:
        refuse(DtypeError, "dynamic_update_slice", types, f"the update is {update.dtype}, not {x.dtype}",
               "convert it first")
    _require_fit("dynamic_update_slice", types, update.shape)
    return [x]


def _dynamic_update_slice(x: Array, update: Array, *starts: Array) -> Array:
    out = np.array(x)
    out[_window(out.shape, starts, np.shape(update))] = update
    return out


def _update_transpose(ct: Term, x: Term, update: Term, *starts: Term) -> list[Term | None]:
    """The cotangent is read before zeros are written into it: then they can be written in place."""
    found = apply("dynamic_slice", ct, *starts, sizes=update.shape)
    return [apply("dynamic_update_slice", ct, update.like(0), *starts), found, *[None] * len(starts)]


dynamic_update_slice = declare(
    "scatter", "dynamic_update_slice", type_rule=_dynamic_update_slice_type, numpy=_dynamic_update_slice, cost=1,
    domain=(-2, 6),
    lower=ScatterRule(lambda index, read, target, updates: tuple(i + read(a, ()) for a, i in enumerate(index)),
                      lambda target, updates: _room(target, updates), lambda b, old, new: new),
    cases=_typed(lambda: iter([("T[4,3] T[2,2] i64[] i64[]", {}), ("T[4] T[4] i64[]", {}), ("T[4] T[0] i32[]", {}),
                               ("T[] T[]", {})])),
                               gradient=linear(_update_transpose, given=INDICES[1:], gaps=True),
                               batch=dynamic_update_slice_batch)
