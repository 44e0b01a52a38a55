"""Polynomials by table: 16 pieces, two or four to a binade, with the coefficients held in registers.

Flows in: |x| of a wide builder.
Flows out: a function that is odd near zero and smooth elsewhere.

The pieces are told apart by the lowest bits of the exponent and the first of the significand, four in all, which
is what `lookup` reads of an index. That covers 8 or 4 binades; smaller arguments belong to the first piece.
"""

from __future__ import annotations

from tracejit.xla_lite.kernels.elementary.builder import Builder, Value
from tracejit.xla_lite.kernels.elementary.common import table
from tracejit.xla_lite.kernels.elementary.tables import PIECEWISE, TABLES


def piecewise(b: Builder, a: Value, name: str) -> Value:
    """The function `name` at a >= 0; a must not exceed the last piece. NaN stays."""
    smallest, shift, degree = PIECEWISE[name, b.type.name]
    lowest = b.type.to_bits(smallest)
    bits = b.bits(a)
    index = b.select(bits > lowest, bits, b.int_const(lowest)).logical_shift_right(shift)
    t = a - b.lookup(table(b, f"{name}_node"), index)
    y = b.lookup(table(b, f"{name}_{degree}"), index)
    for k in reversed(range(1, degree)):
        y = b.fma(y, t, b.lookup(table(b, f"{name}_{k}"), index))
    first = b.lookup(table(b, f"{name}_0"), index)
    if (f"{name}_low", b.type.name) in TABLES:  # what rounding took from the slope; matters where y = slope t
        first = b.fma(t, b.lookup(table(b, f"{name}_low"), index), first)
    return b.fma(y, t, first)
