"""Functions of a float's representation: nextafter, spacing, ldexp, frexp, modf.

Flows in: values of a builder.
Flows out: exact results.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import Builder, Value
from tracejit.xla_lite.kernels.elementary.common import INF, NAN


def nextafter(b: Builder, x: Value, y: Value) -> Value:
    """The float next to x on the way to y."""
    bits = b.bits(x)
    away = (y > x) ^ (bits < 0)  # the magnitude grows
    moved = b.from_bits(bits + b.select(away, b.int_const(1), -1))
    from_zero = b.copy_sign(b.const(b.type.min_subnormal), y)
    moved = b.select(x.equals(0.0), from_zero, moved)
    moved = b.select(x.equals(y), y, moved)
    return b.select(b.is_nan(x) | b.is_nan(y), x + y, moved)


def spacing(b: Builder, x: Value) -> Value:
    """The distance from x to the next float away from zero, with the sign of x; NaN at infinity."""
    bits = b.bits(x)
    step = b.from_bits(bits + 1) - x
    return b.select(b.abs(x) < INF, step, NAN)


def ldexp(b: Builder, x: Value, n: Value) -> Value:
    """x 2^n for a float n that holds an integer, rounding once."""
    if b.wide:
        limit = 4.0 * b.type.bias
        return b.scale(x, b.clamp(n, -limit, limit))
    high = float(b.type.bias)
    low = 1.0 - high
    rest = b.clamp(n, 3.0 * low, 3.0 * high)
    for _ in range(2):  # a step down keeps a whole significand of spare octaves, so that only the last one rounds
        step = b.select(rest < low, low + b.type.mantissa + 1.0, b.select(rest > high, high, 0.0))
        x = x * b.power_of_two(b.to_int(step))
        rest = rest - step
    return x * b.power_of_two(b.to_int(b.clamp(rest, low, high)))


def frexp(b: Builder, x: Value) -> tuple[Value, Value]:
    """Significand in [1/2, 1) with the sign of x, and exponent as a float; (x, 0) for 0, inf, NaN."""
    mantissa = b.type.mantissa
    a = b.abs(x)
    subnormal = a < b.type.min_normal
    bits = b.bits(b.select(subnormal, x * 2.0 ** (mantissa + 1), x))
    field = (bits & b.type.magnitude_mask) >> mantissa
    exponent = b.to_float(field - (b.type.bias - 1)) - b.select(subnormal, float(mantissa + 1), 0.0)
    significand = b.from_bits((bits & ~(((2 * b.type.bias + 1)) << mantissa)) | ((b.type.bias - 1) << mantissa))
    regular = (a > 0.0) & (a < INF)
    return b.select(regular, significand, x), b.select(regular, exponent, 0.0)


def modf(b: Builder, x: Value) -> tuple[Value, Value]:
    """Fractional and integral part, both with the sign of x."""
    whole = b.trunc(x)
    fraction = b.select(b.abs(x).equals(INF), 0.0, x - whole)
    return b.copy_sign(fraction, x), whole
