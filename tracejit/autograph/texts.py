"""Text made of values: f-strings, and `%` of a text that stands in the source.

Flows in:  `f"{x!r:>5} of {n}"`, `"%d of %s" % values`.
Flows out: `ag.text((x, "r", ">5"), " of ", (n, "", ""))`, `ag.call("%d of %s".__mod__, values)`.
"""
from __future__ import annotations

import ast

from tracejit.autograph.rewriting import Rewriter, constant, locate, operator


class TextRewriter(Rewriter):
    """Contract: afterwards the namespace makes every text with values in it."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        if not any(isinstance(part, ast.FormattedValue) for part in node.values):
            return node
        return operator("text", node, *[self.text_part(part, node) for part in node.values])

    def text_part(self, part: ast.expr, like: ast.JoinedStr) -> ast.expr:
        """Text as it is; a value with its conversion and format."""
        if not isinstance(part, ast.FormattedValue):
            return part
        conversion = constant("" if part.conversion < 0 else chr(part.conversion), like)
        spec = constant("", like) if part.format_spec is None else self.visit(plain_text(part.format_spec))
        made: ast.expr = locate(ast.Tuple([self.visit(part.value), conversion, spec], ast.Load()), like)
        return made

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        is_text = isinstance(node.left, ast.JoinedStr) or (
            isinstance(node.left, ast.Constant) and isinstance(node.left.value, str))
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        if not is_text or not isinstance(node.op, ast.Mod):
            return node
        method = locate(ast.Attribute(node.left, "__mod__", ast.Load()), node.left)
        return operator("call", node, method, node.right)


def plain_text(node: ast.expr) -> ast.expr:
    """An f-string of text alone as that text."""
    parts = [p.value for p in node.values if isinstance(p, ast.Constant)] if isinstance(node, ast.JoinedStr) else []
    if not isinstance(node, ast.JoinedStr) or len(parts) < len(node.values):
        return node
    return constant("".join(map(str, parts)), node)
