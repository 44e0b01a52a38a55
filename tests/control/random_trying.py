"""Random programs whose statements fail: nested try, finally and with, jumps through them, errors in handlers.

Flows in:  a seed.  Flows out: the text of a function which always ends, and input sets of one signature.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

HEADER = """
class Low(ValueError):
    pass

class Manager:
    def __init__(self, log, swallows):
        self.log, self.swallows = log, swallows

    def __enter__(self):
        self.log[0] += 1
        return self.log

    def __exit__(self, kind, error, traceback):
        self.log[1] += 1
        return self.swallows and kind is not None and issubclass(kind, ValueError)

def called(i, x, a):
    if i > 3:
        raise Low("low")
    try:
        a[i] = x
    except IndexError:
        return 7
    return i // (i - 1)

def program(i, j, x, y, a, log):
    k = 0
"""
INTS, FLOATS = ("i", "j", "k"), ("x", "y", "1.5", "-0.5", "x + y", "x * 0.5", "float(i)")
INDICES = ("0", "1", "i", "j", "k", "i + j")
ERRORS = ("ValueError(f'v {k}')", "Low('l')", "KeyError('k')", "ValueError")
CAUGHT = ("ValueError", "Low", "IndexError", "ZeroDivisionError", "(KeyError, AssertionError)", "Exception",
          "LookupError")


class Writer:
    """Writes statements; `budget` is how many are left."""

    def __init__(self, rng: random.Random):
        self.rng, self.lines, self.budget, self.counters = rng, list[str](), 12, 0

    def pick(self, *items: str) -> str:
        return self.rng.choice(items)

    def put(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def integer(self) -> str:
        v, w = self.pick(*INTS), self.pick(*INTS)
        return self.pick(v, str(self.rng.randint(-2, 4)), f"({v} + 1)", f"({v} - {w})", f"{v} * 2 % 5")

    def test(self) -> str:
        return self.pick(f"{self.integer()} > {self.integer()}", f"{self.pick(*FLOATS)} < {self.pick(*FLOATS)}",
                         "i % 2 == 0", "k > 2")

    def simple(self, depth: int) -> None:
        real, at = self.pick(*FLOATS), self.pick(*INDICES)
        self.put(depth, self.pick(
            f"i = {self.integer()}", f"j = {self.integer()}", f"k += {self.integer()}", f"x = {real}", f"y = {real}",
            f"k = {self.integer()} // {self.integer()}", f"k = {self.integer()} % {self.integer()}",
            f"x = float(a[{at}])", f"a[{at}] = {real}", f"a[{at}] += 1.0", "log[0] = x", "log[1] = log[1] + y",
            f"assert {self.test()}, f'no {{k}}'", "x = math.sqrt(y)", "k = called(i, x, a)"))

    def block(self, depth: int, loop: bool) -> None:
        for _ in range(self.rng.randint(1, 3)):
            self.statement(depth, loop)

    def statement(self, depth: int, loop: bool) -> None:
        self.budget -= 1
        kinds: list[Callable[[int, bool], None]] = [lambda d, _: self.simple(d)]
        if self.budget > 0 and depth < 6:
            kinds = [*kinds * 4, self.branch, self.loop, self.leave, self.fail, self.managed, *[self.handled] * 2]
        self.rng.choice(kinds)(depth, loop)

    def branch(self, depth: int, loop: bool) -> None:
        self.put(depth, f"if {self.test()}:")
        self.block(depth + 1, loop)
        if self.rng.random() < 0.5:
            self.put(depth, "else:")
            self.block(depth + 1, loop)

    def loop(self, depth: int, _: bool) -> None:
        if self.rng.random() < 0.6:
            self.put(depth, f"for {self.pick('m', 'k')} in range({self.pick('3', '6', 'abs(j) % 7', 'abs(i) % 3')}):")
        else:
            self.counters += 1
            self.put(depth, f"n{self.counters} = 0")
            self.put(depth, f"while n{self.counters} < {self.pick('2', '6')} and {self.test()}:")
            self.put(depth + 1, f"n{self.counters} += 1")
        self.block(depth + 1, True)

    def leave(self, depth: int, loop: bool) -> None:
        self.put(depth, f"if {self.test()}:")
        self.put(depth + 1, self.pick("return i, j, k, x, y, a", *["break", "continue"] * loop))

    def fail(self, depth: int, _: bool) -> None:
        self.put(depth, f"if {self.test()}:")
        self.put(depth + 1, f"raise {self.pick(*ERRORS)}")

    def managed(self, depth: int, loop: bool) -> None:
        self.put(depth, f"with Manager(log, {self.pick('True', 'False')}){self.pick('', ' as entered')}:")
        self.block(depth + 1, loop)

    def handled(self, depth: int, loop: bool) -> None:
        self.put(depth, "try:")
        self.block(depth + 1, loop)
        caught = self.rng.sample(CAUGHT, self.rng.randint(0, 2))
        for kinds in caught:
            self.put(depth, f"except {kinds} as error:")
            self.block(depth + 1, loop)
            self.put(depth + 1, self.pick("k += len(error.args)", "pass", "pass", "raise", "raise KeyError('again')",
                                          "raise ValueError(k) from None"))
        if caught and self.rng.random() < 0.3:
            self.put(depth, "else:")
            self.block(depth + 1, loop)
        if not caught or self.rng.random() < 0.4:
            self.put(depth, "finally:")
            self.simple(depth + 1)
            if self.rng.random() < 0.3:
                self.leave(depth + 1, loop)


def random_failing(seed: int) -> tuple[str, list[tuple[Any, ...]]]:
    """A program and four input sets."""
    rng = random.Random(seed)
    writer = Writer(rng)
    while writer.budget > 0:
        writer.statement(1, False)
    writer.put(1, "return i, j, k, x, y, a")
    sets = [(rng.choice([0, 1, 2, 5, -3]), rng.choice([0, 3, -1, 8]), rng.choice([0.5, -1.5, 4.0]),
             rng.choice([1.0, -2.0, 4.0]), np.array([rng.choice([0.0, 1.0, -2.0]) for _ in range(3)]), np.zeros(2))
            for _ in range(4)]
    return HEADER + "\n".join(writer.lines) + "\n", sets
