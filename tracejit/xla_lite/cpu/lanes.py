"""How many lanes a vector loop gets.

Flows in:  the loop, the target, the extent where it is constant.
Flows out: `LanePlan`: lanes of the main loop (several registers while the body is short) and of the masked rest.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracejit.base.dtypes import I64, DType
from tracejit.xla_lite.cpu.target import Target
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Apply,
    Buffer,
    BufferRef,
    Call,
    Const,
    Expr,
    Fail,
    If,
    Let,
    Load,
    Loop,
    Name,
    Statement,
    Store,
    While,
    statements,
    walk,
)

_CALL_COST = 20     # of an elementary function, in instructions
_LONG = 1024        # from here on a main loop of its own costs more compile time than the masks cost
_LATENT = 64        # from here on chains of dependent steps are long: more copies hide their latency
_CROWDED = 16       # elements that a body reads and writes from which on they hide each other's latency
_STRAIGHT = 48      # instructions that a loop of constant extent may unfold to


@dataclass(frozen=True, slots=True)
class LanePlan:
    """main: lanes of the loop over whole vectors, 0 for none.  rest: lanes of what is left, under a mask if `masked`.

    unroll: up to so many iterations of a constant extent are written out.
    """

    main: int
    rest: int
    masked: bool
    unroll: int


@dataclass(slots=True)
class _Census:
    """What a body consists of: instructions by width of their type, widths and number of what is in memory, whether
    control flow differs."""

    cost: dict[int, int]
    memory: set[int]
    accesses: int = 0
    reduces: bool = False
    branches: bool = False


def plan_lanes(s: Loop, target: Target, constant: int | None) -> LanePlan:
    """The lanes for one loop."""
    census = _census(s)
    widths = [bits for bits, cost in census.cost.items() if cost] or sorted(census.memory) or [64]
    base = max(2, target.vector_bits // max(widths))
    cost = sum(n * bits for bits, n in census.cost.items()) // max(widths) + len(census.memory)
    masked = all(target.masks(bits) for bits in census.memory)
    copies = _copies(cost, census, _pressure(s.body) * 3 <= target.registers)
    main = base * min(copies, max(1, target.registers // 2 // max(1, _registers(s.body))))
    rest = base if masked else 1
    if masked and target.avx512 and cost > _LONG:
        main, rest = 0, main
    if constant is not None:
        main, rest = _fit(constant, main, rest, masked)
    return LanePlan(main, rest, masked, max(1, min(16, _STRAIGHT // (cost + 1))))


def _copies(cost: int, census: _Census, few_live: bool) -> int:
    """Registers for each value: more while few are live, to hide latencies and the cost of the loop itself."""
    if census.accesses >= _CROWDED:
        return 1
    if census.branches:
        return 2 if cost <= 24 else 1
    if census.reduces and cost <= 4:
        return 8
    if cost <= 16 or few_live and cost > _LATENT:
        return 4
    return 2 if cost <= 40 or few_live else 1


def _registers(body: tuple[Statement, ...]) -> int:
    """How many registers a body holds all the time."""
    return sum(isinstance(s, Buffer) and s.space == "local" and not s.shape for s in body)


def _pressure(body: tuple[Statement, ...]) -> int:
    """How many names of a block are live at once."""
    last: dict[str, int] = {}
    for at, s in enumerate(body):
        for e in expressions_of(s):
            last.update((x.name, at) for x in walk(e) if isinstance(x, Name))
    live = most = 0
    ends: dict[int, int] = {}
    for at, s in enumerate(body):
        live -= ends.get(at, 0)
        if isinstance(s, Let) and s.name in last:
            ends[last[s.name]] = ends.get(last[s.name], 0) + 1
            live += 1
            most = max(most, live)
    return most


def _fit(constant: int, main: int, rest: int, masked: bool) -> tuple[int, int]:
    """No wider than a constant extent."""
    while main > constant:
        main //= 2
    while rest // 2 >= constant - (constant // main * main if main > 1 else 0) and rest > 1:
        rest //= 2
    if main and masked:
        main = max(main, rest)
    return (main if 1 < main <= constant else 0), max(rest, 1)


def _census(s: Loop) -> _Census:
    census = _Census({}, set())
    for inner in statements(s.body):
        if isinstance(inner, (If, While)):
            census.branches = True
        elif isinstance(inner, Store):
            pass
        elif isinstance(inner, Accumulate):
            census.reduces = True
            for e in inner.combine.results:
                _count(e, census)
        for e in expressions_of(inner):
            _count(e, census)
    for inner in statements(s.body):
        if isinstance(inner, Store):
            census.memory.add(inner.value.dtype.bits)
            census.accesses += bool(inner.index)
    return census


def _count(e: Expr, census: _Census) -> None:
    """Adds the instructions of an expression; indices don't count, addresses are computed outside."""
    todo = [e]
    while todo:
        e = todo.pop()
        if isinstance(e, Load):
            if e.index:
                census.memory.add(e.dtype.bits)
                census.accesses += 1
        elif isinstance(e, Apply):
            todo.extend(e.args)
            if e.dtype is not I64 or any(not isinstance(x, (Name, Const)) or x.dtype is not I64 for x in e.args):
                bits = _width(e)
                known = e.fn in _CHEAP
                census.cost[bits] = census.cost.get(bits, 0) + (1 if known else _CALL_COST)


_CHEAP = frozenset({
    "add", "subtract", "multiply", "divide", "negate", "fma", "and", "or", "xor", "not", "shift_left",
    "shift_right_logical", "shift_right_arithmetic", "eq", "ne", "lt", "le", "gt", "ge", "select", "convert", "bitcast",
    "minimum", "maximum", "sqrt", "abs", "floor", "ceil", "trunc", "rint", "copysign"})


def _width(e: Apply) -> int:
    """Bits of the widest type that takes part; a bool is a mask, as wide as what it was compared from."""
    def bits(t: DType) -> int:
        return 0 if t.kind == "b" else t.compute.bits

    return max([bits(e.dtype), *(bits(x.dtype) for x in e.args)]) or 32


def expressions_of(s: Statement) -> Iterator[Expr]:
    """The expressions that a statement evaluates itself, indices of its target left out."""
    if isinstance(s, (Let, Store)):
        yield s.value
    elif isinstance(s, Accumulate):
        yield from s.values
    elif isinstance(s, (If, While)):
        yield s.condition
    elif isinstance(s, Loop):
        yield s.extent
    elif isinstance(s, Call):
        yield from (a for a in s.args if not isinstance(a, BufferRef))
    elif isinstance(s, Fail):
        yield from s.payload
