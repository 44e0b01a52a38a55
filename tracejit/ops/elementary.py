"""Elementary and special functions, element by element.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `pointwise`. Engines compute real ones within 2 ULP (4 where the op says nothing else).
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply, compare, select
from tracejit.ops import complexes as c
from tracejit.ops.declare import FLOAT, INEXACT, pointwise
from tracejit.ops.derivatives import partials
from tracejit.ops.references import digamma as _digamma
from tracejit.ops.references import elementwise, erf_inv, in_double, lgamma, logistic


def _elementary(name: str, numpy: Callable[..., Any], short: str, complex_rule: Callable[..., Any] | None = None,
                **facts: Any) -> Op:
    """One operand; complex numbers too if their rule is given."""
    def scalar(b: Any, x: Any) -> Any:
        return complex_rule(b, x) if complex_rule is not None and x.dtype.is_complex else b.call(short, x)

    return pointwise(name, dtypes=[INEXACT if complex_rule else FLOAT], numpy=numpy, scalar=scalar,
                     **{"exact": False, "cost": 15, **facts})


def _binary(name: str, numpy: Callable[..., Any], short: str, **facts: Any) -> Op:
    return pointwise(name, dtypes=[FLOAT, FLOAT], numpy=numpy, scalar=lambda b, x, y: b.call(short, x, y),
                     **{"exact": False, "cost": 20, **facts})


TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def inverse_root(x: Term) -> Term:
    return 1 / apply("sqrt", x) if x.dtype.is_complex else apply("rsqrt", x)


def slope(x: Term, length: Term) -> Term:
    """x / length, the derivative of hypot; 0 at the origin."""
    at_zero = compare("EQ", length, 0)
    return select(at_zero, 0, x / select(at_zero, 1, length))


def share(x: Term, out: Term) -> Term:
    """exp(x - out), the derivative of logaddexp; 1 where both are the same infinity."""
    return select(compare("EQ", x, out), 1, apply("exponential", x - out))


def trigamma(x: Term) -> Term:
    """The derivative of digamma, by reflection, recurrence and the asymptotic series (DLMF 5.15.6, 5.15.5, 5.15.8)."""
    reflected = compare("LT", x, 0.5)
    z = select(reflected, 1 - x, x)
    near: Any = 0
    for k in range(10):
        near = 1 / ((z + k) * (z + k)) + near
    t = 1 / (z + 10)
    u = t * t
    far = t + 0.5 * u + t * u * (1 / 6 - u * (1 / 30 - u * (1 / 42 - u * (1 / 30 - u * (5 / 66)))))
    sine_ = apply("sine", math.pi * x)
    return select(reflected, math.pi ** 2 / (sine_ * sine_) - (near + far), near + far)


POSITIVE, UNIT, ABOVE_ONE = (0.1, 4.0), (-0.95, 0.95), (1.05, 4.0)

sqrt = _elementary("sqrt", np.sqrt, "sqrt", c.complex_sqrt, domain=POSITIVE, exact=True, cost=5,
                   gradient=partials(lambda y, x: 0.5 / y))
rsqrt = _elementary("rsqrt", in_double(lambda x: 1 / np.sqrt(x)), "rsqrt", domain=POSITIVE, cost=6,
                    gradient=partials(lambda y, x: -0.5 * y / x))
cbrt = _elementary("cbrt", np.cbrt, "cbrt",
                   gradient=partials(lambda y, x: 1 / (3 * y * y)))
exponential = _elementary("exponential", np.exp, "exp", c.complex_exp, cost=10,
                          gradient=partials(lambda y, x: y))
exponential2 = _elementary("exponential2", np.exp2, "exp2",
                           lambda b, z: c.complex_exp(b, c.scaled(b, z, c.LN_2)), cost=10,
                           gradient=partials(lambda y, x: y * math.log(2)))
exponential_minus_one = _elementary("exponential_minus_one", np.expm1, "expm1", c.complex_expm1, cost=12,
                                    gradient=partials(lambda y, x: y + 1))
log = _elementary("log", np.log, "log", c.complex_log, domain=POSITIVE, cost=10,
                  gradient=partials(lambda y, x: 1 / x))
log2 = _elementary("log2", np.log2, "log2", lambda b, z: c.scaled(b, c.complex_log(b, z), c.LOG2_E),
                   domain=POSITIVE, cost=10,
                   gradient=partials(lambda y, x: 1 / (x * math.log(2))))
log10 = _elementary("log10", np.log10, "log10", lambda b, z: c.scaled(b, c.complex_log(b, z), c.LOG10_E),
                    domain=POSITIVE, cost=10,
                    gradient=partials(lambda y, x: 1 / (x * math.log(10))))
log_plus_one = _elementary("log_plus_one", np.log1p, "log1p", c.complex_log1p, domain=(-0.9, 4.0), cost=12,
                           gradient=partials(lambda y, x: 1 / (x + 1)))

sine = _elementary("sine", np.sin, "sin", c.complex_sin,
                   gradient=partials(lambda y, x: apply("cosine", x)))
cosine = _elementary("cosine", np.cos, "cos", c.complex_cos,
                     gradient=partials(lambda y, x: -apply("sine", x)))
tan = _elementary("tan", np.tan, "tan", c.complex_tan, domain=(-1.5, 1.5), cost=25,
                  gradient=partials(lambda y, x: y * y + 1))
asin = _elementary("asin", np.arcsin, "asin", c.complex_asin, domain=UNIT,
                   gradient=partials(lambda y, x: inverse_root(1 - x * x)))
acos = _elementary("acos", np.arccos, "acos", c.complex_acos, domain=UNIT,
                   gradient=partials(lambda y, x: -inverse_root(1 - x * x)))
atan = _elementary("atan", np.arctan, "atan", c.complex_atan,
                   gradient=partials(lambda y, x: 1 / (x * x + 1)))
sinh = _elementary("sinh", np.sinh, "sinh", c.complex_sinh,
                   gradient=partials(lambda y, x: apply("cosh", x)))
cosh = _elementary("cosh", np.cosh, "cosh", c.complex_cosh,
                   gradient=partials(lambda y, x: apply("sinh", x)))
tanh = _elementary("tanh", np.tanh, "tanh", c.complex_tanh,
                   gradient=partials(lambda y, x: 1 - y * y))
asinh = _elementary("asinh", np.arcsinh, "asinh", c.complex_asinh, cost=20,
                    gradient=partials(lambda y, x: inverse_root(x * x + 1)))
acosh = _elementary("acosh", np.arccosh, "acosh", c.complex_acosh, domain=ABOVE_ONE, cost=20,
                    gradient=partials(lambda y, x: inverse_root(x - 1) * inverse_root(x + 1)))
atanh = _elementary("atanh", np.arctanh, "atanh", c.complex_atanh, domain=UNIT, cost=20,
                    gradient=partials(lambda y, x: 1 / (1 - x * x)))

logistic_ = _elementary("logistic", logistic, "sigmoid",
                        gradient=partials(lambda y, x: y * (1 - y)))
erf = _elementary("erf", elementwise(math.erf), "erf",
                  gradient=partials(lambda y, x: TWO_OVER_ROOT_PI * apply("exponential", -(x * x))))
erfc = _elementary("erfc", elementwise(math.erfc), "erfc", cost=25,
                   gradient=partials(lambda y, x: -TWO_OVER_ROOT_PI * apply("exponential", -(x * x))))
erf_inv_ = _elementary("erf_inv", erf_inv, "erfinv", domain=UNIT, cost=25, ulps=8.0,
                       gradient=partials(lambda y, x: (1 / TWO_OVER_ROOT_PI) * apply("exponential", y * y)))
lgamma_ = _elementary("lgamma", lgamma, "lgamma", domain=(0.1, 9.0), cost=60, ulps=64.0,
                      gradient=partials(lambda y, x: apply("digamma", x)))
digamma = _elementary("digamma", _digamma, "digamma", domain=(0.1, 9.0), cost=60, ulps=64.0,
                      gradient=partials(lambda y, x: trigamma(x)))

atan2 = _binary("atan2", np.arctan2, "atan2",
                gradient=partials(lambda out, x, y: y / (x * x + y * y), lambda out, x, y: -x / (x * x + y * y)))
hypot = _binary("hypot", np.hypot, "hypot", cost=10,
                gradient=partials(lambda out, x, y: slope(x, out), lambda out, x, y: slope(y, out)))
logaddexp = _binary("logaddexp", np.logaddexp, "logaddexp", cost=30,
                    gradient=partials(lambda out, x, y: share(x, out), lambda out, x, y: share(y, out)))
logaddexp2 = _binary("logaddexp2", np.logaddexp2, "logaddexp2", cost=30,
                     gradient=partials(lambda out, x, y: apply("exponential2", x - out),
                                         lambda out, x, y: apply("exponential2", y - out)))
