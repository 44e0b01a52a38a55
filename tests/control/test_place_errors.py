"""What can't be compiled of state that changes is refused: the error names the variable, what it is, and where.

Flows in: small functions.  Flows out: failures.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import MutationError, UnsupportedError


class Box:
    def __init__(self, value: Any) -> None:
        self.value = value


def refusal(fn: Callable[..., Any], *args: Any) -> str:
    with pytest.raises((UnsupportedError, MutationError)) as caught:
        tj.function(fn)(*args)
    return str(caught.value)


def test_a_variable_of_two_shapes_is_named_with_both_types_and_lines() -> None:
    def f(x, n):    # type: ignore
        y = x * 2
        for _ in range(n):
            y = np.stack([y, y])
        return y

    text = refusal(f, np.ones(3), 3)
    line = f.__code__.co_firstlineno
    assert "'y'" in text and f"(line {line + 1})" in text and f"(line {line + 3})" in text, text


def test_a_key_that_one_branch_adds_is_named() -> None:
    def f(x):    # type: ignore
        d = {"a": 1.0}
        if x > 0:
            d["b"] = 2.0
        return d

    text = refusal(f, 1.5)
    assert "'d'" in text and "'b'" in text and "all keys before the branch" in text, text


def test_keys_that_every_round_adds_are_named() -> None:
    def f(n):    # type: ignore
        seen = set()
        for i in range(n):
            if i > 1:
                seen.add("late")
        return len(seen)

    assert "'seen'" in refusal(f, 3)


def test_a_dict_that_is_one_of_several_is_not_changed_silently() -> None:
    def f(x):    # type: ignore
        a, b = {"n": 1.0}, {"n": 2.0}
        for i in range(7):
            one = a if x > i else b
            one["n"] += 1.0
        return a, b

    assert "one of several" in refusal(f, 1.5)


def test_objects_that_are_exchanged_are_not_changed_in_place() -> None:
    def f(x, n):    # type: ignore
        a, b = Box(x), Box(2.0)
        now, after = a, b
        for _ in range(n):
            after.value = now.value + 1
            now, after = after, now
        return a.value

    assert "'after' is changed in place and bound to another object" in refusal(f, 1.5, 3)


def test_an_array_with_another_name_is_not_written_and_bound_anew() -> None:
    def f(x, n):    # type: ignore
        y = x
        for _ in range(n):
            y[0] += 1
            x = x * 2
        return x, y

    text = refusal(f, np.ones(3), 3)
    assert "'x'" in text and "x = x.copy()" in text, text


def test_a_bounded_queue_that_fills_in_a_loop_is_refused() -> None:
    def f(x: Any, n: int) -> Any:
        window = deque(maxlen=3)
        for i in range(n):
            window.append(x[i])
        return len(window)

    assert "a deque with maxlen that is not full before the loop" in refusal(f, np.ones(9), 5)
