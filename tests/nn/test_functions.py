"""tj.nn against the definitions, written with loops; derivatives against differences."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn

RNG = np.random.default_rng(11)
V = RNG.normal(size=(4, 6))
IMAGES = RNG.normal(size=(2, 7, 6, 4))
SERIES = RNG.normal(size=(2, 5, 3))


def erf(x):
    return np.vectorize(math.erf)(x)


def logistic(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x), "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "sigmoid": logistic, "log_sigmoid": lambda x: np.log(logistic(x)), "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)), "silu": lambda x: x * logistic(x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))), "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6, "gelu": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "glu": lambda x: x[:, :3] * logistic(x[:, 3:]),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    fn = getattr(nn, name)
    np.testing.assert_allclose(fn(V), ACTIVATIONS[name](V), rtol=1e-12, atol=1e-14)
    weights = RNG.normal(size=fn(V).shape)
    check_gradient(lambda x: (fn(x) * weights).sum(), V)


def check_gradient(fn, x, rtol=1e-5):
    direction, h = RNG.normal(size=x.shape), 1e-6
    slope = (fn(x + h * direction) - fn(x - h * direction)) / (2 * h)
    np.testing.assert_allclose((tj.grad(fn)(x) * direction).sum(), slope, rtol=rtol, atol=1e-8)


def test_softmax_of_large_and_masked_logits():
    np.testing.assert_allclose(nn.softmax(np.array([1000.0, 1000.0])), 0.5)
    found = nn.softmax(np.array([1.0, 5.0, 1.0]), where=np.array([True, False, True]))
    np.testing.assert_allclose(found, [0.5, 0.0, 0.5])


# ---- normalisation, recurrence, attention ----------------------------------------------------------------------


def test_normalisations():
    def normal(x, axes, eps):
        return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    np.testing.assert_allclose(nn.layer_norm(V, 2.0, 1.0), normal(V, -1, 1e-5) * 2 + 1, rtol=1e-10)
    np.testing.assert_allclose(nn.rms_norm(V), V / np.sqrt((V * V).mean(-1, keepdims=True) + 1e-6), rtol=1e-12)
    grouped = normal(IMAGES.reshape(2, 7, 6, 2, 2), (1, 2, 4), 1e-5).reshape(IMAGES.shape)
    np.testing.assert_allclose(nn.group_norm(IMAGES, 2), grouped, rtol=1e-10, atol=1e-12)
    y, mean, variance = nn.batch_norm(IMAGES, np.zeros(4), np.ones(4), momentum=0.9)
    np.testing.assert_allclose(y, normal(IMAGES, (0, 1, 2), 1e-3), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(mean, 0.1 * IMAGES.mean((0, 1, 2)), rtol=1e-10)
    y, mean, variance = nn.batch_norm(IMAGES, mean, variance, training=False)
    np.testing.assert_allclose(y, (IMAGES - mean) / np.sqrt(variance + 1e-3), rtol=1e-10)
    check_gradient(lambda x: (nn.layer_norm(x) ** 3).sum(), V)


def test_lstm():
    kernel, recurrent, bias = RNG.normal(size=(3, 16)), RNG.normal(size=(4, 16)), RNG.normal(size=16)
    h = c = np.zeros((2, 4))
    expected = []
    for t in range(5):
        i, f, g, o = np.split(SERIES[:, t] @ kernel + h @ recurrent + bias, 4, -1)
        c = logistic(f) * c + logistic(i) * np.tanh(g)
        h = logistic(o) * np.tanh(c)
        expected.append(h)
    ys, (last_h, last_c) = nn.lstm(SERIES, kernel, recurrent, bias)
    np.testing.assert_allclose(ys, np.stack(expected, 1), rtol=1e-12)
    np.testing.assert_allclose(last_h, h, rtol=1e-12)
    np.testing.assert_allclose(last_c, c, rtol=1e-12)
    check_gradient(lambda w: (nn.lstm(SERIES, kernel, w, bias)[0] ** 2).sum(), recurrent)


def test_gru_and_simple_rnn():
    kernel, recurrent, bias = RNG.normal(size=(3, 12)), RNG.normal(size=(4, 12)), RNG.normal(size=12)
    h = np.zeros((2, 4))
    for t in range(5):
        (xz, xr, xc), (hz, hr, hc) = (np.split(v, 3, -1) for v in (SERIES[:, t] @ kernel + bias, h @ recurrent))
        z, r = logistic(xz + hz), logistic(xr + hr)
        h = z * h + (1 - z) * np.tanh(xc + r * hc)
    np.testing.assert_allclose(nn.gru(SERIES, kernel, recurrent, bias)[1], h, rtol=1e-12)
    h = np.zeros((2, 4))
    for t in range(5):
        h = np.tanh(SERIES[:, t] @ kernel[:, :4] + h @ recurrent[:, :4] + bias[:4])
    np.testing.assert_allclose(nn.simple_rnn(SERIES, kernel[:, :4], recurrent[:, :4], bias[:4])[1], h, rtol=1e-12)


def test_masks_reversal_and_truncation():
    kernel, recurrent, bias = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 4)), RNG.normal(size=4)
    mask = np.array([[True] * 5, [True, True, False, False, False]])
    ys, h = nn.simple_rnn(SERIES, kernel, recurrent, bias, mask=mask)
    np.testing.assert_allclose(h[1], nn.simple_rnn(SERIES[1:, :2], kernel, recurrent, bias)[1][0], rtol=1e-12)
    np.testing.assert_array_equal(ys[1, 2:], 0.0)
    back, _ = nn.simple_rnn(SERIES, kernel, recurrent, bias, reverse=True)
    np.testing.assert_allclose(back, nn.simple_rnn(SERIES[:, ::-1], kernel, recurrent, bias)[0][:, ::-1], rtol=1e-12)
    by_last = tj.grad(lambda x: nn.simple_rnn(x, kernel, recurrent, bias, truncate=2)[0][:, 4].sum())(SERIES)
    assert not by_last[:, :4].any() and by_last[:, 4].all()


def test_attention():
    q, k, v = (RNG.normal(size=(2, 5, 3, 4)) for _ in range(3))
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / 2
    def weighted(s):
        w = np.exp(s - s.max(-1, keepdims=True))
        return np.einsum("bhqk,bkhd->bqhd", w / w.sum(-1, keepdims=True), v)
    np.testing.assert_allclose(nn.attention(q, k, v), weighted(scores), rtol=1e-11)
    below = np.where(np.tril(np.ones((5, 5), bool)), scores, -np.inf)
    np.testing.assert_allclose(nn.attention(q, k, v, causal=True), weighted(below), rtol=1e-11)
    nowhere = np.ones((5, 5), bool)
    nowhere[2] = False
    found = nn.attention(q, k, v, mask=nowhere)
    np.testing.assert_array_equal(found[:, 2], 0.0)
    check_gradient(lambda q: (nn.attention(q, k, v, mask=nowhere) ** 2).sum(), q)


# ---- losses and choices ----------------------------------------------------------------------------------------


def test_losses():
    labels = np.array([0, 5, 2, 2])
    logs = V - np.log(np.exp(V).sum(-1, keepdims=True))
    np.testing.assert_allclose(nn.sparse_softmax_cross_entropy(V, labels), -logs[np.arange(4), labels], rtol=1e-12)
    np.testing.assert_allclose(nn.softmax_cross_entropy(V, np.eye(6)[labels]), -logs[np.arange(4), labels], rtol=1e-12)
    t = (V > 0) * 1.0
    p = logistic(V)
    np.testing.assert_allclose(nn.sigmoid_cross_entropy(V, t), -t * np.log(p) - (1 - t) * np.log(1 - p), rtol=1e-9)
    np.testing.assert_allclose(nn.mean_squared_error(V, 2 * V), (V ** 2).mean(-1))
    np.testing.assert_allclose(nn.mean_absolute_error(V, 2 * V), abs(V).mean(-1))
    np.testing.assert_allclose(nn.huber(V, 0 * V), np.where(abs(V) <= 1, V * V / 2, abs(V) - 0.5))
    q = np.array([0.0, 0.25, 0.75])
    np.testing.assert_allclose(nn.kl_divergence(np.log([0.2, 0.3, 0.5]), q), (q[1:] * np.log(q[1:] / [0.3, 0.5])).sum())
    np.testing.assert_allclose(nn.hinge(V, np.sign(V)), np.maximum(0, 1 - abs(V)))
    np.testing.assert_allclose(nn.l2_loss(V), (V ** 2).sum() / 2)
    check_gradient(lambda x: nn.sparse_softmax_cross_entropy(x, labels).sum(), V)


def test_choices():
    np.testing.assert_array_equal(nn.one_hot(np.array([1, 0, 7]), 3), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(nn.embedding(V, np.array([[0, 3]])), V[[[0, 3]]])
    values, at = nn.top_k(V, 2)
    np.testing.assert_array_equal(values, np.sort(V)[:, ::-1][:, :2])
    np.testing.assert_array_equal(np.take_along_axis(V, at, 1), values)
    np.testing.assert_array_equal(nn.in_top_k(V, np.argmax(V, 1), 1), True)
    by_row = tj.grad(lambda t: (nn.embedding(t, np.array([0, 2, 2])) ** 2).sum())(V)
    np.testing.assert_allclose(by_row, V * np.array([2, 0, 4, 0])[:, None])


def test_dropout_keeps_the_mean():
    x = np.ones(20000)
    kept = nn.dropout(tj.random.key(3), x, 0.25)
    assert set(np.unique(kept)) == {0.0, 1 / 0.75} and abs(kept.mean() - 1) < 0.02
    assert nn.dropout(tj.random.key(3), x, 0.25, training=False) is x


def test_initialisers():
    k = tj.random.key(0)
    assert abs(nn.he(k, (300, 200)).var() - 2 / 300) < 2e-4
    assert abs(nn.glorot(k, (300, 200)).var() - 2 / 500) < 2e-4
    assert abs(nn.lecun(k, (3, 3, 40, 50)).var() - 1 / 360) < 2e-4
    q = nn.orthogonal(k, (5, 3))
    np.testing.assert_allclose(q.T @ q, np.eye(3), atol=1e-12)
