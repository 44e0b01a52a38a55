"""Loop nests shared by the generators: rows and blocks dealt out in chunks, vector loops inside.

Flows in:  extents and the work of one element.
Flows out: open loops, as context managers that yield the index.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tracejit.xla_lite.kernels.expressions import (
    chunks_of,
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
from tracejit.xla_lite.kernels.kernel_ir import ONE, Const, Expr
from tracejit.xla_lite.kernels.writer import Writer

CHUNK_WORK = 1 << 17      # additions-worth of a chunk: about 10 us of vector code
CHUNK_MIN, CHUNK_MAX = 1 << 10, 1 << 15


def chunk_elements(cost: int) -> int:
    """Elements of one chunk: a power of two, fewer where each costs more."""
    wanted = max(CHUNK_MIN, min(CHUNK_MAX, CHUNK_WORK // max(cost, 1)))
    return 1 << (wanted.bit_length() - 1)


def unflatten(flat: Expr, shape: Sequence[Expr]) -> tuple[Expr, ...]:
    """The index in `shape` (row major) of a flat position."""
    index: list[Expr] = []
    for size in reversed(shape[1:]):
        index.append(modulo(flat, size))
        flat = quotient(flat, size)
    return (flat, *reversed(index)) if shape else ()


@contextmanager
def chunked(writer: Writer, extent: Expr, chunk: Expr, work: Expr) -> Iterator[tuple[Expr, Expr]]:
    """Parallel pieces of range(extent): yields (start, length)."""
    with writer.loop(writer.let(chunks_of(extent, chunk)), "parallel", "c", work) as c:
        start = times(c, chunk)
        if static_value(chunks_of(extent, chunk)) == 1:
            yield start, extent
        else:
            start = writer.let(start)
            yield start, writer.let(minimum(chunk, minus(extent, start)))


@dataclass(frozen=True, slots=True)
class Piece:
    """One parallel piece: its number, its rows `row .. row+rows`, its columns `column .. column+columns`."""

    number: Expr
    row: Expr
    rows: Expr
    column: Expr
    columns: Expr


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of `inner` elements dealt out in pieces: several short rows, or a block of a long one."""

    rows: Expr
    inner: Expr
    group: Expr
    blocks: Expr
    block: Expr

    count: Expr

    @staticmethod
    def of(writer: Writer, rows: Expr, inner: Expr, chunk: int, blocks: bool = True) -> Split:
        """About `chunk` elements a piece. blocks: whether a row may be cut."""
        rows, inner = writer.let(rows), writer.let(inner)
        group = ONE if rows == ONE else writer.let(maximum(ONE, quotient(Const(chunk), maximum(inner, ONE))))
        pieces = writer.let(maximum(ONE, chunks_of(inner, Const(chunk)))) if blocks else ONE
        count = writer.let(times(chunks_of(rows, group), pieces))
        return Split(rows, inner, group, pieces, Const(chunk) if pieces != ONE else inner, count)

    @contextmanager
    def loop(self, writer: Writer, work: Expr) -> Iterator[Piece]:
        """Opens the parallel loop over pieces."""
        with writer.loop(self.count, "parallel", "c", work) as c:
            row = writer.let(times(quotient(c, self.blocks), self.group))
            rows = writer.let(minimum(self.group, minus(self.rows, row)))
            if self.blocks == ONE:
                yield Piece(c, row, rows, Const(0), self.inner)
            else:
                column = writer.let(times(modulo(c, self.blocks), self.block))
                yield Piece(c, row, rows, column, writer.let(minimum(self.block, minus(self.inner, column))))


@contextmanager
def row_loop(writer: Writer, first: Expr, count: Expr, shape: Sequence[Expr]) -> Iterator[tuple[Expr, ...]]:
    """Serial over rows `first .. first+count` of an outer shape; yields the outer index."""
    with writer.loop(count, "serial", "r") as r:
        flat = plus(first, r)
        yield tuple(writer.let(i) for i in unflatten(flat, shape))


def total_work(shape: Sequence[Expr], cost: int) -> Expr:
    return times(product_of(shape), Const(cost))
