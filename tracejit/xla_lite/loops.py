"""Control flow in `main`: native loops and branches, their state in registers and in memory.

Flows in:  `while`, `for` and `case` nodes with their regions.
Flows out: statements of `main`. Entries of `HANDLERS`.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.base.dtypes import BOOL
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.kernels.elements import store
from tracejit.xla_lite.kernels.expressions import Index, as_expr
from tracejit.xla_lite.kernels.kernel_ir import Apply, Const, Expr, If, While
from tracejit.xla_lite.kernels.scalars import Complex, Scalar
from tracejit.xla_lite.program import Memory, RegionLowering, handles


class Carries:
    """The state of a loop: registers for scalars, memory for arrays."""

    def __init__(self, region: RegionLowering, node: Node, initial: Sequence[Value]):
        self.region, self.shared, self.writer = region, region.shared, region.writer
        self.values = node.results
        self.state = [self.open(result, value) for result, value in zip(node.results, initial, strict=True)]

    def open(self, result: Value, value: Value) -> Memory:
        if not result.rank:
            made = self.shared.buffer(result, "s", "local")
            store(self.writer, made.buffer, (), self.shared.elements.at(value, ()))
            return made
        made = self.region.allocate(result)
        if not self.shared.share(self.shared.memory[value], made):
            self.shared.copy(value.type, self.shared.memory[value], made)
        return made

    def current(self) -> list[Memory | Scalar]:
        """What a region gets: arrays where they are, scalars as they are now."""
        return [m if v.rank else self.read(v, m) for v, m in zip(self.values, self.state, strict=True)]

    def read(self, value: Value, memory: Memory) -> Scalar:
        self.shared.memory[value] = memory
        return self.shared.read(value)

    def targets(self) -> list[Memory | None]:
        return list(self.state)

    def finish(self) -> None:
        for value, memory in zip(self.values, self.state, strict=True):
            if value.rank:
                self.shared.memory[value] = memory
            else:
                self.shared.scalar(value, self.read(value, memory))


@handles("while")
def lower_while(region: RegionLowering, node: Node) -> None:
    cond, body, count = node.attributes["cond"], node.attributes["body"], node.attributes["carries"]
    carries = Carries(region, node, node.operands[:count])
    invariants = [region.found(v) for v in node.operands[count:]]
    with region.writer.block() as before:
        (go,) = region.region(node, "cond", cond, [*carries.current(), *invariants], [None])
    with region.writer.block() as inside:
        region.region(node, "body", body, [*carries.current(), *invariants], carries.targets())
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
    trips, lower, step = _trips(region, bounds), as_expr(bounds[0]), as_expr(bounds[2])
    with region.writer.loop(trips, "serial", "n") as n:
        i = region.writer.let((Index(lower) + Index(n) * Index(step)).expr)
        region.region(node, "body", body, [i, *carries.current(), *invariants], carries.targets())
    carries.finish()


def _trips(region: RegionLowering, bounds: Sequence[Any]) -> Expr:
    """max(0, ceil((upper - lower) / step)); a step of 0 makes none."""
    b = region.elements.scalars
    lower, upper, step = bounds
    up = b.compare("GT", step, Const(0))
    distance = b.select(up, b.subtract(upper, lower), b.subtract(lower, upper))
    size = b.select(up, step, b.negate(step))
    trips = b.call("floor_divide", b.add(distance, b.subtract(size, Const(1))), size)
    runs = b.and_(b.compare("GT", distance, Const(0)), b.compare("NE", step, Const(0)))
    chosen: Expr = b.select(runs, trips, Const(0))
    return chosen


@handles("case")
def lower_case(region: RegionLowering, node: Node) -> None:
    """Nested tests; each branch writes the results to one place."""
    branches: tuple[Graph, ...] = node.attributes["branches"]
    index = region.elements.at(node.operands[0], ())
    assert not isinstance(index, Complex)
    operands = [region.found(v) for v in node.operands[1:]]
    made = [region.shared.buffer(v, "s", "local") if not v.rank else region.allocate(v) for v in node.results]
    blocks = []
    for k, branch in enumerate(branches):
        with region.writer.block() as block:
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
    for value, memory in zip(node.results, made, strict=True):
        region.shared.memory[value] = memory
        if not value.rank:
            region.shared.scalar(value, region.shared.read(value))
