"""Arrays that are one of several, chosen at run time: whose memory they are, how they are read and written.

Flows in:  values that variables hold where branches join, or when a loop ends.
Flows out: `Identity` (which memories a value may be, and the index among them), `chosen` (marks an array as one of
           them); reading takes the content of the chosen one, writing changes that one.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any, NoReturn

from tracejit.base.dims import Dim
from tracejit.base.dtypes import I32, DType
from tracejit.base.errors import MutationError
from tracejit.ir.graph import Graph
from tracejit.tracing.arrays import Array, OneOf, View
from tracejit.tracing.building import constant, emit
from tracejit.tracing.context import Scope, current, inside
from tracejit.tracing.control.containers import is_container
from tracejit.tracing.control.optional import Optional
from tracejit.tracing.control.regions import Region, finish, share_operands
from tracejit.tracing.control.schema import JoinError, Leaf, Perhaps, Reference, Schema, Sized, Tree, parts
from tracejit.tracing.control.world import World
from tracejit.tracing.implements import CHOSEN_READ, CHOSEN_WRITE, implements
from tracejit.tracing.sizes import Size
from tracejit.tracing.spans import current_span


def has_memory(value: Any) -> bool:
    """Whether a value is an array that can be written."""
    return type(value) is Array and value.kind == "numpy" and not value.is_scalar


def is_mutable(value: Any) -> bool:
    """Whether a value is, or holds, something that can be changed in place."""
    if type(value) is Optional:
        return is_mutable(value.value)
    return has_memory(value) or is_container(value) or isinstance(value, tuple) and any(map(is_mutable, value))


def memory_parts(value: Any, schema: Schema) -> Iterator[Array | None]:
    """The arrays with memory in a value of this form, in the order of its leaves; None where there is no value."""
    if isinstance(schema, Sized):
        yield value if has_memory(value) else None
    elif isinstance(schema, Leaf):
        if schema.kind == "numpy" and (schema.boxed or schema.type.shape):
            yield value if has_memory(value) else None
    elif isinstance(schema, Tree):
        present = type(value) is schema.cls
        held = parts(value) if present else [None] * len(schema.children)
        for child, form in zip(held, schema.children, strict=True):
            yield from memory_parts(child, form)
    elif isinstance(schema, Perhaps) and schema.inner is not None:
        yield from memory_parts(value.value if type(value) is Optional else value, schema.inner)


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """The memories that a value may be, None for memory of its own. index: which of them; a number if that is known,
    a function if it takes ops to say it.
    """

    memories: tuple[Array | None, ...]
    index: Array | int | Callable[[], Array]

    def traced_index(self) -> Array:
        """The index if it is no number, in the running scope."""
        assert not isinstance(self.index, int)
        return self.index if isinstance(self.index, Array) else self.index()

    @property
    def is_own(self) -> bool:
        return all(m is None for m in self.memories)


OWN = Identity((None,), 0)


def identity_of(value: Array | None, world: World) -> Identity | None:
    """What a value that a region left is, seen from outside of it; None if that can't be said there."""
    if value is None:
        return OWN
    if value.view_of is not None:
        if id(value) in world.seen:
            return Identity((value,), 0)
        same = same_view(value, world)
        return Identity((same,), 0) if same is not None else OWN if not reaches_older(value.owner, world) else None
    if value.one_of is not None:
        if isinstance(value.one_of.ask, CopyRefusal) and id(value) not in world.seen:
            return None
        is_known_outside = value.one_of.index is None or id(value) in world.seen
        return Identity((value,), 0) if is_known_outside else one_of_several(value.one_of, world)
    return Identity((value,), 0) if id(value) in world.arrays else OWN


def same_view(view: Array, world: World) -> Array | None:
    """A view which a region made of older memory, as one that can be used outside: its indices must not be traced."""
    hung = view.view_of
    if hung is None or id(view) in world.seen:
        return view if id(view) in world.seen else None
    parent = same_view(hung.parent, world)
    if parent is None or not (is_static(hung.get) and is_static(hung.put)):
        return None
    made = Array(view._value, view.scope, "numpy", None, True)
    made.view_of = View(parent, hung.get, hung.put, -1)
    made.writeable = view.writeable
    return made


def is_static(value: Any) -> bool:
    """Whether a function, or what it captured, holds nothing traced."""
    if isinstance(value, FunctionType):
        return all(is_static(cell.cell_contents) for cell in value.__closure__ or ()) and is_static(value.__defaults__)
    if isinstance(value, partial):
        return is_static((value.func, value.args, tuple(value.keywords.values())))
    if isinstance(value, (tuple, list)):
        return all(map(is_static, value))
    if is_dataclass(value) and not isinstance(value, type):
        return all(is_static(getattr(value, f.name)) for f in fields(value))
    return isinstance(value, (int, float, str, bytes, type(None), type, slice, Dim, DType)) or type(value) in (
        Size, BuiltinFunctionType) or value is Ellipsis


