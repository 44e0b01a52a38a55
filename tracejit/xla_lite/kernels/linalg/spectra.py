"""Spectra: `eigh`, `svd`, `eig`.

Flows in:  bodies with one of the ops.
Flows out: kernels. The same routines of LAPACK that NumPy calls, on the same copies by columns, so that vectors have
           the same signs.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tracejit.base.dtypes import I64
from tracejit.xla_lite.kernels.elements import At
from tracejit.xla_lite.kernels.expressions import maximum, minimum, minus, plus, static_value, times
from tracejit.xla_lite.kernels.frame import Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, BufferRef, Const, Expr, Kernel
from tracejit.xla_lite.kernels.linalg.matrices import Matrices
from tracejit.xla_lite.kernels.scalars import Complex


def eigh_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """Divide and conquer. Values go where they belong at once."""
    s = _Spectrum(request, blas)
    columns, values, vectors = s.columns(), s.frame.outputs[0], s.attributes["vectors"]
    letters = "V" if vectors else "N", "L" if s.attributes["lower"] else "U"
    integer = s.integer("syevd")
    spaces = (s.dtype, s.dtype.real, integer) if s.dtype.is_complex else (s.dtype, integer)
    syevd = None if s.is_empty(s.n) else s.worked("syevd", spaces, lambda at: (
        *letters, s.n, BufferRef(columns), s.leading(s.n), s.vector(values, at)))
    with s.each() as at:
        s.fill(columns, at)
        info = ZERO if syevd is None else syevd(at)
        if vectors:
            s.turned(1, at, columns, s.n, s.n)
        s.finish(at, info)
    return s.kernel()


def svd_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """Divide and conquer."""
    s = _Spectrum(request, blas)
    outs, columns = s.frame.body.outputs, s.columns()
    width: Expr = ONE
    height: Expr = ONE
    if s.attributes["vectors"]:
        width, height = exprs(outs[0].shape)[-1], exprs(outs[2].shape)[-2]
        left, right = s.unit(s.m, width, "u"), s.unit(height, s.n, "v")
    else:
        left = right = s.buffer("none", ONE)
    gesdd = s.gesdd(columns, left, right, height)
    with s.each() as at:
        s.fill(columns, at)
        info = ZERO if gesdd is None else gesdd(at)
        if s.attributes["vectors"]:
            s.turned(0, at, left, s.m, width)
            s.turned(2, at, right, height, s.n)
        s.finish(at, info)
    return s.kernel()


def eig_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """The QR algorithm. Of a real matrix, conjugate pairs come as real and imaginary parts, in neighbouring columns."""
    s = _Spectrum(request, blas)
    vectors = s.attributes["vectors"]
    size = s.leading(s.n) if vectors else ONE
    columns, right, none = s.columns(), s.buffer("v", size, size), s.buffer("none", ONE)
    parts = [s.buffer("w", s.leading(s.n)) for _ in range(1 if s.dtype.is_complex else 2)]
    turns = BufferRef(s.buffer("rwork", times(Const(2), s.leading(s.n)), dtype=s.dtype.real))
    geev = None if s.is_empty(s.n) else s.worked("geev", (s.dtype,), lambda at: (
        "N", "V" if vectors else "N", s.n, BufferRef(columns), s.leading(s.n), *map(BufferRef, parts), BufferRef(none),
        ONE, BufferRef(right), size), [turns] if s.dtype.is_complex else [])
    with s.each() as at:
        s.fill(columns, at)
        info = ZERO if geev is None else geev(at)
        s.eigenvalues(at, parts)
        if vectors:
            s.eigenvectors(at, parts, right)
        s.finish(at, info)
    return s.kernel()


class _Spectrum(Matrices):
    """What the decompositions share."""

    def vector(self, buffer: str, at: At) -> BufferRef:
        """The values of one matrix, real numbers, as an argument."""
        return BufferRef(buffer, (*at, ZERO)) if at else BufferRef(buffer)

    def finish(self, at: At, info: Expr) -> None:
        """The last output says whether LAPACK failed; all others then are NaN."""
        last = len(self.frame.outputs) - 1
        self.report(last, at, info, spoiled=range(last))

    def unit(self, rows: Expr, columns: Expr, prefix: str) -> str:
        """A matrix by columns. Where there are no singular values, nobody writes to it: it starts as the identity."""
        made = self.buffer(prefix, columns, rows)
        if static_value(minimum(self.m, self.n)) in (None, 0):
            self.identity(made, (), columns, rows)
        return made

    def gesdd(self, columns: str, left: str, right: str, height: Expr) -> Callable[[At], Expr] | None:
        """left, right: memory of vectors by columns, if they are wanted. None where there are no singular values."""
        k = self.writer.let(minimum(self.m, self.n))
        if self.is_empty(k):
            return None
        vectors, full = self.attributes["vectors"], self.attributes["full_matrices"]
        values = self.frame.outputs[1 if vectors else 0]
        behind = [BufferRef(self.buffer("iwork", times(Const(8), self.leading(k)), dtype=self.integer("gesdd")))]
        if self.dtype.is_complex:
            behind.insert(0, BufferRef(self.buffer("rwork", self.rotations(k), dtype=self.dtype.real)))
        return self.worked("gesdd", (self.dtype,), lambda at: (
            ("A" if full else "S") if vectors else "N", self.m, self.n, BufferRef(columns), self.leading(self.m),
            self.vector(values, at), BufferRef(left), self.leading(self.m), BufferRef(right), self.leading(height)),
            behind)

    def rotations(self, k: Expr) -> Expr:
        """Real workspace of the complex gesdd: max(5 k^2 + 7 k, 2 k max(m, n) + 2 k^2 + k), as LAPACK documents it."""
        square, longer = times(k, k), maximum(self.m, self.n)
        return self.leading(maximum(plus(times(Const(5), square), times(Const(7), k)), plus(times(Const(2), plus(
            times(longer, k), square)), k)))

    def eigenvalues(self, at: At, parts: Sequence[str]) -> None:
        with self.writer.loop(self.n, "vector", "i") as i:
            loaded = [self.load(part, i) for part in parts]
            value = loaded[0] if self.dtype.is_complex else self.scalars.complex(*loaded)
            self.put(self.frame.outputs[0], (*at, i), value)

    def eigenvectors(self, at: At, parts: Sequence[str], columns: str) -> None:
        """Of a pair, the column of the value above the real axis is x, the other one y: x + i y and x - i y."""
        if self.dtype.is_complex:
            self.turned(1, at, columns, self.n, self.n)
            return
        b, zero = self.scalars, self.number(0)

        def vector(i: Expr, j: Expr) -> Complex:
            height = self.load(parts[1], j)
            above, below = (b.convert(b.compare(d, height, zero), I64) for d in ("GT", "LT"))
            re = self.load(columns, self.writer.let(minus(j, below)), i)
            im = self.load(columns, self.writer.let(minimum(plus(j, above), minus(self.n, ONE))), i)
            im = b.select(b.compare("LT", height, zero), b.negate(im), im)
            made: Complex = b.complex(re, b.select(b.compare("EQ", height, zero), zero, im))
            return made

        self.rows(self.frame.outputs[1], at, self.n, self.n, vector)
