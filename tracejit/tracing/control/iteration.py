"""What `for` runs over while tracing: something with a length and an item for each position.

Flows in:  iterables of user code: ranges, arrays, lists of numbers, and `enumerate`, `zip`, `reversed`, `map` of them.
Flows out: `Iteration`; None for what Python iterates itself.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tracejit.base.dtypes import I64
from tracejit.base.errors import UnsupportedError
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, convert, emit, lift
from tracejit.tracing.context import current
from tracejit.tracing.control.rows import RunTimeList
from tracejit.tracing.implements import NUMPY, READ
from tracejit.tracing.scalars import weak
from tracejit.tracing.sizes import Size
from tracejit.tracing.spans import current_span

_LONG = 4       # items: lists of more numbers are looped over, not unrolled


class Once:
    """Something that Python iterates once: used up by the first who asks for its elements."""

    __slots__ = ("_made_in", "_state")

    def __init__(self) -> None:
        self._made_in, self._state = current().scope, "fresh"

    def use_up(self, wholly: bool = True) -> bool:
        """Whether there are elements still. wholly: all are taken now; else only the run knows how many are left.

        A loop or branch can't use up what was made outside of it.
        """
        if self._state == "spent":
            return False
        if self._state == "partly spent" or current().scope is not self._made_in:
            raise UnsupportedError(
                "an iterator that was made before this loop or branch is used up in it"
                if self._state == "fresh" else "elements are taken of an iterator of which some were taken before",
                span=current_span(2), why="how much of it is left would depend on the run",
                fix="make the generator, map, zip or filter where its elements are used")
        self._state = "spent" if wholly else "partly spent"
        return True


class Iteration:
    """length: an int, a `Size` or a traced int.  item(i): what the round with this index gets; i counts from 0.

    holds: what it reads, which lives as long as it does: arrays, and other iterations.
    """

    __slots__ = ("holds", "item", "length", "once")

    def __init__(self, length: Any, item: Callable[[Any], Any], once: Once | None = None,
                 holds: tuple[Any, ...] = ()):
        self.length, self.item, self.once, self.holds = length, item, once, holds

    def taken(self) -> Iteration:
        """What is left of it, for someone who takes all."""
        return self if self.once is None or self.once.use_up() else Iteration(0, self.item)

    def __iter__(self) -> Iterator[Any]:
        left = self.taken()
        if left is not self:
            return iter(())
        return (self.item(i) for i in range(int(self.length)))    # an array may change meanwhile

    def __len__(self) -> int:
        return int(self.length)


class TracedRange(Iteration):
    """`range(start, stop, step)` with traced bounds."""

    __slots__ = ()


def iteration_of(value: Any) -> Iteration | None:
    """How a loop runs over `value`; None if Python has to do it."""
    if isinstance(value, Iteration):
        return value
    if isinstance(value, RunTimeList):
        return Iteration(value.length(), value.at, holds=(value,))
    if type(value) is range:
        return Iteration(len(value), lambda i: value.start + i * value.step if value.step != 1 or value.start else i)
    if type(value) is Array and value.type.shape:
        return Iteration(value.shape[0], lambda i: NUMPY[READ](value, i), holds=(value,))
    if type(value) in (list, tuple) and len(value) > _LONG and len({type(v) for v in value}) == 1 \
            and type(value[0]) in (int, float, bool):
        numbers = list(value)
        return Iteration(len(numbers), lambda i: numbers[i] if type(i) is int else _number(numbers, i))
    return None


def _number(numbers: list[Any], i: Any) -> Any:
    """A Python number of a list, picked by a traced index that is in range."""
    kind = {int: "i", float: "f", bool: "b"}[type(numbers[0])]
    return weak(emit("gather", lift(numbers), convert(i, I64), axes=(0,)), kind)


def traced_range(*bounds: Any) -> Any:
    """`range` with a traced bound or size."""
    start, stop, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1) if len(bounds) == 2 else bounds
    length: Any
    if type(step) is Array:
        length = _length_of_traced_step(start, stop, step)
    elif step == 0:
        raise ValueError("range() arg 3 must not be zero")
    elif type(start) is int and start == 0 and type(step) is int and step == 1 and type(stop) is Size:
        length = stop
    else:
        distance = stop - start if step > 0 else start - stop
        length = _not_negative(distance if abs(step) == 1 else (distance + (abs(step) - 1)) // abs(step))
    if type(start) is int and start == 0 and type(step) is int and step == 1:
        return TracedRange(length, lambda i: i)
    return TracedRange(length, lambda i: start + i * step)


def _length_of_traced_step(start: Any, stop: Any, step: Array) -> Array:
    from tracejit.tracing.building import assert_
    s, e, d = (convert(x, I64) for x in (start, stop, step))
    zero, one = constant(0, I64), constant(1, I64)
    assert_(emit("compare", d, zero, direction="NE"), "ValueError", "range() arg 3 must not be zero")
    up = emit("compare", d, zero, direction="GT")
    distance = emit("select", up, emit("subtract", e, s), emit("subtract", s, e))
    size = emit("abs", d)
    trips = emit("floor_divide", emit("add", distance, emit("subtract", size, one)), size)
    return weak(emit("maximum", trips, zero), "i")


def _not_negative(length: Any) -> Any:
    if type(length) is int:
        return max(length, 0)
    if type(length) is Size:
        return length if length >= 0 else 0
    return weak(emit("maximum", convert(length, I64), constant(0, I64)), "i")


def reversed_iteration(source: Iteration) -> Iteration:
    taken = source.taken()
    return Iteration(taken.length, lambda i: source.item(taken.length - 1 - i), Once(), (source,))


def enumerated(source: Iteration, start: Any = 0) -> Iteration:
    return Iteration(source.taken().length, lambda i: (start + i, source.item(i)), Once(), (source,))


def zipped(sources: list[Iteration]) -> Iteration:
    length = sources[0].taken().length
    for other in sources[1:]:
        length = smaller_length(length, other.taken().length)
    return Iteration(length, lambda i: tuple([s.item(i) for s in sources]), Once(), tuple(sources))


def smaller_length(x: Any, y: Any) -> Any:
    """The length of what ends with the shorter of two."""
    less = x is y or x <= y
    if type(less) is Array:
        return weak(emit("minimum", convert(lift(x), I64), convert(lift(y), I64)), "i")
    return x if less else y


def mapped(call: Callable[..., Any], function: Any, sources: list[Iteration]) -> Iteration:
    joined = zipped(sources)
    return Iteration(joined.length, lambda i: call(function, *joined.item(i)), Once(), (joined,))
