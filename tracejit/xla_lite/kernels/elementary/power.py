"""Powers and roots: pow, powi, cbrt, rsqrt, hypot.

Flows in: values of a builder.
Flows out: results within 1.8 ULP, C99's specials (F.9.4.4).
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import F32, Builder, Value
from tracejit.xla_lite.kernels.elementary.common import INF, NAN, coefficients, constant, pick, table
from tracejit.xla_lite.kernels.elementary.exponential import exp2_scaled
from tracejit.xla_lite.kernels.elementary.logarithm import significand_by_table, split, split_by_table


def _log2_pair(b: Builder, x: Value) -> tuple[Value, Value]:
    """log2(x), x > 0 finite, as high + low (about 2^-35 or 2^-66 relative)."""
    k, f = split(b, x)
    denominator, denominator_error = b.two_sum(f, b.const(2.0))
    reciprocal = 1.0 / denominator
    s = f * reciprocal
    s_low = reciprocal * (b.fnma(s, denominator, f) - s * denominator_error)  # s + s_low = f / (2 + f)
    w, w_low = b.two_product(s, s)
    w_low = b.fma(s + s, s_low, w_low)
    third, third_low = constant(b, "third")  # atanh(s) / s = 1 + w / 3 + w^2 R(w)
    p, p_low = b.two_product(w, third)
    p_low = p_low + b.fma(w, third_low, w_low * third)
    p_low = b.fma(w * w, b.polynomial(w, coefficients(b, "pow_odd")), p_low)
    g, g_low = b.fast_two_sum(b.const(1.0), p)
    g_low = g_low + p_low
    factor, factor_low = constant(b, "two_inverse_ln2")
    u, u_low = b.two_product(s, factor)
    u_low = u_low + b.fma(s, factor_low, s_low * factor)
    v, v_low = b.two_product(u, g)
    v_low = v_low + b.fma(u, g_low, u_low * g)
    high, low = b.two_sum(k, v)
    return b.fast_two_sum(high, low + v_low)


def _log2_pair_by_table(b: Builder, x: Value) -> tuple[Value, Value]:
    """The same on a wide target (f64, about 2^-65 relative). x = 2^k (1 + f + f_low) / c.

    log(1 + f) = f - f^2 / 2 + f^3 R(f): the first two terms as a double word, the third with plain rounding.
    """
    k, c, index = significand_by_table(b, x, "log2")
    product, f_low = b.two_product(b.significand(x), c)
    f = product - 1.0
    square, square_low = b.two_product(f, f)
    half = 0.5 * square
    natural = f - half
    lost = b.fma(-0.5, square_low, (f - natural) - half) + b.fma(f_low, square - f, f_low)
    lost = b.fma(f * square, b.polynomial_split(f, square, coefficients(b, "pow_cubic")), lost)
    factor, factor_low = constant(b, "inverse_ln2")
    v, v_low = b.two_product(natural, factor)
    v_low = v_low + b.fma(natural, factor_low, lost * factor)
    whole, whole_low = b.fast_two_sum(k, b.lookup(table(b, "log2"), index))
    high, low = b.fast_two_sum(whole, v)
    return b.fast_two_sum(high, low + (v_low + (whole_low + b.lookup(table(b, "log2_low"), index))))


def _pow_magnitude(b: Builder, a: Value, y: Value) -> Value:
    """a ** y for a >= 0, from the logarithm as a double word."""
    high, low = (_log2_pair_by_table if b.wide else _log2_pair)(b, a)
    high = b.select(a < INF, high, a)
    high = b.select(a.equals(0.0), -INF, high)
    p = y * high
    p_low = b.fma(y, high, -p) + y * low
    p_low = b.select(b.abs(p) < pick(b, 200.0, 1200.0), p_low, 0.0)
    return exp2_scaled(b, b.clamp(p, *pick(b, (-151.0, 129.0), (-1076.0, 1025.0))), p_low)


def _pow_magnitude_by_f64(b: Builder, a: Value, y: Value) -> Value:
    """a ** y in f32, the logarithm in f64 on a wide target."""
    w = b.twin()
    k, f, _, logarithm = split_by_table(w, b.widen(a), "log2")
    log2 = w.fma(f, w.polynomial(f, coefficients(w, "log2_short")), k + logarithm)
    p = w.clamp(b.widen(y) * log2, -151.0, 129.0)
    magic = w.type.magic / 16
    n = (p + magic) - magic
    r, n32 = w.narrow(p - n), w.narrow(n)
    power = b.lookup(table(b, "exp2"), b.bits(n32 + b.type.magic / 16))
    first, *rest = coefficients(b, "exp2_sixteenth")
    square = r * r
    series = b.fma(square, b.polynomial(r, rest), r * first)
    return b.scale(b.fma(power, series, power), n32)


def pow(b: Builder, x: Value, y: Value) -> Value:
    """x ** y."""
    a = b.abs(x)
    z = (_pow_magnitude_by_f64 if b.wide and b.type is F32 else _pow_magnitude)(b, a, y)

    def of_negative() -> tuple[Value]:
        is_integer = b.trunc(y).equals(y)  # also an infinity
        half = y * 0.5
        is_odd = is_integer & b.trunc(half).differs(half)
        signed = b.flip_sign(z, b.select(is_odd, b.int_const(b.type.sign_bit), 0))
        signed = b.select((x < 0.0) & (a < INF) & ~is_integer, NAN, signed)
        return (b.select(a.equals(1.0) & b.abs(y).equals(INF), 1.0, signed),)

    (z,) = b.if_any(b.bits(x) < 0, of_negative, (z,))
    return b.select(y.equals(0.0) | x.equals(1.0), 1.0, z)


def powi(b: Builder, x: Value, n: int) -> Value:
    """x ** n for a fixed integer by squaring; the error grows like n / 2 ULP."""
    rest, power = abs(n), x
    result: Value | None = None
    while rest:
        if rest & 1:
            result = power if result is None else result * power
        rest >>= 1
        if rest:
            power = power * power
    if result is None:
        return b.const(1.0)
    return 1.0 / result if n < 0 else result


def cbrt(b: Builder, x: Value) -> Value:
    """Cube root: y ~ m^(-1/3) by polynomial, then the series of (1 - h)^(-2/3) in h = 1 - m y^3."""
    mantissa, bias = b.type.mantissa, b.type.bias
    a = b.abs(x)
    subnormal = a < b.type.min_normal
    shift = pick(b, 24, 54)
    bits = b.bits(b.select(subnormal, a * 2.0**shift, a))
    exponent = b.to_float((bits >> mantissa) - bias)
    m = b.from_bits((bits & ((1 << mantissa) - 1)) | b.type.one_bits)
    shifted = b.fma(exponent, 1 / 3, -1 / 3) + b.type.magic
    third = shifted - b.type.magic  # floor(exponent / 3)
    rest = b.fnma(3.0, third, exponent)
    root2, root4 = constant(b, "cube_root_2")
    one, two = rest.equals(1.0), rest.equals(2.0)
    y = b.polynomial(m, coefficients(b, "inverse_cube_root"))
    y = y * b.select(two, 1 / root4, b.select(one, 1 / root2, 1.0))
    m = m * b.select(two, 4.0, b.select(one, 2.0, 1.0))
    square, square_low = b.two_product(y, y)
    c, c_low = b.two_product(m, square)
    c_low = c_low + m * square_low
    h = b.fnma(c, y, 1.0) - c_low * y
    series = pick(b, (2 / 3, 5 / 9), (2 / 3, 5 / 9, 40 / 81, 110 / 243))
    c = c + b.fma(c, h * b.polynomial(h, series), c_low)
    third_bits = b.bits(shifted) - b.select(subnormal, b.int_const(shift // 3), 0)
    c = b.from_bits(b.bits(c) + (third_bits << mantissa))
    c = b.select((a < INF) & (a > 0.0), c, a)
    return b.flip_sign(c, b.sign(x))


def rsqrt(b: Builder, x: Value) -> Value:
    """1 / sqrt(x)."""
    return 1.0 / b.sqrt(x)


def hypot(b: Builder, x: Value, y: Value) -> Value:
    """sqrt(x^2 + y^2) without overflow on the way; inf if either is infinite, even beside NaN."""
    ax, ay = b.abs(x), b.abs(y)
    larger, smaller = b.max(ax, ay), b.min(ax, ay)
    high, low = pick(b, (2.0**62, 2.0**-40), (2.0**510, 2.0**-450))
    down, up = pick(b, (2.0**-66, 2.0**100), (2.0**-520, 2.0**600))
    big, small = larger > high, larger < low
    factor = b.select(big, down, b.select(small, up, 1.0))
    larger, smaller = larger * factor, smaller * factor
    h = b.sqrt(b.fma(larger, larger, smaller * smaller))
    h = h * b.select(big, 1 / down, b.select(small, 1 / up, 1.0))
    h = b.select(b.is_nan(x) | b.is_nan(y), x + y, h)
    return b.select(ax.equals(INF) | ay.equals(INF), INF, h)
