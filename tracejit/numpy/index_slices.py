"""Slices of one axis: bounds known while tracing, sizes, and bounds that only the run will tell.

Flows in:  `slice` objects whose parts are None, ints, sizes or traced ints.
Flows out: `Cut`: where it starts, how many elements, in which steps. A run-time number of elements is bound as a size.
"""
from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

from tracejit.base.dims import Size, dim_function
from tracejit.numpy.index_forms import form_of, is_non_negative
from tracejit.numpy.index_ranges import at_least, least_of
from tracejit.numpy.support import bound_size, emit, fail, size_scalar
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, constant, convert, lift, static_int
from tracejit.tracing.context import current
from tracejit.tracing.sizes import size_of, sized


@dataclass(frozen=True, slots=True)
class Cut:
    """A slice of one axis: `count` elements from `start` in steps of `stride`; start and stride may be traced."""

    start: Any
    count: Size
    stride: Any = 1

    @property
    def is_traced(self) -> bool:
        return isinstance(self.start, Array) or isinstance(self.stride, Array)


def has_hint(size: Size) -> bool:
    """Whether today's value is known: not for sizes that only the run will tell."""
    return current().hint(size) is not None


def cut(size: Size, part: slice, axis: int) -> Cut:
    """A slice of an axis of `size`, as Python's `slice.indices` resolves it."""
    if part == slice(None):
        return Cut(0, size)
    step = 1 if part.step is None else _bound(part.step)
    step = step if isinstance(step, Array) else static_int(sized(step))
    if isinstance(step, int) and step == 0:
        fail(ValueError, "slice step cannot be zero")
    bounds = [_bound(b) for b in (part.start, part.stop)]
    if any(isinstance(b, Array) for b in (*bounds, step)):
        return _traced_cut(size, bounds[0], bounds[1], step)
    assert isinstance(step, int)
    if isinstance(size, int) and all(b is None or isinstance(b, int) for b in bounds):
        start, stop, step = slice(bounds[0], bounds[1], step).indices(size)
        return Cut(start, len(range(start, stop, step)), step)
    return _symbolic_cut(size, bounds[0], bounds[1], step)


def _bound(bound: Any) -> Any:
    """None, a size, or a traced scalar which no scalar argument alone makes."""
    if bound is None or isinstance(bound, int):
        return bound
    size = size_of(bound)
    if size is not None:
        return size
    if not isinstance(bound, Array) and hasattr(type(bound), "__index__"):
        return operator.index(bound)
    if not isinstance(bound, Array) or bound.ndim or bound.type.dtype.kind not in "iu":
        fail(TypeError, "slice indices must be integers or None or have an __index__ method")
    known = form_of(bound).known
    return convert(bound, "i64") if known is None else known


def smaller(x: Size, y: Size) -> Size:
    """The smaller of two sizes: decided by today's values (guarded), or symbolic where only the run will tell."""
    if at_least(y, x) or at_least(x, y):
        return x if at_least(y, x) else y
    if has_hint(x) and has_hint(y):
        return x if sized(x) <= sized(y) else y
    return dim_function("min", x, y)


def larger(x: Size, y: Size) -> Size:
    if at_least(x, y) or at_least(y, x):
        return x if at_least(x, y) else y
    if has_hint(x) and has_hint(y):
        return x if sized(x) >= sized(y) else y
    return dim_function("max", x, y)


def _is_negative(bound: Size) -> bool:
    return bound < 0 if isinstance(bound, int) else has_hint(bound) and bool(sized(bound) < 0)


