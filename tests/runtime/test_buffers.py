"""The recycling allocator: alignment, reuse, limits, trimming, threads, fork, arrays that own their blocks."""

import ctypes
import gc
import os
import random
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tracejit.base.options import config
from tracejit.xla_lite.runtime.buffers import Buffers, buffers
from tracejit.xla_lite.runtime.native.layout import COLOUR_STEP, COLOURS, HEADER, MIN_SHIFT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="posix only")
MB = 1 << 20
U8 = np.dtype("u1")


@pytest.fixture
def pool() -> Iterator[Buffers]:
    pool = buffers()
    gc.collect()
    pool.trim()
    pool.set_limit(64 * MB)
    yield pool
    pool.trim()
    pool.set_limit(1 << 30)


def handler_name(array: np.ndarray) -> str:
    return str(np._core.multiarray.get_handler_name(array))


def test_arrays_own_recycled_blocks(pool: Buffers) -> None:
    dtype = np.dtype("f4")
    live, references = pool.statistics.live, sys.getrefcount(dtype)
    a = pool.empty((3, 500_000), dtype)
    a[:] = 7
    assert a.flags.owndata and a.flags.c_contiguous and a.flags.writeable and a.base is None
    assert a.ctypes.data % 64 == 0 and handler_name(a) == "tracejit"
    where, view = a.ctypes.data, a[1:2]
    del a
    assert pool.statistics.cached == 0 and (view == 7).all()
    del view
    assert pool.statistics.cached > 6 * 10**6 and pool.statistics.live == live
    b = pool.empty((1_500_000,), dtype)
    assert b.ctypes.data == where and pool.statistics.cached == 0
    del b
    after = sys.getrefcount(dtype)
    assert after == references
    assert str(np._core.multiarray.get_handler_name()) == "default_allocator"


def test_recycled_arrays_resize_in_place(pool: Buffers) -> None:
    a = pool.empty((1 << 18,), np.dtype("f8"))
    a[:] = np.arange(a.size)
    a.resize((1 << 19,), refcheck=False)
    np.testing.assert_array_equal(a[: 1 << 18], np.arange(1 << 18))
    assert (a[1 << 18 :] == 0).all()


def test_blocks_are_at_most_a_quarter_too_large(pool: Buffers) -> None:
    draw = random.Random(0)
    overhead = HEADER + COLOURS * COLOUR_STEP
    for _ in range(200):
        size = int(2 ** draw.uniform(0, 25))
        before = pool.statistics.live
        data = pool.alloc(size)
        held = pool.statistics.live - before
        ctypes.memset(data, 1, size)
        assert data % 64 == 0
        assert size + overhead <= held <= max(1 << MIN_SHIFT, 1.25 * (size + overhead) + 1)
        pool.free(data)


def test_the_limit_bounds_what_is_kept(pool: Buffers) -> None:
    arrays = [pool.empty((10 * MB,), U8) for _ in range(12)]
    del arrays
    assert 0 < pool.statistics.cached <= 64 * MB
    pool.trim(1)  # released in this tick: too young
    assert pool.statistics.cached > 0
    pool.trim(1)
    assert pool.statistics.cached == 0


def test_impossible_sizes_are_memory_errors(pool: Buffers) -> None:
    assert pool.alloc(1 << 45) is None and pool.alloc(-1) is None
    for shape in ((1 << 45,), (1 << 62,), (1 << 40, 1 << 40)):
        with pytest.raises((MemoryError, ValueError)):
            pool.empty(shape, U8)


def test_threads_never_share_a_block(pool: Buffers) -> None:
    stop, wrong = threading.Event(), []

    def sweep() -> None:
        while not stop.is_set():
            pool.trim(0)

    def work(seed: int) -> None:
        draw, held = random.Random(seed), []
        for _ in range(400):
            size = draw.randrange(1 << 10, 1 << 19)
            data = pool.alloc(size)
            ctypes.memset(data, seed, 64)
            ctypes.memset(data + size - 64, seed, 64)
            held.append((data, size))
            if len(held) > 4:
                data, size = held.pop(draw.randrange(5))
                if ctypes.string_at(data, 64) + ctypes.string_at(data + size - 64, 64) != bytes([seed]) * 128:
                    wrong.append(seed)
                pool.free(data)
        for data, _ in held:
            pool.free(data)

    before = pool.statistics.live
    sweeper, workers = threading.Thread(target=sweep), [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in (sweeper, *workers):
        t.start()
    for t in workers:
        t.join()
    stop.set()
    sweeper.join()
    assert not wrong and pool.statistics.live == before


def test_a_forked_child_has_its_own_blocks(pool: Buffers) -> None:
    a = pool.empty((2 * MB,), U8)
    a[:] = 3
    if (child := os.fork()) == 0:
        b = pool.empty((2 * MB,), U8)
        b[:] = 4
        os._exit(0 if (a == 3).all() else 1)
    assert os.waitpid(child, 0)[1] == 0 and (a == 3).all()


def test_fresh_memory_is_poisoned_in_check_mode(pool: Buffers) -> None:
    before = config.check
    config.check = True
    try:
        pool.apply_settings()
        data = pool.alloc(4096)
        assert ctypes.string_at(data, 4096) == b"\xff" * 4096
        pool.free(data)
        assert np.isnan(pool.empty((MB,), np.dtype("f8"))).all()
        assert np.isnan(pool.empty((10,), np.dtype("f4"))).all()
    finally:
        config.check = before
        pool.apply_settings()
