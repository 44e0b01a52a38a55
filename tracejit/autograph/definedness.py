"""Definedness: which variables have a value where a statement begins.

Flows in:  the tree of a function, its names resolved, before any rewriting.
Flows out: `defined_variables`: `State` by statement, in one pass without iteration.

The sets err to the safe side: `surely` may lack names that always have a value, `perhaps` may hold names that never do.
"""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tracejit.autograph.scopes import Resolution, argument_names
from tracejit.autograph.statements import inner_statements, is_endless, is_irrefutable, statement_use, target_use
from tracejit.autograph.uses import Use

NEXT, BREAK, CONTINUE = "next", "break", "continue"


@dataclass(frozen=True, slots=True)
class State:
    """surely: variables that have a value on every path to here.  perhaps: those that have one on some path."""

    surely: frozenset[str]
    perhaps: frozenset[str]

    def after(self, use: Use) -> State:
        return State(self.surely - use.deletes | use.writes, self.perhaps | use.may_write)

    def either(self, other: State) -> State:
        return State(self.surely & other.surely, self.perhaps | other.perhaps)


Ways = dict[str, State]    # the state at each way out; a way that can't be taken is absent


def defined_variables(root: ast.FunctionDef, names: Resolution) -> dict[ast.stmt, State]:
    """The state before every statement that can be reached. What inner functions assign may be defined anywhere."""
    arguments, elsewhere = frozenset(argument_names(root.args)), frozenset(names.rebound.get(root, ()))
    walk = _Definedness(names)
    walk.block(root.body, State(arguments, arguments | elsewhere))
    return walk.before


class _Definedness:
    def __init__(self, names: Resolution) -> None:
        self.names = names
        self.before: dict[ast.stmt, State] = {}
        self._uses: dict[ast.AST, Use] = {}
        self._inside: dict[type, Callable[[Any, State], Ways]] = {
            ast.If: self.inside_if, ast.While: self.inside_loop, ast.For: self.inside_loop, ast.Try: self.inside_try,
            ast.TryStar: self.inside_try, ast.With: self.inside_with, ast.Match: self.inside_match}

    def use(self, node: Any) -> Use:
        found = self._uses.get(node)
        if found is None:
            found = self._uses[node] = statement_use(node, self.names)
        return found

    def block(self, body: Iterable[ast.stmt], state: State) -> Ways:
        ways: Ways = {NEXT: state}
        for statement in body:
            if NEXT not in ways:
                break
            here = ways.pop(NEXT)
            ways = _merge(ways, self.one(statement, here))
        return ways

    def one(self, node: ast.stmt, state: State) -> Ways:
        self.before[node] = state
        after = state.after(self.use(node))
        inside = self._inside.get(type(node))
        if inside is not None:
            return inside(node, after)
        way = {ast.Break: BREAK, ast.Continue: CONTINUE}.get(type(node), NEXT)
        return {} if isinstance(node, ast.Return | ast.Raise) else {way: after}

    def inside_if(self, node: ast.If, state: State) -> Ways:
        return _merge(self.block(node.body, state), self.block(node.orelse, state))

    def inside_loop(self, node: Any, state: State) -> Ways:
        """Before a round, anything that an earlier round wrote may be defined, and what it deleted may not."""
        writes, deletes = self.touched([node])
        head = State(state.surely - deletes, state.perhaps | writes)
        round_ = head.after(target_use(node, self.names)) if isinstance(node, ast.For) else head
        body = self.block(node.body, round_)
        ways = {} if is_endless(node) else self.block(node.orelse, head)
        if BREAK in body:
            ways = _merge(ways, {NEXT: body[BREAK]})
        return ways

    def inside_with(self, node: ast.With, state: State) -> Ways:
        """The context manager may swallow an exception that came from anywhere in the body."""
        return _merge(self.block(node.body, state), {NEXT: self.interrupted(node.body, state)})

    def inside_match(self, node: ast.Match, state: State) -> Ways:
        ways: Ways = {}
        for case in node.cases:
            entered = state.after(self.use(case))
            ways = _merge(ways, self.block(case.body, entered))
            if is_irrefutable(case):
                return ways
            state = State(state.surely, entered.perhaps)
        return _merge(ways, {NEXT: state})

    def inside_try(self, node: Any, state: State) -> Ways:
        ways = self.block(node.body, state)
        if NEXT in ways:
            ways = _merge(ways, self.block(node.orelse, ways.pop(NEXT)))
        raised = self.interrupted([*node.body, *node.orelse], state)
        for handler in node.handlers:
            done = self.block(handler.body, raised.after(self.use(handler)))
            if handler.name:
                done = {way: State(s.surely - {handler.name}, s.perhaps) for way, s in done.items()}
            ways = _merge(ways, done)
        return self.finally_(node, state, ways) if node.finalbody else ways

    def finally_(self, node: Any, state: State, ways: Ways) -> Ways:
        """Runs once for each way; facts inside it hold for all of them and for exceptions."""
        inner = [*node.body, *node.orelse, *(s for h in node.handlers for s in h.body)]
        names = {h.name for h in node.handlers if h.name}
        worst = self.interrupted(inner, State(state.surely - names, state.perhaps | names))
        result: Ways = {}
        for way, there in ways.items():
            left = self.block(node.finalbody, there)
            result = _merge(result, {(way if exit_ == NEXT else exit_): s for exit_, s in left.items()})
        for exit_, there in self.block(node.finalbody, worst).items():
            if exit_ != NEXT:
                result = _merge(result, {exit_: there})
        return result

    def interrupted(self, body: list[ast.stmt], state: State) -> State:
        """The state when `body` may have stopped anywhere."""
        writes, deletes = self.touched(body)
        return State(state.surely - deletes, state.perhaps | writes)

    def touched(self, body: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
        """All names that statements, and those inside them, write and delete."""
        writes: set[str] = set()
        deletes: set[str] = set()
        pending: list[Any] = list(body)
        while pending:
            node = pending.pop()
            uses = [self.use(node), *([target_use(node, self.names)] if isinstance(node, ast.For) else [])]
            for handler in getattr(node, "handlers", ()):
                uses.append(self.use(handler))
                deletes |= {handler.name} if handler.name else set()
            uses += [self.use(case) for case in getattr(node, "cases", ())]
            for use in uses:
                writes |= use.may_write
                deletes |= use.deletes
            pending += inner_statements(node)
        return writes, deletes


def _merge(one: Ways, other: Ways) -> Ways:
    return {way: one[way].either(other[way]) if way in one and way in other else one.get(way) or other[way]
            for way in {**one, **other}}
