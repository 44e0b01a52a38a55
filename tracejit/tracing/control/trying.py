"""`try` while tracing: Python catches what tracing raises, handlers in an op what only the run raises.

Flows in:  functions that hold the parts of the statement.
Flows out: the parts' own effect; or a `try` op, whose regions give the new content of every place that the body or a
           handler changes.

A statement runs in place at first. Where something in it can fail at run time, the trace starts again and the
statement is captured: its body becomes a region in which each `assert` names its handler and hands over the state:
what the places hold that the body has changed so far. A handler is traced for each class and text of error that
reaches it. Places and their forms are found by tracing the body until they hold.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CellType
from typing import Any, NoReturn

from tracejit.autograph.namespace import Handler
from tracejit.autograph.plain import evaluate
from tracejit.base.dtypes import BOOL, I32, I64
from tracejit.base.errors import InternalError, UnsupportedError
from tracejit.base.spans import SourceSpan
from tracejit.base.trees import node_type
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant
from tracejit.tracing.context import Restart, Scope, TraceContext, inside
from tracejit.tracing.control.branches import inline, join_regions
from tracejit.tracing.control.identity import (
    Identity,
    all_memories,
    asks_for,
    chosen,
    has_memory,
    identity_of,
    index_among,
)
from tracejit.tracing.control.lengths import forget_counts
from tracejit.tracing.control.optional import UNDEFINED
from tracejit.tracing.control.regions import NOT_PYTHONS, Region, Unreachable, as_python, run_region, share_operands
from tracejit.tracing.control.schema import (
    JoinError,
    Perhaps,
    Schema,
    Static,
    Tree,
    build,
    describe,
    flatten,
    join,
    leaves,
)
from tracejit.tracing.control.world import Place, World, cells_of
from tracejit.tracing.host import Template, identity, origins, traced_again
from tracejit.tracing.spans import current_span
from tracejit.tracing.text import Deferred

Thunk = Callable[[], Any]
_TRIES = 20     # rounds of looking for places and forms that hold
_UNBOUND = Static(UNDEFINED)


@dataclass(frozen=True, slots=True)
class Parts:
    """A `try` without `finally`. cells: the variables that its functions share, by name.

    names: those that are read afterwards; taken: those that handlers may read.
    """

    span: SourceSpan | None
    body: Thunk
    handlers: Sequence[Handler]
    orelse: Thunk | None
    cells: dict[str, CellType]
    names: Sequence[str]
    taken: Sequence[str] = ()

    def handler_for(self, exception: type[BaseException]) -> Callable[[BaseException], None] | None:
        """The first handler for errors of this class."""
        for types, handler in self.handlers:
            if types is None or is_caught(exception, evaluate(types)):
                return handler
        return None


def is_caught(exception: type[BaseException], types: Any) -> bool:
    """Whether `except types` catches errors of this class: by its real bases, whatever classes claim."""
    every = types if isinstance(types, tuple) else (types,)
    if not all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in every):
        raise TypeError("catching classes that do not inherit from BaseException is not allowed")
    return any(cls in exception.__mro__ for cls in every)


def try_statement(namespace: Any, body: Thunk, handlers: Sequence[Handler], orelse: Thunk | None, final: Thunk | None,
                  names: Sequence[str], taken: Sequence[str]) -> None:
    """`try: body`, `except`, `else: orelse`, `finally: final`."""
    span, cells = current_span(3), cells_of(body, *[handler for _, handler in handlers], orelse, final)
    if final is None:
        run(namespace, Parts(span, body, handlers, orelse, cells, names, taken))
        return
    inner = Parts(span, body, handlers, orelse, cells, (*names, *taken), taken)

    def clean_up(error: BaseException) -> None:
        unless(namespace, evaluate(final), error)

    run(namespace, Parts(span, lambda: run(namespace, inner), [(None, clean_up)], lambda: evaluate(final), cells,
                         names, taken))


def unless(namespace: Any, swallowed: Any, error: BaseException) -> None:
    """Raises `error` again unless it was swallowed."""
    def raise_again() -> None:
        raise error

    namespace.if_(namespace.not_(swallowed), raise_again, None, ())


def run(namespace: Any, parts: Parts) -> None:
    """In place, or captured if something in it was found to fail at run time."""
    if parts.span not in namespace.context.decisions.attempted or not Attempt(namespace, parts).capture():
        run_in_place(namespace.context, parts)


class InPlace:
    """A statement whose body is traced into the running scope."""

    captured, watches = False, True

    def __init__(self, parts: Parts, scope: Scope):
        self.parts, self.scope, self.span = parts, scope, parts.span

    def catches(self, exception: type[BaseException]) -> bool:
        return self.parts.handler_for(exception) is not None

    def catch(self, holds: Any, error: BaseException, span: SourceSpan | None) -> None:
        raise InternalError("a statement that is not captured has no handlers at run time")


def run_in_place(context: TraceContext, parts: Parts) -> None:
    """As Python does."""
    try:
        with context.watching(InPlace(parts, context.scope)):
            evaluate(parts.body)
    except (Restart, Unreachable, *NOT_PYTHONS):
        raise
    except BaseException as raised:
        error = as_python(raised)
        if (handler := parts.handler_for(type(error))) is None:
            raise
        evaluate(handler, error)
    else:
        if parts.orelse is not None:
            evaluate(parts.orelse)


@dataclass(slots=True, eq=False)
class Failure:
    """Errors of one class and text, which one handler region takes.

    template: the error with holes; parts: the forms of what is in the holes.  forms: of the state, by place.
    spans: the lines that raise it.  shared: places whose array may be memory from before the statement, and which ones;
    none where that can't be said.  asks: what to do about that when it matters.
    count: how often the last trace of the body raised it.
    """

    key: Any
    error: type[BaseException]
    template: Deferred
    parts: list[Schema]
    forms: dict[Place, Schema]
    spans: list[SourceSpan | None] = field(default_factory=list)
    shared: dict[Place, tuple[Array | None, ...]] = field(default_factory=dict)
    asks: dict[Place, Callable[[], NoReturn]] = field(default_factory=dict)
    count: int = 0

    def joined(self, state: dict[Place, Schema]) -> dict[Place, Schema] | None:
        """The forms that hold another state too; None if there are none."""
        try:
            return {place: self.joined_one(place, form) for place, form in state.items()}
        except JoinError:
            return None

    def joined_one(self, place: Place, form: Schema) -> Schema:
        known = self.forms.get(place, form)
        if known == form or "!" in place.name and form == _UNBOUND:
            return known
        if "!" in place.name and known == _UNBOUND:
            return form
        one, other = [Perhaps(UNDEFINED, None) if f == _UNBOUND else f for f in (known, form)]
        return join(one, other)

    def share(self, place: Place, which: Identity | None) -> bool:
        """Takes note of what an array is where this is raised; whether that is new."""
        known = self.shared.get(place)
        if known == () or known is None and which is not None and which.is_own:
            return False
        before = [Identity(known, 0)] if known else []
        now = self.shared[place] = () if which is None else all_memories([*before, which])
        return len(now) != len(known or ())

    def site(self, span: SourceSpan | None) -> int:
        """The number of a line that raises it."""
        if span not in self.spans:
            self.spans.append(span)
        return self.spans.index(span)

    def types(self) -> list[ArrayType]:
        """What the handler gets: the number of the line, what the error holds, the state, indices of memories."""
        state = [leaf.type for form in self.forms.values() for leaf in leaves(form)]
        indices = [ArrayType(I32) for memories in self.shared.values() if memories]
        return [ArrayType(I64), *[leaf.type for part in self.parts for leaf in leaves(part)], *state, *indices]


class Attempt:
    """A statement whose body is captured."""

    captured = watches = True

    def __init__(self, namespace: Any, parts: Parts):
        self.namespace, self.parts, self.span = namespace, parts, parts.span
        self.context: TraceContext = namespace.context
        self.around = self.scope = self.context.scope
        self.world = World(parts.cells, dict.fromkeys((*parts.names, *parts.taken)), namespace)
        self.places = [Place("variable", id(cell), cell, name) for name, cell in self.world.variables.items()]
        self.places += [Place("memory", key, self.world.arrays[key][0], "an array")
                        for key in self.context.written.get(self.span, ()) if key in self.world.arrays]
        self.failures: list[Failure] = []
        self.grown = self.fails_at_run_time = False
        self.context.labels += 1
        self.label = f"t{self.context.labels}"

    def capture(self) -> bool:
        """Emits the op and makes the world what it is afterwards; False if nothing can fail at run time."""
        body = self.settle()
        if not self.fails_at_run_time and self.span not in self.context.decisions.always_captured:
            return False
        regions = [body, *[self.handle(failure, body.scope) for failure in self.failures]]
        for region in regions:
            region.changes = {p: v for p, v in region.changes.items() if self.is_read_afterwards(p)}
        join_regions(self.world, regions, lambda: self.emit([r.scope for r in regions]) if self.failures else inline(
            self.context, body.scope))
        return True

    def is_read_afterwards(self, place: Place) -> bool:
        return place.kind != "variable" or place.name not in self.parts.cells or place.name in self.parts.names

    def settle(self) -> Region:
        """Traces the body until its failures hold."""
        for _ in range(_TRIES):
            self.grown = self.fails_at_run_time = False
            for failure in self.failures:
                failure.count = 0
            region = run_region(self.context, self.world, self.body)
            self.note_written(region)
            used = [f for f in self.failures if f.count]
            if used == self.failures and not self.grown:
                return region
            self.failures = used
        raise UnsupportedError("the types of the variables in this `try` don't settle", span=self.span,
                               why="every time that its body is traced changes them again",
                               fix="give the variables their final types before")

    def note_written(self, region: Region) -> None:
        """Arrays that the body writes are part of the state also where nothing was written yet: else handlers would
        read them as they were before the statement, which then had to be kept."""
        written = [place for place in region.changes if place.kind == "memory"]
        self.context.written.setdefault(self.span, {}).update(dict.fromkeys([p.key for p in written]))
        self.add([place for place in written if place not in self.places])

    def add(self, places: Sequence[Place]) -> None:
        """More of the state: failures that were traced before lack it."""
        self.places += places
        self.grown = self.grown or bool(places) and any(f.count for f in self.failures)

    def body(self) -> None:
        """The body and `else`, whose failures are no longer caught."""
        self.scope = self.context.scope
        try:
            with self.context.watching(self):
                evaluate(self.parts.body)
        except (Restart, Unreachable, *NOT_PYTHONS):
            raise
        except BaseException as raised:
            error = as_python(raised)
            if not self.catches(type(error)):
                raise
            before = self.fails_at_run_time
            for holds, span in origins(self.context, error):
                self.catch(holds, error, span)
            self.fails_at_run_time = before
            raise Unreachable from None
        if self.parts.orelse is not None:
            evaluate(self.parts.orelse)

    # Failures

    def catches(self, exception: type[BaseException]) -> bool:
        return self.parts.handler_for(exception) is not None

    def catch(self, holds: Array | None, error: BaseException, span: SourceSpan | None) -> None:
        """An `assert` that hands the error and the state to the handler."""
        self.fails_at_run_time = True
        changes = self.world.changes()
        self.add([place for place in changes if place not in self.places])
        state = {place: changes[place] if place in changes else self.world.value_before(place) for place in self.places}
        template = Template()
        made = template.exception(error)
        failure = self.failure(type(error), made, template.arrays, {p: self.form(v) for p, v in state.items()})
        indices = self.indices(failure, state)
        test = constant(False, BOOL) if holds is None else holds
        left = [a for place, form in failure.forms.items() for a in flatten(state[place], form)] + indices
        arrays = [test, constant(failure.site(span), I64), *template.arrays, *left]
        scope = self.context.scope
        to = f"{self.label}:{self.failures.index(failure)}"
        attributes = {"exception": type(error).__name__, "message": "", "to": to, "kept": tuple(range(len(left)))}
        scope.graph.emit("assert", [scope.bring(a.value, a.scope) for a in arrays], attributes, span)

    def indices(self, failure: Failure, state: dict[Place, Any]) -> list[Array]:
        """Of arrays that may be memory from before the statement: which one they are."""
        found = {p: self.known_outside(v) for p, v in state.items() if p.kind != "memory" and has_memory(v)}
        for place, which in found.items():
            self.grown |= failure.share(place, which) and failure.count > 1
            if which is None and (ask := asks_for(state[place])) is not None:
                failure.asks[place] = ask
        return [index_among(found.get(place) or Identity(memories, 0), memories)
                for place, memories in failure.shared.items() if memories]

    def known_outside(self, array: Array) -> Identity | None:
        """Which memory an array is, if that is memory of its own or from before the statement."""
        which = identity_of(array, self.world)
        older = which is not None and all(m is None or id(m) in self.world.seen for m in which.memories)
        return which if older else None

    def failure(self, error: type[BaseException], template: Deferred, arrays: Sequence[Array],
                state: dict[Place, Schema]) -> Failure:
        """The one that this error is of, with forms that hold this state."""
        with inside(self.around):
            parts = [describe(a) for a in arrays]
        key = error, identity(template), tuple(parts)
        for found in self.failures:
            if found.key == key and (forms := found.joined(state)) is not None:
                self.grown |= found.count > 0 and list(forms.items()) != list(found.forms.items())
                found.forms, found.count = forms, found.count + 1
                return found
        self.failures.append(Failure(key, error, template, parts, state, count=1))
        return self.failures[-1]

    def form(self, value: Any) -> Schema:
        """Of a value in a place: what there was before the statement is the same object in the handler."""
        if value is UNDEFINED or id(value) in self.world.seen:
            return Static(value)
        node = node_type(value) if isinstance(value, (list, tuple, dict)) else None
        if node is None:
            with inside(self.around):
                return describe(value)
        children, meta = node.flatten(value)
        return Tree(type(value), meta, tuple(map(self.form, children)), node.unflatten)

    # Handlers

    def handle(self, failure: Failure, body: Scope) -> Region:
        """The handler of a failure, which begins with the state that the failure left. Lists that the body changes have
        any length then."""
        scope = Scope(Graph([]), self.context.scope)
        params = [Array(scope.graph.add_param(t), scope) for t in failure.types()]

        def run_handler() -> None:
            forget_counts([body])
            handler, error = self.parts.handler_for(failure.error), self.caught(failure, params)
            assert handler is not None
            try:
                raise error
            except BaseException:    # as Python has it while a handler runs
                evaluate(handler, error)

        return run_region(self.context, self.world, run_handler, scope)

    def caught(self, failure: Failure, params: Sequence[Array]) -> BaseException:
        """Makes the world what the failure left; the error."""
        site, *rest = params
        arrays = iter(rest)
        held = [build(leaf, arrays) for leaf in failure.parts]
        left = {place: build(form, arrays) for place, form in failure.forms.items()}
        for place in sorted(left, key=lambda p: p.kind != "content"):
            self.world.put(place, left[place])
        for place, memories in failure.shared.items():
            index = next(arrays) if memories else None
            if type(failure.forms[place]) is not Static and has_memory(left[place]):
                chosen(left[place], index, memories, place.name, failure.asks.get(place))
        error: BaseException = traced_again(failure.template, held)
        self.context.origins[id(error)] = error, site, failure.spans
        return error

    def emit(self, scopes: Sequence[Scope]) -> list[Array]:
        operands = share_operands(scopes, firsts=[0, *[len(f.types()) for f in self.failures]])
        scope, (body, *handlers) = self.context.scope, [s.graph for s in scopes]
        attributes = {"label": self.label, "body": body, "handlers": tuple(handlers)}
        values = [scope.bring(value, home) for value, home in operands]
        return [Array(v, scope) for v in self.context.emit("try", values, attributes)]
