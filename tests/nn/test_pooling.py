"""Pooling against its definition: windows, strides, padding, dilation, layouts, ties, derivatives."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.nn.checks import check_gradient
from tests.nn.windows import drawn, pooling
from tracejit import nn

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(2, 7, 6, 4))


def first(x):
    return np.moveaxis(x, -1, 1)


@pytest.mark.parametrize("rank, seed", [(rank, seed) for rank in (1, 2, 3) for seed in range(3)])
def test_any_options(rank, seed):
    r = np.random.default_rng([rank, seed])
    shape, kernel, options = drawn(r, rank)
    x, window = r.normal(size=shape), kernel[:rank]
    given = {k: options[k] for k in ("strides", "padding", "dilation")}
    largest = tj.function(lambda x: nn.max_pool(x, window, **given))
    np.testing.assert_array_equal(largest(x), pooling(x, np.max, window, **given, fill=-np.inf))
    mean = tj.function(lambda x: nn.avg_pool(x, window, **given))
    padded = pooling(x, np.sum, window, **given, fill=0) / pooling(np.ones_like(x), np.sum, window, **given, fill=0)
    np.testing.assert_allclose(mean(x), padded, rtol=1e-12, atol=1e-13)
    channels_first = tj.function(lambda x: (nn.max_pool(x, window, **given, layout="NCHW"),
                                            nn.avg_pool(x, window, **given, layout="NCHW")))
    for found, expected in zip(channels_first(first(x)), (largest(x), mean(x)), strict=True):
        np.testing.assert_allclose(found, first(expected), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("window, strides, padding, dilation, layout", [
    (2, None, "valid", 1, "NHWC"), (3, 2, "same", 1, "NHWC"), (3, 1, "valid", 1, "NCHW"), (2, 3, "valid", 1, "NHWC"),
    ((1, 5), (1, 2), "same", 1, "NCHW"), (2, 2, "valid", 2, "NHWC"), (2, None, ((0, 1), (0, 0)), 1, "NCHW")])
def test_derivatives(window, strides, padding, dilation, layout):
    x = IMAGES if layout == "NHWC" else first(IMAGES)
    both = tj.function(lambda x: sum((pool(x, window, strides, padding, dilation, layout) ** 3).sum()
                                     for pool in (nn.max_pool, nn.avg_pool)))
    check_gradient(both, x)


def test_the_first_of_equal_elements_gets_the_derivative():
    x = np.array([[3.0, 3.0, 1.0], [3.0, 0.0, 1.0]]).reshape(1, 2, 3, 1)
    found = tj.grad(lambda x: nn.max_pool(x, 2, 1).sum())(x)
    np.testing.assert_array_equal(found[0, :, :, 0], [[1, 1, 0], [0, 0, 0]])
    nothing = np.full((1, 4, 4, 1), -np.inf)
    found = tj.grad(lambda x: nn.max_pool(x, 2, padding=((1, 1), (1, 1))).sum())(nothing)
    assert found.sum() == 9 and found[0, 0, 0, 0] == 1


def test_nan_is_the_largest():
    x = IMAGES.copy()
    x[0, 1, 1, 0] = np.nan
    found = nn.max_pool(x, 2)
    assert np.isnan(found[0, 0, 0, 0]) and np.isnan(found).sum() == 1
    assert tj.grad(lambda x: nn.max_pool(x, 2).sum())(x)[0, 1, 1, 0] == 1


def test_integers():
    x = RNG.integers(-9, 9, (1, 6, 6, 3))
    assert nn.max_pool(x, 3, 2, "same").dtype == np.int64
    np.testing.assert_array_equal(nn.max_pool(x, 3, 2, "same"), pooling(x, np.max, (3, 3), (2, 2), "same", (1, 1), -99))
    np.testing.assert_allclose(nn.avg_pool(x, 2), pooling(x, np.mean, (2, 2), (2, 2), "valid", (1, 1), 0))


def test_whole_images():
    np.testing.assert_array_equal(nn.global_max_pool(IMAGES), IMAGES.max((1, 2)))
    np.testing.assert_allclose(nn.global_avg_pool(first(IMAGES), layout="NCHW"), IMAGES.mean((1, 2)))
    assert nn.global_avg_pool(IMAGES, keepdims=True).shape == (2, 1, 1, 4)


def test_sizes_that_are_not_known():
    pool = tj.function(lambda x: tj.grad(lambda x: (nn.max_pool(x, 3, 2, "same") ** 2).sum())(x))
    for sizes in ((5, 6), (9, 12), (20, 7)):
        x = RNG.normal(size=(2, *sizes, 3))
        largest = pooling(x, np.max, (3, 3), (2, 2), "same", (1, 1), -np.inf)
        np.testing.assert_allclose((pool(x) * x).sum(), 2 * (largest**2).sum())
    assert len(pool.traces) <= 3


def test_lanes_and_second_derivatives():
    x = RNG.normal(size=(3, 2, 6, 5, 2))
    found = tj.vmap(lambda x: tj.grad(lambda x: (nn.max_pool(x, 2) ** 3).sum())(x))(x)
    for lane in range(3):
        np.testing.assert_allclose(found[lane], tj.grad(lambda x: (nn.max_pool(x, 2) ** 3).sum())(x[lane]))
    check_gradient(lambda x: (tj.grad(lambda x: (nn.max_pool(x, 3, 1) ** 3).sum())(x) ** 2).sum(), x[0])
