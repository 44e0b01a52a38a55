"""Calls.

Flows in:  `f(a, *b, k=c)`.
Flows out: `ag.call(f, a, *b, k=c)`. Builtins that read the caller's frame are called where they stand; the namespace
           is asked before (`ag.frame_function`), and `locals()` loses the names that conversion added.
           `super()` gets the arguments that it would read from the frame.
"""
from __future__ import annotations

import ast

from tracejit.autograph.rewriting import Rewriter, is_operator, load, locate_start, operator, operator_function
from tracejit.autograph.scopes import SEES_VARIABLES, Place

FRAME_FUNCTIONS = SEES_VARIABLES | {"globals"}
LISTS_LOCALS = frozenset({"locals", "vars", "dir"})


class CallRewriter(Rewriter):
    """Contract: afterwards the namespace sees every call, except `super()`, and no call needs the user's frame
    but those of `FRAME_FUNCTIONS`.
    """

    def visit_Call(self, node: ast.Call) -> ast.expr:
        builtin = self.frame_function(node)
        node.args = [self.visit(a) for a in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        if builtin == "super":
            return self.explicit_super(node)
        if builtin:
            return self.call_in_frame(node, builtin)
        if is_operator(node.func):
            return node
        function = self.visit(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.lineno != node.func.end_lineno:
            node.lineno, node.col_offset = function.lineno, function.col_offset
        node.args.insert(0, function)
        node.func = operator_function("call", node)
        return node

    def explicit_super(self, node: ast.Call) -> ast.Call:
        """Without a first parameter the call fails as it did."""
        if self.context.first_argument:
            node.args = [load("__class__", node), load(self.context.first_argument, node)]
        return node

    def frame_function(self, node: ast.Call) -> str:
        """The name of the builtin if it reads the caller's frame."""
        func = node.func
        if not isinstance(func, ast.Name) or self.context.place(func) is not Place.GLOBAL:
            return ""
        no_arguments = not node.args and not node.keywords
        if func.id == "super":
            return "super" if no_arguments else ""
        return func.id if func.id in FRAME_FUNCTIONS and (no_arguments or func.id not in LISTS_LOCALS) else ""

    def call_in_frame(self, node: ast.Call, builtin: str) -> ast.expr:
        node.func = operator("frame_function", node.func, locate_start(node.func, node.func))
        return operator("user_names", node, node) if builtin in LISTS_LOCALS else node
