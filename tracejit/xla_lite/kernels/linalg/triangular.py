"""Triangular systems: `triangular_solve`, `lu_solve`.

Flows in:  bodies with one of the ops; BLAS's triangular solvers, which take matrices by rows.
Flows out: kernels. Operands are without gaps.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping

from tracejit.base.dtypes import I32, I64
from tracejit.xla_lite.kernels.elements import At
from tracejit.xla_lite.kernels.expressions import clamp, minus, static_value
from tracejit.xla_lite.kernels.frame import Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, BufferRef, Call, Const, Expr, Kernel
from tracejit.xla_lite.kernels.linalg.matrices import (
    GENERAL,
    LEFT,
    LOWER,
    PLAIN,
    RIGHT,
    ROW_MAJOR,
    TRANSPOSED,
    UNIT,
    UPPER,
    Matrices,
)


def triangular_solve_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """b is copied and solved where the copy lies."""
    s = _Systems(request, blas, 1)
    a = s.attributes
    with s.each() as at:
        s.rows(s.x, at, s.height, s.width, lambda i, j: s.operand(1, *at, i, j))
        s.solve(s.ref("p.0", at), s.ref(s.x, at), a["lower"], a["transpose_a"], a["unit_diagonal"], a["left_side"])
    return s.kernel()


def lu_solve_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """P A = L U: rows of b in the order of the pivots, then L, then U; or U', L', and the rows back."""
    s = _Systems(request, blas, 3)
    with s.each() as at:
        factors = s.ref("p.1", at)
        if s.attributes["transpose_a"]:
            y = s.buffer("y", s.height, s.width)
            s.rows(y, (), s.height, s.width, lambda i, j: s.operand(3, *at, i, j))
            s.solve(factors, s.ref(y), False, True, False)
            s.solve(factors, s.ref(y), True, True, True)
            s.moved(at, lambda i, row, j: s.put(s.x, (*at, row, j), s.load(y, i, j)))
        else:
            s.moved(at, lambda i, row, j: s.put(s.x, (*at, i, j), s.operand(3, *at, row, j)))
            s.solve(factors, s.ref(s.x, at), True, False, True)
            s.solve(factors, s.ref(s.x, at), False, False, False)
    return s.kernel()


class _Systems(Matrices):
    """b: the number of the operand. The result x has its shape: height, width."""

    def __init__(self, request: Request, blas: Mapping[str, int], b: int):
        super().__init__(request, blas)
        self.height, self.width = exprs(self.operands[b].shape)[-2:]
        self.x = self.frame.outputs[0]

    def moved(self, at: At, put: Callable[[Expr, Expr, Expr], None]) -> None:
        """put(i, row, j) for all elements: row i of the factors is row `row` of the matrix."""
        with self.writer.loop(self.height, "serial", "i") as i:
            row = clamp(self.scalars.convert(self.operand(2, *at, i), I64), minus(self.height, ONE))
            row = self.writer.let(row)
            with self.writer.loop(self.width, "vector", "j") as j:
                put(i, row, j)

    def solve(self, a: BufferRef, x: BufferRef, lower: bool, transposed: bool, unit: bool, left: bool = True) -> None:
        """x becomes a^-1 x, or x a^-1; of one column by the routine for vectors."""
        if self.is_empty(self.height) or self.is_empty(self.width):
            return
        vector = left and static_value(self.width) == 1
        routine = "trsv" if vector else "trsm"
        integer = self.integer(routine)
        order, side, triangle, turn, diagonal = (Const(n, I32) for n in (
            ROW_MAJOR, LEFT if left else RIGHT, LOWER if lower else UPPER, TRANSPOSED if transposed else PLAIN,
            UNIT if unit else GENERAL))
        n, height, width = (self.scalars.convert(size, integer) for size in (self.n, self.height, self.width))
        gap, step = (self.scalars.convert(self.leading(size), integer) for size in (self.n, self.width))
        args: tuple[Expr | BufferRef, ...]
        if vector:
            args = (order, triangle, turn, diagonal, n, a, gap, x, Const(1, integer))
        else:
            args = (order, side, triangle, turn, diagonal, height, width, self.scale(1.0), a, gap, x, step)
        self.writer.emit(Call(self.symbol(routine), args))
