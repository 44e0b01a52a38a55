"""The thread pool in native code: one job at a time, chunks claimed by compare-and-swap.

Flows in:  a function of (context, chunk) and the number of chunks.
Flows out: every chunk run exactly once, by the caller and whichever workers were quick enough.

One word holds the state of the job: generation << 32 | chunks taken from the back << 16 | from the front. A chunk of
generation g is claimed with one compare-and-swap, so nobody can run a chunk of a job that he did not see. Between jobs
the low half is CLOSED, which is the only time the job's description is written. The caller never waits for a worker to
wake: it takes chunks itself and waits only for chunks that others really claimed. A busy pool (nested call, second
Python thread) runs the job serially.
"""

from __future__ import annotations

import sys

from tracejit.xla_lite.runtime.native.layout import (
    ALIVE,
    ASKED,
    BACK,
    BACK_SHIFT,
    BUSY,
    CLOSED,
    CONDITION,
    CONTEXT,
    COUNT,
    DONE,
    ENDED,
    FRONT,
    FRONT_MASK,
    FUTEX_CALL,
    FUTEX_WAIT,
    FUTEX_WAKE,
    GENERATION,
    JOB,
    LOW,
    MOST_CHUNKS,
    MUTEX,
    NAP_NANOSECONDS,
    PORTABLE,
    SIGNALS,
    SLEEPERS,
    SPIN,
    STARTED,
    STATE,
    STOP,
    WAITING,
    WORKERS,
)
from tracejit.xla_lite.runtime.native.signals import disown_job, look_for_workers, own_job, pool_page
from tracejit.xla_lite.runtime.native.words import (
    Int32,
    atomic_add32,
    atomic_load,
    atomic_load32,
    atomic_store,
    atomic_store32,
    call,
    clock,
    compare_swap,
    compare_swap32,
    export,
    external,
    int32,
    likely,
    noinline,
    pause,
    put_word,
    shift_right,
    stack,
    static,
    truncate32,
    unlikely,
    word,
)

pool_settings = static(4)  # wanted workers, ticks to spin, use the portable waits

SECOND = 1_000_000_000
SIG_BLOCK, SIG_SETMASK = (1, 3) if sys.platform == "darwin" else (0, 2)

syscall = external("i64(i64, ...)")
pthread_mutex_init = external("i32(i64, i64)")
pthread_cond_init = external("i32(i64, i64)")
pthread_mutex_lock = external("i32(i64)")
pthread_mutex_unlock = external("i32(i64)")
pthread_cond_wait = external("i32(i64, i64)")
pthread_cond_timedwait = external("i32(i64, i64, i64)")
clock_gettime = external("i32(i32, i64)")
pthread_cond_broadcast = external("i32(i64)")
pthread_create = external("i32(i64, i64, i64, i64)")
pthread_detach = external("i32(i64)")
pthread_sigmask = external("i32(i32, i64, i64)")
sigfillset = external("i32(i64)")


@noinline
def pool_wait(place: int, expected: int) -> None:
    """Sleeps while the 32-bit number at `place` is `expected`; may return early."""
    if word(pool_settings, PORTABLE) == 0:
        syscall(FUTEX_CALL, place, FUTEX_WAIT, expected, 0, 0, 0)
        return
    pthread_mutex_lock(pool_page + MUTEX)
    while atomic_load32(place) == expected:
        pthread_cond_wait(pool_page + CONDITION, pool_page + MUTEX)
    pthread_mutex_unlock(pool_page + MUTEX)


