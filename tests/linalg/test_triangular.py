"""tj.linalg: triangular systems and factors against NumPy, eager, compiled and differentiated; np.linalg's names."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.base.errors.RetraceWarning")
RNG = np.random.default_rng(2)
A = RNG.normal(size=(4, 4)) + 5 * np.eye(4)
Z = A + 1j * RNG.normal(size=(4, 4))
B, STACK = RNG.normal(size=(4, 2)), RNG.normal(size=(3, 4, 4)) + 5 * np.eye(4)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, "T", 2])
@pytest.mark.parametrize(("a", "b"), [(Z, B), (STACK, B), *(pytest.param(*p, marks=pytest.mark.full) for p in (
    (A, B), (A, B[:, 0]), (A, STACK), (A.astype("f4"), B)))])
def test_triangular_systems_are_solved(a: Any, b: Any, trans: Any, lower: bool) -> None:
    triangle = np.tril(a) if lower else np.triu(a)
    turned = {0: triangle, "T": np.swapaxes(triangle, -1, -2), 2: np.conj(np.swapaxes(triangle, -1, -2))}[trans]
    expected = np.linalg.solve(turned, b)
    for function in (tj.linalg.solve_triangular, tj.function(tj.linalg.solve_triangular, static=("trans", "lower"))):
        found = function(a, b, trans=trans, lower=lower)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert found.dtype == expected.dtype


def test_the_diagonal_may_be_one() -> None:
    unit = np.tril(A, -1) + np.eye(4)
    found = tj.linalg.solve_triangular(A, B, lower=True, unit_diagonal=True)
    np.testing.assert_allclose(found, np.linalg.solve(unit, B), rtol=1e-9)


def test_systems_of_a_cholesky_factor_are_those_of_the_matrix() -> None:
    positive = Z @ Z.conj().T
    for lower in (True, False):
        factor = np.linalg.cholesky(positive, upper=not lower)
        np.testing.assert_allclose(tj.linalg.cho_solve((factor, lower), B), np.linalg.solve(positive, B), rtol=1e-8)


@pytest.mark.parametrize("a", [A[::-1], STACK[:, ::-1], Z, A[:, :3], A[:3]])
def test_the_product_of_lu_factors_is_the_matrix(a: Any) -> None:
    p, low, high = tj.linalg.lu(a)
    np.testing.assert_allclose(p @ low @ high, a, atol=1e-12)
    assert not np.triu(low, 1).any() and not np.tril(high, -1).any() and np.abs(low).max() <= 1.5
    if a.ndim == 2:
        order, low, high = tj.linalg.lu(a, p_indices=True)
        np.testing.assert_allclose((low @ high)[order], a, atol=1e-12)


def test_derivatives_go_through_factors_and_systems() -> None:
    def loss(a: Any) -> Any:
        _, low, high = tj.linalg.lu(a)
        return (tj.linalg.solve_triangular(low, B, lower=True) ** 2).sum() + (np.sin(high)).sum()

    move, step = RNG.normal(size=A.shape), 1e-6
    slope = (loss(A + step * move) - loss(A - step * move)) / (2 * step)
    np.testing.assert_allclose((tj.grad(loss)(A) * move).sum(), slope, rtol=1e-6)


def test_the_names_of_numpy_are_there() -> None:
    np.testing.assert_allclose(tj.linalg.inv(A), np.linalg.inv(A))
    assert tj.linalg.LinAlgError is np.linalg.LinAlgError and {"svd", "lu"} <= set(dir(tj.linalg))


@pytest.mark.parametrize("call", [lambda: tj.linalg.solve_triangular(A, B[:3]), lambda: tj.linalg.lu(A[0]),
                                  lambda: tj.linalg.solve_triangular(A, B, trans="X")])
def test_what_does_not_fit_is_a_value_error(call: Any) -> None:
    with pytest.raises(ValueError, match="has 4 rows|two-dimensional|is unknown"):
        call()
