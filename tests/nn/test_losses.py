"""Losses: formulas and derivatives, weights, smoothing, labels that are left out, logits at the ends."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.nn.checks import check_gradient, logistic, same, softmax
from tracejit import nn

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.base.errors.RetraceWarning")

RNG = np.random.default_rng(6)
LOGITS = RNG.normal(size=(4, 5)) * 2
LABELS = np.array([0, 4, 2, 2])
DENSE = softmax(RNG.normal(size=(4, 5)))
LOGS = np.log(softmax(LOGITS))
WEIGHTS = RNG.uniform(0.5, 2, size=5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropies(dtype):
    logits = LOGITS.astype(dtype)
    same(nn.softmax_cross_entropy(logits, DENSE.astype(dtype)), -(DENSE * LOGS).sum(-1))
    same(nn.sparse_softmax_cross_entropy(logits, LABELS), -LOGS[np.arange(4), LABELS])
    by_logits = tj.grad(lambda x: nn.sparse_softmax_cross_entropy(x, LABELS).sum())(logits)
    same(by_logits, softmax(LOGITS) - np.eye(5)[LABELS])
    same(tj.grad(lambda x: nn.softmax_cross_entropy(x, DENSE.astype(dtype)).sum())(logits), softmax(LOGITS) - DENSE)
    by_target = tj.grad(lambda t: nn.softmax_cross_entropy(logits, t).sum())(DENSE.astype(dtype))
    same(by_target, -LOGS)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [None, 0.2])
def test_sparse_and_dense_agree_on_weights_and_smoothing(weights, smoothing):
    options = {"weights": weights, "smoothing": smoothing}
    w, s = (np.ones(5) if weights is None else weights), smoothing or 0.0
    expected = -(((1 - s) * np.eye(5)[LABELS] + s / 5) * LOGS * w).sum(-1)
    same(nn.softmax_cross_entropy(LOGITS, np.eye(5)[LABELS], **options), expected)
    same(nn.sparse_softmax_cross_entropy(LOGITS, LABELS, **options), expected)
    turned = nn.sparse_softmax_cross_entropy(LOGITS.T, LABELS, axis=0, **options)
    same(turned, expected)
    same(nn.softmax_cross_entropy(LOGITS.T, np.eye(5)[LABELS].T, axis=0, **options), expected)
    check_gradient(lambda x: nn.sparse_softmax_cross_entropy(x, LABELS, **options).sum(), LOGITS)
    same(nn.smooth_labels(np.eye(5)[LABELS], 0.2), 0.8 * np.eye(5)[LABELS] + 0.04)


def test_examples_with_the_ignored_label_count_nothing():
    labels = np.array([0, -100, 2, -100])
    found = nn.sparse_softmax_cross_entropy(LOGITS, labels, ignore=-100, smoothing=0.1)
    assert found[1] == found[3] == 0 and found[0] > 0
    slope = tj.grad(lambda x: nn.sparse_softmax_cross_entropy(x, labels, ignore=-100).sum())(LOGITS)
    assert not slope[[1, 3]].any() and slope[[0, 2]].all()


def test_what_is_impossible_and_has_target_0_counts_nothing():
    logits, targets = np.array([[-np.inf, 0.0, 1.0]]), np.array([[0.0, 1.0, 0.0]])
    same(nn.softmax_cross_entropy(logits, targets), [np.log(1 + np.e)])
    slope = tj.grad(lambda x: nn.softmax_cross_entropy(x, targets).sum())(logits)
    same(slope, [[0, 1 / (1 + np.e) - 1, np.e / (1 + np.e)]])
    half = np.array([[0.5, 0.5, 0.0]])
    same(nn.kl_divergence(np.log([[0.5, 0.5, 1e-300]]), half), [0])
    assert nn.kl_divergence(np.array([[np.log(0.5), np.log(0.5), -np.inf]]), half) == [0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_cross_entropy_is_accurate_at_both_ends(dtype):
    x = np.array([-1e4, -30, -1, 0, 1, 30, 1e4], dtype)
    small = np.exp(-30.0)
    wide = x.astype(float)
    for t in (0.0, 0.3, 1.0):
        targets = np.full(7, t, dtype)
        exact = targets * np.logaddexp(0, -wide) + (1 - targets) * np.logaddexp(0, wide)
        same(nn.sigmoid_cross_entropy(x, targets), exact)
        same(tj.grad(lambda x: nn.sigmoid_cross_entropy(x, targets).sum())(x), logistic(wide) - targets)    # noqa: B023
    found = nn.sigmoid_cross_entropy(x, np.ones(7, dtype), positive_weight=3.0)
    same(found, 3 * np.logaddexp(0, -wide))
    assert abs(nn.sigmoid_cross_entropy(x, np.ones(7, dtype))[5] / small - 1) < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances(dtype):
    x, y = LOGITS.astype(dtype), DENSE.astype(dtype)
    d = LOGITS - DENSE
    same(nn.mean_squared_error(x, y), (d * d).mean(-1))
    same(nn.mean_squared_error(x, y, axis=None), (d * d).mean())
    same(nn.mean_absolute_error(x, y), abs(d).mean(-1))
    same(nn.huber(x, y, 0.5), np.where(abs(d) <= 0.5, d * d / 2, 0.5 * (abs(d) - 0.25)))
    same(nn.l2_loss(x), (LOGITS ** 2).sum() / 2)
    same(nn.kl_divergence(nn.log_softmax(x), y), (DENSE * (np.log(DENSE) - LOGS)).sum(-1))
    same(nn.hinge(x, np.sign(y - dtype(0.2))), np.maximum(0, 1 - LOGITS * np.sign(DENSE - 0.2)))
    assert {f(x, y).dtype for f in (nn.mean_squared_error, nn.huber, nn.kl_divergence)} == {np.dtype(dtype)}


def test_integer_targets_take_the_dtype_of_predictions():
    x, t = LOGITS.astype(np.float32), np.eye(5, dtype=int)[LABELS]
    for fn in (nn.softmax_cross_entropy, nn.sigmoid_cross_entropy, nn.mean_squared_error, nn.huber, nn.hinge):
        assert fn(x, t).dtype == np.float32
        same(fn(x, t), fn(x.astype(float), t))
        same(fn(x, t == 1), fn(x, t))


def test_derivatives_of_distances():
    check_gradient(lambda x: nn.huber(x, DENSE, 0.5).sum(), LOGITS)
    check_gradient(lambda x: nn.mean_squared_error(x, DENSE).sum(), LOGITS)
    check_gradient(lambda t: nn.kl_divergence(LOGS, t).sum(), DENSE)
    ends = tj.grad(lambda x: nn.huber(x, 0.0).sum())(np.array([-1e4, -1.0, 0.0, 1.0, 1e4]))
    np.testing.assert_array_equal(ends, [-1, -1, 0, 1, 1])


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(tj.errors.ShapeError, match="labels of shape .* do not fit logits"):
        nn.sparse_softmax_cross_entropy(LOGITS, LABELS[:3])
    with pytest.raises(tj.errors.DtypeError, match="labels are f64"):
        nn.sparse_softmax_cross_entropy(LOGITS, LABELS * 1.0)
    for label in (5, -1):
        with pytest.raises(IndexError, match=f"{label} is"):
            nn.sparse_softmax_cross_entropy(LOGITS, np.array([0, label, 0, 0]))


def test_batches_of_any_size_take_two_traces():
    loss = tj.function(lambda x, t: tj.value_and_grad(lambda x: nn.sparse_softmax_cross_entropy(x, t).sum())(x))
    for n in (4, 3, 2):
        value, slope = loss(LOGITS[:n], LABELS[:n])
        same(value, -LOGS[np.arange(n), LABELS[:n]].sum())
    assert len(loss.traces) == 2
    assert loss(LOGITS[:0], LABELS[:0])[1].shape == (0, 5)
    stacked = tj.vmap(nn.sparse_softmax_cross_entropy)(LOGITS[:, None], LABELS[:, None])
    same(stacked[:, 0], -LOGS[np.arange(4), LABELS])
