"""Generators while tracing: elements that are made, tested and taken by one loop, one after the other.

Flows in:  generator expressions, `map` and `filter` of them, and whoever takes their elements (`Sink`).
Flows out: `Stream`, run by captured loops; `run`, which hands every element of anything that can be iterated to a sink.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import CellType
from typing import Any

from tracejit.autograph.plain import elements
from tracejit.tracing.control.iteration import Once
from tracejit.tracing.control.world import CellFunction, cells_of, content

Body = Callable[[Any, Callable[[Any], Any]], Any]


class Sink(CellFunction):
    """What takes elements one by one. cells: the variables that it sees, by name; names: those that it changes.

    go_on: asked after every round of a loop that makes elements; false ends them all.
    """

    __slots__ = ("go_on", "names")

    def __init__(self, take: Callable[[Any], Any], cells: dict[str, CellType],
                 go_on: Callable[[], Any] | None = None, names: Sequence[str] | None = None):
        super().__init__(take, cells)
        self.go_on = None if go_on is None else CellFunction(go_on, cells)
        self.names = tuple(cells if names is None else names)

    def before(self, take: Callable[[Any], Any], cells: dict[str, CellType] | None = None) -> Sink:
        """A sink in front of this one: `take` hands on to it and changes `cells`."""
        more = cells or {}
        return Sink(take, {**more, **self.cells}, self.go_on, (*more, *self.names))


class Variable:
    """A variable that a sink changes. name: what errors call it."""

    __slots__ = ("cell", "cells")

    def __init__(self, name: str, *value: Any):
        self.cell = CellType(*value)
        self.cells = {name: self.cell}

    @property
    def value(self) -> Any:
        return content(self.cell)

    @value.setter
    def value(self, value: Any) -> None:
        self.cell.cell_contents = value


class Stream(Once):
    """The elements that `body(item, emit)` emits for the items of `source`.

    one_by_one: the same as Python's own generator, where `body` makes several elements in a round.
    """

    __slots__ = ("_started", "body", "namespace", "one_by_one", "source")

    def __init__(self, namespace: Any, source: Any, body: Body, one_by_one: Callable[[Any], Any] | None = None):
        super().__init__()
        self.namespace, self.source, self.body, self.one_by_one = namespace, source, body, one_by_one
        self._started: Iterator[Any] | None = None      # Python takes the elements

    @property
    def is_started(self) -> bool:
        """Whether Python took the first elements."""
        return self._started is not None

    def run(self, sink: Sink) -> None:
        """Hands every element that is left to `sink`."""
        if self._started is not None:
            self.namespace.each(self._started, lambda item, emit: emit(item), sink)
        elif self.use_up():
            self.namespace.each(self.source, self.body, sink)

    def take_some(self, sink: Sink) -> None:
        """Hands elements to `sink` until it wants no more; only the run knows how many are left."""
        if self.use_up(wholly=False):
            self.namespace.each(self.source, self.body, sink)

    def __iter__(self) -> Iterator[Any]:
        """For code that takes the elements as Python does, while tracing."""
        if self._started is None:
            left = self.source if self.use_up() else ()
            self._started = iter(self.one_by_one(left)) if self.one_by_one else elements(iter(left), self.body)
        return self._started

    def __next__(self) -> Any:
        return next(iter(self))


def run(namespace: Any, values: Any, sink: Sink) -> None:
    """Hands every element of `values` to `sink`, in a captured loop where that is how `for` would run over it."""
    if isinstance(values, Stream):
        values.run(sink)
    else:
        namespace.each(values, lambda item, emit: emit(item), sink)


def filtered(namespace: Any, keeps: Callable[[Any], Any], values: Any) -> Stream:
    """`filter(keeps, values)`."""
    def body(item: Any, emit: Callable[[Any], Any]) -> None:
        namespace.when(keeps(item), CellFunction(lambda: emit(item), cells_of(emit)), emit)

    return chained(namespace, values, body)


def mapped_stream(namespace: Any, function: Callable[[Any], Any], values: Any) -> Stream:
    """`map(function, values)`."""
    return chained(namespace, values, lambda item, emit: emit(function(item)))


def enumerated_stream(namespace: Any, values: Any, start: Any) -> Stream:
    """`enumerate(values, start)`."""
    position = Variable("the position", start)

    def body(item: Any, emit: Callable[[Any], Any]) -> None:
        emit((position.value, item))
        position.value = position.value + 1

    return chained(namespace, values, body, position.cells)


def chained(namespace: Any, values: Any, body: Body, cells: dict[str, CellType] | None = None) -> Stream:
    """The elements that `body` emits for those of `values`. cells: what `body` changes."""
    changed = cells or {}
    if type(values) is not Stream or values.is_started:
        return Stream(namespace, values, CellFunction(body, changed))

    def both(item: Any, emit: Any) -> None:
        def take(element: Any) -> None:
            body(element, emit)

        values.body(item, emit.before(take, changed) if isinstance(emit, Sink) else take)

    lazily = values.one_by_one
    one_by_one = None if lazily is None else lambda items: elements(lazily(items), body)
    both_cells = {**getattr(values.body, "cells", {}), **changed}
    return Stream(namespace, values.source if values.use_up() else (), CellFunction(both, both_cells), one_by_one)


__all__ = ["Sink", "Stream", "Variable", "chained", "enumerated_stream", "filtered", "mapped_stream", "run"]
