"""Counted loops carry only what is needed, and products that they add up are one product behind them."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.dims import Dim
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph, Node
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.counters import counter_of, settle_tests
from tracejit.xla_lite.passes.loop_products import gather_products
from tracejit.xla_lite.passes.loop_state import simplify_loop_state
from tracejit.xla_lite.replay import compile_for_arrays, run

RNG = np.random.default_rng(4)


def simplified(text: str) -> Graph:
    after = canonicalize.run(simplify_loop_state.run(canonicalize.run(parse_graph(text))))
    verify(after)
    again = simplify_loop_state.run(after)
    assert again == after
    return after


def gathered(text: str) -> Graph:
    before = simplified(text)
    after = canonicalize.run(gather_products.run(before))
    verify(after)
    assert gather_products.run(after) is after
    return after


def check(text: str, after: Graph, *arrays: object, sizes: dict[str, int] | None = None) -> Node:
    """Results are the same, evaluated and compiled. The loop that is left."""
    expected = evaluate(parse_graph(text), arrays, sizes)
    for found in (evaluate(after, arrays, sizes), run(compile_for_arrays(parse_graph(text)), arrays, sizes)):
        for got, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)
    (loop,) = [n for n in after.nodes if n.op.name == "for"]
    return loop


def ops_of(graph: Graph) -> set[str]:
    return {n.op.name for n in graph.nodes}


# What the derivative of `ys[t] = h` and of `h = f(xs[t])` leaves: each round reads a row of one array and sets it to
# zero, adds to a row of zeros, and adds up a product; `LAST`, `STEP` are the bounds, rows are checked.
ROUNDS = """
graph(%0: f64[6,2,3], %1: f64[6,2,4], %2: f64[2,4]) {
  %3: i64[] = constant(type=i64[], value=LOWER)
  %4: i64[] = constant(type=i64[], value=UPPER)
  %5: i64[] = constant(type=i64[], value=STEP)
  %6: f64[3,4] = constant(type=f64[3,4], value=0)
  %7: f64[6,2,4] = constant(type=f64[6,2,4], value=0)
  %8: i64[] = constant(type=i64[], value=1)
  %9: f64[2,4], %10: f64[6,2,4], %11: f64[6,2,4], %12: f64[3,4] = for(%3, %4, %5, %2, %1, %7, %6, %0, %8, carries=4)
    body = graph(%0: i64[], %1: f64[2,4], %2: f64[6,2,4], %3: f64[6,2,4], %4: f64[3,4], %5: f64[6,2,3], %6: i64[]) {
      %7: i64[] = multiply(%0, %6)
      %8: i64[] = constant(type=i64[], value=6)
      %9: bool[] = compare(%7, %8, direction='LT')
      %10: f64[2,4] = gather(%2, %7, axes=(0,))
      %11: f64[2,4] = constant(type=f64[2,4], value=0)
      %12: bool[2,4] = broadcast_in_dim(%9, dims=(), shape=(2, 4))
      %13: f64[2,4] = select(%12, %10, %11)
      %14: f64[6,2,4] = scatter(%2, %11, %7, axes=(0,), combine='set')
      %15: f64[2,4] = add(%1, %13)
      %16: f64[2,4] = tanh(%15)
      %17: f64[6,2,4] = scatter(%3, %16, %7, axes=(0,), combine='add')
      %18: f64[2,3] = gather(%5, %7, axes=(0,))
      %19: f64[3,4] = dot_general(%18, %16, lhs_batch=(), lhs_contract=(0,), rhs_batch=(), rhs_contract=(0,))
      %20: f64[3,4] = add(%4, %19)
      return %16, %14, %17, %20
    }
  return %9, %11, %12
}
"""
ARRAYS = RNG.normal(size=(6, 2, 3)), RNG.normal(size=(6, 2, 4)), RNG.normal(size=(2, 4))


def bounded(text: str, lower: int, upper: int, step: int) -> str:
    return text.replace("LOWER", str(lower)).replace("UPPER", str(upper)).replace("STEP", str(step))


@pytest.mark.parametrize("bounds", [(0, 6, 1), (5, -1, -1), (0, 6, 2)])
def test_rows_are_read_where_they_come_from(bounds: tuple[int, int, int]) -> None:
    text = bounded(ROUNDS, *bounds)
    loop = check(text, simplified(text), *ARRAYS)
    assert loop.attributes["carries"] == 3
    assert not ops_of(loop.attributes["body"]) & {"compare", "select", "multiply"}
    combines = [n.attributes["combine"] for n in loop.attributes["body"].nodes if n.op.name == "scatter"]
    assert combines == ["set"]


@pytest.mark.parametrize("bounds", [(0, 6, 1), (5, -1, -1)])
def test_a_sum_of_products_is_one_product(bounds: tuple[int, int, int]) -> None:
    text = bounded(ROUNDS, *bounds)
    after = gathered(text)
    loop = check(text, after, *ARRAYS)
    assert loop.attributes["carries"] == 2 and "dot_general" not in ops_of(loop.attributes["body"])
    (product,) = [n for n in after.nodes if n.op.name == "dot_general"]
    assert product.attributes["lhs_contract"] == product.attributes["rhs_contract"] == (0, 1)
    assert product.operands[0] is after.params[0]


def test_rounds_that_leave_rows_out_keep_their_sum() -> None:
    text = bounded(ROUNDS, 0, 6, 2)
    after = gathered(text)
    assert "dot_general" in ops_of(check(text, after, *ARRAYS).attributes["body"])


def test_an_index_that_may_leave_the_array_keeps_its_checks() -> None:
    text = bounded(ROUNDS, 0, 7, 1)
    loop = check(text, simplified(text), *ARRAYS)
    assert loop.attributes["carries"] == 4 and "compare" in ops_of(loop.attributes["body"])


# x_t is new in every round, g_t too: both get arrays of their rows, where these are smaller than the sum.
OUTER = """
graph(%0: f64[M,N], %1: f64[M], %2: f64[N]) {
  %3: i64[] = constant(type=i64[], value=0)
  %4: i64[] = constant(type=i64[], value=9)
  %5: i64[] = constant(type=i64[], value=1)
  %6: f64[M], %7: f64[N], %8: f64[M,N] = for(%3, %4, %5, %1, %2, %0, carries=3)
    body = graph(%0: i64[], %1: f64[M], %2: f64[N], %3: f64[M,N]) {
      %4: f64[M] = sine(%1)
      %5: f64[N] = cosine(%2)
      %6: f64[M,N] = dot_general(%4, %5, lhs_batch=(), lhs_contract=(), rhs_batch=(), rhs_contract=())
      %7: f64[M,N] = add(%6, %3)
      return %4, %5, %7
    }
  return %6, %7, %8
}
"""


def test_rows_get_arrays_where_these_are_small() -> None:
    text = OUTER.replace("M", "5").replace("N", "4")
    after = gathered(text)
    loop = check(text, after, RNG.normal(size=(5, 4)), RNG.normal(size=5), RNG.normal(size=4))
    assert [v.shape for v in loop.results] == [(5,), (4,), (9, 5), (9, 4)]
    text = OUTER.replace("M", "1").replace("N", "4")
    after = gathered(text)
    loop = check(text, after, RNG.normal(size=(1, 4)), RNG.normal(size=1), RNG.normal(size=4))
    assert [v.shape for v in loop.results] == [(1,), (4,), (1, 4)]


@pytest.mark.parametrize("reader", ["%8: f64[M,N] = add(%7, %3)", "%8: f64[M,N] = add(%6, %7)"])
def test_a_sum_that_rounds_read_stays(reader: str) -> None:
    text = OUTER.replace("return %4, %5, %7", reader + "\n      return %4, %5, %8").replace("M", "5").replace("N", "4")
    loop = check(text, gathered(text), RNG.normal(size=(5, 4)), RNG.normal(size=5), RNG.normal(size=4))
    assert loop.attributes["carries"] == 3


SYMBOLIC = """
graph(%0: f64[t,2], %1: f64[t,2]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = dimension(size=t)
  %4: i64[] = constant(type=i64[], value=1)
  %5: f64[2,2] = constant(type=f64[2,2], value=1.5)
  %6: f64[2,2] = for(%2, %3, %4, %5, %0, %1, %3, carries=1)
    body = graph(%0: i64[], %1: f64[2,2], %2: f64[t,2], %3: f64[t,2], %4: i64[]) {
      %5: i64[] = constant(type=i64[], value=1)
      %6: i64[] = subtract(%4, %5)
      %7: i64[] = subtract(%6, %0)
      %8: i64[] = minimum(%7, %6)
      %9: f64[2] = gather(%2, %8, axes=(0,))
      %10: f64[2] = gather(%3, %8, axes=(0,))
      %11: f64[2,2] = dot_general(%9, %10, lhs_batch=(), lhs_contract=(), rhs_batch=(), rhs_contract=())
      %12: f64[2,2] = add(%1, %11)
      return %12
    }
  return %6
}
"""


def test_sizes_that_are_known_at_run_time() -> None:
    after = gathered(SYMBOLIC)
    assert "for" not in {n.op.name for n in after.nodes if n.attributes.get("carries")}
    for t in (2, 7):
        arrays = RNG.normal(size=(t, 2)), RNG.normal(size=(t, 2))
        expected = 1.5 + arrays[0].T @ arrays[1]
        np.testing.assert_allclose(evaluate(after, arrays, {"t": t})[0], expected, rtol=1e-12)
        (found,) = run(compile_for_arrays(parse_graph(SYMBOLIC)), arrays, {"t": t})
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_tests_on_counters() -> None:
    n = Dim.symbol("n")
    body = parse_graph("""
