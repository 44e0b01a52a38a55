"""The running trace of this thread: its graph and scopes, sizes, guards, decisions and notes.

Flows in:  ops emitted by `building`, questions of `Size` and of tracers that Python wants the value of.
Flows out: the graph and what must hold for it (guards); `Restart` when a decision changes what was traced before.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from tracejit import ops
from tracejit.base.dims import Dim, Size
from tracejit.base.errors import ConcretizationError, InternalError, TypeRuleError, UnsupportedError
from tracejit.base.spans import SourceSpan
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value
from tracejit.tracing.spans import current_span

DECLARED = ops.__all__     # the ops are declared when their modules are imported


RUN_TIME = "u"      # names of sizes known only at run time: this and their number


class Restart(BaseException):
    """Thrown inside a trace after a decision was recorded: the trace starts again from its inputs."""


@dataclass(slots=True)
class Decisions:
    """What earlier attempts at this trace found out. It only grows, so the attempts end.

    sizes: symbols that are replaced by an int or by another size.  static: paths of scalars whose value Python needs.
    unrolled: loops that Python runs while tracing, with the reason.  rebound: loop and variable which rounds bind to
    another array, in place of writing to the one it has.  attempted: `try` statements that catch what the run raises;
    always_captured: those of them that fail where they are not captured although nothing failed while they were.
    growing: lists that grow in native loops, with the form of their items; fixed: lists that can't, with the reason.
    live: loops over a list whose length they change.  deep: growing lists whose items are lists that change.
    captured: `while` loops whose test is known to be true before the first round, but not later.
    short: loops that are unrolled because they have few rounds, with their number.
    spans: where each of these decisions was made, for explain().
    """

    sizes: dict[str, Size] = field(default_factory=dict)
    static: set[str] = field(default_factory=set)
    unrolled: dict[SourceSpan | None, str] = field(default_factory=dict)
    rebound: set[tuple[SourceSpan | None, str]] = field(default_factory=set)
    methods: dict[tuple[type, str], None] = field(default_factory=dict)
    identified: set[SourceSpan | None] = field(default_factory=set)
    referenced: set[tuple[SourceSpan | None, str]] = field(default_factory=set)
    attempted: set[SourceSpan | None] = field(default_factory=set)
    always_captured: set[SourceSpan | None] = field(default_factory=set)
    growing: dict[Any, Any] = field(default_factory=dict)
    fixed: dict[Any, str] = field(default_factory=dict)
    live: set[SourceSpan | None] = field(default_factory=set)
    deep: set[Any] = field(default_factory=set)
    captured: set[SourceSpan | None] = field(default_factory=set)
    short: dict[SourceSpan | None, int] = field(default_factory=dict)
    spans: dict[str, SourceSpan | None] = field(default_factory=dict)

    def unroll(self, loop: SourceSpan | None, reason: str) -> None:
        """From the next attempt on, Python runs this loop."""
        self.unrolled[loop] = reason

    def resolve(self, size: Size) -> Size:
        """The size after all replacements."""
        while isinstance(size, Dim) and not size.symbols().isdisjoint(self.sizes):
            size = size.substitute(self.sizes)
        return size


class Scope:
    """A graph under construction: the whole trace or one region, which sees the outside only by its parameters.

    imported: outer value -> the parameter that it is in here.  outer: the way back.
    facts: what is known, checked or made in here, under keys of whoever asks; inner scopes see it too.
    """

    __slots__ = ("facts", "graph", "imported", "operands", "outer", "parent")

    def __init__(self, graph: Graph, parent: Scope | None = None):
        self.graph, self.parent = graph, parent
        self.imported: dict[Value, Value] = {}
        self.outer: dict[Value, Value] = {}
        self.facts: dict[Any, Any] = {}
        self.operands: list[tuple[Value, Scope]] = []

    def bring(self, value: Value, home: Scope) -> Value:
        """`value` of scope `home` as seen in here: outer values become further parameters of the region."""
        if home is self:
            return value
        if (found := self.imported.get(value)) is None:
            if self.parent is None:
                raise UnsupportedError(
                    "an array of a trace that has ended was used",
                    why="it, or a function that holds it, was kept when the compiled function returned",
                    fix="return the array itself from the compiled function; call pullbacks and closures inside of it")
            self.parent.bring(value, home)
            found = self.imported[value] = self.graph.add_param(value.type)
            self.outer[found] = value
            self.operands.append((value, home))
        return found

    def fact(self, key: Any) -> Any:
        """What this scope or one around it knows under `key`; None if nothing."""
        scope: Scope | None = self
        while scope is not None:
            if (found := scope.facts.get(key)) is not None:
                return found
            scope = scope.parent
        return None

    def origin(self, value: Value) -> Value:
        """The value outside that a parameter stands for; any other value itself."""
        scope: Scope | None = self
        while scope is not None:
            value, scope = scope.outer.get(value, value), scope.parent
        return value


    def source(self, value: Value) -> tuple[Value, Scope] | None:
        """The outer value that a parameter stands for, and its scope; None for parameters of the region's own."""
        return next(((v, home) for v, home in self.operands if self.imported[v] is value), None)

    def sees(self, home: Scope) -> bool:
        """Whether values of `home` may be used in here."""
        scope: Scope | None = self
        while scope is not None and scope is not home:
            scope = scope.parent
        return scope is home


