"""Writes docs/numpy_coverage.md: which of NumPy's functions a compiled function can call.

Flows in:  NumPy's namespaces and the table of implementations.
Flows out: the page; `--check` fails if it is not today's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tracejit.numpy.implementations  # noqa: F401  (fills the table)
import tracejit.tracing.methods  # noqa: F401
from tracejit.tracing.arrays import Array
from tracejit.tracing.implements import NUMPY

PAGE = Path(__file__).resolve().parent.parent / "docs" / "numpy_coverage.md"
# About NumPy itself or its printing, not about arrays: they run on the host as they are.
HOST = frozenset("""
    get_include get_printoptions getbufsize geterr geterrcall info printoptions set_printoptions setbufsize
    seterr seterrcall show_config show_runtime test errstate may_share_memory shares_memory ndindex""".split())
MODULES = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft}


def functions(module: Any) -> dict[str, Any]:
    """The functions and ufuncs that a namespace exports."""
    found = {n: getattr(module, n) for n in sorted(dir(module)) if not n.startswith("_")}
    return {n: f for n, f in found.items() if callable(f) and not isinstance(f, type) and n not in HOST}


def status(function: Any) -> str:
    """compiled, refused (an error with the reason and the way out) or missing (an error without)."""
    if function not in NUMPY:
        return "missing"
    return "refused" if NUMPY[function].__module__ == "tracejit.numpy.unsupported" else "compiled"


def ufunc_methods() -> dict[str, list[str]]:
    """The ufuncs whose method is compiled, by method."""
    methods: dict[str, list[str]] = {}
    for key in NUMPY:
        if isinstance(key, tuple) and isinstance(key[0], np.ufunc):
            methods.setdefault(key[1], []).append(key[0].__name__)
    return {m: sorted(names) for m, names in sorted(methods.items())}


def array_methods() -> tuple[list[str], list[str]]:
    """Methods and properties of ndarray that tracers have, and those that they lack."""
    names = [n for n in dir(np.ndarray) if not n.startswith("_")]
    have = [n for n in names if hasattr(Array, n)]
    return have, [n for n in names if n not in have]


def page() -> str:
    lines = ["# NumPy in compiled functions", "", "Written by `python tools/numpy_coverage.py`; do not edit.", ""]
    version = ".".join(np.__version__.split(".")[:2])
    lines += [f"NumPy {version}. *Refused* raises an error which names the line, the reason and what to use instead.",
              "", "| namespace | functions | compiled | refused | missing |",
              "|---|---|---|---|---|"]
    tables = {name: {n: status(f) for n, f in functions(module).items()} for name, module in MODULES.items()}
    for name, table in tables.items():
        counts = [sum(s == kind for s in table.values()) for kind in ("compiled", "refused", "missing")]
        lines.append(f"| `{name}` | {len(table)} | " + " | ".join(map(str, counts)) + " |")
    for name, table in tables.items():
        for kind in ("compiled", "refused", "missing"):
            names = [n for n, s in table.items() if s == kind]
            if names:
                lines += ["", f"## {name}: {kind}", "", ", ".join(f"`{n}`" for n in names)]
    lines += ["", "## Methods of ufuncs", ""]
    lines += [f"- `{method}`: {', '.join(f'`{n}`' for n in names)}" for method, names in ufunc_methods().items()]
    have, lack = array_methods()
    lines += ["", "## ndarray", "", f"Compiled: {', '.join(f'`{n}`' for n in have)}", "",
              f"Not compiled: {', '.join(f'`{n}`' for n in lack)}", ""]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is not today's")
    text = page()
    if parser.parse_args().check:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf8") != text)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf8")
    print(text.split("## ")[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
