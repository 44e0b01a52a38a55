"""Functions that users call inside compiled functions and outside.

Flows in:  functions written over traced arrays.
Flows out: functions that are part of a trace inside one, and compile themselves outside.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tracejit.api.function import function
from tracejit.tracing.arrays import Array, static_value
from tracejit.tracing.context import active
from tracejit.tracing.inputs import FIXED_CALLABLES

F = TypeVar("F", bound=Callable[..., Any])


class Anywhere:
    """A function over traced arrays: inside a trace it is traced, outside it compiles itself at its first call.

    python: what is traced.  like: whose name and documentation it has.  options: of `tj.function`.
    """

    def __init__(self, python: Callable[..., Any], like: Any, name: str, **options: Any):
        functools.update_wrapper(self, like, updated=())
        self.__name__ = name
        self._python, self._options, self._compiled = python, options, None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return (self._python if active() is not None else self.compiled)(*args, **kwargs)

    @property
    def compiled(self) -> Any:
        """The compiled function, with `explain()` and `stages()`."""
        if self._compiled is None:
            self._compiled = function(self._python, name=self.__name__, **self._options)
        return self._compiled


FIXED_CALLABLES.add(Anywhere)


def library(*, static: Sequence[str] = ()) -> Callable[[F], F]:
    """Makes a function of traced arrays one that can be called anywhere. static: parameters that are no arrays."""
    def made(fn: F) -> F:
        outside = Anywhere(fn, fn, fn.__name__, autograph=False, static=static)
        names = fn.__code__.co_varnames[:fn.__code__.co_argcount]

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            if active() is None:
                return outside(*args, **kwargs)
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
