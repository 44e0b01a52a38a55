"""Arc functions: asin, acos, atan, atan2.

Flows in: values of a builder.
Flows out: results within 1.8 ULP, C99's specials.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import F32, F64, Builder, Value
from tracejit.xla_lite.kernels.elementary.common import coefficients, constant

TAN_EIGHTH_TURN = 0.41421356237309503


def _asin_parts(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """Mask of |x| > 1/2, and asin as s + t of |x|, or of sqrt((1 - |x|) / 2) there."""
    a = b.abs(x)
    big = a > 0.5
    z = b.select(big, b.fnma(0.5, a, 0.5), a * a)
    s = b.select(big, b.sqrt(z), a)
    return big, s, s * z * b.polynomial_split(z, z * z, coefficients(b, "asin"))


def asin(b: Builder, x: Value) -> Value:
    """Arc sine; NaN outside [-1, 1]."""
    big, s, t = _asin_parts(b, x)
    high, low = constant(b, "half_pi")[:2]
    y = b.select(big, high - (2.0 * s + (2.0 * t - low)), s + t)
    return b.flip_sign(y, b.sign(x))


def acos(b: Builder, x: Value) -> Value:
    """Arc cosine; NaN outside [-1, 1]."""
    big, s, t = _asin_parts(b, x)
    high, low = constant(b, "half_pi")[:2]
    sign = b.sign(x)
    middle = high - (b.flip_sign(s, sign) - (low - b.flip_sign(t, sign)))
    far = 2.0 * b.select(x < 0.0, high - (s + (t - low)), s + t)
    return b.select(big, far, middle)


def _atan_of_quotient(b: Builder, numerator: Value, denominator: Value) -> tuple[Value, Value]:
    """atan of a quotient in [0, 1] as high + low; f64 folds what is above tan(pi/8) at pi/4."""
    if b.type is F32:
        t = numerator / denominator
        square = t * t
        return t, t * square * b.polynomial(square, coefficients(b, "atan"))
    high, low = constant(b, "quarter_pi")
    above = numerator > denominator * TAN_EIGHTH_TURN
    t = b.select(above, numerator - denominator, numerator) / b.select(above, numerator + denominator, denominator)
    square = t * t
    rest = t * square * b.polynomial_split(square, square * square, coefficients(b, "atan_eighth"))
    total, error = b.fast_two_sum(b.select(above, high, 0.0), t)
    rest = rest + b.select(above, error, 0.0)
    return b.select(above, total, t), b.fma(b.select(above, 1.0, 0.0), low, rest)


def atan(b: Builder, x: Value) -> Value:
    """Arc tangent."""
    a = b.abs(x)
    inverted = a > 1.0
    p, rest = _atan_of_quotient(b, b.select(inverted, 1.0, a), b.select(inverted, a, 1.0))
    high, low = constant(b, "half_pi")[:2]
    y = b.select(inverted, high - (p + (rest - low)), p + rest)
    return b.flip_sign(y, b.sign(x))


def atan2(b: Builder, y: Value, x: Value) -> Value:
    """Angle of the point (x, y)."""
    ay, ax = b.abs(y), b.abs(x)
    if b.type is F64:  # the sum of numerator and denominator must not overflow
        shrink = b.select(b.max(ay, ax) > 2.0**1000, 2.0**-60, 1.0)
        ay, ax = ay * shrink, ax * shrink
    steep = ay > ax
    numerator, denominator = b.select(steep, ax, ay), b.select(steep, ay, ax)
    same = numerator.equals(denominator)  # both 0, both infinite, or equal
    one = b.select(denominator.equals(0.0), 0.0, 1.0)
    p, rest = _atan_of_quotient(b, b.select(same, one, numerator), b.select(same, 1.0, denominator))
    left = b.bits(x) < 0
    pi, half_pi = constant(b, "pi"), constant(b, "half_pi")
    high = b.select(steep, half_pi[0], b.select(left, pi[0], 0.0))
    low = b.select(steep, half_pi[1], b.select(left, pi[1], 0.0))
    flip = b.select(steep ^ left, b.int_const(b.type.sign_bit), 0)
    p, rest = b.flip_sign(p, flip), b.flip_sign(rest, flip)
    angle = b.select(steep | left, high + (p + (rest + low)), p + rest)
    return b.flip_sign(angle, b.sign(y))
