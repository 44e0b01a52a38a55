"""What an index expression means for one shape: which axes are sliced, pointed at, gathered or new.

Flows in:  `x[...]` keys: ints, slices, None, Ellipsis, masks and index arrays, each static or traced.
Flows out: `Plan`: per axis a `Cut`, a `Point` or an index array; what `indexing` reads and writes by.
"""
from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.dims import Dim, Size
from tracejit.numpy.index_ranges import assert_in_range, size_like, wrapped
from tracejit.numpy.index_slices import Cut, cut, has_hint
from tracejit.numpy.support import (
    as_index,
    emit,
    fail,
    operand,
    reshaped,
    runtime_size,
    shape_of,
)
from tracejit.tracing.arrays import ARRAY_LIKE, Array
from tracejit.tracing.building import constant, convert
from tracejit.tracing.sizes import Size as TracedSize
from tracejit.tracing.sizes import same_size, size_of, sized

_NOT_AN_INDEX = ("only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays "
                 "are valid indices")


@dataclass(frozen=True, slots=True)
class Point:
    """One element of an axis, which is dropped. index: a size, or a traced i64 scalar that is in range."""

    index: Any


@dataclass(frozen=True, slots=True)
class Gathered:
    """An axis read at an index array (i64, in range)."""

    index: Array


class New:
    """A new axis of size 1."""


Item = Cut | Point | Gathered | New


@dataclass(frozen=True, slots=True)
class Plan:
    """items: in the order of the index expression; each but `New` takes the next axis."""

    items: tuple[Item, ...]

    @property
    def axes(self) -> tuple[Item, ...]:
        """What happens to each axis of the array."""
        return tuple(i for i in self.items if not isinstance(i, New))

    @property
    def is_basic(self) -> bool:
        return not any(isinstance(i, Gathered) for i in self.items)


def plan_index(x: Array, key: Any) -> Plan:
    """The plan of `x[key]`. Emits range checks; raises IndexError as NumPy does."""
    parts = [_normal_part(p) for p in (key if isinstance(key, tuple) else (key,))]
    parts = _with_ellipsis(parts, x.ndim)
    items: list[Item] = []
    axis = 0
    for part in parts:
        made = _items(x, axis, part)
        axis += sum(not isinstance(i, New) for i in made)
        items += made
    return Plan(tuple(items))


def _normal_part(part: Any) -> Any:
    """Lists as arrays, NumPy integers as ints, Tensors as tracers."""
    if part is None or part is Ellipsis or isinstance(part, (slice, int, TracedSize, Array)):
        return part
    if isinstance(part, np.generic) or (isinstance(part, np.ndarray) and part.ndim == 0):
        if part.dtype.kind not in "iub":
            fail(IndexError, _NOT_AN_INDEX)
        return part.item()
    if isinstance(part, (list, tuple)):
        return _listed(part)
    if isinstance(part, (np.ndarray, Dim)) or type(part) in ARRAY_LIKE:
        return operand(part)
    if hasattr(type(part), "__index__"):
        return operator.index(part)
    fail(IndexError, _NOT_AN_INDEX)


def _listed(part: Sequence[Any]) -> Any:
    """A list of numbers is a static index array; with traced parts it is a traced one."""
    try:
        static = np.array(part) if not _mentions_tracer(part) else None
    except ValueError:
        fail(IndexError, _NOT_AN_INDEX)
    if static is None:
        return operand(list(part))
    return static.astype(np.int64) if static.size == 0 else static


def _mentions_tracer(part: Any) -> bool:
    if isinstance(part, (list, tuple)):
        return any(map(_mentions_tracer, part))
    return isinstance(part, (Array, TracedSize)) or type(part) in ARRAY_LIKE


def _rank_taken(part: Any) -> int:
    """How many axes a part of the key takes."""
    if part is None or isinstance(part, bool):
        return 0
    if isinstance(part, Array) and part.type.dtype.kind == "b":
        return part.ndim
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1


def _with_ellipsis(parts: list[Any], ndim: int) -> list[Any]:
    """The key with slices for `...` and for axes that it does not mention."""
    places = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(places) > 1:
        fail(IndexError, "an index can only have a single ellipsis ('...')")
    taken = sum(_rank_taken(p) for p in parts if p is not Ellipsis)
    if taken > ndim:
        fail(IndexError, f"too many indices for array: array is {ndim}-dimensional, but {taken} were indexed")
    rest = [slice(None)] * (ndim - taken)
    at = places[0] if places else len(parts)
    return [*parts[:at], *rest, *parts[at + 1:]]


