"""Where each name of a function lives, by Python's scoping rules.

Flows in:  the tree of one function and the names of its closure cells.
Flows out: `Resolution`: which names (and statements that bind names) reach outside the function.
"""
from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

# Builtins that see the variables of the frame which calls them.
SEES_VARIABLES = frozenset({"eval", "exec", "locals", "vars", "dir"})
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Place(enum.Enum):
    """LOCAL: bound in the function or in a function that encloses the name and is converted with it."""

    LOCAL = "local"
    FREE = "free"
    GLOBAL = "global"


@dataclass(slots=True)
class Resolution:
    """places: nodes whose name is not local; absent means local.

    outer_bindings: for statements that bind names otherwise than by a `Name` node (def, class, import, except,
    match case) and for declarations, the names which `global` or `nonlocal` sends outside.

    captured: for each function, its variables that functions inside it use, which may run later.
    rebound: those of them that functions inside it assign.
    variables: for each function, those that it binds, parameters included.
    framed: functions that yield, or use builtins that see the variables of their frame.
    """

    places: dict[ast.AST, Place] = field(default_factory=dict)
    outer_bindings: dict[ast.AST, list[tuple[str, Place]]] = field(default_factory=dict)
    class_bindings: list[Any] = field(default_factory=list)
    captured: dict[ast.AST, set[str]] = field(default_factory=dict)
    rebound: dict[ast.AST, set[str]] = field(default_factory=dict)
    variables: dict[ast.AST, set[str]] = field(default_factory=dict)
    framed: set[ast.AST] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Scope:
    parent: _Scope | None
    node: ast.AST
    is_class: bool = False
    is_comprehension: bool = False
    bound: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    resolved: dict[str, Place] = field(default_factory=dict)


def resolve_names(root: ast.FunctionDef, free: Iterable[str]) -> Resolution:
    """Places of all names in the body of `root`; `free` are the names of its closure cells."""
    collector = _Collector()
    collector.function(root, _Scope(None, root))
    result, cells = Resolution(), frozenset(free)
    for node, name, scope in collector.uses:
        if (place := _resolve(scope, name, cells)) is not Place.LOCAL:
            result.places[node] = place
            if name in SEES_VARIABLES:
                result.framed.add(_home(scope).node)
        elif name not in scope.bound or name in scope.nonlocals:
            _note_capture(result, node, name, scope)
    for node, names, scope in collector.bindings:
        outer: list[tuple[str, Place]] = [(n, p) for n in names if (p := _resolve(scope, n, cells)) is not Place.LOCAL]
        if outer:
            result.outer_bindings[node] = outer
    result.class_bindings = collector.class_declarations
    result.framed |= collector.yielding
    result.variables = {s.node: s.bound - s.globals - s.nonlocals for s in collector.functions}
    return result


def _home(scope: _Scope) -> _Scope:
    """The function, lambda or class that a comprehension stands in; any other scope itself."""
    while isinstance(scope.node, COMPREHENSIONS) and scope.parent is not None:
        scope = scope.parent
    return scope


def _note_capture(result: Resolution, node: ast.AST, name: str, scope: _Scope) -> None:
    """A local name that belongs to a function further out. Comprehensions run at once; they don't capture."""
    later, owner = False, scope
    while name not in owner.bound or name in owner.nonlocals or owner is not scope and owner.is_class:
        later = later or not owner.is_comprehension
        assert owner.parent is not None
        owner = owner.parent
    if later:
        result.captured.setdefault(owner.node, set()).add(name)
        if not isinstance(getattr(node, "ctx", None), ast.Load):
            result.rebound.setdefault(owner.node, set()).add(name)


def _resolve(scope: _Scope, name: str, cells: frozenset[str]) -> Place:
    place = scope.resolved.get(name)
    if place is None:
        place = scope.resolved[name] = _look_up(scope, name, cells)
    return place


def _look_up(scope: _Scope, name: str, cells: frozenset[str]) -> Place:
    if name in scope.globals:
        return Place.GLOBAL
    if name in scope.bound and name not in scope.nonlocals:
        return Place.LOCAL
    parent = scope.parent
    while parent is not None and parent.is_class:
        parent = parent.parent
    if parent is not None:
        return _resolve(parent, name, cells)
    return Place.FREE if name in cells else Place.GLOBAL


