"""Small compiled kernels for the tests of the run-time layer, written in LLVM text.

Flows in:  LLVM text.  Flows out: linked libraries.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tracejit.xla_lite.runtime.engine import Library, engine

CHUNKS = """
declare i32 @tj_parallel_for(ptr, ptr, i64)
define void @count(ptr %context, i64 %i) {
  %cell = getelementptr i64, ptr %context, i64 %i
  %old = load i64, ptr %cell
  %new = add i64 %old, 1
  store i64 %new, ptr %cell
  ret void
}
define void @nested(ptr %context, i64 %i) {
  %first = mul i64 %i, 1000
  %part = getelementptr i64, ptr %context, i64 %first
  %r = call i32 @tj_parallel_for(ptr @count, ptr %part, i64 1000)
  ret void
}
"""


def link(text: str, exports: Iterable[str], imports: Mapping[str, int] | None = None, level: int = 2) -> Library:
    """Compiles and links LLVM text."""
    return engine().link(engine().compile_text(text, level), exports, imports or {})


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter in the repository's root."""
    root = Path(__file__).resolve().parents[2]
    settings = {**os.environ, "PYTHONPATH": str(root), **environment}
    return subprocess.run([sys.executable, "-c", code], cwd=root, env=settings, capture_output=True, text=True, timeout=60)
