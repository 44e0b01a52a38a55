"""Control flow in `main`: native loops and branches, their state in registers and in memory.

Flows in:  `while`, `for`, `case` and `try` nodes with their regions.
Flows out: statements of `main`. Entries of `HANDLERS`.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, I64
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.kernels.element_loops import trip_count
from tracejit.xla_lite.kernels.elements import store
from tracejit.xla_lite.kernels.expressions import Index, as_expr, plus, size_expr
from tracejit.xla_lite.kernels.kernel_ir import Apply, Attempt, Const, Expr, If, Load, While
from tracejit.xla_lite.kernels.scalars import Complex, Scalar
from tracejit.xla_lite.program import Handler, Memory, RegionLowering, handles


class Carries:
    """The state of a loop: registers for scalars, memory for arrays.

    Arrays that may not be overwritten while the next ones are computed move from block to block of the arena: a
    register for each block says where it is now, and the registers change places after every iteration.
    """

    def __init__(self, region: RegionLowering, node: Node, initial: Sequence[Value]):
        self.region, self.shared, self.writer = region, region.shared, region.writer
        self.values = node.results
        found = region.plan.regions[node, "body"][0].slots
        assert found is not None
        self.slots = found
        self.registers: dict[int, str] = {}      # block -> register with its offset in the arena
        self.state = [self.open(k, value) for k, value in enumerate(initial)]
        for number, offset in enumerate(region.plan.spares.get(node, ())):
            self.open_spare(number, offset, initial)

    def open(self, k: int, value: Value) -> Memory:
        result = self.values[k]
        if not result.rank:
            made = self.shared.buffer(result, "s", "local")
            store(self.writer, made.buffer, (), self.shared.elements.at(value, ()))
            return made
        if self.slots.rotates(k):
            made = self.block(k, result, self.region.plan.places[result].offset)
        else:
            made = self.region.allocate(result)
        if not self.shared.share(self.shared.memory[value], made):
            self.shared.copy(value.type, self.shared.memory[value], made)
        return made

    def open_spare(self, number: int, offset: Size, initial: Sequence[Value]) -> None:
        like, copied = self.slots.spares[number]
        made = self.block(len(self.values) + number, self.values[like], offset)
        if copied:
            self.shared.copy(self.values[like].type, self.shared.memory[initial[like]], made)

    def block(self, slot: int, value: Value, offset: Size) -> Memory:
        """The block that a register points to from now on."""
        where = self.writer.let(plus(self.region.base, size_expr(offset)))
        self.registers[slot] = self.writer.buffer("at", I64)
        self.writer.store(self.registers[slot], (), where)
        return self.view(value, where)

    def view(self, value: Value, where: Expr) -> Memory:
        assert self.region.arena is not None
        return self.shared.buffer(value, "t", "local", self.region.arena, where)

    def current(self) -> list[Memory | Scalar]:
        """What a region gets: arrays where they are, scalars as they are now."""
        self.now = {slot: self.writer.let_here(Load(name, (), I64)) for slot, name in self.registers.items()}
        self.blocks = {slot: self.view(self.like(slot), where) for slot, where in self.now.items()}
        return [self.blocks.get(k, m) if v.rank else _now(self.region, v, m)
                for k, (v, m) in enumerate(zip(self.values, self.state, strict=True))]

    def like(self, slot: int) -> Value:
        count = len(self.values)
        return self.values[slot if slot < count else self.slots.spares[slot - count][0]]

    def targets(self) -> list[Memory | None]:
        """Where the next state goes."""
        return [self.blocks[self.slots.of[k]] if self.slots.rotates(k) else m for k, m in enumerate(self.state)]

    def advance(self) -> None:
        """At the end of an iteration: blocks change places."""
        following = [*self.slots.of, *self.slots.following]
        for slot, name in self.registers.items():
            self.writer.store(name, (), self.now[following[slot]])

    def finish(self) -> None:
        for k, (value, memory) in enumerate(zip(self.values, self.state, strict=True)):
            if self.slots.rotates(k):
                where = self.writer.let_here(Load(self.registers[k], (), I64))
                self.shared.memory[value] = self.view(value, where)
            elif value.rank:
                self.shared.memory[value] = memory
            else:
                self.shared.memory[value] = memory
                self.shared.scalar(value, self.shared.read(value))


@handles("while")
def lower_while(region: RegionLowering, node: Node) -> None:
    cond, body, count = node.attributes["cond"], node.attributes["body"], node.attributes["carries"]
    carries = Carries(region, node, node.operands[:count])
    invariants = [region.found(v) for v in node.operands[count:]]
    with region.writer.block() as before:
        (go,) = region.region(node, "cond", cond, [*carries.current(), *invariants], [None])
    with region.writer.block() as inside:
        region.region(node, "body", body, [*carries.current(), *invariants], carries.targets())
        carries.advance()
    assert not isinstance(go, (Memory, Complex))
    region.writer.emit(While(tuple(before.statements), go, tuple(inside.statements)))
    carries.finish()


@handles("for")
def lower_for(region: RegionLowering, node: Node) -> None:
    """range(lower, upper, step): the number of trips first, then a serial loop."""
    body, count = node.attributes["body"], node.attributes["carries"]
    bounds = [region.elements.at(v, ()) for v in node.operands[:3]]
    carries = Carries(region, node, node.operands[3:3 + count])
    invariants = [region.found(v) for v in node.operands[3 + count:]]
    trips, lower, step = trip_count(region.elements.scalars, bounds), as_expr(bounds[0]), as_expr(bounds[2])
    with region.writer.loop(trips, "serial", "n") as n:
        i = region.writer.let((Index(lower) + Index(n) * Index(step)).expr)
        region.region(node, "body", body, [i, *carries.current(), *invariants], carries.targets())
        carries.advance()
    carries.finish()


@handles("case")
def lower_case(region: RegionLowering, node: Node) -> None:
    """Nested tests; each branch writes the results to one place."""
    branches: tuple[Graph, ...] = node.attributes["branches"]
    index = region.elements.at(node.operands[0], ())
    assert not isinstance(index, Complex)
    operands = [region.found(v) for v in node.operands[1:]]
    made = _open_results(region, node)
    blocks = []
    for k, branch in enumerate(branches):
        with region.writer.block(arm=True) as block:
            region.region(node, f"branches{k}", branch, operands, list(made))
        blocks.append(tuple(block.statements))
    statement = blocks[-1]
    for k in range(len(blocks) - 2, -1, -1):
        if index.dtype is BOOL:
            test: Expr = region.writer.let(Apply("not", (index,), BOOL))
        else:
            test = region.writer.let(Apply("eq", (index, Const(k, index.dtype)), BOOL))
        statement = (If(test, blocks[k], statement),)
    for s in statement:
        region.writer.emit(s)
    _close_results(region, node, made)


@handles("try")
def lower_try(region: RegionLowering, node: Node) -> None:
    """The body; its failures fill what their handler is given and go on there. All write the results to one place."""
    label, handlers = region.writer.fresh("try"), node.attributes["handlers"]
    operands = [region.found(v) for v in node.operands]
    made = _open_results(region, node)
    around = region.shared.handlers
    found = [Handler(f"{label}:{k}", _given(region, node, k, made)) for k in range(len(handlers))]
    region.shared.handlers = around | {f"{node.attributes['label']}:{k}": h for k, h in enumerate(found)}
    with region.writer.block() as inside:
        region.region(node, "body", node.attributes["body"], operands, list(made))
    region.shared.handlers = around
    blocks = []
    for k, (graph, handler) in enumerate(zip(handlers, found, strict=True)):
        with region.writer.block(arm=True) as block:
            if handler.used:
                given = [_now(region, v, m) for v, m in zip(graph.params, handler.given, strict=False)]
                region.region(node, f"handlers{k}", graph, [*given, *operands], list(made))
        blocks.append(tuple(block.statements))
    region.writer.emit(Attempt(label, tuple(inside.statements), tuple(blocks)))
    _close_results(region, node, made)


def _given(region: RegionLowering, node: Node, k: int, made: Sequence[Memory]) -> list[Memory]:
    """Where a handler finds what a failure hands to it."""
    places = region.plan.states[node, k]
    return [made[p.target] if p.kind == "target" else region.memory_at(p, v)
            for v, p in zip(node.attributes["handlers"][k].params, places, strict=False)]


def _now(region: RegionLowering, value: Value, memory: Memory) -> Memory | Scalar:
    """An array where it is, a scalar as it is now."""
    region.shared.memory[value] = memory
    return memory if value.rank else region.shared.read(value)


def _open_results(region: RegionLowering, node: Node) -> list[Memory]:
    """The places that every branch writes its results to."""
    return [region.shared.buffer(v, "s", "local") if not v.rank else region.allocate(v) for v in node.results]


def _close_results(region: RegionLowering, node: Node, made: Sequence[Memory]) -> None:
    for value, memory in zip(node.results, made, strict=True):
        found = _now(region, value, memory)
        if not isinstance(found, Memory):
            region.shared.scalar(value, found)
