"""`explain()` says which loops were unrolled and why, and which `try` statements the compiled function sees.

Flows in: functions of this file.  Flows out: golden texts.
"""

import re
from typing import Any

import numpy as np
import pytest

import tracejit as tj

X = np.arange(8.0)


def few_rounds(x):
    for _ in range(3):
        x = x * 0.5 + 1
    return x


def names_of_rounds(x):
    names = ("mean", "low", "high", "first", "last")
    found = {}
    for i in range(5):
        found[names[i]] = x[i]
    return found


def native(x, n):
    for _ in range(n):
        x = x * 0.5 + 1
    return x


def caught(x, n):
    try:
        return x[n]
    except IndexError:
        return -1.0


def not_caught(x):
    try:
        return x * 2
    finally:
        x += 1


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "few rounds": (few_rounds, ()), "names of rounds": (names_of_rounds, ()), "native": (native, (9,)),
    "caught": (caught, (9,)), "not caught": (not_caught, ())}


@pytest.mark.parametrize("case", CASES)
def test_control_flow_is_explained(case: str, golden: Any) -> None:
    fn, rest = CASES[case]
    compiled = tj.function(fn)
    np.testing.assert_equal(compiled(X.copy(), *rest), fn(X.copy(), *rest))
    text = re.sub(r"trace [\d.]+ ms, compile [\d.]+ ms(, from the disk cache)?", "TIMES", str(compiled.explain()))
    golden(f"explain/{case.replace(' ', '_')}", re.sub(r"\S*(test_explanations\.py):\d+", r"\1:LINE", text))


def test_lines_of_unrolled_loops_are_the_users() -> None:
    compiled = tj.function(names_of_rounds)
    compiled(X)
    line = names_of_rounds.__code__.co_firstlineno + 3
    assert f"unrolled the loop at {__file__}:{line}" in str(compiled.explain())
