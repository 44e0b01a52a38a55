"""Loops while tracing: captured first, as `for` and `while` ops; unrolled only where the rules say so.

Flows in:  functions that hold test and body, what the loop runs over, the variables that rounds hand on.
Flows out: one op whose carries are what a round changes. Their types are found by tracing the body until they hold.

Rules: up to `UNROLLED` rounds are unrolled. A loop whose body needs a Python value of the loop, or changes the form of
a variable, is unrolled if the number of rounds is known while tracing; `Decisions.unrolled` remembers why.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CellType
from typing import Any

from tracejit.base.dtypes import BOOL, I64
from tracejit.base.errors import UnsupportedError
from tracejit.base.spans import SourceSpan
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, convert, emit, lift
from tracejit.tracing.context import Restart, Scope, inside
from tracejit.tracing.control.branches import branch, known_truth, where
from tracejit.tracing.control.displays import LiveList
from tracejit.tracing.control.growth import grow_all, refuse_kept_write, register_joined, why_plain
from tracejit.tracing.control.identity import has_memory, is_mutable, reference
from tracejit.tracing.control.iteration import Iteration, iteration_of
from tracejit.tracing.control.lengths import (
    after_loop,
    begin_round,
    changes_lengths,
    count_of,
    counted_lists,
    run_time_size,
    shared_from_outside,
)
from tracejit.tracing.control.lists import TracedList
from tracejit.tracing.control.optional import UNDEFINED
from tracejit.tracing.control.rebinding import Rebinding
from tracejit.tracing.control.regions import Region, Unreachable, finish, run_region, share_operands
from tracejit.tracing.control.schema import JoinError, Leaf, Reference, Schema, build, describe, flatten, join, leaves
from tracejit.tracing.control.sharing import Sharing
from tracejit.tracing.control.streams import Sink, Stream
from tracejit.tracing.control.world import CellFunction, Place, World, cells_of, content
from tracejit.tracing.scalars import weak
from tracejit.tracing.sizes import declare_range, size_of, sized
from tracejit.tracing.spans import current_span
from tracejit.tracing.truth import truth

UNROLLED = 4
_TRIES = 20         # rounds of looking for types that hold
Thunk = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Site:
    """A loop of the user's code. rounds: how many, if that is known while tracing; -1 for a `while` that may turn out
    to be Python's own."""

    span: SourceSpan | None
    rounds: int | None


class StaysPython(Exception):
    """The test of a loop does not depend on anything traced."""


class TestChanges(BaseException):
    """The test of a loop changes variables, as `while (x := f(x)) > 0` does."""


# for

def for_loop(namespace: Any, iterable: Any, body: Callable[[Any], Any], go_on: Thunk | None,
             names: Sequence[str]) -> None:
    """`for item in iterable: body(item)`, left when go_on() is false after a round."""
    span = current_span(3)
    if isinstance(iterable, Stream):
        iterable.run(Sink(body, cells_of(body, go_on), go_on, names))
        return
    with namespace.context.iterating(iterable):
        _run_over(namespace, iterable, body, go_on, names, span)


def _run_over(namespace: Any, iterable: Any, body: Callable[[Any], Any], go_on: Thunk | None, names: Sequence[str],
              span: SourceSpan | None) -> None:
    source = iteration_of(iterable)
    if isinstance(iterable, TracedList) and span in namespace.context.decisions.live:
        source = LiveList(iterable)
    if source is None:
        unroll(namespace, list(iterable) if not isinstance(iterable, Iterator) else iterable, body, go_on, names)
        return
    source = source.taken()
    rounds = source.length if type(source.length) is int else None
    short = rounds is not None and rounds <= UNROLLED and not isinstance(iterable, TracedList)
    if short or span in namespace.context.decisions.unrolled:
        if short:
            namespace.context.decisions.short[span] = int(source.length)
        is_plain = isinstance(iterable, (range, list, tuple))
        items = iterable if is_plain else map(source.item, range(int(source.length)))
        unroll(namespace, items, body, go_on, names)
        return
    loop = _Loop(namespace, Site(span, rounds), cells_of(body, go_on), names)
    if go_on is None and type(source) is not LiveList:
        scope = loop.capture_for(source, body)
        if isinstance(iterable, TracedList) and changes_lengths(scope.graph):
            namespace.context.decisions.live.add(span)
            raise Restart
    else:
        loop.capture_while_counted(source, body, go_on or (lambda: True))


