"""grad, value_and_grad, vjp, jvp, jacobian, hessian, vmap and their compositions, as users call them."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import GradientError, ShapeError, SignatureError

X = np.array([0.31, 0.83, 0.57])
A = np.arange(6.0).reshape(2, 3) / 5


def cubes(x):
    return (x ** 3).sum()


def test_gradients_have_the_structure_of_the_argument():
    found = tj.grad(lambda p: (p["a"] * p["b"][0]).sum() + p["b"][1] ** 2)({"a": X, "b": (2.0, 3.0)})
    np.testing.assert_allclose(found["a"], 2.0)
    assert found["b"] == (X.sum(), 6.0) and isinstance(found["b"][1], float)


def test_argnums_choose_arguments():
    def f(x, y, scale):
        return (x * y).sum() * scale
    one, two = tj.grad(f, argnums=(0, 2))(X, X + 1, 2.0)
    np.testing.assert_allclose(one, 2 * (X + 1))
    np.testing.assert_allclose(two, (X * (X + 1)).sum())
    np.testing.assert_allclose(tj.grad(f, argnums=-2)(X, X, 3.0), 3 * X)


def test_auxiliary_results_come_along():
    (value, aux), gradient = tj.value_and_grad(lambda x: (cubes(x), {"n": x.size, "y": x * 2}), has_aux=True)(X)
    np.testing.assert_allclose(value, cubes(X))
    np.testing.assert_allclose(gradient, 3 * X ** 2)
    np.testing.assert_allclose(aux["y"], X * 2)


def test_vjp_and_jvp_are_transposes():
    result, pull = tj.vjp(lambda x: A @ x, X)
    np.testing.assert_allclose(result, A @ X)
    np.testing.assert_allclose(pull(np.array([1.0, 2.0]))[0], A.T @ [1.0, 2.0])
    np.testing.assert_allclose(tj.jvp(lambda x: A @ x, (X,), (X,))[1], A @ X)


def test_the_pullback_of_a_second_call_is_its_own():
    f = lambda x: x * x * x    # noqa: E731
    _, first = tj.vjp(f, X)
    _, second = tj.vjp(f, 2 * X)
    np.testing.assert_allclose(first(np.ones(3))[0], 3 * X ** 2)
    np.testing.assert_allclose(second(np.ones(3))[0], 12 * X ** 2)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobians(mode):
    np.testing.assert_allclose(tj.jacobian(lambda x: np.sin(A @ x), mode=mode)(X), np.cos(A @ X)[:, None] * A)
    found = tj.jacobian(lambda p: {"s": p["x"].sum() * p["y"]}, mode=mode)({"x": X, "y": X})
    assert found["s"]["x"].shape == (3, 3) and found["s"]["y"].shape == (3, 3)


def test_hessians_and_higher_orders():
    np.testing.assert_allclose(tj.hessian(cubes)(X), np.diag(6 * X), atol=1e-14)
    np.testing.assert_allclose(tj.grad(lambda x: tj.hessian(cubes)(x).sum())(X), 6.0)
    assert tj.grad(tj.grad(tj.grad(lambda x: x ** 4)))(2.0) == pytest.approx(48.0)


def test_hessian_of_a_loop_that_ends_by_a_test():
    def root(a):
        r = 1.0
        while abs(r * r - a) > 1e-14:
            r = 0.5 * (r + a / r)
        return r
    assert tj.hessian(root)(2.0) == pytest.approx(-0.25 * 2 ** -1.5)


def test_compositions_of_vmap_and_grad():
    per_example = tj.vmap(tj.grad(lambda x, w: np.tanh(w @ x).sum()), in_axes=(0, None))
    rows = np.stack([X, 2 * X])
    expected = np.stack([tj.grad(lambda x: np.tanh(A @ x).sum())(r) for r in rows])
    np.testing.assert_allclose(per_example(rows, A), expected, rtol=1e-12)
    np.testing.assert_allclose(tj.grad(lambda r: tj.vmap(cubes)(r).sum())(rows), 3 * rows ** 2)


def test_vmap_axes():
    m = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_allclose(tj.vmap(lambda a: a.sum(0), in_axes=1, out_axes=-1)(m), m.sum(0).T)
    np.testing.assert_allclose(tj.vmap(lambda p, y: p["a"] * y, in_axes=({"a": 0, "b": None}, 0))(
        {"a": X, "b": 1.0}, X), X * X)
    with pytest.raises(ShapeError, match="3 lanes"):
        tj.vmap(lambda a, b: a + b)(np.ones(2), np.ones(3))
    with pytest.raises(ShapeError, match="nothing to map over"):
        tj.vmap(cubes, in_axes=None)(X)


def test_stop_gradient_and_checkpoint():
    np.testing.assert_allclose(tj.grad(lambda x: (tj.stop_gradient(x) * x).sum())(X), X)
    layer = lambda x: np.sin(x) * x    # noqa: E731
    plain = tj.grad(lambda x: layer(layer(layer(x))).sum())(X)
    kept = tj.checkpoint(layer)
    np.testing.assert_allclose(tj.grad(lambda x: kept(kept(kept(x))).sum())(X), plain, rtol=1e-12)


def test_jacobians_go_by_rows_where_a_rule_is_for_reverse_mode_only():
    @tj.custom_gradient
    def doubled(x):
        return x * 2, lambda ct: ct * 3

    np.testing.assert_allclose(tj.jacobian(doubled)(X), np.eye(len(X)) * 3)
    np.testing.assert_allclose(tj.jacobian(lambda x: doubled(np.sin(x)))(X), np.diag(3 * np.cos(X)))


def test_custom_gradients():
    @tj.custom_gradient
    def doubled(x):
        return np.clip(x, 0, 1), lambda ct: ct * 2.0
    np.testing.assert_allclose(doubled(X * 2), np.clip(X * 2, 0, 1))
    np.testing.assert_allclose(tj.grad(lambda x: doubled(x).sum())(X), 2.0)
    by_rule = tj.custom_gradient(lambda x: np.log1p(np.exp(x)))
    by_rule.defjvp(lambda primals, tangents: (by_rule(primals[0]), tangents[0] * 7.0))
    np.testing.assert_allclose(tj.grad(lambda x: by_rule(x).sum())(X), 7.0)
    np.testing.assert_allclose(tj.jvp(by_rule, (X,), (X,))[1], 7 * X)
    powers = tj.custom_gradient(lambda x, n: x ** n)
    powers.defvjp(lambda x, n: (x ** n, (x, n)), lambda saved, ct: (ct * 10 * saved[0] * saved[1], None))
    np.testing.assert_allclose(tj.vmap(tj.grad(lambda x: powers(x, 3)))(X), 30 * X)
    with pytest.raises(GradientError, match="has no derivative"):
        tj.grad(lambda x: tj.custom_gradient(lambda y: y * 2)(x).sum())(X)


def test_complex_arguments():
    z = np.array([1 + 2j, -0.5 + 1j])
    np.testing.assert_allclose(tj.grad(lambda z: (np.abs(z) ** 2).sum())(z), 2 * np.conj(z))
    np.testing.assert_allclose(tj.jvp(lambda z: z ** 3, (z,), (z,))[1], 3 * z ** 3)


@pytest.mark.parametrize("fn, argument, match", [
    (lambda x: x * 2, X, "a gradient needs a real scalar"),
    (lambda x: (x.sum(), x.sum()), X, "a structure of 2 arrays"),
    (cubes, np.arange(3), "i64.*: there is no derivative by it"),
    (lambda x: tj.host_call(np.sum, tj.ArrayType.parse("f64"), x), X, "`host_call` can't be differentiated")])
def test_what_has_no_gradient_is_named(fn, argument, match):
    with pytest.raises((GradientError, NotImplementedError), match=match) as caught:
        tj.grad(fn)(argument)
    assert "test_transforms.py" in str(caught.value)


def test_wrong_options_are_named():
    with pytest.raises(GradientError, match="argnums=3"):
        tj.grad(cubes, argnums=3)(X)
    with pytest.raises(SignatureError, match="mode='sideways'"):
        tj.jacobian(cubes, mode="sideways")
    with pytest.raises(GradientError, match="tangents have the structure"):
        tj.jvp(cubes, (X,), (X, X))


def test_a_training_step_is_one_trace():
    @tj.function
    def step(params, x, y):
        loss, grads = tj.value_and_grad(lambda p: ((np.tanh(x @ p["w"] + p["b"]) - y) ** 2).mean())(params)
        return loss, {k: params[k] - 0.5 * grads[k] for k in params}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 3))
    y = np.tanh(x @ rng.normal(size=(3, 2)))
    params = {"w": np.zeros((3, 2)), "b": np.zeros(2)}
    losses = []
    for _ in range(100):
        loss, params = step(params, x, y)
        losses.append(float(loss))
    assert len(step.traces) == 1 and losses[-1] < 1e-3 < losses[0]
