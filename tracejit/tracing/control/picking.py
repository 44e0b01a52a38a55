"""Elements of plain lists and tuples at an index that only the run knows.

Flows in:  `x[i]` and `x[i] = v` of converted code, with a list or tuple and a traced int.
Flows out: of numbers a gather, or a select for each element; of other things branches. Long lists that are stored to,
           and lists of lists, are native from the next attempt on; other elements than numbers make the index static
           where it can be.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from types import CellType
from typing import Any

from tracejit.base.dtypes import BOOL, I64
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, constant, convert, emit, lift
from tracejit.tracing.context import current
from tracejit.tracing.control import several
from tracejit.tracing.control.branches import branch, choice
from tracejit.tracing.control.growth import grow
from tracejit.tracing.control.lengths import is_in_range
from tracejit.tracing.control.schema import JoinError, Leaf, Schema, Tree, describe, flatten, join, parts
from tracejit.tracing.control.world import CellFunction
from tracejit.tracing.scalars import weak

_SHORT = 8      # numbers: a store to one of more goes to memory


def is_position(index: Any) -> bool:
    """Whether an index is an int that only the run knows."""
    return type(index) is Array and index.is_scalar and index.type.dtype.kind in "iu" and (
        index.value.node is None or index.value.node.op.name != "constant")


def pick(namespace: Any, items: Sequence[Any], index: Array) -> Any:
    """`items[index]`."""
    kind = type(items).__name__
    if not items:
        grow(namespace, items, items)
    form = common_form(items)
    if isinstance(form, Leaf) and not form.type.shape and not form.boxed:
        at = position(index, len(items), f"{kind} index out of range")
        return picked_number(items, form, at)
    if can_be_static(index) or not items:
        return items[index.__index__()]
    if any(type(item) is list for item in items):
        grow(namespace, items, items)
    at = position(index, len(items), f"{kind} index out of range")
    return one_object(namespace, items, at) if several.can_choose(items) else picked(namespace, items, at, 0)


def replace(namespace: Any, items: list[Any], index: Array, value: Any) -> None:
    """`items[index] = value`."""
    if not items:
        grow(namespace, items, [value])
    form = common_form([*items, value])
    is_number = isinstance(form, Leaf) and not form.type.shape and not form.boxed
    if not is_number and can_be_static(index) or not items:
        items[index.__index__()] = value
        return
    if not is_number and any(type(item) is list for item in (*items, value)) or len(items) > _SHORT:
        grow(namespace, items, [*items, value])
    at = position(index, len(items), "list assignment index out of range")
    cells = {"the list": CellType(items), "the value": CellType(value)}
    for k, before in enumerate(items):
        if isinstance(form, Leaf) and is_number:
            items[k] = one_of_two(is_at(at, k), value, before)
        else:
            store = CellFunction(lambda k=k: items.__setitem__(k, value), cells)
            branch(namespace, is_at(at, k), store, None, ())


def common_form(items: Sequence[Any]) -> Schema | None:
    """The form of every item; None if there is none."""
    try:
        forms = [describe(item, numbers=True) for item in items]
        return reduce(join, forms) if forms else None
    except JoinError:
        return None


def picked_number(items: Sequence[Any], form: Leaf, at: Array) -> Array:
    if len(items) == 1:
        found = flatten(items[0], form)[0]
    elif all(type(item) in (int, float, bool) for item in items):
        found = emit("gather", convert(lift(list(items)), form.type.dtype), at, axes=(0,))
    else:
        rows = [emit("reshape", flatten(item, form)[0], shape=(1,)) for item in items]
        found = emit("gather", emit("concatenate", *rows, axis=0), at, axes=(0,))
    return Array(found.value, found.scope, form.kind, form.weak)


def picked(namespace: Any, items: Sequence[Any], at: Array, k: int) -> Any:
    """The item at a position from k on."""
    if k == len(items) - 1:
        return items[k]
    cells = {"the list": CellType(items)}
    return choice(namespace, is_at(at, k), CellFunction(lambda: items[k], cells),
                  CellFunction(lambda: picked(namespace, items, at, k + 1), cells))


def one_object(namespace: Any, objects: Sequence[Any], at: Array) -> Any:
    """What stands for the object at a position."""
    form = describe(objects[0])
    assert isinstance(form, Tree)
    held = [parts(o) for o in objects]
    columns = [[values[k] for values in held] for k in range(len(form.children))]
    made = form.make(form.meta, [picked_attribute(namespace, column, at) for column in columns])
    several.note(namespace, made, at, objects)
    return made


def picked_attribute(namespace: Any, values: Sequence[Any], at: Array) -> Any:
    if all(v is values[0] for v in values) and type(values[0]) is not Array:
        return values[0]
    form = common_form(values)
    if isinstance(form, Leaf) and not form.type.shape and not form.boxed:
        return picked_number(values, form, at)
    return picked(namespace, values, at, 0)


def is_at(at: Array, k: int) -> Array:
    return weak(emit("compare", at, constant(k, I64), direction="EQ"), "b")


def one_of_two(test: Array, value: Any, before: Any) -> Any:
    """A number of the form of both."""
    form = join(describe(value, numbers=True), describe(before, numbers=True))
    yes, no = flatten(value, form)[0], flatten(before, form)[0]
    made = emit("select", convert(test, BOOL), yes, no)
    assert isinstance(form, Leaf)
    return Array(made.value, made.scope, form.kind, form.weak)


def position(index: Array, count: int, message: str) -> Array:
    """An index as i64[] from the front; IndexError at run time where it is outside."""
    i, n, zero = convert(index, I64), constant(count, I64), constant(0, I64)
    if is_in_range(i, count):
        return i
    at = emit("select", emit("compare", i, zero, direction="LT"), emit("add", i, n), i)
    inside = emit("and", emit("compare", at, zero, direction="GE"), emit("compare", at, n, direction="LT"))
    assert_(inside, "IndexError", message)
    return at    # type: ignore[no-any-return]


def can_be_static(index: Array) -> bool:
    """Whether the trace can know an index, if it is made for its value: of arguments, and of loops whose rounds are
    known."""
    context = current()
    pending, seen = [(index.value, index.scope)], set[Any]()
    while pending:
        value, scope = pending.pop()
        if value in seen or value in context.scalars:
            continue
        seen.add(value)
        if value in context.loop_values:
            if context.loop_values[value].rounds in (None, -1):
                return False
        elif value.node is None:
            if (outer := scope.source(value)) is None:
                return False
            pending.append(outer)
        elif value.node.op.has_effect or value.node.op.kind not in ("pointwise", "source"):
            return False
        else:
            pending += [(v, scope) for v in value.node.operands]
    return True
