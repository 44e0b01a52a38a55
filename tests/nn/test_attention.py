"""Attention against its formula: masks, causality, groups of heads, rows that may look nowhere."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.nn.checks import check_gradient, same
from tracejit import nn

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.base.errors.RetraceWarning")

RNG = np.random.default_rng(10)
Q, K, V = (RNG.normal(size=(2, n, 4, w)) for n, w in ((5, 6), (7, 6), (7, 3)))


def formula(q, k, v, allowed=True, bias=0.0, scale=None):
    repeats = q.shape[-2] // k.shape[-2]
    k, v = np.repeat(k, repeats, -2), np.repeat(v, repeats, -2)
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale) + bias
    powers = np.exp(scores) * allowed
    total = powers.sum(-1, keepdims=True)
    return np.einsum("bhqk,bkhd->bqhd", powers / np.where(total == 0, 1, total), v)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(dtype):
    q, k, v = (x.astype(dtype) for x in (Q, K, V))
    bias, mask = RNG.normal(size=(4, 5, 7)).astype(dtype), RNG.random((2, 1, 5, 7)) < 0.6
    causal = np.tril(np.ones((5, 7), bool), 2)
    assert nn.attention(q, k, v).dtype == dtype
    same(nn.attention(q, k, v), formula(Q, K, V))
    same(nn.attention(q, k, v, bias=bias, scale=0.3), formula(Q, K, V, bias=bias, scale=0.3))
    same(nn.attention(q, k, v, mask=mask), formula(Q, K, V, mask))
    same(nn.attention(q, k, v, causal=True), formula(Q, K, V, causal))
    same(nn.attention(q, k, v, mask=mask, causal=True), formula(Q, K, V, mask & causal))


@pytest.mark.parametrize("heads", [1, 2])
def test_heads_of_keys_serve_groups(heads):
    k, v = K[:, :, :heads], V[:, :, :heads]
    same(nn.attention(Q, k, v), formula(Q, k, v))
    check_gradient(lambda k: (nn.attention(Q, k, v, causal=True) ** 2).sum(), k)


def test_derivatives():
    mask = RNG.random((5, 7)) < 0.5
    mask[2] = False
    for options in ({}, {"causal": True}, {"mask": mask}):
        check_gradient(lambda q: (nn.attention(q, K, V, **options) ** 2).sum(), Q)    # noqa: B023
        check_gradient(lambda k: (nn.attention(Q, k, V, **options) ** 2).sum(), K)    # noqa: B023
        check_gradient(lambda v: (nn.attention(Q, K, v, **options) ** 2).sum(), V)    # noqa: B023


def test_queries_that_may_look_nowhere_give_0():
    mask = np.ones((5, 7), bool)
    mask[1] = False
    found = nn.attention(Q, K, V, mask=mask)
    assert not found[:, 1].any() and found[:, 0].all()
    slope = tj.grad(lambda q: nn.attention(q, K, V, mask=mask).sum())(Q)
    assert np.isfinite(slope).all() and not slope[:, 1].any()
    longer = nn.attention(K, Q, Q, causal=True)         # 7 queries, 5 keys: the first two see nothing
    assert not longer[:, :2].any() and longer[:, 2:].all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_scores(dtype):
    q, k = (100 * x.astype(dtype) for x in (Q, K))
    found = nn.attention(q, k, V.astype(dtype))
    best = np.einsum("bqhd,bkhd->bhqk", Q, K).argmax(-1)
    same(found, np.take_along_axis(V.swapaxes(1, 2), best[..., None], 2).swapaxes(1, 2).astype(dtype))
    assert np.isfinite(tj.grad(lambda q: nn.attention(q, k, V.astype(dtype)).sum())(q)).all()


def test_sizes():
    assert nn.attention(Q[:0], K[:0], V[:0]).shape == (0, 5, 4, 3)
    assert not nn.attention(Q, K[:, :0], V[:, :0]).any()
    same(nn.attention(Q[0], K[0], V[0], causal=True), nn.attention(Q, K, V, causal=True)[0])
    causal = tj.function(lambda q: nn.attention(q, q, q, causal=True))
    for length in (5, 4, 3):
        same(causal(Q[:, :length]), causal(Q)[:, :length])
    assert len(causal.traces) == 2
    same(tj.vmap(nn.attention)(Q[:, None], K[:, None], V[:, None])[:, 0], nn.attention(Q, K, V))


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(tj.errors.ShapeError, match="4 heads of queries, 3 of keys"):
        nn.attention(Q, K[:, :, :3], V[:, :, :3])
    with pytest.raises(tj.errors.ShapeError, match="attention got"):
        nn.attention(Q[0, 0], K[0, 0], V[0, 0])
