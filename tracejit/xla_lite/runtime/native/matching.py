"""Checks of a call in native code: walks the tables of a specialisation over the arguments and fills the slots.

Flows in:  a frame, the arguments.
Flows out: HIT, MISS, or FAILED with an exception set; the frame's slots, arrays, objects and root values.

Where Python code may run during the checks (attributes, predicates, exotic `==`), every value read is owned by the
frame, and arrays are looked at only after the last Python code has run. Elsewhere references are borrowed: nobody can
drop them while we hold the interpreter lock.
"""

from __future__ import annotations

from tracejit.xla_lite.runtime.abi import (
    ARRAY_DATA,
    ARRAY_DESCR,
    ARRAY_DIMS,
    ARRAY_FLAGS,
    ARRAY_RANK,
    ARRAY_STRIDES,
    CELL_VALUE,
    COMPLEX_VALUE,
    DESCR_KEY,
    DESCR_KEY_MASK,
    DICT_USED,
    FLOAT_VALUE,
    LIST_ITEMS,
    OB_SIZE,
    OB_TYPE,
    SCALAR_VALUE,
    TUPLE_ITEMS,
)
from tracejit.xla_lite.runtime.native.arrays import PyArray_Type, array_bytes, decref, incref
from tracejit.xla_lite.runtime.native.frame import (
    ABSENT,
    ARRAY,
    ARRAY_COUNT,
    ARRAY_FLAGS_WANTED,
    ARRAY_ITEM,
    ARRAY_KEY,
    ARRAY_NODES,
    ARRAY_NUMBER,
    ARRAY_OTHER_KEY,
    ARRAY_RANK_WANTED,
    ARRAY_SIZES,
    ARRAY_STRIDED,
    ARRAY_TENSOR,
    ARRAY_TENSOR_OFFSET,
    ARRAYS,
    CHECK,
    COMPLEX,
    DEFERRED,
    DICT,
    EQUAL,
    FIRST,
    FLOAT,
    FLOAT_BITS,
    FOURTH,
    FRAME_DEFERRED,
    FRAME_HELD,
    FRAME_HOLD,
    FRAME_SPEC,
    FROM_ARGUMENT,
    FROM_GLOBAL,
    HELD,
    INT,
    KEYWORDS,
    KIND,
    LEAF_NUMBER,
    LEAF_SLOT,
    NAMES,
    OBJECT,
    OBJECTS,
    ROOT_BYTES,
    ROOT_FIRST,
    ROOT_KIND,
    ROOT_NODE,
    ROOT_SECOND,
    ROOT_TABLE,
    ROOT_VALUES,
    ROOTS,
    SAME,
    SCALAR,
    SCALAR_BYTES,
    SCALAR_OTHER_TYPE,
    SCALAR_TYPE,
    SECOND,
    SEQUENCE,
    SLOTS,
    STRING,
    THIRD,
    WRITTEN,
    WRITTEN_TABLE,
)
from tracejit.xla_lite.runtime.native.words import (
    byte,
    external,
    inline,
    int32,
    likely,
    noinline,
    put_word,
    stack,
    symbol,
    unlikely,
    word,
)

MISS, HIT, FAILED = 0, 1, -1
PY_EQ = 2

PyFloat_Type = symbol()
PyLong_Type = symbol()
PyComplex_Type = symbol()
PyUnicode_Type = symbol()
PyDict_Type = symbol()
PyExc_Exception = symbol()
PyLong_AsLongLongAndOverflow = external("i64(i64, i64)")
PyUnicode_Compare = external("i32(i64, i64)")
PyObject_RichCompareBool = external("i32(i64, i64, i32)")
PyObject_GetAttr = external("i64(i64, i64)")
PyObject_CallOneArg = external("i64(i64, i64)")
PyObject_IsTrue = external("i32(i64)")
PyDict_Next = external("i32(i64, i64, i64, i64)")
PyDict_GetItemWithError = external("i64(i64, i64)")
PyErr_ExceptionMatches = external("i32(i64)")
PyErr_Occurred = external("i64()")
PyErr_Clear = external("void()")


@noinline
def forgive() -> int:
    """An exception in a check is a miss (the Python function will raise it again), unless it is an interrupt."""
    if PyErr_ExceptionMatches(word(PyExc_Exception, 0)) == 0:
        return FAILED
    PyErr_Clear()
    return MISS


@inline
def region(frame: int, which: int) -> int:
    """The address of a region of the frame."""
    return frame + word(word(frame, FRAME_SPEC), which)


