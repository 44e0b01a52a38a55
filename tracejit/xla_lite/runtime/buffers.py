"""Output memory as Python sees it: arrays on recycled blocks, limits, trimming, statistics.

Flows in:  `config.huge_pages` and `config.check`, read when made and by `apply_settings`.
Flows out: `tj_alloc` and `tj_free` for compiled code (by address), `Buffers.empty` for Python.
"""

from __future__ import annotations

import ctypes
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.options import config
from tracejit.xla_lite.runtime.abi import ARRAY_HANDLER, abi_is_known, numpy_function, word_at
from tracejit.xla_lite.runtime.library import native_library
from tracejit.xla_lite.runtime.locks import hold_while_forking, runtime_lock
from tracejit.xla_lite.runtime.native import layout
from tracejit.xla_lite.runtime.threads import thread_pool

MOST_CACHED = 1 << 30
TICK_NANOSECONDS = 1_000_000_000
KEPT_TICKS = 8


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler, version 1."""

    _fields_ = [
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("malloc", "calloc", "realloc", "free")),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class BufferStatistics:
    """Bytes in free blocks and in use; allocations served by a free block and by the system."""

    cached: int
    live: int
    hits: int
    misses: int


class Buffers:
    """The allocator of this process. Arrays may outlive everything else, so nothing here is ever freed."""

    def __init__(self) -> None:
        library = native_library()
        self._state = library["blocks"]
        self.alloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(library["tj_alloc"])
        self.free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library["tj_free"])
        self._trim = ctypes.CFUNCTYPE(None, ctypes.c_int64)(library["blocks_trim"])
        self._new_array = ctypes.PYFUNCTYPE(
            ctypes.py_object, ctypes.py_object, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
        )(library["make_array"])
        self.set_limit(min(MOST_CACHED, _memory_bytes() // 4))
        self._put(layout.TICK_LENGTH, int(TICK_NANOSECONDS * thread_pool().ticks_per_nanosecond))
        self._put(layout.KEPT_TICKS, KEPT_TICKS)
        self.apply_settings()
        lock, unlock = (ctypes.CFUNCTYPE(None)(library[n]) for n in ("blocks_lock", "blocks_unlock"))
        hold_while_forking(lock, unlock)
        self.recycles_arrays = abi_is_known() and self._install_handler()

    def apply_settings(self) -> None:
        """Takes over `config.huge_pages` and `config.check` (which poisons fresh memory)."""
        self._put(layout.HUGE, int(config.huge_pages))
        self._put(layout.POISON, int(config.check))

    def set_limit(self, limit: int) -> None:
        """The most bytes that are kept in free blocks."""
        self._put(layout.LIMIT, limit)

    def trim(self, age: int = 0) -> None:
        """Returns blocks to the system which have been free for `age` ticks (seconds, while memory is in use)."""
        self._trim(age)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """An uninitialised array: on a recycled block from 128 KB, NumPy's own below."""
        if not self.recycles_arrays or math.prod(shape) * dtype.itemsize < layout.RECYCLE_FROM:
            made = np.empty(shape, dtype)
            if config.check:
                ctypes.memset(made.ctypes.data, layout.POISON_BYTE, made.nbytes)
            return made
        dims = (ctypes.c_int64 * max(1, len(shape)))(*shape)
        recycled: np.ndarray[Any, Any] = self._new_array(dtype, dtype.itemsize, len(shape), ctypes.addressof(dims))
        return recycled

    @property
    def statistics(self) -> BufferStatistics:
        offsets = (layout.CACHED, layout.LIVE, layout.HITS, layout.MISSES)
        return BufferStatistics(*(word_at(self._state + offset) for offset in offsets))

    def _put(self, offset: int, value: int) -> None:
        ctypes.c_int64.from_address(self._state + offset).value = value

    def _install_handler(self) -> bool:
        """Makes the handler that recycled arrays carry; whether NumPy finds it where we put it."""
        library = native_library()
        functions = [library[f"handler_{name}"] for name in ("malloc", "calloc", "realloc", "free")]
        handler = _Handler(b"tracejit", 1, None, *functions)
        name = ctypes.create_string_buffer(b"mem_handler")
        make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        capsule = make(("PyCapsule_New", ctypes.pythonapi))(ctypes.addressof(handler), ctypes.addressof(name), None)
        for kept in (handler, name, capsule):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
        if not _handler_offset_holds():
            return False
        cell = ctypes.c_int64.from_address(library["array_settings"] + layout.HANDLER_CAPSULE)
        cell.value = id(capsule)
        dims = (ctypes.c_int64 * 1)(layout.RECYCLE_FROM)
        probe = self._new_array(np.dtype(np.uint8), 1, 1, ctypes.addressof(dims))
        if _handler_name(probe) != "tracejit":
            cell.value = 0
        return bool(cell.value)


def _handler_offset_holds() -> bool:
    """Whether an ordinary array keeps NumPy's current handler where we would put ours."""
    current = ctypes.PYFUNCTYPE(ctypes.py_object)(numpy_function("PyDataMem_GetHandler"))()
    array = np.empty(3)
    return word_at(id(array) + ARRAY_HANDLER) == id(current)


def _handler_name(array: np.ndarray[Any, Any]) -> str:
    return str(np._core.multiarray.get_handler_name(array))  # type: ignore[attr-defined]


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


_buffers: Buffers | None = None  # written by buffers(), once


def buffers() -> Buffers:
    """The allocator of this process."""
    global _buffers
    if _buffers is None:
        with runtime_lock:
            if _buffers is None:
                _buffers = Buffers()
    return _buffers
