"""Jacobians, Hessians, lanes and their compositions over loops: against differences, and against JAX where it can."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj

W = np.linspace(-0.9, 0.8, 9).reshape(3, 3)
START = np.array([0.3, -0.2, 0.5])


def steps(y):
    for _ in range(12):
        middle = np.tanh(W @ (y + 0.1 * np.tanh(W @ y)))
        y = y + 0.2 * middle - 0.01 * y * y
    return y


def until_settled(y):
    z, change = np.zeros(3), 1.0
    while change > 1e-14:
        after = 0.4 * np.tanh(W @ z + y)
        change = np.abs(after - z).max()
        z = after
    return z


def energy(y):
    return (steps(y) ** 2).sum()


def settled_energy(y):
    return (until_settled(y) ** 2).sum()


def differences(f, x, h=1e-5):
    columns = [(np.asarray(f(x + h * e)) - f(x - h * e)) / (2 * h) for e in np.eye(len(x))]
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("program", [steps, until_settled])
def test_jacobians_of_both_modes(program):
    expected = differences(program, START)
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(tj.jacobian(program, mode=mode)(START), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("program", [energy, settled_energy])
def test_hessians_by_every_composition(program):
    gradient = tj.grad(program)
    expected = differences(gradient, START)
    for made in (tj.hessian(program), tj.jacobian(gradient, mode="reverse"), tj.jacobian(gradient, mode="forward")):
        np.testing.assert_allclose(made(START), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("program", [energy, settled_energy])
def test_gradients_of_lanes_of_gradients(program):
    rows = np.stack([START, -START, 2 * START])

    def alignment(rows):
        return (tj.vmap(tj.grad(program))(rows) ** 2).sum()

    found = tj.grad(alignment)(rows)
    expected = np.stack([2 * tj.hessian(program)(r) @ tj.grad(program)(r) for r in rows])
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_gradients_of_loops_of_gradients():
    def root(a):
        r = 1.0
        while abs(r * r - a) > 1e-12:
            r = 0.5 * (r + a / r)
        return r

    def total(x):
        s = 0.0
        for i in range(9):
            s += tj.grad(root)(x + i) ** 2
        return s

    assert tj.grad(total)(2.0) == pytest.approx(-sum(0.25 / (2.0 + i) ** 2 for i in range(9)), rel=1e-8)


def test_jax_finds_the_same():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def energy_jax(y):
        def step(y, _):
            middle = jnp.tanh(W @ (y + 0.1 * jnp.tanh(W @ y)))
            return y + 0.2 * middle - 0.01 * y * y, None
        return (jax.lax.scan(step, y, None, length=12)[0] ** 2).sum()

    np.testing.assert_allclose(tj.grad(energy)(START), jax.grad(energy_jax)(START), rtol=1e-10)
    np.testing.assert_allclose(tj.hessian(energy)(START), jax.hessian(energy_jax)(START), rtol=1e-10)
    rows = np.stack([START, 2 * START])
    np.testing.assert_allclose(tj.grad(lambda r: (tj.vmap(tj.grad(energy))(r) ** 2).sum())(rows),
                               jax.grad(lambda r: (jax.vmap(jax.grad(energy_jax))(r) ** 2).sum())(rows), rtol=1e-10)
