"""The error function, its complement and its inverse.

Flows in: values of a builder.
Flows out: results within 2 ULP.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import F64, Builder, Value
from tracejit.xla_lite.kernels.elementary.common import (
    INF,
    NAN,
    coefficients,
    constant,
    multiply_by_power_of_two,
    pick,
    reduce_by_ln2_exactly,
    round_to_multiple,
)
from tracejit.xla_lite.kernels.elementary.exponential import exp2_of_fraction
from tracejit.xla_lite.kernels.elementary.logarithm import log_of_split, split
from tracejit.xla_lite.kernels.elementary.piecewise import piecewise


def erf(b: Builder, x: Value) -> Value:
    """Error function: by table (wide), or polynomial below 1 and 1 - 2^q(x) above, q = log2(erfc)."""
    a = b.abs(x)
    if b.wide:
        return b.copy_sign(piecewise(b, b.clamp(a, None, pick(b, 3.9375, 5.9375)), "erf"), x)
    square = a * a
    small = b.fma(a, b.polynomial_split(square, square * square, coefficients(b, "erf")), a)
    limited = b.clamp(a, None, pick(b, 4.0, 6.0))
    p = limited * b.polynomial_split(limited, limited * limited, coefficients(b, "log2_erfc"))
    n, bits = round_to_multiple(b, p, 1.0)
    complement = b.from_bits(b.bits(exp2_of_fraction(b, p - n)) + (bits << b.type.mantissa))
    return b.flip_sign(b.select(a >= 1.0, 1.0 - complement, small), b.sign(x))  # NaN takes `small`


def _scaled_erfc(b: Builder, a: Value) -> tuple[Value, Value]:
    """erfc(a) e^(a^2) = g(u) / (a + K), u = (a - K) / (a + K), as high + low."""
    centre = pick(b, 2.0, 4.0)
    total, total_error = b.two_sum(a, b.const(centre))
    q = 1.0 / total
    q_low = q * (b.fnma(q, total, 1.0) - q * total_error)
    less = a - centre
    less_error = a - (less + centre)
    u, u_low = b.two_product(less, q)
    u_low = u_low + less * q_low + less_error * q
    first, *rest = coefficients(b, "erfc")
    slope = b.polynomial_split(u, u * u, rest)  # near enough the derivative, for the tiny u_low
    g = b.fma(u, slope, first)
    g_low = b.fma(u, slope, first - g) + b.fma(u_low, slope, coefficients(b, "erfc_low")[0])
    high, high_error = b.two_product(g, q)
    return high, high_error + b.fma(g, q_low, g_low * q)


def _erfc_of_large(b: Builder, a: Value) -> Value:
    """e^(-a^2) times the scaled function, all as double words."""
    high, low = _scaled_erfc(b, a)
    square, square_error = b.two_product(a, a)
    n, bits, r, tail = reduce_by_ln2_exactly(b, -square)
    r, tail = b.two_sum(r, tail - square_error)
    r_square = r * r
    series = b.polynomial_split(r, r_square, coefficients(b, "exp"))
    excess = b.fma(r_square, series, b.fma(tail, r, tail))
    power, power_low = b.fast_two_sum(b.const(1.0), r)
    power_low = power_low + excess
    y, y_error = b.two_product(high, power)
    y = y + (y_error + b.fma(high, power_low, low * power))
    return multiply_by_power_of_two(b, y, n, bits)


def erfc(b: Builder, x: Value) -> Value:
    """1 - erf(x), without cancellation."""
    y = _erfc_of_large(b, b.clamp(b.abs(x), None, pick(b, 10.5, 27.5)))
    y = b.select(x < 0.0, 2.0 - y, y)
    square = x * x
    small = 1.0 - b.fma(x, b.polynomial_split(square, square * square, coefficients(b, "erf")), x)
    return b.select(b.abs(x) > 0.65, y, small)  # NaN takes `small`


def erfinv(b: Builder, x: Value) -> Value:
    """Inverse error function: x times a polynomial in w = -log(1 - x^2), or in sqrt(w) from w = 5 or 6.25 on.

    After M. Giles, Approximating the erfinv function, 2010. The constant term is added last, in two parts.
    """
    a = b.abs(x)
    w = -log_of_split(b, *split(b, b.fnma(a, a, 1.0)))
    limit, middle, outer = pick(b, (5.0, 2.5, 3.0), (6.25, 3.125, 3.25))
    high, low = constant(b, "half_root_pi")
    slope = b.fma(w, b.polynomial(w - middle, coefficients(b, "erfinv_centre")), low)
    centre = b.fma(a, slope, a * high)

    def tails() -> tuple[Value]:
        root = b.sqrt(w)
        ratio = b.polynomial(root - outer, coefficients(b, "erfinv_tail"))
        if b.type is F64:
            ratio = b.select(root > 4.0, b.polynomial(root - 5.0, coefficients(b, "erfinv_far")), ratio)
        return (ratio * a,)

    (y,) = b.if_any(w > limit, tails, (centre,))
    y = b.select(a < 1.0, y, b.select(a.equals(1.0), INF, NAN))
    return b.copy_sign(y, x)
