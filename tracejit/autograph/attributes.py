"""Loads of attributes and items.

Flows in:  `obj.name`, `obj[index]`.
Flows out: `ag.load_attribute(obj, "name")`, `ag.load_item(obj, index)`; slices of an index become `ag.slice(...)`.
"""
from __future__ import annotations

import ast

from tracejit.autograph.rewriting import Rewriter, constant, locate, locate_attribute, operator


class AttributeRewriter(Rewriter):
    """Contract: afterwards no attribute or item is loaded but through the namespace."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        place = locate_attribute(ast.Pass(), node)
        return operator("load_attribute", place, self.visit(node.value), constant(node.attr, place))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return operator("load_item", node, self.visit(node.value), self.index(node.slice))

    def index(self, node: ast.expr) -> ast.expr:
        """An index as an expression of its own."""
        if isinstance(node, ast.Slice):
            bounds = [node.lower, node.upper] + ([node.step] if node.step else [])
            none = [locate(ast.Constant(None), node) if b is None else self.visit(b) for b in bounds]
            return operator("slice", node, *none)
        if isinstance(node, ast.Tuple):
            node.elts = [self.index(e) for e in node.elts]
            return node
        made: ast.expr = self.visit(node)
        return made