class _Collector:
    """One walk: which scope each name is used in, and what each scope binds."""

    def __init__(self) -> None:
        self.uses: list[tuple[ast.AST, str, _Scope]] = []
        self.bindings: list[tuple[ast.AST, list[str], _Scope]] = []
        self.class_declarations: list[Any] = []
        self.functions: list[_Scope] = []
        self.yielding: set[ast.AST] = set()
        self.handlers: dict[type, Callable[[Any, _Scope], None]] = {
            ast.Name: self.name, ast.FunctionDef: self.inner_function, ast.AsyncFunctionDef: self.inner_function,
            ast.Lambda: self.inner_lambda, ast.ClassDef: self.class_body, ast.Global: self.declared_global,
            ast.Nonlocal: self.declared_nonlocal, ast.NamedExpr: self.named, ast.Import: self.imported,
            ast.ImportFrom: self.imported, ast.ExceptHandler: self.handler, ast.match_case: self.case,
            ast.ListComp: self.comprehension, ast.SetComp: self.comprehension, ast.DictComp: self.comprehension,
            ast.GeneratorExp: self.comprehension, ast.Constant: self.nothing, ast.Yield: self.yields,
            ast.YieldFrom: self.yields}

    def walk(self, node: Any, scope: _Scope) -> None:
        handler = self.handlers.get(node.__class__)
        if handler is not None:
            handler(node, scope)
        else:
            self.children(node, scope)

    def children(self, node: Any, scope: _Scope) -> None:
        for name in node._fields:
            value = getattr(node, name, None)
            if value.__class__ is list:
                self.each(value, scope)
            elif isinstance(value, ast.AST) and name != "annotation" and name != "ctx":
                self.walk(value, scope)

    def each(self, nodes: Iterable[Any], scope: _Scope) -> None:
        for node in nodes:
            if isinstance(node, ast.AST):
                self.walk(node, scope)

    def nothing(self, node: ast.AST, scope: _Scope) -> None:
        """Constants hold no names."""

    def yields(self, node: Any, scope: _Scope) -> None:
        self.yielding.add(scope.node)
        self.children(node, scope)

    def name(self, node: ast.Name, scope: _Scope) -> None:
        self.uses.append((node, node.id, scope))
        if node.ctx.__class__ is not ast.Load:
            scope.bound.add(node.id)

    def named(self, node: ast.NamedExpr, scope: _Scope) -> None:
        """`:=` in a comprehension binds in the function around it."""
        self.name(node.target, _home(scope))
        self.walk(node.value, scope)

    def bind(self, node: ast.AST, names: list[str], scope: _Scope) -> None:
        scope.bound.update(names)
        self.bindings.append((node, names, scope))

    def inner_function(self, node: Any, scope: _Scope) -> None:
        self.bind(node, [node.name], scope)
        self.each([*node.decorator_list, *node.args.defaults, *node.args.kw_defaults], scope)
        self.function(node, _Scope(scope, node))

    def inner_lambda(self, node: ast.Lambda, scope: _Scope) -> None:
        self.each([*node.args.defaults, *node.args.kw_defaults], scope)
        inner = _Scope(scope, node, bound=argument_names(node.args))
        self.walk(node.body, inner)

    def function(self, node: Any, inner: _Scope) -> None:
        self.functions.append(inner)
        inner.bound |= argument_names(node.args)
        inner.bound |= {p.name for p in getattr(node, "type_params", ())}
        self.each(node.body, inner)

    def class_body(self, node: ast.ClassDef, scope: _Scope) -> None:
        self.bind(node, [node.name], scope)
        self.each([*node.decorator_list, *node.bases, *node.keywords], scope)
        self.each(node.body, _Scope(scope, node, is_class=True))

    def comprehension(self, node: Any, scope: _Scope) -> None:
        """The first iterable belongs to the scope around."""
        self.walk(node.generators[0].iter, scope)
        inner = _Scope(scope, node, is_comprehension=not isinstance(node, ast.GeneratorExp))
        for i, generator in enumerate(node.generators):
            self.walk(generator.target, inner)
            if i:
                self.walk(generator.iter, inner)
            self.each(generator.ifs, inner)
        self.each([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt], inner)

    def declared_global(self, node: ast.Global, scope: _Scope) -> None:
        scope.globals.update(node.names)
        self.declared(node, scope)

    def declared_nonlocal(self, node: ast.Nonlocal, scope: _Scope) -> None:
        scope.nonlocals.update(node.names)
        self.uses += [(node, name, scope) for name in node.names]
        self.declared(node, scope)

    def declared(self, node: Any, scope: _Scope) -> None:
        self.bindings.append((node, list(node.names), scope))
        if scope.is_class:
            self.class_declarations.append(node)

    def imported(self, node: Any, scope: _Scope) -> None:
        self.bind(node, [alias.asname or alias.name.split(".")[0] for alias in node.names], scope)

    def handler(self, node: ast.ExceptHandler, scope: _Scope) -> None:
        if node.name:
            self.bind(node, [node.name], scope)
        self.each([node.type, *node.body], scope)

    def case(self, node: ast.match_case, scope: _Scope) -> None:
        self.bind(node, captured_names(node.pattern), scope)
        self.each([node.pattern, node.guard, *node.body], scope)


def argument_names(args: ast.arguments) -> set[str]:
    """Names of all parameters, `*args` and `**kwargs` included."""
    stars = [a for a in (args.vararg, args.kwarg) if a is not None]
    return {a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs, *stars)}


def captured_names(pattern: ast.pattern) -> list[str]:
    """Names that a pattern of `match` binds."""
    fields = {ast.MatchAs: "name", ast.MatchStar: "name", ast.MatchMapping: "rest"}
    found = [getattr(n, fields[type(n)]) for n in ast.walk(pattern) if type(n) in fields]
    return [name for name in found if name]
