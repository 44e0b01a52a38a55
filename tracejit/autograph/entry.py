"""Conversion on its own: functions in, functions and text out.

Flows in:  a function, method, partial or callable.
Flows out: `convert` (the same kind of thing, converted) and `to_source` (what converted code looks like).
"""
from __future__ import annotations

import ast
import functools
import keyword
from types import FunctionType, MethodType
from typing import Any

from tracejit.autograph.codes import THUNK
from tracejit.autograph.converter import convert_tree
from tracejit.autograph.load import convert_function
from tracejit.autograph.namespace import Namespace
from tracejit.autograph.parse import parse_function
from tracejit.autograph.plain import PlainNamespace
from tracejit.autograph.policy import converted_codes
from tracejit.base.deep import with_deep_stack
from tracejit.base.errors import SourceUnavailableError


def convert(fn: Any, namespace: Namespace | None = None) -> Any:
    """`fn` with its operators taken from `namespace`, by default plain Python's.

    fn: a function, lambda, method, partial, classmethod, staticmethod or an instance with `__call__`.
    Raises SourceUnavailableError for functions without source and builtins, UnsupportedError for async code.
    """
    given = PlainNamespace() if namespace is None else namespace
    if isinstance(fn, functools.partial):
        return functools.partial(convert(fn.func, given), *fn.args, **fn.keywords)
    if isinstance(fn, MethodType):
        return MethodType(convert(fn.__func__, given), fn.__self__)
    if isinstance(fn, classmethod | staticmethod):
        return type(fn)(convert(fn.__func__, given))
    function = python_function(fn)
    if function.__code__ in converted_codes:
        return function
    made = convert_function(function, given)
    return made if isinstance(fn, FunctionType) else MethodType(made, fn)


def python_function(fn: Any) -> FunctionType:
    """The Python function that runs when `fn` is called. Raises SourceUnavailableError if there is none."""
    while isinstance(fn, functools.partial | MethodType | classmethod | staticmethod):
        fn = fn.func if isinstance(fn, functools.partial) else fn.__func__
    if isinstance(fn, FunctionType):
        return fn
    call = None if isinstance(fn, type) else getattr(type(fn), "__call__", None)    # noqa: B004
    if isinstance(call, FunctionType):
        return call
    raise SourceUnavailableError(f"{fn!r} is no Python function", why="only Python source can be converted",
                                 fix="wrap it: lambda *args: f(*args)")


def to_source(fn: Any) -> str:
    """The converted function as text, for reading. `ag` is the namespace, `scope` holds the outer names."""
    function = python_function(fn)
    return with_deep_stack(lambda: _converted_text(function), function.__name__)


def _converted_text(function: FunctionType) -> str:
    parsed = parse_function(function)
    tree = convert_tree(parsed.node, function.__code__.co_freevars, parsed.file)
    used = {name for node in ast.walk(tree) for name in _identifiers(node)}
    _spell(tree, {name: _readable(name, used) for name in used if "!" in name})
    return ast.unparse(tree)


def _identifiers(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Nonlocal):
        return node.names
    return [getattr(node, f) for f in ("id", "arg", "name") if isinstance(getattr(node, f, None), str)]


def _readable(name: str, used: set[str]) -> str:
    """`part!1` as `part_1`, with more underscores if the user has this name."""
    readable = name.removesuffix("!").replace("!", "_")
    while readable in used or keyword.iskeyword(readable):
        readable += "_"
    return readable


def _spell(tree: ast.AST, names: dict[str, str]) -> None:
    """Replaces the names that no user can write. The mark of lifted functions is left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = names.get(node.arg, node.arg)
        elif isinstance(node, ast.Nonlocal):
            node.names = [names.get(name, name) for name in node.names]
        elif isinstance(node, ast.FunctionDef):
            node.name = "lambda_" if node.name == "<lambda>" else names.get(node.name, node.name)
        if isinstance(node, ast.FunctionDef | ast.Lambda) and _is_marked(node.args):
            node.args.vararg = None


def _is_marked(args: ast.arguments) -> bool:
    return args.vararg is not None and args.vararg.arg == THUNK