def one_of_several(one: OneOf, world: World) -> Identity | None:
    """What is one of several memories. Those that the region made itself are taken apart, as long as they are one of
    several too."""
    found = [identity_of(memory, world) for memory in one.memories]
    parts = [i for i in found if i is not None]
    if len(parts) < len(found):
        return None
    memories = tuple([m for part in parts for m in part.memories])
    if len(memories) == len(parts):
        return Identity(memories, one.index)    # type: ignore[arg-type]
    starts = [sum(len(p.memories) for p in parts[:k]) for k in range(len(parts))]
    return Identity(memories, lambda: translated(one.index, [    # type: ignore[arg-type]
        _shifted(part, start) for part, start in zip(parts, starts, strict=True)]))


def _shifted(part: Identity, start: int) -> Array:
    """The index of a part among memories of which its own begin at `start`."""
    if isinstance(part.index, int):
        return constant(start + part.index, I32)
    return emit("add", part.traced_index(), constant(start, I32))    # type: ignore[no-any-return]


def reaches_older(owner: Array, world: World) -> bool:
    """Whether writing to `owner` changes memory that there was before the region."""
    if owner.one_of is None:
        return id(owner) in world.arrays
    return not owner.one_of.memories or any(m is not None and reaches_older(m.owner, world)
                                            for m in owner.one_of.memories)


def asks_for(value: Array) -> Callable[[], NoReturn] | None:
    """What asks for the index of an array of several that has none yet, or that is one of such."""
    if value.one_of is None:
        return None
    if value.one_of.index is None:
        return value.one_of.ask
    return next((ask for m in value.one_of.memories if m is not None and (ask := asks_for(m.owner)) is not None), None)


def all_memories(identities: Sequence[Identity]) -> tuple[Array | None, ...]:
    """Each memory once, that of its own last."""
    found = {id(m): m for i in identities for m in i.memories}
    own = found.pop(id(None), found) is None
    return (*found.values(), None) if own else tuple(found.values())


def index_among(identity: Identity, memories: Sequence[Array | None]) -> Array:
    """i32[]: the place among `memories` of what `identity` is, in the running scope."""
    places = [next(i for i, m in enumerate(memories) if m is mine) for mine in identity.memories]
    if isinstance(identity.index, int):
        return constant(places[identity.index], I32)
    if places == list(range(len(places))):
        return identity.traced_index()
    return translated(identity.traced_index(), [constant(place, I32) for place in places])


def is_index(index: Array, k: int) -> Array:
    """bool[]: whether an index is k."""
    return emit("compare", index, constant(k, I32), direction="EQ")    # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What an array is after regions of which one ran. identities: in each region, None if that can't be said outside.

    arrays: what each region left there.  copied: of an array that is copied on its way: the older memories it may be.
    older: all older memories that it may be, or be a part of.
    """

    name: str
    identities: tuple[Identity | None, ...]
    arrays: tuple[Array | None, ...]
    copied: tuple[Array, ...] | None = None
    older: tuple[Array, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether it is new memory whatever region ran."""
        if self.copied is not None:
            return not self.copied
        return all(i is not None and i.is_own for i in self.identities)

    @property
    def known(self) -> tuple[Identity, ...]:
        return tuple([i for i in self.identities if i is not None])

    @property
    def memories(self) -> tuple[Array | None, ...]:
        return all_memories(self.known)

    @property
    def is_known(self) -> bool:
        return len(self.known) == len(self.identities)

    def is_exported(self, flag: Array | None) -> bool:
        """Whether the regions have to give the index."""
        return self.is_known and not self.is_own and self.copied is None and (
            flag is None or any(not isinstance(i.index, int) for i in self.known))

    def index_in(self, k: int) -> Array:
        """The index of region k, in the running scope."""
        return index_among(self.known[k], self.memories)

    def index_by(self, flag: Array) -> Array:
        """The index by the flag that chooses between two regions."""
        no, yes = [index_among(i, self.memories) for i in self.known]
        return emit("select", flag, yes, no)    # type: ignore[no-any-return]


def older_memories(value: Any, world: World) -> Iterator[Array]:
    """The arrays from before a region, or of the caller, whose content a value may be, or be a part of."""
    if type(value) is not Array:
        return
    owner = value.owner
    if id(owner) in world.arrays or owner.origin is not None:
        yield owner
    for memory in owner.one_of.memories if owner.one_of is not None else ():
        yield from older_memories(memory, world)


NOTHING: Any = object()     # what a region leaves whose end is not reached


