"""`x[...]`, `x[...] = v` and `x.at[...]`: all mixtures of basic and advanced indexing.

Flows in:  an array and a key as the user wrote it.
Flows out: slice, reverse, gather, reshape for reading; dynamic_update_slice, pad + select, scatter for writing.

Reading is three steps, each with its inverse for writing: cut the axes that are sliced; take points and index arrays;
shape the result (drop axes, add new ones, put the axes of index arrays where NumPy does).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.dims import Size
from tracejit.numpy.index_plans import Gathered, New, Plan, Point, plan_index, require_mask_fits
from tracejit.numpy.index_slices import Cut, as_scalar_index
from tracejit.numpy.support import (
    as_index,
    emit,
    fail,
    filled,
    iota,
    operand,
    placed,
    reshaped,
    select,
    shape_of,
    size_scalar,
    transposed,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import (
    assert_,
    broadcast,
    broadcast_shapes,
    broadcast_to,
    constant,
    convert,
    lift,
    view,
)
from tracejit.tracing.context import current
from tracejit.tracing.implements import READ, UPDATE, implements

_COMBINE: dict[str, np.ufunc] = {    # fixed table: how `x.at[i].op` joins old and new elements
    "add": np.add, "multiply": np.multiply, "minimum": np.minimum, "maximum": np.maximum}


@implements(READ)
def read(x: Array, key: Any) -> Any:
    """`x[key]`: a view for basic keys, a copy for advanced ones, a scalar for a full set of ints."""
    if x.is_scalar and x.weak is not None:
        fail(TypeError, "a Python number is not subscriptable")
    plan = plan_index(x, key)
    if not plan.is_basic:
        return gather(operand(x), plan)
    if not _keeps_axes(plan) and key is not Ellipsis and not (isinstance(key, tuple) and Ellipsis in _plain(key)):
        return get(operand(x), plan)
    made = view(x, lambda parent: get(parent, plan), lambda parent, new: put(parent, plan, new))
    if made.ndim == 0 and made.kind == "numpy":
        made.boxed = True
    return made


def _plain(key: tuple[Any, ...]) -> list[Any]:
    return [k for k in key if k is None or k is Ellipsis]


def _keeps_axes(plan: Plan) -> bool:
    return any(not isinstance(i, Point) for i in plan.items)


@implements(UPDATE)
def update(x: Array, key: Any, value: Any, combine: str = "set") -> Array:
    """`x` with `x[key]` replaced by `value`, or joined with it; pure."""
    x = operand(x)
    mask = _lone_mask(x, key)
    if mask is not None:
        return _update_where(x, mask, value, combine)
    plan = plan_index(x, key)
    fitted = _fitted_value(value, x)
    if fitted.ndim and len(plan.items) == x.ndim and not _keeps_axes(plan):
        fail(ValueError, "setting an array element with a sequence.", fix="assign one number, for example v[0]")
    if plan.is_basic:
        old = get(x, plan) if combine != "set" else None
        new = _broadcast_value(fitted, _result_shape(x, plan))
        return put(x, plan, new if old is None else convert(elementwise(_COMBINE[combine], old, new), x.type.dtype))
    return scatter(x, plan, fitted, combine)


def _fitted_value(value: Any, x: Array) -> Array:
    """The assigned value in the dtype of `x`, as NumPy's unsafe cast."""
    array = operand(value)
    if array.type.dtype.is_complex and not x.type.dtype.is_complex:
        if array.ndim == 0 and array.weak is not None:
            fail(TypeError, "float() argument must be a string or a real number, not 'complex'")
        array = emit("real", array)
    return convert(array, x.type.dtype)


def _broadcast_value(value: Array, shape: Sequence[Size]) -> Array:
    """`value` in the shape of the elements that it replaces; leading axes of size 1 are dropped as NumPy does."""
    extra = value.ndim - len(shape)
    if extra > 0 and all(n == 1 for n in shape_of(value)[:extra]):
        value = reshaped(value, shape_of(value)[extra:])
    if value.ndim > len(shape) or broadcast_shapes(shape_of(value), shape) != tuple(shape):
        fail(ValueError, f"could not broadcast input array from shape {_text(shape_of(value))} into shape "
             f"{_text(shape)}")
    return broadcast_to(value, shape)


