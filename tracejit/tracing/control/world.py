"""Everything that a region may change: variables, the content of arrays, containers, names and attributes outside.

Flows in:  the closure cells of the functions that a region runs.
Flows out: `World`: taken before a region runs; afterwards it says what changed, by `Place`, and puts everything back.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import CellType, FunctionType, MethodType
from typing import Any

from tracejit.autograph import policy
from tracejit.tracing.arrays import Array
from tracejit.tracing.context import Scope
from tracejit.tracing.control.containers import (
    ABSENT,
    arrange,
    copied,
    is_container,
    is_instance,
    is_same_content,
    keys_of,
    refill,
    set_entry,
)
from tracejit.tracing.control.optional import UNDEFINED, Optional

_OURS = frozenset({"ag!", "scope!"})
_SIMPLE = (int, float, str, bytes, type(None))


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
        self.current: set[int] = set()      # ids of arrays of several whose value is today's
        self.own: dict[int, Any] = {}       # by id: what arrays of several hold if their memory is their own
        self.containers: dict[int, tuple[Any, Any, str]] = {}     # by id: container, copy of its content, name
        self.others: dict[int, CellType] = {}       # variables of functions inside the user's function
        self.inputs = len(namespace.reader.arrays)
        self.seen: dict[int, Any] = {}      # by id: everything that is reached from here
        self.before = {name: content(cell) for name, cell in cells.items()}
        for name, value in self.before.items():
            self._walk(value, name)
        for stored in self.stored.values():
            self._walk(stored[3], stored[2])
        for value in namespace.known():
            self._walk(value, "a container")
        self.before_others = {key: content(cell) for key, cell in self.others.items()}

    def _walk(self, value: Any, name: str) -> None:
        pending = [(value, name)]
        while pending:
            one, name = pending.pop()
            if isinstance(one, _SIMPLE) or id(one) in self.seen:
                continue
            self.seen[id(one)] = one
            if type(one) is Array:
                self._walk_array(one)
            elif type(one) is Optional:
                pending.append((one.value, name))
            elif isinstance(one, tuple):
                pending += [(v, f"{name}[{i}]") for i, v in enumerate(one)]
            elif isinstance(one, (FunctionType, CellFunction)):
                pending += [(v, name) for v in self._captured(one)]
            elif isinstance(one, MethodType):
                pending.append((one.__self__, name))
            elif is_container(one) and id(one) not in self.namespace.reader.objects:
                pending += self._walk_container(one, name)

    def _walk_array(self, array: Array) -> None:
        owner = array.owner
        self.arrays[id(owner)] = owner, owner._value, owner.scope
        if owner.one_of is None:
            return
        self.own[id(owner)] = owner.one_of.own
        if owner.one_of.seen == owner.state:
            self.current.add(id(owner))
        for memory in owner.one_of.memories:
            if memory is not None and id(memory) not in self.seen:
                self.seen[id(memory)] = memory
                self._walk_array(memory)

    def _walk_container(self, container: Any, name: str) -> list[tuple[Any, str]]:
        copy = copied(container)
        self.containers[id(container)] = container, copy, name
        if isinstance(copy, set):
            return []
        named = copy.items() if isinstance(copy, dict) else enumerate(copy)
        pending = [(other, name) for other in self.namespace.related(container)]
        return [*pending, *self._entries(container, name, named)]

    def _entries(self, container: Any, name: str, named: Iterable[tuple[Any, Any]]) -> list[tuple[Any, str]]:
        return [(value, entry_name(container, name, key)) for key, value in named if not isinstance(value, _SIMPLE)]

    def _captured(self, function: FunctionType | CellFunction) -> list[Any]:
        """Variables that a function inside the user's function shares with others."""
        found = []
        own = set(map(id, self.variables.values()))
        if isinstance(function, CellFunction) or function.__code__ in policy.converted_codes:
            for cell in cells_of(function).values():
                if id(cell) not in own:
                    self.others[id(cell)] = cell
                found.append(content(cell))
        return found

    # Afterwards

    def meet(self) -> None:
        """Lists and dicts of the caller that were read for the first time since the region began."""
        for key, late in self.namespace.reader.containers.items():
            if key not in self.containers and type(late.traced) in (list, dict):
                original = dict(zip(late.meta, late.original, strict=True)) if late.cls is dict else list(late.original)
                self.containers[key] = late.traced, original, late.path

    def changes(self) -> dict[Place, Any]:
        """What the region changed, with the values it left."""
        self.meet()
        found: dict[Place, Any] = {}
        for name, cell in self.variables.items():
            if (now := content(cell)) is not self.before[name]:
                found[Place("variable", id(cell), cell, name)] = now
        for key, cell in self.others.items():
            if (now := content(cell)) is not self.before_others[key]:
                found[Place("variable", key, cell, "a variable of an inner function")] = now
        for key, (owner, value, _) in self.arrays.items():
            if is_written(owner, value, self.own.get(key)):
                found[Place("memory", key, owner, "an array")] = own_content(owner)
        for late in self.namespace.reader.arrays[self.inputs:]:
            owner = late.tracer.owner
            if id(owner) not in self.arrays and owner._value is not self.parameter(late):
                found[Place("memory", id(owner), owner, late.path)] = owner.snapshot()
        for held in self.containers.values():
            found.update(changed_entries(*held))
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
        self.meet()
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
        for container, copy, _ in self.containers.values():
            if not is_same_content(copied(container), copy):
                refill(container, copy)
        for key, (owner, _, _) in self.arrays.items():
            if owner.one_of is not None:
                owner.one_of.seen, owner.one_of.own = owner.state if key in self.current else -1, self.own[key]
        self.namespace.stored.clear()
        self.namespace.stored.update(self.stored)

    @contextmanager
    def as_left(self, changes: dict[Place, Any],
                kinds: Sequence[str] = ("memory", "content", "item")) -> Iterator[None]:
        """For the block, arrays and containers hold what a region left in them."""
        places = sorted([p for p in changes if p.kind in kinds], key=lambda p: kinds.index(p.kind))
        for place in places:
            self.put(place, changes[place])
        try:
            yield
        finally:
            if places:
                self.restore()

    def with_entries(self, changes: dict[Place, Any]) -> AbstractContextManager[None]:
        """For the block, containers hold what a region left in them."""
        return self.as_left(changes, ("content", "item"))

    def value_before(self, place: Place) -> Any:
        """What a place held."""
        if place.kind == "variable":
            if place.key in self.before_others:
                return self.before_others[place.key]
            return next(self.before[n] for n, cell in self.cells.items() if cell is place.holder)
        if place.kind == "memory":
            if place.key in self.arrays:
                owner, value, scope = self.arrays[place.key]
                value, scope = self.own.get(place.key) or (value, scope)
                return Array(value, scope, owner.kind, owner.weak, True)
            return place.holder.snapshot()
        if place.kind == "content":
            return keys_of(self.containers[place.key][1])
        if place.kind == "item":
            return self.entry_before(place)
        then = self.stored.get(place.key)
        return self.namespace.outside(place.key, place.holder) if then is None else then[3]

    def entry_before(self, place: Place) -> Any:
        """An attribute that was not there is a variable without a value."""
        holder, key = place.key
        copy = self.containers[holder][1]
        if isinstance(copy, dict):
            return copy.get(key, UNDEFINED if is_instance(place.holder) else ABSENT)
        return copy[key] if key < len(copy) else ABSENT

    def put(self, place: Place, value: Any) -> None:
        """Makes `value` what a place holds from here on."""
        if place.kind == "variable":
            fill(place.holder, value)
        elif place.kind == "memory":
            _set(place.holder, value.value, value.scope)
        elif place.kind == "content":
            arrange(place.holder, value)
        elif place.kind == "item":
            set_entry(place.holder, place.key[1], ABSENT if value is UNDEFINED else value)
        else:
            self.namespace.stored[place.key] = (*place.holder[:3], value)


