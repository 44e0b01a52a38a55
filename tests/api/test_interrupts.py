"""Loops that do not end are left by KeyboardInterrupt: in `main`, in kernels, in chunks on worker threads."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="posix only")

PROGRAMS = '''
import sys
import numpy as np, tracejit as tj

@tj.function
def scalar_while(n):
    i = 0
    while i < n:
        i += 1
    return i

@tj.function
def scalar_for(n):
    s = 0.5
    for i in range(n):
        s = s * 0.5 + i
    return s

@tj.function
def loop_of_kernels(x, n):
    for _ in range(n):
        x = np.roll(x, 1) + 1.0
    return x

@tj.function
def element_while(x, tolerance):
    y = x.copy()
    active = np.ones(x.shape, dtype=bool)
    while np.any(active):
        new = 0.5 * (y + x / y)
        active = np.abs(new - y) > tolerance
        y = np.where(active, new, y)
    return y

@tj.function
def element_for(x, n):
    y = x.copy()
    for _ in range(n):
        y = 0.5 * y + x
    return y

@tj.function
def while_of_each_element(x, tolerance, out):
    for i in range(len(x)):
        y, change = x[i], 1.0
        while change > tolerance:
            new = 0.5 * (y + x[i] / y)
            change = abs(new - y)
            y = new
        out[i] = y
    return out

few, many = np.linspace(1, 2, 7), np.linspace(1, 2, 300_000)
calls = {
    "scalar_while": (scalar_while, (5,), (1 << 62,)),
    "scalar_for": (scalar_for, (5,), (1 << 62,)),
    "loop_of_kernels": (loop_of_kernels, (few, 5), (few, 1 << 62)),
    "element_while": (element_while, (few, 1e-3), (few, -1.0)),
    "element_while_on_threads": (element_while, (many, 1e-3), (many, -1.0)),
    "element_for": (element_for, (few, 5), (few, 1 << 62)),
    "element_for_on_threads": (element_for, (many, 5), (many, 1 << 62)),
    "while_of_each_element": (while_of_each_element, (few, 1e-3, 0 * few), (few, -1.0, 0 * few)),
    "while_of_each_element_on_threads": (while_of_each_element, (many, 1e-3, 0 * many), (many, -1.0, 0 * many)),
}
f, short, long = calls[sys.argv[1]]
f(*short)
print("ready", flush=True)
try:
    f(*long)
except KeyboardInterrupt:
    again = f(*short)
    print("stopped" if np.all(again == f(*short)) else "wrong afterwards")
'''
KINDS = ("scalar_while", "scalar_for", "loop_of_kernels", "element_while", "element_while_on_threads", "element_for",
         "element_for_on_threads", "while_of_each_element", "while_of_each_element_on_threads")


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_ends_an_endless(kind: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS)
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TRACEJIT_NUM_THREADS": "2"}
    process = subprocess.Popen([sys.executable, "-X", "faulthandler", str(program), kind], stdout=subprocess.PIPE,
                               text=True, env=settings)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    try:
        process.wait(0.05)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert output == "stopped\n" and process.returncode == 0
