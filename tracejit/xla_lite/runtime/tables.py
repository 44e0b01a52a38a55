"""Specialisations as tables of words for the native entry.

Flows in:  a `Specialisation`.
Flows out: `Tables`: one block of memory, and the objects whose addresses stand in it.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tracejit.xla_lite.runtime.abi import (
    ALIGNED,
    C_CONTIGUOUS,
    FLOAT_VALUE,
    WRITEABLE,
    dtype_key,
    member_offset,
    other_dtype_key,
    word_at,
)
from tracejit.xla_lite.runtime.native import frame
from tracejit.xla_lite.runtime.signature import (
    Absent,
    ArrayLeaf,
    Check,
    ComplexLeaf,
    Computed,
    Dict,
    Equal,
    FloatLeaf,
    Global,
    IntLeaf,
    Keyword,
    LeafSlot,
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
    children,
    parts,
    simplify,
)

ATOMS = (str, int, bytes, complex)  # their == runs no Python code
PYTHON_OUTPUTS = {"bool": frame.OUT_BOOL, "int": frame.OUT_INT, "float": frame.OUT_FLOAT, "complex": frame.OUT_COMPLEX}
LEAF_KINDS = {FloatLeaf: frame.FLOAT, IntLeaf: frame.INT, ComplexLeaf: frame.COMPLEX}


class Address(int):
    """A byte offset in the block, to which the block's address is added at the end."""


class Tables:
    """The tables of one specialisation. `address` is that of the specialisation's own table."""

    def __init__(self, spec: Specialisation) -> None:
        writer = _Writer(spec)
        at = writer.specialisation()
        self.block = (ctypes.c_int64 * len(writer.words))(*map(int, writer.words))
        base = ctypes.addressof(self.block)
        for index in writer.relocations:
            self.block[index] += base
        self.address = base + at
        self.spec, self.keep = spec, writer.keep
        self.in_chain = False

    def enter_chain(self, older: int) -> None:
        """Links to the next older specialisation of the one callable that these tables belong to."""
        ctypes.c_int64.from_address(self.address + frame.NEXT).value = older
        self.in_chain = True

    @property
    def hits(self) -> int:
        """Calls that this specialisation has served."""
        return word_at(self.address + frame.HITS)


