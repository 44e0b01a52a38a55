"""Names that live outside the function: globals, builtins and closure cells.

Flows in:  resolved names.
Flows out: loads as `ag.load_global(scope, "x")` and `ag.load_free(scope, "x")`, stores and deletions alike, and no
           `global` or `nonlocal` for them. Local names, also those of enclosing converted functions, stay Python's own.
"""
from __future__ import annotations

import ast
from typing import Any

from tracejit.autograph.rewriting import (
    SCOPE,
    Rewriter,
    constant,
    load,
    locate,
    operator,
    statement,
)
from tracejit.autograph.scopes import Place, argument_names

# The class cell belongs to zero-argument `super()`, which reads it from the frame.
PLAIN_NAMES = frozenset({"__class__", "__debug__"})


class NameRewriter(Rewriter):
    """Contract: afterwards no `Name` node, declaration or binding statement reaches outside the function."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.ctx.__class__ is not ast.Load or node.id in PLAIN_NAMES:
            return node
        place = self.context.place(node)
        if place is Place.LOCAL:
            return operator("defined", node, node, constant(node.id, node)) if self.context.is_unsure(node.id) else node
        return operator(f"load_{place.value}", node, load(SCOPE, node), constant(node.id, node))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        node.value = self.visit(node.value)
        place = self.context.place(node.target)
        return node if place is Place.LOCAL else self.store_outer(node.target.id, place, node.value, node)

    def store_outer(self, name: str, place: Place, value: ast.expr, at: Any) -> ast.Call:
        """`ag.store_<place>(scope, name, value)`, whose value is `value`."""
        return operator(f"store_{place.value}", at, load(SCOPE, at), constant(name, at), value)

    def delete_outer(self, name: str, place: Place, at: Any) -> ast.stmt:
        return statement(operator(f"delete_{place.value}", at, load(SCOPE, at), constant(name, at)), at)

    def outer_stores(self, node: Any, at: Any) -> list[ast.stmt]:
        """Statements which send outside what `node` just bound to local names."""
        return [statement(self.store_outer(name, place, load(name, at), at), at)
                for name, place in self.context.names.outer_bindings.get(node, ())]

    def visit_Global(self, node: Any) -> Any:
        if node in self.context.names.class_bindings:
            self.context.refuse(node, f"{node.__class__.__name__.lower()} in the body of a class can't be converted",
                                "names of a class body become attributes", "move the assignment out of the class")
        outer = {name for name, _ in self.context.names.outer_bindings.get(node, ())}
        node.names = [name for name in node.names if name not in outer]
        return node if node.names else []

    visit_Nonlocal = visit_Global

    def visit_Import(self, node: Any) -> Any:
        return [node, *self.outer_stores(node, node)]

    visit_ImportFrom = visit_Import

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self.arguments(node.args)
        with self.context.inside(node.args), self.context.expression(argument_names(node.args)):
            node.body = self.visit(node.body)
        return node

    def arguments(self, args: ast.arguments) -> None:
        args.defaults = [self.visit(d) for d in args.defaults]
        args.kw_defaults = [d if d is None else self.visit(d) for d in args.kw_defaults]

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.bases = [self.visit(b) for b in node.bases]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        with self.context.inside(None):    # its names are no variables
            node.body = self.statements(node.body)
        return [node, *self.outer_stores(node, node)]

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        """Python deletes the name when the handler ends."""
        outer = self.context.names.outer_bindings.get(node, [])
        stores = self.outer_stores(node, node.body[0])
        deletions = [self.delete_outer(name, place, node.body[-1]) for name, place in outer]
        self.children(node)
        if outer:
            node.body = [*stores, locate(ast.Try(node.body, [], [], deletions), node.body[0])]
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.match_case:
        stores = self.outer_stores(node, node.body[0])
        if stores and node.guard is not None:
            self.context.refuse(node.pattern, "a case with a guard can't capture a global or nonlocal name",
                                "the guard runs before the name is stored", "capture a local name and assign it")
        self.children(node)
        node.body = [*stores, *node.body]
        return node
