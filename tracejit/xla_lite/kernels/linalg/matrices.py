"""Stacks of matrices in kernels: a loop over them, copies by rows and by columns, calls of BLAS and LAPACK.

Flows in:  a body with one op whose first operand is matrices in its last two axes; the routines that can be called.
Flows out: `Matrices`, which the kernels of this package are written with.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tracejit.base.dtypes import C64, C128, F32, F64, I32, I64, U8, DType
from tracejit.ir.graph import Value
from tracejit.xla_lite.kernels.elements import At, store
from tracejit.xla_lite.kernels.expressions import maximum, plus, product_of, quotient, static_value
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, BufferRef, Call, Const, Expr, Kernel, Load
from tracejit.xla_lite.kernels.nests import unflatten
from tracejit.xla_lite.kernels.scalars import Complex

LETTERS = {F32: "s", F64: "d", C64: "c", C128: "z"}     # fixed table: the runtime resolves `tj_` + letter + routine
ROW_MAJOR, LEFT, RIGHT, UPPER, LOWER = 101, 141, 142, 121, 122          # CBLAS's enumerations
PLAIN, TRANSPOSED, GENERAL, UNIT = 111, 112, 131, 132
ASK = Const(-1)       # in place of the size of a workspace: LAPACK says how much it wants
NAN = float("nan")

Arg = str | Expr | BufferRef      # of LAPACK: letters, integers, memory


class Matrices:
    """The kernel of one op on stacks of matrices. m, n: rows and columns of its first operand."""

    def __init__(self, request: Request, blas: Mapping[str, int]):
        self.frame = Frame(request, request.body)
        self.writer, self.elements, self.scalars = self.frame.writer, self.frame.elements, self.frame.elements.scalars
        (self.node,) = self.frame.body.nodes
        self.operands, self.attributes, self.blas = self.node.operands, self.node.attributes, blas
        self.matrix = self.operands[0]
        self.dtype: DType = self.matrix.dtype
        *batch, self.m, self.n = exprs(self.matrix.shape)
        self.batch = tuple(batch)

    def kernel(self) -> Kernel:
        return self.frame.kernel()

    def symbol(self, routine: str) -> str:
        return f"tj_{LETTERS[self.dtype]}{routine}"

    @contextmanager
    def each(self) -> Iterator[At]:
        """The loop over the stack, on one thread: the library has threads of its own. Yields the index of a matrix."""
        with self.writer.loop(product_of(self.batch), "serial", "b") as b:
            yield tuple(self.writer.let(i) for i in unflatten(b, self.batch))

    # ---- elements ---------------------------------------------------------------------------------

    def buffer(self, prefix: str, *shape: Expr, dtype: DType | None = None) -> str:
        """Memory for a matrix of the kernel's own."""
        dtype = dtype or self.dtype
        return self.writer.buffer(prefix, dtype.real, (*shape, Const(2)) if dtype.is_complex else shape)

    def load(self, buffer: str, *index: Expr, dtype: DType | None = None) -> Any:
        """An element of memory that changes, as it is now."""
        dtype, w = dtype or self.dtype, self.writer
        if not dtype.is_complex:
            return w.let_here(Load(buffer, index, dtype))
        re, im = (w.let_here(Load(buffer, (*index, part), dtype.real)) for part in (ZERO, ONE))
        return Complex(re, im, dtype)

    def operand(self, k: int, *index: Expr) -> Any:
        return self.elements.at(self.operands[k], index)

    def number(self, value: float, dtype: DType | None = None) -> Any:
        return self.scalars.constant(value, dtype or self.dtype)

    def put(self, buffer: str, index: At, scalar: Any) -> None:
        store(self.writer, buffer, index, scalar)

    def ref(self, buffer: str, at: At = ()) -> BufferRef:
        """The matrix at `at` of a stack as an argument."""
        return BufferRef(buffer, (*at, *[ZERO] * (2 + self.dtype.is_complex)) if at else ())

    # ---- copies -------------------------------------------------------------------------------------

    def rows(self, output: str, at: At, rows: Expr, columns: Expr, read: Callable[[Expr, Expr], Any]) -> None:
        """output[at, i, j] = read(i, j)."""
        with self.writer.loop(rows, "serial", "i") as i, self.writer.loop(columns, "vector", "j") as j:
            self.put(output, (*at, i, j), read(i, j))

    def columns(self) -> str:
        """Memory for a matrix as Fortran has it: element i, j is at [j, i]."""
        return self.buffer("a", self.n, self.m)

    def fill(self, columns: str, at: At) -> None:
        """The first operand's matrix by columns."""
        with self.writer.loop(self.n, "serial", "j") as j, self.writer.loop(self.m, "vector", "i") as i:
            self.put(columns, (j, i), self.operand(0, *at, i, j))

    def turned(self, output: int, at: At, source: str, rows: Expr, columns: Expr) -> None:
        """A matrix of Fortran's as an output."""
        self.rows(self.frame.outputs[output], at, rows, columns, lambda i, j: self.load(source, j, i))

    def identity(self, buffer: str, at: At, rows: Expr, columns: Expr) -> None:
        """Ones on the diagonal."""
        one, zero = self.number(1), self.number(0)
        self.rows(buffer, at, rows, columns,
                  lambda i, j: self.scalars.select(self.scalars.compare("EQ", i, j), one, zero))

    def report(self, output: int, at: At, info: Expr, spoiled: Sequence[int] = ()) -> None:
        """Whether LAPACK failed; results that then have no meaning become NaN."""
        failed = self.scalars.compare("NE", info, Const(0, info.dtype))
        self.put(self.frame.outputs[output], at, failed)
        with self.writer.when(failed):
            for k in spoiled:
                value = self.frame.body.outputs[k]
                self.filled(k, at, value, exprs(value.shape)[len(self.batch):])

    def filled(self, output: int, at: At, value: Value, shape: Sequence[Expr]) -> None:
        with self.writer.loop(product_of(shape), "vector", "k") as k:
            self.put(self.frame.outputs[output], (*at, *unflatten(k, shape)), self.number(NAN, value.dtype))

    # ---- calls --------------------------------------------------------------------------------------

    def integer(self, routine: str) -> DType:
        return I64 if self.blas[self.symbol(routine)] == 64 else I32

    def lapack(self, routine: str, *args: Arg) -> Expr:
        """Calls a routine by Fortran's convention: everything by address, `info` last, then lengths of texts.
        Gives `info`."""
        w, integer = self.writer, self.integer(routine)
        letters = [a for a in args if isinstance(a, str)]
        numbers = [a for a in args if not isinstance(a, (str, BufferRef))]
        texts = w.buffer("letters", U8, (Const(max(1, len(letters))),))
        cells = w.buffer("numbers", integer, (Const(len(numbers) + 1),))
        for k, letter in enumerate(letters):
            w.store(texts, (Const(k),), Const(ord(letter), U8))
        for k, number in enumerate((*numbers, ZERO)):
            w.store(cells, (Const(k),), self.scalars.convert(number, integer))
        letter_refs = iter([BufferRef(texts, (Const(k),)) for k in range(len(letters))])
        number_refs = iter([BufferRef(cells, (Const(k),)) for k in range(len(numbers) + 1)])
        given = [next(letter_refs) if isinstance(a, str) else a if isinstance(a, BufferRef) else next(number_refs)
                 for a in args]
        w.emit(Call(self.symbol(routine), (*given, next(number_refs), *[ONE] * len(letters))))
        return w.let_here(Load(cells, (Const(len(numbers)),), integer))

    def worked(self, routine: str, spaces: Sequence[DType], args: Callable[[At], Sequence[Arg]],
               behind: Sequence[Arg] = ()) -> Callable[[At], Expr]:
        """A routine with workspaces, made here as large as it says; the result calls it and gives `info`.

        spaces: their types; they stand behind `args(at)`, each with its size.  behind: what comes after them.
        """
        cells = [self.buffer("size", ONE, dtype=d) for d in spaces]
        self.lapack(routine, *args(()), *(a for cell in cells for a in (BufferRef(cell), ASK)), *behind)
        sizes = [self.asked(cell, d) for cell, d in zip(cells, spaces, strict=True)]
        works = [self.buffer("work", n, dtype=d) for n, d in zip(sizes, spaces, strict=True)]
        pairs: list[Arg] = [a for work, n in zip(works, sizes, strict=True) for a in (BufferRef(work), n)]
        return lambda at: self.lapack(routine, *args(at), *pairs, *behind)

    def asked(self, cell: str, dtype: DType) -> Expr:
        """The size of workspace that LAPACK put into the first element of `cell`; floats may be rounded down."""
        index = (ZERO, ZERO) if dtype.is_complex else (ZERO,)
        size = self.scalars.convert(self.writer.let_here(Load(cell, index, dtype.real)), I64)
        more = ZERO if dtype.is_integer else quotient(size, Const(1 << 20))
        return self.writer.let(self.leading(plus(size, more)))

    def scale(self, value: float) -> Any:
        """A factor as CBLAS takes it: by value for real types, in memory for complex ones."""
        if not self.dtype.is_complex:
            return Const(value, self.dtype)
        name = self.writer.buffer("factor", self.dtype.real, (Const(2),))
        self.put(name, (), self.number(value))
        return BufferRef(name)

    def leading(self, size: Expr) -> Expr:
        return maximum(size, ONE)

    def is_empty(self, size: Expr) -> bool:
        return static_value(size) == 0
