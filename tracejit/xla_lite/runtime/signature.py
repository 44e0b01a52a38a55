"""How a call and its result are described: what is checked, where values go, what comes out.

Flows in:  trees of the nodes below, made by whoever traced the call.
Flows out: `Specialisation`, which native and Python dispatch both obey; `SlotLayout`, which code generation obeys.

Contract of compiled code:
    i32 main(i64 *slots, void **outs)     0: done; > 0: `on_error(status, the 8 error words)` raises; -1: already set
    i32 prepare(i64 *slots)               optional, before outputs are allocated: computes their dims; not 0: a miss
`outs` has one pointer for each computed output (OutArray, OutLate, OutScalar, OutPython) in the order of the tree: the
array's data, or 16 zeroed bytes that receive the value; of an OutLate, the address of a block of the allocator, which
belongs to the call from then on, also if main fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import CellType
from typing import Any, Literal, TypeAlias

import numpy as np

from tracejit.base.records import record
from tracejit.xla_lite.runtime.native import layout

ERROR_WORDS = layout.ERROR_WORDS

# -- inputs: leaves go into slots, everything else is a guard --------------------------------------------------------


@record
class ArrayLeaf:
    """An exact ndarray (tensor: the ndarray inside a Tensor), aligned, in native byte order.

    dims: an int must agree; a name is bound where it is first seen and must agree afterwards.
    layout: "C" is C-contiguous; "strided" takes any strides and passes them on.  writable: read-only arrays miss.
    """

    dtype: np.dtype[Any]
    dims: tuple[int | str, ...]
    layout: Literal["C", "strided"] = "C"
    tensor: bool = False
    writable: bool = False

    @property
    def words(self) -> int:
        """The data pointer, then the strides in bytes if the layout is strided."""
        return 1 + (len(self.dims) if self.layout == "strided" else 0)


@record
class FloatLeaf:
    """An exact Python float, as the bits of a double."""

    words = 1


@record
class IntLeaf:
    """An exact Python int (no bool) in the range of int64."""

    words = 1


@record
class ComplexLeaf:
    """An exact Python complex: the bits of two doubles."""

    words = 2


@record
class ScalarLeaf:
    """A NumPy scalar of exactly this type: its bytes, the rest of the word zero; complex128 takes two words."""

    dtype: np.dtype[Any]

    @property
    def words(self) -> int:
        return 2 if self.dtype.itemsize == 16 else 1


@record
class Same:
    """The very object: None, True, functions, classes."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.value is self.value

    def __hash__(self) -> int:
        return hash((Same, id(self.value)))


@record
class Equal:
    """The same type and equal; floats by their bits; tuples item by item. str, concretised numbers, dtypes."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return type(other) is Equal and typed_key(other.value) == typed_key(self.value)

    def __hash__(self) -> int:
        return hash(typed_key(self.value))


@record
class Seq:
    """A list, tuple or namedtuple, by its exact class."""

    kind: type
    items: tuple[Node, ...]


@record
class Dict:
    """An exact dict with these keys in this order."""

    items: tuple[tuple[Any, Node], ...]


@record
class Object:
    """An instance of exactly this class; attributes are read with getattr, so properties run."""

    cls: type
    attrs: tuple[tuple[str, Node], ...]


@record
class Check:
    """Any other guard, as a Python predicate of the value; slower. note: what it says, for people."""

    test: Callable[[Any], Any]
    note: str = ""


@record
class Absent:
    """There is no such global or attribute; the cell is empty."""


Leaf: TypeAlias = ArrayLeaf | FloatLeaf | IntLeaf | ComplexLeaf | ScalarLeaf
Node: TypeAlias = Leaf | Same | Equal | Seq | Dict | Object | Check | Absent
LEAVES = (ArrayLeaf, FloatLeaf, IntLeaf, ComplexLeaf, ScalarLeaf)

# -- roots: where values come from -----------------------------------------------------------------------------------


@record
class Positional:
    """An argument passed by position."""

    index: int


@record
class Keyword:
    """An argument passed by keyword; keywords stand in the order of the call."""

    name: str


@record
class Global:
    """A name in a namespace, read at every call. The namespace is compared by identity."""

    namespace: dict[str, Any]
    name: str

    def __eq__(self, other: object) -> bool:
        return type(other) is Global and (other.namespace is self.namespace and other.name == self.name)

    def __hash__(self) -> int:
        return hash((Global, id(self.namespace), self.name))


@record
class Cell:
    """A closure's variable, read at every call; compared by identity."""

    cell: CellType

    def __eq__(self, other: object) -> bool:
        return type(other) is Cell and other.cell is self.cell

    def __hash__(self) -> int:
        return hash((Cell, id(self.cell)))


