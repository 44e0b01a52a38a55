"""Matrix products: floats in blocks (`products`), complex numbers by BLAS, everything else in loops over registers.

Flows in:  a body with one `dot_general` in normal form (`passes/products.py`): [batch,] m, k times [batch,] k, n,
           either operand perhaps transposed, over materialised contiguous operands.
Flows out: a kernel.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracejit.base.dtypes import C64, C128, F32, F64, I32, I64, DType
from tracejit.ir.graph import Value
from tracejit.xla_lite.kernels.elements import At, store
from tracejit.xla_lite.kernels.expressions import (
    chunks_of,
    less,
    maximum,
    minimum,
    minus,
    plus,
    product_of,
    static_value,
    times,
)
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, BufferRef, Call, Const, Expr, Kernel
from tracejit.xla_lite.kernels.nests import unflatten
from tracejit.xla_lite.kernels.products import blocked_kernel
from tracejit.xla_lite.kernels.totals import Total

ROWS = 4              # rows of the result that share one read of the right operand
SMALL = 32 ** 3       # multiplications below which a call of BLAS costs more than it saves
GEMM = {C64: "cgemm", C128: "zgemm"}     # fixed table: the runtime resolves `tj_` + name
BLOCKED = (F32, F64)
ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112                         # CBLAS's enumerations


def product_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """The kernel of a `dot_general`. blas: symbols that can be called, such as `tj_cgemm`, and the
    bits of their integers."""
    if request.body.outputs[0].dtype in BLOCKED:
        return blocked_kernel(request)
    product = _Product(Frame(request, request.body))
    name = f"tj_{GEMM.get(product.dtype, '')}"
    if name in blas and not product.is_small():
        product.call(name, I64 if blas[name] == 64 else I32)
    else:
        product.loops()
    return product.frame.kernel()


class _Product:
    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        (self.node,) = frame.body.nodes
        a = self.node.attributes
        self.x, self.y = self.node.operands
        self.dtype: DType = self.x.dtype
        self.batch = len(a["lhs_batch"])
        self.x_turned = a["lhs_contract"][0] == self.batch and self.x.rank == self.batch + 2
        self.y_turned = a["rhs_contract"][0] != self.batch
        self.k = exprs(self.x.shape)[a["lhs_contract"][0]]
        shape = exprs(self.node.result.shape)
        self.batches, (self.m, self.n) = shape[:self.batch], shape[self.batch:]

    def is_small(self) -> bool:
        work = static_value(times(times(self.m, self.n), self.k))
        return work is not None and work <= SMALL

    # ---- BLAS -----------------------------------------------------------------------------------------

    def call(self, symbol: str, integer: DType) -> None:
        """One call per matrix of the batch. A product over nothing is zero, which BLAS gives with beta = 0."""
        w, b = self.writer, self.elements.scalars
        m, n, k, lda, ldb, ldc = (b.convert(size, integer) for size in (
            self.m, self.n, self.k, self.leading(self.m if self.x_turned else self.k),
            self.leading(self.k if self.y_turned else self.n), self.leading(self.n)))
        with w.loop(product_of(self.batches), "serial", "b") as matrix:
            at = (matrix,) if self.batch else ()
            w.emit(Call(symbol, (
                Const(ROW_MAJOR, I32), Const(TRANSPOSED if self.x_turned else PLAIN, I32),
                Const(TRANSPOSED if self.y_turned else PLAIN, I32), m, n, k, self.scalar(1.0), self.ref("p.0", at), lda,
                self.ref("p.1", at), ldb, self.scalar(0.0), self.ref(self.frame.outputs[0], at), ldc)))

    def leading(self, size: Expr) -> Expr:
        return maximum(size, ONE)

    def ref(self, name: str, at: At) -> BufferRef:
        return BufferRef(name, (*at, ZERO, ZERO, ZERO) if at else ())

    def scalar(self, value: float) -> BufferRef:
        """A factor, in memory."""
        name = self.writer.buffer("factor", self.dtype.real, (Const(2),))
        self.writer.store(name, (ZERO,), Const(value, self.dtype.real))
        self.writer.store(name, (ONE,), Const(0.0, self.dtype.real))
        return BufferRef(name)

    # ---- loops ------------------------------------------------------------------------------------------

    def loops(self) -> None:
        """ROWS rows of the result at a time, a vector of its columns in registers."""
        w = self.writer
        work = times(times(product_of(self.batches), self.m), times(self.n, times(self.k, Const(2))))
        groups = chunks_of(self.m, Const(ROWS))
        with w.loop(times(product_of(self.batches), groups), "parallel", "c", work) as c:
            batch, group = unflatten(c, (ONE, groups)) if self.batch else (Const(0), c)
            first, at = w.let(times(group, Const(ROWS))), (w.let(batch),) if self.batch else ()
            rows = w.let(minimum(Const(ROWS), minus(self.m, first)))
            with w.loop(self.n, "vector", "j") as j:
                self.tile(at, first, rows, j)

    def tile(self, at: At, first: Expr, rows: Expr, j: Expr) -> None:
        """Rows past the end repeat the last one and are not stored."""
        w, b = self.writer, self.elements.scalars
        last = minus(self.m, ONE)
        lines = [w.let(minimum(plus(first, Const(r)), last)) for r in range(ROWS)]
        totals = [Total(w, b, self.dtype) for _ in lines]
        with w.loop(self.k, "serial", "k") as k:
            y = self.element(self.y, at, k, j, self.y_turned)
            for i, total in zip(lines, totals, strict=True):
                total.add_product(self.element(self.x, at, i, k, self.x_turned), y)
        for r, (i, total) in enumerate(zip(lines, totals, strict=True)):
            with w.when(w.let(less(Const(r), rows))):
                store(w, self.frame.outputs[0], (*at, i, j), total.result())

    def element(self, value: Value, at: At, row: Expr, column: Expr, turned: bool) -> Any:
        return self.elements.at(value, (*at, column, row) if turned else (*at, row, column))
