"""Outputs and results in native code: allocation before the kernel, running it, building what the call returns.

Flows in:  a frame whose slots are filled.
Flows out: a new reference, or 0 with an exception set.
"""

from __future__ import annotations

from tracejit.xla_lite.runtime.abi import ARRAY_DATA, LIST_ITEMS, TUPLE_ITEMS
from tracejit.xla_lite.runtime.native.arrays import decref, drop, incref, late_array, new_array
from tracejit.xla_lite.runtime.native.blocks import tj_free
from tracejit.xla_lite.runtime.native.frame import (
    ARRAY_COUNT,
    ARRAYS,
    COMPUTED,
    COMPUTED_TABLE,
    CONSTANT,
    FINISH,
    FIRST,
    FRAME_TURN,
    INPUT,
    KIND,
    LEFT_TREE,
    MAIN,
    MAKE_DICT,
    MAKE_LIST,
    MAKE_NAMED,
    OBJECTS,
    ON_ERROR,
    OPTIONAL,
    OUT_ARRAY,
    OUT_BOOL,
    OUT_BYTES,
    OUT_DIMS,
    OUT_DTYPE,
    OUT_FLOAT,
    OUT_INT,
    OUT_ITEM,
    OUT_KIND,
    OUT_LATE,
    OUT_RANK,
    OUT_SCALAR,
    OUT_TENSOR,
    OUT_TENSOR_OFFSET,
    OUTS,
    RECOVER,
    RESULT,
    RESULT_TREE,
    RESULTS,
    ROOT,
    ROOT_VALUES,
    SCRATCH,
    SECOND,
    SLOTS,
    STATE,
    TERM_TABLE,
    TERMS,
    THIRD,
    TURN_TABLE,
    TURNS,
)
from tracejit.xla_lite.runtime.native.host import run_unlocked
from tracejit.xla_lite.runtime.native.layout import ERROR_WORDS, LONG_WORK
from tracejit.xla_lite.runtime.native.matching import PyErr_Occurred, region
from tracejit.xla_lite.runtime.native.turns import end_turn, take_turn
from tracejit.xla_lite.runtime.native.words import (
    byte,
    call_int32,
    external,
    inline,
    likely,
    multiply_saturated,
    noinline,
    put_word,
    stack,
    symbol,
    unlikely,
    word,
)

MOST_AXES = 64

_Py_NoneStruct = symbol()
_Py_TrueStruct = symbol()
_Py_FalseStruct = symbol()
PyExc_SystemError = symbol()
PyArray_Scalar = external("i64(i64, i64, i64)")
PyLong_FromLongLong = external("i64(i64)")
PyFloat_FromDouble = external("i64(double)")
PyComplex_FromDoubles = external("i64(double, double)")
PyType_GenericAlloc = external("i64(i64, i64)")
PyTuple_New = external("i64(i64)")
PyList_New = external("i64(i64)")
PyDict_New = external("i64()")
PyDict_SetItem = external("i32(i64, i64, i64)")
PyObject_CallObject = external("i64(i64, i64)")
PyObject_CallFunctionObjArgs = external("i64(i64, ...)")
PyErr_SetNone = external("void(i64)")
PyErr_Fetch = external("void(i64, i64, i64)")
PyErr_Restore = external("void(i64, i64, i64)")
_PyDict_NewPresized = external("i64(i64)")


@inline
def read_size(frame: int, size: int) -> int:
    """A fixed size, or a word of the slots."""
    return size if size >= 0 else word(frame, SLOTS + 8 * ~size)


@inline
def read_sizes(frame: int, sizes: int, count: int, into: int) -> None:
    """Sizes of all axes."""
    for axis in range(count):
        put_word(into, 8 * axis, read_size(frame, word(sizes, 8 * axis)))


def allocate_outputs(frame: int, spec: int) -> int:
    """Makes output arrays and points `outs` at their data or at scratch cells; 0 if there is no memory.

    The cell of a late output receives the address of a block, which then belongs to the call.
    """
    dims = stack(MOST_AXES)
    out = word(spec, COMPUTED_TABLE)
    outs = frame + word(spec, OUTS)
    results = frame + word(spec, RESULTS)
    scratch = frame + word(spec, SCRATCH)
    for i in range(word(spec, COMPUTED)):
        if likely(word(out, OUT_KIND) == OUT_ARRAY):
            rank = word(out, OUT_RANK)
            read_sizes(frame, word(out, OUT_DIMS), rank, dims)
            array = new_array(word(out, OUT_DTYPE), word(out, OUT_ITEM), rank, dims)
            if unlikely(array == 0):
                return 0
            put_word(results, 8 * i, array)
            put_word(outs, 8 * i, word(array, ARRAY_DATA))
        else:
            put_word(scratch, 16 * i, 0)
            put_word(scratch, 16 * i + 8, 0)
            put_word(outs, 8 * i, scratch + 16 * i)
        out = out + OUT_BYTES
    return 1


