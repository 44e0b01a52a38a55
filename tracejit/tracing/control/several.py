"""Objects of the user's classes that are one of several, chosen at run time.

Flows in:  objects and the index among them: of an element of a list, or of branches that join.
Flows out: `Several`: an object of their class which holds what the chosen one holds. An attribute that converted code
           stores in it is stored in the chosen object, and one that is stored in an object in those that may be it.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any

from tracejit.base.errors import UnsupportedError
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, emit
from tracejit.tracing.context import Restart, current
from tracejit.tracing.control.branches import branch, choice
from tracejit.tracing.control.containers import ABSENT, attributes, is_instance, set_entry
from tracejit.tracing.control.world import CellFunction
from tracejit.tracing.scalars import weak
from tracejit.tracing.spans import current_span
from tracejit.tracing.special_methods import user_method

_NOT_OPERATORS = frozenset({"__init__", "__new__", "__repr__", "__str__", "__hash__", "__del__", "__init_subclass__"})


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """made: stands for `objects[index]`."""

    made: Any
    index: Array
    objects: tuple[Any, ...]

    def is_visible(self) -> bool:
        """Whether the choice was made here or in a region around."""
        return current().scope.sees(self.index.scope)

    def is_chosen(self, k: int) -> Array:
        number = constant(k, self.index.type.dtype)
        return weak(emit("compare", self.index, number, direction="EQ"), "b")


def can_choose(objects: Sequence[Any]) -> bool:
    """Whether these are different instances of one class with the same attributes."""
    first = objects[0]
    names = attributes(first).keys()
    return is_instance(first) and all(type(o) is type(first) and id(o) not in current().objects
                                      and attributes(o).keys() == names for o in objects)


def note(namespace: Any, made: Any, index: Array, objects: Sequence[Any]) -> None:
    """From here on `made` is one of the objects."""
    for cls in type(made).__mro__:
        for name, found in vars(cls).items():
            method = cls, name
            is_operator = name.startswith("__") and name.endswith("__") and name not in _NOT_OPERATORS
            if is_operator and isinstance(found, FunctionType) and user_method(made, name) is not None \
                    and method not in current().decisions.methods:
                current().decisions.methods[method] = None
                raise Restart
    namespace.several[id(made)] = one = Several(made, index, tuple(objects))
    for each in objects:
        namespace.choices.setdefault(id(each), []).append(one)


def refuse_deletion(namespace: Any, obj: Any, name: str) -> None:
    """An attribute of an object that may be another one can't be deleted: it would be gone or not."""
    if id(obj) in namespace.several or id(obj) in namespace.choices:
        raise UnsupportedError(
            f"attribute {name!r} of an object is deleted that is one of several", span=current_span(2),
            why="only the run knows which object that is", fix="set it to a value that says so, such as -1")


def related(namespace: Any, container: Any) -> list[Any]:
    """The objects that change with an object."""
    one = namespace.several.get(id(container))
    return [*(one.objects if one is not None else ()), *[s.made for s in namespace.choices.get(id(container), ())]]


def follow_store(namespace: Any, obj: Any, name: str, value: Any) -> None:
    """An attribute was stored: the objects that `obj` may be, or that may be `obj`, get it too."""
    if id(obj) in namespace.following:
        return
    one = namespace.several.get(id(obj))
    namespace.following.add(id(obj))
    try:
        if one is not None and one.is_visible():
            for k, each in enumerate(one.objects):
                store_if(namespace, one, k, lambda each=each: namespace.store_attribute(value, each, name), value)
        for other in namespace.choices.get(id(obj), ()):
            if other.is_visible() and id(other.made) not in namespace.following:
                update(namespace, other, obj, name, value)
    finally:
        namespace.following.discard(id(obj))


def store_if(namespace: Any, one: Several, k: int, store: Any, value: Any) -> None:
    cells = {"the object": CellType(one.objects[k]), "the choice": CellType(one.made), "the value": CellType(value)}
    branch(namespace, one.is_chosen(k), CellFunction(store, cells), None, ())


def update(namespace: Any, other: Several, obj: Any, name: str, value: Any) -> None:
    """What stands for one of several objects, after a store to one of these."""
    before = attributes(other.made).get(name, ABSENT)
    cells = {"the value": CellType(value), "before": CellType(before)}
    for k, each in enumerate(other.objects):
        if each is obj:
            now = choice(namespace, other.is_chosen(k), CellFunction(lambda: value, cells),
                         CellFunction(lambda: before, cells))
            set_entry(other.made, name, now)
            follow_store(namespace, other.made, name, now)
            return
