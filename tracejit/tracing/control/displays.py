"""Where lists begin that may grow in native loops: displays, comprehensions, arguments; and loops over such lists.

Flows in:  `[...]`, `[x] * n`, `[... for ...]` of converted code, lists of the caller.
Flows out: plain lists while Python knows them; a `TracedList` where an earlier attempt found that a region changes how
           long one is, or where the number of rounds is known only at run time.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.base.dims import Size as AnySize
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import emit
from tracejit.tracing.context import Restart, current, inside
from tracejit.tracing.control.growth import Key, fix_list, lists_in, unkept
from tracejit.tracing.control.iteration import Iteration, iteration_of, traced_range
from tracejit.tracing.control.lengths import known_size
from tracejit.tracing.control.lists import TracedList, make
from tracejit.tracing.control.schema import describe
from tracejit.tracing.control.streams import Sink, Stream
from tracejit.tracing.sizes import Size
from tracejit.tracing.spans import current_span

SHORT = 32      # rounds of a comprehension that Python runs


def displayed(namespace: Any, items: list[Any], times: Any) -> Any:
    """A list display of converted code, `items * times`."""
    key = "display", current_span(3)
    if type(items) is not list:
        return items
    if type(times) is int:
        return started(namespace, key, items * times if times != 1 else items)
    if type(times) not in (Array, Size) or type(times) is Array and not times.is_scalar:
        return items * times
    return repeated(namespace, key, items, times)


def met(namespace: Any, items: list[Any]) -> Any:
    """A list that a call or a slice gave."""
    if namespace.plain_lists.get(id(items), (None,))[0] is items or id(items) in namespace.reader.containers:
        return items
    return started(namespace, ("call", current_span(3)), items)


def repeated(namespace: Any, key: Key, items: list[Any], times: Any) -> TracedList:
    """`items * times` for a traced number of times."""
    decisions = current().decisions
    if key in decisions.fixed:
        fix_list(key, decisions.fixed[key])
    made = make(namespace, key, None)
    for _ in range(1 if len(items) == 1 else 0):
        arrays = made.put(items[0])
        count = known_size(times)
        made.extend_columns([broadcast_rows(a, count) for a in arrays], count)
    if len(items) > 1:
        namespace.each(traced_range(times), lambda _, emit_: made.extend(items), Sink(made.append, {}))
    return made


def broadcast_rows(row: Array, count: AnySize) -> Array:
    shape = (count, *row.type.shape)
    made: Array = emit("broadcast_in_dim", row, shape=shape, dims=tuple(range(1, len(shape))))
    return made


def started(namespace: Any, key: Key, items: list[Any]) -> Any:
    """A list with these items, which may grow."""
    decisions = current().decisions
    if key not in decisions.growing or key in decisions.fixed:
        namespace.plain_lists[id(items)] = items, key
        return items
    made = make(namespace, key, None)
    made.extend(items)
    return made


def argument(namespace: Any, path: str, items: Any) -> Any:
    """A list of the caller, as the trace sees it."""
    key, decisions = ("argument", path), current().decisions
    if type(items) is not list or key not in decisions.growing or key in decisions.fixed:
        return items
    with inside(current().root):
        made = make(namespace, key, None)
        made.extend(items)
    return made


def comprehension(namespace: Any, iterable: Any, body: Callable[[Any, Any], None]) -> Any:
    """`[... for item in iterable]`: in a native loop, unless it is short."""
    key = "comprehension", current_span(3)
    found, scope = started(namespace, key, []), current().scope

    def take(element: Any) -> None:
        if current().scope is not scope and type(found) is list:
            note_comprehension(key, element)
        found.append(element)

    emit_, source = Sink(take, {}), iteration_of(iterable)
    rounds = source.length if source is not None else 0
    if type(iterable) is Stream or type(rounds) is not int or rounds > SHORT:
        run_rounds(namespace, iterable, body, emit_)
    else:
        for item in iterable:
            body(item, emit_)
    return found


def run_rounds(namespace: Any, iterable: Any, body: Callable[[Any, Any], None], emit_: Sink) -> None:
    if type(iterable) is Stream:
        iterable.run(emit_.before(lambda item: body(item, emit_)))
    else:
        namespace.each(iterable, body, emit_)


def note_comprehension(key: Key, element: Any) -> None:
    """A region of a comprehension makes an element: its list grows, if it may."""
    decisions = current().decisions
    if key in decisions.fixed:
        fix_list(key, decisions.fixed[key])
    decisions.growing[key] = None if lists_in(element) else unkept(describe(element, numbers=True))
    raise Restart


class LiveList(Iteration):
    """A list whose length changes while a loop runs over it."""

    __slots__ = ("source",)

    def __init__(self, source: TracedList):
        self.source, self.item, self.once, self.holds = source, source.at, None, (source,)

    @property
    def length(self) -> Any:
        return self.source.length()
