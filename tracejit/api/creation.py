"""Variables that are made while a function is traced: in its first call alone, which keeps them.

Flows in:  initial values, traced or not.
Flows out: arrays, computed while tracing; the Variables that a trace made.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.errors import UnsupportedError
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph, Value
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import lift
from tracejit.tracing.context import Scope, TraceContext, active
from tracejit.tracing.implements import NUMPY
from tracejit.tracing.spans import current_span
from tracejit.transforms.reverse import extract


def first_content(value: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """What a Variable begins with. In a trace it is computed at once, from the arguments of the traced call."""
    if (context := active()) is None:
        return np.array(value, dtype, order="C")
    require_place(context)
    array = lift(NUMPY[np.array](value) if isinstance(value, (list, tuple)) else value)
    return np.array(evaluated(context, array), dtype, order="C")


def created(variable: Any) -> None:
    """Notes a Variable of the running trace."""
    if (context := active()) is not None:
        context.created.append((variable, current_span(3)))


def require_place(context: TraceContext) -> None:
    """UnsupportedError in native loops and branches, where one line would make many Variables, or none."""
    scope: Scope | None = context.scope
    while scope is not None and scope is not context.root:
        if not scope.facts.get("recorded"):
            raise UnsupportedError(
                "a Variable is created in a loop, a branch or a `try` of compiled code", span=current_span(3),
                why="only the run knows whether, and how often, its line is reached", fix="create it before")
        scope = scope.parent


def evaluated(context: TraceContext, array: Array) -> Any:
    """The value of a traced array in the call that is traced."""
    graph, inputs = array.scope.graph, inputs_of(array.value, array.scope.graph)
    if inputs and array.scope is not context.root:
        raise UnsupportedError("the initial value of a Variable depends on what is differentiated, or on each of many "
                               "examples", span=current_span(4), why="it is needed before the call runs",
                               fix="create the Variable outside of that function")
    data = context.namespace.reader.data()
    small = extract(graph, inputs, [array.value])
    return evaluate(small, [data[p.index] for p in inputs], context.hints)[0]


def inputs_of(value: Value, graph: Graph) -> list[Value]:
    """The parameters that a value is computed from."""
    needed = {value}
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.results):
            needed.update(node.operands)
    return [p for p in graph.params if p in needed]
