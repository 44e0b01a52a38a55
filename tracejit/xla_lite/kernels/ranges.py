"""What is known of integers where a statement stands: sums of names, with bounds that are sums of earlier names.

Flows in:  loop extents, definitions, and conditions that hold.
Flows out: `Facts`: whether a sum is never negative, what a comparison gives, which sum an expression is.

Machine integers wrap, sums here do not. An expression is taken apart only if its sum provably fits into 64 bits; else
it is a term of its own. A sum that lies in [0, n) is then what the machine computes, whatever happened on the way.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tracejit.base.dtypes import BOOL, I64
from tracejit.xla_lite.kernels.kernel_ir import Apply, Const, Expr, Load, Name, walk

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_STEPS = 200    # of one proof

Key = str | int    # of a term: a parameter, or the number of anything else
NEGATED = {"lt": "ge", "ge": "lt", "gt": "le", "le": "gt", "eq": "ne", "ne": "eq"}


class Sum:
    """constant + sum of coefficient * term."""

    __slots__ = ("constant", "terms")

    def __init__(self, constant: int = 0, terms: dict[Key, int] | None = None):
        self.constant, self.terms = constant, terms or {}

    def plus(self, other: Sum, factor: int = 1) -> Sum:
        terms = dict(self.terms)
        for key, c in other.terms.items():
            terms[key] = terms.get(key, 0) + c * factor
        return Sum(self.constant + other.constant * factor, {k: c for k, c in terms.items() if c})

    def minus(self, other: Sum) -> Sum:
        return self.plus(other, -1)

    def shifted(self, by: int) -> Sum:
        return Sum(self.constant + by, self.terms)

    def replaced(self, key: Key, by: Sum) -> Sum:
        """With a sum in place of a term."""
        rest = dict(self.terms)
        factor = rest.pop(key)
        return Sum(self.constant, rest).plus(by, factor)


@dataclass(slots=True)
class Bounds:
    """lows <= term <= highs. positive: what the term is if it is positive. number: of its definition."""

    number: int
    lows: list[Sum] = field(default_factory=list)
    highs: list[Sum] = field(default_factory=list)
    positive: Sum | None = None


class Facts:
    """Everything known; what is assumed inside `scope` is forgotten at its end."""

    def __init__(self) -> None:
        self.bounds: dict[Key, Bounds] = {}
        self.sums: dict[str, Sum] = {}
        self.tests: dict[str, Expr] = {}    # definitions of bools
        self._opaque: dict[Expr, Sum] = {}  # expressions that are terms of their own, in this scope
        self._undo: list[Callable[[], object]] = []
        self._steps = 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        mark = len(self._undo)
        yield
        while len(self._undo) > mark:
            self._undo.pop()()

    # ---- terms --------------------------------------------------------------------------------------

    def term(self, key: Key) -> Sum:
        """A term of its own, made when it is first seen."""
        if key not in self.bounds:
            self.bounds[key] = Bounds(len(self.bounds))
        return Sum(0, {key: 1})

    def bound(self, key: Key, least: int, most: int) -> None:
        """least <= term <= most, wherever it is."""
        known = self.bounds_of(self.term(key))
        known.lows.append(Sum(least))
        known.highs.append(Sum(most))

    def fresh(self) -> Sum:
        """A new term of which nothing is known."""
        return self.term(len(self.bounds))

    def bounds_of(self, term: Sum) -> Bounds:
        return self.bounds[next(iter(term.terms))]

    def opaque(self, e: Expr) -> tuple[Sum, Bounds]:
        """A term that stands for `e`, the same in all of this scope unless memory is read."""
        made = self.fresh()
        if not any(type(x) is Load for x in walk(e)):
            self._opaque[e] = made
            self._undo.append(lambda: self._opaque.pop(e, None))
        return made, self.bounds_of(made)

    def sum_of(self, e: Expr) -> Sum:
        """An i64 expression as a sum."""
        if type(e) is Const:
            return Sum(int(e.value))
        if type(e) is Name:
            return self.sums.get(e.name) or self.term(e.name)
        if (known := self._opaque.get(e)) is not None:
            return known
        if type(e) is Apply:
            found = self._taken_apart(e)
            if found is not None and self.fits(found):
                return found
            rule = RULES.get(e.fn)
            if rule is not None and (exact := rule(self, e)) is not None:
                return exact
        return self.opaque(e)[0]

    def _taken_apart(self, e: Apply) -> Sum | None:
        if e.fn in ("add", "subtract"):
            x, y = map(self.sum_of, e.args)
            return x.plus(y, 1 if e.fn == "add" else -1)
        if e.fn == "multiply":
            x, y = map(self.sum_of, e.args)
            if x.terms and y.terms:
                return None
            return Sum().plus(x, y.constant) if x.terms else Sum().plus(y, x.constant)
        return Sum().minus(self.sum_of(e.args[0])) if e.fn == "negate" else None

    def define(self, name: str, e: Expr) -> None:
        """A `Let`."""
        if e.dtype is I64:
            self.sums[name] = self.fresh() if type(e) is Load else self.sum_of(e)
        elif e.dtype is BOOL:
            self.tests[name] = e

    # ---- proofs -------------------------------------------------------------------------------------

    def fits(self, s: Sum) -> bool:
        """Whether the sum is what 64-bit arithmetic gives."""
        if s.constant == 0 and list(s.terms.values()) == [1]:
            return True
        return self.never_negative(s.shifted(-_LEAST)) and self.never_negative(Sum(_MOST).minus(s))

    def never_negative(self, s: Sum) -> bool:
        """Whether s >= 0 can be shown by replacing terms, the latest first, by their bounds."""
        self._steps = _STEPS
        return self._shown(s)

    def _shown(self, s: Sum) -> bool:
        if not s.terms:
            return s.constant >= 0
        self._steps -= 1
        if self._steps < 0:
            return False
        key = max(s.terms, key=lambda k: self.bounds[k].number)
        known, up = self.bounds[key], s.terms[key] < 0
        for bound in reversed(known.highs if up else known.lows):
            if self._shown(s.replaced(key, bound)):
                return True
        return self._shown(s.replaced(key, Sum(_MOST if up else _LEAST)))

    def most(self, s: Sum) -> int | None:
        """A number that the sum never exceeds, if its latest terms have such bounds."""
        for _ in range(8):
            if not s.terms:
                return s.constant
            key = max(s.terms, key=lambda k: self.bounds[k].number)
            known = self.bounds[key]
            limits = known.highs if s.terms[key] > 0 else known.lows
            if not limits:
                return None
            s = s.replaced(key, min(limits, key=lambda b: (len(b.terms), b.constant if s.terms[key] > 0
                                                          else -b.constant)))
        return None

    def holds(self, fn: str, x: Expr, y: Expr) -> bool | None:
        """The comparison of two i64 expressions, if it is known."""
        a, b = self.sum_of(x), self.sum_of(y)
        for test, answer in ((fn, True), (NEGATED[fn], False)):
            if all(map(self.never_negative, _differences(test, a, b))) and test != "ne":
                return answer
        return None

    def decide(self, e: Expr) -> bool | None:
        """The truth of a bool expression, if it is known."""
        if type(e) is Const:
            return bool(e.value)
        if type(e) is Name:
            return self.decide(self.tests[e.name]) if e.name in self.tests else None
        if type(e) is not Apply:
            return None
        if e.fn in NEGATED and e.args[0].dtype is I64:
            return self.holds(e.fn, *e.args)
        if e.fn == "not":
            found = self.decide(e.args[0])
            return None if found is None else not found
        if e.fn in ("and", "or"):
            parts = [self.decide(x) for x in e.args]
            strong = e.fn == "or"
            return strong if strong in parts else None if None in parts else not strong
        return None

    # ---- assumptions --------------------------------------------------------------------------------

    def assume(self, e: Expr, truth: bool) -> None:
        """From here on, in this scope, the bool expression `e` is `truth`."""
        if type(e) is Name and e.name in self.tests:
            self.assume(self.tests[e.name], truth)
        if type(e) is not Apply:
            return
        if e.fn == "not":
            self.assume(e.args[0], not truth)
        elif e.fn == ("and" if truth else "or"):
            for part in e.args:
                self.assume(part, truth)
        elif e.fn in NEGATED and e.args[0].dtype is I64:
            x, y = map(self.sum_of, e.args)
            for difference in _differences(e.fn if truth else NEGATED[e.fn], x, y):
                self.assume_positive(difference)

    def assume_positive(self, s: Sum) -> None:
        """s >= 0, kept as a bound of its latest term."""
        if not s.terms:
            return
        key = max(s.terms, key=lambda k: self.bounds[k].number)
        c, known = s.terms[key], self.bounds[key]
        if abs(c) != 1:
            return
        rest = s.replaced(key, Sum())
        self._note(known.lows if c == 1 else known.highs, Sum().minus(rest) if c == 1 else rest)
        if c == 1 and known.positive is not None and self.never_negative(Sum().minus(rest).shifted(-1)):
            self._note(known.highs, known.positive)

    def _note(self, bounds: list[Sum], bound: Sum) -> None:
        bounds.append(bound)
        self._undo.append(lambda: bounds.remove(bound))    # sums are compared by identity


def _differences(fn: str, x: Sum, y: Sum) -> list[Sum]:
    """Sums that are not negative if `x fn y`."""
    match fn:
        case "lt":
            return [y.minus(x).shifted(-1)]
        case "le":
            return [y.minus(x)]
        case "gt":
            return [x.minus(y).shifted(-1)]
        case "ge":
            return [x.minus(y)]
        case "eq":
            return [x.minus(y), y.minus(x)]
    return []


# ---- expressions that are no sums: the sum that they are after all, or their bounds ---------------------------------

Rule = Callable[[Facts, Apply], Sum | None]
RULES: dict[str, Rule] = {}    # by function; written at import by `_rule`


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def declare(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, rule))
        return rule
    return declare


@_rule("minimum", "maximum")
def _extreme(facts: Facts, e: Apply) -> Sum | None:
    x, y = map(facts.sum_of, e.args)
    if e.fn == "maximum":
        x, y = y, x
    if facts.never_negative(y.minus(x)):
        return x if e.fn == "minimum" else y
    if facts.never_negative(x.minus(y)):
        return y if e.fn == "minimum" else x
    made, known = facts.opaque(e)
    (known.highs if e.fn == "minimum" else known.lows).extend((x, y))
    if e.fn == "maximum" and not x.terms and x.constant <= 0:
        known.positive = y
    _bound_choice(facts, known, (x, None), (y, None))
    return made


@_rule("select")
def _select(facts: Facts, e: Apply) -> Sum | None:
    test, a, b = e.args
    x, y = facts.sum_of(a), facts.sum_of(b)
    if (decided := facts.decide(test)) is not None:
        return x if decided else y
    made, known = facts.opaque(e)
    if not y.terms and y.constant <= 0:
        known.positive = x
    _bound_choice(facts, known, (x, (test, True)), (y, (test, False)))
    return made


Case = tuple[Sum, tuple[Expr, bool] | None]


def _bound_choice(facts: Facts, known: Bounds, *cases: Case) -> None:
    """Bounds of something that is one of two sums, each under its condition: those of one that hold for the other."""
    for bounds, sign in ((known.lows, 1), (known.highs, -1)):
        for this, other in (cases, cases[::-1]):
            candidates = [this[0]]
            with facts.scope():
                if this[1] is not None:
                    facts.assume(*this[1])
                candidates += _steps_out(facts, this[0], sign)
            bounds += [c for c in candidates if _is_bound(facts, c, sign, this) and _is_bound(facts, c, sign, other)]


def _is_bound(facts: Facts, bound: Sum, sign: int, case: Case) -> bool:
    with facts.scope():
        if case[1] is not None:
            facts.assume(*case[1])
        return facts.never_negative(Sum().plus(case[0], sign).plus(bound, -sign))


def _steps_out(facts: Facts, s: Sum, sign: int) -> list[Sum]:
    """Lower (sign 1) or upper bounds of a sum: its latest term replaced by bounds, once and twice."""
    found: list[Sum] = []
    for _ in range(2):
        if not s.terms:
            break
        key = max(s.terms, key=lambda k: facts.bounds[k].number)
        known = facts.bounds[key]
        limits = (known.lows if s.terms[key] * sign > 0 else known.highs)[-3:]
        if not limits:
            break
        found += [s.replaced(key, bound) for bound in limits]
        s = found[-1]
    return found


@_rule("remainder")
def _remainder(facts: Facts, e: Apply) -> Sum | None:
    divisor = facts.sum_of(e.args[1])
    if not facts.never_negative(divisor.shifted(-1)):
        return None
    made, known = facts.opaque(e)
    known.lows.append(Sum())
    known.highs.append(divisor.shifted(-1))
    return made


@_rule("floor_divide", "shift_right_arithmetic", "and")
def _smaller(facts: Facts, e: Apply) -> Sum | None:
    """What is not negative becomes no larger, and stays so."""
    x, by = facts.sum_of(e.args[0]), facts.sum_of(e.args[1])
    mask = e.fn == "and" and not by.terms and by.constant >= 0
    if not mask and not (facts.never_negative(x) and facts.never_negative(by.shifted(-(e.fn == "floor_divide")))):
        return None
    made, known = facts.opaque(e)
    known.lows.append(Sum())
    known.highs += [by] if mask else []
    known.highs += [x] if facts.never_negative(x) else []
    return made


@_rule("convert")
def _convert(facts: Facts, e: Apply) -> Sum | None:
    source = e.args[0].dtype
    if source.kind not in "bui" or source.bits == 64:
        return None
    made, known = facts.opaque(e)
    bits = 1 if source is BOOL else source.bits - (source.kind == "i")
    known.lows.append(Sum(-(1 << bits) if source.kind == "i" else 0))
    known.highs.append(Sum((1 << bits) - 1))
    return made
