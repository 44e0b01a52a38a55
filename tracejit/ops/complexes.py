"""Elementary functions of complex numbers, written with real ones.

Flows in:  a scalar builder and complex scalars.
Flows out: complex scalars. Branch cuts are NumPy's. Source: W. Kahan, Branch
           cuts for complex elementary functions (1987).
"""
from __future__ import annotations

import math
from typing import Any

from tracejit.ops.scalars import like


def parts(b: Any, z: Any) -> tuple[Any, Any]:
    return b.real(z), b.imag(z)


def modulus(b: Any, z: Any) -> Any:
    return b.call("hypot", *parts(b, z))


def conjugate(b: Any, z: Any) -> Any:
    return b.complex(b.real(z), b.negate(b.imag(z)))


def times_i(b: Any, z: Any) -> Any:
    return b.complex(b.negate(b.imag(z)), b.real(z))


def over_i(b: Any, z: Any) -> Any:
    return b.complex(b.imag(z), b.negate(b.real(z)))


def scaled(b: Any, z: Any, factor: float) -> Any:
    """z times a real constant."""
    x, y = parts(b, z)
    return b.complex(b.multiply(x, like(b, factor, x)), b.multiply(y, like(b, factor, y)))


def shifted(b: Any, z: Any, amount: float) -> Any:
    """z plus a real constant; the sign of a zero imaginary part is kept."""
    x, y = parts(b, z)
    return b.complex(b.add(x, like(b, amount, x)), y)


def polar(b: Any, r: Any, angle: Any) -> Any:
    return b.complex(b.multiply(r, b.call("cos", angle)), b.multiply(r, b.call("sin", angle)))


def complex_sign(b: Any, z: Any) -> Any:
    """z / |z|; 0 of 0."""
    x, y = parts(b, z)
    r, zero = modulus(b, z), like(b, 0, x)
    is_zero = b.compare("EQ", r, zero)
    divisor = b.select(is_zero, like(b, 1, x), r)
    return b.complex(b.select(is_zero, zero, b.divide(x, divisor)), b.select(is_zero, zero, b.divide(y, divisor)))


def complex_exp(b: Any, z: Any) -> Any:
    x, y = parts(b, z)
    w = polar(b, b.call("exp", x), y)
    is_real = b.compare("EQ", y, like(b, 0, y))
    return b.select(is_real, b.complex(b.call("exp", x), y), w)


def complex_expm1(b: Any, z: Any) -> Any:
    """expm1(x) cos y - 2 sin(y/2)^2 + i exp(x) sin y: no cancellation near 0."""
    x, y = parts(b, z)
    half = b.call("sin", b.multiply(y, like(b, 0.5, y)))
    re = b.subtract(b.multiply(b.call("expm1", x), b.call("cos", y)),
                    b.multiply(like(b, 2, x), b.multiply(half, half)))
    return b.complex(re, b.multiply(b.call("exp", x), b.call("sin", y)))


def complex_log(b: Any, z: Any) -> Any:
    x, y = parts(b, z)
    return b.complex(b.call("log", b.call("hypot", x, y)), b.call("atan2", y, x))


def complex_log1p(b: Any, z: Any) -> Any:
    return complex_log(b, shifted(b, z, 1.0))


def complex_sqrt(b: Any, z: Any) -> Any:
    """t = sqrt((|x| + |z|) / 2) is one part, y / 2t the other."""
    x, y = parts(b, z)
    zero, half, one = like(b, 0, x), like(b, 0.5, x), like(b, 1, x)
    t = b.call("sqrt", b.add(b.multiply(b.call("abs", x), half), b.multiply(modulus(b, z), half)))
    is_zero = b.compare("EQ", t, zero)
    other = b.divide(b.multiply(y, half), b.select(is_zero, one, t))
    right = b.complex(t, b.select(is_zero, y, other))
    left = b.complex(b.call("abs", other), b.call("copysign", t, y))
    return b.select(b.or_(b.compare("GE", x, zero), is_zero), right, left)


def complex_sinh(b: Any, z: Any) -> Any:
    x, y = parts(b, z)
    return b.complex(b.multiply(b.call("sinh", x), b.call("cos", y)), b.multiply(b.call("cosh", x), b.call("sin", y)))


def complex_cosh(b: Any, z: Any) -> Any:
    x, y = parts(b, z)
    return b.complex(b.multiply(b.call("cosh", x), b.call("cos", y)), b.multiply(b.call("sinh", x), b.call("sin", y)))


