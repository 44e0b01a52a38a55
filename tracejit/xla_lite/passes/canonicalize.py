"""Canonicalisation: every simple rewrite rule, applied together.

Flows in:  any `Graph`.
Flows out: a graph of the same meaning in which no rule applies; equal nodes are one, dead nodes are gone.
"""
from __future__ import annotations

from tracejit.ir.graph import Graph
from tracejit.xla_lite.passes import algebra, fold, index_rules, mask_rules, reduction_rules, update_rules, view_rules
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.rewriting import RuleSet, apply_rules

RULES = RuleSet((*fold.RULES, *view_rules.RULES, *update_rules.RULES, *reduction_rules.RULES, *algebra.RULES,
                 *mask_rules.RULES, *index_rules.RULES))


@graph_pass(gives=("canonical", "no equal nodes", "no dead nodes"))
def canonicalize(graph: Graph) -> Graph:
    """Applies all rules until none matches. About linear: a rule looks at a bounded part of the graph."""
    return apply_rules(graph, RULES)
