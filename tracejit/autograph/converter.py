"""The whole rewriting of one function.

Flows in:  the parsed function and the names of its closure cells.
Flows out: its tree with calls, outer names, attributes, items and conditions routed through the namespace.
"""
from __future__ import annotations

import ast
from collections.abc import Iterable

from tracejit.autograph.branches import BranchRewriter
from tracejit.autograph.comprehensions import ComprehensionRewriter
from tracejit.autograph.conditions import ConditionRewriter
from tracejit.autograph.loops import LoopRewriter
from tracejit.autograph.rewriting import Context
from tracejit.autograph.scopes import resolve_names
from tracejit.autograph.texts import TextRewriter
from tracejit.autograph.trying import TryRewriter


class Converter(BranchRewriter, LoopRewriter, TryRewriter, ComprehensionRewriter, ConditionRewriter, TextRewriter):
    """One walk with the handlers of all families; each kind of node belongs to one family."""

    def visit_match_case(self, node: ast.match_case) -> ast.match_case:
        return self.guarded(super().visit_match_case(node))

    def visit_AsyncFunctionDef(self, node: ast.stmt) -> ast.stmt:
        self.context.refuse(node, "async code can't be converted", "a compiled function never waits",
                            "call the compiled function from the coroutine")

    visit_AsyncFor = visit_AsyncWith = visit_AsyncFunctionDef

    def visit_Await(self, node: ast.expr) -> ast.expr:
        self.context.refuse(node, "await can't be converted", "a compiled function never waits",
                            "await before the call and pass the result")


def convert_tree(root: ast.FunctionDef, free: Iterable[str], file: str) -> ast.FunctionDef:
    """Rewrites `root` in place. Its decorators, defaults and annotations were evaluated when it was defined."""
    strip_header(root)
    Converter(Context(file, resolve_names(root, free))).function_body(root)
    return root


def strip_header(root: ast.FunctionDef) -> None:
    """Removes what the `def` statement evaluates. Annotations go too; the live function keeps its own."""
    args = root.args
    root.decorator_list, root.returns = [], None
    for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg):
        if arg is not None:
            arg.annotation = None
    args.defaults = []
    args.kw_defaults = [None if d is None else ast.copy_location(ast.Constant(None), d) for d in args.kw_defaults]
