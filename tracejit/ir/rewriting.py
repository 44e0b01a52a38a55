"""Copies of graphs with nodes replaced, and the marking of what outputs need.

Flows in:  a `Graph` and a rule.
Flows out: a new `Graph`, or the same one if nothing changed.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.ir.graph import Graph, Node, Value

Replacement = Callable[[Graph, Node, list[Value]], Sequence[Value] | None]


def live_nodes(graph: Graph) -> set[Node]:
    """Nodes that outputs or effects need."""
    live = {n for n in graph.nodes if n.has_effect}
    live.update(v.node for v in graph.outputs if v.node is not None)
    for node in reversed(graph.nodes):
        if node in live:
            live.update(v.node for v in node.operands if v.node is not None)
    return live


def rebuild(graph: Graph, replace: Replacement) -> Graph:
    """A copy in which `replace(new graph, node, mapped operands)` may supply other values for a node's results.

    `replace` returns None to keep the node. Regions are kept as they are; `replace` may treat them itself.
    Returns the same graph if every node was kept.
    """
    copy = Graph([p.type for p in graph.params], graph.names)
    env: dict[Value, Value] = dict(zip(graph.params, copy.params, strict=True))
    changed = False
    for node in graph.nodes:
        operands = [env[v] for v in node.operands]
        made = replace(copy, node, operands)
        changed |= made is not None
        if made is None:
            made = copy.emit(node.op, operands, node.attributes, node.span)
        env.update(zip(node.results, made, strict=True))
    copy.outputs = tuple(env[v] for v in graph.outputs)
    return copy if changed or len(copy.nodes) != len(graph.nodes) else graph


def map_regions(node: Node, change: Callable[[Graph], Graph]) -> dict[str, Any] | None:
    """The node's attributes with `change` applied to each region; None if all came back the same."""
    attributes: dict[str, Any] = {}
    for key, value in node.attributes.items():
        if isinstance(value, Graph):
            attributes[key] = change(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Graph):
            attributes[key] = tuple(map(change, value))
        else:
            attributes[key] = value
    same = all(a is b or a == b for a, b in zip(attributes.values(), node.attributes.values(), strict=True))
    return None if same else attributes
