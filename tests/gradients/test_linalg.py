"""Derivatives through np.linalg against central differences, in both modes and of second order, and against JAX.

Flows in:  losses of real or complex matrices, written for any module like NumPy.
Flows out: failures.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tracejit as tj

L = np.linalg
RNG = np.random.default_rng(11)
A = RNG.normal(size=(4, 4)) + 4 * np.eye(4)
Z = A + 1j * RNG.normal(size=(4, 4))
TALL, WIDE, STACK = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 5)), RNG.normal(size=(3, 2, 2)) + 3 * np.eye(2)
W, B, V = RNG.normal(size=(4, 4)), RNG.normal(size=(4, 2)), RNG.normal(size=4)
STEP = 1e-5

Loss = Callable[[Any, Any], Any]


def weighted(x: Any) -> Any:
    """A real number that every element has its own share in."""
    flat = x.reshape(-1)
    weights = np.cos(np.arange(1.0, 1 + flat.shape[0]))
    return (flat * weights).real.sum() + ((flat * flat) * weights[::-1]).real.sum()


def hermitian(xp: Any, a: Any) -> Any:
    return a + xp.conj(a).T


def positive(xp: Any, a: Any) -> Any:
    return a @ xp.conj(a).T + np.eye(4)


def projector(xp: Any, v: Any) -> Any:
    """What of a vector does not depend on its phase."""
    return weighted(v @ (np.arange(1.0, 1 + v.shape[-1])[:, None] * xp.conj(v).T))


BOTH: dict[str, Loss] = {
    "solve of a vector": lambda xp, a: weighted(xp.linalg.solve(a, V)),
    "solve of its own columns": lambda xp, a: weighted(xp.linalg.solve(a, a.T @ B)),
    "inv": lambda xp, a: weighted(xp.linalg.inv(a)),
    "det": lambda xp, a: abs(xp.linalg.det(a)) + xp.linalg.det(a).real,
    "slogdet": lambda xp, a: xp.linalg.slogdet(a)[1] * (1 + xp.linalg.slogdet(a)[0].imag),
    "cholesky": lambda xp, a: weighted(xp.linalg.cholesky(positive(xp, a))),
    "qr": lambda xp, a: weighted(xp.linalg.qr(a)[0]) + weighted(xp.linalg.qr(a)[1]),
    "r alone": lambda xp, a: weighted(xp.linalg.qr(a, "r")),
    "eigh": lambda xp, a: weighted(xp.linalg.eigh(hermitian(xp, a))[0]) + projector(
        xp, xp.linalg.eigh(hermitian(xp, a))[1]),
    "eigvalsh": lambda xp, a: weighted(xp.linalg.eigvalsh(hermitian(xp, a))),
    "singular values": lambda xp, a: weighted(xp.linalg.svd(a, compute_uv=False)),
    "singular values of three": lambda xp, a: weighted(xp.linalg.svd(a)[1]),
    "left singular vectors": lambda xp, a: projector(xp, xp.linalg.svd(a, full_matrices=False)[0]),
    "right singular vectors": lambda xp, a: projector(xp, xp.conj(xp.linalg.svd(a)[2]).T),
    "eigvals": lambda xp, a: weighted(xp.linalg.eigvals(a) ** 2) * 0 + (abs(xp.linalg.eigvals(a)) ** 3).sum(),
    "pinv": lambda xp, a: weighted(xp.linalg.pinv(a)),
    "norms": lambda xp, a: xp.linalg.norm(a) + xp.linalg.norm(a, 2) + xp.linalg.norm(a, "nuc") + xp.linalg.norm(a, -2),
    "matrix_power": lambda xp, a: weighted(xp.linalg.matrix_power(a, -2)),
    "cond": lambda xp, a: xp.linalg.cond(a) + xp.linalg.cond(a, 1)}
REAL: dict[str, tuple[Loss, Any]] = {
    "qr of a tall matrix": (lambda xp, a: weighted(xp.linalg.qr(a)[0]) + weighted(xp.linalg.qr(a)[1]), TALL),
    "svd of a tall matrix": (lambda xp, a: sum(projector(xp, v) for v in (
        xp.linalg.svd(a, full_matrices=False)[0], xp.linalg.svd(a, full_matrices=False)[2].T)), TALL),
    "svd of a wide matrix": (lambda xp, a: sum(projector(xp, v) for v in (
        xp.linalg.svd(a, full_matrices=False)[0], xp.linalg.svd(a, full_matrices=False)[2].T)), WIDE),
    "values of a full svd": (lambda xp, a: weighted(xp.linalg.svd(a, full_matrices=False)[1]), WIDE),
    "pinv of a tall matrix": (lambda xp, a: weighted(xp.linalg.pinv(a)), TALL),
    "lstsq": (lambda xp, a: weighted(xp.linalg.lstsq(a, np.arange(5.0))[0]), TALL),
    "a stack": (lambda xp, a: weighted(xp.linalg.inv(a)) + weighted(xp.linalg.det(a)), STACK),
    "a stack of systems": (lambda xp, a: weighted(xp.linalg.solve(a, np.ones((2, 3)))), STACK),
    "a matrix and a stack": (lambda xp, a: weighted(xp.linalg.solve(a[0], a)), STACK),
    "tensorsolve": (lambda xp, a: weighted(xp.linalg.tensorsolve(a.reshape(2, 2, 4), np.ones((2, 2)))), A),
    "det of equal rows": (lambda xp, a: xp.linalg.det(a) ** 2 + xp.linalg.det(a), np.array([[1.0, 2, 3], [4, 5, 6],
                                                                                        [7, 8, 9.5]]))}
# Quick ones; the op's own derivatives are tested with all others. The rest takes a minute.
QUICK = ("solve of a vector, float64", "inv, complex128", "det, complex128", "slogdet, complex128",
         "cholesky, complex128", "qr, float64", "eigh, complex128", "left singular vectors, complex128",
         "eigvals, float64", "pinv, complex128",
         "norms, float64", "lstsq", "a matrix and a stack")


def losses() -> Iterator[Any]:
    named = [(f"{name}, {x.dtype.name}", f, x) for name, f in BOTH.items() for x in (A, Z)]
    for name, f, x in [*named, *((name, f, x) for name, (f, x) in REAL.items())]:
        yield pytest.param(f, x, id=name, marks=[] if name in QUICK else [pytest.mark.full])


LOSSES = list(losses())


def direction(x: Any) -> Any:
    move = RNG.normal(size=x.shape)
    return move + 1j * RNG.normal(size=x.shape) if np.iscomplexobj(x) else move


def slope(f: Callable[[Any], Any], x: Any, move: Any) -> Any:
    """The derivative along `move`, of fourth order in the step."""
    near, far = ((f(x + h * move) - f(x - h * move)) / (2 * h) for h in (STEP, 2 * STEP))
    return (4 * near - far) / 3


@pytest.mark.parametrize(("loss", "x"), LOSSES)
def test_both_modes_agree_with_differences(loss: Loss, x: Any) -> None:
    move = direction(x)
    expected = slope(lambda a: loss(np, a), x, move)
    gradient = tj.grad(lambda a: loss(np, a))(x)
    np.testing.assert_allclose((gradient * move).sum().real, expected, rtol=1e-6, atol=1e-8)
    _, tangent = tj.jvp(lambda a: loss(np, a), (x,), (move,))
    np.testing.assert_allclose(tangent, (gradient * move).sum().real, rtol=1e-9, atol=1e-11)


SECOND = ["solve of its own columns", "det", "cholesky", "pinv"]
OTHERS = ["inv", "slogdet", "qr", "eigh", "right singular vectors", "eigvals", "cond"]


@pytest.mark.parametrize("name", [*SECOND, *(pytest.param(n, marks=pytest.mark.full) for n in OTHERS)])
def test_second_derivatives_agree_with_differences(name: str) -> None:
    loss, move = BOTH[name], direction(A)
    gradient = tj.grad(lambda a: loss(np, a))
    expected = slope(gradient, A, move)
    _, found = tj.jvp(gradient, (A,), (move,))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * abs(expected).max())


@pytest.mark.parametrize(("loss", "x"), LOSSES)
def test_gradients_agree_with_jax(loss: Loss, x: Any) -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    expected = np.asarray(jax.grad(lambda a: loss(jax.numpy, a))(x))
    found = tj.grad(lambda a: loss(np, a))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * abs(expected).max())


# ---- what is special -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [np.ones((3, 3)), np.outer([1.0, 2, 3], [0, 1, 1]), np.array([[0.0, 1], [0, 0]]),
                               np.zeros((3, 3)), np.diag([1.0, 0, 2]) + 0j])
def test_the_gradient_of_det_is_the_cofactors_of_singular_matrices_too(a: Any) -> None:
    n = len(a)
    minors = [[L.det(np.delete(np.delete(a, i, 0), j, 1)) if n > 1 else 1 for j in range(n)] for i in range(n)]
    cofactors = np.array(minors) * (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    np.testing.assert_allclose(tj.grad(lambda x: np.linalg.det(x).real)(a), cofactors, atol=1e-12)


def test_the_gradient_of_log_det_is_not_finite_at_singular_matrices() -> None:
    assert not np.isfinite(tj.grad(lambda x: np.linalg.slogdet(x)[1])(np.ones((2, 2)))).all()


def test_eigenvalues_have_derivatives_where_they_are_equal_vectors_have_none() -> None:
    weights = np.array([1.0, 1, 1])
    np.testing.assert_allclose(tj.grad(lambda a: (np.linalg.eigvalsh(a) * weights).sum())(np.eye(3)), np.eye(3))
    gradient = tj.grad(lambda a: (np.linalg.eigh(a)[1] * np.arange(9.0).reshape(3, 3)).sum())(np.eye(3))
    assert not np.isfinite(gradient).all()


def test_derivatives_of_hermitian_matrices_go_to_the_triangle_that_is_read() -> None:
    for function, zeros in ((lambda a: np.linalg.cholesky(a).sum(), np.triu_indices(3, 1)),
                            (lambda a: np.linalg.eigvalsh(a, "U").max(), np.tril_indices(3, -1))):
        gradient = tj.grad(function)(np.diag([1.0, 2, 3]) + 0.1)
        assert not gradient[zeros].any() and gradient.T[zeros].all()


def test_norms_and_pinv_at_points_that_are_special() -> None:
    assert not tj.grad(lambda x: np.linalg.norm(x))(np.zeros((2, 2))).any()
    np.testing.assert_allclose(tj.grad(lambda x: np.linalg.pinv(x).sum())(np.eye(2)), -np.ones((2, 2)), atol=1e-14)


@pytest.mark.parametrize("function", [
    lambda a: np.linalg.svd(a)[0].sum(), lambda a: np.linalg.qr(a, "complete")[0].sum()])
def test_vectors_that_complete_a_basis_have_no_derivative(function: Callable[..., Any]) -> None:
    with pytest.raises(tj.errors.GradientError, match="any orthonormal ones"):
        tj.grad(function)(TALL)


def test_singular_values_have_derivatives_beside_vectors_that_have_none() -> None:
    loss = lambda a: (np.linalg.svd(a)[1] ** 3).sum()
    move = direction(TALL)
    _, tangent = tj.jvp(loss, (TALL,), (move,))
    np.testing.assert_allclose(tangent, (tj.grad(loss)(TALL) * move).sum(), rtol=1e-10)
    assert np.isfinite(tj.hessian(loss)(TALL)).all()
    _, (vectors, _, _) = tj.jvp(np.linalg.svd, (TALL,), (move,))
    assert np.isnan(vectors).all()


def test_derivatives_of_lanes_and_lanes_of_derivatives() -> None:
    loss = lambda a: weighted(np.linalg.solve(a, np.ones(2))) + np.linalg.slogdet(a)[1] + np.linalg.svdvals(a)[0]
    single = np.stack([tj.grad(loss)(a) for a in STACK])
    np.testing.assert_allclose(tj.vmap(tj.grad(loss))(STACK), single, rtol=1e-10)
    together = tj.grad(lambda s: tj.vmap(loss)(s).sum())
    np.testing.assert_allclose(together(STACK), single, rtol=1e-10)


def test_a_jacobian_of_solve_is_one_solve_of_many_columns() -> None:
    found = tj.jacobian(lambda b: np.linalg.solve(A, b))(V)
    np.testing.assert_allclose(found, L.inv(A), rtol=1e-10)


def test_training_through_a_cholesky_factor_is_one_native_call() -> None:
    """The likelihood of a Gaussian process, by descent on its length scale."""
    x = np.linspace(0, 3, 12)
    y = np.sin(2 * x)

    @tj.function
    def step(log_length: Any) -> Any:
        def loss(p: Any) -> Any:
            k = np.exp(-((x[:, None] - x[None, :]) ** 2) / (2 * np.exp(2 * p))) + 0.01 * np.eye(12)
            factor = np.linalg.cholesky(k)
            return 0.5 * y @ np.linalg.solve(k, y) + np.log(np.diagonal(factor)).sum()
        value, gradient = tj.value_and_grad(loss)(log_length)
        return value, log_length - 0.05 * gradient

    length, losses = np.float64(0.5), []
    for _ in range(15):
        value, length = step(length)
        losses.append(value)
    assert losses[-1] < losses[0] - 0.1 and len(step.traces) == 1


def test_a_kalman_filter_has_a_derivative_by_its_noise() -> None:
    """Prediction and correction by `solve` and `slogdet` in a loop: small systems in every round."""
    move, seen = np.array([[1, 0.1], [0, 1]]), np.array([[1.0, 0]])
    measured = np.sin(np.arange(12) * 0.3)

    def likelihood(noise: Any, z: Any) -> Any:
        x, spread, total = np.zeros(2), np.eye(2), 0.0
        for k in range(len(z)):
            x, spread = move @ x, move @ spread @ move.T + 0.01 * np.eye(2)
            known = seen @ spread @ seen.T + np.exp(noise) * np.eye(1)
            error = z[k] - seen @ x
            gain = np.linalg.solve(known, seen @ spread).T
            x, spread = x + gain @ error, (np.eye(2) - gain @ seen) @ spread
            total = total - 0.5 * (error @ np.linalg.solve(known, error) + np.linalg.slogdet(known)[1])
        return total

    value, gradient = tj.value_and_grad(likelihood)(0.3, measured)
    np.testing.assert_allclose(value, likelihood(0.3, measured), rtol=1e-12)
    np.testing.assert_allclose(gradient, slope(lambda r: likelihood(r, measured), 0.3, 1.0), rtol=1e-8)
