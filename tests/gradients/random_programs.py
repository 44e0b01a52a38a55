"""Random differentiable programs as source text: arithmetic on numbers, vectors and a matrix, control flow, writes into
arrays and views of them, lists, helpers.

Flows in:  `pick`, which makes every choice.
Flows out: `Source`: the text of a function of (x: f64[4], m: f64[3,4], s: float, n: int) that gives a number; points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Pick = Callable[[Sequence[Any]], Any]    # one of the items
HEADER = '''\
def helper(p, q):
    if p > q:
        return np.sin(p) * q
    return p - 0.5 * q

def repeated(v, depth):
    return v if depth == 0 else np.tanh(repeated(v, depth - 1) + 0.1)

def program(x, m, s, n):
    x, m = x.copy(), m.copy()
    t, y, parts = 0.5 * s, np.cos(x), []
'''


@dataclass(slots=True)
class Writer:
    """Writes statements. Values stay small: what is assigned goes through bounded functions, mostly."""

    pick: Pick
    lines: list[str] = field(default_factory=list)
    budget: int = 10    # statements that are left
    counters: int = 0

    def put(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    # ---- expressions -------------------------------------------------------------------------------------------

    def number(self, deep: int = 1) -> str:
        s, x = self.pick(("s", "t")), self.pick(("x", "y"))
        c = self.pick(("0.3", "-0.7", "1.5"))
        leaves = (s, s, c, f"{x}[{self.place()}]", f"m[{self.pick((0, 1, 2, -1))}, {self.place()}]")
        if not deep:
            return self.pick(leaves)
        a, b = self.number(deep - 1), self.number(deep - 1)
        return self.pick((
            *leaves, f"({a} + {b})", f"({a} - {b})", f"{a} * {b}", f"{a} / (2 + {b} ** 2)", f"np.sin({a})",
            f"math.tanh({a})", f"np.exp(-{a} * {a})", f"{x}.sum() * 0.3", f"{x}.mean()", f"np.max({x})", f"{x}.min()",
            f"np.linalg.norm({x})", "x @ y * 0.3", f"m.mean() + {a}", f"abs({a})", f"max({a}, {b})", f"min({a}, {c})",
            f"({a} if {a} > {b} else {b})", f"np.sqrt(1 + {a} * {a})", f"np.log1p({a} ** 2)", f"np.hypot({a}, {b})",
            f"np.arctan2({a}, 2 + {b} ** 2)", "np.cumsum(x)[2]", f"np.sort({x})[1]", f"np.prod(np.cos({x}))",
            f"np.where({a} > {b}, {a}, {b} * 2)", f"helper({a}, {b})", f"repeated({a}, 3)",
            f"np.interp({a}, np.array([-1.0, 0.1, 2.0]), x[:3])", f"sum(v * {c} for v in {x})", f"np.std({x})",
            f"np.median({x})", f"(m @ {x}).sum() * 0.3", f"float({a})", f"np.add.reduce({x} * {x}) * 0.2",
            f"(lambda v: v * {a})({b})"))

    def vector(self, deep: int = 1) -> str:
        leaves = ("x", "y", "x", "y", f"m[{self.pick((0, 1, 2, -1))}]", "(np.arange(4) * 0.3)")
        if not deep:
            return self.pick(leaves)
        a, b, s = self.vector(deep - 1), self.vector(deep - 1), self.number(0)
        return self.pick((
            *leaves, f"{a} * {b}", f"({a} - {b})", f"{a} + {s}", f"np.sin({a})", f"np.tanh({a} * {s})",
            f"np.exp(-{a} ** 2)", f"{a}[::-1]", f"np.roll({a}, 1)", f"np.sort({a})", f"np.cumsum({a}) * 0.3",
            f"np.where({a} > {b}, {a}, {b} * {s})", f"np.maximum({a}, {b})", "(m.sum(0) * 0.3)",
            "np.concatenate([x[:2], y[2:]])", f"{a}[np.array([3, 0, 0, 2])]", f"np.clip({a}, -0.8, 0.9)",
            f"np.abs({a})", f"np.sqrt(np.abs({a}) + 0.1)", f"np.diff({a}, append={s})", f"{a} / (1 + {b} ** 2)",
            f"np.convolve({a}, {b}, 'same') * 0.3", f"np.array([{s}, t, 1.0, x[0]])", "np.zeros(4)",
            "m.max(axis=0)", f"(m.T @ np.array([{s}, 0.5, t]))", f"np.cumprod(np.cos({a}))",
            f"np.outer({a}, {b}).mean(1)", f"np.minimum.accumulate({a})", "np.einsum('ij,j->j', m, x)",
            f"np.where({a} > 0, np.sqrt(np.abs({a})), 0.0)", f"np.logaddexp({a}, {b}) * 0.5",
            f"np.fmax({a}, {s})", f"np.pad(({a})[1:3], 1)", f"np.array([v * {s} for v in {a}])"))

    def matrix(self) -> str:
        a, b, s = self.vector(0), self.vector(0), self.number(0)
        return self.pick(("m", f"m * {s}", f"np.outer({a}[:3], {b})", f"m + {a}", "np.tanh(m)", "m[::-1]",
                          f"np.where(m > {s}, m, {a})", "np.stack([x, y, x * y])", f"np.repeat({a}[None], 3, axis=0)",
                          f"np.broadcast_to({a}, (3, 4)) * m", "np.cumsum(m, axis=1) * 0.3", "m.reshape(4, 3).T * 0.9",
                          "m - m.mean(axis=1, keepdims=True)", "np.sort(m, axis=0)", "np.sin(m) / (1 + m ** 2)",
                          "np.exp(m - m.max()) / np.exp(m - m.max()).sum()", f"m @ np.outer({a}, {b}) * 0.3"))

    def place(self) -> str:
        return self.pick(("0", "1", "-1", "2", "n % 4", "(n + 1) % 4"))

    def test(self) -> str:
        a, b = self.number(), self.number()
        return self.pick((f"{a} > {b}", f"{a} < 0.2", f"x.sum() > {a}", f"{a} > {b} and s < 1", f"not {a} < t",
                          f"x[{self.place()}] > {b} or t > 1", f"(x > {b}).any()", f"-0.5 < {a} <= 0.9", "n % 2 == 0"))

    # ---- statements --------------------------------------------------------------------------------------------

    def assignment(self, depth: int) -> None:
        s, x = self.pick(("s", "t")), self.pick(("x", "y"))
        bound = self.pick(("np.tanh({})", "np.sin({})", "0.5 * ({})"))
        number, vector = self.number(2), self.vector(2)
        self.put(depth, self.pick((
            f"{s} = {bound.format(number)}", f"{s} = {bound.format(number)}", f"{x} = {bound.format(vector)}",
            f"{x} = {bound.format(vector)}", f"m = {bound.format(self.matrix())}", f"{s} += 0.3 * {self.number()}",
            f"{x}[{self.place()}] = {bound.format(number)}", f"{x}[{self.place()}] += {self.number(0)}",
            f"{x}[1:3] *= {self.number(0)}", f"{x}[::-2] = {bound.format(number)}",
            f"{x}[{x} > {s}] = {self.number(0)}",
            f"m[{self.pick((0, 1, 2))}] = {bound.format(vector)}", f"m[:, {self.place()}] += {s}", f"m *= {x}",
            f"{x} -= 0.1 * {vector}", "row = m[1]; row += 0.1 * x", "y = x[::-1].copy(); y[0] = t",
            "x, y = y + 0.1, x * 0.9",
            f"np.add.at({x}, np.array([0, 2, 0]), {s})", "s, t = t, np.sin(s)", f"parts.append({self.number()})",
            f"{x}[np.array([1, 3])] = {x}[np.array([0, 0])] * {s}", "parts = parts + [s * t]",
            "t = sum(parts) * 0.2 + t", f"m[m < 0] = {s} * 0.1", f"x[:2], x[2:] = ({vector})[2:], ({vector})[:2]")))

    def block(self, depth: int, loop: bool) -> None:
        for _ in range(self.pick((1, 2, 3))):
            self.statement(depth, loop)

    def statement(self, depth: int, loop: bool) -> None:
        self.budget -= 1
        kinds: list[Callable[[int, bool], None]] = [lambda depth, loop: self.assignment(depth)] * 3
        if self.budget > 0 and depth < 4:
            kinds += [self.branch, self.branch, self.counted, self.counted, self.while_loop, self.handled]
        self.pick(kinds)(depth, loop)
        if self.pick((0,) * 9 + (1,)):
            self.put(depth, f"if {self.test()}:")
            self.put(depth + 1, self.pick(["return s * t + x.sum()"] + ["break", "continue"] * 2 * loop))

    def branch(self, depth: int, loop: bool) -> None:
        self.put(depth, f"if {self.test()}:")
        self.block(depth + 1, loop)
        if self.pick((0, 1)):
            self.put(depth, f"elif {self.test()}:")
            self.block(depth + 1, loop)
        if self.pick((0, 1)):
            self.put(depth, "else:")
            self.block(depth + 1, loop)

    def counted(self, depth: int, loop: bool) -> None:
        self.counters += 1
        k = f"k{self.counters}"
        self.put(depth, self.pick((f"for {k} in range(3):", f"for {k} in range(n):", f"for {k} in range(n, 0, -1):",
                                   f"for {k}, t in enumerate(y):", f"for s in x[{self.pick((0, 1))}:]:",
                                   "for row in m:", f"for {k} in range(20):")))
        self.put(depth + 1, self.pick((
            f"s = np.sin(s + 0.1 * x[{self.place()}])", f"x = 0.8 * x + 0.1 * s * {self.vector(0)}",
            "t = 0.5 * t + 0.2 * s", f"y[{self.place()}] = np.tanh(y[0] + t)")))
        self.block(depth + 1, True)

    def while_loop(self, depth: int, loop: bool) -> None:
        """Ends: a counter of its own is part of the test and is counted first."""
        self.counters += 1
        name = f"n{self.counters}"
        self.put(depth, f"{name} = 0")
        self.put(depth, f"while {name} < {self.pick((1, 4, 9))} and ({self.test()}):")
        self.put(depth + 1, f"{name} += 1")
        self.block(depth + 1, True)

    def handled(self, depth: int, loop: bool) -> None:
        """What the body changes, the handler does not read: what it was when the body failed has no derivative."""
        body, handler = self.pick((("s = np.tanh(s * t) + x[0]", "s = 0.3 * t"), ("x = 0.5 * x * y", "x = y - 0.1 * t"),
                                   ("y = np.sin(y) + s", "y = x * 0.5; t = t * s")))
        self.put(depth, "try:")
        self.put(depth + 1, f"if {self.test()}: raise ValueError('value')")
        self.put(depth + 1, body)
        self.put(depth, "except ValueError:")
        self.put(depth + 1, handler)
        if self.pick((0, 1)):
            self.put(depth, "finally:")
            self.assignment(depth + 1)


@dataclass(frozen=True, slots=True)
class Source:
    text: str
    points: tuple[tuple[Any, ...], ...]


def random_source(pick: Pick, budget: int = 10) -> Source:
    """A program of about so many statements and two points of one signature."""
    writer = Writer(pick, budget=budget)
    writer.block(1, False)
    writer.block(1, False)
    writer.put(1, "return s + 0.5 * t + (x * np.arange(1, 5)).sum() + (y ** 2).sum() + m.sum() + sum(parts)")
    rng = np.random.default_rng(pick(range(100)))
    points = [(rng.uniform(-1, 1, 4), rng.uniform(-1, 1, (3, 4)), float(rng.uniform(-1, 1)), pick((0, 1, 3)))
              for _ in range(2)]
    return Source(HEADER + "\n".join(writer.lines) + "\n", tuple(points))
