"""Gradients over large arrays have the same bits on any number of threads."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.xla_lite.runtime.threads import thread_pool

N = 300_000
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=N), RNG.normal(size=N)
M = RNG.normal(size=(600, 500))
ROWS = RNG.integers(0, 600, 2000)


def chain(x, y):
    return (np.sin(x) * np.exp(-y * y) / (1 + x * x)).sum()


def loss_of_rows(m):
    z = m - m.max(axis=1, keepdims=True)
    return (np.log(np.exp(z).sum(axis=1)) - z[:, 3]).mean() + np.tanh(m).var()


def products(m):
    return (np.tanh(m @ m.T) ** 2).sum() + (m.T @ m).max()


def gathered(m):
    return (np.sort(m, axis=1)[ROWS] ** 2).sum() + np.cumsum(m, axis=0)[-1].prod()


def in_loops(x, y):
    u = x
    for _ in range(5):
        u = np.where(u > 0, 0.5 * u + np.sin(y), u * y)
    return (u ** 2).sum()


@pytest.mark.parametrize(("fn", "args"), [(chain, (X, Y)), (loss_of_rows, (M,)), (products, (M,)), (gathered, (M,)),
                                          (in_loops, (X, Y))], ids=lambda v: getattr(v, "__name__", ""))
def test_gradients_have_the_same_bits_on_any_number_of_threads(fn, args):
    gradient, pool = tj.value_and_grad(fn, argnums=tuple(range(len(args)))), thread_pool()
    before = pool.threads
    try:
        results = []
        for threads in (1, 2, 3):
            pool.set_threads(threads)
            value, found = gradient(*args)
            results.append((np.asarray(value).tobytes(), *(g.tobytes() for g in found)))
    finally:
        pool.set_threads(before)
    assert results[0] == results[1] == results[2]
