"""Functions of single numbers which are no ufuncs: rounding to decimals, parts of complex numbers, closeness, repairs.

Flows in:  arrays.
Flows out: short compositions of pointwise ops, written as NumPy writes them.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dtypes import BOOL, F64
from tracejit.numpy.cumulative import diff
from tracejit.numpy.joining import concatenate
from tracejit.numpy.reductions import all_
from tracejit.numpy.support import compare, emit, filled, finish, like, normal_axis, operand, select, shape_of, sliced
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast, convert, lift, promote, static_int, view
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size

# ---- rounding --------------------------------------------------------------------------------------------------


@implements(np.round, np.around)
def round_(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    """Half to even; with decimals by scaling, rounding and scaling back."""
    x, places = operand(a), static_int(decimals)
    x = convert(x, x.type.dtype)
    if x.type.dtype is BOOL:
        x = convert(x, "f16")
    if x.type.dtype.is_integer:
        return finish(_round_integer(x, places), out)
    if places == 0:
        return finish(emit("round_nearest_even", x), out)
    factor = _power_of_ten(abs(places), x)
    up, down = ("multiply", "divide") if places > 0 else ("divide", "multiply")
    return finish(emit(down, emit("round_nearest_even", emit(up, x, factor)), factor), out)


def _power_of_ten(places: int, x: Array) -> Array:
    value = 10.0 ** places
    return like(x, complex(value) if x.type.dtype.is_complex else value)


def _round_integer(x: Array, places: int) -> Array:
    """Negative decimals: by float64, as NumPy."""
    if places >= 0:
        return x
    factor = filled(10.0 ** -places, F64, shape_of(x))
    return convert(emit("multiply", emit("round_nearest_even", emit("divide", convert(x, F64), factor)), factor),
                   x.type.dtype)


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    return finish(elementwise(np.trunc, operand(x)), out)


# ---- complex numbers -------------------------------------------------------------------------------------------


def _part(op: str) -> Any:
    def get(x: Array) -> Array:
        if x.type.dtype.is_complex:
            return emit(op, x)
        return x if op == "real" else like(x, x.type.dtype.numpy.type(0).item())

    def put(x: Array, new: Array) -> Array:
        if not x.type.dtype.is_complex:
            return new
        parts = {"real": emit("real", x), "imag": emit("imag", x), op: new}
        return emit("complex", parts["real"], parts["imag"])

    def function(val: Any) -> Any:
        return view(lift(val), get, put)
    return function


implements(np.real)(_part("real"))
implements(np.imag)(_part("imag"))


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """The argument of complex numbers; 0 or pi of real ones."""
    x = operand(z)
    if x.type.dtype.is_complex:
        result = emit("atan2", emit("imag", x), emit("real", x))
    else:
        result = elementwise(np.arctan2, 0, x)
    return elementwise(np.multiply, result, 180 / np.pi) if deg else result


@implements(np.isreal)
def isreal(x: Any) -> Any:
    array = operand(x)
    if array.type.dtype.is_complex:
        return compare("EQ", emit("imag", array), 0.0)
    return filled(True, BOOL, shape_of(array))


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    array = operand(x)
    if array.type.dtype.is_complex:
        return compare("NE", emit("imag", array), 0.0)
    return filled(False, BOOL, shape_of(array))


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    return not lift(x).type.dtype.is_complex


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    return lift(x).type.dtype.is_complex


@implements(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """Real arrays as they are; whether a complex one becomes real would depend on its content: it stays complex."""
    return lift(a)


# ---- closeness -------------------------------------------------------------------------------------------------


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """|a - b| <= atol + rtol * |b| where b is finite; else equality."""
    x, y = operand(a), operand(b)
    if not y.type.dtype.is_inexact:
        y = elementwise(np.multiply, y, 1.0)
    x, y = lift(x), lift(y)
    margin = elementwise(np.add, atol, elementwise(np.multiply, rtol, elementwise(np.absolute, y)))
    near = elementwise(np.less_equal, elementwise(np.absolute, elementwise(np.subtract, x, y)), margin)
    near = elementwise(np.logical_and, near, elementwise(np.isfinite, y))
    result = elementwise(np.logical_or, near, elementwise(np.equal, x, y))
    if equal_nan:
        both = elementwise(np.logical_and, elementwise(np.isnan, x), elementwise(np.isnan, y))
        result = elementwise(np.logical_or, result, both)
    return result


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    return as_python_bool(all_(isclose(a, b, rtol, atol, equal_nan)))


def as_python_bool(flag: Array) -> Array:
    """A traced Python bool."""
    return Array(flag.value, flag.scope, "python", "b")


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    x, y = operand(a1), operand(a2)
    if x.ndim != y.ndim or not all(map(same_size, shape_of(x), shape_of(y))):
        return False
    equal = elementwise(np.equal, x, y)
    if equal_nan and x.type.dtype.is_inexact and y.type.dtype.is_inexact:
        both = elementwise(np.logical_and, elementwise(np.isnan, x), elementwise(np.isnan, y))
        equal = elementwise(np.logical_or, equal, both)
    return as_python_bool(all_(equal))


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    try:
        x, y = broadcast(operand(a1), operand(a2))
    except ValueError:
        return False
    return as_python_bool(all_(elementwise(np.equal, x, y)))


@implements(np.isposinf)
def isposinf(x: Any, out: Any = None) -> Any:
    array = operand(x)
    return finish(compare("EQ", array, float("inf")) if array.type.dtype.is_float else filled(
        False, BOOL, shape_of(array)), out)


@implements(np.isneginf)
def isneginf(x: Any, out: Any = None) -> Any:
    array = operand(x)
    return finish(compare("EQ", array, float("-inf")) if array.type.dtype.is_float else filled(
        False, BOOL, shape_of(array)), out)


# ---- repairs and special shapes --------------------------------------------------------------------------------


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """NaN and infinities replaced by numbers."""
    array = operand(x)
    array = convert(array, array.type.dtype)
    if array.type.dtype.is_complex:
        parts = (nan_to_num(emit(p, array), True, nan, posinf, neginf) for p in ("real", "imag"))
        return emit("complex", *parts)
    if not array.type.dtype.is_float:
        return array
    info = np.finfo(array.type.dtype.numpy)
    result = select(emit("is_nan", array), _number(nan, array), array)
    result = select(compare("EQ", array, float("inf")), _number(float(info.max) if posinf is None else posinf, array),
                    result)
    result = select(compare("EQ", array, float("-inf")), _number(float(info.min) if neginf is None else neginf, array),
                    result)
    return result if copy else finish(result, x)


def _number(value: Any, x: Array) -> Array:
    if isinstance(value, (int, float)):
        return like(x, float(value))
    return broadcast(convert(lift(value), x.type.dtype), x)[0]


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), 1 at 0."""
    array = operand(x)
    scaled = elementwise(np.multiply, float(np.pi), array)
    tiny = float(np.finfo(scaled.type.dtype.numpy).eps) if scaled.type.dtype.is_float else 1e-20
    y = select(compare("EQ", scaled, 0.0), like(scaled, tiny), scaled)
    return elementwise(np.true_divide, elementwise(np.sin, y), y)


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: Any = -1, *, period: Any = 6.283185307179586) -> Any:
    """Jumps larger than half a period are taken out."""
    x = operand(p)
    at = normal_axis(axis, x.ndim)
    step = lift(diff(x, axis=at))
    half = elementwise(np.true_divide, period, 2) if not isinstance(period, (int, float)) else period / 2
    shifted = elementwise(np.add, step, half)
    wrapped = elementwise(np.subtract, elementwise(np.remainder, shifted, period), half)
    at_edge = elementwise(np.logical_and, elementwise(np.equal, wrapped, elementwise(np.negative, half)),
                          elementwise(np.greater, step, 0))
    kept, edge = promote(wrapped, half)
    edge, kept, at_edge = broadcast(edge, kept, at_edge)
    wrapped = emit("select", at_edge, edge, kept)
    change = elementwise(np.subtract, wrapped, step)
    limit = half if discont is None else elementwise(np.maximum, discont, half)
    small = elementwise(np.less, elementwise(np.absolute, step), limit)
    change = select(small, like(change, 0.0), change)
    total = emit("cumulative_sum", change, axis=at, reverse=False)
    n = shape_of(x)[at]
    rest = elementwise(np.add, sliced(x, at, 1, n), total)
    return concatenate([convert(sliced(x, at, 0, 1), rest.type.dtype), rest], at)


