"""The thread pool as Python sees it: how many threads, how long they spin, when they stop.

Flows in:  `config.num_threads`, read when the pool is made and by `apply_settings`.
Flows out: the address of `tj_parallel_for` for compiled code; `ThreadPool` for tests and `tracejit info`.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import time

from tracejit.base.options import config
from tracejit.xla_lite.runtime.library import PAGE, native_library
from tracejit.xla_lite.runtime.locks import runtime_lock
from tracejit.xla_lite.runtime.native import layout

SPIN_NANOSECONDS = 30_000  # waking a parked worker takes 15 to 30 us; longer spinning takes cores from other libraries
CALIBRATION_NANOSECONDS = 20_000


class ThreadPool:
    """The pool of this process. Workers start with the first parallel job, also in a forked child."""

    def __init__(self) -> None:
        library = native_library()
        self._settings, self._page = library["pool_settings"], library["pool_page"]
        self.address = library["tj_parallel_for"]
        self.run = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(self.address)
        self._try_hold = ctypes.CFUNCTYPE(ctypes.c_int64)(library["pool_try_hold"])
        self._stop = ctypes.CFUNCTYPE(None)(library["pool_stop"])
        self._clock = ctypes.CFUNCTYPE(ctypes.c_int64)(library["pool_clock"])
        self.ticks_per_nanosecond = self._calibrate()
        self.set_portable(sys.platform != "linux" or not layout.FUTEX_CALL)
        self.set_spin(SPIN_NANOSECONDS)
        self._put(layout.WORKERS, max(1, config.num_threads) - 1)
        atexit.register(self.stop)

    @property
    def threads(self) -> int:
        """Threads of a job, the caller included."""
        return self._setting(layout.WORKERS).value + 1

    @property
    def alive(self) -> int:
        """Workers that are running now."""
        return self._word(layout.ALIVE)

    def set_threads(self, threads: int) -> None:
        """Changes the number of threads; running workers leave and new ones start with the next job."""
        if threads != self.threads:
            self.stop()
            self._put(layout.WORKERS, max(1, threads) - 1)

    def set_spin(self, nanoseconds: float) -> None:
        """How long an idle worker, or a caller at the end of a job, spins before it sleeps."""
        self._put(layout.SPIN, int(nanoseconds * self.ticks_per_nanosecond))

    def set_portable(self, portable: bool) -> None:
        """Sleep on pthread conditions rather than futexes. The workers must not be running."""
        assert self.alive == 0
        self._put(layout.PORTABLE, int(portable))

    def stop(self, timeout: float = 1.0) -> None:
        """Makes the workers leave, so that no thread spins while the process winds down; waits for a running job."""
        deadline = time.monotonic() + timeout
        with runtime_lock:
            if self._word(layout.STARTED) != 2 or not self._hold(deadline):
                return
            self._stop()
            while self.alive > 0 and time.monotonic() < deadline:
                time.sleep(0.0002)
            if self.alive == 0:
                ctypes.memset(self._page, 0, PAGE)  # gives the pool back; the next job starts new workers

    def _hold(self, deadline: float) -> bool:
        """Takes the pool, so that no job begins while it stops."""
        while not (held := self._try_hold()) and time.monotonic() < deadline:
            time.sleep(0.0002)
        return bool(held)

    def _setting(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self._settings + offset)

    def _put(self, offset: int, value: int) -> None:
        self._setting(offset).value = value

    def _word(self, offset: int) -> int:
        return ctypes.c_int32.from_address(self._page + offset).value

    def _calibrate(self) -> float:
        """Ticks of the processor's counter in a nanosecond."""
        ticks, start = self._clock(), time.perf_counter_ns()
        while (elapsed := time.perf_counter_ns() - start) < CALIBRATION_NANOSECONDS:
            pass
        return float((self._clock() - ticks) / elapsed)


_pool: ThreadPool | None = None  # written by thread_pool(), once


def thread_pool() -> ThreadPool:
    """The pool of this process."""
    global _pool
    if _pool is None:
        with runtime_lock:
            if _pool is None:
                _pool = ThreadPool()
    return _pool

