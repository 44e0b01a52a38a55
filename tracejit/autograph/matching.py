"""`match` statements that choose by value, as chains of `if`.

Flows in:  the body of a function as the user wrote it.
Flows out: the same body; a `match` whose patterns are values, singletons, alternatives of them, one name or `_` is a
           chain of `if`, so that a traced subject can choose. Patterns of structure stay: it is known while tracing.
"""
from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracejit.autograph.rewriting import assign, load, locate, store
from tracejit.autograph.scopes import Resolution


def choose_by_if(root: ast.FunctionDef, names: Resolution, fresh: Callable[[str], str]) -> dict[ast.stmt, ast.stmt]:
    """Rewrites blocks in place. Returns the `match` that each new statement was made of."""
    chains = _Chains(names, fresh)
    pending: list[Any] = [root]
    while pending:
        node = pending.pop()
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for block in (getattr(part, name, ()) for name in ("body", "orelse", "finalbody")):
                if block:
                    block[:] = [made for statement in block for made in chains.replaced(statement)]
                    pending += [s for s in block if not isinstance(s, ast.FunctionDef | ast.ClassDef)]
    return chains.made


@dataclass(slots=True)
class _Chains:
    names: Resolution
    fresh: Callable[[str], str]
    made: dict[ast.stmt, ast.stmt] = field(default_factory=dict)

    def replaced(self, node: ast.stmt) -> list[ast.stmt]:
        if not isinstance(node, ast.Match) or not all(map(self.is_simple, node.cases)):
            return [node]
        subject = self.fresh("subject")
        chain: list[ast.stmt] = []
        for case in reversed(node.cases):
            chain = self.case(case, subject, chain, node)
        return [self.noted(assign(store(subject, node.subject), node.subject, node.subject), node), *chain]

    def is_simple(self, case: ast.match_case) -> bool:
        return case not in self.names.outer_bindings and (_is_name(case.pattern) or _is_value(case.pattern))

    def case(self, case: ast.match_case, subject: str, rest: list[ast.stmt], node: ast.Match) -> list[ast.stmt]:
        pattern: Any = case.pattern
        bound: list[ast.stmt] = []
        tests = ([] if _is_name(pattern) else [_test(pattern, subject)]) + ([case.guard] if case.guard else [])
        if isinstance(pattern, ast.MatchAs) and pattern.name:
            bound = [self.noted(assign(store(pattern.name, pattern), load(subject, pattern), pattern), node)]
        if not tests:
            return [*bound, *case.body]
        test = tests[0] if len(tests) == 1 else locate(ast.BoolOp(ast.And(), tests), pattern)
        return [*bound, self.noted(locate(ast.If(test, case.body, rest), pattern), node)]

    def noted(self, made: ast.stmt, node: ast.stmt) -> ast.stmt:
        self.made[made] = node
        return made


def _is_name(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def _is_value(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchOr):
        return all(map(_is_value, pattern.patterns))
    return isinstance(pattern, ast.MatchValue | ast.MatchSingleton)


def _test(pattern: Any, subject: str) -> ast.expr:
    """What a pattern asks for. Source: Python reference, section 8.6.4."""
    if isinstance(pattern, ast.MatchOr):
        made: ast.expr = locate(ast.BoolOp(ast.Or(), [_test(p, subject) for p in pattern.patterns]), pattern)
        return made
    singleton = isinstance(pattern, ast.MatchSingleton)
    value = locate(ast.Constant(pattern.value), pattern) if singleton else pattern.value
    sign = ast.Is() if singleton else ast.Eq()
    compared: ast.expr = locate(ast.Compare(load(subject, pattern), [sign], [value]), pattern)
    return compared
