"""What ranges make needless is taken out of kernels, and nothing else; results stay what they are.

Flows in: small kernels and functions.  Flows out: failures.
"""

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.dtypes import BOOL, F64, I64
from tracejit.xla_lite.kernels.expressions import clamp, less, minus, plus, times
from tracejit.xla_lite.kernels.interpreter import run_kernel
from tracejit.xla_lite.kernels.kernel_ir import (
    Apply,
    Buffer,
    BufferParam,
    Const,
    Expr,
    Fail,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Name,
    ScalarParam,
    Store,
    statements,
)
from tracejit.xla_lite.kernels.printer import print_kernel
from tracejit.xla_lite.kernels.ranges import Facts
from tracejit.xla_lite.kernels.simplify import simplify
from tracejit.xla_lite.kernels.versions import checked_at_ends

N, I, J, K = Name("n"), Name("i"), Name("j"), Name("k")
X = BufferParam("x", F64, (N, N), None, True)


def read(*index: Expr) -> Load:
    return Load("x", index, F64)


def inside(body: tuple[Any, ...]) -> str:
    return print_kernel(simplify(Kernel("kernel", (X,), (Loop("i", N, body),))))


def test_clamps_of_an_index_of_the_loop_are_gone() -> None:
    at = clamp(I, minus(N, Const(1)))
    assert "store x[i, i]" in inside((Store("x", (I, I), read(at, at)),)) and "minimum" not in inside(
        (Store("x", (I, I), read(at, at)),))


def test_a_triangular_loop_stays_inside_without_clamps() -> None:
    at = clamp(plus(plus(I, Const(1)), J), minus(N, Const(1)))
    text = inside((Loop("j", minus(minus(N, I), Const(1)), (Store("x", (I, J), read(at, I)),)),))
    assert "x[((i + 1) + j), i]" in text


@pytest.mark.parametrize("extent", [minus(N, I), plus(N, Const(-3))])
def test_an_index_that_may_be_outside_keeps_its_clamp(extent: Expr) -> None:
    at = clamp(plus(plus(I, Const(1)), J), minus(N, Const(1)))
    assert "minimum" in inside((Loop("j", extent, (Store("x", (I, J), read(at, I)),)),))


def test_after_a_failing_test_its_opposite_is_known() -> None:
    body = (Let("k", Apply("convert", (read(I, I),), I64)), If(Apply("not", (less(K, N),), BOOL), (Fail(1),)),
            Store("x", (I, I), read(clamp(K, minus(N, Const(1))), I)))
    assert "x[maximum(k, 0), i]" in inside(body)


def test_what_holds_in_a_branch_is_not_known_behind_it() -> None:
    at = clamp(K, minus(N, Const(1)))
    body = (Let("k", Apply("convert", (read(I, I),), I64)),
            If(less(K, N), (Store("x", (I, I), read(at, I)),)), Store("x", (I, I), read(at, J)))
    *_, last = inside((Let("j", Const(0)), *body)).splitlines()
    assert "minimum(k, (n + -1))" in last


def test_a_sum_that_may_wrap_is_not_compared() -> None:
    assert Facts().holds("gt", plus(K, Const(1)), K) is None
    facts = Facts()
    facts.assume(less(K, Const(100)), True)
    assert facts.holds("gt", plus(K, Const(1)), K) is True


def test_a_register_that_only_grows_is_never_below_its_start() -> None:
    register = Buffer("r", I64, ())
    step = (Let("k", Load("r", (), I64)), Store("r", (), plus(K, Const(2))),
            Store("x", (I, I), read(clamp(K, minus(N, Const(1))), I)))
    kernel = Kernel("kernel", (X,), (register, Store("r", (), Const(0)), Loop("i", N, step)))
    assert "x[minimum(k, (n + -1)), i]" in print_kernel(simplify(kernel))
    shrinking = Kernel("kernel", (X,), (register, Store("r", (), Const(0)),
                                        Loop("i", N, (step[0], Store("r", (), plus(K, Const(-2))), step[2]))))
    assert "x[0, i]" in print_kernel(simplify(shrinking))


