"""Truth: tests of statements and comprehensions, `and`, `or`, `not`, chained comparisons, `a if c else b`, `assert`.

Flows in:  expressions whose truth Python would ask for.
Flows out: `ag.condition(test)` for tests; `ag.and_(a, lambda: b)` and the like, which keep Python's laziness.
           Where a lambda would change the meaning (`:=`, `yield` or `locals()` inside, the body of a class) the
           expression stays and the value's own `__bool__` answers.
"""
from __future__ import annotations

import ast
from typing import Any

from tracejit.autograph.lifting import LiftingRewriter
from tracejit.autograph.rewriting import constant, locate, operator, statement

_COMPARISONS: dict[type, str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in"}


class ConditionRewriter(LiftingRewriter):
    """Contract: afterwards no test of the user's asks for truth except through the namespace, as far as said above."""

    def test(self, node: ast.expr) -> ast.expr:
        return operator("condition", node, self.visit(asked(node)))

    def visit_If(self, node: Any) -> Any:
        node.test = self.test(node.test)
        node.body = self.statements(node.body)
        node.orelse = self.statements(node.orelse) if node.orelse else []
        return node

    visit_While = visit_If

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        node.iter = self.visit(node.iter)
        node.ifs = [self.test(c) for c in node.ifs]
        return node

    def guarded(self, node: ast.match_case) -> ast.match_case:
        """The case with its guard, which was visited before, as a test."""
        node.guard = operator("condition", node.guard, node.guard) if node.guard is not None else None
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        if not self.may_wait(*node.values[1:]):
            node.values = [self.visit(v) for v in node.values]
            return node
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        return operator(name, node, self.visit(node.values[0]), *map(self.thunk, node.values[1:]))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if not isinstance(node.op, ast.Not):
            node.operand = self.visit(node.operand)
            return node
        return operator("not_", node, self.visit(asked(node.operand)))

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        if self.may_wait(node.body, node.orelse):
            test = self.visit(asked(node.test))
            return operator("if_expression", node.test, test, self.thunk(node.body), self.thunk(node.orelse))
        node.test, node.body, node.orelse = self.test(node.test), self.visit(node.body), self.visit(node.orelse)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """`a < b < c` is `ag.compare(("<", "<"), a, b, lambda: c)`; a single `<` is an operator of its own, except of
        tuples and lists that stand there."""
        single = len(node.ops) == 1 and not isinstance(node.ops[0], ast.Is | ast.IsNot | ast.In | ast.NotIn) \
            and not any(isinstance(n, ast.Tuple | ast.List) for n in (node.left, *node.comparators))
        keeps = single or not self.may_wait(*node.comparators[1:])
        node.left, node.comparators[0] = self.visit(node.left), self.visit(node.comparators[0])
        if keeps:
            node.comparators[1:] = [self.visit(c) for c in node.comparators[1:]]
            return node
        signs: list[ast.expr] = [constant(_COMPARISONS[type(op)], node) for op in node.ops]
        operators = locate(ast.Tuple(signs, ast.Load()), node)
        return operator("compare", node, operators, node.left, node.comparators[0],
                        *map(self.thunk, node.comparators[1:]))

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        if node.msg is not None and not self.may_wait(node.msg):
            node.test, node.msg = self.test(node.test), self.visit(node.msg)
            return node
        test = self.visit(asked(node.test))
        message = [] if node.msg is None else [self.thunk(node.msg)]
        return statement(operator("assert_", node.test, test, *message), node)


def asked(node: ast.expr) -> ast.expr:
    """An expression of which only the truth is wanted: operands of `and` and `or` become `not not operand`.

    As values they would have to be of one type: `if 0 <= i < n and counts[i]` has a bool and an int.
    """
    pending = [node]
    while pending:
        found = pending.pop()
        if isinstance(found, ast.BoolOp):
            pending += found.values
            found.values = [v if _is_truth(v) else _twice_negated(v) for v in found.values]
    return node


def _is_truth(node: ast.expr) -> bool:
    """Whether the value is True or False, or an array of them. Flags of the converter are."""
    if isinstance(node, ast.Name):
        return "!" in node.id
    return isinstance(node, ast.Compare | ast.BoolOp) or isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _twice_negated(node: ast.expr) -> ast.expr:
    for _ in range(2):
        node = locate(ast.UnaryOp(ast.Not(), node), node)
    return node
