"""The scalar builder over NumPy arrays: runs scalar code of ops on whole arrays.

Flows in:  arrays.  Flows out: arrays, each exactly of the dtype that the scalar has.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, I64, DType
from tracejit.ops import references

Array = NDArray[Any]

CALLS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "pow": np.power, "cbrt": np.cbrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "hypot": np.hypot, "erf": references.elementwise(math.erf), "erfc": references.elementwise(math.erfc),
    "erfinv": references.erf_inv, "sigmoid": references.logistic, "fmod": np.fmod, "remainder": np.remainder,
    "floor_divide": np.floor_divide, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2,
    "nextafter": np.nextafter, "lgamma": references.lgamma, "digamma": references.digamma, "sqrt": np.sqrt,
    "floor": np.floor, "ceil": np.ceil, "rint": np.rint, "trunc": np.trunc, "abs": np.abs, "copysign": np.copysign,
    "ldexp": np.ldexp, "power": np.power, "gcd": np.gcd,
    "popcount": lambda x: np.bitwise_count(x.view(f"u{x.itemsize}"))}
COMPARES = {"EQ": np.equal, "NE": np.not_equal, "LT": np.less, "LE": np.less_equal, "GT": np.greater,
            "GE": np.greater_equal}
FLOAT_ONLY = CALLS.keys() - {"remainder", "floor_divide", "power", "gcd", "popcount"}


@dataclass(frozen=True, slots=True)
class NumpyScalar:
    """All lanes of one scalar."""

    dtype: DType
    array: Array


class NumpyScalars:
    """Checks, beside computing, that operands have one dtype and that no 16-bit float occurs."""

    def wrap(self, array: Any, dtype: DType) -> NumpyScalar:
        assert dtype.compute is dtype, "scalars are never 16-bit floats"
        return NumpyScalar(dtype, np.asarray(array, dtype.numpy))

    def constant(self, value: Any, dtype: DType) -> NumpyScalar:
        return self.wrap(dtype.numpy.type(value), dtype)

    def dimension(self, size: Size) -> NumpyScalar:
        assert isinstance(size, int)
        return self.constant(size, I64)

    def _apply(self, fn: Callable[..., Any], *xs: NumpyScalar, dtype: DType | None = None) -> NumpyScalar:
        assert all(x.dtype is xs[0].dtype for x in xs), [x.dtype for x in xs]
        with np.errstate(all="ignore"):
            return self.wrap(fn(*(x.array for x in xs)), dtype or xs[0].dtype)

    def add(self, x: Any, y: Any) -> Any: return self._apply(np.add, x, y)
    def subtract(self, x: Any, y: Any) -> Any: return self._apply(np.subtract, x, y)
    def multiply(self, x: Any, y: Any) -> Any: return self._apply(np.multiply, x, y)

    def divide(self, x: Any, y: Any) -> Any:
        assert x.dtype.is_inexact
        return self._apply(np.divide, x, y)

    def negate(self, x: Any) -> Any: return self._apply(np.negative, x)
    def fma(self, x: Any, y: Any, z: Any) -> Any: return self._apply(lambda a, b, c: a * b + c, x, y, z)
    def and_(self, x: Any, y: Any) -> Any: return self._apply(np.bitwise_and, x, y)
    def or_(self, x: Any, y: Any) -> Any: return self._apply(np.bitwise_or, x, y)
    def xor(self, x: Any, y: Any) -> Any: return self._apply(np.bitwise_xor, x, y)
    def not_(self, x: Any) -> Any: return self._apply(np.invert, x)

    def _shift(self, fn: Any, x: Any, amount: Any) -> Any:
        assert np.all((amount.array >= 0) & (amount.array < x.dtype.bits))
        return self._apply(fn, x, amount)

    def shift_left(self, x: Any, amount: Any) -> Any: return self._shift(np.left_shift, x, amount)

    def shift_right_arithmetic(self, x: Any, amount: Any) -> Any:
        assert x.dtype.is_signed
        return self._shift(np.right_shift, x, amount)

    def shift_right_logical(self, x: Any, amount: Any) -> Any:
        unsigned = np.dtype(f"u{x.dtype.bytes}")
        return self._shift(lambda a, b: (a.view(unsigned) >> b.view(unsigned)).view(a.dtype), x, amount)

    def compare(self, direction: str, x: Any, y: Any) -> Any:
        assert not x.dtype.is_complex or direction in ("EQ", "NE")
        return self._apply(COMPARES[direction], x, y, dtype=BOOL)

    def select(self, predicate: Any, x: Any, y: Any) -> Any:
        assert predicate.dtype is BOOL
        return self._apply(lambda a, b: np.where(predicate.array, a, b), x, y)

    def convert(self, x: Any, dtype: DType) -> Any:
        array = x.array.real if x.dtype.is_complex and not dtype.is_complex and dtype is not BOOL else x.array
        with np.errstate(all="ignore"):
            return self.wrap(np.asarray(array).astype(dtype.numpy).astype(dtype.compute.numpy), dtype.compute)

    def bitcast(self, x: Any, dtype: DType) -> Any:
        return self.wrap(np.asarray(x.array).view(dtype.numpy), dtype)

    def call(self, name: str, x: Any, *rest: Any) -> Any:
        assert x.dtype.is_float if name in FLOAT_ONLY else x.dtype.kind in "iuf", (name, x.dtype)
        if name == "ldexp":
            with np.errstate(all="ignore"):
                return self.wrap(np.ldexp(x.array, rest[0].array), x.dtype)
        return self._apply(CALLS[name], x, *rest)

    def real(self, x: Any) -> Any: return self.wrap(x.array.real, x.dtype.real)
    def imag(self, x: Any) -> Any: return self.wrap(x.array.imag, x.dtype.real)

    def complex(self, re: Any, im: Any) -> Any:
        out = np.empty(np.broadcast_shapes(re.array.shape, im.array.shape), f"c{re.dtype.bytes * 2}")
        out.real, out.imag = re.array, im.array
        return self.wrap(out, DType.parse(f"c{re.dtype.bits * 2}"))
