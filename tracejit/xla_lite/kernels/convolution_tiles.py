"""Convolutions as matrix products of blocks that lie in the input as they are: no window is copied.

Flows in:  a body with one `convolution` in normal form (`passes/convolutions.py`) whose operands are floats.
Flows out: a kernel of `TileMatmul`s. Of the loops over the result and over the sum, whose steps are the same everywhere
           in memory, one is the rows of a block and one its depth; the others go round them.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tracejit.base.dims import Size, product
from tracejit.base.dtypes import F32, F64
from tracejit.ir.graph import Node
from tracejit.xla_lite.kernels.convolution_axes import Axes
from tracejit.xla_lite.kernels.elementwise import element_nest
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
    size_expr,
    static_value,
    times,
)
from tracejit.xla_lite.kernels.frame import Frame, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, Apply, Buffer, BufferRef, Const, Expr, Load, TileMatmul
from tracejit.xla_lite.kernels.nests import unflatten

DEPTH = 256             # terms of the sum that one block adds at most
LEAST_DEPTH = 48        # ... at least; shallower blocks move their sums more than they add
LEAST_TURNED = 12       # ... in long sums, for which nothing else is quick
LEAST_ROWS = 7
SMALL = 1 << 19         # bytes of the second operand up to which tiles in registers are quicker
COLUMNS = 128           # of a block at most: more go apart, so that the rows of the window stay in the cache
FEW_COLUMNS = 48        # ... where the whole window does not
FAR = 1 << 20           # elements of such a window
PIECES = 8              # wanted for several threads
SHORT = 1 << 17         # elements of a result of which there may be several copies, where other sizes are not known
CACHED = 1 << 18        # bytes of the second operand that stay in the cache while the result is gone through
HEIGHT = 8              # rows of a tile


@dataclass(frozen=True, slots=True)
class Walk:
    """A loop. strides: of one step in the two operands and in the result, in elements; 0 where it doesn't move."""

    extent: Size
    strides: tuple[Size, Size, Size]

    def continues(self, inner: Walk) -> bool:
        """Whether this loop around `inner` is one longer loop."""
        return all(a == b * inner.extent for a, b in zip(self.strides, inner.strides, strict=True))


def merged(walks: Sequence[Walk]) -> list[Walk]:
    """The same loops, outermost first, as few as possible."""
    found: list[Walk] = []
    for walk in walks:
        if walk.extent == 1:
            continue
        if found and found[-1].continues(walk):
            found[-1] = replace(walk, extent=walk.extent * found[-1].extent)
        else:
            found.append(walk)
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """rows, depth: the loops of a block.  outer: other loops over the result.  around: other loops over the sum."""

    rows: Walk
    depth: Walk
    outer: list[Walk]
    around: list[Walk]
    turned: bool


