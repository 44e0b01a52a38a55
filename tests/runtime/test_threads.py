"""The thread pool: every chunk once, nested, concurrent, forked, stopped, at exit."""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.runtime.helpers import CHUNKS, link, run_python, wait_for
from tracejit.xla_lite.runtime.engine import Library
from tracejit.xla_lite.runtime.threads import SPIN_NANOSECONDS, ThreadPool, thread_pool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="posix only")


@pytest.fixture(scope="module")
def chunks() -> Library:
    return link(CHUNKS, ["count", "nested"], {"tj_parallel_for": thread_pool().address})


@pytest.fixture(params=[False, True], ids=["futex", "pthread"])
def pool(request: pytest.FixtureRequest) -> Iterator[ThreadPool]:
    pool = thread_pool()
    before = pool.threads
    pool.stop()
    if sys.platform == "linux":
        pool.set_portable(request.param)
    pool.set_threads(4)
    yield pool
    pool.stop()
    pool.set_portable(sys.platform != "linux")
    pool.set_spin(SPIN_NANOSECONDS)
    pool.set_threads(before)


def counters(n: int) -> "ctypes.Array[ctypes.c_int64]":
    return (ctypes.c_int64 * max(1, n))()


@pytest.mark.parametrize("spin", [0, 2_000, 50_000])
def test_every_chunk_runs_once(pool: ThreadPool, chunks: Library, spin: int) -> None:
    pool.set_spin(spin)
    for n in (0, 1, 2, 3, 7, 100, 3000):
        cells = counters(n)
        for _ in range(20):
            pool.run(chunks["count"], ctypes.addressof(cells), n)
        assert list(cells) == [20 * (n > 0)] * max(1, n)


def test_parked_workers_wake(pool: ThreadPool, chunks: Library) -> None:
    pool.set_spin(0)
    cells = counters(8)
    for _ in range(5):
        time.sleep(0.005)
        assert pool.run(chunks["count"], ctypes.addressof(cells), 8) == 1
    assert list(cells) == [5] * 8 and pool.alive == 3


def test_nested_jobs_run_serially(pool: ThreadPool, chunks: Library) -> None:
    cells = counters(16000)
    assert pool.run(chunks["nested"], ctypes.addressof(cells), 16) == 1
    assert list(cells) == [1] * 16000


def test_python_threads_share_the_pool(pool: ThreadPool, chunks: Library) -> None:
    wrong = []

    def work() -> None:
        cells = counters(300)
        for _ in range(100):
            pool.run(chunks["count"], ctypes.addressof(cells), 300)
        if list(cells) != [100] * 300:
            wrong.append(list(cells))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_forked_children_start_their_own_workers(pool: ThreadPool, chunks: Library) -> None:
    cells = counters(64)
    assert pool.run(chunks["count"], ctypes.addressof(cells), 64) == 1
    stop = threading.Event()

    def busy() -> None:
        own = counters(64)
        while not stop.is_set():
            pool.run(chunks["count"], ctypes.addressof(own), 64)

    thread = threading.Thread(target=busy)  # the pool is in use at the time of fork
    thread.start()
    try:
        for _ in range(3):
            if (child := os.fork()) == 0:
                own = counters(64)
                parallel = pool.run(chunks["count"], ctypes.addressof(own), 64)
                os._exit(0 if parallel == 1 and list(own) == [1] * 64 and pool.alive == 3 else 1)
            assert wait_for(child) == 0
    finally:
        stop.set()
        thread.join()


def test_a_stopped_pool_starts_again(pool: ThreadPool, chunks: Library) -> None:
    cells = counters(8)
    for _ in range(3):
        assert pool.run(chunks["count"], ctypes.addressof(cells), 8) == 1
        pool.stop()
        assert pool.alive == 0
    assert list(cells) == [3] * 8


def test_the_number_of_threads_can_change(pool: ThreadPool, chunks: Library) -> None:
    cells = counters(8)
    for threads, workers in ((2, 1), (1, 0), (3, 2)):
        pool.set_threads(threads)
        assert pool.run(chunks["count"], ctypes.addressof(cells), 8) == (threads > 1)
        assert pool.threads == threads and pool.alive == workers
    assert list(cells) == [3] * 8


def test_the_process_ends_while_threads_are_in_a_job() -> None:
    code = (
        "import ctypes, threading\nfrom tests.runtime.helpers import CHUNKS, link\n"
        "from tracejit.xla_lite.runtime.threads import thread_pool\n"
        "p = thread_pool(); p.set_threads(3); p.set_spin(1e12)\n"
        "k = link(CHUNKS, ['count'], {'tj_parallel_for': p.address})\na = (ctypes.c_int64 * 8)()\n"
        "def work():\n    while True: p.run(k['count'], ctypes.addressof(a), 8)\n"
        "assert p.run(k['count'], ctypes.addressof(a), 8) == 1\n"
        "threading.Thread(target=work, daemon=True).start()\n"
    )
    done = run_python(code)
    assert done.returncode == 0 and not done.stderr, done.stderr
