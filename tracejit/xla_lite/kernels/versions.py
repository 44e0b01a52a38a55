"""Loops whose tests are about indices that move in equal steps are tested at their ends only.

Flows in:  a kernel after `simplify`.
Flows out: such loops twice: without tests if the first and the last index pass them, and as they were.

`x[start::step] = v` is a loop of this kind, whose step only the run knows.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from tracejit.base.dtypes import BOOL, I64
from tracejit.xla_lite.kernels.expressions import minus, plus, times
from tracejit.xla_lite.kernels.kernel_ir import (
    ONE,
    ZERO,
    Apply,
    Const,
    Expr,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Name,
    Statement,
    Store,
    While,
    walk,
)
from tracejit.xla_lite.kernels.simplify import without_unread

_SMALL = 1 << 31    # steps and rounds below it have products far below the largest number


def checked_at_ends(kernel: Kernel) -> Kernel:
    """The kernel with two versions of such loops."""
    body = _block(kernel.body)
    if body == kernel.body:
        return kernel
    return Kernel(kernel.name, kernel.params, without_unread(body, set()), kernel.contract, kernel.polls)


def _block(body: Sequence[Statement]) -> tuple[Statement, ...]:
    return tuple([_statement(s) for s in body])


def _statement(s: Statement) -> Statement:
    if isinstance(s, If):
        return If(s.condition, _block(s.then), _block(s.orelse))
    if isinstance(s, While):
        return While(s.before, s.condition, _block(s.body))
    if not isinstance(s, Loop) or s.kind == "vector":
        return s
    if s.kind == "serial" and (tested := _tested(s)) is not None and (ends := tested.ends()) is not None:
        return If(ends, (tested.without(),), (s,))
    return Loop(s.index, s.extent, _block(s.body), s.kind, s.work, s.most)


@dataclass(slots=True)
class _Tested:
    """A loop of definitions, then stores under a test."""

    loop: Loop
    definitions: dict[str, Expr]
    guarded: If

    def without(self) -> Loop:
        s = self.loop
        return Loop(s.index, s.extent, (*s.body[:-1], *self.guarded.then), s.kind, s.work, s.most)

    def ends(self) -> Expr | None:
        """Whether the test holds in all rounds, as far as its first and last round tell; None if they don't tell."""
        last = minus(self.loop.extent, ONE)
        tests: dict[Expr, None] = {Apply("le", (self.loop.extent, Const(_SMALL)), BOOL): None}
        for test in _parts(self.expanded(self.guarded.condition)):
            if not isinstance(test, Apply) or test.fn not in ("lt", "le", "gt", "ge") or test.args[0].dtype is not I64:
                return None
            steps = [self.step(x) for x in test.args]
            if None in steps:
                return None
            small = [Apply(fn, (step, Const(limit)), BOOL) for step in steps if step is not None and step != ZERO
                     for fn, limit in (("lt", _SMALL), ("gt", -_SMALL))]
            tests.update(dict.fromkeys((*small, self.at(test, ZERO), self.at(test, last))))
        return reduce(lambda x, y: Apply("and", (x, y), BOOL), tests)

    def expanded(self, e: Expr) -> Expr:
        """In terms of the loop's index and what is known outside."""
        if isinstance(e, Name) and e.name in self.definitions:
            return self.expanded(self.definitions[e.name])
        return Apply(e.fn, tuple(map(self.expanded, e.args)), e.dtype) if isinstance(e, Apply) else e

    def at(self, e: Expr, index: Expr) -> Expr:
        if isinstance(e, Name):
            return index if e.name == self.loop.index else e
        if not isinstance(e, Apply):
            return e
        args = tuple([self.at(x, index) for x in e.args])
        folded = {"add": plus, "subtract": minus, "multiply": times}.get(e.fn)
        return folded(*args) if folded is not None else Apply(e.fn, args, e.dtype)

    def step(self, e: Expr) -> Expr | None:
        """How far the value moves in a round, if it is the same in every round."""
        if not any(isinstance(x, Name) and x.name == self.loop.index for x in walk(e)):
            return ZERO
        if isinstance(e, Name):
            return ONE
        if not isinstance(e, Apply) or e.fn not in ("add", "subtract", "multiply"):
            return None
        x, y = e.args
        a, b = self.step(x), self.step(y)
        if a is None or b is None:
            return None
        if e.fn == "multiply":
            return times(a, y) if b == ZERO else times(b, x) if a == ZERO else None
        return plus(a, b) if e.fn == "add" else minus(a, b)


def _tested(s: Loop) -> _Tested | None:
    if not s.body:
        return None
    *definitions, last = s.body
    if not isinstance(last, If) or last.orelse or not all(isinstance(x, (Let, Store)) for x in last.then):
        return None
    made = {x.name: x.value for x in definitions if isinstance(x, Let)}
    if len(made) < len(definitions) or any(isinstance(x, Load) for e in made.values() for x in walk(e)):
        return None
    return _Tested(s, made, last)


def _parts(e: Expr) -> Iterator[Expr]:
    """The tests that all have to hold."""
    if isinstance(e, Apply) and e.fn == "and":
        for x in e.args:
            yield from _parts(x)
    else:
        yield e
