"""Arithmetic of Python numbers that are known only at run time, by Python's rules: `2 ** -1` is 0.5, `1 // 0` raises.

Flows in:  weak scalars, from operators whose operands are all Python numbers.
Flows out: weak scalars; ints are 64 bits wide. Entries ("python", operator) of `NUMPY`.
"""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tracejit.base.dtypes import BOOL, C128, F64, I64, DType
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, constant, convert, emit, lift
from tracejit.tracing.implements import implements

_ORDER = "bifc"
_DTYPES: dict[str, DType] = {"b": BOOL, "i": I64, "f": F64, "c": C128}


def weak(array: Array, kind: str) -> Array:
    """The same value as a Python number of this kind."""
    return Array(array.value, array.scope, "python", kind)


def common(*xs: Any, least: str = "i") -> tuple[str, list[Array]]:
    """The kind that Python's arithmetic computes in, at least `least`, and the operands in it."""
    arrays = [lift(x) for x in xs]
    kind = max([least, *(a.weak or "f" for a in arrays)], key=_ORDER.index)
    return kind, [convert(a, _DTYPES[kind]) for a in arrays]


def _arithmetic(op: str, key: Any) -> None:
    @implements(("python", key))
    def function(x: Any, y: Any) -> Array:
        kind, operands = common(x, y)
        return weak(emit(op, *operands), kind)


def _comparison(direction: str, key: Any) -> None:
    @implements(("python", key))
    def function(x: Any, y: Any) -> Array:
        _, operands = common(x, y)
        return weak(emit("compare", *operands, direction=direction), "b")


def _bitwise(op: str, key: Any) -> None:
    @implements(("python", key))
    def function(x: Any, y: Any) -> Array:
        kind, operands = common(x, y, least="b")
        return weak(emit(op, *operands), kind)


for _name, _key in (("add", operator.add), ("subtract", operator.sub), ("multiply", operator.mul)):
    _arithmetic(_name, _key)
for _name, _key in (("EQ", operator.eq), ("NE", operator.ne), ("LT", operator.lt), ("LE", operator.le),
                    ("GT", operator.gt), ("GE", operator.ge)):
    _comparison(_name, _key)
for _name, _key in (("and", operator.and_), ("or", operator.or_), ("xor", operator.xor)):
    _bitwise(_name, _key)


def nonzero_divisor(y: Array, message: str) -> None:
    """ZeroDivisionError at run time where Python raises it."""
    if y.value.node is not None and y.value.node.op.name == "constant":
        if y.value.node.attributes["value"] == 0:
            raise ZeroDivisionError(message)
        return
    zero = constant(0, y.type.dtype)
    assert_(emit("compare", y, zero, direction="NE"), "ZeroDivisionError", message)


@implements(("python", operator.truediv))
def true_divide(x: Any, y: Any) -> Array:
    """`x / y`: a float."""
    ints = lift(x).weak in ("b", "i") and lift(y).weak in ("b", "i")
    kind, (left, right) = common(x, y, least="f")
    nonzero_divisor(right, "division by zero" if ints else "float division by zero")
    return weak(emit("divide", left, right), kind)


@implements(("python", operator.floordiv))
def floor_divide(x: Any, y: Any) -> Array:
    kind, (left, right) = common(x, y)
    nonzero_divisor(right, "integer division or modulo by zero" if kind == "i" else "float floor division by zero")
    return weak(emit("floor_divide", left, right), kind)


@implements(("python", operator.mod))
def modulo(x: Any, y: Any) -> Array:
    kind, (left, right) = common(x, y)
    nonzero_divisor(right, "integer modulo by zero" if kind == "i" else "float modulo")
    return weak(emit("remainder", left, right), kind)


@implements(("python", divmod))
def divide_modulo(x: Any, y: Any) -> tuple[Array, Array]:
    return floor_divide(x, y), modulo(x, y)


@implements(("python", operator.pow))
def power(x: Any, y: Any) -> Array:
    """Ints stay ints unless the exponent is a negative constant; a negative one at run time raises ValueError."""
    if type(y) is int and y < 0 and lift(x).weak in ("b", "i"):
        return power(convert_to(x, "f"), y)
    if type(y) is int and 0 <= y <= 4 and lift(x).weak != "b":
        return small_power(lift(x), y)
    kind, (base, exponent) = common(x, y)
    if kind == "i" and type(y) is not int:
        assert_(emit("compare", exponent, constant(0, I64), direction="GE"), "ValueError",
                "the exponent {0} of two ints is negative: write float(base) ** exponent", exponent)
    return weak(emit("power", base, exponent), kind)


def small_power(x: Array, n: int) -> Array:
    """Repeated multiplication."""
    kind = x.weak or "f"
    strong = convert(x, _DTYPES[kind])
    result = constant(1, _DTYPES[kind]) if n == 0 else strong
    for _ in range(n - 1):
        result = emit("multiply", result, strong)
    return weak(result, kind)


def _shift(op: str, key: Any) -> None:
    @implements(("python", key))
    def function(x: Any, y: Any) -> Array:
        _, (left, right) = common(x, y)
        assert_(emit("compare", right, constant(0, I64), direction="GE"), "ValueError", "negative shift count")
        return weak(emit(op, left, right), "i")


_shift("shift_left", operator.lshift)
_shift("shift_right", operator.rshift)


