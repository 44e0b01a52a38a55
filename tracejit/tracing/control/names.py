"""Which names of the user's code hold an object: variables, entries of containers, stores, what loops run over.

Flows in:  an array that owns its memory, or a container.
Flows out: `count_names`; more than one means that a change through one name is seen through another.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tracejit.autograph import policy
from tracejit.autograph.codes import is_thunk
from tracejit.tracing.arrays import Array
from tracejit.tracing.control.containers import copied, is_container
from tracejit.tracing.control.identity import owners_of
from tracejit.tracing.control.iteration import Iteration
from tracejit.tracing.control.optional import Optional


def count_names(wanted: Any, namespace: Any) -> int:
    """How many variables, entries and attributes hold an object; of an array, it or a view of it."""
    found, seen = 0, set()
    pending = [*_variables(), *namespace.known(), *namespace.context.iterated,
               *[s[3] for s in namespace.stored.values()]]
    while pending:
        value = pending.pop()
        found += value is wanted and type(value) is not Array
        if type(value) is Array:
            found += any(owner is wanted for owner in owners_of(value))
        elif type(value) is Optional:
            pending.append(value.value)
        elif isinstance(value, tuple):
            pending += value
        elif isinstance(value, Iteration) and id(value) not in seen:
            seen.add(id(value))
            pending += value.holds
        elif is_container(value) and id(value) not in seen:
            seen.add(id(value))
            held = copied(value)
            pending += held.values() if isinstance(held, dict) else held
    return found


def _variables() -> Iterator[Any]:
    """What the variables of the user's functions hold which are running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in policy.converted_codes and not is_thunk(frame.f_code):
            yield from frame.f_locals.values()
        frame = frame.f_back
