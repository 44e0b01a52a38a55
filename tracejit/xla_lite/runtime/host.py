"""What compiled code may call: memory, threads, signals, Python functions.

Flows in:  Python functions to be called from compiled code.
Flows out: `symbols()`, names and addresses for the linker.

Code that calls `tj_poll` or `tj_host_call` must declare `UNKNOWN_WORK`, because Python code runs inside them. It may
call them from the thread that called it, not from a chunk of a parallel job; where they give non-zero it returns -1.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from tracejit.xla_lite.runtime.abi import c_addresses
from tracejit.xla_lite.runtime.buffers import buffers
from tracejit.xla_lite.runtime.library import native_library
from tracejit.xla_lite.runtime.locks import runtime_lock
from tracejit.xla_lite.runtime.native import layout
from tracejit.xla_lite.runtime.threads import thread_pool

RUNTIME_SYMBOLS = ("tj_alloc", "tj_free", "tj_parallel_for", "tj_workers_ready", "tj_poll", "tj_host_call",
                   "tj_put_address", "tj_stack_new", "tj_stack_grow", "tj_stack_companion",
                   "tj_stack_accompany", "tj_stack_release", "tj_stacks_free")
C_SYMBOLS = ("memcpy", "memmove", "memset", "memcmp")
POLL_NANOSECONDS = 5_000_000
_PACKAGE = str(Path(__file__).parents[2])

HostFunction = Callable[[int], object]  # gets the address of its frame
_functions: dict[int, HostFunction] = {}  # written by register and unregister
_sites: WeakValueDictionary[int, Any] = WeakValueDictionary()  # written by share
_numbers = itertools.count(1)
_watchers = [0]  # written by watch_calls


def register(function: HostFunction) -> int:
    """The number by which compiled code calls `function`, which it keeps until `unregister`."""
    number = next(_numbers)
    _functions[number] = function
    return number


def unregister(number: int) -> None:
    """Forgets a function; code that calls it must be gone."""
    _functions.pop(number, None)


def share(number: int, site: Any) -> Any:
    """What compiled code calls by a number that is the same in every process: `site`, or the one that has it already.

    It is forgotten when nobody holds it any more.
    """
    return _sites.setdefault(number, site)


def _call(number: int, frame: int) -> None:
    """Exceptions leave without our own frames."""
    function = _sites.get(number) or _functions[number]
    try:
        function(frame)
    except BaseException as error:
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_PACKAGE):
            traceback = traceback.tb_next
        raise error.with_traceback(traceback)    # noqa: B904  (its own causes are kept)


@cache
def prepare_host() -> None:
    """Tells native code how to call Python functions and how often to look for signals."""
    state = native_library()["host_state"]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_call))
    ctypes.c_int64.from_address(state + layout.HOST_FUNCTION).value = id(_call)
    ticks = int(POLL_NANOSECONDS * thread_pool().ticks_per_nanosecond)
    ctypes.c_int64.from_address(state + layout.POLL_TICKS).value = ticks


def watch_calls(more: int) -> None:
    """One more, or one less, watches all calls of this process: they go to the slow path."""
    cell = ctypes.c_int64.from_address(native_library()["host_state"] + layout.WATCHERS)
    with runtime_lock:
        cell.value += more
        _watchers[0] = cell.value


def calls_are_watched() -> bool:
    return _watchers[0] != 0


def symbols() -> dict[str, int]:
    """Addresses of everything that generated code may name."""
    prepare_host()
    buffers()
    library = native_library()
    return c_addresses(C_SYMBOLS) | {name: library[name] for name in RUNTIME_SYMBOLS}
