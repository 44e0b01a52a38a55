"""Diagonals: diagonal, diag, diagflat, fill_diagonal and the index helpers of triangles.

Flows in:  matrices or stacks of them, an offset.
Flows out: gather along two axes for reading, pad or scatter for building.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dims import Size
from tracejit.numpy.creation import diagonal_mask
from tracejit.numpy.index_plans import true_positions, unravelled
from tracejit.numpy.index_slices import larger, smaller
from tracejit.numpy.indexing import update
from tracejit.numpy.shapes import moveaxis
from tracejit.numpy.support import (
    as_size,
    emit,
    fail,
    filled,
    flattened,
    iota,
    listed_axes,
    operand,
    placed,
    select,
    shape_of,
)
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_to, constant, convert, lift, static_int, write
from tracejit.tracing.implements import implements


def _length(rows: Size, columns: Size, offset: int) -> Size:
    rows, columns = (rows, columns - offset) if offset >= 0 else (rows + offset, columns)
    return larger(smaller(rows, columns), 0)


def _shifted(index: Array, by: int) -> Array:
    return emit("add", index, filled(by, "i64", shape_of(index))) if by else index


@implements(np.diagonal)
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    """The diagonal as the last axis."""
    x = operand(a)
    if x.ndim < 2:
        fail(ValueError, "diag requires an array of at least two dimensions")
    axes = listed_axes((axis1, axis2), x.ndim)
    by = static_int(offset)
    i, j = axes
    along = iota(_length(shape_of(x)[i], shape_of(x)[j], by))
    indices = {i: _shifted(along, max(-by, 0)), j: _shifted(along, max(by, 0))}
    part = emit("gather", x, *(indices[k] for k in sorted(axes)), axes=tuple(sorted(axes)))
    return moveaxis(part, 0, -1)


@implements(np.linalg.diagonal)
def linalg_diagonal(x: Any, /, *, offset: Any = 0) -> Any:
    return diagonal(x, offset, -2, -1)


@implements(np.diag)
def diag(v: Any, k: Any = 0) -> Any:
    x, by = operand(v), static_int(k)
    if x.ndim == 2:
        return diagonal(x, by)
    if x.ndim != 1:
        fail(ValueError, "Input must be 1- or 2-d.")
    size = shape_of(x)[0] + abs(by)
    low, high = (max(-by, 0), max(by, 0)) if by else (0, 0)
    zero = constant(x.type.dtype.numpy.type(0).item(), x.type.dtype)
    rows = emit("pad", x, zero, low=(low,), high=(high,), interior=(0,)) if by else x
    shape = (size, size)
    return select(diagonal_mask(size, size, by, "EQ"), placed(rows, shape, (0,)),
                  filled(x.type.dtype.numpy.type(0).item(), x.type.dtype, shape))


@implements(np.diagflat)
def diagflat(v: Any, k: Any = 0) -> Any:
    return diag(flattened(operand(v)), k)


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Writes the main diagonal of `a`."""
    x = lift(a)
    if x.ndim < 2:
        fail(ValueError, "array must be at least 2-d")
    shape = shape_of(x)
    count = shape[0]
    for n in shape[1:]:
        count = smaller(count, n)
    along = iota(count)
    values = broadcast_to(convert(lift(val), x.type.dtype), (count,)) if lift(val).ndim < 2 else lift(val)
    write(x, Ellipsis, update(x, (along,) * x.ndim, values))


# ---- index helpers ---------------------------------------------------------------------------------------------


@implements(np.diag_indices)
def diag_indices(n: Any, ndim: Any = 2) -> Any:
    return (iota(as_size(n)),) * static_int(ndim)


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> Any:
    x = lift(arr)
    return (iota(shape_of(x)[0]),) * x.ndim


def _triangle_indices(rows: Any, columns: Any, offset: Any, direction: str) -> tuple[Array, ...]:
    n, m = static_int(rows), static_int(columns)
    found = (np.tril_indices if direction == "LE" else np.triu_indices)(n, static_int(offset), m)
    return tuple(constant(tuple(i.tolist()), "i64", i.shape) for i in found)


@implements(np.tril_indices)
def tril_indices(n: Any, k: Any = 0, m: Any = None) -> Any:
    return _triangle_indices(n, n if m is None else m, k, "LE")


@implements(np.triu_indices)
def triu_indices(n: Any, k: Any = 0, m: Any = None) -> Any:
    return _triangle_indices(n, n if m is None else m, k, "GE")


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: Any = 0) -> Any:
    x = lift(arr)
    return _triangle_indices(x.shape[-2], x.shape[-1], k, "LE")


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: Any = 0) -> Any:
    x = lift(arr)
    return _triangle_indices(x.shape[-2], x.shape[-1], k, "GE")


@implements(np.mask_indices)
def mask_indices(n: Any, mask_func: Any, k: Any = 0) -> Any:
    size = as_size(n)
    mask = convert(mask_func(filled(1, "i64", (size, size)), k), "bool")
    return tuple(unravelled(true_positions(mask), shape_of(mask)))
