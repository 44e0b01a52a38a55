"""Liveness and definedness, against hand-made facts and against runs of random programs.

Flows in:  program texts.  Flows out: no run contradicts the facts.
"""
from __future__ import annotations

import ast
import random
from typing import Any

import pytest

from tracejit.autograph.definedness import State, defined_variables
from tracejit.autograph.liveness import Facts, live_variables
from tracejit.autograph.scopes import resolve_names


def analysed(body: str, header: str = "def f(a, b, c):") -> tuple[ast.FunctionDef, dict[Any, Facts], dict[Any, State]]:
    root = ast.parse(header + "\n" + "".join(f"    {line}\n" for line in body.splitlines())).body[0]
    assert isinstance(root, ast.FunctionDef)
    names = resolve_names(root, ("outer",))
    return root, live_variables(root, names), defined_variables(root, names)


def first(kind: type, body: str) -> tuple[Facts, State]:
    root, live, defined = analysed(body)
    node = next(n for n in ast.walk(root) if isinstance(n, kind))
    return live[node], defined[node]


def words(names: Any) -> str:
    return " ".join(sorted(names))


LOOPS = [    # program, carried by the first loop
    ("s = 0\nfor i in a:\n    t = i * 2\n    s += t\nreturn s", "s"),
    ("for i in a:\n    s = i\nreturn s", "s"),
    ("while a > 0:\n    a = a - 1\nreturn b", "a"),
    ("best = None\nfor x in a:\n    if best is None or x < best:\n        best = x\nreturn best", "best"),
    ("for i in a:\n    for j in b:\n        c += i * j\n    d = c\nreturn c", "c"),
    ("while True:\n    b = a\n    a = c\n    if a: break\nreturn b", "a b"),
    ("for i in a:\n    if i: continue\n    t = i\n    use(t)\nelse:\n    return t", "t"),
    ("for i in a:\n    x = 1\n    if i: return x\nreturn 0", ""),
    ("def g(): return n\nfor n in a:\n    g()", "n"),
    ("while (n := b()) > 0:\n    use(n)", ""),
    ("for i in a:\n    x = [i for i in range(i)]\n    b = x\nreturn b", "b"),
    ("for i in a:\n    del b\n    b = i\nreturn b", "b"),
    ("for i in a:\n    try:\n        b = i\n    except E as e:\n        c = e\n    finally:\n        d = b\n"
     "return d", "b d"),
    ("for i in a:\n    with m(i) as t:\n        t.go()\n    a[i] = t", ""),
    ("for i in a:\n    match i:\n        case [p, q] if p: b = q\n        case p: c = p\nreturn c", "c"),
    ("for i in a:\n    total: int = i\n    import os as o\n    class K: x = total\n    o.x = K\nreturn", "total"),
]


@pytest.mark.parametrize(("body", "carried"), LOOPS)
def test_loops_carry_what_rounds_hand_on(body: str, carried: str) -> None:
    root, live, _ = analysed(body)
    loop = next(n for n in ast.walk(root) if isinstance(n, ast.For | ast.While))
    assert words(live[loop].carried) == carried


BRANCHES = [    # program, results of the first if, its exits, surely defined before it, perhaps defined before it
    ("if a:\n    x = 1\nelse:\n    x = 2\n    y = 3\nreturn x", "x", "next", "", ""),
    ("x = 1\nif a:\n    x = 2\nreturn x", "x", "next", "x", "x"),
    ("if a:\n    return 1\nreturn b", "", "next return", "", ""),
    ("for i in a:\n    if i:\n        break\n    else:\n        continue\n", "", "break continue", "i", "i"),
    ("try:\n    y = a()\nexcept E:\n    pass\nif a:\n    y = 1\nreturn y", "y", "next", "", "y"),
    ("while a:\n    z = 1\n    a -= z\nif a: z = 2\nreturn z", "z", "next", "", "z"),
    ("x = y = 1\ndel x\nif a: x = y\nreturn x", "x", "next", "y", "x y"),
    ("while True:\n    w = a\n    if w: break\nif w: b = 2", "", "next", "w", "w"),
    ("def g():\n    nonlocal n\n    n = 1\nn = 0\nif g(): n = 2", "n", "next", "g n", "g n"),
]


@pytest.mark.parametrize(("body", "results", "exits", "surely", "perhaps"), BRANCHES)
def test_branches_know_results_exits_and_definedness(body: str, results: str, exits: str, surely: str,
                                                     perhaps: str) -> None:
    facts, state = first(ast.If, body)
    arguments = {"a", "b", "c"}
    assert (words(facts.results), words(facts.exits)) == (results, exits)
    assert (words(state.surely - arguments), words(state.perhaps - arguments)) == (surely, perhaps)


