"""`collections.deque` while tracing: lists with two ends.

Flows in:  `deque(...)` in converted code.
Flows out: `Queue`, a list that regions follow like any other; `TracedQueue`, in a native stack, where loops change it.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from tracejit.base.trees import register_node
from tracejit.tracing.arrays import TRACED_LIKE, Array
from tracejit.tracing.context import current
from tracejit.tracing.control.growth import fix_list
from tracejit.tracing.control.list_forms import Meta
from tracejit.tracing.control.lists import TracedList, make, taken_apart
from tracejit.tracing.control.streams import Sink, run
from tracejit.tracing.spans import current_span

_EMPTY = "pop from an empty deque"
_KNOWN = (list, tuple, range, dict, str, set, frozenset, Array)     # what Python runs over while tracing


class Queue(list[Any]):
    """A deque that Python knows while tracing. With `maxlen`, what is too much falls off the other end."""

    __slots__ = ("maxlen",)

    def __init__(self, items: Iterable[Any] = (), maxlen: int | None = None):
        super().__init__(items)
        self.maxlen = maxlen
        self.drop_left()

    def drop_left(self) -> None:
        if self.maxlen is not None:
            del self[:max(len(self) - self.maxlen, 0)]

    def append(self, value: Any) -> None:
        super().append(value)
        self.drop_left()

    def extend(self, values: Any) -> None:
        super().extend(values)
        self.drop_left()

    def __iadd__(self, values: Any) -> Queue:       # type: ignore[misc]
        self.extend(values)
        return self

    def insert(self, index: Any, value: Any) -> None:
        if len(self) == self.maxlen:
            raise IndexError("deque already at its maximum size")
        super().insert(index, value)

    def popleft(self) -> Any:
        return self.pop(0)

    def pop(self, index: Any = -1) -> Any:
        if not self:
            raise IndexError(_EMPTY)
        return super().pop(index)

    def appendleft(self, value: Any) -> None:
        self[:] = [value, *self][:self.maxlen]

    def extendleft(self, values: Any) -> None:
        for value in values:
            self.appendleft(value)

    def rotate(self, n: int = 1) -> None:
        if self:
            at = -n % len(self)
            self[:] = [*self[at:], *self[:at]]


class TracedQueue(TracedList):
    """A deque in a native stack. Taking from the left moves what is behind, as `list.pop(0)` does."""

    __slots__ = ()
    maxlen = None

    def popleft(self) -> Any:
        return self.take(0, _EMPTY)

    def pop(self, index: Any = -1) -> Any:
        return self.take(-1, _EMPTY)

    def appendleft(self, value: Any) -> None:
        self.insert(0, value)

    def extendleft(self, values: Any) -> None:
        run(self.namespace, values, Sink(self.appendleft, {}))


def new_queue(namespace: Any, items: Any = (), maxlen: Any = None) -> Any:
    """`deque(items, maxlen)`."""
    if not isinstance(items, _KNOWN) or not isinstance(maxlen, int | None):
        return NotImplemented
    key, decisions = ("deque", current_span(3)), current().decisions
    if key not in decisions.growing or key in decisions.fixed:
        made = Queue(items, maxlen)
        namespace.plain_lists[id(made)] = made, key
        return made
    if maxlen is not None:
        fix_list(key, "it is a deque with maxlen that is not full before the loop")
    native = make(namespace, key, None, TracedQueue)
    native.extend(list(items))
    return native


def _put_together(meta: Meta, children: Sequence[Any]) -> TracedQueue:
    made = TracedQueue(meta.namespace, children[0], meta.form, meta.key)
    made.shared = True
    return made


register_node(Queue, lambda queue: (list(queue), (len(queue), queue.maxlen)), lambda meta, items: Queue(items, meta[1]))
register_node(TracedQueue, taken_apart, _put_together)
TRACED_LIKE[TracedQueue] = TracedQueue.array
SEEN_AS: dict[type, type] = {Queue: deque, TracedQueue: deque}
