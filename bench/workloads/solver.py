"""A function of sixty lines with three nested loops: what conversion, tracing and compilation of such code take.

Flows in: a matrix and a right-hand side.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.cli.harness.workload import Case, Workload

ONLY_NUMBA = frozenset({"numpy", "jax", "torch", "torch.compile", "drjit", "numexpr", "tensorflow"})


def solve(matrix, right, refinements):
    """The solution of a linear system by elimination with partial pivoting, improved by its residuals; determinant;
    whether the largest residual is one of rounding."""
    n = matrix.shape[0]
    lu = matrix.copy()
    order = np.arange(n)
    sign = 1.0
    for k in range(n):
        pivot = k
        largest = abs(lu[k, k])
        for i in range(k + 1, n):
            if abs(lu[i, k]) > largest:
                largest = abs(lu[i, k])
                pivot = i
        if largest == 0.0:
            raise ValueError("matrix is singular")
        if pivot != k:
            for j in range(n):
                kept = lu[k, j]
                lu[k, j] = lu[pivot, j]
                lu[pivot, j] = kept
            number = order[k]
            order[k] = order[pivot]
            order[pivot] = number
            sign = -sign
        for i in range(k + 1, n):
            lu[i, k] /= lu[k, k]
            for j in range(k + 1, n):
                lu[i, j] -= lu[i, k] * lu[k, j]
    solution = np.zeros(n)
    residual = right.copy()
    step = np.zeros(n)
    worst = 0.0
    for _ in range(refinements):
        for i in range(n):
            step[i] = residual[order[i]]
            for j in range(i):
                step[i] -= lu[i, j] * step[j]
        for i in range(n - 1, -1, -1):
            for j in range(i + 1, n):
                step[i] -= lu[i, j] * step[j]
            step[i] /= lu[i, i]
        for i in range(n):
            solution[i] += step[i]
        worst = 0.0
        for i in range(n):
            rest = right[i]
            for j in range(n):
                rest -= matrix[i, j] * solution[j]
            residual[i] = rest
            if abs(rest) > worst:
                worst = abs(rest)
        if worst == 0.0:
            break
    determinant = sign
    for k in range(n):
        determinant *= lu[k, k]
    return solution, determinant, worst < 1e-9


def solve_numba() -> Callable[..., Any]:
    import numba

    return numba.njit(solve)


def system(n: int, r: np.random.Generator) -> tuple[Any, ...]:
    return r.normal(size=(n, n)), r.normal(size=n), 3


WORKLOADS = [
    Workload("linear solver in loops", solve, system, (Case("200", 200, 1.0, 0.8),), 6, peers={"numba": solve_numba},
             skip=ONLY_NUMBA, rtol=1e-6, cold_case="200", cold_against="numba", cold_at_most=0.3, cold_strive=0.1),
]
