"""Random programs which bind arrays and objects to names anew, and change them in loops and branches.

Flows in: a seed.  Flows out: the text of a program `f(x, y, n, k)` over two arrays, a count and two indices.
"""

import random

HEAD = """import numpy as np

class Box:
    def __init__(self, a, m):
        self.a, self.m, self.b = a, m, 0.5
    def bump(self, s):
        if s > 1:
            self.a += s
        self.m[0] = s
    def __iadd__(self, s):
        if s > 0.5:
            self.b = self.b + s
        return self

def f(x, y, n, k):
    u, v, i = x * 2, y + 0.0, 0
    o, w, z = Box(1.0, np.ones(3)), Box(2.0, y), Box(3.0, np.zeros(3))
    boxes = [Box(4.0, np.ones(3)), Box(5.0, x), o]
    t, d = [0.5, 1.5, 2.5], {"p": 3.0, "s": {"z": 1.0}}
    q = [x, np.arange(3.0)]
"""
TAIL = """    return ([m.copy() for m in (x, y, u, v, q[0], q[1])],
            [(c.a * 1.0, c.b * 1.0, c.m.copy()) for c in (o, w, z)],
            [(c.a * 1.0, c.m.copy()) for c in boxes], [e * 1.0 for e in t], d["p"] * 1.0, d["s"]["z"] * 1.0)
"""
ARRAYS = ("x", "y", "u", "v")
OBJECTS = ("o", "w", "z")
SCALARS = ("n", "i", "1.5", "2", "x[0]", "u[1]", "len(v)", "o.a", "w.b", "d['p']", "t[0]", "t[k[0]]", "d['s']['z']")


class Writer:
    """Writes one program."""

    def __init__(self, seed: int):
        self.random, self.lines, self.depth, self.loops = random.Random(seed), [], 0, 0

    def program(self) -> str:
        for _ in range(self.random.randint(2, 6)):
            self.statement(1)
        return HEAD + "\n".join(self.lines) + "\n" + TAIL

    def one(self, *texts: str) -> str:
        return self.random.choice(texts)

    def scalar(self) -> str:
        return self.one(*SCALARS)

    def index(self) -> str:
        return self.one("0", "1", "-1", "i % 3", "n % 3")

    def test(self) -> str:
        return self.one(f"{self.one(*ARRAYS)}[0] > {self.scalar()}", f"{self.one(*ARRAYS)}.sum() < 4", "n > 2",
                        "i % 2 == 0", "o.a > 1", "d['p'] > 2")

    def array(self) -> str:
        name, other = self.one(*ARRAYS), self.one(*ARRAYS)
        return self.one(name, name, "o.m", "w.m", "q[0]", "q[i % 2]", f"{name} + {self.scalar()}", f"{name}.copy()",
                        f"{name} * {other}", f"({name} if {self.test()} else {other})", f"{name}[::-1]", "np.zeros(3)")

    def simple(self) -> str:
        """A statement without blocks."""
        name, other = self.random.sample(ARRAYS, 2)
        thing, another = self.random.sample(OBJECTS, 2)
        return self.one(
            f"{name}[{self.index()}] = {self.scalar()}", f"{name} += {self.scalar()}", f"{name} = {self.array()}",
            f"{name}, {other} = {other}, {name}", f"{name}[:] = {self.array()}", f"q[0] = {self.array()}",
            "q[0], q[1] = q[1], q[0]", f"q[k[0]][0] += {self.scalar()}", f"t[k[1]] = {self.scalar()} * 1.0",
            f"d['p'] = d['p'] * 0.5 + {self.scalar()}", f"d['s']['z'] += {self.scalar()}",
            f"{thing}.a = {self.scalar()} * 1.0", f"{thing}.bump({self.scalar()})", f"{thing} += {self.scalar()}",
            f"{thing}.m = {self.array()}", f"{thing}.m[{self.index()}] = {self.scalar()}", f"{thing} = {another}",
            f"{thing} = ({another} if {self.test()} else {thing})", f"{thing} = boxes[i % 3]",
            f"{thing} = Box({another}.a * 0.5, {thing}.m)", f"boxes[k[0]].a += {self.scalar()}")

    def statement(self, level: int) -> None:
        indent = "    " * level
        if self.depth == 3 or self.random.random() < 0.75:
            self.lines.append(indent + self.simple())
            return
        self.depth += 1
        if self.random.random() < 0.5:
            self.lines.append(f"{indent}if {self.test()}:")
            self.block(level + 1)
            self.lines.append(f"{indent}else:")
        else:
            self.loops += 1
            self.lines += [f"{indent}for i{self.loops} in range(n):", f"{indent}    i = i{self.loops}"]
        self.block(level + 1)
        self.depth -= 1

    def block(self, level: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.statement(level)
