"""Comparisons of tuples and lists whose elements are traced, element by element as Python does.

Flows in:  a sign and two sequences of known length.
Flows out: a bool, traced if the elements that decide are.
"""
from __future__ import annotations

from typing import Any

from tracejit.autograph.plain import COMPARISONS
from tracejit.tracing.arrays import Array
from tracejit.tracing.control.optional import Optional

_SIGNS = frozenset({"==", "!=", "<", "<=", ">", ">="})


def is_sequence_comparison(sign: str, left: Any, right: Any) -> bool:
    """Whether two plain sequences are compared of which one holds something traced."""
    return sign in _SIGNS and type(left) is type(right) and type(left) in (tuple, list) and (
        holds_traced(left) or holds_traced(right))


def holds_traced(values: Any) -> bool:
    """Whether an element, or an element of one, is traced."""
    return any(type(v) in (Array, Optional) or type(v) in (tuple, list) and holds_traced(v) for v in values)


def compare_sequences(namespace: Any, sign: str, left: Any, right: Any) -> Any:
    """The first elements that differ decide; where none does, the lengths. Source: Python reference, section 6.10.1."""
    if sign in ("==", "!="):
        same = len(left) == len(right) and _all_equal(namespace, left, right)
        return namespace.not_(same) if sign == "!=" else same
    return _ordered(namespace, sign, left, right)


def _all_equal(namespace: Any, left: Any, right: Any) -> Any:
    if not left:
        return True
    equal = _equal(namespace, left[0], right[0])
    return equal if len(left) == 1 else namespace.and_(equal, lambda: _all_equal(namespace, left[1:], right[1:]))


def _ordered(namespace: Any, sign: str, left: Any, right: Any) -> Any:
    if not left or not right:
        return COMPARISONS[sign](len(left), len(right))
    first, other = left[0], right[0]
    if len(left) == len(right) == 1:
        return namespace.compare_two(sign, first, other)
    strict = sign if sign in ("<", ">") else sign[0]
    return namespace.if_expression(
        _equal(namespace, first, other), lambda: _ordered(namespace, sign, left[1:], right[1:]),
        lambda: namespace.compare_two(strict, first, other))


def _equal(namespace: Any, x: Any, y: Any) -> Any:
    return True if x is y else namespace.compare_two("==", x, y)
