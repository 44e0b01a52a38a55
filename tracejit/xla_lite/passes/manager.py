"""Passes: graph-to-graph functions with their invariants stated as data, run and checked in order.

Flows in:  a `Graph` and passes made by `@graph_pass`.
Flows out: the last graph; `InternalError` names the pass at fault.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tracejit.base.errors import InternalError, TracejitError
from tracejit.base.options import config
from tracejit.ir.graph import Graph
from tracejit.ir.verifier import verify

Observer = Callable[[str, Graph], None]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass. needs: facts that earlier passes must have established.  gives: facts that hold afterwards."""

    name: str
    run: Callable[[Graph], Graph]
    needs: frozenset[str]
    gives: frozenset[str]

    def __call__(self, graph: Graph) -> Graph:
        return self.run(graph)


def graph_pass(*, needs: Iterable[str] = (), gives: Iterable[str] = ()) -> Callable[[Callable[[Graph], Graph]], Pass]:
    """Makes a pass of a function that returns a new graph, or the same one if it found nothing to do."""
    def made(run: Callable[[Graph], Graph]) -> Pass:
        return Pass(run.__name__, run, frozenset(needs), frozenset(gives))

    return made


def run_passes(graph: Graph, passes: Iterable[Pass], observe: Observer | None = None) -> Graph:
    """Runs `passes` in order. observe(name, graph) is called after each pass that changed the graph.

    With `config.verify` the verifier runs after every such pass. Raises InternalError with the pass's name.
    """
    known: set[str] = set()
    for step in passes:
        if not step.needs <= known:
            raise InternalError(f"pass `{step.name}` needs {sorted(step.needs - known)}, established by no pass before")
        after = _run(step, graph)
        known |= step.gives
        if after is not graph and observe is not None:
            observe(step.name, after)
        graph = after
    return graph


def _run(step: Pass, graph: Graph) -> Graph:
    try:
        after = step.run(graph)
        if after is not graph and config.verify:
            _verify(graph, after)
        return after
    except RecursionError:    # the caller may have a larger stack
        raise
    except Exception as error:
        what = error.message if isinstance(error, TracejitError) else f"{type(error).__name__}: {error}"
        raise InternalError(f"pass `{step.name}` failed: {what}\nbefore it:\n{graph}") from error


def _verify(before: Graph, after: Graph) -> None:
    """A pass keeps parameters and the types of outputs."""
    verify(after)
    for what in ("params", "outputs"):
        old, new = ([v.type for v in getattr(g, what)] for g in (before, after))
        if old != new:
            raise InternalError(f"types of {what} changed from {old} to {new}")