def unroll(namespace: Any, items: Any, body: Callable[[Any], Any], go_on: Thunk | None, names: Sequence[str]) -> None:
    """Rounds one after the other; what follows a traced reason to leave goes into a branch."""
    rest = iter(items)
    for item in rest:
        body(item)
        if go_on is None:
            continue
        more = go_on()
        if (known := known_truth(more)) is None:
            branch(namespace, more, _rest(namespace, rest, body, go_on, names), None, names)
            return
        if not known:
            return


def _same(now: Any, before: Any) -> bool:
    """Whether a place holds what it held: of arrays their content, of containers the same parts."""
    if type(now) is Array and type(before) is Array:
        return now is before or now._value is before._value
    if isinstance(now, (list, dict, set)):
        return type(before) is type(now) and now == before if not isinstance(now, list) else (
            len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True)))
    return now is before


def _rest(namespace: Any, items: Any, body: Callable[[Any], Any], go_on: Thunk, names: Sequence[str]) -> CellFunction:
    """The rounds that remain of an unrolled loop: they change the variables of one."""
    return CellFunction(lambda: unroll(namespace, items, body, go_on, names), cells_of(body, go_on))


# while

def while_loop(namespace: Any, test: Thunk, body: Thunk, names: Sequence[str]) -> None:
    """`while test(): body()`."""
    span = current_span(3)
    if span in namespace.context.decisions.unrolled:
        python_while(namespace, test, body)
        return
    site, cells = Site(span, -1), cells_of(test, body)
    try:
        _Loop(namespace, site, cells, names).capture_while(test, body)
    except StaysPython:
        python_while(namespace, test, body)
    except TestChanges:
        go = namespace.as_test(test())
        if known_truth(go) is False:
            return
        _Loop(namespace, site, cells, names).capture_while_changing(go, test, body)


def python_while(namespace: Any, test: Thunk, body: Thunk) -> None:
    """A loop that ends by what is known while tracing."""
    while True:
        go = namespace.as_test(test())
        if known_truth(go) is None:
            span, decisions = current_span(3), namespace.context.decisions
            if span not in decisions.unrolled:
                decisions.captured.add(span)
                raise Restart
            raise UnsupportedError(
                "this loop can't be captured: its body needs Python values that change from round to round",
                span=span, why=decisions.unrolled[span],
                fix="use arrays in place of the Python value, or make the number of rounds static")
        if not known_truth(go):
            return
        body()


