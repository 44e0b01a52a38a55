"""Logarithms: log, log2, log10, log1p, and the sums of exponentials built on them.

Flows in: values of a builder.
Flows out: results within 1.6 ULP (softplus 1.8); log2(2^n) and log10(10^n) exact.

x = 2^k m and f = m - 1. Generic targets take m in [sqrt(1/2), sqrt(2)) by integer arithmetic; f32 has one
polynomial in f, f64 the odd series in f / (2 + f). Wide targets take m in [3/4, 3/2), multiply it by one of
16 reciprocals c, so that |f| <= 1/16, and look log(c) up. Each c is chosen so that log(c) is almost a float.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import F32, Builder, Value
from tracejit.xla_lite.kernels.elementary.common import INF, NAN, coefficients, constant, pick, table
from tracejit.xla_lite.kernels.elementary.exponential import exp, exp2

SQRT_HALF = 0.7071067811865476


def split(b: Builder, x: Value) -> tuple[Value, Value]:
    """k (float) and f = m - 1 with x = 2^k m, m in [sqrt(1/2), sqrt(2)), x > 0 finite."""
    mantissa = b.type.mantissa
    subnormal = x < b.type.min_normal
    bits = b.bits(b.select(subnormal, x * 2.0 ** (mantissa + 1), x))
    k = (bits - b.type.to_bits(SQRT_HALF)) >> mantissa
    f = b.from_bits(bits - (k << mantissa)) - 1.0
    return b.to_float(k) - b.select(subnormal, float(mantissa + 1), 0.0), f


def significand_by_table(b: Builder, x: Value, name: str) -> tuple[Value, Value, Value]:
    """k, c and an index with x = 2^k m, m in [3/4, 3/2) and c near 1 / m. Only on `wide` builders."""
    m = b.significand(x)
    exponent = b.exponent(x)
    k = b.select(m < 1.0, exponent + 1.0, exponent)
    index = b.bits(m).logical_shift_right(b.type.mantissa - 4)
    return k, b.lookup(table(b, f"{name}_reciprocal"), index), index


def split_by_table(b: Builder, x: Value, name: str) -> tuple[Value, Value, Value, Value]:
    """k, f, c and -log(c) in the base of the table, with x = 2^k (1 + f) / c.

    Specials need no care: k is -inf at 0 and inf at inf, where f = 0; f is NaN below 0.
    """
    k, c, index = significand_by_table(b, x, name)
    return k, b.fma(b.significand(x), c, -1.0), c, b.lookup(table(b, name), index)


def restore_special(b: Builder, x: Value, y: Value) -> Value:
    """NaN below 0, -inf at 0; inf and NaN kept."""
    y = b.select(x < INF, y, x)
    return b.select(x <= 0.0, b.select(x.equals(0.0), -INF, NAN), y)


def log_of_split(b: Builder, k: Value, f: Value, correction: Value | None = None) -> Value:
    """k ln2 + log(1 + f + correction), the correction being tiny or f zero."""
    high, low = constant(b, "ln2")
    square = f * f
    if b.type is F32:
        series = b.fma(f, b.polynomial_split(f, square, coefficients(b, "log")), -0.5)
        rest = b.fma(k, low, square * series)
    else:
        s = f / (f + 2.0)
        w = s * s
        half = 0.5 * square
        series = w * b.polynomial_split(w, w * w, coefficients(b, "log_odd"))
        rest = b.fma(s, half + series, k * low) - half
    if correction is not None:
        rest = b.fma(correction, square - f + 1.0, rest)  # correction / (1 + f)
    return b.fma(k, high, f + rest)


def log(b: Builder, x: Value) -> Value:
    """Natural logarithm."""
    if not b.wide:
        return restore_special(b, x, log_of_split(b, *split(b, x)))
    k, f, _, logarithm = split_by_table(b, x, "log")
    square = f * f
    series = b.fma(square, b.polynomial_split(f, square, coefficients(b, "log_sixteenth")), f)
    return b.fma(k, constant(b, "ln2")[0], logarithm) + series


def log_pair(b: Builder, f: Value) -> tuple[Value, Value]:
    """log(1 + f) as high + low (f64, about 2^-60 relative)."""
    square, square_error = b.two_product(f, f)
    half = 0.5 * square
    s = f / (f + 2.0)
    w = s * s
    series = w * b.polynomial_split(w, w * w, coefficients(b, "log_odd"))
    high = f - half
    return high, ((f - high) - half) + b.fma(s, half + series, -0.5 * square_error)


def _log_in_base(b: Builder, x: Value, name: str, per_octave: tuple[float, float]) -> Value:
    """log(x) / log(base): k per_octave + log(m), the two parts added without loss."""
    k, f = split(b, x)
    high, low = constant(b, f"inverse_{name}")
    if b.type is F32:
        square = f * f
        rest = b.fma(square, b.polynomial_split(f, square, coefficients(b, name)), f * low)
    else:
        f, f_low = log_pair(b, f)
        rest = b.fma(f_low, high, (f + f_low) * low)
    product, product_error = b.two_product(f, high)
    whole = k * per_octave[0]
    rest = b.fma(k, per_octave[1], product_error + rest)
    total, error = b.fast_two_sum(whole, product)
    return restore_special(b, x, total + (b.select(k.equals(0.0), 0.0, error) + rest))


def _log_in_base_by_table(b: Builder, x: Value, name: str, per_octave: tuple[float, float]) -> Value:
    k, f, _, logarithm = split_by_table(b, x, name)
    high, low = constant(b, f"inverse_{name}")
    square = f * f
    rest = b.fma(square, b.polynomial_split(f, square, coefficients(b, f"{name}_sixteenth")), f * low)
    whole, error = b.fast_two_sum(k * per_octave[0], logarithm)
    total = b.fma(f, high, whole)
    rest = b.fma(f, high, whole - total) + b.fma(k, per_octave[1], rest + error)
    return b.select(b.abs(k) < INF, total + rest, k + f)


def log2(b: Builder, x: Value) -> Value:
    """Logarithm in base 2."""
    return (_log_in_base_by_table if b.wide else _log_in_base)(b, x, "log2", (1.0, 0.0))


def log10(b: Builder, x: Value) -> Value:
    """Logarithm in base 10."""
    high, low = constant(b, "log10_of_2")
    return (_log_in_base_by_table if b.wide else _log_in_base)(b, x, "log10", (high, low))


def log1p_extended(
    b: Builder, x: Value, tail: Value | None = None, octaves: Value | None = None, drop_one: Value | None = None
) -> Value:
    """octaves ln2 + log(1 + x + tail) for finite x > -1; log(x + tail) where `drop_one`."""
    mantissa = b.type.mantissa
    one = b.const(1.0) if drop_one is None else b.select(drop_one, 0.0, 1.0)
    total, lost = b.two_sum(one, x)
    if tail is not None:
        lost = lost + tail
    bits = b.bits(total)
    k = (bits - b.type.to_bits(SQRT_HALF)) >> mantissa
    f = b.from_bits(bits - (k << mantissa)) - 1.0
    limited = b.select(k > b.type.bias - 1, b.type.bias - 1, k)
    correction = lost * b.from_bits(b.type.one_bits - (limited << mantissa))
    power = b.to_float(k)
    return log_of_split(b, power if octaves is None else power + octaves, f, correction)


def log1p(b: Builder, x: Value) -> Value:
    """log(1 + x)."""
    if b.wide:
        return _log1p_by_table(b, x)
    y = log1p_extended(b, x)
    y = b.select(x < INF, y, x)
    y = b.select(x.equals(0.0), x, y)
    return b.select(x <= -1.0, b.select(x.equals(-1.0), -INF, NAN), y)


def _log1p_by_table(b: Builder, x: Value) -> Value:
    total, lost = b.two_sum(b.const(1.0), x)
    y = log_with_error(b, total, lost)
    return b.copy_sign(b.select(x.equals(INF), x, y), x)


def log_with_error(b: Builder, x: Value, error: Value) -> Value:
    """log(x + error) for |error| of at most a few units in the last place of x. Only on `wide` builders."""
    k, f, c, logarithm = split_by_table(b, x, "log")
    correction = b.scale(error, b.clamp(-k, None, 2.0 * b.type.bias)) * c
    correction = b.fnma(correction, f, correction)  # error / x, to first order in f
    square = f * f
    series = b.fma(square, b.polynomial_split(f, square, coefficients(b, "log_sixteenth")), correction)
    return b.fma(k, constant(b, "ln2")[0], logarithm) + (f + series)


def softplus(b: Builder, x: Value) -> Value:
    """log(1 + e^x)."""
    e = exp(b, -b.abs(x), exact=True)
    if b.wide:
        total, lost = b.fast_two_sum(b.const(1.0), e)
        y = b.max(x, 0.0) + log_with_error(b, total, lost)
    else:
        y = b.select(x > 0.0, x, 0.0) + log1p_extended(b, e)
    return b.select(b.is_nan(x), x, y)


def log_sigmoid(b: Builder, x: Value) -> Value:
    """log(1 / (1 + e^-x))."""
    return -softplus(b, -x)


def logaddexp(b: Builder, x: Value, y: Value) -> Value:
    """log(e^x + e^y)."""
    larger = b.select(x > y, x, y)
    difference = b.abs(x - y)
    e = exp(b, -difference, exact=True)
    total, lost = b.fast_two_sum(b.const(1.0), e)
    grown = larger + (log_with_error(b, total, lost) if b.wide else log1p_extended(b, e))
    return b.select(x.equals(y), x + pick(b, 0.69314718, 0.6931471805599453), _keep_nan(b, x, y, grown, larger))


def logaddexp2(b: Builder, x: Value, y: Value) -> Value:
    """log2(2^x + 2^y)."""
    larger = b.select(x > y, x, y)
    difference = b.abs(x - y)
    e = exp2(b, -difference)
    total, lost = b.fast_two_sum(b.const(1.0), e)
    natural = log_with_error(b, total, lost) if b.wide else log1p_extended(b, e)
    grown = b.fma(natural, constant(b, "inverse_ln2")[0], larger)
    return b.select(x.equals(y), x + 1.0, _keep_nan(b, x, y, grown, larger))


def _keep_nan(b: Builder, x: Value, y: Value, grown: Value, larger: Value) -> Value:
    """`grown`, but the infinity if an operand is infinite and NaN if one is NaN."""
    difference = x - y
    y_or_nan = b.select(b.is_nan(x) | b.is_nan(y), x + y, larger + 0.0)
    return b.select(b.abs(difference) < INF, grown, y_or_nan)
