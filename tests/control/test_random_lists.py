"""Random programs over lists do what plain Python does; a failure shows the program's text.

Flows in: random_lists.py.  Flows out: a few programs in the fast suite, many with `-m fuzz`.
"""

import copy
from typing import Any

import pytest

import tracejit as tj
from tests.control.random_lists import RandomLists
from tests.control.test_random_structured import compiled_text

INPUTS = ((3, 2, 1, [4, 5]), (0, 1, 5, [4, 5]), (4, 3, 2, [7, 8]))


def outcome(fn: Any, args: tuple[Any, ...]) -> str:
    """The result and what became of the caller's list, or the exception."""
    given = copy.deepcopy(args)
    try:
        return f"{fn(*given)!r} {given!r}"
    except (LookupError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def agree(seed: int) -> None:
    text = RandomLists(seed).text()
    plain = compiled_text(text)
    compiled = tj.function(plain)
    for args in INPUTS:
        assert outcome(compiled, args) == outcome(plain, args), f"{args}\n{text}"


@pytest.mark.parametrize("seed", range(5))
def test_a_few_random_programs_over_lists(seed: int) -> None:
    agree(seed)


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(100, 1100, 100))
def test_random_programs_over_lists(first: int) -> None:
    for seed in range(first, first + 100):
        agree(seed)