def plan_of(axes: Axes) -> Plan | None:
    """How blocks do it; None if the arrays don't lie so."""
    node = axes.node
    if node.operands[0].dtype not in (F32, F64) or not _lanes_are_features(axes):
        return None
    outer, around = merged(_over_result(axes)), merged(_over_sum(axes))
    depth = next((w for w in around if w.strides[0] == 1), None)
    rows = next((w for w in reversed(outer) if w.strides[0] != 0), None)
    turned = next((w for w in outer if w.strides[0] == 1), None)
    if turned is not None:
        rows, depth = turned, next((w for w in reversed(around) if w.strides[0] != 0), None)
    least = LEAST_DEPTH if turned is None else LEAST_TURNED
    if rows is None or depth is None or _few(rows.extent, LEAST_ROWS) or _few(depth.extent, least):
        return None
    small = _few(node.operands[1].type.size, SMALL // node.result.dtype.bytes)
    if turned is None and isinstance(rows.extent, int) and small:
        return None
    return Plan(rows, depth, [w for w in outer if w is not rows], [w for w in around if w is not depth],
                turned is not None)


def _few(size: Size, least: int) -> bool:
    return isinstance(size, int) and size < least


def _lanes_are_features(axes: Axes) -> bool:
    """Whether the last axis of the result is that of the second operand, and of no other."""
    return axes.last.isalpha() and axes.last not in axes.roles.lhs and axes.roles.rhs.endswith(axes.last)


def _over_result(axes: Axes) -> list[Walk]:
    return [Walk(axes.places(c), axes.step_of_place(c)) for c in axes.outer]


def _over_sum(axes: Axes) -> list[Walk]:
    return [Walk(axes.depths[c], axes.step_of_term(c)) for c in axes.roles.summed]


@dataclass(frozen=True, slots=True)
class Span:
    """Rows and columns of blocks."""

    row: Expr
    rows: Expr
    column: Expr
    columns: Expr

    @staticmethod
    def whole(rows: Walk, columns: Walk) -> Span:
        return Span(ZERO, size_expr(rows.extent), ZERO, size_expr(columns.extent))


class Blocks:
    """The kernel of one phase."""

    def __init__(self, frame: Frame, axes: Axes, plan: Plan):
        self.frame, self.axes, self.plan, self.writer = frame, axes, plan, frame.writer
        node: Node = axes.node
        self.dtype = node.result.dtype
        self.lanes = Walk(axes.places(axes.last), axes.step_of_place(axes.last))
        self.columns = size_expr(self.lanes.extent)
        self.width = COLUMNS if _few(node.operands[1].type.size, FAR) or plan.turned else FEW_COLUMNS
        self.outer, self.around = ([size_expr(w.extent) for w in walks] for walks in (plan.outer, plan.around))
        rows, depth = (plan.rows, plan.depth)
        pair = (depth, rows) if plan.turned else (rows, depth)
        self.x = self.view("p.0", 0, [*plan.outer, *plan.around, *pair])
        self.w = self.view("p.1", 1, [*plan.outer, *plan.around, depth, self.lanes])

    def view(self, of: str, operand: int, walks: Sequence[Walk]) -> str:
        """The array as the loops see it; axes along which it doesn't move are left out."""
        axes = [w for k, w in enumerate(walks) if w.strides[operand] != 0 or k >= len(walks) - 2]
        name = self.writer.fresh("view")
        offset = times(size_expr(self.axes.offsets()[operand]), Const(self.dtype.bytes))
        self.writer.emit(Buffer(name, self.dtype, tuple(size_expr(w.extent) for w in axes), "local",
                                tuple(size_expr(w.strides[operand]) for w in axes), of, offset))
        return name

    def at(self, operand: int, outer: Sequence[Expr], around: Sequence[Expr], last: tuple[Expr, Expr]
           ) -> tuple[Expr, ...]:
        """The index of a block in the view of an operand, or of the result (2)."""
        walks = zip((*self.plan.outer, *(self.plan.around if operand < 2 else ())),
                    (*outer, *(around if operand < 2 else ())))
        return (*(i for walk, i in walks if walk.strides[operand] != 0), *last)

    # ---- loops --------------------------------------------------------------------------------------

    def generate(self) -> None:
        """Long sums of few elements are dealt out, others are not cut."""
        self.depths = self.writer.let(chunks_of(size_expr(self.plan.depth.extent), Const(DEPTH)))
        self.sums = self.writer.let(times(product_of(self.around), self.depths))
        copies = self.copies() if self.plan.turned else 1
        if copies > 1:
            self.deal_out_sums(copies)
        else:
            self.deal_out_places()

    def copies(self) -> int:
        """How many copies of the result are little beside the operands."""
        size, (x, y) = self.axes.node.result.type.size, self.axes.node.operands
        read = x.type.size + y.type.size
        if not isinstance(size, int) or not isinstance(read, int):
            return PIECES if _few(size, SHORT) and isinstance(size, int) else 1
        return min(PIECES, read // max(1, 2 * size))

    def deal_out_sums(self, copies: int) -> None:
        """Each piece adds a part of all sums, in memory of its own."""
        w, shape = self.writer, exprs(self.axes.node.result.shape)
        chunk = w.let(chunks_of(self.sums, Const(copies)))
        pieces = w.let(chunks_of(self.sums, maximum(chunk, ONE)))
        parts = w.buffer("parts", self.dtype, (maximum(pieces, ONE), *shape), "heap")
        target = self.view(parts, 2, [Walk(copies, (0, 0, self.axes.node.result.type.size)), *self.plan.outer,
                                      self.plan.rows, self.lanes])
        with w.loop(pieces, "parallel", "c", self.work()) as c:
            start = w.let(times(c, chunk))
            with w.loop(w.let(minimum(chunk, minus(self.sums, start))), "serial", "k") as k, \
                    w.loop(product_of(self.outer), "serial", "r") as r:
                self.block(target, (c,), r, plus(start, k), less(ZERO, k), Span.whole(self.plan.rows, self.lanes))
        with element_nest(self.frame, shape, copies) as indices:
            for index in indices:
                total = w.buffer("a", self.dtype)
                w.store(total, (), Const(0.0, self.dtype))
                with w.loop(pieces, "serial", "p") as p:
                    old, part = (w.let_here(Load(*at, self.dtype)) for at in ((total, ()), (parts, (p, *index))))
                    w.store(total, (), Apply("add", (old, part), self.dtype))
                w.store(self.frame.outputs[0], index, w.let_here(Load(total, (), self.dtype)))

    def deal_out_places(self) -> None:
        """Each piece adds all of some sums. What is read again and again goes round inside."""
        w, out = self.writer, self.view(self.frame.outputs[0], 2, [*self.plan.outer, self.plan.rows, self.lanes])
        with self.pieces() as (start, count, span):
            if self.is_cached():
                with w.loop(count, "serial", "r") as r, w.loop(self.sums, "serial", "k") as k:
                    self.block(out, (), plus(start, r), k, less(ZERO, k), span)
            else:
                with w.loop(self.sums, "serial", "k") as k, w.loop(count, "serial", "r") as r:
                    self.block(out, (), plus(start, r), k, less(ZERO, k), span)

    def work(self) -> Expr:
        """Multiplications in all."""
        loops = [*self.plan.outer, *self.plan.around, self.plan.rows, self.plan.depth, self.lanes]
        return product_of([size_expr(w.extent) for w in loops])

    def is_cached(self) -> bool:
        """Whether all that one element of the result reads of the second operand stays in the cache."""
        depth = product([w.extent for w in (*self.plan.around, self.plan.depth)])
        columns = static_value(self.columns)
        return isinstance(depth, int) and columns is not None and \
            depth * min(columns, self.width) * self.dtype.bytes <= CACHED

    @contextmanager
    def pieces(self) -> Iterator[tuple[Expr, Expr, Span]]:
        """The parallel loop: some of the outer places, some of the rows, some of the columns."""
        w, places, total = self.writer, product_of(self.outer), size_expr(self.plan.rows.extent)
        groups = w.let(chunks_of(self.columns, Const(self.width)))
        parts = self.parts(places, groups, total)
        each = chunks_of(chunks_of(total, Const(parts)), Const(HEIGHT))
        tall = w.let(times(each, Const(HEIGHT))) if parts > 1 else total
        chunk = w.let(maximum(chunks_of(places, chunks_of(Const(PIECES), maximum(groups, ONE))), ONE))
        chunks = w.let(chunks_of(places, chunk))
        with w.loop(w.let(times(times(groups, Const(parts)), chunks)), "parallel", "c", self.work()) as c:
            group, part, number = (w.let(i) for i in unflatten(c, (groups, Const(parts), chunks)))
            start, row, column = (w.let(times(i, n)) for i, n in (
                (number, chunk), (part, tall), (group, Const(self.width))))
            rows, columns = minimum(tall, minus(total, row)), minimum(Const(self.width), minus(self.columns, column))
            yield start, w.let(minimum(chunk, minus(places, start))), Span(row, w.let(rows), column, w.let(columns))

    def parts(self, places: Expr, groups: Expr, rows: Expr) -> int:
        """Into how many parts rows are cut where there are few other pieces."""
        known = [static_value(e) for e in (places, groups, rows)]
        if known[0] is None or known[1] is None or known[2] is None:
            return 1
        return max(1, min(-(-PIECES // max(1, known[0] * known[1])), known[2] // (3 * HEIGHT)))

    def block(self, target: str, piece: tuple[Expr, ...], place: Expr, k: Expr, add: Expr, span: Span) -> None:
        """One block of the result takes one part of the sum."""
        w = self.writer
        outer = [w.let(i) for i in unflatten(place, self.outer)]
        around = [w.let(i) for i in unflatten(quotient(k, self.depths), self.around)]
        first = w.let(times(modulo(k, self.depths), Const(DEPTH)))
        depth = w.let(minimum(Const(DEPTH), minus(size_expr(self.plan.depth.extent), first)))
        pair = (first, span.row) if self.plan.turned else (span.row, first)
        w.emit(TileMatmul(BufferRef(target, (*piece, *self.at(2, outer, around, (span.row, span.column)))),
                          BufferRef(self.x, self.at(0, outer, around, pair)),
                          BufferRef(self.w, self.at(1, outer, around, (first, span.column))),
                          span.rows, span.columns, depth, self.plan.turned, add))