def is_long(frame: int, spec: int) -> int:
    """Whether the estimated work is worth giving up the interpreter lock."""
    total = 0
    term = word(spec, TERM_TABLE)
    for _ in range(word(spec, TERMS)):
        amount = word(term, 0)
        count = word(term, 8)
        for i in range(count):
            amount = multiply_saturated(amount, read_size(frame, word(term, 16 + 8 * i)))
        if amount >= LONG_WORK:
            return 1
        total = total + amount
        term = term + 16 + 8 * count
    return total >= LONG_WORK


@noinline
def run_long(frame: int, spec: int) -> int:
    """main without the interpreter lock; meanwhile others may drop the inputs, so they are owned."""
    arrays = frame + word(spec, ARRAYS)
    for i in range(word(spec, ARRAY_COUNT)):
        incref(word(arrays, 8 * i))
    status = run_unlocked(word(spec, MAIN), frame + SLOTS, frame + word(spec, OUTS))
    for i in range(word(spec, ARRAY_COUNT)):
        decref(word(arrays, 8 * i))
    return status


@noinline
def raise_error(frame: int, spec: int, status: int) -> int:
    """Leaves an exception set: the one that is, or what `on_error(status, words)` raises. Gives 0."""
    if status < 0 and PyErr_Occurred() != 0:
        return 0
    words = PyTuple_New(ERROR_WORDS)
    number = PyLong_FromLongLong(status)
    if words == 0 or number == 0:
        drop(words)
        drop(number)
        return 0
    for i in range(ERROR_WORDS):
        put_word(words, TUPLE_ITEMS + 8 * i, PyLong_FromLongLong(word(frame, SLOTS + 8 * i)))
    answer = PyObject_CallFunctionObjArgs(word(spec, ON_ERROR), number, words, 0)
    decref(words)
    decref(number)
    if answer != 0:
        decref(answer)
        PyErr_SetNone(word(PyExc_SystemError, 0))
    return 0


@noinline
def free_late(frame: int, spec: int) -> None:
    """Frees what compiled code allocated for outputs that nobody gets."""
    out = word(spec, COMPUTED_TABLE)
    cell = frame + word(spec, SCRATCH)
    for _ in range(word(spec, COMPUTED)):
        if word(out, OUT_KIND) == OUT_LATE:
            tj_free(word(cell, 0))
            put_word(cell, 0, 0)
        out = out + OUT_BYTES
        cell = cell + 16


@noinline
def late_result(frame: int, out: int, cell: int) -> int:
    """The array of an output whose memory compiled code allocated."""
    dims = stack(MOST_AXES)
    read_sizes(frame, word(out, OUT_DIMS), word(out, OUT_RANK), dims)
    data = word(cell, 0)
    if data == 0:  # main failed before
        incref(_Py_NoneStruct)
        return _Py_NoneStruct
    put_word(cell, 0, 0)
    return late_array(word(out, OUT_DTYPE), word(out, OUT_ITEM), word(out, OUT_RANK), dims, data)


def scalar_result(out: int, cell: int) -> int:
    """The object of an output that is no array."""
    kind = word(out, OUT_KIND)
    if kind == OUT_SCALAR:
        return PyArray_Scalar(cell, word(out, OUT_DTYPE), 0)
    if kind == OUT_FLOAT:
        return PyFloat_FromDouble(word(cell, 0))
    if kind == OUT_INT:
        return PyLong_FromLongLong(word(cell, 0))
    if kind == OUT_BOOL:
        truth = _Py_TrueStruct if byte(cell, 0) != 0 else _Py_FalseStruct
        incref(truth)
        return truth
    return PyComplex_FromDoubles(word(cell, 0), word(cell, 8))


def wrap_tensor(out: int, array: int) -> int:
    """A Tensor around an array, whose reference it takes over."""
    tensor = PyType_GenericAlloc(word(out, OUT_TENSOR), 0)
    if tensor == 0:
        decref(array)
        return 0
    put_word(tensor, word(out, OUT_TENSOR_OFFSET), array)
    return tensor


def finish_output(frame: int, out: int, array: int, cell: int) -> int:
    """The object of one computed output after main; takes over the reference to the array."""
    if unlikely(word(out, OUT_KIND) != OUT_ARRAY):
        if word(out, OUT_KIND) != OUT_LATE:
            return scalar_result(out, cell)
        array = late_result(frame, out, cell)
        if array == 0:
            return 0
        if array == _Py_NoneStruct:
            return array
    return array if word(out, OUT_TENSOR) == 0 else wrap_tensor(out, array)


@inline
def finish_outputs(frame: int, spec: int) -> int:
    """All computed outputs; 0 with an exception."""
    out = word(spec, COMPUTED_TABLE)
    results = frame + word(spec, RESULTS)
    for i in range(word(spec, COMPUTED)):
        array = word(results, 8 * i)
        made = finish_output(frame, out, array, frame + word(spec, SCRATCH) + 16 * i)
        put_word(results, 8 * i, made)
        if unlikely(made == 0):
            free_late(frame, spec)
            return 0
        out = out + OUT_BYTES
    return 1


