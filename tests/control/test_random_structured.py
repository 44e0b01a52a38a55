"""Random structured programs do what plain Python does, converted and compiled; a failure shows the program's text.

Flows in: random_structured.py.  Flows out: a few programs in the fast suite, thousands with `-m fuzz`.
"""

import copy
import linecache
import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracejit as tj
from tests.control.not_yet import RANDOM_NOT_YET
from tests.control.program import difference
from tests.control.random_structured import Source, random_source
from tracejit.autograph import convert
from tracejit.base.errors import TracejitError, UnsupportedError


@st.composite
def sources(draw: Callable[[Any], Any]) -> Source:
    return random_source(lambda items: items[draw(st.integers(0, len(items) - 1))])


def compiled_text(text: str) -> Callable[..., Any]:
    """The function of a text, with lines that can be found as those of a file are."""
    name = f"<program {abs(hash(text))}>"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    scope: dict[str, Any] = {"np": np}
    exec(compile(text, name, "exec"), scope)
    program: Callable[..., Any] = scope["program"]
    return program


def outcome(fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The result or the exception, and the array arguments afterwards."""
    args = copy.deepcopy(args)
    try:
        with np.errstate(all="ignore"):
            return "returned", fn(*args), args[4:]
    except TracejitError:
        raise
    except (AssertionError, ValueError, UnboundLocalError, LookupError, ArithmeticError) as error:
        return "raised", type(error).__name__, str(error), args[4:]


def as_numbers(value: Any) -> Any:
    """NumPy scalars as Python's: a variable which is either is one of them in compiled code."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(as_numbers, value))
    return value.item() if isinstance(value, np.generic) else value


def agree(source: Source, decorate: Callable[[Callable[..., Any]], Callable[..., Any]], clean: Any) -> None:
    plain = compiled_text(source.text)
    fn = decorate(plain)
    for args in source.inputs:
        expected, actual = clean(outcome(plain, args)), clean(outcome(fn, args))
        assert not (why := difference(actual, expected, 1e-9, "outcome")), f"{why}\n{args}\n{source.text}"


QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@given(sources())
@settings(QUIET, max_examples=60)
def test_random_programs_keep_their_meaning_when_converted(source: Source) -> None:
    agree(source, convert, lambda value: value)


@pytest.mark.fuzz
@given(sources())
@settings(QUIET, max_examples=3000, derandomize=False)
def test_many_random_programs_keep_their_meaning_when_converted(source: Source) -> None:
    agree(source, convert, lambda value: value)


def seeded(seed: int, budget: int) -> Source:
    """The program of a seed, with about so many statements."""
    choose = random.Random(seed)
    return random_source(lambda items: items[choose.randrange(len(items))], budget)


def compile_and_compare(seeds: Iterable[int], budget: int) -> None:
    """Programs are compiled and agree, or are refused with a reason: few of them, and none by an error of ours."""
    refused, total = {}, 0
    for seed in sorted(set(seeds) - RANDOM_NOT_YET):
        total += 1
        try:
            agree(seeded(seed, budget), tj.function, as_numbers)
        except UnsupportedError as error:
            refused[seed] = error.message
    assert len(refused) <= max(1, total // 8), refused


def test_random_programs_keep_their_meaning_when_compiled() -> None:
    compile_and_compare(range(60), 6)


@pytest.mark.fuzz
@pytest.mark.parametrize("batch", range(60))
def test_many_random_programs_keep_their_meaning_when_compiled(batch: int) -> None:
    compile_and_compare(range(50 * batch, 50 * batch + 50), 14)