def _items(x: Array, axis: int, part: Any) -> list[Item]:
    if part is None:
        return [New()]
    if isinstance(part, slice):
        return [cut(shape_of(x)[axis], part, axis)]
    if isinstance(part, bool):
        fail(NotImplementedError, f"x[{part}] can't be compiled", why="it makes an array of no item or one",
             fix="write x[None] or x[None][:0]")
    if isinstance(part, (int, TracedSize)):
        return [Point(_static_point(shape_of(x)[axis], part, axis))]
    if isinstance(part, np.ndarray):
        return _static_items(x, axis, part)
    if part.type.dtype.kind == "b":
        return [Gathered(i) for i in mask_positions(x, axis, part)]
    if part.type.dtype.kind not in "iu":
        fail(IndexError, _NOT_AN_INDEX if part.weak else "arrays used as indices must be of integer (or boolean) type")
    index = in_range_index(part, shape_of(x)[axis], axis)
    return [Gathered(index) if index.ndim else Point(index)]


# ---- integers --------------------------------------------------------------------------------------------------


def _static_point(size: Size, index: Any, axis: int) -> Any:
    """A known index made non-negative; IndexError if it is out of range today (a symbolic size is guarded)."""
    n: Any = sized(size)
    if isinstance(size, Dim) and not has_hint(size):
        return in_range_index(operand(index), size, axis)
    if not -n <= index < n:
        fail(IndexError, f"index {index} is out of bounds for axis {axis} with size {n}")
    return size_of(index + n if index < 0 else index)


def in_range_index(index: Array, size: Size, axis: int) -> Array:
    """A traced index as i64, checked at run time and made non-negative, where its origin does not say so."""
    wide = as_index(index)
    assert_in_range(wide, size, axis)
    return wrapped(wide, size)


def _static_items(x: Array, axis: int, part: np.ndarray[Any, Any]) -> list[Item]:
    """A list of ints or bools that is known while tracing."""
    if part.dtype == bool:
        for i, n in enumerate(part.shape):
            _require_mask_size(shape_of(x)[axis + i], n, axis + i)
        return [Gathered(_index_constant(p)) for p in part.nonzero()]
    if part.dtype.kind not in "iu":
        fail(IndexError, "arrays used as indices must be of integer (or boolean) type")
    size = shape_of(x)[axis]
    if not isinstance(size, int):
        return [Gathered(in_range_index(_index_constant(part), size, axis))]
    outside = part[(part < -size) | (part >= size)]
    if outside.size:
        fail(IndexError, f"index {outside.flat[0]} is out of bounds for axis {axis} with size {size}")
    return [Gathered(_index_constant(np.where(part < 0, part + size, part)))]


def _index_constant(part: np.ndarray[Any, Any]) -> Array:
    return constant(tuple(part.ravel().tolist()), "i64", part.shape)


# ---- masks -----------------------------------------------------------------------------------------------------


def _require_mask_size(size: Size, n: Size, axis: int) -> None:
    if not same_size(size, n):
        fail(IndexError, f"boolean index did not match indexed array along axis {axis}; size of axis is {size} but "
             f"size of corresponding boolean axis is {n}")


def require_mask_fits(x: Array, axis: int, mask: Array) -> None:
    """IndexError unless the mask has the sizes of the axes that it covers."""
    for i, n in enumerate(shape_of(mask)):
        _require_mask_size(shape_of(x)[axis + i], n, axis + i)


def true_positions(mask: Array) -> Array:
    """Flat positions of True, in order; their number is a size known at run time."""
    flat = reshaped(mask, (mask.type.size,))
    count = emit("reduce_sum", convert(flat, "i64"), axes=(0,))
    return emit("compact_indices", flat, size=runtime_size(count, True))


def unravelled(positions: Array, shape: Sequence[Size]) -> list[Array]:
    """Flat positions as one index per axis of `shape`."""
    indices: list[Array] = []
    for size in reversed(shape[1:]):
        by = size_like(size, positions)
        indices.append(emit("remainder", positions, by))
        positions = emit("floor_divide", positions, by)
    return [positions, *indices[::-1]]


def mask_positions(x: Array, axis: int, mask: Array) -> list[Array]:
    """One index array per axis that the mask covers."""
    if mask.ndim == 0:
        fail(NotImplementedError, "x[flag] with a traced bool can't be compiled",
             fix="write np.where(flag, ..., ...) or index with an array")
    require_mask_fits(x, axis, mask)
    return unravelled(true_positions(mask), shape_of(mask))