def complex_tanh(b: Any, z: Any) -> Any:
    """With t = tan y, s = sinh x: (s rho beta + i t) / (1 + beta s^2), beta = 1 + t^2, rho^2 = 1 + s^2; +-1 far out."""
    x, y = parts(b, z)
    one = like(b, 1, x)
    t, s = b.call("tan", y), b.call("sinh", x)
    beta, rho = b.fma(t, t, one), b.call("sqrt", b.fma(s, s, one))
    scale = b.fma(beta, b.multiply(s, s), one)
    near = b.complex(b.divide(b.multiply(b.multiply(beta, rho), s), scale), b.divide(t, scale))
    size = b.call("abs", x)
    wave = b.multiply(like(b, 4, x), b.multiply(b.call("sin", y), b.call("cos", y)))
    far = b.complex(b.call("copysign", one, x), b.multiply(wave, b.call("exp", b.multiply(like(b, -2, x), size))))
    return b.select(b.compare("GT", size, like(b, 20, x)), far, near)


def complex_sin(b: Any, z: Any) -> Any:
    return over_i(b, complex_sinh(b, times_i(b, z)))


def complex_cos(b: Any, z: Any) -> Any:
    return complex_cosh(b, times_i(b, z))


def complex_tan(b: Any, z: Any) -> Any:
    return over_i(b, complex_tanh(b, times_i(b, z)))


def _roots(b: Any, z: Any) -> tuple[Any, Any]:
    """sqrt(1 - z) and sqrt(1 + z)."""
    x, y = parts(b, z)
    one = like(b, 1, x)
    return complex_sqrt(b, b.complex(b.subtract(one, x), b.negate(y))), complex_sqrt(b, shifted(b, z, 1.0))


def complex_asin(b: Any, z: Any) -> Any:
    minus, plus = _roots(b, z)
    re = b.call("atan2", b.real(z), b.real(b.multiply(minus, plus)))
    return b.complex(re, b.call("asinh", b.imag(b.multiply(conjugate(b, minus), plus))))


def complex_acos(b: Any, z: Any) -> Any:
    minus, plus = _roots(b, z)
    angle = b.call("atan2", b.real(minus), b.real(plus))
    return b.complex(b.add(angle, angle), b.call("asinh", b.imag(b.multiply(conjugate(b, plus), minus))))


def complex_acosh(b: Any, z: Any) -> Any:
    minus, plus = complex_sqrt(b, shifted(b, z, -1.0)), complex_sqrt(b, shifted(b, z, 1.0))
    angle = b.call("atan2", b.imag(minus), b.real(plus))
    return b.complex(b.call("asinh", b.real(b.multiply(conjugate(b, minus), plus))), b.add(angle, angle))


def complex_asinh(b: Any, z: Any) -> Any:
    return over_i(b, complex_asin(b, times_i(b, z)))


def complex_atanh(b: Any, z: Any) -> Any:
    """log1p(4x / ((1-x)^2 + y^2)) / 4 + i atan2(2y, (1-x)(1+x) - y^2) / 2."""
    x, y = parts(b, z)
    one, minus = like(b, 1, x), b.subtract(like(b, 1, x), x)
    ratio = b.divide(b.multiply(like(b, 4, x), x), b.fma(minus, minus, b.multiply(y, y)))
    angle = b.call("atan2", b.add(y, y), b.subtract(b.multiply(minus, b.add(one, x)), b.multiply(y, y)))
    return b.complex(b.multiply(like(b, 0.25, x), b.call("log1p", ratio)), b.multiply(like(b, 0.5, x), angle))


def complex_atan(b: Any, z: Any) -> Any:
    return over_i(b, complex_atanh(b, times_i(b, z)))


def complex_power(b: Any, z: Any, w: Any) -> Any:
    """exp(w log z); 1 if w = 0, 0 if z = 0 and the real part of w is positive."""
    zero, one = like(b, 0, b.real(z)), like(b, 1, b.real(z))
    result = complex_exp(b, b.multiply(w, complex_log(b, z)))
    z_is_zero = b.and_(b.compare("EQ", b.real(z), zero), b.compare("EQ", b.imag(z), zero))
    w_is_zero = b.and_(b.compare("EQ", b.real(w), zero), b.compare("EQ", b.imag(w), zero))
    vanishes = b.and_(z_is_zero, b.compare("GT", b.real(w), zero))
    return b.select(w_is_zero, b.complex(one, zero), b.select(vanishes, b.complex(zero, zero), result))


LOG2_E, LOG10_E, LN_2 = math.log2(math.e), math.log10(math.e), math.log(2)
