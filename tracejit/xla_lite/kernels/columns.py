"""Reductions that keep inner axes (sums of columns), and those that fold scattered axes.

Flows in:  a body of reductions over the same axes; elementwise outputs on the way, and for `columns` results of the
           reduced shape that are computed at the end.
Flows out: a kernel. `columns`: pieces of rows fold into a block of columns that stays in L1; a second loop nest folds
           the pieces in order. `mixed`: one fold per kept element, the last axis in vectors.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.kernels.collapse import collapse
from tracejit.xla_lite.kernels.elements import At, fixed
from tracejit.xla_lite.kernels.expressions import (
    chunks_of,
    maximum,
    minimum,
    minus,
    modulo,
    plus,
    product_of,
    quotient,
    times,
)
from tracejit.xla_lite.kernels.folding import Fold, position_of, reduced_axes
from tracejit.xla_lite.kernels.frame import Frame, Request, body_cost, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, Const, Expr, Kernel, Load
from tracejit.xla_lite.kernels.nests import chunk_elements, chunked, total_work, unflatten

BLOCK = 2048            # columns of one block of states
BATCH = 8               # rows that meet in registers before they meet the states
PIECE = 1 << 16         # elements that one piece folds


def columns_kernel(request: Request) -> Kernel:
    """The kernel of a `columns` fusion."""
    return _Columns(_open(request)).generate()


def mixed_kernel(request: Request) -> Kernel:
    """The kernel of a `mixed` fusion."""
    return _Mixed(_open(request)).generate()


def _open(request: Request) -> Frame:
    first = next(n for n in request.body.nodes if n.op.kind == "reduction")
    return Frame(request, collapse(request.body, first.operands[0].shape, request.strided))


class _Folding:
    """What both share: the reductions, the domain, which axes go."""

    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        body: Graph = frame.body
        nodes = [n for n in body.nodes if n.op.kind == "reduction"]
        self.folds = [(n, Fold.of(n)) for n in nodes]
        domain = nodes[0].operands[0].shape
        self.shape, self.gone = exprs(domain), reduced_axes(nodes[0])
        self.kept = tuple(a for a in range(len(domain)) if a not in self.gone)
        self.cost = body_cost(body)
        self.full: list[Value] = [v for v in dict.fromkeys(body.outputs) if v.shape == domain and v.node not in nodes]
        self.small: list[Value] = [v for v in dict.fromkeys(body.outputs) if v not in self.full]

    def index(self, kept: Sequence[Expr], gone: Sequence[Expr]) -> At:
        """The index in the domain with these positions along kept and folded axes."""
        at = dict(zip((*self.kept, *self.gone), (*kept, *gone), strict=True))
        return tuple(at[a] for a in range(len(self.shape)))

    def add_elements(self, states: dict[Node, tuple[str, ...]], where: At, indices: Sequence[At]) -> None:
        """Folds some elements into one state, in order."""
        b = self.elements.scalars
        for node, fold in self.folds:
            items = [fold.item(b, self.elements.at(node.operands[0], i), position_of(node, i)) for i in indices]
            total = items[0]
            for item in items[1:]:
                total = fold.merge(b, total, item)
            fold.add(self.writer, states[node], where, total)
        for stored in self.full:
            for index in indices:
                self.frame.store_value(stored, index)

    def finish(self, states: dict[Node, tuple[str, ...]], kept: At) -> None:
        """Names the finished reductions at one kept index and stores everything of that shape."""
        for node, fold in self.folds:
            answer = fold.result(self.elements.scalars, fold.read(self.writer, states[node]))
            self.elements.sources[node.result] = fixed(answer)
        for value in self.small:
            self.frame.store_value(value, (*kept, *(Const(0),) * (value.rank - len(kept))))


class _Columns(_Folding):
    def generate(self) -> Kernel:
        outer = [self.shape[a] for a in self.kept[:-1]]
        length, rows = self.shape[self.kept[-1]], self.shape[self.gone[0]]
        others = [self.shape[a] for a in self.gone[1:]]
        per_row = maximum(times(product_of(others), minimum(length, Const(BLOCK))), ONE)
        group = self.writer.let(maximum(ONE, quotient(Const(PIECE), per_row)))
        groups = self.writer.let(maximum(ONE, chunks_of(rows, group)))
        blocks = self.writer.let(chunks_of(length, Const(BLOCK)))
        partial = {n: f.open(self.writer, (product_of(outer), groups, length), "heap") for n, f in self.folds}
        count = times(times(product_of(outer), groups), blocks)
        with self.writer.loop(count, "parallel", "c", total_work(self.shape, self.cost)) as c:
            block, rest = self.writer.let(modulo(c, blocks)), self.writer.let(quotient(c, blocks))
            piece, k = self.writer.let(modulo(rest, groups)), self.writer.let(quotient(rest, groups))
            j0 = self.writer.let(times(block, Const(BLOCK)))
            columns = self.writer.let(minimum(Const(BLOCK), minus(length, j0)))
            r0 = self.writer.let(times(piece, group))
            count_rows = self.writer.let(minimum(group, minus(rows, r0)))
            self.fold_piece(unflatten(k, outer), others, (r0, count_rows), (j0, columns), partial, (k, piece))
        self.fold_partials(outer, length, groups, partial)
        return self.frame.kernel()

    def fold_piece(self, outer: At, others: Sequence[Expr], rows: tuple[Expr, Expr], block: tuple[Expr, Expr],
                   partial: dict[Node, tuple[str, ...]], piece: tuple[Expr, Expr]) -> None:
        """One block of columns over one group of rows."""
        (r0, count_rows), (j0, columns) = rows, block
        states = {n: f.open(self.writer, (Const(BLOCK),)) for n, f in self.folds}
        with self.writer.loop(columns, "vector", "j") as j:
            for node, fold in self.folds:
                fold.start(self.writer, states[node], (j,))
        batch = 1 if others else max(1, min(BATCH, 2 * BATCH // self.cost))
        done: Expr = Const(0)
        if batch > 1:
            whole = self.writer.let(quotient(count_rows, Const(batch)))
            with self.writer.loop(whole, "serial", "g") as g:
                first = self.writer.let(plus(r0, times(g, Const(batch))))
                rows_now = [(plus(first, Const(k)),) for k in range(batch)]
                with self.writer.loop(columns, "vector", "j") as j:
                    self.add_elements(states, (j,), [self.index((*outer, plus(j0, j)), row) for row in rows_now])
            done = self.writer.let(times(whole, Const(batch)))
        with self.writer.loop(self.writer.let(minus(count_rows, done)), "serial", "r") as r:
            self.fold_row(outer, (plus(plus(r0, done), r),), others, j0, columns, states)
        with self.writer.loop(columns, "vector", "j") as j:
            for node, fold in self.folds:
                values = fold.read(self.writer, states[node], (j,))
                for name, value in zip(partial[node], values, strict=True):
                    self.writer.store(name, (*piece, plus(j0, j)), value)

    def fold_row(self, outer: At, gone: At, others: Sequence[Expr], j0: Expr, columns: Expr,
                 states: dict[Node, tuple[str, ...]]) -> None:
        if others:
            with self.writer.loop(others[0], "serial", "r") as r:
                self.fold_row(outer, (*gone, r), others[1:], j0, columns, states)
            return
        with self.writer.loop(columns, "vector", "j") as j:
            self.add_elements(states, (j,), [self.index((*outer, plus(j0, j)), gone)])

    def fold_partials(self, outer: Sequence[Expr], length: Expr, groups: Expr,
                      partial: dict[Node, tuple[str, ...]]) -> None:
        """Pieces in order, one lane a column."""
        work = times(times(product_of(outer), groups), times(length, Const(2)))
        blocks = self.writer.let(maximum(ONE, chunks_of(length, Const(BLOCK))))
        with self.writer.loop(times(product_of(outer), blocks), "parallel", "c", work) as c:
            k, j0 = self.writer.let(quotient(c, blocks)), self.writer.let(times(modulo(c, blocks), Const(BLOCK)))
            columns = self.writer.let(minimum(Const(BLOCK), minus(length, j0)))
            with self.writer.loop(columns, "vector", "j") as j:
                states = {n: f.open(self.writer) for n, f in self.folds}
                for node, fold in self.folds:
                    fold.start(self.writer, states[node])
                with self.writer.loop(groups, "serial", "p") as p:
                    for node, fold in self.folds:
                        item = tuple(self.writer.let(Load(name, (k, p, plus(j0, j)), d))
                                     for name, d in zip(partial[node], fold.parts, strict=True))
                        fold.add(self.writer, states[node], (), item)
                self.finish(states, (*unflatten(k, outer), plus(j0, j)))


class _Mixed(_Folding):
    def generate(self) -> Kernel:
        kept = [self.shape[a] for a in self.kept]
        inner = product_of([self.shape[a] for a in self.gone])
        group = maximum(ONE, quotient(Const(chunk_elements(self.cost)), maximum(inner, ONE)))
        with chunked(self.writer, product_of(kept), group, total_work(self.shape, self.cost)) as (start, count), \
                self.writer.loop(count, "serial", "k") as k:
            at = tuple(self.writer.let(i) for i in unflatten(plus(start, k), kept))
            states = {n: f.open(self.writer) for n, f in self.folds}
            for node, fold in self.folds:
                fold.start(self.writer, states[node])
            self.fold_axes(at, (), states)
            self.finish(states, at)
        return self.frame.kernel()

    def fold_axes(self, kept: At, gone: At, states: dict[Node, tuple[str, ...]]) -> None:
        if len(gone) == len(self.gone):
            self.add_elements(states, (), [self.index(kept, gone)])
            return
        kind = "vector" if len(gone) == len(self.gone) - 1 else "serial"
        with self.writer.loop(self.shape[self.gone[len(gone)]], kind, "j") as j:  # type: ignore[arg-type]
            self.fold_axes(kept, (*gone, j), states)
