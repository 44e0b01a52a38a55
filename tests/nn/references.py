"""Networks, their derivatives and optimizers written by hand with NumPy, one formula at a time.

Flows in:  parameters (dict of arrays) and a batch.
Flows out: the loss and a dict of gradients; updated parameters.
"""
from __future__ import annotations

import numpy as np


def logistic(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def cross_entropy(logits, labels):
    """The mean over examples, and its derivative."""
    shifted = logits - logits.max(1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(1, keepdims=True)
    at = np.arange(len(labels))
    loss = (np.log(total[:, 0]) - shifted[at, labels]).mean()
    slope = powers / total
    slope[at, labels] -= 1
    return loss, slope / slope.dtype.type(len(labels))


def mlp(p, x, labels):
    """relu, relu, softmax."""
    before1 = x @ p["w1"] + p["b1"]
    h1 = np.maximum(before1, 0)
    before2 = h1 @ p["w2"] + p["b2"]
    h2 = np.maximum(before2, 0)
    loss, d3 = cross_entropy(h2 @ p["w3"] + p["b3"], labels)
    d2 = (d3 @ p["w3"].T) * (before2 > 0)
    d1 = (d2 @ p["w2"].T) * (before1 > 0)
    return loss, {"w1": x.T @ d1, "b1": d1.sum(0), "w2": h1.T @ d2, "b2": d2.sum(0), "w3": h2.T @ d3, "b3": d3.sum(0)}


def cnn(p, x, labels):
    """3 x 3 convolution with same padding, relu, largest of 2 x 2, softmax. x: (batch, height, width, channels)."""
    n, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    before = np.zeros((n, height, width, p["k"].shape[-1]), x.dtype) + p["c"]
    for i in range(3):
        for j in range(3):
            before += padded[:, i:i + height, j:j + width] @ p["k"][i, j]
    h = np.maximum(before, 0)
    blocks = h.reshape(n, height // 2, 2, width // 2, 2, -1)
    pooled = blocks.max((2, 4))
    flat = pooled.reshape(n, -1)
    loss, d = cross_entropy(flat @ p["w"] + p["b"], labels)
    first = blocks == pooled[:, :, None, :, None]
    spread = (d @ p["w"].T).reshape(pooled.shape)[:, :, None, :, None] * first / first.sum((2, 4), keepdims=True)
    dh = spread.astype(x.dtype).reshape(h.shape) * (before > 0)
    dk = np.zeros_like(p["k"])
    for i in range(3):
        for j in range(3):
            dk[i, j] = np.tensordot(padded[:, i:i + height, j:j + width], dh, ((0, 1, 2), (0, 1, 2)))
    return loss, {"k": dk, "c": dh.sum((0, 1, 2)), "w": flat.T @ d, "b": d.sum(0)}


def lstm(p, x, targets):
    """An LSTM over time, a linear layer on each output, mean squared error. x: (batch, time, features)."""
    n, time, _ = x.shape
    h = c = np.zeros((n, p["u"].shape[0]), x.dtype)
    steps, ys = [], []
    for t in range(time):
        i, f, g, o = np.split(x[:, t] @ p["k"] + h @ p["u"] + p["b"], 4, 1)
        i, f, g, o = logistic(i), logistic(f), np.tanh(g), logistic(o)
        steps.append((h, c, i, f, g, o))
        c = f * c + i * g
        h = o * np.tanh(c)
        ys.append((h, c))
    outs = np.stack([h for h, _ in ys], 1)
    error = outs @ p["w"] + p["v"] - targets
    loss = (error * error).mean()
    d_error = 2 * error / error.dtype.type(error.size)
    d_outs = d_error @ p["w"].T
    grads = {name: np.zeros_like(a) for name, a in p.items()}
    grads["w"] = np.tensordot(outs, d_error, ((0, 1), (0, 1)))
    grads["v"] = d_error.sum((0, 1))
    dh = dc = np.zeros_like(h)
    for t in reversed(range(time)):
        h, c, i, f, g, o = steps[t]
        squashed = np.tanh(ys[t][1])
        dh = dh + d_outs[:, t]
        dc = dc + dh * o * (1 - squashed * squashed)
        gates = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g),
                                dh * squashed * o * (1 - o)], 1)
        grads["k"] += x[:, t].T @ gates
        grads["u"] += h.T @ gates
        grads["b"] += gates.sum(0)
        dh, dc = gates @ p["u"].T, dc * f
    return loss, grads


# ---- optimizers --------------------------------------------------------------------------------------------------


def sgd(p, g, state, rate):
    return {k: p[k] - p[k].dtype.type(rate) * g[k] for k in p}, state


def momentum(p, g, state, rate):
    velocity = {k: p[k].dtype.type(0.9) * state.get(k, np.zeros_like(p[k])) + g[k] for k in p}
    return {k: p[k] - p[k].dtype.type(rate) * velocity[k] for k in p}, velocity


def adam(p, g, state, rate):
    count = state.get("count", 0) + 1
    made, after = {}, {"count": count}
    for k, x in p.items():
        number = x.dtype.type
        mean, square = state.get(k, (np.zeros_like(x), np.zeros_like(x)))
        mean = number(0.9) * mean + number(0.1) * g[k]
        square = number(0.999) * square + number(0.001) * g[k] * g[k]
        after[k] = mean, square
        made[k] = x - number(rate) * (mean / number(1 - 0.9 ** count)) / (
            np.sqrt(square / number(1 - 0.999 ** count)) + number(1e-8))
    return made, after
