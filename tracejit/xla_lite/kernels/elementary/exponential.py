"""Exponentials: exp, exp2, expm1, and the logistic function, which is one division more.

Flows in: values of a builder.
Flows out: results within 1.2 ULP (expm1 1.9, sigmoid 2).

x = n ln2 + r, and e^r by a polynomial. On wide targets n is a multiple of 1/16: the fractional part selects
2^(j/16) in a table held in registers, r is 16 times smaller and the polynomial half as long.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import Builder, Value
from tracejit.xla_lite.kernels.elementary.common import (
    coefficients,
    multiply_by_power_of_two,
    pick,
    reduce_by_ln2,
    reduce_by_ln2_exactly,
    round_to_multiple,
    table,
)

STEP = 1 / 16


def expm1_of_small(b: Builder, r: Value, name: str = "exp") -> Value:
    """e^r - 1 for a reduced argument."""
    square = r * r
    return b.fma(square, b.polynomial_split(r, square, coefficients(b, name)), r)


def exp(b: Builder, x: Value, exact: bool = False) -> Value:
    """e^x; within 0.6 ULP on wide targets if `exact`."""
    x = b.clamp(x, *pick(b, (-104.0, 89.0), (-746.0, 710.0)))
    if b.wide:
        n, bits, r = reduce_by_ln2(b, x, STEP)
        power = b.lookup(table(b, "exp2"), bits)
        return b.scale(b.fma(power, _sixteenth(b, r, bits, exact), power), n)
    n, bits, r = reduce_by_ln2(b, x)
    return multiply_by_power_of_two(b, expm1_of_small(b, r) + 1.0, n, bits)


def _sixteenth(b: Builder, r: Value, bits: Value, exact: bool) -> Value:
    """e^r - 1 for |r| <= ln2 / 32; if `exact`, plus the relative rounding error of the power in the table."""
    if not exact:
        return expm1_of_small(b, r, "exp_sixteenth")
    square = r * r
    series = b.polynomial(r, coefficients(b, "expm1_sixteenth"))
    return r + b.fma(square, series, b.lookup(table(b, "exp2_error"), bits))


def exp2_of_fraction(b: Builder, r: Value) -> Value:
    """2^r for |r| <= 1/2."""
    first, *rest = coefficients(b, "exp2")
    square = r * r
    return b.fma(square, b.polynomial_split(r, square, rest), r * first) + 1.0


def exp2_scaled(b: Builder, x: Value, tail: Value | None = None) -> Value:
    """2^(x + tail), |tail| tiny; x within the range where the scaling is defined."""
    if b.wide:
        n, bits = round_to_multiple(b, x, 1.0, STEP)
        r = x - n if tail is None else (x - n) + tail
        power = b.lookup(table(b, "exp2"), bits)
        first, *rest = coefficients(b, "exp2_sixteenth")
        square = r * r
        p = b.fma(square, b.polynomial_split(r, square, rest), r * first)
        return b.scale(b.fma(power, p, power), n)
    n, bits = round_to_multiple(b, x, 1.0)
    r = x - n if tail is None else (x - n) + tail
    return multiply_by_power_of_two(b, exp2_of_fraction(b, r), n, bits)


def exp2(b: Builder, x: Value) -> Value:
    """2^x."""
    return exp2_scaled(b, b.clamp(x, *pick(b, (-151.0, 129.0), (-1076.0, 1025.0))))


class ScaledExponential:
    """e^x = 2^k (power + excess), with `inverse` = 2^-k: what expm1, sigmoid and tanh are made of.

    power is 2^(j/16) on wide targets, else 1. Needs -87 <= x (f32), -708 <= x (f64), where 2^-k is in range.
    """

    __slots__ = ("b", "bits", "inverse", "k", "minus_k", "p", "power")

    def __init__(self, b: Builder, x: Value) -> None:
        self.b = b
        (self._init_wide if b.wide else self._init_generic)(x)

    def _init_wide(self, x: Value) -> None:
        b = self.b
        n, self.bits, r = reduce_by_ln2(b, x, STEP)
        self.power = b.lookup(table(b, "exp2"), self.bits)
        self.p = _sixteenth(b, r, self.bits, exact=True)
        self.k = b.floor(n)
        self.minus_k = -self.k
        self.inverse = b.scale(b.const(1.0), self.minus_k)

    def _init_generic(self, x: Value) -> None:
        b = self.b
        self.k, self.bits, r, tail = reduce_by_ln2_exactly(b, x)
        self.minus_k = -self.k
        square = r * r
        series = b.polynomial_split(r, square, coefficients(b, "exp"))
        self.power = b.const(1.0)
        self.p = r + b.fma(square, series, b.fma(tail, r, tail))
        limited = b.clamp(self.k, None, b.type.bias - 1.0)
        self.inverse = b.from_bits(b.type.one_bits - (b.bits(limited + b.type.magic) << b.type.mantissa))

    def plus_excess(self, base: Value) -> Value:
        """base + excess."""
        return self.b.fma(self.power, self.p, base) if self.b.wide else base + self.p

    def scale_up(self, y: Value) -> Value:
        """y 2^k."""
        return multiply_by_power_of_two(self.b, y, self.k, self.bits)

    def scale_down(self, y: Value) -> Value:
        """y 2^-k."""
        return multiply_by_power_of_two(self.b, y, self.minus_k, -self.bits)


def expm1(b: Builder, x: Value) -> Value:
    """e^x - 1 = 2^k ((power - 2^-k) + excess)."""
    e = ScaledExponential(b, b.clamp(x, *pick(b, (-30.0, 89.0), (-50.0, 710.0))))
    return b.copy_sign(e.scale_up(e.plus_excess(e.power - e.inverse)), x)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e^-x), with e^-x kept as 2^k (power + excess) so that nothing overflows."""
    e = ScaledExponential(b, b.clamp(-x, *pick(b, (-87.0, 104.0), (-708.0, 746.0))))
    larger, smaller = b.max(e.power, e.inverse), b.min(e.power, e.inverse)
    return e.scale_down(1.0 / (larger + e.plus_excess(smaller)))
