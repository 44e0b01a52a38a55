"""The functions of `Apply` on NumPy scalars.

Flows in:  a function's name, values, their type and the type of the result.
Flows out: the value; integers wrap, float to integer is what x86 and so NumPy make of it.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.dtypes import BF16, BOOL, F64, DType
from tracejit.xla_lite.kernels.elementary.builder import F32 as SINGLE
from tracejit.xla_lite.kernels.elementary.builder import F64 as DOUBLE
from tracejit.xla_lite.kernels.elementary.functions import FUNCTIONS
from tracejit.xla_lite.kernels.elementary.numpy_builder import evaluate, fma32, fma64

Bytes = np.ndarray[Any, Any]


def from_bits(data: Bytes, dtype: DType) -> Any:
    """The element in these bytes."""
    if dtype is BF16:
        return (data.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)[0]
    return data.view(dtype.numpy)[0]


def to_bits(value: Any, dtype: DType) -> Bytes:
    """The bytes of a value."""
    if dtype is BF16:
        return (np.array([value], np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16).view(np.uint8)
    return np.array([value], dtype.numpy).view(np.uint8)


def round_to(value: Any, dtype: DType) -> Any:
    """A number as the nearest of a type; integers wrap."""
    if dtype.is_integer:
        wrapped = int(value) & (1 << dtype.bits) - 1
        return np.array([wrapped], f"u{dtype.bytes}").view(dtype.numpy)[0]
    if dtype is BF16:
        return from_bits(_bf16_bytes(np.float32(value)), BF16)
    return dtype.numpy.type(value)


def _bf16_bytes(value: np.float32) -> Bytes:
    """To nearest even; a NaN keeps its upper bits and becomes quiet."""
    bits = int(value.view(np.uint32))
    upper = (bits >> 16 | 64) if math.isnan(value) else (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.array([upper], np.uint16).view(np.uint8)


def apply_scalar(fn: str, args: list[Any], dtype: DType, result: DType) -> Any:
    """fn(*args). dtype: of the first argument."""
    if fn == "convert":
        return convert_scalar(args[0], dtype, result)
    if fn == "bitcast":
        return from_bits(to_bits(args[0], dtype), result)
    if fn == "select":
        return args[1] if args[0] else args[2]
    if (compare := _COMPARE.get(fn)) is not None:
        return np.bool_(compare(args[0], args[1]))
    if dtype.is_integer:
        return round_to(_INTEGER[fn](dtype, *map(int, args)), result)
    if dtype is BOOL:
        return np.bool_(_BOOL[fn](*map(bool, args)))
    if (simple := _FLOAT.get(fn)) is not None:
        return dtype.numpy.type(simple(*args))
    if fn == "fma":
        return (fma64 if dtype is F64 else fma32)(*[np.array([x]) for x in args])[0]
    values = [np.array([x]) for x in args]
    return evaluate(FUNCTIONS[fn].function, DOUBLE if dtype is F64 else SINGLE, *values)[0][0]


def convert_scalar(value: Any, source: DType, result: DType) -> Any:
    """As C does on x86: out of range gives the least number of the instruction's width, then the low bits."""
    if result is BOOL:
        return np.bool_(value != 0)
    if result.is_integer and source.is_float:
        return round_to(_truncated(float(value), result), result)
    if result is BF16 and source is F64:
        return round_to(_odd_single(float(value)), BF16)
    if result is BF16 and source.is_integer and source.bits > 16:
        return round_to(_odd_single(float(value)), BF16)
    if result.is_float and result.bits == 16 and source.is_integer:
        return round_to(np.float64(value), result)
    return round_to(value, result)


def _truncated(value: float, result: DType) -> int:
    if result.name == "u64" and value >= 2.0 ** 63:
        return int(value) if value < 2.0 ** 64 else 0
    bits = 64 if result.bits == 64 or result.name == "u32" else 32
    if not -(2.0 ** (bits - 1)) <= value < 2.0 ** (bits - 1) and not (bits == 32 and -2.0 ** 31 - 1 < value < 0):
        return -(1 << bits - 1)
    return int(value)


def _odd_single(value: float) -> np.float32:
    """f64 to f32, truncated, with the last bit set if inexact: a second rounding is then right."""
    single = np.float32(value)
    if math.isnan(value) or float(single) == value:
        return single
    toward = single if abs(float(single)) < abs(value) else np.nextafter(single, np.float32(0))
    return (toward.view(np.uint32) | np.uint32(1)).view(np.float32)


def _floor_divide(dtype: DType, x: int, y: int) -> int:
    return x // y if y else 0


def _remainder(dtype: DType, x: int, y: int) -> int:
    return x % y if y else 0


def _power(dtype: DType, x: int, y: int) -> int:
    """A negative exponent gives what the integer quotient 1 / x**-y would be: 0 unless x is 1 or -1."""
    if y < 0:
        return x ** (-y % 2) if abs(x) == 1 else 0
    return pow(x, y, 1 << dtype.bits)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": lambda x, y: x == y, "ne": lambda x, y: x != y, "lt": lambda x, y: x < y, "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y, "ge": lambda x, y: x >= y}
_INTEGER: dict[str, Callable[..., int]] = {
    "add": lambda t, x, y: x + y, "subtract": lambda t, x, y: x - y, "multiply": lambda t, x, y: x * y,
    "negate": lambda t, x: -x, "and": lambda t, x, y: x & y, "or": lambda t, x, y: x | y,
    "xor": lambda t, x, y: x ^ y, "not": lambda t, x: ~x, "shift_left": lambda t, x, y: x << y,
    "shift_right_arithmetic": lambda t, x, y: x >> y,
    "shift_right_logical": lambda t, x, y: (x & (1 << t.bits) - 1) >> y,
    "minimum": lambda t, x, y: min(x, y), "maximum": lambda t, x, y: max(x, y), "abs": lambda t, x: abs(x),
    "popcount": lambda t, x: (x & (1 << t.bits) - 1).bit_count(), "floor_divide": _floor_divide,
    "remainder": _remainder, "power": _power, "gcd": lambda t, x, y: math.gcd(x, y)}
_BOOL: dict[str, Callable[..., bool]] = {
    "add": lambda x, y: x or y, "or": lambda x, y: x or y, "maximum": lambda x, y: x or y,
    "multiply": lambda x, y: x and y, "and": lambda x, y: x and y, "minimum": lambda x, y: x and y,
    "xor": lambda x, y: x != y, "not": lambda x: not x}
_FLOAT: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y, "negate": lambda x: -x, "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil,
    "rint": np.rint, "trunc": np.trunc, "abs": np.abs, "copysign": np.copysign}
