"""The builder that scalar code of pointwise ops and reductions is written against.

Flows in:  nothing.
Flows out: `ScalarBuilder`, implemented by each code generator and, for tests, by NumPy; the order of values
           (`less`, `maximum`, `least`, ...) that several families of ops share.
"""
from __future__ import annotations

import math
from typing import Any, Protocol

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, DType


class Scalar(Protocol):
    """One scalar (or one vector lane group) of an engine. `dtype` is never a 16-bit float: those are storage types."""

    @property
    def dtype(self) -> DType: ...


class ScalarBuilder(Protocol):
    """Operands of one call have one dtype unless said. Integers wrap; nothing traps.

    call(name, ...) names: exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh asinh
    acosh atanh pow cbrt rsqrt hypot erf erfc erfinv sigmoid fmod remainder floor_divide logaddexp logaddexp2 nextafter
    lgamma digamma sqrt floor ceil rint trunc abs copysign ldexp (float, i32) popcount; for integers floor_divide
    remainder power gcd, by NumPy's rules.
    """

    def constant(self, value: bool | int | float | complex, dtype: DType) -> Any: ...
    def dimension(self, size: Size) -> Any:
        """The run-time value of a size, i64."""
    def add(self, x: Any, y: Any) -> Any: ...
    def subtract(self, x: Any, y: Any) -> Any: ...
    def multiply(self, x: Any, y: Any) -> Any: ...
    def divide(self, x: Any, y: Any) -> Any:
        """True division of floats or complex numbers."""
    def negate(self, x: Any) -> Any: ...
    def fma(self, x: Any, y: Any, z: Any) -> Any:
        """x * y + z, rounded once."""
    def and_(self, x: Any, y: Any) -> Any: ...
    def or_(self, x: Any, y: Any) -> Any: ...
    def xor(self, x: Any, y: Any) -> Any: ...
    def not_(self, x: Any) -> Any:
        """Logical for bool, bitwise for integers."""
    def shift_left(self, x: Any, amount: Any) -> Any:
        """0 <= amount < bits, here and below."""
    def shift_right_logical(self, x: Any, amount: Any) -> Any: ...
    def shift_right_arithmetic(self, x: Any, amount: Any) -> Any: ...
    def compare(self, direction: str, x: Any, y: Any) -> Any:
        """EQ NE LT LE GT GE; complex: EQ and NE only. Comparisons with NaN are false, NE is true."""
    def select(self, predicate: Any, x: Any, y: Any) -> Any: ...
    def convert(self, x: Any, dtype: DType) -> Any:
        """float -> int truncates, out of range gives what x86's conversion gives; -> bool is `!= 0`."""
    def bitcast(self, x: Any, dtype: DType) -> Any: ...
    def call(self, name: str, *operands: Any) -> Any: ...
    def real(self, x: Any) -> Any: ...
    def imag(self, x: Any) -> Any: ...
    def complex(self, re: Any, im: Any) -> Any: ...


def like(b: Any, value: bool | int | float, x: Any) -> Any:
    """A constant of the dtype of `x`."""
    return b.constant(value, x.dtype)


def less(b: Any, x: Any, y: Any, or_equal: bool = False) -> Any:
    """x < y (or <=) in NumPy's order: complex numbers by real, then by imaginary part; false with NaN."""
    if not x.dtype.is_complex:
        return b.compare("LE" if or_equal else "LT", x, y)
    re_x, im_x, re_y, im_y = b.real(x), b.imag(x), b.real(y), b.imag(y)
    numbers = b.and_(b.compare("EQ", im_x, im_x), b.compare("EQ", im_y, im_y))
    first = b.and_(b.compare("LT", re_x, re_y), numbers)
    second = b.and_(b.compare("EQ", re_x, re_y), b.compare("LE" if or_equal else "LT", im_x, im_y))
    return b.or_(first, second)


def absolute(b: Any, x: Any) -> Any:
    """|x| of a real number; the least integer stays as it is."""
    if x.dtype.is_float:
        return b.call("abs", x)
    return b.select(b.compare("LT", x, like(b, 0, x)), b.negate(x), x) if x.dtype.is_signed else x


def is_nan(b: Any, x: Any) -> Any:
    """x != x; false for types without NaN."""
    return b.compare("NE", x, x) if x.dtype.is_inexact else b.constant(False, BOOL)


def maximum(b: Any, x: Any, y: Any) -> Any:
    """The larger; NaN if one is NaN."""
    if x.dtype is BOOL:
        return b.or_(x, y)
    wins = less(b, y, x, or_equal=True)
    return b.select(b.or_(wins, is_nan(b, x)) if x.dtype.is_inexact else wins, x, y)


def minimum(b: Any, x: Any, y: Any) -> Any:
    """The smaller; NaN if one is NaN."""
    if x.dtype is BOOL:
        return b.and_(x, y)
    wins = less(b, x, y, or_equal=True)
    return b.select(b.or_(wins, is_nan(b, x)) if x.dtype.is_inexact else wins, x, y)


def least(dtype: DType) -> Any:
    """No value of `dtype` is smaller; identity of maximum."""
    if dtype.is_complex:
        return complex(-math.inf, -math.inf)
    if dtype.is_integer:
        return -(1 << (dtype.bits - 1)) if dtype.is_signed else 0
    return False if dtype is BOOL else -math.inf


def greatest(dtype: DType) -> Any:
    """No value of `dtype` is greater; identity of minimum."""
    if dtype.is_complex:
        return complex(math.inf, math.inf)
    if dtype.is_integer:
        return (1 << (dtype.bits - dtype.is_signed)) - 1
    return True if dtype is BOOL else math.inf
