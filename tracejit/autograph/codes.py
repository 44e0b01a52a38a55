"""Code objects: tables keyed by their identity, and whether two do the same.

Flows in:  code objects of live functions and of functions that were read and compiled again.
Flows out: `CodeMap`, whose entries die with their code; `same_code`.
"""
from __future__ import annotations

import dis
import sys
import weakref
from types import CodeType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class CodeMap(Generic[T]):
    """Values by code object. Code objects compare by content, which is slow and mixes up files; identity does not."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[CodeType], T]] = {}

    def get(self, code: CodeType) -> T | None:
        entry = self._entries.get(id(code))
        return entry[1] if entry is not None and entry[0]() is code else None

    def set(self, code: CodeType, value: T) -> T:
        key, entries = id(code), self._entries
        entries[key] = (weakref.ref(code, lambda _: entries.pop(key, None)), value)
        return value

    def __contains__(self, code: CodeType) -> bool:
        return self.get(code) is not None

    def __len__(self) -> int:
        return len(self._entries)


def inner_codes(code: CodeType) -> list[CodeType]:
    """`code` and every code object inside its constants."""
    found = [code]
    for one in found:
        found += [c for c in one.co_consts if isinstance(c, CodeType)]
    return found


# The parameter that marks a lambda which conversion made; it runs as a part of the function around it.
THUNK = "thunk!"


def is_thunk(code: CodeType) -> bool:
    """Whether `code` is a piece of the user's function that conversion put into a function of its own."""
    return THUNK in code.co_varnames


def same_code(read: CodeType, live: CodeType) -> bool:
    """Whether both do the same. Test runners rewrite `assert` in the modules they load: then parameters must do."""
    header = ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount")
    if not _same_name(read.co_name, live.co_name) or any(getattr(read, n) != getattr(live, n) for n in header):
        return False
    if any(name.startswith("@py") for one in inner_codes(live) for name in one.co_names):
        return True
    return (read.co_names == live.co_names and read.co_varnames == live.co_varnames
            and (read.co_code == live.co_code or _instructions(read) == _instructions(live))
            and len(read.co_consts) == len(live.co_consts)
            and all(map(_same_constant, read.co_consts, live.co_consts)))


def _same_name(read: str, live: str) -> bool:
    """Functions inside a method may have private names, which are spelled out in what was read."""
    return read == live or live.startswith("__") and read.startswith("_") and read.endswith(live)


def _same_constant(read: Any, live: Any) -> bool:
    if isinstance(read, CodeType) and isinstance(live, CodeType):
        return same_code(read, live)
    return type(read) is type(live) and (read == live or repr(read) == repr(live))


_SKIPPED = {dis.opmap[name] for name in ("CACHE", "NOP", "PUSH_NULL", "EXTENDED_ARG") if name in dis.opmap}
_JUMPS = frozenset(dis.hasjrel + dis.hasjabs)
_LOAD_ATTR, _LOAD_GLOBAL = dis.opmap["LOAD_ATTR"], dis.opmap["LOAD_GLOBAL"]
_LOAD_METHOD = dis.opmap.get("LOAD_METHOD", _LOAD_ATTR)
_WITH_FLAG = {_LOAD_GLOBAL} | ({_LOAD_ATTR} if sys.version_info >= (3, 12) else set())


def _instructions(code: CodeType) -> list[tuple[int, int]]:
    """Instructions without what depends on the module around: CPython calls methods of imported names in a way
    of its own, which changes the loads, where NULL is pushed, and with the sizes of caches all jump distances.
    """
    raw, result = code.co_code, []
    for op, arg in zip(raw[::2], raw[1::2], strict=True):
        if op in _SKIPPED:
            continue
        op = _LOAD_ATTR if op == _LOAD_METHOD else op
        result.append((op, 0 if op in _JUMPS else arg >> 1 if op in _WITH_FLAG else arg))
    return result
