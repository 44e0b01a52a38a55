"""Everything that a region may change: variables, the content of arrays, containers, names and attributes outside.

Flows in:  the closure cells of the functions that a region runs.
Flows out: `World`: taken before a region runs; afterwards it says what changed, by `Place`, and puts everything back.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any

from tracejit.tracing.arrays import Array
from tracejit.tracing.context import Scope
from tracejit.tracing.control.optional import UNDEFINED, Optional

ABSENT: Any = object()      # a name or attribute that was not stored yet
_CONTAINERS = (list, dict, set)
_OURS = frozenset({"ag!", "scope!"})


@dataclass(frozen=True, slots=True)
class Place:
    """Something that holds a value. kind: "variable" (a cell), "memory" (an array that owns its memory), "content" (of
    a list, dict or set), "stored" (an entry of the namespace's stores).
    """

    kind: str
    key: Any
    holder: Any = None
    name: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.kind == other.kind and self.key == other.key

    def __hash__(self) -> int:
        return hash((self.kind, self.key))


class CellFunction:
    """A function with variables that regions see, as they see those of converted code. cells: by name."""

    __slots__ = ("cells", "function")

    def __init__(self, function: Callable[..., Any], cells: dict[str, CellType]):
        self.function, self.cells = function, cells

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def cells_of(*functions: Callable[..., Any] | None) -> dict[str, CellType]:
    """The variables that functions of converted code share, by name."""
    found: dict[str, CellType] = {}
    for function in functions:
        if isinstance(function, CellFunction):
            found.update(function.cells)
        elif function is not None and getattr(function, "__closure__", None):
            found.update(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return {name: cell for name, cell in found.items() if name not in _OURS}


def content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return UNDEFINED


def fill(cell: CellType, value: Any) -> None:
    if value is not UNDEFINED:
        cell.cell_contents = value
    elif content(cell) is not UNDEFINED:
        del cell.cell_contents


class World:
    """What there is when a region begins. names: variables that matter to what follows."""

    def __init__(self, cells: dict[str, CellType], names: Iterable[str], namespace: Any):
        self.cells, self.namespace = cells, namespace
        self.variables = {name: cells[name] for name in names if name in cells}
        self.stored = dict(namespace.stored)
        self.arrays: dict[int, tuple[Array, Any, Scope]] = {}
        self.containers: dict[int, tuple[Any, Any]] = {}
        self.others: dict[int, CellType] = {}       # variables of functions inside the user's function
        self.inputs = len(namespace.reader.arrays)
        self._seen: set[int] = set()
        self.before = {name: content(cell) for name, cell in cells.items()}
        for value in (*self.before.values(), *(s[3] for s in self.stored.values()), *namespace.known()):
            self._walk(value)
        self.before_others = {key: content(cell) for key, cell in self.others.items()}

    def _walk(self, value: Any) -> None:
        pending = [value]
        while pending:
            one = pending.pop()
            if isinstance(one, (int, float, str, bytes, type(None))) or id(one) in self._seen:
                continue
            self._seen.add(id(one))
            if type(one) is Array:
                owner = one.owner
                self.arrays[id(owner)] = owner, owner._value, owner.scope
            elif type(one) is Optional:
                pending.append(one.value)
            elif isinstance(one, _CONTAINERS):
                self.containers[id(one)] = one, one.copy()
                pending += one.values() if isinstance(one, dict) else one
            elif isinstance(one, tuple):
                pending += one
            elif isinstance(one, (FunctionType, CellFunction)):
                pending += self._captured(one)
            elif hasattr(one, "__dict__") and id(one) not in self.namespace.reader.objects and self._is_made_here(one):
                self.containers[id(one)] = one.__dict__, dict(one.__dict__)
                pending += one.__dict__.values()

    def _captured(self, function: FunctionType | CellFunction) -> list[Any]:
        """Variables that a function inside the user's function shares with others."""
        found = []
        own = set(map(id, self.cells.values()))
        if isinstance(function, CellFunction) or "ag!" in function.__code__.co_freevars:
            for cell in cells_of(function).values():
                if id(cell) not in own:
                    self.others[id(cell)] = cell
                found.append(content(cell))
        return found

    def _is_made_here(self, value: Any) -> bool:
        from tracejit.autograph import policy
        cls = type(value)
        init = getattr(cls, "__init__", None)
        return policy.is_user_function(init) if init is not None else False

    def is_older(self, value: Any) -> bool:
        """Whether an array is memory that there was before the region."""
        return type(value) is Array and not value.is_scalar and id(value.owner) in self.arrays

    # Afterwards

    def changes(self) -> dict[Place, Any]:
        """What the region changed, with the values it left."""
        found: dict[Place, Any] = {}
        for name, cell in self.variables.items():
            if (now := content(cell)) is not self.before[name]:
                found[Place("variable", id(cell), cell, name)] = now
        for key, cell in self.others.items():
            if (now := content(cell)) is not self.before_others[key]:
                found[Place("variable", key, cell, "a variable of an inner function")] = now
        for key, (owner, value, _) in self.arrays.items():
            if owner._value is not value:
                found[Place("memory", key, owner, "an array")] = owner.snapshot()
        for late in self.namespace.reader.arrays[self.inputs:]:
            owner = late.tracer.owner
            if id(owner) not in self.arrays and owner._value is not self.parameter(late):
                found[Place("memory", id(owner), owner, late.path)] = owner.snapshot()
        for key, (container, copy) in self.containers.items():
            if not _same_content(container, copy):
                found[Place("content", key, container, "a container")] = container.copy()
        for stored_key in (*self.namespace.stored, *self.stored):
            now, then = self.namespace.stored.get(stored_key), self.stored.get(stored_key)
            if now is not then and (now is None or then is None or now[3] is not then[3]):
                found[Place("stored", stored_key, now or then, stored_key[1])] = ABSENT if now is None else now[3]
        return found

    def parameter(self, late: Any) -> Any:
        """What an array that was read inside the region held when the function began."""
        return self.namespace.context.root.graph.params[late.param]

    def restore(self) -> None:
        """Puts everything back."""
        for name, cell in self.cells.items():
            fill(cell, self.before[name])
        for key, cell in self.others.items():
            fill(cell, self.before_others[key])
        for owner, value, scope in self.arrays.values():
            if owner._value is not value:
                _set(owner, value, scope)
        for late in self.namespace.reader.arrays[self.inputs:]:
            owner, root = late.tracer.owner, self.namespace.context.root
            if id(owner) not in self.arrays and owner._value is not self.parameter(late):
                _set(owner, self.parameter(late), root)
        for container, copy in self.containers.values():
            if not _same_content(container, copy):
                refill(container, copy)
        self.namespace.stored.clear()
        self.namespace.stored.update(self.stored)

    def value_before(self, place: Place) -> Any:
        """What a place held."""
        if place.kind == "variable":
            if place.key in self.before_others:
                return self.before_others[place.key]
            return next(self.before[n] for n, cell in self.cells.items() if cell is place.holder)
        if place.kind == "memory":
            if place.key in self.arrays:
                owner, value, scope = self.arrays[place.key]
                return Array(value, scope, owner.kind, owner.weak, True)
            return place.holder.snapshot()
        if place.kind == "content":
            return self.containers[place.key][1]
        then = self.stored.get(place.key)
        return self.namespace.outside(place.key, place.holder) if then is None else then[3]

    def put(self, place: Place, value: Any) -> None:
        """Makes `value` what a place holds from here on."""
        if place.kind == "variable":
            fill(place.holder, value)
        elif place.kind == "memory":
            _set(place.holder, value.value, value.scope)
        elif place.kind == "content":
            refill(place.holder, value)
        else:
            self.namespace.stored[place.key] = (*place.holder[:3], value)


def _set(owner: Array, value: Any, scope: Scope) -> None:
    """The version only grows, so that views notice."""
    owner._value, owner.scope, owner.version = value, scope, owner.version + 1


def _same_content(x: Any, y: Any) -> bool:
    if len(x) != len(y):
        return False
    if isinstance(x, set):
        return bool(x == y)
    if isinstance(x, dict):
        return all(a is b for a, b in zip(x, y, strict=True)) and all(
            a is b for a, b in zip(x.values(), y.values(), strict=True))
    return all(a is b for a, b in zip(x, y, strict=True))


def refill(container: Any, content: Any) -> None:
    """Replaces the content of a list, dict or set."""
    if isinstance(container, list):
        container[:] = content
    else:
        container.clear()
        container.update(content)