def test_globals_and_free_names_are_no_variables() -> None:
    root, live, _ = analysed("global g\ng = outer\nnonlocal outer\nouter += g\nreturn len(a)")
    assert {n for f in live.values() for n in f.reads | f.writes | f.live_before} == {"a"}


VARIABLES = "abcde"


def random_block(rng: random.Random, depth: int, in_loop: bool) -> list[str]:
    return [line for _ in range(rng.randint(1, 3)) for line in random_statement(rng, depth, in_loop)]


def random_statement(rng: random.Random, depth: int, in_loop: bool) -> list[str]:
    x, y, z = (rng.choice(VARIABLES) for _ in range(3))
    simple = [f"{x} = {y}", f"{x} += {y}", f"use({x})", f"{x} = {y} and ({z} := {x})", f"del {x}", f"{x} = {y} = {z}",
              f"use([{y} for {x} in {z} if {x}])", f"return {x}", f"raise {x}", f"use(0 < {x} < ({y} := {z}))"]
    if depth == 0 or rng.random() < 0.5:
        extra = ["break", "continue"] if in_loop else []
        return [rng.choice(simple[:7] * 2 + simple[7:] + extra * 2)]

    def inner(loop: bool = in_loop) -> list[str]:
        return ["    " + line for line in random_block(rng, depth - 1, loop)]
    kind = rng.choice(["if", "ifelse", "while", "for", "forelse", "forever", "try", "tryfinally", "with", "match"])
    return {"if": lambda: [f"if {x}:", *inner()], "ifelse": lambda: [f"if {x}:", *inner(), "else:", *inner()],
            "while": lambda: [f"while {x}:", *inner(True)], "for": lambda: [f"for {x} in {y}:", *inner(True)],
            "forelse": lambda: [f"for {x} in {y}:", *inner(True), "else:", *inner()],
            "forever": lambda: ["while 1:", *inner(True)],
            "try": lambda: ["try:", *inner(), f"except E as {x}:", *inner(), "else:", *inner()],
            "tryfinally": lambda: ["try:", *inner(), "except E:", *inner(), "finally:", *inner()],
            "with": lambda: [f"with {x} as {y}:", *inner()],
            "match": lambda: [f"match {x}:", f"    case [{y}] if {z}:", *("    " + s for s in inner()),
                              f"    case {y}:", *("    " + s for s in inner())]}[kind]()


class Raised(Exception):
    """An exception of the program that runs."""


class Stop(Exception):
    """The run is long enough."""


class Leave(Exception):
    """break, continue or return."""

    def __init__(self, way: str) -> None:
        self.way = way


