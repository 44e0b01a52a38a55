"""`heapq` on lists that grow in native loops, or whose items are traced.

Flows in:  calls of `heappush`, `heappop` and `heapify` in converted code.
Flows out: the same steps as CPython's, as converted code; NotImplemented where Python knows everything.
           Source: Lib/heapq.py of CPython 3.11.
"""
from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tracejit.tracing.builtins import builtin
from tracejit.tracing.control.ordering import holds_traced
from tracejit.tracing.control.rows import RunTimeList


class Steps(NamedTuple):
    """What the functions call: converted, since calls of library code are not. less: also of tuples."""

    down: Callable[..., None]
    up: Callable[..., None]
    less: Callable[[Any, Any], Any]


def push(steps: Steps, heap: Any, item: Any) -> None:
    heap.append(item)
    steps.down(steps, heap, 0, len(heap) - 1)


def pop(steps: Steps, heap: Any) -> Any:
    if not heap:
        raise IndexError("index out of range")
    last = heap.pop()
    smallest = last
    if heap:
        smallest = heap[0]
        heap[0] = last
        steps.up(steps, heap, 0)
    return smallest


def heapify(steps: Steps, heap: Any) -> None:
    for position in reversed(range(len(heap) // 2)):
        steps.up(steps, heap, position)


def sift_down(steps: Steps, heap: Any, start: Any, position: Any) -> None:
    """Moves the item at `position` towards `start`, to behind the first that is not greater."""
    item = heap[position]
    while position > start:
        above = (position - 1) >> 1
        parent = heap[above]
        if not steps.less(item, parent):
            break
        heap[position] = parent
        position = above
    heap[position] = item


def sift_up(steps: Steps, heap: Any, position: Any) -> None:
    """Moves smaller children up until a leaf is free, puts the item there and moves it back to its place."""
    end, start, item = len(heap), position, heap[position]
    child = 2 * position + 1
    while child < end:
        right = child + 1
        if right < end and not steps.less(heap[child], heap[right]):
            child = right
        heap[position] = heap[child]
        position = child
        child = 2 * position + 1
    heap[position] = item
    steps.down(steps, heap, start, position)


def _declare(key: Any, function: Any) -> None:
    @builtin(key)
    def traced(namespace: Any, heap: Any, *item: Any) -> Any:
        known = not isinstance(heap, RunTimeList) and not (type(heap) is list and holds_traced([*heap, *item]))
        if known:
            return NotImplemented
        steps = Steps(namespace.converted(sift_down), namespace.converted(sift_up),
                      partial(namespace.compare_two, "<"))
        return namespace.converted(function)(steps, heap, *item)


for _key, _function in ((heapq.heappush, push), (heapq.heappop, pop), (heapq.heapify, heapify)):
    _declare(_key, _function)
