"""Statements that store: assignment, augmented assignment, `del`, and the targets of `for` and `with`.

Flows in:  targets that are attributes, items, outer names or patterns of them.
Flows out: `ag.store_attribute(value, obj, "name")`, `ag.store_item(value, obj, index)` and stores of outer names, in
           Python's order of evaluation (the value first, then each target from left to right). Local names stay.
"""
from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from tracejit.autograph.attributes import AttributeRewriter
from tracejit.autograph.names import NameRewriter
from tracejit.autograph.rewriting import SCOPE, assign, constant, load, locate, operator, statement, store
from tracejit.autograph.scopes import Place

Store = Callable[[ast.expr], ast.expr]


class AssignmentRewriter(AttributeRewriter, NameRewriter):
    """Contract: afterwards every target of a statement is a local name or a pattern of local names."""

    def visit_Assign(self, node: ast.Assign) -> Any:
        node.value = self.visit(node.value)
        if all(map(self.is_local_target, node.targets)):
            return node
        if len(node.targets) == 1 and not isinstance(node.targets[0], ast.Tuple | ast.List):
            return self.bind(node.targets[0], node.value, node)
        value = self.context.fresh("value")
        made = [assign(store(value, node), node.value, node)]
        for target in node.targets:
            made += self.bind(target, load(value, node), node)
        return made

    def is_local_target(self, target: ast.expr) -> bool:
        if isinstance(target, ast.Tuple | ast.List):
            return all(map(self.is_local_target, target.elts))
        return self.context.is_local_name(target.value if isinstance(target, ast.Starred) else target)

    def bind(self, target: ast.expr, value: ast.expr, at: Any) -> list[ast.stmt]:
        """Statements which store `value`, an expression that is evaluated once, in `target`."""
        if isinstance(target, ast.Name) and (place := self.context.place(target)) is not Place.LOCAL:
            return [statement(self.store_outer(target.id, place, value, at), at)]
        if self.is_local_target(target):
            return [assign(target, value, at)]
        if isinstance(target, ast.Attribute):
            return [statement(operator("store_attribute", at, value, self.visit(target.value),
                                       constant(target.attr, at)), at)]
        if isinstance(target, ast.Subscript):
            return [statement(operator("store_item", at, value, self.visit(target.value), self.index(target.slice)),
                              at)]
        return self.bind_pattern(target, value, at)

    def bind_pattern(self, target: Any, value: ast.expr, at: Any) -> list[ast.stmt]:
        """Unpacks to temporaries first, as Python does, then stores each in turn."""
        parts, stores = [], []
        for element in target.elts:
            name = self.context.fresh("part")
            starred = isinstance(element, ast.Starred)
            part: ast.expr = store(name, element)
            parts.append(locate(ast.Starred(part, ast.Store()), element) if starred else part)
            stores += self.bind(element.value if starred else element, load(name, element), at)
        return [assign(locate(ast.Tuple(parts, ast.Store()), target), value, at), *stores]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Annotations of local variables are never evaluated."""
        if node.value is None:
            return node if self.is_local_target(node.target) else []
        value = self.visit(node.value)
        if self.is_local_target(node.target):
            node.value = value
            return node
        return self.bind(node.target, value, node)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        """Evaluates the target's parts, loads, computes in place, stores: in this order."""
        target = node.target
        if self.context.is_local_name(target):
            first = self.asked(target)
            node.value = self.visit(node.value)
            return [*first, node]
        made: list[ast.stmt] = []
        loaded, stored = self.load_and_store(target, made, node)
        name = self.context.fresh("result")
        made.append(assign(store(name, node), loaded, node))
        made.append(locate(ast.AugAssign(store(name, node), node.op, self.visit(node.value)), node))
        return [*made, statement(stored(load(name, node)), node)]

    def load_and_store(self, target: ast.expr, made: list[ast.stmt], at: Any) -> tuple[ast.expr, Store]:
        """The load of a target, and what makes the store of a value; the target's parts are evaluated once."""
        if isinstance(target, ast.Name):
            place, name = self.context.place(target), target.id
            loaded = operator(f"load_{place.value}", target, load(SCOPE, target), constant(name, target))
            return loaded, lambda value: self.store_outer(name, place, value, at)
        if isinstance(target, ast.Attribute):
            obj, attribute = self.once(self.visit(target.value), made), constant(target.attr, at)
            return (operator("load_attribute", target, obj, attribute),
                    lambda value: operator("store_attribute", at, value, obj, attribute))
        assert isinstance(target, ast.Subscript)
        obj = self.once(self.visit(target.value), made)
        index = self.once(self.index(target.slice), made)
        return (operator("load_item", target, obj, index),
                lambda value: operator("store_item", at, value, obj, index))

    def once(self, value: ast.expr, made: list[ast.stmt]) -> ast.expr:
        """An expression that may stand twice: `value` itself if it is a constant, else a temporary."""
        if isinstance(value, ast.Constant):
            return value
        name = self.context.fresh("part")
        made.append(assign(store(name, value), value, value))
        return load(name, value)

    def visit_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        return [made for target in node.targets for made in self.delete(target, node)]

    def delete(self, target: ast.expr, at: Any) -> list[ast.stmt]:
        if isinstance(target, ast.Tuple | ast.List):
            return [made for element in target.elts for made in self.delete(element, at)]
        if isinstance(target, ast.Attribute):
            return [statement(operator("delete_attribute", at, self.visit(target.value),
                                       constant(target.attr, at)), at)]
        if isinstance(target, ast.Subscript):
            return [statement(operator("delete_item", at, self.visit(target.value), self.index(target.slice)), at)]
        assert isinstance(target, ast.Name)
        if (place := self.context.place(target)) is not Place.LOCAL:
            return [self.delete_outer(target.id, place, at)]
        return [*self.asked(target), locate(ast.Delete([target]), at)]

    def asked(self, target: Any) -> list[ast.stmt]:
        """A statement which asks for the value of a variable that may have none."""
        if not self.context.is_unsure(target.id):
            return []
        read = locate(ast.Name(target.id, ast.Load()), target)
        value = operator("defined", target, read, constant(target.id, target))
        return [assign(store(target.id, target), value, target)]

    def visit_For(self, node: ast.For) -> ast.For:
        node.iter = self.visit(node.iter)
        stores: list[ast.stmt] = []
        if not self.is_local_target(node.target):
            name = self.context.fresh("item")
            stores = self.bind(node.target, load(name, node.target), node.target)
            node.target = store(name, node.target)
        node.body = [*stores, *self.statements(node.body)]
        node.orelse = self.statements(node.orelse) if node.orelse else []
        return node

    def visit_With(self, node: ast.With) -> ast.With:
        """Items after one with a target that needs statements go into a `with` of their own."""
        for i, item in enumerate(node.items):
            item.context_expr = self.visit(item.context_expr)
            if item.optional_vars is None or self.is_local_target(item.optional_vars):
                continue
            name = self.context.fresh("entered")
            stores = self.bind(item.optional_vars, load(name, item.optional_vars), item.optional_vars)
            item.optional_vars = store(name, item.optional_vars)
            rest = node.items[i + 1:]
            inner: list[ast.stmt] = ([self.visit(locate(ast.With(rest, node.body), node))] if rest
                                     else self.statements(node.body))
            node.items, node.body = node.items[:i + 1], [*stores, *inner]
            return node
        node.body = self.statements(node.body)
        return node

