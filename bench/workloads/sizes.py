"""Softmax regression called with thirty batch sizes: what a changing first axis costs.

Flows in: float32 batches.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.cli.harness.workload import Case, Workload


def softmax_regression(x, weights, bias):
    logits = x @ weights + bias
    e = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    p = e / np.sum(e, axis=1, keepdims=True)
    return p, np.argmax(p, axis=1)


def numba_softmax_regression() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True, parallel=True)
    def run(x, weights, bias):
        p = np.dot(x, weights)
        best = np.empty(x.shape[0], np.int64)
        for i in numba.prange(x.shape[0]):
            row = p[i]
            row += bias
            best[i] = np.argmax(row)
            row[:] = np.exp(row - row[best[i]])
            row /= np.sum(row)
        return p, best

    return run


def batch(size: int, r: np.random.Generator) -> tuple[Any, ...]:
    return tuple(a.astype(np.float32) for a in (r.random((size, 784)), r.normal(size=(784, 10)) / 28, r.random(10)))


THIRTY = tuple(16 + 7 * ((11 * i) % 30) for i in range(30))

WORKLOADS = [
    Workload(
        name="batch sizes",
        numpy=softmax_regression,
        inputs=batch,
        cases=(Case("30", THIRTY, 0.15, 0.05),),
        smoke=(3, 5, 4),
        peers={"numba": numba_softmax_regression},
        skip=frozenset({"drjit"}),
        rtol=1e-5,
        cold_case="30",
        many_sizes=True,
    )
]