def push_held(frame: int, value: int) -> None:
    """The frame takes over a reference."""
    count = word(frame, FRAME_HELD)
    put_word(region(frame, HELD), 8 * count, value)
    put_word(frame, FRAME_HELD, count + 1)


@inline
def hold(frame: int, value: int) -> None:
    """Owns a borrowed value where Python code may run."""
    if unlikely(word(frame, FRAME_HOLD) != 0):
        incref(value)
        push_held(frame, value)


@inline
def remember_leaf(frame: int, node: int, value: int) -> int:
    """Records the object of a leaf; gives the address of its slot."""
    put_word(region(frame, OBJECTS), 8 * word(node, LEAF_NUMBER), value)
    return frame + SLOTS + word(node, LEAF_SLOT)


def check_array(frame: int, node: int, value: int) -> int:
    """An ndarray, or a Tensor around one."""
    place = remember_leaf(frame, node, value)
    tensor = word(node, ARRAY_TENSOR)
    if tensor != 0:
        if word(value, OB_TYPE) != tensor:
            return MISS
        value = word(value, word(node, ARRAY_TENSOR_OFFSET))
        if value == 0:
            return MISS
    if unlikely(word(value, OB_TYPE) != PyArray_Type):
        return MISS
    key = word(word(value, ARRAY_DESCR), DESCR_KEY) & DESCR_KEY_MASK
    if unlikely(key != word(node, ARRAY_KEY)) and key != word(node, ARRAY_OTHER_KEY):
        return MISS
    rank = int32(value, ARRAY_RANK)
    wanted = word(node, ARRAY_FLAGS_WANTED)
    if unlikely(rank != word(node, ARRAY_RANK_WANTED)) or (int32(value, ARRAY_FLAGS) & wanted) != wanted:
        return MISS
    put_word(region(frame, ARRAYS), 8 * word(node, ARRAY_NUMBER), value)
    put_word(place, 0, word(value, ARRAY_DATA))
    if word(node, ARRAY_STRIDED) != 0:
        for axis in range(rank):
            put_word(place, 8 + 8 * axis, word(word(value, ARRAY_STRIDES), 8 * axis))
    return check_dims(frame, node + ARRAY_SIZES, rank, word(value, ARRAY_DIMS))


@inline
def check_dims(frame: int, sizes: int, rank: int, dims: int) -> int:
    """Fixed sizes agree; names are bound or agree."""
    for axis in range(rank):
        extent = word(dims, 8 * axis)
        size = word(sizes, 8 * axis)
        if size >= 0:
            if unlikely(size != extent):
                return MISS
        else:
            place = frame + SLOTS + 8 * (~size >> 1)
            if ~size & 1:
                put_word(place, 0, extent)
            elif unlikely(word(place, 0) != extent):
                return MISS
    return HIT


def check_int(frame: int, node: int, value: int) -> int:
    """An exact int that fits; a bool has another type."""
    place = remember_leaf(frame, node, value)
    if word(value, OB_TYPE) != PyLong_Type:
        return MISS
    overflow = stack(1)
    put_word(place, 0, PyLong_AsLongLongAndOverflow(value, overflow))
    return int32(overflow, 0) == 0


def check_scalar(frame: int, node: int, value: int) -> int:
    """A NumPy scalar, whose bytes are copied."""
    place = remember_leaf(frame, node, value)
    kind = word(value, OB_TYPE)
    if kind != word(node, SCALAR_TYPE) and kind != word(node, SCALAR_OTHER_TYPE):
        return MISS
    size = word(node, SCALAR_BYTES)
    if size == 4:
        put_word(place, 0, int32(value, SCALAR_VALUE) & 0xFFFFFFFF)
    elif size == 8:
        put_word(place, 0, word(value, SCALAR_VALUE))
    elif size == 16:
        put_word(place, 0, word(value, SCALAR_VALUE))
        put_word(place, 8, word(value, SCALAR_VALUE + 8))
    elif size == 2:
        put_word(place, 0, byte(value, SCALAR_VALUE) | byte(value, SCALAR_VALUE + 1) << 8)
    else:
        put_word(place, 0, byte(value, SCALAR_VALUE))
    return HIT


def check_float(frame: int, node: int, value: int) -> int:
    """An exact float."""
    if word(value, OB_TYPE) != PyFloat_Type:
        return MISS
    put_word(remember_leaf(frame, node, value), 0, word(value, FLOAT_VALUE))
    return HIT