def _text(shape: Sequence[Size]) -> str:
    return f"({','.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


# ---- cutting ---------------------------------------------------------------------------------------------------


def _is_whole(cut: Cut, size: Size) -> bool:
    return not cut.is_traced and cut.start == 0 and cut.stride == 1 and cut.count == size


def _low(cut: Cut) -> Any:
    """The first index in memory that a cut with a known stride touches."""
    if cut.count == 0:
        return 0
    if cut.stride > 0:
        return cut.start
    back = (cut.count - 1) * -cut.stride
    if not isinstance(cut.start, Array):
        return cut.start - back
    return emit("subtract", cut.start, as_scalar_index(back)) if back != 0 else cut.start


def cut_out(x: Array, cuts: Sequence[Cut]) -> Array:
    """The elements that the cuts keep."""
    shape = shape_of(x)
    if all(map(_is_whole, cuts, shape)):
        return x
    if any(c.is_traced for c in cuts):
        return _cut_out_traced(x, cuts)
    low = tuple(map(_low, cuts))
    limit = tuple(0 if c.count == 0 else a + (c.count - 1) * abs(c.stride) + 1 for c, a in zip(cuts, low))
    return _reversed(emit("slice", x, start=low, limit=limit, stride=tuple(abs(c.stride) for c in cuts)), cuts)


def _reversed(x: Array, cuts: Sequence[Cut]) -> Array:
    axes = tuple(i for i, c in enumerate(cuts) if not isinstance(c.stride, Array) and c.stride < 0)
    return emit("reverse", x, axes=axes) if axes else x


def _spread(cut: Cut) -> bool:
    """Whether a cut steps over elements from a start, by a stride or up to a count that only the run will tell."""
    if isinstance(cut.stride, Array):
        return True
    return abs(cut.stride) != 1 and (cut.is_traced or bool(current().late_symbols(cut.count)))


def _windows(x: Array, cuts: Sequence[Cut]) -> list[Cut]:
    """Runs of neighbours, one per axis, which hold all that the cuts keep."""
    return [Cut(0, n) if _spread(c) else Cut(_low(c), (c.count - 1) * abs(c.stride) + 1 if c.count != 0 else 0)
            for c, n in zip(cuts, shape_of(x))]


def _in_window(cuts: Sequence[Cut]) -> list[Cut]:
    """What the cuts keep of their windows; traced ones keep them whole."""
    return [Cut(0 if c.stride > 0 else (c.count - 1) * -c.stride, c.count, c.stride)
            if not _spread(c) else c for c in cuts]


def _cut_out_traced(x: Array, cuts: Sequence[Cut]) -> Array:
    """One dynamic_slice of neighbours; then steps: known ones by slice and reverse, traced ones by gather."""
    windows = _windows(x, cuts)
    part = x if all(map(_is_whole, windows, shape_of(x))) else emit(
        "dynamic_slice", x, *_starts(windows), sizes=tuple(w.count for w in windows))
    inner = _in_window(cuts)
    part = cut_out(part, [Cut(0, n) if _spread(c) else c for c, n in zip(inner, shape_of(part))])
    for axis, c in enumerate(cuts):
        if _spread(c):
            taken = emit("gather", part, _positions(c), axes=(axis,))
            part = transposed(taken, [*range(1, axis + 1), 0, *range(axis + 1, part.ndim)])
    return part


def _positions(cut: Cut) -> Array:
    """start + stride * (0, 1, ...): the indices that a cut keeps."""
    steps = iota(cut.count)
    if not (isinstance(cut.stride, int) and cut.stride == 1):
        steps = emit("multiply", steps, broadcast_to(as_scalar_index(cut.stride), (cut.count,)))
    if isinstance(cut.start, int) and cut.start == 0:
        return steps
    return emit("add", steps, broadcast_to(as_scalar_index(cut.start), (cut.count,)))


