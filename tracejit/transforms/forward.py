"""Forward mode: tangents next to values.

Flows in:  a `Graph`, which parameters have tangents.
Flows out: a graph of (parameters, tangents) that gives (outputs, tangents of outputs).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.base.errors import UnsupportedError
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.terms import Term
from tracejit.ops.control_derivatives import RegionGradient
from tracejit.ops.stack_derivatives import StackGradient
from tracejit.transforms.activity import new_key, touches_stacks
from tracejit.transforms.failing import without_failures


class Forward:
    """What rules of ops with regions ask for. key: of companions of stacks."""

    def __init__(self, key: int):
        self.key = key

    def __call__(self, graph: Graph, active: Sequence[bool], dense: Sequence[bool] = ()) -> tuple[Graph, list[bool]]:
        """`jvp` of a region: its graph, and which outputs have tangents."""
        return jvp(graph, active, dense, self.key)


def jvp(graph: Graph, active: Sequence[bool] | None = None, dense: Sequence[bool] = (), key: int | None = None
        ) -> tuple[Graph, list[bool]]:
    """The graph (params, tangents of active params) -> (outputs, tangents of outputs that may be other than zero).

    active: which parameters have tangents; by default those of inexact dtype.  dense: outputs that get
    one even if it is zero.  key: of companions of stacks, for regions.  Returns the graph, and which outputs have
    tangents.
    """
    active = [p.dtype.is_inexact for p in graph.params] if active is None else active
    if key is None:
        graph = without_failures(graph)
        key = new_key(graph.nodes)
    wanted = [p for p, a in zip(graph.params, active, strict=True) if a]
    made = Graph([*(p.type for p in graph.params), *(p.type for p in wanted)])
    primals = dict(zip(graph.params, made.params))
    tangents = {p: Term(made, t) for p, t in zip(wanted, made.params[len(graph.params):], strict=True)}
    for node in graph.nodes:
        push(made, node, primals, tangents, key)
    found = [tangents.get(v) for v in graph.outputs]
    for k, wanted_one in enumerate(dense):
        if wanted_one and found[k] is None:
            found[k] = Term(made, primals[graph.outputs[k]]).like(0)
    made.outputs = (*(primals[v] for v in graph.outputs), *(t.value for t in found if t is not None))
    return made, [t is not None for t in found]


def push(made: Graph, node: Node, primals: dict[Value, Value], tangents: dict[Value, Term], key: int) -> None:
    """One node: its results, and their tangents where operands have some."""
    operands = [primals[v] for v in node.operands]
    moving = [tangents.get(v) for v in node.operands]
    if not is_moving(node, moving):
        primals.update(zip(node.results, made.keep(node, operands), strict=True))
        return
    rule = rule_of(node)
    span = place_of_derivative(node)
    moving = [t and t.at(span) for t in moving]
    if isinstance(rule, RegionGradient):
        ins = [Term(made, v, node.span) for v in operands]
        outs, found = rule.jvp(node.op, ins, moving, node.attributes, Forward(key))
    elif isinstance(rule, StackGradient):
        found = rule.jvp(node.op, [Term(made, v, span) for v in operands], moving, node.attributes, key)
        outs = [Term(made, v, span) for v in made.keep(node, operands)]
        if rule.begins:
            made.emit("stack_release", [outs[0].value], {"key": key})
    else:
        ins, outs = ([Term(made, v, span) for v in values] for values in (operands, made.keep(node, operands)))
        found = rule.jvp(node.op, ins, outs, moving, node.attributes)
    primals.update((v, t.value) for v, t in zip(node.results, outs, strict=True))
    tangents.update((v, t) for v, t in zip(node.results, found, strict=True) if t is not None)


def place_of_derivative(node: Node) -> SourceSpan | None:
    """The place of a node for what its derivative is made of."""
    return node.span and node.span.of_derivative(node.op.name)


def is_moving(node: Node, moving: Sequence[Term | None]) -> bool:
    """Whether the node's rule has something to say."""
    return touches_stacks(node) or any(t is not None for t in moving) and (
        any(v.dtype.is_inexact for v in node.results) or any(r for _, r in node.regions()))


def rule_of(node: Node) -> Any:
    """The derivative that the op declares. Raises UnsupportedError at the user's line if there is none."""
    if node.op.gradient is None:
        raise UnsupportedError(f"`{node.op.name}` can't be differentiated", span=node.span,
                               why="it is an effect, or runs code that tracejit does not see",
                               fix="keep it out of what is differentiated, by stop_gradient or custom_gradient")
    return node.op.gradient


__all__ = ["Forward", "jvp", "place_of_derivative", "push", "rule_of"]
