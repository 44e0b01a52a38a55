"""Blocks of statements, and expressions that wait, as functions inside the user's function.

Flows in:  blocks and expressions of a function whose jumps are gone, and what is known of its variables.
Flows out: `def body(*thunk): nonlocal ...`, marked as ours by the name of a parameter; variables that several blocks
           use are closure cells. Reads of variables that may have no value ask `ag.defined(value, "name")`.
"""
from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

from tracejit.autograph.assignments import AssignmentRewriter
from tracejit.autograph.codes import THUNK
from tracejit.autograph.definedness import defined_variables
from tracejit.autograph.exits import Exits
from tracejit.autograph.jumps import leaves_finally, remove_jumps
from tracejit.autograph.liveness import live_variables
from tracejit.autograph.matching import choose_by_if
from tracejit.autograph.rewriting import Variables, constant, lambda_thunk, load, locate
from tracejit.autograph.scopes import SEES_VARIABLES, Place, argument_names
from tracejit.autograph.statements import inner_statements

_LIFTED = (ast.If, ast.While, ast.For, ast.Try, ast.With)


class LiftingRewriter(AssignmentRewriter):
    """Contract: a lifted function binds variables of the user's function, and none of its own but temporaries."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """Decorators and defaults run here; the body is converted with the function around it."""
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        self.arguments(node.args)
        self.function_body(node)
        return [node, *self.outer_stores(node, node)]

    def function_body(self, node: ast.FunctionDef) -> None:
        """Converts the body of a function. Functions whose frame matters keep Python's statements."""
        context, exits = self.context, Exits()
        if node in context.names.framed or leaves_finally(node, exits):
            with context.inside(node.args), context.knowing(None):
                node.body = self.statements(node.body)
            return
        variables = self.analysed(node, exits)
        variables.outside = context.surely - context.names.variables[node]
        bound_here = set(_bound_outside_blocks(node.body, variables))
        with context.inside(node.args), context.knowing(variables):
            body = self.statements(node.body)
        declared = (context.names.variables[node] | variables.rebound) - bound_here | variables.hoisted
        own_names = sorted(declared - argument_names(node.args) - variables.nonlocals)
        node.body = _with_declarations(body, sorted(variables.nonlocals), own_names)

    def analysed(self, node: ast.FunctionDef, exits: Exits) -> Variables:
        """Removes the jumps of a function; what is known of its variables then. Straight code needs no analysis."""
        names = self.context.names
        if not any(inner_statements(s) for s in node.body):
            return Variables({}, {}, straight=names.variables[node])
        states = defined_variables(node, names)
        replaced = choose_by_if(node, names, self.context.fresh)
        replaced |= remove_jumps(node, exits, self.context.fresh)
        states |= {made: states[old] for made, old in replaced.items() if old in states}
        return Variables(live_variables(node, names), states)

    def lift(self, stem: str, body: list[ast.stmt], at: Any, parameters: Sequence[str] = (),
             first: Iterable[ast.stmt] = (), binds: Iterable[str] = ()) -> tuple[ast.stmt, ast.expr]:
        """A block as a function of `parameters`: its definition and its name.

        first: converted statements that begin the function.  binds: the variables which they bind.
        """
        variables = self.context.variables
        assert variables is not None
        names = set(binds).union(*(variables.facts[s].writes for s in body))
        return self.define(stem, [*first, *self.statements(body)], names, at, parameters)

    def define(self, stem: str, body: list[ast.stmt], binds: Iterable[str], at: Any,
               parameters: Sequence[str] = ()) -> tuple[ast.stmt, ast.expr]:
        """A function of converted statements which bind the user's variables `binds`."""
        variables = self.context.variables
        assert variables is not None
        names = sorted(binds)
        variables.rebound.update(names)
        if names:
            body = [locate(ast.Nonlocal(names), at), *body]
        name = self.context.fresh(stem)
        args = ast.arguments(posonlyargs=[], args=[locate(ast.arg(p), at) for p in parameters],
                             vararg=locate(ast.arg(THUNK), at), kwonlyargs=[], kw_defaults=[], defaults=[])
        made = ast.FunctionDef(name=name, args=args, body=body, decorator_list=[], returns=None)
        return locate(made, at), load(name, at)

    def may_wait(self, *nodes: ast.expr) -> bool:
        """Whether the expressions may be evaluated in a function of their own."""
        if self.context.in_class:
            return False
        hoists = self.context.prelude is not None and self.context.variables is not None
        return not any(_needs_frame(inner, hoists) for node in nodes for inner in ast.walk(node))

    def thunk(self, node: ast.expr) -> ast.expr:
        """The expression `lambda: node` converted; a function that stands before the statement if `:=` is inside."""
        binds = {inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)
                 and self.context.place(inner.target) is Place.LOCAL}
        value, variables = self.visit(node), self.context.variables
        if not binds or self.context.prelude is None or variables is None:
            return lambda_thunk(value)
        definition, name = self.define("part", [locate(ast.Return(value), value)], binds, value)
        variables.hoisted.update(binds)
        self.context.prelude.append(definition)
        return name

    def visit_Nonlocal(self, node: ast.Nonlocal) -> Any:
        """Declarations that remain move to the top of the function: blocks of it become functions."""
        kept = super().visit_Nonlocal(node)
        variables = self.context.variables
        if variables is None or not isinstance(kept, ast.Nonlocal):
            return kept
        variables.nonlocals.update(kept.names)
        return []

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Variables that lifted functions bind can't be annotated; annotations of variables are never evaluated."""
        made, variables = super().visit_AnnAssign(node), self.context.variables
        if self.context.in_class or variables is None or not isinstance(made, ast.AnnAssign):
            return made
        if made.value is not None:
            return locate(ast.Assign([made.target], made.value), made)
        if isinstance(made.target, ast.Name):
            variables.rebound.add(made.target.id)
        return []

    def names(self, variables: Iterable[str], at: Any) -> ast.expr:
        """Variables as a tuple of their names."""
        made: ast.expr = locate(ast.Tuple([constant(name, at) for name in sorted(variables)], ast.Load()), at)
        return made


def _needs_frame(node: ast.AST, hoists: bool) -> bool:
    if isinstance(node, ast.NamedExpr):
        return not hoists
    return isinstance(node, ast.Yield | ast.YieldFrom) or isinstance(node, ast.Name) and node.id in SEES_VARIABLES


def _bound_outside_blocks(body: Iterable[ast.stmt], variables: Variables) -> Iterable[str]:
    """Variables which statements outside lifted blocks bind."""
    pending = list(body)
    if variables.straight is not None:
        yield from variables.straight
        return
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Match | ast.TryStar):
            pending += inner_statements(node)
        elif not isinstance(node, _LIFTED):
            yield from variables.facts[node].writes


def _with_declarations(body: list[ast.stmt], outer: list[str], own: list[str]) -> list[ast.stmt]:
    """`nonlocal` for variables of functions around, `name: None` for variables that only lifted functions bind."""
    at = body[0]
    made: list[ast.stmt] = [locate(ast.Nonlocal(outer), at)] if outer else []
    for name in own:
        target = locate(ast.Name(name, ast.Store()), at)
        made.append(locate(ast.AnnAssign(target, locate(ast.Constant(None), at), None, 1), at))
    has_text = isinstance(at, ast.Expr) and isinstance(at.value, ast.Constant) and isinstance(at.value.value, str)
    return [*body[:has_text], *made, *body[has_text:]]
