"""`if` statements.

Flows in:  `if test: ... else: ...` without jumps.
Flows out: `ag.if_(test, body, orelse, names)` whose branches are functions.
"""
from __future__ import annotations

import ast
from typing import Any

from tracejit.autograph.conditions import asked
from tracejit.autograph.lifting import LiftingRewriter
from tracejit.autograph.rewriting import operator, statement


class BranchRewriter(LiftingRewriter):
    """Contract: afterwards no `if` of the user's is Python's, except where frames matter."""

    def visit_If(self, node: ast.If) -> Any:
        variables = self.context.variables
        if variables is None or self.context.in_class:
            return super().visit_If(node)    # type: ignore[misc]
        facts = variables.facts[node]
        test = self.visit(asked(node.test))
        definition, body = self.lift("body", node.body, node)
        made = [definition]
        orelse: ast.expr = self.none(node)
        if node.orelse:
            definition, orelse = self.lift("orelse", node.orelse, node)
            made.append(definition)
        call = operator("if_", node.test, test, body, orelse, self.names(facts.results, node))
        return [*made, statement(call, node.test)]
