"""Sine, cosine and tangent, for arguments of any size.

Flows in: values of a builder.
Flows out: results within 1.7 ULP.

x = n pi/2 + r by three fused steps (pi/2 in three parts; the first step is exact). Lanes above 1e5 (f32) or
1e9 (f64) go through the reduction of Payne and Hanek, out of line: the bits of 2/pi that matter are gathered,
multiplied exactly, and f32 uses the f64 code on widened lanes.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import F32, Builder, Table, Value
from tracejit.xla_lite.kernels.elementary.coefficients import CONSTANTS
from tracejit.xla_lite.kernels.elementary.common import coefficients, constant, pick, round_to_multiple
from tracejit.xla_lite.kernels.elementary.tables import TWO_OVER_PI

PIECES: Table = ("two_over_pi", tuple(float(piece) for piece in TWO_OVER_PI))


def _modulo_four(b: Builder, x: Value) -> Value:
    return b.fnma(4.0, b.rint(x * 0.25), x)


def _aligned_significand(b: Builder, x: Value) -> tuple[Value, Value]:
    """The first piece of 2/pi which matters for x, and m with x (2/pi) = m (pieces from there) mod 4."""
    bits = b.bits(x)
    exponent = (bits.logical_shift_right(52) & 0x7FF) - 1075  # x = significand 2^exponent, an integer of 53 bits
    first = b.select(exponent > 2, exponent - 2, 0) >> 3  # 8 first bits of 2/pi only give multiples of 4
    shift = exponent - (first << 3)
    return first, b.from_bits((bits & ((1 << 52) - 1)) | ((shift + 1075) << 52))


def reduce_large(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """x = n pi/2 + r + tail for finite f64 x >= 0; returns r, tail, n (a float modulo 4)."""
    first, m = _aligned_significand(b, x)
    pieces = [b.gather(PIECES, first + 3 * j) for j in range(8)]
    words = [
        b.fma(pieces[2 * j], 2.0 ** -(24 + 48 * j), pieces[2 * j + 1] * 2.0 ** -(48 + 48 * j)) for j in range(4)
    ]
    (h0, l0), (h1, l1), (h2, l2) = (b.two_product(m, word) for word in words[:3])
    total, e0 = b.two_sum(_modulo_four(b, h0), _modulo_four(b, l0))
    total, e1 = b.two_sum(total, _modulo_four(b, h1))
    n = b.rint(total)
    high, e2 = b.two_sum(total - n, l1)
    high, e3 = b.two_sum(high, h2)
    high, low = b.two_sum(high, (e0 + e1) + (e2 + e3) + (l2 + m * words[3]))
    p1, p2 = CONSTANTS["half_pi", "f64"][:2]
    r, error = b.two_product(high, p1)
    return r, error + b.fma(high, p2, low * p1), n


def trigonometric_slow(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """`reduce_large` for either type and sign; NaN for infinities and NaN."""
    invalid = x * 0.0
    sign = b.sign(x)
    if b.type is F32:
        wide = b.twin()
        r, tail, n = reduce_large(wide, b.widen(b.abs(x)))
        r, tail = wide.fast_two_sum(r, tail)
        short = wide.narrow(r)
        rest = wide.narrow((r - b.widen(short)) + tail)
        r, tail, n = short, rest, wide.narrow(n)
    else:
        r, tail, n = reduce_large(b, b.abs(x))
    return b.flip_sign(r, sign) + invalid, b.flip_sign(tail, sign), b.flip_sign(n, sign)


def _reduce(b: Builder, x: Value, exact: bool) -> tuple[Value, Value, Value]:
    """x = n pi/2 + r + tail: r, tail (0 unless `exact`), an integer with n in its low bits."""
    p1, p2, p3 = constant(b, "half_pi_from_below")
    n, bits = round_to_multiple(b, x, constant(b, "two_over_pi")[0])
    first = b.fnma(p1, n, x)
    if exact:
        product = n * p2
        r = first - product  # may cancel: every rounding error is kept
        tail = ((first - r) - product) - b.fma(p3, n, b.fma(p2, n, -product))
    else:
        r = b.fnma(p3, n, b.fnma(p2, n, first))
        tail = r

    def slow() -> tuple[Value, ...]:
        slow_r, slow_tail, slow_n = b.outlined("trigonometric_slow", trigonometric_slow, x)
        slow_bits = b.bits(slow_n + b.type.magic)
        return (slow_r, slow_tail, slow_bits) if exact else (slow_r + slow_tail, slow_bits)

    large = b.abs(x) > pick(b, 1.0e5, 1.0e9)
    if exact:
        r, tail, bits = b.if_any(large, slow, (r, tail, bits))
    else:
        r, bits = b.if_any(large, slow, (r, bits))
    return r, tail, bits


def _sine_part(b: Builder, r: Value, square: Value) -> Value:
    """sin(r), |r| <= pi/4. The constant term 0 keeps the sign of r = -0."""
    return b.fma(r, b.polynomial(square, (0.0, *coefficients(b, "sin_quarter"))), r)


def _cosine_part(b: Builder, square: Value) -> Value:
    """cos(r), |r| <= pi/4."""
    return b.polynomial(square, (1.0, -0.5, *coefficients(b, "cos_quarter")))


def sincos(b: Builder, x: Value) -> tuple[Value, Value]:
    """Sine and cosine, one reduction for both."""
    r, _, bits = _reduce(b, x, exact=False)
    square = r * r
    s, c = _sine_part(b, r, square), _cosine_part(b, square)
    odd = (bits & 1).differs(0)
    top = b.type.bits - 2
    sine = b.flip_sign(b.select(odd, c, s), (bits & 2) << top)
    return sine, b.flip_sign(b.select(odd, s, c), ((bits + 1) & 2) << top)


def sin(b: Builder, x: Value) -> Value:
    """Sine."""
    r, _, bits = _reduce(b, x, exact=False)
    square = r * r
    s, c = _sine_part(b, r, square), _cosine_part(b, square)
    return b.flip_sign(b.select((bits & 1).differs(0), c, s), (bits & 2) << (b.type.bits - 2))


def cos(b: Builder, x: Value) -> Value:
    """Cosine."""
    r, _, bits = _reduce(b, x, exact=False)
    square = r * r
    s, c = _sine_part(b, r, square), _cosine_part(b, square)
    return b.flip_sign(b.select((bits & 1).differs(0), s, c), ((bits + 1) & 2) << (b.type.bits - 2))


def tan(b: Builder, x: Value) -> Value:
    """Tangent: sine and cosine as double words, one division with the residual put right."""
    a = b.abs(x)
    r, tail, bits = _reduce(b, a, exact=True)
    square = r * r
    sine_low = b.fma(r * square, b.polynomial(square, coefficients(b, "sin_quarter")), tail)
    half = 0.5 * square
    cosine = 1.0 - half
    quartic = square * square
    cosine_low = b.fma(quartic, b.polynomial(square, coefficients(b, "cos_quarter")), -(r * tail))
    cosine_low = b.fma(b.fma(r, r, -square), -0.5, ((1.0 - cosine) - half) + cosine_low)
    sine, sine_low = b.fast_two_sum(r, sine_low)
    cosine, cosine_low = b.fast_two_sum(cosine, cosine_low)
    odd = (bits & 1).differs(0)
    upper, upper_low = b.select(odd, cosine, sine), b.select(odd, cosine_low, sine_low)
    lower, lower_low = b.select(odd, sine, cosine), b.select(odd, sine_low, cosine_low)
    reciprocal = 1.0 / lower
    quotient = upper * reciprocal
    residual = b.fnma(quotient, lower, upper) + b.fnma(quotient, lower_low, upper_low)
    quotient = b.fma(residual, reciprocal, quotient)
    return b.flip_sign(quotient, (bits << (b.type.bits - 1)) ^ b.sign(x))
