"""Jumps: `break`, `continue` and `return` inside other statements become flags and values.

Flows in:  the body of a function as the user wrote it.
Flows out: the same body as Python of the same meaning, in which blocks are left at their end only. What may not run
           after a jump becomes the other branch of the `if` that jumps, or stands under `if not flag`. Loops ask their
           flags in the test (`while`) or in a last statement `if flag: break` (`for`); `else` of loops is gone. A
           `finally` that may end with a jump asks its flags in a last statement, an expression.
           `return` stays only where no block of another statement than `match` is around it.
"""
from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracejit.autograph.exits import BREAK, CONTINUE, NEXT, RETURN, Exits
from tracejit.autograph.rewriting import assign, load, locate, locate_start, store
from tracejit.autograph.statements import inner_statements, is_endless

RETURNED = "return!"    # whether the function has returned
VALUE = "value!"        # what it returns
Ways = frozenset[str]

_NO_WAYS: Ways = frozenset()
_IN_LOOP: Ways = frozenset((RETURN,))
_NESTED = 40    # so many blocks become branches of branches; the pieces after them are guarded one by one


def leaves_finally(root: ast.FunctionDef, exits: Exits) -> bool:
    """Whether a `finally` that stays Python's own, beside `except*`, ends with a jump, which drops the exceptions."""
    pending: list[ast.stmt] = list(root.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.TryStar) and exits.of_block(node.finalbody) - {NEXT}:
            return True
        pending += inner_statements(node)
    return False


def remove_jumps(root: ast.FunctionDef, exits: Exits, fresh: Callable[[str], str]) -> dict[ast.stmt, ast.stmt]:
    """Rewrites the body of `root` in place. fresh: makes new variables.

    Returns the user's `return` by assignment of the value.
    """
    body = root.body
    if any(RETURN in exits.of(s) for s in body if not isinstance(s, ast.Return)) and NEXT in exits.of_block(body):
        body = [*body, locate(ast.Return(None), body[-1])]
    walk = _Jumps(exits, fresh)
    made = walk.block(body, _NO_WAYS)
    if RETURNED in walk.set:
        made.insert(int(_is_docstring(made[0])), flag(RETURNED, False, root.body[0]))
    if VALUE in walk.set and not isinstance(made[-1], ast.Return):
        made.append(locate(ast.Return(load(VALUE, made[-1])), made[-1]))
    root.body = made
    return walk.returns


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def flag(name: str, value: bool, at: Any) -> ast.stmt:
    return assign(store(name, at), locate(ast.Constant(value), at), at)


@dataclass(slots=True)
class _Loop:
    """Names of a loop's flags."""

    left: str
    skipped: str


