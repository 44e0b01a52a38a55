"""Private names of classes: `__x` in a method of class `A` is `_A__x`.

Flows in:  the tree of a function and the class around it, if any.
Flows out: the same tree with names as the compiler would spell them, so that later rewriting may turn them into text.
"""
from __future__ import annotations

import ast
from typing import Any

_SINGLE = {ast.Name: "id", ast.Attribute: "attr", ast.arg: "arg", ast.keyword: "arg", ast.FunctionDef: "name",
           ast.AsyncFunctionDef: "name", ast.ExceptHandler: "name", ast.MatchAs: "name", ast.MatchStar: "name",
           ast.MatchMapping: "rest"}
_SEVERAL = {ast.Global: "names", ast.Nonlocal: "names", ast.MatchClass: "kwd_attrs"}


def mangle(class_name: str, name: str) -> str:
    """Source: Python reference, section 6.2.1, private name mangling."""
    stem = class_name.lstrip("_")
    if not stem or not is_private(name):
        return name
    return f"_{stem}{name}"


def is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__") and "." not in name


def mangle_names(root: ast.FunctionDef, class_name: str) -> None:
    """Rewrites private names in place, those of classes inside the function with their own class. The function's own
    name stays: it is mangled where the class holds it, not in its code."""
    pending: list[tuple[ast.AST, str]] = [(root, class_name)]
    while pending:
        node, owner = pending.pop()
        for child in ast.iter_child_nodes(node):
            inner = node.name if isinstance(node, ast.ClassDef) and child in node.body else owner
            _mangle_fields(child, inner)
            pending.append((child, inner))


def _mangle_fields(node: Any, class_name: str) -> None:
    if node.__class__ in _SINGLE:
        name = getattr(node, _SINGLE[node.__class__])
        if name and is_private(name):
            setattr(node, _SINGLE[node.__class__], mangle(class_name, name))
    elif node.__class__ in _SEVERAL:
        names = getattr(node, _SEVERAL[node.__class__])
        names[:] = [mangle(class_name, name) for name in names]
    elif isinstance(node, ast.alias):
        node.name, node.asname = _mangled_alias(node, class_name)


def _mangled_alias(node: ast.alias, class_name: str) -> tuple[str, str | None]:
    if node.asname:
        return node.name, mangle(class_name, node.asname)
    mangled = mangle(class_name, node.name)
    return (node.name, mangled) if mangled != node.name else (node.name, None)
