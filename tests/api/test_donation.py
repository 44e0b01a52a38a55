"""Donated arguments: results lie in their memory, and are those very arrays."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.xla_lite.runtime.buffers import buffers

LARGE = 1 << 20


def test_the_result_is_the_donated_array_and_nothing_is_allocated() -> None:
    f = tj.function(lambda x, y: x * 2.0 + y, donate="x")
    x, y = np.arange(float(LARGE)), np.ones(LARGE)
    assert f(x, y) is x
    before = buffers().statistics
    for _ in range(3):
        assert f(x, y) is x
    after = buffers().statistics
    assert (before.hits, before.misses, before.live) == (after.hits, after.misses, after.live)
    assert f.traces[0].compiled.executable.temporaries == "0"
    np.testing.assert_array_equal(x[:3], [15.0, 31.0, 47.0])


def test_each_donated_array_takes_one_result_of_its_type() -> None:
    f = tj.function(lambda state, x: ({"a": state["a"] + x, "b": state["b"] * x}, state["a"].sum()), donate="state")
    state = {"a": np.arange(4.0), "b": np.arange(4.0)}
    x = np.full(4, 3.0)
    new, total = f(state, x)
    assert new["a"] is state["a"] and new["b"] is state["b"] and total == 6.0
    np.testing.assert_array_equal(new["a"], np.arange(4.0) + 3)
    np.testing.assert_array_equal(new["b"], np.arange(4.0) * 3)


@pytest.mark.parametrize("fn", [lambda x: x[::-1] + 1, lambda x: x + x.sum(), lambda x: np.cumsum(x), lambda x: x.T @ x,
                                lambda x: np.sort(x) - x, lambda x: (x + 1, x - 1, x), lambda x: (x * 2, x[0])])
def test_results_are_right_whatever_reads_the_argument(fn: Any) -> None:
    x = np.random.default_rng(0).random((5, 5))
    made, expected = tj.function(fn, donate="x")(x.copy()), fn(x)
    for a, b in zip(*[r if isinstance(r, tuple) else (r,) for r in (made, expected)], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_arrays_that_do_not_fit_are_left_alone() -> None:
    f = tj.function(lambda x, y: x + y, donate="x")
    y = np.ones((3, 4))
    for x in (np.ones(4), np.ones((3, 4), np.float32), np.ones((4, 3)).T, np.ones((3, 8))[:, ::2]):
        before = x.copy()
        np.testing.assert_array_equal(f(x, y), before + y)
        np.testing.assert_array_equal(x, before)
    fixed = np.ones((3, 4))
    fixed.flags.writeable = False
    for _ in range(2):
        np.testing.assert_array_equal(f(fixed, y), fixed + y)
    x = np.ones((3, 4))
    np.testing.assert_array_equal(f(x, x), np.full((3, 4), 2.0))
    shared = np.arange(16.0)
    np.testing.assert_array_equal(f(shared[:12].reshape(3, 4), shared[4:].reshape(3, 4)),
                                  np.arange(12.0).reshape(3, 4) * 2 + 4)


def test_a_donated_array_of_another_size() -> None:
    f = tj.function(lambda x: x * 2.0, donate="x")
    for n in (3, 4, 5, 7):
        x = np.arange(float(n))
        assert f(x) is x
        np.testing.assert_array_equal(x, 2 * np.arange(float(n)))
    assert len(f.traces) == 2
