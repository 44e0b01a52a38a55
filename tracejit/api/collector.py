"""The cycle collector waits while a function is traced and compiled.

Flows in:  blocks that make many objects and little garbage: a full collection of a large program lands in them.
Flows out: the collector as it was before, also after errors, in other threads and in forked children.
"""
from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_blocks = [0, False]    # running blocks; whether the collector was on before the first. Written under the lock


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collection starts by itself in the block, in any thread."""
    with _lock:
        if not _blocks[0]:
            _blocks[1] = gc.isenabled()
            gc.disable()
        _blocks[0] += 1
    try:
        yield
    finally:
        with _lock:
            _blocks[0] = max(0, _blocks[0] - 1)    # 0 in a child that was forked from within
            if not _blocks[0] and _blocks[1]:
                gc.enable()


def _after_fork() -> None:
    """Blocks of other threads don't go on in the child."""
    global _lock
    _lock = threading.Lock()
    if _blocks[0] and _blocks[1]:
        gc.enable()
    _blocks[0] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
