"""`itertools` and `functools.reduce` over what captured loops run over.

Flows in:  calls of converted code; arrays, ranges, generators and the like among their arguments.
Flows out: streams and iterations; NotImplemented where Python does it over what is known while tracing.
"""
from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

from tracejit.base.dtypes import I64
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, lift
from tracejit.tracing.builtins import builtin
from tracejit.tracing.control.iteration import Iteration, Once, iteration_of, smaller_length, traced_range, zipped
from tracejit.tracing.control.optional import UNDEFINED, Optional
from tracejit.tracing.control.streams import Sink, Stream, Variable, chained, filtered, mapped_stream, run
from tracejit.tracing.control.world import CellFunction
from tracejit.tracing.reductions import is_looped_over
from tracejit.tracing.scalars import weak
from tracejit.tracing.sizes import Size

_NOTHING: Any = object()


def _joined(namespace: Any, function: Callable[..., Any], before: Any, element: Any) -> Any:
    """`function(before, element)`, or the element where there is nothing before."""
    if before is UNDEFINED:
        return element
    if type(before) is Optional and before.missing is UNDEFINED:
        return namespace.if_expression(before.is_missing(), lambda: element,
                                       lambda: namespace.call(function, before.value, element))
    return namespace.call(function, before, element)


@builtin(functools.reduce)
def reduced(namespace: Any, function: Any, values: Any, initial: Any = _NOTHING, /) -> Any:
    if not is_looped_over(values):
        return NotImplemented
    result = Variable("the result", *(() if initial is _NOTHING else (initial,)))

    def take(element: Any) -> None:
        result.value = _joined(namespace, function, result.value, element)

    run(namespace, values, Sink(take, result.cells))
    message = "reduce() of empty iterable with no initial value"
    if result.value is UNDEFINED:
        raise TypeError(message)
    found = result.value
    return found.present("TypeError", message) if type(found) is Optional and found.missing is UNDEFINED else found


@builtin(itertools.accumulate)
def accumulated(namespace: Any, values: Any, func: Any = None, *, initial: Any = None) -> Any:
    if not is_looped_over(values) or initial is not None:
        return NotImplemented
    result = Variable("the result so far")

    def body(element: Any, emit: Callable[[Any], Any]) -> None:
        result.value = _joined(namespace, func or operator.add, result.value, element)
        emit(result.value.value if type(result.value) is Optional else result.value)

    return chained(namespace, values, body, result.cells)


@builtin(itertools.filterfalse)
def filtered_out(namespace: Any, function: Any, values: Any) -> Any:
    if not is_looped_over(values):
        return NotImplemented
    return filtered(namespace, lambda e: namespace.not_(e if function is None else namespace.call(function, e)), values)


@builtin(itertools.starmap)
def star_mapped(namespace: Any, function: Any, values: Any) -> Any:
    if not is_looped_over(values):
        return NotImplemented
    return mapped_stream(namespace, lambda element: namespace.call(function, *element), values)


@builtin(itertools.takewhile)
def taken_while(namespace: Any, function: Any, values: Any) -> Any:
    """The loop goes on, but nothing is asked any more."""
    return _switched(namespace, function, values, True)


@builtin(itertools.dropwhile)
def dropped_while(namespace: Any, function: Any, values: Any) -> Any:
    return _switched(namespace, function, values, False)


def _switched(namespace: Any, function: Any, values: Any, emits_before: bool) -> Any:
    if not is_looped_over(values):
        return NotImplemented
    before = Variable("whether all were so", True)

    def body(element: Any, emit: Any) -> None:
        before.value = namespace.and_(before.value, lambda: namespace.not_(namespace.not_(
            namespace.call(function, element))))
        wanted = before.value if emits_before else namespace.not_(before.value)
        cells = getattr(emit, "cells", {})
        namespace.when(wanted, CellFunction(lambda: emit(element), {**before.cells, **cells}), emit)

    return chained(namespace, values, body, before.cells)


