"""Counting: bincount, histogram and its relatives.

Flows in:  samples, bins, weights.
Flows out: searchsorted and scatter-add ops; edges as NumPy computes them.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL
from tracejit.numpy.creation import linspace
from tracejit.numpy.cumulative import diff
from tracejit.numpy.reductions import max_, min_, sum_
from tracejit.numpy.sorting import search
from tracejit.numpy.support import (
    compare,
    emit,
    fail,
    filled,
    flattened,
    operand,
    refuse_arguments,
    reshaped,
    runtime_size,
    select,
    shape_of,
    sliced,
    unsupported,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, broadcast_to, constant, convert, lift, promote, static_int
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Any:
    """How often each number occurs; the length, max + 1, is known at run time."""
    values = operand(x)
    if values.ndim != 1:
        fail(ValueError, "object too deep for desired array")
    if values.type.dtype.kind not in "iub":
        fail(TypeError, f"Cannot cast array data from {values.type.dtype.numpy!r} to dtype('int64') according to the "
             "rule 'safe'")
    values = convert(values, "i64")
    least = static_int(minlength)
    n = shape_of(values)[0]
    if isinstance(n, int) and n == 0:
        return filled(0, "i64", (least,))
    assert_(compare("GE", emit("reduce_min", values, axes=(0,)), 0), "ValueError",
            "'list' argument must have no negative elements")
    top = emit("add", emit("reduce_max", values, axes=(0,)), constant(1, "i64"))
    size = runtime_size(emit("maximum", top, constant(least, "i64")))
    return counted(values, size, weights)


def counted(index: Array, size: Size, weights: Any) -> Array:
    """Sums of weights (or counts) per index."""
    if weights is None:
        return emit("scatter", filled(0, "i64", (size,)), filled(1, "i64", shape_of(index)), index, axes=(0,),
                    combine="add")
    w = convert(operand(weights), "f64")
    if w.ndim != 1 or not same_size(shape_of(w)[0], shape_of(index)[0]):
        fail(ValueError, "The weights and list don't have the same length.")
    return emit("scatter", filled(0.0, "f64", (size,)), w, index, axes=(0,), combine="add")


# ---- histogram -------------------------------------------------------------------------------------------------


def _edges(x: Array, bins: Any, limits: Any) -> Array:
    """Bin edges: given, or evenly spaced between the extremes."""
    if isinstance(bins, str):
        unsupported(f"np.histogram(bins={bins!r}) can't be compiled", why="the number of bins depends on the data",
                    fix="pass the number of bins or the edges")
    if isinstance(bins, (list, tuple, np.ndarray)) or (isinstance(bins, Array) and bins.ndim):
        return operand(bins)
    count = static_int(bins)
    if count < 1:
        fail(ValueError, "`bins` must be positive, when an integer")
    if limits is not None:
        low, high = (elementwise(np.multiply, v, 1.0) for v in limits)
    elif shape_of(x)[0] == 0:
        low, high = 0.0, 1.0
    else:
        low, high = min_(x), max_(x)
    flat = lift(elementwise(np.equal, low, high))
    kind = x.type.dtype if x.type.dtype.is_float else "f64"
    low, high = lift(low), lift(high)
    first = select(flat, elementwise(np.subtract, convert(low, "f64"), 0.5), convert(low, "f64"))
    last = select(flat, elementwise(np.add, convert(high, "f64"), 0.5), convert(high, "f64"))
    return lift(linspace(convert(first, kind), convert(last, kind), count + 1))


def _binned(x: Array, edges: Array) -> Array:
    """The bin of each sample, -1 outside; the last bin includes its right edge."""
    values, table = promote(x, edges)
    n = shape_of(table)[0]
    at = elementwise(np.subtract, search(table, values, "right"), 1)
    last = reshaped(sliced(table, 0, n - 1, n), ())
    top = elementwise(np.subtract, edges.shape[0], 2)
    at = select(compare("EQ", values, broadcast_to(last, shape_of(values))),
                broadcast_to(convert(lift(top), "i64"), shape_of(values)), at)
    inside = elementwise(np.less_equal, values, last)
    return select(inside, at, -1)


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    x = flattened(operand(a))
    x = convert(x, "u8" if x.type.dtype is BOOL else x.type.dtype)
    edges = _edges(x, bins, range)
    size = shape_of(edges)[0] - 1
    counts = counted(_binned(x, edges), size, None if weights is None else flattened(operand(weights)))
    if density:
        width = convert(lift(diff(edges)), "f64")
        counts = elementwise(np.true_divide, elementwise(np.true_divide, counts, width), sum_(counts))
    return counts, edges


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    return _edges(flattened(operand(a)), bins, range)


@implements(np.histogramdd)
def histogramdd(sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """Counts over a grid of bins."""
    refuse_arguments("np.histogramdd", density=density)
    columns = [flattened(operand(c)) for c in sample] if isinstance(sample, (list, tuple)) else _columns(
        operand(sample))
    every = bins if isinstance(bins, (list, tuple)) and len(bins) == len(columns) else [bins] * len(columns)
    limits = [None] * len(columns) if range is None else range
    edges = [_edges(convert(c, "f64"), b, r) for c, b, r in zip(columns, every, limits)]
    sizes = [shape_of(e)[0] - 1 for e in edges]
    index: Any = None
    outside: Any = None
    for column, edge in zip(columns, edges):
        at = _binned(column, edge)
        lost = compare("LT", at, 0)
        index = at if index is None else elementwise(np.add, elementwise(np.multiply, index, edge.shape[0] - 1), at)
        outside = lost if outside is None else emit("or", outside, lost)
    total: Size = 1
    for n in sizes:
        total = total * n
    counts = counted(select(outside, -1, index) if isinstance(index, Array) else index, total, weights)
    return convert(reshaped(counts, sizes), "f64"), edges


def _columns(sample: Array) -> list[Array]:
    if sample.ndim != 2:
        return [flattened(sample)]
    n = shape_of(sample)[0]
    return [reshaped(sliced(sample, 1, i, i + 1), (n,)) for i in range(static_int(sample.shape[1]))]


@implements(np.histogram2d)
def histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    counts, (first, second) = histogramdd([x, y], bins, range, density, weights)
    return counts, first, second

