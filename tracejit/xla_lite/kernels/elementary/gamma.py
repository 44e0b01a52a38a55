"""The logarithm of the gamma function and its derivative.

Flows in: values of a builder.
Flows out: results within 2.5 ULP for x > 0; for x < 0 as good as the reflection formulas let them be.

Polynomials around 1 and 2 (the zeros of lgamma factored out) or [1, 2.25] (the zero of digamma factored out),
recurrences on either side of them, and Stirling's series beyond. f32 goes through f64.
"""

from __future__ import annotations

from collections.abc import Callable

from tracejit.xla_lite.kernels.elementary.builder import F32, Builder, Value
from tracejit.xla_lite.kernels.elementary.common import INF, NAN, coefficients, constant
from tracejit.xla_lite.kernels.elementary.logarithm import log_of_split, split
from tracejit.xla_lite.kernels.elementary.trigonometric import sincos


def _by_f64(b: Builder, x: Value, function: Callable[[Builder, Value], Value]) -> Value:
    wide = b.twin()
    return wide.narrow(function(wide, b.widen(x)))


def _log(b: Builder, x: Value) -> Value:
    """log of x > 0, also infinite."""
    return b.select(x < INF, log_of_split(b, *split(b, x)), x)


def _lgamma_positive(b: Builder, x: Value) -> Value:
    """lgamma for x > 0: Stirling from 8.5 on, below by (r - 1) P(r - 1) or (r - 2) Q(r - 2) and one logarithm."""
    tiny, large = x < 0.75, x >= 8.5
    r = b.select(tiny, x + 1.0, b.select(large, 2.0, x))
    product = b.const(1.0)
    for _ in range(6):
        again = r >= 2.5
        r = b.select(again, r - 1.0, r)
        product = b.select(again, product * r, product)
    logarithm = _log(b, b.select(tiny | large, x, product))
    low = r < 1.5
    t = r - b.select(low, 1.0, 2.0)
    near = t * b.select(
        low, b.polynomial(t, coefficients(b, "lgamma_near_1")), b.polynomial(t, coefficients(b, "lgamma_near_2"))
    )
    small = near + b.select(tiny, -logarithm, logarithm)
    inverse = 1.0 / x
    series = inverse * b.polynomial(inverse * inverse, coefficients(b, "lgamma_series"))
    stirling = b.fma(x - 0.5, logarithm - 1.0, series + (constant(b, "half_log_two_pi")[0] - 0.5))
    return b.select(large, stirling, small)


def _distance_to_integer(b: Builder, a: Value) -> Value:
    """a minus the nearest integer."""
    return a - b.rint(a)


def _lgamma(b: Builder, x: Value) -> Value:
    a = b.abs(x)
    y = b.select(a < INF, _lgamma_positive(b, a), a)

    def reflected() -> tuple[Value]:
        sine, _ = sincos(b, _distance_to_integer(b, a) * constant(b, "pi")[0])
        quotient = constant(b, "pi")[0] / (a * b.abs(sine))
        mirrored = _log(b, quotient) - y
        return (b.select(quotient < INF, mirrored, b.select(a < 1.0, y, INF)),)

    (y,) = b.if_any((x < 0.0) & (a < INF), reflected, (y,))
    return b.select(x.equals(0.0), INF, y)


def lgamma(b: Builder, x: Value) -> Value:
    """log |gamma(x)|; inf at 0 and the negative integers."""
    return _by_f64(b, x, _lgamma) if b.type is F32 else _lgamma(b, x)


def _digamma_positive(b: Builder, x: Value) -> Value:
    """digamma for x > 0: the asymptotic series from 5 on, below by recurrence to [1, 2.25]."""
    tiny, large = x < 1.0, x >= 5.0
    r = b.select(tiny, x + 1.0, b.select(large, 2.0, x))
    numerator, denominator = b.const(0.0), b.const(1.0)  # the sum of the reciprocals
    for _ in range(3):
        again = r >= 2.25
        r = b.select(again, r - 1.0, r)
        numerator = b.select(again, b.fma(numerator, r, denominator), numerator)
        denominator = b.select(again, denominator * r, denominator)
    inverse = b.select(tiny | large, 1.0, numerator) / b.select(tiny | large, x, denominator)
    root, root_low = constant(b, "digamma_root")
    near = ((r - root) - root_low) * b.polynomial(r - 1.625, coefficients(b, "digamma_near_root"))
    small = near + b.select(tiny, -inverse, inverse)
    square = inverse * inverse
    series = b.fma(inverse, -0.5, square * b.polynomial(square, coefficients(b, "digamma_series")))
    return b.select(large, _log(b, x) + series, small)


def _digamma(b: Builder, x: Value) -> Value:
    mirrored = x < 0.0
    a = b.select(mirrored, 1.0 - x, x)
    y = _digamma_positive(b, b.select(a > 0.0, a, 1.0))

    def reflected() -> tuple[Value]:
        distance = _distance_to_integer(b, x)
        sine, cosine = sincos(b, distance * constant(b, "pi")[0])
        value = y - constant(b, "pi")[0] * cosine / sine
        return (b.select(distance.equals(0.0), NAN, value),)

    (y,) = b.if_any(mirrored, reflected, (y,))
    y = b.select(x.equals(0.0), -b.copy_sign(b.const(INF), x), y)
    y = b.select(x.equals(-INF), NAN, y)
    return b.select(b.is_nan(x), x, y)


def digamma(b: Builder, x: Value) -> Value:
    """The derivative of lgamma; NaN at the negative integers, an infinity at 0."""
    return _by_f64(b, x, _digamma) if b.type is F32 else _digamma(b, x)
