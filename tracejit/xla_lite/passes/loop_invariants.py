"""What is the same in every round of a loop and costs more than reading it is computed once, before the loop.

Flows in:  a simplified graph with `for` and `while` nodes.
Flows out: the same, with products, sums, factorisations and the like of invariants, and what these are computed from,
           outside of bodies. Cheap elementwise work stays inside, where it fuses with what reads it.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild
from tracejit.xla_lite.passes.manager import graph_pass

FIRST = {"for": 3, "while": 0}      # loop -> number of operands before its state
DEAR = frozenset({"contraction", "library", "reduction", "cumulative", "window"})
STORING = frozenset({"contraction", "library", "window"})      # they read operands from memory, made anew in each round


@graph_pass(needs=("canonical",), gives=("invariants are computed once",))
def hoist_invariants(graph: Graph) -> Graph:
    """Inner loops first: what an inner loop hands out may leave the outer one too. Linear in the number of nodes."""
    if not any(n.op.kind == "control" for n in graph.nodes):
        return graph

    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if node.op.kind != "control" or node.op.name == "fusion":
            return None
        attributes = map_regions(node, hoist_invariants.run) or node.attributes
        if node.op.name in FIRST and (given := _hoisted(copy, attributes, operands, FIRST[node.op.name])) is not None:
            attributes, operands = given
        return None if attributes is node.attributes else copy.emit(node.op, operands, attributes, node.span)

    return rebuild(graph, change)


def _hoisted(copy: Graph, attributes: dict[str, object], operands: list[Value], first: int
             ) -> tuple[dict[str, object], list[Value]] | None:
    """The loop's attributes and operands with more invariants; None if nothing can leave its body."""
    body, count = attributes["body"], attributes["carries"]
    assert isinstance(body, Graph) and isinstance(count, int)
    own = len(body.params) - (len(operands) - first)
    fixed = body.params[own + count:]
    nodes, given = _leaving(body, fixed)
    if not given:
        return None
    env = dict(zip(fixed, operands[first + count:], strict=True))
    for node in nodes:
        env.update(zip(node.results, copy.keep(node, [env[v] for v in node.operands]), strict=True))
    changed = {**attributes, "body": _with_params(body, given)}
    if isinstance(cond := attributes.get("cond"), Graph):
        changed["cond"] = _with_params(cond, given, inside=False)
    return changed, [*operands, *(env[v] for v in given)]


def _leaving(body: Graph, fixed: Sequence[Value]) -> tuple[list[Node], list[Value]]:
    """The nodes that are computed outside, and which of their results the body reads."""
    same = set(fixed)
    nodes = []
    for node in body.nodes:
        if not node.has_effect and node.op.kind != "control" and all(v in same for v in node.operands):
            same.update(node.results)
            nodes.append(node)
    users, outputs = body.users(), set(body.outputs)
    leaving = {n for n in nodes if _is_dear(n, users)}
    for node in reversed(nodes):
        if any(u in leaving for v in node.results for u in users[v]):
            leaving.add(node)
    given = [v for n in nodes if n in leaving for v in n.results
             if v in outputs or any(u not in leaving for u in users[v])]
    kept = {v for v in given if v.node is not None and not _is_dear(v.node, users)}
    return [n for n in nodes if n in leaving], [v for v in given if v not in kept]


def _is_dear(node: Node, users: dict[Value, list[Node]]) -> bool:
    """Whether a round would rather read the result than compute it."""
    if node.op.kind in DEAR:
        return bool(node.operands)
    stored = any(u.op.kind in STORING for v in node.results for u in users[v])
    return node.op.kind == "pointwise" and bool(node.results[0].rank) and stored


def _with_params(region: Graph, given: Sequence[Value], inside: bool = True) -> Graph:
    """The region with more parameters, which stand for these values. inside: they are the region's own."""
    made = Graph([*(p.type for p in region.params), *(v.type for v in given)])
    env = dict(zip(region.params, made.params, strict=False))
    if inside:
        env.update(zip(given, made.params[len(region.params):], strict=True))
    for node in region.nodes:
        if not node.results or not all(v in env for v in node.results):
            results = made.keep(node, [env[v] for v in node.operands])
            env.update({v: x for v, x in zip(node.results, results, strict=True) if v not in env})
    made.outputs = tuple(env[v] for v in region.outputs)
    return made
