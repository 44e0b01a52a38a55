"""Sets of values: unique and its relatives, isin, intersections and unions.

Flows in:  arrays, flattened.
Flows out: sort ops and compact_indices; the number of results is known at run time.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL
from tracejit.numpy.index_plans import true_positions
from tracejit.numpy.joining import concatenate, take_along
from tracejit.numpy.sorting import order_along, search, sorted_along
from tracejit.numpy.support import (
    compare,
    emit,
    filled,
    flattened,
    operand,
    placed,
    refuse_arguments,
    reshaped,
    shape_of,
    size_scalar,
    sliced,
    unsupported,
)
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_to, constant, convert, lift, promote
from tracejit.tracing.implements import implements


def _differs(x: Array, y: Array, equal_nan: bool) -> Array:
    """x != y; NaNs are equal to each other if asked."""
    unequal = compare("NE", x, y)
    if not equal_nan or not x.type.dtype.is_inexact:
        return unequal
    both = emit("and", emit("is_nan", x), emit("is_nan", y))
    return emit("and", unequal, emit("not", both))


def first_of_runs(line: Array, equal_nan: bool = True) -> Array:
    """True where a sorted line starts a new value."""
    n = shape_of(line)[0]
    if isinstance(n, int) and n < 2:
        return filled(True, BOOL, (n,))
    changed = _differs(sliced(line, 0, 1, n), sliced(line, 0, 0, n - 1), equal_nan)
    return emit("pad", changed, constant(True, BOOL), low=(1,), high=(0,), interior=(0,))


class _Unique(NamedTuple):
    values: Array
    indices: Array
    inverse: Array
    counts: Array


def _parts(x: Array, wanted: tuple[bool, bool, bool], equal_nan: bool) -> _Unique:
    """Values in order; what is not wanted is the values again, so that nothing is emitted for it."""
    line = flattened(x)
    if not any(wanted[:2]):
        ordered, order = sorted_along(line, 0), None
    else:
        order = order_along(line, 0)
        ordered = take_along(line, order, 0)
    first = first_of_runs(ordered, equal_nan)
    starts = true_positions(first)
    values = take_along(ordered, starts, 0)
    n = shape_of(line)[0]
    indices = inverse = counts = values
    if wanted[0] and order is not None:
        indices = take_along(order, starts, 0)
    if wanted[1] and order is not None:
        run = emit("cumulative_sum", convert(first, "i64"), axis=0, reverse=False)
        run = emit("subtract", run, filled(1, "i64", (n,)))
        inverse = emit("scatter", filled(0, "i64", (n,)), run, order, axes=(0,), combine="set")
    if wanted[2]:
        counts = _run_lengths(starts, n)
    return _Unique(values, indices, inverse, counts)


def _run_lengths(starts: Array, n: Size) -> Array:
    """Differences of the starts of runs, the last up to n."""
    total = reshaped(convert(lift(size_scalar(n)), "i64"), (1,))
    both = emit("concatenate", starts, total, axis=0)
    size = shape_of(starts)[0]
    return emit("subtract", sliced(both, 0, 1, size + 1), sliced(both, 0, 0, size))


@implements(np.unique)
def unique(ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
           axis: Any = None, *, equal_nan: bool = True, sorted: bool = True) -> Any:
    """np.unique of all elements."""
    x = operand(ar)
    x = convert(x, x.type.dtype)
    if axis is not None and x.ndim != 1:
        unsupported("np.unique(axis=...) can't be compiled", fix="combine each row into one number first")
    found = _parts(x, (return_index, return_inverse, return_counts), equal_nan)
    inverse = reshaped(found.inverse, shape_of(x)) if return_inverse else None
    chosen = [found.values, *([found.indices] if return_index else []), *([inverse] if return_inverse else []),
              *([found.counts] if return_counts else [])]
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


@implements(np.unique_values)
def unique_values(x: Any, /) -> Any:
    return unique(x, equal_nan=False)


class UniqueCountsResult(NamedTuple):
    values: Any
    counts: Any


class UniqueInverseResult(NamedTuple):
    values: Any
    inverse_indices: Any


class UniqueAllResult(NamedTuple):
    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


@implements(np.unique_counts)
def unique_counts(x: Any, /) -> Any:
    return UniqueCountsResult(*unique(x, return_counts=True, equal_nan=False))


@implements(np.unique_inverse)
def unique_inverse(x: Any, /) -> Any:
    return UniqueInverseResult(*unique(x, return_inverse=True, equal_nan=False))


@implements(np.unique_all)
def unique_all(x: Any, /) -> Any:
    return UniqueAllResult(*unique(x, True, True, True, equal_nan=False))


# ---- membership ------------------------------------------------------------------------------------------------


@implements(np.isin)
def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *,
         kind: Any = None) -> Any:
    """Whether each element is among the others: compared one by one with a few, by binary search with many."""
    x, tested = promote(operand(element), operand(test_elements))
    table = flattened(tested)
    n = shape_of(table)[0]
    if isinstance(n, int) and n <= 16 or table.type.dtype.is_complex:
        found = _among(x, table)
    else:
        ordered = sorted_along(table, 0)
        at = search(ordered, x, "left")
        found = compare("EQ", emit("gather", ordered, at, axes=(0,)), x)
        if not isinstance(n, int):
            found = emit("and", found, broadcast_to(compare("GT", lift(size_scalar(n)), 0), shape_of(x)))
    return emit("not", found) if invert else found


def _among(x: Array, table: Array) -> Array:
    shape = (*shape_of(x), *shape_of(table))
    equal = compare("EQ", placed(x, shape, range(x.ndim)), placed(table, shape, (x.ndim,)))
    return emit("reduce_or", equal, axes=(x.ndim,))


if (_in1d := getattr(np, "in1d", None)) is not None:
    implements(_in1d)(lambda ar1, ar2, assume_unique=False, invert=False, **options: isin(
        flattened(operand(ar1)), ar2, invert=invert))


def _selected(x: Array, keep: Array) -> Array:
    return take_along(x, true_positions(keep), 0)


@implements(np.intersect1d)
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    refuse_arguments("np.intersect1d", return_indices=return_indices)
    x, y = promote(operand(ar1), operand(ar2))
    values = unique(x)
    return _selected(values, isin(values, y))


@implements(np.union1d)
def union1d(ar1: Any, ar2: Any) -> Any:
    return unique(concatenate([ar1, ar2], None))


@implements(np.setdiff1d)
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    x = operand(ar1)
    values = flattened(x) if assume_unique else unique(x)
    return _selected(values, isin(values, ar2, invert=True))


@implements(np.setxor1d)
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    x, y = promote(operand(ar1), operand(ar2))
    x, y = unique(x), unique(y)
    ordered = sorted_along(emit("concatenate", x, y, axis=0), 0)
    first = first_of_runs(ordered)
    n = shape_of(ordered)[0]
    last = emit("pad", sliced(first, 0, 1, n), constant(True, BOOL), low=(0,), high=(1,), interior=(0,))
    return _selected(ordered, emit("and", first, last))