def _starts(cuts: Sequence[Cut]) -> list[Array]:
    return [as_scalar_index(c.start) for c in cuts]


def put_back(x: Array, cuts: Sequence[Cut], new: Array) -> Array:
    """`x` with the elements that the cuts keep replaced by `new`."""
    shape = shape_of(x)
    if all(map(_is_whole, cuts, shape)):
        return new
    if any(c.count == 0 for c in cuts):
        return x
    if any(map(_spread, cuts)):
        return _put_spread(x, cuts, new)
    if all(c.count == 1 or abs(c.stride) == 1 for c in cuts):
        return emit("dynamic_update_slice", x, _reversed(new, cuts), *_starts([Cut(_low(c), c.count) for c in cuts]))
    if any(c.is_traced for c in cuts):
        windows = _windows(x, cuts)
        return put_back(x, windows, put_back(cut_out(x, windows), _in_window(cuts), new))
    return _put_strided(x, cuts, _reversed(new, cuts))


def _put_spread(x: Array, cuts: Sequence[Cut], new: Array) -> Array:
    """Traced steps: a scatter into the window of the other axes; single elements of these are scattered to at once."""
    if all(_spread(c) or c.count == 1 for c in cuts):
        return _scattered(x, dict(enumerate(cuts)), new)
    others = [Cut(0, n) if _spread(c) else c for c, n in zip(cuts, shape_of(x))]
    part = _scattered(cut_out(x, others), {a: c for a, c in enumerate(cuts) if _spread(c)}, new)
    return put_back(x, others, part)


def _scattered(x: Array, cuts: dict[int, Cut], new: Array) -> Array:
    """`x` with the elements that cuts of some axes keep replaced by `new`, whose axes are those of `x`."""
    shape = tuple(c.count for c in cuts.values())
    indices = [placed(_positions(c), shape, (k,)) for k, c in enumerate(cuts.values())]
    updates = transposed(new, [*cuts, *(a for a in range(x.ndim) if a not in cuts)])
    return emit("scatter", x, updates, *indices, axes=tuple(cuts), combine="set")


def _put_strided(x: Array, cuts: Sequence[Cut], new: Array) -> Array:
    """Steps over elements: the new ones are spread by padding, and selected where they land."""
    steps = [abs(c.stride) for c in cuts]
    low = [c.start if c.stride > 0 else c.start + (c.count - 1) * c.stride for c in cuts]
    high = [n - a - (c.count - 1) * s - 1 for n, a, c, s in zip(shape_of(x), low, cuts, steps)]
    between = tuple(s - 1 for s in steps)
    spread = {"low": tuple(low), "high": tuple(high), "interior": between}
    here = emit("pad", filled(True, "bool", shape_of(new)), constant(False, "bool"), **spread)
    values = emit("pad", new, constant(x.type.dtype.numpy.type(0).item(), x.type.dtype), **spread)
    return select(here, values, x)


# ---- basic keys ------------------------------------------------------------------------------------------------


def _cuts(plan: Plan) -> list[Cut]:
    """One cut per axis: a point is a cut of one element."""
    return [Cut(i.index, 1) if isinstance(i, Point) else i for i in plan.axes if isinstance(i, (Cut, Point))]


def _points(plan: Plan) -> dict[int, Array]:
    """Indices by axis, if any of them is traced."""
    points = {a: i.index for a, i in enumerate(plan.axes) if isinstance(i, Point)}
    if not any(isinstance(i, Array) for i in points.values()):
        return {}
    return {a: as_scalar_index(i) for a, i in points.items()}


def get(x: Array, plan: Plan) -> Array:
    """The elements of a basic key: first the slices, of which traced points then take their place."""
    points = _points(plan)
    cuts = [Cut(0, n) if a in points else c for a, (c, n) in enumerate(zip(_cuts(plan), shape_of(x)))]
    part = cut_out(x, cuts)
    if points:
        part = emit("gather", part, *points.values(), axes=tuple(points))
    return reshaped(part, _result_shape(x, plan))


