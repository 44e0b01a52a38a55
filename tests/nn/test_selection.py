"""Dropout, embeddings, one-hot vectors, the largest k, first weights."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj
from tests.nn.checks import same
from tracejit import nn

RNG = np.random.default_rng(12)
TABLE = RNG.normal(size=(4, 6))
KEY = tj.random.key(3)


def test_dropout():
    x = np.ones((200, 100), np.float32)
    kept = nn.dropout(KEY, x, 0.25)
    assert kept.dtype == np.float32 and set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(kept.mean() - 1) < 0.02
    np.testing.assert_array_equal(tj.grad(lambda x: nn.dropout(KEY, x, 0.25).sum())(x), kept)
    np.testing.assert_array_equal(nn.dropout(KEY, x, 0.25), kept)
    assert nn.dropout(KEY, x, 0.25, training=False) is x
    rows = nn.dropout(KEY, x, 0.5, shape=(200, 1))
    assert (rows == rows[:, :1]).all() and 0 < rows.mean() < 2
    np.testing.assert_array_equal(nn.dropout(KEY, x, 0.0), x)
    np.testing.assert_array_equal(tj.grad(lambda x: nn.dropout(KEY, x, 1.0).sum())(x), 0)
    with pytest.raises(tj.errors.ShapeError, match=r"the rate 1\.5"):
        nn.dropout(KEY, x, 1.5)


def test_embedding_adds_derivatives_up_row_by_row():
    ids = np.array([[0, 2], [2, 2]])
    same(nn.embedding(TABLE, ids), TABLE[ids])
    found = tj.grad(lambda t: (nn.embedding(t, ids) ** 2).sum())(TABLE)
    same(found, 2 * TABLE * np.array([1, 0, 3, 0])[:, None])
    assert nn.embedding(TABLE, ids[:0]).shape == (0, 2, 6)
    with pytest.raises(IndexError):
        nn.embedding(TABLE, np.array([4]))


def test_one_hot():
    np.testing.assert_array_equal(nn.one_hot(np.array([1, 0, 7, -1]), 3), [[0, 1, 0], [1, 0, 0], [0] * 3, [0] * 3])
    assert nn.one_hot([1], 3, np.float32).dtype == np.float32
    assert nn.one_hot(np.zeros((2, 4), int), 3, axis=0).shape == (3, 2, 4)
    assert nn.one_hot(np.zeros(0, int), 3).shape == (0, 3)


@pytest.mark.parametrize("axis", [0, 1])
def test_top_k_gives_equal_ones_in_order_of_position(axis):
    x = RNG.integers(0, 4, (5, 6)).astype(float)
    order = np.argsort(-x, axis=axis, kind="stable")
    first = order[:3] if axis == 0 else order[:, :3]
    values, positions = nn.top_k(x, 3, axis)
    np.testing.assert_array_equal(positions, first)
    np.testing.assert_array_equal(values, np.take_along_axis(x, first, axis))


def test_top_k_of_nan_of_nothing_and_of_too_few():
    np.testing.assert_array_equal(nn.top_k(np.array([3.0, np.nan, 3.0]), 2)[1], [1, 0])
    assert nn.top_k(TABLE, 0)[0].shape == (4, 0)
    slope = tj.grad(lambda x: (nn.top_k(x, 2)[0] * np.array([1.0, 2.0])).sum())(np.array([3.0, 1.0, 3.0]))
    np.testing.assert_array_equal(slope, [1, 0, 2])
    with pytest.raises(tj.errors.ShapeError, match="has no 7 elements"):
        nn.top_k(np.ones((3, 2, 6)), 7)
    some = tj.function(lambda x: nn.top_k(x, 3)[0])
    assert some(np.ones(4)).shape == some(np.ones(5)).shape == (3,)
    with pytest.raises(ValueError, match="no 3 largest of 2"):
        some(np.ones(2))


def test_in_top_k():
    scores = np.array([[1.0, 3.0, 2.0], [1.0, 3.0, 3.0], [np.nan, 0.0, 1.0]])
    np.testing.assert_array_equal(nn.in_top_k(scores, np.array([2, 2, 0]), 1), [False, True, False])
    np.testing.assert_array_equal(nn.in_top_k(scores, np.array([2, 0, 2]), 2), [True, False, True])


# ---- first weights -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", ["uniform", "normal", "truncated_normal"])
@pytest.mark.parametrize("fn, variance", [(nn.he, 2 / 300), (nn.glorot, 2 / 500), (nn.lecun, 1 / 300)])
def test_variance_follows_inputs_and_outputs(fn, variance, distribution):
    drawn = fn(KEY, (300, 200), distribution, np.float32)
    assert drawn.dtype == np.float32 and abs(drawn.var() / variance - 1) < 0.03 and abs(drawn.mean()) < 1e-3
    if distribution != "normal":
        bound = math.sqrt(3 * variance) if distribution == "uniform" else 2 * math.sqrt(variance) / 0.8796
        assert abs(drawn).max() <= bound * 1.001


def test_windows_count_as_inputs():
    assert abs(nn.lecun(KEY, (3, 3, 40, 50)).var() * 360 - 1) < 0.05
    assert abs(nn.variance_scaling(KEY, (3, 3, 40, 50), 3.0, "fan_out").var() * 450 / 3 - 1) < 0.05
    assert nn.glorot(KEY, ()).shape == () and nn.he(KEY, (5,)).shape == (5,)
    assert abs(nn.truncated_normal(KEY, (20000,), 0.5)).max() <= 1


def test_orthogonal():
    for shape in ((5, 3), (3, 5), (2, 2, 3)):
        q = nn.orthogonal(KEY, shape).reshape(-1, shape[-1])
        small = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
        np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)
    assert nn.orthogonal(KEY, (4, 4), dtype=np.float32).dtype == np.float32


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="mode='fan' is unknown"):
        nn.variance_scaling(KEY, (2, 3), mode="fan")
    with pytest.raises(ValueError, match="distribution='gauss' is unknown"):
        nn.he(KEY, (2, 3), "gauss")
    with pytest.raises(tj.errors.ShapeError, match="orthogonal"):
        nn.orthogonal(KEY, (3,))
