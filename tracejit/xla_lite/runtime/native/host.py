"""What compiled code calls in the interpreter, from the thread that called it (never from a chunk of a parallel job).

Flows in:  calls with or without the interpreter lock.
Flows out: 0, or non-zero with an exception set in this thread; compiled code then returns -1.
"""

from __future__ import annotations

from tracejit.xla_lite.runtime.native.layout import HOST_FUNCTION
from tracejit.xla_lite.runtime.native.signals import PyGILState_Ensure, PyGILState_Release, host_state
from tracejit.xla_lite.runtime.native.words import Int32, call_int32, export, external, put_word, word

PyLong_FromLongLong = external("i64(i64)")
PyObject_CallFunctionObjArgs = external("i64(i64, ...)")
Py_DecRef = external("void(i64)")
PyEval_SaveThread = external("i64()")
PyEval_RestoreThread = external("void(i64)")


@export
def tj_host_call(number: int, frame: int) -> Int32:
    """Runs the Python function registered as `number` with the address of its frame; 1 if it raised."""
    lock = PyGILState_Ensure()
    which = PyLong_FromLongLong(number)
    address = PyLong_FromLongLong(frame)
    answer = 0
    if which != 0 and address != 0:
        answer = PyObject_CallFunctionObjArgs(word(host_state, HOST_FUNCTION), which, address, 0)
    Py_DecRef(which)
    Py_DecRef(address)
    Py_DecRef(answer)
    PyGILState_Release(lock)
    return answer == 0


@export
def tj_put_address(frame: int, index: int, address: int) -> int:
    """Notes where an operand or a result of a host call lies: word `index` of its frame. Gives 0."""
    put_word(frame, 8 * index, address)
    return 0


@export
def run_unlocked(main: int, slots: int, outs: int) -> Int32:
    """main(slots, outs) without the interpreter lock, which the caller holds."""
    thread = PyEval_SaveThread()
    status = call_int32(main, slots, outs)
    PyEval_RestoreThread(thread)
    return status
