"""Functions of the library that users call inside compiled functions and outside.

Flows in:  functions written over traced arrays.
Flows out: functions that are part of a trace inside one, and compile themselves outside.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

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

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            return (fn if active() is not None else compiled())(*args, **kwargs)

        return call     # type: ignore[return-value]

    return made
