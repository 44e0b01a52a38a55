"""`math` and `cmath` at call sites of converted code, where an argument is traced.

Flows in:  calls whose arguments are numbers; one of them is traced.
Flows out: Python numbers; ValueError and OverflowError at run time where Python raises them.
"""
from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.dtypes import C128, F64, I64
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, constant, convert, emit, lift
from tracejit.tracing.builtins import builtin
from tracejit.tracing.implements import NUMPY
from tracejit.tracing.reductions import folded, is_looped_over
from tracejit.tracing.scalars import convert_to, weak
from tracejit.tracing.sizes import Size

_DOMAIN, _RANGE = ("ValueError", "math domain error"), ("OverflowError", "math range error")

# Functions of floats, as NumPy's. Each raises where `_CHECKS` below says so.
_FLOATS = {"sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
           "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
           "acosh": np.arccosh, "atanh": np.arctanh, "exp": np.exp, "expm1": np.expm1, "log1p": np.log1p,
           "log2": np.log2, "log10": np.log10, "sqrt": np.sqrt, "fabs": np.fabs, "pow": np.power,
           "fmod": np.fmod, "copysign": np.copysign, "degrees": np.degrees, "radians": np.radians, "exp2": np.exp2,
           "cbrt": np.cbrt, "nextafter": np.nextafter}
