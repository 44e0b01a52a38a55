"""The cycle collector is off while a function is traced, and afterwards as it was."""
from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.api.collector import collector_paused


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    before = gc.isenabled()
    yield
    (gc.enable if before else gc.disable)()


def test_no_collection_runs_in_a_trace() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(gc.isenabled())
        return x + 1

    gc.enable()
    tj.function(f, autograph=False)(np.ones(3))
    assert seen == [False] and gc.isenabled()


def test_it_is_on_again_after_an_error() -> None:
    gc.enable()
    with pytest.raises(ZeroDivisionError):
        tj.function(lambda x: x + 1 // 0)(np.ones(3))
    assert gc.isenabled()


def test_it_stays_off_where_the_program_turned_it_off() -> None:
    gc.disable()
    tj.function(lambda x: x + 2)(np.ones(3))
    assert not gc.isenabled()


def test_the_last_of_several_threads_turns_it_on() -> None:
    gc.enable()
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with collector_paused():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with collector_paused():
        thread.start()
        entered.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()
