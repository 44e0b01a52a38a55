"""Compiled code that runs Python: `print`, `host_call`, `raise`, in program order, in loops, with arrays and sizes.

Flows in:  graphs as text, Python functions.
Flows out: what they print, give and raise, against the evaluator.
"""
from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.ops.effects import host_function
from tracejit.xla_lite.replay import compile_for_arrays, run


def test_print_shows_arrays_and_scalars(capsys: pytest.CaptureFixture[str]) -> None:
    graph = parse_graph("""
graph(%0: f64[3], %1: i32[], %2: bool[], %3: c128[]) {
  %4: f64[3] = add(%0, %0)
  print(%4, %1, %2, %3, text='x={0} n={1} b={2} c={3}', end='!')
  return %1
}
""")
    run(compile_for_arrays(graph), [np.arange(3.0), np.int32(-7), np.True_, np.complex128(1 + 2j)])
    assert capsys.readouterr().out == "x=[0. 2. 4.] n=-7 b=True c=(1+2j)!"


def test_prints_in_a_loop_come_in_program_order(capsys: pytest.CaptureFixture[str]) -> None:
    graph = parse_graph("""
graph(%0: f64[2]) {
  %1: i64[] = constant(type=i64[], value=0)
  %2: i64[] = constant(type=i64[], value=3)
  %3: i64[] = constant(type=i64[], value=1)
  print(text='start', end=';')
  %4: f64[2] = for(%1, %2, %3, %0, carries=1)
    body = graph(%0: i64[], %1: f64[2]) {
      %2: f64[2] = add(%1, %1)
      print(%0, %2, text='{0}: {1}', end=';')
      return %2
    }
  print(%4, text='end {0}', end=';')
  return %4
}
""")
    run(compile_for_arrays(graph), [np.array([1.0, 2.0])])
    assert capsys.readouterr().out == "start;0: [2. 4.];1: [4. 8.];2: [ 8. 16.];end [ 8. 16.];"


def host_graph(operands: str, results: str, name: str) -> Graph:
    types = tuple(map(ArrayType.parse, results.split()))
    graph = Graph([ArrayType.parse(t) for t in operands.split()])
    made = graph.emit("host_call", graph.params, {"name": name, "types": types})
    graph.outputs = tuple(graph.emit("add", [m, m], {})[0] for m in made)
    return graph


def test_host_call_gives_arrays_and_scalars_back() -> None:
    name = host_function("both", lambda x, k: (x[::-1] * k, k + 1))
    graph = host_graph("f32[4] i64[]", "f32[4] i64[]", name)
    x, k = run(compile_for_arrays(graph), [np.arange(4, dtype=np.float32), np.int64(3)])
    assert x.tolist() == [18, 12, 6, 0] and k == 8


def test_host_call_takes_symbolic_sizes_and_strides() -> None:
    name = host_function("strided", lambda x: x.sum(axis=1))
    graph = host_graph("f64[n,m]", "f64[n]", name)
    x = np.arange(24.0).reshape(4, 6)[:, ::2]
    (got,) = run(compile_for_arrays(graph, [True]), [x])
    assert got.tolist() == (2 * x.sum(axis=1)).tolist()


def test_a_result_of_another_shape_is_refused() -> None:
    name = host_function("short", lambda x: x[:2])
    with pytest.raises(ValueError, match=r"short gave an array of shape \(2,\), declared was f64\[4\]"):
        run(compile_for_arrays(host_graph("f64[4]", "f64[4]", name)), [np.ones(4)])


def test_exceptions_of_the_function_come_out() -> None:
    name = host_function("divide", lambda x: 1 // int(x))
    executable = compile_for_arrays(host_graph("i64[]", "i64[]", name))
    assert run(executable, [np.int64(1)])[0] == 2
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            run(executable, [np.int64(0)])


def test_raise_makes_the_exception_from_the_operands() -> None:
    class Refused(Exception):
        pass

    name = host_function("refused", lambda x, n: Refused(x.tolist(), n.item()))
    graph = Graph([ArrayType.parse("f64[2]"), ArrayType.parse("i64[]")])
    graph.emit("raise", graph.params, {"name": name})
    graph.outputs = graph.params[1:]
    with pytest.raises(Refused) as caught:
        run(compile_for_arrays(graph), [np.array([1.0, 2.0]), np.int64(7)])
    assert caught.value.args == ([1.0, 2.0], 7)


def test_code_from_the_disk_cache_calls_the_function_of_this_graph() -> None:
    seen: list[Any] = []
    for _ in range(2):
        name = host_function("kept", lambda x: seen.append(x.item()))
        executable = compile_for_arrays(host_graph("f64[]", "", name))
        run(executable, [np.float64(2.5)])
        del name, executable
        gc.collect()
    assert seen == [2.5, 2.5]


def test_functions_live_as_long_as_a_graph_names_them() -> None:
    first, second = (lambda x: x), (lambda x: -x)
    one, two = host_function("f", first), host_function("f", second)
    assert (one, two) == ("f", "f #2") and host_function("f", first) is one
    del one, two
    assert host_function("f", second) == "f"
