"""Kernels of `compact_indices` (positions of True) and `searchsorted` (binary search).

Flows in:  bodies with one such op; masks and keys are computed on the way.
Flows out: kernels. Both are exact and independent of the number of threads.
"""
from __future__ import annotations

from typing import Any

from tracejit.base.dtypes import I64
from tracejit.xla_lite.kernels.expressions import chunks_of, less, minimum, minus, plus, quotient, size_expr, times
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, Const, Expr, Kernel, Load, While
from tracejit.xla_lite.kernels.nests import total_work

PIECE = 1 << 14


def compact_kernel(request: Request) -> Kernel:
    """Counts per piece, running totals, then each piece writes from its place."""
    frame = Frame(request, request.body)
    w = frame.writer
    node = request.body.outputs[0].node
    assert node is not None
    (mask,), size = node.operands, size_expr(node.result.shape[0])
    (n,) = exprs(mask.shape)
    pieces, work = chunks_of(n, Const(PIECE)), total_work((n,), 4)
    before = w.buffer("before", I64, (plus(pieces, ONE),), "heap")
    with w.loop(pieces, "parallel", "c", work) as c:
        _piece(frame, mask, n, c, None, before, size)
    w.store(before, (ZERO,), ZERO)
    total = w.buffer("total", I64)
    w.store(total, (), ZERO)
    with w.loop(pieces, "serial", "s") as s:
        here = w.let_here(Load(before, (plus(s, ONE),), I64))
        sum_ = w.let(plus(w.let_here(Load(total, (), I64)), here))
        w.store(total, (), sum_)
        w.store(before, (plus(s, ONE),), sum_)
    with w.loop(pieces, "parallel", "c", work) as c:
        _piece(frame, mask, n, c, frame.outputs[0], before, size)
    return frame.kernel()


def _piece(frame: Frame, mask: Any, n: Expr, c: Expr, out: str | None, before: str, size: Expr) -> None:
    """Counts one piece (out=None), or writes its positions."""
    w, b = frame.writer, frame.elements.scalars
    start = w.let(times(c, Const(PIECE)))
    at = w.buffer("at", I64)
    w.store(at, (), ZERO if out is None else w.let_here(Load(before, (c,), I64)))
    with w.loop(minimum(Const(PIECE), minus(n, start)), "serial", "j") as j:
        position = w.let(plus(start, j))
        found = frame.elements.at(mask, (position,))
        place = w.let_here(Load(at, (), I64))
        if out is not None:
            with w.when(b.and_(found, b.compare("LT", place, size))):
                w.store(out, (place,), position)
        w.store(at, (), w.let(plus(place, b.convert(found, I64))))
    if out is None:
        w.store(before, (plus(c, ONE),), w.let_here(Load(at, (), I64)))


def searchsorted_kernel(request: Request) -> Kernel:
    """One binary search per key."""
    frame = Frame(request, request.body)
    w, b = frame.writer, frame.elements.scalars
    node = request.body.outputs[0].node
    assert node is not None
    (n,), (m,) = exprs(node.operands[0].shape), exprs(node.operands[1].shape)
    with w.loop(chunks_of(m, Const(1 << 10)), "parallel", "c", total_work((m,), 60)) as c:
        start = w.let(times(c, Const(1 << 10)))
        with w.loop(minimum(Const(1 << 10), minus(m, start)), "serial", "j") as j:
            index = (w.let(plus(start, j)),)
            key = b.widen(frame.elements.at(node.operands[1], index))
            low, high = w.buffer("low", I64), w.buffer("high", I64)
            w.store(low, (), ZERO)
            w.store(high, (), n)
            with w.block() as head:
                here, top = w.let_here(Load(low, (), I64)), w.let_here(Load(high, (), I64))
            with w.block() as body:
                middle = w.let_here(quotient(plus(here, top), Const(2)))
                x = b.widen(frame.elements.at(node.operands[0], (middle,)))
                goes_right = _precedes(b, x, key, node.attributes["side"])
                w.store(low, (), b.select(goes_right, w.let(plus(middle, ONE)), here))
                w.store(high, (), b.select(goes_right, top, middle))
            w.emit(While(tuple(head.statements), less(here, top), tuple(body.statements)))
            w.store(frame.outputs[0], index, w.let_here(Load(low, (), I64)))
    return frame.kernel()


def _precedes(b: Any, x: Any, key: Any, side: str) -> Any:
    """Whether x stands before the place of key, NaN being the greatest."""
    test = b.compare("LT", x, key) if side == "left" else b.compare("LE", x, key)
    if not x.dtype.is_float:
        return test
    key_nan, x_nan = b.compare("NE", key, key), b.compare("NE", x, x)
    with_nan = b.not_(x_nan) if side == "left" else b.constant(True, test.dtype)
    return b.select(key_nan, with_nan, b.and_(test, b.not_(x_nan)))
