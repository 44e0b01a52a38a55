"""`match` statements as chains of `if`, so that traced values can choose.

Flows in:  the body of a function as the user wrote it.
Flows out: the same body; a pattern of values, singletons or alternatives of them is a comparison; what has structure
           asks `ag.match(subject, form)`. A `match` that binds names of functions around stays.
"""
from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracejit.autograph.rewriting import assign, constant, load, locate, operator, store
from tracejit.autograph.scopes import Resolution, captured_names


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
        if not isinstance(node, ast.Match) or any(case in self.names.outer_bindings for case in node.cases):
            return [node]
        subject = self.fresh("subject")
        chain: list[ast.stmt] = []
        for case in reversed(node.cases):
            chain = self.case(case, subject, chain, node)
        return [self.noted(assign(store(subject, node.subject), node.subject, node.subject), node), *chain]

    def case(self, case: ast.match_case, subject: str, rest: list[ast.stmt], node: ast.Match) -> list[ast.stmt]:
        pattern: Any = case.pattern
        if not (_is_name(pattern) or _is_value(pattern)):
            return self.structure(case, subject, rest, node)
        bound: list[ast.stmt] = []
        tests = ([] if _is_name(pattern) else [_test(pattern, subject)]) + ([case.guard] if case.guard else [])
        if isinstance(pattern, ast.MatchAs) and pattern.name:
            bound = [self.noted(assign(store(pattern.name, pattern), load(subject, pattern), pattern), node)]
        if not tests:
            return [*bound, *case.body]
        test = tests[0] if len(tests) == 1 else locate(ast.BoolOp(ast.And(), tests), pattern)
        return [*bound, self.noted(locate(ast.If(test, case.body, rest), pattern), node)]

    def structure(self, case: ast.match_case, subject: str, rest: list[ast.stmt], node: ast.Match) -> list[ast.stmt]:
        """`found = ag.match(subject, form)`, then `if found.test:` with names bound; a guard sees them bound too."""
        pattern, found = case.pattern, self.fresh("found")
        made = operator("match", pattern, load(subject, pattern), _form(pattern))
        asked = self.noted(assign(store(found, pattern), made, pattern), node)
        test = locate(ast.Attribute(load(found, pattern), "test", ast.Load()), pattern)
        if case.guard is None:
            chosen = ast.If(test, [*self.bound(pattern, found, node), *case.body], rest)
            return [asked, self.noted(locate(chosen, pattern), node)]
        taken = self.fresh("taken")
        no = locate(ast.Constant(False), pattern)
        guarded = ast.If(test, [*self.bound(pattern, found, node),
                                self.noted(assign(store(taken, pattern), case.guard, case.guard), node)],
                         [self.noted(assign(store(taken, pattern), no, pattern), node)])
        chosen = ast.If(load(taken, pattern), [*self.bound(pattern, found, node), *case.body], rest)
        return [asked, *[self.noted(locate(s, pattern), node) for s in (guarded, chosen)]]

    def bound(self, pattern: ast.pattern, found: str, node: ast.Match) -> list[ast.stmt]:
        """`name = ag.captured(found, "name")` for the names of a pattern."""
        return [self.noted(assign(store(name, pattern), operator(
            "captured", pattern, load(found, pattern), constant(name, pattern)), pattern), node)
            for name in dict.fromkeys(captured_names(pattern))]

    def noted(self, made: ast.stmt, node: ast.stmt) -> ast.stmt:
        self.made[made] = node
        return made


def _form(pattern: Any) -> ast.expr:
    """A pattern as patterns.py reads it: an expression of tuples `(kind, ...)`."""
    parts: list[Any]
    match pattern:
        case ast.MatchAs():
            parts = ["name", pattern.name, None if pattern.pattern is None else _form(pattern.pattern)]
        case ast.MatchValue():
            parts = ["value", pattern.value]
        case ast.MatchSingleton():
            parts = ["is", pattern.value]
        case ast.MatchOr():
            parts = ["or", *map(_form, pattern.patterns)]
        case ast.MatchMapping():
            parts = ["mapping", pattern.keys, list(map(_form, pattern.patterns)), pattern.rest]
        case ast.MatchClass():
            parts = ["class", pattern.cls, list(map(_form, pattern.patterns)), pattern.kwd_attrs,
                     list(map(_form, pattern.kwd_patterns))]
        case _:
            parts = ["sequence", *_around_star(pattern.patterns)]
    return _tuple(parts, pattern)


def _around_star(patterns: list[Any]) -> list[Any]:
    """The patterns before `*name`, the name (None without a star, "" for `*_`), the patterns after it."""
    stars = [i for i, p in enumerate(patterns) if isinstance(p, ast.MatchStar)]
    if not stars:
        return [list(map(_form, patterns)), None, []]
    at = stars[0]
    return [list(map(_form, patterns[:at])), patterns[at].name or "", list(map(_form, patterns[at + 1:]))]


def _tuple(parts: list[Any], at: ast.pattern) -> ast.expr:
    made: ast.expr = locate(ast.Tuple([
        p if isinstance(p, ast.expr) else _tuple(p, at) if isinstance(p, list) else constant(p, at) for p in parts],
        ast.Load()), at)
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
