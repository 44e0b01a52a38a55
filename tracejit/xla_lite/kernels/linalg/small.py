"""Small matrices of known size: straight-line code in registers, a matrix of the stack in every lane.

Flows in:  the ops `cholesky`, `lu`, `lu_solve`, `triangular_solve` on matrices of at most `LARGEST` rows.
Flows out: kernels without calls. Pivots are chosen as LAPACK does; rows change places by selection, so that lanes stay
           together.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tracejit.base.dtypes import BOOL, I64, DType
from tracejit.xla_lite.kernels.elements import At
from tracejit.xla_lite.kernels.expressions import clamp, minus, plus, product_of, static_value, times
from tracejit.xla_lite.kernels.frame import Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, Const, Expr, Kernel, Load
from tracejit.xla_lite.kernels.linalg.matrices import Matrices
from tracejit.xla_lite.kernels.nests import chunked, unflatten
from tracejit.xla_lite.kernels.scalars import Complex

LARGEST = 8
STRAIGHT = 4      # up to here code without loops, which takes long to compile for more rows
CHUNK = 256       # matrices that one thread takes at a time

Read = Callable[[Expr, Expr], Any]


def is_small(request: Request) -> bool:
    """Whether the matrices have a known size that is small."""
    (node,) = request.body.nodes
    m, n = node.operands[0].shape[-2:]
    return m == n and isinstance(n, int) and 0 < n <= LARGEST


def small_kernel(request: Request, blas: Mapping[str, int]) -> Kernel:
    """The kernel of any of the ops."""
    s = _Small(request, blas)
    {"cholesky": s.cholesky, "lu": s.lu, "lu_solve": s.lu_solve, "triangular_solve": s.triangular_solve}[
        request.kind]()
    return s.kernel()


class _Small(Matrices):
    """size: rows of a matrix."""

    def __init__(self, request: Request, blas: Mapping[str, int]):
        super().__init__(request, blas)
        self.size = int(self.matrix.shape[-1])
        self.out = self.frame.outputs[0]

    @contextmanager
    def lanes(self, cost: int) -> Iterator[At]:
        """A lane per matrix of the stack; yields its index."""
        total, w = product_of(self.batch), self.writer
        if static_value(total) == 1:
            yield (ZERO,) * len(self.batch)
            return
        with chunked(w, total, Const(CHUNK), times(total, Const(cost))) as (start, count), \
                w.loop(count, "vector", "b") as b:
            yield tuple(w.let(i) for i in unflatten(plus(start, b), self.batch))

    def magnitude(self, x: Any) -> Any:
        """What pivots are compared by."""
        b = self.scalars
        return b.add(b.call("abs", x.re), b.call("abs", x.im)) if isinstance(x, Complex) else b.call("abs", x)

    def conjugate(self, x: Any) -> Any:
        return Complex(x.re, self.scalars.negate(x.im), x.dtype) if isinstance(x, Complex) else x

    # ---- factorisations -----------------------------------------------------------------------------

    def cholesky(self) -> None:
        """Column by column. Of the triangle that is read, row i of the lower one is column i of the upper one."""
        b, n, lower = self.scalars, self.size, self.attributes["lower"]
        with self.lanes(n ** 3) as at:
            rows: list[list[Any]] = [[] for _ in range(n)]
            failed: Any = Const(False, BOOL)
            for j in range(n):
                pivot = b.real(self.entry(at, j, j, lower))
                for x in rows[j]:
                    pivot = b.subtract(pivot, b.real(b.multiply(x, self.conjugate(x))))
                failed = b.or_(failed, b.compare("LE", pivot, b.constant(0, pivot.dtype)))
                root = b.call("sqrt", pivot)
                for i in range(j + 1, n):
                    x = self.entry(at, i, j, lower)
                    for y, z in zip(rows[i], rows[j], strict=False):
                        x = b.subtract(x, b.multiply(y, self.conjugate(z)))
                    rows[i].append(self.divided(x, root))
                rows[j].append(b.convert(root, self.dtype))
            self.put_triangle(at, rows, failed, lower)
            self.put(self.frame.outputs[1], at, failed)

    def entry(self, at: At, i: int, j: int, lower: bool) -> Any:
        x = self.operand(0, *at, Const(i), Const(j)) if lower else self.operand(0, *at, Const(j), Const(i))
        return x if lower else self.conjugate(x)

    def divided(self, x: Any, y: Expr) -> Any:
        """By a real number."""
        b = self.scalars
        return Complex(b.divide(x.re, y), b.divide(x.im, y), x.dtype) if isinstance(x, Complex) else b.divide(x, y)

    def put_triangle(self, at: At, rows: Sequence[Sequence[Any]], failed: Expr, lower: bool) -> None:
        b, nothing = self.scalars, self.number(float("nan"))
        for i in range(self.size):
            for j in range(self.size):
                x = rows[i][j] if j <= i else self.number(0)
                where = (Const(i), Const(j)) if lower else (Const(j), Const(i))
                self.put(self.out, (*at, *where), b.select(failed, nothing, x if lower else self.conjugate(x)))

    def lu(self) -> None:
        if self.size > STRAIGHT:
            self.lu_in_loops()
        else:
            self.lu_straight()

    def lu_in_loops(self) -> None:
        b, w, n = self.scalars, self.writer, Const(self.size)
        with self.lanes(2 * self.size ** 3) as at:
            a, order, failed = self.buffer("a", n, n), w.buffer("order", I64, (n,)), w.buffer("failed", BOOL)
            w.store(failed, (), Const(False, BOOL))
            with w.loop(n, "serial", "i") as i:
                w.store(order, (i,), i)
                with w.loop(n, "serial", "j") as j:
                    self.put(a, (i, j), self.operand(0, *at, i, j))
            with w.loop(n, "serial", "k") as k:
                pivot = self.largest_below(a, k)
                self.put(self.frame.outputs[1], (*at, k), pivot)
                with w.loop(n, "serial", "j") as j:
                    self.exchanged(a, (k, j), (pivot, j), self.dtype)
                self.exchanged(order, (k,), (pivot,), I64)
                divisor = self.load(a, k, k)
                is_zero = b.compare("EQ", divisor, self.number(0))
                w.store(failed, (), b.or_(self.load(failed, dtype=BOOL), is_zero))
                self.eliminate(a, k, b.select(is_zero, self.number(1), divisor))
            with w.loop(n, "serial", "i") as i:
                self.put(self.frame.outputs[2], (*at, i), self.load(order, i, dtype=I64))
                with w.loop(n, "serial", "j") as j:
                    self.put(self.out, (*at, i, j), self.load(a, i, j))
            self.put(self.frame.outputs[3], at, self.load(failed, dtype=BOOL))

    def largest_below(self, a: str, k: Expr) -> Expr:
        """The row of the greatest element of column k from the diagonal on, in every lane."""
        b, w = self.scalars, self.writer
        start = self.magnitude(self.load(a, k, k))
        largest, found = w.buffer("largest", start.dtype), w.buffer("found", I64)
        w.store(largest, (), start)
        w.store(found, (), k)
        with w.loop(minus(Const(self.size - 1), k), "serial", "i") as step:
            i = w.let(plus(plus(k, step), ONE))
            size, before = self.magnitude(self.load(a, i, k)), self.load(largest, dtype=start.dtype)
            greater = b.compare("GT", size, before)
            w.store(largest, (), b.select(greater, size, before))
            w.store(found, (), b.select(greater, i, self.load(found, dtype=I64)))
        return w.let_here(Load(found, (), I64))

    def exchanged(self, buffer: str, x: At, y: At, dtype: DType) -> None:
        mine, other = self.load(buffer, *x, dtype=dtype), self.load(buffer, *y, dtype=dtype)
        self.put(buffer, x, other)
        self.put(buffer, y, mine)

    def eliminate(self, a: str, k: Expr, divisor: Any) -> None:
        """Column k below the diagonal, and what its rows lose."""
        b, w, rest = self.scalars, self.writer, minus(Const(self.size - 1), k)
        with w.loop(rest, "serial", "i") as step:
            i = w.let(plus(plus(k, step), ONE))
            factor = b.divide(self.load(a, i, k), divisor)
            self.put(a, (i, k), factor)
            with w.loop(rest, "serial", "j") as column:
                j = w.let(plus(plus(k, column), ONE))
                change = b.multiply(factor, self.load(a, k, j))
                self.put(a, (i, j), b.subtract(self.load(a, i, j), change))

    def lu_straight(self) -> None:
        b, n = self.scalars, self.size
        with self.lanes(2 * n ** 3) as at:
            rows = [[self.operand(0, *at, Const(i), Const(j)) for j in range(n)] for i in range(n)]
            order: list[Any] = [Const(i) for i in range(n)]
            failed: Any = Const(False, BOOL)
            for k in range(n):
                pivot = self.exchange(rows, order, k)
                self.put(self.frame.outputs[1], (*at, Const(k)), pivot)
                divisor = rows[k][k]
                is_zero = b.compare("EQ", divisor, self.number(0))
                failed = b.or_(failed, is_zero)
                divisor = b.select(is_zero, self.number(1), divisor)
                for i in range(k + 1, n):
                    factor = rows[i][k] = b.divide(rows[i][k], divisor)
                    for j in range(k + 1, n):
                        rows[i][j] = b.subtract(rows[i][j], b.multiply(factor, rows[k][j]))
            for i in range(n):
                for j in range(n):
                    self.put(self.out, (*at, Const(i), Const(j)), rows[i][j])
                self.put(self.frame.outputs[2], (*at, Const(i)), order[i])
            self.put(self.frame.outputs[3], at, failed)

    def exchange(self, rows: list[list[Any]], order: list[Any], k: int) -> Any:
        """Brings the row with the greatest element of column k to place k; gives where it was."""
        b, largest = self.scalars, self.magnitude(rows[k][k])
        found: Any = Const(k)
        for i in range(k + 1, self.size):
            size = self.magnitude(rows[i][k])
            greater = b.compare("GT", size, largest)
            largest, found = b.select(greater, size, largest), b.select(greater, Const(i), found)
        for i in range(k + 1, self.size):
            here = b.compare("EQ", found, Const(i))
            rows[k], rows[i] = self.swapped(here, rows[k], rows[i])
            (order[k],), (order[i],) = self.swapped(here, [order[k]], [order[i]])
        return found

    def swapped(self, condition: Any, x: list[Any], y: list[Any]) -> tuple[list[Any], list[Any]]:
        b = self.scalars
        return ([b.select(condition, q, p) for p, q in zip(x, y, strict=True)],
                [b.select(condition, p, q) for p, q in zip(x, y, strict=True)])

    # ---- systems --------------------------------------------------------------------------------------

    def lu_solve(self) -> None:
        """With the transpose, rows go back to where they came from at the end."""
        turned = self.attributes["transpose_a"]
        with self.columns_of(1, 3) as (at, j, factors):
            if turned:
                x = self.loaded(lambda i: self.operand(3, *at, i, j))
                self.substitute(factors, x, False, True, False)
                self.substitute(factors, x, True, True, True)
                self.stored(x, lambda i: (*at, self.row(at, i), j))
            else:
                x = self.loaded(lambda i: self.operand(3, *at, self.row(at, i), j))
                self.substitute(factors, x, True, False, True)
                self.substitute(factors, x, False, False, False)
                self.stored(x, lambda i: (*at, i, j))

    def triangular_solve(self) -> None:
        """From the right, rows of b are the right-hand sides of the transposed system."""
        s = self.attributes
        left = s["left_side"]
        with self.columns_of(0, 1, -1 if left else -2) as (at, j, triangle):
            place: Callable[[Expr], At] = lambda i: (*at, i, j) if left else (*at, j, i)
            x = self.loaded(lambda i: self.operand(1, *place(i)))
            self.substitute(triangle, x, s["lower"], s["transpose_a"] == left, s["unit_diagonal"])
            self.stored(x, place)

    def row(self, at: At, i: Expr) -> Expr:
        """Which row of b row i of the factors is."""
        return self.writer.let(clamp(self.scalars.convert(self.operand(2, *at, i), I64), Const(self.size - 1)))

    @contextmanager
    def columns_of(self, a: int, b: int, axis: int = -1) -> Iterator[tuple[At, Expr, Read]]:
        """Every right-hand side: lanes are matrices, or of one matrix its right-hand sides. Yields the matrix's index,
        the column's, and how elements of operand a are read: from a copy where lanes would gather them again."""
        count = exprs(self.operands[b].shape)[axis]
        if static_value(product_of(self.batch)) == 1:
            alone: At = (ZERO,) * len(self.batch)
            with self.writer.loop(count, "serial" if static_value(count) == 1 else "vector", "j") as j:
                yield alone, j, lambda i, k: self.operand(a, *alone, i, k)
            return
        with self.lanes(2 * self.size ** 2 * (static_value(count) or self.size)) as at:
            read: Read = lambda i, k: self.operand(a, *at, i, k)
            copy = None if static_value(count) == 1 else self.copied(read)
            with self.writer.loop(count, "serial", "j") as j:
                yield at, j, read if copy is None else lambda i, k: self.load(copy, i, k)

    def copied(self, read: Read) -> str:
        """A matrix in memory of the lane."""
        n = Const(self.size)
        copy = self.buffer("f", n, n)
        with self.writer.loop(n, "serial", "i") as i, self.writer.loop(n, "serial", "k") as k:
            self.put(copy, (i, k), read(i, k))
        return copy

    def rows_from(self, first: Expr, count: Expr, run: Callable[[Expr], None]) -> None:
        """run(i) for the rows from `first` on: one after the other in the code where there are few."""
        if (number := static_value(count)) is not None and self.size <= STRAIGHT:
            for step in range(number):
                run(plus(first, Const(step)))
            return
        with self.writer.loop(count, "serial", "i") as i:
            run(self.writer.let(plus(first, i)))

    def loaded(self, read: Callable[[Expr], Any]) -> str:
        """A right-hand side."""
        x = self.buffer("x", Const(self.size))
        self.rows_from(ZERO, Const(self.size), lambda i: self.put(x, (i,), read(i)))
        return x

    def stored(self, x: str, place: Callable[[Expr], At]) -> None:
        self.rows_from(ZERO, Const(self.size), lambda i: self.put(self.out, place(i), self.load(x, i)))

    def substitute(self, a: Read, x: str, lower: bool, turned: bool, unit: bool) -> None:
        """x becomes the solution of a triangular system."""
        b, n, forward = self.scalars, Const(self.size), lower != turned

        def step(k: Expr) -> None:
            i = k if forward else minus(Const(self.size - 1), k)
            state = self.buffer("s")
            self.put(state, (), self.load(x, i))

            def lose(j: Expr) -> None:
                change = b.multiply(a(j, i) if turned else a(i, j), self.load(x, j))
                self.put(state, (), b.subtract(self.load(state), change))

            if forward:
                self.rows_from(ZERO, i, lose)
            else:
                self.rows_from(plus(i, ONE), minus(minus(n, ONE), i), lose)
            result = self.load(state)
            self.put(x, (i,), result if unit else b.divide(result, a(i, i)))

        self.rows_from(ZERO, n, step)
