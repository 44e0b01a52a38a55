"""What must hold before a loop begins so that none of its checks fails, and all of its places lie inside of arrays.

Flows in:  a `for` node whose body, and the loops in it, only compute, write, and check.
Flows out: scalars in another graph, all true where the checks can be left out; tests that then are known.

Checks compare sums of counters, each with a constant factor. Such a test holds in all rounds if it holds in the first
and the last one, for loops in loops in the first and the last of each: the rounds lie in the convex hull of these.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.passes.rewriting import splat
from tracejit.xla_lite.passes.runs import INDICES, window_shape

Form = Literal["fixed", "linear", "between"]

LARGEST_FACTOR = 1 << 20     # of a counter
MOST_ROUNDS = 1 << 27        # so that no sum of counters overflows, and arrays of that length can be had
DEEPEST = 5     # loops in loops whose indices are claimed about: each takes twice the claims
NUMBERS = ("fixed", "linear")
TESTS = ("fixed", "between")


class Unsettled(Exception):
    """Whether the checks hold can't be told before."""


@dataclass(frozen=True, slots=True)
class Known:
    """A value at one corner. form: a number is a sum of counters; a test holds in between if it holds at both ends."""

    value: Value
    form: Form


class Claims:
    """Collects what must hold, in `graph`. known: selects whose test is claimed to be false.

    maps: numbers (`id`) of the bodies of loops that become maps; of loops in loops they are one map.
    """

    def __init__(self, graph: Graph, maps: Collection[int] = ()):
        self.graph, self.maps = graph, maps
        self.found: dict[Value, None] = {}
        self.known: set[Node] = set()
        self.depth = 0      # of loops in loops

    def all(self) -> Value:
        """Everything together."""
        total = self.graph.add("constant", value=True, type=ArrayType(BOOL))
        for claim in self.found:
            total = self.graph.add("and", total, claim)
        return total

    def loop(self, node: Node, operands: Sequence[Known | None], around: Value | None = None) -> None:
        """Claims about all rounds of a loop. around: rounds of the map that it is in."""
        lower, upper, step = operands[:3]
        if lower is None or upper is None or step is None or splat(step.value) != 1:
            raise Unsettled("bounds")
        if self.depth >= DEEPEST:
            raise Unsettled("depth")
        self.depth += 1
        body, count = node.attributes["body"], node.attributes["carries"]
        last = self.graph.add("subtract", self._end(upper.value), self._number(1))
        rounds = self.graph.add("subtract", upper.value, lower.value)
        if around is not None:
            rounds = self.graph.add("multiply", rounds, around)
        self._claim("LE", rounds, self._number(MOST_ROUNDS))
        for corner in (lower.value, last):
            env: dict[Value, Known | None] = dict.fromkeys(body.params)
            env[body.params[0]] = Known(corner, "linear")
            env.update(zip(body.params[1 + count:], operands[3 + count:], strict=True))
            self._region(body, env, rounds if id(body) in self.maps else None)
        self.depth -= 1

    def _end(self, upper: Value) -> Value:
        """Of max(n, 0) rounds the number is n, or there are none."""
        node = upper.node
        if node is not None and node.op.name == "maximum":
            for one, other in (node.operands, node.operands[::-1]):
                if splat(other) == 0:
                    return one
        return upper

    def _region(self, body: Graph, env: dict[Value, Known | None], around: Value | None) -> None:
        for node in body.nodes:
            operands = [env[v] for v in node.operands]
            env.update(dict.fromkeys(node.results))
            if node.op.name == "assert":
                self._assert(operands[0])
            elif node.op.name == "for":
                self.loop(node, operands, around)
            elif node.has_effect and node.op.name != "bind_dim":
                raise Unsettled(node.op.name)
            elif node.op.name in INDICES:
                self._places(node, operands[INDICES[node.op.name]:])
            if len(node.results) == 1 and (found := self._derived(node, operands)) is not None:
                env[node.result] = found

    def _assert(self, holds: Known | None) -> None:
        if holds is None or holds.form not in TESTS:
            raise Unsettled("assert")
        self.found[holds.value] = None

    def _places(self, node: Node, indices: Sequence[Known | None]) -> None:
        """Indices that are known lie inside, slices too."""
        shape = node.operands[0].shape
        axes = node.attributes.get("axes", range(len(shape)))
        lengths: Sequence[Size] = [1] * len(axes) if "axes" in node.attributes else window_shape(node)
        for axis, length, index in zip(axes, lengths, indices, strict=True):
            if index is not None and not index.value.rank and length == 1:
                self._claim("GE", index.value, self._number(0))
                self._claim("LT", index.value, self._size(shape[axis]))

    def _derived(self, node: Node, operands: Sequence[Known | None]) -> Known | None:
        """The result, if it is a scalar that the corners tell everything about."""
        xs = [x for x in operands if x is not None]
        if len(xs) != len(operands) or node.op.kind not in ("pointwise", "source", "gather") or node.result.rank:
            return None
        if node.op.name == "select" and (x := self._from_the_front(node, xs)) is not None:
            return x
        form = _form(node, xs)
        return None if form is None else Known(self.graph.keep(node, [x.value for x in xs])[0], form)

    def _from_the_front(self, node: Node, xs: Sequence[Known]) -> Known | None:
        """An index that may count from the end does not: select(i < 0, i + n, i) is i."""
        test, index = node.operands[0].node, node.operands[2]
        if xs[2].form != "linear" or test is None or test.op.name != "compare" or test.operands[0] is not index \
                or test.attributes["direction"] != "LT" or splat(test.operands[1]) != 0:
            return None
        self._claim("GE", xs[2].value, self._number(0))
        self.known.add(node)
        return xs[2]

    def _claim(self, direction: str, x: Value, y: Value) -> None:
        x, y = (v if v.dtype is I64 else self.graph.add("convert", v, dtype=I64) for v in (x, y))
        self.found[self.graph.add("compare", x, y, direction=direction)] = None

    def _number(self, n: int) -> Value:
        return self.graph.add("constant", value=n, type=ArrayType(I64))

    def _size(self, n: Size) -> Value:
        return self._number(n) if isinstance(n, int) else self.graph.add("dimension", size=n)


def _form(node: Node, xs: Sequence[Known]) -> Form | None:
    """How the result changes over the rounds; None where the corners don't tell."""
    forms = {x.form for x in xs}
    if forms <= {"fixed"}:
        return "fixed"
    name = node.op.name
    if name in ("add", "subtract", "negate") and forms <= set(NUMBERS) and node.result.dtype is I64:
        return "linear"
    if name == "multiply" and forms <= set(NUMBERS) and node.result.dtype is I64:
        factors = [n for x in xs if (n := splat(x.value)) is not None]
        return "linear" if factors and abs(factors[0]) <= LARGEST_FACTOR else None
    if name == "compare" and node.attributes["direction"] != "NE" and forms <= set(NUMBERS):
        return "between"
    if name == "and" and forms <= set(TESTS) or name == "or" and sorted(x.form for x in xs) == ["between", "fixed"]:
        return "between" if node.result.dtype is BOOL else None
    both = name == "select" and node.result.dtype is BOOL and node.operands[0] is node.operands[2]
    return "between" if both and forms <= set(TESTS) else None
