"""Effects in `main`: assertions, sizes known only at run time, calls of Python.

Flows in:  nodes with effects, in program order.
Flows out: statements of `main`. Entries of `HANDLERS`.
"""
from __future__ import annotations

from tracejit.base.dtypes import BOOL, I32, I64
from tracejit.ir.graph import Node, Value
from tracejit.ops.effects import HOST_OPS
from tracejit.xla_lite.host_calls import frame_sizes, shown_operands, site_number
from tracejit.xla_lite.kernels.elements import store
from tracejit.xla_lite.kernels.expressions import size_expr
from tracejit.xla_lite.kernels.kernel_ir import (
    FALSE,
    RAISED,
    Apply,
    Buffer,
    BufferRef,
    Call,
    Const,
    Fail,
    If,
    Let,
    Name,
)
from tracejit.xla_lite.kernels.scalars import Complex
from tracejit.xla_lite.program import Memory, RegionLowering, handles


@handles("assert")
def lower_assert(region: RegionLowering, node: Node) -> None:
    """What is only needed where it fails is done there."""
    holds, writer = region.elements.at(node.operands[0], ()), region.writer
    assert not isinstance(holds, Complex)
    if holds == FALSE:
        region.fail(node)
        return
    fails = writer.let(Apply("not", (holds,), BOOL))
    with writer.block(arm=True) as block:
        region.fail(node)
    writer.emit(If(fails, tuple(block.statements)))


@handles("bind_dim")
def lower_bind_dim(region: RegionLowering, node: Node) -> None:
    scalar = region.elements.at(node.operands[0], ())
    assert not isinstance(scalar, Complex)
    name = node.attributes["dim"]
    region.writer.emit(Let(name, scalar))
    region.writer.depth[name] = len(region.writer.blocks) - 1
    region.shared.scalar(node.result, scalar)


def lower_host_call(region: RegionLowering, node: Node) -> None:
    """Addresses and sizes into a frame, then the call; leaves if Python raised."""
    shared, writer = region.shared, region.writer
    results = [_result_memory(region, v) for v in node.results]
    memories = [*(_operand_memory(region, v) for v in shown_operands(node)), *(m for _, m in results)]
    sizes = frame_sizes(node)
    frame = writer.fresh("frame")
    writer.emit(Buffer(frame, I64, (Const(max(1, len(memories) + len(sizes))),), "local"))
    for k, memory in enumerate(memories):
        writer.emit(Call("tj_put_address", (BufferRef(frame), Const(k), BufferRef(memory.buffer)),
                         Name(writer.fresh("noted"), I64)))
    for k, size in enumerate(sizes, len(memories)):
        writer.store(frame, (Const(k),), size_expr(size))
    raised = Name(writer.fresh("raised"), I32)
    writer.depth[raised.name] = len(writer.blocks) - 1
    writer.emit(Call("tj_host_call", (Const(site_number(node)), BufferRef(frame)), raised))
    fails = writer.let(Apply("ne", (raised, Const(0, I32)), BOOL))
    with writer.block(arm=True) as block:
        region.leave_state(node.operands[len(shown_operands(node)):], node.attributes.get("kept", ()))
        writer.emit(Fail(RAISED))
    writer.emit(If(fails, tuple(block.statements)))
    for value, (place, memory) in zip(node.results, results, strict=True):
        if place is not memory:
            shared.copy(value.type, memory, place)
        shared.memory[value] = place
        if not value.rank:
            shared.scalar(value, shared.read(value))


def _operand_memory(region: RegionLowering, value: Value) -> Memory:
    """The array without gaps, or a cell with the scalar."""
    if value.rank:
        return region.shared.contiguous(value)
    made = region.shared.buffer(value, "s", "local")
    store(region.writer, made.buffer, (), region.elements.at(value, ()))
    return made


def _result_memory(region: RegionLowering, value: Value) -> tuple[Memory, Memory]:
    """Where a result belongs, and where Python writes it: the same, unless it belongs to memory with gaps."""
    if not value.rank:
        made = region.shared.buffer(value, "s", "local")
        return made, made
    made = region.allocate(value)
    return made, made if made.strides is None else region.shared.buffer(value, "h", "heap")


for _name in HOST_OPS:
    handles(_name)(lower_host_call)