@builtin(itertools.compress)
def compressed(namespace: Any, data: Any, selectors: Any) -> Any:
    sources = _sources((data, selectors))
    if sources is None:
        return NotImplemented
    chosen = filtered(namespace, lambda pair: pair[1], zipped(sources))
    return mapped_stream(namespace, lambda pair: pair[0], chosen)


@builtin(itertools.count)
def counted(_: Any, start: Any = 0, step: Any = 1) -> Any:
    return Iteration(_endless(), lambda i: start + i * step, Once())


@builtin(itertools.repeat)
def repeated(_: Any, element: Any, *times: Any) -> Any:
    if times and type(times[0]) not in (Array, Size):
        return NotImplemented
    return Iteration(times[0] if times else _endless(), lambda _: element, Once(), (element,))


def _endless() -> Array:
    """A number of rounds that no run comes to. It is a traced one: such loops are never unrolled."""
    return weak(constant(1 << 62, I64), "i")


@builtin(itertools.islice)
def sliced(_: Any, values: Any, *bounds: Any) -> Any:
    sources = _sources((values,))
    if sources is None or any(type(b) is int and b < 0 for b in bounds):
        return NotImplemented
    start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1) if len(bounds) == 2 else bounds
    start, step, source = 0 if start is None else start, 1 if step is None else step, sources[0].taken()
    end = source.length if stop is None else smaller_length(stop, source.length)
    known = all(type(b) is int for b in (start, end, step))
    places: Any = iteration_of(range(start, end, step)) if known else traced_range(start, end, step)
    return Iteration(places.length, lambda i: source.item(places.item(i)), Once())


@builtin(itertools.pairwise)
def paired(_: Any, values: Any) -> Any:
    sources = _sources((values,))
    if sources is None:
        return NotImplemented
    source = sources[0].taken()
    length = traced_range(source.length - 1).length if type(source.length) is not int else max(source.length - 1, 0)
    return Iteration(length, lambda i: (source.item(i), source.item(i + 1)), Once(), (source,))


@builtin(itertools.product)
def products(_: Any, *values: Any, repeat: Any = 1) -> Any:
    """The last one changes fastest."""
    sources = _sources(values * repeat if type(repeat) is int else ())
    if sources is None:
        return NotImplemented
    lengths = [s.taken().length for s in sources]
    total = lengths[0]
    for length in lengths[1:]:
        total = total * length

    def item(i: Any) -> tuple[Any, ...]:
        found = []
        for source, length in zip(reversed(sources), reversed(lengths), strict=True):
            i, place = i // length, i % length
            found.append(source.item(place))
        return tuple(reversed(found))

    return Iteration(total, item, Once(), tuple(sources))


class Chain(Stream):
    """One after the other."""

    __slots__ = ("links",)

    def __init__(self, namespace: Any, links: tuple[Any, ...]):
        super().__init__(namespace, (), lambda item, emit: emit(item))
        self.links = links

    def run(self, sink: Sink) -> None:
        """Further links are not begun once the sink wants no more."""
        for k, link in enumerate(self.links if self.use_up() else ()):
            def take(link: Any = link) -> None:
                run(self.namespace, link, sink)

            wanted = True if k == 0 or sink.go_on is None else sink.go_on()
            self.namespace.when(wanted, CellFunction(take, sink.cells), sink)

    def __iter__(self) -> Any:
        return itertools.chain(*self.links) if self.use_up() else iter(())


@builtin(itertools.chain)
def chain(namespace: Any, *values: Any) -> Any:
    return Chain(namespace, values) if any(map(is_looped_over, values)) else NotImplemented


def _sources(values: tuple[Any, ...]) -> list[Iteration] | None:
    """How loops run over all of them, if one of them is no list of Python's."""
    if not any(map(is_looped_over, values)):
        return None
    found = [_listed(v) if (source := iteration_of(v)) is None else source for v in values]
    return None if any(f is None for f in found) else [f for f in found if f is not None]


def _listed(values: Any) -> Iteration | None:
    """A few numbers which Python knows."""
    if type(values) not in (list, tuple) or not values:
        return None
    array = lift(values)
    return Iteration(len(values), lambda i: values[i] if type(i) is int else array[i]) if not array.ndim > 1 else None
