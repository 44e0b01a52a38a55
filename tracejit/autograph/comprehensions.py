"""Comprehensions and list displays.

Flows in:  `[... for ... in ...]`, `{...}`, generator expressions; `[...]` that becomes the value of something.
Flows out: `ag.comprehension(kind, iterable, body)`, where `body(item, emit)` runs one round of the outermost `for`,
           `ag.each(iterable, body, emit)` the inner ones, `ag.when(test, body, emit)` what stands under a test, and
           `emit(element)` takes what they make;
           `ag.list_display([...])`. Comprehensions stay Python's where `:=` binds around them and where a target is no
           pattern of names. Generators of several `for` whose elements may stay unused also come as Python's own.
"""
from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from tracejit.autograph.calls import CallRewriter
from tracejit.autograph.codes import THUNK
from tracejit.autograph.lifting import LiftingRewriter
from tracejit.autograph.rewriting import Context, constant, lambda_thunk, load, locate, operator
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
        first, *rest = node.generators
        iterable = self.visit(first.iter)
        with self.context.expression(own):
            first.ifs = list(map(self.visit, first.ifs))
            for later in rest:
                later.iter, later.ifs = self.visit(later.iter), list(map(self.visit, later.ifs))
            element = self.visit(_element(node))
        made = operator("comprehension", node, constant(_KINDS[type(node)], node), iterable,
                        self.round(node.generators, element))
        if rest and isinstance(node, ast.GeneratorExp) and node not in self.used_whole:
            made.args.append(self.one_by_one(node, element))
        return made

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def is_converted(self, node: Any) -> bool:
        """Whether the namespace runs the comprehension."""
        if self.context.variables is None:
            return False
        with self.context.expression(()):
            return all(_is_pattern(g.target) and not g.is_async for g in node.generators) and self.may_wait(node)

    def round(self, generators: Sequence[ast.comprehension], element: ast.expr) -> ast.Lambda:
        """`lambda item, emit: ...` of converted parts: one round of the first `for`. A test asks `ag.when`, a
        `for` inside `ag.each`; a target which is no name is bound by `[... for target in [item]]`.
        """
        (first, *rest), emit = generators, self.context.fresh("emit")
        if rest:
            body: ast.expr = operator("each", rest[0].iter, rest[0].iter, self.round(rest, element),
                                      load(emit, rest[0].iter))
        else:
            body = locate(ast.Call(load(emit, element), [element], []), element)
        for test in reversed(first.ifs):
            body = operator("when", test, test, lambda_thunk(body), load(emit, test))
        if isinstance(first.target, ast.Name):
            return _function((first.target.id, emit), body)
        item = self.context.fresh("item")
        single = locate(ast.List([load(item, first.target)], ast.Load()), first.target)
        bound = locate(ast.ListComp(body, [ast.comprehension(first.target, single, [], 0)]), body)
        return _function((item, emit), bound)

    def one_by_one(self, node: ast.GeneratorExp, element: ast.expr) -> ast.Lambda:
        """`lambda items: (element for ... in items ...)` of converted parts: as lazy as Python is between elements."""
        items, (first, *rest) = self.context.fresh("items"), node.generators
        parts = [ast.comprehension(first.target, load(items, node), _conditions(first.ifs), 0)]
        parts += [ast.comprehension(g.target, g.iter, _conditions(g.ifs), 0) for g in rest]
        return _function((items,), locate(ast.GeneratorExp(element, parts), node))

    def visit_List(self, node: ast.List) -> ast.expr:
        self.children(node)
        return operator("list_display", node, node) if isinstance(node.ctx, ast.Load) else node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        """`[0] * n`, `l + [x]`."""
        if isinstance(node.op, ast.Mult) and isinstance(node.left, ast.List):
            self.children(node.left)
            return operator("list_display", node, node.left, self.visit(node.right))
        makes_list = isinstance(node.op, ast.Add) and ast.List in (type(node.left), type(node.right))
        made = super().visit_BinOp(node)    # type: ignore[misc]
        return operator("list_display", node, made) if makes_list else made


def _element(node: Any) -> ast.expr:
    """What a comprehension makes in each round; a pair for a dict."""
    if not isinstance(node, ast.DictComp):
        return node.elt    # type: ignore[no-any-return]
    made: ast.expr = locate(ast.Tuple([node.key, node.value], ast.Load()), node.key)
    return made


def _conditions(tests: Sequence[ast.expr]) -> list[ast.expr]:
    return [operator("condition", test, test) for test in tests]


def _function(names: tuple[str, ...], body: ast.expr) -> ast.Lambda:
    args = ast.arguments(posonlyargs=[], args=[locate(ast.arg(name), body) for name in names],
                         vararg=locate(ast.arg(THUNK), body), kwonlyargs=[], kw_defaults=[], defaults=[])
    made: ast.Lambda = locate(ast.Lambda(args, body), body)
    return made


def _is_pattern(target: ast.expr) -> bool:
    """Whether a target consists of names only."""
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_is_pattern, target.elts))
    return isinstance(target.value if isinstance(target, ast.Starred) else target, ast.Name)
