"""What several families of elementary functions share: tables by name, and reduction to powers of two.

Flows in: values of a builder.
Flows out: coefficients for its type, n and r with x = n ln2 + r, and scaling by 2^n.
"""

from __future__ import annotations

from typing import TypeVar

from tracejit.xla_lite.kernels.elementary.builder import F32, Builder, Table, Value
from tracejit.xla_lite.kernels.elementary.coefficients import CONSTANTS, POLYNOMIALS
from tracejit.xla_lite.kernels.elementary.tables import TABLES

T = TypeVar("T")
INF, NAN = float("inf"), float("nan")


def coefficients(b: Builder, name: str) -> tuple[float, ...]:
    """The polynomial `name` for the builder's type, low to high."""
    return POLYNOMIALS[name, b.type.name]


def constant(b: Builder, name: str) -> tuple[float, ...]:
    """The constant `name` as a sum of floats of the builder's type."""
    return CONSTANTS[name, b.type.name]


def table(b: Builder, name: str) -> Table:
    """The table `name` of 16 floats."""
    return f"{name}_{b.type}", TABLES[name, b.type.name]


def pick(b: Builder, f32: T, f64: T) -> T:
    """One of two things, by the builder's type."""
    return f32 if b.type is F32 else f64


def round_to_multiple(b: Builder, x: Value, factor: float, step: float = 1.0) -> tuple[Value, Value]:
    """n = the multiple of `step` nearest to x factor, and an integer whose low bits hold n / step.

    step is a power of two; |n / step| < 2^(mantissa - 1). Rests on addition not being reassociated.
    """
    magic = b.type.magic * step
    shifted = x + magic if factor == 1.0 else b.fma(x, factor, magic)
    return shifted - magic, b.bits(shifted)


def reduce_by_ln2(b: Builder, x: Value, step: float = 1.0) -> tuple[Value, Value, Value]:
    """x = n ln2 + r, n a multiple of `step`. Returns n, its bits and r.

    ln2 has two full parts; the first fma is exact, so only the last one rounds.
    """
    high, low = constant(b, "ln2")
    n, bits = round_to_multiple(b, x, constant(b, "inverse_ln2")[0], step)
    return n, bits, b.fnma(low, n, b.fnma(high, n, x))


def reduce_by_ln2_exactly(b: Builder, x: Value) -> tuple[Value, Value, Value, Value]:
    """The same with what r lost in rounding: n, bits, r, tail."""
    high, low = constant(b, "ln2")
    n, bits = round_to_multiple(b, x, constant(b, "inverse_ln2")[0])
    first = b.fnma(high, n, x)
    r = b.fnma(low, n, first)
    return n, bits, r, b.fnma(low, n, first - r)


def multiply_by_power_of_two(b: Builder, y: Value, n: Value, bits: Value) -> Value:
    """y 2^n with one rounding, also into the subnormals; `bits` as from `round_to_multiple`."""
    if b.wide:
        return b.scale(y, n)
    mantissa, one = b.type.mantissa, b.type.one_bits
    whole = bits << mantissa
    half = (whole >> 1) & -(1 << mantissa)
    return y * b.from_bits(half + one) * b.from_bits(whole - half + one)
