"""Rewrite rules: a pattern language, and the driver that applies rules until none matches.

Flows in:  rules made by `@rewrite(pattern)` or `@rewrite_each(op or kind)`, and a `Graph`.
Flows out: the rewritten graph, or the same one if no rule applied.

One sweep in program order: operands are in their final form when a node is reached, and what a rule makes is
rewritten again at once, so that a second sweep finds nothing unless a value lost users.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.errors import InternalError
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.op import OPS, Op
from tracejit.ir.rewriting import live_nodes, map_regions

COMMUTATIVE = frozenset(("add", "multiply", "and", "or", "xor"))
MAX_DEPTH = 100    # rules that make nodes to which rules apply, and so on
MAX_SWEEPS = 8

Bindings = dict[str, Any]
Results = tuple[Value, ...]


# ---- patterns --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pattern:
    """One applied op. operands: names that bind values, or patterns.  attributes: (attribute, name it binds)."""

    op: str
    operands: tuple[str | Pattern, ...]
    attributes: tuple[tuple[str, str], ...]

    def match(self, operands: Sequence[Value], attributes: Bindings, found: Bindings) -> bool:
        """Fills `found`; a name that occurs twice must bind one value."""
        for pattern, value in zip(self.operands, operands, strict=True):
            if isinstance(pattern, str):
                if found.setdefault(pattern, value) is not value:
                    return False
            elif not pattern.matches_value(value, found):
                return False
        for attribute, name in self.attributes:
            found[name] = attributes[attribute]
        return True

    def matches_value(self, value: Value, found: Bindings) -> bool:
        node = value.node
        if node is None or node.op.name != self.op or len(node.operands) != len(self.operands):
            return False
        if self.match(node.operands, node.attributes, found):
            return True
        return self.op in COMMUTATIVE and self.match(node.operands[::-1], node.attributes, found)


@dataclass(frozen=True, slots=True)
class Number(Pattern):
    """A constant with one value for all elements, bound to a name as a Python number."""

    def matches_value(self, value: Value, found: Bindings) -> bool:
        number = splat(value)
        if number is None:
            return False
        found[self.op] = number
        return True


class _Patterns:
    """`p.add("x", p.number("c"))`: the pattern of an op by its name; a trailing underscore is dropped."""

    def __getattr__(self, name: str) -> Callable[..., Pattern]:
        return lambda *operands, **attributes: Pattern(name.rstrip("_"), operands, tuple(attributes.items()))

    @staticmethod
    def number(name: str) -> Pattern:
        return Number(name, (), ())


p = _Patterns()


def splat(value: Value) -> Any:
    """The number that all elements of a constant are; None for other values."""
    node = value.node
    if node is None or node.op.name != "constant":
        return None
    number = node.attributes["value"]
    return None if isinstance(number, tuple) else number


# ---- rules -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """apply(rewriter, op, operands, attributes) -> results, or None where the rule does not hold.

    op: the name or kind of op it is tried on.  exact: results stay bit for bit the same (NaN payloads aside).
    """

    name: str
    op: str
    apply: Callable[[Rewriter, Op, Sequence[Value], Bindings], Results | None]
    exact: bool = True


def rewrite(pattern: Pattern, *, exact: bool = True) -> Callable[[Callable[..., Value | None]], Rule]:
    """Makes a rule of `make(g, **bindings)`, which returns a value of the same type, or None."""
    def made(make: Callable[..., Value | None]) -> Rule:
        swaps = pattern.op in COMMUTATIVE

        def apply(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
            found: Bindings = {}
            if not pattern.match(operands, attributes, found):
                found = {}
                if not swaps or not pattern.match(operands[::-1], attributes, found):
                    return None
            value = make(g, **found)
            return None if value is None else (value,)

        return Rule(make.__name__, pattern.op, apply, exact)

    return made


def rewrite_each(op: str, *, exact: bool = True
                 ) -> Callable[[Callable[[Rewriter, Op, Sequence[Value], Bindings], Results | None]], Rule]:
    """Makes a rule of a function that is tried on every node of an op or a kind of op."""
    return lambda apply: Rule(apply.__name__, op, apply, exact)


class RuleSet:
    """Rules by the name of the op they are tried on; built once, at import."""

    def __init__(self, rules: Iterable[Rule]):
        self.rules = tuple(rules)
        self._by_op: dict[str, tuple[Rule, ...]] = {}
        for op in OPS.values():
            found = tuple(r for r in self.rules if r.op in (op.name, op.kind))
            if found:
                self._by_op[op.name] = found

    def of(self, op: Op) -> tuple[Rule, ...]:
        return self._by_op.get(op.name, ())


# ---- driver ----------------------------------------------------------------------------------------------------


class Rewriter:
    """The graph being built; what rules emit is rewritten at once."""

    def __init__(self, graph: Graph, rules: RuleSet):
        self.source, self.rules = graph, rules
        self.graph = Graph([v.type for v in graph.params], graph.names)
        self.fired: list[str] = []
        self.declined = False    # a rule did not apply only because a value has several users
        self._uses: dict[Value, int] = {}
        self._read: set[Node | None] | None = None
        self._users: dict[Value, list[Node]] | None = None
        self._node: Node | None = None
        self.span: SourceSpan | None = None
        self._depth = 0

    def add(self, name: str, *operands: Value, **attributes: Any) -> Value:
        """A new node with one result, simplified."""
        return self.emit(OPS[name], operands, attributes)[0]

    def constant(self, value: Any, like: Value) -> Value:
        return self.graph.add("constant", value=value, type=like.type, span=self.span)

    def constant_like(self, value: Value, shape: tuple[Size, ...]) -> Value:
        """The number that `value` is, in another shape."""
        return self.graph.add("constant", value=splat(value), type=value.type.with_shape(shape), span=self.span)

    def emit(self, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results:
        made = self.apply(op, operands, attributes)
        return self.graph.emit(op, operands, attributes, self.span) if made is None else made

    def apply(self, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
        """What the first rule that matches makes of the node; an equal node with swapped operands; or None."""
        if self._depth < MAX_DEPTH:
            self._depth += 1
            for rule in self.rules.of(op):
                if (made := rule.apply(self, op, operands, attributes)) is not None:
                    self.fired.append(rule.name)
                    self._depth -= 1
                    return made
            self._depth -= 1
        return self.graph.find(op, operands[::-1], attributes) if op.name in COMMUTATIVE else None

    def uses(self, value: Value) -> int:
        """How often nodes and outputs read `value`; 0 for a value that rules have just made."""
        return self._uses.get(value, 0)

    def is_read_by_nodes(self) -> bool:
        """Whether a node reads what is being rewritten; else it is an output only."""
        if self._read is None:
            self._read = {v.node for n in self.source.nodes for v in n.operands}
        return self._node in self._read

    def read_by(self) -> tuple[Value, list[Node]] | None:
        """What the node being rewritten reads first, and all nodes of the source that read it; None for an output."""
        assert self._node is not None
        if not self._node.operands:
            return None
        if self._users is None:
            self._users = self.source.users()
        value = self._node.operands[0]
        return None if value in self.source.outputs else (value, self._users[value])

    def sweep(self, change_region: Callable[[Graph], Graph]) -> Graph:
        """Every live node once, in program order."""
        live = live_nodes(self.source)
        uses = _count_uses(self.source, live)
        env: dict[Value, Value] = dict(zip(self.source.params, self.graph.params, strict=True))
        changed = len(live) != len(self.source.nodes)
        for node in self.source.nodes:
            if node not in live:
                continue
            self._node, self.span = node, node.span
            operands = [env[v] for v in node.operands]
            attributes = map_regions(node, change_region) if node.op.kind == "control" else None
            made = self.apply(node.op, operands, attributes or node.attributes)
            changed = changed or made is not None or attributes is not None
            if made is not None:
                self._check(node, made)
            else:
                made = (self.graph.emit(node.op, operands, attributes, node.span) if attributes
                        else self.graph.keep(node, operands))
            for old, new in zip(node.results, made, strict=True):
                env[old] = new
                self._uses[new] = self._uses.get(new, 0) + uses.get(old, 0)
        self.graph.outputs = tuple(env[v] for v in self.source.outputs)
        if not changed and len(self.graph.nodes) == len(self.source.nodes):
            return self.source
        self.graph.keep_only(live_nodes(self.graph))
        return self.graph


    def _check(self, node: Node, made: Results) -> None:
        if [v.type for v in node.results] != [v.type for v in made]:
            raise InternalError(f"rule `{self.fired[-1]}` turned {node} into {made}")


def _count_uses(graph: Graph, live: set[Node]) -> dict[Value, int]:
    uses = dict.fromkeys(graph.outputs, 1)
    for node in live:
        for value in node.operands:
            uses[value] = uses.get(value, 0) + 1
    return uses


def apply_rules(graph: Graph, rules: RuleSet) -> Graph:
    """Applies `rules` everywhere, regions included, until nothing changes."""
    for _ in range(MAX_SWEEPS):
        rewriter = Rewriter(graph, rules)
        after = rewriter.sweep(lambda region: apply_rules(region, rules))
        if after is graph:
            return graph
        graph = after
        if not rewriter.declined:
            return graph
    return graph