class _Writer:
    """Words under construction. Whatever points to a table is written after it."""

    def __init__(self, spec: Specialisation) -> None:
        self.spec = spec
        self.words: list[int] = []
        self.relocations: list[int] = []
        self.keep: list[Any] = []
        self.leaves: Iterator[tuple[int, LeafSlot]] = enumerate(spec.layout.leaves)
        self.bound: set[str] = set()
        self.array_nodes: list[int] = []
        self.numbers: Iterator[int] = iter(range(sys.maxsize))

    def put(self, values: Iterable[int]) -> Address:
        """Appends a table."""
        at = Address(8 * len(self.words))
        for value in values:
            if type(value) is Address:
                self.relocations.append(len(self.words))
            self.words.append(value)
        return at

    def object(self, value: Any) -> int:
        """The address of an object, which lives as long as the tables."""
        self.keep.append(value)
        return id(value)

    # -- inputs --------------------------------------------------------------------------------------------------

    def root(self, root: Root, node: Node) -> list[int]:
        address = self.node(node)
        if isinstance(root, Positional):
            return [frame.FROM_ARGUMENT, 8 * root.index, 0, address]
        if isinstance(root, Keyword):
            position = [r.name for r in self.keywords()].index(root.name)
            return [frame.FROM_ARGUMENT, 8 * (self.positionals() + position), 0, address]
        if isinstance(root, Global):
            name = self.object(sys.intern(root.name))
            return [frame.FROM_GLOBAL, self.object(root.namespace), name, address]
        return [frame.FROM_CELL, self.object(root.cell), 0, address]

    def positionals(self) -> int:
        return sum(isinstance(root, Positional) for root, _ in self.spec.roots)

    def keywords(self) -> list[Keyword]:
        return [root for root, _ in self.spec.roots if isinstance(root, Keyword)]

    def node(self, node: Node) -> Address:
        node = simplify(node)
        match node:
            case ArrayLeaf():
                return self.array(node)
            case FloatLeaf() | IntLeaf() | ComplexLeaf():
                return self.put([LEAF_KINDS[type(node)], *self.leaf()])
            case ScalarLeaf():
                return self.scalar(node)
            case Same(value=value):
                return self.put([frame.SAME, self.object(value)])
            case Equal(value=value):
                return self.equal(value)
            case Seq(kind=kind, items=items):
                entries = [self.node(item) for item in items]
                is_list = issubclass(kind, list)
                return self.put([frame.SEQUENCE, self.object(kind), len(items), int(is_list), *entries])
            case Dict(items=items):
                return self.put([frame.DICT, len(items), *self.pairs(items)])
            case Object(cls=cls, attrs=attrs):
                named = tuple((sys.intern(name), child) for name, child in attrs)
                return self.put([frame.OBJECT, self.object(cls), len(attrs), *self.pairs(named)])
            case Check(test=test):
                return self.put([frame.CHECK, self.object(test)])
            case Absent():
                return self.put([frame.ABSENT])
        raise TypeError(f"not a signature node: {node!r}")

    def pairs(self, items: Iterable[tuple[Any, Node]]) -> list[int]:
        return [word for key, child in items for word in (self.object(key), self.node(child))]

    def leaf(self) -> tuple[int, int]:
        """Byte offset in the slots and number of the leaf that is written next."""
        number, placed = next(self.leaves)
        return 8 * placed.slot, number

    def equal(self, value: Any) -> Address:
        if type(value) is str:
            return self.put([frame.STRING, self.object(value)])
        if type(value) is float:
            return self.put([frame.FLOAT_BITS, word_at(id(value) + FLOAT_VALUE)])
        return self.put([frame.EQUAL, self.object(type(value)), self.object(value)])

    def scalar(self, node: ScalarLeaf) -> Address:
        dtype = node.dtype
        same = [d.type for d in map(np.dtype, "lqLQ") if d == dtype and d.num != dtype.num]  # long and long long
        other = self.object(same[0] if same else dtype.type)
        return self.put([frame.SCALAR, *self.leaf(), self.object(dtype.type), other, dtype.itemsize])

    def array(self, node: ArrayLeaf) -> Address:
        assert node.dtype.isnative, f"compiled code reads native byte order, not {node.dtype}"
        flags = ALIGNED | (C_CONTIGUOUS if node.layout == "C" else 0) | (WRITEABLE if node.writable else 0)
        at = self.put(
            [
                *(frame.ARRAY, *self.leaf(), dtype_key(node.dtype), other_dtype_key(node.dtype), len(node.dims), flags),
                *(int(node.layout == "strided"), *self.tensor(node.tensor), next(self.numbers), node.dtype.itemsize),
                *[self.array_size(d) for d in node.dims],
            ]
        )
        self.array_nodes.append(at)
        return at

    def tensor(self, wanted: bool) -> tuple[int, int]:
        """The Tensor class and where instances keep their array."""
        if not wanted:
            return 0, 0
        assert self.spec.tensor_class is not None, "tensor leaves need `tensor_class`"
        return self.object(self.spec.tensor_class), member_offset(self.spec.tensor_class, "_data")

    def array_size(self, size: int | str) -> int:
        if isinstance(size, int):
            return size
        first = size not in self.bound
        self.bound.add(size)
        return ~(self.spec.layout.dims[size] << 1 | first)

    # -- outputs -------------------------------------------------------------------------------------------------

    def size(self, size: Size) -> int:
        return ~self.spec.layout.size_slot(size) if isinstance(size, (str, Slot)) else size

    def computed(self, out: Computed) -> list[int]:
        if isinstance(out, OutPython):
            return [PYTHON_OUTPUTS[out.kind], 0, 0, 0, 0, 0, 0]
        dtype = self.object(out.dtype)
        if isinstance(out, OutScalar):
            return [frame.OUT_SCALAR, dtype, out.dtype.itemsize, 0, 0, 0, 0]
        kind = frame.OUT_LATE if isinstance(out, OutLate) else frame.OUT_ARRAY
        dims = self.put(map(self.size, out.dims))
        return [kind, dtype, out.dtype.itemsize, len(out.dims), dims, *self.tensor(out.tensor)]

    def result(self, node: OutNode) -> Address:
        match node:
            case OutArray() | OutLate() | OutScalar() | OutPython():
                return self.put([frame.RESULT, next(self.numbers)])
            case OutRepeat(index=index):
                return self.put([frame.RESULT, index])
            case OutOptional(missing=missing, item=item):
                number = missing.index if isinstance(missing, OutRepeat) else next(self.numbers)
                return self.put([frame.OPTIONAL, number, self.result(item)])
            case OutInput(leaf=leaf):
                return self.put([frame.INPUT, leaf])
            case OutRoot(root=root):
                return self.put([frame.ROOT, root])
            case OutConst(value=value):
                return self.put([frame.CONSTANT, self.object(value)])
            case OutSeq(kind=kind, items=items):
                made = frame.MAKE_LIST if kind is list else frame.MAKE_TUPLE if kind is tuple else frame.MAKE_NAMED
                entries = [self.result(item) for item in items]
                return self.put([made, len(items), self.object(kind), *entries])
            case OutDict(items=items):
                pairs = [word for key, child in items for word in (self.object(key), self.result(child))]
                return self.put([frame.MAKE_DICT, len(items), *pairs])
        raise TypeError(f"not an output node: {node!r}")

    # -- the whole -----------------------------------------------------------------------------------------------

    def specialisation(self) -> Address:
        spec = self.spec
        roots = self.put([word for root, node in spec.roots for word in self.root(root, node)])
        names = self.put([self.object(sys.intern(k.name)) for k in self.keywords()])
        self.numbers = iter(range(sys.maxsize))
        outputs = spec.computed
        computed = self.put([word for out in outputs for word in self.computed(out)])
        tree = self.result(spec.outputs)
        left = 0 if spec.left is None else self.result(spec.left)
        terms = self.put([w for factor, sizes in spec.work.terms for w in (factor, len(sizes), *map(self.size, sizes))])
        arrays = [i for i, placed in enumerate(spec.layout.leaves) if isinstance(placed.leaf, ArrayLeaf)]
        written = self.put(arrays.index(leaf) for leaf in spec.written)
        nodes = self.put(self.array_nodes)
        regions, words = self.regions(len(outputs), len(arrays))
        self.keep += [spec.library, spec.keep]
        return self.put(
            [
                *(0, 0, self.positionals(), len(self.keywords()), names, len(spec.roots), roots, int(needs_hold(spec))),
                *(words, *regions, len(arrays), spec.main_address, spec.prepare_address, self.object(spec.on_error)),
                *(0 if spec.finish is None else self.object(spec.finish), len(outputs), computed, tree),
                *(len(spec.work.terms), terms, len(spec.written), written, nodes),
                *(0 if spec.recover is None else self.object(spec.recover), 8 * spec.state_slot, left),
                *(len(spec.turns), self.turns()),
            ]
        )

    def turns(self) -> Address:
        """Where the addresses of memory stand that the call takes a turn on."""
        leaves = self.spec.layout.leaves
        return self.put([w for leaf, writes in self.spec.turns
                         for w in (frame.SLOTS + 8 * leaves[leaf].slot, int(writes))])

    def regions(self, outputs: int, arrays: int) -> tuple[list[int], int]:
        """Byte offsets of the frame's regions (OUTS to DEFERRED), and the words of a frame."""
        spec = self.spec
        reads = len(spec.roots) + sum(_reads(node) for _, node in spec.roots)
        sizes = (outputs, outputs, len(spec.layout.leaves), arrays, len(spec.roots), 2 * outputs, reads, 2 * arrays)
        at, offsets = frame.SLOTS // 8 + spec.layout.words, []
        for size in sizes:
            offsets.append(8 * at)
            at += size
        return offsets, at


def _reads(node: Node) -> int:
    """At most how many references checking `node` takes in hold mode."""
    node = simplify(node)
    return sum(2 + _reads(child) for child in children(node))


def needs_hold(spec: Specialisation) -> bool:
    """Whether Python code may run during the checks, or objects of the input are needed after main."""
    trees = (spec.outputs,) if spec.left is None else (spec.outputs, spec.left)
    return any(_runs_python(node) for _, node in spec.roots) or any(map(_gives_inputs_back, trees))


def _runs_python(node: Node) -> bool:
    node = simplify(node)
    if isinstance(node, (Object, Check)):
        return True
    if isinstance(node, Equal):
        return type(node.value) not in (*ATOMS, float) and not isinstance(node.value, np.dtype)
    if isinstance(node, Dict) and any(type(key) not in ATOMS for key, _ in node.items):
        return True
    return any(_runs_python(child) for child in children(node))


def _gives_inputs_back(node: OutNode) -> bool:
    return isinstance(node, (OutInput, OutRoot)) or any(map(_gives_inputs_back, parts(node)))

