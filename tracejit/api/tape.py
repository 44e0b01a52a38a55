"""`GradientTape`: derivatives of what was computed, asked afterwards.

Flows in:  what is computed while the tape records: nodes of the running trace; outside of one, operations on Tensors
           and Variables.
Flows out: gradients. In a trace the tape goes back over the nodes that are there; loops and branches among them are
           replaced by ones that keep what the way back needs. Outside, the recorded operations are run again as one
           compiled function, which is found again for the same sequence of operations.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from tracejit.api.function import watch_calls
from tracejit.api.gradients import derived, vjp
from tracejit.api.leading import changed_since, history, leading_to, read_first, repeated, uses_lists
from tracejit.api.recording import RECORDERS, Program, Recorder
from tracejit.api.tensor import Tensor
from tracejit.api.variable import Variable, traced
from tracejit.base.errors import GradientError, SignatureError
from tracejit.base.trees import flatten, unflatten
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.terms import Term
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_to, constant, convert, lift
from tracejit.tracing.context import Scope, TraceContext, active
from tracejit.tracing.filling import fill_stacks
from tracejit.tracing.spans import current_span
from tracejit.transforms.reverse import Pullback, followed, joint, pull_in_place

UNCONNECTED = ("none", "zero")


class GradientTape:
    """Records what is computed in its `with` block, for `gradient`.

    persistent: `gradient` may be asked more than once.  watch_accessed_variables: trainable Variables are sources
    without `watch`.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True):
        self.persistent, self.watches_variables = persistent, watch_accessed_variables
        self._tape: _Traced | _Eager | None = None
        self._freed = False

    def __enter__(self) -> GradientTape:
        context = active()
        self._tape, self._freed = _Eager(self) if context is None else _Traced(self, context), False
        self._tape.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._tape is not None:
            self._tape.stop()

    def watch(self, tree: Any) -> None:
        """Makes all arrays of a tree sources. Raises GradientError for integers."""
        for leaf in flatten(tree)[0]:
            self._recording().watch(leaf)

    def gradient(self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: str = "none"
                 ) -> Any:
        """The derivative of the sum of all target elements by each source, in the structure of `sources`.

        output_gradients: weights of the target's elements.  unconnected_gradients: "none" or "zero" for sources that
        the target does not depend on. Raises GradientError when a tape that is not persistent is asked twice.
        """
        if unconnected_gradients not in UNCONNECTED:
            raise SignatureError(f"unconnected_gradients={unconnected_gradients!r} is unknown",
                                 fix=f"one of {', '.join(map(repr, UNCONNECTED))}")
        tape = self._recording()
        targets, leaves = flatten(target)[0], flatten(sources)[0]
        found = tape.gradients(targets, leaves, _weights(target, output_gradients))
        if not self.persistent:
            tape.stop()
            self._tape, self._freed = None, True
        filled = [tape.zero(s) if g is None and unconnected_gradients == "zero" else g
                  for g, s in zip(found, leaves, strict=True)]
        return unflatten(flatten(sources)[1], filled)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """What is computed in the block is not recorded."""
        tape = self._recording()
        with tape.paused():
            yield

    def reset(self) -> None:
        """Forgets what was recorded."""
        self._recording().start()

    def watched_variables(self) -> tuple[Variable, ...]:
        """The Variables that were watched."""
        return tuple([v for v in self._recording().watched_objects() if isinstance(v, Variable)])

    def _recording(self) -> _Traced | _Eager:
        if self._freed:
            raise GradientError("this tape was freed: it has nothing recorded", span=current_span(3),
                                why="it was asked for a gradient before, and is not persistent",
                                fix="GradientTape(persistent=True) may be asked several times; or ask for all "
                                "gradients at once, tape.gradient(y, [a, b])")
        if self._tape is None:
            raise GradientError("this tape has nothing recorded", span=current_span(3), why="it was never entered",
                                fix="with tj.GradientTape() as tape: ...")
        self._tape.require_here()
        return self._tape


