"""The networks of `references` written with tj.nn, their first parameters and data, and a training loop.

As a program, `python -m tests.nn.networks`, it prints a digest of what each has learnt.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import tracejit as tj
from tests.nn import references
from tracejit import nn, optim


def mlp(p, x, labels):
    h = nn.relu(x @ p["w1"] + p["b1"])
    h = nn.relu(h @ p["w2"] + p["b2"])
    return nn.sparse_softmax_cross_entropy(h @ p["w3"] + p["b3"], labels).mean()


def cnn(p, x, labels):
    h = nn.max_pool(nn.relu(nn.conv2d(x, p["k"], padding="same") + p["c"]), 2)
    return nn.sparse_softmax_cross_entropy(h.reshape(x.shape[0], -1) @ p["w"] + p["b"], labels).mean()


def lstm(p, x, targets):
    ys, _ = nn.lstm(x, p["k"], p["u"], p["b"])
    return ((ys @ p["w"] + p["v"] - targets) ** 2).mean()


@dataclass(frozen=True)
class Network:
    """loss, reference: (parameters, *batch) -> loss; the reference gives gradients too.  optimizer, update: the same
    rule twice.  shapes: of parameters, by size of the test.
    """

    loss: Callable
    reference: Callable
    optimizer: object
    update: Callable
    rate: float
    shapes: Callable
    batch: Callable


def _mlp_shapes(n):
    return {"w1": (12 * n, 16 * n), "b1": (16 * n,), "w2": (16 * n, 8 * n), "b2": (8 * n,), "w3": (8 * n, 4),
            "b3": (4,)}


def _cnn_shapes(n):
    return {"k": (3, 3, 2 * n, 4 * n), "c": (4 * n,), "w": (9 * 4 * n, 3), "b": (3,)}


def _lstm_shapes(n):
    return {"k": (3 * n, 20 * n), "u": (5 * n, 20 * n), "b": (20 * n,), "w": (5 * n, 2), "v": (2,)}


NETWORKS = {
    "mlp": Network(mlp, references.mlp, optim.SGD(0.3), references.sgd, 0.3, _mlp_shapes,
                   lambda r, n: (r.normal(size=(20 * n, 12 * n)), r.integers(0, 4, 20 * n))),
    "cnn": Network(cnn, references.cnn, optim.SGD(0.05, momentum=0.9), references.momentum, 0.05, _cnn_shapes,
                   lambda r, n: (r.normal(size=(8 * n, 6, 6, 2 * n)), r.integers(0, 3, 8 * n))),
    "lstm": Network(lstm, references.lstm, optim.Adam(0.01), references.adam, 0.01, _lstm_shapes,
                    lambda r, n: (r.normal(size=(4 * n, 7, 3 * n)), r.normal(size=(4 * n, 7, 2)))),
}


def start(network, size, dtype):
    """First parameters and the batch."""
    r = np.random.default_rng(3)
    shapes = network.shapes(size)
    params = {k: (r.normal(size=s) / np.sqrt(np.prod(s[:-1]) or 1)).astype(dtype) for k, s in shapes.items()}
    batch = network.batch(r, size)
    return params, [a.astype(dtype) if a.dtype.kind == "f" else a for a in batch]


def train(network, steps, size=1, dtype=np.float64):
    """Losses and parameters after `steps` steps; the compiled step."""
    params, batch = start(network, size, dtype)
    optimizer, loss = network.optimizer, network.loss

    @tj.function
    def step(params, state, *batch):
        value, grads = tj.value_and_grad(loss)(params, *batch)
        params, state = optimizer.update(grads, state, params)
        return value, params, state

    state, losses = optimizer.init(params), []
    for _ in range(steps):
        value, params, state = step(params, state, *batch)
        losses.append(value)
    return np.array(losses), params, step


def train_by_hand(network, steps, size=1, dtype=np.float64):
    params, batch = start(network, size, dtype)
    state, losses = {}, []
    for _ in range(steps):
        value, grads = network.reference(params, *batch)
        params, state = network.update(params, grads, state, network.rate)
        losses.append(value)
    return np.array(losses), params


def digest(name):
    """Of losses and parameters after some steps at a size where threads share the work."""
    losses, params, _ = train(NETWORKS[name], 4, size=16, dtype=np.float32)
    found = hashlib.sha256(losses.tobytes())
    for key in sorted(params):
        found.update(params[key].tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    print(*[f"{name}:{digest(name)}" for name in NETWORKS])
