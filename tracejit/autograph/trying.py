"""`try`, `with` and `raise`.

Flows in:  `try` and `with` statements without jumps, and `raise`.
Flows out: `ag.try_(body, handlers, orelse, final, names, taken)` and `ag.with_(manager, body, names)`, whose
           parts are functions, and `ag.raise_(make_error, make_cause)`.
"""
from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from tracejit.autograph.jumps import asks
from tracejit.autograph.lifting import LiftingRewriter
from tracejit.autograph.rewriting import assign, load, locate, locate_start, operator, statement, store


class TryRewriter(LiftingRewriter):
    """Contract: afterwards `try`, `with`, `raise` are the namespace's, except where frames matter; `except*` stays."""

    def visit_Try(self, node: ast.Try) -> Any:
        variables = self.context.variables
        if variables is None or self.context.in_class:
            return self.children(node)
        facts = variables.facts
        taken = frozenset().union(*(facts[h.body[0]].live_before - {h.name} for h in node.handlers),
                                  *(facts[s].live_before for s in node.finalbody[:1]))
        made: list[ast.stmt] = []
        body = self.part("body", node.body, node, made)
        handlers = [self.handler(handler, made) for handler in node.handlers]
        orelse = self.part("orelse", node.orelse, node.orelse[0], made) if node.orelse else self.none(node)
        final = self.final(node.finalbody, made) if node.finalbody else self.none(node)
        every: ast.expr = locate(ast.Tuple(handlers, ast.Load()), node)
        call = operator("try_", locate_start(ast.Pass(), node), body, every, orelse, final,
                        self.names(facts[node].results, node), self.names(facts[node].writes & taken, node))
        return [*made, statement(call, node)]

    def part(self, stem: str, body: list[ast.stmt], at: Any, made: list[ast.stmt]) -> ast.expr:
        definition, name = self.lift(stem, body, at)
        made.append(definition)
        return name

    def final(self, body: list[ast.stmt], made: list[ast.stmt]) -> ast.expr:
        """`finally`; its function says whether it ends with a jump."""
        if not asks(body[-1]):
            return self.part("final", body, body[0], made)
        variables, last = self.context.variables, body[-1]
        assert variables is not None and isinstance(last, ast.Expr)
        names = set().union(*(variables.facts[s].writes for s in body))
        answer = locate(ast.Return(self.visit(last.value)), last)
        definition, name = self.define("final", [*self.statements(body[:-1]), answer], names, body[0])
        made.append(definition)
        return name

    def handler(self, node: ast.ExceptHandler, made: list[ast.stmt]) -> ast.expr:
        """`(types, handle)`; Python deletes the name of the error when the handler ends."""
        types = self.none(node) if node.type is None else self.thunk(node.type)
        error = self.context.fresh("error")
        variables = self.context.variables
        assert variables is not None
        binds = set().union(*(variables.facts[s].writes for s in node.body))
        outer = self.context.names.outer_bindings.get(node, ())
        stores = self.outer_stores(node, node.body[0])
        deletions = [self.delete_outer(name, place, node.body[-1]) for name, place in outer]
        body = [*stores, *self.statements(node.body)]
        if node.name:
            binds |= set() if outer else {node.name}
            at = node.body[-1]
            forget = [assign(store(node.name, at), locate(ast.Constant(None), at), at),
                      locate(ast.Delete([locate(ast.Name(node.name, ast.Del()), at)]), at), *deletions]
            body = [assign(store(node.name, node), load(error, node), node),
                    locate(ast.Try(body, [], [], forget), node.body[0])]
        definition, name = self.define("handler", body, binds, node, [error])
        made.append(definition)
        pair: ast.expr = locate(ast.Tuple([types, name], ast.Load()), node)
        return pair

    def visit_With(self, node: ast.With) -> Any:
        if self.context.variables is None or self.context.in_class:
            return super().visit_With(node)
        return self.managed(node, node.items)

    def managed(self, node: ast.With, items: Sequence[ast.withitem]) -> list[ast.stmt]:
        """`with` of the first item around that of the others."""
        (item, *rest), variables = items, self.context.variables
        assert variables is not None
        facts = variables.facts[node]
        at, target, entered = item.context_expr, item.optional_vars, self.context.fresh("entered")
        manager = self.visit(item.context_expr)
        first = [] if target is None else self.bind(target, load(entered, target), target)
        body = self.managed(node, rest) if rest else self.statements(node.body)
        definition, name = self.define("body", [*first, *body], facts.writes, node, [entered])
        call = operator("with_", at, manager, name, self.names(facts.results, node))
        return [definition, statement(call, at)]

    def visit_Raise(self, node: ast.Raise) -> Any:
        parts = [part for part in (node.exc, node.cause) if part is not None]
        if self.context.variables is None or not self.may_wait(*parts):
            return self.children(node)
        thunks = [self.none(node) if part is None else self.thunk(part) for part in (node.exc, node.cause)]
        return statement(operator("raise_", node, *thunks), node)
