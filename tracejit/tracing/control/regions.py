"""One region: a piece of the user's function, traced into a graph of its own.

Flows in:  a function of converted code and what surrounds it (`World`).
Flows out: `Region`: its scope, what it changed, whether its end is reached; the world is as it was before.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracejit.base.errors import (
    ConcretizationError,
    DtypeError,
    InternalError,
    MemoryLimitError,
    MutationError,
    RecursionLimitError,
    ShapeError,
    SignatureError,
    SourceUnavailableError,
    TracedIndexError,
    TracejitError,
    TypeRuleError,
    UnsupportedError,
    UnsupportedTypeError,
)
from tracejit.ir.graph import Graph, Value
from tracejit.tracing.arrays import Array
from tracejit.tracing.context import Scope, TraceContext, inside
from tracejit.tracing.control.growth import follow_lists
from tracejit.tracing.control.lengths import forget_counts
from tracejit.tracing.control.world import Place, World
from tracejit.tracing.host import raise_at_run_time

# Errors that say what tracing can't do, where plain Python would have gone on.
NOT_PYTHONS = (ConcretizationError, InternalError, MemoryLimitError, MutationError, RecursionLimitError, SignatureError,
               SourceUnavailableError, UnsupportedError, UnsupportedTypeError)
_PLAIN: dict[type[BaseException], type[Exception]] = {
    ShapeError: ValueError, TracedIndexError: IndexError, DtypeError: TypeError, TypeRuleError: TypeError}


class Unreachable(BaseException):
    """Thrown where a region raises at run time whatever happens: nothing after it runs."""


@dataclass(slots=True)
class Region:
    """reached: whether its end is.  result: what its function gave."""

    scope: Scope
    changes: dict[Place, Any] = field(default_factory=dict)
    reached: bool = True
    result: Any = None


def run_region(context: TraceContext, world: World, function: Callable[[], Any], scope: Scope | None = None) -> Region:
    """Traces `function` into a region and puts the world back."""
    region = Region(scope or Scope(Graph([]), context.scope))
    try:
        with inside(region.scope):
            try:
                region.result = function()
            except Unreachable:
                region.reached = False
            except Exception as raised:    # Python would raise it only if the region ran
                error = as_python(raised)
                if isinstance(raised, TracejitError) and not isinstance(raised, TracedIndexError) and (
                        isinstance(raised, NOT_PYTHONS) or context.catcher(type(error)) is None):
                    raise
                raise_at_run_time(context, error)
                region.reached = False
            region.changes = world.changes() if region.reached else {}
        world.namespace.check_shared()
        follow_lists(world.namespace, region.changes, world)
    finally:
        world.restore()
    return region


def as_python(error: BaseException) -> BaseException:
    """What plain Python raises where tracing raised `error`."""
    plain = _PLAIN.get(type(error))
    return error if plain is None else plain(str(error.args[0])).with_traceback(error.__traceback__)


def finish(region: Region, outputs: Sequence[Array]) -> None:
    """Sets the outputs of a region, arrays of its own scope or of one around it."""
    scope = region.scope
    scope.graph.outputs = tuple([a.value if a.scope is scope else scope.bring(a.value, a.scope) for a in outputs])


def share_operands(scopes: Sequence[Scope], first: int = 0, firsts: Sequence[int] = ()) -> list[tuple[Value, Scope]]:
    """Gives regions the same imported values, in one order, after their own first parameters (firsts: of each)."""
    forget_counts(scopes)
    wanted: dict[Value, Scope] = {}
    for scope in scopes:
        wanted.update(dict(scope.operands))
    for scope, count in zip(scopes, firsts or [first] * len(scopes), strict=True):
        own = scope.graph.params[:count]
        imported = []
        for value, home in wanted.items():
            imported.append(scope.imported.get(value) or scope.bring(value, home))
        scope.graph.params = (*own, *imported)
        for index, param in enumerate(scope.graph.params):
            param.index = index
    return list(wanted.items())
