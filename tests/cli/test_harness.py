"""The benchmark harness checks results, keeps what it is told, and compares what it says it compares.

Flows in: small workloads.  Flows out: nothing timed here is judged.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracejit.cli.harness.cold import ColdRow, ColdRun
from tracejit.cli.harness.machine import Machine
from tracejit.cli.harness.pool import Mode, WorkerProcess
from tracejit.cli.harness.report import as_json, cold_table, duration, ratio_of, steady_table, table, verdict
from tracejit.cli.harness.steady import Measured, Row, SteadyRun
from tracejit.cli.harness.systems import SYSTEMS, System, environment
from tracejit.cli.harness.worker import check, timing_loop
from tracejit.cli.harness.workload import Case, Workload, load_suite, rebind

SUITE = "bench.workloads"


def doubled(x: Any) -> Any:
    return helper(x) * 2


def helper(x: Any) -> Any:
    return np.abs(x)


def test_rebinding_reaches_the_functions_that_are_called() -> None:
    class Names:
        abs = staticmethod(lambda x: x + 100)

    assert rebind(doubled, np=Names)(1) == 202 and doubled(np.int64(-1)) == 2


@pytest.mark.parametrize("name", list(load_suite(SUITE)))
def test_every_workload_runs_on_its_smoke_size(name: str) -> None:
    workload = load_suite(SUITE)[name]
    sizes = workload.smoke if workload.many_sizes else (workload.smoke,)
    for size in sizes:
        check(workload.numpy(*workload.arguments(size)), workload.numpy(*workload.arguments(size)), workload.rtol)


def test_a_wrong_result_is_not_accepted() -> None:
    with pytest.raises(ValueError, match="relative difference 0.5"):
        check([np.array([1.0, 3.0])], [np.array([1.0, 2.0])], rtol=0.1)
    with pytest.raises(ValueError, match="2 elements instead of 3"):
        check(np.ones(2), np.ones(3), rtol=1)
    with pytest.raises(ValueError, match="relative difference nan"):
        check(np.array([math.nan]), np.array([1.0]), rtol=1)
    with pytest.raises(ValueError, match="in other places"):
        check(np.array([1.0, math.inf]), np.array([1.0, math.nan]), rtol=1)


def test_nan_and_infinity_agree_with_themselves() -> None:
    values = np.array([1.0, math.nan, -math.inf, 2j])
    assert check(values, values.copy(), rtol=0) == 0


def test_results_of_dicts_are_compared_by_key() -> None:
    assert check({"b": 2.0, "a": 1.0}, {"a": 1.0, "b": 2.0}, rtol=0) == 0


def test_the_timing_loop_calls_as_often_as_told() -> None:
    calls: list[int] = []
    assert timing_loop(lambda a, b: calls.append(a + b), (1, 2), None)(5) >= 0
    assert calls == [3] * 5


def test_heap_kept_is_an_environment() -> None:
    assert "MALLOC_MMAP_MAX_" in environment("numpy", 2, heap_kept=True)
    assert "MALLOC_MMAP_MAX_" not in environment("numpy", 2, heap_kept=False)


def row(times: dict[str, list[float]], against: str = "best") -> Row:
    workload = Workload("w", doubled, lambda size, r: (r.random(size),), (), 3, against=against)
    modes = {Mode(name, kept): Measured([t]) for name, ts in times.items() for kept, t in zip((False, True), ts)}
    return Row(workload, Case("3", 3, at_most=0.5, strive=0.1, moved=1e6), modes)


def test_ratio_is_to_the_best_peer_in_its_better_mode() -> None:
    assert ratio_of(row({"tracejit": [1.0], "numpy": [8.0, 9.0], "jax": [4.0, 2.0]})) == 0.5
    assert ratio_of(row({"tracejit": [1.0], "numpy": [8.0], "jax": [2.0]}, against="numpy")) == 0.125
    assert ratio_of(row({"tracejit": [1.0]})) is None


def test_reports_show_times_ratios_and_bounds() -> None:
    machine = Machine("cpu", 2, 1e9, 1e9, "Linux")
    text = steady_table([row({"tracejit": [1e-3], "numpy": [1e-3, 2e-3]})], machine)
    assert "1 ms" in text and "1.00 ! 0.5/0.1" in text and "100%" in text
    cold = ColdRow("first call", 0.5, 0.3, "jax", {"tracejit": [1.0, 2.0, 3.0], "jax": [8.0]})
    assert "0.25   0.5/0.3" in cold_table([cold])
    json = as_json([row({"numpy": [1.0]})], [cold], machine, {})
    assert json["steady"][0]["systems"]["numpy"]["min"] == 1.0 and json["once"][0]["results"]["jax"] == [8.0]
    assert verdict(0.4, 0.5, 0.1) == "0.40   0.5/0.1"


def test_memory_is_that_of_fresh_processes_and_compared_with_the_leanest_peer() -> None:
    run = ColdRun(SUITE, ("numpy",), 1, {"default": __import__("sys").executable}, lambda text: None)
    measured = run.peak_memory(load_suite(SUITE)["call overhead"], "smoke", 1)
    assert measured.unit == "MB" and 0 <= measured.results["numpy"][0] < 50 and not measured.errors
    found = ColdRow("peak memory", 1.0, 0.7, "best", {"tracejit": [3.0], "jax": [8.0], "torch": [4.0], "numpy": [1.0]},
                    unit="MB")
    assert "3 MB" in cold_table([found]) and "0.75   1/0.7" in cold_table([found])


def test_tables_align_and_durations_have_units() -> None:
    assert table(["a", "b"], [["xx", "1"]]) == "a   b\n--  -\nxx  1"
    assert [duration(s) for s in (2.0, 3e-3, 4e-6, 5e-9, None)] == ["2 s", "3 ms", "4 us", "5 ns", "-"]


def test_numpy_runs_in_its_own_process_and_a_dead_worker_is_replaced() -> None:
    messages: list[str] = []
    run = SteadyRun(SUITE, [Mode("numpy", False)], 1, {"default": __import__("sys").executable}, messages.append)
    workload = load_suite(SUITE)["call overhead"]
    measured = run.measure(workload, workload.case("smoke"), rounds=2, seconds=0)
    (only,) = measured.modes.values()
    assert len(only.samples) >= 6 and not only.error
    run.workers[Mode("numpy", False)].process.kill()
    (failed,) = run.measure(workload, workload.case("smoke"), rounds=1, seconds=0).modes.values()
    assert "has ended" in failed.error
    (again,) = run.measure(workload, workload.case("smoke"), rounds=1, seconds=0).modes.values()
    assert not again.error
    run.close()


def test_a_worker_that_does_not_answer_is_ended() -> None:
    worker = WorkerProcess(Mode("numpy", False), 1)
    assert "no answer" in worker.ask("time", timeout=0.2, seconds=60)["error"]
    assert worker.process.poll() is not None


def test_numpy_is_the_first_system(tmp_path: Path) -> None:
    assert next(iter(SYSTEMS)) == "numpy" and System().fetch([1]) == [np.asarray(1)]
