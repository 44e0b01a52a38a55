"""A list whose length only the run knows, as it leaves the function: its items as rows of arrays.

Flows in:  lists that grow in native loops; they derive from `RunTimeList`.
Flows out: `Rows`, which the result of a trace is made of: after the call a plain list is built of the arrays.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracejit.tracing.arrays import Array
from tracejit.tracing.control.schema import Schema


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The items of a list, in arrays.

    length: i64[], how many items there are.  item: the form of every item.  columns: for each leaf of `item`, in the
    order of `schema.leaves`, an array `[n, *leaf.shape]` of the leaf's dtype. n is a size of its own, bound to `length`
    at run time (`runtime_size`), or a plain size.
    """

    length: Array
    item: Schema
    columns: tuple[Array, ...]


class RunTimeList:
    """A list of the traced program that grows in native loops. No `list`: what Python's own code saw would be empty."""

    __slots__ = ()
    shared: bool    # its handle went where tracing can't follow
    form: Any       # of every item

    def length(self) -> Any:
        """An int, a size or a traced int."""
        raise NotImplementedError

    def at(self, index: Any) -> Any:
        """The item at an index that is in range."""
        raise NotImplementedError

    def rows(self) -> Rows:
        """What it holds now, in the running scope."""
        raise NotImplementedError