def _symbolic_cut(size: Size, start: Size | None, stop: Size | None, step: int) -> Cut:
    def place(bound: Size | None, default: Size, low: Size, high: Size) -> Size:
        return default if bound is None else _symbolic_place(bound, low, high, size)

    if step > 0:
        first, last = place(start, 0, 0, size), place(stop, size, 0, size)
        return Cut(first, larger(0, (last - first + step - 1) // step), step)
    first, last = place(start, size - 1, -1, size - 1), place(stop, -1, -1, size - 1)
    return Cut(first, larger(0, (first - last - step - 1) // -step), step)


def _symbolic_place(bound: Size, low: Size, high: Size, size: Size) -> Size:
    return larger(bound + size, low) if _is_negative(bound) else smaller(bound, high)


# ---- traced bounds ---------------------------------------------------------------------------------------------


def _traced_cut(size: Size, start: Any, stop: Any, step: Any) -> Cut:
    """Bounds computed at run time: a known length if their difference is known, else a run-time size."""
    if (known := _of_known_length(size, start, stop, step)) is not None:
        return known
    up = _direction(step)
    if isinstance(up, Array):
        return _cut_either_way(size, start, stop, step, up)
    first = _placed(start, 0 if up else size - 1, size, up)
    last = _placed(stop, size if up else -1, size, up)
    return Cut(first, _count(first, last, step, up), step)


def _direction(step: Any) -> Any:
    """True for steps forward, False for steps back, else a traced bool; a traced step of 0 is refused at run time."""
    if isinstance(step, int):
        return step > 0
    if at_least(step, 1):
        return True
    if at_least(-1, step):
        return False
    assert_(emit("compare", step, constant(0, "i64"), direction="NE"), "ValueError", "slice step cannot be zero")
    return True if at_least(step, 0) else emit("compare", step, constant(0, "i64"), direction="GT")


def _of_known_length(size: Size, start: Any, stop: Any, step: Any) -> Cut | None:
    """`x[i:i + 3]` where it lies inside of the axis. Outside of loops that is asserted, where it is not known."""
    if start is None or stop is None or not isinstance(step, int) or abs(step) != 1:
        return None
    distance = form_of(stop).plus(form_of(start), -1).times(step).known
    if not is_non_negative(distance) or isinstance(distance, int) and isinstance(size, int) and distance > size:
        return None
    assert distance is not None
    low, high = (start, stop) if step > 0 else (stop, start)
    limit = size if step > 0 else size - 1
    if not (at_least(low, 0) and at_least(limit, high)):
        if current().scope.parent is not None:
            return None
        _assert_between(low, high, limit, size)
    return Cut(as_scalar_index(start), distance, step)


def _assert_between(low: Any, high: Any, limit: Size, size: Size) -> None:
    first, last = as_scalar_index(low), as_scalar_index(high)
    inside = emit("and", emit("compare", first, constant(0, "i64"), direction="GE"),
                  emit("compare", last, as_scalar_index(limit), direction="LE"))
    assert_(inside, "IndexError", "the slice {0}:{1} of an axis with size {2} is out of range, and its length must be "
            "known", first, last, as_scalar_index(size))


def as_scalar_index(x: Any) -> Array:
    if not isinstance(x, Array):
        x = lift(size_scalar(x))
    return convert(x, "i64")


def _placed(bound: Any, default: Size, size: Size, up: bool) -> Any:
    """A slice bound as Python resolves it: negative from the end, then clipped to the axis."""
    if bound is None:
        return default
    low, high = (0, size) if up else (-1, size - 1)
    if not isinstance(bound, Array):
        inside = at_least(bound, 0) and at_least(high, bound)
        return bound if inside else _symbolic_place(bound, low, high, size)
    inner = as_scalar_index(bound)
    if not at_least(inner, 0):
        moved = emit("add", inner, as_scalar_index(size))
        inner = moved if at_least(-1, inner) else emit(
            "select", emit("compare", inner, constant(0, "i64"), direction="LT"), moved, inner)
    if not at_least(inner, low):
        inner = emit("maximum", inner, constant(low, "i64"))
    return inner if at_least(high, inner) else emit("minimum", inner, as_scalar_index(high))


def _count(first: Any, last: Any, step: Any, up: bool) -> Size:
    """max(0, ceil((last - first) / step)) as a size."""
    form = form_of(last).plus(form_of(first), -1)
    form, by = (form if up else form.times(-1)), (step if up or not isinstance(step, int) else -step)
    inside = is_non_negative(least_of(form))
    if isinstance(by, int) and by == 1 and inside and form.known is not None:
        return form.known
    distance = _difference(last, first) if up else _difference(first, last)
    if not (isinstance(by, int) and by == 1):
        by = as_scalar_index(by)
        by = by if up or not isinstance(step, Array) else emit("negate", by)
        distance = emit("floor_divide", emit("add", distance, emit("subtract", by, constant(1, "i64"))), by)
        return bound_size(distance if inside else emit("maximum", distance, constant(0, "i64")))
    return bound_size(distance, form) if inside else bound_size(emit("maximum", distance, constant(0, "i64")))


def _difference(x: Any, y: Any) -> Array:
    return as_scalar_index(x) if isinstance(y, int) and y == 0 else emit("subtract", *map(as_scalar_index, (x, y)))


def range_count(first: Any, last: Any, step: int) -> Size:
    """The length of range(first, last, step) of ints that may be traced."""
    return _count(first, last, step, step > 0)


def _cut_either_way(size: Size, start: Any, stop: Any, step: Array, up: Array) -> Cut:
    """The direction is known at run time only: both ways are resolved, one is taken."""
    def resolved(bound: Any, forward: Size, back: Size) -> Array:
        return emit("select", up, as_scalar_index(_placed(bound, forward, size, True)),
                    as_scalar_index(_placed(bound, back, size, False)))

    first, last = resolved(start, 0, size - 1), resolved(stop, size, -1)
    distance, one = emit("subtract", last, first), constant(1, "i64")
    toward = emit("select", up, emit("subtract", step, one), emit("add", step, one))
    count = emit("floor_divide", emit("add", distance, toward), step)
    return Cut(first, bound_size(emit("maximum", count, constant(0, "i64"))), step)
