"""Activation functions: formulas and derivatives in both precisions, ends, kinks, masks, empty and integer arrays."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj
from tests.nn.checks import check_gradient, logistic, same, softmax
from tracejit import nn

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.base.errors.RetraceWarning")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(5, 8)) * 3
SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772


def erf(x):
    return np.vectorize(math.erf)(x)


def softplus(x):
    return np.logaddexp(x, 0)


def tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


FORMULAS = {
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6), "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6, "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x), "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: SCALE * np.where(x > 0, x, ALPHA * np.expm1(x)), "sigmoid": logistic,
    "log_sigmoid": lambda x: -softplus(-x), "softplus": softplus, "softsign": lambda x: x / (1 + abs(x)),
    "silu": lambda x: x * logistic(x), "mish": lambda x: x * np.tanh(softplus(x)),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))), "glu": lambda x: x[:, :4] * logistic(x[:, 4:]),
    "softmax": softmax, "log_softmax": lambda x: np.log(softmax(x)),
    "standardize": lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)}
ELEMENTWISE = [n for n in FORMULAS if n not in ("glu", "softmax", "log_softmax", "standardize")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_derivatives_are_those_of_the_formula(name, dtype):
    fn, x = getattr(nn, name), X.astype(dtype)
    found = fn(x)
    assert found.dtype == dtype
    same(found, FORMULAS[name](x.astype(np.float64)))
    weights = RNG.normal(size=found.shape)
    exact = tj.grad(lambda x: (fn(x) * weights).sum())(x.astype(np.float64))
    narrow = tj.grad(lambda x: (fn(x) * weights.astype(dtype)).sum())(x)
    assert narrow.dtype == dtype
    same(narrow, exact)
    check_gradient(lambda x: (fn(x) * weights).sum(), X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_large_arguments_stay_finite(name, dtype):
    fn = getattr(nn, name)
    x = np.array([-1e4, -800, -100, -20, -1e-8, 0, 1e-8, 20, 100, 800, 1e4], dtype)
    assert np.isfinite(fn(x)).all() and np.isfinite(tj.grad(lambda x: fn(x).sum())(x)).all()
    assert np.isnan(fn(np.array([np.nan, 1.0], dtype))[0])


@pytest.mark.parametrize("name, kinks", [("relu", [0]), ("relu6", [0, 6]), ("hard_tanh", [-1, 1]),
                                         ("hard_sigmoid", [-3, 3])])
def test_the_derivative_at_kinks_is_0(name, kinks):
    at_kinks = np.array(kinks, float)
    np.testing.assert_array_equal(tj.grad(lambda x: getattr(nn, name)(x).sum())(at_kinks), 0)


def test_parameters_have_derivatives():
    slopes = RNG.normal(size=3)
    images = RNG.normal(size=(2, 3, 4))
    same(nn.prelu(images, slopes, axis=1), np.where(images > 0, images, slopes[:, None] * images))
    by_slope = tj.grad(lambda s: nn.prelu(images, s, axis=1).sum())(slopes)
    same(by_slope, np.minimum(images, 0).sum((0, 2)))
    same(nn.leaky_relu(X, 0.2), np.where(X > 0, X, 0.2 * X))
    same(nn.celu(X, 2.0), np.where(X > 0, X, 2 * np.expm1(X / 2)))
    same(nn.elu(X, 0.5), np.where(X > 0, X, 0.5 * np.expm1(X)))
    same(nn.gelu(X, approximate=True), tanh_gelu(X))
    check_gradient(lambda x: nn.gelu(x, approximate=True).sum(), X)
    check_gradient(lambda a: nn.elu(X, a).sum() + nn.celu(X, a).sum(), np.array(1.3))


# ---- softmax -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -2, (0, 1)])
def test_softmax_along_any_axis(axis):
    powers = np.exp(X)
    same(nn.softmax(X, axis=axis), powers / powers.sum(axis, keepdims=True))
    same(nn.log_softmax(X, axis=axis), X - np.log(powers.sum(axis, keepdims=True)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_large_logits(dtype):
    x = np.array([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4]], dtype)
    same(nn.softmax(x), [[0.5, 0, 0.5], [1 / 3] * 3])
    same(nn.log_softmax(x), [[-np.log(2), -2e4 - np.log(2), -np.log(2)], [-np.log(3)] * 3])
    assert np.isfinite(tj.grad(lambda x: nn.log_softmax(x)[:, 0].sum())(x)).all()
    same(nn.softmax(np.array([[-np.inf, 0, 0]], dtype)), [[0, 0.5, 0.5]])


def test_elements_that_are_masked_do_not_count_whatever_they_are():
    mask = np.array([[True, False, True], [False, False, False]])
    x = np.array([[1.0, np.nan, 2.0], [np.inf, 0.0, 1.0]])
    p = softmax(np.array([1.0, 2.0]))
    np.testing.assert_allclose(nn.softmax(x, where=mask), [[p[0], 0, p[1]], [0, 0, 0]], rtol=1e-14)
    np.testing.assert_allclose(nn.log_softmax(x, where=mask), [[np.log(p[0]), -np.inf, np.log(p[1])], [-np.inf] * 3])
    slope = tj.grad(lambda x: nn.softmax(x, where=mask)[:, 0].sum())(x)
    np.testing.assert_allclose(slope, [[p[0] * p[1], 0, -p[0] * p[1]], [0, 0, 0]], rtol=1e-12)


def test_empty_arrays():
    for shape in ((0, 3), (3, 0)):
        for name in FORMULAS:
            if name != "glu":
                assert getattr(nn, name)(np.zeros(shape, np.float32)).shape == shape


def test_integers_and_lists():
    same(nn.silu([1, 2]), [1 / (1 + np.exp(-1)), 2 / (1 + np.exp(-2))])
    assert nn.relu(np.array([-1, 2])).dtype == np.int64 and nn.relu(-3.0) == 0


def test_glu_refuses_odd_sizes():
    with pytest.raises(tj.errors.ShapeError, match="can't be halved"):
        nn.glu(np.ones((2, 3)))
    with pytest.raises(tj.errors.ShapeError, match="axis 4 is none"):
        nn.log_softmax(np.ones((2, 3)), axis=4)
