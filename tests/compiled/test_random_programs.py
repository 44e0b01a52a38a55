"""Random programs of every dtype with control flow and updates of parameters: native code against the evaluator."""
from __future__ import annotations

import numpy as np
import pytest

from tests.compiled.random_programs import (
    RandomProgram,
    check_program,
    compile_program,
    program_inputs,
    random_program,
    run_program,
)
from tracejit.base.options import options
from tracejit.ir.evaluator import evaluate
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.replay import compile_for_arrays, run
from tracejit.xla_lite.runtime.threads import thread_pool

pytestmark = pytest.mark.filterwarnings("ignore")

# Each of these once failed. 9, 24, 26: write-backs to arrays with strides. 10218: f64 to f16 in two roundings.
FOUND = [9, 24, 26, 45, 48, 10218]


def size_of(seed: int) -> int:
    return 3 + seed % 14


@pytest.mark.parametrize("seed", [*FOUND, *range(100, 130)])
def test_random_program_equals_evaluator(seed: int) -> None:
    check_program(seed, size_of(seed))


@pytest.mark.parametrize("seed", range(200, 210))
def test_random_program_in_check_mode(seed: int) -> None:
    with options(check=True):
        check_program(seed, size_of(seed))


@pytest.mark.parametrize("seed", range(300, 320))
def test_random_program_over_large_arrays(seed: int) -> None:
    check_program(seed, size_of(seed), large=True)


@pytest.mark.parametrize("seed", range(400, 412))
def test_two_threads_give_the_bits_of_one(seed: int) -> None:
    program = random_program(seed, size_of(seed), large=True)
    inputs = program_inputs(program.graph, seed)
    executable, pool = compile_program(program), thread_pool()
    before = pool.threads
    try:
        pool.set_threads(1)
        alone = run_program(program, executable, inputs)
        pool.set_threads(2)
        for _ in range(3):
            for x, y in zip(alone, run_program(program, executable, inputs), strict=True):
                assert x.tobytes() == y.tobytes()
    finally:
        pool.set_threads(before)


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(30))
def test_many_random_programs(block: int) -> None:
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        with options(check=seed % 5 == 0):
            check_program(seed, size_of(seed), large=block % 3 == 2)


def test_parameters_that_change_places_are_read_before_they_are_written() -> None:
    text = """
graph(%0: f64[99], %1: f64[99]) {
  %2: f64[99] = add(%1, %1)
  %3: f64[99] = multiply(%0, %0)
  %4: f64[99] = add(%3, %1)
  return %2, %4
}"""
    program = RandomProgram(parse_graph(text), {0: 0, 1: 1}, (False, False))
    x, y = np.linspace(0, 9, 99), np.linspace(1, 2, 99)
    executable = compile_program(program)
    new_x, new_y = run_program(program, executable, [x, y])
    np.testing.assert_array_equal(new_x, y + y)
    np.testing.assert_allclose(new_y, x * x + y, rtol=1e-15)


def test_scatter_into_a_dead_value_copies_nothing() -> None:
    text = """
graph(%0: f64[99], %1: i64[], %2: f64[1]) {
  %3: f64[99] = sine(%0)
  %4: f64[99] = dynamic_update_slice(%3, %2, %1)
  %5: f64[99] = dynamic_update_slice(%4, %2, %1)
  %6: f64[] = reduce_sum(%5, axes=(0,))
  return %6
}"""
    assert "kernel_2_elementwise" not in compile_for_arrays(parse_graph(text)).kernels_text


def test_copy_made_in_one_branch_is_not_seen_by_another() -> None:
    dot = "dot_general(%0, %0, lhs_batch=(), lhs_contract=(1,), rhs_batch=(), rhs_contract=(0,))"
    text = f"""
graph(%0: i64[], %1: f64[7,7]) {{
  %2: f64[7,7] = case(%0, %1)
    branches0 = graph(%0: f64[7,7]) {{
      %1: f64[7,7] = {dot}
      return %1
    }}
    branches1 = graph(%0: f64[7,7]) {{
      %1: f64[7,7] = {dot}
      %2: f64[7,7] = negate(%1)
      return %2
    }}
  %3: f64[7,7] = {dot.replace("%0", "%1")}
  return %2, %3
}}"""
    graph = parse_graph(text)
    executable = compile_for_arrays(graph, [False, True])
    x = np.arange(49.0).reshape(7, 7).T
    for index in (0, 1):
        for got, wanted in zip(run(executable, [np.int64(index), x]), evaluate(graph, [np.int64(index), x]),
                               strict=True):
            np.testing.assert_allclose(got, wanted)


@pytest.mark.parametrize("result", ["f16", "bf16"])
def test_conversion_to_16_bits_rounds_once(result: str) -> None:
    graph = parse_graph(f"graph(%0: f64[8]) {{\n  %1: {result}[8] = convert(%0, dtype={result})\n  return %1\n}}")
    half = 2.0**-11 if result == "f16" else 2.0**-8
    above = 1 + half * (1 + 2.0**-30)        # just above the middle: single precision would round to the middle
    (found,) = run(compile_for_arrays(graph), [np.full(8, above)])
    np.testing.assert_array_equal(found, 1 + 2 * half)
