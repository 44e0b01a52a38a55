"""Conversions between element types, as NumPy's C casts do them on x86.

Flows in:  a value, its type, the type wanted.
Flows out: the value in the new type. Out of range: what cvtt gives, then the low bits.
"""
from __future__ import annotations

from tracejit.base.dtypes import BF16, BOOL, F16, F32, F64, DType
from tracejit.xla_lite.cpu.text import Body, splat
from tracejit.xla_lite.cpu.types import REGISTER, literal, vector


def convert(body: Body, x: str, source: DType, result: DType, lanes: int) -> str:
    """`x` as a `result`."""
    if source is result:
        return x
    if not x.startswith(("%", "splat")):
        lanes = 1
    if source is BF16:
        return convert(body, _widen_bf16(body, x, lanes), F32, result, lanes)
    if result is BOOL:
        return _to_bool(body, x, source, lanes)
    if source is BOOL:
        return _from_bool(body, x, result, lanes)
    if source.is_float:
        return _from_float(body, x, source, result, lanes)
    if result.is_float:
        return _integer_to_float(body, x, source, result, lanes)
    return _resize(body, x, source, result, lanes)


def _emit(body: Body, instruction: str, x: str, source: str, result: str, lanes: int) -> str:
    return body.emit(f"{instruction} {vector(source, lanes)} {x} to {vector(result, lanes)}")


def _to_bool(body: Body, x: str, source: DType, lanes: int) -> str:
    kind = REGISTER[source.name]
    zero = splat(kind, literal(0, source), lanes)
    return body.emit(f"{'fcmp une' if source.is_float else 'icmp ne'} {vector(kind, lanes)} {x}, {zero}")


def _from_bool(body: Body, x: str, result: DType, lanes: int) -> str:
    if result.is_integer:
        return _emit(body, "zext", x, "i1", REGISTER[result.name], lanes)
    kind = REGISTER[result.name]
    one, zero = (splat(kind, literal(n, result), lanes) for n in (1, 0))
    wide = vector(kind, lanes)
    return body.emit(f"select {vector('i1', lanes)} {x}, {wide} {one}, {wide} {zero}")


def _resize(body: Body, x: str, source: DType, result: DType, lanes: int) -> str:
    if source.bits == result.bits:
        return x
    instruction = "trunc" if source.bits > result.bits else "sext" if source.is_signed else "zext"
    return _emit(body, instruction, x, REGISTER[source.name], REGISTER[result.name], lanes)


def _integer_to_float(body: Body, x: str, source: DType, result: DType, lanes: int) -> str:
    """To 16 bits in two steps without double rounding: the first one is exact or rounds to odd."""
    instruction = "sitofp" if source.is_signed else "uitofp"
    if result.bits >= 32:
        return _emit(body, instruction, x, REGISTER[source.name], REGISTER[result.name], lanes)
    middle = F32 if source.bits <= 16 else F64
    return convert(body, _emit(body, instruction, x, REGISTER[source.name], REGISTER[middle.name], lanes),
                   middle, result, lanes)


def _from_float(body: Body, x: str, source: DType, result: DType, lanes: int) -> str:
    if result.is_integer:
        if source is F16:
            x, source = _emit(body, "fpext", x, "half", "float", lanes), F32
        return _float_to_integer(body, x, source, result, lanes)
    if result is BF16:
        single = convert(body, x, source, F32, lanes) if source is not F64 else _round_to_odd(body, x, lanes)
        return _narrow_bf16(body, single, lanes)
    if result is F16 and source is F64:
        kind = vector("float", lanes)     # the fence keeps LLVM from one direct step, which is a call of a C library
        name = f"llvm.arithmetic.fence.{'' if lanes == 1 else f'v{lanes}'}f32"
        single = body.intrinsic(kind, name, (kind,), (_round_to_odd(body, x, lanes),))
        return _emit(body, "fptrunc", single, "float", "half", lanes)
    instruction = "fptrunc" if source.bits > result.bits else "fpext"
    return _emit(body, instruction, x, REGISTER[source.name], REGISTER[result.name], lanes)


