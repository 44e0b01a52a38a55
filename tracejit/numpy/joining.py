"""Joining, splitting, repeating and padding arrays.

Flows in:  sequences of arrays, axes, counts.
Flows out: concatenate, slice, broadcast_in_dim, gather and pad ops.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.base.dims import Size, divide_exactly
from tracejit.numpy.index_ranges import size_like
from tracejit.numpy.indexing import read
from tracejit.numpy.shapes import moveaxis, unit_axes
from tracejit.numpy.support import (
    as_dtype,
    as_size,
    emit,
    fail,
    finish,
    flattened,
    iota,
    normal_axis,
    operand,
    placed,
    reshaped,
    runtime_size,
    shape_of,
    sliced,
    transposed,
    unsupported,
)
from tracejit.tracing.arrays import TRACED_LIKE, Array
from tracejit.tracing.building import assert_, broadcast_to, constant, convert, lift, result_dtype, static_int
from tracejit.tracing.implements import NUMPY, implements
from tracejit.tracing.sizes import same_size

Function = Callable[..., Any]


# ---- joining ---------------------------------------------------------------------------------------------------


def as_list(arrays: Any) -> list[Any]:
    """The arrays of a sequence argument; an array gives its rows."""
    if isinstance(arrays, (list, tuple)):
        return list(arrays)
    x = lift(arrays)
    return [read(x, i) for i in range(static_int(x.shape[0]))]


def rows_of(arrays: Any) -> Array | None:
    """Arrays whose number only the run knows, as the rows of one; ValueError at run time if there is none."""
    if type(arrays) not in TRACED_LIKE and type(arrays) is not Array:
        return None
    x = operand(arrays)
    if not x.ndim or isinstance(shape_of(x)[0], int):
        return None
    some = emit("compare", convert(lift(x.shape[0]), "i64"), constant(0, "i64"), direction="GT")
    assert_(some, "ValueError", "need at least one array to concatenate")
    return x


def merged(x: Array, axis: int) -> Array:
    """The rows of `x` one after the other along an axis of theirs."""
    moved = moveaxis(x, 0, axis)
    shape = shape_of(moved)
    return reshaped(moved, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2:]))


def joined(arrays: Sequence[Array], axis: int, dtype: Any = None) -> Array:
    """Arrays of one rank one after the other; ValueError if other sizes differ."""
    kind = as_dtype(dtype) if dtype is not None else result_dtype(*arrays)
    first = shape_of(arrays[0])
    rule = "all the input array dimensions except for the concatenation axis must match exactly, but"
    for position, x in enumerate(arrays):
        if x.ndim != len(first):
            fail(ValueError, f"{rule} the array at index 0 has {len(first)} dimension(s) and the array at index "
                 f"{position} has {x.ndim} dimension(s)")
        for a, (n, m) in enumerate(zip(shape_of(x), first)):
            if a != axis and not same_size(n, m):
                fail(ValueError, f"{rule} along dimension {a}, the array at index 0 has size {m} and the array at "
                     f"index {position} has size {n}")
    parts = [convert(x, kind) for x in arrays]
    return parts[0] if len(parts) == 1 else emit("concatenate", *parts, axis=axis)


@implements(np.concatenate)
def concatenate(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    if (rows := rows_of(arrays)) is not None and rows.ndim > 1:
        made = flattened(rows) if axis is None else merged(rows, normal_axis(axis, rows.ndim - 1))
        return finish(made if dtype is None else convert(made, as_dtype(dtype)), out, casting=casting)
    parts = [operand(a) for a in as_list(arrays)]
    if not parts:
        fail(ValueError, "need at least one array to concatenate")
    if axis is None:
        parts, axis = [flattened(p) for p in parts], 0
    if parts[0].ndim == 0:
        fail(ValueError, "zero-dimensional arrays cannot be concatenated")
    return finish(joined(parts, normal_axis(axis, parts[0].ndim), dtype), out, casting=casting)


implements(np.concat)(concatenate)


@implements(np.stack)
def stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    if (given := rows_of(arrays)) is not None:
        made = moveaxis(given, 0, normal_axis(axis, given.ndim))
        return finish(made if dtype is None else convert(made, as_dtype(dtype)), out, casting=casting)
    parts = [operand(a) for a in as_list(arrays)]
    if not parts:
        fail(ValueError, "need at least one array to stack")
    first = shape_of(parts[0])
    if any(p.ndim != len(first) or not all(map(same_size, shape_of(p), first)) for p in parts):
        fail(ValueError, "all input arrays must have the same shape")
    at = normal_axis(axis, len(first) + 1)
    rows = [reshaped(p, (*first[:at], 1, *first[at:])) for p in parts]
    return finish(joined(rows, at, dtype), out, casting=casting)


def _stacker(prepare: Callable[[Array], Array], axis: Callable[[Array], int]) -> Function:
    def function(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
        if (rows := rows_of(tup)) is not None:
            row = prepare(reshaped(emit("slice", rows, start=(0,) * rows.ndim, limit=(1, *shape_of(rows)[1:]),
                                        stride=(1,) * rows.ndim), shape_of(rows)[1:]))
            made = merged(reshaped(rows, (shape_of(rows)[0], *shape_of(row))), axis(row))
            return made if dtype is None else convert(made, as_dtype(dtype))
        parts = [prepare(operand(a)) for a in as_list(tup)]
        if not parts:
            fail(ValueError, "need at least one array to concatenate")
        return joined(parts, axis(parts[0]), dtype)
    return function


def _column(x: Array) -> Array:
    return reshaped(x, (x.type.size, 1)) if x.ndim < 2 else x


def _three(x: Array) -> Array:
    shape = shape_of(x)
    return x if x.ndim > 2 else reshaped(x, {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[x.ndim])


implements(np.vstack)(_stacker(lambda x: unit_axes(x, 2), lambda x: 0))
if "row_stack" in vars(np.lib._shape_base_impl):    # the old name of vstack
    implements(vars(np.lib._shape_base_impl)["row_stack"])(NUMPY[np.vstack])
implements(np.hstack)(_stacker(lambda x: unit_axes(x, 1), lambda x: 0 if x.ndim == 1 else 1))
implements(np.dstack)(_stacker(_three, lambda x: 2))
implements(np.column_stack)(_stacker(_column, lambda x: 1))


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate([arr, values], axis)


@implements(np.block)
def block(arrays: Any) -> Any:
    """Nested lists of blocks: the innermost are joined along the last axis."""
    depth = _depth(arrays)
    rank = max(depth, *(operand(a).ndim for a in _leaves(arrays)))

    def join(part: Any, level: int) -> Array:
        if not isinstance(part, list):
            return unit_axes(operand(part), rank)
        return joined([join(p, level - 1) for p in part], rank - level)
    return join(arrays, depth)


def _depth(part: Any) -> int:
    return 1 + _depth(part[0]) if isinstance(part, list) else 0


def _leaves(part: Any) -> list[Any]:
    return [leaf for p in part for leaf in _leaves(p)] if isinstance(part, list) else [part]


# ---- splitting -------------------------------------------------------------------------------------------------


def _pieces(x: Array, axis: int, cuts: Sequence[Any]) -> list[Array]:
    """Views between positions along an axis."""
    bounds = [None, *cuts, None]
    key = (slice(None),) * axis
    return [read(x, (*key, slice(a, b))) for a, b in zip(bounds, bounds[1:])]


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    x = lift(ary)
    at = normal_axis(axis, x.ndim)
    if _is_sequence(indices_or_sections):
        return _pieces(x, at, _positions(indices_or_sections))
    count, total = static_int(indices_or_sections), static_int(x.shape[at])
    if count <= 0:
        fail(ValueError, "number sections must be larger than 0.")
    each, extra = divmod(total, count)
    ends = np.cumsum([each + (i < extra) for i in range(count)]).tolist()
    return _pieces(x, at, ends[:-1])


def _is_sequence(x: Any) -> bool:
    return isinstance(x, (list, tuple, np.ndarray)) or (isinstance(x, Array) and x.ndim > 0)


def _positions(x: Any) -> list[Any]:
    return as_list(x) if isinstance(x, Array) else list(x)


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    x = lift(ary)
    at = normal_axis(axis, x.ndim)
    if _is_sequence(indices_or_sections):
        return array_split(x, indices_or_sections, at)
    count, total = static_int(indices_or_sections), shape_of(x)[at]
    each = divide_exactly(total, count)
    if each is None and not isinstance(total, int):
        each = divide_exactly(static_int(x.shape[at]), count)
    if each is None:
        fail(ValueError, "array split does not result in an equal division")
    return _pieces(x, at, [x.shape[at] // count * i for i in range(1, count)])


def _splitter(axis: Callable[[Array], int], rank: int, name: str) -> Function:
    def function(ary: Any, indices_or_sections: Any) -> Any:
        x = lift(ary)
        if x.ndim < rank:
            fail(ValueError, f"{name} only works on arrays of {rank} or more dimensions")
        return split(x, indices_or_sections, axis(x))
    return function


implements(np.hsplit)(_splitter(lambda x: 1 if x.ndim > 1 else 0, 1, "hsplit"))
implements(np.vsplit)(_splitter(lambda x: 0, 2, "vsplit"))
implements(np.dsplit)(_splitter(lambda x: 2, 3, "dsplit"))


@implements(np.unstack)
def unstack(x: Any, /, *, axis: Any = 0) -> Any:
    moved = moveaxis(lift(x), axis, 0)
    return tuple(read(moved, i) for i in range(static_int(moved.shape[0])))


# ---- repeating -------------------------------------------------------------------------------------------------


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    x = operand(A)
    counts = [as_size(r) for r in (reps if isinstance(reps, (tuple, list)) else (reps,))]
    rank = max(len(counts), x.ndim)
    x = unit_axes(x, rank)
    counts = [*[1] * (rank - len(counts)), *counts]
    shape = shape_of(x)
    pairs = [n for c, s in zip(counts, shape) for n in (c, s)]
    wide = placed(x, pairs, range(1, 2 * rank, 2))
    return convert(reshaped(wide, [c * s for c, s in zip(counts, shape)]), x.type.dtype)


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    x = operand(a)
    x = convert(x, x.type.dtype)
    x = flattened(x) if axis is None else x
    at = 0 if axis is None else normal_axis(axis, x.ndim)
    counts = list(repeats) if isinstance(repeats, (list, tuple)) else repeats
    if isinstance(counts, list) and len(counts) == 1:
        counts = counts[0]
    if isinstance(counts, (list, np.ndarray)) or (isinstance(counts, Array) and counts.ndim):
        return _repeat_each(x, counts, at)
    return _repeat_all(x, as_size(counts), at)


def _repeat_all(x: Array, count: Size, axis: int) -> Array:
    if isinstance(count, int) and count < 0:
        fail(ValueError, "repeats may not contain negative values.")
    shape = shape_of(x)
    wide = placed(x, (*shape[:axis + 1], count, *shape[axis + 1:]),
                  [i if i <= axis else i + 1 for i in range(x.ndim)])
    return reshaped(wide, (*shape[:axis], shape[axis] * count, *shape[axis + 1:]))


def _repeat_each(x: Array, counts: Any, axis: int) -> Array:
    """Element i as often as counts[i]; with traced counts the length is known at run time."""
    if isinstance(counts, list) and all(isinstance(c, int) for c in counts):
        if not same_size(shape_of(x)[axis], len(counts)):
            fail(ValueError, f"operands could not be broadcast together with shape ({shape_of(x)[axis]},) "
                 f"({len(counts)},)")
        where = np.repeat(np.arange(len(counts)), counts)
        index = constant(tuple(where.tolist()), "i64", where.shape)
        return take_along(x, index, axis)
    given = convert(operand(counts), "i64")
    if not same_size(shape_of(given)[0], shape_of(x)[axis]):
        fail(ValueError, f"operands could not be broadcast together with shape ({shape_of(x)[axis]},) "
             f"({shape_of(given)[0]},)")
    ends = emit("cumulative_sum", given, axis=0, reverse=False)
    total = runtime_size(emit("reduce_sum", given, axes=(0,)))
    index = emit("searchsorted", ends, iota(total), side="right")
    return take_along(x, index, axis)


def take_along(x: Array, index: Array, axis: int) -> Array:
    """x[:, index] with the index axes in place of `axis`; the index is in range."""
    part = emit("gather", x, index, axes=(axis,))
    rank = index.ndim
    order = [*range(rank, rank + axis), *range(rank), *range(rank + axis, part.ndim)]
    return transposed(part, order)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """The elements repeated until the new shape is full."""
    x = flattened(operand(a))
    shape = resolve_resized(new_shape)
    total: Size = 1
    for n in shape:
        total = total * n
    have = x.type.size
    if isinstance(total, int) and isinstance(have, int):
        if have == 0:
            return broadcast_to(constant(0, x.type.dtype), shape)
        copies = -(-total // have)
        wide = x if copies <= 1 else reshaped(placed(x, (copies, have), (1,)), (copies * have,))
        return reshaped(sliced(wide, 0, 0, total), shape)
    if have == 1:
        return broadcast_to(reshaped(x, ()), shape)
    if same_size(have, total):
        return reshaped(x, shape)
    unsupported("np.resize with symbolic sizes can't be compiled", fix="use np.tile, or np.broadcast_to")


def resolve_resized(new_shape: Any) -> tuple[Size, ...]:
    items = new_shape if isinstance(new_shape, (tuple, list)) else (new_shape,)
    return tuple(map(as_size, items))


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    x = operand(a)
    if axis is None:
        flat = flattened(x)
        return reshaped(_rolled(flat, shift if not isinstance(shift, (tuple, list)) else sum(shift), 0), shape_of(x))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,)
    for by, at in np.broadcast(np.arange(len(shifts)), np.arange(len(axes))):
        x = _rolled(x, shifts[by], normal_axis(axes[at], x.ndim))
    return convert(x, x.type.dtype)


def _rolled(x: Array, shift: Any, axis: int) -> Array:
    n = shape_of(x)[axis]
    if isinstance(n, int) and n == 0:
        return x
    if isinstance(shift, Array):
        return _rolled_traced(x, shift, axis, n)
    by = static_int(shift)
    by = by % n if isinstance(n, int) else by
    if by == 0:
        return x
    head: Size = n - by if by > 0 else -by
    return emit("concatenate", sliced(x, axis, head, n), sliced(x, axis, 0, head), axis=axis)


def _rolled_traced(x: Array, shift: Array, axis: int, n: Size) -> Array:
    """Twice the array, and a window of it that starts at -shift mod n."""
    by = convert(operand(shift), "i64")
    start = emit("remainder", emit("negate", by), size_like(n, by))
    twice = emit("concatenate", x, x, axis=axis)
    starts = [start if a == axis else constant(0, "i64") for a in range(x.ndim)]
    return emit("dynamic_slice", twice, *starts, sizes=shape_of(x))


# ---- deleting and inserting ------------------------------------------------------------------------------------


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    x, at, n = _line(arr, axis)
    kept = np.delete(np.arange(n), _static_positions(obj))
    return take_along(x, constant(tuple(kept.tolist()), "i64", kept.shape), at)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """Known positions: `arr` and the new values are joined and put in order by one gather."""
    x, at, n = _line(arr, axis)
    where = _static_positions(obj)
    new = convert(operand(values), x.type.dtype)
    count = 1 if not isinstance(where, (slice, np.ndarray)) else len(np.arange(n)[where]) if isinstance(
        where, slice) else where.size
    lone = not isinstance(where, (slice, np.ndarray))
    if lone and new.ndim == x.ndim:
        count = static_int(new.shape[at])
    elif lone and x.ndim == 1 and new.ndim == 1:
        count = static_int(new.shape[0])
    shape = (*shape_of(x)[:at], count, *shape_of(x)[at + 1:])
    if lone and 0 < new.ndim < x.ndim and at < x.ndim:
        new = reshaped(new, (*shape_of(new)[:at], 1, *shape_of(new)[at:])) if new.ndim == x.ndim - 1 else new
    both = emit("concatenate", x, broadcast_to(new, shape), axis=at)
    order = np.insert(np.arange(n), where, np.arange(n, n + count))
    return take_along(both, constant(tuple(order.tolist()), "i64", order.shape), at)


def _line(arr: Any, axis: Any) -> tuple[Array, int, int]:
    x = operand(arr)
    x = convert(flattened(x) if axis is None else x, x.type.dtype)
    at = 0 if axis is None else normal_axis(axis, x.ndim)
    return x, at, static_int(x.shape[at])


def _static_positions(obj: Any) -> Any:
    if isinstance(obj, (list, tuple, np.ndarray)):
        return np.asarray(obj)
    if isinstance(obj, slice):
        return slice(*(None if b is None else static_int(b) for b in (obj.start, obj.stop, obj.step)))
    if isinstance(obj, Array) and obj.ndim:
        unsupported("traced positions can't be compiled here: the result's layout depends on them",
                    fix="pass a list of ints, or select with a mask x[mask]")
    return static_int(obj)


# ---- padding ---------------------------------------------------------------------------------------------------


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """np.pad: constant, edge, reflect, symmetric, wrap, empty, maximum, minimum, mean, linear_ramp."""
    x = operand(array)
    x = convert(x, x.type.dtype)
    widths = _pad_widths(pad_width, x.ndim)
    if any(isinstance(w, int) and w < 0 for pair in widths for w in pair):
        fail(ValueError, "index can't contain negative values")
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, options.get("constant_values", 0))
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        unsupported(f"np.pad(mode={mode!r}) can't be compiled", fix="use constant, edge, reflect, symmetric or wrap")
    if options.get("reflect_type", "even") != "even":
        unsupported("np.pad(reflect_type='odd') can't be compiled", fix="use reflect_type='even'")
    for axis, (before, after) in enumerate(widths):
        if (before, after) != (0, 0):
            x = _pad_by_index(x, axis, static_int(before), static_int(after), mode)
    return x


def _pad_widths(pad_width: Any, ndim: int) -> list[tuple[Any, Any]]:
    if isinstance(pad_width, dict):
        pairs: list[tuple[Any, Any]] = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            pairs[normal_axis(axis, ndim)] = width if isinstance(width, tuple) else (width, width)
        return pairs
    if isinstance(pad_width, np.ndarray):
        pad_width = pad_width.tolist()
    if not isinstance(pad_width, (tuple, list)):
        return [(as_size(pad_width), as_size(pad_width))] * ndim
    items = [p if isinstance(p, (tuple, list)) else (p,) for p in pad_width]
    if not isinstance(pad_width[0], (tuple, list)):
        items = [tuple(pad_width)]
    pairs = [(as_size(p[0]), as_size(p[-1])) for p in items]
    if len(pairs) not in (1, ndim):
        fail(ValueError, f"operands could not be broadcast together with remapped shapes [original->remapped]: "
             f"({len(pairs)},2)  and requested shape ({ndim},2)")
    return pairs * ndim if len(pairs) == 1 else pairs


def _pad_constant(x: Array, widths: Sequence[tuple[Any, Any]], values: Any) -> Array:
    if not isinstance(values, (tuple, list)):
        return _padded(x, [w[0] for w in widths], [w[1] for w in widths], values)
    pairs = _pad_values(values, x.ndim)
    for axis, ((before, after), (low, high)) in enumerate(zip(widths, pairs)):
        x = _padded(x, [before if a == axis else 0 for a in range(x.ndim)], [0] * x.ndim, low)
        x = _padded(x, [0] * x.ndim, [after if a == axis else 0 for a in range(x.ndim)], high)
    return x


def _pad_values(values: Any, ndim: int) -> list[tuple[Any, Any]]:
    items = [v if isinstance(v, (tuple, list)) else (v,) for v in values]
    if not isinstance(values[0], (tuple, list)):
        items = [tuple(values)]
    pairs = [(v[0], v[-1]) for v in items]
    return pairs * ndim if len(pairs) == 1 else pairs


def _padded(x: Array, low: Sequence[Any], high: Sequence[Any], value: Any) -> Array:
    if all(isinstance(w, int) and w == 0 for w in (*low, *high)):
        return x
    fill = operand(value)
    fill = convert(emit("real", fill) if fill.type.dtype.is_complex and not x.type.dtype.is_complex else fill,
                   x.type.dtype)
    return emit("pad", x, reshaped(fill, ()), low=tuple(low), high=tuple(high), interior=(0,) * x.ndim)


def _pad_by_index(x: Array, axis: int, before: int, after: int, mode: Any) -> Array:
    """Edge, reflected or wrapped elements, as pieces of the axis (small paddings) or one gather."""
    n = static_int(x.shape[axis])
    if n == 0:
        fail(ValueError, f"can't extend empty axis {axis} using modes other than 'constant' or 'empty'")
    positions = np.pad(np.arange(n), (before, after), mode)
    if mode == "edge":
        first, last = sliced(x, axis, 0, 1), sliced(x, axis, n - 1, n)
        shape = shape_of(x)
        parts = [broadcast_to(p, (*shape[:axis], count, *shape[axis + 1:])) if p is not x else x
                 for p, count in ((first, before), (x, n), (last, after)) if count]
    else:
        parts = [_run(x, axis, run) for run in _runs(positions.tolist())]
    if len(parts) > 8:
        return take_along(x, constant(tuple(positions.tolist()), "i64", positions.shape), axis)
    return parts[0] if len(parts) == 1 else emit("concatenate", *parts, axis=axis)


def _runs(positions: list[int]) -> list[tuple[int, int, int]]:
    """Stretches (first, last, step) of consecutive positions."""
    runs: list[tuple[int, int, int]] = []
    for p in positions:
        if runs:
            first, last, step = runs[-1]
            if abs(p - last) == 1 and (first == last or p - last == step):
                runs[-1] = first, p, p - last
                continue
        runs.append((p, p, 1))
    return runs


def _run(x: Array, axis: int, run: tuple[int, int, int]) -> Array:
    first, last, step = run
    part = sliced(x, axis, min(first, last), max(first, last) + 1)
    return part if step > 0 or first == last else emit("reverse", part, axes=(axis,))
