"""What callers and compiled code agree on: where parameters, sizes and outputs are, and what a run may fail with.

Flows in:  a graph, places given by the caller.
Flows out: `Interface`, `OutputSizes`, `ErrorSite`. Needed for every call, also where the machine code is on disk: so
           nothing here imports the compiler.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tracejit.base.dims import Size
from tracejit.base.dtypes import DType
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph
from tracejit.xla_lite.runtime.signature import Slot

LEAST_SIZE = 2      # symbolic sizes: 0 and 1 get code of their own
OPTIMISATION = 2    # the engine's level for compiled functions
SCALAR_LOOPS = 4    # ... where `main` itself has innermost loops
MOST_TEXT = 200_000 # characters of LLVM text that this level is spent on: kernels, vectors already, go through it too
LARGE = 5           # ... where `main` is so long that optimising it takes longer than anybody waits
LONG_MAIN = 12_000  # statements


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
    """Where one output goes. new: the fresh array outs[out]; where only the run knows its size, outs[out] receives its
    address.  scalar: the 16 bytes at outs[out].  write_back: the caller's array of parameter number `param`.
    left: as scalar or as new, but only failures put something there, an array of any size.
    """

    kind: Literal["new", "scalar", "write_back", "left"]
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
    """What to raise for one status. payload: the dtypes of the words that are formatted into `message`."""

    exception: str
    message: str
    payload: tuple[DType, ...]
    span: SourceSpan | None


@dataclass(slots=True)
class OutputSizes:
    """Sizes of outputs: numbers, or words of the slots.

    late: whether only the run knows them, so that `main` allocates.
    computed: word -> size that `prepare` puts there.  measured: word -> size that `main` puts there.
    state: the word that says after a failure which state it left, counted from 1; 0 if failures leave none.
    """

    num_slots: int
    state: int = 0
    dims: list[tuple[int | Slot, ...]] = field(default_factory=list)
    late: list[bool] = field(default_factory=list)
    computed: dict[int, Size] = field(default_factory=dict)
    measured: dict[int, Size] = field(default_factory=dict)


def output_sizes(graph: Graph, interface: Interface) -> OutputSizes:
    """How large each output is, and who finds out."""
    sizes = OutputSizes(interface.first_free_slot)
    if interface.kept:
        sizes.state = sizes.num_slots
        sizes.num_slots += 1
    for value, place in zip(graph.outputs, interface.outputs, strict=True):
        if place.kind == "left":
            sizes.dims.append(tuple(map(Slot, range(sizes.num_slots, sizes.num_slots + value.rank))))
            sizes.late.append(value.rank > 0)
            sizes.num_slots += value.rank
            continue
        late = bool(value.type.symbols() - interface.dim_slots.keys())
        table = sizes.measured if late else sizes.computed
        sizes.dims.append(tuple([_word(n, sizes, interface, table) for n in value.shape]))
        sizes.late.append(late)
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
