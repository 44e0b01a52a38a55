"""Matrix products of floats in blocks, and what is done with their elements before they leave the cache.

Flows in:  a body with one `dot_general` in normal form and pointwise ops on its result.
Flows out: a kernel: pieces of the result in parallel, each a few dozen columns of up to some hundred rows. The products
           of a piece go to memory of its own if anything follows; then the rest of the body runs over it.

Where many rows read a column of the right operand, its part is copied first, densely, a block of the depth at a time;
one that lies turned always is. Each element is summed in the order of the contracted axis, whatever the pieces.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tracejit.base.dtypes import BOOL
from tracejit.xla_lite.kernels.elements import At
from tracejit.xla_lite.kernels.expressions import (
    chunks_of,
    less,
    maximum,
    minimum,
    minus,
    modulo,
    plus,
    product_of,
    quotient,
    static_value,
    times,
)
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import (
    ONE,
    ZERO,
    Apply,
    BufferRef,
    Const,
    Expr,
    Kernel,
    Load,
    TileMatmul,
    TileTranspose,
)

LINE = 64              # bytes of a vector of the widest machines: columns are dealt out in such vectors
WIDTH = 3              # vectors of columns of a piece, at most
HEIGHT = 8             # rows of a tile
TALL = 16              # tiles of rows of a piece
DEPTH = 256            # of the right operand that is copied at a time
PIECES = 8             # wanted at least, for several threads
REUSED = 8             # tiles of rows from which on copying the right operand pays
SMALL = 1 << 18        # multiplications that are not worth more pieces
FLOPS = 2              # multiplications that take as long as one addition in memory


def blocked_kernel(request: Request) -> Kernel:
    """The kernel of a product and of what follows it element by element."""
    return _Blocks(Frame(request, request.body)).kernel()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of the result: rows `row .. row+rows`, columns `column .. column+columns` of one matrix of the batch."""

    batch: At
    row: Expr
    rows: Expr
    column: Expr
    columns: Expr


