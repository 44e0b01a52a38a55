"""The options of `tj.function`, checked.

Flows in:  what the user wrote.
Flows out: `Options`; SignatureError for names that are no parameter.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

from tracejit.autograph.entry import python_function
from tracejit.base.dtypes import dtype_of
from tracejit.base.errors import SignatureError, SourceUnavailableError, UnsupportedError
from tracejit.base.spans import SourceSpan
from tracejit.base.trees import flatten_with_paths
from tracejit.base.types import ArrayType

_CODE_TAKES_ARGS, _CODE_TAKES_KEYWORDS = 0x04, 0x08
_CODE_SUSPENDS = 0x20 | 0x80 | 0x100 | 0x200     # generator, coroutine, iterable coroutine, asynchronous generator


@dataclass(frozen=True, slots=True)
class Options:
    """static, donate: parameter names.  declared: types of parameters that the user fixed, by name."""

    autograph: bool
    static: frozenset[str]
    donate: frozenset[str]
    declared: Mapping[str, ArrayType]
    precision: str
    returns: str
    name: str | None


def make_options(fn: Any, names: Sequence[str], autograph: bool, static: Any, donate: Any, signature: Any,
                 precision: str, device: str | None, returns: str, name: str | None) -> Options:
    """Checks every option."""
    _one_of("precision", precision, ("default", "strict"))
    _one_of("returns", returns, ("like_inputs", "numpy", "tensor"))
    if device not in (None, "cpu"):
        raise UnsupportedError(f"device={device!r} is not available", why="this version compiles for the CPU only",
                               fix='leave device= out, or give device="cpu"')
    accepted = accepted_names(fn)
    return Options(autograph, _parameters("static", static, names, accepted),
                   _parameters("donate", donate, names, accepted), _declared(signature, names), precision, returns,
                   name)


def parameter_names(fn: Any) -> tuple[str, ...]:
    """Names of the positional parameters, without those that a method or partial has filled."""
    skip = 0
    while not isinstance(fn, FunctionType):
        if isinstance(fn, MethodType):
            fn, skip = fn.__func__, skip + 1
        elif hasattr(fn, "func") and hasattr(fn, "args"):
            fn, skip = fn.func, skip + len(fn.args)
        elif isinstance(call := getattr(type(fn), "__call__", None), FunctionType):    # noqa: B004
            fn, skip = call, skip + 1
        else:
            return ()
    return fn.__code__.co_varnames[skip:fn.__code__.co_argcount]


def refuse_generators(fn: Any) -> None:
    """UnsupportedError for functions that don't return when they are called."""
    try:
        code = python_function(fn).__code__
    except SourceUnavailableError:
        return
    if code.co_flags & _CODE_SUSPENDS:
        raise UnsupportedError(f"{getattr(fn, '__qualname__', fn)} is a generator or coroutine",
                               span=SourceSpan(code.co_filename, code.co_firstlineno, function=code.co_name),
                               why="a compiled function runs to its end in one native call",
                               fix="compile the function that computes, and yield or await outside of it")


def accepted_names(fn: Any) -> tuple[str, ...] | None:
    """All parameters that can be named; None if any name may be passed."""
    try:
        code = python_function(fn).__code__
    except SourceUnavailableError:
        return None
    if code.co_flags & _CODE_TAKES_KEYWORDS:
        return None
    return code.co_varnames[:code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & _CODE_TAKES_ARGS)]


def _parameters(option: str, given: Any, names: Sequence[str], accepted: Sequence[str] | None) -> frozenset[str]:
    """Names from names and positions."""
    items = (given,) if isinstance(given, (str, int)) else tuple(given)
    found = set()
    for item in items:
        if isinstance(item, int) and -len(names) <= item < len(names):
            found.add(names[item])
        elif isinstance(item, str) and (accepted is None or item in accepted):
            found.add(item)
        else:
            raise SignatureError(f"{option}={item!r} is no parameter", why=f"the parameters are {', '.join(names)}",
                                 fix=f"name parameters: {option}={tuple(names[:1])!r}")
    return frozenset(found)


def check_declared(declared: Mapping[str, ArrayType], args: Sequence[Any], kwargs: Mapping[str, Any],
                   names: Sequence[str]) -> None:
    """SignatureError unless each array has the declared dtype, rank and sizes."""
    if not declared:
        return
    for value, name in zip((*args, *kwargs.values()), names, strict=True):
        for path, leaf in flatten_with_paths(value, name)[0]:
            if path in declared and not _is_of_type(leaf, declared[path]):
                found = ArrayType(dtype_of(leaf.dtype), leaf.shape) if hasattr(leaf, "dtype") else type(leaf).__name__
                raise SignatureError(f"{path} is {found}, the signature says {declared[path]}",
                                     fix="convert the argument, or declare another signature")


def _is_of_type(leaf: Any, declared: ArrayType) -> bool:
    return hasattr(leaf, "dtype") and leaf.dtype == declared.dtype.numpy and len(leaf.shape) == declared.rank and all(
        not isinstance(n, int) or n == actual for n, actual in zip(declared.shape, leaf.shape, strict=True))


def _declared(signature: Any, names: Sequence[str]) -> dict[str, ArrayType]:
    if signature is None:
        return {}
    items = signature.items() if isinstance(signature, Mapping) else zip(names, signature, strict=False)
    if not isinstance(signature, Mapping) and len(signature) > len(names):
        raise SignatureError(f"signature has {len(signature)} types, the function {len(names)} positional parameters",
                             fix="give one type per parameter")
    return {name: ArrayType.parse(t) if isinstance(t, str) else t for name, t in items if t is not None}


def _one_of(option: str, given: Any, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise SignatureError(f"{option}={given!r} is unknown", fix=f"{option}= one of {', '.join(map(repr, allowed))}")
