"""One system in its own process: reads commands, one JSON object a line, and answers each with one.

Flows in: `load`, `time`, `drop`, `first`, `memory`, `sizes` from pool.py.  Flows out: seconds, bytes, and the check of
the result.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tracejit.cli.harness.systems import SYSTEMS, System
from tracejit.cli.harness.workload import Workload, load_suite

Reply = dict[str, Any]
BATCH_SECONDS = 5e-4    # a sample is at least this long, so that the clock's own cost does not show


class Worker:
    """The commands; one workload is loaded at a time."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.run: Callable[[int], float] = lambda calls: 0.0
        self.batch = 1

    def hello(self) -> Reply:
        """Imports the system."""
        self.system.load()
        return {"version": self.system.version(), "python": sys.version.split()[0]}

    def load(self, suite: str, workload: str, case: str) -> Reply:
        """Builds, runs once, checks the result against NumPy, and finds how many calls make a sample."""
        found = load_suite(suite)[workload]
        args = found.arguments(found.case(case).size)
        expected = (found.reference or found.numpy)(*found.arguments(found.case(case).size))
        placed = tuple(self.system.place(arg) for arg in args)
        fn = self.system.function(found)
        start = time.perf_counter()
        result = fn(*placed)
        self.system.wait(result)
        first = time.perf_counter() - start
        difference = check(self.system.fetch(result), expected, found.rtol)
        del result, expected
        self.run = timing_loop(fn, placed, self.system.wait if self.system.waits else None)
        self.run(2)
        self.batch = max(1, int(BATCH_SECONDS / max(self.run(1), 1e-9)))
        if self.batch > 1:
            self.batch = max(1, int(BATCH_SECONDS / max(self.run(self.batch) / self.batch, 1e-9)))
        return {"first": first, "difference": difference}

    def time(self, seconds: float) -> Reply:
        """Samples for about `seconds`, three at least: seconds per call."""
        self.run(self.batch)
        samples: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(samples) < 3:
            samples.append(self.run(self.batch) / self.batch)
        return {"samples": samples}

    def drop(self) -> Reply:
        """Lets the workload's memory go."""
        self.run = lambda calls: 0.0
        return {}

    def first(self, suite: str, workload: str, case: str) -> Reply:
        """First call and steady time, after an unrelated function has started the system up."""
        found = load_suite(suite)[workload]
        self.warm_up()
        placed = tuple(self.system.place(arg) for arg in found.arguments(found.case(case).size))
        fn = self.system.function(found)
        seconds = [timed_call(self.system, fn, placed) for _ in range(12)]
        return {"first": seconds[0], "steady": median(seconds[2:])}

    def memory(self, suite: str, workload: str, case: str) -> Reply:
        """By how many bytes the process grows at most, from before the function is built to its third result."""
        found = load_suite(suite)[workload]
        self.warm_up()
        placed = tuple(self.system.place(arg) for arg in found.arguments(found.case(case).size))
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")    # forgets the peak so far
        before = resident("VmRSS")
        fn = self.system.function(found)
        for _ in range(3):
            self.system.wait(fn(*placed))
        return {"growth": resident("VmHWM") - before}

    def warm_up(self) -> None:
        """Compiles and runs an unrelated function, so that the system's own start-up is not counted."""
        workload = Workload("warm-up", warm_up_function, lambda size, r: (r.random(size),), (), 8,
                            peers={"numexpr": lambda: warm_up_function})
        self.system.wait(self.system.function(workload)(*map(self.system.place, workload.arguments(7))))

    def sizes(self, suite: str, workload: str, case: str) -> Reply:
        """Total seconds of one call for each entry of the case's size."""
        found = load_suite(suite)[workload]
        self.warm_up()
        fn = self.system.function(found)
        arguments = [tuple(map(self.system.place, found.arguments(size))) for size in found.case(case).size]
        return {"total": sum(timed_call(self.system, fn, placed) for placed in arguments)}


def resident(field: str) -> int:
    """Bytes of this process in memory: `VmRSS` now, `VmHWM` at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return 1024 * int(line.split()[1])


def warm_up_function(x: Any) -> Any:
    """A function that no workload has."""
    return x * 3 - 1


def timed_call(system: System, fn: Callable[..., Any], placed: tuple[Any, ...]) -> float:
    """Seconds of one call, until its result is there."""
    start = time.perf_counter()
    system.wait(fn(*placed))
    return time.perf_counter() - start


def timing_loop(fn: Callable[..., Any], args: tuple[Any, ...], wait: Callable[[Any], None] | None,
                ) -> Callable[[int], float]:
    """A function that calls `fn(*args)` n times and returns the seconds; written out so that the loop costs little."""
    names = [f"a{i}" for i in range(len(args))]
    call = f"f({', '.join(names)})"
    lines = [f"def run(n, f, wait, clock, {', '.join(names)}):", "  start = clock()", "  for _ in [None] * n:",
             f"    {'wait(' + call + ')' if wait else 'r = ' + call}", "  return clock() - start"]
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)
    run = scope["run"]
    return lambda n: float(run(n, fn, wait, time.perf_counter, *args))


def check(actual: Any, expected: Any, rtol: float) -> float:
    """The largest difference relative to the largest expected value; ValueError where that is more than `rtol`.

    Systems lay results out in their own way, so leaves are compared flat, in order.
    """
    worst = 0.0
    ours, theirs = leaves(actual), leaves(expected)
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} results instead of {len(theirs)}")
    for a, e in zip(ours, theirs):
        a, e = as_reals(a), as_reals(e)
        if a.size != e.size:
            raise ValueError(f"{a.size} elements instead of {e.size}")
        finite = np.isfinite(e)
        if not np.array_equal(a[~finite], e[~finite], equal_nan=True):
            raise ValueError("wrong result: infinities or NaN in other places")
        scale = float(np.max(np.abs(e[finite]), initial=0)) or 1.0
        difference = float(np.max(np.abs(a[finite] - e[finite]), initial=0)) / scale
        if not difference <= rtol:
            raise ValueError(f"wrong result: relative difference {difference:.2g}")
        worst = max(worst, difference)
    return worst


def as_reals(leaf: Any) -> np.ndarray[Any, Any]:
    """A leaf as a vector of float64; complex numbers as two each."""
    flat = np.asarray(leaf).ravel()
    return flat.astype(np.complex128).view(np.float64) if flat.dtype.kind == "c" else flat.astype(np.float64)


def leaves(tree: Any) -> list[Any]:
    """The leaves in order, those of a dict by key (some systems sort keys)."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    return [leaf for item in tree for leaf in leaves(item)] if isinstance(tree, list | tuple) else [tree]


def first_line(error: Exception) -> str:
    """What a table has room for."""
    return (str(error).strip().splitlines() or [""])[0][:200]


def serve(system: str, replies: Any) -> None:
    """Answers commands until standard input ends."""
    worker = Worker(SYSTEMS[system]())
    for line in sys.stdin:
        command = json.loads(line)
        try:
            reply = getattr(worker, command.pop("do"))(**command)
        except Exception as error:    # reported to the parent, which shows it in the table
            reply = {"error": f"{type(error).__name__}: {first_line(error)}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def main() -> None:
    """Keeps standard output for replies: what the systems print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], replies)


if __name__ == "__main__":
    main()
