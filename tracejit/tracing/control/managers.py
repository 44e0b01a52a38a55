"""`with` while tracing: managers of the user's see what only the run raises, those of libraries run while tracing.

Flows in:  a manager and the function that holds the block.
Flows out: calls of its methods around the block, as a `try` whose handler asks `__exit__`.
"""
from __future__ import annotations

import contextlib
import dis
from collections.abc import Callable, Sequence
from types import CellType, CodeType
from typing import Any

from tracejit.autograph import policy
from tracejit.autograph.plain import evaluate
from tracejit.base.errors import UnsupportedError
from tracejit.base.spans import SourceSpan
from tracejit.tracing.context import Scope
from tracejit.tracing.control.trying import Parts, run, unless
from tracejit.tracing.control.world import cells_of
from tracejit.tracing.spans import current_span


def with_statement(namespace: Any, manager: Any, body: Callable[[Any], None], names: Sequence[str]) -> None:
    """`with manager as value: body(value)`. Managers of libraries do not see what only the run raises."""
    cls, span = type(manager), current_span(3)
    cells = {**cells_of(body), "manager!": CellType(manager)}
    if cls is contextlib.suppress:
        caught = manager._exceptions
        run(namespace, Parts(span, lambda: evaluate(body, None), [(lambda: caught, _ignore)], None, cells, names))
        return
    if not policy.is_user_function(getattr(cls, "__exit__", None), namespace.packages):
        with manager as value, namespace.context.watching(Generator(manager, span, namespace.context.scope)):
            evaluate(body, value)
        return

    def leave(error: BaseException | None) -> Any:
        return namespace.call(cls.__exit__, manager, None if error is None else type(error), error, None)

    def failed(error: BaseException) -> None:
        unless(namespace, leave(error), error)

    value = namespace.call(cls.__enter__, manager)
    run(namespace, Parts(span, lambda: evaluate(body, value), [(None, failed)], lambda: leave(None), cells, names))


def _ignore(error: BaseException) -> None:
    """What `contextlib.suppress` does with an error."""


class Generator:
    """A manager that a generator of the user's makes, which catches errors but runs while tracing only."""

    captured = True

    def __init__(self, manager: Any, span: SourceSpan | None, scope: Scope):
        code = getattr(getattr(manager, "gen", None), "gi_code", None)
        self.watches = code is not None and policy.is_user_file(code.co_filename) and _catches_at_yield(code)
        self.span, self.scope = span, scope

    def catches(self, exception: type[BaseException]) -> bool:
        return self.watches

    def catch(self, holds: Any, error: BaseException, span: SourceSpan | None) -> None:
        raise UnsupportedError(
            f"{type(error).__name__} is raised by the run here, and the manager of a `with` around would see it",
            span=span, why="its generator has a `try` around `yield`, and generators run while tracing only",
            fix="write the manager as a class with __enter__ and __exit__, or use try in place of with")


def _catches_at_yield(code: CodeType) -> bool:
    """Whether errors thrown into a generator where it yields meet a handler of its own."""
    names = {i.offset: i.opname for i in dis.get_instructions(code)}
    yields = [offset for offset, name in names.items() if name == "YIELD_VALUE"]
    entries = getattr(dis.Bytecode(code), "exception_entries")    # noqa: B009
    return any(e.start <= at < e.end and names[e.target] not in _IMPLICIT for at in yields for e in entries)


# What CPython adds to every generator: StopIteration becomes RuntimeError, the end of `yield from`.
_IMPLICIT = ("CALL_INTRINSIC_1", "CLEANUP_THROW")
