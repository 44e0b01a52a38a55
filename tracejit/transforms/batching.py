"""`vmap`: a graph that does for every lane what another does for one.

Flows in:  a `Graph`, which parameters have a new leading axis, its size.
Flows out: a graph whose outputs have that axis, and which of them do.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.base.dims import Size
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.terms import Term, inlined, spread
from tracejit.ops.batching import KINDS, in_a_loop, over_lanes


class Batching:
    """What rules of ops with regions ask for."""

    def __init__(self, size: Size):
        self.size = size

    def __call__(self, graph: Graph, batched: Sequence[bool], outputs: Sequence[bool] = ()) -> tuple[Graph, list[bool]]:
        return vmap(graph, batched, self.size, outputs)


def vmap(graph: Graph, batched: Sequence[bool], size: Size, outputs: Sequence[bool] = ()) -> tuple[Graph, list[bool]]:
    """outputs: those that get the axis even if all lanes are the same. Returns the graph, and which outputs have it."""
    made = Graph([p.type.with_shape((size, *p.shape)) if b else p.type
                  for p, b in zip(graph.params, batched, strict=True)], graph.names)
    if needs_lanes_apart(graph):
        return lane_by_lane(graph, made, batched, size)
    values = dict(zip(graph.params, made.params, strict=True))
    lanes = {p for p, b in zip(graph.params, batched, strict=True) if b}
    for node in graph.nodes:
        push(made, node, values, lanes, size)
    found = [v in lanes for v in graph.outputs]
    results = [values[v] for v in graph.outputs]
    for k, wanted in enumerate(outputs):
        if wanted and not found[k]:
            results[k] = spread(Term(made, results[k]), (size, *results[k].shape), (0,)).value
            found[k] = True
    made.outputs = tuple(results)
    return made, found


def push(made: Graph, node: Node, values: dict[Value, Value], lanes: set[Value], size: Size) -> None:
    """One node: as it is if all lanes are the same, else by its rule."""
    operands = [values[v] for v in node.operands]
    batched = [v in lanes for v in node.operands]
    if not any(batched):
        values.update(zip(node.results, made.keep(node, operands), strict=True))
        return
    rule = node.op.batch or KINDS.get(node.op.kind, in_a_loop)
    ins = [Term(made, v, node.span) for v in operands]
    results, flags = rule(node.op, ins, batched, node.attributes, size, Batching(size))
    for value, term, flag in zip(node.results, results, flags, strict=True):
        values[value] = term.value
        if flag:
            lanes.add(value)


def needs_lanes_apart(graph: Graph) -> bool:
    """Whether lanes would share a stack, or a size that the run finds out, which each of them needs for itself."""
    return any(n.op.name.startswith("stack_") or n.op.name == "bind_dim" or any(
        needs_lanes_apart(r) for _, r in n.regions()) for n in graph.nodes)


def lane_by_lane(graph: Graph, made: Graph, batched: Sequence[bool], size: Size) -> tuple[Graph, list[bool]]:
    """The whole graph in a loop over the lanes."""
    results, flags = over_lanes([Term(made, p) for p in made.params], batched, [v.type for v in graph.outputs], size,
                                lambda mine, i: inlined(graph, mine, i))
    made.outputs = tuple([t.value for t in results])
    return made, flags
