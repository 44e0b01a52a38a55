"""How long a run takes, roughly: whether the interpreter's lock is worth releasing is decided from this.

Flows in:  a graph.
Flows out: `Work`, nanoseconds as a sum of coefficients times sizes.
"""
from __future__ import annotations

from collections.abc import Mapping

from tracejit.base.dims import Size
from tracejit.ir.graph import Graph
from tracejit.ops.effects import HOST_OPS
from tracejit.xla_lite.runtime.signature import UNKNOWN_WORK, Slot, Work

PER_ELEMENT = 8      # additions-worth that a core does in a nanosecond, in vectors


def work_of(graph: Graph, dim_slots: Mapping[str, int]) -> Work:
    """Loops whose length depends on data count as long."""
    total: Size = 0
    for node in graph.nodes:
        if node.op.name in ("while", "for", "case", "try", *HOST_OPS) or node.op.kind == "contraction":
            return UNKNOWN_WORK
        sizes = [v.type.size for v in (*node.operands, *node.results)]
        total = total + sum((n for n in sizes if n != 1), 0) * max(1, node.op.cost)
    if isinstance(total, int):
        return Work(((total // PER_ELEMENT, ()),))
    terms = []
    for monomial, coefficient in total.terms:
        slots = []
        for atom, power in monomial:
            if not isinstance(atom, str) or atom not in dim_slots:
                return UNKNOWN_WORK
            slots += [Slot(dim_slots[atom])] * power
        terms.append((max(1, coefficient // PER_ELEMENT), tuple(slots)))
    return Work(tuple(terms))
