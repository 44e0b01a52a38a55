"""What is computed with Tensors outside of traces, remembered for tapes.

Flows in:  every operation on Tensors and Variables and every call of a compiled function, with arguments and results.
Flows out: `Program`: the operations that lead from sources to targets, as a hashable sequence and its inputs.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.trees import TreeDef, flatten, unflatten


class Recorders(threading.local):
    """The recorders of this thread; written by tapes that begin and end."""

    def __init__(self) -> None:
        self.active: list[Recorder] = []


RECORDERS = Recorders()


@dataclass(frozen=True, slots=True)
class Step:
    """One operation. run: what does it in a trace; leaves and structure: its arguments; results: what it gave."""

    key: Any
    run: Callable[..., Any]
    leaves: tuple[Any, ...]
    structure: TreeDef
    results: tuple[Any, ...]


Given = tuple[tuple[Any, ...], TreeDef]


def as_they_are(arguments: Any) -> Given:
    """Arguments (args, options) before an operation: arrays that may be changed are copied."""
    leaves, structure = flatten(arguments)
    return tuple([x.copy() if isinstance(x, np.ndarray) else x for x in leaves]), structure


def note(key: Any, run: Callable[..., Any], given: Given, result: Any) -> None:
    """Hands an operation to every recorder."""
    results = flatten(result)[0]
    for recorder in RECORDERS.active:
        recorder.steps.append(Step(key, run, *given, tuple(results)))


def note_read(variable: Any, value: Any) -> None:
    """Tells every recorder that `value` is what a Variable held."""
    for recorder in RECORDERS.active:
        recorder.reads.append((variable, value))


@dataclass(slots=True)
class Program:
    """Operations as a value: steps_key is equal for equal sequences. sources, constants: its inputs. connected: which
    sources the targets depend on.  moved: results that are sources too, by number: a zero that is added stands for one.
    """

    steps_key: Any
    sources: list[Any]
    constants: list[Any]
    plan: list[tuple[Callable[..., Any], list[Any], TreeDef]]
    targets: list[Any]
    connected: list[bool]
    moved: dict[int, int]

    def run(self, sources: Sequence[Any], constants: Sequence[Any]) -> list[Any]:
        """Does all steps on traced inputs; gives the targets."""
        made: list[Any] = []

        def value(reference: Any) -> Any:
            kind, content = reference
            inputs = {"source": sources, "constant": constants, "made": made}
            return content if kind == "static" else inputs[kind][content]

        for run, references, structure in self.plan:
            args, options = unflatten(structure, [value(r) for r in references])
            for result in flatten(run(*args, **options))[0]:
                source = self.moved.get(len(made))
                made.append(result if source is None else result + sources[source])
        return [value(t) for t in self.targets]


class Recorder:
    """The operations of one thread since it began."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.reads: list[tuple[Any, Any]] = []

    def clear(self) -> None:
        self.steps, self.reads = [], []

    def values_of(self, source: Any) -> list[Any]:
        """The Tensors that stand for a source: itself, or what was read from a Variable."""
        if not hasattr(source, "assign"):
            return [source]
        return [value for variable, value in self.reads if variable is source]

    def program(self, targets: Sequence[Any], sources: Sequence[Any]) -> Program:
        """The steps that targets need, with everything else that they read as constants."""
        return _Builder(self.steps, targets, sources).program()


class _Builder:
    """References of values: sources, results of steps, constants, static arguments."""

    def __init__(self, steps: Sequence[Step], targets: Sequence[Any], sources: Sequence[Any]):
        self.sources, self.targets = list(sources), targets
        self.steps = needed(steps, targets)
        self.numbers = {id(s): k for k, s in enumerate(sources)}
        between = made_of(self.steps, self.numbers.keys())
        self.known: dict[int, Any] = {i: ("source", k) for i, k in self.numbers.items() if i not in between}
        self.constants: list[Any] = []
        self.moved: dict[int, int] = {}
        self.count = 0

    def program(self) -> Program:
        plan, key = [], []
        for step in self.steps:
            references = [self.reference(x) for x in step.leaves]
            plan.append((step.run, references, step.structure))
            key.append((step.key, tuple(_hashable(r) for r in references), step.structure))
            for result in step.results:
                self.add(result)
        targets = [self.reference(t) for t in self.targets]
        whole = ("program", tuple(key), tuple(map(_hashable, targets)), len(self.sources), tuple(self.moved.items()))
        return Program(whole, self.sources, self.constants, plan, targets, self.connections(plan, targets), self.moved)

    def add(self, result: Any) -> None:
        """One more result of a step. What is a source and made of other sources is both."""
        if id(result) not in self.known:
            self.known[id(result)] = ("made", self.count)
            if (source := self.numbers.get(id(result))) is not None:
                self.moved[self.count] = source
                self.sources[source] = np.zeros(result.shape, result.dtype)
        self.count += 1

    def reference(self, x: Any) -> Any:
        if (known := self.known.get(id(x))) is not None:
            return known
        if isinstance(x, (np.ndarray, float, complex)) or hasattr(x, "numpy") and not hasattr(x, "assign"):
            self.constants.append(x)
            self.known[id(x)] = ("constant", len(self.constants) - 1)
            return self.known[id(x)]
        return ("static", x)

    def connections(self, plan: Sequence[Any], targets: Sequence[Any]) -> list[bool]:
        """Which sources the targets depend on."""
        depends: list[set[int]] = []

        def of(reference: Any) -> set[int]:
            kind, content = reference
            return {content} if kind == "source" else depends[content] if kind == "made" else set()

        for step, (_, references, _) in zip(self.steps, plan, strict=True):
            found = set().union(*map(of, references)) if references else set()
            for _ in step.results:
                depends.append(found | {self.moved[len(depends)]} if len(depends) in self.moved else found)
        reached = set().union(*map(of, targets)) if targets else set()
        return [k in reached for k in range(len(self.sources))]


def needed(steps: Sequence[Step], targets: Sequence[Any]) -> list[Step]:
    """The steps whose results the targets are made of, in order."""
    wanted, found = {id(t) for t in targets}, []
    for step in reversed(steps):
        if any(id(r) in wanted for r in step.results):
            found.append(step)
            wanted.update(id(x) for x in step.leaves)
    return found[::-1]


def made_of(steps: Sequence[Step], sources: Collection[int]) -> set[int]:
    """The ids of all values that steps make of sources, which are given by id."""
    found: set[int] = set()
    for step in steps:
        if any(id(x) in sources or id(x) in found for x in step.leaves):
            found.update(id(r) for r in step.results)
    return found


def _hashable(reference: Any) -> Any:
    kind, content = reference
    if kind != "static":
        return reference
    if hasattr(content, "assign"):
        return kind, "Variable", id(content)
    return (kind, type(content), content) if isinstance(content, (int, float, complex, str, type(None), type)) else (
        kind, repr(content))
