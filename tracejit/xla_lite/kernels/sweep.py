"""Sweeps: several updates of windows, each row of one after the rows of the others that it needs.

Flows in:  a body with slice updates at constant places, computed from slices of arrays a few rows away.
Flows out: a kernel of two parallel loops. The first runs over blocks of rows: update k follows `lag` rows behind and
           leaves out what is too near to the ends of the block. The second does what was left out, end by end.

Update k at row q needs the updates j before it at the rows that it reads, and must not overwrite what they still read:
lag k = max(lag j + max(ahead, behind)) keeps both inside of a block, head k, the rows it leaves to the end of the block
before, keeps both across the ends of blocks.
"""
from __future__ import annotations

from dataclasses import dataclass

from tracejit.base.dtypes import BOOL
from tracejit.ir.graph import Node, Value
from tracejit.xla_lite.kernels.element_loops import UNALIGNED
from tracejit.xla_lite.kernels.elements import At, store, stored
from tracejit.xla_lite.kernels.expressions import less, plus, size_expr
from tracejit.xla_lite.kernels.frame import Frame, Request
from tracejit.xla_lite.kernels.kernel_ir import Apply, Const, Expr, Kernel
from tracejit.xla_lite.kernels.nests import CHUNK_WORK

BLOCK_ROWS = 32      # at least

Reach = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stage:
    """One update. start: of its window.  array: which output it changes.  reads: array -> least and greatest offset
    of the rows that it reads, against the row that it writes.
    """

    node: Node
    start: tuple[int, ...]
    array: int
    reads: dict[int, Reach]

    @property
    def new(self) -> Value:
        return self.node.operands[1]

    @property
    def rows(self) -> tuple[int, int]:
        """The first row and the one behind the last."""
        return self.start[0], self.start[0] + self.extent(0)

    def cost(self) -> int:
        """Additions-worth of the whole update."""
        todo, seen = [self.new], {self.new}
        total = 1
        while todo:
            below = todo.pop().node
            if below is None or below.op.kind == "scatter":
                continue
            total += UNALIGNED if below.op.name == "slice" else below.op.cost
            todo += [v for v in below.operands if v not in seen]
            seen.update(below.operands)
        for axis in range(len(self.start)):
            total *= self.extent(axis)
        return total

    def extent(self, axis: int) -> int:
        size = self.new.shape[axis]
        assert isinstance(size, int)
        return size


def sweep_kernel(request: Request) -> Kernel:
    """The kernel of a `sweep` fusion."""
    return _Sweep(Frame(request, request.body)).generate()


