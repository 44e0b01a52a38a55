"""Calls of compiled functions that tapes record: what they read is kept, so that they can be done again in a trace.

Flows in:  a call of a compiled function while this thread records.
Flows out: its result; a step for the recorders, which computes the same again from the same arguments and the same
           content of Variables. What the call changed or printed is not done again.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.api.admission import fits
from tracejit.api.function import OverlapError, State, inlined
from tracejit.api.recording import as_they_are, note
from tracejit.api.signature import inputs_of, reach
from tracejit.api.tensor import Tensor
from tracejit.api.variable import Variable, content, traced
from tracejit.base.spans import SourceSpan
from tracejit.base.trees import flatten, tree_map, unflatten
from tracejit.ir.graph import Graph
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import write
from tracejit.tracing.context import active
from tracejit.tracing.control.schema import build
from tracejit.tracing.control.subgraph import put_back, record
from tracejit.tracing.inputs import ObjectInput
from tracejit.tracing.spans import current_span
from tracejit.xla_lite.runtime.python_dispatch import read_root

SILENT = ("print", "host_call")     # where nothing needs their results


def recorded_call(state: State, args: tuple[Any, ...], kwargs: dict[str, Any], checks_nans: bool) -> Any:
    """Runs a call and tells the recorders."""
    if not state.options.autograph:     # a function of the library: its arguments are all that it reads
        given = as_they_are(tree_map(content, (args, kwargs)))
        result = state.run(args, kwargs, checks_nans)
        if any(isinstance(x, Variable) for x in flatten((args, kwargs))[0]):
            result = tree_map(_recordable, result)
        span = current_span() if checks_nans else None
        note((state, span), _library_call(state, span), given, result)
        return result
    compiled = _specialisation(state, args, kwargs, checks_nans)
    if compiled is None:
        return state.run(args, kwargs, checks_nans)
    variables = _variables(compiled, args, kwargs)
    given = as_they_are((([v.value for v in variables], args, kwargs), {}))
    hit, result = state.attempt(compiled, args, kwargs)
    if not hit:
        return state.run(args, kwargs, checks_nans)
    state.has_run = True
    if variables and state.options.returns == "like_inputs":
        result = tree_map(_recordable, result)
    note((state, *map(id, variables)), _replay(state, variables), given, result)
    return result


def _library_call(state: State, span: SourceSpan | None) -> Callable[..., Any]:
    """A call in a trace. span: the user's line, which the nodes get."""
    def call(*args: Any, **kwargs: Any) -> Any:
        context = active()
        assert context is not None
        nodes = context.scope.graph.nodes
        first = len(nodes)
        result = inlined(state)(*args, **kwargs)
        for node in nodes[first:]:
            node.span = span
        return result

    return inlined(state) if span is None else call


def _recordable(x: Any) -> Any:
    """A result of a function that reads Variables: a Tensor, so that what is done with it is recorded too."""
    return Tensor(x) if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "fc" else x


def _specialisation(state: State, args: tuple[Any, ...], kwargs: dict[str, Any], checks_nans: bool) -> Any:
    """What takes the call, compiled if need be; None if it has to run as plain Python."""
    with state.lock:
        found = next((c for c in state.newer(0, checks_nans)[::-1] if fits(c, args, kwargs)), None)
        try:
            return found or state.specialise(args, kwargs, checks_nans).compiled
        except OverlapError:
            return None


def _variables(compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Variable]:
    """The Variables that a call reads or writes."""
    places = compiled.signature.places
    roots = [read_root(root, args, kwargs) for root, _ in compiled.signature.roots]
    inputs = [i for i in inputs_of(compiled.trace) if isinstance(i, ObjectInput) and issubclass(i.cls, Variable)]
    return list({id(v): v for v in (reach(places[id(i)], roots) for i in inputs if id(i) in places)}.values())


def _replay(state: State, variables: list[Variable]) -> Callable[..., Any]:
    """The call in a trace, with what the Variables held."""
    def replay(held: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        context = active()
        assert context is not None
        leaves, structure = flatten((held, args, kwargs))
        moving = [x for x in leaves if type(x) is Array]

        def run(*copies: Array) -> Any:
            rest = iter(copies)
            held, args, kwargs = unflatten(structure, [next(rest) if type(x) is Array else x for x in leaves])
            for variable, before in zip(variables, held, strict=True):
                write(traced(variable), Ellipsis, before)
            return context.namespace.call(inlined(state), *args, **kwargs)

        recorded = record(context.namespace, run, moving)
        made = put_back(context, silent(recorded.graph), moving, recorded.operands)
        return build(recorded.result, iter(made))

    return replay


def silent(graph: Graph) -> Graph:
    """A graph without the effects at its top that nobody needs a result of."""
    graph.nodes[:] = [n for n in graph.nodes if n.results or n.op.name not in SILENT]
    return graph
