"""Row fusions: softmax, layer norm, variance: all passes over a row while it is in cache, rows in parallel.

Flows in:  a body whose reductions fold the trailing axes away.
Flows out: a kernel. Short rows are written out, and the vector runs over rows instead.
"""
from __future__ import annotations

from tracejit.ir.graph import Node, Value
from tracejit.xla_lite.kernels.collapse import collapse
from tracejit.xla_lite.kernels.elements import At, Source, fixed, store, stored
from tracejit.xla_lite.kernels.expressions import plus, product_of, static_value
from tracejit.xla_lite.kernels.folding import Fold, position_of, reduced_axes
from tracejit.xla_lite.kernels.frame import Frame, Request, body_cost, exprs, storage
from tracejit.xla_lite.kernels.kernel_ir import Const, Kernel
from tracejit.xla_lite.kernels.nests import Piece, Split, chunk_elements, chunked, row_loop, total_work, unflatten
from tracejit.xla_lite.kernels.scalars import Scalar
from tracejit.xla_lite.kernels.stages import Pass, Plan, plan_rows

SHORT = 16             # elements of a row that is written out
WRITTEN_OUT = 512      # additions-worth of code that writing a row out may make
DEAR = 10              # cost of a function that is worth vectors of rows' results
FEW, MANY = 8, 4096    # results that are kept for that


def rows_kernel(request: Request) -> Kernel:
    """The kernel of a `rows` fusion."""
    first = next(n for n in request.body.nodes if n.op.kind == "reduction")
    body = collapse(request.body, first.operands[0].shape, request.strided)
    return _Rows(Frame(request, body)).generate()


