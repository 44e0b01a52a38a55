"""`try` without failures: branches and loops with a number that says which handler is to run, for derivatives.

Flows in:  graphs with `try` nodes whose handlers are given floats that the body has computed before it failed.
Flows out: the same without these nodes. What runs of the body is known by ordinary control flow, so the way back goes
           through it; what handlers are given travels in slots, one for each value that any handler takes.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.base.dtypes import BOOL, I64
from tracejit.base.errors import GradientError
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild
from tracejit.ir.terms import Term
from tracejit.ops.control_derivatives import sends
from tracejit.ops.loop_derivatives import counted

WORD = ArrayType(I64)


def without_failures(graph: Graph) -> Graph:
    """The graph without `try` nodes that hand computed floats to handlers; the same graph if there are none."""
    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        attributes = map_regions(node, without_failures) if node.op.kind == "control" else None
        if node.op.name == "try":
            known = attributes or node.attributes
            floats = {p for p in known["body"].params if p.dtype.is_inexact}
            if sends(known["body"], floats, known["label"]):
                return _structured(copy, known, operands)
        return None if attributes is None else copy.emit(node.op, operands, attributes, node.span)

    return rebuild(graph, change)


def _structured(copy: Graph, attributes: dict[str, Any], operands: list[Value]) -> Sequence[Value]:
    """The guarded body, and a branch on how it ended."""
    body, handlers = attributes["body"], attributes["handlers"]
    given = [tuple(p.type for p in h.params[:len(h.params) - len(operands)]) for h in handlers]
    guard = Guard(attributes["label"], given)
    ends = copy.inline(guard.region(body), operands)
    count = len(body.outputs)
    arguments = [*ends[:count], *ends[count + 1:], *operands]
    normal = Graph([v.type for v in arguments])
    normal.outputs = normal.params[:count]
    branches = [normal]
    for k, handler in enumerate(handlers):
        branch = Graph([v.type for v in arguments])
        first = count + guard.first(k)
        mine = branch.params[first:first + len(given[k])]
        branch.outputs = branch.inline(handler, [*mine, *branch.params[len(arguments) - len(operands):]])
        branches.append(branch)
    return copy.emit("case", [ends[count], *arguments], {"branches": tuple(branches)})


@dataclass(frozen=True, slots=True)
class Guard:
    """Makes regions that don't fail. Their outputs: the region's own, the number of the handler to run (0: none,
    1: the first), the slots. given: what each handler takes.
    """

    label: str
    given: list[tuple[ArrayType, ...]]

    @property
    def extra(self) -> list[ArrayType]:
        """The types of the outputs that regions have more."""
        return [WORD, *(t for types in self.given for t in types)]

    def first(self, handler: int) -> int:
        """The first slot of a handler."""
        return sum(map(len, self.given[:handler]))

    def region(self, graph: Graph) -> Graph:
        made = Graph([p.type for p in graph.params])
        env = dict(zip(graph.params, made.params, strict=True))
        made.outputs = tuple(self.rest(made, env, graph.nodes, graph.outputs))
        return made

    def rest(self, made: Graph, env: dict[Value, Value], nodes: Sequence[Node], outputs: Sequence[Value]
             ) -> list[Value]:
        """Nodes up to the first that may fail; behind it a branch, in which the others are."""
        for k, node in enumerate(nodes):
            if not self.may_fail(node):
                env.update(zip(node.results, made.keep(node, [env[v] for v in node.operands]), strict=True))
                continue
            if node.op.name == "assert":
                holds, ended = env[node.operands[0]], self.failed(made, env, node)
            else:
                results, ended = self.control(made, node, [env[v] for v in node.operands])
                env.update(zip(node.results, results, strict=True))
                holds = made.add("compare", ended[0], _number(made, 0), direction="EQ")
            return self.branch(made, env, holds, ended, nodes[k + 1:], outputs)
        return [*(env[v] for v in outputs), *_zeros(made, self.extra)]

    def may_fail(self, node: Node) -> bool:
        """Whether it may end the attempt."""
        if node.op.name == "assert":
            return str(node.attributes.get("to", "")).rpartition(":")[0] == self.label
        return node.has_effect and any(self.may_fail(n) for _, region in node.regions() for n in region.nodes)

    def failed(self, made: Graph, env: dict[Value, Value], node: Node) -> list[Value]:
        """Number and slots after a failure."""
        handler = int(node.attributes["to"].rpartition(":")[2])
        number, *slots = _zeros(made, self.extra)
        first = self.first(handler)
        slots[first:first + len(self.given[handler])] = [env[v] for v in node.operands[1:]]
        return [_number(made, handler + 1), *slots]

    def branch(self, made: Graph, env: dict[Value, Value], holds: Value, ended: Sequence[Value],
               nodes: Sequence[Node], outputs: Sequence[Value]) -> list[Value]:
        """The rest if nothing has failed, otherwise how it ended."""
        read = [v for n in nodes for v in n.operands] + list(outputs)
        live = [v for v in dict.fromkeys(read) if v in env]
        operands = [*(env[v] for v in live), *ended]
        fails, goes_on = Graph([v.type for v in operands]), Graph([v.type for v in operands])
        fails.outputs = (*_zeros(fails, [v.type for v in outputs]), *fails.params[len(live):])
        inner = dict(zip(live, goes_on.params, strict=False))
        goes_on.outputs = tuple(self.rest(goes_on, inner, nodes, outputs))
        return list(made.emit("case", [holds, *operands], {"branches": (fails, goes_on)}))

    # ---- nodes with regions that may fail -------------------------------------------------------------

    def control(self, made: Graph, node: Node, operands: list[Value]) -> tuple[Sequence[Value], list[Value]]:
        """The results, and how it ended."""
        found: Sequence[Value]
        if node.op.name in ("case", "try"):
            attributes = map_regions(node, self.region)
            found = made.emit(node.op, operands, attributes, node.span)
        elif node.op.name == "while":
            found = self.while_loop(made, node.attributes["cond"], self.region(node.attributes["body"]), operands,
                                    node.attributes["carries"])
        elif node.op.name == "for":
            found = self.for_loop(made, node, operands)
        else:
            raise GradientError(f"a failure inside of `{node.op.name}` goes to a handler of `try`", span=node.span,
                                fix="let the handler read what was there before, or do without derivatives there")
        count = len(node.results)
        return found[:count], list(found[count:])

    def while_loop(self, made: Graph, cond: Graph, body: Graph, operands: Sequence[Value], count: int
                   ) -> Sequence[Value]:
        """Goes on while nothing has failed. body: guarded; number and slots are the last carries."""
        extra = len(self.extra)
        starts = [*operands[:count], *_zeros(made, self.extra), *operands[count:]]
        testing, going = (Graph([v.type for v in starts]) for _ in range(2))
        mine = [(*g.params[:count], *g.params[count + extra:]) for g in (testing, going)]
        (test,) = testing.inline(cond, mine[0])
        fine = testing.add("compare", testing.params[count], _number(testing, 0), direction="EQ")
        testing.outputs = (testing.add("and", test, fine),)
        going.outputs = going.inline(body, mine[1])
        return made.emit("while", starts, {"cond": testing, "body": going, "carries": count + extra})

    def for_loop(self, made: Graph, node: Node, operands: Sequence[Value]) -> Sequence[Value]:
        """A `while` that counts rounds: the first carry of it."""
        lower, upper, step = (Term(made, v, node.span) for v in operands[:3])
        count, inner = node.attributes["carries"], self.region(node.attributes["body"])
        starts = [_number(made, 0), *operands[3:], lower.value, step.value, counted(lower, upper, step).value]
        types = [v.type for v in starts]
        cond, body = Graph(types), Graph(types)
        cond.outputs = (cond.add("compare", cond.params[0], cond.params[-1], direction="LT"),)
        k, begin, by = (Term(body, body.params[n]) for n in (0, -3, -2))
        results = body.inline(inner, [(begin + k * by).value, *body.params[1:-3]])
        body.outputs = ((k + 1).value, *results)
        return self.while_loop(made, cond, body, starts, count + 1)[1:]


def _zeros(made: Graph, types: Iterable[ArrayType]) -> list[Value]:
    return [made.add("constant", value=False if t.dtype is BOOL else 0, type=t) for t in types]


def _number(made: Graph, number: int) -> Value:
    return made.add("constant", value=number, type=WORD)


__all__ = ["without_failures"]
