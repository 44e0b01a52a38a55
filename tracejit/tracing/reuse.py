"""Stacks that rounds of a loop make for themselves are made once, before the loop, and emptied in every round.

Flows in:  the graph of a trace.
Flows out: the same graph with fewer stacks: a run frees its stacks at its end, so rounds would pile them up.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.tracing.filling import LOOPS, all_nodes

HANDLE = ArrayType(I64)


def reuse_stacks(graph: Graph) -> Graph:
    """The graph with stacks out of loops; the same graph if there are none to move."""
    inner = (n for node in graph.nodes for _, region in node.regions() for n in all_nodes(region))
    return with_regions_emptied(graph) if any(n.op.name == "stack_new" for n in inner) else graph


def is_private(graph: Graph, handle: Value) -> bool:
    """Whether a handle is used by ops on stacks alone, in this graph and its regions."""
    if handle in graph.outputs:
        return False
    for node in graph.nodes:
        if handle in node.operands:
            at = node.operands.index(handle)
            if node.operands.count(handle) > 1:
                return False
            if node.op.name.startswith("stack_"):
                if at != 0:
                    return False
            elif not _is_private_in(node, at):
                return False
    return True


def _is_private_in(node: Node, at: int) -> bool:
    """Whether a node only hands a handle to its regions, which use it for themselves."""
    if node.op.name not in (*LOOPS, "case"):
        return False
    own = LOOPS[node.op.name] + int(node.attributes["carries"]) if node.op.name in LOOPS else 1
    return at >= own and all(
        is_private(region, region.params[at - len(node.operands)]) for _, region in node.regions())


def with_regions_emptied(graph: Graph) -> Graph:
    """The graph with the stacks of its regions made here, as far as that can be."""
    new = Graph([p.type for p in graph.params], graph.names)
    env: dict[Value, Value] = dict(zip(graph.params, new.params, strict=True))
    for node in graph.nodes:
        operands = [env[v] for v in node.operands]
        lifts = node.op.name in (*LOOPS, "case") and any(True for _ in node.regions())
        results = _hand_over(new, node, operands) if lifts else new.keep(node, operands)
        env.update(zip(node.results, results, strict=True))
    new.outputs = tuple(env[v] for v in graph.outputs)
    return new


def _hand_over(new: Graph, node: Node, operands: Sequence[Value]) -> Sequence[Value]:
    """Stacks of regions become the last operands of the node; every region has a parameter for each of them."""
    found = {name: emptied(region) for name, region in node.regions()}
    stacks = [stack for _, mine in found.values() for stack in mine]
    if not stacks and all(region is found[name][0] for name, region in node.regions()):
        return new.keep(node, operands)
    regions = {name: with_params(region, stacks, mine) for name, (region, mine) in found.items()}
    attributes = {key: tuple([regions[f"{key}{i}"] for i in range(len(value))]) if isinstance(value, tuple)
                  else regions.get(key, value) for key, value in node.attributes.items()}
    made = [new.emit("stack_new", (), stack.attributes, stack.span)[0] for stack in stacks]
    return new.emit(node.op, [*operands, *made], attributes, node.span)


def emptied(region: Graph) -> tuple[Graph, list[Node]]:
    """A region which gets its stacks as its last parameters, and the nodes that made them."""
    if not any(n.op.name == "stack_new" for n in all_nodes(region)):
        return region, []
    old = with_regions_emptied(region)
    bound = {n.attributes["dim"] for n in old.nodes if n.op.name == "bind_dim"}
    moved = [n for n in old.nodes if n.op.name == "stack_new" and _can_move(old, n, bound)]
    new = Graph([*(p.type for p in old.params), *[HANDLE] * len(moved)], old.names)
    env: dict[Value, Value] = dict(zip(old.params, new.params, strict=False))
    params = dict(zip(moved, new.params[len(old.params):], strict=True))
    for node in old.nodes:
        if (param := params.get(node)) is not None:
            env[node.result] = param
            new.emit("stack_truncate", [param, new.add("constant", value=0, type=HANDLE)],
                     {"types": node.attributes["types"]}, node.span)
        else:
            env.update(zip(node.results, new.keep(node, [env[v] for v in node.operands]), strict=True))
    new.outputs = tuple(env[v] for v in old.outputs)
    return new, moved


def _can_move(graph: Graph, node: Node, bound: set[str]) -> bool:
    types: tuple[ArrayType, ...] = node.attributes["types"]
    return all(t.symbols().isdisjoint(bound) for t in types) and is_private(graph, node.result)


def with_params(region: Graph, stacks: Sequence[Node], mine: Sequence[Node]) -> Graph:
    """A region with parameters for all the stacks, of which its last ones are its own."""
    own = len(region.params) - len(mine)
    made = Graph([*(p.type for p in region.params[:own]), *[HANDLE] * len(stacks)], region.names)
    env: dict[Value, Value] = dict(zip(region.params[:own], made.params, strict=False))
    places = {stack: made.params[own + k] for k, stack in enumerate(stacks)}
    env.update((param, places[stack]) for param, stack in zip(region.params[own:], mine, strict=True))
    for node in region.nodes:
        env.update(zip(node.results, made.keep(node, [env[v] for v in node.operands]), strict=True))
    made.outputs = tuple(env[v] for v in region.outputs)
    return made