def _result_shape(x: Array, plan: Plan) -> tuple[Size, ...]:
    """The shape of what a basic key gives: cuts, and 1 for new axes."""
    return tuple(1 if isinstance(i, New) else i.count for i in plan.items if isinstance(i, (New, Cut)))


def put(x: Array, plan: Plan, new: Array) -> Array:
    """`x` with the elements of a basic key replaced by `new`, which has their shape. One element: one scatter."""
    points = _points(plan)
    if points and len(points) == x.ndim:
        return emit("scatter", x, reshaped(new, ()), *points.values(), axes=tuple(points), combine="set")
    cuts = _cuts(plan)
    return put_back(x, cuts, reshaped(new, [c.count for c in cuts]))


# ---- advanced keys ---------------------------------------------------------------------------------------------


def _indices(plan: Plan) -> tuple[list[int], list[Array]]:
    """Axes with an index, and the indices broadcast together; points count as index arrays here."""
    axes, found = [], []
    for axis, item in enumerate(plan.axes):
        if isinstance(item, Gathered):
            found.append(item.index)
            axes.append(axis)
        elif isinstance(item, Point):
            found.append(item.index if isinstance(item.index, Array) else
                         convert(lift(size_scalar(item.index)), "i64"))
            axes.append(axis)
    try:
        return axes, broadcast(*_of_one_size(found))
    except ValueError:
        shapes = " ".join(_text(shape_of(i)) for i in found)
        fail(IndexError, f"shape mismatch: indexing arrays could not be broadcast together with shapes {shapes}")


def _of_one_size(indices: list[Array]) -> list[Array]:
    """Index lines whose sizes only the run will tell (masks) are asserted to have the size of the first line."""
    lines = [i for i in indices if i.ndim == 1]
    unknown = [i for i in lines if current().hint(shape_of(i)[0]) is None]
    if not unknown or len({shape_of(i) for i in lines}) == 1:
        return indices
    first = next((i for i in lines if not any(i is u for u in unknown)), unknown[0])
    size = shape_of(first)[0]
    return [_resized_line(i, size) if any(i is u for u in unknown) and i is not first else i for i in indices]


def _resized_line(index: Array, size: Size) -> Array:
    have, want = (convert(lift(size_scalar(n)), "i64") for n in (shape_of(index)[0], size))
    assert_(emit("compare", have, want, direction="EQ"), "IndexError", "shape mismatch: indexing arrays could not be "
            "broadcast together with shapes ({0},) ({1},)", want, have)
    return emit("gather", index, iota(size), axes=(0,))


def _slices_only(x: Array, plan: Plan) -> list[Cut]:
    return [i if isinstance(i, Cut) else Cut(0, n) for i, n in zip(plan.axes, shape_of(x))]


def _place(plan: Plan) -> int:
    """Where the axes of the index arrays go: in place of them if they stand together, else in front."""
    at = [k for k, i in enumerate(plan.items) if isinstance(i, (Gathered, Point))]
    together = at[-1] - at[0] == len(at) - 1
    return sum(not isinstance(i, (Gathered, Point)) for i in plan.items[:at[0]]) if together else 0


def _layout(plan: Plan, index_shape: Sequence[Size]) -> tuple[list[int], list[Size], int]:
    """Permutation of (index axes, cut axes) into result order without new axes; the result's shape; index rank."""
    place, rank = _place(plan), len(index_shape)
    others = [i for i in plan.items if isinstance(i, (Cut, New))]
    cuts_before = sum(isinstance(i, Cut) for i in others[:place])
    count = sum(isinstance(i, Cut) for i in others)
    order = [*range(rank, rank + cuts_before), *range(rank), *range(rank + cuts_before, rank + count)]
    sizes = [1 if isinstance(i, New) else i.count for i in others]
    return order, [*sizes[:place], *index_shape, *sizes[place:]], rank