graph(%0: i64[]) {
  %1: i64[] = dimension(size=n)
  %2: i64[] = subtract(%1, %0)
  %3: i64[] = constant(type=i64[], value=0)
  %4: bool[] = compare(%2, %3, direction='GT')
  %5: bool[] = compare(%0, %1, direction='GE')
  %6: bool[] = compare(%2, %1, direction='LT')
  %7: i64[] = maximum(%0, %3)
  return %4, %5, %6, %7
}
""")
    counter = counter_of(body, (0, n, 1))
    assert counter is not None
    settled = settle_tests(body, counter)
    values = [v.node.attributes.get("value") if v.node else v for v in settled.outputs]
    assert values == [True, False, None, settled.params[0]]
    assert counter.rounds == n and counter_of(body, (None, n, 1)) is None


# ---- whole programs ----------------------------------------------------------------------------------------------


def test_the_gradient_of_a_recurrence_by_its_weights_has_no_product_in_the_way_back_but_one() -> None:
    xs, w, h = RNG.normal(size=(7, 4, 3)), RNG.normal(size=(3, 3)), np.zeros((4, 3))

    def loss(w, xs, h):
        for t in range(xs.shape[0]):
            h = np.tanh(xs[t] + h @ w)
        return (h * h).sum()

    step = tj.function(lambda w, xs, h: tj.grad(loss)(w, xs, h))
    found, hs, pulled = step(w, xs, h), [h], np.zeros_like(w)
    for x in xs:
        hs.append(np.tanh(x + hs[-1] @ w))
    ct = 2 * hs[-1]
    for before, after in zip(hs[-2::-1], hs[:0:-1], strict=True):
        inner = ct * (1 - after * after)
        pulled += before.T @ inner
        ct = inner @ w.T
    np.testing.assert_allclose(found, pulled, rtol=1e-12)
    text = str(step.stages(w, xs, h).optimized)
    assert text.count("dot_general") == 3


def test_cotangents_of_parts_are_joined() -> None:
    x = RNG.normal(size=(4, 9))

    def loss(x):
        a, b, c = np.split(x, 3, axis=1)
        return (np.sin(a) * b + np.tanh(c)).sum()

    step = tj.function(lambda x: tj.grad(loss)(x))
    a, b, c = np.split(x, 3, axis=1)
    expected = np.concatenate([np.cos(a) * b, np.sin(a), 1 - np.tanh(c) ** 2], axis=1)
    np.testing.assert_allclose(step(x), expected, rtol=1e-12)
    text = str(step.stages(x).optimized)
    assert "pad(" not in text and "concatenate(" in text


def test_strict_precision_keeps_the_order_of_sums() -> None:
    x, w = RNG.normal(size=(9, 1, 5)), RNG.normal(size=(9, 1, 4))

    def total(x, w):
        s = np.zeros((5, 4))
        for t in range(9):
            s = s + x[t].T @ w[t]
        return s

    exact = np.zeros((5, 4))
    for t in range(9):
        exact = exact + x[t].T @ w[t]
    np.testing.assert_array_equal(tj.function(total, precision="strict")(x, w), exact)
    np.testing.assert_allclose(tj.function(total)(x, w), exact, rtol=1e-13)
