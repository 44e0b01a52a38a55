"""Bounds of traced indices: what their origin says of them, the check at run time, and wrapping of negative ones.

Flows in:  i64 indices and the size of the axis.
Flows out: `assert` and `select` ops, only where the graph does not say that the index is in range.
"""
from __future__ import annotations

from typing import Any

from tracejit.base.dims import Size, dim_function
from tracejit.ir.graph import Value
from tracejit.numpy.index_forms import Bound, Form, Range, form_of, is_non_negative, lowest
from tracejit.numpy.support import compare, emit, shape_of, size_scalar
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, constant, convert, lift
from tracejit.tracing.context import current

_SAME_ELEMENTS = frozenset("reshape transpose reverse broadcast_in_dim slice dynamic_slice gather".split())
_DEPTH = 12
_UNKNOWN: Range = (None, None)


def known_range(value: Value, depth: int = _DEPTH) -> Range:
    """Bounds of the elements, as far as the op that made them says."""
    value = current().scope.origin(value)
    node = value.node
    if node is None or depth == 0:
        return _UNKNOWN
    name, operands = node.op.name, node.operands
    if name == "constant":
        return _constant_range(node.attributes["value"])
    if name == "iota":
        return 0, node.attributes["type"].shape[node.attributes["dimension"]] - 1
    if name in ("reduce_argmax", "reduce_argmin"):
        return 0, operands[0].shape[node.attributes["axis"]] - 1
    if name == "compact_indices":
        return 0, operands[0].shape[0] - 1
    if name == "searchsorted":
        return 0, operands[0].shape[0]
    if name == "dimension":
        return node.attributes["size"], node.attributes["size"]
    if name in _SAME_ELEMENTS or (name == "convert" and operands[0].dtype.is_integer and value.dtype.name == "i64"):
        return known_range(operands[0], depth - 1)
    if name == "sort":
        return known_range(operands[value.index], depth - 1)
    return _computed_range(name, operands, depth)


def _constant_range(value: Any) -> Range:
    numbers = value if isinstance(value, tuple) else (value,)
    return (min(numbers), max(numbers)) if numbers and all(type(n) is int for n in numbers) else _UNKNOWN


def _computed_range(name: str, operands: tuple[Value, ...], depth: int) -> Range:
    if name not in ("add", "subtract", "remainder", "floor_divide", "minimum", "maximum", "multiply"):
        return _UNKNOWN
    (a, b), (c, d) = (_range_of(v, depth - 1) for v in operands)
    if name == "add":
        return _add(a, c), _add(b, d)
    if name == "subtract":
        return _add(a, _negated(d)), _add(b, _negated(c))
    if name == "multiply":
        return (0 if is_non_negative(a) and is_non_negative(c) else None), None
    if name == "minimum":
        low = _join("min", a, c)
        low = 0 if low is None and is_non_negative(a) and is_non_negative(c) else low
        return low, b if d is None else d if b is None else _join("min", b, d)
    if name == "maximum":
        return a if c is None else c if a is None else _join("max", a, c), _join("max", b, d)
    if name == "remainder":
        return (0, None if d is None else d - 1) if is_non_negative(_add(c, -1)) else _UNKNOWN
    if not (is_non_negative(a) and is_non_negative(_add(c, -1))):
        return _UNKNOWN
    return 0, b if c != d or b is None else dim_function("floordiv", b, c)    # type: ignore[arg-type]


def _range_of(value: Value, depth: int) -> Range:
    """As `known_range`; of a scalar, with what loops say of their indices."""
    if value.rank:
        return known_range(value, depth)
    form = form_of(Array(value, current().scope))
    if form.terms == {(current().scope.origin(value), 1)} and value.node is not None:
        return known_range(value, depth)
    return lowest(form, lambda v: known_range(v, depth)), highest(form, depth)


def highest(form: Form, depth: int = _DEPTH) -> Bound:
    return _negated(lowest(form.times(-1), lambda v: known_range(v, depth)))


