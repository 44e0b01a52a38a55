"""Loops whose rounds are counted at run time, or which check their indices, become maps where no check can fail.

Flows in:  programs, run plain and compiled.  Flows out: equal results and state, also where checks fail.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.counted_loops import map_counted_loops, map_counted_loops_in_order


def squares(x, n, out):
    for i in range(n):
        out[i] = x[i] * x[i] + 1.0
    return out


def shifted_backwards(x, first, last, out):
    for i in range(first, last, 2):
        out[i] = x[i] * x[i - 1]
    return out


def rows_in_place(a, k, n):
    for j in range(k + 1, n):
        a[k, j] = a[k, j] / a[k, k - 1] + j
    return a


def dot(x, y, n):
    total = 0.5
    for i in range(n):
        total += x[i] * y[n - 1 - i]
    return total


def product_and_extremes(x, n):
    product, low, high, count = 1.0, np.inf, -np.inf, 0
    for i in range(n):
        product *= x[i]
        low = np.minimum(low, x[i])
        high = np.maximum(high, x[i])
        count += i
    return product, low, high, count


def triangle(a, n):
    out = np.zeros(len(a))
    for i in range(n):
        total = 0.0
        for k in range(i):
            total -= a[i, k] * a[k, i]
        out[i] = total
    return out


def table(width, height, limit, out):
    for y in range(height):
        for x in range(width):
            n, z = 0, 0.1 * x / width
            while n < limit and z < y:
                z = z * z + 1.0
                n += 1
            out[y, x] = n
    return out


def two_results(x, n, steps):
    """Both begin as the same array of zeros."""
    p, q = np.zeros_like(x), np.zeros_like(x)
    for i in range(n):
        u, v = x[i], 1.0
        for _ in range(steps):
            u, v = u + 0.1 * v, v - 0.1 * u
        p[i], q[i] = u, v
    return p, q


def delayed(x, n):
    """What one round hands to the next in turn is no reduction."""
    a, b, total = 1.0, 2.0, 0.0
    for i in range(n):
        total = total + b
        a, b = b, a * x[i]
    return a, b, total


def neighbours(x, n):
    for i in range(1, n):
        x[i] = x[i] + x[i - 1]
    return x


X = np.random.default_rng(2).uniform(0.5, 1.5, 40)
A = np.random.default_rng(3).uniform(0.5, 1.5, (9, 9))
PROGRAMS: list[tuple[Callable[..., Any], list[tuple[Any, ...]]]] = [
    (squares, [(X, 30, np.zeros(33)), (X, 0, np.zeros(33)), (X, 1, np.zeros(33)), (X, -3, np.zeros(33)),
               (X, 33, np.zeros(33)), (X, 34, np.zeros(33)), (X, 41, np.zeros(33))]),
    (shifted_backwards, [(X, 1, 30, np.zeros(33)), (X, 0, 9, np.zeros(33)), (X, -4, 5, np.zeros(33)),
                         (X, 30, 37, np.zeros(33)), (X, 5, 5, np.zeros(33))]),
    (rows_in_place, [(A, 3, 9), (A, 0, 9), (A, 8, 9), (A, 2, 11), (A, 10, 12)]),
    (dot, [(X, X, 40), (X, X, 7), (X, X, 0), (X, X, 41), (X, X[:9], 12)]),
    (product_and_extremes, [(X, 40), (X, 0), (X, 3), (np.where(X > 1.4, np.nan, X), 40), (X, 44)]),
    (triangle, [(A, 9), (A, 0), (A, 1), (A, 10)]),
    (table, [(7, 9, 20, np.zeros((9, 9), int)), (0, 3, 5, np.zeros((9, 9), int)), (9, 9, 3, np.zeros((9, 9), int)),
             (10, 2, 3, np.zeros((9, 9), int)), (3, 12, 3, np.zeros((9, 9), int)), (0, 0, 1, np.zeros((9, 9), int))]),
    (two_results, [(X, 40, 3), (X, 7, 0), (X, 0, 2), (X, 41, 1)]),
    (delayed, [(X, 40), (X, 0), (X, 1), (X, 41)]),
    (neighbours, [(X, 40), (X, 1), (X, 0), (X, 42)])]


def outcome(fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Any, list[Any]]:
    """What a call gives, how it fails, and what it leaves in its arguments."""
    args = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
    try:
        return fn(*args), None, list(args)
    except (IndexError, ZeroDivisionError) as error:
        return None, (type(error), str(error)), list(args)


@pytest.mark.parametrize(("fn", "calls"), PROGRAMS, ids=lambda x: getattr(x, "__name__", ""))
def test_results_errors_and_state_are_those_of_plain_python(fn: Callable[..., Any],
                                                            calls: list[tuple[Any, ...]]) -> None:
    compiled = tj.function(fn)
    for args in calls:
        result, error, left = outcome(compiled, args)
        wanted, wanted_error, wanted_left = outcome(fn, args)
        assert error == wanted_error
        if error is None:
            np.testing.assert_allclose(result, wanted, rtol=1e-12)
            for x, y in zip(left, wanted_left, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-12)


def kernels_of(fn: Callable[..., Any], args: tuple[Any, ...]) -> str:
    text: str = str(tj.function(fn).stages(*outcome(fn, args)[2]).kernels)
    return text


@pytest.mark.parametrize(("fn", "args"), [(squares, (X, 30, np.zeros(33))), (dot, (X, X, 40)),
                                          (table, (7, 9, 20, np.zeros((9, 9), int))), (triangle, (A, 9)),
                                          (two_results, (X, 40, 3))])
def test_such_loops_run_in_vectors(fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
    assert " vector" in kernels_of(fn, args)


def test_what_depends_on_the_round_before_stays_in_order() -> None:
    assert kernels_of(neighbours, (X, 40)).count(" vector") <= 1      # at most a copy of the argument


def test_a_vectorised_nest_is_one_kernel_beside_the_loops_that_check() -> None:
    assert kernels_of(table, (7, 9, 20, np.zeros((9, 9), int))).count(" polls") == 1


SUM = """
graph(%0: TYPE[n], %1: i64[]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=1)
  %4: TYPE[] = constant(type=TYPE[], value=0)
  %5: TYPE[] = for(%2, %1, %3, %4, %0, carries=1)
    body = graph(%0: i64[], %1: TYPE[], %2: TYPE[n]) {
      %3: TYPE[] = gather(%2, %0, axes=(0,))
      %4: TYPE[] = add(%1, %3)
      return %4
    }
  return %5
}
"""


@pytest.mark.parametrize(("dtype", "in_order", "mapped"), [
    ("f64", False, True), ("f64", True, False), ("i64", False, True), ("i64", True, True)])
def test_sums_of_floats_keep_their_order_if_asked_to(dtype: str, in_order: bool, mapped: bool) -> None:
    chosen = map_counted_loops_in_order if in_order else map_counted_loops
    before = canonicalize.run(parse_graph(SUM.replace("TYPE", dtype)))
    after = chosen.run(before)
    verify(after)
    assert (after is not before) == mapped == ("reduce_sum" in str(after))
