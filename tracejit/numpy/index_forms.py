"""Traced ints as sums: differences that are known while tracing, and bounds that follow from the ranges of loops.

Flows in:  traced ints, sizes; `declare_range`, which says what a loop's index runs over.
Flows out: `Form`, the sum of integer multiples of values and a size; `lowest` and `highest`, bounds of it as sizes.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracejit.base.dims import Dim, Size
from tracejit.ir.graph import Value
from tracejit.tracing.arrays import Array
from tracejit.tracing.context import current
from tracejit.tracing.sizes import declared_range, size_of

Bound = Size | None
Range = tuple[Bound, Bound]     # from .. to, both included; None: not known
_DEPTH = 12
_STEPS = 24                     # values that are replaced by their bounds before the search ends
_LINEAR = frozenset({"add", "subtract", "multiply", "negate", "convert"})


@dataclass(frozen=True, slots=True)
class Form:
    """The sum of `count * value` over terms, and a size. Equal for values that are equal for this reason."""

    terms: frozenset[tuple[Value, int]]
    size: Size

    def plus(self, other: Form, sign: int = 1) -> Form:
        terms = dict(self.terms)
        for value, count in other.terms:
            terms[value] = terms.get(value, 0) + sign * count
        return Form(frozenset((v, n) for v, n in terms.items() if n), self.size + other.size * sign)

    def times(self, by: int) -> Form:
        return Form(frozenset((v, n * by) for v, n in self.terms if by), self.size * by)

    def shifted(self, by: Size) -> Form:
        return Form(self.terms, self.size + by)

    @property
    def known(self) -> Bound:
        """The size that it is, if no traced value is in it."""
        return None if self.terms else self.size


def form_of(x: Any) -> Form:
    """The form of a traced int, an int or a size. A size known only at run time is what it was bound to."""
    if isinstance(x, Array):
        return _form(x.value, _DEPTH)
    size = size_of(x)
    assert size is not None, f"{x!r} is no int"
    return _of_size(size)


def _of_size(size: Size) -> Form:
    """Symbols that stand for a traced int become its form again."""
    if not isinstance(size, Dim):
        return Form(frozenset(), size)
    total = Form(frozenset(), 0)
    for monomial, count in size.terms:
        known = None
        if len(monomial) == 1 and isinstance(monomial[0][0], str) and monomial[0][1] == 1:
            known = current().scope.fact(("dim", monomial[0][0]))
        total = total.plus(known.times(count) if known is not None else Form(frozenset(), Dim({monomial: count})
                           if monomial else count))
    return total


def _form(value: Value, depth: int) -> Form:
    value = current().scope.origin(value)
    node = value.node
    if node is None or depth == 0 or not value.dtype.is_integer or value.rank:
        return Form(frozenset({(value, 1)}), 0)
    name = node.op.name
    if name == "constant":
        return Form(frozenset(), node.attributes["value"])
    if name == "dimension":
        return _of_size(node.attributes["size"])
    if name == "bind_dim":
        return _form(node.operands[0], depth - 1)
    parts = [_form(v, depth - 1) for v in node.operands] if name in _LINEAR else []
    match name, parts:
        case "add", [x, y]:
            return x.plus(y)
        case "subtract", [x, y]:
            return x.plus(y, -1)
        case "negate", [x]:
            return x.times(-1)
        case "convert", [x] if node.operands[0].dtype.is_integer and node.operands[0].dtype.bits <= value.dtype.bits:
            return x
        case "multiply", [x, y] if isinstance(y.known, int):
            return x.times(y.known)
        case "multiply", [x, y] if isinstance(x.known, int):
            return y.times(x.known)
    return Form(frozenset({(value, 1)}), 0)


# ---- bounds ----------------------------------------------------------------------------------------------------

Ranges = Callable[[Value], Range]       # bounds of a value by the op that made it


def lowest(form: Form, ranges: Ranges) -> Bound:
    """A size that the form is never below. A loop's index is replaced by its first or last value, innermost first."""
    for _ in range(_STEPS):
        if not form.terms:
            return form.size
        value, count = max(form.terms, key=_depth)
        bound = _least(value, ranges) if count > 0 else _greatest(value, ranges)
        if bound is None:
            return None
        form = form.plus(Form(frozenset({(value, count)}), 0), -1).plus(bound.times(count))
    return None


def _depth(term: tuple[Value, int]) -> int:
    found = declared_range(term[0])
    return -1 if found is None else found.depth


def _least(value: Value, ranges: Ranges) -> Form | None:
    declared = declared_range(value)
    if declared is not None:
        return form_of(declared.lower) if declared.step > 0 else form_of(declared.upper).shifted(1)
    low = ranges(value)[0]
    return None if low is None else _of_size(low)


def _greatest(value: Value, ranges: Ranges) -> Form | None:
    declared = declared_range(value)
    if declared is not None:
        return _length(declared.upper).shifted(-1) if declared.step > 0 else form_of(declared.lower)
    high = ranges(value)[1]
    return None if high is None else _of_size(high)


def _length(upper: Any) -> Form:
    """The end of a range whose loop runs: of `max(n, 0)` that is n."""
    if isinstance(upper, Array):
        node = current().scope.origin(upper.value).node
        if node is not None and node.op.name == "maximum":
            x, y = (_form(v, _DEPTH) for v in node.operands)
            if x.known == 0 or y.known == 0:
                return y if x.known == 0 else x
    return form_of(upper)


def is_non_negative(x: Bound) -> bool:
    """x >= 0 for all sizes (symbols are at least 0)."""
    if x is None:
        return False
    return x >= 0 if isinstance(x, int) else all(c > 0 for _, c in x.terms)
