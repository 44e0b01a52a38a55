"""All elementary functions by name, with the number of their operands and results.

Flows in: a name.
Flows out: the function, to be called as function(builder, *operands).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracejit.xla_lite.kernels.elementary import (
    error_functions,
    exponential,
    gamma,
    hyperbolic,
    inverse_trigonometric,
    logarithm,
    power,
    remainder,
    representation,
    trigonometric,
)
from tracejit.xla_lite.kernels.elementary.builder import Value


@dataclass(frozen=True, slots=True)
class Elementary:
    """function(b, *operands) for floats of one type.

    integers: which operands code generators give as i32.  long: too long to be worth copying into each use.
    """

    name: str
    function: Callable[..., Value | tuple[Value, ...]]
    operands: int = 1
    results: int = 1
    long: bool = False
    integers: tuple[int, ...] = ()


_ALL = [
    Elementary("exp", exponential.exp),
    Elementary("exp2", exponential.exp2),
    Elementary("expm1", exponential.expm1),
    Elementary("sigmoid", exponential.sigmoid),
    Elementary("logistic", exponential.sigmoid),
    Elementary("log", logarithm.log),
    Elementary("log2", logarithm.log2),
    Elementary("log10", logarithm.log10),
    Elementary("log1p", logarithm.log1p),
    Elementary("softplus", logarithm.softplus),
    Elementary("log_sigmoid", logarithm.log_sigmoid),
    Elementary("logaddexp", logarithm.logaddexp, operands=2),
    Elementary("logaddexp2", logarithm.logaddexp2, operands=2),
    Elementary("sin", trigonometric.sin),
    Elementary("cos", trigonometric.cos),
    Elementary("sincos", trigonometric.sincos, results=2),
    Elementary("tan", trigonometric.tan),
    Elementary("asin", inverse_trigonometric.asin),
    Elementary("acos", inverse_trigonometric.acos),
    Elementary("atan", inverse_trigonometric.atan),
    Elementary("atan2", inverse_trigonometric.atan2, operands=2),
    Elementary("sinh", hyperbolic.sinh),
    Elementary("cosh", hyperbolic.cosh),
    Elementary("tanh", hyperbolic.tanh),
    Elementary("asinh", hyperbolic.asinh, long=True),
    Elementary("acosh", hyperbolic.acosh, long=True),
    Elementary("atanh", hyperbolic.atanh, long=True),
    Elementary("pow", power.pow, operands=2, long=True),
    Elementary("cbrt", power.cbrt),
    Elementary("rsqrt", power.rsqrt),
    Elementary("hypot", power.hypot, operands=2),
    Elementary("erf", error_functions.erf),
    Elementary("erfc", error_functions.erfc, long=True),
    Elementary("erfinv", error_functions.erfinv, long=True),
    Elementary("lgamma", gamma.lgamma, long=True),
    Elementary("digamma", gamma.digamma, long=True),
    Elementary("fmod", remainder.fmod, operands=2),
    Elementary("remainder", remainder.remainder, operands=2),
    Elementary("floor_divide", remainder.floor_divide, operands=2),
    Elementary("nextafter", representation.nextafter, operands=2),
    Elementary("spacing", representation.spacing),
    Elementary("ldexp", representation.ldexp, operands=2, integers=(1,)),
    Elementary("frexp", representation.frexp, results=2),
    Elementary("modf", representation.modf, results=2),
]

# Written here, read everywhere.
FUNCTIONS: dict[str, Elementary] = {entry.name: entry for entry in _ALL}
