"""The names of `tj.numpy`: NumPy's own, those of the array API included.

Flows in:  attribute access, `tj.numpy.sum`.
Flows out: functions that emit ops inside a trace, and outside of one are compiled, run, and give Tensors; dtypes and
           constants are NumPy's.
"""
from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from tracejit.api.tensor import call
from tracejit.base.dtypes import BF16
from tracejit.base.errors import UnsupportedError
from tracejit.tracing.context import active
from tracejit.tracing.implements import NUMPY, load_front_end

_METHODS = ("accumulate", "at", "outer", "reduce", "reduceat")
# Functions about dtypes and shapes: outside of a trace NumPy itself answers them.
_QUESTIONS = frozenset("result_type can_cast promote_types min_scalar_type issubdtype isdtype finfo iinfo common_type "
                       "isscalar iterable shape ndim size broadcast_shapes".split())
_OWN = {"bfloat16": BF16, "special": None}    # names that NumPy lacks


class Function:
    """One NumPy function; of a ufunc also its methods."""

    def __init__(self, target: Any, name: str):
        self._target, self.__name__ = target, name
        self.__doc__ = getattr(target, "__doc__", None)

    def __call__(self, *args: Any, **options: Any) -> Any:
        if active() is None and self.__name__ in _QUESTIONS:
            return self._target(*args, **options)
        return _run(self._target, self.__name__, args, options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _METHODS or not isinstance(self._target, np.ufunc):
            raise AttributeError(f"tj.numpy.{self.__name__} has no attribute {name!r}")
        key, full = (self._target, name), f"{self.__name__}.{name}"
        return lambda *args, **options: _run(key, full, args, options)

    def __repr__(self) -> str:
        return f"<tj.numpy.{self.__name__}>"


def _run(key: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    load_front_end()
    if key not in NUMPY:
        raise UnsupportedError(f"np.{name} is not supported", why="it has no compiled meaning",
                               fix=f"call numpy.{name} on NumPy arrays")
    return call(key, *args, **options)


class Namespace:
    """A submodule of NumPy, such as `linalg`."""

    def __init__(self, module: Any, name: str):
        self._module, self._name = module, name

    def __getattr__(self, name: str) -> Any:
        return _wrapped(getattr(self._module, name), f"{self._name}.{name}")


def _wrapped(found: Any, name: str) -> Any:
    """A function as a `Function`; classes (dtypes, errors) and constants as they are."""
    return Function(found, name) if callable(found) and not isinstance(found, type) else found


def __getattr__(name: str) -> Any:
    """Looks a name up once; from then on it is an ordinary attribute."""
    if name.startswith("__") and name != "__array_api_version__":
        raise AttributeError(name)
    if name == "special":
        return import_module("tracejit.numpy.special")
    if name in _OWN:
        return _OWN[name]
    if name in ("linalg", "fft"):
        return Namespace(getattr(np, name), name)
    try:
        found = getattr(np, name)
    except AttributeError:
        raise AttributeError(f"tj.numpy has no attribute {name!r}") from None
    return _wrapped(found, name)


def __dir__() -> list[str]:
    return sorted({*dir(np), *_OWN})