def build(frame: int, node: int) -> int:
    """A new reference to the value of a result node. Containers come last: making one may run the cycle collector."""
    kind = word(node, KIND)
    value = 0
    if likely(kind == RESULT):
        value = word(region(frame, RESULTS), 8 * word(node, FIRST))
    elif kind == MAKE_DICT:
        return build_dict(frame, node)
    elif kind == CONSTANT:
        value = word(node, FIRST)
    elif kind == INPUT:
        value = word(region(frame, OBJECTS), 8 * word(node, FIRST))
    elif kind == ROOT:
        value = word(region(frame, ROOT_VALUES), 8 * word(node, FIRST))
    elif kind == OPTIONAL:
        if word(region(frame, RESULTS), 8 * word(node, FIRST)) != _Py_TrueStruct:
            return build(frame, word(node, SECOND))
        value = _Py_NoneStruct
    else:
        return build_sequence(frame, node, kind)
    incref(value)
    return value


def build_sequence(frame: int, node: int, kind: int) -> int:
    """A list or a tuple; a namedtuple is made by its class."""
    count = word(node, FIRST)
    made = PyList_New(count) if kind == MAKE_LIST else PyTuple_New(count)
    if made == 0:
        return 0
    items = word(made, LIST_ITEMS) if kind == MAKE_LIST else made + TUPLE_ITEMS
    for i in range(count):
        item = build(frame, word(node, THIRD + 8 * i))
        if item == 0:
            decref(made)
            return 0
        put_word(items, 8 * i, item)
    if kind != MAKE_NAMED:
        return made
    named = PyObject_CallObject(word(node, SECOND), made)
    decref(made)
    return named


def build_dict(frame: int, node: int) -> int:
    """A dict."""
    made = _PyDict_NewPresized(word(node, FIRST))
    if made == 0:
        return 0
    entry = node + SECOND
    for _ in range(word(node, FIRST)):
        item = build(frame, word(entry, 8))
        failed = item == 0
        if likely(item != 0):
            failed = PyDict_SetItem(made, word(entry, 0), item) != 0
            decref(item)
        if unlikely(failed):
            decref(made)
            return 0
        entry = entry + 16
    return made


@noinline
def recover(frame: int, spec: int) -> int:
    """After a failure: `recover(state, result)` makes the stores that Python would have made before; 0 if it raises.

    An exception that is set stays set.
    """
    kept = stack(3)
    PyErr_Fetch(kept, kept + 8, kept + 16)
    result = 0
    if finish_outputs(frame, spec):
        result = build(frame, word(spec, LEFT_TREE))
    state = PyLong_FromLongLong(word(frame, SLOTS + word(spec, STATE)))
    answer = 0
    if result != 0 and state != 0:
        answer = PyObject_CallFunctionObjArgs(word(spec, RECOVER), state, result, 0)
    drop(state)
    drop(result)
    if answer == 0:
        drop(word(kept, 0))
        drop(word(kept, 8))
        drop(word(kept, 16))
        return 0
    decref(answer)
    PyErr_Restore(word(kept, 0), word(kept, 8), word(kept, 16))
    return 1


@noinline
def leave(frame: int, spec: int, status: int) -> int:
    """What follows a failure of main. Gives 0, with an exception."""
    if word(spec, RECOVER) != 0 and word(frame, SLOTS + word(spec, STATE)) != 0:
        if recover(frame, spec) == 0:
            return 0
    free_late(frame, spec)
    return raise_error(frame, spec, status)


@inline
def run(frame: int, spec: int) -> int:
    """main, with the interpreter lock if it is short."""
    if unlikely(is_long(frame, spec)):
        return run_long(frame, spec)
    return call_int32(word(spec, MAIN), frame + SLOTS, frame + word(spec, OUTS))


def execute(frame: int, spec: int) -> int:
    """Allocates, runs main when it is its turn, builds the result; 0 with an exception."""
    if unlikely(allocate_outputs(frame, spec) == 0):
        return 0
    if unlikely(word(spec, TURNS) != 0):
        if take_turn(frame + FRAME_TURN, frame, word(spec, TURN_TABLE), word(spec, TURNS)) == 0:
            return 0
        status = run(frame, spec)
        end_turn(frame + FRAME_TURN, frame, word(spec, TURN_TABLE), word(spec, TURNS))
    else:
        status = run(frame, spec)
    if unlikely(status != 0):
        return leave(frame, spec, status)
    if unlikely(finish_outputs(frame, spec) == 0):
        return 0
    result = build(frame, word(spec, RESULT_TREE))
    if unlikely(word(spec, FINISH) != 0) and result != 0:
        finished = PyObject_CallFunctionObjArgs(word(spec, FINISH), result, 0)
        decref(result)
        return finished
    return result
