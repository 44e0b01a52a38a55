"""Loops whose iterations don't see each other run as maps, against the evaluator."""
from __future__ import annotations

import numpy as np
import pytest

from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.loop_to_map import map_loops
from tracejit.xla_lite.replay import compile_for_arrays, run


def transformed(graph: Graph) -> Graph:
    after = canonicalize.run(map_loops.run(canonicalize.run(graph)))
    verify(after)
    return after


def check(text: str, *arrays: object, fors: int = 0, sizes: dict[str, int] | None = None) -> Graph:
    graph = parse_graph(text)
    after = transformed(graph)
    assert sum(n.op.name == "for" for n in after.nodes) == fors, str(after)
    expected = evaluate(graph, arrays, sizes)
    for got, wanted in zip(evaluate(after, arrays, sizes), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    for got, wanted in zip(run(compile_for_arrays(graph), arrays, sizes), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
    return after


SQUARES = """
graph(%0: f64[40], %1: f64[40]) {
  %2: i64[] = constant(type=i64[], value=LOWER)
  %3: i64[] = constant(type=i64[], value=UPPER)
  %4: i64[] = constant(type=i64[], value=STEP)
  %5: f64[40] = for(%2, %3, %4, %0, %1, carries=1)
    body = graph(%0: i64[], %1: f64[40], %2: f64[40]) {
      %3: f64[] = gather(%2, %0, axes=(0,))
      %4: f64[] = multiply(%3, %3)
      %5: f64[] = convert(%0, dtype=f64)
      %6: f64[] = add(%4, %5)
      %7: f64[40] = scatter(%1, %6, %0, axes=(0,), combine='set')
      return %7
    }
  return %5
}
"""


@pytest.mark.parametrize(("lower", "upper", "step"), [(0, 40, 1), (5, 31, 1), (39, -1, -1), (0, 40, 3)])
def test_a_loop_over_elements_is_arithmetic_on_arrays(lower: int, upper: int, step: int) -> None:
    text = SQUARES.replace("LOWER", str(lower)).replace("UPPER", str(upper)).replace("STEP", str(step))
    after = check(text, np.full(40, -1.0), np.linspace(-1, 1, 40))
    assert step != 1 or not any(n.op.kind in ("gather", "scatter") and n.op.name != "dynamic_update_slice"
                                for n in after.nodes)


PIXELS = """
graph(%0: f64[9], %1: f64[13]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=9)
  %4: i64[] = constant(type=i64[], value=1)
  %5: i64[] = constant(type=i64[], value=13)
  %6: i64[9,13] = constant(type=i64[9,13], value=0)
  %7: i64[9,13] = for(%2, %3, %4, %6, %0, %1, %2, %5, %4, carries=1)
    body = graph(%0: i64[], %1: i64[9,13], %2: f64[9], %3: f64[13], %4: i64[], %5: i64[], %6: i64[]) {
      %7: i64[] = constant(type=i64[], value=0)
      %8: i64[] = constant(type=i64[], value=13)
      %9: i64[] = constant(type=i64[], value=1)
      %10: i64[9,13] = for(%7, %8, %9, %1, %0, %2, %3, carries=1)
        body = graph(%0: i64[], %1: i64[9,13], %2: i64[], %3: f64[9], %4: f64[13]) {
          %5: f64[] = gather(%4, %0, axes=(0,))
          %6: f64[] = gather(%3, %2, axes=(0,))
          %7: f64[] = constant(type=f64[], value=0.0)
          %8: i64[] = constant(type=i64[], value=0)
          %9: f64[], %10: f64[], %11: i64[] = while(%7, %7, %8, %5, %6, carries=3)
            cond = graph(%0: f64[], %1: f64[], %2: i64[], %3: f64[], %4: f64[]) {
              %5: i64[] = constant(type=i64[], value=30)
              %6: bool[] = compare(%2, %5, direction='LT')
              %7: f64[] = multiply(%0, %0)
              %8: f64[] = multiply(%1, %1)
              %9: f64[] = add(%7, %8)
              %10: f64[] = constant(type=f64[], value=4.0)
              %11: bool[] = compare(%9, %10, direction='LE')
              %12: bool[] = and(%6, %11)
              return %12
            }
            body = graph(%0: f64[], %1: f64[], %2: i64[], %3: f64[], %4: f64[]) {
              %5: f64[] = multiply(%0, %0)
              %6: f64[] = multiply(%1, %1)
              %7: f64[] = subtract(%5, %6)
              %8: f64[] = add(%7, %3)
              %9: f64[] = multiply(%0, %1)
              %10: f64[] = add(%9, %9)
              %11: f64[] = add(%10, %4)
              %12: i64[] = constant(type=i64[], value=1)
              %13: i64[] = add(%2, %12)
              return %8, %11, %13
            }
          %12: i64[9,13] = scatter(%1, %11, %2, %0, axes=(0, 1), combine='set')
          return %12
        }
      return %10
    }
  return %7
}
"""


def test_a_nest_with_a_while_per_pixel_is_one_kernel() -> None:
    y, x = np.linspace(-1, 1, 9), np.linspace(-2, 1, 13)
    x[3] = np.nan
    check(PIXELS, y, x)
    executable = compile_for_arrays(parse_graph(PIXELS))
    assert len(executable.stages.program.kernels) == 1


COLLATZ = """
graph(%0: i64[]) {
  %1: i64[] = constant(type=i64[], value=1)
  %2: i64[] = constant(type=i64[], value=100)
  %3: i64[] = constant(type=i64[], value=0)
  %4: i64[], %5: i64[], %6: i64[] = for(%1, %2, %1, %3, %3, %0, carries=3)
    body = graph(%0: i64[], %1: i64[], %2: i64[], %3: i64[]) {
      %4: i64[] = constant(type=i64[], value=0)
      %5: i64[], %6: i64[] = while(%0, %4, carries=2)
        cond = graph(%0: i64[], %1: i64[]) {
          %2: i64[] = constant(type=i64[], value=1)
          %3: bool[] = compare(%0, %2, direction='NE')
          return %3
        }
        body = graph(%0: i64[], %1: i64[]) {
          %2: i64[] = constant(type=i64[], value=2)
          %3: i64[] = remainder(%0, %2)
          %4: i64[] = constant(type=i64[], value=0)
          %5: bool[] = compare(%3, %4, direction='EQ')
          %6: i64[] = case(%5, %0)
            branches0 = graph(%0: i64[]) {
              %1: i64[] = constant(type=i64[], value=3)
              %2: i64[] = multiply(%0, %1)
              %3: i64[] = constant(type=i64[], value=1)
              %4: i64[] = add(%2, %3)
              return %4
            }
            branches1 = graph(%0: i64[]) {
              %1: i64[] = constant(type=i64[], value=2)
              %2: i64[] = floor_divide(%0, %1)
              return %2
            }
          %7: i64[] = constant(type=i64[], value=1)
          %8: i64[] = add(%1, %7)
          return %6, %8
        }
      %7: bool[] = compare(%6, %1, direction='GT')
      %8: i64[] = select(%7, %6, %1)
      %9: i64[] = select(%7, %0, %2)
      %10: i64[] = add(%3, %6)
      return %8, %9, %10
    }
  return %4, %5, %6
}
"""


def test_the_best_so_far_and_a_sum_stay_in_a_second_loop() -> None:
    check(COLLATZ, np.int64(7), fors=1)
