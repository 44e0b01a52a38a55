"""A failure of the compiler itself, written down so that one command replays it.

Flows in:  the graph that could not be compiled and the exception.
Flows out: `InternalError`, with the path of a Python file that fails the same way.
"""
from __future__ import annotations

import os
import platform
import tempfile

import numpy as np

from tracejit.base.errors import InternalError
from tracejit.ir.graph import Graph
from tracejit.xla_lite.runtime.engine import engine

TEMPLATE = '''"""Replays an internal failure of tracejit: python {name}

{failure}
{versions}
"""
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.replay import replay

GRAPH = """
{graph}
"""

replay(parse_graph(GRAPH))
'''


def internal_error(graph: Graph, name: str, failure: Exception) -> InternalError:
    """The error to raise. The file goes to the directory of temporary files."""
    what = f"{type(failure).__name__}: {failure}".splitlines()[0]
    path = _write(graph, what)
    return InternalError(f"tracejit failed to compile `{name}`: {what}",
                         why="this is a bug in tracejit, not in your code",
                         fix=f"please report it with the file {path}; `python {path}` replays it" if path else
                         "please report it with your function")


def _write(graph: Graph, what: str) -> str | None:
    llvmlite, llvm = engine().versions
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, llvmlite {llvmlite}, LLVM {llvm}"
    try:
        handle, path = tempfile.mkstemp(prefix="tracejit-repro-", suffix=".py")
        with os.fdopen(handle, "w", encoding="utf8") as file:
            file.write(TEMPLATE.format(name=os.path.basename(path), failure=what.replace('"""', "'''"),
                                       versions=versions, graph=graph))
    except OSError:
        return None
    return path