class _Blocks:
    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        self.node = next(n for n in frame.body.nodes if n.op.name == "dot_general")
        a = self.node.attributes
        x, y = self.node.operands
        self.dtype, self.batched = x.dtype, len(a["lhs_batch"])
        self.x, self.y = (f"p.{frame.body.params.index(v)}" for v in (x, y))
        self.x_turned, self.y_turned = a["lhs_contract"][0] == self.batched, a["rhs_contract"][0] != self.batched
        self.k = exprs(x.shape)[a["lhs_contract"][0]]
        shape = exprs(self.node.result.shape)
        self.batches, (self.m, self.n) = product_of(shape[:self.batched]), shape[self.batched:]
        self.line = LINE // self.dtype.bytes
        self.vectors = _vectors(self.n, self.line)
        self.width = self.vectors * self.line

    def kernel(self) -> Kernel:
        with self.pieces() as piece:
            if self.is_plain():
                self.products(piece, BufferRef(self.frame.outputs[0], (*piece.batch, piece.row, piece.column)))
            else:
                sums = self.writer.buffer("acc", self.dtype, (Const(self.tallest() * HEIGHT), Const(self.width)))
                self.products(piece, BufferRef(sums, (ZERO, ZERO)))
                self.follow(piece, sums)
        return self.frame.kernel()

    def is_plain(self) -> bool:
        """Whether the product itself is the only result."""
        return self.frame.body.outputs == (self.node.result,) and not self.frame.request.strided_outputs

    # ---- pieces ----------------------------------------------------------------------------------------------------

    @contextmanager
    def pieces(self) -> Iterator[_Piece]:
        """The parallel loop. Pieces of one column follow each other: they read the same part of the right operand."""
        w = self.writer
        down, lines = w.let(chunks_of(self.m, Const(HEIGHT))), w.let(chunks_of(self.n, Const(self.line)))
        across = w.let(maximum(chunks_of(lines, Const(self.vectors)), ONE))
        tall = w.let(self.parts(down, across))
        count = w.let(times(times(self.batches, across), tall))
        with w.loop(count, "parallel", "c", w.let(quotient(self.work(), Const(FLOPS)))) as c:
            batch = (w.let(quotient(c, times(across, tall))),) if self.batched else ()
            q, r = w.let(modulo(quotient(c, tall), across)), w.let(modulo(c, tall))
            row, rows = self.part(r, tall, down, HEIGHT, self.m)
            column, columns = self.part(q, across, lines, self.line, self.n)
            yield _Piece(batch, row, rows, column, columns)

    def work(self) -> Expr:
        """Multiplications in all."""
        return times(times(self.batches, self.m), times(self.n, self.k))

    def parts(self, down: Expr, across: Expr) -> Expr:
        """How many pieces lie above each other: as few as fit, more if there are few in all."""
        least = chunks_of(down, Const(TALL))
        work = static_value(self.work())
        if self.y_turned or work is not None and work <= SMALL:
            return maximum(least, ONE)
        wanted = chunks_of(Const(PIECES), times(across, maximum(self.batches, ONE)))
        return maximum(maximum(least, minimum(down, wanted)), ONE)

    def part(self, number: Expr, parts: Expr, units: Expr, unit: int, total: Expr) -> tuple[Expr, Expr]:
        """Where part `number` of nearly equal ones begins, and how long it is. The last unit may not be whole."""
        w = self.writer
        if isinstance(units, Const) and isinstance(parts, Const) and units.value % parts.value == 0:
            size = minimum(Const(unit * int(units.value) // int(parts.value)), total)
            if parts == ONE or isinstance(total, Const) and total.value % unit == 0:
                return w.let(times(number, size)), w.let(size)
        begin = w.let(times(quotient(times(number, units), parts), Const(unit)))
        end = times(quotient(times(plus(number, ONE), units), parts), Const(unit))
        if not isinstance(total, Const) or total.value % unit:
            end = minimum(end, total)
        return begin, w.let(minus(end, begin))

    def tallest(self) -> int:
        """Tiles of rows of the tallest piece."""
        m = static_value(self.m)
        return TALL if m is None else max(1, min(TALL, -(-m // HEIGHT)))

    def widths(self, piece: _Piece) -> Iterator[Expr]:
        """The number of columns, as a constant where few are possible: each in a branch of its own."""
        n = static_value(self.n)
        known = set() if n is None else _widths(n, self.line, self.vectors)
        if len(known) < 2:
            yield Const(known.pop()) if known else piece.columns
            return
        for width in sorted(known, reverse=True):
            with self.writer.when(self.writer.let(Apply("eq", (piece.columns, Const(width)), BOOL))):
                yield Const(width)

    # ---- products --------------------------------------------------------------------------------------------------

    def products(self, piece: _Piece, target: BufferRef) -> None:
        """The sums of a piece."""
        for columns in self.widths(piece):
            self.product(piece, target, columns)

    def product(self, piece: _Piece, target: BufferRef, columns: Expr) -> None:
        """The sums of a piece of so many columns."""
        if not self.is_copied():
            y = BufferRef(self.y, (*piece.batch, ZERO, piece.column))
            self.tile(piece, target, y, columns, ZERO, self.k, Const(False, BOOL))
            return
        w = self.writer
        depth = static_value(self.k)
        most = DEPTH if depth is None else max(1, min(DEPTH, depth))
        panel = w.buffer("panel", self.dtype, (Const(most), Const(self.width)))
        with w.loop(w.let(maximum(chunks_of(self.k, Const(DEPTH)), ONE)), "serial", "b") as block:
            first = w.let(times(block, Const(DEPTH)))
            length = w.let(minimum(Const(DEPTH), minus(self.k, first)))
            self.copy(piece, panel, columns, first, length)
            self.tile(piece, target, BufferRef(panel, (ZERO, ZERO)), columns, first, length, w.let(less(ZERO, first)))

    def is_copied(self) -> bool:
        """Whether parts of the right operand are copied before they are read."""
        m = static_value(self.m)
        return self.y_turned or m is None or m > REUSED * HEIGHT

    def copy(self, piece: _Piece, panel: str, columns: Expr, first: Expr, length: Expr) -> None:
        """Rows `first .. first+length` of the right operand, at the piece's columns."""
        w = self.writer
        if self.y_turned:
            w.emit(TileTranspose(BufferRef(panel, (ZERO, ZERO)), BufferRef(self.y, (*piece.batch, piece.column, first)),
                                 columns, length))
            return
        with w.loop(length, "serial", "r") as r, w.loop(columns, "vector", "j") as j:
            at = (*piece.batch, plus(first, r), plus(piece.column, j))
            w.store(panel, (r, j), w.let(Load(self.y, at, self.dtype)))

    def tile(self, piece: _Piece, target: BufferRef, y: BufferRef, columns: Expr, first: Expr, depth: Expr,
             add: Expr) -> None:
        at = (first, piece.row) if self.x_turned else (piece.row, first)
        x = BufferRef(self.x, (*piece.batch, *at))
        self.writer.emit(TileMatmul(target, x, y, piece.rows, columns, depth, self.x_turned, add))

    # ---- what follows ----------------------------------------------------------------------------------------------

    def follow(self, piece: _Piece, sums: str) -> None:
        """The outputs at the piece's elements."""
        w, body = self.writer, self.frame.body
        with w.loop(piece.rows, "serial", "r") as r, w.loop(piece.columns, "vector", "j") as j:
            self.elements.sources[self.node.result] = lambda index: w.let_here(Load(sums, (r, j), self.dtype))
            index = (*piece.batch, plus(piece.row, r), plus(piece.column, j))
            for value in body.outputs:
                self.elements.at(value, index)     # every load stands before the first store
            for i in range(len(body.outputs)):
                self.frame.store_output(i, index)


def _vectors(n: Expr, line: int) -> int:
    """Vectors of columns of a piece: so many that pieces are equal, if possible: one kind of loop then serves all."""
    columns = static_value(n)
    if columns is None:
        return WIDTH
    lines = -(-columns // line)
    return next((v for v in range(WIDTH, 0, -1) if lines % v == 0 and (v > 1 or lines == 1)), WIDTH)


def _widths(n: int, line: int, vectors: int) -> set[int]:
    """The widths of the pieces of n columns."""
    lines = -(-n // line)
    across = max(1, -(-lines // vectors))
    edges = [min(n, q * lines // across * line) for q in range(across + 1)]
    return {b - a for a, b in zip(edges, edges[1:], strict=False)}
