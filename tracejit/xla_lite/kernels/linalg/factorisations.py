"""Factorisations: `cholesky`, `lu`, `geqrf`, `qr`.

Flows in:  bodies with one of the ops.
Flows out: kernels. What was a matrix by rows is its transpose to Fortran: Cholesky's factor needs no copy for that, all
           others work on a copy by columns.
"""
from __future__ import annotations

from collections.abc import Mapping

from tracejit.base.dtypes import I64
from tracejit.xla_lite.kernels.elements import At
from tracejit.xla_lite.kernels.expressions import minimum, minus
from tracejit.xla_lite.kernels.frame import Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, BufferRef, Expr, Kernel
from tracejit.xla_lite.kernels.linalg.matrices import Matrices


def cholesky_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """The triangle of a is copied to the result, with zeros in the other one, and factored where it lies."""
    s = Matrices(request, blas)
    lower, out, zero = s.attributes["lower"], s.frame.outputs[0], s.number(0)
    with s.each() as at:
        s.rows(out, at, s.n, s.n, lambda i, j: s.scalars.select(
            s.scalars.compare("GE" if lower else "LE", i, j), s.operand(0, *at, i, j), zero))
        info: Expr = ZERO
        if not s.is_empty(s.n):
            info = s.lapack("potrf", "U" if lower else "L", s.n, s.ref(out, at), s.leading(s.n))
        s.report(1, at, info, spoiled=(0,))
    return s.kernel()


def lu_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """Rows are exchanged one pivot after the other, which makes the permutation."""
    s = Matrices(request, blas)
    k, integer = s.writer.let(minimum(s.m, s.n)), s.integer("getrf")
    columns, pivots = s.columns(), s.buffer("pivots", s.leading(k), dtype=integer)
    _, to, order, _ = s.frame.outputs
    with s.each() as at:
        s.fill(columns, at)
        info: Expr = ZERO
        if not s.is_empty(k):
            info = s.lapack("getrf", s.m, s.n, BufferRef(columns), s.leading(s.m), BufferRef(pivots))
        s.turned(0, at, columns, s.m, s.n)
        with s.writer.loop(s.m, "vector", "i") as i:
            s.put(order, (*at, i), i)
        with s.writer.loop(k, "serial", "i") as i:
            pivot = s.writer.let(minus(s.scalars.convert(s.load(pivots, i, dtype=integer), I64), ONE))
            s.put(to, (*at, i), pivot)
            mine, other = s.load(order, *at, i, dtype=I64), s.load(order, *at, pivot, dtype=I64)
            s.put(order, (*at, i), other)
            s.put(order, (*at, pivot), mine)
        s.report(3, at, info)
    return s.kernel()


class _Orthogonal(Matrices):
    """By Householder's reflections. k: how many there are.  columns, taus: what geqrf makes."""

    def __init__(self, request: Request, blas: Mapping[str, int]):
        super().__init__(request, blas)
        self.k = self.writer.let(minimum(self.m, self.n))
        self.made, self.taus = self.columns(), self.buffer("taus", self.leading(self.k))
        self.geqrf = None if self.is_empty(self.k) else self.worked("geqrf", (self.dtype,), lambda at: (
            self.m, self.n, BufferRef(self.made), self.leading(self.m), BufferRef(self.taus)))

    def reflect(self, at: At) -> None:
        """R and the reflections, by columns."""
        self.fill(self.made, at)
        if self.geqrf is not None:
            self.geqrf(at)


def geqrf_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """As LAPACK leaves it."""
    s = _Orthogonal(request, blas)
    with s.each() as at:
        s.reflect(at)
        s.turned(0, at, s.made, s.m, s.n)
        with s.writer.loop(s.k, "vector", "i") as i:
            s.put(s.frame.outputs[1], (*at, i), s.load(s.taus, i))
    return s.kernel()


def qr_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """R lies above the diagonal; the reflections, multiplied, are Q."""
    s = _Orthogonal(request, blas)
    width, zero = exprs(s.frame.body.outputs[0].shape)[-1], s.number(0)
    q = s.buffer("q", width, s.m)
    orgqr = None if s.is_empty(s.k) else s.worked("orgqr", (s.dtype,), lambda at: (
        s.m, width, s.k, BufferRef(q), s.leading(s.m), BufferRef(s.taus)))
    with s.each() as at:
        s.reflect(at)
        s.rows(s.frame.outputs[1], at, width, s.n, lambda i, j: s.scalars.select(
            s.scalars.compare("LE", i, j), s.load(s.made, j, i), zero))
        if orgqr is None:
            s.identity(s.frame.outputs[0], at, s.m, width)
        else:
            with s.writer.loop(s.k, "serial", "j") as j, s.writer.loop(s.m, "vector", "i") as i:
                s.put(q, (j, i), s.load(s.made, j, i))
            orgqr(at)
            s.turned(0, at, q, s.m, width)
    return s.kernel()