_TESTS = {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}
_TO_INT = ("floor", "ceil", "trunc")
_OF_INTS = {"gcd": np.gcd, "lcm": np.lcm}
_COMPLEX = {"sqrt": np.sqrt, "exp": np.exp, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh,
            "cosh": np.cosh, "tanh": np.tanh, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
            "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "log10": np.log10}


def is_traced_number(x: Any) -> bool:
    return type(x) in (Array, Size)


def floats(args: tuple[Any, ...]) -> list[Array] | None:
    """The arguments as float64 scalars, if one of them is traced."""
    if not any(map(is_traced_number, args)):
        return None
    return [convert(convert_to(a, "f"), F64) if is_traced_number(a) else lift(float(a), F64) for a in args]


# What Python's functions check. Source: math_1 and math_2 of CPython's mathmodule.c. Not checked: overflow of exp, sinh
# and cosh, infinite arguments of sin, cos and tan; loops of these stay free of effects, and run on vectors.

def _compare(x: Array, direction: str, y: float) -> Array:
    return emit("compare", x, constant(y, F64), direction=direction)    # type: ignore[no-any-return]


def _never(bad: Array, error: tuple[str, str]) -> None:
    assert_(emit("not", bad), *error)


def _finite(made: Array, x: Array, *_: Array) -> None:
    """Infinite results of finite numbers."""
    _never(emit("and", emit("is_inf", made), emit("is_finite", x)), _RANGE)


def _at_most_one(made: Array, x: Array, *_: Array) -> None:
    _never(_compare(emit("abs", x), "GT", 1.0), _DOMAIN)


def _positive(made: Array, x: Array, *_: Array) -> None:
    _never(_compare(x, "LE", 0.0), _DOMAIN)


def _new_nan(made: Array, *args: Array) -> None:
    """NaN made of numbers that are none, and infinite results of finite numbers."""
    given = emit("is_nan", args[0])
    finite = emit("is_finite", args[0])
    for x in args[1:]:
        given, finite = emit("or", given, emit("is_nan", x)), emit("and", finite, emit("is_finite", x))
    _never(emit("and", emit("is_nan", made), emit("not", given)), _DOMAIN)
    _never(emit("and", emit("is_inf", made), finite), _RANGE)


_CHECKS: dict[str, Callable[..., None]] = {    # fixed table
    **dict.fromkeys(("asin", "acos"), _at_most_one),
    **dict.fromkeys(("log2", "log10"), _positive), **dict.fromkeys(("pow", "fmod"), _new_nan),
    "sqrt": lambda made, x: _never(_compare(x, "LT", 0.0), _DOMAIN),
    "acosh": lambda made, x: _never(_compare(x, "LT", 1.0), _DOMAIN),
    "atanh": lambda made, x: _never(_compare(emit("abs", x), "GE", 1.0), _DOMAIN),
    "log1p": lambda made, x: _never(_compare(x, "LE", -1.0), _DOMAIN)}


def _float_function(name: str, function: Any) -> None:
    @builtin(getattr(math, name))
    def traced(_: Any, *args: Any) -> Any:
        numbers = floats(args)
        if numbers is None:
            return NotImplemented
        made = NUMPY[function](*numbers)
        if name in _CHECKS:
            _CHECKS[name](made, *numbers)
        return weak(made, "b" if name in _TESTS else "f")


def _rounding(name: str) -> None:
    @builtin(getattr(math, name))
    def traced(_: Any, value: Any) -> Any:
        if is_traced_number(value) and lift(value).weak in ("b", "i"):
            return convert_to(lift(value), "i")
        numbers = floats((value,))
        return NotImplemented if numbers is None else convert_to(weak(emit(name, numbers[0]), "f"), "i")


def _int_function(name: str, function: Any) -> None:
    @builtin(getattr(math, name))
    def traced(_: Any, *args: Any) -> Any:
        if len(args) < 2 or not any(map(is_traced_number, args)) or not all(map(_is_int, args)):
            return NotImplemented
        result, *rest = [convert(lift(a), I64) for a in args]
        for number in rest:
            result = NUMPY[function](result, number)
        return weak(result, "i")


def _is_int(x: Any) -> bool:
    return isinstance(x, int) or is_traced_number(x) and lift(x).type.dtype.kind in "biu"


@builtin(math.log)
def logarithm(_: Any, value: Any, *base: Any) -> Any:
    numbers = floats((value, *base))
    if numbers is None:
        return NotImplemented
    for number in numbers:
        _positive(number, number)
    logs = [NUMPY[np.log](n) for n in numbers]
    return weak(logs[0] if len(logs) == 1 else emit("divide", *logs), "f")


@builtin(math.hypot)
def hypotenuse(_: Any, *args: Any) -> Any:
    numbers = floats(args)
    if numbers is None:
        return NotImplemented
    result = emit("abs", numbers[0])
    for number in numbers[1:]:
        result = NUMPY[np.hypot](result, number)
    return weak(result, "f")


@builtin(math.dist)
def distance(namespace: Any, p: Any, q: Any) -> Any:
    if len(p) != len(q):
        raise ValueError("both points must have the same number of dimensions")
    return hypotenuse(namespace, *[x - y for x, y in zip(p, q, strict=True)])


@builtin(math.isclose)
def is_close(_: Any, a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    numbers = floats((a, b, rel_tol, abs_tol))
    if numbers is None:
        return NotImplemented
    x, y, relative, absolute = numbers
    distance = emit("abs", emit("subtract", x, y))
    scale = emit("maximum", emit("abs", x), emit("abs", y))
    near = emit("compare", distance, emit("maximum", emit("multiply", relative, scale), absolute), direction="LE")
    near = emit("and", near, emit("is_finite", scale))
    return weak(emit("or", near, emit("compare", x, y, direction="EQ")), "b")


@builtin(math.isqrt)
def integer_root(_: Any, n: Any) -> Any:
    """The float root may be off by one."""
    if not is_traced_number(n) or not _is_int(n):
        return NotImplemented
    number, one, largest = convert(lift(n), I64), constant(1, I64), constant(3037000499, I64)
    assert_(emit("compare", number, constant(0, I64), direction="GE"), "ValueError",
            "isqrt() argument must be nonnegative")
    root = emit("minimum", convert(emit("sqrt", convert(number, F64)), I64), largest)
    root = emit("select", emit("compare", emit("multiply", root, root), number, direction="GT"),
                emit("subtract", root, one), root)
    more = emit("minimum", emit("add", root, one), largest)
    return weak(emit("select", emit("compare", emit("multiply", more, more), number, direction="LE"), more, root), "i")


@builtin(math.factorial)
def factorial(_: Any, n: Any) -> Any:
    if not is_traced_number(n) or not _is_int(n):
        return NotImplemented
    number = convert(lift(n), I64)
    assert_(emit("compare", number, constant(0, I64), direction="GE"), "ValueError",
            "factorial() not defined for negative values")
    assert_(emit("compare", number, constant(20, I64), direction="LE"), "OverflowError",
            "factorial({0}) does not fit into the 64 bits of ints in compiled code", number)
    table = constant(tuple(math.factorial(k) for k in range(21)), I64, (21,))
    return weak(emit("gather", table, number, axes=(0,)), "i")


@builtin(math.modf)
def fraction_and_whole(_: Any, x: Any) -> Any:
    numbers = floats((x,))
    if numbers is None:
        return NotImplemented
    fraction, whole = NUMPY[np.modf](numbers[0])
    return weak(fraction, "f"), weak(whole, "f")


@builtin(math.frexp)
def mantissa_and_exponent(_: Any, x: Any) -> Any:
    numbers = floats((x,))
    if numbers is None:
        return NotImplemented
    mantissa, exponent = NUMPY[np.frexp](numbers[0])
    return weak(mantissa, "f"), weak(convert(exponent, I64), "i")


@builtin(math.ldexp)
def scaled_by_power(_: Any, x: Any, n: Any) -> Any:
    numbers = floats((x,)) or floats((n,)) and [lift(float(x), F64)]
    if not numbers:
        return NotImplemented
    made = NUMPY[np.ldexp](numbers[0], convert(lift(n), I64))
    _finite(made, numbers[0])
    return weak(made, "f")


@builtin(math.prod)
def product(namespace: Any, values: Any, *, start: Any = 1) -> Any:
    if type(values) is Array and values.ndim == 1:
        return NUMPY[np.prod](values) * start
    if is_looped_over(values):
        return folded(namespace, values, lambda x, y: x * y, start, "the product")
    return NotImplemented


# cmath

def complexes(args: tuple[Any, ...]) -> list[Array] | None:
    if not any(map(is_traced_number, args)):
        return None
    return [convert(convert_to(a, "c"), C128) if is_traced_number(a) else lift(complex(a), C128) for a in args]


def _complex_function(name: str, function: Any) -> None:
    @builtin(getattr(cmath, name))
    def traced(_: Any, z: Any) -> Any:
        numbers = complexes((z,))
        return NotImplemented if numbers is None else weak(NUMPY[function](*numbers), "c")


def _complex_test(name: str) -> None:
    @builtin(getattr(cmath, name))
    def traced(_: Any, z: Any) -> Any:
        numbers = complexes((z,))
        return NotImplemented if numbers is None else weak(NUMPY[_TESTS[name]](*numbers), "b")


@builtin(cmath.phase)
def phase(_: Any, z: Any) -> Any:
    numbers = complexes((z,))
    return NotImplemented if numbers is None else weak(NUMPY[np.angle](*numbers), "f")


@builtin(cmath.polar)
def polar(namespace: Any, z: Any) -> Any:
    return NotImplemented if not is_traced_number(z) else (abs(convert_to(z, "c")), phase(namespace, z))


@builtin(cmath.rect)
def rectangular(_: Any, r: Any, angle: Any) -> Any:
    numbers = floats((r, angle))
    if numbers is None:
        return NotImplemented
    length, turn = numbers
    return weak(emit("complex", emit("multiply", length, NUMPY[np.cos](turn)),
                     emit("multiply", length, NUMPY[np.sin](turn))), "c")


@builtin(complex)
def complex_of(_: Any, *args: Any) -> Any:
    if len(args) == 1 and type(args[0]) is Array and (not args[0].ndim or args[0].size == 1):
        return convert_to(args[0], "c")
    if len(args) != 2 or any(type(a) is Array and a.type.dtype.is_complex for a in args):
        return NotImplemented
    numbers = floats(args)
    return NotImplemented if numbers is None else weak(emit("complex", *numbers), "c")


def _install() -> None:
    for name, function in {**_FLOATS, **_TESTS}.items():
        if hasattr(math, name):
            _float_function(name, function)
    for name in _TO_INT:
        _rounding(name)
    for name, function in _OF_INTS.items():
        _int_function(name, function)
    for name, function in _COMPLEX.items():
        _complex_function(name, function)
    for name in _TESTS:
        _complex_test(name)


_install()
