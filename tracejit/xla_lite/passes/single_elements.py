"""Which reads and writes of one array element `main` does itself, in registers, without a kernel.

Flows in:  a graph, before fusion or after it.
Flows out: `find_elements`: reads of one element, writes of one element, and arithmetic on arrays of one element between
           them. An array of one element that anything else wants in memory is none of them.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.graph import Graph, Node, Value

STORED_KINDS = ("reduction", "cumulative", "scatter")
OWN_NEST = ("concatenate", "pad", "compact_indices", "searchsorted", "reduce_window", "select_and_gather",
            "select_and_scatter")
LOOPS = ("pointwise", "view", "gather", "reduction", "source", "cumulative", "scatter")


def find_elements(graph: Graph, nodes: Sequence[Node], users: dict[Value, list[Node]]) -> set[Node]:
    """The nodes of `graph` that `main` does element by element."""
    found: set[Node] = set()
    for node in nodes:
        if _is_element(node, found):
            found.add(node)
    outputs, before = set(graph.outputs), -1
    while found and len(found) != before:
        before = len(found)
        for node in reversed(nodes):
            if node in found and not _stays_in_registers(node, found, users, outputs):
                found.discard(node)
        for node in nodes:
            if node in found and not _is_element(node, found):
                found.discard(node)
    return found


def _is_element(node: Node, found: set[Node]) -> bool:
    """Whether `main` can do the node, given those before it that it does."""
    kind, operands = node.op.kind, node.operands
    if node.op.name in OWN_NEST:
        return False
    if kind == "scatter":
        return _in_memory(operands[0], found) and all(_in_register(v, found) for v in operands[1:])
    if len(node.results) != 1 or node.result.type.size != 1:
        return False
    if kind == "gather":
        source = _in_memory(operands[0], found) or _in_register(operands[0], found)
        return source and all(_in_register(v, found) for v in operands[1:])
    if not node.result.rank and not (kind == "view" and node.op.name != "reshape"):
        return False
    if kind == "view":
        memory = node.op.name != "reshape" and _in_memory(operands[0], found)
        return memory or all(_in_register(v, found) for v in operands)
    return kind == "pointwise" and all(_in_register(v, found) for v in operands)


def _in_register(value: Value, found: set[Node]) -> bool:
    """Scalars, elements, and constants of one element."""
    if value.type.size != 1:
        return False
    node = value.node
    return not value.rank or node is not None and (node in found or node.op.kind == "source" and not node.operands)


def _in_memory(value: Value, found: set[Node]) -> bool:
    """Whether an array lies in memory, however it is read."""
    node = value.node
    if not value.rank or node is None:
        return bool(value.rank)
    if node in found or node.op.kind in STORED_KINDS or node.op.name in OWN_NEST:
        return node not in found or node.op.kind == "scatter"
    if node.op.name == "reshape":
        return _in_memory(node.operands[0], found) and bool(node.operands[0].rank)
    return node.op.kind not in LOOPS


def _stays_in_registers(node: Node, found: set[Node], users: dict[Value, list[Node]], outputs: set[Value]) -> bool:
    """Scalars and written arrays go anywhere; arrays of one element to other elements and scalars only."""
    if node.op.kind == "scatter" or not node.result.rank:
        return True
    return node.result not in outputs and all(
        u in found and (u.op.kind != "scatter" or u.operands[0] is not node.result)
        or u.op.name == "reshape" and not u.result.rank for u in users[node.result])
