"""The vectorcall entry of every compiled function, and the functions of the heap type whose instances it serves.

Flows in:  calls by CPython's vectorcall protocol.
Flows out: results; calls that no specialisation fits go to the slow path, a Python callable.

One entry serves all specialisations: it walks the callable's chain of tables, newest first. An instance holds the
entry's address, its slow path, its owner, a weak reference list, a dict, the head of the chain, and the list which
keeps the chain's specialisations alive. That list is owned during a call, so a chain may be replaced while calls are
running.
"""

from __future__ import annotations

from tracejit.xla_lite.runtime.abi import OB_TYPE
from tracejit.xla_lite.runtime.native.arrays import decref, drop, incref
from tracejit.xla_lite.runtime.native.frame import (
    COMPUTED,
    FRAME_DEFERRED,
    FRAME_HELD,
    FRAME_HOLD,
    FRAME_SPEC,
    FRAME_WORDS,
    HELD,
    HITS,
    HOLD,
    KEYWORDS,
    NEXT,
    POSITIONALS,
    PREPARE,
    RESULTS,
    SLOTS,
    WRITTEN,
)
from tracejit.xla_lite.runtime.native.layout import (
    CHAIN,
    DICT,
    KEPT,
    NOT_MINE,
    OWNER,
    SLOW,
    WATCHERS,
    WEAK_REFERENCES,
)
from tracejit.xla_lite.runtime.native.matching import FAILED, HIT, check_names, match, overlaps
from tracejit.xla_lite.runtime.native.results import PyErr_SetNone, _Py_NoneStruct, execute
from tracejit.xla_lite.runtime.native.signals import host_state
from tracejit.xla_lite.runtime.native.words import (
    Int32,
    call_int32,
    export,
    external,
    inline,
    likely,
    noinline,
    put_word,
    stack,
    symbol,
    unlikely,
    word,
)

COUNT_MASK = 2**63 - 1  # the top bit of nargsf is a flag
MOST_STACK_WORDS = 2048

PyExc_RuntimeError = symbol()
PyObject_Vectorcall = external("i64(i64, i64, i64, i64)")
PyObject_GC_UnTrack = external("void(i64)")
PyObject_GC_Del = external("void(i64)")
PyObject_ClearWeakRefs = external("void(i64)")
PyMethod_New = external("i64(i64, i64)")
PyMem_RawMalloc = external("i64(i64)")
PyMem_RawFree = external("void(i64)")
PyErr_NoMemory = external("i64()")


@inline
def release(frame: int, spec: int) -> None:
    """Drops what the frame owns."""
    results = frame + word(spec, RESULTS)
    for i in range(word(spec, COMPUTED)):
        drop(word(results, 8 * i))
    held = frame + word(spec, HELD)
    for i in range(word(frame, FRAME_HELD)):
        decref(word(held, 8 * i))


@inline
def admit(frame: int, spec: int, arguments: int) -> int:
    """All checks of one specialisation, those that need every slot last."""
    status = match(frame, spec, arguments)
    if unlikely(status != HIT):
        return status
    if unlikely(word(spec, WRITTEN) != 0) and overlaps(frame, spec):
        return 0
    prepare = word(spec, PREPARE)
    if prepare != 0 and call_int32(prepare, frame + SLOTS) != 0:
        return 0
    return HIT


@inline
def run_in_frame(frame: int, spec: int, arguments: int) -> int:
    """One specialisation, in the frame given."""
    put_word(frame, FRAME_SPEC, spec)
    put_word(frame, FRAME_HELD, 0)
    put_word(frame, FRAME_DEFERRED, 0)
    put_word(frame, FRAME_HOLD, word(spec, HOLD))
    results = frame + word(spec, RESULTS)
    for i in range(word(spec, COMPUTED)):
        put_word(results, 8 * i, 0)
    status = admit(frame, spec, arguments)
    result = NOT_MINE
    if status == HIT:
        put_word(spec, HITS, word(spec, HITS) + 1)
        result = execute(frame, spec)
    elif status == FAILED:
        result = 0
    release(frame, spec)
    return result


