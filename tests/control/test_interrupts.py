"""Loops that do not end stop at Ctrl-C, and the process goes on.

Flows in: one process in which every kind of loop is interrupted.  Flows out: failures.
"""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "interrupted.py"
ROOT = Path(__file__).parent.parent.parent


def test_every_kind_of_endless_scalar_loop_ends_on_keyboard_interrupt() -> None:
    done = subprocess.run([sys.executable, "-X", "faulthandler", str(PROGRAM)], capture_output=True, text=True,
                          timeout=100, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == 8, done.stdout
    for name, result, seconds, afterwards in rows:
        assert result == "interrupted" and float(seconds) < 5 and afterwards == "usable", name