@noinline
def pool_nap(place: int, expected: int) -> None:
    """Sleeps for a short while at most, and less if the 32-bit number at `place` is no longer `expected`."""
    until = stack(2)
    if word(pool_settings, PORTABLE) == 0:
        put_word(until, 0, 0)
        put_word(until, 8, NAP_NANOSECONDS)
        syscall(FUTEX_CALL, place, FUTEX_WAIT, expected, until, 0, 0)
        return
    clock_gettime(0, until)
    late = word(until, 8) + NAP_NANOSECONDS
    put_word(until, 0, word(until, 0) + (1 if late >= SECOND else 0))
    put_word(until, 8, late - SECOND if late >= SECOND else late)
    pthread_mutex_lock(pool_page + MUTEX)
    if atomic_load32(place) == expected:
        pthread_cond_timedwait(pool_page + CONDITION, pool_page + MUTEX, until)
    pthread_mutex_unlock(pool_page + MUTEX)


@noinline
def pool_wake(place: int, count: int) -> None:
    """Wakes `count` sleepers at `place`. The lock orders us after a sleeper's test of the number."""
    if word(pool_settings, PORTABLE) == 0:
        syscall(FUTEX_CALL, place, FUTEX_WAKE, count, 0, 0, 0)
        return
    pthread_mutex_lock(pool_page + MUTEX)
    pthread_cond_broadcast(pool_page + CONDITION)
    pthread_mutex_unlock(pool_page + MUTEX)


def take_chunks(generation: int, step: int) -> None:
    """Runs chunks of this generation until none is left. step: `FRONT` takes them from 0 up, `BACK` from the end down.

    The caller works from the front and workers from the back, so that in repeated calls every core meets the data that
    its own caches hold.
    """
    taken = 0
    while True:
        state = atomic_load(pool_page + STATE)
        job = word(pool_page, JOB)  # may be torn: used only if the swap proves that it was stable
        context = word(pool_page, CONTEXT)
        count = atomic_load(pool_page + COUNT)
        front = state & FRONT_MASK
        back = shift_right(state & LOW, BACK_SHIFT)
        if truncate32(shift_right(state, 32)) != generation or state & LOW == CLOSED or front + back >= count:
            break
        if compare_swap(pool_page + STATE, state, state + step):
            if likely(atomic_load32(pool_page + SIGNALS) != ENDED):
                call(job, context, front if step == FRONT else count - 1 - back)
            taken = taken + 1
    if taken == 0:
        return
    expected = atomic_load(pool_page + COUNT)  # the job can't end before the addition below
    total = atomic_add32(pool_page + DONE, taken) + taken
    if total == expected and atomic_load32(pool_page + WAITING) != 0:
        pool_wake(pool_page + DONE, 1)


def pool_worker(seen: int) -> int:
    """The body of a worker thread: spin for a while, then sleep, until the generation changes."""
    seen = truncate32(seen)
    while True:
        deadline = clock() + word(pool_settings, SPIN)
        while atomic_load32(pool_page + GENERATION) == seen and clock() < deadline:
            pause()
        now = atomic_load32(pool_page + GENERATION)
        if now == seen:
            atomic_add32(pool_page + SLEEPERS, 1)  # before the generation is read again: no wake-up is lost
            pool_wait(pool_page + GENERATION, seen)
            atomic_add32(pool_page + SLEEPERS, -1)
            continue
        if unlikely(atomic_load32(pool_page + STOP) != 0):
            break
        seen = now
        take_chunks(seen, BACK)
    atomic_add32(pool_page + ALIVE, -1)
    return 0


@noinline
def pool_start() -> int:
    """Starts the workers; 1 if they run, 0 if another thread is just starting them. Fewer than wanted is fine."""
    if not compare_swap32(pool_page + STARTED, 0, 1):
        return 0
    if word(pool_settings, PORTABLE) != 0:
        pthread_mutex_init(pool_page + MUTEX, 0)
        pthread_cond_init(pool_page + CONDITION, 0)
    atomic_store(pool_page + STATE, CLOSED)
    everything = stack(32)
    before = stack(32)
    thread = stack(2)
    sigfillset(everything)  # workers take no signals: they inherit this mask
    pthread_sigmask(SIG_BLOCK, everything, before)
    for _ in range(word(pool_settings, WORKERS)):
        if pthread_create(thread, 0, pool_worker, 0) == 0:
            atomic_add32(pool_page + ALIVE, 1)
            pthread_detach(word(thread, 0))
    pthread_sigmask(SIG_SETMASK, before, 0)
    atomic_store32(pool_page + STARTED, 2)
    return 1


