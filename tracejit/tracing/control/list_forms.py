"""The form of items of native lists: what is known of it, and how it grows from attempt to attempt.

Flows in:  forms of earlier attempts.
Flows out: `Meta`, what native lists that become one of several have in common; forms with today's sizes.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import emit
from tracejit.tracing.context import Restart, current, inside
from tracejit.tracing.control.growth import Key, types_of
from tracejit.tracing.control.schema import Leaf, Perhaps, Schema, Tree, join


@dataclass(frozen=True, slots=True)
class Meta:
    """What lists that become one of several have in common: the form of their items."""

    form: Schema | None
    key: Key = field(compare=False)
    namespace: Any = field(compare=False, repr=False)

    def nothing(self) -> list[Array]:
        """The handle of an empty list, which stands where there is none."""
        context, key = current(), ("nothing", types_of(self.form))
        if (found := context.root.facts.get(key)) is None:
            with inside(context.root):
                found = context.root.facts[key] = emit("stack_new", types=types_of(self.form))
        return [found]

    def unite(self, other: Meta) -> None:
        """From the next attempt on the items of both have one form. Raises JoinError if there is none."""
        known = [f for f in (self.form, other.form) if f is not None]
        joined = known[0] if len(known) == 1 else join(known[0], known[1])
        current().decisions.growing.update({self.key: joined, other.key: joined})
        raise Restart


def resolved(form: Schema | None) -> Schema | None:
    """A form of an earlier attempt, with sizes as they are now."""
    if form is None:
        return None
    resolve = current().decisions.resolve
    if isinstance(form, Leaf):
        return replace(form, type=ArrayType(form.type.dtype, tuple([resolve(n) for n in form.type.shape])))
    if isinstance(form, Tree):
        meta = form.meta
        if type(meta) is Meta:
            meta = replace(meta, form=resolved(current().decisions.growing.get(meta.key, meta.form)))
        return replace(form, meta=meta, children=tuple([resolved(c) or c for c in form.children]))
    if isinstance(form, Perhaps):
        return replace(form, inner=resolved(form.inner))
    return form


def metas_of(form: Schema | None) -> Iterator[Meta | None]:
    """For each leaf of a form: of native lists what is known of them, else None."""
    if isinstance(form, Tree):
        if type(form.meta) is Meta:
            yield form.meta
        else:
            for child in form.children:
                yield from metas_of(child)
    elif form is not None:
        yield from [None] * len(types_of(form))


def holds_lists(form: Schema | None) -> bool:
    return isinstance(form, Tree) and (type(form.meta) is Meta or any(map(holds_lists, form.children)))
