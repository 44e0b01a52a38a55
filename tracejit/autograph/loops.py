"""`while` and `for` statements.

Flows in:  loops without jumps; a `for` that may be left early ends with `if flag: break`.
Flows out: `ag.while_(test, body, names)` and `ag.for_(iterable, body, go_on, names)`.
"""
from __future__ import annotations

import ast
from typing import Any

from tracejit.autograph.conditions import asked
from tracejit.autograph.jumps import negated
from tracejit.autograph.lifting import LiftingRewriter
from tracejit.autograph.rewriting import load, operator, statement
from tracejit.autograph.statements import target_use


class LoopRewriter(LiftingRewriter):
    """Contract: afterwards no loop of the user's is Python's, except where frames matter."""

    def visit_While(self, node: ast.While) -> Any:
        variables = self.context.variables
        if variables is None or self.context.in_class:
            return super().visit_While(node)    # type: ignore[misc]
        facts = variables.facts[node]
        self.context.surely -= facts.deletes
        test = self.thunk(asked(node.test))
        definition, body = self.lift("body", node.body, node)
        call = operator("while_", node.test, test, body, self.names(facts.carried, node))
        return [definition, statement(call, node.test)]

    def visit_For(self, node: ast.For) -> Any:
        variables = self.context.variables
        if variables is None or self.context.in_class:
            return super().visit_For(node)
        facts = variables.facts[node]
        iterable = self.visit(node.iter)
        go_on = self.none(node)
        if (asked := node.body[-1]) and _leaves(asked):
            go_on = self.thunk(negated(asked.test))    # type: ignore[attr-defined]
            node.body.pop()
        item = self.context.fresh("item")
        self.context.surely -= facts.deletes
        first = self.bind(node.target, load(item, node.target), node.target)
        writes = target_use(node, self.context.names).may_write
        definition, body = self.lift("body", node.body, node, [item], first, writes)
        call = operator("for_", node.iter, iterable, body, go_on, self.names(facts.carried, node))
        return [definition, statement(call, node.iter)]


def _leaves(node: ast.stmt) -> bool:
    """Whether this is the statement in which jumps ask the flags of a loop."""
    return isinstance(node, ast.If) and isinstance(node.body[0], ast.Break)
