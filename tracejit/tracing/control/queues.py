"""`collections.deque` while tracing: lists with two ends.

Flows in:  `deque(...)` in converted code.
Flows out: `Queue`, a list that regions follow like any other; `TracedQueue`, in a native stack, where loops change it.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from tracejit.base.trees import register_node
from tracejit.tracing.arrays import TRACED_LIKE
from tracejit.tracing.context import current
from tracejit.tracing.control.list_forms import Meta
from tracejit.tracing.control.lists import TracedList, make, taken_apart
from tracejit.tracing.control.streams import Sink, run
from tracejit.tracing.spans import current_span

_EMPTY = "pop from an empty deque"


class Queue(list[Any]):
    """A deque that Python knows while tracing."""

    __slots__ = ()

    def popleft(self) -> Any:
        return self.pop(0)

    def pop(self, index: Any = -1) -> Any:
        if not self:
            raise IndexError(_EMPTY)
        return super().pop(index)

    def appendleft(self, value: Any) -> None:
        self.insert(0, value)

    def extendleft(self, values: Any) -> None:
        for value in values:
            self.insert(0, value)

    def rotate(self, n: int = 1) -> None:
        if self:
            at = -n % len(self)
            self[:] = [*self[at:], *self[:at]]


class TracedQueue(TracedList):
    """A deque in a native stack. Taking from the left moves what is behind, as `list.pop(0)` does."""

    __slots__ = ()

    def popleft(self) -> Any:
        return self.take(0, _EMPTY)

    def pop(self, index: Any = -1) -> Any:
        return self.take(-1, _EMPTY)

    def appendleft(self, value: Any) -> None:
        self.insert(0, value)

    def extendleft(self, values: Any) -> None:
        run(self.namespace, values, Sink(self.appendleft, {}))


def new_queue(namespace: Any, *items: Any, **options: Any) -> Any:
    """`deque(items)`."""
    if options or len(items) > 1 or items and not isinstance(items[0], (list, tuple)):
        return NotImplemented
    key, decisions = ("deque", current_span(3)), current().decisions
    held = items[0] if items else ()
    if key not in decisions.growing or key in decisions.fixed:
        made = Queue(held)
        namespace.plain_lists[id(made)] = made, key
        return made
    native = make(namespace, key, None, TracedQueue)
    native.extend(held)
    return native


def _put_together(meta: Meta, children: Sequence[Any]) -> TracedQueue:
    made = TracedQueue(meta.namespace, children[0], meta.form, meta.key)
    made.shared = True
    return made


register_node(Queue, lambda queue: (list(queue), len(queue)), lambda meta, items: Queue(items))
register_node(TracedQueue, taken_apart, _put_together)
TRACED_LIKE[TracedQueue] = TracedQueue.array
SEEN_AS: dict[type, type] = {Queue: deque, TracedQueue: deque}
