"""What TRACEJIT_DEBUG prints and TRACEJIT_DUMP writes for each new trace.

Flows in:  the record of a trace.
Flows out: lines on standard error; numbered files, one per stage.
"""
from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from tracejit.base.options import config

if TYPE_CHECKING:
    from tracejit.api.explain import TraceRecord
    from tracejit.xla_lite.compile import Executable

_NUMBERS = count()      # of dumped traces in this process; advanced by write_dump alone

# Level of TRACEJIT_DEBUG, file name, text.
STAGES: tuple[tuple[int, str, Callable[[Executable], str]], ...] = (
    (3, "fused.txt", lambda executable: str(executable.fused)),
    (4, "kernels.txt", lambda executable: executable.kernels_text),
    (5, "llvm.ll", lambda executable: executable.llvm_text()),
    (6, "assembly.s", lambda executable: executable.assembly()))


def report_trace(name: str, record: TraceRecord) -> None:
    """Prints and writes what the settings ask for."""
    if config.debug:
        print_debug(name, record)
    if config.dump:
        write_dump(name, record)


def print_debug(name: str, record: TraceRecord) -> None:
    """TRACEJIT_DEBUG: 1 a line, 2 the reasons, 3 the fused graph, 4 kernels, 5 LLVM, 6 assembly."""
    level = config.debug
    lines = [f"tracejit: {name}: trace {record.number} in {record.trace_seconds * 1e3:.1f} ms, "
             f"compiled in {record.compile_seconds * 1e3:.1f} ms"]
    lines += [f"tracejit:   because {reason}" for reason in record.reasons] if level >= 2 else []
    lines += [text(record.compiled.executable) for least, _, text in STAGES if level >= least]
    print("\n".join(lines), file=sys.stderr)


def write_dump(name: str, record: TraceRecord) -> None:
    """TRACEJIT_DUMP: `0001-softmax-graph.txt` and so on in that directory, which is made if it is missing."""
    executable = record.compiled.executable
    start = f"{next(_NUMBERS):04d}-{re.sub(r'[^A-Za-z0-9_]+', '_', name)}"
    os.makedirs(config.dump, exist_ok=True)
    for ending, text in (("graph.txt", str(executable.graph)), *((e, t(executable)) for _, e, t in STAGES)):
        with open(os.path.join(config.dump, f"{start}-{ending}"), "w", encoding="utf8") as file:
            file.write(text + "\n")
