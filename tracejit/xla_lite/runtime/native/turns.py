"""Turns on memory that calls change in place: who writes it is alone with it, readers share it.

Flows in:  where memory with a header lies, and whether it is written; with the interpreter lock held.
Flows out: 1 when the turn has come, 0 with an exception; marks that `end_turn` takes away.

A call takes all its memory at once or waits for all of it while it holds none, so calls can't wait for each other in a
circle. The interpreter lock guards the marks, which makes a turn that nobody disputes a few loads and stores. Who comes
while others wait goes behind them. A call from Python code that runs inside a turn of its own thread (host calls,
signal handlers) does not wait: it would wait for itself.
"""

from __future__ import annotations

from tracejit.xla_lite.runtime.native.host import PyEval_RestoreThread, PyEval_SaveThread
from tracejit.xla_lite.runtime.native.layout import (
    LOW,
    TURN_EPOCH,
    TURN_HEADER,
    TURN_LONGEST_NAP,
    TURN_NAP,
    TURN_NEWEST,
    TURN_USERS,
    TURN_WAITING,
)
from tracejit.xla_lite.runtime.native.signals import PyErr_CheckSignals, PyGILState_GetThisThreadState
from tracejit.xla_lite.runtime.native.words import (
    export,
    external,
    inline,
    likely,
    noinline,
    put_word,
    static,
    truncate32,
    word,
)

WRITER = -1
PLACE, PLACE_WRITES = 16, 8  # a place: the offset at which the memory's address stands; whether it is written
# A record: the thread whose turn it is (0: none was taken), the next older and the next newer record, the epoch.
THREAD, OLDER, NEWER, EPOCH = 0, 8, 16, 24

turns = static(2)
usleep = external("i32(i64)")


@inline
def count_of(header: int, which: int) -> int:
    """A count of the header; what was counted before a fork does not count."""
    state = word(header, which)
    return truncate32(state) if state >> 32 == word(turns, TURN_EPOCH) else 0


@inline
def put_count(header: int, which: int, count: int) -> None:
    put_word(header, which, (word(turns, TURN_EPOCH) << 32) | (count & LOW))


@inline
def header_of(base: int, place: int) -> int:
    return word(base, word(place, 0)) - TURN_HEADER


@inline
def is_free(header: int, writes: int) -> int:
    users = count_of(header, TURN_USERS)
    return users == 0 or (users > 0 and writes == 0)


@inline
def may_begin(base: int, entries: int, count: int, politely: int) -> int:
    """Whether all memory is free; politely: and nobody waits for it."""
    place = entries
    for _ in range(count):
        header = header_of(base, place)
        if is_free(header, word(place, PLACE_WRITES)) == 0:
            return 0
        if politely != 0 and count_of(header, TURN_WAITING) != 0:
            return 0
        place = place + PLACE
    return 1


@inline
def begin(record: int, base: int, entries: int, count: int) -> None:
    """Marks all memory and enters the record into the list."""
    place = entries
    for _ in range(count):
        header = header_of(base, place)
        users = WRITER if word(place, PLACE_WRITES) != 0 else count_of(header, TURN_USERS) + 1
        put_count(header, TURN_USERS, users)
        place = place + PLACE
    older = word(turns, TURN_NEWEST)
    put_word(record, THREAD, PyGILState_GetThisThreadState())
    put_word(record, OLDER, older)
    put_word(record, NEWER, 0)
    put_word(record, EPOCH, word(turns, TURN_EPOCH))
    if older != 0:
        put_word(older, NEWER, record)
    put_word(turns, TURN_NEWEST, record)


def is_inside() -> int:
    """Whether this thread has a turn already."""
    thread = PyGILState_GetThisThreadState()
    record = word(turns, TURN_NEWEST)
    while record != 0:
        if word(record, THREAD) == thread:
            return 1
        record = word(record, OLDER)
    return 0


def count_waiting(base: int, entries: int, count: int, more: int) -> None:
    """One more, or one less, waits for all memory."""
    place = entries
    for _ in range(count):
        header = header_of(base, place)
        put_count(header, TURN_WAITING, count_of(header, TURN_WAITING) + more)
        place = place + PLACE


@noinline
def wait_for_turn(record: int, base: int, entries: int, count: int) -> int:
    """Sleeps without the interpreter lock until all memory is free; 0 with an exception if a signal handler raises."""
    if is_inside():
        put_word(record, THREAD, 0)
        return 1
    count_waiting(base, entries, count, 1)
    nap = TURN_NAP
    begun = 0
    failed = 0
    while begun == 0 and failed == 0:
        thread = PyEval_SaveThread()
        usleep(nap)
        PyEval_RestoreThread(thread)
        nap = nap * 2 if nap < TURN_LONGEST_NAP else nap
        failed = PyErr_CheckSignals() != 0
        begun = may_begin(base, entries, count, 0)
    count_waiting(base, entries, count, -1)
    if failed:
        return 0
    begin(record, base, entries, count)
    return 1


@inline
def take_turn(record: int, base: int, entries: int, count: int) -> int:
    """1 when all memory is this call's, 0 with an exception."""
    if likely(may_begin(base, entries, count, 1)):
        begin(record, base, entries, count)
        return 1
    return wait_for_turn(record, base, entries, count)


@inline
def end_turn(record: int, base: int, entries: int, count: int) -> None:
    """Takes the marks of `take_turn` away."""
    if word(record, THREAD) == 0 or word(record, EPOCH) != word(turns, TURN_EPOCH):
        return
    place = entries
    for _ in range(count):
        header = header_of(base, place)
        users = 0 if word(place, PLACE_WRITES) != 0 else count_of(header, TURN_USERS) - 1
        put_count(header, TURN_USERS, users)
        place = place + PLACE
    older = word(record, OLDER)
    newer = word(record, NEWER)
    if older != 0:
        put_word(older, NEWER, newer)
    if newer != 0:
        put_word(newer, OLDER, older)
    else:
        put_word(turns, TURN_NEWEST, older)


@export
def tj_take_turn(record: int, base: int, entries: int, count: int) -> int:
    """`take_turn` for Python."""
    return take_turn(record, base, entries, count)


@export
def tj_end_turn(record: int, base: int, entries: int, count: int) -> int:
    """`end_turn` for Python. Gives 0."""
    end_turn(record, base, entries, count)
    return 0
