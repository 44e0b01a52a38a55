"""Values that may be missing when the compiled function runs: None, or a variable that has no value yet.

Flows in:  branches and loops which leave a value on one path and nothing on another.
Flows out: `Optional`, which stands for both; its operators check at run time that the value is there.
"""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, emit
from tracejit.tracing.context import current
from tracejit.tracing.scalars import weak


class Missing:
    """The one value `UNDEFINED`: a variable without a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED = Missing()


class Optional:
    """`missing` where `flag` (bool[]) is true, else `value`."""

    __slots__ = ("flag", "missing", "value")

    def __init__(self, missing: Any, flag: Array, value: Any):
        self.missing, self.flag, self.value = missing, flag, value

    def present(self, exception: str = "TypeError", message: str = "") -> Any:
        """The value; raises at run time where it is missing."""
        if not current().known_false(self.flag):
            text = message or "a variable is None here, where a value is needed"
            assert_(emit("not", self.flag), exception, text)
        return self.value

    def is_missing(self) -> Array:
        """Whether it is missing, as a Python bool."""
        return weak(self.flag, "b")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.present("AttributeError", f"'NoneType' object has no attribute '{name}'"), name)

    def __getitem__(self, index: Any) -> Any:
        return self.present("TypeError", "'NoneType' object is not subscriptable")[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self.present("TypeError", "'NoneType' object does not support item assignment")[index] = value

    def __bool__(self) -> bool:
        return bool(self.present())

    def __eq__(self, other: object) -> Any:
        if other is None and self.missing is None:
            return self.is_missing()
        return self.present() == other

    def __ne__(self, other: object) -> Any:
        if other is None and self.missing is None:
            return weak(emit("not", self.flag), "b")
        return self.present() != other

    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None


def unwrapped(value: Any) -> Any:
    """The value where one is needed: of an `Optional` what it holds, checked at run time."""
    while type(value) is Optional:
        value = value.present()
    return value


def _forward(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *others: operation(self.present(), *map(unwrapped, others))


def _reflected(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: operation(unwrapped(other), self.present())


def _install() -> None:
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift",
                 "rshift"):
        function, plain = getattr(operator, name), name.rstrip("_")
        setattr(Optional, f"__{plain}__", _forward(function))
        setattr(Optional, f"__r{plain}__", _reflected(function))
    for name in ("lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
        setattr(Optional, f"__{name}__", _forward(getattr(operator, name)))


_install()
