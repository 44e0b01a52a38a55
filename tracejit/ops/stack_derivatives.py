"""Derivatives of stacks: a companion of a stack holds the tangents, or the cotangents, of its entries' floats.

Flows in:  ops on handles.
Flows out: rules. In forward mode the companion grows and shrinks along. In reverse mode it is as long as the stack was
           at the same moment, so what was pushed is popped there, and what was popped is pushed. Companions are found
           by the run: handles may go wherever integers go.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply, apply_all, build, constant, size_of, splat
from tracejit.ops.derivatives import Attributes, Terms

Rule = Callable[..., Terms]


@dataclass(frozen=True, slots=True)
class StackGradient:
    """jvp(op, ins, tangents, attributes, key) -> a tangent per result; its ops come before the op.

    vjp(op, ins, outs, cotangents, attributes, wanted, saved, key) -> a cotangent per operand; runs even if all
    cotangents are zero.  before(op, ins) is emitted before the op on the way forward, and handed to `vjp` as `saved`.
    begins: it makes a stack, whose memory may be that of a stack which another round has emptied.
    key: of the companions that one transform makes.
    """

    jvp: Rule
    vjp: Rule
    before: Callable[[Op, Sequence[Term]], Any] = lambda op, ins: None
    begins: bool = False


def moving(types: Sequence[ArrayType]) -> tuple[ArrayType, ...]:
    """The types that have derivatives."""
    return tuple([t for t in types if t.dtype.is_inexact])


def floats(terms: Sequence[Term]) -> list[Term]:
    return [x for x in terms if x.dtype.is_inexact]


def companion_of(handle: Term, types: Sequence[ArrayType], key: int) -> Term:
    """The stack of tangents or cotangents; types: of the entries."""
    return apply("stack_companion", handle, types=moving(types), key=key)


# ---- forward mode ----------------------------------------------------------------------------------------------


def store_jvp(words: int) -> Rule:
    """Entries go in: their tangents too. words: operands before the entry."""
    def rule(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, key: int) -> Terms:
        entry = ins[words:]
        moves = [x.like(0) if t is None else t for x, t in zip(entry, tangents[words:], strict=True)
                 if x.dtype.is_inexact]
        rows = op.name == "stack_extend"
        types = [ArrayType(x.dtype, x.shape[1:]) if rows else x.type for x in entry]
        apply_all(op, [companion_of(ins[0], types, key), *ins[1:words], *moves], dict(attributes))
        return []

    return rule


def entry_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, key: int) -> Terms:
    """An entry comes out, and so does its tangent."""
    types = attributes["types"]
    moves = iter(apply_all(op, [companion_of(ins[0], types, key), *ins[1:]], {"types": moving(types)}))
    return [next(moves) if t.dtype.is_inexact else None for t in types]


def array_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, key: int) -> Terms:
    types, field = attributes["types"], attributes["field"]
    if not types[field].dtype.is_inexact:
        return [None]
    return apply_all(op, [companion_of(ins[0], types, key), ins[1]], {
        **attributes, "types": moving(types), "field": len(moving(types[:field]))})


def truncate_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, key: int) -> Terms:
    types = attributes["types"]
    apply_all(op, [companion_of(ins[0], types, key), ins[1]], {"types": moving(types)})
    return []


def nothing_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, key: int) -> Terms:
    return [None]


# ---- reverse mode ----------------------------------------------------------------------------------------------


def given_back(terms: Sequence[Term], cotangents: Sequence[Term]) -> list[Term | None]:
    """The cotangents, one for each float among the terms, in their places."""
    rest = iter(cotangents)
    return [next(rest) if x.dtype.is_inexact else None for x in terms]


def dense_floats(outs: Sequence[Term], cotangents: Terms) -> list[Term]:
    return [out.like(0) if ct is None else ct for out, ct in zip(outs, cotangents, strict=True) if out.dtype.is_inexact]


def new_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool], saved: Any, key: int) -> Terms:
    """Nothing was before."""
    apply("stack_release", outs[0], key=key)
    return []


def taken_vjp(words: int, inverse: str) -> Rule:
    """What went in has the cotangents that come out of the adjoint by the inverse."""
    def rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
             wanted: Sequence[bool], saved: Any, key: int) -> Terms:
        entry = ins[words:]
        types = moving([x.type for x in entry])
        found = apply_all(inverse, [companion_of(ins[0], types, key), *ins[1:words]], {"types": types})
        return [*([None] * words), *given_back(entry, found)]

    return rule


def put_vjp(inverse: str) -> Rule:
    """What came out and is gone is put into the adjoint by the inverse."""
    def rule(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
             wanted: Sequence[bool], saved: Any, key: int) -> Terms:
        companion = companion_of(ins[0], attributes["types"], key)
        apply_all(inverse, [companion, *ins[1:], *dense_floats(outs, cotangents)], {})
        return [None] * len(ins)

    return rule


def get_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool], saved: Any, key: int) -> Terms:
    """Adds to the entry's cotangent."""
    if any(ct is not None for ct in cotangents):
        _add_to(companion_of(ins[0], attributes["types"], key), ins[1], moving(attributes["types"]),
                [ct for out, ct in zip(outs, cotangents, strict=True) if out.dtype.is_inexact])
    return [None, None]


