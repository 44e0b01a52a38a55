"""Truth of traced values: negation, and assertions that are checked when the compiled function runs.

Flows in:  tests of converted code.
Flows out: ops `not` and `assert`.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.base.dtypes import BOOL
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, convert, emit
from tracejit.tracing.context import TraceContext
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


def assert_at_run_time(context: TraceContext, test: Array, message: Callable[[], Any] | None) -> None:
    """`assert test, message()`: the message may show traced scalars."""
    context.formatted = values = list[Any]()
    try:
        text = "" if message is None else str(message())
    finally:
        context.formatted = None
    assert_(truth(test), "AssertionError", escape(text), *values)


def escape(text: str) -> str:
    """Braces of the user's text doubled, marks of traced values as fields."""
    return text.replace("{", "{{").replace("}", "}}").replace("\ue000", "{").replace("\ue001", "}")
