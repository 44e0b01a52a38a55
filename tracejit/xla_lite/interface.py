"""What callers and compiled code agree on: where parameters, sizes and outputs are, and what a run may fail with.

Flows in:  a graph, places given by the caller.
Flows out: `Interface`, `OutputSizes`, `ErrorSite`. Needed for every call, also where the machine code is on disk: so
           nothing here imports the compiler.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tracejit.base.dims import Dim, Size, substitute_size
from tracejit.base.dtypes import DType
from tracejit.base.errors import UnsupportedError
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph
from tracejit.xla_lite.runtime.signature import Slot

LEAST_SIZE = 2      # symbolic sizes: 0 and 1 get code of their own
OPTIMISATION = 2    # the engine's level for compiled functions
SCALAR_LOOPS = 4    # ... where `main` itself has innermost loops
MOST_TEXT = 200_000 # characters of LLVM text that this level is spent on: kernels, vectors already, go through it too


@dataclass(frozen=True, slots=True)
class ParamPlace:
    """Where one parameter is found. kind scalar: its bytes stand in the slots from word `slot` on.

    array: word `slot` is its data pointer; strides_slot: byte strides, one word per axis, None for C-contiguous.
    written: a write-back may write to the caller's array in place.
    """

    kind: Literal["array", "scalar"]
    slot: int
    strides_slot: int | None = None
    donated: bool = False
    written: bool = False


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """Where one output goes. new: the fresh array outs[out].  scalar: the 16 bytes at outs[out].
    write_back: the caller's array of parameter number `param`."""

    kind: Literal["new", "scalar", "write_back"]
    out: int = -1
    param: int = -1


@dataclass(frozen=True, slots=True)
class SizeGuard:
    """left relation right must hold, with relation one of EQ NE LT LE GT GE; else the call is a miss."""

    left: Size
    relation: str
    right: Size


@dataclass(frozen=True, slots=True)
class Interface:
    """Everything the caller and the code agree on. dim_slots: word of each named size.  first_free_slot: from there
    on words belong to the code.  kept: number of a place that failures leave changed -> the output that it goes to."""

    params: tuple[ParamPlace, ...]
    outputs: tuple[OutputPlace, ...]
    dim_slots: Mapping[str, int]
    first_free_slot: int
    size_guards: tuple[SizeGuard, ...]
    kept: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErrorSite:
    """What to raise for one status. payload: the dtypes of the words that are formatted into `message`.

    kept: numbers of the places whose outputs hold what the failure leaves behind.
    """

    exception: str
    message: str
    payload: tuple[DType, ...]
    span: SourceSpan | None
    kept: tuple[int, ...] = ()


@dataclass(slots=True)
class OutputSizes:
    """Sizes of outputs: upper bounds; for allocation; after the run.

    computed: word -> size that `prepare` puts there.  measured: word -> size that `main` puts there.
    """

    num_slots: int
    upper: list[tuple[Size, ...]] = field(default_factory=list)
    allocated: list[tuple[int | Slot, ...]] = field(default_factory=list)
    final: list[tuple[int | Slot, ...] | None] = field(default_factory=list)
    computed: dict[int, Size] = field(default_factory=dict)
    measured: dict[int, Size] = field(default_factory=dict)


def output_sizes(graph: Graph, interface: Interface) -> OutputSizes:
    """How large each output is. A size known only at run time is allocated at its upper bound."""
    sizes = OutputSizes(interface.first_free_slot)
    bounds = _upper_bounds(graph)
    for value in graph.outputs:
        late = bool(value.type.symbols() - interface.dim_slots.keys())
        upper = tuple(_bounded(n, bounds, interface.dim_slots) for n in value.shape)
        sizes.upper.append(upper)
        sizes.allocated.append(tuple(_word(n, sizes, interface, sizes.computed) for n in upper))
        sizes.final.append(tuple(_word(n, sizes, interface, sizes.measured) for n in value.shape) if late else None)
    return sizes


def _word(size: Size, sizes: OutputSizes, interface: Interface, table: dict[int, Size]) -> int | Slot:
    if isinstance(size, int):
        return size
    if (name := size.as_symbol) is not None and name in interface.dim_slots:
        return Slot(interface.dim_slots[name])
    for word, known in table.items():
        if known == size:
            return Slot(word)
    table[sizes.num_slots] = size
    sizes.num_slots += 1
    return Slot(sizes.num_slots - 1)


def _upper_bounds(graph: Graph) -> dict[str, Size]:
    """Run-time sizes that count the True elements of a mask are at most the mask's size."""
    bounds: dict[str, Size] = {}
    for node in graph.nodes:
        size = node.attributes.get("size")
        if node.op.name == "compact_indices" and isinstance(size, Dim) and size.as_symbol:
            bounds.setdefault(size.as_symbol, substitute_size(node.operands[0].shape[0], bounds))
    return bounds


def _bounded(size: Size, bounds: Mapping[str, Size], known: Mapping[str, int]) -> Size:
    size = substitute_size(size, bounds)
    if isinstance(size, Dim) and (unknown := size.symbols() - known.keys()):
        raise UnsupportedError(f"an output has the size {size}, and nothing bounds {', '.join(sorted(unknown))}",
                               why="outputs are allocated before the compiled code runs",
                               fix="return a boolean mask, or a reduction of the array")
    return size
