"""np.linalg in compiled functions: NumPy's values, dtypes, named tuples and errors; any stack, size and layout; on the
host where NumPy's LAPACK is not found."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.xla_lite import compile as compiler
from tracejit.xla_lite import imports
from tracejit.xla_lite.runtime.blas import find_blas

L = np.linalg
RNG = np.random.default_rng(5)
GENERAL = RNG.normal(size=(5, 5))
COMPLEX = GENERAL + 1j * RNG.normal(size=(5, 5))
POSITIVE = GENERAL @ GENERAL.T + np.eye(5)
HERMITIAN = COMPLEX @ COMPLEX.conj().T + np.eye(5)
TALL, WIDE = RNG.normal(size=(7, 3)), RNG.normal(size=(3, 7))
STACK = RNG.normal(size=(2, 4, 3, 3))
SINGULAR = np.outer(np.arange(1.0, 4), np.arange(3.0))
VECTOR, NAN = RNG.normal(size=5), np.full((3, 3), np.nan)

Case = tuple[Callable[..., Any], tuple[Any, ...]]

SOLVERS: list[Case] = [
    (L.solve, (GENERAL, VECTOR)), (L.solve, (GENERAL, RNG.normal(size=(5, 2)))), (L.solve, (STACK, STACK)),
    (L.solve, (STACK[0, 0], STACK)), (L.solve, (STACK, STACK[0, 0])), (L.solve, (STACK[:, :1], STACK)),
    (L.solve, (COMPLEX, VECTOR)), (L.solve, (GENERAL, VECTOR + 1j)), (L.solve, (GENERAL.astype("f4"), VECTOR)),
    (L.solve, (np.array([[1, 2], [3, 5]]), [1, 2])), (L.solve, (np.zeros((0, 0)), np.zeros((0, 3)))),
    (L.inv, (GENERAL,)), (L.inv, (COMPLEX,)), (L.inv, (STACK,)), (L.inv, (GENERAL.T,)), (L.inv, (STACK[:, ::2],)),
    (L.det, (GENERAL,)), (L.det, (COMPLEX,)), (L.det, (STACK,)), (L.det, (SINGULAR,)), (L.det, (np.zeros((0, 0)),)),
    (L.det, (np.array([[1, 2], [3, 4]]),)), (L.det, (NAN,)), (L.slogdet, (GENERAL,)), (L.slogdet, (COMPLEX,)),
    (L.slogdet, (STACK,)), (L.slogdet, (SINGULAR,)), (L.slogdet, (-np.eye(3),)),
    (lambda a: L.matrix_power(a, -2), (GENERAL,)), (lambda a: L.matrix_power(a, 5), (STACK,)),
    (lambda a: L.matrix_power(a, 0), (GENERAL,)), (lambda a: L.matrix_power(a, -1), (COMPLEX,)),
    (L.tensorinv, (RNG.normal(size=(2, 3, 6)),)), (lambda a: L.tensorinv(a, ind=1), (RNG.normal(size=(6, 3, 2)),)),
    (L.tensorsolve, (RNG.normal(size=(2, 3, 6)), RNG.normal(size=(2, 3)))),
    (lambda a, b: L.tensorsolve(a, b, axes=(1,)), (RNG.normal(size=(2, 6, 3)), RNG.normal(size=(2, 3))))]

FACTORS: list[Case] = [
    (L.cholesky, (POSITIVE,)), (L.cholesky, (HERMITIAN,)), (lambda a: L.cholesky(a, upper=True), (HERMITIAN,)),
    (L.cholesky, (POSITIVE + np.triu(np.ones((5, 5)), 1),)), (L.cholesky, (np.full((2, 2), np.nan),)),
    (L.qr, (GENERAL,)), (L.qr, (TALL,)), (L.qr, (WIDE,)), (L.qr, (STACK,)), (L.qr, (COMPLEX,)),
    *((lambda a, mode=mode: L.qr(a, mode), (x,)) for mode in ("complete", "r", "raw") for x in (TALL, WIDE, COMPLEX)),
    (lambda a: L.qr(a, "complete"), (np.zeros((3, 0)),)), (L.qr, (np.zeros((0, 3)),)),
    (L.eigh, (POSITIVE,)), (L.eigh, (HERMITIAN,)), (lambda a: L.eigh(a, "U"), (GENERAL,)), (L.eigvalsh, (GENERAL,)),
    (lambda a: L.eigvalsh(a, UPLO="u"), (COMPLEX,)), (L.eigh, (STACK + np.swapaxes(STACK, -1, -2),)),
    (L.eig, (COMPLEX,)), (L.eigvals, (COMPLEX,)), (L.eigvals, (np.array([[0.0, 1], [-1, 0]]),)),
    (L.eig, (np.array([[1.0, 1, 0], [-1, 1, 0], [0, 0, 3]]),)),
    (L.eigvals, (STACK + [[0, 9, 0], [-9, 0, 0], [0] * 3],))]

SPECTRA: list[Case] = [
    (L.svd, (GENERAL,)), (L.svd, (TALL,)), (L.svd, (WIDE,)), (L.svd, (COMPLEX,)), (L.svd, (STACK,)),
    (L.svd, (np.zeros((2, 0)),)), (L.svd, (np.zeros((2, 0, 3)),)), (lambda a: L.svd(a, full_matrices=False), (WIDE,)),
    (lambda a: L.svd(a, compute_uv=False), (TALL,)), (L.svdvals, (COMPLEX,)),
    (lambda a: L.svd(a, hermitian=True), (POSITIVE - 3 * np.eye(5),)),
    (lambda a: L.svd(a, compute_uv=False, hermitian=True), (GENERAL,)),
    (L.pinv, (TALL,)), (L.pinv, (WIDE,)), (L.pinv, (COMPLEX,)), (L.pinv, (STACK,)),
    (lambda a: L.pinv(a, 1e-3), (SINGULAR,)), (lambda a: L.pinv(a, rtol=0.4), (STACK,)),
    (lambda a: L.pinv(a, hermitian=True), (POSITIVE,)),
    (lambda a: L.pinv(a, rtol=None), (SINGULAR,)), (L.pinv, (np.zeros((0, 3)),)),
    (L.matrix_rank, (TALL,)), (L.matrix_rank, (SINGULAR,)), (L.matrix_rank, (STACK,)), (L.matrix_rank, (VECTOR,)),
    (L.matrix_rank, (np.zeros(3),)), (lambda a: L.matrix_rank(a, tol=1.5), (STACK,)),
    (lambda a: L.matrix_rank(a, hermitian=True), (POSITIVE,)), (lambda a: L.matrix_rank(a, rtol=0.5), (GENERAL,)),
    *((lambda a, p=p: L.cond(a, p), (GENERAL,)) for p in (None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc")),
    (lambda a: L.cond(a, 1), (SINGULAR,)), (L.cond, (STACK,)), (L.cond, (np.zeros((2, 2)),)),
    *((lambda a, p=p: L.norm(a, p), (x,)) for p in (2, -2, "nuc") for x in (TALL, COMPLEX, TALL.astype("f4"))),
    (lambda a: L.norm(a, 2, axis=(0, 2), keepdims=True), (STACK[0],)),
    (lambda a: L.matrix_norm(a, ord="nuc"), (STACK,)), (lambda a, b: L.lstsq(a, b), (TALL, RNG.normal(size=7))),
    (lambda a, b: L.lstsq(a, b), (WIDE, RNG.normal(size=(3, 2)))),
    (lambda a, b: L.lstsq(a, b), (np.ones((7, 3)), RNG.normal(size=(7, 2)))),
    (lambda a, b: L.lstsq(a, b, 0.3), (TALL, RNG.normal(size=(7, 2)) + 1j)),
    (lambda a, b: L.lstsq(a, b), (GENERAL, VECTOR)),
    (lambda x, y: np.polyfit(x, y, 2), (VECTOR, RNG.normal(size=(5, 2)))),
    (lambda x, y: np.polyfit(x, y, 1, w=y * y, cov=True), (VECTOR, RNG.normal(size=5))),
    (lambda x, y: np.polyfit(x, y, 2, full=True)[:4], (VECTOR, np.arange(5)))]

ERRORS: list[Case] = [
    (L.inv, (SINGULAR,)), (L.inv, (np.stack([np.eye(3), SINGULAR]),)), (L.solve, (np.zeros((2, 2)), np.ones(2))),
    (lambda a: L.matrix_power(a, -1), (np.zeros((2, 2)),)), (L.cholesky, (-POSITIVE,)), (L.eigh, (NAN,)),
    (L.eigvalsh, (NAN,)), (L.svd, (NAN,)), (L.svdvals, (NAN,)), (L.eig, (NAN,)),
    (L.eigvals, (np.full((2, 2), np.inf),)),
    (L.inv, (TALL,)), (L.det, (TALL,)), (L.inv, (VECTOR,)), (L.qr, (VECTOR,)), (L.svd, (VECTOR,)),
    (L.cholesky, (TALL,)),
    (L.solve, (GENERAL, TALL)), (L.solve, (GENERAL, TALL[0])), (L.solve, (STACK, STACK[:, :3])),
    (lambda a: L.eigh(a, "X"), (GENERAL,)), (lambda a: L.qr(a, "all"), (GENERAL,)), (L.inv, (GENERAL.astype("f2"),)),
    (L.lstsq, (TALL, VECTOR)), (L.lstsq, (STACK, VECTOR)), (L.tensorinv, (GENERAL,)), (L.tensorsolve, (TALL, VECTOR)),
    (lambda a: L.tensorinv(a, ind=0), (GENERAL,)), (lambda a: L.cond(a), (np.zeros((0, 3)),)),
    (lambda a: L.pinv(a, 0.1, rtol=0.1), (GENERAL,)), (lambda a: L.matrix_power(a, 1.5), (GENERAL,)),
    (lambda a: L.matrix_rank(a, 0.1, rtol=0.1), (GENERAL,))]


def same(found: Any, expected: Any) -> None:
    """Equal structures, classes, dtypes and shapes; values to rounding."""
    if isinstance(expected, tuple):
        assert type(found) is type(expected) and len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            same(f, e)
        return
    found, expected = np.asarray(found), np.asarray(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    eps = np.finfo(expected.dtype).eps if expected.dtype.kind in "fc" else 0.0
    np.testing.assert_allclose(found, expected, rtol=1e5 * eps, atol=1e4 * eps)


def some(cases: list[Case]) -> list[Any]:
    """Every fifth case, all others with the full product."""
    return [pytest.param(*case, marks=[pytest.mark.full] if k % 5 else []) for k, case in enumerate(cases)]


@pytest.mark.parametrize(("function", "args"), some([*SOLVERS, *FACTORS, *SPECTRA]))
@pytest.mark.filterwarnings("ignore")
def test_results_are_numpys(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    same(tj.function(function)(*args), function(*args))


@pytest.mark.parametrize(("function", "args"), some(ERRORS[:11]) + ERRORS[11:])
def test_errors_are_numpys(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError)) as expected:
        function(*args)
    with pytest.raises(expected.type) as found:
        tj.function(function)(*args)
    assert str(expected.value).split("  (")[0][:40] in str(found.value)


def test_errors_at_run_time_name_the_users_line() -> None:
    @tj.function
    def twice(a: Any) -> Any:
        return L.inv(a) * 2

    twice(GENERAL)
    with pytest.raises(L.LinAlgError, match="^Singular matrix$") as caught:
        twice(np.zeros((5, 5)))
    assert caught.traceback[-1].name == "twice" and "L.inv(a) * 2" in str(caught.traceback[-1].statement)


def test_errors_are_caught_by_compiled_code() -> None:
    @tj.function
    def either(a: Any) -> Any:
        try:
            return L.inv(a)
        except L.LinAlgError:
            return L.pinv(a)

    same(either(GENERAL), L.inv(GENERAL))
    ones = np.ones((5, 5))
    np.testing.assert_allclose(either(ones), L.pinv(ones), atol=1e-12)
    assert len(either.traces) == 1


@pytest.mark.parametrize("function", [
    lambda a: (L.inv(a), *L.slogdet(a), L.solve(a, a[0])), lambda a: (*L.eigh(a), L.cholesky(a)),
    lambda a: (*L.svd(a), *L.qr(a), L.matrix_rank(a)), lambda a: (L.pinv(a), L.eigvals(a + 1j))])
def test_one_trace_serves_all_sizes(function: Callable[..., Any]) -> None:
    compiled = tj.function(function)
    for n in (3, 4, 6, 9):
        a = POSITIVE[:n, :n] if n < 6 else np.eye(n) + np.ones((n, n)) / np.arange(1, n + 1)[:, None] / n
        a = a + a.T
        same(compiled(a), function(a))
    assert len(compiled.traces) == 2


def test_tall_and_wide_matrices_are_two_traces_of_any_size() -> None:
    compiled = tj.function(lambda a: L.svd(a, full_matrices=False))
    for m in (5, 6, 7, 8):
        a = RNG.normal(size=(m, 3))
        same(compiled(a), L.svd(a, full_matrices=False))
    assert len(compiled.traces) == 2


@pytest.mark.parametrize(("n", "dtype"), [(1, "f8"), (2, "c16"), (4, "f8"), (8, "c16"), *(
    pytest.param(n, d, marks=pytest.mark.full) for n, d in ((2, "f8"), (4, "c16"), (5, "f8"), (8, "f8"), (9, "c16")))])
def test_large_stacks_of_small_matrices(n: int, dtype: str) -> None:
    a = (RNG.normal(size=(300, n, n)) + 1j * RNG.normal(size=(300, n, n))).astype(dtype) if dtype == "c16" else (
        RNG.normal(size=(300, n, n)))
    a = a + 4 * np.eye(n)

    def all_of_them(a: Any) -> Any:
        positive = a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(n)
        return (L.solve(a, a[..., :1]), L.inv(a), L.cholesky(positive), L.cholesky(positive, upper=True), *L.slogdet(a))

    same(tj.function(all_of_them)(a), all_of_them(a))


def test_exceptions_of_numpy_are_raised_and_caught_as_its_own() -> None:
    @tj.function
    def checked(a: Any, limit: Any) -> Any:
        try:
            if L.det(a) < limit:
                raise L.LinAlgError("nearly singular")
            return L.inv(a)
        except ValueError:
            return a * 0

    same(checked(GENERAL, -1e9), L.inv(GENERAL))
    same(checked(GENERAL, 1e9), GENERAL * 0)
    same(checked(GENERAL * 0, -1.0), GENERAL * 0)


MASKS = [np.array([1, 0, 1, 1, 0], bool), np.array([0, 1, 0, 0, 0], bool), np.ones(5, bool)]


@pytest.mark.parametrize("function", [
    lambda a, m: (L.solve(a[m][:, m], a[m]), L.det(a[m][:, m]), L.cholesky((a @ a.T)[m][:, m])),
    lambda a, m: (*L.svd(a[m]), *L.qr(a[m]), L.norm(a[m], 2)),
    lambda a, m: (L.pinv(a[m]), *L.lstsq(a[m][:, :2], a[m]), L.matrix_rank(a[m][:, :2]))])
def test_sizes_that_only_the_run_knows(function: Callable[..., Any]) -> None:
    compiled = tj.function(function)
    for mask in MASKS:
        same(compiled(GENERAL, mask), function(GENERAL, mask))
    assert len(compiled.traces) == 1


def test_matrices_without_rows_are_no_argument_of_lapack(capfd: pytest.CaptureFixture[str]) -> None:
    compiled = tj.function(lambda a, m: (L.solve(a[m][:, m], a[m]), *L.svd(a[m]), L.inv(a[m][:, m]), L.qr(a[m])[0]))
    same(compiled(GENERAL, MASKS[0] & False), compiled.original(GENERAL, MASKS[0] & False))
    assert capfd.readouterr() == ("", "")


def test_threads_share_lapack() -> None:
    large = RNG.normal(size=(60, 60))
    compiled = tj.function(lambda a: (L.inv(a), L.svd(a)[1]))
    expected, agreed = compiled(large), []

    def work() -> None:
        for _ in range(20):
            agreed.append(all(map(np.array_equal, compiled(large), expected)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agreed == [True] * 80


def test_single_precision_is_computed_in_double_as_numpy_does() -> None:
    n = 8
    hilbert = (1 / (np.arange(n)[:, None] + np.arange(n) + 1)).astype("f4")
    for function in (L.inv, L.det, L.svdvals):
        np.testing.assert_allclose(tj.function(function)(hilbert), function(hilbert), rtol=1e-5)


def test_loops_and_branches_hold_decompositions() -> None:
    @tj.function
    def newton(a: Any, x: Any) -> Any:
        for _ in range(20):
            step = L.solve(a + np.diag(3 * x * x), a @ x + x**3 - 1)
            if L.norm(step) < 1e-12:
                break
            x = x - step
        return x

    same(newton(POSITIVE, VECTOR), newton.original(POSITIVE, VECTOR))


# ---- on the host -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "args"), some([*SOLVERS[::4], *FACTORS[::4], *SPECTRA[::5]]))
@pytest.mark.filterwarnings("ignore")
def test_without_lapack_numpy_does_it_on_the_host(function: Callable[..., Any], args: tuple[Any, ...],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    without_lapack(monkeypatch)
    same(tj.function(function)(*args), function(*args))


def without_lapack(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {key: f for key, f in find_blas().items() if key[0] == "gemm"}
    monkeypatch.setattr(imports, "find_blas", lambda: kept)
    monkeypatch.setattr(compiler, "find_blas", lambda: kept)


def test_without_lapack_errors_and_order_are_the_same(monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    without_lapack(monkeypatch)

    @tj.function
    def shown(a: Any) -> Any:
        for k in range(2):
            a = L.inv(a)
            print("round", k)
        return a

    same(shown(GENERAL), L.inv(L.inv(GENERAL)))
    assert capsys.readouterr().out == "round 0\nround 1\n"
    with pytest.raises(L.LinAlgError, match="Singular matrix"):
        shown(np.zeros((5, 5)))
    assert "runs on the host: lu" in str(shown.explain())
