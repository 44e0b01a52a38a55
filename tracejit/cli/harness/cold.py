"""What is measured in a fresh process each time: first calls, also from a disk cache, many sizes, imports, memory.

Flows in: workloads, systems.  Flows out: milliseconds or megabytes per system and repetition, for report.py.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tracejit.cli.harness.pool import Mode, WorkerProcess
from tracejit.cli.harness.systems import SYSTEMS, environment, runs
from tracejit.cli.harness.workload import Workload

# Where each system keeps compiled code between processes.  A system that is not named has no such cache on the CPU, or
# (Numba) none that survives for functions which close over other compiled functions.
CACHES: dict[str, Callable[[str], dict[str, str]]] = {
    "tracejit": lambda path: {"TRACEJIT_CACHE_DIR": path},
    "jax": lambda path: {"JAX_COMPILATION_CACHE_DIR": path, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                         "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"},
    "torch.compile": lambda path: {"TORCHINDUCTOR_CACHE_DIR": path},
    "drjit": lambda path: {"HOME": path},
}
ON_BY_DEFAULT = frozenset({"tracejit", "torch.compile", "drjit"})    # a first call gets an empty folder

# What a program touches first, where a package loads its parts on demand.
FIRST_NAMES = {"tracejit": "function", "jax": "jit", "numba": "njit", "torch": "compile", "torch.compile": "compile"}


@dataclass(slots=True)
class ColdRow:
    """Numbers by system, one a repetition. against: a system, "best" for the best peer, "milliseconds" for none."""

    name: str
    at_most: float
    strive: float
    against: str
    results: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    unit: str = "ms"

    def typical(self, system: str) -> float | None:
        return median(self.results[system]) if self.results.get(system) else None


@dataclass(frozen=True, slots=True)
class ColdRun:
    """How the processes of this run are started."""

    suite: str
    systems: tuple[str, ...]
    threads: int
    pythons: dict[str, str]
    progress: Callable[[str], None]

    def ask(self, system: str, command: str, workload: Workload, case: str, extra: dict[str, str]) -> dict[str, Any]:
        """One command in a fresh process."""
        python = self.pythons.get(system, self.pythons["default"])
        worker = WorkerProcess(Mode(system, False), self.threads, python, extra)
        reply = worker.hello
        if "error" not in reply:
            reply = worker.ask(command, suite=self.suite, workload=workload.name, case=case)
        worker.close()
        return reply

    def repeat(self, row: ColdRow, workload: Workload | None, repeats: int, once: Callable[[str], float]) -> ColdRow:
        """Fills `row`: systems in turn, `repeats` times."""
        for number in range(repeats):
            for system in self.systems:
                if system in row.errors or (workload and not runs(system, workload)):
                    continue
                self.progress(f"{row.name}: {number + 1}/{repeats} {system}")
                try:
                    row.results.setdefault(system, []).append(once(system))
                except RuntimeError as error:
                    row.errors[system] = str(error)
        return row

    def first_call(self, workload: Workload, case: str, repeats: int) -> ColdRow:
        """First call minus steady time, nothing on disk."""
        def once(system: str) -> float:
            with tempfile.TemporaryDirectory(prefix="bench-cold-") as path:
                extra = CACHES[system](path) if system in ON_BY_DEFAULT else {}
                return extra_milliseconds(self.ask(system, "first", workload, case, extra))

        row = ColdRow(f"first call, {workload.name} {case}", workload.cold_at_most, workload.cold_strive,
                      workload.cold_against)
        return self.repeat(row, workload, repeats, once)

    def cached_call(self, workload: Workload, case: str, repeats: int) -> ColdRow:
        """The same in a second process, with what the first left on disk; systems without a disk cache are left out."""
        folders = {system: tempfile.mkdtemp(prefix="bench-cache-") for system in self.systems if system in CACHES}

        def once(system: str) -> float:
            return extra_milliseconds(self.ask_again(system, "first", workload, case, folders[system]))

        cached = ColdRun(self.suite, tuple(folders), self.threads, self.pythons, self.progress)
        row = ColdRow(f"first call from disk, {workload.name} {case}", 0.3, 0.1, "jax")
        cached.repeat(row, workload, repeats, once)
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        return row

    def ask_again(self, system: str, command: str, workload: Workload, case: str, folder: str) -> dict[str, Any]:
        """One command in a process that finds what another has left in the folder."""
        extra = CACHES[system](folder)
        if not any(Path(folder).iterdir()):
            self.ask(system, "first", workload, case, extra)
        return self.ask(system, command, workload, case, extra)

    def peak_memory(self, workload: Workload, case: str, repeats: int) -> ColdRow:
        """By how much processes grow; what systems compile comes from disk where they keep it there."""
        folders = {system: tempfile.mkdtemp(prefix="bench-cache-") for system in self.systems}

        def once(system: str) -> float:
            known = system in CACHES
            reply = self.ask_again(system, "memory", workload, case, folders[system]) if known else \
                self.ask(system, "memory", workload, case, {})
            return number_in(reply, "growth") / 2**20

        row = ColdRow(f"peak memory, {workload.name} {case}", workload.memory_at_most, workload.memory_strive, "best",
                      unit="MB")
        self.repeat(row, workload, repeats, once)
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        return row

    def many_sizes(self, workload: Workload, case: str, repeats: int) -> ColdRow:
        """Total time of one call for each of many sizes."""
        def once(system: str) -> float:
            with tempfile.TemporaryDirectory(prefix="bench-cold-") as path:
                extra = CACHES[system](path) if system in ON_BY_DEFAULT else {}
                reply = self.ask(system, "sizes", workload, case, extra)
            return 1e3 * float(number_in(reply, "total"))

        return self.repeat(ColdRow(f"{workload.name} {case}", 0.15, 0.05, "jax"), workload, repeats, once)

    def import_time(self, repeats: int) -> ColdRow:
        """Import of the system after NumPy."""
        def once(system: str) -> float:
            module = SYSTEMS[system].module
            first_name = f"{module}.{FIRST_NAMES[system]}" if system in FIRST_NAMES else ""    # for lazy modules
            code = (f"import time, numpy; start = time.perf_counter(); import {module}; {first_name}; "
                    "print(time.perf_counter() - start)").replace("; ; ", "; ")
            done = subprocess.run([self.pythons.get(system, self.pythons["default"]), "-c", code], text=True,
                                  capture_output=True, env=environment(system, self.threads, False))
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
            return 1e3 * float(done.stdout)

        row = ColdRow("import, over NumPy", 60, 35, "milliseconds")
        return self.repeat(row, None, repeats, once)


def number_in(reply: dict[str, Any], name: str) -> float:
    """A number of the reply, or its error as RuntimeError."""
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return float(reply[name])


def extra_milliseconds(reply: dict[str, Any]) -> float:
    """First call minus steady call."""
    return 1e3 * (number_in(reply, "first") - number_in(reply, "steady"))
