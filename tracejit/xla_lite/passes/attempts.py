"""Attempts in a plan: what their results may overwrite, and where the state lies that handlers are given.

Flows in:  `try` nodes; the plan of an attempt's body.
Flows out: `reads_operand`, `states_in_results`.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.passes.plan import Plan

Homes = Mapping[Value, int]     # value -> the result of the attempt in whose memory it lies


def reads_operand(attempt: Node, position: int) -> bool:
    """Whether a handler reads an operand of the attempt as it was before."""
    handlers: tuple[Graph, ...] = attempt.attributes["handlers"]
    behind = position - len(attempt.operands)
    return any(h.params[behind] in h.outputs or h.users()[h.params[behind]] for h in handlers)


# ---- state that lies in place ----------------------------------------------------------------------------------


def states_in_results(attempt: Node, k: int, plan: Plan, lies_on: Mapping[int, int]) -> list[int | None]:
    """For each value that handler k is given: the result of the attempt in whose memory it lies at every failure.

    plan: of the body.  lies_on: parameter of the body -> the result that lies in its memory. A result is named once.
    """
    handler, body = attempt.attributes["handlers"][k], attempt.attributes["body"]
    homes = {p: lies_on[p.index] for p in body.params if p.index in lies_on}
    walk = _Walk(f"{attempt.attributes['label']}:{k}")
    walk.graph(body, plan, homes, [v.index for v in attempt.results])
    count = len(handler.params) - len(attempt.operands)
    found: list[int | None] = []
    for j in range(count):
        home = walk.common[j] if walk.common is not None else None
        fits = home is not None and home not in found and handler.params[j].type == attempt.results[home].type
        found.append(home if fits else None)
    return found


@dataclass(slots=True)
class _Walk:
    """Walks a body to each failure for one handler. common: per value handed over, the home at all of them."""

    to: str
    common: list[int | None] | None = None

    def graph(self, graph: Graph, plan: Plan, homes: Homes, targets: list[int | None]) -> None:
        """homes: of parameters.  targets: homes of the places of the outputs."""
        known = _Known(plan, homes, targets)
        for node in graph.nodes:
            if node.attributes.get("to") == self.to:
                self.join([known.home(v) if v.rank else None for v in node.operands[1:]])
            elif node.has_effect and node.op.kind == "control":
                self.regions(node, known)

    def join(self, homes: list[int | None]) -> None:
        before = homes if self.common is None else self.common
        self.common = [x if x == y else None for x, y in zip(before, homes, strict=True)]

    def regions(self, node: Node, known: _Known) -> None:
        results = [known.home(v) if v.rank else None for v in node.results]
        for name, region in node.regions():
            plan = known.plan.regions[node, name][0]
            given = [known.home(v) if v.rank else None for v in node.operands]
            if node.op.name in ("while", "for"):
                first = 3 if node.op.name == "for" else 0
                given = [*given[:first][:1], *results, *given[first + len(results):]]
            elif node.op.name == "case":
                given = given[1:]
            elif name != "body":
                states = known.plan.states[node, int(name.removeprefix("handlers"))]
                given = [*(results[p.target] if p.kind == "target" else None for p in states), *given]
            homes = {p: h for p, h in zip(region.params, given, strict=True) if h is not None}
            self.graph(region, plan, homes, results if name != "cond" else [None])


@dataclass(slots=True)
class _Known:
    """The homes of one graph's values."""

    plan: Plan
    params: Homes
    targets: list[int | None]

    def home(self, value: Value) -> int | None:
        while (place := self.plan.places[value]).kind == "takeover" and place.of is not None:
            value = place.of
        if place.kind == "target":
            return self.targets[place.target]
        return self.params.get(value)
