"""Derivatives of stacks: next to every stack is one with the tangents of its entries.

Flows in:  ops on handles.
Flows out: rules for forward mode; the tangent of a handle is the handle of the other stack. Reverse mode goes through
           stacks that are arrays, which `fill_stacks` makes of those filled in a known order.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.base.errors import UnsupportedError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply_all
from tracejit.ops.derivatives import Attributes, Gradient, Terms

Rule = Callable[..., Terms]


def _moving(types: Sequence[ArrayType]) -> tuple[ArrayType, ...]:
    return tuple([t for t in types if t.dtype.is_inexact])


def _refuse(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool]) -> Terms:
    raise UnsupportedError(
        "a value with a derivative goes through a list whose length only the run tells", span=ins[0].span,
        why="reverse mode goes through lists that grow by a number of elements known from sizes",
        fix="write into an array of sufficient size, x[i] = v, and count")


def gradient(rule: Rule) -> Gradient:
    return Gradient(rule, _refuse)


def new_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    types = _moving(attributes["types"])
    return apply_all(op, [], {"types": types}, outs[0]) if types else [None]


def store_jvp(words: int) -> Rule:
    """Entries go in: their tangents too. words: operands before the entry."""
    def rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
        if (handle := tangents[0]) is not None:
            moves = [x.like(0) if t is None else t for x, t in zip(ins[words:], tangents[words:], strict=True)
                     if x.dtype.is_inexact]
            apply_all(op, [handle, *ins[1:words], *moves], dict(attributes))
        return []

    return rule


def entry_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    """An entry comes out, and so does its tangent."""
    if tangents[0] is None:
        return [None] * len(outs)
    moves = iter(apply_all(op, [tangents[0], *ins[1:]], {"types": _moving(attributes["types"])}))
    return [next(moves) if out.dtype.is_inexact else None for out in outs]


def array_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    types, field = attributes["types"], attributes["field"]
    if tangents[0] is None or not types[field].dtype.is_inexact:
        return [None]
    return apply_all(op, [tangents[0], ins[1]], {**attributes, "types": _moving(types),
                                                 "field": len(_moving(types[:field]))})


def length_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    return [None]


def truncate_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    if tangents[0] is not None:
        apply_all(op, [tangents[0], ins[1]], dict(attributes))
    return []


NEW, ENTRY, ARRAY, LENGTH, TRUNCATE = map(gradient, (new_jvp, entry_jvp, array_jvp, length_jvp, truncate_jvp))
PUSH, EXTEND, SET = (gradient(store_jvp(words)) for words in (1, 2, 2))
__all__: Sequence[Any] = ["ARRAY", "ENTRY", "EXTEND", "LENGTH", "NEW", "PUSH", "SET", "TRUNCATE"]
