"""Whole-array reductions: partial states of fixed pieces in parallel, then one fold over the pieces.

Flows in:  a body whose reductions fold every axis; it may store elementwise outputs on the way.
Flows out: a kernel. Pieces depend on sizes alone, so the result is the same for any number of threads.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.base.dtypes import I64
from tracejit.ir.graph import Node
from tracejit.xla_lite.kernels.collapse import collapse
from tracejit.xla_lite.kernels.elements import At, store
from tracejit.xla_lite.kernels.expressions import minimum, minus, plus, product_of, static_value, times
from tracejit.xla_lite.kernels.folding import Fold, first_position, position_of
from tracejit.xla_lite.kernels.frame import Frame, Request, body_cost, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, Expr, Kernel, Load
from tracejit.xla_lite.kernels.nests import Piece, Split, chunk_elements, row_loop, total_work
from tracejit.xla_lite.kernels.scalars import Scalar

States = dict[Node, tuple[str, ...]]


def full_kernel(request: Request) -> Kernel:
    """The kernel of a `full` fusion."""
    first = next(n for n in request.body.nodes if n.op.kind == "reduction")
    frame = Frame(request, collapse(request.body, first.operands[0].shape, request.strided))
    return _Full(frame).generate()


class _Full:
    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        nodes = [n for n in frame.body.nodes if n.op.kind == "reduction"]
        self.folds = [(n, Fold.values_of(n) if "values" in n.op.facts else Fold.of(n)) for n in nodes]
        self.shape = exprs(nodes[0].operands[0].shape)
        reduced = {n.result for n in nodes}
        self.stores = [v for v in dict.fromkeys(frame.body.outputs) if v not in reduced]

    def generate(self) -> Kernel:
        cost = body_cost(self.frame.body)
        inner = self.shape[-1] if self.shape else ONE
        split = Split.of(self.writer, product_of(self.shape[:-1]), inner, chunk_elements(cost))
        one = static_value(split.count) == 1
        partial = {} if one else {n: f.open(self.writer, (split.count,), "heap") for n, f in self.folds}
        with split.loop(self.writer, total_work(self.shape, cost)) as piece:
            state = self.open_states()
            self.fold_piece(piece, state)
            if not one:
                for node, fold in self.folds:
                    for name, value in zip(partial[node], fold.read(self.writer, state[node]), strict=True):
                        self.writer.store(name, (piece.number,), value)
        if not one:
            state = self.open_states()
            for node, fold in self.folds:
                with self.writer.loop(split.count, "vector", "p") as p:
                    item = tuple(self.writer.let(Load(n, (p,), d))
                                 for n, d in zip(partial[node], fold.parts, strict=True))
                    fold.add(self.writer, state[node], (), item)
        for node, fold in self.folds:
            found = fold.read(self.writer, state[node])
            if "values" in node.op.facts:
                answer: Scalar = self.position(node, fold, found[0], split, partial)
            else:
                answer = fold.result(self.elements.scalars, found)
            self.store_answer(node, answer)
        return self.frame.kernel()

    def open_states(self) -> States:
        states = {n: f.open(self.writer) for n, f in self.folds}
        for node, fold in self.folds:
            fold.start(self.writer, states[node])
        return states

    def fold_piece(self, piece: Piece, state: States) -> None:
        with row_loop(self.writer, piece.row, piece.rows, self.shape[:-1]) as outer, \
                self.writer.loop(piece.columns, "vector", "j") as j:
            index: At = (*outer, plus(piece.column, j)) if self.shape else ()
            for node, fold in self.folds:
                value = self.elements.at(node.operands[0], index)
                item = fold.item(self.elements.scalars, value, position_of(node, index))
                fold.add(self.writer, state[node], (), item)
            for value_stored in self.stores:
                self.frame.store_value(value_stored, index)

    def store_answer(self, node: Node, answer: Scalar) -> None:
        for output, name in zip(self.frame.body.outputs, self.frame.outputs, strict=True):
            if output is node.result:
                store(self.writer, name, (), answer)

    # ---- positions: the first element that equals the answer, looked for in the first piece that has it -------------

    def position(self, node: Node, fold: Fold, best: Expr, split: Split, partial: States) -> Expr:
        """Where `best` stands first; the array has one axis."""
        column: Expr = ZERO
        if partial:
            values, dtype = partial[node][0], fold.parts[0]
            piece = self.first(split.count, lambda p: self.writer.let(Load(values, (p,), dtype)), best)
            column = self.writer.let(times(minimum(piece, minus(split.count, ONE)), split.block))
        columns = self.writer.let(minimum(split.block, minus(self.shape[0], column)))
        x, widen = node.operands[0], self.elements.scalars.widen
        inside = self.first(columns, lambda j: widen(self.elements.at(x, (plus(column, j),))), best)
        return self.writer.let(plus(column, inside))

    def first(self, extent: Expr, element: Callable[[Expr], Any], best: Expr) -> Expr:
        """The first position whose element is `best`, or is NaN: if there is one, `best` is NaN too."""
        b, step = self.elements.scalars, first_position()
        state = self.writer.buffer("a", I64)
        self.writer.store(state, (), step.identity[0])
        with self.writer.loop(extent, "vector", "j") as j:
            x = element(j)
            hit = b.compare("EQ", x, best)
            if x.dtype.is_float:
                hit = b.or_(hit, b.compare("NE", x, x))
            self.writer.accumulate((state,), (), step, (b.select(hit, j, step.identity[0]),))
        return self.writer.let_here(Load(state, (), I64))
