"""Bounds of traced indices: what their origin says of them, the check at run time, and wrapping of negative ones.

Flows in:  i64 indices and the size of the axis.
Flows out: `assert` and `select` ops, only where the graph does not say that the index is in range.
"""
from __future__ import annotations

from typing import Any

from tracejit.base.dims import Size
from tracejit.ir.graph import Value
from tracejit.numpy.support import compare, emit, shape_of, size_scalar
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, constant, convert, lift

Range = tuple[Size, Size]     # from .. to, both included
_SAME_ELEMENTS = frozenset("reshape transpose reverse broadcast_in_dim slice dynamic_slice gather".split())
_DEPTH = 12


def known_range(value: Value, depth: int = _DEPTH) -> Range | None:
    """Bounds of the elements, as far as the ops that made them say; None if nothing is known."""
    node = value.node
    if node is None or depth == 0:
        return None
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


def _constant_range(value: Any) -> Range | None:
    numbers = value if isinstance(value, tuple) else (value,)
    return (min(numbers), max(numbers)) if numbers and all(type(n) is int for n in numbers) else None


def _computed_range(name: str, operands: tuple[Value, ...], depth: int) -> Range | None:
    if name not in ("add", "subtract", "remainder", "floor_divide"):
        return None
    right = known_range(operands[1], depth - 1)
    if right is None:
        return None
    if name == "remainder":
        positive = right[0] == right[1] and not (isinstance(right[0], int) and right[0] <= 0)
        return (0, right[1] - 1) if positive else None
    left = known_range(operands[0], depth - 1)
    if left is None:
        return None
    if name == "floor_divide":
        plain = right[0] == right[1] and right[0] != 0 and left[0] == 0
        return (0, left[1] // right[1]) if plain and not (isinstance(right[1], int) and right[1] < 0) else None
    return (left[0] + right[0], left[1] + right[1]) if name == "add" else (left[0] - right[1], left[1] - right[0])


def is_below(x: Size, y: Size) -> bool:
    """x < y for all sizes (symbols are at least 0)."""
    difference = y - x
    if isinstance(difference, int):
        return difference > 0
    return all(c > 0 for _, c in difference.terms) and any(m == () for m, _ in difference.terms)


def is_non_negative(x: Size) -> bool:
    return x >= 0 if isinstance(x, int) else all(c > 0 for _, c in x.terms)


def wrapped(index: Array, size: Size) -> Array:
    """Negative indices count from the end."""
    found = known_range(index.value)
    if found is not None and is_non_negative(found[0]):
        return index
    moved = emit("add", index, size_like(size, index))
    return emit("select", compare("LT", index, 0), moved, index)


def size_like(size: Size, x: Array) -> Array:
    """A size as an i64 array of the shape of `x`."""
    if isinstance(size, int):
        return constant(size, "i64", shape_of(x))
    return emit("broadcast_in_dim", size_scalar(size), shape=shape_of(x), dims=()) if x.ndim else size_scalar(size)


def assert_in_range(index: Array, size: Size, axis: int) -> None:
    """IndexError at run time unless -size <= index < size for every element."""
    found = known_range(index.value)
    if found is not None and is_below(found[1], size) and is_non_negative(found[0]):
        return
    if any(n == 0 for n in shape_of(index)):
        return
    message = f"index {{0}} is out of bounds for axis {axis} with size {{1}}"
    low, high = _extremes(index)
    n = convert(lift(size_scalar(size)), "i64")
    inside = emit("and", emit("compare", low, emit("negate", n), direction="GE"),
                  emit("compare", high, n, direction="LT"))
    culprit = low if low is high else emit("select", emit("compare", high, n, direction="GE"), high, low)
    assert_(inside, "IndexError", message, culprit, n)


def _extremes(index: Array) -> tuple[Array, Array]:
    """The least and the largest index; of none at all, the identities, which pass every check."""
    if index.ndim == 0:
        return index, index
    axes = tuple(range(index.ndim))
    return emit("reduce_min", index, axes=axes), emit("reduce_max", index, axes=axes)


# ---- differences of traced scalars -----------------------------------------------------------------------------

Linear = tuple[dict[Value, int], int]


def constant_difference(x: Array, y: Array) -> int | None:
    """x - y where both are the same sum of traced values up to a constant."""
    (terms, c), (others, d) = _linear(x.value), _linear(y.value)
    left = {v: terms.get(v, 0) - others.get(v, 0) for v in {**terms, **others}}
    return c - d if not any(left.values()) else None


def _linear(value: Value, depth: int = _DEPTH) -> Linear:
    """A scalar as a sum of integer multiples of other values and a constant."""
    node = value.node
    if node is None or depth == 0:
        return {value: 1}, 0
    parts = [_linear(v, depth - 1) for v in node.operands] if node.op.name in (
        "add", "subtract", "multiply", "negate", "convert") and value.dtype.is_integer else []
    match node.op.name, parts:
        case "constant", _ if type(node.attributes["value"]) is int:
            return {}, node.attributes["value"]
        case "add", [x, y]:
            return _combined(x, y, 1)
        case "subtract", [x, y]:
            return _combined(x, y, -1)
        case "negate", [x]:
            return _combined(({}, 0), x, -1)
        case "convert", [x] if node.operands[0].dtype.is_integer:
            return x
        case "multiply", [x, y] if not x[0] or not y[0]:
            (terms, c), by = (x, y[1]) if not y[0] else (y, x[1])
            return {v: k * by for v, k in terms.items()}, c * by
    return {value: 1}, 0


def _combined(x: Linear, y: Linear, sign: int) -> Linear:
    terms = dict(x[0])
    for v, k in y[0].items():
        terms[v] = terms.get(v, 0) + sign * k
    return terms, x[1] + sign * y[1]
