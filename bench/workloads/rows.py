"""Programs over the rows of a matrix: softmax, layer norm, logsumexp; large and small.

Flows in: float32 matrices.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.cli.harness.workload import Case, Workload


def softmax(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def layer_norm(x):
    mean = np.mean(x, axis=1, keepdims=True)
    variance = np.mean((x - mean) ** 2, axis=1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5)


def logsumexp(x):
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0]


def numba_softmax() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        out = np.empty_like(x)
        for i in numba.prange(x.shape[0]):
            top = x[i, 0]
            for j in range(x.shape[1]):
                top = max(top, x[i, j])
            total = np.float32(0)
            for j in range(x.shape[1]):
                e = np.exp(x[i, j] - top)
                out[i, j] = e
                total += e
            scale = np.float32(1) / total
            for j in range(x.shape[1]):
                out[i, j] *= scale
        return out

    return run


def numba_layer_norm() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        out = np.empty_like(x)
        count = np.float32(x.shape[1])
        for i in numba.prange(x.shape[0]):
            mean = np.float32(0)
            for j in range(x.shape[1]):
                mean += x[i, j]
            mean /= count
            variance = np.float32(0)
            for j in range(x.shape[1]):
                d = x[i, j] - mean
                variance += d * d
            scale = np.float32(1) / np.sqrt(variance / count + np.float32(1e-5))
            for j in range(x.shape[1]):
                out[i, j] = (x[i, j] - mean) * scale
        return out

    return run


def numba_logsumexp() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x):
        out = np.empty(x.shape[0], x.dtype)
        for i in numba.prange(x.shape[0]):
            top = x[i, 0]
            for j in range(x.shape[1]):
                top = max(top, x[i, j])
            total = np.float32(0)
            for j in range(x.shape[1]):
                total += np.exp(x[i, j] - top)
            out[i] = np.log(total) + top
        return out

    return run


def torch_softmax() -> Callable[..., Any]:
    import torch

    return lambda x: torch.softmax(x, dim=1)


def torch_layer_norm() -> Callable[..., Any]:
    import torch

    return lambda x: torch.nn.functional.layer_norm(x, x.shape[1:])


def torch_logsumexp() -> Callable[..., Any]:
    import torch

    return lambda x: torch.logsumexp(x, dim=1)


def drjit_softmax() -> Callable[..., Any]:
    import drjit as dr

    def run(x):
        data, columns = x.array, x.shape[1]
        e = dr.exp(data - dr.repeat(dr.block_reduce(dr.ReduceOp.Max, data, columns), columns))
        return e / dr.repeat(dr.block_sum(e, columns), columns)

    return run


def drjit_layer_norm() -> Callable[..., Any]:
    import drjit as dr

    def run(x):
        data, columns = x.array, x.shape[1]
        d = data - dr.repeat(dr.block_sum(data, columns) / columns, columns)
        return d * dr.repeat(dr.rsqrt(dr.block_sum(d * d, columns) / columns + 1e-5), columns)

    return run


def drjit_logsumexp() -> Callable[..., Any]:
    import drjit as dr

    def run(x):
        data, columns = x.array, x.shape[1]
        top = dr.block_reduce(dr.ReduceOp.Max, data, columns)
        return dr.log(dr.block_sum(dr.exp(data - dr.repeat(top, columns)), columns)) + top

    return run


def tensorflow_softmax() -> Callable[..., Any]:
    import tensorflow as tf

    return lambda x: tf.nn.softmax(x, axis=1)


def tensorflow_logsumexp() -> Callable[..., Any]:
    import tensorflow as tf

    return lambda x: tf.reduce_logsumexp(x, axis=1)


def matrix(shape: tuple[int, int], r: np.random.Generator) -> tuple[Any, ...]:
    return (r.normal(size=shape).astype(np.float32),)


def rows(name: str, fn: Callable[..., Any], peers: dict[str, Any], outputs: int, cold_case: str = "") -> Workload:
    """The two sizes; `outputs` matrices are written (0 where only a vector is)."""
    large, small = (4096, 1024), (64, 100)
    return Workload(
        name=name,
        numpy=fn,
        inputs=matrix,
        cases=(
            Case("4096x1024", large, 1.0, 0.8, moved=4.0 * 4096 * 1024 * (1 + outputs)),
            Case("64x100", small, 1.0, 0.8),
        ),
        smoke=(4, 10),
        peers=peers,
        rtol=2e-5,
        cold_case=cold_case,
    )


WORKLOADS = [
    rows(
        "softmax",
        softmax,
        {"numba": numba_softmax, "torch": torch_softmax, "drjit": drjit_softmax, "tensorflow": tensorflow_softmax},
        outputs=1,
        cold_case="64x100",
    ),
    rows(
        "layer norm",
        layer_norm,
        {"numba": numba_layer_norm, "torch": torch_layer_norm, "drjit": drjit_layer_norm},
        outputs=1,
    ),
    rows(
        "logsumexp",
        logsumexp,
        {
            "numba": numba_logsumexp,
            "torch": torch_logsumexp,
            "drjit": drjit_logsumexp,
            "tensorflow": tensorflow_logsumexp,
        },
        outputs=0,
    ),
]
