"""The graph: parameters, nodes in program order, outputs; built with interning, then not changed.

Flows in:  ops, operand values, attributes, spans.
Flows out: `Graph`, read by transforms, passes, printer and evaluator. A region is a `Graph` in a node's attributes:
           it sees nothing of the outside but its parameters and the symbolic sizes.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tracejit.base.errors import TypeRuleError
from tracejit.base.spans import SourceSpan
from tracejit.base.types import ArrayType
from tracejit.ir.attributes import attributes_key
from tracejit.ir.op import OPS, Op


class Value:
    """One SSA value. Identity is equality: interning makes equal expressions the same object."""

    __slots__ = ("index", "node", "type")

    def __init__(self, type: ArrayType, node: Node | None, index: int):
        self.type, self.node, self.index = type, node, index

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.type.shape

    @property
    def dtype(self) -> Any:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    @property
    def span(self) -> SourceSpan | None:
        return self.node.span if self.node is not None else None

    def __repr__(self) -> str:
        made_by = self.node.op.name if self.node is not None else "parameter"
        return f"<{self.type} {made_by} {self.index}>"


class Node:
    """One applied op. Attributes hold plain data and regions; `span` is the user's expression.

    has_effect: the op, or a node of a region, keeps its place in program order and is never merged or dropped.
    """

    __slots__ = ("attributes", "attributes_key", "has_effect", "op", "operands", "results", "span")

    def __init__(self, op: Op, operands: tuple[Value, ...], attributes: dict[str, Any], key: Any,
                 types: Sequence[ArrayType], span: SourceSpan | None):
        self.op, self.operands, self.attributes, self.span = op, operands, attributes, span
        self.attributes_key = key
        self.results = tuple(Value(t, self, i) for i, t in enumerate(types))
        self.has_effect = op.has_effect or (op.kind == "control" and regions_have_effect(attributes))

    @property
    def result(self) -> Value:
        """The only result."""
        (value,) = self.results
        return value

    def regions(self) -> Iterator[tuple[str, Graph]]:
        """Region attributes by name; those in a tuple as `name0`, `name1`, ..."""
        for key, value in self.attributes.items():
            if isinstance(value, Graph):
                yield key, value
            elif isinstance(value, tuple) and value and isinstance(value[0], Graph):
                yield from ((f"{key}{i}", region) for i, region in enumerate(value))

    def __repr__(self) -> str:
        return f"<{self.op.name} {', '.join(map(str, (v.type for v in self.results)))}>"


def regions_have_effect(attributes: dict[str, Any]) -> bool:
    """Whether a region in `attributes` holds a node with an effect."""
    for value in attributes.values():
        for region in value if isinstance(value, tuple) else (value,):
            if isinstance(region, Graph) and any(node.has_effect for node in region.nodes):
                return True
    return False


class Graph:
    """Parameters, nodes in program order (operands first), outputs.

    names: what parameters are called by the user, for printing only.
    notes: what whoever builds the graph knows of its values: (claim, value) -> whether it holds.
    """

    __slots__ = ("_interned", "names", "nodes", "notes", "outputs", "params")

    def __init__(self, param_types: Iterable[ArrayType] = (), names: Sequence[str] = ()):
        self.params: tuple[Value, ...] = tuple(Value(t, None, i) for i, t in enumerate(param_types))
        self.names = tuple(names)
        self.nodes: list[Node] = []
        self.outputs: tuple[Value, ...] = ()
        self._interned: dict[Any, Node] = {}
        self.notes: dict[tuple[str, Value], bool] = {}

    def add_param(self, type: ArrayType) -> Value:
        """One more parameter, at the end."""
        value = Value(type, None, len(self.params))
        self.params = (*self.params, value)
        return value

    def emit(self, op: Op | str, operands: Sequence[Value] = (), attributes: dict[str, Any] | None = None,
             span: SourceSpan | None = None) -> tuple[Value, ...]:
        """Applies `op`; an equal node that is already here is used again. Raises TypeRuleError with `span`."""
        op = OPS[op] if isinstance(op, str) else op
        attributes = attributes or {}
        if op.has_effect or (op.kind == "control" and regions_have_effect(attributes)):
            return self._append(op, tuple(operands), attributes, attributes_key(attributes), span).results
        parts = attributes_key(attributes) if attributes else ()
        key = (op.name, parts, *operands)
        if (node := self._interned.get(key)) is None:
            node = self._interned[key] = self._append(op, tuple(operands), attributes, parts, span)
        return node.results

    def _append(self, op: Op, operands: tuple[Value, ...], attributes: dict[str, Any], key: Any,
                span: SourceSpan | None) -> Node:
        try:
            types = op.type_rule(*[v.type for v in operands], **attributes)
        except TypeRuleError as error:
            raise error.at(span) from None
        node = Node(op, operands, attributes, key, types, span)
        self.nodes.append(node)
        return node

    def keep(self, node: Node, operands: Sequence[Value]) -> tuple[Value, ...]:
        """`emit` of a node of another graph on operands of the same types: the type rule need not run again."""
        key = (node.op.name, node.attributes_key, *operands)
        if (made := self._interned.get(key)) is None or node.has_effect:
            made = Node(node.op, tuple(operands), node.attributes, node.attributes_key,
                        [v.type for v in node.results], node.span)
            self.nodes.append(made)
            if not node.has_effect:
                self._interned[key] = made
        return made.results

    def find(self, op: Op, operands: Sequence[Value], attributes: dict[str, Any]) -> tuple[Value, ...] | None:
        """The results of an equal node, if there is one."""
        node = self._interned.get((op.name, attributes_key(attributes) if attributes else (), *operands))
        return node.results if node is not None else None

    def forget(self, node: Node) -> None:
        """A node that is no longer here is not used again; for whoever builds this graph."""
        self._interned = {k: n for k, n in self._interned.items() if n is not node}

    def separate(self) -> None:
        """From here on, expressions are new nodes even if they equal earlier ones."""
        self._interned = {}

    def keep_only(self, live: set[Node]) -> None:
        """Forgets all other nodes; for whoever builds this graph."""
        self.nodes = [n for n in self.nodes if n in live]
        self._interned = {k: n for k, n in self._interned.items() if n in live}

    def add(self, op: Op | str, *operands: Value, span: SourceSpan | None = None, **attributes: Any) -> Value:
        """`emit` for an op with one result."""
        (value,) = self.emit(op, operands, attributes, span)
        return value

    def inline(self, body: Graph, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """Copies `body` in here with `arguments` for its parameters; returns its outputs."""
        env = dict(zip(body.params, arguments, strict=True))
        for node in body.nodes:
            env.update(zip(node.results, self.keep(node, [env[v] for v in node.operands]), strict=True))
        return tuple(env[v] for v in body.outputs)

    def users(self) -> dict[Value, list[Node]]:
        """Who reads each value, in program order; a node that reads it twice is listed once."""
        users: dict[Value, list[Node]] = {v: [] for v in self.params}
        for node in self.nodes:
            for value in dict.fromkeys(node.operands):
                users[value].append(node)
            users.update((v, []) for v in node.results)
        return users

    def __str__(self) -> str:
        from tracejit.ir.printer import print_graph
        return print_graph(self)

    def __eq__(self, other: object) -> bool:
        """Same text: same structure, ops, attributes and types. Spans and parameter names don't count."""
        return isinstance(other, Graph) and (self is other or str(self) == str(other))

    def __hash__(self) -> int:
        return id(self) >> 4
