"""The builder over NumPy arrays: runs the same algorithm, bit for bit, without a compiler.

Flows in: an elementary function and arrays.
Flows out: its results, the oracle for every code generator. Slow (tens of nanoseconds an operation).

NumPy has no fused multiply-add. f32: the product is exact in f64, the sum is rounded to odd in f64 and then
to f32. f64: the algorithm of Boldo and Melquiond (sum of the error terms rounded to odd); lanes whose
exponents could leave the range on the way are done in exact rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from tracejit.xla_lite.kernels.elementary.builder import F32, F64, Builder, FloatType, Kind, Table, Value

Array = np.ndarray[Any, np.dtype[Any]]


def _two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    s = x + y
    t = s - x
    return s, (x - (s - t)) + (y - t)


def _round_to_odd(s: Array, error: Array) -> Array:
    """s + error, |error| <= ulp(s) / 2, rounded to odd."""
    i = s.view(np.int64)
    inexact = (error != 0) & ((i & 1) == 0) & np.isfinite(s)
    step = np.where((error > 0) == (s > 0), 1, -1)
    return np.where(inexact, i + step, i).view(np.float64)


def fma32(x: Array, y: Array, z: Array) -> Array:
    """Fused multiply-add of f32 arrays."""
    s, error = _two_sum(x.astype(np.float64) * y.astype(np.float64), z.astype(np.float64))
    return _round_to_odd(s, np.where(np.isfinite(s), error, 0.0)).astype(np.float32)


def _split(a: Array) -> tuple[Array, Array]:
    c = a * 134217729.0
    high = c - (c - a)
    return high, a - high


def fma64(x: Array, y: Array, z: Array) -> Array:
    """Fused multiply-add of f64 arrays."""
    x, y, z = (np.ascontiguousarray(v) for v in np.broadcast_arrays(x, y, z))
    product = x * y
    (xh, xl), (yh, yl) = _split(x), _split(y)
    product_error = ((xh * yh - product) + xh * yl + xl * yh) + xl * yl
    th, tl = _two_sum(z, product_error)
    vh, vl = _two_sum(product, th)
    fused = vh + _round_to_odd(*_two_sum(tl, vl))
    finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(z) & (x != 0) & (y != 0)
    fused = np.where(finite, fused, product + z)
    exponent = np.frexp(x)[1] + np.frexp(y)[1]
    largest = np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(z))
    risky = finite & ((exponent > 1000) | (exponent < -900) | (largest > 2.0**990))
    for k in np.flatnonzero(risky):
        fused.flat[k] = _exact_fma(x.flat[k], y.flat[k], z.flat[k])
    return fused


def _exact_fma(x: float, y: float, z: float) -> float:
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    if exact == 0:
        return x * y + z
    try:
        return exact.numerator / exact.denominator  # the quotient of two ints is correctly rounded
    except OverflowError:
        return np.inf if exact > 0 else -np.inf


class NumpyBuilder(Builder):
    """wide: also supplies the operations of a target that has them."""

    def __init__(self, type: FloatType, wide: bool = False) -> None:
        self.type = type
        self.wide = wide
        self.float_dtype = np.dtype(f"f{type.bits // 8}")
        self.int_dtype = np.dtype(f"i{type.bits // 8}")
        self._twin: NumpyBuilder | None = None

    def wrap(self, array: Array, kind: Kind = "f") -> Value:
        """A value of this builder from an array."""
        dtype = {"f": self.float_dtype, "i": self.int_dtype, "m": np.dtype(bool)}[kind]
        return Value(self, np.asarray(array, dtype), kind)

    def op(self, name: str, *handles: Any) -> Any:
        with np.errstate(all="ignore"):
            return _OPERATIONS[name](self, *handles)

    def const(self, x: float) -> Value:
        return Value(self, np.array(self.type.round(float(x)), self.float_dtype), "f")

    def int_const(self, n: int) -> Value:
        return Value(self, np.array(n, self.int_dtype), "i")

    def twin(self) -> NumpyBuilder:
        if self._twin is None:
            self._twin = NumpyBuilder(F64 if self.type is F32 else F32, self.wide)
            self._twin._twin = self
        return self._twin

    def widen(self, x: Value) -> Value:
        other = self.twin()
        with np.errstate(all="ignore"):
            return Value(other, x.handle.astype(other.float_dtype if x.kind == "f" else other.int_dtype), x.kind)

    def narrow(self, x: Value) -> Value:
        return self.widen(x)

    def gather(self, table: Table, index: Value) -> Value:
        return Value(self, np.array(table[1], self.float_dtype)[index.handle], "f")

    def lookup(self, table: Table, index: Value) -> Value:
        return Value(self, np.array(table[1], self.float_dtype)[index.handle & 15], "f")

    def if_any(
        self, mask: Value, slow: Callable[[], tuple[Value, ...]], fast: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        if not np.any(mask.handle):
            return fast
        return tuple(self.select(mask, s, f) for s, f in zip(slow(), fast, strict=True))

    def while_any(
        self,
        condition: Callable[..., Value],
        step: Callable[..., tuple[Value, ...]],
        state: tuple[Value, ...],
    ) -> tuple[Value, ...]:
        while np.any((active := condition(*state)).handle):
            state = tuple(self.select(active, n, o) for n, o in zip(step(*state), state, strict=True))
        return state

    def outlined(self, name: str, function: Callable[..., tuple[Value, ...]], *arguments: Value) -> tuple[Value, ...]:
        return function(self, *arguments)


def _exponent(b: NumpyBuilder, x: Array) -> Array:
    result = np.where(np.isfinite(x), np.frexp(x)[1] - 1, np.abs(x))
    return np.where(x == 0, -np.inf, result).astype(b.float_dtype)


def _significand(b: NumpyBuilder, x: Array) -> Array:
    m = 2 * np.frexp(x)[0]
    m = np.where(m >= 1.5, m / 2, m)
    m = np.where((x == 0) | np.isinf(x), 1.0, m)
    return np.where((x < 0) | np.isnan(x), np.nan, m).astype(b.float_dtype)


def _scale(b: NumpyBuilder, x: Array, n: Array) -> Array:
    limited = np.clip(np.nan_to_num(np.floor(n)), -5000, 5000).astype(np.int32)
    return np.asarray(np.where(np.isnan(n), n, np.ldexp(x, limited)), b.float_dtype)


def _bit_view(x: Array, dtype: Any) -> Array:
    view: Array = np.ascontiguousarray(x).view(dtype)
    return view.reshape(np.shape(x))


def _logical_shift(b: NumpyBuilder, x: Array, count: Array) -> Array:
    unsigned = np.dtype(f"u{b.type.bits // 8}")
    shifted = np.asarray(x).astype(unsigned) >> np.asarray(count).astype(unsigned)
    return np.asarray(shifted).astype(b.int_dtype)


def _fma(b: NumpyBuilder, x: Array, y: Array, z: Array) -> Array:
    return fma32(*np.broadcast_arrays(x, y, z)) if b.type is F32 else fma64(x, y, z)


# Written once, here: what each primitive means.
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "fadd": lambda b, x, y: x + y,
    "fsub": lambda b, x, y: x - y,
    "fmul": lambda b, x, y: x * y,
    "fdiv": lambda b, x, y: x / y,
    "fneg": lambda b, x: -x,
    "fabs": lambda b, x: np.abs(x),
    "fsqrt": lambda b, x: np.sqrt(x),
    "ffloor": lambda b, x: np.floor(x),
    "ftrunc": lambda b, x: np.trunc(x),
    "frint": lambda b, x: np.rint(x),
    "fma": _fma,
    "flt": lambda b, x, y: x < y,
    "fle": lambda b, x, y: x <= y,
    "fgt": lambda b, x, y: x > y,
    "fge": lambda b, x, y: x >= y,
    "feq": lambda b, x, y: x == y,
    "fne": lambda b, x, y: x != y,
    "ilt": lambda b, x, y: x < y,
    "ile": lambda b, x, y: x <= y,
    "igt": lambda b, x, y: x > y,
    "ige": lambda b, x, y: x >= y,
    "ieq": lambda b, x, y: x == y,
    "ine": lambda b, x, y: x != y,
    "iadd": lambda b, x, y: x + y,
    "isub": lambda b, x, y: x - y,
    "imul": lambda b, x, y: x * y,
    "iand": lambda b, x, y: x & y,
    "ior": lambda b, x, y: x | y,
    "ixor": lambda b, x, y: x ^ y,
    "ishl": lambda b, x, y: x << y,
    "iashr": lambda b, x, y: x >> y,
    "ilshr": _logical_shift,
    "mand": lambda b, x, y: x & y,
    "mor": lambda b, x, y: x | y,
    "mxor": lambda b, x, y: x ^ y,
    "mnot": lambda b, x: ~np.asarray(x),
    "fselect": lambda b, mask, x, y: np.where(mask, x, y),
    "iselect": lambda b, mask, x, y: np.where(mask, x, y),
    "mselect": lambda b, mask, x, y: np.where(mask, x, y),
    "f2bits": lambda b, x: _bit_view(x, b.int_dtype),
    "bits2f": lambda b, x: _bit_view(x, b.float_dtype),
    "i2f": lambda b, x: np.asarray(x).astype(b.float_dtype),
    "exponent": _exponent,
    "significand": _significand,
    "scale": _scale,
}


def evaluate(
    function: Callable[..., Value | tuple[Value, ...]], type: FloatType, *arrays: Array, wide: bool = False
) -> tuple[Array, ...]:
    """function(b, *arrays) with NumPy; always a tuple, one array a result."""
    b = NumpyBuilder(type, wide)
    inputs = np.broadcast_arrays(*[np.asarray(x, b.float_dtype) for x in arrays])
    out = function(b, *[b.wrap(np.ascontiguousarray(x)) for x in inputs])
    results = out if isinstance(out, tuple) else (out,)
    return tuple(np.broadcast_to(r.handle, inputs[0].shape) for r in results)