class _Rows:
    """One row kernel: the shape of the domain split in rows and what is in a row."""

    def __init__(self, frame: Frame):
        self.frame, self.body, self.writer, self.elements = frame, frame.body, frame.writer, frame.elements
        first = next(n for n in self.body.nodes if n.op.kind == "reduction")
        self.domain = first.operands[0].shape
        self.rank = len(self.domain) - len(reduced_axes(first))
        self.outer, self.inner = exprs(self.domain[:self.rank]), exprs(self.domain[self.rank:])
        self.cost = body_cost(self.body)
        self.plan: Plan = plan_rows(self.body)
        self.buffers: dict[Value, str] = {v: o for v, o in zip(self.body.outputs, frame.outputs, strict=True)
                                          if v.shape == self.domain}

    def generate(self) -> Kernel:
        length = static_value(product_of(self.inner))
        rows = static_value(product_of(self.outer))
        short = length is not None and 0 < length <= SHORT and length * self.cost <= WRITTEN_OUT
        if short and self.rank and (rows is None or rows >= 8):
            self.short_rows(length or 1)
        else:
            self.long_rows()
        return self.frame.kernel()

    # ---- rows longer than a few vectors -------------------------------------------------------------

    def long_rows(self) -> None:
        work = total_work((*self.outer, *self.inner), self.cost)
        chunk = chunk_elements(self.cost)
        split = Split.of(self.writer, product_of(self.outer), product_of(self.inner), chunk, blocks=False)
        with split.loop(self.writer, work) as piece:
            most = static_value(split.group if piece.rows != split.rows else split.rows)
            if most is not None and FEW <= most <= MANY and self.ends_dearly():
                self.ends_apart(piece, most)
                return
            kept = self.open_kept()
            with row_loop(self.writer, piece.row, piece.rows, self.outer) as row:
                for number, one_pass in enumerate(self.plan.passes):
                    self.run_pass(one_pass, row, kept)
                    self.read_kept(one_pass, row, kept, number)
                self.store_scalars(row)

    def ends_dearly(self) -> bool:
        """Whether rows are only folded, and functions of the results cost more than to keep these for a while."""
        (first, *others), outer = self.plan.passes, self.domain[:self.rank]
        if others or first.stores or first.keeps or not self.rank:
            return False
        return any(n.op.kind == "pointwise" and n.op.cost >= DEAR and n.result.shape == outer for n in self.body.nodes)

    def ends_apart(self, piece: Piece, most: int) -> None:
        """All rows of a piece are folded, then the vector runs over their results."""
        (only,) = self.plan.passes
        results = [n.result for n in only.reductions]
        ends = {v: self.writer.buffer("e", storage(v.dtype), (Const(most), *[Const(2)] * v.dtype.is_complex))
                for v in results}
        with self.writer.loop(piece.rows, "serial", "r") as r:
            self.run_pass(only, tuple(self.writer.let(i) for i in unflatten(plus(piece.row, r), self.outer)), {})
            for value, buffer in ends.items():
                store(self.writer, buffer, (r,), self.elements.at(value, ()))
        with self.writer.loop(piece.rows, "vector", "r") as r:
            for value, buffer in ends.items():
                self.writer.ready[buffer] = len(self.writer.blocks) - 1
                self.elements.sources[value] = fixed(stored(buffer, value, self.elements.scalars)((r,)))
            self.store_scalars(tuple(unflatten(plus(piece.row, r), self.outer)))

    def open_kept(self) -> dict[Value, str]:
        """Buffers of one row for values that later passes read again."""
        size = static_value(product_of(self.inner))
        made: dict[Value, str] = {}
        for value in (v for p in self.plan.passes for v in p.keeps):
            shape = (*self.inner, Const(2)) if value.dtype.is_complex else self.inner
            small = size is not None and size * value.dtype.bytes <= 1 << 14
            made[value] = self.writer.buffer("k", storage(value.dtype), shape, "local" if small else "heap")
        return made

    def run_pass(self, one_pass: Pass, row: At, kept: dict[Value, str]) -> None:
        """One loop over the row: accumulates, stores, keeps; then the finished reductions get names."""
        folds = [(n, Fold.of(n)) for n in one_pass.reductions]
        states = {n: f.open(self.writer) for n, f in folds}
        for node, fold in folds:
            fold.start(self.writer, states[node])
        self.inner_loop((), row, one_pass, folds, states, kept)
        for node, fold in folds:
            answer = fold.result(self.elements.scalars, fold.read(self.writer, states[node]))
            self.elements.sources[node.result] = fixed(answer)

    def inner_loop(self, column: At, row: At, one_pass: Pass, folds: list[tuple[Node, Fold]],
                   states: dict[Node, tuple[str, ...]], kept: dict[Value, str]) -> None:
        """Loops over the axes of a row that are still open; the last one in vectors."""
        if len(column) < len(self.inner):
            kind = "vector" if len(column) == len(self.inner) - 1 else "serial"
            with self.writer.loop(self.inner[len(column)], kind, "j") as j:  # type: ignore[arg-type]
                self.inner_loop((*column, j), row, one_pass, folds, states, kept)
            return
        index = (*row, *column)
        for node, fold in folds:
            value = self.elements.at(node.operands[0], index)
            fold.add(self.writer, states[node], (), fold.item(self.elements.scalars, value, position_of(node, index)))
        for dear in dict.fromkeys(one_pass.keeps):
            store(self.writer, kept[dear], column, self.elements.at(dear, index))
        for output in one_pass.stores:
            self.frame.store_value(output, index)

    def read_kept(self, one_pass: Pass, row: At, kept: dict[Value, str], number: int) -> None:
        """From here on what this pass stored or kept is read, not computed."""
        for value in one_pass.keeps:
            self.elements.sources[value] = self.at_column(stored(kept[value], value, self.elements.scalars))
            self.writer.ready[kept[value]] = len(self.writer.blocks) - 1
        if number + 1 < len(self.plan.passes):
            for value in one_pass.stores:
                if value.node is not None and value.node.op.kind == "pointwise":
                    self.elements.sources[value] = stored(self.buffers[value], value, self.elements.scalars)
                    self.writer.ready[self.buffers[value]] = len(self.writer.blocks) - 1

    def at_column(self, source: Source) -> Source:
        return lambda index: source(index[self.rank:])

    def store_scalars(self, row: At) -> None:
        """Outputs of the shape of the rows, with their unit axes."""
        for i, value in enumerate(self.body.outputs):
            if value in self.plan.scalars:
                self.frame.store_output(i, (*row, *(Const(0),) * (value.rank - len(row))))

    # ---- short rows -----------------------------------------------------------------------------------

    def short_rows(self, length: int) -> None:
        """Lanes are rows; each row is straight-line code."""
        rows = product_of(self.outer)
        work = total_work((*self.outer, *self.inner), self.cost)
        columns = [tuple(unflatten(Const(q), self.inner)) for q in range(length)]
        chunk = Const(max(64, chunk_elements(self.cost) // length))
        with chunked(self.writer, rows, chunk, work) as (start, count), \
                self.writer.loop(count, "vector", "r") as r:
            row = unflatten(plus(start, r), self.outer)
            for one_pass in self.plan.passes:
                for node in one_pass.reductions:
                    self.elements.sources[node.result] = fixed(self.fold_row(Fold.of(node), row, columns))
                for value in one_pass.stores:
                    for column in columns:
                        self.frame.store_value(value, (*row, *column))
            self.store_scalars(row)

    def fold_row(self, fold: Fold, row: At, columns: list[At]) -> Scalar:
        b, state = self.elements.scalars, None
        for column in columns:
            index = (*row, *column)
            value = self.elements.at(fold.node.operands[0], index)
            item = fold.item(b, value, position_of(fold.node, index))
            state = item if state is None else fold.merge(b, state, item)
        assert state is not None
        return fold.result(b, state)

