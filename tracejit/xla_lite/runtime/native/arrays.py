"""Output arrays in native code: fresh NumPy arrays, large ones on recycled blocks; reference counts.

Flows in:  a dtype object, dims, sizes.
Flows out: new references to arrays; 0 with an exception set where there is no memory.
"""

from __future__ import annotations

from tracejit.xla_lite.runtime.abi import (
    ARRAY_DATA,
    ARRAY_FLAGS,
    ARRAY_HANDLER,
    C_ARRAY,
    IMMORTAL,
    OB_REFCNT,
    OWNDATA,
)
from tracejit.xla_lite.runtime.native.blocks import (
    any_free,
    blocks,
    memcpy,
    memset,
    small_alloc,
    tj_alloc,
    tj_free,
)
from tracejit.xla_lite.runtime.native.layout import (
    HANDLER_CAPSULE,
    HUGE_ARRAY,
    LATE_FROM,
    POISON,
    POISON_BYTE,
    RECYCLE_FROM,
    SMALL_LARGEST,
)
from tracejit.xla_lite.runtime.native.words import (
    export,
    external,
    inline,
    int32,
    likely,
    multiply_saturated,
    noinline,
    put_int32,
    put_word,
    static,
    symbol,
    unlikely,
    word,
)

array_settings = static(8)
PyArray_Type = symbol()
PyArray_NewFromDescr = external("i64(i64, i64, i32, i64, i64, i64, i32, i64)")
PyErr_NoMemory = external("i64()")
_Py_Dealloc = external("void(i64)")


@inline
def incref(value: int) -> None:
    """One reference more; immortal objects are not written."""
    if IMMORTAL:
        if likely(int32(value, OB_REFCNT) >= 0):
            put_int32(value, OB_REFCNT, int32(value, OB_REFCNT) + 1)
    else:
        put_word(value, OB_REFCNT, word(value, OB_REFCNT) + 1)


@inline
def decref(value: int) -> None:
    """One reference less."""
    if IMMORTAL:
        if likely(int32(value, OB_REFCNT) >= 0):
            put_int32(value, OB_REFCNT, int32(value, OB_REFCNT) - 1)
            if unlikely(int32(value, OB_REFCNT) == 0):
                _Py_Dealloc(value)
    else:
        left = word(value, OB_REFCNT) - 1
        put_word(value, OB_REFCNT, left)
        if unlikely(left == 0):
            _Py_Dealloc(value)


@inline
def drop(value: int) -> None:
    """decref, unless it is 0."""
    if value != 0:
        decref(value)


def array_bytes(item: int, rank: int, dims: int) -> int:
    """The size of an array, saturated; negative dims are passed on to NumPy, which refuses them."""
    total = item
    for axis in range(rank):
        total = multiply_saturated(total, word(dims, 8 * axis))
    return total


@inline
def adopt(dtype: int, rank: int, dims: int, data: int) -> int:
    """An array which owns a block: NumPy frees it through our handler, set in this array only."""
    incref(dtype)
    array = PyArray_NewFromDescr(PyArray_Type, dtype, rank, dims, 0, data, C_ARRAY, 0)
    if unlikely(array == 0):
        any_free(data)
        return 0
    capsule = word(array_settings, HANDLER_CAPSULE)
    incref(capsule)  # the array drops it in its destructor
    put_word(array, ARRAY_HANDLER, capsule)
    put_int32(array, ARRAY_FLAGS, int32(array, ARRAY_FLAGS) | OWNDATA)
    return array


@noinline
def recycled_array(dtype: int, rank: int, dims: int, size: int) -> int:
    """An array on a recycled block."""
    data = tj_alloc(size)
    return PyErr_NoMemory() if data == 0 else adopt(dtype, rank, dims, data)


@noinline
def numpy_array(dtype: int, rank: int, dims: int, size: int) -> int:
    """An array whose memory NumPy gets."""
    incref(dtype)  # stolen by the call
    array = PyArray_NewFromDescr(PyArray_Type, dtype, rank, dims, 0, 0, 0, 0)
    if unlikely(word(blocks, POISON) != 0) and array != 0:
        memset(word(array, ARRAY_DATA), POISON_BYTE, size)
    return array


@inline
def new_array(dtype: int, item: int, rank: int, dims: int) -> int:
    """An uninitialised C-contiguous array; `item` is the size of an element."""
    size = array_bytes(item, rank, dims)
    if unlikely(word(array_settings, HANDLER_CAPSULE) == 0) or size < 0 or size >= HUGE_ARRAY:
        return numpy_array(dtype, rank, dims, size)
    if size > SMALL_LARGEST:
        if size >= RECYCLE_FROM:
            return recycled_array(dtype, rank, dims, size)
        return numpy_array(dtype, rank, dims, size)
    data = small_alloc(size)
    if unlikely(data == 0):
        return PyErr_NoMemory()
    if unlikely(word(blocks, POISON) != 0):
        memset(data, POISON_BYTE, size)
    return adopt(dtype, rank, dims, data)


@export
def make_array(dtype: int, item: int, rank: int, dims: int) -> int:
    """`new_array` for Python."""
    return new_array(dtype, item, rank, dims)


@noinline
def late_array(dtype: int, item: int, rank: int, dims: int, data: int) -> int:
    """An array whose memory compiled code allocated: it owns the block, unless a small copy is cheaper to keep."""
    size = array_bytes(item, rank, dims)
    if word(array_settings, HANDLER_CAPSULE) != 0 and size >= LATE_FROM:
        return adopt(dtype, rank, dims, data)
    array = new_array(dtype, item, rank, dims)
    if array != 0:
        memcpy(word(array, ARRAY_DATA), data, size)
    tj_free(data)
    return array