@dataclass(frozen=True, slots=True)
class SizeGuard:
    """`left relation right` held for the traced call; a call for which it does not hold gets another trace."""

    left: Size
    relation: str
    right: Size
    span: SourceSpan | None = field(default=None, compare=False)


class Catching(Protocol):
    """A `try` statement whose body is traced. scope: that of its body.  captured: its failures go to handlers of an op.

    watches: whether it catches anything.
    """

    span: SourceSpan | None
    scope: Scope
    captured: bool
    watches: bool

    def catches(self, exception: type[BaseException]) -> bool:
        """Whether it has a handler, or `finally`, for exceptions of this class."""

    def catch(self, holds: Any, error: BaseException, span: SourceSpan | None) -> None:
        """`error` goes to its handler at run time unless `holds` (bool[]; None: in any case)."""


class TraceContext:
    """One attempt at one trace. `lift_size` makes the traced int scalar of a dimension."""

    def __init__(self, decisions: Decisions, hints: dict[str, int], lift_size: Callable[[Dim], Any]):
        self.decisions, self.hints, self.lift_size = decisions, hints, lift_size
        self.scope = self.root = Scope(Graph([]))
        self.size_guards: dict[SizeGuard, None] = {}
        self.scalars: dict[Value, str] = {}     # parameters that are scalars, with their paths
        self.objects: dict[int, tuple[Any, Any]] = {}      # by id: an object that is known here, and its tracer
        self.capture: Callable[[Any], Any] | None = None   # makes an implicit argument of an array met by value
        self.call: Callable[..., Any] | None = None        # calls a function as converted code would
        self.namespace: Any = None      # what converted code of this trace calls
        self.rebindings: list[Any] = []     # of the loops around whose rounds bind arrays to names anew
        self.changed: Callable[[], tuple[list[Any], tuple[int, ...]]] = lambda: ([], ())   # ... that the caller sees
        self.notes: list[str] = []
        self.created: list[tuple[Any, SourceSpan | None]] = []     # Variables that traced code made, and where
        self.afterwards: list[Callable[[], object]] = []   # done once, when the trace is complete
        self.depth: dict[Any, int] = {}
        self.counted: set[str] = set()      # run-time sizes that may be replaced by what they have to be equal to
        self.size_paths: dict[str, list[str]] = {}   # run-time sizes made of scalar inputs alone, with their paths
        self.loop_values: dict[Value, Any] = {}     # parameters that rounds of a loop change, with the loop
        self.catching: list[Catching] = []      # the `try` statements around
        self.origins: dict[int, tuple[BaseException, Any, list[SourceSpan | None]]] = {}    # of errors in handlers
        self.labels = 0     # of `try` ops
        self.written: dict[SourceSpan | None, dict[int, None]] = {}     # by `try`: ids of arrays that it wrote before
        self.held: dict[int, Any] = {}  # by id: arrays of a loop's rounds that may be the caller's, or have other names
        self.tests: list[Any] = []      # traced tests of the branches around
        self.iterated: list[Any] = []   # what the loops around run over
        self._facts: dict[Value, bool] = {}
        self._fresh = 0

    @contextmanager
    def rebinding(self, names: Any) -> Iterator[None]:
        """For the block, the contents of arrays may be those of names that rounds of a loop bind anew."""
        self.rebindings.append(names)
        try:
            yield
        finally:
            self.rebindings.pop()

    @contextmanager
    def iterating(self, iterable: Any) -> Iterator[None]:
        """For the block, a loop holds what it runs over."""
        self.iterated.append(iterable)
        try:
            yield
        finally:
            self.iterated.pop()

    @contextmanager
    def knowing(self, flag: Any, truth: bool) -> Iterator[None]:
        """For the block, `flag` (a tracer) is known to be `truth`."""
        value, before = flag.value, dict(self._facts)
        self.tests.append(flag)
        self._facts[value] = truth
        if value.node is not None and value.node.op.name == "not":
            self._facts[value.node.operands[0]] = not truth
        try:
            yield
        finally:
            self._facts = before
            self.tests.pop()

    def known_false(self, flag: Any) -> bool:
        """Whether a test around says that `flag` is false here."""
        return self._facts.get(flag.value) is False

    def emit(self, op: str, operands: Sequence[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        """Adds a node at the user's current line; errors of the op's type rule get that line."""
        span = current_span(3)
        if op == "bind_dim":
            self.scope.facts["bound", attributes["dim"]] = True
        try:
            return self.scope.graph.emit(op, operands, attributes, span)
        except TypeRuleError as error:
            raise error.at(span) from None

    @contextmanager
    def watching(self, statement: Catching) -> Iterator[None]:
        """For the block, `statement` may catch what is raised."""
        depth = len(self.catching)
        self.catching.append(statement)
        try:
            yield
        finally:
            del self.catching[depth:]

    def catcher(self, exception: type[BaseException]) -> Catching | None:
        """The innermost `try` around that catches an exception which is raised here; None: it leaves the function."""
        return next((c for c in reversed(self.catching) if c.catches(exception)), None)

    def target(self, exception: type[BaseException]) -> Catching | None:
        """Where an exception goes that only the run raises: from the next attempt on that `try` is captured."""
        found = self.catcher(exception)
        if found is not None and not found.captured:
            if found.span in self.decisions.attempted:      # nothing could fail while it was captured
                self.decisions.always_captured.add(found.span)
            self.decisions.attempted.add(found.span)
            raise Restart
        return found

    def input(self, type: ArrayType, path: str, scalar: bool) -> Value:
        """One more parameter of the whole trace."""
        value = self.root.graph.add_param(type)
        if scalar:
            self.scalars[value] = path
        return value

    def fresh_dim(self) -> str:
        """A new name for a size that is known only at run time."""
        self._fresh += 1
        return f"{RUN_TIME}{self._fresh - 1}"

    def hint(self, size: Size) -> int | None:
        """The size in the call that is traced; None if only the run will tell."""
        if isinstance(size, int):
            return size
        return size.evaluate(self.hints) if self.hints.keys() >= size.symbols() else None

    def guard_size(self, left: Size, relation: str, right: Size) -> None:
        """Records what was decided by the hints."""
        self.size_guards.setdefault(SizeGuard(left, relation, right, current_span(2)))

    def equal_sizes(self, x: Size, y: Size) -> bool:
        """Whether two different expressions are equal today; then the trace starts again with one in place of both."""
        difference = x - y
        if isinstance(difference, int):
            return difference == 0
        hint = self.hint(difference)
        if hint is None:
            self.concretize_sizes(difference)
            return self.unite(x, y)
        if hint != 0:
            self.guard_size(x, "NE", y)
            return False
        for left, right in ((x, y), (y, x)):
            name = left.as_symbol if isinstance(left, Dim) else None
            if name is not None and not (isinstance(right, Dim) and name in right.symbols()):
                self.decide_size(name, right)
        self.concrete_size(difference)
        return True

    def concretize_sizes(self, size: Size) -> None:
        """Where a decision about a size is needed: scalar inputs that it is made of become static."""
        paths = [path for name in sorted(self.late_symbols(size)) for path in self.size_paths.get(name, ())]
        if paths:
            self.concretize(paths)

    def unite(self, x: Size, y: Size) -> bool:
        """Sizes that only the run will tell, where they must be equal: the later one becomes the other, checked at run
        time where its count is made. False if neither is a size of its own."""
        for left, right in ((x, y), (y, x)):
            name = left.as_symbol if isinstance(left, Dim) else None
            late = self.late_symbols(right)
            if name is not None and name in self.counted and all(_age(name) > _age(other) for other in late):
                self.decide_size(name, right)
        return False

    def late_symbols(self, size: Size) -> set[str]:
        """The symbols whose values are known only at run time."""
        return set() if isinstance(size, int) else set(size.symbols()) - self.hints.keys()

    def decide_size(self, name: str, size: Size) -> None:
        """Replaces a symbol and starts again."""
        self.decisions.sizes[name] = size
        self.decisions.spans[name] = current_span(2)
        raise Restart

    def concrete_size(self, size: Size) -> int:
        """The value of a size as a Python int, which makes all its symbols static."""
        if isinstance(size, int):
            return size
        if self.hint(size) is None:
            self.concretize_sizes(size)
            raise ConcretizationError(
                f"Python needs the value of the size {size} while tracing", span=current_span(2),
                why="it depends on the data, so only the run will tell (boolean mask, nonzero, unique)",
                fix="keep it symbolic: use it in array arithmetic or as a shape")
        for name in size.symbols():
            self.decisions.sizes[name] = self.hints[name]
            self.decisions.spans[name] = current_span(2)
        raise Restart

    def concretize(self, paths: Sequence[str]) -> None:
        """Makes scalar inputs static: the trace starts again with their values, guarded."""
        self.decisions.static.update(paths)
        self.decisions.spans.update(dict.fromkeys(paths, current_span(2)))
        raise Restart


def _age(name: str) -> int:
    """The number of a run-time size: later ones are made of what was computed later."""
    return int(name.removeprefix(RUN_TIME))


class _Thread(threading.local):
    context: TraceContext | None = None


_thread = _Thread()    # written by `running` alone; one trace per thread


def active() -> TraceContext | None:
    """The trace that this thread is in."""
    return _thread.context


def current() -> TraceContext:
    """The trace that this thread is in; InternalError if there is none."""
    context = _thread.context
    if context is None:
        raise InternalError("a tracer was used outside of its trace",
                            why="a value of a traced call was kept in a place that tracing can't see",
                            fix="return the value from the function instead")
    return context


@contextmanager
def running(context: TraceContext | None) -> Iterator[TraceContext | None]:
    """Makes `context` this thread's trace for the block; None suspends tracing."""
    before, _thread.context = _thread.context, context
    try:
        yield context
    finally:
        _thread.context = before


@contextmanager
def inside(scope: Scope) -> Iterator[Scope]:
    """Ops of the block go to `scope`, a region of the scope before."""
    context = current()
    before, context.scope = context.scope, scope
    try:
        yield scope
    finally:
        context.scope = before
