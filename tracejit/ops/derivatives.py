"""The vocabulary of derivatives: one fact of calculus gives forward and reverse mode.

Flows in:  the facts that the author of an op states: partial derivatives, transposes of linear maps.
Flows out: `Gradient` and `Transposed` records, which the transforms apply. None stands for a tangent or cotangent that
           is zero.

Complex numbers: a cotangent of z is dL/d(re) - i dL/d(im) of a real L, so that holomorphic functions have the same
rules as real ones, without conjugation.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tracejit.ir.graph import Value
from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply, apply_all, build, compare, inlined, is_zero, select

Attributes = Mapping[str, Any]
Terms = Sequence[Term | None]


@dataclass(frozen=True, slots=True)
class Gradient:
    """jvp(op, ins, outs, tangents, attributes) -> a tangent per result.

    vjp(op, ins, outs, cotangents, attributes, wanted) -> a cotangent per operand; only where `wanted` is true.
    gaps: whether those cotangents are zero where the result does not depend on the operand.
    """

    jvp: Callable[..., Terms]
    vjp: Callable[..., Terms]
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class Transposed:
    """A derivative stated once: the tangent rule, which is linear in the tangents, is transposed for reverse mode.

    rule(op, ins, outs, tangents, attributes, asked) -> a tangent per result. asked: which of them reverse mode asks
    for; None in forward mode, where nobody knows.
    """

    rule: Callable[..., Terms]
    gaps: bool = False

    def jvp(self, op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
        found: Terms = self.rule(op, ins, outs, tangents, attributes, None)
        return found

    def vjp(self, op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool], recur: Any) -> Terms:
        """recur.transposed: of a graph that is linear in its last parameters, as the asking transform makes it."""
        asked = [ct is not None for ct in cotangents]
        moving = [x.type for x, want in zip(ins, wanted, strict=True) if want]
        known = len(ins) + len(outs)

        def tangents(*terms: Term) -> list[Term]:
            rest = iter(terms[known:])
            moves = [next(rest) if want else None for want in wanted]
            found = self.rule(op, terms[:len(ins)], terms[len(ins):known], moves, attributes, asked)
            return [out.like(0) if t is None else t
                    for t, out, ask in zip(found, terms[len(ins):known], asked, strict=True) if ask]

        graph, given = recur.transposed(build([*(x.type for x in (*ins, *outs)), *moving], tangents), known)
        zeros = [x.like(0) for x, want in zip(ins, wanted, strict=True) if want]
        results = iter(inlined(graph, [*ins, *outs, *zeros, *(ct for ct in cotangents if ct is not None)], ins[0]))
        flags = iter(given)
        return [next(results) if want and next(flags) else None for want in wanted]


def partials(*factors: Callable[..., Any] | None, gaps: bool = False) -> Gradient:
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

    return Gradient(jvp, vjp, gaps)


def linear(transpose: Callable[..., Any], given: Sequence[int] = (), gaps: bool = False) -> Gradient:
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

    return Gradient(jvp, vjp, gaps)


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

    This is what makes the gradient of `where(x > 0, sqrt(x), 0)` zero for negative x. Where the mask is no longer to be
    seen, behind a sum or a reshape, zeros of a `t` with gaps are tested for.
    """
    if is_zero(t):
        return t
    f = factor()
    return within_mask(t, lambda part: scaled(part, f))


def scaled(t: Term, f: Any) -> Term:
    if isinstance(f, Term):
        return t * (calmed(t, f) if has_gaps(t) and may_be_infinite(f) else f)
    return t if f == 1 else -t if f == -1 else t * f


def note_gaps(ct: Term) -> None:
    """Says that zeros of a cotangent mean that nothing depends on those elements."""
    ct.graph.notes["gaps", ct.value] = True


def has_gaps(ct: Term) -> bool:
    return ct.graph.notes.get(("gaps", ct.value), False)


def calmed(t: Term, f: Term) -> Term:
    """`f`, but 0 where `t` is zero and `f` infinite or NaN. Where `f` is finite, derivatives of t * f are untouched."""
    return select(apply("or", compare("NE", t, 0), apply("is_finite", f)), f, 0)


# Ops that make something infinite or NaN of finite numbers.
SINGULAR = frozenset("""divide sqrt rsqrt power log log2 log10 log_plus_one exponential exponential2
    exponential_minus_one tan sinh cosh asin acos acosh atanh erf_inv lgamma digamma ldexp logaddexp2""".split())


def may_be_infinite(x: Term) -> bool:
    """Whether such an op is among those that `x` is computed by. What the graph is given counts as finite."""
    notes, pending = x.graph.notes, [x.value]
    while pending:
        value = pending[-1]
        if ("infinite", value) in notes:
            pending.pop()
            continue
        operands: Sequence[Value] = value.node.operands if value.node is not None else ()
        known = [notes.get(("infinite", v)) for v in operands]
        if value.node is not None and value.node.op.name in SINGULAR or any(known):
            notes["infinite", value] = True
        elif None not in known:
            notes["infinite", value] = False
        else:
            pending += [v for v, k in zip(operands, known, strict=True) if k is None]
    return notes["infinite", x.value]


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


__all__ = ["ZERO", "Gradient", "has_gaps", "linear", "masked_product", "multilinear", "note_gaps", "partials", "sum_of",
           "within_mask"]
