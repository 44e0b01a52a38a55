"""What expressions do to the variables of the function that they stand in.

Flows in:  expressions in the order in which Python evaluates them, and where their names live.
Flows out: `Use`: variables read before they are written, certainly written, possibly written or deleted.

Variables that functions inside capture are not counted here: they may be read and written at any call, and
`Resolution.captured` lists them.
"""
from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tracejit.autograph.scopes import COMPREHENSIONS, Place, Resolution


@dataclass(slots=True)
class Use:
    """reads: variables whose value before matters.  writes: certainly bound.  may_write: bound or deleted perhaps.

    deletes: may have no value afterwards.
    """

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    may_write: set[str] = field(default_factory=set)
    deletes: set[str] = field(default_factory=set)

    def read(self, names: Iterable[str]) -> None:
        self.reads |= set(names) - self.writes

    def write(self, names: Iterable[str]) -> None:
        self.writes |= set(names)
        self.may_write |= self.writes

    def delete(self, name: str) -> None:
        self.read((name,))
        self.writes.discard(name)
        self.deletes.add(name)
        self.may_write.add(name)


def use_of(parts: Iterable[ast.AST | None], names: Resolution) -> Use:
    """What evaluating `parts` one after the other does. Targets of assignments are parts as well."""
    finder = _Finder(names)
    for part in parts:
        if part is not None:
            finder.visit(part)
    return finder.use


class _Finder:
    """Walks in Python's order of evaluation, as far as it matters to names."""

    def __init__(self, names: Resolution) -> None:
        self.names, self.use = names, Use()

    def visit(self, node: Any) -> None:
        if isinstance(node, ast.Name):
            self.name(node)
        elif isinstance(node, ast.NamedExpr):
            self.visit(node.value)
            self.name(node.target)
        elif isinstance(node, ast.IfExp):
            self.branching([node.test], [node.body, node.orelse])
        elif isinstance(node, ast.BoolOp):
            self.branching(node.values[:1], node.values[1:])
        elif isinstance(node, ast.Compare):
            self.branching([node.left, node.comparators[0]], node.comparators[1:])
        elif isinstance(node, COMPREHENSIONS):
            self.comprehension(node)
        elif isinstance(node, ast.Lambda):
            self.each([*node.args.defaults, *node.args.kw_defaults])
        elif not isinstance(node, ast.Constant):
            self.each(ast.iter_child_nodes(node))

    def each(self, parts: Iterable[Any]) -> None:
        for part in parts:
            if part is not None:
                self.visit(part)

    def name(self, node: ast.Name) -> None:
        if self.names.places.get(node, Place.LOCAL) is not Place.LOCAL:
            return
        if isinstance(node.ctx, ast.Store):
            self.use.write((node.id,))
        elif isinstance(node.ctx, ast.Del):
            self.use.delete(node.id)
        else:
            self.use.read((node.id,))

    def branching(self, always: Iterable[Any], perhaps: Iterable[Any]) -> None:
        self.each(always)
        for part in perhaps:
            self.inner([part], ())

    def inner(self, parts: Iterable[Any], own: Iterable[str]) -> None:
        """Parts that may not run, in which the names `own` are others."""
        found = use_of(parts, self.names)
        self.use.read(found.reads.difference(own))
        self.use.may_write |= found.may_write.difference(own)

    def comprehension(self, node: Any) -> None:
        self.visit(node.generators[0].iter)
        own = [n.id for g in node.generators for n in ast.walk(g.target)
               if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        parts = [part for i, g in enumerate(node.generators) for part in ([g.iter] if i else []) + g.ifs]
        self.inner(parts + ([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]), own)
