"""Lifted statements: random nests of them against plain Python, sizes, and what the namespace is told.

Flows in:  program texts.  Flows out: the same results, notes, errors and lines as without conversion.
"""
from __future__ import annotations

import linecache
import random
import time
import traceback
from typing import Any

import pytest

from tracejit.autograph import convert, fold_traceback, to_source

NAMES = "abcd"
KINDS = "if ifelse elif while whileelse forever for forelse try tryelse finally with match def".split()


class Long(BaseException):
    """The run is long enough."""


class Notes(list[Any]):
    """What a program did, in order."""

    def __call__(self, *values: Any) -> int:
        self.append(tuple(v if isinstance(v, int | str | None) else type(v).__name__ for v in values))
        if len(self) > 300:
            raise Long
        return len(self)


class Manager:
    """Swallows KeyError."""

    def __init__(self, notes: Notes, value: Any) -> None:
        self.notes, self.value = notes, value

    def __enter__(self) -> Any:
        self.notes("enter")
        return self.value

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self.notes("exit", kind is None)
        return kind is KeyError


class Writer:
    """Writes random programs over a few variables, some of which may have no value."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.count = 0

    def name(self) -> str:
        return self.rng.choice(NAMES)

    def expression(self) -> str:
        x, y = self.name(), self.name()
        return self.rng.choice([
            x, f"{x} + {y}", f"{x} % 3", f"({x} and {y})", f"({x} if {y} % 2 else 3)", f"({x} := {y} + 1)",
            f"{x} // ({y} % 3)", f"note({x})", f"sum([{y} + {x} for {x} in range({y} % 4) if {x} % 2])",
            f"(lambda: {x})()", f"len(f'{{{x}}}')", f"int(1 < {x} < ({y} := 7))",
            f"max(k for k in range(1 + {x} % 3))"])

    def simple(self, in_loop: bool) -> list[str]:
        x, y = self.name(), self.name()
        jumps = ["break", "continue"] * 3 if in_loop else []
        chosen: str = self.rng.choice([f"{x} = {self.expression()}"] * 5 + [
            f"{x} += {self.expression()}", f"note({x}, {self.expression()})", f"del {x}", f"return {self.expression()}",
            "return", f"raise KeyError({x})", f"assert {x} % 2, f'{{{y}}}'", f"{x}, {y} = {y}, {x}",
            f"w[{x} % 2] = {y}", "outer += 1; note(outer)", f"import math as {x}; {x} = int({x}.pi)", *jumps])
        return chosen.split("; ")

    def block(self, depth: int, in_loop: bool, most: int = 3) -> list[str]:
        return [line for _ in range(self.rng.randint(1, most)) for line in self.statement(depth, in_loop)]

    def statement(self, depth: int, in_loop: bool) -> list[str]:
        if depth == 0 or self.rng.random() < 0.4:
            return self.simple(in_loop)
        self.count += 1

        def inner(loop: bool = in_loop, indent: int = 1) -> list[str]:
            return ["    " * indent + line for line in self.block(depth - 1, loop)]
        return self.compound(self.rng.choice(KINDS), f"n{self.count}", inner)

    def compound(self, kind: str, n: str, inner: Any) -> list[str]:
        x, y, z, e = self.name(), self.name(), self.name(), self.expression()
        start, up = f"{n} = 0", f"    {n} += 1"
        if kind == "def":
            declared = f"nonlocal {x}" if x != z else "pass"
            return [f"def g{n}({z}=1):", f"    {declared}", *inner(False), f"{y} = g{n}({y})"]
        made: dict[str, list[Any]] = {
            "if": [f"if {e} % 2:", inner], "ifelse": [f"if {e} % 2:", inner, "else:", inner],
            "elif": [f"if {e} % 3 == 1:", inner, f"elif {x} % 2:", inner, "else:", inner],
            "while": [start, f"while ({n} := {n} + 1) < 4 and {x} % 5:", lambda: inner(True)],
            "whileelse": [start, f"while {n} < 3:", up, lambda: inner(True), "else:", inner],
            "forever": [start, "while True:", up, f"    if {n} > 3: break", lambda: inner(True)],
            "for": [f"for {x} in range({y} % 4):", lambda: inner(True)],
            "forelse": [f"for {x}, {y} in zip(range({z} % 4), [4, 5, 6]):", lambda: inner(True), "else:", inner],
            "try": ["try:", inner, f"except (KeyError, ZeroDivisionError) as {x}:", f"    note(repr({x}))", inner],
            "tryelse": ["try:", inner, "except UnboundLocalError:", inner, "except Exception:", inner, "else:", inner],
            "finally": ["try:", inner, "finally:", lambda: inner(False)],
            "with": [f"with manager({x}) as {y}:", inner],
            "match": [f"match {x}:", "    case 1:", lambda: inner(indent=2), f"    case [{y}]: pass",
                      f"    case {y} if {y} > 2:", lambda: inner(indent=2), "    case _: pass"]}
        return [line for part in made[kind] for line in (part() if callable(part) else [part])]


def compiled(text: str, file: str, **names: Any) -> Any:
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    exec(compile(text, file, "exec"), names)
    return names


def outcome(make: Any, notes: Notes, file: str, convert_it: bool, args: tuple[int, ...]) -> Any:
    fn = convert(make()) if convert_it else make()
    notes.clear()
    written = [0, 0]
    try:
        result: Any = "returned", fn(*args, written)
    except Long:
        result = ("long",)
    except Exception as error:
        frames = traceback.extract_tb(fold_traceback(error).__traceback__)
        lines = [(f.name, f.lineno) for f in frames if f.filename == file and f.name != "<listcomp>"]
        # CPython 3.11 reports the line of the load before, if both are one instruction
        result = type(error), str(error), [] if isinstance(error, UnboundLocalError) else lines
    return repr(result), list(notes), repr(written)


@pytest.mark.parametrize("seed", range(150))
def test_random_programs_do_what_plain_python_does(seed: int) -> None:
    body = Writer(seed).block(2 + seed % 2, False, 4)
    text = "def make():\n outer = 0\n def f(a, b, c, w):\n  nonlocal outer\n  " + "\n  ".join(body) + "\n return f\n"
    file, notes = f"<statements {seed}>", Notes()
    try:
        make = compiled(text, file, note=notes, manager=lambda v: Manager(notes, v))["make"]
    except SyntaxError:    # `nonlocal` of a name that f does not bind
        return
    for args in ((0, 0, 0), (1, 2, 3), (5, 1, 4), (7, 8, 9)):
        expected = outcome(make, notes, file, False, args)
        got = outcome(make, notes, file, True, args)
        assert expected == got, f"{text}\n{to_source(make())}"


LARGE = {
    "an elif of 250 branches": ("    if x == 0: return 0\n" + "".join(
        f"    elif x == {i}: return {i}\n" for i in range(1, 250)) + "    return -1\n", 249),
    "2,000 early returns": ("".join(f"    if x == {i}: return {i}\n" for i in range(2000)) + "    return -1\n", 1999),
    "95 nested branches": ("".join(" " * (i + 4) + f"if x > {i}:\n" for i in range(90)) + " " * 96 + "x += 1\n"
                           "    return x\n", 95),
    "19 nested loops": ("".join(" " * (i + 4) + f"for i{i} in range(1):\n" for i in range(19)) + " " * 24 + "x += 1\n"
                        "    return x\n", 1),
    "5,000 straight lines": ("    v0 = x\n" + "".join(f"    v{i} = v{i - 1} + 1\n" for i in range(1, 5000))
                             + "    return v4999\n", 1)}


@pytest.mark.parametrize("what", LARGE)
def test_large_functions_convert_quickly_and_run(what: str) -> None:
    body, x = LARGE[what]
    f = compiled(f"def f(x):\n{body}", f"<{what}>")["f"]
    start = time.perf_counter()
    g = convert(f)
    assert time.perf_counter() - start < 20
    assert g(x) == f(x)


def jumping(n: int) -> Any:
    for i in range(n):
        if i == 3:
            continue
        while i > 5:
            if i == 7:
                return i
            i -= 1
        if i == 9:
            break
    else:
        return None
    return n


JUMPING = """\
def jumping(n):
    i: None
    value: None
    return_ = False
    break_1 = False
