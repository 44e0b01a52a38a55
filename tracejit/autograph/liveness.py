"""Liveness: for every statement what it reads and writes, which ways control may leave it, and what is live around it.

Flows in:  the tree of a function, its names resolved, before any rewriting.
Flows out: `live_variables`: `Facts` by statement, made in two passes without iteration. Python's control flow is
           structured: the effect of a statement is a set of reads and, for each way out, the names surely
           overwritten. A loop needs no fixpoint: a second round through its body reads nothing that the first did not.

The sets err to the safe side: live may hold names that are never read again. Exceptions may come from anywhere
inside `try`.
"""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.autograph.scopes import Resolution
from tracejit.autograph.statements import inner_statements, is_endless, is_irrefutable, statement_use, target_use
from tracejit.autograph.uses import Use

Names = frozenset[str]
NONE: Names = frozenset()
NEXT, BREAK, CONTINUE, RETURN, RAISE = "next", "break", "continue", "return", "raise"


@dataclass(frozen=True, slots=True)
class Facts:
    """About one statement and everything inside it, but not inside functions that it defines.

    reads: variables whose value before the statement matters to it.  writes: variables that it may bind or delete.
    deletes: variables that it may leave without a value.
    live_before, live_after: variables that may be read later, before they are written.
    live_again: of a loop, variables live when it begins its next round.
    exits: how control may leave, of "next", "break", "continue", "return".
    """

    reads: Names
    writes: Names
    deletes: Names
    live_before: Names
    live_after: Names
    live_again: Names
    exits: Names

    @property
    def results(self) -> Names:
        """What the statement computes for the code after it."""
        return self.writes & self.live_after

    @property
    def carried(self) -> Names:
        """Of a loop: variables that one round hands to the next or to the code after it."""
        return self.writes & (self.live_again | self.live_after)


@dataclass(frozen=True, slots=True)
class _Effect:
    """reads as in `Facts`; kills: for each way out, the names overwritten on all paths to it."""

    reads: Names
    kills: dict[str, Names]


Live = dict[str, Names]    # what is live after each way out


def live_variables(root: ast.FunctionDef, names: Resolution) -> dict[ast.stmt, Facts]:
    """Facts about every statement of `root`. Variables that inner functions capture, and those of functions around, are
    live everywhere."""
    outside = {name for node in ast.walk(root) if isinstance(node, ast.Nonlocal) for name in node.names
               if name not in dict(names.outer_bindings.get(node, ()))}
    always = frozenset(outside | set(names.captured.get(root, ())))
    return _Liveness(names).facts_of(root.body, always)


