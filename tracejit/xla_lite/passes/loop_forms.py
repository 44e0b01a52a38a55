"""A loop as one graph: what it tests and what it computes next, over the same parameters.

Flows in:  a `while` or `for` node, its operands in the graph that is being written.
Flows out: `LoopForm`, which can be taken apart, changed, and emitted again.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracejit.base.dtypes import BOOL
from tracejit.base.spans import SourceSpan
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value


@dataclass(slots=True)
class LoopForm:
    """A loop. graph: parameters are the counter of a `for`, then carries, then invariants.

    bounds: lower, upper, step of a `for`; empty for a `while`.  uniform: the scalar part of the condition.
    predicate: the loop goes on while it holds for any element.  following: the carries of the next iteration.
    initial, invariants: values of the graph around.
    """

    graph: Graph
    bounds: list[Value]
    uniform: Value | None
    predicate: Value | None
    following: list[Value]
    initial: list[Value]
    invariants: list[Value]
    span: SourceSpan | None

    @property
    def first(self) -> int:
        """Parameters before the carries."""
        return 1 if self.bounds else 0

    @property
    def carries(self) -> tuple[Value, ...]:
        return self.graph.params[self.first:self.first + len(self.initial)]

    @property
    def fixed(self) -> tuple[Value, ...]:
        """Parameters that stand for the invariants."""
        return self.graph.params[self.first + len(self.initial):]

    @property
    def sinks(self) -> list[Value]:
        """What the graph is for."""
        return [v for v in (self.uniform, self.predicate) if v is not None] + self.following


def loop_form(node: Node, operands: Sequence[Value]) -> LoopForm | None:
    """The form of a `while` or `for`; None where the condition asks something else than `any`."""
    count = node.attributes["carries"]
    first = 3 if node.op.name == "for" else 0
    initial, invariants = list(operands[first:first + count]), list(operands[first + count:])
    graph = Graph([p.type for p in node.attributes["body"].params])
    inner = [*graph.params[:len(graph.params) - len(invariants)], *_sunk(graph, invariants)]
    following = list(graph.inline(node.attributes["body"], inner))
    if first:
        return LoopForm(graph, list(operands[:3]), None, None, following, initial, invariants, node.span)
    (test,) = graph.inline(node.attributes["cond"], inner)
    parts = [_part(graph, leaf) for leaf in _leaves(test)]
    uniform, lanes = [v for v in parts if not v.rank], [v for v in parts if v.rank]
    if len(lanes) > 1:
        return None
    return LoopForm(graph, [], _conjunction(graph, uniform), lanes[0] if lanes else None, following, initial,
                    invariants, node.span)


def _sunk(graph: Graph, invariants: Sequence[Value]) -> list[Value]:
    """The parameters for invariants; constants stand in the loop itself."""
    made = []
    for param, value in zip(graph.params[len(graph.params) - len(invariants):], invariants, strict=True):
        node = value.node
        constant = node is not None and node.op.name == "constant"
        made.append(graph.keep(node, ())[0] if constant and node is not None else param)
    return made


def _leaves(test: Value) -> Iterable[Value]:
    node = test.node
    if node is None or node.op.name != "and":
        return [test]
    return [leaf for operand in node.operands for leaf in _leaves(operand)]


def _part(graph: Graph, leaf: Value) -> Value:
    """The predicate whose `any` a leaf is, or the leaf. `not all(x)` is `any(not x)`."""
    node = leaf.node
    if node is None:
        return leaf
    if node.op.name == "reduce_or":
        return node.operands[0]
    below = node.operands[0].node if node.op.name == "not" else None
    if below is not None and below.op.name == "reduce_and":
        return graph.add("not", below.operands[0], span=node.span)
    return leaf


def _conjunction(graph: Graph, parts: Sequence[Value]) -> Value | None:
    total = None
    for part in parts:
        total = part if total is None else graph.add("and", total, part)
    return total


def cone(values: Iterable[Value]) -> set[Value]:
    """Everything that `values` are computed from, themselves included."""
    todo, seen = list(values), set(values)
    while todo:
        node = todo.pop().node
        for value in node.operands if node is not None else ():
            if value not in seen:
                seen.add(value)
                todo.append(value)
    return seen


def extract(graph: Graph, params: Sequence[Value], outputs: Sequence[Value]) -> Graph:
    """A graph from `params` to `outputs`, which depend on no other parameter."""
    made = Graph([p.type for p in params])
    env = dict(zip(params, made.params, strict=True))
    wanted = cone(outputs)
    for node in graph.nodes:
        if any(r in wanted for r in node.results) and not all(r in env for r in node.results):
            env.update(zip(node.results, made.keep(node, [env[v] for v in node.operands]), strict=True))
    made.outputs = tuple(env[v] for v in outputs)
    return made


def prune(form: LoopForm, wanted: Iterable[int]) -> tuple[LoopForm, list[int]]:
    """The loop without carries that no wanted one and no condition depends on; which carries are left."""
    position = {v: k for k, v in enumerate(form.carries)}
    needed = set(wanted)
    todo = [v for v in (form.uniform, form.predicate) if v is not None] + [form.following[k] for k in needed]
    while todo:
        found = {position[v] for v in cone(todo) if v in position} - needed
        needed |= found
        todo = [form.following[k] for k in found]
    kept = sorted(needed)
    return _with_carries(form, kept), kept


def _with_carries(form: LoopForm, kept: Sequence[int]) -> LoopForm:
    """The loop with only these carries, and only the invariants that it reads."""
    following = [form.following[k] for k in kept]
    tests = [v for v in (form.uniform, form.predicate) if v is not None]
    used = cone([*tests, *following])
    fixed = [k for k, v in enumerate(form.fixed) if v in used]
    params = [*form.graph.params[:form.first], *(form.carries[k] for k in kept), *(form.fixed[k] for k in fixed)]
    graph = extract(form.graph, params, [*tests, *following])
    outputs = list(graph.outputs)
    uniform = outputs.pop(0) if form.uniform is not None else None
    predicate = outputs.pop(0) if form.predicate is not None else None
    return LoopForm(graph, form.bounds, uniform, predicate, outputs, [form.initial[k] for k in kept],
                    [form.invariants[k] for k in fixed], form.span)


def emit_loop(graph: Graph, form: LoopForm) -> tuple[Value, ...]:
    """Writes the loop into `graph`; its results."""
    operands = [*form.bounds, *form.initial, *form.invariants]
    body = extract(form.graph, form.graph.params, form.following)
    if form.bounds:
        return graph.emit("for", operands, {"body": body, "carries": len(form.initial)}, form.span)
    cond = extract(form.graph, form.graph.params, [v for v in (form.uniform, form.predicate) if v is not None])
    if form.predicate is not None:
        lanes = cond.outputs[-1]
        going = cond.add("reduce_or", lanes, axes=tuple(range(lanes.rank)), span=form.span)
        cond.outputs = (going if form.uniform is None else cond.add("and", cond.outputs[0], going),)
    assert cond.outputs[0].type == ArrayType(BOOL)
    return graph.emit("while", operands, {"cond": cond, "body": body, "carries": len(form.initial)}, form.span)
