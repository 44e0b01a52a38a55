"""How long native code learns that it should stop: signals become exceptions, in the caller's thread and in its chunks.

Flows in:  calls from loops that may run for long, with or without the interpreter lock, from any thread.
Flows out: non-zero if an exception is set in the thread that called compiled code; its parallel job then ends early.

Workers have no thread state and can't run Python code. They say that they look, so that the thread which waits for them
looks at signals in the meantime, and they see from one word that their job has ended.
"""

from __future__ import annotations

from tracejit.xla_lite.runtime.native.layout import (
    ENDED,
    JOB_OWNER,
    LOOKED,
    NEXT_POLL,
    POLL_TICKS,
    SIGNALS,
)
from tracejit.xla_lite.runtime.native.words import (
    Int32,
    atomic_load32,
    atomic_store32,
    clock,
    compare_swap32,
    export,
    external,
    likely,
    put_word,
    static,
    symbol,
    word,
)

pool_page = symbol()  # one page, zero in a forked child
host_state = static(24)

PyGILState_GetThisThreadState = external("i64()")
PyGILState_Ensure = external("i32()")
PyGILState_Release = external("void(i32)")
PyErr_CheckSignals = external("i32()")
PyErr_Occurred = external("i64()")


@export
def tj_poll() -> Int32:
    """Lets pending signals and other threads run, at most once in a few milliseconds; 1 if the call is to end."""
    thread = PyGILState_GetThisThreadState()
    if thread == 0:
        compare_swap32(pool_page + SIGNALS, 0, LOOKED)
        return atomic_load32(pool_page + SIGNALS) == ENDED
    now = clock()
    if likely(now - word(host_state, NEXT_POLL) < 0):
        return 0
    put_word(host_state, NEXT_POLL, now + word(host_state, POLL_TICKS))
    lock = PyGILState_Ensure()
    failed = PyErr_CheckSignals() != 0 or PyErr_Occurred() != 0
    PyGILState_Release(lock)
    if failed and word(pool_page, JOB_OWNER) == thread:
        atomic_store32(pool_page + SIGNALS, ENDED)
    return failed


def own_job() -> None:
    """Says whose job is about to run."""
    put_word(pool_page, JOB_OWNER, PyGILState_GetThisThreadState())
    atomic_store32(pool_page + SIGNALS, 0)


def disown_job() -> int:
    """The job is over; whether it ended early."""
    put_word(pool_page, JOB_OWNER, 0)
    return atomic_load32(pool_page + SIGNALS) == ENDED


def look_for_workers() -> None:
    """While chunks run on workers that look for signals, their caller looks in their place."""
    if atomic_load32(pool_page + SIGNALS) == LOOKED:
        tj_poll()