def gather(x: Array, plan: Plan) -> Array:
    """The elements of an advanced key."""
    axes, indices = _indices(plan)
    part = emit("gather", cut_out(x, _slices_only(x, plan)), *indices, axes=tuple(axes))
    order, shape, _ = _layout(plan, shape_of(indices[0]))
    return reshaped(transposed(part, order), shape)


def scatter(x: Array, plan: Plan, value: Array, combine: str) -> Array:
    """`x` with the elements of an advanced key replaced by, or joined with, `value`."""
    axes, indices = _indices(plan)
    order, shape, _ = _layout(plan, shape_of(indices[0]))
    full = _broadcast_value(value, shape)
    without_new = _without_new(plan, shape, len(shape_of(indices[0])))
    updates = transposed(reshaped(full, without_new), sorted(range(len(order)), key=lambda i: order[i]))
    cuts = _slices_only(x, plan)
    inner = cut_out(x, cuts)
    joined = {"add": "or", "multiply": "and", "maximum": "or", "minimum": "and"}.get(combine, combine) \
        if x.type.dtype.kind == "b" else combine
    return put_back(x, cuts, emit("scatter", inner, updates, *indices, axes=tuple(axes), combine=joined))


def _without_new(plan: Plan, shape: Sequence[Size], rank: int) -> list[Size]:
    """The result's shape less its new axes."""
    place = _place(plan)
    others = [i for i in plan.items if isinstance(i, (Cut, New))]
    kinds: list[Any] = [*others[:place], *[None] * rank, *others[place:]]
    return [n for n, kind in zip(shape, kinds) if not isinstance(kind, New)]


# ---- masks -----------------------------------------------------------------------------------------------------


def _lone_mask(x: Array, key: Any) -> Array | None:
    """The mask of `x[mask] = v`, if the key is a traced mask of at least one axis and nothing else."""
    mask = key[0] if isinstance(key, tuple) and len(key) == 1 else key
    if isinstance(mask, np.ndarray):
        mask = operand(mask)
    if not isinstance(mask, Array) or mask.type.dtype.kind != "b" or not 0 < mask.ndim <= x.ndim:
        return None
    return mask


def _update_where(x: Array, mask: Array, value: Any, combine: str) -> Array:
    """`x[mask] = v`: a select; no size has to be known."""
    require_mask_fits(x, 0, mask)
    fitted, rest = _fitted_value(value, x), shape_of(x)[mask.ndim:]
    where = placed(mask, shape_of(x), range(mask.ndim))
    if fitted.ndim <= len(rest):
        new = _broadcast_value(fitted, rest)
        new = placed(new, shape_of(x), range(mask.ndim, x.ndim))
    else:
        new = _values_in_order(x, mask, fitted, rest)
    return select(where, new if combine == "set" else convert(
        elementwise(_COMBINE[combine], x, new), x.type.dtype), x)


def _values_in_order(x: Array, mask: Array, value: Array, rest: Sequence[Size]) -> Array:
    """One value per True, in order, each at its place; their number is checked at run time."""
    flat = reshaped(mask, (mask.type.size,))
    ones = convert(flat, "i64")
    number, given = emit("reduce_sum", ones, axes=(0,)), shape_of(value)[0]
    value = _broadcast_value(value, (given, *rest))
    if given == 1:
        return placed(reshaped(value, rest), shape_of(x), range(mask.ndim, x.ndim))
    have = convert(lift(size_scalar(given)), "i64")
    assert_(emit("compare", number, have, direction="EQ"), "ValueError", "NumPy boolean array indexing assignment "
            "cannot assign {0} input values to the {1} output values where the mask is true", have, number)
    if given == 0:
        return x
    order = emit("subtract", emit("cumulative_sum", ones, axis=0, reverse=False), filled(1, "i64", shape_of(flat)))
    spread = emit("gather", value, as_index(order), axes=(0,))
    return reshaped(spread, shape_of(x))

