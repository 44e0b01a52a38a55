"""Lists, dicts and objects that are one of several where branches join or a loop ends: copies stand for them.

Flows in:  what places hold in the regions that join, or at the ends of a loop's rounds.
Flows out: errors, where one is changed of which something else may be the same object: a copy would miss the change.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tracejit.base.errors import MutationError, UnsupportedError
from tracejit.tracing.control.containers import copied, is_container, is_same_content
from tracejit.tracing.control.growth import grow_all
from tracejit.tracing.control.names import count_names
from tracejit.tracing.control.optional import Optional
from tracejit.tracing.control.regions import Region
from tracejit.tracing.control.schema import Perhaps, Schema, Tree, leaves, parts
from tracejit.tracing.control.world import Place, World
from tracejit.tracing.spans import current_span


def container_parts(value: Any, schema: Schema) -> Iterator[Any]:
    """The containers in a value of this form, in order; None where there is none, as in a list of another length."""
    if isinstance(schema, Perhaps) and schema.inner is not None:
        yield from container_parts(value.value if type(value) is Optional else value, schema.inner)
    if not isinstance(schema, Tree):
        return
    present = type(value) is schema.cls
    if not issubclass(schema.cls, tuple):
        yield value if present and is_container(value) else None
    held = list(parts(value)) if present else []
    fitting = held if len(held) == len(schema.children) else [None] * len(schema.children)
    for child, form in zip(fitting, schema.children, strict=True):
        yield from container_parts(child, form)


def is_held(container: Any, namespace: Any, own: int = 1) -> bool:
    """Whether a container can be reached from the caller, or by more names of the user's code than its `own`."""
    if id(container) in namespace.reader.containers or id(container) in namespace.several:
        return True
    return count_names(container, namespace) > own


def watch(namespace: Any, containers: Sequence[Any], name: str) -> None:
    """From here on, these must stay as they are. If lists do not, they are native from the next attempt on."""
    each = list({id(c): c for c in containers if c is not None}.values())
    namespace.shared += [(c, copied(c), name, each) for c in each]


def stand_ins(namespace: Any, container: Any) -> list[Any]:
    """The containers that one may be which was made for one of several; none for any other."""
    several = namespace.several.get(id(container))
    found = {id(c): c for c in several.objects} if several is not None else {}
    for one, _, _, others in namespace.shared:
        if one is container:
            found.update({id(c): c for c in others if c is not one})
    return list(found.values())


def check_shared(namespace: Any) -> None:
    """Raises MutationError if a container was changed that may be another one as well."""
    for container, copy, name, others in namespace.shared:
        if not is_same_content(copied(container), copy):
            grow_all(namespace, others)
            raise MutationError(
                f"{name!r} is one of several objects, chosen at run time, or another name of one, and is changed",
                span=current_span(2), why="only the run knows which object that is",
                fix="copy the object before, or change it in the branches where it is known")


def watch_joined(world: World, place: Place, form: Schema, made: Any, left: Sequence[Any]) -> None:
    """After regions of which one ran: what they left of a place, and what was made of it."""
    before = [] if place.kind == "result" else [id(c) for c in container_parts(world.value_before(place), form)]
    found = [list(container_parts(value, form)) for value in left]
    for k, one in enumerate(container_parts(made, form)):
        if k == 0 and type(made) is list:
            continue
        left_here = [f[k] for f in found if f[k] is not None]
        other = [c for part in left_here for c in stand_ins(world.namespace, part)]
        older = [c for c in left_here if id(c) in world.containers]
        held = [c for c in older if is_held(c, world.namespace, before.count(id(c)))]
        if (held or other) and one is not None and not all(c is one for c in left_here):
            watch(world.namespace, [one, *held, *other], place.name)


class Sharing:
    """The containers in names that rounds of a loop bind anew. loop: the `_Loop`."""

    def __init__(self, loop: Any):
        self.loop = loop
        self.heads: list[tuple[Any, Any]] = []      # with their content when the round began
        self.held: dict[int, bool] = {}             # by id: whether something else held a container before the loop

    def positions(self, values: Sequence[Any]) -> list[tuple[str, Any]]:
        """Name and container of each position in the loop's places."""
        return [(place.name, part) for place, form, value in zip(self.loop.places, self.loop.forms, values, strict=True)
                for part in container_parts(value, form)]

    def begin(self, heads: Sequence[Any]) -> None:
        self.heads = [(part, None if part is None else copied(part)) for _, part in self.positions(heads)]
        for _, first in self.positions(self.loop.first):
            if first is not None and id(first) not in self.held:
                self.held[id(first)] = is_held(first, self.loop.namespace)

    def last(self, region: Region) -> list[tuple[str, Any]]:
        return self.positions([region.changes.get(place, head) for place, head in zip(
            self.loop.places, self.loop.heads, strict=True)])

    def check(self, region: Region) -> None:
        """An error if a round changes a container in place which something else may be too."""
        last, first = self.last(region), self.positions(self.loop.first)
        changed = {id(p.holder) for p in region.changes if p.kind in ("item", "content")}
        twice = {id(c) for i, (_, c) in enumerate(last) for _, other in last[:i] if c is not None and c is other}
        used = self.used(region)
        for (name, before), (head, copy), (_, end), is_used in zip(first, self.heads, last, used, strict=True):
            is_changed = head is not None and not is_same_content(copied(head), copy)
            others = [] if end is None else stand_ins(self.loop.namespace, end)
            is_older = id(end) in self.loop.world.containers or bool(others)
            if is_changed and (self.is_held(before) or id(end) in twice or is_older) or is_older and is_used and (
                    any(id(c) in changed for c in (end, *others))):
                grow_all(self.loop.namespace, [c for _, c in first])
                raise UnsupportedError(
                    f"{name!r} is changed in place and bound to another object in the same loop",
                    span=self.loop.site.span, why="which object is changed depends on the round",
                    fix=f"work on a copy of {name}, or change its content only")

    def used(self, region: Region) -> list[bool]:
        """For each position whether a round reads something that its place held when the round began."""
        values = {value for node in region.scope.graph.nodes for value in node.operands}
        params, found = iter(self.loop.carried_params(region)), list[bool]()
        for form, head in zip(self.loop.forms, self.loop.heads, strict=True):
            held = [next(params) for _ in leaves(form)]
            found += [not values.isdisjoint(held) for _ in container_parts(head, form)]
        return found

    def is_held(self, first: Any) -> bool:
        return first is not None and self.held.get(id(first), False)

    def settle(self, region: Region, values: Sequence[Any]) -> None:
        """After the loop: what may be one of several must stay as it is."""
        last = self.last(region)
        heads = {id(head) for head, _ in self.heads}
        for (name, made), (_, first), (_, end) in zip(
                self.positions(values), self.positions(self.loop.first), last, strict=True):
            older = [c for c in (first, end) if c is not None and id(c) not in heads and (
                self.is_held(first) if c is first else id(c) in self.loop.world.containers)]
            older += [] if end is None else stand_ins(self.loop.namespace, end)
            twice = end is not None and sum(end is other for _, other in last) > 1
            if made is not None and (older or twice):
                watch(self.loop.namespace, [made, *older], name)
