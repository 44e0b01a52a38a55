"""Through which values derivatives flow: those that depend on what is differentiated, and that results depend on.

Flows in:  a graph, flags of its parameters or outputs.
Flows out: flags. What comes out of a stack always has a derivative: who knows what went in?
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracejit.ir.graph import Graph, Node, Value
from tracejit.ops.control_derivatives import RegionGradient
from tracejit.ops.derivatives import ZERO
from tracejit.ops.stack_derivatives import StackGradient, moving


class Activity:
    """What rules of ops with regions ask for."""

    def varied(self, graph: Graph, wanted: Sequence[bool]) -> list[bool]:
        return varied_outputs(graph, wanted)

    def useful(self, graph: Graph, outputs: Sequence[bool]) -> list[bool]:
        return useful_params(graph, outputs)


def varied_outputs(graph: Graph, wanted: Sequence[bool]) -> list[bool]:
    """Which outputs depend on wanted parameters in a way that has a derivative."""
    found = {p for p, want in zip(graph.params, wanted, strict=True) if want}
    for node in graph.nodes:
        flags = flow(node, [v in found for v in node.operands])
        found.update(v for v, f in zip(node.results, flags, strict=True) if f)
    return [v in found for v in graph.outputs]


def flow(node: Node, operands: Sequence[bool]) -> list[bool]:
    """Which results vary."""
    rule = node.op.gradient
    if isinstance(rule, RegionGradient) and (any(operands) or touches_stacks(node)):
        return rule.flow(node.attributes, operands, Activity())
    varies = isinstance(rule, StackGradient) or rule is not ZERO and any(operands)
    return [varies and v.dtype.is_inexact for v in node.results]


def useful_params(graph: Graph, outputs: Sequence[bool]) -> list[bool]:
    """Which parameters the flagged outputs depend on in a way that has a derivative."""
    found = useful_values(graph, outputs)
    return [p in found for p in graph.params]


def useful_values(graph: Graph, outputs: Sequence[bool]) -> set[Value]:
    """The values that the flagged outputs depend on in a way that has a derivative."""
    found = {v for v, f in zip(graph.outputs, outputs, strict=True) if f}
    for node in reversed(graph.nodes):
        flags = need(node, [v in found for v in node.results])
        found.update(v for v, f in zip(node.operands, flags, strict=True) if f)
    return found


def need(node: Node, results: Sequence[bool]) -> list[bool]:
    """Which operands the results depend on. What goes into a stack may come out anywhere."""
    rule = node.op.gradient
    if isinstance(rule, RegionGradient) and (any(results) or touches_stacks(node)):
        return rule.need(node.attributes, results, Activity())
    needed = isinstance(rule, StackGradient) or rule is not ZERO and any(results)
    return [needed and v.dtype.is_inexact for v in node.operands]


def is_active(node: Node, varied: Sequence[bool], needed: Sequence[bool]) -> bool:
    """Whether a derivative flows through a node. varied: operands; needed: results."""
    if touches_stacks(node):
        return True
    return node.op.gradient is not ZERO and any(varied) and any(
        n and v.dtype.is_inexact for n, v in zip(needed, node.results, strict=True))


def touches_stacks(node: Node) -> bool:
    """Whether a node, or one of its regions, does anything to stacks with floats. The way back undoes it in companions,
    even if all cotangents are zero."""
    if isinstance(node.op.gradient, StackGradient):
        types = node.attributes.get("types", ()) or [v.type for v in node.operands]
        return bool(moving(types)) or node.op.name == "stack_release"
    return node.has_effect and any(touches_stacks(n) for _, region in node.regions() for n in region.nodes)


def stacks_from_outside(nodes: Sequence[Node]) -> list[Value]:
    """Handles that nodes use, or regions of theirs, and that none of them made."""
    made = {v for n in nodes for v in n.results}
    found: dict[Value, None] = {}
    for node in nodes:
        if isinstance(node.op.gradient, StackGradient) and node.operands:
            found[node.operands[0]] = None
        for _, region in node.regions():
            outer = dict(zip(reversed(region.params), reversed(node.operands), strict=False))
            found.update((outer[v], None) for v in stacks_from_outside(region.nodes) if v in outer)
    return [v for v in found if v not in made]


def new_key(nodes: Sequence[Node]) -> int:
    """A number of companions that no transform has used before on these nodes."""
    return 1 + max(_keys(nodes), default=0)


def _keys(nodes: Sequence[Node]) -> Iterator[int]:
    for node in nodes:
        if isinstance(node.op.gradient, StackGradient):
            yield node.attributes.get("key", 0)
        elif node.has_effect:
            for _, region in node.regions():
                yield from _keys(region.nodes)


__all__ = ["Activity", "flow", "is_active", "new_key", "stacks_from_outside", "touches_stacks", "useful_values",
           "varied_outputs"]
