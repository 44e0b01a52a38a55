"""tj.nn against PyTorch and JAX, values and derivatives, where they are installed."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.base.errors.RetraceWarning")

RNG = np.random.default_rng(13)
X = RNG.normal(size=(4, 5, 6)).astype(np.float32)
LABELS = np.array([1, 0, 4, 2])
CLOSE = {"rtol": 2e-5, "atol": 2e-6}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def jax():
    return pytest.importorskip("jax")


def compare_torch(torch, mine, theirs, *arrays):
    """Both functions, and their derivatives along fixed weights."""
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = theirs(*tensors)
    found = mine(*arrays)
    np.testing.assert_allclose(found, out.detach().numpy(), **CLOSE)
    weights = RNG.normal(size=np.shape(found)).astype(np.float32)
    (out * torch.tensor(weights)).sum().backward()
    slopes = tj.grad(lambda *a: (mine(*a) * weights).sum(), argnums=tuple(range(len(arrays))))(*arrays)
    for slope, tensor in zip(slopes, tensors, strict=True):
        np.testing.assert_allclose(slope, tensor.grad.numpy(), rtol=2e-4, atol=2e-5)


ACTIVATIONS = {"hard_tanh": "hardtanh", "hard_sigmoid": "hardsigmoid", "hard_swish": "hardswish",
               "log_sigmoid": "logsigmoid",
               **{n: n for n in ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "gelu",
                                 "softplus", "softsign", "glu", "sigmoid")}}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_torch(torch, name):
    compare_torch(torch, getattr(nn, name), getattr(torch.nn.functional, ACTIVATIONS[name]), X * 4)


def test_normalisations_of_torch(torch):
    functional = torch.nn.functional
    scale, offset = (RNG.normal(size=5).astype(np.float32) for _ in range(2))
    zeros, ones = np.zeros(5, np.float32), np.ones(5, np.float32)
    compare_torch(torch, lambda x, s, o: nn.batch_norm(x, zeros, ones, s, o, axis=1, epsilon=1e-5)[0],
                  lambda x, s, o: functional.batch_norm(x, torch.zeros(5), torch.ones(5), s, o, True), X, scale, offset)
    compare_torch(torch, lambda x, s, o: nn.instance_norm(x, s, o, axis=1),
                  lambda x, s, o: functional.instance_norm(x, weight=s, bias=o), X, scale, offset)
    wide, narrow = (RNG.normal(size=6).astype(np.float32) for _ in range(2))
    compare_torch(torch, nn.layer_norm, lambda x, s, o: functional.layer_norm(x, (6,), s, o), X, wide, narrow)
    images = RNG.normal(size=(2, 6, 3, 4)).astype(np.float32)
    compare_torch(torch, lambda x, s, o: nn.group_norm(x, 3, s, o, axis=1),
                  lambda x, s, o: functional.group_norm(x, 3, s, o), images, wide, narrow)


def test_losses_of_torch(torch):
    functional, weights = torch.nn.functional, RNG.uniform(0.5, 2, 6).astype(np.float32)
    logits, labels = X[:, 0], torch.tensor(LABELS)
    compare_torch(torch, lambda x: nn.sparse_softmax_cross_entropy(x, LABELS, weights=weights, smoothing=0.1),
                  lambda x: functional.cross_entropy(x, labels, torch.tensor(weights), label_smoothing=0.1,
                                                     reduction="none"), logits)
    compare_torch(torch, lambda x: nn.sparse_softmax_cross_entropy(x, LABELS, ignore=4),
                  lambda x: functional.cross_entropy(x, labels, ignore_index=4, reduction="none"), logits)
    targets = RNG.random((4, 6)).astype(np.float32)
    compare_torch(torch, lambda x, t: nn.sigmoid_cross_entropy(x, t, 2.0),
                  lambda x, t: functional.binary_cross_entropy_with_logits(x, t, pos_weight=torch.tensor(2.0),
                                                                           reduction="none"), logits, targets)
    compare_torch(torch, lambda x, t: nn.huber(x, t, 0.7),
                  lambda x, t: functional.huber_loss(x, t, delta=0.7, reduction="none"), logits, targets)
    compare_torch(torch, lambda x, t: nn.kl_divergence(nn.log_softmax(x), t),
                  lambda x, t: functional.kl_div(functional.log_softmax(x, -1), t, reduction="none").sum(-1),
                  logits, targets)


def weights_of(module, gates, order=None):
    """Kernel, recurrent weights, biases of a torch module; its gates in our order."""
    found = []
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        parts = np.split(getattr(module, name).detach().numpy(), gates)
        found.append(np.concatenate([parts[k] for k in order or range(gates)]).T.copy())
    return found


@pytest.mark.parametrize("reverse", [False, True])
def test_lstm_of_torch(torch, reverse):
    module = torch.nn.LSTM(6, 3, batch_first=True, bidirectional=True)
    suffix = "_reverse" if reverse else ""
    one = torch.nn.LSTM(6, 3, batch_first=True)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        getattr(one, name).data = getattr(module, name + suffix).data
    kernel, recurrent, b1, b2 = weights_of(one, 4)
    at = slice(3, 6) if reverse else slice(3)
    compare_torch(torch, lambda x: nn.lstm(x, kernel, recurrent, b1 + b2, reverse=reverse)[0],
                  lambda x: module(x)[0][..., at], X)


def test_gru_and_rnn_of_torch(torch):
    gru = torch.nn.GRU(6, 3, batch_first=True)
    kernel, recurrent, b1, b2 = weights_of(gru, 3, order=(1, 0, 2))
    compare_torch(torch, lambda x: nn.gru(x, kernel, recurrent, b1, b2)[0], lambda x: gru(x)[0], X)
    rnn = torch.nn.RNN(6, 3, batch_first=True)
    kernel, recurrent, b1, b2 = weights_of(rnn, 1)
    compare_torch(torch, lambda x: nn.simple_rnn(x, kernel, recurrent, b1 + b2)[0], lambda x: rnn(x)[0], X)


def test_attention_of_torch(torch):
    q, k, v = (RNG.normal(size=(2, n, h, 4)).astype(np.float32) for n, h in ((5, 4), (5, 2), (5, 2)))
    first = torch.nn.functional.scaled_dot_product_attention
    for causal in (False, True):
        compare_torch(torch, lambda q, k, v: nn.attention(q, k, v, causal=causal),    # noqa: B023
                      lambda q, k, v: first(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=causal,    # noqa: B023
                                            enable_gqa=True).transpose(1, 2), q, k, v)


def test_attention_and_softmax_of_jax(jax):
    q, k, v = (RNG.normal(size=(2, 5, h, 4)).astype(np.float32) for h in (4, 2, 2))
    theirs = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    np.testing.assert_allclose(nn.attention(q, k, v, causal=True), theirs, **CLOSE)
    mask = RNG.random((4, 5, 6)) < 0.5
    np.testing.assert_allclose(nn.softmax(X, where=mask), jax.nn.softmax(X, where=mask), **CLOSE)
    by_x = jax.grad(lambda x: (jax.nn.softmax(x, where=mask) ** 2).sum())(X)
    np.testing.assert_allclose(tj.grad(lambda x: (nn.softmax(x, where=mask) ** 2).sum())(X), by_x, **CLOSE)


def test_initialisers_of_jax(jax):
    key = jax.random.key(5)
    for mine, theirs in ((nn.he, jax.nn.initializers.he_normal()), (nn.glorot, jax.nn.initializers.glorot_uniform()),
                         (nn.lecun, jax.nn.initializers.lecun_normal())):
        found = mine(jax.random.key_data(key).__array__(), (20, 30), dtype=np.float32)
        expected = theirs(key, (20, 30), "float32")
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