def open_job(job: int, context: int, count: int) -> int:
    """Publishes the job and wakes sleeping workers; gives its generation."""
    put_word(pool_page, JOB, job)
    put_word(pool_page, CONTEXT, context)
    atomic_store(pool_page + COUNT, count)
    atomic_store32(pool_page + DONE, 0)
    own_job()
    generation = truncate32(int32(pool_page, GENERATION) + 1)
    atomic_store(pool_page + STATE, generation << 32)
    asleep = atomic_load32(pool_page + SLEEPERS)
    if asleep > 0:
        pool_wake(pool_page + GENERATION, asleep if asleep < count - 1 else count - 1)
    return generation


def await_chunks(count: int) -> None:
    """Waits for chunks that workers claimed: spin, then sleep."""
    deadline = clock() + word(pool_settings, SPIN)
    while atomic_load32(pool_page + DONE) != count:
        if clock() < deadline:
            pause()
            continue
        atomic_store32(pool_page + WAITING, 1)  # pairs with take_chunks: add to DONE, then read WAITING
        done = atomic_load32(pool_page + DONE)
        if done != count:
            look_for_workers()
            pool_nap(pool_page + DONE, done)
        atomic_store32(pool_page + WAITING, 0)


def acquire_pool(count: int) -> int:
    """Whether this job may use the workers; then BUSY is ours."""
    if count < 2 or count > MOST_CHUNKS or word(pool_settings, WORKERS) < 1:
        return 0
    if unlikely(atomic_load32(pool_page + STARTED) != 2) and pool_start() == 0:
        return 0
    return compare_swap32(pool_page + BUSY, 0, 1)


@export
def tj_parallel_for(job: int, context: int, count: int) -> Int32:
    """Calls job(context, i) for i in range(count). 1 if workers could take part, 0 if it ran serially.

    -1 if it ended early, because there is an exception.
    """
    if likely(acquire_pool(count)):
        generation = open_job(job, context, count)
        take_chunks(generation, FRONT)
        await_chunks(count)
        early = disown_job()
        atomic_store(pool_page + STATE, generation << 32 | CLOSED)
        atomic_store32(pool_page + BUSY, 0)
        return -1 if early else 1
    for chunk in range(count):
        call(job, context, chunk)
    return 0


@export
def tj_workers_ready() -> Int32:
    """1 while workers are spinning for a job, so that handing one over costs a few microseconds, not tens.

    Who asks again before a worker would have gone to sleep will ask once more: the workers are made to spin for that.
    """
    now = clock()
    before = word(pool_page, ASKED)
    put_word(pool_page, ASKED, now)
    soon = now - before < word(pool_settings, SPIN)
    if atomic_load32(pool_page + STARTED) != 2:
        if soon and word(pool_settings, WORKERS) > 0:
            pool_start()
        return 0
    if atomic_load32(pool_page + SLEEPERS) != 0:
        if soon:
            pool_wake(pool_page + GENERATION, CLOSED)
        return 0
    if atomic_load32(pool_page + BUSY) != 0:
        return 0
    return 1


@export
def pool_try_hold() -> int:
    """Takes the pool as a job does; 1 if it was free."""
    return compare_swap32(pool_page + BUSY, 0, 1)


@export
def pool_stop() -> None:
    """Asks the workers to leave."""
    atomic_store32(pool_page + STOP, 1)
    atomic_add32(pool_page + GENERATION, 1)
    pool_wake(pool_page + GENERATION, CLOSED)


@export
def pool_clock() -> int:
    """The clock that bounds spinning."""
    return clock()