@dataclass(slots=True)
class _Jumps:
    """set: flags, and the value, that were assigned so far.  returns: `return` by assignment of its value.

    depth: statements around whose blocks are lifted.  level: blocks around.  finals: how many loops were around each
    `finally` whose block this is in.
    """

    exits: Exits
    fresh: Callable[[str], str]
    set: set[str] = field(default_factory=set)
    returns: dict[ast.stmt, ast.stmt] = field(default_factory=dict)
    loops: list[_Loop] = field(default_factory=list)
    depth: int = 0
    level: int = 0
    finals: list[int] = field(default_factory=list)

    def block(self, body: list[ast.stmt], needed: Ways) -> list[ast.stmt]:
        """The statements without jumps. needed: ways whose flags are asked after the block."""
        self.level += 1
        try:
            return self.pieces(body, needed) if self.level > _NESTED else self.nested(body, needed)
        finally:
            self.level -= 1

    def nested(self, body: list[ast.stmt], needed: Ways) -> list[ast.stmt]:
        """What follows a jump stands in one block of its own."""
        made: list[ast.stmt] = []
        for i, node in enumerate(body):
            ways = self.exits.jumps(node)
            rest = body[i + 1:] if ways and NEXT in self.exits.of(node) else []
            if rest and isinstance(node, ast.If) and self.join(node, rest):
                return made + self.statement(node, needed)
            made += self.statement(node, needed | ways if rest else needed)
            if NEXT not in self.exits.of(node):
                break
            if rest and (flags := self.flags(ways)):
                self.depth += 1
                made.append(guarded(flags, self.block(rest, needed), node))
                self.depth -= 1
                break
        return made

    def join(self, node: ast.If, rest: list[ast.stmt]) -> bool:
        """Moves `rest` into the branch that does not jump, if the other surely does."""
        if NEXT not in self.exits.of_block(node.body):
            node.orelse = [*node.orelse, *rest]
        elif NEXT not in self.exits.of_block(node.orelse):
            node.body = [*node.body, *rest]
        else:
            return False
        return True

    def pieces(self, body: list[ast.stmt], needed: Ways) -> list[ast.stmt]:
        """As `nested`, but each piece up to the next jump is guarded by itself: blocks do not become deeper."""
        made: list[ast.stmt] = []
        piece: list[ast.stmt] = []
        flags: list[str] = []
        needed |= self.exits.of_block(body) - {NEXT}
        for node in body:
            self.depth += bool(flags)
            piece += self.statement(node, needed | self.exits.jumps(node))
            self.depth -= bool(flags)
            if new := self.flags(self.exits.jumps(node)):
                made += [guarded(flags, piece, node)] if flags else piece
                flags, piece = sorted({*flags, *new}), []
            if NEXT not in self.exits.of(node):
                break
        return made + ([guarded(flags, piece, piece[0])] if flags and piece else piece)

    def flags(self, ways: Ways) -> list[str]:
        """Flags of `ways` as far as any statement sets them."""
        names = {RETURN: RETURNED}
        if self.loops:
            names |= {BREAK: self.loops[-1].left, CONTINUE: self.loops[-1].skipped}
        return sorted(names[way] for way in ways if names[way] in self.set)

    def statement(self, node: Any, needed: Ways) -> list[ast.stmt]:
        """One statement; its blocks may jump to the ends of those around it, where the flags `needed` are asked."""
        if isinstance(node, ast.Break):
            return [self.raised(self.loops[-1].left, node), *self.overruled(node, RETURNED)]
        if isinstance(node, ast.Continue):
            if CONTINUE not in needed:
                return [locate(ast.Pass(), node)]
            return [self.raised(self.loops[-1].skipped, node), *self.overruled(node, RETURNED, self.loops[-1].left)]
        if isinstance(node, ast.Return):
            return self.returned(node, needed)
        if isinstance(node, ast.While | ast.For):
            return self.loop(node, needed)
        self.depth += isinstance(node, ast.If | ast.Try | ast.With)
        if isinstance(node, ast.Try | ast.TryStar):
            self.inside_try(node, needed)
        elif isinstance(node, ast.With):
            self.inside_with(node, needed)
        elif isinstance(node, ast.If):
            node.body = self.block(node.body, needed)
            node.orelse = self.block(node.orelse, needed)
        elif isinstance(node, ast.Match):
            for case in node.cases:
                case.body = self.block(case.body, needed)
        self.depth -= isinstance(node, ast.If | ast.Try | ast.With)
        return [node]

    def raised(self, name: str, at: ast.stmt) -> ast.stmt:
        self.set.add(name)
        return flag(name, True, at)

    def overruled(self, node: ast.stmt, *names: str) -> list[ast.stmt]:
        """A jump out of `finally` takes the place of the one that was on its way."""
        if len(self.loops) not in self.finals:
            return []
        return [flag(name, False, node) for name in names if name in self.set]

    def returned(self, node: ast.Return, needed: Ways) -> list[ast.stmt]:
        if not self.depth:
            return [node]
        self.set.add(VALUE)
        value = node.value or locate(ast.Constant(None), node)
        made = [assign(store(VALUE, node), value, node)]
        self.returns[made[0]] = node
        return [*made, self.raised(RETURNED, node)] if RETURN in needed else made

    def loop(self, node: Any, needed: Ways) -> list[ast.stmt]:
        """The loop with its flags, then its `else`."""
        loop = _Loop(self.fresh("break"), self.fresh("continue"))
        self.loops.append(loop)
        self.depth += 1
        outer, self.set = self.set, set()
        body = self.block(node.body, _IN_LOOP)
        inside, self.set = self.set, outer | self.set
        self.depth -= 1
        self.loops.pop()
        node.body = [flag(loop.skipped, False, node.body[0]), *body] if loop.skipped in inside else body
        made: list[ast.stmt] = [flag(loop.left, False, node)] if loop.left in inside else []
        flags = [name for name in (loop.left, RETURNED) if name in inside]
        orelse: list[ast.stmt] = [] if is_endless(node) else node.orelse
        node.orelse = []
        if flags:
            ask(node, flags)
        made.append(node)
        return made + self.loop_else(node, orelse, flags, needed)

    def loop_else(self, node: Any, orelse: list[ast.stmt], flags: list[str], needed: Ways) -> list[ast.stmt]:
        if not orelse:
            return []
        if not flags:
            return self.block(orelse, needed)
        self.depth += 1
        made = [guarded(flags, self.block(orelse, needed), node)]
        self.depth -= 1
        return made

    def inside_with(self, node: ast.With, needed: Ways) -> None:
        """The manager may swallow an error that took the place of a jump."""
        ways, goes_on = self.exits.of_block(node.body) - {NEXT}, runs_on(node.body)
        node.body = self.block(node.body, needed)
        if goes_on and (dropped := self.flags(ways)):
            at = node.body[0]
            again = locate(ast.Raise(), at)
            handler = locate(ast.ExceptHandler(None, None, [*(flag(n, False, at) for n in dropped), again]), at)
            node.body = [locate(ast.Try(node.body, [handler], [], []), at)]

    def inside_try(self, node: Any, needed: Ways) -> None:
        """`else` runs only if the body came to its end."""
        ways = self.exits.of_block(node.body)
        node.orelse = node.orelse if NEXT in ways else []
        node.body = self.block(node.body, needed | ways - {NEXT} if node.orelse else needed)
        flags = self.flags(ways - {NEXT}) if node.orelse else []
        if flags:
            node.orelse = [guarded(flags, self.block(node.orelse, needed), node)]
        else:
            node.orelse = self.block(node.orelse, needed)
        dropped = self.flags(ways - {NEXT}) if runs_on(node.body) else []
        for handler in node.handlers:
            at = handler.body[0]
            handler.body = [*(flag(name, False, at) for name in dropped), *self.block(handler.body, needed)]
        ways = self.exits.of_block(node.finalbody) - {NEXT}
        self.finals.append(len(self.loops))
        node.finalbody = self.block(node.finalbody, needed | ways)
        self.finals.pop()
        if ways:
            at = node.finalbody[-1]
            node.finalbody.append(locate(ast.Expr(either(self.flags(ways), at)), at))