def _add_to(adjoint: Term, index: Term, types: Sequence[ArrayType], more: Sequence[Term | None]) -> None:
    before = apply_all("stack_get", [adjoint, index], {"types": tuple(types)})
    after = [x if ct is None else x + ct for x, ct in zip(before, more, strict=True)]
    apply_all("stack_set", [adjoint, index, *after], {})


def set_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool], saved: Any, key: int) -> Terms:
    """The entry that was there before has no part in what was read later."""
    types = moving([x.type for x in ins[2:]])
    adjoint = companion_of(ins[0], types, key)
    found = apply_all("stack_get", [adjoint, ins[1]], {"types": types})
    apply_all("stack_set", [adjoint, ins[1], *(x.like(0) for x in floats(ins[2:]))], {})
    return [None, None, *given_back(ins[2:], found)]


def extend_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
               wanted: Sequence[bool], saved: Any, key: int) -> Terms:
    """The last rows come out, one by one."""
    arrays = floats(ins[2:])
    types = tuple([ArrayType(x.dtype, x.shape[1:]) for x in arrays])
    adjoint = companion_of(ins[0], types, key)

    def body(k: Term, *terms: Term) -> list[Term]:
        *made, handle = terms
        rows = apply_all("stack_pop", [handle], {"types": types})
        return [apply("scatter", m, row, k, axes=(0,), combine="set") for m, row in zip(made, rows, strict=True)]

    last = ins[1] - 1
    region = build([ArrayType(I64), *(x.type for x in arrays), ArrayType(I64)], body)
    found = apply_all("for", [last, last.like(-1), last.like(-1), *(x.like(0) for x in arrays), adjoint],
                      {"body": region, "carries": len(arrays)})
    return [None, None, *given_back(ins[2:], found)]


def array_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
              wanted: Sequence[bool], saved: Any, key: int) -> Terms:
    """Each row adds to the cotangent of its entry."""
    (ct,), types = cotangents, moving(attributes["types"])
    if ct is None:
        return [None, None]
    field = len(moving(attributes["types"][:attributes["field"]]))

    def body(k: Term, rows: Term, handle: Term, start: Term) -> list[Term]:
        more: list[Term | None] = [None] * len(types)
        more[field] = apply("gather", rows, k, axes=(0,))
        _add_to(handle, start + k, types, more)
        return []

    region = build([ArrayType(I64), ct.type, ArrayType(I64), ArrayType(I64)], body)
    zero, companion = constant(ct, 0, ArrayType(I64)), companion_of(ins[0], attributes["types"], key)
    apply_all("for", [zero, size_of(ct, ct.shape[0]), zero + 1, ct, companion, ins[1]],
              {"body": region, "carries": 0})
    return [None, None]


def length_before(op: Op, ins: Sequence[Term]) -> Term:
    return apply("stack_length", ins[0])


def truncate_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                 wanted: Sequence[bool], saved: Term, key: int) -> Terms:
    """The entries that went come back, with zeros. saved: how many there were."""
    types = moving(attributes["types"])
    adjoint = companion_of(ins[0], types, key)

    def body(k: Term, handle: Term) -> list[Term]:
        apply_all("stack_push", [handle, *(splat(constant(handle, 0, ArrayType(t.dtype)), t.shape) for t in types)], {})
        return []

    region = build([ArrayType(I64), ArrayType(I64)], body)
    apply_all("for", [apply("stack_length", adjoint), saved, constant(saved, 1, ArrayType(I64)), adjoint],
              {"body": region, "carries": 0})
    return [None, None]


def nothing_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                wanted: Sequence[bool], saved: Any, key: int) -> Terms:
    return [None] * len(ins)


def release_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                wanted: Sequence[bool], saved: Any, key: int) -> Terms:
    """Here ends a companion, so on the way back its own begins."""
    apply(op, outs[0], key=key)
    return [None]


NEW, RELEASE = StackGradient(nothing_jvp, new_vjp, begins=True), StackGradient(nothing_jvp, release_vjp)
PUSH, INSERT = (StackGradient(store_jvp(n), taken_vjp(n, inverse))
                for n, inverse in ((1, "stack_pop"), (2, "stack_remove")))
POP, REMOVE = (StackGradient(entry_jvp, put_vjp(inverse)) for inverse in ("stack_push", "stack_insert"))
GET, SET = StackGradient(entry_jvp, get_vjp), StackGradient(store_jvp(2), set_vjp)
EXTEND, ARRAY = StackGradient(store_jvp(2), extend_vjp), StackGradient(array_jvp, array_vjp)
LENGTH = COMPANION = StackGradient(nothing_jvp, nothing_vjp)
TRUNCATE = StackGradient(truncate_jvp, truncate_vjp, length_before)