class _Liveness:
    def __init__(self, names: Resolution) -> None:
        self.names = names
        self.facts: dict[ast.stmt, Facts] = {}
        self._effects: dict[ast.AST, _Effect] = {}
        self._uses: dict[ast.AST, Use] = {}
        self._effect_of: dict[type, Callable[[Any], _Effect]] = {
            ast.If: self.if_effect, ast.While: self.loop_effect, ast.For: self.loop_effect, ast.Try: self.try_effect,
            ast.TryStar: self.try_effect, ast.With: self.with_effect, ast.Match: self.match_effect}
        self._descend: dict[type, Callable[[Any, Live], Names]] = {
            ast.If: self.inside_if, ast.While: self.inside_loop, ast.For: self.inside_loop, ast.Try: self.inside_try,
            ast.TryStar: self.inside_try, ast.With: self.inside_with, ast.Match: self.inside_match}

    def facts_of(self, body: list[ast.stmt], always: Names) -> dict[ast.stmt, Facts]:
        self.block(body, {NEXT: always, RETURN: always, BREAK: always, CONTINUE: always, RAISE: always})
        return self.facts

    # What one statement does by itself

    def use(self, node: Any) -> Use:
        """The header of a compound statement, or a simple statement."""
        found = self._uses.get(node)
        if found is None:
            found = self._uses[node] = statement_use(node, self.names)
        return found

    def effect(self, node: ast.stmt) -> _Effect:
        made = self._effects.get(node)
        if made is None:
            compound = self._effect_of.get(type(node))
            made = self._effects[node] = self.simple_effect(node) if compound is None else compound(node)
        return made

    def simple_effect(self, node: ast.stmt) -> _Effect:
        use = self.use(node)
        way = {ast.Break: BREAK, ast.Continue: CONTINUE, ast.Return: RETURN, ast.Raise: RAISE}.get(type(node), NEXT)
        return _Effect(frozenset(use.reads), {way: frozenset(use.writes)})

    def block_effect(self, body: Iterable[ast.stmt]) -> _Effect:
        total = _Effect(NONE, {NEXT: NONE})
        for statement in body:
            if NEXT not in total.kills:
                break
            total = _then(total, self.effect(statement))
        return total

    # Effects of compound statements

    def if_effect(self, node: ast.If) -> _Effect:
        return _then(self.header_effect(node), _either(self.block_effect(node.body), self.block_effect(node.orelse)))

    def header_effect(self, node: Any) -> _Effect:
        use = self.use(node)
        return _Effect(frozenset(use.reads), {NEXT: frozenset(use.writes)})

    def loop_effect(self, node: Any) -> _Effect:
        """Header, then either the body and whatever leaves it, or the end of the loop."""
        entry, again = self.loop_headers(node)
        body = _then(again, self.block_effect(node.body))
        leaving = {NEXT if way == BREAK else way: names for way, names in body.kills.items()
                   if way not in (NEXT, CONTINUE)}
        left = _Effect(body.reads, leaving)
        ended = self.block_effect(node.orelse)
        total = left if is_endless(node) else _either(left, ended)
        return _then(entry, total)

    def loop_headers(self, node: Any) -> tuple[_Effect, _Effect]:
        """What runs at the entry or at every test, and what runs before each round only: the target of `for`."""
        if isinstance(node, ast.While):
            return self.header_effect(node), _Effect(NONE, {NEXT: NONE})
        target = target_use(node, self.names)
        return self.header_effect(node), _Effect(frozenset(target.reads), {NEXT: frozenset(target.writes)})

    def with_effect(self, node: ast.With) -> _Effect:
        """A context manager may swallow an exception of the body, so nothing in it is sure."""
        header, body = self.header_effect(node), self.block_effect(node.body)
        return _then(header, _either(body, _Effect(NONE, {NEXT: NONE})))

    def match_effect(self, node: ast.Match) -> _Effect:
        total = _Effect(NONE, {NEXT: NONE})
        for case in reversed(node.cases):
            body = _then(self.header_effect(case), self.block_effect(case.body))
            total = body if is_irrefutable(case) else _either(body, _Effect(
                total.reads, {way: names - self.bound_by(case) for way, names in total.kills.items()}))
        return _then(self.header_effect(node), total)

    def bound_by(self, case: ast.match_case) -> Names:
        return frozenset(self.use(case).may_write)

    def try_effect(self, node: Any) -> _Effect:
        """Handlers and `finally` may start anywhere in the body, so that nothing of it is overwritten for sure."""
        body = _then(self.block_effect(node.body), self.block_effect(node.orelse))
        for handler in node.handlers:
            inner = _then(self.header_effect(handler), self.block_effect(handler.body))
            body = _either(body, inner)
        final = self.block_effect(node.finalbody)
        if not node.finalbody:
            return body
        kills = dict(final.kills)
        if NEXT in kills:
            after = kills.pop(NEXT)
            kills |= {way: names | after for way, names in body.kills.items() if way not in kills}
        return _Effect(body.reads | final.reads, kills)

    # Liveness, from the last statement to the first

    def block(self, body: Sequence[ast.stmt], live: Live) -> Names:
        """Fills in facts of a block; returns what is live at its start."""
        after = live[NEXT]
        for statement in reversed(body):
            after = self.one(statement, {**live, NEXT: after})
        return after

    def one(self, node: ast.stmt, live: Live) -> Names:
        inside = self._descend.get(type(node))
        again = NONE if inside is None else inside(node, live)
        effect = self.effect(node)
        before = _live_before(effect, live)
        writes, deletes = self.written(node)
        exits = frozenset(effect.kills) - {RAISE}
        self.facts[node] = Facts(effect.reads, writes, deletes, before, live[NEXT], again, exits)
        return before

    def written(self, node: Any) -> tuple[Names, Names]:
        """All that a statement and those inside it may write, and may delete."""
        use = self.use(node)
        writes, deletes = set(use.may_write), set(use.deletes)
        if isinstance(node, ast.For):
            writes |= target_use(node, self.names).may_write
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            writes |= self.use(part).may_write
            deletes |= {part.name} if isinstance(part, ast.ExceptHandler) and part.name else set()
        for statement in inner_statements(node):
            writes |= self.facts[statement].writes
            deletes |= self.facts[statement].deletes
        return frozenset(writes), frozenset(deletes)

    def inside_if(self, node: ast.If, live: Live) -> Names:
        self.block(node.body, live)
        self.block(node.orelse, live)
        return NONE

    def inside_with(self, node: ast.With, live: Live) -> Names:
        self.block(node.body, {**live, RAISE: live[RAISE] | live[NEXT]})
        return NONE

    def inside_match(self, node: ast.Match, live: Live) -> Names:
        for case in node.cases:
            self.block(case.body, live)
        return NONE

    def inside_loop(self, node: Any, live: Live) -> Names:
        """Live at the next round: what the test, a round or the code after the loop reads."""
        test, again = self.loop_headers(node)
        if isinstance(node, ast.For):
            test = _Effect(NONE, {NEXT: NONE})    # the iterable is evaluated once
        after = self.block(node.orelse, live)
        ended = NONE if is_endless(node) else after
        round_live = {**live, NEXT: NONE, CONTINUE: NONE, BREAK: live[NEXT]}
        begun = _live_before(_then(again, self.block_effect(node.body)), round_live)
        head = _live_before(test, {**live, NEXT: begun | ended})
        self.block(node.body, {**round_live, NEXT: head, CONTINUE: head})
        return head

    def inside_try(self, node: Any, live: Live) -> Names:
        finished = live
        if node.finalbody:
            everywhere = frozenset().union(*live.values())
            self.block(node.finalbody, {**live, NEXT: everywhere})
            final = self.block_effect(node.finalbody)
            finished = {way: _live_before(final, {**live, NEXT: names}) for way, names in live.items()}
        raised = finished[RAISE]
        for handler in node.handlers:
            start = self.block(handler.body, finished)
            use = self.use(handler)
            raised |= frozenset(use.reads) | start - use.writes
        after_body = self.block(node.orelse, finished)
        self.block(node.body, {**finished, NEXT: after_body, RAISE: raised})
        return NONE


def _live_before(effect: _Effect, live: Live) -> Names:
    result = effect.reads | live[RAISE]
    for way, killed in effect.kills.items():
        result |= live[way] - killed
    return result


def _then(first: _Effect, second: _Effect) -> _Effect:
    if NEXT not in first.kills:
        return first
    passed = first.kills[NEXT]
    kills = {way: names for way, names in first.kills.items() if way != NEXT}
    return _Effect(first.reads | second.reads - passed,
                   _meet(kills, {way: passed | names for way, names in second.kills.items()}))


def _either(one: _Effect, other: _Effect) -> _Effect:
    return _Effect(one.reads | other.reads, _meet(one.kills, other.kills))


def _meet(one: dict[str, Names], other: dict[str, Names]) -> dict[str, Names]:
    """Overwritten on all paths means on the paths of both."""
    return {way: one[way] & other[way] if way in one and way in other else one.get(way, other.get(way, NONE))
            for way in {**one, **other}}
