"""Choosing elements: where, take, choose, select, compress, put and their relatives.

Flows in:  conditions, indices, choices.
Flows out: select, gather and scatter ops.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dtypes import BOOL
from tracejit.numpy.index_plans import in_range_index, true_positions
from tracejit.numpy.joining import as_list, resize, take_along
from tracejit.numpy.shapes import boxed
from tracejit.numpy.sorting import bring_into_range, nonzero
from tracejit.numpy.support import (
    as_bool,
    compare,
    emit,
    fail,
    fail_shape,
    filled,
    finish,
    flattened,
    iota_along,
    normal_axis,
    operand,
    requested,
    reshaped,
    shape_of,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, broadcast, broadcast_shapes, broadcast_to, convert, lift, promote, write
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """x where the condition holds, else y; with the condition alone, np.nonzero."""
    if x is None and y is None:
        return nonzero(condition)
    if x is None or y is None:
        fail(ValueError, "either both or neither of x and y should be given")
    pred, left, right = broadcast(as_bool(operand(condition)), *promote(operand(x), operand(y)))
    return boxed(emit("select", pred, left, right))


@implements(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None,
         dtype: Any = None, casting: str = "same_kind", **options: Any) -> Any:
    """minimum(maximum(a, low), high), without a bound that is None."""
    low, high = (a_min if a_min is not None else min), (a_max if a_max is not None else max)
    x: Any = operand(a)
    for bound, ufunc in ((low, np.maximum), (high, np.minimum)):
        if bound is not None:
            x = _bounded(x, bound, ufunc)
    return finish(convert(x, requested(dtype, x.type.dtype)), out, casting=casting, name="clip")


def _bounded(x: Array, bound: Any, ufunc: np.ufunc) -> Any:
    """minimum or maximum; a number as the bound keeps the sign of a zero, and may be beyond the dtype of `x`."""
    number = type(bound) in (int, float) and bound == bound
    if not number or x.type.dtype.is_complex or (type(bound) is float and not x.type.dtype.is_float):
        return elementwise(ufunc, x, bound)
    if x.type.dtype.is_integer:
        info = np.iinfo(x.type.dtype.numpy)
        bound = max(info.min, min(info.max, bound))
    edge = filled(bound if x.type.dtype.is_integer else float(bound), x.type.dtype, shape_of(x))
    return emit("select", compare("LT" if ufunc is np.maximum else "GT", x, edge), edge, x)


@implements(np.select)
def select_(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """The choice of the first condition that holds."""
    conditions, choices = [as_bool(operand(c)) for c in as_list(condlist)], list(as_list(choicelist))
    if len(conditions) != len(choices):
        fail(ValueError, "list of cases must be same length as list of conditions")
    if not conditions:
        fail(ValueError, "select with an empty condition list is not possible")
    for c in as_list(condlist):
        if lift(c).type.dtype is not BOOL:
            fail(TypeError, "invalid entry 0 in condlist: should be boolean ndarray")
    arrays = broadcast(*promote(*choices, default), *conditions)
    values, flags = arrays[:len(choices) + 1], arrays[len(choices) + 1:]
    result = values[-1]
    for flag, value in reversed(list(zip(flags, values))):
        result = emit("select", flag, value, result)
    return result


@implements(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    options = broadcast(*promote(*as_list(choices)))
    index = operand(a)
    at = bring_into_range(index, len(options), mode) if mode != "raise" else _checked_choice(index, len(options))
    shape = broadcast_shapes(shape_of(at), shape_of(options[0]))
    at = broadcast_to(at, shape)
    result = broadcast_to(options[-1], shape)
    for number, option in reversed(list(enumerate(options[:-1]))):
        result = emit("select", compare("EQ", at, number), broadcast_to(option, shape), result)
    return finish(result, out)


def _checked_choice(index: Array, count: int) -> Array:
    at = convert(index, "i64")
    inside = emit("and", compare("GE", at, 0), compare("LT", at, count))
    every = emit("reduce_and", inside, axes=tuple(range(at.ndim))) if at.ndim else inside
    assert_(every, "ValueError", "invalid entry in choice array")
    return at


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **options: Any) -> Any:
    """Every function on all of `x`; the last condition that holds chooses."""
    array = operand(x)
    conditions = [as_bool(operand(c)) for c in as_list(condlist)] if isinstance(condlist, (list, tuple)) else [
        as_bool(operand(condlist))]
    functions = list(funclist)
    result = filled(array.type.dtype.numpy.type(0).item(), array.type.dtype, shape_of(array))
    if len(functions) == len(conditions) + 1:
        rest: Any = conditions[0]
        for c in conditions[1:]:
            rest = emit("or", rest, c)
        conditions.append(emit("not", rest))
    if len(functions) != len(conditions):
        fail(ValueError, f"with {len(conditions)} condition(s), either {len(conditions)} or {len(conditions) + 1} "
             "functions are expected")
    for flag, function in zip(conditions, functions):
        value = function(array, *args, **options) if callable(function) else function
        value = broadcast_to(convert(operand(value), array.type.dtype), shape_of(array))
        result = emit("select", broadcast_to(flag, shape_of(array)), value, result)
    return result


# ---- by index --------------------------------------------------------------------------------------------------


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    x = operand(a)
    x = flattened(x) if axis is None else x
    at = 0 if axis is None else normal_axis(axis, x.ndim)
    index = operand(indices)
    if index.type.dtype.kind not in "iu" and not (isinstance(indices, (list, tuple)) and not len(indices)):
        fail(TypeError, f"Cannot cast array data from {index.type.dtype.numpy!r} to dtype('int64') according to "
             "the rule 'safe'")
    return finish(take_along(x, bring_into_range(index, shape_of(x)[at], mode, at), at), out)


def _along(x: Array, indices: Any, axis: Any) -> tuple[Array, list[Array], tuple[int, ...], int]:
    """The array, one index array per axis for `take_along_axis`, the axes, and the axis."""
    index = operand(indices)
    if index.type.dtype.kind not in "iu":
        fail(IndexError, "`indices` must be an integer array")
    if axis is None:
        x, axis = flattened(x), 0
    if index.ndim != x.ndim:
        fail(ValueError, "`indices` and `arr` must have the same number of dimensions")
    at = normal_axis(axis, x.ndim)
    shape = shape_of(x)
    others = broadcast_shapes([1 if i == at else n for i, n in enumerate(shape)],
                              [1 if i == at else n for i, n in enumerate(shape_of(index))])
    target = [shape_of(index)[at] if i == at else n for i, n in enumerate(others)]
    if any(i != at and not same_size(n, m) and m != 1 for i, (n, m) in enumerate(zip(target, shape))):
        fail_shape("take_along_axis: shapes of indices and array differ off the axis")
    wide = broadcast_to(in_range_index(index, shape[at], at), target)
    every = [wide if i == at else (iota_along(target, i) if shape[i] != 1 else filled(0, "i64", target))
             for i in range(x.ndim)]
    return x, every, tuple(range(x.ndim)), at


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    x, every, axes, _ = _along(operand(arr), indices, axis)
    return emit("gather", x, *every, axes=axes)


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    target = lift(arr)
    x, every, axes, _ = _along(operand(target), indices, axis)
    new = broadcast_to(convert(operand(values), x.type.dtype), shape_of(every[0]))
    changed = emit("scatter", x, new, *every, axes=axes, combine="set")
    write(target, Ellipsis, reshaped(changed, shape_of(target)))


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """a.flat[ind] = v; v repeats."""
    target = lift(a)
    flat = flattened(operand(target))
    index = flattened(bring_into_range(operand(ind), shape_of(flat)[0], mode))
    new = flattened(convert(operand(v), flat.type.dtype))
    values = new if shape_of(new) == shape_of(index) else resize(new, shape_of(index))
    changed = emit("scatter", flat, values, index, axes=(0,), combine="set")
    write(target, Ellipsis, reshaped(changed, shape_of(target)))


# ---- by mask ---------------------------------------------------------------------------------------------------


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    x, mask = operand(a), as_bool(operand(condition))
    if mask.ndim != 1:
        fail(ValueError, "condition must be a 1-d array")
    x = flattened(x) if axis is None else x
    at = 0 if axis is None else normal_axis(axis, x.ndim)
    return finish(take_along(x, true_positions(mask), at), out)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    mask, x = as_bool(operand(condition)), operand(arr)
    return take_along(flattened(x), true_positions(flattened(mask)), 0)


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """arr[mask] = vals, repeated as often as needed."""
    target = lift(arr)
    flag = flattened(as_bool(operand(mask)))
    values = flattened(convert(operand(vals), target.type.dtype))
    ones = convert(flag, "i64")
    number = emit("subtract", emit("cumulative_sum", ones, axis=0, reverse=False), filled(1, "i64", shape_of(flag)))
    at = elementwise(np.remainder, number, values.shape[0])
    new = emit("gather", values, at, axes=(0,))
    write(target, Ellipsis, reshaped(emit("select", flag, new, flattened(operand(target))), shape_of(target)))


@implements(np.putmask)
def putmask(a: Any, /, mask: Any, values: Any) -> None:
    """a.flat[i] = values[i % len] where the mask holds."""
    target = lift(a)
    new = convert(operand(values), target.type.dtype)
    same = shape_of(new) == shape_of(target)
    full = new if same else resize(new, shape_of(target)) if new.ndim else broadcast_to(new, shape_of(target))
    flag = broadcast_to(as_bool(operand(mask)), shape_of(target))
    write(target, Ellipsis, emit("select", flag, full, operand(target)))

