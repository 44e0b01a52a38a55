"""Indices and slices with bounds that only the run knows, inside the regions of loops: meaning, checks, few ops."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness import Traced, check

from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node
from tracejit.tracing import building
from tracejit.tracing.arrays import Array
from tracejit.tracing.context import Scope, current, inside
from tracejit.tracing.implements import NUMPY
from tracejit.tracing.sizes import declare_range, sized
from tracejit.xla_lite.replay import compile_for_arrays, run

Body = Callable[..., None]


def captured_loop(lower: Any, upper: Any, step: int, arrays: list[Array], body: Body) -> None:
    """`for i in range(lower, upper, step): body(i, *arrays)` as one op; the body may write the arrays."""
    scope = Scope(Graph([]), current().scope)
    bounds = [building.convert(building.lift(v), "i64") for v in (lower, upper, step)]
    with inside(scope):
        index = Array(scope.graph.add_param(ArrayType(I64)), scope, "python", "i")
        state = [Array(scope.graph.add_param(a.type), scope, "numpy", None, True) for a in arrays]
        declare_range(index.value, lower, upper, step)
        body(index, *state)
        scope.graph.outputs = tuple(s.value if s.scope is scope else scope.bring(s.value, s.scope) for s in state)
    outside = [Array(value, home) for value, home in scope.operands]
    results = building.emit("for", *bounds, *arrays, *outside, body=scope.graph, carries=len(arrays))
    for array, result in zip(arrays, results if isinstance(results, tuple) else (results,)):
        array.write(result)


def plain_loop(lower: int, upper: int, step: int, arrays: list[Any], body: Body) -> None:
    for i in range(lower, upper, step):
        body(i, *arrays)


Loop = Callable[[Any, Any, int, list[Any], Body], None]


def called(function: Any, *args: Any) -> Any:
    """The NumPy function; while tracing, its implementation, as converted code calls it."""
    return NUMPY[function](*args) if any(isinstance(a, Array) for a in args) else function(*args)


def nodes_of(graph: Graph) -> list[Node]:
    return [n for node in graph.nodes for n in (node, *(m for _, r in node.regions() for m in nodes_of(r)))]


def names(graph: Graph) -> list[str]:
    return [n.op.name for n in nodes_of(graph)]


def agree(program: Callable[..., Any], *args: Any, symbolic: bool = False, native: bool = True) -> Graph:
    """Plain, traced and compiled calls agree; gives the graph."""
    check(lambda *a: program(plain_loop, *a), *args, symbolic=symbolic, traced=lambda *a: program(captured_loop, *a))
    trace = Traced(lambda *a: program(captured_loop, *a), args, symbolic)
    if native:
        copies = [np.array(x) for x in trace.inputs]
        expected = trace.run()
        found = run(compile_for_arrays(trace.graph), copies)
        leaves = list(found)[:len(trace.leaves)]
        for got, wanted in zip(list(found)[len(leaves):], expected[1], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
    return trace.graph


def cholesky(loop: Loop, a: Any) -> None:
    def row(i: Any, a: Any) -> None:
        def column(j: Any, a: Any) -> None:
            a[i, j] -= a[i, :j] @ a[j, :j]
            a[i, j] /= a[j, j]
        loop(0, i, 1, [a], column)
        a[i, i] -= a[i, :i] @ a[i, :i]
        a[i, i] = np.sqrt(a[i, i])
    loop(0, a.shape[0], 1, [a], row)


def trisolv(loop: Loop, low: Any, b: Any, x: Any) -> None:
    def row(i: Any, low: Any, b: Any, x: Any) -> None:
        x[i] = (b[i] - low[i, :i] @ x[:i]) / low[i, i]
    loop(0, x.shape[0], 1, [low, b, x], row)


def sieve(loop: Loop, prime: Any) -> None:
    def cross_out(p: Any, prime: Any) -> None:
        prime[p * p::p] = False
    loop(2, 8, 1, [prime], cross_out)


def smooth(loop: Loop, x: Any, y: Any) -> None:
    def one(i: Any, x: Any, y: Any) -> None:
        y[i] = (x[i - 1:i + 2] * np.array([1.0, 2.0, 1.0])).sum()
    loop(1, x.shape[0] - 1, 1, [x, y], one)


def blocks(loop: Loop, x: Any, y: Any) -> None:
    def one(i: Any, x: Any, y: Any) -> None:
        y[i:i + 4] += x[i:i + 4][::-1] * 2.0
    loop(0, x.shape[0], 4, [x, y], one)


def upper_rows(loop: Loop, a: Any) -> None:
    def one(k: Any, a: Any) -> None:
        a[k, k + 1:] /= a[k, k]
        a[k + 1:, k + 1:] -= a[k + 1:, k][:, None] * a[k, k + 1:]
    loop(0, a.shape[0], 1, [a], one)


def backwards(loop: Loop, x: Any, y: Any) -> None:
    def one(k: Any, x: Any, y: Any) -> None:
        y[:k] += x[k - 1::-1]
        y[k:0:-1] -= x[:k]
    loop(1, x.shape[0], 1, [x, y], one)


def from_the_end(loop: Loop, x: Any, y: Any) -> None:
    def one(k: Any, x: Any, y: Any) -> None:
        y[-k - 1] += x[-k:].sum()
        y[k:-k] += 1.0
        y[k::2] *= 1.5
        y[::-k - 1] -= 0.25
    loop(0, x.shape[0], 1, [x, y], one)


def fresh_arrays(loop: Loop, x: Any, y: Any) -> None:
    def one(k: Any, x: Any, y: Any) -> None:
        line = called(np.zeros, k)
        line += called(np.arange, k) + x[:k]
        line[1:] -= called(np.ones, k - 1)
        y[k] = line.sum() + called(np.arange, k, 2 * k, 3).sum()
    loop(1, x.shape[0], 1, [x, y], one)


def matrix_windows(loop: Loop, a: Any, b: Any) -> None:
    def one(i: Any, a: Any, b: Any) -> None:
        b[i:, ::2] += a[:a.shape[0] - i, ::2]
        b[i, i::2] -= a[i, i::2]
        b[1:, i::3] *= 0.5
        b[::i + 1, i] += 1.0
    loop(0, a.shape[0], 1, [a, b], one)


X, Y, A = np.linspace(1, 2, 9), np.arange(9.0), np.linspace(0, 1, 30).reshape(5, 6) + 2
SQUARE = np.linspace(0, 1, 25).reshape(5, 5) + np.eye(5) * 4
PROGRAMS = [
    (cholesky, SQUARE @ SQUARE.T), (trisolv, SQUARE, np.arange(5.0), np.zeros(5)), (sieve, np.ones(60, bool)),
    (smooth, X, Y), (blocks, X, Y), (upper_rows, SQUARE), (backwards, X, Y), (from_the_end, X, Y),
    (fresh_arrays, X, Y), (matrix_windows, SQUARE, A[:, :5])]


@pytest.mark.parametrize("case", PROGRAMS, ids=lambda c: c[0].__name__)
def test_a_loop_over_slices_is_numpys(case: Any) -> None:
    agree(*case)


@pytest.mark.parametrize("case", PROGRAMS, ids=lambda c: c[0].__name__)
def test_a_loop_over_slices_of_symbolic_sizes_is_numpys(case: Any) -> None:
    agree(*case, symbolic=True, native=False)


KEYS: list[Callable[[Any], slice]] = [
    lambda i: slice(i, None), lambda i: slice(None, i), lambda i: slice(i, 3), lambda i: slice(-2, i),
    lambda i: slice(i, None, 2), lambda i: slice(None, i, -1), lambda i: slice(i, None, -2), lambda i: slice(i, i + 3),
    lambda i: slice(i + 2, i - 1, -1), lambda i: slice(None, None, 2 * i + 1), lambda i: slice(i, None, 2 * i - 1),
    lambda i: slice(None, i, 2 * i - 3), lambda i: slice(2, -i, 3), lambda i: slice(i * i, i)]


@pytest.mark.parametrize("key", range(len(KEYS)))
def test_every_traced_bound_means_what_python_says(key: int) -> None:
    def program(loop: Loop, x: Any, table: Any, square: Any) -> None:
        def one(i: Any, x: Any, table: Any, square: Any) -> None:
            part = x[KEYS[key](i)]
            table[i + 8, 0] = part.sum()
            table[i + 8, 1] = (part * part[::-1]).sum()
            square[i % 4, KEYS[key](i)] += 1.0
            square[KEYS[key](i), 1:3] *= 1.5
        loop(-8, 8, 1, [x, table, square], one)

    agree(program, np.arange(1.0, 6.0) ** 2, np.zeros((16, 2)), np.linspace(0, 1, 25).reshape(5, 5))


def test_scalar_reads_and_writes_are_one_op_each() -> None:
    def program(loop: Loop, a: Any) -> None:
        def one(i: Any, a: Any) -> None:
            a[i, 0] += a[i, i]
        loop(0, a.shape[0], 1, [a], one)

    graph = agree(program, SQUARE)
    (loop,) = [n for n in graph.nodes if n.op.name == "for"]
    found = [n.op.name for n in loop.attributes["body"].nodes if n.op.name != "constant"]
    assert sorted(found) == ["add", "gather", "gather", "scatter"]


def test_an_index_is_checked_once_and_only_above_if_it_is_not_negative() -> None:
    def program(loop: Loop, x: Any, k: Any) -> None:
        def one(i: Any, x: Any) -> None:
            x[i] += x[i] * x[i]
        loop(0, k, 1, [x], one)

    graph = agree(program, X, 9)
    assert names(graph).count("assert") == 1 and "select" not in names(graph)
    with pytest.raises(IndexError, match="index 9 is out of bounds for axis 0 with size 9"):
        Traced(lambda x, k: program(captured_loop, x, k), (X, 10)).run()


def test_lengths_of_equal_slices_are_one_size() -> None:
    def program(loop: Loop, a: Any, x: Any) -> None:
        def one(i: Any, a: Any, x: Any) -> None:
            x[i] = (a[i, :i + 1] * x[:i + 1]).sum() + (a[:i, i] * x[1:i + 1]).sum()
        loop(0, 5, 1, [a, x], one)

    graph = agree(program, SQUARE, np.ones(5))
    assert names(graph).count("bind_dim") <= 2 and "assert" not in names(graph)


def test_a_slice_of_known_length_inside_of_the_axis_has_a_static_size() -> None:
    assert "bind_dim" not in names(agree(smooth, X, Y))


def test_a_slice_that_may_leave_the_axis_is_clipped() -> None:
    graph = agree(blocks, X, Y)
    assert names(graph).count("bind_dim") == 1


def test_traced_steps_of_zero_raise() -> None:
    def program(loop: Loop, x: Any) -> None:
        def one(i: Any, x: Any) -> None:
            x[::i - 2] = 0.0
        loop(0, 4, 1, [x], one)

    with pytest.raises(ValueError, match="slice step cannot be zero"):
        Traced(lambda x: program(captured_loop, x), (X,)).run()


def test_a_negative_size_raises() -> None:
    def program(x: Any) -> None:
        captured_loop(0, 3, 1, [x], lambda i, x: x.__setitem__(0, called(np.zeros, 1 - i).sum()))

    with pytest.raises(ValueError, match="negative dimensions"):
        Traced(program, (X,)).run()


def test_a_size_bound_in_one_branch_is_not_used_in_another() -> None:
    def program(x: Any, k: Any) -> Any:
        total = x.sum()
        count = building.convert(x[0], "i64")
        branches = []
        for sign in (1.0, -1.0):
            scope = Scope(Graph([]), current().scope)
            with inside(scope):
                result = building.lift(np.sum(x[:count] * sign))
                scope.graph.outputs = (result.value,)
            branches.append(scope)
        operands = list(dict.fromkeys(o for s in branches for o in s.operands))
        for scope in branches:
            assert scope.operands == operands
        picked = building.emit("case", building.convert(k, "i64"), *(Array(v, s) for v, s in operands),
                               branches=tuple(s.graph for s in branches))
        return picked + total

    for k in (0, 1):
        found, _ = Traced(program, (Y + 3, k)).run()
        assert found == (Y + 3).sum() + (3 + 4 + 5) * (1 - 2 * k)


def test_sizes_of_arguments_stay_symbolic() -> None:
    def program(loop: Loop, x: Any) -> None:
        loop(0, 3, 1, [x], lambda i, x: x.__setitem__(i, x[i:i + sized(x.shape[0]) - 4].sum()))

    graph = agree(program, X, symbolic=True, native=False)
    assert "a0_0" in str(graph.params[0].type)
