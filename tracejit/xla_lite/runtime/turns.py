"""Memory that calls take turns on, and turns for Python code.

Flows in:  shapes and dtypes; where such memory stands, and whether it is written.
Flows out: arrays whose data stands behind a header; `Turns`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from tracejit.xla_lite.runtime.abi import word_at
from tracejit.xla_lite.runtime.library import native_library
from tracejit.xla_lite.runtime.native import layout

ALIGNMENT = 64
_RECORD = ctypes.c_int64 * 4
Array = np.ndarray[Any, Any]


def array_with_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An uninitialised C-contiguous array, aligned to a cache line, with a zeroed header before its data."""
    count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    block = np.empty(count + layout.TURN_HEADER + ALIGNMENT, np.uint8)
    start = layout.TURN_HEADER + -(block.ctypes.data + layout.TURN_HEADER) % ALIGNMENT
    block[start - layout.TURN_HEADER : start] = 0
    return np.ndarray(shape, dtype, block, start)  # a slice of no elements would begin where the block does


class Turns:
    """What a thread takes turns on: `with Turns(arrays).turn():`. arrays: where the data of each stands, and whether it
    is written."""

    def __init__(self, arrays: Sequence[tuple[int, bool]]) -> None:
        count = len(arrays)
        self._addresses = (ctypes.c_int64 * count)(*[address for address, _ in arrays])
        self._entries = (ctypes.c_int64 * (2 * count))(*[w for i, (_, writes) in enumerate(arrays)
                                                         for w in (8 * i, int(writes))])
        self.places = ctypes.addressof(self._addresses), ctypes.addressof(self._entries), count

    def turn(self) -> Turn:
        """One turn of this thread."""
        return Turn(self)


class Turn:
    """A block that is alone with what it writes, and in which nobody writes what it reads."""

    __slots__ = ("_record", "_turns")

    def __init__(self, turns: Turns) -> None:
        self._turns, self._record = turns, _RECORD()

    def __enter__(self) -> None:
        _functions()[0](ctypes.addressof(self._record), *self._turns.places)

    def __exit__(self, *error: object) -> None:
        _functions()[1](ctypes.addressof(self._record), *self._turns.places)


@cache
def _functions() -> tuple[Callable[..., int], Callable[..., int]]:
    """Taking and ending turns, with the interpreter lock; an exception that is set is raised."""
    library = native_library()
    make = ctypes.PYFUNCTYPE(*[ctypes.c_int64] * 5)
    os.register_at_fork(after_in_child=_begin_epoch)
    return make(library["tj_take_turn"]), make(library["tj_end_turn"])


def _begin_epoch() -> None:
    """The turns of other threads of the parent are over in a forked child."""
    state = native_library()["turns"]
    ctypes.c_int64.from_address(state + layout.TURN_EPOCH).value = (word_at(state + layout.TURN_EPOCH) + 1) % 2**31
    ctypes.c_int64.from_address(state + layout.TURN_NEWEST).value = 0
