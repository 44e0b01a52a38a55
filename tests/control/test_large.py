"""Deeply nested code and functions of thousands of lines are converted, traced and compiled, and give Python's results.

Flows in: generated source.  Flows out: failures; times are bounded generously, to catch what grows too fast.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj


def make(lines: list[str], folder: Path) -> Callable[..., Any]:
    """The function `f` of these lines, from a file."""
    source = "\n".join(lines)
    path = folder / "large.py"
    path.write_text(source)
    names: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), names)
    made: Callable[..., Any] = names["f"]
    return made


def check(lines: list[str], inputs: list[Any], folder: Path, seconds: float) -> None:
    plain = make(lines, folder)
    compiled = tj.function(plain)
    start = time.perf_counter()
    compiled(inputs[0])
    assert time.perf_counter() - start < seconds
    for value in inputs:
        np.testing.assert_allclose(compiled(value), plain(value), rtol=1e-12)
    assert len(compiled.traces) == 1


def nested(heads: Callable[[int], str], depth: int, body: Callable[[int], str]) -> list[str]:
    lines = ["def f(n):", " s = 0"]
    for i in range(depth):
        lines += [" " * (i + 1) + heads(i), " " * (i + 2) + body(i)]
    return [*lines, " return s"]


def test_ifs_as_deep_as_python_allows(tmp_path: Path) -> None:
    check(nested(lambda i: f"if n > {i}:", 97, lambda i: f"s += {i}"), [50, 3, 200], tmp_path, 20)


def test_loops_as_deep_as_python_allows(tmp_path: Path) -> None:
    check(nested(lambda i: f"for i{i} in range(n):", 19, lambda i: f"s += {i}"), [1, 0], tmp_path, 20)


def test_ifs_loops_and_whiles_by_turns(tmp_path: Path) -> None:
    heads = ("for i{0} in range(n):", "if s % 3 != 1:", "while s < n * {0}:")
    check(nested(lambda i: heads[i % 3].format(i), 27, lambda i: "s += 1"), [1, 2, 0], tmp_path, 30)


def test_elif_chain_of_400(tmp_path: Path) -> None:
    lines = ["def f(n):", " if n == 0:", "  r = 0"]
    for i in range(1, 400):
        lines += [f" elif n == {i}:", f"  r = {i * i}"]
    check([*lines, " else:", "  r = -1", " return r"], [3, 399, 1000], tmp_path, 30)


def test_conditional_expressions_and_connectives_of_200_parts(tmp_path: Path) -> None:
    chain = "".join(f"{i} if n == {i} else " for i in range(200))
    connected = " and ".join(f"n > {i}" for i in range(200))
    check(["def f(n):", f" return {chain}-1, {connected}"], [3, 199, 1000], tmp_path, 30)


def test_expression_of_2000_terms(tmp_path: Path) -> None:
    terms = " + ".join(f"n * {i}" for i in range(2000))
    check(["def f(n):", f" return {terms}"], [3, -1], tmp_path, 30)


def straight(lines: int) -> list[str]:
    body = [f" a = (a * 3 + b - {i}) % 1009" if i % 2 else " b = b + a % 7" for i in range(lines)]
    return ["def f(n):", " a, b = n, 1", *body, " return a, b"]


def branching(lines: int) -> list[str]:
    made = ["def f(n):", " a, b = n, 1"]
    for i in range(lines // 4):
        made += [f" if a % 3 == {i % 3}:", f"  a = a // 2 + {i}", " else:", f"  b = (b + a * {i}) % 1009"]
    return [*made, " return a, b"]


def looping(lines: int) -> list[str]:
    made = ["def f(n):", " a, b = n, 1"]
    for i in range(lines // 4):
        made += [" for i in range(n):", f"  a = (a + i * {i}) % 1000", "  if a > 500:", f"   b = b + {i}"]
    return [*made, " return a, b"]


def arrays(lines: int) -> list[str]:
    return ["def f(x):", " y = x", *[f" y = y * 0.5 + x * {i}" for i in range(lines)], " return y"]


@pytest.mark.parametrize("kind", [straight, branching, looping])
def test_functions_of_600_lines(kind: Callable[[int], list[str]], tmp_path: Path) -> None:
    check(kind(600), [3, 0, 7], tmp_path, 30)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [straight, branching, looping])
def test_functions_of_5000_lines(kind: Callable[[int], list[str]], tmp_path: Path) -> None:
    check(kind(5000), [3, 0, 7], tmp_path, 120)


def test_arrays_through_3000_lines(tmp_path: Path) -> None:
    check(arrays(3000), [np.arange(4.0)], tmp_path, 60)
