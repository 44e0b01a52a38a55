"""LBFGS finds minima to rounding, in as many steps as the reference, on trees and on Variables."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit import optim


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def test_rosenbrock():
    found = optim.LBFGS(tolerance=1e-8).minimize(rosenbrock, np.full(10, -1.2))
    np.testing.assert_allclose(found.params, 1.0, rtol=1e-7)
    assert found.converged and found.steps < 150 and found.value < 1e-15
    optimize = pytest.importorskip("scipy.optimize")
    reference = optimize.minimize(rosenbrock, np.full(10, -1.2), jac=tj.grad(rosenbrock), method="L-BFGS-B")
    assert found.steps < 2 * reference.nit


def test_trees_of_several_dtypes_and_further_arguments():
    def fun(p, target):
        return ((p["a"] - target) ** 2).sum() + (p["b"][0] + 1) ** 4
    search = optim.LBFGS()
    start = {"a": np.zeros(3, np.float32), "b": [np.float64(2.0)]}
    found = search.minimize(fun, start, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found.params["a"], [1, 2, 3], atol=1e-4)
    np.testing.assert_allclose(found.params["b"][0], -1, atol=0.02)
    assert found.params["a"].dtype == np.float32 and found.converged


def test_step_by_step_is_the_same():
    search = optim.LBFGS(steps=5, tolerance=0.0)
    params, state = np.full(4, -1.2), search.init(rosenbrock, np.full(4, -1.2))
    values = [state["value"]]
    for _ in range(5):
        params, state = search.update(rosenbrock, state, params)
        values.append(state["value"])
    assert all(b < a for a, b in zip(values, values[1:], strict=False))
    np.testing.assert_allclose(params, search.minimize(rosenbrock, np.full(4, -1.2)).params, rtol=1e-12)
    with pytest.raises(tj.errors.SignatureError, match="state is that of 4 numbers"):
        search.update(rosenbrock, state, np.ones(5))


def test_variables_end_at_the_minimum():
    v, w = tj.Variable(np.zeros(3)), tj.Variable(4.0)
    found = optim.LBFGS().minimize(lambda: ((v - 3) ** 2).sum() + np.cosh(w - 1), [v, w])
    np.testing.assert_allclose(v.numpy(), 3, atol=1e-6)
    np.testing.assert_allclose(float(w), 1, atol=1e-6)
    assert found.converged and found.value == pytest.approx(1.0)


def test_no_lower_value_ends_the_search():
    found = optim.LBFGS(tolerance=0.0).minimize(lambda x: np.abs(x).sum(), np.array([1.0, -2.0]))
    assert found.value < 1e-6
    stuck = optim.LBFGS().minimize(lambda x: (x * np.nan).sum(), np.ones(2))
    assert not stuck.converged and stuck.steps == 0
    np.testing.assert_array_equal(stuck.params, 1.0)


def test_inside_a_compiled_function():
    @tj.function
    def roots(targets):
        return optim.LBFGS(tolerance=1e-10).minimize(lambda x: ((x ** 2 - targets) ** 2).sum(), np.ones(3)).params
    np.testing.assert_allclose(roots(np.array([4.0, 9.0, 2.0])), [2, 3, np.sqrt(2)], rtol=1e-8)
