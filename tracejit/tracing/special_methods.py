"""Special methods of the user's classes: Python calls them for operators, so conversion does not see the call.

Flows in:  questions that a traced value can't answer (`if x > 0`), asked by such a method, which is not converted.
Flows out: the method's name for the next attempt; `replaced`, which makes this thread's trace run it as converted code;
           `user_method`, for callers that can do without Python.
"""
from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType
from typing import Any

from tracejit.autograph import policy
from tracejit.tracing.context import active

Method = tuple[type, str]
_lock = threading.Lock()
_users: dict[Method, int] = {}      # written under the lock: how many traces have a method replaced
_originals: dict[Method, FunctionType] = {}     # written under the lock: the methods that are replaced


def asking_method() -> Method | None:
    """The special method of a user's class, not converted, which runs now and asks for a value; None if there is none
    between here and converted code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code in policy.converted_codes:
            return None
        if policy.is_user_file(code.co_filename) and (found := _method_of(frame)) is not None:
            return found
        frame = frame.f_back
    return None


def _method_of(frame: FrameType) -> Method | None:
    code = frame.f_code
    if not code.co_argcount or not code.co_name.startswith("__") or code.co_name == "__init__":
        return None
    receiver = frame.f_locals.get(code.co_varnames[0])
    for cls in type(receiver).__mro__:
        found = cls.__dict__.get(code.co_name)
        if isinstance(found, FunctionType) and found.__code__ is code:
            return cls, code.co_name
    return None


@contextmanager
def replaced(methods: Collection[Method]) -> Iterator[None]:
    """For the block, traces run these methods as converted code; other threads see no difference."""
    for method in methods:
        _replace(*method)
    try:
        yield
    finally:
        for method in methods:
            _put_back(*method)


def _replace(cls: type, name: str) -> None:
    with _lock:
        _users[cls, name] = _users.get((cls, name), 0) + 1
        if _users[cls, name] == 1:
            original = _originals[cls, name] = cls.__dict__[name]
            setattr(cls, name, _converting(original))


def _put_back(cls: type, name: str) -> None:
    with _lock:
        _users[cls, name] -= 1
        if not _users[cls, name]:
            del _users[cls, name]
            setattr(cls, name, _originals.pop((cls, name)))


def user_method(obj: Any, name: str) -> FunctionType | None:
    """The user's function behind a special method of `obj`, if it is one, also while it is replaced."""
    found = getattr(type(obj), name, None)
    found = getattr(found, "__wrapped__", found)
    return found if isinstance(found, FunctionType) and policy.is_user_function(found) else None


def _converting(original: FunctionType) -> Callable[..., Any]:
    """Calls a method through the trace of this thread, if it has one."""

    @functools.wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        context = active()
        if context is None or context.call is None:
            return original(*args, **kwargs)
        return context.call(original, *args, **kwargs)

    return method