class _Sweep:
    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        self.arrays = self.find_arrays()
        self.stages = [self.stage(n) for n in frame.body.nodes if n.op.kind == "scatter"]
        self.lags, self.heads = schedule(self.stages)
        self.first = min(s.rows[0] for s in self.stages)
        self.rows = max(s.rows[1] for s in self.stages) - self.first
        for value, k in self.arrays.items():
            if value.node is not None:
                self.elements.sources[value] = stored(frame.outputs[k], value, self.elements.scalars)

    def find_arrays(self) -> dict[Value, int]:
        """Every version of an array that is updated, and the number of its output."""
        found: dict[Value, int] = {}
        for k, value in enumerate(self.frame.body.outputs):
            found[value] = k
            while value.node is not None and value.node.op.kind == "scatter":
                value = value.node.operands[0]
                found[value] = k
        return found

    def stage(self, node: Node) -> Stage:
        start = tuple(int(v.node.attributes["value"]) for v in node.operands[2:] if v.node is not None)
        reads: dict[int, Reach] = {}
        todo, seen = [node.operands[1]], {node.operands[1]}
        while todo:
            below = todo.pop().node
            for value in below.operands if below is not None else ():
                if (k := self.arrays.get(value)) is not None and below is not None:
                    offset = (below.attributes["start"][0] if below.op.name == "slice" else 0) - start[0]
                    low, high = reads.get(k, (offset, offset))
                    reads[k] = min(low, offset), max(high, offset)
                elif value not in seen:
                    seen.add(value)
                    todo.append(value)
        return Stage(node, start, self.arrays[node.result], reads)

    # ---- loops ------------------------------------------------------------------------------------------------

    def generate(self) -> Kernel:
        row_cost = max(1, sum(s.cost() for s in self.stages) // self.rows)
        block = max(BLOCK_ROWS, min(self.rows, CHUNK_WORK // row_cost))
        blocks = -(-self.rows // block)
        left = [lag + head for lag, head in zip(self.lags, self.heads, strict=True)]
        with self.writer.loop(Const(blocks), "parallel", "c", Const(row_cost * self.rows)) as c:
            begin = self.row_of(c, block)
            with self.writer.loop(Const(block), "serial", "r") as r:
                for k in range(len(self.stages)):
                    row = plus(r, Const(-self.lags[k]))
                    self.row(k, plus(begin, row), plus(row, Const(-self.heads[k])), left[k] > 0)
        if any(left):
            with self.writer.loop(Const(blocks + 1), "parallel", "c", Const(row_cost * max(left) * blocks)) as c:
                end = self.row_of(c, block)
                for k, rows in [(k, rows) for k, rows in enumerate(left) if rows]:
                    with self.writer.loop(Const(rows), "serial", "r") as r:
                        self.row(k, plus(plus(end, r), Const(-self.lags[k])), r, False)
        return self.frame.kernel()

    def row_of(self, block: Expr, rows: int) -> Expr:
        return self.writer.let(plus(Apply("multiply", (block, Const(rows)), Const(0).dtype), Const(self.first)))

    def row(self, k: int, row: Expr, since: Expr, late: bool) -> None:
        """One row of update k, if it has one there. late: not before `since` rows of the block are over."""
        stage = self.stages[k]
        row = self.writer.let(row)
        low, high = stage.rows
        test: Expr = self.both(Apply("le", (Const(low), row), BOOL), less(row, Const(high)))
        if late:
            test = self.both(test, Apply("le", (Const(0), since), BOOL))
        with self.writer.when(test):
            self.columns(stage, row, (plus(row, Const(-low)),))

    def both(self, x: Expr, y: Expr) -> Expr:
        return self.writer.let(Apply("and", (self.writer.let(x), self.writer.let(y)), BOOL))

    def columns(self, stage: Stage, row: Expr, index: At) -> None:
        axis, last = len(index), len(stage.start) - 1
        kind = "vector" if axis == last else "serial"
        with self.writer.loop(size_expr(stage.extent(axis)), kind, "j") as j:  # type: ignore[arg-type]
            if axis < last:
                self.columns(stage, row, (*index, j))
                return
            index = (*index, j)
            where = (row, *(plus(i, Const(n)) for i, n in zip(index[1:], stage.start[1:], strict=True)))
            scalar = self.elements.scalars.narrow(self.elements.at(stage.new, index), stage.node.result.dtype)
            store(self.writer, self.frame.outputs[stage.array], where, scalar)


def schedule(stages: list[Stage]) -> tuple[list[int], list[int]]:
    """How many rows each update is behind the first, and how many it leaves out at the begin of a block."""
    lags: list[int] = []
    heads: list[int] = []
    for k, stage in enumerate(stages):
        lag = head = 0
        for j in range(k):
            before = stages[j]
            for low, high in ([stage.reads[before.array]] if before.array in stage.reads else []):
                lag, head = max(lag, lags[j] + high), max(head, heads[j] - low)
            for low, high in ([before.reads[stage.array]] if stage.array in before.reads else []):
                lag, head = max(lag, lags[j] - low), max(head, heads[j] + high)
            if before.array == stage.array:
                lag, head = max(lag, lags[j]), max(head, heads[j])
        lags.append(lag)
        heads.append(head)
    return lags, heads

