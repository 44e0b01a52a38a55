"""Several updates in one sweep over the rows, against the evaluator: fields that follow each other, and random ones."""
from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tracejit.base.dims import Dim
from tracejit.base.dtypes import F64, I64
from tracejit.base.options import options
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph, Value
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes import sweeps
from tracejit.xla_lite.passes.pipeline import optimise
from tracejit.xla_lite.replay import compile_for_arrays, run


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "FEWEST_BYTES", 1)
    monkeypatch.setattr(sweeps, "FEWEST_ROWS", 8)


def drawn(shape: tuple[int, ...], count: int) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(len(shape))
    return [rng.uniform(-1, 1, shape) for _ in range(count)]


def in_a_loop(body: Graph, count: int) -> Graph:
    """for _ in range(n): the arrays = body(the arrays)."""
    graph = Graph([ArrayType(I64), *(p.type for p in body.params[1:])])
    zero, one = (graph.add("constant", value=n, type=ArrayType(I64)) for n in (0, 1))
    graph.outputs = graph.emit("for", [zero, graph.params[0], one, *graph.params[1:]], {"body": body, "carries": count})
    return graph


def part(graph: Graph, x: Value, start: tuple[int, ...], shape: tuple[int, ...]) -> Value:
    limit = tuple(a + n for a, n in zip(start, shape, strict=True))
    return graph.add("slice", x, start=start, limit=limit, stride=(1,) * len(start))


def update(graph: Graph, x: Value, new: Value, start: tuple[int, ...]) -> Value:
    starts = [graph.add("constant", value=n, type=ArrayType(I64)) for n in start]
    return graph.add("dynamic_update_slice", x, new, *starts)


def check(graph: Graph, arrays: list[NDArray[np.float64]], found: bool) -> None:
    fused = optimise(graph)
    verify(fused)
    assert ("kind='sweep'" in str(fused)) == found, fused
    for trips in (0, 1, 3):
        expected = evaluate(graph, [np.int64(trips), *arrays])
        for checked in (False, True):
            with options(check=checked):
                got = run(compile_for_arrays(graph), [np.int64(trips), *arrays])
            for x, y in zip(got, expected, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


def fields(rows: int, rank: int = 2) -> Graph:
    """Two fields that a third drives, and that drive the third: as in electrodynamics."""
    rest = (5, 4)[:rank - 1]
    type = ArrayType(F64, (rows, *rest))
    body = Graph([ArrayType(I64), type, type, type])
    _, ex, ey, hz = body.params
    zeros, inner = (0,) * (rank - 1), (rows - 1, *rest)
    ey = update(body, ey, body.add("subtract", part(body, ey, (1, *zeros), inner), body.add(
        "subtract", part(body, hz, (1, *zeros), inner), part(body, hz, (0, *zeros), inner))), (1, *zeros))
    ex = update(body, ex, body.add("add", part(body, ex, (0, *zeros), inner), part(body, hz, (0, *zeros), inner)),
                (0, *zeros))
    hz = update(body, hz, body.add("add", part(body, ex, (0, *zeros), inner), body.add(
        "subtract", part(body, ey, (1, *zeros), inner), part(body, ey, (0, *zeros), inner))), (0, *zeros))
    body.outputs = (ex, ey, hz)
    return in_a_loop(body, 3)


@pytest.mark.parametrize("rows", [9, 32, 33, 64, 101])
@pytest.mark.parametrize("rank", [2, 3])
def test_fields_that_drive_each_other(rows: int, rank: int) -> None:
    check(fields(rows, rank), drawn((rows, *(5, 4)[:rank - 1]), 3), True)


@pytest.mark.parametrize("rows", [12, 34, 70, 97])
def test_there_and_back_between_two_arrays(rows: int) -> None:
    body = Graph([ArrayType(I64), *[ArrayType(F64, (rows, 6))] * 2])
    _, a, b = body.params
    for _ in range(2):
        middle = (rows - 2, 4)
        around = [part(body, a, start, middle) for start in ((0, 1), (2, 1), (1, 0), (1, 2), (1, 1))]
        total = around[0]
        for x in around[1:]:
            total = body.add("add", total, x)
        a, b = update(body, b, total, (1, 1)), a
    body.outputs = (a, b)
    check(in_a_loop(body, 2), drawn((rows, 6), 2), True)


def test_an_update_that_wants_the_array_from_before_another_is_no_part_of_the_sweep() -> None:
    body = Graph([ArrayType(I64), *[ArrayType(F64, (40, 6))] * 2])
    _, a, b = body.params
    new = update(body, a, part(body, b, (0, 0), (39, 6)), (1, 0))
    other = update(body, b, part(body, a, (0, 0), (39, 6)), (1, 0))
    body.outputs = (new, other)
    check(in_a_loop(body, 2), drawn((40, 6), 2), False)


def test_windows_whose_size_only_the_run_knows_are_no_part_of_a_sweep() -> None:
    types = [ArrayType(I64), *[ArrayType(F64, (40, 6))] * 2]
    body = Graph(types)
    i, a, b = body.params
    body.emit("bind_dim", [i], {"dim": "u0"})
    rows = Dim.symbol("u0")
    for _ in range(2):
        new = body.add("slice", b, start=(0, 0), limit=(rows, 6), stride=(1, 1))
        a, b = update(body, a, body.add("add", new, new), (0, 0)), a
    body.outputs = (a, b)
    check(in_a_loop(body, 2), drawn((40, 6), 2), False)


def random_round(seed: int) -> tuple[Graph, int]:
    """Two to five updates of three arrays, each from rows of some of them nearby."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(20, 110))
    body = Graph([ArrayType(I64), *[ArrayType(F64, (rows, 7))] * 3])
    arrays = list(body.params[1:])
    for _ in range(rng.integers(2, 6)):
        k, first, height = int(rng.integers(3)), int(rng.integers(0, 6)), int(rng.integers(1, rows - 8))
        left, width = int(rng.integers(0, 3)), 4
        total = part(body, arrays[k], (first, left), (height, width))
        for _ in range(rng.integers(1, 4)):
            j = int(rng.integers(3))
            if j == k:
                continue
            at = max(0, first + int(rng.integers(-3, 3)))
            other = part(body, arrays[j], (at, int(rng.integers(0, 4))), (height, width))
            total = body.add(("add", "subtract")[int(rng.integers(2))], total, other)
        half = body.add("constant", value=0.5, type=total.type)
        arrays[k] = update(body, arrays[k], body.add("multiply", total, half), (first, left))
    body.outputs = tuple(arrays)
    return in_a_loop(body, 3), rows


@pytest.mark.parametrize("seed", range(30))
def test_random_updates(seed: int) -> None:
    graph, rows = random_round(seed)
    arrays = drawn((rows, 7), 3)
    expected = evaluate(graph, [np.int64(2), *arrays])
    for x, y in zip(run(compile_for_arrays(graph), [np.int64(2), *arrays]), expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


def test_most_random_updates_are_sweeps() -> None:
    assert sum("kind='sweep'" in str(optimise(random_round(seed)[0])) for seed in range(30)) > 18


def test_sweeps_stay_as_they_are() -> None:
    fused = optimise(fields(70))
    assert sweeps.sweep_updates.run(fused) is fused