Root: TypeAlias = Positional | Keyword | Global | Cell
Roots: TypeAlias = tuple[tuple[Root, Node], ...]

# -- outputs ---------------------------------------------------------------------------------------------------------


@record
class Slot:
    """A size that stands in a word of the slots."""

    index: int


Size: TypeAlias = int | str | Slot  # a str is a named dim


@record
class OutArray:
    """A fresh C-contiguous array of `dims`, known before main runs."""

    dtype: np.dtype[Any]
    dims: tuple[Size, ...]
    tensor: bool = False


@record
class OutLate:
    """A C-contiguous array whose memory main allocates and whose dims main tells."""

    dtype: np.dtype[Any]
    dims: tuple[Size, ...]
    tensor: bool = False


@record
class OutScalar:
    """A NumPy scalar."""

    dtype: np.dtype[Any]


@record
class OutPython:
    """A Python scalar; main writes a byte, an int64, a double or two doubles."""

    kind: Literal["bool", "int", "float", "complex"]


@record
class OutRepeat:
    """The very object of an earlier computed output."""

    index: int


@record
class OutOptional:
    """None where `missing` (an OutPython("bool"), or a repeat of one) is true, else `item`."""

    missing: OutPython | OutRepeat
    item: OutNode


@record
class OutInput:
    """The very object of an input leaf."""

    leaf: int


@record
class OutRoot:
    """The very object of a root."""

    root: int


@record
class OutConst:
    """A fixed object."""

    value: Any


@record
class OutSeq:
    """A list, tuple or namedtuple."""

    kind: type
    items: tuple[OutNode, ...]


@record
class OutDict:
    """A dict."""

    items: tuple[tuple[Any, OutNode], ...]


Computed: TypeAlias = OutArray | OutLate | OutScalar | OutPython
OutNode: TypeAlias = Computed | OutRepeat | OutOptional | OutInput | OutRoot | OutConst | OutSeq | OutDict
COMPUTED = (OutArray, OutLate, OutScalar, OutPython)

# -- one specialisation ----------------------------------------------------------------------------------------------


@record
class Work:
    """About how many nanoseconds main takes: the sum of coefficient * product of sizes.

    From `LONG_WORK` (20 us) on, the interpreter lock is released around main.
    """

    terms: tuple[tuple[int, tuple[Size, ...]], ...] = ()


UNKNOWN_WORK = Work(((1 << 40, ()),))  # loops whose length depends on data


