"""What the front end says: every name is compiled or refused with a reason; errors name the user's line."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from harness import Traced, check

import tracejit.numpy.implementations  # noqa: F401
from tracejit.base.errors import TracejitError, UnsupportedError
from tracejit.numpy import special
from tracejit.tracing.implements import NUMPY

HOST = frozenset("""get_include get_printoptions getbufsize geterr geterrcall info printoptions set_printoptions
    setbufsize seterr seterrcall show_config show_runtime test ndindex nditer nested_iters""".split())
X = np.linspace(-2, 2, 12).reshape(3, 4)


@pytest.mark.parametrize("module", [np, np.linalg, np.fft])
def test_every_function_is_compiled_or_refused_with_a_reason(module: Any) -> None:
    names = [n for n in dir(module) if not n.startswith("_") and n not in HOST and n != "row_stack"]
    functions = {n: getattr(module, n) for n in names}
    missing = [n for n, f in functions.items() if callable(f) and not isinstance(f, type) and f not in NUMPY]
    assert missing == []


@pytest.mark.parametrize(("fn", "kind", "text"), [
    (lambda x: np.sum(x, axis=2), np.exceptions.AxisError, "axis 2 is out of bounds for array of dimension 2"),
    (lambda x: x + np.ones(3), ValueError, "could not be broadcast together with shapes (3,4) (3,)"),
    (lambda x: x[5], IndexError, "index 5 is out of bounds for axis 0 with size 3"),
    (lambda x: x.reshape(5, 2), ValueError, "cannot reshape array of size 12 into shape (5, 2)"),
    (lambda x: x & 1, TypeError, "ufunc 'bitwise_and' not supported for the input types"),
    (lambda x: np.trim_zeros(x[0]), UnsupportedError, "np.trim_zeros is not supported"),
    (lambda x: np.linalg.inv(x), np.linalg.LinAlgError, "Last 2 dimensions of the array must be square"),
    (lambda x: np.fft.fft(x), UnsupportedError, "np.fft.fft is not supported"),
    (lambda x: np.max(x[:0]), ValueError, "zero-size array to reduction operation maximum"),
    (lambda x: np.concatenate([x, x[:, :2]]), ValueError, "but along dimension 1")])
def test_errors_are_numpys_and_name_the_users_line(fn: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        Traced(fn, (X,))
    message = str(caught.value)
    assert isinstance(caught.value, TracejitError) and text in message and "test_names.py" in message


def test_a_refused_function_without_tracers_runs_as_it_is() -> None:
    check(lambda x: x + len(np.base_repr(5)), X, traced=lambda x: x + len(NUMPY[np.base_repr](5)))


def _reference(name: str, x: Any) -> Any:
    return np.vectorize({"erf": math.erf, "erfc": math.erfc, "gammaln": math.lgamma,
                         "expit": lambda v: 1 / (1 + math.exp(-v))}[name])(x)


@pytest.mark.parametrize("name", ["erf", "erfc", "gammaln", "expit"])
def test_special_functions_agree_with_math(name: str) -> None:
    check(lambda x: _reference(name, x), X + 0.1, rtol=1e-11, traced=lambda x: getattr(special, name)(x))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_softmax_and_logsumexp_are_their_definitions(axis: Any) -> None:
    def by_hand(x: Any) -> Any:
        e = np.exp(x)
        total = e.sum(axis, keepdims=True)
        return e / total, np.log(e / total), np.log(e.sum(axis)), np.log(total)
    check(by_hand, X, traced=lambda x: (
        special.softmax(x, axis), special.log_softmax(x, axis), special.logsumexp(x, axis),
        special.logsumexp(x, axis, keepdims=True)))


def test_logsumexp_does_not_overflow_and_keeps_infinities() -> None:
    big, empty = np.array([1000.0, 1000.0]), np.array([-np.inf, -np.inf])
    (first, second), _ = Traced(lambda a, b: (special.logsumexp(a), special.logsumexp(b)), (big, empty)).run()
    assert first == pytest.approx(1000 + math.log(2)) and second == -np.inf


def test_xlogy_is_zero_at_zero() -> None:
    (found, _) = Traced(lambda x, y: special.xlogy(x, y), (np.array([0.0, 2.0]), np.array([0.0, 3.0]))).run()
    assert found.tolist() == [0.0, 2 * math.log(3)]
