"""Random programs over lists as source text: lists of numbers, of lists and of pairs, changed in nests of loops.

Flows in:  a source of random numbers.  Flows out: text of a function `program(n, m, x, b)` which always ends.
"""

import random

HEADER = '''\
def push(values, value):
    values.append(value)
    return values

def program(n, m, x, b):
    a, rows, pairs = [1], [], []
'''
FOOTER = "    return a, b, rows, pairs, x, a is b, len(rows)\n"
STATEMENTS = """
{f}.append({v})
{f}.insert({k}, {v})
{f} = push({f}, {v})
{f} = {f} + [{v}]
{f} = [e + 1 for e in {f} if e != x]
{f}.extend({h})
{f}.reverse()
{f}.sort()
{f}.clear()
{f} = {h}[1:]
{f}, {h} = {h}, {f}
if {f}: x = {f}.pop()
if {f}: {f}[len({f}) // 2] = {v}
rows.append([])
rows.append([{v}, {v}])
rows.append({f}[:])
if rows: rows[{k}].append({v})
if rows and rows[-1]: x = rows[-1].pop(0)
pairs.append(({v}, {v}))
if pairs: x = (pairs.pop()[0] + x) % 101
for e, w in zip(a, b): x = (x + e * w) % 101
for p, q in pairs: x = (x + p * q) % 101
for row in rows: x = (x * 3 + sum(row)) % 101
for q, e in enumerate({f}): x = (x * 3 + q * e) % 101
x = (x * 2 + {v}) % 101
""".strip().splitlines()
VALUES = ("0", "2", "5", "x", "n", "m", "len(a)", "len(rows)", "sum(b) % 7", "(a[-1] if a else 3)", "(n + x) % 9")
TESTS = ("a", "not b", "rows", "x > 4", "{v} < {v}", "{v} in a", "a == b", "len(rows) < n")


class RandomLists:
    """Writes one program. depth: how deep statements may be nested."""

    def __init__(self, seed: int):
        self.pick = random.Random(seed).choice
        self.counter = 0

    def text(self) -> str:
        lines = [line for _ in range(3) for line in self.statement(1, 2)]
        lines += ["    for z in range(n):", *self.block(2, 2), *self.statement(1, 1)]
        return HEADER + "\n".join(lines) + "\n" + FOOTER

    def filled(self, template: str) -> str:
        while "{" in template:
            for hole, items in (("{v}", VALUES), ("{f}", ("a", "b")), ("{h}", ("a", "b")), ("{k}", ("0", "-1"))):
                value = self.pick(items)
                template = template.replace(hole, value, 1) if hole in ("{v}", "{k}") else template.replace(hole, value)
        return template

    def block(self, indent: int, depth: int) -> list[str]:
        return [line for _ in range(self.pick((1, 2, 3))) for line in self.statement(indent, depth)]

    def statement(self, indent: int, depth: int) -> list[str]:
        margin = "    " * indent
        kind = self.pick(("plain", "plain", "if", "for", "while", "try")) if depth else "plain"
        if kind == "plain":
            return [margin + self.filled(self.pick(STATEMENTS))]
        inner = self.block(indent + 1, depth - 1)
        if kind == "if":
            return [f"{margin}if {self.filled(self.pick(TESTS))}:", *inner, f"{margin}else:",
                    *self.block(indent + 1, depth - 1)]
        if kind == "try":
            return [f"{margin}try:", f"{margin}    x = {self.pick('ab')}.pop()", *inner, f"{margin}except IndexError:",
                    f"{margin}    x = (x + 1) % 101"]
        self.counter += 1
        name = f"r{self.counter}"
        if kind == "for":
            return [f"{margin}for {name} in range({self.pick(('n', 'm', 'n + 1'))}):", *inner]
        return [f"{margin}{name} = 0", f"{margin}while {name} < n and {self.filled(self.pick(TESTS))}:",
                f"{margin}    {name} += 1", *inner]