def test_names_that_nobody_reads_are_dropped() -> None:
    body = simplify(Kernel("kernel", (X,), (Loop("i", N, (
        Let("k", clamp(I, minus(N, Const(1)))), Let("j", plus(K, Const(1))), Store("x", (I, I), Const(1.0, F64)))),)))
    assert not [s for s in statements(body.body) if isinstance(s, Let)]


def test_a_kernel_without_anything_to_take_out_is_the_same_kernel() -> None:
    kernel = Kernel("kernel", (X,), (Loop("i", N, (Store("x", (I, I), Const(1.0, F64)),)),))
    assert simplify(kernel) is kernel or "at most" in print_kernel(simplify(kernel))


# Branches that write to the same place


def common_letters(s, t):
    d = np.zeros((len(s) + 1, len(t) + 1), dtype=np.int64)
    for i in range(len(s)):
        for j in range(len(t)):
            if s[i] == t[j]:
                d[i + 1, j + 1] = d[i, j] + 1
            elif d[i, j + 1] > d[i + 1, j]:
                d[i + 1, j + 1] = d[i, j + 1]
            else:
                d[i + 1, j + 1] = d[i + 1, j]
    return d


def neighbours_where_there_are_any(x):
    y = np.zeros_like(x)
    for i in range(len(x)):
        if i > 0:
            y[i] = x[i - 1] * 2
        else:
            y[i] = x[i] - 1
    return y


def store_then_read(x):
    for i in range(1, len(x)):
        if x[i] > x[i - 1]:
            x[i] = 3.0
            x[i - 1] = x[i] + 1
        else:
            x[i] = 1.0
            x[i - 1] = x[i] + 2
    return x


def test_branches_that_store_to_one_place_become_a_selection() -> None:
    r = np.random.default_rng(2)
    s, t = r.integers(0, 3, 9), r.integers(0, 3, 7)
    fn = tj.function(common_letters)
    np.testing.assert_array_equal(fn(s, t), common_letters(s, t))
    text = fn.traces[0].compiled.executable.kernels_text
    assert "select" in text[text.index("kernel main"):] and " if " not in text[text.index("kernel main"):]


@pytest.mark.parametrize("fn", [neighbours_where_there_are_any, store_then_read])
def test_branches_whose_reads_depend_on_the_condition_or_on_stores_keep_their_results(fn: Any) -> None:
    x = np.random.default_rng(3).random(11)
    np.testing.assert_array_equal(tj.function(fn)(x.copy()), fn(x.copy()))


# Tests at the ends


def strided(x, start, step):
    x[start::step] = 7.0
    return x


def test_a_slice_with_a_step_is_tested_at_its_ends() -> None:
    fn = tj.function(strided)
    for start, step in ((1, 3), (0, 1), (9, 2), (10, 4), (12, 1), (-3, 2), (-20, 5), (7, -2), (-1, -1), (3, 100)):
        x = np.arange(10.0)
        np.testing.assert_array_equal(fn(x.copy(), start, step), strided(x.copy(), start, step), f"{start}, {step}")


@pytest.mark.parametrize(("start", "step", "count"), [
    (0, 3, 4), (2, 5, 2), (-1, 1, 3), (9, 1, 2), (0, 1 << 31, 3), (9, -3, 4), (0, 1 << 62, 5), (3, -(1 << 62), 9)])
def test_rounds_outside_are_left_out_as_before(start: int, step: int, count: int) -> None:
    index = plus(times(I, Const(step)), Const(start))
    test = Apply("and", (Apply("ge", (index, Const(0)), BOOL), less(index, Const(10))), BOOL)
    body = (Loop("i", Name("k"), (If(test, (Store("x", (index,), Const(1.0, F64)),)),)),)
    kernel = Kernel("kernel", (BufferParam("x", F64, (Const(10),), None, True), ScalarParam("k", I64)), body)
    wanted, found = np.zeros(10), np.zeros(10)
    run_kernel(kernel, [wanted, count])
    changed = checked_at_ends(kernel)
    assert changed is not kernel
    run_kernel(changed, [found, count])
    np.testing.assert_array_equal(found, wanted)
