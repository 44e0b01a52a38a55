"""Truth of traced values: one bool, and its negation.

Flows in:  tests of converted code.
Flows out: op `not`.
"""
from __future__ import annotations

from tracejit.base.dtypes import BOOL
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import convert, emit
from tracejit.tracing.scalars import weak


def truth(value: Array) -> Array:
    """bool[] of a scalar or an array with one element; NumPy's error for more."""
    if value.size != 1:
        bool(value)
    flat = emit("reshape", value.snapshot(), shape=()) if value.type.shape else value
    return convert(flat, BOOL)


def negation(value: Array) -> Array:
    """`not value`: a Python bool."""
    return weak(emit("not", truth(value)), "b")
