"""What single statements do to variables, without the blocks inside them.

Flows in:  statements, handlers and cases, and where their names live.
Flows out: `statement_use`, and the parts that a statement consists of.
"""
from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from tracejit.autograph.scopes import Resolution, captured_names
from tracejit.autograph.uses import Use, use_of


def statement_use(node: Any, names: Resolution) -> Use:
    """Of a simple statement all, of a compound statement the part before its blocks."""
    found = use_of(header(node), names)
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target not in names.places:
        found.reads.add(node.target.id)
    outer = {name for name, _ in names.outer_bindings.get(node, ())}
    bound = {name for name in bound_names(node) if name not in outer}
    if isinstance(node, ast.match_case):    # the pattern binds before the guard reads
        found.reads -= bound
    found.write(bound)
    return found


def target_use(node: ast.For, names: Resolution) -> Use:
    """What every round of a `for` does first."""
    return use_of([node.target], names)


def header(node: Any) -> list[ast.AST | None]:
    """The parts of a statement that it evaluates itself, in order; blocks inside it are left out."""
    if isinstance(node, ast.Assign):
        return [node.value, *node.targets]
    if isinstance(node, ast.AugAssign):
        return [node.value, node.target]
    if isinstance(node, ast.AnnAssign):
        return [node.value, node.target] if node.value is not None else []
    if isinstance(node, ast.For):
        return [node.iter]
    if isinstance(node, ast.If | ast.While):
        return [node.test]
    if isinstance(node, ast.With):
        return [part for item in node.items for part in (item.context_expr, item.optional_vars)]
    if isinstance(node, ast.Match):
        return [node.subject]
    if isinstance(node, ast.match_case):
        return [node.guard]
    if isinstance(node, ast.ExceptHandler):
        return [node.type]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    return [] if isinstance(node, ast.Try | ast.TryStar) else [node]


def bound_names(node: Any) -> Iterable[str]:
    """Names that a statement binds otherwise than by `Name` nodes."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ExceptHandler):
        return [node.name] if node.name else []
    return captured_names(node.pattern) if isinstance(node, ast.match_case) else []


def is_irrefutable(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


def inner_statements(node: Any) -> Iterable[ast.stmt]:
    """Statements directly inside a compound statement; none for functions and classes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return []
    blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
    blocks += [part.body for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ()))]
    return [statement for block in blocks for statement in block]


def is_endless(node: Any) -> bool:
    """Whether a loop runs until something leaves it."""
    return isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and bool(node.test.value)
