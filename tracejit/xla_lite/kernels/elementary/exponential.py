"""Exponentials: exp, exp2, expm1, and the logistic function, which is one division more.

Flows in: values of a builder.
Flows out: results within 1.2 ULP (sigmoid 1.9).

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


def exp(b: Builder, x: Value) -> Value:
    """e^x."""
    x = b.clamp(x, *pick(b, (-104.0, 89.0), (-746.0, 710.0)))
    if b.wide:
        n, bits, r = reduce_by_ln2(b, x, STEP)
        power = b.lookup(table(b, "exp2"), bits)
        return b.scale(b.fma(power, expm1_of_small(b, r, "exp_sixteenth"), power), n)
    n, bits, r = reduce_by_ln2(b, x)
    return multiply_by_power_of_two(b, expm1_of_small(b, r) + 1.0, n, bits)


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

    power is 2^(j/16) on wide targets, else 1. `excess` makes up for the rounding of power if `exact`.
    Needs -87 <= x (f32), -708 <= x (f64), where 2^-k is in range.
    """

    __slots__ = ("b", "bits", "excess", "inverse", "k", "minus_k", "power")

    def __init__(self, b: Builder, x: Value, exact: bool) -> None:
        self.b = b
        (self._init_wide if b.wide else self._init_generic)(x, exact)

    def _init_wide(self, x: Value, exact: bool) -> None:
        b = self.b
        n, self.bits, r = reduce_by_ln2(b, x, STEP)
        self.power = b.lookup(table(b, "exp2"), self.bits)
        p = expm1_of_small(b, r, "expm1_sixteenth" if exact else "exp_sixteenth")
        if exact:
            p = p + b.lookup(table(b, "exp2_error"), self.bits)
        self.excess = self.power * p
        self.k = b.floor(n)
        self.minus_k = -self.k
        self.inverse = b.scale(b.const(1.0), self.minus_k)

    def _init_generic(self, x: Value, exact: bool) -> None:
        b = self.b
        self.k, self.bits, r, tail = reduce_by_ln2_exactly(b, x)
        self.minus_k = -self.k
        square = r * r
        series = b.polynomial_split(r, square, coefficients(b, "exp"))
        self.power = b.const(1.0)
        self.excess = r + b.fma(square, series, b.fma(tail, r, tail))
        limited = b.clamp(self.k, None, b.type.bias - 1.0)
        self.inverse = b.from_bits(b.type.one_bits - (b.bits(limited + b.type.magic) << b.type.mantissa))

    def scale_up(self, y: Value) -> Value:
        """y 2^k."""
        return multiply_by_power_of_two(self.b, y, self.k, self.bits)

    def scale_down(self, y: Value) -> Value:
        """y 2^-k."""
        return multiply_by_power_of_two(self.b, y, self.minus_k, -self.bits)


def expm1(b: Builder, x: Value) -> Value:
    """e^x - 1 = 2^k ((power - 2^-k) + excess)."""
    e = ScaledExponential(b, b.clamp(x, *pick(b, (-30.0, 89.0), (-50.0, 710.0))), exact=True)
    return b.copy_sign(e.scale_up((e.power - e.inverse) + e.excess), x)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e^-x), with e^-x kept as 2^k (power + excess) so that nothing overflows."""
    e = ScaledExponential(b, b.clamp(-x, *pick(b, (-87.0, 104.0), (-708.0, 746.0))), exact=False)
    larger, smaller = b.max(e.power, e.inverse), b.min(e.power, e.inverse)
    return e.scale_down(1.0 / (larger + (smaller + e.excess)))
