"""Arrays that rounds of a loop bind to names anew: whose memory a name is in every round, and after the loop.

Flows in:  a `_Loop` whose body was traced: what its names held before, at the head of a round, and at its end.
Flows out: where rounds also write to these arrays, further carries: for each name the index of its memory, and the
           content of memory that no name holds any more. After the loop the content goes to the memory that has it.

Rounds compute with contents: a name's carry is the content of its array, so `u, v = v, u` only exchanges carries. That
is right as long as no two names are the same memory, and nothing else reads or writes it. Names that may be the same
memory are carried as an index, and contents by memory (`Reference`).
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

from tracejit.base.dtypes import I32
from tracejit.base.errors import UnsupportedError
from tracejit.ir.graph import Graph
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant
from tracejit.tracing.context import Restart, current
from tracejit.tracing.control.identity import (
    Apart,
    asks_for,
    chosen,
    has_memory,
    is_apart,
    is_index,
    memory_parts,
    owners_of,
    reference,
    refuse_choice,
    translated,
)
from tracejit.tracing.control.names import count_names
from tracejit.tracing.control.regions import Region
from tracejit.tracing.control.schema import INDEX, Reference, Schema, has_sizes
from tracejit.tracing.control.world import Place

_NAMES = ("variable", "item", "stored")


@dataclass(frozen=True, slots=True, eq=False)
class Location:
    """One array that a name holds, or that a tuple or list in a name does. first, head, last: before the loop, when a
    round begins, when it ends.  is_used: whether a round does anything with the array that it begins with."""

    place: Place
    first: Array | None
    head: Array | None
    last: Array | None
    is_used: bool = True

    @property
    def leaves(self) -> bool:
        """Whether it is what `return` in the loop gives: nothing is written after that."""
        return self.place.name.startswith("value!")

    @property
    def is_written(self) -> bool:
        """Whether a round writes to what the name holds when it begins."""
        return self.head is not None and self.head.version > 0


class Rebinding:
    """The names of one loop that are bound to arrays anew. loop: the `_Loop`."""

    def __init__(self, loop: Any):
        self.loop, self.context = loop, loop.context
        self.locations: list[Location] = []
        self.indices: list[Array] = []                  # of each location, at the head or after the loop
        self.memories: tuple[Array | None, ...] = ()    # which the indices are among; none are carried without
        self.orphans: set[Place] = set()                # memories that names may leave behind
        self.held: dict[int, bool] = {}                 # by id: whether something else held an array before the loop
        self.writes = self.is_closed = False

    # While types settle

    def follow(self, region: Region) -> bool:
        """Looks at what a round left. Whether it needs more carries: then the body is traced again."""
        with self.loop.world.with_entries(region.changes):
            self.locations = list(self.find(region))
        passed = {id(m.owner) for x in self.locations for m in self.alternatives(x.last) if m is not None}
        self.locations = [replace(x, is_used=x.is_used or id(x.head) in passed) for x in self.locations]
        if not region.reached or not self.locations:
            return False
        self.writes = any(x.is_written for x in self.locations) or any(
            self.is_changed(o, region) for x in self.locations if x.is_used for m, _ in self.reached(x).values()
            for o in owners_of(m))
        if self.writes or self.loop.site.span in self.context.decisions.identified:
            self.ask_others()
        if self.writes and (problem := self.conflict(region)):
            self.carry_references(problem)
        if not self.writes and not self.is_asked:
            return False
        return self.keep_left() if self.memories else self.track()

    def is_changed(self, owner: Array, region: Region) -> bool:
        """Whether a round writes to memory that there was before the loop, by a name that stays the same."""
        place = Place("memory", id(owner))
        return place in region.changes and not self.loop.is_unchanged(place, region)

    def find(self, region: Region) -> Iterator[Location]:
        """The arrays in carried names."""
        used = {value for node in region.scope.graph.nodes for value in node.operands}
        for place, form, first, head in zip(self.loop.places, self.loop.forms, self.loop.first, self.loop.heads,
                                            strict=True):
            if place.kind in _NAMES and not isinstance(form, Reference):
                parts = [memory_parts(value, form) for value in (first, head, region.changes.get(place, head))]
                for before, now, after in zip(*parts, strict=True):
                    is_used = now is not None and (now is after or now.version > 0 or now._value in used)
                    yield Location(place, before, now, after, is_used)

    def ask_others(self) -> None:
        """Loops before this one, and in its body, have to say whose memory their arrays are."""
        for x in self.locations:
            for array in (x.first, x.last):
                if array is not None and (ask := asks_for(array.owner)) is not None:
                    ask()

    def is_head(self, array: Array) -> bool:
        return any(array is x.head for x in self.locations)

    def alternatives(self, array: Array | None) -> tuple[Array | None, ...]:
        """The memories an array may be, None for new ones. A view of anything else stands for itself."""
        if array is None:
            return (None,)
        if array.view_of is not None:
            owner = array.owner
            return (array,) if self.is_head(owner) or id(owner) in self.loop.world.arrays or owner.one_of else (None,)
        if array.one_of is not None and id(array) not in self.loop.world.seen:
            return tuple([a for m in array.one_of.memories for a in self.alternatives(m)]) or (array,)
        return (array,) if self.is_head(array) or id(array) in self.loop.world.arrays else (None,)

    @property
    def is_asked(self) -> bool:
        """Whether something after the loop needs to know whose memory its arrays are."""
        return self.loop.site.span in self.context.decisions.identified and self.problem_of_identity() is None

    def begin(self, heads: Sequence[Any]) -> None:
        """A round begins: arrays which something else held before the loop may be the same memory still."""
        pairs = [pair for form, first, head in zip(self.loop.forms, self.loop.first, heads, strict=True)
                 for pair in zip(memory_parts(first, form), memory_parts(head, form), strict=True)]
        if any(before is not None and self.is_held(before) for before, _ in pairs):
            self.context.held.update({id(now): now for _, now in pairs if now is not None})

    def is_held(self, first: Array) -> bool:
        if id(first) not in self.held:
            self.held[id(first)] = is_held_elsewhere(first, self.loop.namespace)
        return self.held[id(first)]

    # Whether contents can be carried by name

    def conflict(self, region: Region) -> str | None:
        """Why two names, or a name and something else, may be the same memory."""
        for x in self.locations:
            if x.is_used and not x.leaves and not all(m is None or self.is_head(m) for m in self.alternatives(x.last)):
                return f"{x.place.name!r} is bound to an array that has another name too"
        if problem := self.problem_of_identity():
            return problem
        for i, x in enumerate(self.locations):
            for y in self.locations[:i]:
                if not (x.leaves or y.leaves or is_apart(x.first, y.first) and is_apart(x.last, y.last)):
                    return f"{y.place.name!r} and {x.place.name!r} may be the same array"
        owners = {id(o) for x in self.locations if x.first is not None for o in owners_of(x.first)}
        for other in self.loop.world.seen.values():
            if type(other) is Array and any(id(o) in owners for o in owners_of(other)) and (
                    other._value in region.scope.imported or self.is_changed(other, region)):
                return "one of its arrays has another name too"
        return None

    def problem_of_identity(self) -> str | None:
        """Why the index of a name can't be told."""
        for x in self.locations:
            for array in (x.first, *self.alternatives(x.last)):
                if array is not None and array.one_of is not None and array.one_of.index is None:
                    return f"{x.place.name!r} is one of several arrays"
                if array is not None and array is not x.first and array.view_of is not None and (
                        id(array) not in self.loop.world.seen):
                    return f"{x.place.name!r} is a view of an array that has another name too"
        lasts = [x.last for x in self.locations if x.last is not None and not x.leaves]
        if any(a is b and all(m is None for m in self.alternatives(a)) for i, a in enumerate(lasts) for b in lasts[:i]):
            return "two names are bound to the same new array"
        return None

    def carry_references(self, problem: str) -> NoReturn:
        """Starts again with names that are carried as an index; an error if they have to be already."""
        names = {(self.loop.site.span, x.place.name) for x in self.locations}
        simple = all(has_memory(value) for place, value in zip(self.loop.places, self.loop.first, strict=True)
                     if any(x.place == place for x in self.locations))
        new = any(m is None for x in self.locations for m in (x.first, *self.alternatives(x.last)))
        if not simple or new or names <= self.context.decisions.referenced:
            name = next((x.place.name for x in self.locations if x.is_written), self.locations[0].place.name)
            raise UnsupportedError(
                f"{name!r} is written in place and bound to another array in the same loop", span=self.loop.site.span,
                why=f"which array is written depends on the round: {problem}",
                fix=f"work on a copy: {name} = {name}.copy()")
        self.context.decisions.referenced.update(names)
        raise Restart

    def reference(self, value: Any) -> Schema:
        """The form of a name that is one of several arrays."""
        found = list(self.alternatives(value)) if has_memory(value) else [None]
        if any(m is None or m.view_of is not None and id(m) not in self.loop.world.seen for m in found):
            raise UnsupportedError(
                "a name is one of several arrays, which are written, and bound to a new one", span=self.loop.site.span,
                why="which array is written depends on the round", fix="work on copies of the arrays")
        return reference(tuple([m for m in found if m is not None]))

    # Indices

    def track(self) -> bool:
        """Carries the index of every name, and memories that names may leave."""
        self.refuse_sizes()
        found: dict[int, Array] = {}
        for x in self.locations:
            for m in (x.first, *self.alternatives(x.last)):
                if m is not None and not self.is_head(m):
                    found[id(m)] = m
        self.memories = (*found.values(), None)
        self.indices = [constant(0, INDEX.type.dtype) for _ in self.locations]
        for k, x in enumerate(self.locations):
            self.loop.carry(Place("index", k, None, "an index"), constant(self.place_of(x.first), INDEX.type.dtype))
            self.loop.forms[-1] = INDEX
        self.keep_left()
        return True

    def refuse_sizes(self) -> None:
        """UnsupportedError for arrays that are written, or compared, where rounds change their size."""
        forms = dict(zip(self.loop.places, self.loop.forms, strict=True))
        for x in self.locations:
            if has_sizes(forms[x.place]):
                raise UnsupportedError(
                    f"{x.place.name!r} is bound to arrays of different sizes in this loop, and written in place",
                    span=self.loop.site.span, why="which array is written depends on the round",
                    fix="write to it before or after the loop, or make it as large as it gets before the loop")

    def keep_left(self) -> bool:
        """Carries the memories that names may leave. Whether there are any that were not carried."""
        lasts = [m for x in self.locations for m in self.alternatives(x.last)]
        self.is_closed = all(m is not None and self.is_head(m) for m in lasts)
        if not self.writes or self.is_closed or self.orphans:
            return False
        for memory in self.memories:
            if memory is not None:
                self.keep(memory)
        return bool(self.orphans)

    def keep(self, memory: Array) -> None:
        place = Place("memory", id(memory), memory, "an array")
        if memory.view_of is not None:
            raise UnsupportedError(
                "a view is written in place and bound to a new array in the same loop", span=self.loop.site.span,
                why="which memory is written depends on the round", fix="work on a copy of the view")
        self.orphans.add(place)
        self.loop.carry_memory(memory, "an array")

    def place_of(self, memory: Array | None) -> int:
        """Where a memory is among those of the loop; new memory is the last."""
        return next((i for i, m in enumerate(self.memories) if m is memory), len(self.memories) - 1)

    def index_after(self, k: int) -> Array:
        """The index of a name at the end of the round, in the running scope."""
        return self.index_of(self.locations[k].last)

    def index_of(self, array: Array | None) -> Array:
        for x, index in zip(self.locations, self.indices, strict=True):
            if array is x.head and array is not None:
                return index
        if array is not None and array.one_of is not None and id(array) not in self.loop.world.seen:
            assert array.one_of.index is not None
            return translated(array.one_of.index, [self.index_of(m) for m in array.one_of.memories])
        return constant(self.place_of(array), I32)

    def memory_after(self, place: Place, before: Array) -> Array:
        """The content of a memory that a name may have left: what its name had written so far."""
        k = self.place_of(place.holder)
        for x, index in zip(self.locations, self.indices, strict=True):
            if x.head is not None and x.is_written and x.head.type == before.type:     # else it is never that one
                before = either(is_index(index, k), x.head.snapshot(), before)
        return before

    def content_now(self, memory: Array, before: Array) -> Array:
        """What a memory holds in the middle of a round: the content of the name that is it, where there is one."""
        if not self.writes or not any(m is memory for m in self.memories):
            return before
        k = self.place_of(memory)
        for now, index in zip(self.arrays_of(self.loop.heads), self.indices, strict=True):
            if now is not None and (now.version > 0 or self.is_closed) and now.type == before.type:
                before = either(is_index(index, k), now.snapshot(), before)
        return before

    # After the loop

    def arrays_of(self, values: Sequence[Any]) -> list[Array | None]:
        """The array of each location, in what the places hold after the loop."""
        return [a for place, form, value in zip(self.loop.places, self.loop.forms, values, strict=True)
                if place.kind in _NAMES and not isinstance(form, Reference) for a in memory_parts(value, form)]

    def settle(self, arrays: Sequence[Array | None], held: Sequence[tuple[Array | None, ...]]) -> None:
        """Gives memories their content, and says which memory each array is."""
        if not self.memories:
            self.mark_unasked(arrays, held)
            return
        if self.writes:
            for k, memory in enumerate(self.memories):
                if memory is not None:
                    memory.write(self.content_of(k, memory, [a for a in arrays if a is not None]))
        apart = Apart() if all(is_apart(x.first, y.first) and is_apart(x.last, y.last)
                               for i, x in enumerate(self.locations) for y in self.locations[:i]) else None
        for array, index, x in zip(arrays, self.indices, self.locations, strict=True):
            if array is not None:
                fitting = tuple([m if m is None or m.type == array.type else None for m in self.memories])
                chosen(array, index, fitting, x.place.name)
                if array.one_of is not None:
                    array.one_of.apart = apart

    def content_of(self, k: int, memory: Array, arrays: Sequence[Array]) -> Array:
        """What memory k holds now: the array of the name that has it."""
        pairs = list(zip(self.indices, arrays, strict=True))
        if self.is_closed and len(self.memories) == len(pairs) + 1:
            result = pairs.pop()[1].snapshot()
        else:
            result = memory.snapshot()
        for index, array in pairs:
            if array.type == result.type:
                result = either(is_index(index, k), array.snapshot(), result)
        return result

    def possible(self) -> list[tuple[Array | None, ...]]:
        """The memories that each array may be after the loop if something else holds them. Asked before it is."""
        if self.memories:
            return []
        found = []
        for x in self.locations:
            held = self.reached(x)
            is_held = any(not is_first or is_held_elsewhere(m, self.loop.namespace) for m, is_first in held.values())
            found.append((*[m for m, _ in held.values()], None) if is_held else ())
        return found

    def reached(self, x: Location) -> dict[int, tuple[Array, bool]]:
        """By id, the memories that a name may be after any number of rounds, and whether it is one that a name had
        before the loop."""
        found: dict[int, tuple[Array, bool]] = {}
        pending, seen = [x], set[int]()
        while pending:
            one = pending.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            if one.first is not None:
                found[id(one.first)] = one.first, True
            for memory in self.alternatives(one.last):
                heads = [y for y in self.locations if memory is not None and y.head is memory.owner]
                pending += heads
                if memory is not None and not heads:
                    found.setdefault(id(memory), (memory, False))
        return found

    def mark_unasked(self, arrays: Sequence[Array | None], held: Sequence[tuple[Array | None, ...]]) -> None:
        """Of arrays that may be memory which something else holds too, the index is carried when it is asked for."""
        for i, (array, memories, x) in enumerate(zip(arrays, held, self.locations, strict=True)):
            twins = [arrays[j] for j, y in enumerate(self.locations[:i]) if x.last is not None and y.last is not None
                     and x.last.owner is y.last.owner]
            if array is not None and (memories or twins):
                chosen(array, None, (*twins, *(memories or (None,))), x.place.name, partial(self.ask, x.place.name))

    def ask(self, name: str) -> NoReturn:
        if self.loop.site.span in self.context.decisions.identified:
            refuse_choice(name)
        self.context.decisions.identified.add(self.loop.site.span)
        raise Restart


def either(test: Array, yes: Array, no: Array) -> Array:
    """`yes if test else no` for whole arrays: the one, without a look at the other."""
    scope = current().scope
    graphs = []
    for k in (1, 0):
        graph = Graph([yes.type, no.type])
        graph.outputs = (graph.params[1 - k],)
        graphs.append(graph)
    values = [scope.bring(a.value, a.scope) for a in (test, yes, no)]
    return Array(current().emit("case", values, {"branches": (graphs[1], graphs[0])})[0], scope, "numpy", None, True)


# What else holds an array

def is_held_elsewhere(array: Array, namespace: Any) -> bool:
    """Whether the memory of an array can be reached from the caller, or by more than one name of the user's code."""
    owner = array.owner
    if owner.origin is not None or owner.one_of is not None or id(owner) in namespace.context.held:
        return True
    return count_names(owner, namespace) > 1
