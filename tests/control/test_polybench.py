"""The workloads with loops, small: converted and compiled as in plain Python; each is one trace without unrolling.

Flows in: bench/workloads/control.py and polybench.py.  Flows out: tests for each workload.
"""

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from bench.workloads import control, polybench
from tests.control.not_yet import WORKLOADS_NOT_YET
from tests.control.program import difference
from tracejit.autograph import convert
from tracejit.cli.harness.workload import Workload

WORKLOADS = [*control.WORKLOADS, *polybench.WORKLOADS]
IDS = [w.name.replace(" ", "_") for w in WORKLOADS]


def rows(failing: set[str]) -> list[Any]:
    mark = pytest.mark.xfail(strict=True)
    return [pytest.param(w, id=i, marks=[mark] if i in failing else []) for w, i in zip(WORKLOADS, IDS, strict=True)]


@pytest.mark.parametrize("workload", rows(set()))
def test_reference_and_converted_function_give_what_plain_python_gives(workload: Workload) -> None:
    expected = workload.numpy(*workload.arguments(workload.smoke))
    converted = convert(workload.numpy)(*workload.arguments(workload.smoke))
    assert not difference(converted, expected, 1e-12, "converted")
    if workload.reference:
        fast = workload.reference(*workload.arguments(workload.smoke))
        assert all(np.allclose(a, e) for a, e in zip(np.atleast_1d(fast), np.atleast_1d(expected), strict=True))


@pytest.mark.parametrize("workload", rows(WORKLOADS_NOT_YET))
def test_compiled_function_gives_what_plain_python_gives(workload: Workload) -> None:
    fn = tj.function(workload.numpy)
    for seed, fewer in ((1234, 0), (5, 1), (6, 2)):
        args = workload.inputs(workload.smoke, np.random.default_rng(seed))
        args = tuple(arg - fewer if type(arg) is int else arg for arg in args)    # run-time numbers: no second trace
        assert not difference(fn(*args), workload.numpy(*args), 1e-10, f"seed {seed}")
    explanation = fn.explain()
    assert len(explanation.traces) == 1 and not explanation.plain, str(explanation)


STEPS = [("heat_2-D", 1), ("Jacobi_1-D", 1), ("FDTD_2-D", 3), ("Game_of_Life", 1), ("jacobi_2d", 0),
         ("heat_3d", 0), ("RK4_systems", 3), ("Mandelbrot_arrays", 1)]


@pytest.mark.parametrize(("name", "steps"), [
    pytest.param(n, s, id=n, marks=[pytest.mark.xfail(strict=True)] if n in WORKLOADS_NOT_YET else [])
    for n, s in STEPS])
def test_graph_does_not_grow_with_the_number_of_steps(name: str, steps: int) -> None:
    workload = WORKLOADS[IDS.index(name)]
    args = workload.arguments(workload.smoke)
    fn = tj.function(workload.numpy)
    fn(*args)
    length = len(str(fn.stages(*args).graph).splitlines())
    more = (*args[:steps], 500, *args[steps + 1:])
    assert not difference(fn(*more), workload.numpy(*more), 1e-8, "500 steps")
    assert len(fn.traces) == 1 and length < 200, length
