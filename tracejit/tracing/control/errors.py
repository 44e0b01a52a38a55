"""Exceptions that variables hold: their form, and the values of the run in them.

Flows in:  exceptions that converted code made, or that a handler got.
Flows out: `ErrorForm` (class, texts and attributes, the lines that raise it) and the tracers beside it; exceptions
           made again of both.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.base.spans import SourceSpan
from tracejit.tracing.arrays import Array
from tracejit.tracing.context import current
from tracejit.tracing.host import Template, identity, traced_again
from tracejit.tracing.text import Deferred


@dataclass(frozen=True, slots=True, eq=False)
class ErrorForm:
    """An exception with holes. spans: the lines that may have raised it; with them the first tracer says which."""

    template: Deferred
    spans: tuple[SourceSpan | None, ...]

    def __eq__(self, other: object) -> bool:
        return type(other) is ErrorForm and self.spans == other.spans and (
            identity(self.template) == identity(other.template))

    def __hash__(self) -> int:
        return hash(self.spans)


def taken_apart(error: BaseException) -> tuple[ErrorForm, list[Array]]:
    """The form and the tracers of an exception."""
    template = Template()
    made = template.exception(error)
    _, site, spans = current().origins.get(id(error), (None, None, ()))
    return ErrorForm(made, tuple(spans)), [*([site] if site is not None else []), *template.arrays]


def put_together(form: ErrorForm, held: Sequence[Any]) -> BaseException:
    """The inverse of `taken_apart`."""
    site, arrays = (held[0], held[1:]) if form.spans else (None, held)
    error: BaseException = traced_again(form.template, arrays)
    if site is not None:
        current().origins[id(error)] = error, site, list(form.spans)
    return error
