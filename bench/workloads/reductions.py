"""Reductions and a scan over ten million float32: sum, variance, row sums, column sums, argmax, cumulative sum.

Flows in: float32 vectors and matrices.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.cli.harness.workload import Case, Workload


def total(x):
    return np.sum(x)


def variance(x):
    return np.var(x)


def row_sums(x):
    return np.sum(x, axis=1)


def column_sums(x):
    return np.sum(x, axis=0)


def argmax(x):
    return np.argmax(x)


def cumsum(x):
    return np.cumsum(x)


def numba_total() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        s = np.float32(0)
        for i in numba.prange(x.size):
            s += x[i]
        return s

    return run


def numba_variance() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        s = np.float32(0)
        for i in numba.prange(x.size):
            s += x[i]
        mean = s / np.float32(x.size)
        v = np.float32(0)
        for i in numba.prange(x.size):
            d = x[i] - mean
            v += d * d
        return v / np.float32(x.size)

    return run


def numba_row_sums() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        out = np.empty(x.shape[0], x.dtype)
        for i in numba.prange(x.shape[0]):
            s = np.float32(0)
            for j in range(x.shape[1]):
                s += x[i, j]
            out[i] = s
        return out

    return run


def numba_column_sums() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        parts = np.zeros((8, x.shape[1]), x.dtype)
        rows = (x.shape[0] + 7) // 8
        for p in numba.prange(8):
            for i in range(p * rows, min((p + 1) * rows, x.shape[0])):
                for j in range(x.shape[1]):
                    parts[p, j] += x[i, j]
        return parts.sum(axis=0)

    return run


def numba_argmax() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        size = (x.size + 7) // 8
        tops = np.empty(8, np.int64)
        for p in numba.prange(8):
            first = min(p * size, x.size - 1)
            top = first
            for i in range(first, min(first + size, x.size)):
                if x[i] > x[top]:
                    top = i
            tops[p] = top
        best = tops[0]
        for p in range(8):
            if x[tops[p]] > x[best]:
                best = tops[p]
        return best

    return run


def numba_cumsum() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        out = np.empty_like(x)
        size = (x.size + 7) // 8
        sums = np.zeros(9, np.float64)
        for p in numba.prange(8):
            s = np.float64(0)
            for i in range(p * size, min((p + 1) * size, x.size)):
                s += x[i]
            sums[p + 1] = s
        starts = np.cumsum(sums)
        for p in numba.prange(8):
            s = np.float32(starts[p])
            for i in range(p * size, min((p + 1) * size, x.size)):
                s += x[i]
                out[i] = s
        return out

    return run


def torch_variance() -> Callable[..., Any]:
    import torch

    return lambda x: torch.var(x, correction=0)


def torch_cumsum() -> Callable[..., Any]:
    import torch

    return lambda x: torch.cumsum(x, dim=0)


def drjit_total() -> Callable[..., Any]:
    import drjit as dr

    return lambda x: dr.sum(x)


def drjit_variance() -> Callable[..., Any]:
    import drjit as dr

    return lambda x: dr.mean(dr.square(x - dr.mean(x)))


def drjit_row_sums() -> Callable[..., Any]:
    import drjit as dr

    return lambda x: dr.block_sum(x.array, x.shape[1])


def drjit_column_sums() -> Callable[..., Any]:
    import drjit as dr

    return lambda x: dr.sum(x, axis=0)


def drjit_cumsum() -> Callable[..., Any]:
    import drjit as dr

    return lambda x: dr.cumsum(x)


def uniform(shape: Any, r: np.random.Generator) -> tuple[Any, ...]:
    """Centred values, so that sums of float32 keep their digits."""
    return (r.random(shape, dtype=np.float32) - np.float32(0.5),)


def positive(shape: Any, r: np.random.Generator) -> tuple[Any, ...]:
    return (r.random(shape, dtype=np.float32),)


def reduction(
    name: str,
    fn: Callable[..., Any],
    size: Any,
    peers: dict[str, Any],
    inputs: Callable[..., tuple[Any, ...]] = positive,
    skip: tuple[str, ...] = (),
    outputs: int = 0,
    rtol: float = 1e-3,
) -> Workload:
    smoke = 100 if isinstance(size, int) else (10, 20)
    case = Case("1e7", size, 1.0, 0.8, moved=4e7 * (1 + outputs))
    return Workload(name, fn, inputs, (case,), smoke, peers, frozenset(skip), rtol=rtol)


VECTOR, MATRIX = 10_000_000, (10_000, 1000)

WORKLOADS = [
    reduction("sum", total, VECTOR, {"numba": numba_total, "drjit": drjit_total}),
    reduction(
        "var", variance, VECTOR, {"numba": numba_variance, "torch": torch_variance, "drjit": drjit_variance}, uniform
    ),
    reduction("row sums", row_sums, MATRIX, {"numba": numba_row_sums, "drjit": drjit_row_sums}),
    reduction("column sums", column_sums, MATRIX, {"numba": numba_column_sums, "drjit": drjit_column_sums}),
    reduction("argmax", argmax, VECTOR, {"numba": numba_argmax}, skip=("drjit",), rtol=0),
    reduction(
        "cumsum",
        cumsum,
        VECTOR,
        {"numba": numba_cumsum, "torch": torch_cumsum, "drjit": drjit_cumsum},
        outputs=1,
        rtol=1e-2,
    ),
]
