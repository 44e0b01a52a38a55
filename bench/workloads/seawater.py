"""The equation of state of sea water (TEOS-10, 75 terms) in float64.

Flows in: salinity, temperature, pressure of an idealised ocean.  Flows out: `WORKLOADS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from examples.seawater import ocean_grid, specific_volume
from tracejit.cli.harness.workload import Case, Workload

FLOPS = 2 * 75 + 8  # a multiply-add for each term, and the scaling


def numba_specific_volume() -> Callable[..., Any]:
    import numba

    scalar = numba.njit(specific_volume, fastmath=True)

    @numba.njit(fastmath=True, parallel=True)
    def run(salinity, temperature, pressure):
        out = np.empty_like(salinity)
        for i in numba.prange(salinity.size):
            out[i] = scalar(salinity[i], temperature[i], pressure[i])
        return out

    return run


def case(label: str, size: int) -> Case:
    return Case(label, size, 0.7, 0.3, moved=32.0 * size, flops=2.0 * FLOPS * size)  # float64: half the f32 rate


WORKLOADS = [
    Workload(
        name="equation of state",
        numpy=specific_volume,
        inputs=lambda points, r: ocean_grid(points),
        cases=(case("4096", 4096), case("64K", 65536), case("1e6", 1_000_000)),
        smoke=100,
        peers={"numba": numba_specific_volume},
        rtol=1e-13,
        cold_case="4096",
    )
]
