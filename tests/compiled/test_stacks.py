"""Growing stacks in native code, against the evaluator: every op, dtypes, shapes, every way out."""
from __future__ import annotations

import numpy as np
import pytest

from tracejit.base.dtypes import DType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.replay import compile_for_arrays, run

SCALARS = "bool i8 u8 i16 u16 i32 u32 i64 u64 f16 f32 f64 c64 c128".split()


def check(graph: Graph, *arrays: object) -> tuple[object, ...]:
    expected = evaluate(graph, arrays)
    got = run(compile_for_arrays(graph), arrays)    # type: ignore[arg-type]
    for mine, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, wanted)
    return got


SQUARES = """
graph(%0: i64[], %1: i64[]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=1)
  %4: i64[] = stack_new(types=(i64[],))
  for(%2, %0, %3, %4, carries=0)
    body = graph(%0: i64[], %1: i64[]) {
      %2: i64[] = multiply(%0, %0)
      stack_push(%1, %2)
      return
    }
  %5: i64[] = stack_length(%4)
  %6: i64[] = stack_get(%4, %1, types=(i64[],))
  %7: i64[] = stack_pop(%4, types=(i64[],))
  stack_set(%4, %2, %7)
  %8: i64[] = stack_get(%4, %2, types=(i64[],))
  stack_truncate(%4, %1)
  %9: i64[] = stack_length(%4)
  return %5, %6, %7, %8, %9
}
"""


@pytest.mark.parametrize("count", [2, 8, 9, 1000])
def test_scalars_are_pushed_read_written_and_popped(count: int) -> None:
    check(parse_graph(SQUARES), np.int64(count), np.int64(1))


@pytest.mark.parametrize("dtype", SCALARS)
def test_entries_of_any_dtype_come_back_as_they_went_in(dtype: str) -> None:
    text = """
graph(%0: D[], %1: D[3]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=20)
  %4: i64[] = constant(type=i64[], value=1)
  %5: i64[] = stack_new(types=(D[], D[3]))
  for(%2, %3, %4, %5, %0, %1, carries=0)
    body = graph(%0: i64[], %1: i64[], %2: D[], %3: D[3]) {
      stack_push(%1, %2, %3)
      return
    }
  %6: D[], %7: D[3] = stack_get(%5, %4, types=(D[], D[3]))
  %8: D[20] = stack_array(%5, %2, field=0, type=D[20], types=(D[], D[3]))
  %9: D[19,3] = stack_array(%5, %4, field=1, type=D[19,3], types=(D[], D[3]))
  %10: D[], %11: D[3] = stack_pop(%5, types=(D[], D[3]))
  return %8, %9, %10, %11
}
""".replace("D[", dtype + "[")
    x = np.array([0, 1, 3]).astype(DType.parse(dtype).numpy)
    check(parse_graph(text), x[1], x)


def test_arrays_extend_a_stack_and_copies_of_it_are_independent() -> None:
    text = """
graph(%0: f64[5,2], %1: i64[]) {
  %2: i64[] = constant(type=i64[], value=0)
  %3: i64[] = constant(type=i64[], value=5)
  %4: i64[] = stack_new(types=(f64[2],))
  stack_extend(%4, %1, %0)
  stack_extend(%4, %1, %0)
  %5: f64[2] = stack_get(%4, %3, types=(f64[2],))
  %6: f64[5,2] = stack_array(%4, %2, field=0, type=f64[5,2], types=(f64[2],))
  stack_set(%4, %3, %5)
  %7: f64[2] = negate(%5)
  stack_set(%4, %3, %7)
  %8: i64[] = stack_length(%4)
  %9: f64[2] = stack_pop(%4, types=(f64[2],))
  return %5, %6, %8, %9
}
"""
    check(parse_graph(text), np.arange(10.0).reshape(5, 2), np.int64(5))


@pytest.mark.parametrize("index", [0, 3, 5])
def test_entries_are_inserted_and_removed_anywhere(index: int) -> None:
    text = """
graph(%0: f64[6,2], %1: f64[6], %2: i64[], %3: i64[]) {
  %4: i64[] = constant(type=i64[], value=0)
  %5: i64[] = stack_new(types=(f64[2], f64[]))
  stack_extend(%5, %2, %0, %1)
  %6: f64[2], %7: f64[] = stack_remove(%5, %3, types=(f64[2], f64[]))
  %8: f64[5] = stack_array(%5, %4, field=1, type=f64[5], types=(f64[2], f64[]))
  %9: f64[2] = negate(%6)
  stack_insert(%5, %3, %9, %7)
  stack_insert(%5, %4, %9, %7)
  %10: f64[7,2] = stack_array(%5, %4, field=0, type=f64[7,2], types=(f64[2], f64[]))
  return %6, %7, %8, %10
}
"""
    check(parse_graph(text), np.arange(12.0).reshape(6, 2), np.arange(6.0) * 7, np.int64(6), np.int64(index))


LEAVING = """
graph(%0: i64[]) {
  %1: i64[] = constant(type=i64[], value=0)
  %2: i64[] = constant(type=i64[], value=1)
  %3: i64[] = constant(type=i64[], value=100000)
  for(%1, %3, %2, %0, carries=0)
    body = graph(%0: i64[], %1: i64[]) {
      %2: i64[] = stack_new(types=(f64[100],))
      %3: f64[100] = constant(type=f64[100], value=1.5)
      stack_push(%2, %3)
      %4: bool[] = compare(%0, %1, direction='NE')
      assert(%4, %0, exception='ValueError', message='at {0}')
      return
    }
  return %0
}
"""


def test_stacks_are_freed_when_a_run_ends_also_by_an_error() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    executable = compile_for_arrays(parse_graph(LEAVING))
    with pytest.raises(ValueError, match="at "):
        run(executable, [np.int64(20000)])
    before = resident()
    for _ in range(10):
        with pytest.raises(ValueError, match="at "):
            run(executable, [np.int64(20000)])
    assert resident() - before < 60 << 20      # each run takes 130 MB
