"""The abstract builder: the only thing that an elementary function talks to.

Flows in: primitive operations on floats, integers of the same width and lane masks.
Flows out: opaque handles of a backend (NumPy arrays in tests, SSA names in a code generator).

A function is written once, as Python that receives a `Builder` and `Value`s. It knows neither the number of
lanes nor the target. What every backend must keep, because the algorithms rest on it:

* each float operation rounds once, to nearest even, with subnormals; `fma` is fused, and nothing else is;
* no reassociation and no assumption that NaN, infinities or signed zeros are absent.

A target may have `wide` operations (x86 AVX-512: exponent and significand of a float, scaling by a power of
two, lookup in a small table held in registers). Functions ask `b.wide` and have a second, shorter form then.
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["f", "i", "m"]


@dataclass(frozen=True, slots=True)
class FloatType:
    """A binary floating-point format and the constants that follow from it."""

    name: str
    bits: int
    mantissa: int
    bias: int = field(init=False)
    epsilon: float = field(init=False)
    min_normal: float = field(init=False)
    min_subnormal: float = field(init=False)
    max: float = field(init=False)
    magic: float = field(init=False)  # x + magic rounds x to an integer, found in the low bits
    one_bits: int = field(init=False)
    sign_bit: int = field(init=False)  # as a signed integer
    magnitude_mask: int = field(init=False)

    def __post_init__(self) -> None:
        bias = (1 << (self.bits - self.mantissa - 2)) - 1
        epsilon = 2.0**-self.mantissa
        derived = {
            "bias": bias,
            "epsilon": epsilon,
            "min_normal": 2.0 ** (1 - bias),
            "min_subnormal": 2.0 ** (1 - bias - self.mantissa),
            "max": (2.0 - epsilon) * 2.0**bias,
            "magic": 1.5 * 2.0**self.mantissa,
            "one_bits": bias << self.mantissa,
            "sign_bit": -(1 << (self.bits - 1)),
            "magnitude_mask": (1 << (self.bits - 1)) - 1,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return self.name

    def round(self, x: float) -> float:
        """`x` rounded to this format, infinite beyond its range."""
        if self.bits == 64:
            return float(x)
        try:
            return float(struct.unpack("<f", struct.pack("<f", x))[0])
        except OverflowError:
            return math.copysign(math.inf, x)

    def to_bits(self, x: float) -> int:
        """The bits of `x` as a signed integer."""
        kinds = ("<q", "<d") if self.bits == 64 else ("<i", "<f")
        return int(struct.unpack(kinds[0], struct.pack(kinds[1], x))[0])


F32 = FloatType("f32", 32, 23)
F64 = FloatType("f64", 64, 52)


class Value:
    """A handle of a backend with its kind, and Python's operators. Python numbers mix in as constants.

    kind 'f': float of the builder's type; 'i': signed integer of the same width; 'm': lane mask.
    """

    __slots__ = ("b", "handle", "kind")

    def __init__(self, b: Builder, handle: Any, kind: Kind) -> None:
        self.b = b
        self.handle = handle
        self.kind = kind

    def _binary(self, float_op: str, int_op: str, other: Operand, swap: bool = False) -> Value:
        kind, b = self.kind, self.b
        if not isinstance(other, Value):
            other = b.const(other) if kind == "f" else b.int_const(int(other))
        assert other.kind == kind and other.b.type is b.type, f"{float_op} of {kind} and {other.kind}"
        x, y = (other, self) if swap else (self, other)
        return Value(b, b.op(float_op if kind == "f" else int_op, x.handle, y.handle), kind)

    def _compare(self, float_op: str, int_op: str, other: Operand) -> Value:
        b = self.b
        if not isinstance(other, Value):
            other = b.const(other) if self.kind == "f" else b.int_const(int(other))
        assert other.kind == self.kind, f"{float_op} of {self.kind} and {other.kind}"
        return Value(b, b.op(float_op if self.kind == "f" else int_op, self.handle, other.handle), "m")

    def _bitwise(self, int_op: str, mask_op: str, other: Value | int) -> Value:
        b = self.b
        if not isinstance(other, Value):
            other = b.int_const(other)
        assert other.kind == self.kind != "f", f"{int_op} of {self.kind} and {other.kind}"
        return Value(b, b.op(int_op if self.kind == "i" else mask_op, self.handle, other.handle), self.kind)

    def _shift(self, op: str, count: int | Value) -> Value:
        amount = count if isinstance(count, Value) else self.b.int_const(count)
        return Value(self.b, self.b.op(op, self.handle, amount.handle), "i")

    def __add__(self, other: Operand) -> Value:
        return self._binary("fadd", "iadd", other)

    def __radd__(self, other: Operand) -> Value:
        return self._binary("fadd", "iadd", other, True)

    def __sub__(self, other: Operand) -> Value:
        return self._binary("fsub", "isub", other)

    def __rsub__(self, other: Operand) -> Value:
        return self._binary("fsub", "isub", other, True)

    def __mul__(self, other: Operand) -> Value:
        return self._binary("fmul", "imul", other)

    def __rmul__(self, other: Operand) -> Value:
        return self._binary("fmul", "imul", other, True)

    def __truediv__(self, other: Operand) -> Value:
        return self._binary("fdiv", "none", other)

    def __rtruediv__(self, other: Operand) -> Value:
        return self._binary("fdiv", "none", other, True)

    def __neg__(self) -> Value:
        return Value(self.b, self.b.op("fneg", self.handle), "f") if self.kind == "f" else 0 - self

    def __lt__(self, other: Operand) -> Value:
        return self._compare("flt", "ilt", other)

    def __le__(self, other: Operand) -> Value:
        return self._compare("fle", "ile", other)

    def __gt__(self, other: Operand) -> Value:
        return self._compare("fgt", "igt", other)

    def __ge__(self, other: Operand) -> Value:
        return self._compare("fge", "ige", other)

    def equals(self, other: Operand) -> Value:
        """Mask; false where either is NaN."""
        return self._compare("feq", "ieq", other)

    def differs(self, other: Operand) -> Value:
        """Mask; true where either is NaN."""
        return self._compare("fne", "ine", other)

    def __and__(self, other: Value | int) -> Value:
        return self._bitwise("iand", "mand", other)

    def __or__(self, other: Value | int) -> Value:
        return self._bitwise("ior", "mor", other)

    def __xor__(self, other: Value | int) -> Value:
        return self._bitwise("ixor", "mxor", other)

    def __invert__(self) -> Value:
        return Value(self.b, self.b.op("mnot", self.handle), "m") if self.kind == "m" else self ^ -1

    def __lshift__(self, count: int | Value) -> Value:
        return self._shift("ishl", count)

    def __rshift__(self, count: int | Value) -> Value:
        """Arithmetic shift."""
        return self._shift("iashr", count)

    def logical_shift_right(self, count: int | Value) -> Value:
        """Shifts zeros in."""
        return self._shift("ilshr", count)


Operand = Value | float | int
Table = tuple[str, tuple[float, ...]]


class Builder(ABC):
    """Operations on values of one float type; what a backend supplies is abstract."""

    type: FloatType
    wide: bool = False

    # What a backend supplies.

    @abstractmethod
    def op(self, name: str, *handles: Any) -> Any:
        """One primitive on handles: `f...` on floats, `i...` on integers, `m...` on masks."""

    @abstractmethod
    def const(self, x: float) -> Value:
        """A float constant, rounded to the type."""

    @abstractmethod
    def int_const(self, n: int) -> Value:
        """An integer constant."""

    @abstractmethod
    def twin(self) -> Builder:
        """The builder of the other float type with the same lanes."""

    @abstractmethod
    def widen(self, x: Value) -> Value:
        """f32 or i32 to f64 or i64, exactly."""

    @abstractmethod
    def narrow(self, x: Value) -> Value:
        """f64 or i64 to f32 (rounded) or i32 (truncated); called on the f64 builder."""

    @abstractmethod
    def gather(self, table: Table, index: Value) -> Value:
        """table[index] from memory; the index must be in range."""

    @abstractmethod
    def lookup(self, table: Table, index: Value) -> Value:
        """table[index mod 16] of a table of 16 held in registers. Only on `wide` builders."""

    @abstractmethod
    def if_any(
        self, mask: Value, slow: Callable[[], tuple[Value, ...]], fast: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        """`fast`, with the lanes of `mask` replaced by `slow()`, which runs only if there are any."""

    @abstractmethod
    def while_any(
        self,
        condition: Callable[..., Value],
        step: Callable[..., tuple[Value, ...]],
        state: tuple[Value, ...],
    ) -> tuple[Value, ...]:
        """While any lane of condition(*state) holds: the state of those lanes becomes step(*state)."""

    @abstractmethod
    def outlined(self, name: str, function: Callable[..., tuple[Value, ...]], *arguments: Value) -> tuple[Value, ...]:
        """function(b, *arguments) as one shared function out of line, where the backend can."""

    # Primitives by name.

    def as_float(self, x: Operand) -> Value:
        """`x`, constants wrapped."""
        return x if isinstance(x, Value) else self.const(x)

    def _unary(self, name: str, kind: Kind, x: Value) -> Value:
        assert x.b.type is self.type, name
        return Value(self, self.op(name, x.handle), kind)

    def fma(self, x: Operand, y: Operand, z: Operand) -> Value:
        """x y + z with one rounding."""
        x, y, z = self.as_float(x), self.as_float(y), self.as_float(z)
        return Value(self, self.op("fma", x.handle, y.handle, z.handle), "f")

    def fnma(self, x: Operand, y: Operand, z: Operand) -> Value:
        """z - x y with one rounding."""
        return self.fma(-x, y, z)

    def sqrt(self, x: Value) -> Value:
        """Square root, correctly rounded."""
        return self._unary("fsqrt", "f", x)

    def abs(self, x: Value) -> Value:
        """`x` without its sign."""
        return self._unary("fabs", "f", x)

    def floor(self, x: Value) -> Value:
        """Rounds down."""
        return self._unary("ffloor", "f", x)

    def trunc(self, x: Value) -> Value:
        """Rounds toward zero."""
        return self._unary("ftrunc", "f", x)

    def rint(self, x: Value) -> Value:
        """Rounds to nearest even."""
        return self._unary("frint", "f", x)

    def bits(self, x: Value) -> Value:
        """The bits of a float as an integer."""
        return self._unary("f2bits", "i", x)

    def from_bits(self, i: Value) -> Value:
        """The float with these bits."""
        return self._unary("bits2f", "f", i)

    def to_float(self, i: Value) -> Value:
        """Integer to float; f64 needs |i| < 2^51."""
        return self._unary("i2f", "f", i)

    def to_int(self, x: Value) -> Value:
        """A float that holds an integer, |x| < 2^(mantissa - 1), to an integer."""
        return self.bits(x + self.type.magic) - self.type.to_bits(self.type.magic)

    def exponent(self, x: Value) -> Value:
        """floor(log2 |x|) as a float; -inf at 0, inf at inf. Only on `wide` builders."""
        return self._unary("exponent", "f", x)

    def significand(self, x: Value) -> Value:
        """x / 2^k in [3/4, 3/2); 1 at 0 and inf, NaN below 0. Only on `wide` builders."""
        return self._unary("significand", "f", x)

    def scale(self, x: Value, n: Value) -> Value:
        """x 2^floor(n) with one rounding, for finite n. Only on `wide` builders."""
        return Value(self, self.op("scale", x.handle, n.handle), "f")

    def select(self, mask: Value, x: Operand, y: Operand) -> Value:
        """x where the mask is set, else y."""
        kind = x.kind if isinstance(x, Value) else y.kind if isinstance(y, Value) else "f"
        if kind == "i":
            x = x if isinstance(x, Value) else self.int_const(int(x))
            y = y if isinstance(y, Value) else self.int_const(int(y))
        else:
            x, y = self.as_float(x), self.as_float(y)
        name = {"f": "fselect", "i": "iselect", "m": "mselect"}[kind]
        return Value(self, self.op(name, mask.handle, x.handle, y.handle), kind)

    # Derived operations.

    def is_nan(self, x: Value) -> Value:
        """Mask of NaNs."""
        return x.differs(x)

    def min(self, x: Value, y: Operand) -> Value:
        """The smaller; y if either is NaN."""
        return self.select(x < y, x, y)

    def max(self, x: Value, y: Operand) -> Value:
        """The larger; y if either is NaN."""
        return self.select(x > y, x, y)

    def clamp(self, x: Value, low: float | None, high: float | None) -> Value:
        """`x` within the limits; NaN stays."""
        if low is not None:
            x = self.max(self.const(low), x)
        if high is not None:
            x = self.min(self.const(high), x)
        return x

    def sign(self, x: Value) -> Value:
        """An integer with only the sign bit of x."""
        return self.bits(x) & self.type.sign_bit

    def flip_sign(self, x: Value, sign: Value) -> Value:
        """Negates x where the sign bit of the integer is set."""
        return self.from_bits(self.bits(x) ^ sign)

    def copy_sign(self, x: Value, sign_of: Value) -> Value:
        """|x| with the sign of the other."""
        return self.from_bits((self.bits(x) & self.type.magnitude_mask) | self.sign(sign_of))

    def power_of_two(self, n: Value) -> Value:
        """2^n for an integer n in the range of normal numbers."""
        return self.from_bits((n + self.type.bias) << self.type.mantissa)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Horner's rule, coefficients from low to high."""
        p = self.const(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            p = self.fma(p, x, c)
        return p

    def polynomial_split(self, x: Value, square: Value, coefficients: Sequence[float]) -> Value:
        """Even and odd part apart: half the latency for one more operation."""
        if len(coefficients) < 5:
            return self.polynomial(x, coefficients)
        odd = self.polynomial(square, coefficients[1::2])
        return self.fma(odd, x, self.polynomial(square, coefficients[0::2]))

    def two_sum(self, x: Value, y: Value) -> tuple[Value, Value]:
        """x + y as sum and rounding error."""
        s = x + y
        t = s - x
        return s, (x - (s - t)) + (y - t)

    def fast_two_sum(self, x: Value, y: Value) -> tuple[Value, Value]:
        """The same, given |x| >= |y| or x = 0."""
        s = x + y
        return s, y - (s - x)

    def two_product(self, x: Value, y: Operand) -> tuple[Value, Value]:
        """x y as product and rounding error."""
        p = x * y
        return p, self.fma(x, y, -p)
