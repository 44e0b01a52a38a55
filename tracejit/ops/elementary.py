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
from tracejit.ops import complexes as c
from tracejit.ops.declare import FLOAT, INEXACT, pointwise
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


POSITIVE, UNIT, ABOVE_ONE = (0.1, 4.0), (-0.95, 0.95), (1.05, 4.0)

sqrt = _elementary("sqrt", np.sqrt, "sqrt", c.complex_sqrt, domain=POSITIVE, exact=True, cost=5)
rsqrt = _elementary("rsqrt", in_double(lambda x: 1 / np.sqrt(x)), "rsqrt", domain=POSITIVE, cost=6)
cbrt = _elementary("cbrt", np.cbrt, "cbrt")
exponential = _elementary("exponential", np.exp, "exp", c.complex_exp, cost=10)
exponential2 = _elementary("exponential2", np.exp2, "exp2",
                           lambda b, z: c.complex_exp(b, c.scaled(b, z, c.LN_2)), cost=10)
exponential_minus_one = _elementary("exponential_minus_one", np.expm1, "expm1", c.complex_expm1, cost=12)
log = _elementary("log", np.log, "log", c.complex_log, domain=POSITIVE, cost=10)
log2 = _elementary("log2", np.log2, "log2", lambda b, z: c.scaled(b, c.complex_log(b, z), c.LOG2_E),
                   domain=POSITIVE, cost=10)
log10 = _elementary("log10", np.log10, "log10", lambda b, z: c.scaled(b, c.complex_log(b, z), c.LOG10_E),
                    domain=POSITIVE, cost=10)
log_plus_one = _elementary("log_plus_one", np.log1p, "log1p", c.complex_log1p, domain=(-0.9, 4.0), cost=12)

sine = _elementary("sine", np.sin, "sin", c.complex_sin)
cosine = _elementary("cosine", np.cos, "cos", c.complex_cos)
tan = _elementary("tan", np.tan, "tan", c.complex_tan, domain=(-1.5, 1.5), cost=25)
asin = _elementary("asin", np.arcsin, "asin", c.complex_asin, domain=UNIT)
acos = _elementary("acos", np.arccos, "acos", c.complex_acos, domain=UNIT)
atan = _elementary("atan", np.arctan, "atan", c.complex_atan)
sinh = _elementary("sinh", np.sinh, "sinh", c.complex_sinh)
cosh = _elementary("cosh", np.cosh, "cosh", c.complex_cosh)
tanh = _elementary("tanh", np.tanh, "tanh", c.complex_tanh)
asinh = _elementary("asinh", np.arcsinh, "asinh", c.complex_asinh, cost=20)
acosh = _elementary("acosh", np.arccosh, "acosh", c.complex_acosh, domain=ABOVE_ONE, cost=20)
atanh = _elementary("atanh", np.arctanh, "atanh", c.complex_atanh, domain=UNIT, cost=20)

logistic_ = _elementary("logistic", logistic, "sigmoid")
erf = _elementary("erf", elementwise(math.erf), "erf")
erfc = _elementary("erfc", elementwise(math.erfc), "erfc", cost=25)
erf_inv_ = _elementary("erf_inv", erf_inv, "erfinv", domain=UNIT, cost=25, ulps=8.0)
lgamma_ = _elementary("lgamma", lgamma, "lgamma", domain=(0.1, 9.0), cost=60, ulps=64.0)
digamma = _elementary("digamma", _digamma, "digamma", domain=(0.1, 9.0), cost=60, ulps=64.0)

atan2 = _binary("atan2", np.arctan2, "atan2")
hypot = _binary("hypot", np.hypot, "hypot", cost=10)
logaddexp = _binary("logaddexp", np.logaddexp, "logaddexp", cost=30)
logaddexp2 = _binary("logaddexp2", np.logaddexp2, "logaddexp2", cost=30)
