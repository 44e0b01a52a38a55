"""Updates of many arrays: one kernel for all sizes, one parallel loop; and when they stay apart."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj

SIZES = (1, 7, 100, 3000, 40_000)


def arrays(scale: float, dtype: Any = np.float32) -> list[Any]:
    r = np.random.default_rng(int(scale * 10))
    return [(scale * r.normal(size=n)).astype(dtype) for n in SIZES] + [
        (scale * r.normal(size=(30, 50))).astype(dtype), np.array(scale, dtype).reshape(1, 1)]


def momentum(params: Any, speeds: Any, grads: Any, rate: Any) -> Any:
    speeds = [0.9 * v + g for v, g in zip(speeds, grads, strict=True)]
    return [p - rate * v for p, v in zip(params, speeds, strict=True)], speeds


def kernels_of(f: Any, *arguments: Any) -> list[str]:
    """The kinds of the kernels, in order."""
    lines = str(f.stages(*arguments).kernels).splitlines()
    return [line.split("(")[0].rpartition("_")[2] for line in lines if line.startswith("kernel kernel_")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_kernel_updates_arrays_of_all_sizes(dtype: Any) -> None:
    f = tj.function(momentum, donate=("params", "speeds"))
    params, speeds, grads = arrays(1.0, dtype), arrays(0.5, dtype), arrays(0.1, dtype)
    expected = momentum([p.copy() for p in params], [v.copy() for v in speeds], grads, dtype(0.01))
    found = f(params, speeds, grads, dtype(0.01))
    for kind, right, given in zip(found, expected, (params, speeds), strict=True):
        for x, y, memory in zip(kind, right, given, strict=True):
            assert x is memory
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6 if dtype is np.float32 else 1e-15)
    assert kernels_of(f, params, speeds, grads, dtype(0.01)).count("stretch") == 1
    assert len(kernels_of(f, params, speeds, grads, dtype(0.01))) <= 3     # arrays of one element go their own way


def test_small_results_that_are_new_are_computed_together() -> None:
    f = tj.function(lambda xs: [np.sin(x) * 2 for x in xs])
    xs = [np.arange(float(n)) for n in (3, 50, 8)]
    for x, y in zip(xs, f(xs), strict=True):
        np.testing.assert_allclose(y, np.sin(x) * 2, rtol=1e-14)
    assert kernels_of(f, xs) == ["stretch"]


def test_large_results_that_are_new_stay_apart() -> None:
    f = tj.function(lambda xs: [x + 1 for x in xs])
    xs = [np.zeros(n) for n in (1 << 17, 1 << 18)]
    assert all((y == 1).all() for y in f(xs))
    assert kernels_of(f, xs) == ["elementwise", "elementwise"]


def test_arrays_that_take_each_others_memory_are_updated_in_order() -> None:
    f = tj.function(lambda x, y: (y * 2 + 1, x * 2 + 1), donate=("x", "y"))
    x, y = np.arange(10.0), np.arange(10.0) + 100
    expected = y * 2 + 1, x * 2 + 1
    for a, b in zip(f(x, y), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_array_in_two_updates() -> None:
    f = tj.function(lambda x, y, z: (x + z, y + z), donate=("x", "y"))
    x, y, z = np.arange(10.0), np.arange(10.0) + 100, np.full(10, 0.5)
    expected = x + z, y + z
    for a, b in zip(f(x, y, z), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sizes_that_only_the_run_knows() -> None:
    f = tj.function(lambda xs: [x * 3 - 1 for x in xs], donate="xs")
    for n in (5, 9, 2000, 0):
        xs = [np.arange(float(n)), np.arange(float(2 * n + 1))]
        expected = [x * 3 - 1 for x in xs]
        for a, b in zip(f(xs), expected, strict=True):
            np.testing.assert_array_equal(a, b)
