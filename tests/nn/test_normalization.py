"""Normalisations in both layouts: values, derivatives, running statistics, sizes of 0 and 1."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.nn.checks import check_gradient, same
from tracejit import nn

RNG = np.random.default_rng(7)
IMAGES = RNG.normal(size=(3, 4, 5, 6)) * 2 + 1      # batch, height, width, channels
FIRST = np.moveaxis(IMAGES, -1, 1)
SCALE, OFFSET = RNG.normal(size=6), RNG.normal(size=6)


def normal(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def in_groups(x, groups):
    split = x.reshape(*x.shape[:-1], groups, -1)
    return normal(split, (1, 2, 4), 1e-5).reshape(x.shape)


NORMALISATIONS = {
    "layer": (lambda x, s, o, axis: nn.layer_norm(x, s, o, axis=axis), lambda x: normal(x, -1, 1e-5)),
    "instance": (lambda x, s, o, axis: nn.instance_norm(x, s, o, axis=axis), lambda x: normal(x, (1, 2), 1e-5)),
    "group": (lambda x, s, o, axis: nn.group_norm(x, 3, s, o, axis=axis), lambda x: in_groups(x, 3)),
    "batch": (lambda x, s, o, axis: nn.batch_norm(x, np.zeros(6), np.ones(6), s, o, axis=axis)[0],
              lambda x: normal(x, (0, 1, 2), 1e-3)),
    "rms": (lambda x, s, o, axis: nn.rms_norm(x, s, axis=axis),
            lambda x: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6))}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NORMALISATIONS)
def test_both_layouts_and_precisions(name, dtype):
    fn, formula = NORMALISATIONS[name]
    expected = formula(IMAGES) * SCALE + (0 if name == "rms" else OFFSET)
    scale, offset = SCALE.astype(dtype), OFFSET.astype(dtype)
    found = fn(IMAGES.astype(dtype), scale, offset, -1)
    first = fn(FIRST.astype(dtype), scale, offset, 1)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(found, expected, **tolerance)
    np.testing.assert_allclose(np.moveaxis(np.asarray(first), 1, -1), expected, **tolerance)
    if name != "batch":
        assert found.dtype == dtype


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_derivatives(name):
    fn, _ = NORMALISATIONS[name]
    check_gradient(lambda x: (fn(x, SCALE, OFFSET, -1) ** 3).sum(), IMAGES)
    check_gradient(lambda x: (fn(x, SCALE, OFFSET, 1) ** 3).sum(), FIRST)
    check_gradient(lambda s: (fn(IMAGES, s, OFFSET, -1) ** 3).sum(), SCALE)


def test_several_axes_and_moments():
    scale = RNG.normal(size=(5, 6))
    same(nn.layer_norm(IMAGES, scale, axis=(-2, -1)), normal(IMAGES, (2, 3), 1e-5) * scale)
    mean, variance = nn.moments(IMAGES, (0, 2))
    same(mean, IMAGES.mean((0, 2)))
    same(variance, IMAGES.var((0, 2)))
    assert [type(m) for m in nn.moments(IMAGES, None)] == [np.float64] * 2
    assert [m.shape for m in nn.moments(IMAGES, -1, keepdims=True)] == [(3, 4, 5, 1)] * 2


def test_running_statistics_of_batch_norm():
    mean, variance = np.zeros(6, np.float32), np.ones(6, np.float32)
    step = tj.function(lambda x, m, v: nn.batch_norm(x, m, v, momentum=0.9))
    images = IMAGES.astype(np.float32)
    for _ in range(3):
        y, mean, variance = step(images, mean, variance)
    assert mean.dtype == variance.dtype == np.float32
    np.testing.assert_allclose(mean, (1 - 0.9 ** 3) * IMAGES.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.9 ** 3 + (1 - 0.9 ** 3) * IMAGES.var((0, 1, 2)), rtol=1e-5)
    y, *kept = nn.batch_norm(images, mean, variance, training=False)
    np.testing.assert_allclose(y, (images - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(kept, [mean, variance])


def test_an_empty_batch_leaves_running_statistics():
    y, mean, variance = nn.batch_norm(np.zeros((0, 4)), np.full(4, 2.0), np.full(4, 3.0))
    assert y.shape == (0, 4)
    np.testing.assert_array_equal([mean, variance], [[2.0] * 4, [3.0] * 4])
    for fn in (nn.layer_norm, nn.rms_norm, nn.instance_norm):
        assert fn(IMAGES[:0]).shape == (0, 4, 5, 6)
    assert nn.group_norm(IMAGES[:0], 3).shape == (0, 4, 5, 6)


def test_constant_and_large_rows():
    same(nn.layer_norm(np.full((2, 4), 3.0)), np.zeros((2, 4)))
    assert np.isfinite(tj.grad(lambda x: nn.layer_norm(x)[0, 0])(np.full((2, 4), 3.0))).all()
    for dtype in (np.float32, np.float64):
        row = np.array([[1e4, -1e4, 0, 1e4]], dtype)
        np.testing.assert_allclose(nn.layer_norm(row), normal(row.astype(float), -1, 1e-5), rtol=1e-5)


def test_wrong_groups_are_refused():
    with pytest.raises(tj.errors.ShapeError, match="6 channels can't be split into 4 groups"):
        nn.group_norm(IMAGES, 4)
    with pytest.raises(tj.errors.ShapeError, match="no axes of places"):
        nn.instance_norm(np.ones((3, 4)))