def choice_of(name: str, left: Sequence[Any], world: World) -> Choice:
    """What an array is after regions that left these; where an end is not reached, it is what the others left."""
    found = [None if x is NOTHING else identity_of(x, world) for x in left]
    reached = [i for i, x in zip(found, left, strict=True) if x is not NOTHING]
    other = None if reached[0] is None else Identity(reached[0].memories, 0)
    return Choice(name, tuple([other if x is NOTHING else i for i, x in zip(found, left, strict=True)]),
                  tuple([None if x is NOTHING else x for x in left]),
                  older=tuple([m for x in left for m in older_memories(x, world)]))


class Joined:
    """The array that joining makes for position `place`, before it is made."""

    __slots__ = ("place",)

    def __init__(self, place: int):
        self.place = place


def with_shared(choices: Sequence[Choice]) -> list[Choice]:
    """New arrays which a region left in several places stay one: the later places may be the memory of the first."""
    made, joined = list(choices), [Joined(i) for i in range(len(choices))]
    for k in range(max([len(c.arrays) for c in choices], default=0)):
        first: dict[int, int] = {}
        for j, choice in enumerate(choices):
            array = choice.arrays[k] if choice.arrays else None
            identity = choice.identities[k] if choice.arrays else None
            if array is None or identity is None or not identity.is_own:
                continue
            i = first.setdefault(id(array.owner), j)
            if i != j:
                made[j] = _shared(made[j], k, joined[i], array is choices[i].arrays[k])
    return made


def _shared(choice: Choice, k: int, joined: Any, is_same: bool) -> Choice:
    same = Identity((joined,), 0) if is_same else None
    identities = (*choice.identities[:k], same, *choice.identities[k + 1:])
    return replace(choice, identities=identities, older=choice.older if is_same else (*choice.older, joined))


def resolved(memories: Sequence[Any], arrays: Sequence[Array | None]) -> tuple[Array | None, ...]:
    """Memories with the arrays that were made in place of `Joined`."""
    return tuple([arrays[m.place] if type(m) is Joined else m for m in memories])


def mark_choices(arrays: Sequence[Array | None], choices: Sequence[Choice], flag: Array | None,
                 exported: Iterator[Array]) -> None:
    """Says of arrays which were just made which memories they may be."""
    apart = Apart() if are_apart(choices) else None
    for array, choice in zip(arrays, choices, strict=True):
        index = next(exported) if choice.is_exported(flag) else None
        if array is None or choice.is_own or id(array) in map(id, choice.arrays):
            continue
        if choice.copied:
            chosen(array, None, (*choice.copied, None), choice.name, CopyRefusal(choice.name))
            continue
        if not choice.is_known:
            chosen(array, None, (*resolved(choice.older, arrays), None), choice.name)
            continue
        if index is None:
            assert flag is not None
            index = choice.index_by(flag)
        chosen(array, index, resolved(choice.memories, arrays), choice.name)
        if array.one_of is not None:
            array.one_of.apart = apart


class Apart:
    """Arrays with the same object of this class are never the same memory."""

    __slots__ = ()


def are_apart(choices: Sequence[Choice]) -> bool:
    """Whether the arrays are different memories, whatever region ran."""
    several = [c for c in choices if not c.is_own and c.is_known]
    return all(is_apart(x.arrays[k], y.arrays[k]) for i, x in enumerate(several) for y in several[:i]
               for k in range(len(x.arrays)))


def is_apart(x: Array | None, y: Array | None) -> bool:
    """Whether two arrays surely are different memories. Views are not looked into."""
    if x is None or y is None:
        return True
    if x.view_of is not None or y.view_of is not None:
        return False
    if x.one_of is None and y.one_of is None:
        return x is not y
    if x.one_of is not None and y.one_of is not None:
        return x is not y and x.one_of.apart is not None and x.one_of.apart is y.one_of.apart
    one, other = (x, y) if x.one_of is not None else (y, x)
    return one.one_of is not None and bool(one.one_of.memories) and not any(
        m is other for m in one.one_of.memories)


def chosen(array: Array, index: Array | None, memories: tuple[Array | None, ...], name: str = "",
           ask: Callable[[], NoReturn] | None = None) -> None:
    """Says that `array`, which was just made, is one of several memories and holds their content now."""
    array.one_of = OneOf(index, memories, ask or (lambda: refuse_choice(name)))
    array.one_of.seen, array.one_of.own = array.state, (array._value, array.scope)


def reference(memories: tuple[Array, ...]) -> Reference:
    """The form of an array which is one of these."""
    leaf = Leaf(memories[0].type, None, "numpy", True)
    if any(m.type != leaf.type for m in memories):
        raise JoinError("shape")
    return Reference(leaf, memories, _index_of, _one_of)


