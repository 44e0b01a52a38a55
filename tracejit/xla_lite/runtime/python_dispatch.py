"""The same dispatch in Python: for interpreters whose memory layout is unknown, without the lock, or on request.

Flows in:  a `Specialisation`, the arguments of a call.
Flows out: (hit, result), exactly as the native entry decides; `PythonCallable`, which stands in for the native type.
"""

from __future__ import annotations

import ctypes
import struct
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from tracejit.xla_lite.runtime.buffers import buffers
from tracejit.xla_lite.runtime.host import calls_are_watched
from tracejit.xla_lite.runtime.library import native_library
from tracejit.xla_lite.runtime.signature import (
    ERROR_WORDS,
    Absent,
    ArrayLeaf,
    Cell,
    Check,
    ComplexLeaf,
    Computed,
    Dict,
    Equal,
    FloatLeaf,
    Global,
    IntLeaf,
    Keyword,
    Leaf,
    Node,
    Object,
    OutArray,
    OutConst,
    OutDict,
    OutInput,
    OutLate,
    OutNode,
    OutOptional,
    OutPython,
    OutRepeat,
    OutRoot,
    OutScalar,
    OutSeq,
    Positional,
    Root,
    Same,
    ScalarLeaf,
    Seq,
    Size,
    Slot,
    Specialisation,
    computed_outputs,
    simplify,
    typed_key,
)
from tracejit.xla_lite.runtime.turns import Turns

MISSING = object()
PYTHON_FORMATS = {"bool": "?", "int": "q", "float": "d", "complex": "dd"}


class Miss(Exception):
    """The call does not fit the specialisation."""


def require(holds: object) -> None:
    """Raises Miss unless it holds."""
    if not holds:
        raise Miss


