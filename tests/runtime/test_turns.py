"""Turns on memory: where headers lie, and who waits for whom."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from tracejit.xla_lite.runtime.native import layout
from tracejit.xla_lite.runtime.turns import Turns, array_with_header

F8 = np.dtype("f8")


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (0, 3), (1,), (7,), (3, 5)])
@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "?", "i1", "u2"])
def test_the_header_lies_in_the_array_s_own_block(shape: tuple[int, ...], dtype: str) -> None:
    array = array_with_header(shape, np.dtype(dtype))
    block = array.base
    assert block is not None and array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
    start, data = block.ctypes.data, array.ctypes.data
    assert start <= data - layout.TURN_HEADER and data + array.nbytes <= start + block.nbytes
    assert data % 64 == 0 and not block[data - layout.TURN_HEADER - start : data - start].any()


def turns(*arrays: tuple[Any, bool]) -> Turns:
    return Turns([(array.ctypes.data, writes) for array, writes in arrays])


def other_thread_enters(wanted: Turns, within: float = 0.15) -> bool:
    """Whether another thread gets its turn soon. If not, it gets it when the caller's turn ends."""
    entered = threading.Event()

    def work() -> None:
        with wanted.turn():
            entered.set()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return entered.wait(within)


def test_who_writes_is_alone_and_readers_share() -> None:
    x, y = array_with_header((3,), F8), array_with_header((3,), F8)
    for held, wanted, enters in [((x, True), (x, True), False), ((x, True), (x, False), False),
                                 ((x, False), (x, True), False), ((x, False), (x, False), True),
                                 ((x, True), (y, True), True)]:
        with turns(held).turn():
            assert other_thread_enters(turns(wanted)) == enters
        time.sleep(0.01)
        with turns((x, True), (y, True)).turn():    # the other has left
            pass


def test_all_are_taken_at_once() -> None:
    x, y = array_with_header((3,), F8), array_with_header((3,), F8)
    with turns((x, True)).turn():
        assert not other_thread_enters(turns((y, True), (x, True)))     # it waits, and holds none
        assert other_thread_enters(turns((y, False)), 2.0)


def test_a_thread_does_not_wait_for_itself() -> None:
    x = array_with_header((3,), F8)
    with turns((x, True)).turn():
        with turns((x, True)).turn():
            pass
        assert not other_thread_enters(turns((x, False)))


def test_an_exception_ends_a_turn() -> None:
    x = array_with_header((3,), F8)
    with pytest.raises(ZeroDivisionError), turns((x, True)).turn():
        raise ZeroDivisionError
    assert other_thread_enters(turns((x, True)), 2.0)


def test_a_writer_gets_its_turn_among_many_readers() -> None:
    x, stop, done = array_with_header((3,), F8), threading.Event(), threading.Event()

    def read() -> None:
        mine = turns((x, False))
        while not stop.is_set():
            with mine.turn():
                time.sleep(0.0005)

    def write() -> None:
        mine = turns((x, True))
        for _ in range(5):
            with mine.turn():
                x[0] += 1
        done.set()
    threads = [threading.Thread(target=read) for _ in range(3)] + [threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    assert done.wait(20)
    stop.set()
    for thread in threads:
        thread.join()
