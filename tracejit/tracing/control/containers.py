"""What lists, dicts, sets and instances of the user's classes hold, as entries that can be compared and set.

Flows in:  containers that user code made or was given.
Flows out: `entries` by index, key or attribute name; `Keys`, the structure; `set_entry`, `arrange` and `refill`.
"""
from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

from tracejit.autograph import policy

ABSENT: Any = object()      # what an entry, name or attribute holds that was not stored yet
_PLAIN = (int, float, complex, str, bytes, type(None), type, ModuleType, FunctionType, Enum, tuple, list, dict, set)


class Keys:
    """Which entries a container has, in order; of a set its elements."""

    __slots__ = ("keys",)

    def __init__(self, keys: Any):
        self.keys = keys

    def __eq__(self, other: object) -> bool:
        return type(other) is Keys and type(self.keys) is type(other.keys) and bool(self.keys == other.keys)

    def __hash__(self) -> int:
        return hash(self.keys)

    def __repr__(self) -> str:
        return f"{len(self.keys)} entries: {', '.join(map(repr, self.keys))}"


def is_container(value: Any) -> bool:
    """Whether a value is something mutable whose entries regions follow."""
    return isinstance(value, (list, dict, set)) or is_instance(value)


def is_instance(value: Any) -> bool:
    """Whether a value is an instance of a class of the user's."""
    return not isinstance(value, _PLAIN) and any(map(_is_users, type(value).__mro__))


def _is_users(cls: type) -> bool:
    if cls.__module__ in ("builtins", "abc", "typing"):
        return False
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return policy.is_user_file(file) if file is not None else cls.__module__ not in sys.stdlib_module_names


def attributes(value: Any) -> dict[str, Any]:
    """What an instance holds in its `__dict__` and slots."""
    found = dict(getattr(value, "__dict__", ()))
    for cls in type(value).__mro__:
        for name in _slots(cls):
            held = getattr(value, name, ABSENT)
            if held is not ABSENT:
                found[name] = held
    return found


def _slots(cls: type) -> list[str]:
    """Names under which the slots of a class are found: private ones are mangled."""
    slots = cls.__dict__.get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    owner = cls.__name__.lstrip("_")
    return [f"_{owner}{n}" if n.startswith("__") and not n.endswith("__") else n
            for n in names if n not in ("__dict__", "__weakref__")]


def entries(container: Any) -> dict[Any, Any]:
    """The entries of anything but a set."""
    if isinstance(container, list):
        return dict(enumerate(container))
    return dict(container) if isinstance(container, dict) else attributes(container)


def copied(container: Any) -> Any:
    """The content, to be compared with `is_same_content`: a list, set, or dict."""
    return container.copy() if isinstance(container, (list, dict, set)) else attributes(container)


def keys_of(copy: Any) -> Keys:
    """The structure of what `copied` gave."""
    return Keys(frozenset(copy) if isinstance(copy, set) else tuple(copy) if isinstance(copy, dict) else
                range(len(copy)))


def is_same_content(x: Any, y: Any) -> bool:
    """Whether two copies hold the same objects under the same keys, in one order."""
    if len(x) != len(y):
        return False
    if isinstance(x, set):
        return bool(x == y)
    if isinstance(x, dict):
        return all(a is b or a == b for a, b in zip(x, y, strict=True)) and all(
            a is b for a, b in zip(x.values(), y.values(), strict=True))
    return all(a is b for a, b in zip(x, y, strict=True))


def set_entry(container: Any, key: Any, value: Any) -> None:
    """Stores without running the user's own methods, which ran when the region did."""
    if isinstance(container, list):
        list.__setitem__(container, key, value)
    elif isinstance(container, dict):
        dict.__setitem__(container, key, value)
    elif value is ABSENT:
        if key in attributes(container):
            object.__delattr__(container, key)
    else:
        object.__setattr__(container, key, value)


def arrange(container: Any, keys: Keys) -> None:
    """Gives a container these keys, in this order; entries that it has keep their values."""
    if isinstance(container, set):
        refill(container, keys.keys)
        return
    before = entries(container)
    refill(container, {key: before.get(key, ABSENT) for key in keys.keys})


def refill(container: Any, content: Any) -> None:
    """Makes `content`, as `copied` gave it, all that a container holds."""
    if isinstance(container, list):
        container[:] = content.values() if isinstance(content, Mapping) else content
    elif isinstance(container, (dict, set)):
        container.clear()
        container.update(content)
    else:
        for name in attributes(container).keys() - content.keys():
            object.__delattr__(container, name)
        for name, value in content.items():
            object.__setattr__(container, name, value)
