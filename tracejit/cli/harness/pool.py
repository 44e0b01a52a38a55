"""Workers as the parent sees them: started, asked, and ended when they hang.

Flows in: a system's name, an allocation mode, the Python that has the system.  Flows out: replies as dicts.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tracejit.cli.harness.systems import environment


@dataclass(frozen=True, slots=True)
class Mode:
    """A column of the measurement: one system under one allocation mode."""

    system: str
    heap_kept: bool

    def __str__(self) -> str:
        return f"{self.system}{' (heap kept)' if self.heap_kept else ''}"


class WorkerProcess:
    """One worker.  `ask` returns its reply; a reply with "error" says what went wrong, also when the worker died."""

    def __init__(self, mode: Mode, threads: int, python: str = sys.executable, extra: dict[str, str] | None = None,
                 verbose: bool = False) -> None:
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        self.process = subprocess.Popen(
            [python, "-m", "tracejit.cli.harness.worker", mode.system],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None if verbose else subprocess.DEVNULL, text=True,
            env={**environment(mode.system, threads, mode.heap_kept), **(extra or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        self.hello = self.ask("hello", timeout=120)

    def ask(self, command: str, timeout: float = 300, **arguments: Any) -> dict[str, Any]:
        """Sends a command and waits for its reply, at most `timeout` seconds."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"error": f"the worker has ended (status {self.process.poll()})"}
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            self.close(patience=0)
            return {"error": f"no answer in {timeout:.0f} s"}
        line = self.process.stdout.readline()
        if not line:
            return {"error": f"the worker has ended (status {self.process.wait()})"}
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self, patience: float = 5) -> None:
        """Ends the worker: by the end of its commands, so that it may still write its caches; else by force."""
        assert self.process.stdin and self.process.stdout
        with contextlib.suppress(BrokenPipeError):    # a command that a dead worker never read
            self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
