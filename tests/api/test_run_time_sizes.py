"""Sizes that only the run tells (masks) meet other sizes: equal, or NumPy's error at the call."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj

X = np.arange(6.0)
LARGE = np.arange(4000.0)
THREE = np.array([1, 0, 1, 0, 1, 0], bool)
FOUR = np.array([1, 1, 1, 0, 1, 0], bool)
MANY = LARGE < 2000


def add(x: Any, y: Any, m: Any, k: Any) -> Any:
    return x[m] + y[k]


def with_constant(x: Any, m: Any) -> Any:
    return x[m] * np.arange(3.0)


def stacked(x: Any, m: Any, k: Any) -> Any:
    return np.stack([x[m], x[k]])


def three_masks(x: Any, m: Any, k: Any, j: Any) -> Any:
    return (x[m] * x[k] - x[j]).sum()


def product(x: Any, m: Any, k: Any) -> Any:
    return x[m] @ x[k]


@pytest.mark.parametrize(("fn", "good", "bad"), [
    (add, (X, X, THREE, ~THREE), (X, X, THREE, FOUR)),
    (add, (X, LARGE, THREE, LARGE < 3), (X, LARGE, THREE, MANY)),
    (add, (LARGE, X, LARGE < 3, THREE), (LARGE, X, MANY, THREE)),
    (with_constant, (X, THREE), (X, FOUR)),
    (stacked, (X, THREE, ~THREE), (X, FOUR, THREE)),
    (three_masks, (X, THREE, ~THREE, THREE), (X, THREE, THREE, FOUR)),
    (product, (X, THREE, ~THREE), (X, THREE, FOUR))])
def test_sizes_that_meet_are_compared_at_the_call(fn: Any, good: Any, bad: Any) -> None:
    f = tj.function(fn)
    np.testing.assert_array_equal(f(*good), fn(*good))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"could not be broadcast together with shapes \(\d+,\) \(\d+,\)"):
            f(*bad)
    np.testing.assert_array_equal(f(*good), fn(*good))
    assert len(f.traces) == 1
