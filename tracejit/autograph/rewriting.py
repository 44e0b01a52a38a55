"""The walk that every family of rewriting shares, and the nodes that they build.

Flows in:  a tree whose names are resolved (`Context`).
Flows out: `Rewriter`: one walk, handlers `visit_<Node>` from the families; every new node sits where the user's node
           sat, so that the frame of converted code names the user's own line and columns.
"""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tracejit.autograph.codes import THUNK
from tracejit.autograph.definedness import State
from tracejit.autograph.liveness import Facts
from tracejit.autograph.scopes import Place, Resolution
from tracejit.base.errors import UnsupportedError
from tracejit.base.spans import SourceSpan

# No identifier has an exclamation mark, so these names can't collide with the user's.
NAMESPACE = "ag!"
SCOPE = "scope!"

Handler = Callable[[Any], Any]
Located = ast.expr | ast.stmt

_NEVER_HOLDS_CODE = frozenset({"ctx", "op", "ops", "annotation", "returns", "type_comment", "type_params", "pattern"})
_FIELDS: dict[type, tuple[str, ...]] = {    # written here, at import
    cls: tuple(f for f in cls._fields if f not in _NEVER_HOLDS_CODE)
    for cls in vars(ast).values() if isinstance(cls, type) and issubclass(cls, ast.AST)
} | dict.fromkeys((ast.Name, ast.Constant, ast.Pass, ast.Break, ast.Continue, ast.Global, ast.Nonlocal, ast.alias), ())


@dataclass(slots=True)
class Variables:
    """What is known of the variables of one function, and what its rewriting needs of them.

    outside: variables of the functions around that surely have a value.  rebound: variables that lifted functions bind.
    hoisted: variables that parts of simple statements bind in functions of their own.
    nonlocals: variables of functions around which the function declares.
    straight: all variables of a function without blocks; a variable without a value is found as Python finds it.
    """

    facts: dict[ast.stmt, Facts]
    states: dict[ast.stmt, State]
    outside: frozenset[str] = frozenset()
    rebound: set[str] = field(default_factory=set)
    hoisted: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    straight: set[str] | None = None