def _index_of(value: Array, memories: Sequence[Array]) -> Array:
    """The place of a value among memories, in the running scope. What it may be is looked up to the end."""
    one = value.one_of
    found = [k for k, memory in enumerate(memories) if memory is value]
    if found or one is None:
        return constant(found[0], I32)
    index = one.index if one.index is not None else one.ask()
    return translated(index, [_index_of(m, memories) for m in one.memories if m is not None])


def translated(index: Array, places: Sequence[Array]) -> Array:
    """i32[]: `places[index]`, in the running scope."""
    result = places[-1]
    for k, place in enumerate(places[:-1]):
        result = emit("select", is_index(index, k), place, result)
    return result


def _one_of(index: Array, memories: Sequence[Array]) -> Array:
    made = Array(memories[0]._value, memories[0].scope, "numpy", None, True)
    chosen(made, index, tuple(memories))
    if made.one_of is not None:
        made.one_of.seen = -1       # its content is computed when it is read
    return made


@dataclass(frozen=True, slots=True)
class CopyRefusal:
    """Of an array that stands for one of several of different sizes: it is a copy, right as long as nobody writes."""

    name: str

    def __call__(self) -> NoReturn:
        refuse_choice(self.name)


def refuse_choice(name: str) -> NoReturn:
    """The error for a write to an array that nobody can tell."""
    raise MutationError(
        f"{name or 'this array'!r} is one of several arrays, chosen at run time, and can't be changed in place",
        span=current_span(2), why="the run can't tell whose memory it is", fix="copy it first: x = x.copy()")


# Reading and writing

@implements(CHOSEN_READ)
def read_chosen(array: Array) -> None:
    """The content of the memory that `array` is, computed in the running scope."""
    one = array.one_of
    assert one is not None
    if one.index is None:
        one.ask()
    own = Array(*one.own)
    memories = [own if m is None else m for m in one.memories]
    result = memories[-1].snapshot()
    for k, memory in enumerate(memories[:-1]):
        test = is_index(one.index, k)
        if result.type.shape:
            test = emit("broadcast_in_dim", test, shape=result.type.shape, dims=())
        result = emit("select", test, memory.snapshot(), result)
    array._value, array.scope, one.seen = result._value, result.scope, array.state


@implements(CHOSEN_WRITE)
def write_chosen(array: Array, write: Callable[[Array], None]) -> None:
    """Writes where `array` is, or hangs on, one of several memories: to each of them if it is the one."""
    owner = array.owner
    one = owner.one_of
    assert one is not None
    if one.index is None:
        one.ask()
    own = any(m is None for m in one.memories)
    mine = Array(owner.value, owner.scope, "numpy", None, True) if own else None
    for k, memory in enumerate(one.memories):
        if memory is not None:
            write_if(is_index(one.index, k), memory, rebased(array, memory), write)
    if mine is not None:
        write(rebased(array, mine))
        owner._value, owner.scope = one.own = mine._value, mine.scope
    owner.version += 1
    one.seen = owner.state if mine is not None else -1


def rebased(array: Array, memory: Array) -> Array:
    """`array`, a view of one of several, as the same view of `memory`."""
    if array.view_of is None:
        return memory
    hung = array.view_of
    parent = rebased(hung.parent, memory)
    seen = hung.get(parent.snapshot())
    made = Array(seen.value, seen.scope, "numpy", None, True)
    made.view_of = View(parent, hung.get, hung.put, parent.owner.state)
    made.writeable = array.writeable
    return made


def write_if(test: Array, memory: Array, target: Array, write: Callable[[Array], None]) -> None:
    """`if test: write(target)`, where that changes the owners of `memory` only."""
    context = current()
    owners = owners_of(memory)
    before = [o.snapshot() for o in owners]
    yes, no = Scope(Graph([]), context.scope), Scope(Graph([]), context.scope)
    with inside(yes):
        write(target)
        finish(Region(yes), [o.snapshot() for o in owners])
    with inside(no):
        finish(Region(no), before)
    operands = share_operands([no, yes])
    values = [context.scope.bring(value, home) for value, home in operands]
    flag = context.scope.bring(test.value, test.scope)
    made = context.emit("case", [flag, *values], {"branches": (no.graph, yes.graph)})
    for owner, value in zip(owners, made, strict=True):
        owner._value, owner.scope, owner.version = value, context.scope, owner.version + 1
    for owner in owners:
        if owner.one_of is not None:
            owner.one_of.own, owner.one_of.seen = (owner._value, owner.scope), owner.state


def owners_of(memory: Array) -> list[Array]:
    """The arrays that a write to `memory` changes and that own memory, each once."""
    owner = memory.owner
    if owner.one_of is None:
        return [owner]
    found = [o for m in owner.one_of.memories for o in ([owner] if m is None else owners_of(m))]
    return list({id(o): o for o in found}.values())