def check_complex(frame: int, node: int, value: int) -> int:
    """An exact complex."""
    if word(value, OB_TYPE) != PyComplex_Type:
        return MISS
    place = remember_leaf(frame, node, value)
    put_word(place, 0, word(value, COMPLEX_VALUE))
    put_word(place, 8, word(value, COMPLEX_VALUE + 8))
    return HIT


@inline
def is_string(value: int, wanted: int) -> int:
    """By identity, which is nearly always enough, else by value: keys built at run time are not interned."""
    if likely(value == wanted):
        return HIT
    if word(value, OB_TYPE) != PyUnicode_Type:
        return MISS
    return PyUnicode_Compare(value, wanted) == 0


def check_equal(node: int, value: int) -> int:
    """The same type and ==."""
    if word(value, OB_TYPE) != word(node, FIRST):
        return MISS
    same = PyObject_RichCompareBool(value, word(node, SECOND), PY_EQ)
    return forgive() if same < 0 else same


def check_sequence(frame: int, node: int, value: int) -> int:
    """A list or tuple. A list is looked at anew for each item, because checks of items may run Python code."""
    if word(value, OB_TYPE) != word(node, FIRST) or word(value, OB_SIZE) != word(node, SECOND):
        return MISS
    for i in range(word(node, SECOND)):
        items = value + TUPLE_ITEMS
        if word(node, THIRD) != 0:
            if word(value, OB_SIZE) <= i:
                return MISS
            items = word(value, LIST_ITEMS)
        item = word(items, 8 * i)
        hold(frame, item)
        status = check(frame, word(node, FOURTH + 8 * i), item)
        if status != HIT:
            return status
    return HIT


def check_dict(frame: int, node: int, value: int) -> int:
    """An exact dict; PyDict_Next visits keys in order, which is faster than one look-up for each."""
    count = word(node, FIRST)
    if word(value, OB_TYPE) != PyDict_Type or word(value, DICT_USED) != count:
        return MISS
    visit = stack(3)
    put_word(visit, 0, 0)
    entry = node + SECOND
    for _ in range(count):
        if unlikely(PyDict_Next(value, visit, visit + 8, visit + 16) == 0):
            return MISS
        status = is_key(frame, word(visit, 8), word(entry, 0))
        if status == HIT:
            item = word(visit, 16)
            hold(frame, item)
            status = check(frame, word(entry, 8), item)
        if status != HIT:
            return status
        entry = entry + 16
    return HIT


@inline
def is_key(frame: int, key: int, wanted: int) -> int:
    """Strings by identity or value; other keys by type and ==."""
    if likely(key == wanted):
        return HIT
    return other_key(frame, key, wanted)


@noinline
def other_key(frame: int, key: int, wanted: int) -> int:
    """A key that is not the very object."""
    if word(key, OB_TYPE) != word(wanted, OB_TYPE):
        return MISS
    if word(key, OB_TYPE) == PyUnicode_Type:
        return PyUnicode_Compare(key, wanted) == 0
    hold(frame, key)
    same = PyObject_RichCompareBool(key, wanted, PY_EQ)
    return forgive() if same < 0 else same


def check_object(frame: int, node: int, value: int) -> int:
    """Attributes of an instance. Reading them may run Python code."""
    if word(value, OB_TYPE) != word(node, FIRST):
        return MISS
    entry = node + THIRD
    for _ in range(word(node, SECOND)):
        attribute = PyObject_GetAttr(value, word(entry, 0))
        status = check_attribute(frame, word(entry, 8), attribute)
        if status != HIT:
            return status
        entry = entry + 16
    return HIT


def check_attribute(frame: int, node: int, attribute: int) -> int:
    """A new reference, or 0 with an exception set."""
    if attribute == 0:
        status = forgive()
        return HIT if status == MISS and word(node, KIND) == ABSENT else status
    push_held(frame, attribute)
    return check(frame, node, attribute)


def check_predicate(node: int, value: int) -> int:
    """A Python predicate."""
    answer = PyObject_CallOneArg(word(node, FIRST), value)
    if answer == 0:
        return forgive()
    truth = PyObject_IsTrue(answer)
    decref(answer)
    return forgive() if truth < 0 else truth


@noinline
def defer(frame: int, node: int, value: int) -> int:
    """Keeps an array for later, when no Python code can change it any more."""
    count = word(frame, FRAME_DEFERRED)
    place = region(frame, DEFERRED) + 16 * count
    put_word(place, 0, node)
    put_word(place, 8, value)
    put_word(frame, FRAME_DEFERRED, count + 1)
    return HIT


