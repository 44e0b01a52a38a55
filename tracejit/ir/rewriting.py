"""Copies of graphs with nodes replaced or dropped.

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
    live = {v.node for v in graph.outputs if v.node is not None}
    for node in reversed(graph.nodes):
        if node in live or node.has_effect:
            live.add(node)
            for value in node.operands:
                if value.node is not None:
                    live.add(value.node)
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
            made = copy.keep(node, operands)
        env.update(zip(node.results, made, strict=True))
    copy.outputs = tuple(env[v] for v in graph.outputs)
    return copy if changed or len(copy.nodes) != len(graph.nodes) else graph


def without_dead_nodes(graph: Graph) -> Graph:
    """A copy of what outputs and effects need; the same graph if that is all of it."""
    live = live_nodes(graph)
    if len(live) == len(graph.nodes):
        return graph
    copy = Graph([p.type for p in graph.params], graph.names)
    env: dict[Value, Value] = dict(zip(graph.params, copy.params, strict=True))
    for node in graph.nodes:
        if node in live:
            env.update(zip(node.results, copy.keep(node, [env[v] for v in node.operands]), strict=True))
    copy.outputs = tuple(env[v] for v in graph.outputs)
    return copy


def map_regions(node: Node, change: Callable[[Graph], Graph]) -> dict[str, Any] | None:
    """The node's attributes with `change` applied to each region; None if each came back as the same object."""
    attributes: dict[str, Any] = {}
    for key, value in node.attributes.items():
        if isinstance(value, Graph):
            attributes[key] = change(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Graph):
            attributes[key] = tuple(map(change, value))
        else:
            attributes[key] = value
    unchanged = all(map(_same, attributes.values(), node.attributes.values()))
    return None if unchanged else attributes


def _same(x: Any, y: Any) -> bool:
    """The same object, or tuples of the same objects."""
    return x is y or (isinstance(x, tuple) and isinstance(y, tuple) and all(map(_same, x, y)))
