"""Random programs as source text: nests of statements over numbers, two arrays, a list, helpers and inner functions.

Flows in:  a `draw` function (of hypothesis).  Flows out: `Source`: text of a function which always ends, and inputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Pick = Callable[[Sequence[Any]], Any]    # one of the items
INTS = ("i", "j", "k")
FLOATS = ("x", "y")
RESULT = "i, j, k, x, y, a, b, items"
HEADER = '''\
def helper(p, q):
    if p > q:
        return p - q
    for r in range(q):
        if r * 2 > p:
            return r
    return q

def checked(v):
    if v < -2.5:
        raise ValueError("low")
    return v * 0.5

def program(i, j, x, y, a, b):
    k = 0
    items = []

    def counted(v):
        nonlocal k
        k += 1
        return v + k

'''


@dataclass(slots=True)
class Writer:
    """Writes statements; `pick` makes every choice, so that hypothesis can shrink them."""

    pick: Pick
    lines: list[str] = field(default_factory=list)
    counters: int = 0
    budget: int = 14    # statements that are left

    def put(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def integer(self) -> str:
        v, w, n = self.pick(INTS), self.pick(INTS), self.pick((-2, 0, 1, 2, 3, 5))
        return self.pick((v, str(n), f"({v} + {n})", f"({v} - {w})", f"({v} * {n} % 17)", f"({v} // 3)", f"abs({v})",
                          f"min({v}, {w})", f"max({v}, {n})", f"(1 if {v} > {w} else {n})", f"int(b[{v} % 4])",
                          f"helper({v} % 7, {n})", f"counted({n})", f"int(sum([p for p in b if p > {n}]))",
                          f"len(items) + {n}", f"int(np.argmax(a)) + {n}"))

    def real(self) -> str:
        v, w, n = self.pick(FLOATS), self.pick(FLOATS), self.pick((0.0, 0.5, -1.5, 2.0))
        return self.pick((v, str(n), f"({v} + {w}) * 0.5", f"({v} - {n})", f"{v} * 0.25 + {n}", f"abs({v})",
                          f"float({self.pick(INTS)})", f"float(a[{self.index()}])", f"max({v}, {n})",
                          f"({v} if {v} > {w} else {n})", f"float(a[{self.cut()}].sum())", f"checked({v})",
                          f"sum(q * {n} for q in a)", "(items[-1] if items else 0.5)"))

    def index(self) -> str:
        return self.pick(("0", "1", "-1", f"{self.pick(INTS)} % 3"))

    def cut(self) -> str:
        return self.pick(("1:", ":2", "::-1", f":{self.pick(INTS)} % 4", f"{self.pick(INTS)} % 3:"))

    def test(self) -> str:
        i, x = f"{self.integer()} > {self.integer()}", f"{self.real()} < {self.real()}"
        return self.pick((i, x, f"{self.integer()} % 2 == 0", f"{i} and {x}", f"{x} or not {i}",
                          f"a[{self.index()}] > {self.real()}", "-3 < i + k <= 4", "a.sum() > 1", "items",
                          f"any(p > {self.pick(INTS)} for p in b)", f"all(q < {self.pick(FLOATS)} for q in a)"))

    def assignment(self, depth: int) -> None:
        v, x = self.pick(INTS), self.pick(FLOATS)
        self.put(depth, self.pick((
            f"{v} = {self.integer()}", f"{x} = {self.real()}", f"{v} += 1", f"{x} -= {self.real()}",
            f"a[{self.index()}] = {self.real()}", f"a[{self.index()}] += {x}", f"a = a * 0.5 + {x}",
            "a = np.where(a > 0, a, -a)", f"i, j = j, {self.integer()}", "x, y = y, x",
            f"a[{self.cut()}] *= 0.5", f"b[{v} % 4] = {self.integer()} % 50", "b[1:3] -= 1",
            f"items.append({self.real()})", f"{x} = float(np.array([q + {x} for q in a]).max())",
            f"({v}, {x}) = ({self.integer()}, {self.real()})")))

    def block(self, depth: int, loop: bool) -> None:
        """One to three statements."""
        for _ in range(self.pick((1, 2, 3))):
            self.statement(depth, loop)

    def statement(self, depth: int, loop: bool) -> None:
        self.budget -= 1
        kinds = [self.assignment] * 3
        if self.budget > 0 and depth < 5:
            kinds += [self.branch(loop), self.branch(loop), self.counted, self.while_loop, self.handled(loop),
                      self.choice(loop)]
        self.pick(kinds)(depth)
        if self.pick((0, 0, 0, 1)):
            self.leave(depth, loop)

    def leave(self, depth: int, loop: bool) -> None:
        """A jump under a test, mostly."""
        jumps = [f"return {RESULT}", "return k, i, j, y, 0.5, a, b, items"] + ["break", "continue"] * 2 * loop
        self.put(depth, f"if {self.test()}:")
        self.put(depth + 1, self.pick(jumps))

    def branch(self, loop: bool) -> Callable[[int], None]:
        def write(depth: int) -> None:
            self.put(depth, f"if {self.test()}:")
            self.block(depth + 1, loop)
            if self.pick((0, 1)):
                self.put(depth, f"elif {self.test()}:")
                self.block(depth + 1, loop)
            if self.pick((0, 1)):
                self.put(depth, "else:")
                self.block(depth + 1, loop)

        return write

    def choice(self, loop: bool) -> Callable[[int], None]:
        """A `match` of two numbers."""
        def write(depth: int) -> None:
            self.put(depth, f"match {self.integer()}, {self.real()}:")
            for pattern in ("case (0, _):", "case (p, q) if p > q:", "case (1 | 2 as p, q):")[:self.pick((1, 2, 3))]:
                self.put(depth + 1, pattern)
                self.block(depth + 2, loop)
            if self.pick((0, 1)):
                self.put(depth + 1, "case (p, q):")
                self.put(depth + 2, "i, x = p - 1, q")

        return write

    def counted(self, depth: int) -> None:
        name = self.pick(("k", "m"))
        bounds = self.pick(("6", "abs(i) % 7", "1, abs(j) % 9, 2", "abs(i) % 5, -1, -1", "0"))
        head = self.pick((f"for {name} in range({bounds}):", "for y in a:", "for k, x in enumerate(a):",
                          "for m, y in zip(range(5), a):", "for m in reversed(b):", "for x in list(items):"))
        self.put(depth, head)
        self.block(depth + 1, True)
        self.otherwise(depth)

    def while_loop(self, depth: int) -> None:
        """Ends: a counter of its own is part of the test and is counted first."""
        self.counters += 1
        name = f"n{self.counters}"
        self.put(depth, f"{name} = 0")
        self.put(depth, f"while {name} < {self.pick((0, 1, 4, 7))} and ({self.test()}):")
        self.put(depth + 1, f"{name} += 1")
        self.block(depth + 1, True)
        self.otherwise(depth)

    def otherwise(self, depth: int) -> None:
        if self.pick((0, 0, 1)):
            self.put(depth, "else:")
            self.assignment(depth + 1)

    def handled(self, loop: bool) -> Callable[[int], None]:
        def write(depth: int) -> None:
            self.put(depth, "try:")
            self.block(depth + 1, loop)
            stop = self.pick(("assert {}, 'stopped'", "if {}: raise ValueError('value')", "if {}: x = items.pop()",
                              "if {}: i = 7 // (j % 3)"))
            self.put(depth + 1, stop.format(self.test()))
            self.put(depth, self.pick(("except (AssertionError, ValueError):", "except ValueError as error:",
                                       "except (IndexError, ZeroDivisionError):", "finally:")))
            self.assignment(depth + 1)

        return write


@dataclass(frozen=True, slots=True)
class Source:
    text: str
    inputs: tuple[tuple[Any, ...], ...]


def random_source(pick: Pick, budget: int = 14) -> Source:
    """A program of about so many statements and two input sets of one signature."""
    writer = Writer(pick, budget=budget)
    writer.block(1, False)
    writer.put(1, f"return {RESULT}")
    sets = [(pick((0, 1, 2, 5, -3)), pick((0, 3, -1, 8)), pick((0.5, -1.5, 0.0, float("nan"))), pick((1.0, -2.0)),
             np.array([pick((0.0, 1.0, -2.0, 0.5)) for _ in range(3)]),
             np.array([pick((0, 3, -1, 7)) for _ in range(4)])) for _ in range(2)]
    return Source(HEADER + "\n".join(writer.lines) + "\n", tuple(sets))
