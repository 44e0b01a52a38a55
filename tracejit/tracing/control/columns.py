"""Columns of native lists, one array for each leaf of an item's form: as one array, and the order of their rows.

Flows in:  the form of items, columns.
Flows out: what `np.array` makes of the items; positions of the items in order; how their text is made.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tracejit.base.dtypes import I64
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, convert, emit, lift
from tracejit.tracing.control.schema import Leaf, Perhaps, Schema, Static, Tree
from tracejit.tracing.implements import NUMPY, READ
from tracejit.tracing.sizes import sized


def stacked(form: Schema | None, columns: Iterator[Array]) -> Array:
    """np.array of items of `form`: trees become axes."""
    if isinstance(form, Tree) and form.cls in (list, tuple):
        parts = [stacked(child, columns) for child in form.children]
        made: Array = NUMPY[np.stack](parts, axis=1)
        return made
    return next(columns)


def is_ordered(form: Schema | None) -> bool:
    """Whether items are numbers, or sequences of numbers."""
    if isinstance(form, Tree):
        return form.cls in (tuple, list) and all(map(is_ordered, form.children))
    return isinstance(form, Leaf)


def order_of(columns: Sequence[Array], reverse: bool) -> Array:
    """The positions of items in order, the first column first; equal ones stay as they are."""
    for column in columns:
        if column.type.dtype.is_float:
            orderly = emit("not", NUMPY[np.any](NUMPY[np.isnan](column)))
            assert_(orderly, "ValueError", "NaN has no place in an order")
    back = slice(None, None, -1)
    if reverse:
        columns = [NUMPY[READ](column, back) for column in columns]
    order: Array = NUMPY[np.lexsort](tuple(reversed(columns)))
    if not reverse:
        return order
    last = convert(lift(sized(columns[0].type.shape[0] - 1)), I64)
    flipped: Array = NUMPY[np.subtract](last, NUMPY[READ](order, back))
    return flipped


def holds_rows(form: Schema | None) -> bool:
    """Whether items are plain lists, or hold some."""
    return isinstance(form, Tree) and (form.cls is list or any(map(holds_rows, form.children)))


def spelling(form: Schema) -> tuple[Any, ...] | None:
    """A form as plain tuples, which text is made by; None where it holds what has no text here."""
    if isinstance(form, Leaf):
        return ("plain",) if form.weak else ("numpy",)
    if isinstance(form, Static):
        return "known", form.value
    if isinstance(form, Perhaps) and form.missing is None:
        inner = ("known", None) if form.inner is None else spelling(form.inner)
        return None if inner is None else ("optional", inner)
    if not isinstance(form, Tree) or form.cls not in (list, tuple):
        return None
    parts = [spelling(child) for child in form.children]
    return None if None in parts else (form.cls.__name__, *parts)
