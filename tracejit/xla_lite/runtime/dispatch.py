"""Compiled functions as Python sees them: make one, give it specialisations, run one of those.

Flows in:  a slow path (any callable), `Specialisation`s.
Flows out: callables that run compiled code without running Python, and fall back on the slow path.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from tracejit.base.options import config
from tracejit.xla_lite.runtime import python_dispatch
from tracejit.xla_lite.runtime.abi import abi_is_known
from tracejit.xla_lite.runtime.buffers import buffers
from tracejit.xla_lite.runtime.callables import callable_type, get_reference, new_callable, put_reference, put_word
from tracejit.xla_lite.runtime.host import prepare_host
from tracejit.xla_lite.runtime.library import native_library
from tracejit.xla_lite.runtime.locks import runtime_lock
from tracejit.xla_lite.runtime.native import layout
from tracejit.xla_lite.runtime.python_dispatch import PythonCallable
from tracejit.xla_lite.runtime.signature import Specialisation
from tracejit.xla_lite.runtime.tables import Tables
from tracejit.xla_lite.runtime.threads import thread_pool


def is_native() -> bool:
    """Whether new callables check their arguments in native code."""
    return bool(config.native_dispatch) and abi_is_known()


def apply_settings() -> None:
    """Takes over settings that native code reads: threads, huge pages, check mode."""
    thread_pool().set_threads(max(1, config.num_threads))
    buffers().apply_settings()


def make_callable(slow: Callable[..., Any], owner: object) -> Any:
    """A callable without specialisations: every call goes to `slow`. It keeps `owner` alive.

    It binds as a method, has a `__dict__` (for `functools.update_wrapper`), takes weak references and is collected.
    """
    prepare_host()
    apply_settings()
    return new_callable(slow, owner) if is_native() else PythonCallable(slow, owner)


def install(function: Any, spec: Specialisation) -> None:
    """Puts a specialisation before those that `function` has already. Running calls are not disturbed."""
    apply_settings()
    function = _real(function)
    with runtime_lock:
        if isinstance(function, PythonCallable):
            function._chain = (spec, *function._chain)
            return
        tables = native_tables(spec)
        if tables.in_chain:
            tables = Tables(spec)
        older = get_reference(function, layout.KEPT)
        tables.enter_chain(older[0].address if older else 0)
        put_reference(function, layout.KEPT, [tables, *older])
        put_word(function, layout.CHAIN, tables.address)


def uninstall_all(function: Any) -> None:
    """Takes all specialisations away. Running calls end undisturbed."""
    function = _real(function)
    with runtime_lock:
        if isinstance(function, PythonCallable):
            function._chain = ()
            return
        put_word(function, layout.CHAIN, 0)
        put_reference(function, layout.KEPT, [])


def installed(function: Any) -> tuple[Specialisation, ...]:
    """The specialisations of `function`, newest first."""
    function = _real(function)
    if isinstance(function, PythonCallable):
        return function._chain
    return tuple(tables.spec for tables in get_reference(function, layout.KEPT))


def run_specialisation(spec: Specialisation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    """(True, result) if the call fits, else (False, None). Raises what the compiled code raises."""
    if not is_native():
        return python_dispatch.attempt(spec, args, kwargs)
    values = (*args, *kwargs.values())
    arguments = (ctypes.c_void_p * max(1, len(values)))(*map(id, values))
    names = tuple(kwargs)
    result = _attempt()(native_tables(spec).address, ctypes.addressof(arguments), len(args), id(names) if names else 0)
    if result == layout.NOT_MINE:
        return False, None
    made = ctypes.cast(result, ctypes.py_object).value
    ctypes.pythonapi.Py_DecRef(ctypes.c_void_p(result))
    return True, made


def _real(function: Any) -> Any:
    """The callable itself, where a weak proxy of it is given. Raises TypeError for anything else."""
    if isinstance(function, weakref.CallableProxyType):
        function = function.__repr__.__self__  # type: ignore[attr-defined]  # the bound method of the referent
    if type(function) is not callable_type() and type(function) is not PythonCallable:
        raise TypeError(f"not made by make_callable: {type(function).__name__}")
    return function


def native_tables(spec: Specialisation) -> Tables:
    """The tables of a specialisation, made once."""
    if spec.tables is None:
        object.__setattr__(spec, "tables", Tables(spec))
    return cast(Tables, spec.tables)


@cache
def _attempt() -> Callable[[int, int, int, int], int]:
    words = [ctypes.c_int64] * 5
    return ctypes.PYFUNCTYPE(*words)(native_library()["attempt"])
