"""Which results may lie in the memory of an operand that nobody reads any more.

Flows in:  nodes of a fused graph.
Flows out: `overwrites`, `makes_memory`, `updated`.
"""
from __future__ import annotations

from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.passes.attempts import reads_operand
from tracejit.xla_lite.passes.slice_updates import reads_of_target

CONTROL = ("while", "for", "case", "try")
LOOPS = {"while": 0, "for": 1}      # loop -> number of its body's first carried parameter


def makes_memory(node: Node) -> bool:
    """Whether a kernel writes the node's results, rather than `main` computing scalars."""
    return node.op.name in ("fusion", *CONTROL) or node.op.kind in ("library", "contraction", "scatter")


Known = dict[tuple[Value, Value], bool]     # what was found out: a result, and the parameter that it descends from


def overwrites(node: Node, operand: Value, result: Value, known: Known) -> bool:
    """Whether a result may lie on `operand`: each element is read before it is written, and nowhere else."""
    if node.operands.count(operand) != 1:
        return False
    if node.op.kind == "scatter":
        return node.operands[0] is operand
    if node.op.name in CONTROL:
        return operand.type == result.type and _continues(node, operand, result, known)
    if node.op.name != "fusion":
        return False
    body: Graph = node.attributes["body"]
    param = body.params[node.operands.index(operand)]
    if node.attributes["kind"] == "scatter":
        root = body.outputs[0].node
        assert root is not None
        return root.operands[0] is param and _updates_in_place(body, root)
    if node.attributes["kind"] == "sweep":
        return first_version(body.outputs[result.index]) is param
    return node.attributes["kind"] in ("elementwise", "product") and _read_in_place(body, param)


def first_version(value: Value) -> Value:
    """What the array was before all updates of the body."""
    while value.node is not None and value.node.op.kind == "scatter":
        value = value.node.operands[0]
    return value


def _continues(node: Node, operand: Value, result: Value, known: Known) -> bool:
    """Whether a result of control flow is what becomes of `operand`: a loop's state, or what branches update.

    Handlers of an attempt must not want it as it was before.
    """
    position = node.operands.index(operand)
    if node.op.name == "try":
        body: Graph = node.attributes["body"]
        return not reads_operand(node, position) and _descends(body.outputs[result.index], body.params[position], known)
    if node.op.name != "case":
        return position == result.index + (3 if node.op.name == "for" else 0)
    branches: tuple[Graph, ...] = node.attributes["branches"]
    return any(_descends(b.outputs[result.index], b.params[position - 1], known) for b in branches)


def _descends(value: Value, param: Value, known: Known) -> bool:
    """Whether a value is `param` after updates in place."""
    key, todo, seen = (value, param), [value], {value}
    while key not in known and todo:
        if (value := todo.pop()) is param:
            known[key] = True
        elif value.node is not None and makes_memory(value.node):
            before = {v for v in value.node.operands if v.type == value.type and overwrites(
                value.node, v, value, known)}
            todo += before - seen
            seen |= before
    return known.setdefault(key, False)


def _read_in_place(body: Graph, param: Value) -> bool:
    """Only pointwise ops stand between the parameter and the outputs, all of its shape and element size."""
    users, todo, seen = body.users(), [param], {param}
    while todo:
        value = todo.pop()
        for node in users[value]:
            if node.op.kind != "pointwise" or node.result.shape != param.shape:
                return False
            if node.result not in seen:
                seen.add(node.result)
                todo.append(node.result)
    return all(v.shape == param.shape and v.dtype.bytes == param.dtype.bytes for v in body.outputs)


def _updates_in_place(body: Graph, root: Node) -> bool:
    """Whether the updated array is read, if at all, only where it is written, and just before."""
    if root.op.name == "dynamic_update_slice" and root.operands.count(root.operands[0]) == 1:
        return reads_of_target(root) != "other"
    return len(body.users()[root.operands[0]]) == 1 and root.operands.count(root.operands[0]) == 1


def updated(node: Node) -> Value | None:
    """The array in memory that a scatter or a slice update changes."""
    if node.op.kind == "scatter":
        return node.operands[0]
    if node.op.name != "fusion" or node.attributes["kind"] != "scatter":
        return None
    body: Graph = node.attributes["body"]
    root = body.outputs[0].node
    assert root is not None
    target = root.operands[0]
    return None if target.node is not None else node.operands[body.params.index(target)]
