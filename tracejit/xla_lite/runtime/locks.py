"""One lock for everything that changes the state of the runtime, and what a fork has to wait for.

Flows in:  locks of others (LLVM's, the allocator's) that are only ever taken inside ours or alone.
Flows out: `runtime_lock`; a forked child in which no lock is held by a thread that does not exist there.

One lock rather than one for each module: a fork has to take all of them in an order which no thread contradicts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

Action = Callable[[], object]

runtime_lock = threading.RLock()
_inner: list[tuple[Action, Action]] = []  # written by hold_while_forking, when LLVM and the allocator are set up


def hold_while_forking(acquire: Action, release: Action) -> None:
    """A lock that a fork waits for and holds, after the runtime's own."""
    _inner.append((acquire, release))


def _before() -> None:
    runtime_lock.acquire()
    for acquire, _ in _inner:
        acquire()


def _after() -> None:
    for _, release in reversed(_inner):
        release()
    runtime_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
