"""Random programs that fail and catch do what plain Python does: results, exceptions, arguments as they are left.

Flows in: random_trying.py.  Flows out: a few programs in the fast suite, hundreds with `-m fuzz`.
"""

import copy
import linecache
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.control.program import difference
from tests.control.random_trying import random_failing
from tracejit.autograph import convert

Function = Callable[..., Any]


def load(text: str) -> Function:
    """The function of a text, with lines that can be found as those of a file are."""
    name = f"<failing {abs(hash(text))}>"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    scope: dict[str, Any] = {"np": np, "math": math}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)    # a jump out of `finally`
        exec(compile(text, name, "exec"), scope)
    program: Function = scope["program"]
    return program


def outcome(fn: Function, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The result or the exception, and the arrays among the arguments afterwards."""
    args = copy.deepcopy(args)
    try:
        with np.errstate(all="ignore"):
            found = fn(*args)
            return "returned", *[v.item() if isinstance(v, np.generic) else v for v in found], *args[4:]
    except tj.errors.TracejitError:
        raise
    except Exception as error:    # what a program raises is part of what it does
        return "raised", type(error).__name__, str(error), *args[4:]


def check(seed: int, decorate: Callable[[Function], Function]) -> None:
    text, sets = random_failing(seed)
    plain = load(text)
    fn = decorate(plain)
    for args in sets:
        expected = outcome(plain, args)
        try:
            actual = outcome(fn, args)
        except (tj.errors.UnsupportedError, tj.errors.TracedIndexError):
            return
        assert not (why := difference(actual, expected, 1e-9, "outcome")), f"{why}\n{args}\n{text}"


@pytest.mark.parametrize("seed", range(40))
def test_converted_programs_that_fail_equal_plain_python(seed: int) -> None:
    check(seed, convert)


@pytest.mark.parametrize("seed", range(8))
def test_compiled_programs_that_fail_equal_plain_python(seed: int) -> None:
    check(seed, tj.function)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(100, 400))
def test_many_compiled_programs_that_fail_equal_plain_python(seed: int) -> None:
    check(seed, tj.function)
