"""The settings: one statement each, with its environment variable, default and meaning.

Flows in:  `TRACEJIT_*` environment variables, read when a setting is first used; assignments; `with options(...)`.
Flows out: `config`, read by every layer; `config.describe()`, printed by `tracejit options`.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `parse` reads the environment variable's text; `default` may be computed."""

    name: str
    variable: str
    parse: Callable[[str], Any]
    default: Callable[[], Any]
    doc: str


def _flag(text: str) -> bool:
    return text.strip().lower() not in ("", "0", "false", "no", "off")


def _cache_dir() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "tracejit")


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


SETTINGS = {s.name: s for s in (
    Setting("num_threads", "TRACEJIT_NUM_THREADS", int, _threads, "threads of the pool, the caller included"),
    Setting("cache_dir", "TRACEJIT_CACHE_DIR", str, _cache_dir, "directory of compiled objects; empty turns it off"),
    Setting("debug", "TRACEJIT_DEBUG", int, lambda: 0,
            "1 traces, 2 retrace reasons, 3 fused graph, 4 kernels, 5 LLVM, 6 assembly, on standard error"),
    Setting("dump", "TRACEJIT_DUMP", str, lambda: "", "directory that receives every stage as a numbered file"),
    Setting("verify", "TRACEJIT_VERIFY", _flag, lambda: False, "verify the graph after every pass"),
    Setting("check", "TRACEJIT_CHECK", _flag, lambda: False,
            "bounds-check kernel loads and stores, poison fresh buffers, verify arena overlaps"),
    Setting("strict_promotion", "TRACEJIT_STRICT_DTYPES", _flag, lambda: False,
            "no implicit promotion, float32 default; set by strict_dtypes()"),
    Setting("debug_nans", "TRACEJIT_DEBUG_NANS", _flag, lambda: False,
            "raise where a result is NaN, naming the op that made it and its line"),
    Setting("retrace_limit", "TRACEJIT_RETRACE_LIMIT", int, lambda: 12, "traces of one function before a warning"),
    Setting("native_dispatch", "TRACEJIT_NATIVE_DISPATCH", _flag, lambda: True,
            "call compiled code by the native entry; off: the same checks in Python"),
    Setting("vector_bits", "TRACEJIT_VECTOR_BITS", int, lambda: 0, "vector width to emit; 0 takes the target's"),
    Setting("huge_pages", "TRACEJIT_HUGE_PAGES", _flag, lambda: True, "ask for huge pages for large buffers"),
)}


class Config:
    """Attribute access to the settings; assignment holds for the process, `with options(...)` for a block."""

    def __init__(self) -> None:
        object.__setattr__(self, "_values", {})

    def __getattr__(self, name: str) -> Any:
        scoped = _scoped.get()
        if name in scoped:
            return scoped[name]
        values: dict[str, Any] = self.__dict__["_values"]
        if name not in values:
            values[name] = _initial(_setting(name))
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        values: dict[str, Any] = self.__dict__["_values"]
        before = values[name] if name in values else _initial(_setting(name))
        values[name] = value
        if bool(before) != bool(value):
            _tell(name, 1 if value else -1)

    def strict_dtypes(self, on: bool = True) -> None:
        """No implicit promotion and float32 by default, for TensorFlow-style code."""
        self.strict_promotion = on

    def describe(self) -> str:
        """All settings, one a line: name, today's value, variable, meaning."""
        width = max(map(len, SETTINGS))
        return "\n".join(f"{s.name:<{width}}  {getattr(self, s.name)!r:<12}  {s.variable:<28}  {s.doc}"
                         for s in SETTINGS.values())


LISTENERS: dict[str, Callable[[int], None]] = {}    # written by layers above at import: told where one goes on or off


def _tell(name: str, more: int) -> None:
    """One more place, or one less, in which a setting is on: the process, a block."""
    if name in LISTENERS:
        LISTENERS[name](more)


def _setting(name: str) -> Setting:
    if name not in SETTINGS:
        raise AttributeError(f"no setting {name!r}; there are {', '.join(SETTINGS)}")
    return SETTINGS[name]


def _initial(setting: Setting) -> Any:
    text = os.environ.get(setting.variable)
    if text is None:
        return setting.default()
    try:
        return setting.parse(text)
    except ValueError:
        raise ValueError(f"{setting.variable}={text!r} can't be read: {setting.doc}") from None


_scoped: ContextVar[dict[str, Any]] = ContextVar("tracejit_options", default={})    # written by options() alone
config = Config()    # written by user code through attributes


@contextmanager
def options(**values: Any) -> Iterator[Config]:
    """Sets options for the block, in this thread or task: `with options(debug=4): f(x)`."""
    for name in values:
        _setting(name)
    token = _scoped.set({**_scoped.get(), **values})
    switched = [name for name, value in values.items() if value]
    for name in switched:
        _tell(name, 1)
    try:
        yield config
    finally:
        _scoped.reset(token)
        for name in switched:
            _tell(name, -1)