@implements(np.i0)
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0: Chebyshev series of Cephes, as NumPy."""
    array = elementwise(np.absolute, operand(x))
    array = convert(array, array.type.dtype if array.type.dtype.is_float else F64)
    near = _chebyshev(elementwise(np.subtract, elementwise(np.true_divide, array, 2.0), 2.0), _I0_SMALL)
    far = _chebyshev(elementwise(np.subtract, elementwise(np.true_divide, 32.0, array), 2.0), _I0_LARGE)
    far = elementwise(np.true_divide, far, elementwise(np.sqrt, array))
    small = compare("LE", array, 8.0)
    return elementwise(np.multiply, elementwise(np.exp, array), select(small, near, far))


def _chebyshev(x: Array, coefficients: list[float]) -> Array:
    b0, b1, b2 = like(x, coefficients[0]), like(x, 0.0), like(x, 0.0)
    for c in coefficients[1:]:
        b2, b1 = b1, b0
        b0 = emit("add", emit("subtract", emit("multiply", x, b1), b2), like(x, c))
    return emit("multiply", emit("subtract", b0, b2), like(x, 0.5))


_I0_SMALL: list[float] = list(np.lib._function_base_impl._i0A)  # type: ignore[attr-defined]    # fixed table
_I0_LARGE: list[float] = list(np.lib._function_base_impl._i0B)  # type: ignore[attr-defined]    # fixed table
