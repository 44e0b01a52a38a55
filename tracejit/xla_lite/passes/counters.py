"""What is known of numbers that depend on a loop's counter: the values that they take, and tests on them.

Flows in:  the body of a `for` whose bounds are sizes.
Flows out: `Counter`: scalars as `factor * counter + offset`, their least and largest value, tests that always come out
           the same way.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tracejit.base.dims import Size
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import rebuild
from tracejit.xla_lite.passes.rewriting import splat
from tracejit.xla_lite.passes.update_rules import is_below

Ends = tuple[Size, Size]     # the least and the largest value


@dataclass(frozen=True, slots=True)
class Linear:
    """factor * counter + offset."""

    factor: int
    offset: Size


@dataclass(slots=True)
class Counter:
    """The counter of a loop runs through lower, lower + step, ... below (for negative steps: above) upper.

    forms: scalars of the body in terms of the counter.  answers: of comparisons that come out one way in all rounds;
    of minima and maxima, the number of the operand that they always are.
    """

    lower: Size
    upper: Size
    step: int
    forms: dict[Value, Linear] = field(default_factory=dict)
    answers: dict[Node, bool | int] = field(default_factory=dict)

    @property
    def rounds(self) -> Size | None:
        if isinstance(self.lower, int) and isinstance(self.upper, int):
            return len(range(self.lower, self.upper, self.step))
        return (self.upper - self.lower) * self.step if abs(self.step) == 1 else None

    def walk(self, body: Graph) -> None:
        """Notes what is known of the body's scalars."""
        self.forms[body.params[0]] = Linear(1, 0)
        for node in body.nodes:
            if len(node.results) != 1 or node.result.rank:
                continue
            if node.op.name in ("compare", "minimum", "maximum"):
                self._test(node)
            elif node.result.dtype.is_integer and (form := self._form(node)) is not None:
                self.forms[node.result] = form

    def _form(self, node: Node) -> Linear | None:
        name = node.op.name
        if name == "dimension":
            return Linear(0, node.attributes["size"])
        if name == "constant":
            return Linear(0, int(splat(node.result)))
        if name not in ("add", "subtract", "multiply", "negate") or any(v not in self.forms for v in node.operands):
            return None
        parts = [self.forms[v] for v in node.operands]
        if name == "multiply":
            return _product(parts[0], parts[1])
        first, sign = Linear(0, 0) if name == "negate" else parts[0], 1 if name == "add" else -1
        return Linear(first.factor + sign * parts[-1].factor, first.offset + sign * parts[-1].offset)

    def _test(self, node: Node) -> None:
        """Of two numbers that are known in terms of the counter."""
        x, y = (self.forms.get(v) for v in node.operands)
        if x is None or y is None:
            return
        ends = self.ends(Linear(x.factor - y.factor, x.offset - y.offset))
        if ends is None:
            return
        if node.op.name == "compare":
            for answer, test in zip((True, False), TESTS.get(node.attributes["direction"], ()), strict=False):
                if test(ends):
                    self.answers[node] = answer
        elif (smaller := is_below(ends[1], 0)) or is_below(0, ends[0]):
            self.answers[node] = 0 if smaller == (node.op.name == "minimum") else 1
            self.forms[node.result] = (x, y)[self.answers[node]]

    def ends(self, form: Linear) -> Ends | None:
        """The least and the largest value, while there are rounds."""
        if isinstance(self.lower, int) and isinstance(self.upper, int):
            steps = range(self.lower, self.upper, self.step)
            last: Size = steps[-1] if steps else self.lower
        elif abs(self.step) == 1:
            last = self.upper - self.step
        else:
            return None
        ends = form.factor * self.lower + form.offset, form.factor * last + form.offset
        return ends if (form.factor >= 0) == (self.step > 0) else ends[::-1]

    def stays_within(self, index: Value, size: Size) -> bool:
        """Whether the index is another one from 0 to size - 1 in each round."""
        form = self.forms.get(index)
        if form is None or not form.factor or (ends := self.ends(form)) is None:
            return False
        return is_below(0, ends[0]) and is_below(ends[1] + 1, size)

    def covers(self, index: Value, size: Size) -> bool:
        """Whether the index takes each value from 0 to size - 1 once."""
        return self.stays_within(index, size) and self.rounds == size


# Of x - y: holds in all rounds, fails in all rounds; by the direction of the comparison.
TESTS: dict[str, tuple[Callable[[Ends], bool], Callable[[Ends], bool]]] = {     # fixed table
    "LT": (lambda e: is_below(e[1] + 1, 0), lambda e: is_below(0, e[0])),
    "LE": (lambda e: is_below(e[1], 0), lambda e: is_below(1, e[0])),
    "GT": (lambda e: is_below(1, e[0]), lambda e: is_below(e[1], 0)),
    "GE": (lambda e: is_below(0, e[0]), lambda e: is_below(e[1] + 1, 0)),
}


def _product(x: Linear, y: Linear) -> Linear | None:
    for one, other in ((x, y), (y, x)):
        if not one.factor and isinstance(one.offset, int):
            return Linear(one.offset * other.factor, one.offset * other.offset)
    return None


def counter_of(body: Graph, bounds: Sequence[Size | None]) -> Counter | None:
    """The counter of a loop's body; None where the bounds are known only at run time."""
    lower, upper, step = bounds
    if lower is None or upper is None or not isinstance(step, int) or not step:
        return None
    counter = Counter(lower, upper, step)
    counter.walk(body)
    return counter


def settle_tests(body: Graph, counter: Counter) -> Graph:
    """The body without comparisons, minima and maxima that come out the same way in every round."""
    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        answer = counter.answers.get(node)
        if answer is None:
            return None
        if node.op.name != "compare":
            return (operands[answer],)
        return (copy.add("constant", value=answer, type=node.result.type),)

    return rebuild(body, change) if counter.answers else body
