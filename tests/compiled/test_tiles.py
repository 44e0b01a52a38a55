"""Arithmetic on rolled, padded and joined arrays, which is done in tiles without moving anything, against NumPy."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.dims import Dim
from tracejit.base.dtypes import F64, I64
from tracejit.base.options import options
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph, Value
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.pipeline import optimise
from tracejit.xla_lite.passes.tiles import tile_joined
from tracejit.xla_lite.replay import compile_for_arrays, run


def periodic_heat(u, steps):
    for _ in range(steps):
        u = u + 0.1 * (np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -2, 1) - 4 * u)
    return u


def neighbours_alive(board, steps):
    for _ in range(steps):
        rows = np.roll(board, 1, 0) + board + np.roll(board, -1, 0)
        around = np.roll(rows, 1, 1) + rows + np.roll(rows, -1, 1) - board
        board = ((around == 3) | ((around == 2) & (board == 1))).astype(board.dtype)
    return board


def wrapped(u, steps):
    for _ in range(steps):
        p = np.pad(u, 1, mode="wrap")
        u = 0.2 * (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] + u)
    return u


def with_a_border(u, steps):
    for n in range(steps):
        p = np.pad(u, ((1, 2), (2, 1)), constant_values=0.25)
        u = 0.3 * (p[2:-1, 2:-1] - p[:-3, 2:-1] + p[1:-2, :-3]) + n
    return u


def shifted_by_joining(u, steps):
    for _ in range(steps):
        u = 0.5 * (np.concatenate([u[3:], u[:3]]) - np.concatenate([u[:, -1:], u[:, :-1]], axis=1))
    return u


def once(u, steps):
    return np.roll(u, 2, 0) * steps + np.pad(u[:-1], ((0, 1), (0, 0)))


def of_a_cube(u, steps):
    for _ in range(steps):
        u = u - 0.1 * (np.roll(u, 1, 0) + np.roll(u, -1, 2))
    return u


PLANE = np.random.default_rng(5).uniform(-1, 1, (37, 21))
BOARD = np.random.default_rng(6).integers(0, 2, (33, 18)).astype(np.int8)
CUBE = np.random.default_rng(7).uniform(-1, 1, (12, 5, 9))


@pytest.mark.parametrize(("fn", "x"), [
    (periodic_heat, PLANE), (neighbours_alive, BOARD), (wrapped, PLANE), (with_a_border, PLANE),
    (shifted_by_joining, PLANE), (once, PLANE), (of_a_cube, CUBE), (periodic_heat, PLANE.astype(np.float32)),
    (periodic_heat, PLANE + 1j * PLANE[::-1]), (periodic_heat, PLANE[:8, :4].copy()), (periodic_heat, PLANE.T)])
def test_tiles_give_what_numpy_gives(fn: Callable[..., Any], x: np.ndarray) -> None:
    for checked in (False, True):
        with options(check=checked):
            compiled = tj.function(fn)
            for steps in (0, 1, 4):
                rtol = 1e-5 if x.dtype == np.float32 else 1e-12
                np.testing.assert_allclose(compiled(x, steps), fn(x, steps), rtol=rtol, atol=rtol)
    assert "kind='sweep'" in str(compiled.stages(x, 4).fused)


def test_pieces_whose_size_only_the_run_knows_are_joined_before() -> None:
    graph = Graph([ArrayType(F64, (20, 6)), ArrayType(I64)])
    x, n = graph.params
    graph.emit("bind_dim", [n], {"dim": "u0"})
    cut = Dim.symbol("u0")
    tail = graph.add("slice", x, start=(cut, 0), limit=(20, 6), stride=(1, 1))
    head = graph.add("slice", x, start=(0, 0), limit=(cut, 6), stride=(1, 1))
    graph.outputs = (graph.add("add", graph.add("concatenate", tail, head, axis=0), x),)
    array = PLANE[:20, :6].copy()
    for at in (0, 1, 20):
        (found,) = run(compile_for_arrays(graph), [array, np.int64(at)])
        np.testing.assert_array_equal(found, np.roll(array, -at, 0) + array)


def test_large_ones_run_on_threads() -> None:
    x = np.random.default_rng(8).uniform(-1, 1, (700, 600))
    np.testing.assert_allclose(tj.function(periodic_heat)(x, 5), periodic_heat(x, 5), rtol=1e-11, atol=1e-13)


def rolled(graph: Graph, x: Value, axis: int, by: int) -> Value:
    """np.roll along one axis."""
    shape, cut = x.shape, x.shape[axis] - by
    assert isinstance(cut, int)
    ends = [cut if a == axis else n for a, n in enumerate(shape)]
    tail = graph.add("slice", x, start=tuple(cut if a == axis else 0 for a in range(x.rank)), limit=shape,
                     stride=(1, 1))
    head = graph.add("slice", x, start=(0,) * x.rank, limit=tuple(ends), stride=(1, 1))
    return graph.add("concatenate", tail, head, axis=axis)


@pytest.mark.parametrize("seed", range(30))
def test_random_sums_of_rolled_and_padded_arrays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(8, 40)), int(rng.integers(4, 20))
    graph = Graph([ArrayType(F64, shape)] * 2)
    values = list(graph.params)
    for _ in range(rng.integers(2, 6)):
        x = values[int(rng.integers(len(values)))]
        axis = int(rng.integers(2))
        if rng.random() < 0.7:
            made = rolled(graph, x, axis, int(rng.integers(1, 4)))
        else:
            low = tuple(int(n) for n in rng.integers(0, 3, 2))
            zero = graph.add("constant", value=0.5, type=ArrayType(F64))
            padded = graph.add("pad", x, zero, low=low, high=(1, 1), interior=(0, 0))
            made = graph.add("slice", padded, start=(0, 0), limit=shape, stride=(1, 1))
        other = values[int(rng.integers(len(values)))]
        values.append(graph.add(("add", "multiply")[int(rng.integers(2))], made, other))
    graph.outputs = (values[-1], values[-2])
    verify(optimise(graph))
    arrays = [rng.uniform(-1, 1, shape) for _ in range(2)]
    for x, y in zip(run(compile_for_arrays(graph), arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


def test_tiled_graphs_stay_as_they_are() -> None:
    graph = Graph([ArrayType(F64, (40, 30))])
    graph.outputs = (graph.add("add", rolled(graph, graph.params[0], 0, 1), graph.params[0]),)
    after = tile_joined.run(canonicalize.run(graph))
    assert "kind='sweep'" in str(after) and tile_joined.run(after) is after
