"""The vocabulary of derivatives: one fact of calculus gives forward and reverse mode.

Flows in:  the facts that the author of an op states: partial derivatives, transposes of linear maps.
Flows out: `Gradient` records, which the transforms apply. None stands for a tangent or cotangent that is zero.

Complex numbers: a cotangent of z is dL/d(re) - i dL/d(im) of a real L, so that holomorphic functions have the same
rules as real ones, without conjugation.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply_all, is_zero, select

Attributes = Mapping[str, Any]
Terms = Sequence[Term | None]


@dataclass(frozen=True, slots=True)
class Gradient:
    """jvp(op, ins, outs, tangents, attributes) -> a tangent per result.

    vjp(op, ins, outs, cotangents, attributes, wanted) -> a cotangent per operand; only where `wanted` is true.
    """

    jvp: Callable[..., Terms]
    vjp: Callable[..., Terms]


def partials(*factors: Callable[..., Any] | None) -> Gradient:
    """y = f(x0, x1, ...) elementwise; `factors[i](y, *xs, **attributes)` is dy/dx_i, None where it is zero."""

    def jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
        terms = [masked_product(t, partial(f, *outs, *ins, **attributes))
                 for f, t in zip(factors, tangents, strict=True) if t is not None and f is not None]
        return [sum_of(terms)]

    def vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool]) -> Terms:
        (ct,) = cotangents
        assert ct is not None
        return [masked_product(ct, partial(f, *outs, *ins, **attributes)) if want and f is not None else None
                for f, want in zip(factors, wanted, strict=True)]

    return Gradient(jvp, vjp)


def linear(transpose: Callable[..., Any], given: Sequence[int] = ()) -> Gradient:
    """Linear in all operands together, but for those at `given`, which stay as they are.

    transpose(ct, *ins, **attributes) -> the cotangent, or one per operand.
    """

    def jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
        if all(t is None for t in tangents):
            return [None] * len(outs)
        mixed = [x if i in given else x.like(0) if t is None else t
                 for i, (x, t) in enumerate(zip(ins, tangents, strict=True))]
        return apply_all(op, mixed, dict(attributes))

    def vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool]) -> Terms:
        result = transpose(cotangents[0], *ins, **attributes)
        found: Terms = result if isinstance(result, (tuple, list)) else [result]
        return [ct if want else None for ct, want in zip(found, wanted, strict=True)]

    return Gradient(jvp, vjp)


def multilinear(*transposes: Callable[..., Term]) -> Gradient:
    """Linear in each operand with the others fixed; `transposes[i](ct, *ins, **attributes)` is its cotangent."""

    def jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
        terms = [apply_all(op, [*ins[:i], t, *ins[i + 1:]], dict(attributes))[0]
                 for i, t in enumerate(tangents) if t is not None]
        return [sum_of(terms)]

    def vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool]) -> Terms:
        return [t(cotangents[0], *ins, **attributes) if want else None
                for t, want in zip(transposes, wanted, strict=True)]

    return Gradient(jvp, vjp)


ZERO = Gradient(    # piecewise constant, or of no use: no derivative flows
    jvp=lambda op, ins, outs, tangents, attributes: [None] * len(outs),
    vjp=lambda op, ins, outs, cotangents, attributes, wanted: [None] * len(ins))


def sum_of(terms: Sequence[Term]) -> Term | None:
    """The sum in order; None of nothing."""
    result: Term | None = None
    for term in terms:
        result = term if result is None else result + term
    return result


def masked_product(t: Term, factor: Callable[[], Any]) -> Term:
    """t * factor(), where a `t` that a mask makes zero stays zero even if the factor is infinite or NaN there.

    This is what makes the gradient of `where(x > 0, sqrt(x), 0)` zero for negative x.
    """
    if is_zero(t):
        return t
    f = factor()
    return within_mask(t, lambda part: scaled(part, f))


def scaled(t: Term, f: Any) -> Term:
    if isinstance(f, Term):
        return t * f
    return t if f == 1 else -t if f == -1 else t * f


def within_mask(t: Term, change: Callable[[Term], Term]) -> Term:
    """`change(t)` for an elementwise linear `change`, which leaves alone what a mask makes zero."""
    node = t.value.node
    if node is None or node.op.name != "select":
        return change(t)
    mask, yes, no = [Term(t.graph, v, t.span) for v in node.operands]
    if is_zero(no):
        changed = within_mask(yes, change)
        return select(mask, changed, changed.like(0))
    if is_zero(yes):
        changed = within_mask(no, change)
        return select(mask, changed.like(0), changed)
    return change(t)


__all__ = ["ZERO", "Gradient", "linear", "masked_product", "multilinear", "partials", "sum_of", "within_mask"]
