"""Loops over whole arrays that run for each element in one kernel, against the evaluator."""
from __future__ import annotations

import numpy as np
import pytest

from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.element_loops import fuse_element_loops
from tracejit.xla_lite.replay import compile_for_arrays, run


def transformed(graph: Graph) -> Graph:
    after = fuse_element_loops.run(canonicalize.run(graph))
    verify(after)
    return after


def loops_left(graph: Graph) -> list[str]:
    """Loops outside of kernels."""
    return [n.op.name for n in graph.nodes if n.op.name in ("while", "for")]


def check(text: str, *arrays: object, sizes: dict[str, int] | None = None, left: int = 0) -> Graph:
    graph = parse_graph(text)
    after = transformed(graph)
    assert len(loops_left(after)) == left, after
    expected = evaluate(graph, arrays, sizes)
    for got, wanted in zip(evaluate(after, arrays, sizes), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    executable = compile_for_arrays(graph)
    for got, wanted in zip(run(executable, arrays, sizes), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
    return after


def mandelbrot(shape: str, trips: str = "constant(type=i64[], value=30)") -> str:
    return f"""
graph(%0: c128[{shape}], %1: i64[]) {{
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = {trips}
  %4: i64[] = constant(type=i64[], value=1)
  %5: c128[{shape}] = constant(type=c128[{shape}], value=0j)
  %6: i64[{shape}] = constant(type=i64[{shape}], value=0)
  %7: c128[{shape}], %8: i64[{shape}] = for(%2, %3, %4, %5, %6, %0, carries=2)
    body = graph(%0: i64[], %1: c128[{shape}], %2: i64[{shape}], %3: c128[{shape}]) {{
      %4: f64[{shape}] = real(%1)
      %5: f64[{shape}] = imag(%1)
      %6: f64[{shape}] = multiply(%4, %4)
      %7: f64[{shape}] = multiply(%5, %5)
      %8: f64[{shape}] = add(%6, %7)
      %9: f64[{shape}] = constant(type=f64[{shape}], value=4.0)
      %10: bool[{shape}] = compare(%8, %9, direction='LE')
      %11: c128[{shape}] = multiply(%1, %1)
      %12: c128[{shape}] = add(%11, %3)
      %13: c128[{shape}] = select(%10, %12, %1)
      %14: i64[{shape}] = convert(%10, dtype=i64)
      %15: i64[{shape}] = add(%2, %14)
      return %13, %15
    }}
  return %8
}}
"""


def plane(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    c = rng.uniform(-2, 1, shape) + 1j * rng.uniform(-1, 1, shape)
    c.flat[::7] = complex(np.nan, 0)
    return c


@pytest.mark.parametrize("shape", [(1,), (7,), (64,), (3, 5), (300, 3), (2, 3, 19), (0,)])
def test_a_for_with_frozen_elements_becomes_a_while_in_one_kernel(shape: tuple[int, ...]) -> None:
    after = check(mandelbrot(",".join(map(str, shape))), plane(*shape), np.int64(0))
    (fusion,) = [n for n in after.nodes if n.op.name == "fusion"]
    assert [n.op.name for n in fusion.attributes["body"].nodes if n.op.kind == "control"] == ["while"]


@pytest.mark.parametrize("trips", [-2, 0, 1, 9])
def test_trips_known_at_run_time(trips: int) -> None:
    check(mandelbrot("37", "add(%1, %2)"), plane(37), np.int64(trips))


def test_symbolic_sizes() -> None:
    check(mandelbrot("n,m"), plane(9, 21), np.int64(0), sizes={"n": 9, "m": 21})


def test_large_arrays_run_in_parallel_chunks() -> None:
    check(mandelbrot("150,70"), plane(150, 70), np.int64(0))


NEWTON = """
graph(%0: f64[41]) {
  %1: i64[] = constant(type=i64[], value=0)
  %2: i64[] = constant(type=i64[], value=50)
  %3: i64[], %4: f64[41] = while(%1, %0, %0, %2, carries=2)
    cond = graph(%0: i64[], %1: f64[41], %2: f64[41], %3: i64[]) {
      %4: f64[41] = multiply(%1, %1)
      %5: f64[41] = subtract(%4, %2)
      %6: f64[41] = abs(%5)
      %7: f64[41] = constant(type=f64[41], value=1e-10)
      %8: bool[41] = compare(%6, %7, direction='GT')
      %9: bool[] = reduce_or(%8, axes=(0,))
      %10: bool[] = compare(%0, %3, direction='LT')
      %11: bool[] = and(%9, %10)
      return %11
    }
    body = graph(%0: i64[], %1: f64[41], %2: f64[41], %3: i64[]) {
      %4: f64[41] = multiply(%1, %1)
      %5: f64[41] = subtract(%4, %2)
      %6: f64[41] = abs(%5)
      %7: f64[41] = constant(type=f64[41], value=1e-10)
      %8: bool[41] = compare(%6, %7, direction='GT')
      %9: f64[41] = add(%1, %1)
      %10: f64[41] = divide(%5, %9)
      %11: f64[41] = subtract(%1, %10)
      SELECTED
      %13: i64[] = constant(type=i64[], value=1)
      %14: i64[] = add(%0, %13)
      return %14, %12
    }
  return RETURNED
}
"""
MASKED, UNMASKED = "%12: f64[41] = select(%8, %11, %1)", "%12: f64[41] = negate(%11)"


def newton(selected: str, returned: str) -> str:
    return NEWTON.replace("SELECTED", selected).replace("RETURNED", returned)


def roots() -> np.ndarray:
    x = np.linspace(0, 100, 41)
    x[[0, 5, 9]] = 1.0, np.inf, np.nan
    return x


def test_while_any_with_masked_updates_and_a_counter() -> None:
    check(newton(MASKED, "%4"), roots())


def test_elements_that_may_go_on_changing_stay_in_a_loop() -> None:
    check(newton(UNMASKED, "%4"), roots(), left=1)


def test_a_count_of_rounds_until_all_are_done_stays_in_a_loop() -> None:
    check(newton(MASKED, "%3, %4"), roots(), left=1)


SETTLING = """
graph(%0: f64[41]) {
  %1: bool[41] = constant(type=bool[41], value=FIRST)
  %2: bool[41], %3: f64[41] = while(%1, %0, %0, carries=2)
    cond = graph(%0: bool[41], %1: f64[41], %2: f64[41]) {
      %3: bool[] = reduce_or(%0, axes=(0,))
      return %3
    }
    body = graph(%0: bool[41], %1: f64[41], %2: f64[41]) {
      %3: f64[41] = divide(%2, %1)
      %4: f64[41] = add(%1, %3)
      %5: f64[41] = constant(type=f64[41], value=0.5)
      %6: f64[41] = multiply(%4, %5)
      %7: f64[41] = subtract(%6, %1)
      %8: f64[41] = abs(%7)
      %9: f64[41] = constant(type=f64[41], value=1e-9)
      %10: bool[41] = compare(%8, %9, direction='GT')
      %11: f64[41] = select(%10, %6, SELECTED)
      return %10, %11
    }
  return %2, %3
}
"""


def settling(first: str = "True", selected: str = "%1") -> str:
    return SETTLING.replace("FIRST", first).replace("SELECTED", selected)


def test_elements_that_the_round_before_has_found_done_keep_their_state() -> None:
    x = np.linspace(0.5, 100, 41)
    x[[5, 9]] = np.inf, np.nan
    check(settling(), x)


def test_elements_that_change_once_more_or_were_not_active_at_first_stay_in_a_loop() -> None:
    check(settling(selected="%6"), np.linspace(0.5, 100, 41), left=1)
    check(settling(first="False"), np.linspace(0.5, 100, 41), left=1)


STEPS = """
graph(%0: f64[n], %1: i64[], %2: f64[n]) {
  %3: i64[] = constant(type=i64[], value=1)
  %4: f64[] = constant(type=f64[], value=0.5)
  %5: f64[n], %6: f64[] = for(%3, %1, %3, %0, %4, %2, carries=2)
    body = graph(%0: i64[], %1: f64[n], %2: f64[], %3: f64[n]) {
      %4: f64[n] = exponential(%3)
      %5: f64[n] = multiply(%4, %1)
      %6: f64[] = convert(%0, dtype=f64)
      %7: f64[n] = broadcast_in_dim(%6, shape=(n,), dims=())
      %8: f64[n] = divide(%5, %7)
      %9: f64[n] = broadcast_in_dim(%2, shape=(n,), dims=())
      %10: f64[n] = add(%8, %9)
      %11: f64[] = multiply(%2, %6)
      return %10, %11
    }
  return %5, %6
}
"""


@pytest.mark.parametrize("trips", [0, 1, 6])
def test_scalars_that_are_needed_afterwards_are_computed_again(trips: int) -> None:
    x = np.linspace(-1, 1, 29)
    check(STEPS, x, np.int64(trips), x[::-1].copy(), sizes={"n": 29}, left=1)


def test_what_does_not_change_is_computed_before() -> None:
    after = transformed(parse_graph(STEPS))
    (fusion,) = [n for n in after.nodes if n.op.name == "fusion"]
    body = fusion.attributes["body"]
    (loop,) = [n for n in body.nodes if n.op.name == "for"]
    assert "exponential" in [n.op.name for n in body.nodes]
    assert "exponential" not in [n.op.name for n in loop.attributes["body"].nodes]


NEIGHBOURS = """
graph(%0: f64[8]) {
  %1: i64[] = constant(type=i64[], value=0)
  %2: i64[] = constant(type=i64[], value=3)
  %3: i64[] = constant(type=i64[], value=1)
  %4: f64[8] = for(%1, %2, %3, %0, carries=1)
    body = graph(%0: i64[], %1: f64[8]) {
      %2: f64[8] = reverse(%1, axes=(0,))
      %3: f64[8] = add(%1, %2)
      return %3
    }
  return %4
}
"""


def test_elements_that_read_others_stay_in_a_loop() -> None:
    check(NEIGHBOURS, np.arange(8.0), left=1)


NESTED = """
graph(%0: f32[33], %1: i64[]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=1)
  %4: f32[33] = for(%2, %1, %3, %0, carries=1)
    body = graph(%0: i64[], %1: f32[33]) {
      %2: i64[] = constant(type=i64[], value=0)
      %3: i64[] = constant(type=i64[], value=1)
      %4: f32[33], %5: i64[] = for(%2, %0, %3, %1, %2, carries=2)
        body = graph(%0: i64[], %1: f32[33], %2: i64[]) {
          %3: f32[33] = sine(%1)
          %4: i64[] = add(%2, %0)
          return %3, %4
        }
      %6: f32[] = convert(%5, dtype=f32)
      %7: f32[33] = broadcast_in_dim(%6, shape=(33,), dims=())
      %8: f32[33] = add(%4, %7)
      return %8
    }
  return %4
}
"""


def test_loops_in_loops_run_in_the_kernel_too() -> None:
    graph = parse_graph(NESTED)
    assert not loops_left(transformed(graph))
    x = np.linspace(-1, 1, 33, dtype=np.float32)
    for trips in (0, 1, 5):
        expected = evaluate(graph, [x, np.int64(trips)])
        np.testing.assert_allclose(run(compile_for_arrays(graph), [x, np.int64(trips)])[0], expected[0], rtol=1e-5)


def test_a_graph_without_such_loops_is_the_same_object() -> None:
    graph = canonicalize.run(parse_graph(NEIGHBOURS))
    assert fuse_element_loops.run(graph) is graph
    done = transformed(parse_graph(STEPS))
    assert fuse_element_loops.run(done) == done