def asks(node: ast.stmt) -> bool:
    """Whether this is the statement in which `finally` asks whether it ends with a jump."""
    return isinstance(node, ast.Expr) and any(isinstance(n, ast.Name) and "!" in n.id for n in ast.walk(node))


def runs_on(body: list[ast.stmt]) -> bool:
    """Whether something in a block runs after a jump out of it: an error there takes the place of the jump."""
    pending = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.With) or getattr(node, "finalbody", None):
            return True
        pending += inner_statements(node)
    return False


def ask(node: Any, flags: list[str]) -> None:
    """Makes a loop end when one of `flags` is set."""
    at = place_of(node)
    if isinstance(node, ast.For):
        node.body.append(locate(ast.If(either(flags, at), [locate(ast.Break(), at)], []), at))
        return
    free = negated(either(flags, at))
    node.test = free if is_endless(node) else locate(ast.BoolOp(ast.And(), [free, node.test]), node.test)


def guarded(flags: list[str], body: list[ast.stmt], after: Any) -> ast.stmt:
    """`if not flag: body`, where the statement `after` may have set the flags."""
    at = place_of(after)
    made: ast.stmt = locate(ast.If(negated(either(flags, at)), body, []), at)
    return made


def either(flags: list[str], at: Any) -> ast.expr:
    names: list[ast.expr] = [load(name, at) for name in flags]
    made: ast.expr = names[0] if len(names) == 1 else locate(ast.BoolOp(ast.Or(), names), at)
    return made


def negated(test: ast.expr) -> ast.expr:
    made: ast.expr = locate(ast.UnaryOp(ast.Not(), test), test)
    return made


def place_of(node: Any) -> Any:
    """The part of a statement that decides."""
    found = getattr(node, "test", None) or getattr(node, "iter", None)
    return found if found is not None else locate_start(ast.Pass(), node)
