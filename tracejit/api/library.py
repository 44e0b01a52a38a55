"""Functions of the library that users call inside compiled functions and outside.

Flows in:  functions written over traced arrays.
Flows out: functions that are part of a trace inside one, and compile themselves outside.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tracejit.tracing.arrays import Array, static_value
from tracejit.tracing.context import active

F = TypeVar("F", bound=Callable[..., Any])


def library(*, static: Sequence[str] = ()) -> Callable[[F], F]:
    """Makes a function of traced arrays one that can be called anywhere. static: parameters that are no arrays."""
    def made(fn: F) -> F:
        @functools.cache
        def compiled() -> Callable[..., Any]:
            from tracejit.api.function import function
            whole: Callable[..., Any] = function(fn, autograph=False, static=static, name=fn.__name__)
            return whole

        names = fn.__code__.co_varnames[:fn.__code__.co_argcount]

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            if active() is None:
                return compiled()(*args, **kwargs)
            known = [plain(a) if name in static else a for a, name in zip(args, names, strict=False)]
            named = {name: plain(a) if name in static else a for name, a in kwargs.items()}
            return fn(*known, *args[len(known):], **named)

        return call     # type: ignore[return-value]

    return made


def plain(value: Any) -> Any:
    """A static argument as Python values: traced scalars in it become part of the signature."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value))
    return static_value(value) if type(value) is Array and not value.type.shape else value
