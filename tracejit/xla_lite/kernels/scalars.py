"""The scalar builder of kernels: the scalar code of ops, run over Kernel IR expressions.

Flows in:  scalars: an expression, or `Complex`, a pair of them.
Flows out: named expressions in the writer's blocks; complex arithmetic is split into real parts here.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.dtypes import BF16, BOOL, C128, F16, F32, F64, I64, DType
from tracejit.xla_lite.kernels.expressions import Index, size_expr
from tracejit.xla_lite.kernels.kernel_ir import Apply, Const, Expr
from tracejit.xla_lite.kernels.writer import Writer


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex scalar."""

    re: Expr
    im: Expr
    dtype: DType


Scalar = Expr | Complex


class KernelScalars:
    """`ops.scalars.ScalarBuilder` over a `Writer`."""

    def __init__(self, writer: Writer):
        self.writer = writer

    def apply(self, fn: str, dtype: DType, *args: Any) -> Expr:
        return self.writer.let(Apply(fn, tuple(a.expr if type(a) is Index else a for a in args), dtype))

    def constant(self, value: Any, dtype: DType) -> Any:
        if dtype.is_complex:
            value = complex(value)
            return Complex(Const(value.real, dtype.real), Const(value.imag, dtype.real), dtype)
        kind = float if dtype.is_float else bool if dtype is BOOL else int
        return Const(kind(value.real if isinstance(value, complex) else value), dtype)

    def dimension(self, size: Size) -> Any:
        return size_expr(size)

    # ---- arithmetic -------------------------------------------------------------------------------

    def add(self, x: Any, y: Any) -> Any:
        if isinstance(x, Complex):
            return Complex(self.add(x.re, y.re), self.add(x.im, y.im), x.dtype)
        return self.apply("add", x.dtype, x, y)

    def subtract(self, x: Any, y: Any) -> Any:
        if isinstance(x, Complex):
            return Complex(self.subtract(x.re, y.re), self.subtract(x.im, y.im), x.dtype)
        return self.apply("subtract", x.dtype, x, y)

    def multiply(self, x: Any, y: Any) -> Any:
        if isinstance(x, Complex):
            re = self.subtract(self.multiply(x.re, y.re), self.multiply(x.im, y.im))
            return Complex(re, self.add(self.multiply(x.re, y.im), self.multiply(x.im, y.re)), x.dtype)
        return self.apply("multiply", x.dtype, x, y)

    def divide(self, x: Any, y: Any) -> Any:
        return self._divide_complex(x, y) if isinstance(x, Complex) else self.apply("divide", x.dtype, x, y)

    def _divide_complex(self, x: Complex, y: Complex) -> Complex:
        """Smith's method, as NumPy: scale by the larger part of the divisor. Robert L. Smith, CACM 1962."""
        wide = self.compare("GE", self.call("abs", y.re), self.call("abs", y.im))
        big, small = self.select(wide, y.re, y.im), self.select(wide, y.im, y.re)
        zero = self.compare("EQ", big, self.constant(0.0, big.dtype))
        ratio = self.select(zero, small, self.divide(small, big))
        scale = self.divide(self.constant(1.0, big.dtype), self.add(big, self.multiply(small, ratio)))
        a, b = self.select(wide, x.re, x.im), self.select(wide, x.im, x.re)
        re = self.multiply(self.add(a, self.multiply(b, ratio)), scale)
        im = self.multiply(self.subtract(b, self.multiply(a, ratio)), scale)
        im = self.select(wide, im, self.negate(im))
        by_zero = (self.divide(x.re, self.call("abs", y.re)), self.divide(x.im, self.call("abs", y.re)))
        return Complex(self.select(zero, by_zero[0], re), self.select(zero, by_zero[1], im), x.dtype)

    def negate(self, x: Any) -> Any:
        if isinstance(x, Complex):
            return Complex(self.negate(x.re), self.negate(x.im), x.dtype)
        return self.apply("negate", x.dtype, x)

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        return self.apply("fma", x.dtype, x, y, z)

    # ---- bits and logic ---------------------------------------------------------------------------

    def and_(self, x: Any, y: Any) -> Any: return self.apply("and", x.dtype, x, y)
    def or_(self, x: Any, y: Any) -> Any: return self.apply("or", x.dtype, x, y)
    def xor(self, x: Any, y: Any) -> Any: return self.apply("xor", x.dtype, x, y)
    def not_(self, x: Any) -> Any: return self.apply("not", x.dtype, x)
    def shift_left(self, x: Any, amount: Any) -> Any: return self.apply("shift_left", x.dtype, x, amount)

    def shift_right_logical(self, x: Any, amount: Any) -> Any:
        return self.apply("shift_right_logical", x.dtype, x, amount)

    def shift_right_arithmetic(self, x: Any, amount: Any) -> Any:
        return self.apply("shift_right_arithmetic", x.dtype, x, amount)

    def compare(self, direction: str, x: Any, y: Any) -> Any:
        if isinstance(x, Complex):
            parts = self.compare(direction, x.re, y.re), self.compare(direction, x.im, y.im)
            return self.and_(*parts) if direction == "EQ" else self.or_(*parts)
        return self.apply(direction.lower(), BOOL, x, y)

    def select(self, predicate: Any, x: Any, y: Any) -> Any:
        if isinstance(x, Complex):
            return Complex(self.select(predicate, x.re, y.re), self.select(predicate, x.im, y.im), x.dtype)
        if isinstance(predicate, Const):
            return x if predicate.value else y
        return self.apply("select", x.dtype, predicate, x, y)

    # ---- types ------------------------------------------------------------------------------------

    def convert(self, x: Any, dtype: DType) -> Any:
        if x.dtype is dtype and type(x) is not Index:
            return x
        if isinstance(x, Complex):
            return self._convert_complex(x, dtype)
        if dtype.is_complex:
            return Complex(self.convert(x, dtype.real), Const(0.0, dtype.real), dtype)
        if type(x) is Index and dtype is I64:
            return x.expr
        if dtype is BOOL:
            return self.compare("NE", x, self.constant(0, x.dtype))
        return self.apply("convert", dtype, x)

    def _convert_complex(self, x: Complex, dtype: DType) -> Any:
        if dtype is BOOL:
            return self.or_(self.convert(x.re, BOOL), self.convert(x.im, BOOL))
        if dtype.is_complex:
            return Complex(self.convert(x.re, dtype.real), self.convert(x.im, dtype.real), dtype)
        return self.convert(x.re, dtype)

    def bitcast(self, x: Any, dtype: DType) -> Any:
        return x if x.dtype is dtype else self.apply("bitcast", dtype, x)

    def real(self, x: Any) -> Any: return x.re if isinstance(x, Complex) else x

    def imag(self, x: Any) -> Any: return x.im if isinstance(x, Complex) else self.constant(0, x.dtype)

    def complex(self, re: Any, im: Any) -> Any:
        return Complex(re, im, C128 if re.dtype is F64 else DType.parse("c64"))

    def call(self, name: str, *operands: Any) -> Any:
        return self.apply(name, operands[0].dtype, *operands)

    # ---- 16-bit floats are storage ------------------------------------------------------------------

    def widen(self, x: Any) -> Any:
        """A scalar as arithmetic wants it: f16 and bf16 become f32."""
        return self.convert(x, F32) if x.dtype in (F16, BF16) else x

    def narrow(self, x: Any, dtype: DType) -> Any:
        """The result of arithmetic in its own type, rounded once."""
        if dtype in (F16, BF16) and x.dtype is not dtype:
            return self.convert(x, dtype)
        return x
