"""Tiles: statements that are calls of block functions.

Flows in:  `TileMatmul`, `TileTranspose`.
Flows out: text; the functions themselves are in `tile_functions`.
"""
from __future__ import annotations

from math import gcd

from tracejit.base.dtypes import I64
from tracejit.xla_lite.cpu.emitter_addresses import Memory
from tracejit.xla_lite.cpu.emitter_vector import VectorLoops
from tracejit.xla_lite.cpu.places import Value
from tracejit.xla_lite.cpu.tile_functions import MOST_ROWS, BlockKind, TileWriter
from tracejit.xla_lite.kernels.expressions import minus, plus
from tracejit.xla_lite.kernels.kernel_ir import ONE, BufferRef, Expr, TileMatmul, TileTranspose


class Tiles(VectorLoops):
    """Blocks of matrices."""

    def tile_matmul(self, s: TileMatmul) -> None:
        if self.checked:
            self._check_block(s.target, s.rows, s.columns)
            self._check_block(s.x, *((s.depth, s.rows) if s.turned else (s.rows, s.depth)))
            self._check_block(s.y, s.depth, s.columns)
        rows, columns, depth = (self.sum_value(self.form(e)) for e in (s.rows, s.columns, s.depth))
        dtype = self.buffer(s.target.buffer).dtype
        step = gcd(self._divisor(s.rows), MOST_ROWS)
        known = _number(rows) if step < MOST_ROWS else None    # else one function serves all heights
        kind = BlockKind(dtype, s.turned, known, _number(columns), step)
        name = TileWriter(self.module, self.target, dtype).block(kind)
        blocks = ", ".join(map(self._block, (s.target, s.x, s.y)))
        self.body.line(f"call void {name}({blocks}, i64 {rows.text}, i64 {columns.text}, i64 {depth.text}, "
                       f"i1 {self.value(s.add).text})")

    def tile_transpose(self, s: TileTranspose) -> None:
        if self.checked:
            self._check_block(s.target, s.columns, s.rows)
            self._check_block(s.source, s.rows, s.columns)
        name = TileWriter(self.module, self.target, self.buffer(s.target.buffer).dtype).turned()
        rows, columns = (self.sum_value(self.form(e)).text for e in (s.rows, s.columns))
        self.body.line(f"call void {name}({self._block(s.target)}, {self._block(s.source)}, i64 {rows}, i64 {columns})")

    def _block(self, a: BufferRef) -> str:
        """The address of a block, and the stride of its rows."""
        memory = self.buffer(a.buffer)
        assert memory.strides[-1] == 1, f"rows of {a.buffer} have gaps"
        return f"ptr {self.locate_unchecked(memory, a.index).pointer.text}, i64 {_text(memory)}"

    def _divisor(self, e: Expr) -> int:
        """A number that surely divides the value."""
        form = self.form(e)
        return gcd(form.constant, *form.terms.values())

    def _check_block(self, a: BufferRef, rows: Expr, columns: Expr) -> None:
        """In check mode: whether the corners are inside, unless the block is empty."""
        memory = self.buffer(a.buffer)
        some = self.binary("icmp sgt", I64, self.value(rows), Value("0"))
        some = self.both(some, self.binary("icmp sgt", I64, self.value(columns), Value("0")))
        inside, after = self.body.fresh_label("some"), self.body.fresh_label("end")
        self.push("arm", inside)
        *batch, row, column = a.index
        self.check(memory, (*batch, row, column))
        self.check(memory, (*batch, minus(plus(row, rows), ONE), minus(plus(column, columns), ONE)))
        self.body.branch(after)
        lines = self.pop().lines
        self.body.branch_if(some.text, inside, after)
        self.body.label(inside)
        self.body.lines += lines
        self.body.label(after)


def _number(value: Value) -> int | None:
    return int(value.text) if value.is_literal else None


def _text(memory: Memory) -> str:
    stride = memory.strides[-2]
    return str(stride) if isinstance(stride, int) else stride.text