def _float_to_integer(body: Body, x: str, source: DType, result: DType, lanes: int) -> str:
    """Through i32 for 8 and 16 bits, through i64 for u32; u64 has its own upper half."""
    if result.name == "u64":
        return _float_to_u64(body, x, source, lanes)
    through = "i64" if result.name in ("u32", "i64") else "i32"
    whole = _emit(body, "fptosi", x, REGISTER[source.name], through, lanes)
    kind = REGISTER[result.name]
    return whole if kind == through else _emit(body, "trunc", whole, through, kind, lanes)


def _float_to_u64(body: Body, x: str, source: DType, lanes: int) -> str:
    """From 2^63 on: the conversion of x - 2^63, with the top bit flipped."""
    kind = REGISTER[source.name]
    wide, words = vector(kind, lanes), vector("i64", lanes)
    limit = splat(kind, literal(2.0 ** 63, source), lanes)
    high = body.emit(f"fcmp oge {wide} {x}, {limit}")
    lowered = body.emit(f"fsub {wide} {x}, {limit}")
    part = body.emit(f"select {vector('i1', lanes)} {high}, {wide} {lowered}, {wide} {x}")
    whole = _emit(body, "fptosi", part, kind, "i64", lanes)
    top = body.emit(f"select {vector('i1', lanes)} {high}, {words} {splat('i64', str(-2 ** 63), lanes)}, "
                    f"{words} {splat('i64', '0', lanes)}")
    return body.emit(f"xor {words} {whole}, {top}")


def _widen_bf16(body: Body, x: str, lanes: int) -> str:
    """The bits of a bf16 are the upper half of those of an f32."""
    word = vector("i32", lanes)
    wide = _emit(body, "zext", x, "i16", "i32", lanes)
    bits = body.emit(f"shl {word} {wide}, {splat('i32', '16', lanes)}")
    return _emit(body, "bitcast", bits, "i32", "float", lanes)


def _narrow_bf16(body: Body, x: str, lanes: int) -> str:
    """f32 to bf16, to nearest even; a NaN keeps its upper bits and becomes quiet."""
    word = vector("i32", lanes)
    bits = _emit(body, "bitcast", x, "float", "i32", lanes)
    upper = body.emit(f"lshr {word} {bits}, {splat('i32', '16', lanes)}")
    odd = body.emit(f"and {word} {upper}, {splat('i32', '1', lanes)}")
    half = body.emit(f"add {word} {bits}, {splat('i32', '32767', lanes)}")
    sum_ = body.emit(f"add {word} {half}, {odd}")
    rounded = body.emit(f"lshr {word} {sum_}, {splat('i32', '16', lanes)}")
    quiet = body.emit(f"or {word} {upper}, {splat('i32', '64', lanes)}")
    number = body.emit(f"fcmp ord {vector('float', lanes)} {x}, {x}")
    chosen = body.emit(f"select {vector('i1', lanes)} {number}, {word} {rounded}, {word} {quiet}")
    return _emit(body, "trunc", chosen, "i32", "i16", lanes)


def _round_to_odd(body: Body, x: str, lanes: int) -> str:
    """f64 to f32 so that a second rounding, to 16 bits, is right: truncated, last bit set if inexact.

    Source: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums" (2008).
    """
    wide, words, half_words = vector("double", lanes), vector("i64", lanes), vector("i32", lanes)
    single = _emit(body, "fptrunc", x, "double", "float", lanes)
    back = _emit(body, "fpext", single, "float", "double", lanes)
    exact = body.emit(f"fcmp ueq {wide} {back}, {x}")
    difference = body.emit(f"sub {words} {_emit(body, 'bitcast', x, 'double', 'i64', lanes)}, "
                           f"{_emit(body, 'bitcast', back, 'double', 'i64', lanes)}")
    above = body.emit(f"icmp slt {words} {difference}, {splat('i64', '0', lanes)}")
    bits = _emit(body, "bitcast", single, "float", "i32", lanes)
    lower = body.emit(f"sub {half_words} {bits}, {_emit(body, 'zext', above, 'i1', 'i32', lanes)}")
    odd = body.emit(f"or {half_words} {lower}, {splat('i32', '1', lanes)}")
    chosen = body.emit(f"select {vector('i1', lanes)} {exact}, {half_words} {bits}, {half_words} {odd}")
    return _emit(body, "bitcast", chosen, "i32", "float", lanes)