@dataclass(frozen=True, slots=True, eq=False)
class Specialisation:
    """Compiled code for one signature.

    recover(state, made): called before an error is raised, if slots[state_slot] says that main left a state, with what
    the tree `left` gives, whose computed outputs follow those of `outputs`; late ones without memory are None.
    written: leaf numbers of arrays that main writes; a call where their memory overlaps another leaf's is a miss.
    turns: leaf numbers of arrays on memory with a header, and whether main writes them: who writes is alone.
    on_error(status, words) raises.  finish(result) gives what the call returns, if set.
    library, keep: whatever must live as long as the code.
    """

    roots: Roots
    outputs: OutNode
    main_address: int
    on_error: Callable[[int, tuple[int, ...]], Any]
    prepare_address: int = 0
    extra_words: int = 0
    work: Work = UNKNOWN_WORK
    finish: Callable[[Any], Any] | None = None
    left: OutNode | None = None
    recover: Callable[[int, Any], Any] | None = None
    state_slot: int = 0
    written: tuple[int, ...] = ()
    turns: tuple[tuple[int, bool], ...] = ()
    tensor_class: type | None = None
    library: object = None
    keep: tuple[Any, ...] = ()
    layout: SlotLayout = field(init=False)
    tables: Any = field(init=False, default=None, repr=False)  # written by dispatch, when first needed

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", slot_layout(self.roots, self.extra_words))

    @property
    def computed(self) -> list[Computed]:
        """The outputs that main writes, in the order of `outs`."""
        trees = (self.outputs,) if self.left is None else (self.outputs, self.left)
        return [out for tree in trees for out in computed_outputs(tree)]


@record
class LeafSlot:
    """A leaf and its first word."""

    leaf: Leaf
    slot: int


@record
class SlotLayout:
    """Where everything stands in `slots`: error words, leaves, named dims, then extra words of the compiler's own."""

    leaves: tuple[LeafSlot, ...]
    dims: Mapping[str, int]
    extra: int
    words: int

    def size_slot(self, size: str | Slot) -> int:
        """The word which holds a named dim or another run-time size."""
        return size.index if isinstance(size, Slot) else self.dims[size]


def slot_layout(roots: Roots, extra_words: int = 0) -> SlotLayout:
    """The layout that `roots` give rise to."""
    leaves, at = [], ERROR_WORDS
    names: dict[str, int] = {}
    for leaf in leaves_of(roots):
        leaves.append(LeafSlot(leaf, at))
        at += leaf.words
        if isinstance(leaf, ArrayLeaf):
            names.update((d, 0) for d in leaf.dims if isinstance(d, str) and d not in names)
    dims = {name: at + i for i, name in enumerate(names)}
    extra = at + len(dims)
    return SlotLayout(tuple(leaves), dims, extra, extra + extra_words)


def leaves_of(roots: Roots) -> Iterator[Leaf]:
    """All leaves in the order of their slots."""
    for _, node in roots:
        yield from _leaves(node)


def _leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, LEAVES):
        yield node
    else:
        for child in children(node):
            yield from _leaves(child)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below `node`."""
    if isinstance(node, Seq):
        return node.items
    if isinstance(node, Dict):
        return tuple(child for _, child in node.items)
    return tuple(child for _, child in node.attrs) if isinstance(node, Object) else ()


def computed_outputs(node: OutNode) -> Iterator[Computed]:
    """The outputs that main writes, in the order of `outs`."""
    if isinstance(node, COMPUTED):
        yield node
    else:
        for child in parts(node):
            yield from computed_outputs(child)


def parts(node: OutNode) -> tuple[OutNode, ...]:
    """The result nodes right below `node`."""
    match node:
        case OutSeq(items=items):
            return items
        case OutDict(items=pairs):
            return tuple(child for _, child in pairs)
        case OutOptional(missing=missing, item=item):
            return missing, item
    return ()


def simplify(node: Node) -> Node:
    """`Equal` of singletons as `Same`, of tuples as `Seq`, so that only atoms remain to be compared."""
    if not isinstance(node, Equal):
        return node
    value = node.value
    if value is None or value is Ellipsis or type(value) is bool or isinstance(value, type):
        return Same(value)
    return Seq(tuple, tuple(simplify(Equal(v)) for v in value)) if type(value) is tuple else node


def typed_key(value: Any) -> Any:
    """A hashable that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    if type(value) is tuple:
        return tuple, tuple(map(typed_key, value))
    return (float, value.hex()) if type(value) is float else (type(value), value)