@noinline
def run_on_heap(spec: int, arguments: int) -> int:
    """For frames too large for the stack of a thread."""
    frame = PyMem_RawMalloc(8 * word(spec, FRAME_WORDS))
    if frame == 0:
        return PyErr_NoMemory()
    result = run_in_frame(frame, spec, arguments)
    PyMem_RawFree(frame)
    return result


@noinline
def run_on_stack(spec: int, arguments: int) -> int:
    """For all others."""
    return run_in_frame(stack(word(spec, FRAME_WORDS)), spec, arguments)


@inline
def try_one(spec: int, arguments: int, flags: int, names: int) -> int:
    """The result of one specialisation, 0 with an exception, or NOT_MINE."""
    if (flags & COUNT_MASK) != word(spec, POSITIONALS):
        return NOT_MINE
    if unlikely((names | word(spec, KEYWORDS)) != 0) and check_names(spec, names) != HIT:
        return NOT_MINE
    if unlikely(word(spec, FRAME_WORDS) > MOST_STACK_WORDS):
        return run_on_heap(spec, arguments)
    return run_on_stack(spec, arguments)


@export
def attempt(spec: int, arguments: int, flags: int, names: int) -> int:
    """`try_one` for Python."""
    return try_one(spec, arguments, flags, names)


@export
def callable_call(self: int, arguments: int, flags: int, names: int) -> int:
    """vectorcall"""
    spec = word(self, CHAIN)
    if spec != 0 and likely(word(host_state, WATCHERS) == 0):
        kept = word(self, KEPT)
        incref(kept)
        while spec != 0:
            result = try_one(spec, arguments, flags, names)
            if result != NOT_MINE:
                decref(kept)
                return result
            spec = word(spec, NEXT)
        decref(kept)
    slow = word(self, SLOW)
    if unlikely(slow == 0):  # the cycle collector has cleared this object
        PyErr_SetNone(word(PyExc_RuntimeError, 0))
        return 0
    return PyObject_Vectorcall(slow, arguments, flags, names)


def clear_field(self: int, offset: int) -> None:
    """Forgets a reference before dropping it."""
    value = word(self, offset)
    put_word(self, offset, 0)
    drop(value)


@export
def callable_clear(self: int) -> Int32:
    """tp_clear: no specialisation can be reached any more once what keeps them is dropped."""
    put_word(self, CHAIN, 0)
    clear_field(self, SLOW)
    clear_field(self, OWNER)
    clear_field(self, DICT)
    clear_field(self, KEPT)
    return 0


@inline
def visited(value: int, visit: int, argument: int) -> int:
    """Py_VISIT"""
    return call_int32(visit, value, argument) if value != 0 else 0


@export
def callable_traverse(self: int, visit: int, argument: int) -> Int32:
    """tp_traverse; instances of heap types visit their type too."""
    answer = visited(word(self, OB_TYPE), visit, argument)
    if answer == 0:
        answer = visited(word(self, SLOW), visit, argument)
    if answer == 0:
        answer = visited(word(self, OWNER), visit, argument)
    if answer == 0:
        answer = visited(word(self, DICT), visit, argument)
    if answer == 0:
        answer = visited(word(self, KEPT), visit, argument)
    return answer


@export
def callable_dealloc(self: int) -> None:
    """tp_dealloc"""
    kind = word(self, OB_TYPE)
    PyObject_GC_UnTrack(self)
    if word(self, WEAK_REFERENCES) != 0:
        PyObject_ClearWeakRefs(self)
    callable_clear(self)
    PyObject_GC_Del(self)
    decref(kind)


@export
def callable_bind(self: int, instance: int, owner: int) -> int:
    """tp_descr_get: a bound method on instances, itself on classes."""
    if instance == 0 or instance == _Py_NoneStruct:
        incref(self)
        return self
    return PyMethod_New(self, instance)
