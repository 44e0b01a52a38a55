"""A whole run: every workload of a suite, then what is paid once, then the report.

Flows in: `SuiteOptions` from `python -m bench` or `tracejit bench`.  Flows out: the printed tables and a JSON file.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tracejit.cli.harness import report
from tracejit.cli.harness.cold import ColdRow, ColdRun
from tracejit.cli.harness.machine import Machine, measure_machine
from tracejit.cli.harness.pool import Mode
from tracejit.cli.harness.steady import Row, SteadyRun
from tracejit.cli.harness.systems import SYSTEMS, installed
from tracejit.cli.harness.workload import Workload, load_suite


@dataclass(frozen=True, slots=True)
class SuiteOptions:
    """What to run and how long."""

    only: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    rounds: int = 5
    seconds: float = 0.15
    repeats: int = 3
    threads: int = 2
    smoke: bool = False
    kinds: tuple[str, ...] = ("steady", "cold", "memory")
    pythons: dict[str, str] = field(default_factory=lambda: {"default": sys.executable})
    json: str = ""
    verbose: bool = False


def show_progress(text: str) -> None:
    """One line on standard error, written over while it is a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:110]}", end="" if not text.endswith("\n") else "\n", file=sys.stderr, flush=True)
    elif text.endswith("\n"):
        print(text, end="", file=sys.stderr, flush=True)


def run_suite(options: SuiteOptions, suite: str) -> int:
    """Runs, prints, writes; the status is 1 where tracejit or NumPy failed anywhere."""
    start = time.perf_counter()
    workloads = [w for w in load_suite(suite).values() if wanted(w.name, options.only)]
    machine = measure_machine(options.threads, quick=options.smoke)
    print(machine)
    rows, versions = run_steady(options, suite, workloads, machine) if "steady" in options.kinds else ([], {})
    cold = run_cold(options, suite, workloads) if "cold" in options.kinds else []
    cold += run_memory(options, suite, workloads) if "memory" in options.kinds else []
    if cold:
        print("\n" + report.cold_table(cold))
    if trouble := report.problems(rows, cold):
        print("\nfailed:\n" + trouble)
    if options.json:
        Path(options.json).write_text(json.dumps(report.as_json(rows, cold, machine, versions), indent=1))
    print(f"\n{time.perf_counter() - start:.0f} s")
    ours = ("numpy", report.OURS)
    failed = any(mode.system in ours and m.error for row in rows for mode, m in row.modes.items())
    return int(failed or any(name in ours for row in cold for name in row.errors))


def wanted(name: str, only: tuple[str, ...]) -> bool:
    return not only or any(part in name for part in only)


def systems_of(options: SuiteOptions) -> list[str]:
    """The systems asked for, or all that are installed."""
    return list(options.systems) or (list(SYSTEMS) if len(options.pythons) > 1 else installed())


def run_steady(options: SuiteOptions, suite: str, workloads: list[Workload], machine: Machine,
               ) -> tuple[list[Row], dict[str, str]]:
    """The interleaved rounds; prints the table as soon as it is complete."""
    heaps = (False,) if options.smoke else (False, True)
    modes = [Mode(name, kept) for kept in heaps for name in systems_of(options) if not (kept and name == report.OURS)]
    run = SteadyRun(suite, modes, options.threads, options.pythons, show_progress, options.verbose)
    rounds, seconds = (1, 0.0) if options.smoke else (options.rounds, options.seconds)
    rows = []
    for workload in workloads:
        for case in (workload.case("smoke"),) if options.smoke else workload.cases:
            if not workload.many_sizes:
                rows.append(run.measure(workload, case, rounds, seconds))
                show_progress(summary(rows[-1]) + "\n")
    run.close()
    print("versions: " + ", ".join(f"{name} {version}" for name, version in run.versions.items()))
    print("\n" + report.steady_table(rows, machine))
    return rows, run.versions


def summary(row: Row) -> str:
    """One line of progress."""
    systems = report.columns_of(mode.system for mode in row.modes)
    times = [f"{name} {report.duration(m.best)}" for name in systems if (m := row.best_of(name))]
    return f"{row.workload.name} {row.case.label}: " + ", ".join(times)


def run_memory(options: SuiteOptions, suite: str, workloads: list[Workload]) -> list[ColdRow]:
    """Peak memory, for the workloads that declare it."""
    run = ColdRun(suite, tuple(systems_of(options)), options.threads, options.pythons, show_progress)
    repeats = 1 if options.smoke else options.repeats
    return [run.peak_memory(workload, "smoke" if options.smoke else case, repeats) for workload in workloads
            for case in workload.memory_cases]


def run_cold(options: SuiteOptions, suite: str, workloads: list[Workload]) -> list[ColdRow]:
    """First calls, disk caches, many sizes, imports, for the workloads that declare them."""
    run = ColdRun(suite, tuple(systems_of(options)), options.threads, options.pythons, show_progress)
    repeats = 1 if options.smoke else options.repeats
    rows = []
    for workload in workloads:
        case = "smoke" if options.smoke else workload.cold_case
        if workload.many_sizes:
            rows.append(run.many_sizes(workload, case, repeats))
        elif workload.cold_case:
            rows += [run.first_call(workload, case, repeats), run.cached_call(workload, case, repeats)]
    if not options.only and not suite.endswith(".json"):
        rows.append(run.import_time(repeats))
    return rows
