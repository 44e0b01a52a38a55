"""Element types as LLVM spells them: in registers, in memory, as literals, as suffixes of intrinsics.

Flows in:  dtypes and Python numbers.
Flows out: text.
"""
from __future__ import annotations

import struct
from functools import cache

from tracejit.base.dtypes import DType
from tracejit.xla_lite.cpu.text import float_literal

REGISTER = {"bool": "i1", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64", "u8": "i8", "u16": "i16", "u32": "i32",
            "u64": "i64", "f16": "half", "bf16": "i16", "f32": "float", "f64": "double"}
MEMORY = {**REGISTER, "bool": "i8"}
SUFFIX = {"i1": "i1", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64", "half": "f16", "float": "f32",
          "double": "f64"}


@cache
def vector(scalar: str, lanes: int) -> str:
    """`float`, or `<8 x float>`."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


@cache
def mangled(scalar: str, lanes: int) -> str:
    """The suffix of an overloaded intrinsic: `f32`, `v8f32`."""
    return SUFFIX[scalar] if lanes == 1 else f"v{lanes}{SUFFIX[scalar]}"


def literal(value: bool | int | float, dtype: DType) -> str:
    """A number as a constant of the register type."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.is_integer:
        return str(int(value))
    if dtype.name == "f64":
        return float_literal(value)
    single = _rounded(float(value), "f")
    if dtype.name == "f32":
        return float_literal(single)
    if dtype.name == "f16":
        return f"0xH{struct.unpack('<H', struct.pack('<e', _rounded(float(value), 'e')))[0]:04X}"
    bits: int = struct.unpack("<I", struct.pack("<f", single))[0]
    return str((bits >> 16 | 64) if single != single else (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


def _rounded(value: float, form: str) -> float:
    """The nearest number of the format; infinity beyond its range."""
    try:
        rounded: float = struct.unpack(form, struct.pack(form, value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return rounded


@cache
def lane_numbers(bits: int, lanes: int) -> str:
    """The constant <0, 1, 2, ...>."""
    return "<" + ", ".join(f"i{bits} {n}" for n in range(lanes)) + ">"


@cache
def shuffle(lanes: tuple[int, ...]) -> str:
    """The mask operand of a shufflevector; -1 is any lane."""
    items = ", ".join("i32 poison" if n < 0 else f"i32 {n}" for n in lanes)
    return f"<{len(lanes)} x i32> <{items}>"