def _add(x: Bound, y: Bound) -> Bound:
    return None if x is None or y is None else x + y


def _negated(x: Bound) -> Bound:
    return None if x is None else -x


def _join(name: str, x: Bound, y: Bound) -> Bound:
    if x is None or y is None:
        return None
    return dim_function(name, x, y) if isinstance(x, int) == isinstance(y, int) or x == y else None


def bounds_of(index: Array) -> Range:
    """Bounds of the elements of an index, as far as they are known."""
    return _range_of(index.value, _DEPTH)


def least_of(form: Form) -> Bound:
    """A size that the form is never below."""
    return lowest(form, known_range)


def at_least(x: Any, y: Any) -> bool:
    """Whether x >= y is known of two ints: traced ones, numbers or sizes. What is known stays known in the scope."""
    scope = current().scope
    key = "at least", *(scope.origin(v.value) if isinstance(v, Array) else v for v in (x, y))
    if scope.fact(key) is not None:
        return True
    form = form_of(x).plus(form_of(y), -1)
    if found := is_non_negative(least_of(form)) or _was_checked(form):
        scope.facts[key] = True
    return found


def _was_checked(form: Form) -> bool:
    """Whether it is a size less one index, which was found to be small enough before."""
    ((value, count), *more) = form.terms or ((None, 0),)
    limit = current().scope.fact(("below", value)) if count == -1 and not more else None
    return limit is not None and is_non_negative(form.size - limit + 1)


def _known_inside(index: Array, size: Size) -> tuple[bool, bool]:
    """Whether 0 <= index, and index < size, are known."""
    if index.ndim == 0:
        return at_least(index, 0), at_least(size - 1, index)
    low, high = known_range(index.value)
    return is_non_negative(low), high is not None and is_non_negative(size - 1 - high)


def wrapped(index: Array, size: Size) -> Array:
    """Negative indices count from the end."""
    if index.ndim == 0 and at_least(index, 0) or is_non_negative(bounds_of(index)[0]):
        return index
    moved = emit("add", index, size_like(size, index))
    if index.ndim == 0 and at_least(-1, index):
        return moved
    return emit("select", compare("LT", index, 0), moved, index)


def size_like(size: Size, x: Array) -> Array:
    """A size as an i64 array of the shape of `x`."""
    if isinstance(size, int):
        return constant(size, "i64", shape_of(x))
    return emit("broadcast_in_dim", size_scalar(size), shape=shape_of(x), dims=()) if x.ndim else size_scalar(size)


def assert_in_range(index: Array, size: Size, axis: int) -> None:
    """IndexError at run time unless -size <= index < size for every element. Checked once in a scope."""
    non_negative, below = _known_inside(index, size)
    if non_negative and below or any(n == 0 for n in shape_of(index)):
        return
    scope, key = current().scope, ("in range", index.value, size)
    if scope.fact(key) is not None:
        return
    scope.facts[key] = True
    scope.facts["below", scope.origin(index.value)] = size
    low, high = _extremes(index)
    n = convert(lift(size_scalar(size)), "i64")
    tests = [] if below else [emit("compare", high, n, direction="LT")]
    if not non_negative:
        tests.append(emit("compare", low, emit("negate", n), direction="GE"))
    culprit = low if low is high else emit("select", emit("compare", high, n, direction="GE"), high, low)
    assert_(emit("and", *tests) if len(tests) == 2 else tests[0], "IndexError",
            f"index {{0}} is out of bounds for axis {axis} with size {{1}}", culprit, n)


def _extremes(index: Array) -> tuple[Array, Array]:
    """The least and the largest index; of none at all, the identities, which pass every check."""
    if index.ndim == 0:
        return index, index
    axes = tuple(range(index.ndim))
    return emit("reduce_min", index, axes=axes), emit("reduce_max", index, axes=axes)
