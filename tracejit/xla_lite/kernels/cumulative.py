"""Running folds along an axis: cumulative sums, products, minima, maxima.

Flows in:  a body with one cumulative op; what it reads is computed on the way.
Flows out: a kernel. Along an inner axis of many columns, lanes are columns. Along the last axis a row is cut into
           segments: their totals first, then each segment from the total before it, several segments interleaved so
           that one chain of dependent steps does not wait for itself.
"""
from __future__ import annotations

from tracejit.base.dims import product
from tracejit.base.dtypes import BOOL
from tracejit.xla_lite.kernels.elements import At, store
from tracejit.xla_lite.kernels.expressions import chunks_of, minimum, minus, plus, product_of, static_value, times
from tracejit.xla_lite.kernels.folding import Fold
from tracejit.xla_lite.kernels.frame import Frame, Request, body_cost, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, Apply, Const, Expr, Kernel, Load
from tracejit.xla_lite.kernels.nests import chunk_elements, chunked, total_work, unflatten

SEGMENT = 2048         # elements of a segment
CHAINS = 8             # segments that run interleaved


def cumulative_kernel(request: Request) -> Kernel:
    """The kernel of a `cumulative` fusion."""
    return _Cumulative(Frame(request, request.body)).generate()


class _Cumulative:
    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        (self.node,) = [n for n in frame.body.nodes if n.op.kind == "cumulative"]
        self.fold = Fold.of(self.node)
        self.axis, self.reverse = self.node.attributes["axis"], self.node.attributes["reverse"]
        shape = self.node.result.shape
        self.shape, self.cost = exprs(shape), body_cost(frame.body)
        self.length = self.shape[self.axis]
        self.inner_size = product(shape[self.axis + 1:])

    def generate(self) -> Kernel:
        if self.inner_size == 1:
            self.along_rows()
        else:
            self.across_columns()
        return self.frame.kernel()

    def turned(self, position: Expr) -> Expr:
        """The place of step `position`: from the end when the fold runs backwards."""
        return minus(minus(self.length, ONE), position) if self.reverse else position

    def item(self, index: At) -> tuple[Expr, ...]:
        return self.fold.item(self.elements.scalars, self.elements.at(self.node.operands[0], index), None)

    def put(self, index: At, state: tuple[Expr, ...]) -> None:
        store(self.writer, self.frame.outputs[0], index, self.fold.result(self.elements.scalars, state))

    def step(self, state: tuple[str, ...], index: At) -> None:
        """One element: folds it in and stores the state."""
        self.fold.add(self.writer, state, (), self.item(index))
        self.put(index, self.fold.read(self.writer, state))

    # ---- lanes are columns --------------------------------------------------------------------------

    def across_columns(self) -> None:
        before, behind = self.shape[:self.axis], self.shape[self.axis + 1:]
        work = total_work(self.shape, self.cost)
        with self.writer.loop(product_of(before), "parallel" if before else "serial", "k",
                              work if before else None) as k, \
                chunked(self.writer, product_of(behind), Const(512), work) as (start, count), \
                self.writer.loop(count, "vector", "j") as j:
            outer, inner = unflatten(k, before), unflatten(plus(start, j), behind)
            state = self.fold.open(self.writer)
            self.fold.start(self.writer, state)
            with self.writer.loop(self.length, "serial", "r") as r:
                self.step(state, (*outer, self.turned(r), *inner))

    # ---- rows in segments -----------------------------------------------------------------------------

    def along_rows(self) -> None:
        rows = product_of(self.shape[:self.axis])
        segments = chunks_of(self.length, Const(SEGMENT))
        work = total_work(self.shape, self.cost)
        totals = self.fold.open(self.writer, (rows, plus(segments, ONE)), "heap")
        with self.writer.loop(times(rows, segments), "parallel", "c", work) as c:
            row, segment = self.split(c, segments)
            self.total_of(row, segment, totals)
        with self.writer.loop(rows, "serial", "k") as k:
            self.scan_totals(k, segments, totals)
        group = max(1, min(CHAINS, chunk_elements(self.cost) // SEGMENT))
        if (length := static_value(self.length)) is not None and length < group * SEGMENT:
            group = 1
        groups = chunks_of(segments, Const(group))
        with self.writer.loop(times(rows, groups), "parallel", "c", work) as c:
            row, first = self.split(c, groups)
            self.run_segments(row, self.writer.let(times(first, Const(group))), group, segments, totals)

    def split(self, c: Expr, per_row: Expr) -> tuple[Expr, Expr]:
        row, rest = unflatten(c, (ONE, per_row)) if len(self.shape) > 1 else (Const(0), c)
        return self.writer.let(row), self.writer.let(rest)

    def index(self, row: Expr, position: Expr) -> At:
        outer = unflatten(row, self.shape[:self.axis])
        behind = (Const(0),) * (len(self.shape) - self.axis - 1)
        return (*outer, self.turned(position), *behind)

    def length_of(self, start: Expr) -> Expr:
        return minimum(Const(SEGMENT), minus(self.length, start))

    def total_of(self, row: Expr, segment: Expr, totals: tuple[str, ...]) -> None:
        """totals[row, segment + 1] = the fold of the segment."""
        start = self.writer.let(times(segment, Const(SEGMENT)))
        state = self.fold.open(self.writer)
        self.fold.start(self.writer, state)
        with self.writer.loop(self.length_of(start), "vector", "j") as j:
            self.fold.add(self.writer, state, (), self.item(self.index(row, plus(start, j))))
        for name, value in zip(totals, self.fold.read(self.writer, state), strict=True):
            self.writer.store(name, (row, plus(segment, ONE)), value)

    def scan_totals(self, row: Expr, segments: Expr, totals: tuple[str, ...]) -> None:
        """totals[row, s] = the fold of all segments before s."""
        state = self.fold.open(self.writer)
        self.fold.start(self.writer, state)
        self.fold.start(self.writer, totals, (row, Const(0)))
        with self.writer.loop(segments, "serial", "s") as s:
            at = (row, plus(s, ONE))
            here = tuple(self.writer.let_here(Load(n, at, d)) for n, d in zip(totals, self.fold.parts, strict=True))
            self.fold.add(self.writer, state, (), here)
            for name, value in zip(totals, self.fold.read(self.writer, state), strict=True):
                self.writer.store(name, at, value)

    def run_segments(self, row: Expr, first: Expr, group: int, segments: Expr, totals: tuple[str, ...]) -> None:
        """Whole groups run interleaved; the last, incomplete one segment by segment."""
        whole = Const(SEGMENT * group)
        start = self.writer.let(times(first, Const(SEGMENT)))
        is_whole = self.writer.let(_at_most(plus(start, whole), self.length))
        if group > 1:
            with self.writer.when(is_whole):
                states = [self.open_chain(row, plus(first, Const(g)), totals) for g in range(group)]
                with self.writer.loop(Const(SEGMENT), "serial", "j") as j:
                    for g, state in enumerate(states):
                        self.step(state, self.index(row, plus(plus(start, Const(g * SEGMENT)), j)))
        with self.writer.when(self.writer.let(_not(is_whole)) if group > 1 else _at_most(start, self.length)):
            with self.writer.loop(minimum(Const(group), minus(segments, first)), "serial", "g") as after:
                segment = self.writer.let(plus(first, after))
                begin = self.writer.let(times(segment, Const(SEGMENT)))
                state = self.open_chain(row, segment, totals)
                with self.writer.loop(self.length_of(begin), "serial", "j") as j:
                    self.step(state, self.index(row, plus(begin, j)))

    def open_chain(self, row: Expr, segment: Expr, totals: tuple[str, ...]) -> tuple[str, ...]:
        state = self.fold.open(self.writer)
        for name, total, dtype in zip(state, totals, self.fold.parts, strict=True):
            self.writer.store(name, (), self.writer.let_here(Load(total, (row, segment), dtype)))
        return state


def _at_most(x: Expr, y: Expr) -> Expr:
    return Apply("le", (x, y), BOOL)


def _not(x: Expr) -> Expr:
    return Apply("not", (x,), BOOL)
