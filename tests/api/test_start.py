"""Starting is cheap: what a program does not need yet is not imported."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DECORATED = """
import sys
import tracejit as tj
tj.function
loaded = [m for m in sys.modules if m.split(".")[0] == "llvmlite"
          or m.startswith(("tracejit.xla_lite.compile", "tracejit.xla_lite.passes", "tracejit.xla_lite.kernels",
                           "tracejit.xla_lite.cpu", "tracejit.numpy"))]
"""

CALLED = """
import sys
import tracejit as tj
import numpy as np
@tj.function
def f(x):
    return x + 1
f(np.ones(3))
assert f.traces[0].compiled.executable.from_cache == (len(sys.argv) > 1)
loaded = [m for m in sys.modules if m.startswith(("tracejit.xla_lite.passes", "tracejit.xla_lite.kernels",
                                                  "tracejit.xla_lite.cpu"))]
"""


def loaded(path: Path, text: str, *arguments: str) -> str:
    """What `text`, run in a new process, has in `loaded`."""
    file = path / "program.py"
    file.write_text(text + "print(loaded)\n")
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, str(file), *arguments], text=True, capture_output=True, check=True,
                          env={**os.environ, "PYTHONPATH": root, "TRACEJIT_CACHE_DIR": str(path / "cache"),
                               "TRACEJIT_VERIFY": "0"})
    return done.stdout.strip()


def test_the_package_loads_no_compiler_and_no_llvm(tmp_path: Path) -> None:
    assert loaded(tmp_path, DECORATED) == "[]"


def test_a_call_whose_code_is_on_disk_loads_no_compiler(tmp_path: Path) -> None:
    assert "passes" in loaded(tmp_path, CALLED)
    assert loaded(tmp_path, CALLED, "cached") == "[]"
