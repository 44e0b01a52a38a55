"""What every round would compute again is computed before the loop."""
from __future__ import annotations

import numpy as np

import tracejit as tj
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.loop_invariants import hoist_invariants

RNG = np.random.default_rng(2)


def hoisted(text: str) -> Graph:
    after = canonicalize.run(hoist_invariants.run(canonicalize.run(parse_graph(text))))
    verify(after)
    assert hoist_invariants.run(after) is after
    return after


def body_ops(graph: Graph) -> set[str]:
    return {n.op.name for node in graph.nodes for _, region in node.regions() for n in region.nodes}


COUNTED = """
graph(%0: f64[3,3], %1: f64[2,3], %2: f64[3,3]) {
  %3: i64[] = constant(type=i64[], value=0)
  %4: i64[] = constant(type=i64[], value=4)
  %5: i64[] = constant(type=i64[], value=1)
  %6: f64[2,3] = for(%3, %4, %5, %1, %0, %2, carries=1)
    body = graph(%0: i64[], %1: f64[2,3], %2: f64[3,3], %3: f64[3,3]) {
      %4: f64[3,3] = multiply(%2, %3)
      %5: f64[2,3] = dot_general(%1, %4, lhs_batch=(), lhs_contract=(1,), rhs_batch=(), rhs_contract=(0,))
      %6: f64[3] = reduce_sum(%4, axes=(0,))
      %7: f64[2,3] = broadcast_in_dim(%6, shape=(2, 3), dims=(1,))
      %8: f64[2,3] = add(%5, %7)
      %9: f64[2,3] = tanh(%8)
      return %9
    }
  return %6
}
"""


def test_products_and_sums_of_invariants_leave_the_loop() -> None:
    after = hoisted(COUNTED)
    assert body_ops(after) == {"dot_general", "broadcast_in_dim", "add", "tanh"}
    arrays = RNG.normal(size=(3, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=(3, 3))
    np.testing.assert_allclose(evaluate(after, arrays)[0], evaluate(parse_graph(COUNTED), arrays)[0], rtol=1e-14)


def test_cheap_work_stays_where_it_fuses() -> None:
    text = COUNTED.replace("%5: f64[2,3] = dot_general(%1, %4, lhs_batch=(), lhs_contract=(1,), rhs_batch=(), "
                           "rhs_contract=(0,))", "%5: f64[2,3] = sine(%1)").replace("reduce_sum(%4, axes=(0,))",
                                                                                  "slice(%4, start=(0,0), limit=(1,3), "
                                                                                  "stride=(1,1))")
    text = text.replace("%6: f64[3] =", "%6: f64[1,3] =").replace("dims=(1,)", "dims=(0, 1)")
    assert hoist_invariants.run(canonicalize.run(parse_graph(text))) == canonicalize.run(parse_graph(text))


def test_loops_that_end_by_a_test_and_loops_in_loops() -> None:
    a, x = RNG.normal(size=(3, 3)), RNG.normal(size=3)

    def iterate(a, x):
        count = 0
        while np.abs(x).max() < 1e3 and count < 50:
            for _ in range(3):
                x = x + np.tanh(a @ a @ x)
            count = count + 1
        return x, count

    fast = tj.function(iterate)
    found, expected = fast(a, x), iterate(a, x)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-10)
    assert found[1] == expected[1]
    optimized = str(fast.stages(a, x).optimized)
    assert optimized.index("dot_general") < optimized.index("while(")


def test_rounds_still_do_what_has_an_effect_and_no_result() -> None:
    m = RNG.normal(size=(3, 4))

    @tj.function
    def checked(x, m):
        k, parts = 0, []
        while k < 5:
            k += 1
            assert x + k < 4, "too large"
            x = x + abs(m.sum())
            parts.append(x)
        return sum(parts)
    plain = sum(-90 + k * abs(m.sum()) for k in range(1, 6))
    np.testing.assert_allclose(checked(-90.0, m), plain, rtol=1e-12)
    with np.testing.assert_raises_regex(AssertionError, "too large"):
        checked(3.5, m)
    slope = tj.grad(lambda m: checked.original(-90.0, m))(m)
    np.testing.assert_allclose(slope, np.full((3, 4), 15.0 * np.sign(m.sum())), rtol=1e-12)
