"""Sorting, searching and partitioning.

Flows in:  arrays and an axis (None flattens).
Flows out: sort ops (stable, NaN last) and searchsorted ops.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dtypes import BOOL
from tracejit.numpy.index_plans import in_range_index, true_positions, unravelled
from tracejit.numpy.index_ranges import size_like
from tracejit.numpy.joining import take_along
from tracejit.numpy.support import (
    as_bool,
    as_shape,
    emit,
    emit_all,
    fail,
    flattened,
    iota_along,
    normal_axis,
    operand,
    reshaped,
    shape_of,
    unsupported,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import convert, lift, promote
from tracejit.tracing.implements import implements


def sort_keys(x: Array) -> list[Array]:
    """Operands whose lexicographic order is NumPy's order of `x`: complex numbers with NaN parts go last."""
    if not x.type.dtype.is_complex:
        return [x]
    real, imag = emit("real", x), emit("imag", x)
    bad_real, bad_imag = (convert(emit("is_nan", p), "i8") for p in (real, imag))
    rank = emit("add", emit("add", bad_real, bad_real), bad_imag)
    return [rank, real, imag]


def sorted_along(x: Array, axis: int) -> Array:
    """`x` in ascending order along an axis."""
    keys = sort_keys(x)
    if len(keys) == 1:
        return emit("sort", x, axis=axis, num_keys=1, descending=False)
    _, real, imag = emit_all("sort", *keys, axis=axis, num_keys=3, descending=False)
    return emit("complex", real, imag)


def order_along(x: Array, axis: int, descending: bool = False) -> Array:
    """The stable permutation that sorts `x` along an axis, i64."""
    keys = sort_keys(x)
    positions = iota_along(shape_of(x), axis)
    return emit_all("sort", *keys, positions, axis=axis, num_keys=len(keys), descending=descending)[-1]


def _line(a: Any, axis: Any) -> tuple[Array, int]:
    """The array and its axis; flattened for None."""
    x = operand(a)
    x = convert(x, x.type.dtype)
    if axis is None:
        return flattened(x), 0
    return x, normal_axis(axis, x.ndim)


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    _refuse_fields(order)
    return sorted_along(*_line(a, axis))


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    _refuse_fields(order)
    return order_along(*_line(a, axis))


def _refuse_fields(order: Any) -> None:
    if order is not None:
        fail(ValueError, "Cannot specify order when the array has no fields.")


@implements(np.sort_complex)
def sort_complex(a: Any) -> Any:
    x = operand(a)
    target = {"i8": "c64", "u8": "c64", "i16": "c64", "u16": "c64", "f32": "c64"}.get(x.type.dtype.name, "c128")
    return sort(x if x.type.dtype.is_complex else convert(sort(x), target))


@implements(np.lexsort)
def lexsort(keys: Any, axis: Any = -1) -> Any:
    """The order by the last key, then the one before, and so on."""
    rows = [lift(k) for k in keys] if isinstance(keys, (list, tuple)) else list(lift(keys))
    if not rows:
        fail(TypeError, "need sequence of keys with len > 0 in lexsort")
    rows = [operand(r) for r in rows]
    at = normal_axis(axis, max(rows[0].ndim, 1))
    ordered = [k for row in reversed(rows) for k in sort_keys(row)]
    return emit_all("sort", *ordered, iota_along(shape_of(rows[0]), at), axis=at, num_keys=len(ordered),
                    descending=False)[-1]


def _check_kth(x: Array, axis: int, kth: Any) -> None:
    n = shape_of(x)[axis]
    for k in kth if isinstance(kth, (list, tuple, np.ndarray)) else (kth,):
        if isinstance(k, int) and isinstance(n, int) and not -n <= k < n:
            fail(ValueError, f"kth(={k}) out of bounds ({n})")


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Any:
    """A sorted array, which is partitioned at every position."""
    x, at = _line(a, axis)
    _check_kth(x, at, kth)
    return sorted_along(x, at)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Any:
    x, at = _line(a, axis)
    _check_kth(x, at, kth)
    return order_along(x, at)


# ---- searching -------------------------------------------------------------------------------------------------