def _weights(target: Any, given: Any) -> list[Any]:
    """A weight, or None, for each array of the target. GradientError if one does not fit."""
    targets, structure = flatten(target)
    weights = [None] * len(targets) if given is None else flatten(given)[0]
    if given is not None and flatten(given)[1] != structure:
        raise GradientError(f"output_gradients have the structure {flatten(given)[1]}, the target {structure}",
                            span=current_span(3), fix="give one for each array of the target, in the same containers")
    for value, weight in zip(targets, weights, strict=True):
        dtype, shape = getattr(value, "dtype", np.dtype(type(value))), tuple(getattr(value, "shape", ()))
        if np.dtype(dtype).kind not in "fc":
            raise GradientError(f"the target is {dtype}{list(shape)}: it has no derivative", span=current_span(3),
                                why="derivatives are defined for floats and complex numbers",
                                fix="compute it in floats: y.astype(float)")
        given_shape = tuple(getattr(weight, "shape", ()))
        if given_shape and all(type(n) is int for n in (*given_shape, *shape)) and given_shape != shape:
            raise GradientError(f"an output gradient has the shape {given_shape}, its target {shape}",
                                span=current_span(3), fix="give it the shape of the target, or a number")
    return weights


class _Traced:
    """A tape inside a trace: the nodes of one scope since the tape began."""

    def __init__(self, tape: GradientTape, context: TraceContext):
        self.tape, self.context = tape, context
        self.scope: Scope = context.scope
        self.before: Node | None = None     # the last node before the tape began
        self.last: Node | None = None       # the last one that was recorded; None while the tape records
        self.at_start: dict[int, Value] = {}
        self.watched: dict[int, tuple[Any, Value]] = {}
        self.skipped: set[Value] = set()
        self.pullback: Pullback | None = None       # of the gradients so far
        self.followed: set[Value] = set()           # results of the nodes that it knows

    def require_here(self) -> None:
        """GradientError outside of the call that was recorded."""
        if active() is not self.context:
            raise GradientError("this tape recorded a compiled function's call, which has ended", span=current_span(4),
                                why="what it recorded is part of that call",
                                fix="ask for the gradient in the function, and return it")

    def start(self) -> None:
        self.scope, self.last = self.context.scope, None
        self.before, self.pullback = self.newest(), None
        self.scope.graph.separate()     # what was computed before the tape is recorded when it is computed again
        arrays = self.context.namespace.reader.arrays
        self.at_start = {id(a.tracer.owner): self.local(a.tracer) for a in arrays}
        self.watched = {}

    def stop(self) -> None:
        if self.last is None:
            self.last = self.newest()

    def newest(self) -> Node | None:
        return self.scope.graph.nodes[-1] if self.scope.graph.nodes else None

    def recorded(self) -> list[Node]:
        """The nodes since the tape began that it did not skip; of those that it did, what they did to lists."""
        nodes = self.scope.graph.nodes
        since, until = _number(nodes, self.before), _number(nodes, self.last) if self.last else len(nodes)
        return [n for n in nodes[since:until] if not (n.results and n.results[0] in self.skipped) or uses_lists(n)]

    def local(self, array: Array) -> Value:
        """The array's value as this scope sees it."""
        return self.scope.bring(array.value, array.scope)

    def watch(self, leaf: Any) -> None:
        array = _float_array(leaf)
        self.watched[id(leaf)] = leaf, self.local(array)

    def watched_objects(self) -> list[Any]:
        return [leaf for leaf, _ in self.watched.values()]

    @contextmanager
    def paused(self) -> Iterator[None]:
        before = self.newest()
        self.scope.graph.separate()
        yield
        nodes = self.scope.graph.nodes
        self.skipped.update(v for node in nodes[_number(nodes, before):] for v in node.results)
        self.scope.graph.separate()

    def source(self, leaf: Any) -> Value | None:
        """The value that a source had when it was watched, or when the tape began; None if it is not watched."""
        if (known := self.watched.get(id(leaf))) is not None:
            return known[1]
        if not isinstance(leaf, Variable) or not (self.tape.watches_variables and leaf.trainable):
            return None
        owner = traced(leaf).owner
        if (value := self.at_start.get(id(owner))) is not None:
            return value
        root = self.context.root
        parameter = next(root.graph.params[a.param] for a in self.context.namespace.reader.arrays if a.tracer is owner)
        return self.scope.bring(parameter, root)

    def gradients(self, targets: Sequence[Any], sources: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
        if self.context.scope is not self.scope:
            raise GradientError("a tape is asked in another loop or branch than it recorded in", span=current_span(4),
                                fix="ask for the gradient where the `with` block is")
        values = [self.source(s) for s in sources]
        wanted, seeds = {v for v in values if v is not None}, self.seeds(targets, weights)
        nodes = leading_to(self.scope.graph, self.recorded(), seeds)
        found = (self.pulled_again if any(map(uses_lists, nodes)) else self.pulled)(nodes, wanted, seeds)
        made = [None if v is None else found.get(v) for v in values]
        return [None if v is None else Array(v, self.scope) for v in made]

    def pulled(self, nodes: Sequence[Node], wanted: set[Value], seeds: dict[Value, Term]) -> dict[Value, Value]:
        """The way back over the nodes where they stand."""
        pullback = self.pullback_of(wanted)
        fresh = [n for n in nodes if self.followed.isdisjoint(n.results)]
        self.followed.update(v for node in fresh for v in node.results)
        return {v: t.value for v, t in pull_in_place(pullback, fresh, seeds).items()}

    def pulled_again(self, nodes: Sequence[Node], wanted: set[Value], seeds: dict[Value, Term]) -> dict[Value, Value]:
        """The same through lists: the nodes are done once more in a graph of their own, where lists are arrays."""
        made, early = {v for node in nodes for v in node.results}, self.early(nodes)
        if not wanted.isdisjoint(made):
            raise GradientError("a source was computed on the way from another one, through a list",
                                span=current_span(4), fix="ask for it by a tape that begins where it is known")
        made.update(v for node in early for v in node.results)
        fixed, params = read_first(early, ()), [v for v in read_first(nodes, seeds) if v not in made]
        graph = Graph([v.type for v in (*fixed, *params)])
        env = repeated(graph, early, dict(zip(fixed, graph.params, strict=False)))
        env = repeated(graph, nodes, {**env, **dict(zip(params, graph.params[len(fixed):], strict=True))})
        graph.outputs = tuple(env[v] for v in seeds)
        flags = [*([False] * len(fixed)), *(p in wanted for p in params)]
        both = joint(fill_stacks(graph), flags, [True] * len(seeds))
        results = self.scope.graph.inline(both.graph, [*fixed, *params, *(t.value for t in seeds.values())])
        cotangents = iter(results[len(seeds):])
        return {p: next(cotangents) for p, given in zip((*fixed, *params), both.given, strict=True) if given}

    def early(self, nodes: Sequence[Node]) -> list[Node]:
        """What is to be done before the nodes are done again: what made the lists that they change, before the tape."""
        graph = self.scope.graph
        start = _number(graph.nodes, self.before)
        if not changed_since(graph, nodes, graph.nodes[start:]):
            return []
        if (found := history(graph, nodes, graph.nodes[:start])) is None:
            raise GradientError("the target depends on a list that is changed and was made before the tape",
                                span=current_span(5), why="what it held then is not kept",
                                fix="make the list in the `with` block of the tape")
        return found

    def seeds(self, targets: Sequence[Any], weights: Sequence[Any]) -> dict[Value, Term]:
        found: dict[Value, Term] = {}
        for target, weight in zip(targets, weights, strict=True):
            array = lift(target)
            ct = _weight(array, weight)
            term, value = Term(self.scope.graph, self.scope.bring(ct.value, ct.scope)), self.local(array)
            found[value] = found[value] + term if value in found else term
        return found

    def pullback_of(self, sources: set[Value]) -> Pullback:
        """The pullback by these sources; that of a persistent tape is by all, so that the next gradient finds it."""
        known = self.pullback
        if known is not None and all(v in known.kept or not v.dtype.is_inexact for v in sources):
            return known
        if self.tape.persistent:
            sources = {*sources, *(value for _, value in self.watched.values()), *self.variables()}
        self.pullback, self.followed = followed(self.scope.graph, sources), set()
        return self.pullback

    def variables(self) -> Iterator[Value]:
        """The values of all trainable Variables that were read."""
        for known in list(self.context.namespace.reader.objects.values()):
            if isinstance(known.value, Variable) and "array" in known.attributes and (
                    value := self.source(known.value)) is not None:
                yield value

    def zero(self, leaf: Any) -> Array:
        array = lift(leaf)
        return constant(0, array.type.dtype, array.type.shape)


def _number(nodes: Sequence[Node], node: Node | None) -> int:
    """How many nodes there are up to `node`, or what has taken its place."""
    if node is None:
        return 0
    owner = node.results[0].node if node.results else node
    return next(k for k, n in enumerate(nodes, 1) if n is owner)


def _float_array(leaf: Any) -> Array:
    array = lift(leaf)
    if not array.type.dtype.is_inexact:
        raise GradientError(f"a tape can't watch {array.type}: there is no derivative by it", span=current_span(4),
                            fix="convert it to a float first")
    return array


def _weight(array: Array, weight: Any) -> Array:
    if weight is None:
        return constant(1, array.type.dtype, array.type.shape)
    return broadcast_to(convert(lift(weight), array.type.dtype), array.type.shape)


class _Eager(Recorder):
    """A tape outside of a trace: operations on Tensors and Variables of this thread."""

    def __init__(self, tape: GradientTape):
        super().__init__()
        self.tape = tape
        self.watched: dict[int, Any] = {}

    def require_here(self) -> None:
        """GradientError inside a compiled function."""
        if active() is not None:
            raise GradientError("a tape that records outside is asked in a compiled function", span=current_span(4),
                                why="it knows the values of operations that were done, not of those that are traced",
                                fix="begin a tape in the function, or ask outside of it")

    def start(self) -> None:
        self.clear()
        self.watched = {}
        self.go_on()

    def go_on(self) -> None:
        if self not in RECORDERS.active:
            RECORDERS.active.append(self)
            watch_calls(1)

    def stop(self) -> None:
        if self in RECORDERS.active:
            RECORDERS.active.remove(self)
            watch_calls(-1)

    def watch(self, leaf: Any) -> None:
        if not isinstance(leaf, (Tensor, Variable)):
            raise GradientError(f"a tape can't watch a {type(leaf).__name__}", span=current_span(3),
                                why="outside of compiled functions only operations on Tensors and Variables are seen",
                                fix="make it a Tensor, tj.constant(x), or use the tape in a compiled function")
        if leaf.dtype.kind not in "fc":
            raise GradientError(f"a tape can't watch {leaf.dtype} numbers: there is no derivative by them",
                                span=current_span(3), fix="convert them to floats first")
        self.watched[id(leaf)] = leaf

    def watched_objects(self) -> list[Any]:
        return list(self.watched.values())

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.go_on()

    def is_source(self, leaf: Any) -> bool:
        return id(leaf) in self.watched or (
            isinstance(leaf, Variable) and self.tape.watches_variables and leaf.trainable)

    def gradients(self, targets: Sequence[Any], sources: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
        values = [self.values_of(s) if self.is_source(s) else [] for s in sources]
        program = self.program(targets, [v for group in values for v in group])
        found = _program_gradient(program)(program.sources, program.constants, list(weights))
        parts = iter([g if linked else None for g, linked in zip(found, program.connected, strict=True)])
        return [_total([g for _ in group if (g := next(parts)) is not None]) for group in values]

    def zero(self, leaf: Any) -> Any:
        return Tensor(0 * (leaf.array if isinstance(leaf, Variable) else leaf.numpy()))


def _total(parts: Sequence[Any]) -> Any:
    """The sum of what each reading of a Variable gives; None of nothing."""
    return sum(parts[1:], parts[0]) if parts else None


def _program_gradient(program: Program) -> Callable[..., Any]:
    """The compiled gradient of a sequence of operations, the same function for the same sequence."""
    operations = replace(program, sources=[], constants=[])     # it outlives the values of this one

    def gradient(sources: list[Any], constants: list[Any], weights: list[Any]) -> list[Any]:
        made, pull = vjp(lambda sources: operations.run(sources, constants), sources)
        cts = [_weight(lift(m), w) for m, w in zip(made, weights, strict=True)]
        return list(pull(cts)[0])

    return derived("tape", program.steps_key, gradient)


