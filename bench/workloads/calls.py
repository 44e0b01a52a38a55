"""The cost of a call: one element, a dict of twenty arrays in and out.

Flows in: tiny arrays.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.cli.harness.workload import Case, Workload


def add_one(x):
    return x + 1


def scale_all(tree):
    return {name: value * 2.0 + 1.0 for name, value in tree.items()}


def numba_add_one() -> Callable[..., Any]:
    import numba

    return numba.njit(add_one, fastmath=True)


def numba_scale_all() -> Callable[..., Any]:
    """Numba takes no dict of arrays: a tuple goes in and comes out, and the dict is built around it."""
    import numba

    @numba.njit(fastmath=True)
    def scaled(x):
        return x * 2.0 + 1.0

    names = ", ".join(f"f(a[{i}])" for i in range(20))
    scope: dict[str, Any] = {"f": scaled}
    exec(f"def run(a):\n    return ({names},)", scope)
    run = numba.njit(scope["run"])

    def scale_dict(tree):
        return dict(zip(tree, run(tuple(tree.values()))))

    return scale_dict


def twenty_arrays(size: int, r: np.random.Generator) -> tuple[Any, ...]:
    return ({f"w{i}": r.random(size) for i in range(20)},)


WORKLOADS = [
    Workload(
        name="call overhead",
        numpy=add_one,
        inputs=lambda size, r: (r.random(size),),
        cases=(Case("x + 1", 1, 0.2, 0.1),),
        smoke=1,
        peers={"numba": numba_add_one},
        against="numpy",
        cold_case="x + 1",
    ),
    Workload(
        name="dict of 20",
        numpy=scale_all,
        inputs=twenty_arrays,
        cases=(Case("8 each", 8, 0.3, 0.15),),
        smoke=4,
        peers={"numba": numba_scale_all},
    ),
]
