"""Where instructions go: a stack of places that dominate one another, so that invariant code moves outwards by itself.

Flows in:  instructions with the depth of their operands.
Flows out: the lines of one function; `Value`s, which know how deep they were computed.

A place is straight-line code (and what was spliced into it): the entry of a function, the way into a loop, a loop's
body, the arm of a branch. While a place is open its child's lines are kept apart, so whatever is added to the parent
meanwhile comes before the child: the parent is the pre-header. Three kinds of place stop what may move out of them:

    loop    nothing stops, but a load stays if the loop writes to its buffer
    guard   (may not run at all) loads stay
    arm     (runs for some, and may be dear) everything stays
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tracejit.xla_lite.cpu.target import Target
from tracejit.xla_lite.cpu.text import Body, ModuleText
from tracejit.xla_lite.cpu.types import vector
from tracejit.xla_lite.kernels.kernel_ir import Expr

PlaceKind = Literal["loop", "guard", "arm"]


class Value:
    """A computed value: its text, in how many lanes (1: the same in all), and the depth of the place it was made in."""

    __slots__ = ("depth", "lanes", "text")

    def __init__(self, text: str, lanes: int = 1, depth: int = 0) -> None:
        self.text, self.lanes, self.depth = text, lanes, depth

    @property
    def is_literal(self) -> bool:
        return self.text[0] != "%"


@dataclass(slots=True)
class Place:
    """One open place. written: the buffers that a loop stores to. floor: nothing moves above this depth."""

    kind: PlaceKind
    lines: list[str]
    block: str
    floor: int
    written: frozenset[str] = frozenset()
    memoized: list[object] = field(default_factory=list)
    bound: list[tuple[str, Value | None]] = field(default_factory=list)


class Places:
    """The stack of places of one function, the names in scope and the memo of what was computed."""

    def __init__(self, module: ModuleText, target: Target) -> None:
        self.module, self.target = module, target
        self.body = Body(module)
        self.stack = [Place("guard", self.body.lines, "entry", 0)]
        self.depth = self.floor = 0
        self.names: dict[str, Value] = {}
        self.memo: dict[object, tuple[Expr | None, Value]] = {}
        self.expressions: list[object] = []    # the keys in `memo` that are ids of expressions, in order

    # Places.

    def push(self, kind: PlaceKind, label: str, written: frozenset[str] = frozenset()) -> Place:
        """Opens a place inside the present one; its first block is `label`."""
        here = self.stack[-1]
        here.block = self.body.block
        place = Place(kind, [], label, self.depth + 1 if kind == "arm" else self.floor, written)
        self.stack.append(place)
        self.depth += 1
        self.floor = place.floor
        self.body.lines, self.body.block = place.lines, label
        return place

    def pop(self) -> Place:
        """Closes the innermost place and returns it; the caller puts its lines where they belong."""
        place = self.stack.pop()
        place.block = self.body.block
        here = self.stack[-1]
        self.depth -= 1
        self.floor = here.floor
        self.body.lines, self.body.block = here.lines, here.block
        for key in place.memoized:
            self.memo.pop(key, None)
        for name, value in reversed(place.bound):
            if value is None:
                del self.names[name]
            else:
                self.names[name] = value
        return place

    def enter(self, depth: int) -> tuple[list[str], str]:
        """Goes on in the open place at `depth`; what is returned brings `leave` back."""
        here = self.body.lines, self.body.block
        if depth != self.depth:
            self.stack[-1].block = here[1]
            self.body.lines, self.body.block = self.stack[depth].lines, self.stack[depth].block
        return here

    def leave(self, depth: int, here: tuple[list[str], str]) -> None:
        """Comes back from `enter`."""
        if depth != self.depth:
            self.stack[depth].block = self.body.block
            self.body.lines, self.body.block = here

    # Instructions.

    def at(self, depth: int, lanes: int, instruction: str) -> Value:
        """An instruction without side effects in the place at `depth`."""
        body = self.body
        if depth == self.depth:
            return Value(body.emit(instruction), lanes, depth)
        here, body.lines = body.lines, self.stack[depth].lines
        value = Value(body.emit(instruction), lanes, depth)
        body.lines = here
        return value

    def remember(self, key: object, value: Value, expr: Expr | None = None) -> Value:
        """Keeps `value` under `key` while its place is open. expr: kept alive, where `key` is its id."""
        if key not in self.memo:
            self.memo[key] = expr, value
            self.stack[value.depth].memoized.append(key)
            if expr is not None:
                self.expressions.append(key)
        return value

    def forget(self, since: int) -> None:
        """Forgets expressions remembered since there were so many: names in them are about to mean something else."""
        for key in self.expressions[since:]:
            self.memo.pop(key, None)
        del self.expressions[since:]

    def splat(self, value: Value, scalar: str, lanes: int) -> Value:
        """The same value in every lane."""
        if value.lanes == lanes:
            return value
        if value.is_literal:
            return Value(f"splat ({scalar} {value.text})", lanes, value.depth)
        key = ("splat", value.text, lanes)
        if (found := self.memo.get(key)) is not None:
            return found[1]
        kind = vector(scalar, lanes)
        one = self.at(value.depth, lanes, f"insertelement {kind} poison, {scalar} {value.text}, i64 0")
        many = self.at(value.depth, lanes,
                       f"shufflevector {kind} {one.text}, {kind} poison, <{lanes} x i32> zeroinitializer")
        return self.remember(key, many)

    # Names.

    def bind(self, name: str, value: Value) -> None:
        """Names a value until the innermost place closes."""
        self.stack[-1].bound.append((name, self.names.get(name)))
        self.names[name] = value
