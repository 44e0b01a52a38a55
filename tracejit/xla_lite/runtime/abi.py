"""Where CPython and NumPy keep what native code reads: offsets, API tables, and the test that they are true here.

Flows in:  the running interpreter and NumPy.
Flows out: constants for native code, addresses of C functions by name, `abi_is_known()`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

# CPython, 64 bits, with the global interpreter lock (3.11 to 3.14).
OB_REFCNT, OB_TYPE, OB_SIZE = 0, 8, 16
FLOAT_VALUE, COMPLEX_VALUE, TUPLE_ITEMS, LIST_ITEMS, DICT_USED, CELL_VALUE, STR_HASH = 16, 16, 24, 24, 16, 16, 24
IMMORTAL = sys.version_info >= (3, 12)  # objects whose low 32 bits of the count are negative must not be written
# NumPy 1.22 to 2.x.
ARRAY_DATA, ARRAY_RANK, ARRAY_DIMS, ARRAY_STRIDES, ARRAY_DESCR, ARRAY_FLAGS, ARRAY_HANDLER = 16, 24, 32, 40, 56, 64, 88
SCALAR_VALUE = 16
DESCR_KEY, DESCR_KEY_MASK = 24, 0xFFFFFFFF00FF00FF - 2**64  # kind, (type), byte order, (flags), type number
C_CONTIGUOUS, OWNDATA, ALIGNED, WRITEABLE = 0x1, 0x4, 0x100, 0x400
C_ARRAY = C_CONTIGUOUS | ALIGNED | WRITEABLE

NUMPY_API = {
    "PyArray_Type": 2, "PyArray_Scalar": 60, "PyArray_NewFromDescr": 94,
    "PyDataMem_SetHandler": 304, "PyDataMem_GetHandler": 305,
}  # fmt: skip

# Private functions that a later CPython may hide; the substitute ignores the argument.
SUBSTITUTES = {"_PyDict_NewPresized": "PyDict_New"}


def word_at(address: int) -> int:
    """The 64-bit word in memory."""
    return ctypes.c_int64.from_address(address).value


def numpy_function(name: str) -> int:
    """The address of an entry of NumPy's C API."""
    make = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    get = make(("PyCapsule_GetPointer", ctypes.pythonapi))
    return word_at(get(_umath()._ARRAY_API, None) + 8 * NUMPY_API[name])


def _umath() -> Any:
    return np._core._multiarray_umath  # type: ignore[attr-defined]


def umath_path() -> str:
    """The file of NumPy's extension module, which is linked with its BLAS."""
    return str(_umath().__file__)


def c_address(name: str) -> int:
    """The address of a function or datum of CPython, NumPy or the C library."""
    if name in NUMPY_API:
        return numpy_function(name)
    source = ctypes.pythonapi if name.startswith(("Py", "_Py")) else ctypes.CDLL(None)
    if not hasattr(source, name):
        name = SUBSTITUTES[name]
    address = ctypes.cast(getattr(source, name), ctypes.c_void_p).value
    assert address
    return address


def c_addresses(names: Iterable[str]) -> dict[str, int]:
    return {name: c_address(name) for name in names}


def dtype_key(dtype: np.dtype[Any]) -> int:
    """What a native check compares: kind, byte order and type number, as a signed word."""
    return ord(dtype.kind) | ord(dtype.byteorder) << 16 | dtype.num << 32


def other_dtype_key(dtype: np.dtype[Any]) -> int:
    """The key of the other C type with the same meaning (long and long long), or the same key."""
    others = [np.dtype(c) for c in "bhilqBHILQ"]
    return next((dtype_key(o) for o in others if o == dtype and o.num != dtype.num), dtype_key(dtype))


def member_offset(cls: type, name: str) -> int:
    """Where instances of `cls` keep the slot `name`: `d_member->offset` of its member descriptor."""
    descriptor = vars(cls)[name]
    return word_at(word_at(id(descriptor) + 40) + 16)


@cache
def abi_is_known() -> bool:
    """Whether every offset above holds on live objects; otherwise calls are checked in Python."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if not gil or sys.implementation.name != "cpython" or sys.byteorder != "little" or sys.maxsize != 2**63 - 1:
        return False
    return _python_layout() and _array_layout() and _scalar_layout() and _slot_layout()


def _python_layout() -> bool:
    one, other = object(), 2.5
    items, table, text = [one, other], {"a": one, "b": other}, "xyz"
    cell = (lambda: items).__closure__[0]  # type: ignore[index]
    pair = (one, other)
    return (
        word_at(id(items) + OB_TYPE) == id(list)
        and word_at(id(items) + OB_SIZE) == 2
        and word_at(word_at(id(items) + LIST_ITEMS) + 8) == id(other)
        and word_at(id(pair) + TUPLE_ITEMS + 8) == id(other)
        and word_at(id(table) + DICT_USED) == 2
        and word_at(id(text) + STR_HASH) == hash(text)
        and word_at(id(cell) + CELL_VALUE) == id(items)
        and ctypes.c_double.from_address(id(other) + FLOAT_VALUE).value == other
    )


def _array_layout() -> bool:
    array = np.zeros((3, 5), np.float32)[:, ::2]
    base = id(array)
    dims, strides = word_at(base + ARRAY_DIMS), word_at(base + ARRAY_STRIDES)
    return (
        word_at(base + ARRAY_DATA) == array.ctypes.data
        and word_at(base + ARRAY_RANK) & 0xFFFFFFFF == 2
        and (word_at(dims), word_at(dims + 8)) == array.shape
        and (word_at(strides), word_at(strides + 8)) == array.strides
        and word_at(base + ARRAY_DESCR) == id(array.dtype)
        and word_at(base + ARRAY_FLAGS) & 0xFFFFFFFF == array.flags.num
        and word_at(id(array.dtype) + DESCR_KEY) & DESCR_KEY_MASK == dtype_key(array.dtype)
    )


def _scalar_layout() -> bool:
    """NumPy scalars keep their value right behind the object's head."""
    samples = (np.float64(2.5), np.float32(2.5), np.int8(-3), np.complex128(1 + 2j), np.float16(1.5), np.bool_(True))
    for value in samples:
        raw = ctypes.string_at(id(value) + SCALAR_VALUE, value.dtype.itemsize)
        if raw != value.tobytes():
            return False
    return True


class _Slotted:
    __slots__ = ("_data", "first")

    def __init__(self, data: object) -> None:
        self.first, self._data = None, data


def _slot_layout() -> bool:
    kept = object()
    holder = _Slotted(kept)
    return word_at(id(holder) + member_offset(_Slotted, "_data")) == id(kept)