@dataclass(slots=True)
class Context:
    """What all rewriting of one function shares.

    in_class: the walk is directly in the body of a class.  first_argument: of the function that the walk is in.
    variables: of the function that the walk is in; None if it keeps Python's statements.
    surely: variables that have a value here.
    prelude: statements to be put before the one that the walk is in; None where that would be outside their scope.
    """

    file: str
    names: Resolution
    first_argument: str = ""
    in_class: bool = False
    temporaries: int = field(default=0)
    variables: Variables | None = None
    surely: frozenset[str] = frozenset()
    prelude: list[ast.stmt] | None = None

    def fresh(self, stem: str) -> str:
        """A new local name that no user can write."""
        self.temporaries += 1
        return f"{stem}!{self.temporaries}"

    def place(self, node: ast.AST) -> Place:
        return self.names.places.get(node, Place.LOCAL)

    def is_local_name(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and self.place(node) is Place.LOCAL

    def span(self, node: Any) -> SourceSpan:
        """Columns of `node` are in bytes; they differ from characters only on lines that are not ASCII."""
        return SourceSpan(self.file, node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)

    @contextmanager
    def inside(self, args: ast.arguments | None) -> Iterator[None]:
        """The walk enters a function with parameters `args`, or the body of a class."""
        outside = self.in_class, self.first_argument
        self.in_class, self.first_argument = args is None, first_argument(args) if args is not None else ""
        yield
        self.in_class, self.first_argument = outside

    @contextmanager
    def knowing(self, variables: Variables | None) -> Iterator[None]:
        """The walk enters a function with these variables."""
        outer = self.variables, self.surely, self.prelude
        self.variables, self.surely, self.prelude = variables, frozenset(), None
        yield
        self.variables, self.surely, self.prelude = outer

    @contextmanager
    def expression(self, own: Iterable[str]) -> Iterator[None]:
        """The walk enters a lambda or comprehension with variables of its own."""
        outer = self.surely, self.prelude
        self.surely, self.prelude = self.surely.union(own), None
        yield
        self.surely, self.prelude = outer

    def enter(self, statement: ast.stmt) -> None:
        """The walk comes to a statement."""
        self.prelude = []
        state = None if self.variables is None else self.variables.states.get(statement)
        if self.variables is not None and (state is not None or self.variables.straight is not None):
            self.surely = self.variables.outside if state is None else self.variables.outside | state.surely

    def is_unsure(self, name: str) -> bool:
        """Whether the variable `name` may have no value here. The converter's own always have one."""
        known = self.variables
        if known is None or self.in_class or name in self.surely or "!" in name:
            return False
        return known.straight is None or name not in known.straight

    def refuse(self, node: Any, message: str, why: str, fix: str) -> NoReturn:
        raise UnsupportedError(message, span=self.span(node), why=why, fix=fix)


class Rewriter:
    """Walks a tree once and replaces nodes in place. A statement's handler may return a list of statements."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._handlers: dict[type, Handler] = {
            getattr(ast, name[6:]): getattr(self, name) for name in dir(self)
            if name.startswith("visit_") and hasattr(ast, name[6:])}

    def visit(self, node: Any) -> Any:
        handler = self._handlers.get(node.__class__)
        return self.children(node) if handler is None else handler(node)

    def children(self, node: Any) -> Any:
        """Visits what is below `node`."""
        for name in _FIELDS[node.__class__]:
            value = getattr(node, name, None)
            if value.__class__ is list:
                if value and isinstance(value[0], ast.stmt):
                    setattr(node, name, self.statements(value))
                else:
                    value[:] = [self.visit(v) if isinstance(v, ast.AST) else v for v in value]
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
        return node

    def none(self, at: Any) -> ast.expr:
        return constant(None, at)

    def statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Visits a block. A block that loses all its statements becomes `pass`."""
        result: list[ast.stmt] = []
        context, outer = self.context, self.context.prelude
        for statement in body:
            context.enter(statement)
            made = self.visit(statement)
            if context.prelude:
                result += context.prelude
            if made.__class__ is list:
                result += made
            else:
                result.append(made)
        context.prelude = outer
        return result or [locate(ast.Pass(), body[0])]


def first_argument(args: ast.arguments) -> str:
    """The parameter that zero-argument `super()` reads."""
    positional = [*args.posonlyargs, *args.args]
    return positional[0].arg if positional else ""


def locate(new: Any, old: Any) -> Any:
    """Gives a new node the place of the user's node."""
    new.lineno, new.col_offset = old.lineno, old.col_offset
    new.end_lineno, new.end_col_offset = old.end_lineno, old.end_col_offset
    return new


def locate_start(new: Any, old: Any) -> Any:
    """As `locate`, on the first line alone. CPython moves a call to the line where the callee's name ends."""
    new.lineno = new.end_lineno = old.lineno
    new.col_offset = new.end_col_offset = old.col_offset
    return new


def locate_attribute(new: Any, old: ast.expr) -> Any:
    """Where CPython reports an attribute: on several lines, the name after the last dot."""
    if not isinstance(old, ast.Attribute) or old.lineno == old.end_lineno:
        return locate(new, old)
    new.lineno = new.end_lineno = old.end_lineno
    new.end_col_offset = old.end_col_offset
    new.col_offset = max(0, (old.end_col_offset or 0) - len(old.attr))
    return new


def load(name: str, at: Any) -> ast.Name:
    made: ast.Name = locate_start(ast.Name(name, ast.Load()), at)
    return made


def store(name: str, at: Any) -> ast.Name:
    made: ast.Name = locate(ast.Name(name, ast.Store()), at)
    return made


def constant(value: Any, at: Any) -> ast.Constant:
    made: ast.Constant = locate_start(ast.Constant(value), at)
    return made


def operator_function(name: str, at: Any) -> ast.expr:
    """The expression `ag.<name>`."""
    made: ast.expr = locate_start(ast.Attribute(load(NAMESPACE, at), name, ast.Load()), at)
    return made


def operator(name: str, at: Any, *args: ast.expr) -> ast.Call:
    """The expression `ag.<name>(*args)`."""
    made: ast.Call = locate(ast.Call(operator_function(name, at), list(args), []), at)
    return made


def is_operator(function: ast.expr) -> bool:
    """Whether a function that is called is `ag.<name>` already."""
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) \
        and function.value.id == NAMESPACE


def lambda_thunk(body: ast.expr) -> ast.expr:
    """The expression `lambda: body`, marked as ours by the name of a parameter."""
    mark = ast.arguments(posonlyargs=[], args=[], vararg=locate(ast.arg(THUNK), body), kwonlyargs=[], kw_defaults=[],
                         defaults=[])
    made: ast.expr = locate(ast.Lambda(mark, body), body)
    return made


def assign(target: ast.expr, value: ast.expr, at: Any) -> ast.stmt:
    made: ast.stmt = locate(ast.Assign([target], value), at)
    return made


def statement(value: ast.expr, at: Any) -> ast.stmt:
    made: ast.stmt = locate(ast.Expr(value), at)
    return made