class Run:
    """Executes a program with random outcomes and notes reads, writes and the places where facts must hold."""

    def __init__(self, rng: random.Random, live: dict[Any, Facts], defined: dict[Any, State]) -> None:
        self.rng, self.live, self.defined = rng, live, defined
        self.has = set(VARIABLES)
        self.events: list[tuple[str, str]] = []
        self.claims: list[tuple[int, frozenset[str], ast.AST]] = []

    def claim(self, names: frozenset[str], node: ast.AST) -> None:
        self.claims.append((len(self.events), names, node))

    def read(self, name: str) -> None:
        self.events.append(("read", name))
        if name not in self.has:
            raise Raised

    def write(self, name: str) -> None:
        self.events.append(("write", name))
        self.has.add(name)

    def flip(self) -> bool:
        return self.rng.random() < 0.5

    def expression(self, node: Any, own: frozenset[str] = frozenset()) -> None:
        if isinstance(node, ast.Name):
            if node.id in own or node.id in ("use", "E"):
                return
            self.write(node.id) if isinstance(node.ctx, ast.Store) else self.read(node.id)
        elif isinstance(node, ast.NamedExpr):
            self.expression(node.value, own)
            self.write(node.target.id)
        elif isinstance(node, ast.BoolOp | ast.Compare):
            parts = node.values if isinstance(node, ast.BoolOp) else [node.left, *node.comparators]
            sure = 1 if isinstance(node, ast.BoolOp) else 2
            for part in parts[:sure] + (parts[sure:] if self.flip() else []):
                self.expression(part, own)
        elif isinstance(node, ast.ListComp):
            self.expression(node.generators[0].iter, own)
            own = own | {node.generators[0].target.id}    # type: ignore[attr-defined]
            for _ in range(self.rng.randint(0, 2)):
                self.expression(node.elt, own)
        elif not isinstance(node, ast.Constant):
            for child in ast.iter_child_nodes(node):
                self.expression(child, own)

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.one(statement)

    def one(self, node: Any) -> None:
        if len(self.events) > 80:
            raise Stop
        facts, state, start = self.live[node], self.defined[node], len(self.events)
        self.claim(facts.live_before, node)
        assert state.surely <= self.has <= state.perhaps, (ast.unparse(node), state, self.has)
        try:
            self.execute(node)
        except Leave as leave:
            assert leave.way in facts.exits, (ast.unparse(node), leave.way)
            raise
        finally:
            written = {name for kind, name in self.events[start:] if kind != "read"}
            assert written <= facts.writes, (ast.unparse(node), written)
        assert "next" in facts.exits
        self.claim(facts.live_after, node)

    def execute(self, node: Any) -> None:
        if self.rng.random() < 0.05:
            raise Raised
        method = getattr(self, "do_" + type(node).__name__, None)
        self.expression(node) if method is None else method(node)

    def do_Assign(self, node: ast.Assign) -> None:
        for part in (node.value, *node.targets):
            self.expression(part)

    def do_AugAssign(self, node: Any) -> None:
        self.read(node.target.id)
        self.expression(node.value)
        self.write(node.target.id)

    def do_Delete(self, node: Any) -> None:
        self.read(node.targets[0].id)
        self.events.append(("delete", node.targets[0].id))
        self.has.discard(node.targets[0].id)

    def do_Break(self, node: ast.Break) -> None:
        raise Leave("break")

    def do_Continue(self, node: ast.Continue) -> None:
        raise Leave("continue")

    def do_Return(self, node: Any) -> None:
        self.expression(node.value)
        raise Leave("return")

    def do_Raise(self, node: Any) -> None:
        self.expression(node.exc)
        raise Raised

    def do_If(self, node: ast.If) -> None:
        self.expression(node.test)
        self.block(node.body if self.flip() else node.orelse)

    def loop(self, node: Any, begin: Any) -> None:
        while True:
            if not begin():
                return self.block(node.orelse)
            try:
                self.block(node.body)
            except Leave as leave:
                if leave.way == "break":
                    return None
                if leave.way != "continue":
                    raise
            self.claim(self.live[node].live_again, node)

    def do_While(self, node: ast.While) -> None:
        def begin() -> bool:
            self.expression(node.test)
            return isinstance(node.test, ast.Constant) or self.flip()
        self.loop(node, begin)

    def do_For(self, node: Any) -> None:
        def begin() -> bool:
            if self.flip():
                self.write(node.target.id)
                return True
            return False
        self.expression(node.iter)
        self.loop(node, begin)

    def do_With(self, node: Any) -> None:
        self.expression(node.items[0].context_expr)
        self.write(node.items[0].optional_vars.id)
        try:
            self.block(node.body)
        except Raised:
            if self.flip():
                raise

    def do_Match(self, node: Any) -> None:
        self.expression(node.subject)
        if self.flip():
            self.write(node.cases[0].pattern.patterns[0].name)
            self.expression(node.cases[0].guard)
            if self.flip():
                return self.block(node.cases[0].body)
        self.write(node.cases[1].pattern.name)
        return self.block(node.cases[1].body)

    def do_Try(self, node: Any) -> None:
        try:
            self.guarded(node)
        except Stop:
            raise
        except (Raised, Leave) as error:
            self.block(node.finalbody)
            raise error
        self.block(node.finalbody)

    def guarded(self, node: Any) -> None:
        try:
            self.block(node.body)
        except Raised:
            return self.handle(node.handlers[0])
        return self.block(node.orelse)

    def handle(self, handler: Any) -> None:
        if handler.name:
            self.write(handler.name)
        try:
            self.block(handler.body)
        finally:
            if handler.name:
                self.events.append(("delete", handler.name))
                self.has.discard(handler.name)

    def check(self) -> None:
        for start, live, node in self.claims:
            seen: set[str] = set()
            for kind, name in self.events[start:]:
                assert kind != "read" or name in seen or name in live, f"{name} is live at {ast.unparse(node)}"
                seen.add(name)


@pytest.mark.parametrize("seed", range(300))
def test_no_run_contradicts_the_facts(seed: int) -> None:
    rng = random.Random(seed)
    body = "\n".join(["del c", "del d", "del e", *random_block(rng, 3, False)])
    root, live, defined = analysed(body, "def f(a, b, c, d, e):")
    for _ in range(30):
        run = Run(rng, live, defined)
        try:
            run.block(root.body)
        except (Raised, Leave, Stop):
            pass
        try:
            run.check()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{body}\n{run.events}") from None
