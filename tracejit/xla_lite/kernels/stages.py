"""The stages of a row: what can be computed in the first pass over it, what needs a reduction of it before.

Flows in:  the body of a `rows` fusion.
Flows out: `Plan`: per pass the reductions to accumulate and the values to store; which values are kept in a buffer
           because computing them again would cost more than reading them.
"""
from __future__ import annotations

from dataclasses import dataclass, field

from tracejit.base.dims import Size
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.kernels.folding import reduced_axes
from tracejit.xla_lite.kernels.frame import tree_costs

RECOMPUTE = 8      # additions-worth that a later pass computes again rather than reads


@dataclass(slots=True)
class Pass:
    """One loop over the row. reductions: accumulated in it.  stores: outputs.  keeps: values buffered for later."""

    reductions: list[Node] = field(default_factory=list)
    stores: list[Value] = field(default_factory=list)
    keeps: list[Value] = field(default_factory=list)

    def sinks(self) -> list[Value]:
        return [n.operands[0] for n in self.reductions] + self.stores + self.keeps


@dataclass(frozen=True, slots=True)
class Plan:
    """passes in order; scalars: outputs of the shape of a row's index."""

    passes: list[Pass]
    scalars: list[Value]


def plan_rows(body: Graph) -> Plan:
    """How a row is computed. Linear in nodes times passes."""
    reductions = [n for n in body.nodes if n.op.kind == "reduction"]
    domain, axes = reductions[0].operands[0].shape, reduced_axes(reductions[0])
    kept = tuple(n for i, n in enumerate(domain) if i not in axes)
    stage = _stages(body)
    full = [v for v in dict.fromkeys(body.outputs) if v.shape == domain and not _is_reduction(v)]
    last = max([stage[v] for v in full] + [stage[n.operands[0]] for n in reductions])
    passes = [Pass() for _ in range(last + 1)]
    for node in reductions:
        passes[stage[node.operands[0]]].reductions.append(node)
    for value in full:
        passes[stage[value]].stores.append(value)
    _choose_kept(body, passes, stage, domain, kept)
    return Plan(passes, [v for v in dict.fromkeys(body.outputs) if v not in set(full)])


def _is_reduction(value: Value) -> bool:
    return value.node is not None and value.node.op.kind == "reduction"


def _stages(body: Graph) -> dict[Value, int]:
    """The number of reductions on the longest way to each value."""
    stage: dict[Value, int] = dict.fromkeys(body.params, 0)
    for node in body.nodes:
        below = max((stage[v] for v in node.operands), default=0)
        stage.update((r, below + (node.op.kind == "reduction")) for r in node.results)
    return stage


def _choose_kept(body: Graph, passes: list[Pass], stage: dict[Value, int], domain: tuple[Size, ...],
                 kept: tuple[Size, ...]) -> None:
    """From the last pass back: a full-size value of an earlier pass that is dear is read from a buffer."""
    costs = tree_costs(body)
    for number in range(len(passes) - 1, 0, -1):
        todo, seen = passes[number].sinks(), set()
        while todo:
            value = todo.pop()
            if value in seen or value.node is None or _is_reduction(value):
                continue
            seen.add(value)
            earlier = stage[value] < number and value.shape == domain
            if earlier and costs[value] > RECOMPUTE and value.node.op.kind == "pointwise":
                here = passes[stage[value]]
                if value not in here.stores and value not in here.keeps:
                    here.keeps.append(value)
            else:
                todo.extend(value.node.operands)