def check(frame: int, node: int, value: int) -> int:
    """One node."""
    kind = word(node, KIND)
    if likely(kind == ARRAY):
        if unlikely(word(frame, FRAME_HOLD) != 0):
            return defer(frame, node, value)
        return check_array(frame, node, value)
    if kind == SAME:
        return value == word(node, FIRST)
    if kind == FLOAT:
        return check_float(frame, node, value)
    if kind == INT:
        return check_int(frame, node, value)
    if kind == DICT:
        return check_dict(frame, node, value)
    if kind == SEQUENCE:
        return check_sequence(frame, node, value)
    if kind == STRING:
        return is_string(value, word(node, FIRST))
    if kind == FLOAT_BITS:
        return word(value, OB_TYPE) == PyFloat_Type and word(value, FLOAT_VALUE) == word(node, FIRST)
    if kind == EQUAL:
        return check_equal(node, value)
    if kind == SCALAR:
        return check_scalar(frame, node, value)
    if kind == COMPLEX:
        return check_complex(frame, node, value)
    if kind == OBJECT:
        return check_object(frame, node, value)
    if kind == CHECK:
        return check_predicate(node, value)
    return MISS


@inline
def read_root(root: int, arguments: int) -> int:
    """A borrowed reference; 0 if there is no value."""
    kind = word(root, ROOT_KIND)
    if likely(kind == FROM_ARGUMENT):
        return word(arguments, word(root, ROOT_FIRST))
    if kind == FROM_GLOBAL:
        return PyDict_GetItemWithError(word(root, ROOT_FIRST), word(root, ROOT_SECOND))
    return word(word(root, ROOT_FIRST), CELL_VALUE)


def check_missing(node: int) -> int:
    """A root without a value."""
    if PyErr_Occurred() != 0:
        return forgive()
    return word(node, KIND) == ABSENT


def check_names(spec: int, names: int) -> int:
    """The keywords of the call, in order. `names` is a tuple or 0."""
    count = word(spec, KEYWORDS)
    if names == 0:
        return count == 0
    if word(names, OB_SIZE) != count:
        return MISS
    for i in range(count):
        if is_string(word(names, TUPLE_ITEMS + 8 * i), word(word(spec, NAMES), 8 * i)) != HIT:
            return MISS
    return HIT


@inline
def match(frame: int, spec: int, arguments: int) -> int:
    """All roots, then the arrays that were kept for later."""
    root = word(spec, ROOT_TABLE)
    for i in range(word(spec, ROOTS)):
        value = read_root(root, arguments)
        put_word(frame + word(spec, ROOT_VALUES), 8 * i, value)
        status = HIT
        if unlikely(value == 0):
            status = check_missing(word(root, ROOT_NODE))
        else:
            hold(frame, value)
            status = check(frame, word(root, ROOT_NODE), value)
        if unlikely(status != HIT):
            return status
        root = root + ROOT_BYTES
    kept = frame + word(spec, DEFERRED)
    for i in range(word(frame, FRAME_DEFERRED)):
        if check_array(frame, word(kept, 16 * i), word(kept, 16 * i + 8)) != HIT:
            return MISS
    return HIT


def array_span(array: int, item: int, ends: int) -> None:
    """Writes the first byte of an array and the one behind its last; equal for an empty array."""
    low = word(array, ARRAY_DATA)
    high = low
    dims = word(array, ARRAY_DIMS)
    if array_bytes(item, int32(array, ARRAY_RANK), dims) > 0:
        high = high + item
        for axis in range(int32(array, ARRAY_RANK)):
            reach = (word(dims, 8 * axis) - 1) * word(word(array, ARRAY_STRIDES), 8 * axis)
            if reach < 0:
                low = low + reach
            else:
                high = high + reach
    put_word(ends, 0, low)
    put_word(ends, 8, high)


@noinline
def overlaps(frame: int, spec: int) -> int:
    """Whether memory of an array that will be written belongs to another array too."""
    mine = stack(2)
    other = stack(2)
    arrays = frame + word(spec, ARRAYS)
    nodes = word(spec, ARRAY_NODES)
    for w in range(word(spec, WRITTEN)):
        written = word(word(spec, WRITTEN_TABLE), 8 * w)
        array_span(word(arrays, 8 * written), word(word(nodes, 8 * written), ARRAY_ITEM), mine)
        for i in range(word(spec, ARRAY_COUNT)):
            if i != written:
                array_span(word(arrays, 8 * i), word(word(nodes, 8 * i), ARRAY_ITEM), other)
                if word(mine, 0) < word(other, 8) and word(other, 0) < word(mine, 8):
                    return 1
    return 0