def search(table: Array, values: Array, side: str) -> Array:
    """Where `values` (any shape) would be inserted into `table`; both of one dtype."""
    if table.type.dtype is BOOL:
        table, values = convert(table, "u8"), convert(values, "u8")
    found = emit("searchsorted", table, flattened(values), side=side)
    return reshaped(found, shape_of(values))


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if side not in ("left", "right"):
        fail(ValueError, f"search side must be 'left' or 'right' (got {side!r})")
    table, values = promote(operand(a), operand(v))
    if table.ndim != 1:
        fail(ValueError, "object too deep for desired array")
    if sorter is not None:
        table = take_along(table, convert(operand(sorter), "i64"), 0)
    if table.type.dtype.is_complex:
        unsupported("np.searchsorted of complex numbers can't be compiled", fix="search by the real part")
    return search(table, values, side)


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The bin of each value; decreasing bins are searched in reverse."""
    values, edges = promote(operand(x), operand(bins))
    if edges.ndim != 1:
        fail(ValueError, "object too deep for desired array")
    side = "left" if right else "right"
    rising = search(edges, values, side)
    n = shape_of(edges)[0]
    if isinstance(n, int) and n <= 1:
        return rising
    first, last = (reshaped(emit("slice", edges, start=(a,), limit=(b,), stride=(1,)), ()) for a, b in
                   ((0, 1), (n - 1, n)))
    turned = emit("reverse", edges, axes=(0,))
    falling = search(turned, values, "right" if right else "left")
    down = elementwise(np.subtract, edges.shape[0], falling)
    return elementwise_where(emit("compare", first, last, direction="LE"), rising, down)


def elementwise_where(flag: Array, x: Array, y: Array) -> Array:
    wide = emit("broadcast_in_dim", flag, shape=shape_of(x), dims=()) if x.ndim else flag
    return emit("select", wide, x, y)


# ---- positions of what is not zero -----------------------------------------------------------------------------


@implements(np.nonzero)
def nonzero(a: Any) -> Any:
    """One index array per axis; their size is known at run time."""
    x = as_bool(operand(a))
    if x.ndim == 0:
        fail(ValueError, "Calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(scalar).nonzero() instead.")
    return tuple(unravelled(true_positions(x), shape_of(x)))


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    return true_positions(as_bool(operand(a)))


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    x = operand(a)
    if x.ndim == 0:
        unsupported("np.argwhere of a scalar can't be compiled", fix="use np.atleast_1d first")
    columns = [reshaped(i, (*shape_of(i), 1)) for i in nonzero(x)]
    return columns[0] if len(columns) == 1 else emit("concatenate", *columns, axis=1)


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    sizes = as_shape(shape)
    flat = convert(operand(indices), "i64")
    return tuple(unravelled(flat, sizes)) if order == "C" else tuple(unravelled(flat, sizes[::-1]))[::-1]


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    sizes = as_shape(dims)
    parts = [convert(operand(i), "i64") for i in multi_index]
    modes = mode if isinstance(mode, (tuple, list)) else (mode,) * len(parts)
    parts = [_by_mode(p, n, m, axis) for axis, (p, n, m) in enumerate(zip(parts, sizes, modes))]
    pairs = list(zip(parts, sizes)) if order == "C" else list(zip(parts, sizes))[::-1]
    total: Any = pairs[0][0]
    for part, size in pairs[1:]:
        total = elementwise(np.add, elementwise(np.multiply, total, size), part)
    return total


def _by_mode(index: Array, size: Any, mode: str, axis: int) -> Array:
    """An index brought into range: raise, wrap or clip."""
    if mode == "raise":
        return in_range_index(index, size, axis)
    if mode == "wrap":
        return emit("remainder", index, size_like(size, index))
    low = emit("maximum", index, size_like(0, index))
    return emit("minimum", low, size_like(size - 1, index))


def bring_into_range(index: Array, size: Any, mode: str, axis: int = 0) -> Array:
    """`mode=` of take, put and choose."""
    if mode not in ("raise", "wrap", "clip"):
        fail(ValueError, f"clipmode must be one of 'clip', 'raise', or 'wrap' (got '{mode}')")
    return _by_mode(convert(index, "i64"), size, mode, axis)

