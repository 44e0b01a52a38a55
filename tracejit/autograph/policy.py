"""Which code is the user's and gets converted when it is called.

Flows in:  callables and file names.
Flows out: `resolve` (what to convert for a call), `constructor` and `property_getter`/`property_setter` (the same for
           classes and properties), `is_user_file`.

User code is every Python function whose file is not of tracejit, the standard library or an installed package.
Packages named in `packages` count as the user's although they are installed.
"""
from __future__ import annotations

import functools
import itertools
import os
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FunctionType, MethodType
from typing import Any

from tracejit.autograph.codes import CodeMap

NO_PACKAGES: frozenset[str] = frozenset()

# Builtins that call a function they are given and keep nothing of it.
HIGHER_ORDER: frozenset[Any] = frozenset({
    map, filter, sorted, min, max, functools.reduce, itertools.accumulate, itertools.starmap, itertools.takewhile,
    itertools.dropwhile, itertools.filterfalse, itertools.groupby})

converted_codes: CodeMap[bool] = CodeMap()    # written by load.py for every code object that it makes

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARIES = tuple(path + os.sep for key, path in sysconfig.get_paths().items()
                   if key in ("stdlib", "platstdlib", "purelib", "platlib")) + (os.path.dirname(os.__file__) + os.sep,)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@dataclass(frozen=True, slots=True)
class Callee:
    """A user function behind a callable, with the arguments that come before and beside those of the call."""

    function: FunctionType
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@functools.lru_cache(maxsize=4096)
def is_internal_file(file: str) -> bool:
    """Whether `file` is tracejit's own."""
    return file.startswith(_PACKAGE)


@functools.lru_cache(maxsize=4096)
def is_user_file(file: str) -> bool:
    """Frozen modules have names in angle brackets; so have notebook cells and `exec`, which are the user's."""
    if file.startswith((_PACKAGE, "<frozen ", "<__array_function__")):
        return False
    return not file.startswith(_LIBRARIES) and not any(part in file for part in _INSTALLED)


def is_user_function(fn: Any, packages: frozenset[str] = NO_PACKAGES) -> bool:
    """Whether `fn` is a Python function of the user's that is not converted yet."""
    if fn.__class__ is not FunctionType or fn.__code__ in converted_codes:
        return False
    module = fn.__module__
    if packages and isinstance(module, str) and module.partition(".")[0] in packages:
        return not is_internal_file(fn.__code__.co_filename)
    return is_user_file(fn.__code__.co_filename)


def resolve(fn: Any, packages: frozenset[str] = NO_PACKAGES) -> Callee | None:
    """The user function that calling `fn` runs: of functions, methods, partials, instances with `__call__`.

    None: nothing to convert (builtins, C functions, classes, library code, converted code).
    """
    if fn.__class__ is FunctionType:
        return Callee(fn) if is_user_function(fn, packages) else None
    if fn.__class__ is MethodType:
        inner = resolve(fn.__func__, packages)
        return None if inner is None else Callee(inner.function, (*inner.args, fn.__self__), inner.kwargs)
    if fn.__class__ is functools.partial:
        inner = resolve(fn.func, packages)
        return None if inner is None else Callee(inner.function, inner.args + fn.args, {**inner.kwargs, **fn.keywords})
    call = None if isinstance(fn, type) else getattr(type(fn), "__call__", None)    # noqa: B004
    return Callee(call, (fn,)) if call is not None and is_user_function(call, packages) else None


def constructor(cls: Any, packages: frozenset[str] = NO_PACKAGES) -> Any:
    """The user's `__init__` of a class which is made as usual: no `__new__`, no metaclass that calls differently.
    Exceptions too: their `__new__` keeps the arguments and does nothing else."""
    if not isinstance(cls, type) or type(cls).__call__ is not type.__call__:
        return None
    init = getattr(cls, "__init__", None)
    maker = next(c for c in cls.__mro__ if "__new__" in vars(c))
    usual = maker is object or maker.__module__ == "builtins" and issubclass(cls, BaseException) and not issubclass(
        cls, (OSError, BaseExceptionGroup))
    return init if usual and is_user_function(init, packages) else None


def property_getter(obj: Any, name: str, packages: frozenset[str] = NO_PACKAGES) -> FunctionType | None:
    """The user's function behind `obj.name` if that is a property."""
    return _property_function(obj, name, lambda found: found.fget, packages)


def property_setter(obj: Any, name: str, packages: frozenset[str] = NO_PACKAGES) -> FunctionType | None:
    """The user's function behind `obj.name = value` if that is a property."""
    return _property_function(obj, name, lambda found: found.fset, packages)


def _property_function(obj: Any, name: str, part: Callable[[property], Any],
                       packages: frozenset[str]) -> FunctionType | None:
    for cls in type(obj).__mro__:
        if name in cls.__dict__:
            found = cls.__dict__[name]
            fn = part(found) if found.__class__ is property else None
            return fn if fn is not None and is_user_function(fn, packages) else None
    return None


def mark_converted(codes: list[CodeType]) -> None:
    """Remembers code that is converted, so that it is not converted again."""
    for code in codes:
        converted_codes.set(code, True)
