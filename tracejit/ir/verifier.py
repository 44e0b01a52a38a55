"""Raises unless operands precede uses and every type is what the type rule says.

Flows in:  a `Graph`.
Flows out: nothing, or `InternalError` that names the op and prints the graph.
"""
from __future__ import annotations

from collections.abc import Mapping

from tracejit.base.dims import Dim
from tracejit.base.errors import InternalError
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value

Handlers = Mapping[str, tuple[ArrayType, ...]]    # what each handler around takes, by label and number


def verify(graph: Graph, sizes: frozenset[str] = frozenset(), around: Handlers | None = None) -> None:
    """sizes: symbolic sizes known from outside (of a region).  around: the handlers that a region may name."""
    known: set[Value] = set(graph.params)
    sizes = sizes.union(*(p.type.symbols() for p in graph.params), {"?"})
    for node in graph.nodes:
        if not known.issuperset(node.operands):
            raise InternalError(f"operand used before its definition in `{node.op.name}` of\n{graph}")
        expected = tuple(node.op.type_rule(*(v.type for v in node.operands), **node.attributes))
        if expected != tuple(v.type for v in node.results):
            raise InternalError(f"result types of `{node.op.name}` disagree with its rule, {expected}, in\n{graph}")
        if node.op.name == "bind_dim":
            sizes |= {node.attributes["dim"]}
        for value in node.results:
            if not sizes.issuperset(value.type.symbols()):
                raise InternalError(f"a size of {value.type} in `{node.op.name}` is bound nowhere before, in\n{graph}")
        verify_jump(graph, node, around or {})
        for name, region in node.regions():
            verify(region, sizes, {**(around or {}), **handlers_of(node)} if name == "body" else around)
        known.update(node.results)
    if not known.issuperset(graph.outputs):
        raise InternalError(f"an output is not defined in\n{graph}")


def handlers_of(node: Node) -> Handlers:
    """What the handlers of a `try` take from whoever names them."""
    if node.op.name != "try":
        return {}
    return {f"{node.attributes['label']}:{k}": tuple([p.type for p in h.params[:len(h.params) - len(node.operands)]])
            for k, h in enumerate(node.attributes["handlers"])}


def verify_jump(graph: Graph, node: Node, around: Handlers) -> None:
    """An `assert` that names a handler is inside that `try` and hands over what the handler takes."""
    to = node.attributes.get("to")
    if node.op.name == "assert" and to and around.get(to) != tuple([v.type for v in node.operands[1:]]):
        raise InternalError(f"`assert` does not give what handler {to} takes, {around.get(to)}, in\n{graph}")


def sizes_bound_by(params: tuple[Value, ...]) -> frozenset[str]:
    """Symbols that stand alone as a size of some parameter, so that they can be read off the arguments."""
    found = (d.as_symbol for p in params for d in p.shape if isinstance(d, Dim))
    return frozenset(name for name in found if name is not None)
