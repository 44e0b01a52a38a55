"""Integer division, remainder, power and greatest common divisor by NumPy's rules, as LLVM IR.

Flows in: a function under construction, a dtype, SSA names of operands.
Flows out: the SSA name of the result. Nothing traps: x // 0 and x % 0 are 0, and everything wraps.

Vector units have no integer division. Types of at most 16 bits divide as f32 and those of 32 bits as f64, where
the floor of the rounded quotient is the exact one. 64 bits take two rounds of an underestimated f64 quotient
where conversions exist (AVX-512 DQ), else LLVM's division lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.base.dtypes import DType
from tracejit.xla_lite.cpu.text import Body, float_literal, splat, vector_type

LIKELY = ', !prof !{!"branch_weights", i32 2000, i32 1}'
UNDERESTIMATE = 1.0 - 2.0**-50


class Integers:
    """Instructions on integers of one type and number of lanes."""

    __slots__ = ("bits", "body", "kind", "lanes", "scalar", "signed")

    def __init__(self, body: Body, dtype: DType, lanes: int) -> None:
        self.body, self.bits, self.lanes, self.signed = body, dtype.bits, lanes, dtype.kind == "i"
        self.scalar = f"i{dtype.bits}"
        self.kind = vector_type(self.scalar, lanes)

    def const(self, n: int) -> str:
        """A constant in every lane."""
        return splat(self.scalar, str(n), self.lanes)

    def binary(self, instruction: str, x: str, y: str) -> str:
        """x instruction y."""
        return self.body.emit(f"{instruction} {self.kind} {x}, {y}")

    def select(self, mask: str, x: str, y: str) -> str:
        """x where the mask is set, else y."""
        return self.body.emit(f"select {self.mask} {mask}, {self.kind} {x}, {self.kind} {y}")

    @property
    def mask(self) -> str:
        """The type of masks."""
        return vector_type("i1", self.lanes)

    def masks(self, instruction: str, x: str, y: str) -> str:
        """x instruction y for masks."""
        return self.body.emit(f"{instruction} {self.mask} {x}, {y}")

    def intrinsic(self, name: str, *operands: str, flag: str = "") -> str:
        """llvm.`name` of this type; `flag` is an i1 constant that follows the operands."""
        full = f"llvm.{name}.{f'v{self.lanes}' if self.lanes > 1 else ''}{self.scalar}"
        kinds = (*[self.kind] * len(operands), *["i1"] * bool(flag))
        return self.body.intrinsic(self.kind, full, kinds, (*operands, *[flag] * bool(flag)))

    def magnitude(self, x: str) -> str:
        """|x| as an unsigned number."""
        return self.intrinsic("abs", x, flag="false") if self.signed else x

    def is_zero(self, x: str) -> str:
        """Mask of zeros."""
        return self.binary("icmp eq", x, self.const(0))

    def is_negative(self, x: str) -> str:
        """Mask of negative lanes of a signed type."""
        return self.binary("icmp slt", x, self.const(0))

    def negate(self, x: str) -> str:
        """-x, wrapping."""
        return self.binary("sub", self.const(0), x)


def _quotient_by_float(b: Integers, x: str, y: str) -> str:
    """floor(x / y) for at most 32 bits; anything for y = 0."""
    body, lanes = b.body, b.lanes
    single = b.bits <= 16
    scalar, whole = ("float", "i32") if single else ("double", "i64")
    kind, word = vector_type(scalar, lanes), "sitofp" if b.signed else "uitofp"
    dividend, divisor = (body.emit(f"{word} {b.kind} {v} to {kind}") for v in (x, y))
    quotient = body.emit(f"fdiv {kind} {dividend}, {divisor}")
    name = f"llvm.floor.{f'v{lanes}' if lanes > 1 else ''}{'f32' if single else 'f64'}"
    quotient = body.intrinsic(kind, name, (kind,), (quotient,))
    magic = splat(scalar, float_literal(1.5 * 2.0 ** (23 if single else 52)), lanes)  # brings the integer to the end
    shifted = body.emit(f"fadd {kind} {quotient}, {magic}")
    wide = vector_type(whole, lanes)
    bits = body.emit(f"bitcast {kind} {shifted} to {wide}")
    return bits if whole == b.scalar else body.emit(f"trunc {wide} {bits} to {b.kind}")


def _unsigned_by_float(b: Integers, x: str, y: str) -> tuple[str, str]:
    """Quotient and remainder of 64-bit magnitudes, y > 0.

    A quotient taken too small by at most 2^-49 of itself leaves a remainder that is never negative; a second
    round with what is left is at most one too small.
    """
    body, kind = b.body, vector_type("double", b.lanes)
    divisor = body.emit(f"uitofp {b.kind} {y} to {kind}")
    one = splat("double", float_literal(UNDERESTIMATE), b.lanes)
    reciprocal = body.emit(f"fdiv {kind} {one}, {divisor}")
    total, rest = "", x
    for _ in range(2):
        dividend = body.emit(f"uitofp {b.kind} {rest} to {kind}")
        estimate = body.emit(f"fmul {kind} {dividend}, {reciprocal}")
        part = body.emit(f"fptoui {kind} {estimate} to {b.kind}")
        rest = b.binary("sub", rest, b.binary("mul", part, y))
        total = b.binary("add", total, part) if total else part
    more = b.binary("icmp uge", rest, y)
    total = b.select(more, b.binary("add", total, b.const(1)), total)
    return total, b.select(more, b.binary("sub", rest, y), rest)


def _unsigned(b: Integers, x: str, y: str) -> tuple[str, str]:
    """Quotient and remainder of magnitudes, y > 0."""
    if b.body.module.features.avx512 and b.lanes > 1:
        return _unsigned_by_float(b, x, y)
    quotient = b.binary("udiv", x, y)
    return quotient, b.binary("sub", x, b.binary("mul", quotient, y))


def _floor_divide_64(b: Integers, x: str, y: str) -> str:
    quotient, rest = _unsigned(b, b.magnitude(x), b.intrinsic("umax", b.magnitude(y), b.const(1)))
    if b.signed:
        inexact = b.body.emit(f"zext {b.mask} {b.binary('icmp ne', rest, b.const(0))} to {b.kind}")
        down = b.negate(b.binary("add", quotient, inexact))
        quotient = b.select(b.is_negative(b.binary("xor", x, y)), down, quotient)
    return b.select(b.is_zero(y), b.const(0), quotient)


def _remainder_64(b: Integers, x: str, y: str) -> str:
    divisor = b.intrinsic("umax", b.magnitude(y), b.const(1))
    _, rest = _unsigned(b, b.magnitude(x), divisor)
    if b.signed:
        other_side = b.masks("and", b.is_negative(b.binary("xor", x, y)), b.binary("icmp ne", rest, b.const(0)))
        rest = b.select(other_side, b.binary("sub", divisor, rest), rest)
        rest = b.select(b.is_negative(y), b.negate(rest), rest)
    return b.select(b.is_zero(y), b.const(0), rest)


def _scalar_parts(b: Integers, x: str, y: str) -> tuple[str, str, str, str]:
    """Of one signed division that can't trap: quotient and rest toward zero (x and 0 where y is 0 or -1), a mask of
    rests on the other side of y, and the mask of other y: "true" where y is a number. They are said to be likely: the
    test becomes a branch."""
    plain, divisor = "true", y
    if _number(y) in (None, 0, -1):
        plain = b.binary("icmp ugt", b.binary("add", y, b.const(1)), b.const(1))
        divisor = b.body.emit(f"select i1 {plain}, {b.kind} {y}, {b.kind} 1{LIKELY}")
    quotient = b.binary("sdiv", x, divisor)
    rest = b.binary("sub", x, b.binary("mul", quotient, divisor))
    if (_number(y) or 0) > 0:
        return quotient, rest, b.is_negative(rest), plain
    other_side = b.masks("and", b.is_negative(b.binary("xor", rest, y)), b.binary("icmp ne", rest, b.const(0)))
    return quotient, rest, other_side, plain


def _floor_divide_scalar(b: Integers, x: str, y: str) -> str:
    """By one machine division; by a power of two a shift, which rounds down too."""
    if (shift := _power_of_two(y)) is not None:
        return b.binary("ashr", x, b.const(shift))
    quotient, _, other_side, plain = _scalar_parts(b, x, y)
    floor = b.binary("sub", quotient, b.body.emit(f"zext {b.mask} {other_side} to {b.kind}"))
    if plain == "true":
        return floor
    return b.select(plain, floor, b.select(b.is_zero(y), b.const(0), b.negate(x)))


def _remainder_scalar(b: Integers, x: str, y: str) -> str:
    if (shift := _power_of_two(y)) is not None:
        return b.binary("and", x, b.const((1 << shift) - 1))
    _, rest, other_side, _ = _scalar_parts(b, x, y)
    return b.select(other_side, b.binary("add", rest, y), rest)


def _number(text: str) -> int | None:
    """The operand, if it is a number."""
    return int(text) if text.removeprefix("-").isdecimal() else None


def _power_of_two(text: str) -> int | None:
    """The exponent, if the operand is a number that is a power of two."""
    number = _number(text) or 0
    return number.bit_length() - 1 if number > 0 and not number & (number - 1) else None


def _floor_divide(b: Integers, x: str, y: str) -> str:
    if b.bits == 64 and b.signed and b.lanes == 1:
        return _floor_divide_scalar(b, x, y)
    if b.bits == 64:
        return _floor_divide_64(b, x, y)
    return b.select(b.is_zero(y), b.const(0), _quotient_by_float(b, x, y))


def _remainder(b: Integers, x: str, y: str) -> str:
    if b.bits == 64 and b.signed and b.lanes == 1:
        return _remainder_scalar(b, x, y)
    if b.bits == 64:
        return _remainder_64(b, x, y)
    rest = b.binary("sub", x, b.binary("mul", _quotient_by_float(b, x, y), y))
    return b.select(b.is_zero(y), b.const(0), rest)


class _Loop:
    """A loop over integers of one type that goes on while any lane of the last one is not zero."""

    def __init__(self, b: Integers, starts: Sequence[str]) -> None:
        body = b.body
        self.b, self.starts, self.before = b, starts, body.block
        self.head, self.inside, self.done = (body.fresh_label(hint) for hint in ("while", "do", "done"))
        body.branch(self.head)
        body.label(self.head)
        self.place = body.hole()
        self.state = [body.fresh() for _ in starts]
        self.active = b.binary("icmp ne", self.state[-1], b.const(0))
        body.branch_if(body.any_lane(self.active, b.lanes), self.inside, self.done)
        body.label(self.inside)

    def end(self, following: Sequence[str]) -> None:
        """Closes the loop with the next values of the state."""
        body, kind = self.b.body, self.b.kind
        tail = body.block
        body.branch(self.head)
        rows = zip(self.state, self.starts, following, strict=True)
        body.fill(self.place, [f"{c} = phi {kind} [ {s}, %{self.before} ], [ {n}, %{tail} ]" for c, s, n in rows])
        body.label(self.done)


def _power(b: Integers, x: str, y: str) -> str:
    """By squaring, wrapping. Negative exponents: 1 / x rounded toward zero, as if 0 to a negative power were 0."""
    exponent = b.intrinsic("smax", y, b.const(0)) if b.signed else y
    loop = _Loop(b, [b.const(1), x, exponent])
    result, base, rest = loop.state
    odd = b.binary("icmp ne", b.binary("and", rest, b.const(1)), b.const(0))
    grown = b.select(odd, b.binary("mul", result, base), result)
    loop.end([grown, b.binary("mul", base, base), b.binary("lshr", rest, b.const(1))])
    if not b.signed:
        return result
    odd = b.binary("icmp ne", b.binary("and", y, b.const(1)), b.const(0))
    minus = b.select(b.binary("icmp eq", x, b.const(-1)), b.select(odd, b.const(-1), b.const(1)), b.const(0))
    inverse = b.select(b.binary("icmp eq", x, b.const(1)), b.const(1), minus)
    return b.select(b.is_negative(y), inverse, result)


def _gcd(b: Integers, x: str, y: str) -> str:
    """Stein's algorithm on magnitudes; gcd(x, 0) = |x|."""
    x, y = b.magnitude(x), b.magnitude(y)
    no_x, no_y = b.is_zero(x), b.is_zero(y)
    first, second = b.select(no_x, b.const(1), x), b.select(no_y, b.const(1), y)
    twos = b.intrinsic("cttz", b.binary("or", first, second), flag="false")
    first = b.binary("lshr", first, b.intrinsic("cttz", first, flag="false"))
    loop = _Loop(b, [first, second])
    odd, other = loop.state
    reduced = b.binary("lshr", other, b.intrinsic("cttz", other, flag="false"))
    reduced = b.select(loop.active, reduced, odd)  # a lane that is done stays: odd, odd - odd
    smaller, larger = b.intrinsic("umin", odd, reduced), b.intrinsic("umax", odd, reduced)
    loop.end([smaller, b.binary("sub", larger, smaller)])
    both = b.binary("shl", odd, twos)
    return b.select(no_x, y, b.select(no_y, x, both))


# Written here, read by emit_integer.
_FUNCTIONS: dict[str, Callable[[Integers, str, str], str]] = {
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "power": _power,
    "gcd": _gcd,
}


def emit_integer(body: Body, name: str, dtype: DType, lanes: int, operands: Sequence[str]) -> str:
    """Emits floor_divide, remainder, power or gcd of integers of `dtype`; the SSA name of the result."""
    return _FUNCTIONS[name](Integers(body, dtype, lanes), operands[0], operands[1])
