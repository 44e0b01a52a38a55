"""Comprehensions and list displays.

Flows in:  `[... for ... in ...]`, `{...}`, generator expressions; `[...]` that becomes the value of something.
Flows out: `ag.comprehension(kind, iterable, body)`, where `body(item, emit)` runs one round of the outermost `for` and
           calls `emit(element)`; `ag.list_display([...])`. Comprehensions stay Python's where `:=` binds around them,
           where a target is no pattern of names, and generators of several `for` whose elements may stay unused.
"""
from __future__ import annotations

import ast
from typing import Any

from tracejit.autograph.calls import CallRewriter
from tracejit.autograph.codes import THUNK
from tracejit.autograph.lifting import LiftingRewriter
from tracejit.autograph.rewriting import Context, constant, load, locate, operator
from tracejit.autograph.scopes import Place

_KINDS: dict[type, str] = {ast.ListComp: "list", ast.SetComp: "set", ast.DictComp: "dict",
                           ast.GeneratorExp: "generator"}
# Builtins that take every element of their argument.
_USES_ALL = frozenset({"sum", "min", "max", "list", "tuple", "set", "frozenset", "dict", "sorted"})


class ComprehensionRewriter(LiftingRewriter, CallRewriter):
    """Contract: elements are computed in functions of one item, in Python's order, as lazily as before."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.used_whole: set[ast.expr] = set()    # generators whose elements are all taken
        self.displays: set[ast.expr] = set()    # lists that get a name

    def visit_Call(self, node: ast.Call) -> ast.expr:
        function = node.func
        if (len(node.args) == 1 and isinstance(function, ast.Name) and function.id in _USES_ALL
                and self.context.place(function) is Place.GLOBAL):
            self.used_whole.add(node.args[0])
        return super().visit_Call(node)

    def visit_ListComp(self, node: Any) -> Any:
        own = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        if not self.is_converted(node):
            with self.context.expression(own):
                return self.children(node)
        iterable = self.visit(node.generators[0].iter)
        emit = self.context.fresh("emit")
        with self.context.expression(own):
            body = self.round(node, emit)
        return operator("comprehension", node, constant(_KINDS[type(node)], node), iterable, body)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def is_converted(self, node: Any) -> bool:
        """Whether the namespace runs the comprehension."""
        lazy = isinstance(node, ast.GeneratorExp) and len(node.generators) > 1 and node not in self.used_whole
        if lazy or self.context.variables is None:
            return False
        with self.context.expression(()):
            return all(_is_pattern(g.target) and not g.is_async for g in node.generators) and self.may_wait(node)

    def round(self, node: Any, emit: str) -> ast.Lambda:
        """`lambda item, emit: [emit(element) for target in [item] if test ...]`, shorter where that is the same."""
        element = node.elt if not isinstance(node, ast.DictComp) else locate(
            ast.Tuple([node.key, node.value], ast.Load()), node.key)
        first, *rest = node.generators
        if isinstance(first.target, ast.Name) and not first.ifs and not rest:
            return _function((first.target.id, emit), _emitted(self.visit(element), emit), node)
        item = self.context.fresh("item")
        single = locate(ast.List([load(item, first.target)], ast.Load()), first.target)
        body = locate(ast.ListComp(element, [ast.comprehension(first.target, single, first.ifs, 0), *rest]), node)
        self.children(body)
        body.elt = _emitted(body.elt, emit)
        return _function((item, emit), body, node)

    def visit_Assign(self, node: ast.Assign) -> Any:
        node.value = self.displayed(node.value)
        return super().visit_Assign(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is not None:
            node.value = self.displayed(node.value)
        return super().visit_AnnAssign(node)

    def visit_Return(self, node: ast.Return) -> Any:
        if node.value is not None:
            node.value = self.visit(self.displayed(node.value))
        return node

    def displayed(self, value: ast.expr) -> ast.expr:
        """Lists that get a name, also several at once."""
        if isinstance(value, ast.Tuple):
            value.elts = [self.displayed(e) for e in value.elts]
        if isinstance(value, ast.List):
            self.displays.add(value)
        return value

    def visit_List(self, node: ast.List) -> ast.expr:
        self.children(node)
        return operator("list_display", node, node) if node in self.displays else node


def _emitted(element: ast.expr, emit: str) -> ast.expr:
    made: ast.expr = locate(ast.Call(load(emit, element), [element], []), element)
    return made


def _function(names: tuple[str, ...], body: ast.expr, at: Any) -> ast.Lambda:
    args = ast.arguments(posonlyargs=[], args=[locate(ast.arg(name), at) for name in names],
                         vararg=locate(ast.arg(THUNK), at), kwonlyargs=[], kw_defaults=[], defaults=[])
    made: ast.Lambda = locate(ast.Lambda(args, body), body)
    return made


def _is_pattern(target: ast.expr) -> bool:
    """Whether a target consists of names only."""
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_is_pattern, target.elts))
    return isinstance(target.value if isinstance(target, ast.Starred) else target, ast.Name)