class Call:
    """One call under way: what the checks have collected."""

    def __init__(self, spec: Specialisation) -> None:
        self.spec = spec
        self.slots = (ctypes.c_int64 * max(1, spec.layout.words))()
        self.leaves = iter(spec.layout.leaves)
        self.objects: list[Any] = []
        self.arrays: list[np.ndarray[Any, Any] | None] = []
        self.roots: list[Any] = []
        self.bound: set[str] = set()
        self.deferred: list[tuple[int, ArrayLeaf, Any]] = []

    # -- checks --------------------------------------------------------------------------------------------------

    def match(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises Miss unless every check holds. An exception in a check is a miss, unless it is an interrupt."""
        roots = self.spec.roots
        names = [root.name for root, _ in roots if isinstance(root, Keyword)]
        require(len(args) == sum(isinstance(root, Positional) for root, _ in roots) and list(kwargs) == names)
        try:
            for root, node in roots:
                value = read_root(root, args, kwargs)
                self.roots.append(value)
                self.check(node, value)
            for slot, leaf, value in self.deferred:
                self.check_array(slot, leaf, value)
            require(not self.overlaps())
        except Miss:
            raise
        except Exception:
            raise Miss from None

    def check(self, node: Node, value: Any) -> None:
        """One node."""
        node = simplify(node)
        require(isinstance(node, Absent) == (value is MISSING))
        match node:
            case ArrayLeaf() | FloatLeaf() | IntLeaf() | ComplexLeaf() | ScalarLeaf():
                self.check_leaf(node, value)
            case Same(value=wanted):
                require(value is wanted)
            case Equal(value=wanted):
                require(type(value) is type(wanted))
                require(typed_key(value) == typed_key(wanted) if type(wanted) is float else value == wanted)
            case Seq(kind=kind, items=items):
                require(type(value) is kind)
                require(len(value) == len(items))
                for i, item in enumerate(items):
                    self.check(item, value[i])
            case Dict(items=items):
                require(type(value) is dict and len(value) == len(items))
                for (key, found), (wanted, child) in zip(list(value.items()), items):
                    require(key is wanted or (type(key) is type(wanted) and key == wanted))
                    self.check(child, found)
            case Object(cls=cls, attrs=attrs):
                require(type(value) is cls)
                for name, child in attrs:
                    self.check(child, getattr(value, name, MISSING))
            case Check(test=test):
                require(test(value))

    def check_leaf(self, leaf: Leaf, value: Any) -> None:
        slot = next(self.leaves).slot
        self.objects.append(value)
        self.arrays.append(None)
        match leaf:
            case ArrayLeaf():
                self.deferred.append((slot, leaf, value))
            case FloatLeaf():
                require(type(value) is float)
                self.write(slot, struct.pack("<d", value))
            case IntLeaf():
                require(type(value) is int and -(2**63) <= value < 2**63)
                self.slots[slot] = value
            case ComplexLeaf():
                require(type(value) is complex)
                self.write(slot, struct.pack("<dd", value.real, value.imag))
            case ScalarLeaf(dtype=dtype):
                require(isinstance(value, np.generic) and type(value) is value.dtype.type and value.dtype == dtype)
                self.write(slot, value.tobytes())

    def write(self, slot: int, raw: bytes) -> None:
        ctypes.memmove(ctypes.addressof(self.slots) + 8 * slot, raw, len(raw))

    def check_array(self, slot: int, leaf: ArrayLeaf, value: Any) -> None:
        if leaf.tensor:
            require(type(value) is self.spec.tensor_class)
            value = value._data
        require(type(value) is np.ndarray)
        flags = value.flags
        require(value.dtype == leaf.dtype and value.dtype.isnative and flags.aligned and value.ndim == len(leaf.dims))
        require((flags.c_contiguous or leaf.layout != "C") and (flags.writeable or not leaf.writable))
        self.slots[slot] = value.ctypes.data
        if leaf.layout == "strided":
            self.slots[slot + 1 : slot + 1 + value.ndim] = value.strides
        number = next(i for i, placed in enumerate(self.spec.layout.leaves) if placed.slot == slot)
        self.arrays[number] = value
        for extent, size in zip(value.shape, leaf.dims):
            self.check_size(extent, size)

    def check_size(self, extent: int, size: int | str) -> None:
        if isinstance(size, int):
            return require(extent == size)
        place = self.spec.layout.dims[size]
        if size not in self.bound:
            self.bound.add(size)
            self.slots[place] = extent
        return require(self.slots[place] == extent)

    def overlaps(self) -> bool:
        """Whether memory of an array that will be written belongs to another array too."""
        bounds = np.lib.array_utils.byte_bounds
        spans = {i: bounds(a) if a.size else (0, 0) for i, a in enumerate(self.arrays) if a is not None}
        return any(
            spans[written][0] < high and low < spans[written][1]
            for written in self.spec.written
            for other, (low, high) in spans.items()
            if other != written
        )

    # -- running -------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Runs `prepare`, which may still say that this is a miss."""
        if self.spec.prepare_address:
            run = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(self.spec.prepare_address)
            require(run(ctypes.addressof(self.slots)) == 0)

    def size(self, size: Size) -> int:
        if isinstance(size, (str, Slot)):
            return int(self.slots[self.spec.layout.size_slot(size)])
        return size

    def sizes(self, sizes: tuple[Size, ...]) -> tuple[int, ...]:
        return tuple(map(self.size, sizes))

    def run(self) -> Any:
        """Allocates, runs main, builds the result."""
        outputs = self.spec.computed
        places = [self.allocate(out) for out in outputs]
        outs = (ctypes.c_void_p * max(1, len(places)))(*(address(place) for place in places))
        with self.turn():
            status = _run_unlocked()(self.spec.main_address, ctypes.addressof(self.slots), ctypes.addressof(outs))
        if status:
            self.recover(outputs, places)
            self.spec.on_error(status, tuple(self.slots[:ERROR_WORDS]))
            raise SystemError("on_error returned")
        try:
            results = [self.finish_output(out, place) for out, place in zip(outputs, places)]
        except BaseException:
            free_late(outputs, places)
            raise
        result = self.build(self.spec.outputs, results, iter(results))
        return result if self.spec.finish is None else self.spec.finish(result)

    def turn(self) -> AbstractContextManager[None]:
        """The turn on memory that others change too."""
        leaves = self.spec.layout.leaves
        arrays = [(self.slots[leaves[number].slot], writes) for number, writes in self.spec.turns]
        return Turns(arrays).turn() if arrays else nullcontext()

    def recover(self, outputs: list[Computed], places: list[Any]) -> None:
        """Makes the stores that were made before a failure, and frees outputs that nobody gets."""
        state = int(self.slots[self.spec.state_slot])
        try:
            if self.spec.recover is not None and self.spec.left is not None and state:
                results = [self.finish_output(out, place) for out, place in zip(outputs, places)]
                own = iter(results[len(list(computed_outputs(self.spec.outputs))):])
                self.spec.recover(state, self.build(self.spec.left, results, own))
        finally:
            free_late(outputs, places)

    def allocate(self, out: Computed) -> Any:
        """An array, or room for a scalar."""
        if isinstance(out, OutArray):
            return buffers().empty(self.sizes(out.dims), out.dtype)
        return ctypes.create_string_buffer(16)

    def finish_output(self, out: Computed, place: Any) -> Any:
        if isinstance(out, OutPython):
            values = struct.unpack_from("<" + PYTHON_FORMATS[out.kind], place)
            return complex(*values) if out.kind == "complex" else values[0]
        if isinstance(out, OutScalar):
            return np.frombuffer(place, out.dtype, 1)[0]
        if isinstance(out, OutLate):
            if not block_in(place):    # main failed before
                return None
            place = self.late(out, place)
        return self.tensor(place) if out.tensor else place

    def late(self, out: OutLate, place: Any) -> np.ndarray[Any, Any]:
        """A copy of an output that main allocated."""
        array = buffers().empty(self.sizes(out.dims), out.dtype)
        ctypes.memmove(array.ctypes.data, block_in(place), array.nbytes)
        free_block(place)
        return array

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        assert self.spec.tensor_class is not None, "tensor outputs need `tensor_class`"
        made: Any = object.__new__(self.spec.tensor_class)
        type(made)._data.__set__(made, array)
        return made

    def build(self, node: OutNode, results: list[Any], order: Iterator[Any]) -> Any:
        """The value of a result node; `order` runs over the computed outputs."""
        match node:
            case OutArray() | OutLate() | OutScalar() | OutPython():
                return next(order)
            case OutRepeat(index=index):
                return results[index]
            case OutOptional(missing=missing, item=item):
                is_missing = self.build(missing, results, order)
                built = self.build(item, results, order)
                return None if is_missing else built
            case OutInput(leaf=leaf):
                return self.objects[leaf]
            case OutRoot(root=root):
                return self.roots[root]
            case OutConst(value=value):
                return value
            case OutSeq(kind=kind, items=items):
                built = [self.build(item, results, order) for item in items]
                return built if kind is list else tuple(built) if kind is tuple else kind(*built)
            case OutDict(items=items):
                return {key: self.build(child, results, order) for key, child in items}


def free_late(outputs: list[Computed], places: list[Any]) -> None:
    """Frees what main allocated before it failed."""
    for out, place in zip(outputs, places):
        if isinstance(out, OutLate):
            free_block(place)


def block_in(cell: Any) -> int:
    """The address of the block that main put into a cell, or 0."""
    return int(struct.unpack_from("<q", cell)[0])


def free_block(cell: Any) -> None:
    """Frees the block, once."""
    buffers().free(block_in(cell))
    struct.pack_into("<q", cell, 0, 0)


def address(place: Any) -> int:
    return int(place.ctypes.data) if isinstance(place, np.ndarray) else ctypes.addressof(place)


def read_root(root: Root, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Today's value of a root; MISSING if it has none."""
    match root:
        case Positional(index=index):
            return args[index]
        case Keyword(name=name):
            return kwargs[name]
        case Global(namespace=namespace, name=name):
            return namespace.get(name, MISSING)
        case Cell(cell=cell):
            try:
                return cell.cell_contents
            except ValueError:
                return MISSING


@cache
def _run_unlocked() -> Callable[[int, int, int], int]:
    """Runs main without the interpreter lock; an exception that is set afterwards is raised."""
    make = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
    return make(native_library()["run_unlocked"])


def attempt(spec: Specialisation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    """(True, result) if the call fits the specialisation, else (False, None)."""
    call = Call(spec)
    try:
        call.match(args, kwargs)
        call.prepare()
    except Miss:
        return False, None
    return True, call.run()


class PythonCallable:
    """A compiled function whose dispatch is in Python."""

    def __init__(self, slow: Callable[..., Any], owner: object) -> None:
        self._slow, self._owner = slow, owner
        self._chain: tuple[Specialisation, ...] = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        for spec in self._chain if not calls_are_watched() else ():
            hit, result = attempt(spec, args, kwargs)
            if hit:
                return result
        return self._slow(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)
