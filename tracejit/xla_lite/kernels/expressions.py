"""Index arithmetic and sizes as Kernel IR expressions, folded while they are built.

Flows in:  sizes of types, loop indices.
Flows out: i64 `Expr`s; `Index`, an expression with Python's operators, which the index maps of views are run on.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.base.dims import FUNCTIONS, Dim, Size
from tracejit.base.dtypes import BOOL, I64, DType
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, Apply, Const, Expr, Name


def size_expr(size: Size) -> Expr:
    """A size: a number, or a polynomial of the scalar parameters that are named as its symbols."""
    if isinstance(size, int):
        return Const(size)
    made: Expr = size.fold(lambda name: Name(name), Const, plus, times,
                           lambda name, x, y: {"floordiv": quotient, "mod": modulo, "max": maximum,
                                               "min": minimum}[name](x, y))
    return made


def plus(x: Expr, y: Expr) -> Expr:
    if isinstance(x, Const) and isinstance(y, Const):
        return Const(int(x.value) + int(y.value))
    if x == ZERO:
        return y
    return x if y == ZERO else Apply("add", (x, y), I64)


def minus(x: Expr, y: Expr) -> Expr:
    if isinstance(x, Const) and isinstance(y, Const):
        return Const(int(x.value) - int(y.value))
    if isinstance(y, Const):
        return plus(x, Const(-int(y.value)))
    return ZERO if x == y else Apply("subtract", (x, y), I64)


def times(x: Expr, y: Expr) -> Expr:
    if isinstance(x, Const) and isinstance(y, Const):
        return Const(int(x.value) * int(y.value))
    if ZERO in (x, y):
        return ZERO
    if x == ONE:
        return y
    return x if y == ONE else Apply("multiply", (x, y), I64)


def quotient(x: Expr, y: Expr) -> Expr:
    """Floor division; a power of two becomes a shift."""
    if isinstance(x, Const) and isinstance(y, Const):
        return Const(FUNCTIONS["floordiv"](int(x.value), int(y.value)))
    if isinstance(y, Const) and (shift := _log2(int(y.value))) is not None:
        return x if shift == 0 else Apply("shift_right_arithmetic", (x, Const(shift)), I64)
    return Apply("floor_divide", (x, y), I64)


def modulo(x: Expr, y: Expr) -> Expr:
    if isinstance(x, Const) and isinstance(y, Const):
        return Const(FUNCTIONS["mod"](int(x.value), int(y.value)))
    if isinstance(y, Const) and _log2(int(y.value)) is not None:
        return ZERO if y == ONE else Apply("and", (x, Const(int(y.value) - 1)), I64)
    return Apply("remainder", (x, y), I64)


def maximum(x: Expr, y: Expr) -> Expr:
    if isinstance(x, Const) and isinstance(y, Const):
        return Const(max(int(x.value), int(y.value)))
    return x if x == y else Apply("maximum", (x, y), I64)


def minimum(x: Expr, y: Expr) -> Expr:
    if isinstance(x, Const) and isinstance(y, Const):
        return Const(min(int(x.value), int(y.value)))
    return x if x == y else Apply("minimum", (x, y), I64)


def clamp(x: Expr, high: Expr) -> Expr:
    """The nearest number in [0, high]."""
    return maximum(minimum(x, high), ZERO)


def less(x: Expr, y: Expr) -> Expr:
    return Apply("lt", (x, y), BOOL)


def chunks_of(extent: Expr, size: Expr) -> Expr:
    """How many pieces of `size` cover `extent`."""
    return quotient(plus(extent, minus(size, ONE)), size)


def product_of(sizes: Sequence[Expr]) -> Expr:
    total: Expr = ONE
    for size in sizes:
        total = times(total, size)
    return total


def static_value(e: Expr) -> int | None:
    """The number, if it is known while compiling."""
    return int(e.value) if isinstance(e, Const) else None


def _log2(n: int) -> int | None:
    return n.bit_length() - 1 if n > 0 and n & (n - 1) == 0 else None


class Index:
    """An index expression with operators. Mixes with ints and `Dim`s."""

    __slots__ = ("expr",)
    dtype: DType = I64

    def __init__(self, expr: Expr):
        self.expr = expr

    def __add__(self, other: Any) -> Index: return Index(plus(self.expr, as_expr(other)))
    def __radd__(self, other: Any) -> Index: return Index(plus(as_expr(other), self.expr))
    def __sub__(self, other: Any) -> Index: return Index(minus(self.expr, as_expr(other)))
    def __rsub__(self, other: Any) -> Index: return Index(minus(as_expr(other), self.expr))
    def __mul__(self, other: Any) -> Index: return Index(times(self.expr, as_expr(other)))
    def __rmul__(self, other: Any) -> Index: return Index(times(as_expr(other), self.expr))
    def __floordiv__(self, other: Any) -> Index: return Index(quotient(self.expr, as_expr(other)))
    def __mod__(self, other: Any) -> Index: return Index(modulo(self.expr, as_expr(other)))
    def __neg__(self) -> Index: return Index(minus(ZERO, self.expr))


def as_expr(x: Any) -> Expr:
    """An `Index`, a size, an int or an expression as an expression."""
    if isinstance(x, Index):
        return x.expr
    return size_expr(x) if isinstance(x, (int, Dim)) else x
