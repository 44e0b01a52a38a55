"""`record`: frozen, slotted classes of fields compared by value, as a dataclass makes them at a fifth of its price.

Flows in:  classes with annotated fields; defaults are immutable values.
Flows out: the same classes. Only `__init__` is generated; dozens of dataclasses are most of a package's import time.
"""
from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """The class with `__slots__`, `__init__`, `__eq__`, `__hash__`, `__repr__`; methods that it defines are kept."""
    names = tuple(cls.__dict__.get("__annotations__", ()))
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    kept = {k: v for k, v in cls.__dict__.items() if k not in (*defaults, "__dict__", "__weakref__")}
    made = {"__slots__": names, "__match_args__": names, "__init__": _initialiser(names, defaults),
            "__setattr__": _refuse, "__delattr__": _refuse, "__repr__": _repr, "__reduce__": _reduce,
            **_comparison(cls, _values(names))}
    build: Any = type(cls)
    built: type[T] = build(cls.__name__, cls.__bases__, {**made, **kept})
    return built


def _initialiser(names: tuple[str, ...], defaults: dict[str, Any]) -> Any:
    arguments = [f"{n}=_default_{n}" if n in defaults else n for n in names]
    body = [f" _set(self, {n!r}, {n})" for n in names] or [" pass"]
    scope: dict[str, Any] = {"_set": object.__setattr__, **{f"_default_{n}": v for n, v in defaults.items()}}
    exec("\n".join([f"def __init__({', '.join(['self', *arguments])}):", *body]), scope)
    return scope["__init__"]


def _values(names: tuple[str, ...]) -> Callable[[Any], Any]:
    """What objects are compared by."""
    return attrgetter(*names) if names else lambda self: ()


def _comparison(cls: type, values: Callable[[Any], Any]) -> dict[str, Any]:
    """`__eq__` and `__hash__`, unless the class compares in its own way."""
    def __eq__(self: Any, other: object) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(values(self))

    return {} if "__eq__" in cls.__dict__ else {"__eq__": __eq__, "__hash__": __hash__}


def _refuse(self: Any, name: str, *value: Any) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} is fixed")


def _repr(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"


def _reduce(self: Any) -> Any:
    return type(self), tuple([getattr(self, n) for n in self.__slots__])
