"""Folds over moving windows, and elements chosen by them: lanes run along the last axis.

Flows in:  a body with one op of kind `window`; what it reads is computed on the way.
Flows out: a kernel. What a window has outside of the array does not count.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from math import prod
from typing import Any

from tracejit.base.dtypes import BOOL, I32
from tracejit.ir.graph import Value
from tracejit.ops.convolutions import dilated
from tracejit.ops.scalars import is_nan
from tracejit.xla_lite.kernels.elements import At, store
from tracejit.xla_lite.kernels.elementwise import element_nest
from tracejit.xla_lite.kernels.expressions import clamp, minus, plus, product_of, size_expr, times
from tracejit.xla_lite.kernels.folding import Fold
from tracejit.xla_lite.kernels.frame import Frame, Request, body_cost, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, TRUE, ZERO, Apply, Const, Expr, Kernel, Load
from tracejit.xla_lite.kernels.nests import chunk_elements, chunked, total_work, unflatten

WRITTEN_OUT = 16      # places of a window that are written out instead of looped over


def window_kernel(request: Request) -> Kernel:
    """The kernel of a `reduce_window`: a fold for each place of the window."""
    frame = Frame(request, request.body)
    windows = _Windows(frame)
    fold = Fold.of(windows.node)
    with element_nest(frame, exprs(windows.places), windows.count) as indices:
        for index in indices:
            store(frame.writer, frame.outputs[0], index, windows.folded(fold, index))
    return frame.kernel()


def select_and_gather_kernel(request: Request) -> Kernel:
    """The kernel of a `select_and_gather`: the second operand where the first has its extreme."""
    frame = Frame(request, request.body)
    windows = _Windows(frame)
    with element_nest(frame, exprs(windows.places), 3 * windows.count) as indices:
        for index in indices:
            store(frame.writer, frame.outputs[0], index, windows.picked(index))
    return frame.kernel()


def select_and_scatter_kernel(request: Request) -> Kernel:
    """The kernel of a `select_and_scatter`: what belongs to a window goes where its extreme is, zeros elsewhere."""
    frame = Frame(request, request.body)
    windows = _Windows(frame)
    if not windows.cover():
        with element_nest(frame, exprs(windows.x.shape)) as indices:
            for index in indices:
                store(frame.writer, frame.outputs[0], index, frame.elements.scalars.constant(0, windows.x.dtype))
    with windows.nest() as index:
        windows.spread(index)
    return frame.kernel()


class _Windows:
    """The windows of one op over its first operand. places: the shape of all windows' places."""

    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        (self.node,) = [n for n in frame.body.nodes if n.op.kind == "window"]
        a = self.node.attributes
        self.x = self.node.operands[0]
        self.shape, self.strides, self.padding, self.dilation = a["window"], a["strides"], a["padding"], \
            a["window_dilation"]
        self.count = prod(self.shape)
        small = self.node.operands[1] if self.node.op.name == "select_and_scatter" else self.node.result
        self.places = small.shape
        self.padded = any(p != (0, 0) for p in self.padding)

    def overlap(self) -> bool:
        return any(dilated(w, d) > s for w, s, d in zip(self.shape, self.strides, self.dilation))

    def cover(self) -> bool:
        """Whether every element surely lies in one window."""
        return not self.padded and all(
            w == s and d == 1 and n == m * s for w, s, d, n, m in zip(
                self.shape, self.strides, self.dilation, self.x.shape, self.places))

    # ---- one window -----------------------------------------------------------------------------------

    def at(self, index: At, k: Sequence[Expr]) -> tuple[At, Expr]:
        """The place in the array of element k of a window, clamped into it, and whether it is there."""
        where, inside = [], []
        for i, j, n, s, d, pads in zip(index, k, self.x.shape, self.strides, self.dilation, self.padding):
            place = plus(times(i, Const(s)), times(j, Const(d)))
            if pads != (0, 0):
                place = self.writer.let(minus(place, size_expr(pads[0])))
                inside += [Apply("ge", (place, ZERO), BOOL), Apply("lt", (place, size_expr(n)), BOOL)]
                place = self.writer.let(clamp(place, minus(size_expr(n), ONE)))
            where.append(place)
        holds: Expr = TRUE
        for test in inside:
            holds = self.writer.let(test) if holds is TRUE else \
                self.writer.let(Apply("and", (holds, self.writer.let(test)), BOOL))
        return tuple(where), holds

    def elements_of(self, index: At) -> Iterator[tuple[Expr, At, Expr]]:
        """(number, place, whether it is there) for each element of a window: written out, or once in loops over it."""
        if self.count <= WRITTEN_OUT:
            for number, place in enumerate(product(*map(range, self.shape))):
                yield Const(number, I32), *self.at(index, [Const(n) for n in place])
            return
        with ExitStack() as stack:
            k = [stack.enter_context(self.writer.loop(Const(n), "serial", "k")) for n in self.shape]
            flat: Expr = ZERO
            for j, n in zip(k, self.shape):
                flat = plus(times(flat, Const(n)), j)
            yield Apply("convert", (self.writer.let(flat),), I32), *self.at(index, k)

    def read(self, value: Value, where: At) -> Any:
        return self.elements.scalars.widen(self.elements.at(value, where))

    def folded(self, fold: Fold, index: At) -> Any:
        """The fold of one window."""
        state, b = fold.open(self.writer), self.elements.scalars
        fold.start(self.writer, state)
        for _, where, inside in self.elements_of(index):
            item = fold.item(b, self.elements.at(self.x, where), None)
            if inside is not TRUE:
                item = tuple(b.select(inside, x, e) for x, e in zip(item, fold.step.identity, strict=True))
            old = fold.read(self.writer, state)
            for name, part in zip(state, fold.merge(b, old, item), strict=True):
                self.writer.store(name, (), part)
        return fold.result(b, fold.read(self.writer, state))

    def chosen(self, index: At, note: Callable[[At, Any, str], None] = lambda where, better, name: None) -> str:
        """A register with the number of the first extreme; -1 if all of the window is outside."""
        b, w, dtype = self.elements.scalars, self.writer, self.x.dtype.compute
        best, number = w.buffer("best", dtype), w.buffer("number", I32)
        w.store(best, (), b.constant(0, dtype))
        w.store(number, (), Const(-1, I32))
        wins = "GT" if self.node.attributes["select"] == "maximum" else "LT"
        for k, where, inside in self.elements_of(index):
            x, old, at = self.read(self.x, where), w.let_here(Load(best, (), dtype)), w.let_here(Load(number, (), I32))
            better = b.or_(b.compare(wins, x, old), b.compare("EQ", at, Const(-1, I32)))
            if dtype.is_float:
                better = b.or_(better, b.and_(is_nan(b, x), b.not_(is_nan(b, old))))
            if inside is not TRUE:
                better = b.and_(better, inside)
            note(where, better, number)
            w.store(best, (), b.select(better, x, old))
            w.store(number, (), b.select(better, k, at))
        return number

    # ---- what is chosen -------------------------------------------------------------------------------

    def picked(self, index: At) -> Any:
        """The element of the second operand at the place of the extreme, zero if there is none."""
        b, w, t = self.elements.scalars, self.writer, self.node.operands[1]
        found = w.buffer("found", t.dtype.compute)
        w.store(found, (), b.constant(0, t.dtype.compute))

        def take(where: At, better: Any, number: str) -> None:
            old = w.let_here(Load(found, (), t.dtype.compute))
            w.store(found, (), b.select(better, self.read(t, where), old))

        self.chosen(index, take)
        return b.narrow(w.let_here(Load(found, (), t.dtype.compute)), t.dtype)

    @contextmanager
    def nest(self) -> Iterator[At]:
        """All windows. Those that overlap run in order: only axes without windows are dealt out to threads."""
        w, places, cost = self.writer, exprs(self.places), 4 * self.count * body_cost(self.frame.body)
        if not places:
            yield ()
            return
        free = 0
        while free < len(places) - 1 and (not self.overlap() or self.shape[free] == 1 == self.strides[free]):
            free += 1
        outer, inner = places[:free], places[free:-1]
        each = max(1, chunk_elements(cost) // max(1, _known(product_of(places[free:]))))
        with chunked(w, product_of(outer), Const(each), total_work(places, cost)) as (start, count), \
                w.loop(count, "serial", "r") as r, w.loop(product_of(inner), "serial", "r") as q, \
                w.loop(places[-1], "vector", "j") as j:
            yield (*unflatten(plus(start, r), outer), *unflatten(q, inner), j)

    def spread(self, index: At) -> None:
        """Stores, or adds, what belongs to one window."""
        b, w, dtype = self.elements.scalars, self.writer, self.x.dtype
        number = w.let_here(Load(self.chosen(index), (), I32))
        ct, zero = self.read(self.node.operands[1], index), b.constant(0, dtype.compute)
        out, overlap = self.frame.outputs[0], self.overlap()
        for k, where, inside in self.elements_of(index):
            part = b.select(b.compare("EQ", number, k), ct, zero)
            with ExitStack() as stack:
                if inside is not TRUE:
                    stack.enter_context(w.when(inside))
                if overlap:
                    part = b.add(part, b.widen(w.let_here(Load(out, where, dtype))))
                store(w, out, where, b.narrow(part, dtype))


def _known(e: Expr) -> int:
    """The number, or a guess."""
    return int(e.value) if isinstance(e, Const) else 1024
