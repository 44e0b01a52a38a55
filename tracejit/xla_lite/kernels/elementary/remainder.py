"""Exact division with remainder: fmod, remainder, floor_divide.

Flows in: values of a builder.
Flows out: exact results with NumPy's signs and specials.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import Builder, Value
from tracejit.xla_lite.kernels.elementary.common import INF, NAN


def _exponent_bits(b: Builder, x: Value) -> Value:
    """The biased exponent of x >= 0 as an integer, going on below zero for subnormals."""
    mantissa = b.type.mantissa
    subnormal = x < b.type.min_normal
    bits = b.bits(b.select(subnormal, x * 2.0 ** (mantissa + 1), x)) >> mantissa
    return bits - b.select(subnormal, b.int_const(mantissa + 1), 0)


def _reduce_once(b: Builder, r: Value, d: Value) -> Value:
    """r minus a multiple of d, exactly; below d if r / d < 2^(mantissa - 1), else much smaller than r."""
    bias = b.type.bias
    gap = _exponent_bits(b, r) - _exponent_bits(b, d) - (b.type.mantissa - 2)
    gap = b.select(gap > 0, gap, 0)
    gap = b.select(gap > 2 * bias, b.int_const(2 * bias), gap)
    half = gap >> 1  # 2^gap may need two factors
    scaled = d * b.power_of_two(half) * b.power_of_two(gap - half)
    rest = b.fnma(b.trunc(r / scaled), scaled, r)
    return b.select(rest < 0.0, rest + scaled, rest)


def fmod(b: Builder, x: Value, y: Value) -> Value:
    """C's fmod: x - trunc(x / y) y, with the sign of x."""
    dividend, divisor = b.abs(x), b.abs(y)
    defined = (dividend < INF) & (divisor > 0.0)
    r = b.select(defined, dividend, 0.0)
    d = b.select(defined, divisor, 1.0)
    (r,) = b.while_any(lambda r: r >= d, lambda r: (_reduce_once(b, r, d),), (r,))
    r = b.select(defined, r, NAN)
    return b.copy_sign(b.select(b.is_nan(y), y, r), x)


def remainder(b: Builder, x: Value, y: Value) -> Value:
    """Python's and NumPy's %: the sign of the divisor, also for a zero."""
    m = fmod(b, x, y)
    other_side = m.differs(0.0) & ((m < 0.0) ^ (y < 0.0))
    m = b.select(other_side, m + y, m)
    return b.select(m.equals(0.0), b.copy_sign(m, y), m)


def floor_divide(b: Builder, x: Value, y: Value) -> Value:
    """NumPy's //: (x - x % y) / y, snapped to the nearest integer."""
    m = fmod(b, x, y)
    quotient = (x - m) / y
    quotient = b.select(m.differs(0.0) & ((m < 0.0) ^ (y < 0.0)), quotient - 1.0, quotient)
    whole = b.floor(quotient)
    whole = b.select(quotient - whole > 0.5, whole + 1.0, whole)
    inexact = x / y
    whole = b.select(quotient.equals(0.0), b.copy_sign(b.const(0.0), inexact), whole)
    return b.select(y.equals(0.0), inexact, whole)