class _Loop:
    """One loop that is captured."""

    def __init__(self, namespace: Any, site: Site, cells: dict[str, CellType], names: Sequence[str]):
        self.namespace, self.context, self.site = namespace, namespace.context, site
        self.world = World(cells, names, namespace)
        self.heads: list[Any] = []      # what the places hold when a round begins
        self.counted = False            # the body gets the counter of a `for` op
        self.counter: Any = None        # of a `for` that is captured as a `while`
        self.places: list[Place] = []
        self.forms: list[Schema] = []
        self.first: list[Any] = []      # what the places hold before the loop
        self.rebinding, self.sharing = Rebinding(self), Sharing(self)
        self.last = Region(self.context.scope)      # the round that held
        self.left: set[int] = set()     # ids of arrays whose name was just found to be bound anew
        self.shared = 0     # lists from outside whose handles may be anywhere
        self.changing: dict[int, TracedList] = {}    # by id: lists that a round makes longer or shorter
        for name in names:
            if name in cells:
                self.carry_variable(name, cells[name])

    def carry_variable(self, name: str, cell: CellType) -> None:
        """Arrays and containers stay what they are, and their content changes, unless rounds bind the name anew."""
        value = content(cell)
        if self.is_rebound(name) or not is_mutable(value):
            self.carry(Place("variable", id(cell), cell, name), value)
        elif type(value) is Array and value.owner.one_of is None:
            self.carry_memory(value.owner, name)

    def carry_memory(self, owner: Array, name: str) -> None:
        place = Place("memory", id(owner), owner, name)
        if place not in self.places:
            self.carry(place, owner.snapshot())

    def carry(self, place: Place, value: Any) -> None:
        self.places.append(place)
        self.first.append(value)
        is_reference = (self.site.span, place.name) in self.context.decisions.referenced and has_memory(value)
        self.forms.append(reference((value,)) if is_reference else self.form(place, value))

    def is_rebound(self, name: str) -> bool:
        return (self.site.span, name) in self.context.decisions.rebound

    # Capturing

    def capture_for(self, source: Iteration, body: Callable[[Any], Any]) -> Scope:
        upper = self.length(source)
        self.counted = True

        def round_(i: Any) -> None:
            declare_range(lift(i).value, 0, source.length)
            body(source.item(i))

        scope = self.settle(round_)
        trips = size_of(source.length) if self.changing else None
        if trips is None and self.changing:
            trips = run_time_size(upper)
            upper = convert(lift(sized(trips)), I64)
        self.emit("for", [constant(0, I64), upper, constant(1, I64)], scope, 1, {}, trips)
        return scope

    def length(self, source: Iteration) -> Array:
        return convert(lift(source.length), I64)

    def capture_while(self, test: Thunk, body: Thunk) -> None:
        scope = self.settle(lambda _: body(), test)
        cond = self.test_region(lambda _: test())
        self.emit("while", [], scope, 0, {"cond": cond})

    def capture_while_counted(self, source: Iteration, body: Callable[[Any], Any], go_on: Thunk) -> None:
        """A `for` that may be left early: a `while` with a counter, carried first."""
        upper = None if type(source) is LiveList else self.length(source)
        self.carry_first("the counter", 0)

        def round_(_: Any) -> None:
            i = self.counter
            body(source.item(i))
            self.counter = i + 1

        def test(_: Any) -> Any:
            end = self.length(source) if upper is None else upper
            inside_range = emit("compare", convert(self.counter, I64), end, direction="LT")
            return weak(emit("and", inside_range, convert(lift(go_on()), BOOL)), "b")

        scope = self.settle(round_)
        cond = self.test_region(test)
        self.emit("while", [], scope, 0, {"cond": cond})

    def capture_while_changing(self, go: Any, test: Thunk, body: Thunk) -> None:
        """The test runs before the loop and at the end of every round; its answer is carried first."""
        self.carry_first("the test", weak(truth(lift(go)), "b"))

        def round_(_: Any) -> None:
            body()
            self.counter = weak(truth(lift(self.namespace.as_test(test()))), "b")

        scope = self.settle(round_)
        cond = self.test_region(lambda _: self.counter)
        self.emit("while", [], scope, 0, {"cond": cond})

    def carry_first(self, name: str, value: Any) -> None:
        """The state of the loop's own, which no place of the user's holds."""
        self.places.insert(0, Place("counter", "counter", None, name))
        self.first.insert(0, value)
        self.forms.insert(0, describe(value, numbers=True))

    def settle(self, body: Callable[[Any], Any], test: Thunk | None = None) -> Scope:
        """Traces the body until the types of its carries hold. Returns its scope."""
        for _ in range(_TRIES):
            if test is not None and self.site.span not in self.context.decisions.captured \
                    and self.test_region(lambda _: test(), only_try=True) is None:
                raise StaysPython
            before = len(self.places)
            region = self.trace(body)
            if self.widen(region) or len(self.places) != before or self.follow_lists(region) \
                    or self.rebinding.follow(region):
                continue
            with self.world.with_entries(region.changes):
                self.sharing.check(region)
            self.last = region
            with self.world.as_left(region.changes), inside(region.scope):
                finish(region, self.outputs(region))
            return region.scope
        raise UnsupportedError("the types of this loop's variables don't settle", span=self.site.span,
                               why="every round changes them again", fix="give the variables their final types before")

    def follow_lists(self, region: Region) -> bool:
        """Notes the lists whose length a round changes, or may change; whether there is one more."""
        for place, head in zip(self.places, self.heads, strict=True):
            if place.kind == "memory" and place.holder.kept and place in region.changes \
                    and region.changes[place].value is not head.value:
                refuse_kept_write()
        found, shared = counted_lists(region.scope), shared_from_outside(self.namespace, region.scope)
        more = bool(found.keys() - self.changing.keys()) or shared != self.shared
        self.changing.update(found)
        self.shared = shared
        return more

    def trace(self, body: Callable[[Any], Any]) -> Region:
        scope, head = self.open()

        def run() -> Any:
            self.place_head(scope)
            with self.context.rebinding(self.rebinding):
                body(head)
            return self.counter

        return run_region(self.context, self.world, run, scope)

    def open(self) -> tuple[Scope, Any]:
        """A scope whose first parameters are the counter and the carries."""
        scope = Scope(Graph([]), self.context.scope)
        head = None
        begin_round(scope, self.changing, self.counted)
        if self.counted:
            param = scope.graph.add_param(ArrayType(I64))
            self.context.loop_values[param] = self.site
            head = Array(param, scope, "python", "i")
        for form in self.forms:
            for leaf in leaves(form):
                self.context.loop_values[scope.graph.add_param(leaf.type)] = self.site
        return scope, head

    def place_head(self, scope: Scope) -> None:
        """Makes the world what it is when a round begins."""
        params = iter([Array(p, scope) for p in scope.graph.params[int(self.counted):int(self.counted) + self.width()]])
        self.heads = [build(form, params) for form in self.forms]
        self.rebinding.begin(self.heads)
        self.sharing.begin(self.heads)
        for place, value, first in zip(self.places, self.heads, self.first, strict=True):
            register_joined(self.namespace, value, [first])
            self.put(place, value)

    def width(self) -> int:
        return sum(len(list(leaves(f))) for f in self.forms)

    def put(self, place: Place, value: Any) -> None:
        if place.kind == "counter":
            self.counter = value
        elif place.kind == "index":
            self.rebinding.indices[place.key] = value
        else:
            self.world.put(place, value)

    def test_region(self, test: Callable[[Any], Any], only_try: bool = False) -> Scope | None:
        """The test as a region; with only_try None if it stays a Python value."""
        scope, head = self.open()

        def run() -> Any:
            self.place_head(scope)
            before = self.world.changes()
            answer = self.namespace.as_test(test(head))
            if any(place not in before or not _same(value, before[place])
                   for place, value in self.world.changes().items()):
                raise TestChanges
            return answer

        region = run_region(self.context, self.world, run, scope)
        if only_try and known_truth(region.result) is not None:
            return None
        with inside(scope):
            finish(region, [truth(lift(region.result))])
        return scope

    # What a round changes

    def widen(self, region: Region) -> bool:
        """Whether a round needs more carries, or other types. They are noted for the next try."""
        if not region.reached:
            return False
        changed = False
        self.left = set()
        for place, value in [c for c in region.changes.items() if not self.is_unchanged(c[0], region)]:
            changed = self.note(place, value) or changed
        with self.world.with_entries(region.changes):
            found = [(k, region.changes[p], self.described(k, region.changes[p])) for k, p in enumerate(self.places)
                     if p.kind != "counter" and p in region.changes]
        for one in found:
            changed = self.widen_one(*one) or changed
        return changed

    def described(self, k: int, value: Any) -> Schema:
        """The form of what a round left in a place."""
        if isinstance(self.forms[k], Reference):
            return self.rebinding.reference(value)
        return self.form(self.places[k], value)

    def form(self, place: Place, value: Any) -> Schema:
        """A variable of the converter's own is read where it was set and never written to: its arrays stay the same."""
        return describe(value, numbers=True, known=self.world.seen if "!" in place.name else ())

    def is_unchanged(self, place: Place, region: Region) -> bool:
        """Whether memory holds at the end of a round what it held when the round began."""
        return place.kind == "memory" and place in self.places and (
            region.changes[place].value is self.heads[self.places.index(place)].value)

    def note(self, place: Place, value: Any) -> bool:
        """A change of something that is not carried yet."""
        if place in self.places:
            return False
        if place.kind == "memory":
            if place.key not in self.left:
                self.carry_memory(place.holder, place.name)
            return True
        if place.kind == "content":
            self.refuse_container(place)
        before = self.world.value_before(place)
        if is_mutable(before):
            self.context.decisions.rebound.add((self.site.span, place.name))
            if has_memory(before):
                self.drop_memory(before.owner)
                self.left.add(id(before.owner))
        self.carry(place, before)
        return True

    def drop_memory(self, owner: Array) -> None:
        """An array that was carried because its variable is written, and is only bound anew."""
        for k, place in enumerate(self.places):
            if place.kind == "memory" and place.holder is owner:
                del self.places[k], self.first[k], self.forms[k]
                return

    def refuse_container(self, place: Place) -> None:
        kind = "elements" if isinstance(place.holder, set) else "length" if isinstance(place.holder, list) else "keys"
        self.give_up(f"its rounds change the {kind} of {place.name!r}{why_plain(self.namespace, place.holder)}")

    def widen_one(self, k: int, value: Any, now: Schema) -> bool:
        place, form = self.places[k], self.forms[k]
        if "!" in place.name and value is UNDEFINED:
            return False
        if "!" in place.name and self.first[k] is UNDEFINED and not isinstance(form, Leaf):
            form = now
        try:
            joined = join(form, now, loop=True, sizes=self.site.rounds in (None, -1))
        except JoinError as problem:
            grow_all(self.namespace, [self.first[k], value])
            before, after = f"{form}{where(self.first[k])}", f"{now}{where(value)}"
            self.give_up(f"{place.name!r} is {before} before a round and {after} after it ({problem})", place.name)
        if joined == self.forms[k]:
            return False
        self.forms[k] = joined
        return True

    def give_up(self, reason: str, name: str = "") -> None:
        """Unrolls the loop if its rounds are known, else says why it can't be compiled."""
        if self.site.rounds is not None:
            self.context.decisions.unroll(self.site.span, f"{reason}; {self.site.rounds} rounds")
            raise Restart
        raise UnsupportedError(
            f"this loop can't be compiled: {reason}", span=self.site.span,
            why="the number of its rounds is known only at run time, so every round must leave the same types",
            fix="give the variable its final dtype and shape before the loop" if name else
            "write to an array that was made before the loop")

    def outputs(self, region: Region) -> list[Array]:
        """What a round hands to the next, in the types of the carries."""
        made = []
        heads = iter([Array(p, region.scope) for p in self.carried_params(region)])
        for place, form in zip(self.places, self.forms, strict=True):
            mine = [next(heads) for _ in leaves(form)]
            if place.kind == "counter":
                made += flatten(region.result, form) if region.reached else mine
            elif place.kind == "index" and region.reached:
                made.append(self.rebinding.index_after(place.key))
            elif place in self.rebinding.orphans and region.reached:
                made.append(self.rebinding.memory_after(place, mine[0]))
            elif place in region.changes:
                made += flatten(region.changes[place], form)
            else:
                made += mine
        return made

    def carried_params(self, region: Region) -> Sequence[Any]:
        start = int(self.counted)
        return region.scope.graph.params[start:start + self.width()]

    # The op

    def emit(self, op: str, bounds: Sequence[Array], body: Scope, own: int, regions: dict[str, Scope | None],
             trips: Any = None) -> None:
        scope, counts = self.context.scope, {key: count_of(one) for key, one in self.changing.items()}
        initial = [a for value, form in zip(self.first, self.forms, strict=True) for a in flatten(value, form)]
        scopes = [s for s in (*regions.values(), body) if s is not None]
        operands = share_operands(scopes, own + len(initial))
        values = [a.value if a.scope is scope else scope.bring(a.value, a.scope) for a in (*bounds, *initial)]
        values += [scope.bring(value, home) for value, home in operands]
        attributes: dict[str, Any] = {name: s.graph for name, s in regions.items() if s is not None}
        results = self.context.emit(op, values, {**attributes, "body": body.graph, "carries": len(initial)})
        made = iter([Array(v, scope) for v in results])
        values = [build(form, made) for form in self.forms]
        arrays = self.rebinding.arrays_of(values)
        held = self.rebinding.possible()
        for place, value, first in zip(self.places, values, self.first, strict=True):
            register_joined(self.namespace, value, [first, self.last.changes.get(place)])
            self.put(place, value)
        self.rebinding.settle(arrays, held)
        self.sharing.settle(self.last, values)
        after_loop(body, self.changing, counts, trips)


__all__ = ["UNROLLED", "Unreachable", "for_loop", "python_while", "while_loop"]
