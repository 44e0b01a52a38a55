"""Exits: the ways by which control may leave statements.

Flows in:  statements as the user wrote them.
Flows out: `Exits`, which answers for statements and blocks; functions inside are not entered.
"""
from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from tracejit.autograph.statements import is_endless, is_irrefutable

NEXT, BREAK, CONTINUE, RETURN = "next", "break", "continue", "return"
Ways = frozenset[str]

_SIMPLE: dict[type, Ways] = {
    ast.Break: frozenset((BREAK,)), ast.Continue: frozenset((CONTINUE,)), ast.Return: frozenset((RETURN,)),
    ast.Raise: frozenset()}
_FALLS_THROUGH: Ways = frozenset((NEXT,))
_LOOP_JUMPS: Ways = frozenset((BREAK, CONTINUE))


class Exits:
    """Remembers what it was asked: statements may be changed afterwards, their ways as written stay."""

    def __init__(self) -> None:
        self._known: dict[ast.stmt, Ways] = {}

    def of(self, node: ast.stmt) -> Ways:
        """Ways out of a statement. An exception is none."""
        known = self._known.get(node)
        if known is None:
            known = self._known[node] = self._compute(node)
        return known

    def jumps(self, node: ast.stmt) -> Ways:
        return self.of(node) - _FALLS_THROUGH

    def of_block(self, body: Iterable[ast.stmt]) -> Ways:
        ways: Ways = _FALLS_THROUGH
        for statement in body:
            if NEXT not in ways:
                break
            ways = ways - _FALLS_THROUGH | self.of(statement)
        return ways

    def _compute(self, node: Any) -> Ways:
        if isinstance(node, ast.If):
            return self.of_block(node.body) | self.of_block(node.orelse)
        if isinstance(node, ast.For | ast.While):
            return self._of_loop(node)
        if isinstance(node, ast.Try | ast.TryStar):
            return self._of_try(node)
        if isinstance(node, ast.With):    # it may swallow an exception
            return self.of_block(node.body) | _FALLS_THROUGH
        if isinstance(node, ast.Match):
            cases = frozenset().union(*(self.of_block(case.body) for case in node.cases))
            return cases if is_irrefutable(node.cases[-1]) else cases | _FALLS_THROUGH
        return _SIMPLE.get(type(node), _FALLS_THROUGH)

    def _of_loop(self, node: Any) -> Ways:
        body = self.of_block(node.body)
        ways = (body - _LOOP_JUMPS - _FALLS_THROUGH) | (_FALLS_THROUGH if BREAK in body else frozenset())
        return ways if is_endless(node) else ways | self.of_block(node.orelse)

    def _of_try(self, node: Any) -> Ways:
        ways = self.of_block([*node.body, *node.orelse])
        for handler in node.handlers:
            ways |= self.of_block(handler.body)
        final = self.of_block(node.finalbody)
        return ways | final - _FALLS_THROUGH if NEXT in final else final
