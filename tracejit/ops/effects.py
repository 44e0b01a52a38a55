"""Ops that act on the world or bind a run-time size; they keep their place in program order.

Flows in:  the vocabulary of `declare`; Python functions for `host_call` and `raise`.
Flows out: ops of kind `effect`, and `host_function`, which names a Python function.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import BOOL, I64
from tracejit.base.errors import TypeRuleError, exception_class
from tracejit.base.types import ArrayType
from tracejit.ir.op import OPS
from tracejit.ops.declare import declare, refuse

Array = NDArray[Any]


class HostName(str):
    """The name of a Python function in the text of a graph. A graph that holds the name keeps the function alive."""

    function: Callable[..., Any]


# Written by host_function while user code is traced; the graph's own name is what keeps an entry.
_NAMES: WeakValueDictionary[str, HostName] = WeakValueDictionary()


def host_function(name: str, function: Callable[..., Any]) -> HostName:
    """A name for `function` that no different living function has: `name`, or `name` and a number."""
    free, k = name, 1
    while (known := _NAMES.get(free)) is not None and known.function != function:
        k += 1
        free = f"{name} #{k}"
    if known is None:
        known = HostName(free)
        known.function = function
        _NAMES[free] = known
    return known


def _named(name: str) -> Callable[..., Any]:
    """The function of a name. Graphs read from text have plain names, whose functions must be alive elsewhere."""
    found = name if isinstance(name, HostName) else _NAMES.get(name)
    if found is None:
        raise LookupError(f"the graph calls the Python function {name!r}, which is gone; register it: host_function")
    return found.function


def _bind_dim_type(n: ArrayType, *, dim: str) -> list[ArrayType]:
    if n != ArrayType(I64):
        refuse(TypeRuleError, "bind_dim", [n], "a size is an i64[]", "convert it to int64")
    return [n]


bind_dim = declare("effect", "bind_dim", type_rule=_bind_dim_type, numpy=lambda n, dim: n, has_effect=True)


class Caught(BaseException):
    """Thrown by an `assert` that names a handler, for the `try` around: the operands of its handler."""

    def __init__(self, to: str, values: tuple[Array, ...]):
        super().__init__(to)
        self.to, self.values = to, values


def _assert_type(*types: ArrayType, exception: str, message: str, to: str = "",
                 kept: tuple[int, ...] = ()) -> list[ArrayType]:
    shown = types if to else types[:len(types) - len(kept)]
    if not shown or any(t.shape != () for t in shown[:1 if to else None]) or types[0].dtype is not BOOL:
        refuse(TypeRuleError, "assert", types, "it takes a bool[] and scalars for the message", "reduce arrays first")
    return []


def _assert(pred: Array, *values: Array, exception: str, message: str, to: str = "",
            kept: tuple[int, ...] = ()) -> tuple[()]:
    if not pred:
        if to:
            raise Caught(to, values)
        kind = exception_class(exception)
        assert kind is not None
        raise kind(_formatted(message, values[:len(values) - len(kept)]))
    return ()


def _formatted(text: str, values: tuple[Array, ...]) -> str:
    """Arrays as NumPy prints them, scalars as Python prints them."""
    return text.format(*(v.item() if np.ndim(v) == 0 else v for v in map(np.asarray, values)))


# Operands: the test, what the handler or the message gets, then the state: what places hold that the failure leaves
# behind, read only where the test fails. exception: as of `exception_class`; of any if a handler is named.
# to: "t:1" is handler 1 of the `try` around with label "t"; "" leaves the function.  kept: the places of the state, one
# number for each of the last operands.
assert_ = declare("effect", "assert", type_rule=_assert_type, numpy=_assert, has_effect=True)


def _print(*values: Array, text: str, end: str) -> tuple[()]:
    print(_formatted(text, values), end=end)
    return ()


print_ = declare("effect", "print", type_rule=lambda *types, text, end: [], numpy=_print, has_effect=True)


def _host_call(*operands: Array, name: str, types: tuple[ArrayType, ...]) -> tuple[Array, ...]:
    results = _named(name)(*operands)
    results = results if isinstance(results, (tuple, list)) else (results,) if types else ()
    return tuple(np.asarray(r, t.dtype.numpy) for r, t in zip(results, types, strict=True))


host_call = declare("effect", "host_call", type_rule=lambda *operands, name, types: list(types), numpy=_host_call,
                    has_effect=True)


def _raise(*operands: Array, name: str, kept: tuple[int, ...] = ()) -> tuple[()]:
    raise _named(name)(*operands[:len(operands) - len(kept)])


# name: of a function that makes the exception from the operands.  kept: as of `assert`.
raise_ = declare("effect", "raise", type_rule=lambda *operands, name, kept=(): [], numpy=_raise, has_effect=True)

def _on_host(*operands: Array, name: str, arguments: tuple[tuple[str, Any], ...], types: tuple[ArrayType, ...]
             ) -> tuple[Array, ...]:
    results = OPS[name].numpy(*operands, **dict(arguments))
    return results if isinstance(results, tuple) else (results,)


# Another op, `name` with the attributes `arguments`, as it is declared: where there is no native code for it.
on_host = declare("effect", "on_host", type_rule=lambda *operands, name, arguments, types: list(types), numpy=_on_host,
                  has_effect=True)

# Ops that run Python code.
HOST_OPS = ("print", "host_call", "raise", "on_host")
