"""Concatenation and padding: each piece is copied, or computed, by a loop nest of its own.

Flows in:  a body whose root is `concatenate` or `pad`; what the pieces are is computed on the way.
Flows out: a kernel without conditions in its loops.
"""
from __future__ import annotations

from tracejit.base.dims import Size
from tracejit.ir.graph import Value
from tracejit.xla_lite.kernels.elements import At, store
from tracejit.xla_lite.kernels.elementwise import element_nest
from tracejit.xla_lite.kernels.expressions import plus, size_expr, times
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import Const, Expr, Kernel


def concatenate_kernel(request: Request) -> Kernel:
    """One nest per operand."""
    frame = Frame(request, request.body)
    node = request.body.outputs[0].node
    assert node is not None
    axis, start = node.attributes["axis"], 0
    low: Size = start
    for operand in node.operands:
        offset = size_expr(low)
        _copy(frame, operand, lambda i, offset=offset: (*i[:axis], plus(offset, i[axis]), *i[axis + 1:]))
        low = low + operand.shape[axis]
    return frame.kernel()


def pad_kernel(request: Request) -> Kernel:
    """The padding value everywhere, then the operand over it."""
    frame = Frame(request, request.body)
    node = request.body.outputs[0].node
    assert node is not None
    low, interior = node.attributes["low"], node.attributes["interior"]
    with element_nest(frame, exprs(node.result.shape)) as indices:
        for index in indices:
            store(frame.writer, frame.outputs[0], index, frame.elements.at(node.operands[1], ()))
    steps: list[tuple[Expr, Expr]] = [(size_expr(a), Const(b + 1)) for a, b in zip(low, interior, strict=True)]
    _copy(frame, node.operands[0], lambda i: tuple(plus(a, times(j, step))
                                                   for j, (a, step) in zip(i, steps, strict=True)))
    return frame.kernel()


def _copy(frame: Frame, operand: Value, place: object) -> None:
    """Stores every element of `operand` at place(index)."""
    with element_nest(frame, exprs(operand.shape)) as indices:
        for index in indices:
            where: At = place(index)  # type: ignore[operator]
            store(frame.writer, frame.outputs[0], where, frame.elements.at(operand, index))
