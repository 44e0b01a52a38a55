"""Recurrent networks against loops written with NumPy: values and derivatives of all arguments, masks, directions."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.nn.checks import check_gradient, logistic, same
from tracejit import nn

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.base.errors.RetraceWarning")

RNG = np.random.default_rng(8)
X = RNG.normal(size=(2, 5, 3))
MASK = np.array([[True] * 5, [True, True, False, True, False]])


def rnn_cell(states, inputs, recurrent, more):
    return [np.tanh(inputs + states[0] @ recurrent)]


def lstm_cell(states, inputs, recurrent, more):
    i, f, g, o = np.split(inputs + states[0] @ recurrent, 4, -1)
    c = logistic(f) * states[1] + logistic(i) * np.tanh(g)
    return [logistic(o) * np.tanh(c), c]


def gru_cell(states, inputs, recurrent, more):
    inner = states[0] @ recurrent + more
    (xz, xr, xc), (hz, hr, hc) = np.split(inputs, 3, -1), np.split(inner, 3, -1)
    z, r = logistic(xz + hz), logistic(xr + hr)
    return [z * states[0] + (1 - z) * np.tanh(xc + r * hc)]


CELLS = {"simple_rnn": (rnn_cell, 1, 1), "lstm": (lstm_cell, 4, 2), "gru": (gru_cell, 3, 1)}


def parameters(name, dtype=np.float64):
    gates = CELLS[name][1]
    r = np.random.default_rng(9)
    return [r.normal(size=s).astype(dtype) * 0.7 for s in ((3, gates * 4), (4, gates * 4), (gates * 4,))]


def expected(name, x, weights, states=None, mask=None, reverse=False):
    """Outputs and last states."""
    cell, gates, count = CELLS[name]
    kernel, recurrent, bias = weights
    states = [np.zeros((len(x), 4))] * count if states is None else list(states)
    ys = np.zeros((*x.shape[:2], 4))
    for t in reversed(range(x.shape[1])) if reverse else range(x.shape[1]):
        new = cell(states, x[:, t] @ kernel + bias, recurrent, 0.0)
        valid = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None]
        states = [np.where(valid, a, b) for a, b in zip(new, states, strict=True)]
        ys[:, t] = np.where(valid, states[0], 0)
    return ys, states


def flat(last):
    return list(last) if isinstance(last, tuple) else [last]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_outputs_and_states(name, reverse, dtype):
    weights = parameters(name, dtype)
    for mask in (None, MASK):
        ys, last = getattr(nn, name)(X.astype(dtype), *weights, mask=mask, reverse=reverse)
        want, states = expected(name, X, weights, mask=mask, reverse=reverse)
        assert ys.dtype == dtype
        same(ys, want)
        for found, state in zip(flat(last), states, strict=True):
            same(found, state)


@pytest.mark.parametrize("name", CELLS)
def test_first_states_time_major_and_no_bias(name):
    kernel, recurrent, bias = parameters(name)
    states = tuple(RNG.normal(size=(2, 4)) for _ in range(CELLS[name][2]))
    given = states if len(states) > 1 else states[0]
    fn = getattr(nn, name)
    ys, last = fn(X, kernel, recurrent, bias, state=given)
    want, ends = expected(name, X, (kernel, recurrent, bias), states)
    same(ys, want)
    major, _ = fn(np.swapaxes(X, 0, 1), kernel, recurrent, bias, state=given, time_major=True)
    same(np.swapaxes(major, 0, 1), want)
    same(fn(X, kernel, recurrent)[0], expected(name, X, (kernel, recurrent, 0))[0])
    head, middle = fn(X[:, :2], kernel, recurrent, bias, state=given)
    same(fn(X[:, 2:], kernel, recurrent, bias, state=middle)[0], want[:, 2:])


@pytest.mark.parametrize("mask, reverse", [(None, False), (MASK, True)])
@pytest.mark.parametrize("name", CELLS)
def test_derivatives_of_every_argument(name, mask, reverse):
    arguments = [X, *parameters(name), *(RNG.normal(size=(2, 4)) for _ in range(CELLS[name][2]))]
    weights = RNG.normal(size=(2, 5, 4))

    def loss(*given):
        state = tuple(given[4:]) if len(given) > 5 else given[4]
        ys, last = getattr(nn, name)(*given[:4], state=state, mask=mask, reverse=reverse)
        return (ys * weights).sum() + sum((s ** 2).sum() for s in (last if isinstance(last, tuple) else (last,)))

    slopes = tj.grad(loss, argnums=tuple(range(len(arguments))))(*arguments)
    for k, slope in enumerate(slopes):
        direction = 1e-6 * RNG.normal(size=slope.shape)
        ahead, behind = (loss(*arguments[:k], arguments[k] + d, *arguments[k + 1:]) for d in (direction, -direction))
        np.testing.assert_allclose((slope * direction).sum(), (ahead - behind) / 2, rtol=1e-5, atol=1e-13)


def test_biases_of_both_products_in_gru():
    kernel, recurrent, bias = parameters("gru")
    more = RNG.normal(size=12)
    h = np.zeros((2, 4))
    for t in range(5):
        (h,) = gru_cell([h], X[:, t] @ kernel + bias, recurrent, more)
    same(nn.gru(X, kernel, recurrent, bias, more)[1], h)
    check_gradient(lambda b: nn.gru(X, kernel, recurrent, bias, b)[0].sum(), more)


def test_padding_behind_the_end_is_not_seen():
    weights = parameters("lstm")
    mask = np.arange(5) < np.array([[5], [2]])
    for reverse in (False, True):
        ys, (h, _) = nn.lstm(X, *weights, mask=mask, reverse=reverse)
        alone, (h_alone, _) = nn.lstm(X[1:, :2], *weights, reverse=reverse)
        same(ys[1, :2], alone[0])
        same(h[1], h_alone[0])
        assert not ys[1, 2:].any()


@pytest.mark.parametrize("name", CELLS)
def test_derivatives_stop_at_truncation(name):
    weights = parameters(name)
    cut = tj.grad(lambda x: getattr(nn, name)(x, *weights, truncate=2)[0][:, 3].sum())(X)
    assert not cut[:, :2].any() and cut[:, 2:4].all() and not cut[:, 4].any()
    by_weight = tj.grad(lambda w: getattr(nn, name)(X, weights[0], w, weights[2], truncate=2)[0].sum())(weights[1])
    states = None
    parts = np.zeros_like(weights[1])
    for start in (0, 2, 4):
        piece, given = X[:, start:start + 2], states
        state = None if given is None else tuple(given) if len(given) > 1 else given[0]
        parts += tj.grad(lambda w: getattr(nn, name)(piece, weights[0], w, weights[2], state=state)[0].sum()    # noqa: B023
                         )(weights[1])
        _, states = expected(name, piece, weights, states)
    same(by_weight, parts)


def test_any_batch_and_length_take_few_traces():
    weights = parameters("lstm")
    step = tj.function(lambda x: tj.grad(lambda w: nn.lstm(x, weights[0], w, weights[2])[0].sum())(weights[1]))
    series = RNG.normal(size=(6, 7, 3))
    for batch, time in ((4, 5), (3, 6), (6, 7), (2, 3)):
        want = tj.grad(lambda w: nn.lstm(series[:batch, :time], weights[0], w, weights[2])[0].sum())(weights[1])  # noqa: B023
        same(step(series[:batch, :time]), want)
    assert len(step.traces) == 2
    for batch, time in ((0, 5), (4, 0)):
        assert not step(series[:batch, :time]).any()
        assert nn.lstm(series[:batch, :time], *weights)[0].shape == (batch, time, 4)


def test_second_derivatives_and_batches_of_networks():
    kernel, recurrent, bias = parameters("simple_rnn")
    loss = lambda w: nn.simple_rnn(X, kernel, w, bias)[0].sum()     # noqa: E731
    curvature = tj.hessian(loss)(recurrent)
    check_gradient(lambda w: tj.grad(loss)(w).sum(), recurrent, rtol=1e-4)
    np.testing.assert_allclose(curvature, np.transpose(curvature, (2, 3, 0, 1)), rtol=1e-9, atol=1e-12)
    several = tj.vmap(lambda w: nn.simple_rnn(X, kernel, w, bias)[0])(np.stack([recurrent, 2 * recurrent]))
    same(several[1], nn.simple_rnn(X, kernel, 2 * recurrent, bias)[0])


def test_weights_that_do_not_fit_are_refused():
    kernel, recurrent, bias = parameters("lstm")
    with pytest.raises(tj.errors.ShapeError, match="do not fit"):
        nn.gru(X, kernel, recurrent, bias)
    with pytest.raises(tj.errors.ShapeError, match="do not fit"):
        nn.lstm(X, kernel.T, recurrent, bias)
    with pytest.raises(tj.errors.ShapeError, match="other ranks than 3, 2 and 2"):
        nn.lstm(X[0], kernel, recurrent, bias)
    with pytest.raises(tj.errors.ShapeError, match="truncate=0"):
        nn.lstm(X, kernel, recurrent, bias, truncate=0)
    with pytest.raises(tj.errors.ShapeError, match="first state"):
        nn.lstm(X, kernel, recurrent, bias, state=(np.zeros((3, 4)), np.zeros((2, 4))))
