"""A call inside a trace as a graph of its own, for transforms; and graphs put back into the trace.

Flows in:  a function, the traced leaves that it is a function of.
Flows out: `Recorded`: a region whose first parameters are the leaves, its result, what it changed; `put_back`.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value
from tracejit.tracing.arrays import Array
from tracejit.tracing.context import Scope, TraceContext, inside
from tracejit.tracing.control.regions import Unreachable, finish, run_region
from tracejit.tracing.control.schema import Leaf, Schema, Tree, build, describe, flatten, leaves
from tracejit.tracing.control.world import Place, World, cells_of
from tracejit.tracing.filling import fill_stacks


@dataclass(slots=True)
class Recorded:
    """graph: parameters are the leaves, then `operands`, values of the scopes around; outputs: those of the result,
    then those of the places that the function changed.
    """

    graph: Graph
    operands: list[tuple[Value, Scope]]
    result: Schema
    places: list[Place]
    forms: list[Schema]
    world: World

    @property
    def count(self) -> int:
        """The number of outputs that the result is made of."""
        return len(list(leaves(self.result)))

    def restored(self, outputs: Sequence[Array], batched: bool = False) -> Any:
        """The function's result, made of the outputs; what it changed is changed. batched: they have one more axis."""
        rest = iter(outputs)
        if batched:
            return build(in_lanes(self.result), rest)
        result = build(self.result, rest)
        for place, form in zip(self.places, self.forms, strict=True):
            self.world.put(place, build(form, rest))
        return result


def in_lanes(form: Schema) -> Schema:
    """The form of many results along a new axis: numbers have become arrays."""
    if isinstance(form, Leaf):
        return Leaf(form.type, None, "numpy" if form.kind == "python" else form.kind, True)
    if isinstance(form, Tree):
        return Tree(form.cls, form.meta, tuple(map(in_lanes, form.children)), form.make)
    return form


def record(namespace: Any, function: Callable[..., Any], given: Sequence[Array],
           types: Sequence[ArrayType] | None = None) -> Recorded:
    """Traces `function(*copies of the given arrays)`. Raises Unreachable if it does not reach its end.

    types: of the copies, if they are not those of the arrays.
    """
    context: TraceContext = namespace.context
    scope = Scope(Graph([]), context.scope)
    scope.facts["recorded"] = True      # it runs as often as what is around it
    copies = [Array(scope.graph.add_param(t), scope, a.kind, a.weak, a.boxed if types is None else bool(t.shape))
              for a, t in zip(given, types or [a.type for a in given], strict=True)]
    world = World(cells_of(function), (), namespace)
    region = run_region(context, world, lambda: function(*copies), scope)
    if not region.reached:      # what it does before it raises is all that there is
        put_back(context, scope.graph, given, scope.operands)
        raise Unreachable
    places = list(region.changes)
    with inside(scope):
        result = describe(region.result)
        forms = [describe(region.changes[p]) for p in places]
        made = flatten(region.result, result)
        for place, form in zip(places, forms, strict=True):
            made += flatten(region.changes[place], form)
        finish(region, made)
    return Recorded(fill_stacks(scope.graph), list(scope.operands), result, places, forms, world)


def put_back(context: TraceContext, graph: Graph, given: Sequence[Array], operands: Sequence[tuple[Value, Scope]],
             more: Sequence[Array] = ()) -> list[Array]:
    """The nodes of a transformed graph, emitted in the running scope; its outputs. more: further arguments."""
    scope = context.scope
    values = [*(scope.bring(a.value, a.scope) for a in given), *(scope.bring(v, home) for v, home in operands),
              *(scope.bring(a.value, a.scope) for a in more)]
    return [Array(v, scope) for v in scope.graph.inline(graph, values)]
