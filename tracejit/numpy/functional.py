"""Functions that apply a user's function: apply_along_axis, apply_over_axes, vectorize; and bits packed in bytes.

Flows in:  Python functions and arrays.
Flows out: the function's own ops, once per line or on the whole array.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dtypes import U8
from tracejit.numpy.indexing import read
from tracejit.numpy.joining import stack
from tracejit.numpy.shapes import moveaxis, shape_view
from tracejit.numpy.support import (
    as_bool,
    emit,
    fail,
    filled,
    flattened,
    normal_axis,
    operand,
    placed,
    refuse_arguments,
    reshaped,
    shape_of,
    unsupported,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast, constant, convert, lift, static_int
from tracejit.tracing.implements import implements

_FEW_LINES = 256     # more lines than this would make the graph too large


@implements(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    x = operand(a)
    for axis in axes if isinstance(axes, (tuple, list)) else (axes,):
        result = lift(func(x, axis))
        if result.ndim == x.ndim:
            x = result
        else:
            at = normal_axis(axis, x.ndim)
            x = reshaped(result, (*shape_of(result)[:at], 1, *shape_of(result)[at:]))
    return x


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """The function of each line, traced once per line: for a few lines only."""
    x = operand(arr)
    at = normal_axis(axis, x.ndim)
    moved = operand(moveaxis(x, at, -1))
    lead = [static_int(n) for n in moved.shape[:-1]]
    count = int(np.prod(lead, dtype=np.int64))
    if count > _FEW_LINES or count == 0:
        unsupported(f"np.apply_along_axis over {count} lines can't be compiled", why="the function is traced per line",
                    fix="call the function on the whole array with axis=, or write a loop")
    lines = reshaped(moved, (count, shape_of(moved)[-1]))
    results = lift(stack([func1d(read(lines, i), *args, **kwargs) for i in range(count)]))
    inner = shape_of(results)[1:]
    shaped = operand(shape_view(results, (*lead, *inner)))
    order = [*range(at), *range(len(lead), len(lead) + len(inner)), *range(at, len(lead))]
    return operand(moveaxis_order(shaped, order))


def moveaxis_order(x: Array, order: list[int]) -> Array:
    return emit("transpose", x, permutation=tuple(order)) if order != sorted(order) else x


@implements(np.vectorize)
def vectorize(pyfunc: Any, otypes: Any = None, doc: Any = None, excluded: Any = None, cache: bool = False,
              signature: Any = None) -> Any:
    """`np.vectorize(f)(x)`: `f` on whole arrays, which is the same for functions of single numbers."""
    refuse_arguments("np.vectorize", signature=signature, excluded=excluded, otypes=otypes)
    return lambda *args, **kwargs: pyfunc(*broadcast(*map(operand, args)), **kwargs)


# ---- bits ------------------------------------------------------------------------------------------------------


@implements(np.packbits)
def packbits(a: Any, /, axis: Any = None, bitorder: str = "big") -> Any:
    x = as_bool(operand(a))
    x = flattened(x) if axis is None else x
    at = 0 if axis is None else normal_axis(axis, x.ndim)
    n = static_int(x.shape[at])
    missing = -n % 8
    high = tuple(missing if i == at else 0 for i in range(x.ndim))
    if missing:
        x = emit("pad", x, constant(False, "bool"), low=(0,) * x.ndim, high=high, interior=(0,) * x.ndim)
    shape = shape_of(x)
    bytes_ = convert(reshaped(x, (*shape[:at], (n + missing) // 8, 8, *shape[at + 1:])), U8)
    weighted = elementwise(np.multiply, bytes_, _place_values(shape_of(bytes_), at + 1, bitorder))
    return emit("reduce_sum", weighted, axes=(at + 1,))


def _place_values(shape: Any, axis: int, bitorder: str) -> Array:
    """1, 2, 4, ... 128 along an axis; big: the first bit counts most."""
    if bitorder not in ("big", "little"):
        fail(ValueError, "'order' must be either 'little' or 'big'")
    values = [2 ** i for i in range(8)]
    line = constant(tuple(values if bitorder == "little" else values[::-1]), U8, (8,))
    return placed(line, shape, (axis,))


@implements(np.unpackbits)
def unpackbits(a: Any, /, axis: Any = None, count: Any = None, bitorder: str = "big") -> Any:
    x = operand(a)
    if x.type.dtype is not U8:
        fail(TypeError, "Expected an input array of unsigned byte data type")
    x = flattened(x) if axis is None else x
    at = 0 if axis is None else normal_axis(axis, x.ndim)
    refuse_arguments("np.unpackbits", count=count)
    shape = (*shape_of(x)[:at + 1], 8, *shape_of(x)[at + 1:])
    wide = placed(x, shape, [i if i <= at else i + 1 for i in range(x.ndim)])
    bits = emit("and", wide, _place_values(shape, at + 1, bitorder))
    ones = convert(emit("compare", bits, filled(0, U8, shape), direction="NE"), U8)
    return reshaped(ones, (*shape[:at], shape[at] * 8, *shape[at + 2:]))