"""


def test_flags_belong_to_the_converter() -> None:
    text = to_source(jumping)
    assert text.startswith(JUMPING)
    assert "lambda: ag.not_(ag.or_(break_1, lambda: return_)), ('break!1', " in text
    assert [convert(jumping)(n) for n in range(12)] == [jumping(n) for n in range(12)]


def tail(n: int) -> str:
    if n > 3:
        return "big"
    elif n < 0:
        return "negative"
    return "small"


def test_returns_in_tail_position_need_no_flag() -> None:
    assert "return_" not in to_source(tail) and to_source(tail).count("value = ") == 3


def unsure(n: int) -> Any:
    if n:
        v = n
    for _ in range(n):
        v += 1
        del v
        v = n
    return v


def test_reads_of_variables_that_may_have_no_value_ask() -> None:
    assert to_source(unsure).count("ag.defined(v, 'v')") == 2
    with pytest.raises(UnboundLocalError, match="local variable 'v'"):
        convert(unsure)(0)


def framed(n: int) -> Any:
    if n:
        v = n
    return sorted(locals())


def generator(n: int) -> Any:
    if n < 3:
        yield n


@pytest.mark.parametrize("fn", [framed, generator])
def test_functions_whose_frame_matters_keep_their_statements(fn: Any) -> None:
    assert "ag.if_(" not in to_source(fn) and "ag.for_(" not in to_source(fn) and "ag.while_(" not in to_source(fn)
    expected, got = fn(0), convert(fn)(0)
    assert (list(expected), list(got)) if fn is generator else (expected, got) == (got, expected)


def chosen(n: int) -> Any:
    match n + 1:
        case 1 | 2 if n:
            return 10
        case None:
            r = 3
        case 4:
            r = 5
        case k if k > 6:
            r = k
        case _:
            r = 0
    return r * 2


def test_match_by_value_is_a_chain_of_branches() -> None:
    text = to_source(chosen)
    assert "match" not in text and "ag.compare(('is',), subject_1, None)" in text
    assert [convert(chosen)(n) for n in range(-2, 9)] == [chosen(n) for n in range(-2, 9)]
