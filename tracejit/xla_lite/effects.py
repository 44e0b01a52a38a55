"""Effects in `main`: assertions, sizes known only at run time.

Flows in:  nodes with effects, in program order.
Flows out: statements of `main`. Entries of `HANDLERS`.
"""
from __future__ import annotations

from tracejit.base.dtypes import BOOL
from tracejit.ir.graph import Node
from tracejit.xla_lite.kernels.kernel_ir import Apply, If, Let
from tracejit.xla_lite.kernels.scalars import Complex
from tracejit.xla_lite.program import RegionLowering, handles


@handles("assert")
def lower_assert(region: RegionLowering, node: Node) -> None:
    holds = region.elements.at(node.operands[0], ())
    assert not isinstance(holds, Complex)
    fail = region.fail(node, node.attributes["exception"], node.attributes["message"], node.operands[1:])
    region.writer.emit(If(region.writer.let(Apply("not", (holds,), BOOL)), (fail,)))


@handles("bind_dim")
def lower_bind_dim(region: RegionLowering, node: Node) -> None:
    scalar = region.elements.at(node.operands[0], ())
    assert not isinstance(scalar, Complex)
    name = node.attributes["dim"]
    region.writer.emit(Let(name, scalar))
    region.writer.depth[name] = len(region.writer.blocks) - 1
    region.shared.scalar(node.result, scalar)
