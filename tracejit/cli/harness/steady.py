"""Interleaved rounds: every system runs every workload in turn, in an order that rotates.

Flows in: workloads, systems.  Flows out: `Row`s with all samples, for report.py.

All workers of a case are alive at once and idle while another is timed.  Each system runs twice, with the default
allocator and with its heap kept (see systems.environment); tracejit runs as it is.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from tracejit.cli.harness.pool import Mode, WorkerProcess
from tracejit.cli.harness.systems import runs
from tracejit.cli.harness.workload import Case, Workload

PAUSE = 0.03    # the threads of the system before spin for a while before they sleep
Progress = Callable[[str], None]


@dataclass(slots=True)
class Measured:
    """What one mode did on one case."""

    samples: list[float] = field(default_factory=list)
    difference: float = 0.0
    error: str = ""

    @property
    def best(self) -> float:
        return min(self.samples)

    @property
    def median(self) -> float:
        return median(self.samples)


@dataclass(slots=True)
class Row:
    """One case of one workload, all modes."""

    workload: Workload
    case: Case
    modes: dict[Mode, Measured] = field(default_factory=dict)

    def best_of(self, system: str) -> Measured | None:
        """The system's better allocation mode."""
        done = [m for mode, m in self.modes.items() if mode.system == system and m.samples]
        return min(done, key=lambda m: m.best, default=None)


class SteadyRun:
    """Keeps one worker per mode over all workloads."""

    def __init__(self, suite: str, modes: Iterable[Mode], threads: int, pythons: dict[str, str], progress: Progress,
                 verbose: bool = False) -> None:
        self.suite, self.progress = suite, progress
        self.threads, self.pythons, self.verbose = threads, pythons, verbose
        self.workers: dict[Mode, WorkerProcess] = {}
        self.versions: dict[str, str] = {}
        for mode in modes:
            self.start(mode)

    def start(self, mode: Mode) -> None:
        """Starts a worker; a system that can't be imported is left out with a note."""
        self.progress(f"starting {mode}")
        python = self.pythons.get(mode.system, self.pythons["default"])
        worker = WorkerProcess(mode, self.threads, python, verbose=self.verbose)
        if "error" in worker.hello:
            self.progress(f"{mode} left out: {worker.hello['error']}\n")
            worker.close()
            return
        self.workers[mode] = worker
        self.versions[mode.system] = worker.hello["version"]

    def measure(self, workload: Workload, case: Case, rounds: int, seconds: float) -> Row:
        """Checks every system's result, then times `rounds` rounds of about `seconds` per system."""
        row = Row(workload, case)
        for mode, worker in list(self.workers.items()):
            if not runs(mode.system, workload):
                continue
            self.progress(f"{workload.name} {case.label}: check {mode}")
            reply = worker.ask("load", suite=self.suite, workload=workload.name, case=case.label)
            row.modes[mode] = Measured(difference=reply.get("difference", 0.0), error=reply.get("error", ""))
        ready = [mode for mode, measured in row.modes.items() if not measured.error]
        for number in range(rounds):
            for mode in ready[number % max(len(ready), 1):] + ready[: number % max(len(ready), 1)]:
                self.progress(f"{workload.name} {case.label}: round {number + 1}/{rounds} {mode}")
                time.sleep(PAUSE)
                reply = self.workers[mode].ask("time", seconds=seconds)
                row.modes[mode].samples += reply.get("samples", [])
                row.modes[mode].error = reply.get("error", "")
        self.finish(row)
        return row

    def finish(self, row: Row) -> None:
        """Frees the workload's memory; a worker that died or hung is started again for the next workload."""
        for mode in row.modes:
            if "error" in self.workers[mode].ask("drop", timeout=30):
                self.workers.pop(mode).close()
                self.start(mode)

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
