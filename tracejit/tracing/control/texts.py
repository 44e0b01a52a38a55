"""Texts that variables hold: their forms, and the values of the run in them.

Flows in:  `str` and `TracedText`, also one of several texts where branches joined.
Flows out: `TextForm` and the tracers beside it; texts made again of both.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, emit
from tracejit.tracing.host import Template, identity, traced_again
from tracejit.tracing.scalars import weak
from tracejit.tracing.text import TracedText, one_of


@dataclass(frozen=True, slots=True, eq=False)
class TextForm:
    """A text with holes."""

    template: Any

    def __eq__(self, other: object) -> bool:
        return type(other) is TextForm and identity(self.template) == identity(other.template)

    def __hash__(self) -> int:
        return hash(type(self.template))

    def __str__(self) -> str:
        return repr(self.template) if isinstance(self.template, str) else "text"


def alternatives(text: str | TracedText) -> list[tuple[TextForm, list[Array]]]:
    """The texts that `text` may be, with the tracers in each."""
    found = []
    for choice in text.choices if isinstance(text, TracedText) and text.choices else (text,):
        template = Template()
        found.append((TextForm(template.cut(choice)), template.arrays))
    return found


def index_among(text: str | TracedText, places: Sequence[int]) -> Array:
    """i64[]: which of the places, one for each alternative of `text`, is that of its value."""
    if not isinstance(text, TracedText) or not text.choices:
        return constant(places[0], "i64")
    result = constant(places[-1], "i64")
    for k, place in enumerate(places[:-1]):
        is_it = emit("compare", text.index, constant(k, "i64"), direction="EQ")
        result = emit("select", is_it, constant(place, "i64"), result)
    return result


def put_together(index: Array, forms: Sequence[TextForm], held: Sequence[Sequence[Array]]) -> Any:
    """The inverse of `alternatives`: the text, or one of several."""
    texts = [traced_again(form.template, arrays) for form, arrays in zip(forms, held, strict=True)]
    return texts[0] if len(texts) == 1 else one_of(weak(index, "i"), texts)
