"""Sequences, forward and backward: LSTM and GRU over time, attention.

Flows in: series, weights of all gates side by side; queries, keys and values.  Flows out: `WORKLOADS`.

Each gives half the sum of squares of its outputs, and the derivatives by its weights; attention by all it is given.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import bench.workloads.recurrent_peers as peers
from tracejit.cli.harness.workload import Case, Workload

ONLY_LIBRARIES = frozenset({"drjit", "numexpr", "numba", "torch.compile", "tensorflow"})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, kernel, recurrent, bias):
    """By hand: gates i, f, g, o; x (batch, time, features)."""
    h = c = np.zeros((x.shape[0], recurrent.shape[0]), x.dtype)
    rounds, ys = [], []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        new = f * c + i * g
        rounds.append((h, c, i, f, g, o, np.tanh(new)))
        c, h = new, o * rounds[-1][-1]
        ys.append(h)
    by_gates = np.empty((x.shape[1], x.shape[0], kernel.shape[1]), x.dtype)
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(x.shape[1])):
        _, before, i, f, g, o, squashed = rounds[t]
        dh = dh + ys[t]
        dc = dc + dh * o * (1 - squashed * squashed)
        by_gates[t] = np.concatenate([dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g),
                                      dh * squashed * o * (1 - o)], axis=1)
        dh, dc = by_gates[t] @ recurrent.T, dc * f
    loss = sum((y * y).sum() for y in ys) / 2
    hs = np.stack([r[0] for r in rounds])
    return loss, (np.tensordot(x, by_gates, ((1, 0), (0, 1))), np.tensordot(hs, by_gates, ((0, 1), (0, 1))),
                  by_gates.sum((0, 1)))


def gru_step(x, kernel, recurrent, bias):
    """By hand: gates z, r and the candidate, whose recurrent part the gate r multiplies."""
    units = recurrent.shape[0]
    h = np.zeros((x.shape[0], units), x.dtype)
    rounds, ys = [], []
    for t in range(x.shape[1]):
        ours, inner = x[:, t] @ kernel + bias, h @ recurrent
        z, r = sigmoid(ours[:, :units] + inner[:, :units]), sigmoid(ours[:, units:-units] + inner[:, units:-units])
        new = np.tanh(ours[:, -units:] + r * inner[:, -units:])
        rounds.append((h, z, r, new, inner[:, -units:]))
        h = z * h + (1 - z) * new
        ys.append(h)
    by_ours = np.empty((x.shape[1], x.shape[0], 3 * units), x.dtype)
    by_inner = np.empty_like(by_ours)
    dh = np.zeros_like(h)
    for t in reversed(range(x.shape[1])):
        before, z, r, new, part = rounds[t]
        dh = dh + ys[t]
        dn = dh * (1 - z) * (1 - new * new)
        dz, dr = dh * (before - new) * z * (1 - z), dn * part * r * (1 - r)
        by_ours[t], by_inner[t] = np.concatenate([dz, dr, dn], axis=1), np.concatenate([dz, dr, dn * r], axis=1)
        dh = dh * z + by_inner[t] @ recurrent.T
    loss = sum((y * y).sum() for y in ys) / 2
    hs = np.stack([r[0] for r in rounds])
    return loss, (np.tensordot(x, by_ours, ((1, 0), (0, 1))), np.tensordot(hs, by_inner, ((0, 1), (0, 1))),
                  by_ours.sum((0, 1)))


def attention_step(query, key, value):
    """By hand: causal, (batch, length, heads, width)."""
    q, k, v = (np.moveaxis(a, 2, 1) for a in (query, key, value))
    factor = np.float32(q.shape[-1] ** -0.5)
    scores = np.where(np.tri(q.shape[2], dtype=bool), q @ k.swapaxes(2, 3) * factor, np.float32(-np.inf))
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = powers / powers.sum(axis=-1, keepdims=True)
    y = weights @ v
    by_weights = y @ v.swapaxes(2, 3)
    by_scores = weights * (by_weights - (by_weights * weights).sum(axis=-1, keepdims=True)) * factor
    grads = by_scores @ k, by_scores.swapaxes(2, 3) @ q, weights.swapaxes(2, 3) @ y
    return (y * y).sum() / 2, tuple(np.moveaxis(g, 1, 2) for g in grads)


# ---- tracejit -------------------------------------------------------------------------------------------------------


def half_square(y):
    return (y * y).sum() / 2


def tracejit_network(name: str) -> Callable[[], Callable[..., Any]]:
    def build() -> Callable[..., Any]:
        import tracejit as tj

        network = getattr(tj.nn, name)
        return tj.function(lambda x, *weights: tj.value_and_grad(
            lambda weights: half_square(network(x, *weights)[0]))(weights))

    return build


def tracejit_attention() -> Callable[..., Any]:
    import tracejit as tj

    return tj.function(lambda *given: tj.value_and_grad(
        lambda given: half_square(tj.nn.attention(*given, causal=True)))(given))


# ---- inputs ---------------------------------------------------------------------------------------------------------


def series(gates: int) -> Callable[..., tuple[Any, ...]]:
    """(batch, time, units) -> series of as many features as units, and weights."""
    def made(size: tuple[int, int, int], r: np.random.Generator) -> tuple[Any, ...]:
        batch, time, units = size
        shapes = (batch, time, units), (units, gates * units), (units, gates * units), (gates * units,)
        return tuple((r.normal(size=s) * k).astype(np.float32) for s, k in zip(
            shapes, (1.0, units**-0.5, units**-0.5, 0.1)))

    return made


def heads(size: tuple[int, int, int, int], r: np.random.Generator) -> tuple[Any, ...]:
    return tuple(r.normal(size=size).astype(np.float32) for _ in range(3))


def network(name: str, text: Callable[..., Any], gates: int, others: dict[str, Any]) -> Workload:
    return Workload(
        name=name.upper(), numpy=text, inputs=series(gates),
        cases=(Case("32x64x128", (32, 64, 128), 1.1, 0.8, flops=2.0 * 32 * 64 * 128 * 128 * gates * 5),
               Case("1x200x64", (1, 200, 64), 1.1, 0.8)),
        smoke=(2, 3, 4), peers={"tracejit": tracejit_network(name), **others}, complete=True, skip=ONLY_LIBRARIES,
        rtol=5e-4)


WORKLOADS = [
    network("lstm", lstm_step, 4, peers.LSTM),
    network("gru", gru_step, 3, peers.GRU),
    Workload(
        name="attention", numpy=attention_step, inputs=heads,
        cases=(Case("8x128x8x64", (8, 128, 8, 64), 1.1, 0.8), Case("2x512x8x64", (2, 512, 8, 64), 1.1, 0.8)),
        smoke=(2, 5, 2, 4), peers={"tracejit": tracejit_attention, **peers.ATTENTION}, complete=True,
        skip=ONLY_LIBRARIES, rtol=5e-4),
]
