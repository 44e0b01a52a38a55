"""`sorted` and `list.sort` where the order depends on traced values: the elements as columns, one sort.

Flows in:  lists, tuples, arrays and generators of known length, whose elements have one structure; `key` and `reverse`.
Flows out: a list of the elements in order. NaN has no place in an order, so it raises at run time.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.errors import UnsupportedError
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, emit
from tracejit.tracing.builtins import METHODS, builtin
from tracejit.tracing.control.lists import TracedList
from tracejit.tracing.control.ordering import holds_traced
from tracejit.tracing.control.schema import JoinError, Schema, build, describe, flatten, join, leaves
from tracejit.tracing.implements import NUMPY
from tracejit.tracing.reductions import list_of
from tracejit.tracing.spans import current_span

_LONGEST = 256      # elements, each of which the result has a name for


@builtin(sorted)
def sorted_list(namespace: Any, values: Any, /, *, key: Any = None, reverse: Any = False) -> Any:
    elements = _elements(namespace, values)
    if isinstance(elements, TracedList):
        made = elements.copy()
        made.sort(key=key, reverse=reverse)
        return made
    if len(elements) < 2:
        return list(elements)
    keys = elements if key is None else [namespace.call(key, e) for e in elements]
    if not holds_traced(keys):
        order = sorted(range(len(keys)), key=keys.__getitem__, reverse=bool(reverse))
        return [elements[i] for i in order]
    if len(elements) > _LONGEST:
        raise UnsupportedError(f"sorted() makes a list of {len(elements)} traced elements", span=current_span(2),
                               why="every one of them would be a variable of the compiled function",
                               fix="sort an array: np.sort(x), or x[np.argsort(keys)]")
    return _taken(elements, _order(_columns(keys), bool(reverse)))


def sort_in_place(namespace: Any, values: list[Any], /, *, key: Any = None, reverse: Any = False) -> None:
    """`values.sort()`."""
    values[:] = sorted_list(namespace, values, key=key, reverse=reverse)


METHODS[list, "sort"] = sort_in_place


def _elements(namespace: Any, values: Any) -> Any:
    if type(values) is Array:
        return [values[i] for i in range(len(values))]
    made = list_of(namespace, values)
    return (values if isinstance(values, list) else list(values)) if made is NotImplemented else made


def _columns(keys: list[Any]) -> list[Array]:
    """One array of keys, or several for keys that are tuples: the first counts most."""
    if all(type(k) in (tuple, list) for k in keys) and len({len(k) for k in keys}) == 1:
        return [column for parts in zip(*keys, strict=True) for column in _columns(list(parts))]
    if any(type(k) is Array and not k.is_scalar for k in keys):
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
    column = NUMPY[np.array](keys)
    if column.type.dtype.is_float:
        fine = emit("not", NUMPY[np.any](NUMPY[np.isnan](column)))
        assert_(fine, "ValueError", "NaN can't be sorted: it is neither less nor greater than anything")
    return [column]


def _order(columns: list[Array], reverse: bool) -> Array:
    """Positions in a stable order; reversed, equal elements still keep theirs."""
    count = columns[0].type.shape[0]
    if reverse:
        columns = [column[::-1] for column in columns]
    order = NUMPY[np.argsort](columns[0], kind="stable") if len(columns) == 1 else NUMPY[np.lexsort](columns[::-1])
    return (count - 1 - order)[::-1] if reverse else order    # type: ignore[no-any-return]


def _taken(elements: list[Any], order: Array) -> list[Any]:
    """The elements at these positions."""
    form = _form(elements)
    rows = [flatten(e, form) for e in elements]
    columns = [NUMPY[np.take](NUMPY[np.stack](column), order, axis=0) for column in zip(*rows, strict=True)]
    return [build(form, iter([column[i] for column in columns])) for i in range(len(elements))]


def _form(elements: list[Any]) -> Schema:
    try:
        form = describe(elements[0], numbers=True)
        for element in elements[1:]:
            form = join(form, describe(element, numbers=True))
    except JoinError:
        form = None
    if form is None or not any(True for _ in leaves(form)):
        raise UnsupportedError("sorted() of elements that have different structures", span=current_span(2),
                               why="which of them comes first is known only at run time",
                               fix="sort their positions: np.argsort(keys)")
    return form


__all__ = ["sort_in_place", "sorted_list"]