def _set(owner: Array, value: Any, scope: Scope) -> None:
    """The version only grows, so that views notice."""
    owner._value, owner.scope, owner.version = value, scope, owner.version + 1
    if owner.one_of is not None:
        owner.one_of.seen, owner.one_of.own = -1, (value, scope)


def is_written(owner: Array, value: Any, own: Any) -> bool:
    """Whether an array that held `value` was written. One of several is also computed anew when it is only read; what
    it holds is the content of the others, unless it has memory of its own."""
    if owner.one_of is None:
        return owner._value is not value
    return owner.one_of.own[0] is not own[0] and any(m is None for m in owner.one_of.memories)


def own_content(owner: Array) -> Array:
    """What an array holds; of one of several, what it holds if its memory is its own."""
    if owner.one_of is None:
        return owner.snapshot()
    value, scope = owner.one_of.own
    return Array(value, scope, "numpy", None, True)


def entry_name(container: Any, name: str, key: Any) -> str:
    return f"{name}.{key}" if is_instance(container) else f"{name}[{key!r}]"


def changed_entries(container: Any, before: Any, name: str) -> dict[Place, Any]:
    """The entries that are not what they were. Of instances, attributes may come and go; of others, that is a change of
    structure."""
    now = copied(container)
    if is_same_content(now, before):
        return {}
    found: dict[Place, Any] = {}
    if not is_instance(container) and keys_of(now) != keys_of(before):
        found[Place("content", id(container), container, name)] = keys_of(now)
    if isinstance(now, set):
        return found
    held = now if isinstance(now, dict) else dict(enumerate(now))
    then = before if isinstance(before, dict) else dict(enumerate(before))
    for key in (*held, *(then.keys() - held.keys() if is_instance(container) else ())):
        value = held.get(key, UNDEFINED)
        if value is not then.get(key, ABSENT):
            found[Place("item", (id(container), key), container, entry_name(container, name, key))] = value
    return found
