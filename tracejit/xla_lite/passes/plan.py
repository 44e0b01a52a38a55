"""What a plan of buffers says: a place for every value, and the arena that most places are in.

Flows in:  values, sizes.
Flows out: `Target`, `Place`, `Slots`, `Plan`, `Arena`; `buffers` makes plans, `main` is written by them.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tracejit.base.dims import Size, dim_function, product
from tracejit.ir.graph import Node, Value
from tracejit.xla_lite.passes.slice_updates import Window

ALIGNMENT = 64

PlaceKind = Literal["param", "register", "local", "alias", "arena", "heap", "target", "takeover", "rotating"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an output goes. param: the array of this parameter is overwritten. direct: kernels may write there.

    private: nobody sees the parameter's array after a failure.  kept: its number in what failures leave behind.
    """

    direct: bool = True
    param: int = -1
    private: bool = False
    kept: int = -1


@dataclass(slots=True)
class Place:
    """kind param: a parameter.  register: a scalar computed in `main`.  local: one element on the stack.
    alias: the memory of `of`, in another shape.  takeover: the memory of `of`, which nobody reads any more.
    arena: from `offset` on.  heap: memory of its own.  target: the memory of output number `target`.
    rotating: the state of a loop, in one of several blocks of the arena; the first is at `offset`.
    """

    kind: PlaceKind
    of: Value | None = None
    offset: Size = 0
    target: int = -1


@dataclass(frozen=True, slots=True)
class Slots:
    """The blocks that a loop's state moves through: one for each carry, then spare ones.

    of: per carry, the block that its next value is written to.  spares: per spare block, the carry that it is like, and
    whether it starts as a copy of it.  following: per spare block, the block that is spare in the next iteration.
    """

    of: tuple[int, ...]
    spares: tuple[tuple[int, bool], ...]
    following: tuple[int, ...]

    def rotates(self, carry: int) -> bool:
        return self.of[carry] != carry


@dataclass(slots=True)
class Plan:
    """places: for every value.  total: bytes of the arena.  regions: (node, attribute name) -> plan and its offset.

    slots: of a loop's body, where its state goes.  spares: loop -> offsets of the blocks beside its state.
    kept: updates whose memory already holds what they leave alone, but for these windows.
    states: (attempt, handler number) -> where the handler finds what a failure hands to it; `target` is the memory of
    that result of the attempt, where it lies already.
    """

    places: dict[Value, Place] = field(default_factory=dict)
    total: Size = 0
    regions: dict[tuple[Node, str], tuple[Plan, Size]] = field(default_factory=dict)
    copies: list[int] = field(default_factory=list)
    slots: Slots | None = None
    spares: dict[Node, list[Size]] = field(default_factory=dict)
    kept: dict[Value, tuple[Window, ...]] = field(default_factory=dict)
    states: dict[tuple[Node, int], list[Place]] = field(default_factory=dict)

    def uses_arena(self) -> bool:
        """Whether anything, perhaps of no bytes, lies in the arena."""
        return any(p.kind in ("arena", "rotating") for p in self.places.values()) or any(
            plan.uses_arena() for plan, _ in self.regions.values()) or any(
            p.kind == "arena" for places in self.states.values() for p in places)


def byte_size(value: Value) -> Size:
    """Bytes of a value, rounded up to the alignment."""
    return round_up(product(value.shape) * value.dtype.bytes)


def round_up(size: Size) -> Size:
    return dim_function("floordiv", size + (ALIGNMENT - 1), ALIGNMENT) * ALIGNMENT


class Arena:
    """Offsets in one block of memory. Free blocks are used again; the total only grows."""

    def __init__(self) -> None:
        self.total: Size = 0
        self.free: list[tuple[Size, Size]] = []     # (size, offset)

    def take(self, size: Size) -> Size:
        fits = [b for b in self.free if b[0] == size or isinstance(b[0], int) and isinstance(size, int) and b[0] > size]
        if fits:
            block = min(fits, key=lambda b: b[0] if isinstance(b[0], int) else 0)
            self.free.remove(block)
            if block[0] != size:
                self.free.append((block[0] - size, block[1] + size))
            return block[1]
        offset, self.total = self.total, self.total + size
        return offset

    def give(self, size: Size, offset: Size) -> None:
        """Joins static neighbours."""
        if isinstance(size, int) and isinstance(offset, int):
            for block in [b for b in self.free if isinstance(b[0], int) and isinstance(b[1], int)]:
                if block[1] == offset + size or block[1] + block[0] == offset:
                    self.free.remove(block)
                    size, offset = size + block[0], min(offset, block[1])  # type: ignore[type-var]
        self.free.append((size, offset))
