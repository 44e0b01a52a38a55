"""Hyperbolic functions and their inverses.

Flows in: values of a builder.
Flows out: results within 1.9 ULP.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import F32, F64, Builder, Value
from tracejit.xla_lite.kernels.elementary.common import (
    INF,
    NAN,
    coefficients,
    pick,
    reduce_by_ln2,
    reduce_by_ln2_exactly,
)
from tracejit.xla_lite.kernels.elementary.exponential import ScaledExponential, expm1_of_small
from tracejit.xla_lite.kernels.elementary.logarithm import log1p_extended
from tracejit.xla_lite.kernels.elementary.piecewise import piecewise


class _ReducedHyperbolic:
    """sinh and cosh of n ln2 (both halved where `fix` is 2), and sinh r = r + sine_low, cosh r = 1 + cosine."""

    __slots__ = ("cosh_n", "cosine", "fix", "r", "sine_low", "sinh_n")

    def __init__(self, b: Builder, a: Value) -> None:
        a = b.clamp(a, None, pick(b, 89.7, 710.6))
        _, bits, self.r, tail = reduce_by_ln2_exactly(b, a)
        one = 1 << b.type.mantissa
        big = a > 64.0
        exponent = (bits << b.type.mantissa) - b.select(big, b.int_const(one), 0)
        up = b.from_bits(exponent + (b.type.one_bits - one))
        down_bits = (b.type.one_bits - one) - exponent
        down = b.from_bits(b.select(down_bits > 0, down_bits, 0))
        square = self.r * self.r
        self.cosine = square * b.polynomial(square, coefficients(b, "cosh_minus_one"))
        self.sine_low = b.fma(self.r * square, b.polynomial(square, coefficients(b, "sinh_minus_x")), tail)
        self.sinh_n, self.cosh_n = up - down, up + down
        self.fix = b.select(big, 2.0, 1.0)


def sinh(b: Builder, x: Value) -> Value:
    """sinh(n ln2) cosh r + cosh(n ln2) sinh r: no division, no cancellation."""
    p = _ReducedHyperbolic(b, b.abs(x))
    high = b.fma(p.cosh_n, p.r, p.sinh_n)
    low = b.fma(p.cosh_n, p.r, p.sinh_n - high)
    y = high + b.fma(p.cosh_n, p.sine_low, b.fma(p.sinh_n, p.cosine, low))
    return b.flip_sign(y * p.fix, b.sign(x))


def cosh(b: Builder, x: Value) -> Value:
    """cosh(n ln2) cosh r + sinh(n ln2) sinh r."""
    p = _ReducedHyperbolic(b, b.abs(x))
    high = b.fma(p.sinh_n, p.r, p.cosh_n)
    low = b.fma(p.sinh_n, p.r, p.cosh_n - high)
    return (high + b.fma(p.sinh_n, p.sine_low, b.fma(p.cosh_n, p.cosine, low))) * p.fix


def _tanh_by_expm1(b: Builder, a: Value) -> Value:
    """(e^2a - 1) / (e^2a + 1), both scaled; a polynomial below 0.15, where e^2a - 1 cancels a little."""
    e = ScaledExponential(b, a + a)
    less = e.plus_excess(e.power - e.inverse)
    y = less / (less + (e.inverse + e.inverse))
    square = a * a
    small = b.fma(a * square, b.polynomial(square, coefficients(b, "tanh_small")), a)
    return b.select(a < 0.15, small, y)


def tanh(b: Builder, x: Value) -> Value:
    """Hyperbolic tangent: by table (wide f32), expm1 (wide f64), or polynomial below 0.55 and exp above."""
    if b.wide and b.type is F32:
        return b.copy_sign(piecewise(b, b.clamp(b.abs(x), None, 10.0), "tanh"), x)
    if b.wide:
        return b.copy_sign(_tanh_by_expm1(b, b.clamp(b.abs(x), None, 20.0)), x)
    a = b.clamp(b.abs(x), None, pick(b, 10.0, 20.0))
    square = a * a
    small = b.fma(a * square, b.polynomial_split(square, square * square, coefficients(b, "tanh")), a)
    _, bits, r = reduce_by_ln2(b, a + a)
    e2x = b.from_bits(b.bits(expm1_of_small(b, r) + 1.0) + (bits << b.type.mantissa))
    y = b.select(a >= 0.55, 1.0 - 2.0 / (e2x + 1.0), small)  # NaN takes `small`
    return b.flip_sign(y, b.sign(x))


def asinh(b: Builder, x: Value) -> Value:
    """log1p(a + (sqrt(a^2 + 1) - 1)) with the argument as a double word."""
    a = b.abs(x)
    big = a > pick(b, 2.0**30, 2.0**60)
    limited = b.select(big, 1.0, a)
    product, product_error = b.two_product(limited, limited)
    total, total_error = b.two_sum(product, b.const(1.0))
    root = b.sqrt(total)
    root_error = (b.fnma(root, root, total) + (total_error + product_error)) / (root + root)
    less = root - 1.0
    w, w_error = b.two_sum(limited, less)
    tail = w_error + (root_error + ((root - less) - 1.0))
    w, tail = b.select(big, a, w), b.select(big, 0.0, tail)
    y = log1p_extended(b, w, tail, b.select(big, 1.0, 0.0), big)
    y = b.select(a < INF, y, a)
    return b.flip_sign(b.select(a < pick(b, 2.0**-14, 2.0**-28), a, y), b.sign(x))


def acosh(b: Builder, x: Value) -> Value:
    """log1p(t + sqrt(2 t + t^2)), t = x - 1; NaN below 1."""
    big = x > pick(b, 2.0**30, 2.0**60)
    t, t_error = b.two_sum(b.select(big, 2.0, x), b.const(-1.0))
    product, product_error = b.two_product(t, t)
    total, total_error = b.two_sum(2.0 * t, product)
    total_error = total_error + (product_error + 2.0 * (t_error + t * t_error))
    root = b.sqrt(total)
    root_error = (b.fnma(root, root, total) + total_error) / (root + root)
    root_error = b.select(root.equals(0.0), 0.0, root_error)
    w, w_error = b.two_sum(t, root)
    tail = w_error + (t_error + root_error)
    w, tail = b.select(big, x, w), b.select(big, 0.0, tail)
    y = log1p_extended(b, w, tail, b.select(big, 1.0, 0.0), big)
    y = b.select(x < INF, y, x)
    return b.select(x < 1.0, NAN, y)


def atanh(b: Builder, x: Value) -> Value:
    """Half of log1p(2 a / (1 - a)), the quotient as a double word; NaN outside [-1, 1]."""
    a = b.abs(x)
    limited = b.select(a < 1.0, a, 0.5)
    less, less_error = b.two_sum(b.const(1.0), -limited)
    reciprocal = 1.0 / less
    twice = limited + limited
    quotient = twice * reciprocal
    quotient_error = reciprocal * (b.fnma(quotient, less, twice) - quotient * less_error)
    y = 0.5 * log1p_extended(b, quotient, quotient_error)
    y = b.select(a < (2.0**-27 if b.type is F64 else 2.0**-13), a, y)
    y = b.select(a < 1.0, y, b.select(a.equals(1.0), INF, NAN))
    return b.flip_sign(y, b.sign(x))
