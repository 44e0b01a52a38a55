"""Room for deep trees: an expression of thousands of terms is a tree of that depth, and so are branches of branches.

Flows in:  work that recurses.
Flows out: its result, from a thread with a large stack if Python's limit was met.
"""
from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

from tracejit.base.errors import RecursionLimitError, UnsupportedError

T = TypeVar("T")

_STACK_BYTES = 256 << 20    # address space; pages are touched as the recursion needs them
_DEPTH = 20_000             # at about 1 KiB of stack for each level of CPython's compiler
_LOCK = threading.Lock()    # held while the process-wide limits are changed
_THREAD = threading.local()    # written by the threads that are made here: that they are large


def with_deep_stack(work: Callable[[], T], name: str) -> T:
    """`work()`, once more with a larger stack if it recurses too deeply. It must not leave anything half done.

    Raises UnsupportedError with `name` if even that is too deep.
    """
    try:
        return work()
    except RecursionLimitError:
        raise
    except RecursionError:
        if getattr(_THREAD, "is_large", False):
            raise
    with _LOCK:
        kept: dict[str, Any] = _in_large_thread(work)
    if type(kept.get("error")) is RecursionError:
        raise UnsupportedError(f"{name!r} is nested too deeply",
                               why="the tree of its statements exceeds the compiler's recursion",
                               fix="split the longest expression or the deepest block") from None
    if "error" in kept:
        raise kept["error"]
    result: T = kept["result"]
    return result


def _in_large_thread(work: Callable[[], Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}

    def run() -> None:
        _THREAD.is_large = True
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _DEPTH))
        try:
            kept["result"] = work()
        except BaseException as error:
            kept["error"] = error
        finally:
            sys.setrecursionlimit(limit)

    size = threading.stack_size(_STACK_BYTES)
    try:
        thread = threading.Thread(target=copy_context().run, args=(run,), name="tracejit-deep")
        thread.start()
    finally:
        threading.stack_size(size)
    thread.join()
    return kept