def _unary(op: str | None, key: Any) -> None:
    @implements(("python", key))
    def function(x: Array) -> Array:
        kind, (operand,) = common(x)
        if op is None:
            return weak(operand, kind)
        made = emit(op, operand)
        return weak(made, "f" if made.type.dtype.is_float else kind)


_unary(None, operator.pos)
_unary("negate", operator.neg)
_unary("abs", operator.abs)
_unary("not", operator.invert)


@implements(("python", round))
def round_number(x: Array, digits: Any = None) -> Array:
    """`round(x)` is an int, `round(x, digits)` a float. Source: halves go to even, as in Python."""
    if x.type.dtype.is_integer or x.type.dtype is BOOL:
        number = convert_to(x, "i")
        return number if digits is None or digits >= 0 else round_int(number, 10 ** -int(digits))
    if digits is None:
        return convert_to(weak(emit("round_nearest_even", x), "f"), "i")
    if x.weak and abs(int(digits)) <= 22:
        return round_decimal(convert(x, F64), int(digits))
    scale = constant(10.0 ** abs(int(digits)), x.type.dtype)
    up, down = ("multiply", "divide") if digits >= 0 else ("divide", "multiply")
    rounded: Array = emit(down, emit("round_nearest_even", emit(up, convert(x, x.type.dtype), scale)), scale)
    return weak(rounded, "f") if x.weak else rounded


def round_int(x: Array, unit: int) -> Array:
    """`x` as a multiple of `unit`; of two that are as near, the even one."""
    number, size, two = convert(x, I64), constant(unit, I64), constant(2, I64)
    quotient, rest = emit("floor_divide", number, size), emit("remainder", number, size)
    twice, odd = emit("multiply", two, rest), emit("remainder", quotient, two)
    half = emit("and", emit("compare", twice, size, direction="EQ"), convert(odd, BOOL))
    up = convert(emit("or", emit("compare", twice, size, direction="GT"), half), I64)
    return weak(emit("multiply", emit("add", quotient, up), size), "i")


def round_decimal(x: Array, digits: int) -> Array:
    """Python's `round(x, digits)`: the exact value is rounded to a multiple of 10 ** -digits, and that to a float.

    `scaled`, the rounded product or quotient, lies on the same side of a half as the exact one, or is the half; then
    the error of `scaled` decides. Source: Dekker, A floating-point technique for extending the available precision.
    """
    power = constant(10.0 ** abs(digits), F64)
    if digits >= 0:
        scaled = emit("multiply", x, power)
        error = _product_error(x, power, scaled)
    else:
        scaled = emit("divide", x, power)
        whole = emit("multiply", scaled, power)
        error = emit("subtract", emit("subtract", x, whole), _product_error(scaled, power, whole))
        error = emit("divide", error, power)
    nearest = emit("round_nearest_even", scaled)
    beyond = emit("add", emit("subtract", scaled, nearest), error)
    half, one, zero = (constant(n, F64) for n in (0.5, 1.0, 0.0))
    step = emit("select", emit("compare", beyond, half, direction="GT"), one, zero)
    step = emit("select", emit("compare", beyond, emit("negate", half), direction="LT"), emit("negate", one), step)
    nearest = emit("copysign", emit("add", nearest, step), x)
    result = emit("divide" if digits >= 0 else "multiply", nearest, power)
    is_coarse = emit("compare", emit("abs", scaled), constant(2.0 ** 53, F64), direction="GE")
    return weak(emit("select", is_coarse, x, result), "f")


def _product_error(x: Array, y: Array, product: Array) -> Array:
    """x * y - product, exactly."""
    (x1, x2), (y1, y2) = _halves(x), _halves(y)
    error = emit("subtract", emit("multiply", x1, y1), product)
    for a, b in ((x1, y2), (x2, y1), (x2, y2)):
        error = emit("add", error, emit("multiply", a, b))
    return error    # type: ignore[no-any-return]


def _halves(x: Array) -> tuple[Array, Array]:
    """`x` as a sum of two numbers with half of the digits: the upper one is cut off bit by bit."""
    bits = emit("bitcast_convert", x, dtype=I64)
    upper = emit("bitcast_convert", emit("and", bits, constant(-1 << 27, I64)), dtype=F64)
    return upper, emit("subtract", x, upper)


def convert_to(x: Any, kind: str) -> Array:
    """`int(x)`, `float(x)`, `bool(x)`, `complex(x)` of a traced scalar (or array with one element)."""
    array = lift(x)
    if array.type.shape:
        array = emit("reshape", array.snapshot(), shape=())
    if array.type.dtype.is_complex and kind in "if":
        raise TypeError(f"{'int' if kind == 'i' else 'float'}() argument must be a string or a real number, "
                        "not 'complex'")
    if kind == "i" and array.type.dtype.is_float:
        _require_int(array)
    return weak(convert(array, _DTYPES[kind]), kind)


def _require_int(x: Array) -> None:
    """NaN, infinity and what 64 bits can't hold have no int."""
    assert_(emit("not", emit("is_nan", x)), "ValueError", "cannot convert float NaN to integer")
    assert_(emit("compare", emit("abs", x), constant(2.0 ** 63, x.type.dtype), direction="LT"), "OverflowError",
            "cannot convert float {0} to an integer of 64 bits", convert(x, F64))


Implementation = Callable[..., Any]
