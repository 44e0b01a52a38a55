"""Imports point downwards only: every import statement of the package is read and compared with the layer table.

Flows in: the source files of tracejit/.  Flows out: a list of lines to move.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tracejit"

FRONT_ENDS = frozenset("numpy nn optim random linalg fft interop compat cli tree errors config".split())

# What each room may import, besides itself.  Imports inside functions and under TYPE_CHECKING count.
BELOW: dict[str, frozenset[str]] = {
    "base": frozenset(),
    "ir": frozenset({"base"}),
    "autograph": frozenset({"base"}),
    "ops": frozenset({"base", "ir"}),
    "tracing": frozenset({"base", "ir", "autograph", "ops"}),
    "transforms": frozenset({"base", "ir", "ops"}),
    "xla_lite": frozenset({"base", "ir", "ops"}),
    "api": frozenset({"base", "ir", "autograph", "ops", "tracing", "transforms", "xla_lite"}),
}
BELOW |= {room: frozenset(BELOW) | FRONT_ENDS for room in FRONT_ENDS}

# The same inside xla_lite; a file that is not listed (compile.py and the package itself) joins them all.
XLA_LITE_BELOW: dict[str, frozenset[str]] = {
    "passes": frozenset(),
    "kernels": frozenset(),
    "runtime": frozenset(),
    "cpu": frozenset({"kernels", "runtime"}),
    "cuda": frozenset({"kernels", "runtime"}),
}
MAY_IMPORT_LLVMLITE = ("xla_lite.cpu", "xla_lite.cuda", "xla_lite.runtime")


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import in the file; `from a import b` yields `a.b`."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            prefix = ".".join(base + ([node.module] if node.module else []))
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)


def room_of(module: str) -> tuple[str, str]:
    """The room, and the room inside xla_lite, of a dotted name below `tracejit`; empty where there is none."""
    parts = module.split(".")[1:] + ["", ""]
    return parts[0], parts[1] if parts[0] == "xla_lite" else ""


def violation(here: tuple[str, str], module: str) -> str | None:
    """Why a file in room `here` must not import `module`, or None."""
    if module.split(".")[0] == "llvmlite":
        return None if ".".join(here) in MAY_IMPORT_LLVMLITE else "only xla_lite/cpu, cuda and runtime import llvmlite"
    if module.split(".")[0] != "tracejit":
        return None
    room, inner = room_of(module)
    if here[0] not in BELOW:
        return None
    if room != here[0] and room not in BELOW[here[0]]:
        below = ", ".join(sorted(BELOW[here[0]])) or "nothing of tracejit"
        return f"{here[0]} may import {below}, not {room or module}"
    allowed = XLA_LITE_BELOW.get(here[1])
    if room == here[0] == "xla_lite" and allowed is not None and inner not in allowed | {here[1]}:
        return f"xla_lite/{here[1]} may not import xla_lite/{inner}: pass it in, or move the shared part down"
    return None


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_imports_point_downwards() -> None:
    lines = [
        f"{path.relative_to(ROOT)}:{line}: move this import of {module}: {why}"
        for path in files()
        for line, module in imported_modules(path)
        if (why := violation(room_of(".".join(path.relative_to(ROOT).with_suffix("").parts)), module))
    ]
    assert not lines, "\n" + "\n".join(lines)


def test_every_room_stands_in_the_table() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in files()} - {"__init__", "__main__"}
    assert rooms <= BELOW.keys(), f"add to the layer table: {sorted(rooms - BELOW.keys())}"


@pytest.mark.parametrize(
    ("here", "module", "allowed"),
    [
        (("tracing", ""), "tracejit.xla_lite.compile", False),
        (("tracing", ""), "tracejit.autograph.load", True),
        (("autograph", ""), "tracejit.ir.graph", False),
        (("xla_lite", "passes"), "tracejit.xla_lite.cpu.emit", False),
        (("xla_lite", "cpu"), "tracejit.xla_lite.kernels.ir", True),
        (("xla_lite", "compile"), "tracejit.xla_lite.cpu.emit", True),
        (("xla_lite", "compile"), "llvmlite", False),
        (("xla_lite", "runtime"), "llvmlite.binding", True),
        (("ops", ""), "tracejit", False),
        (("nn", ""), "tracejit.api", True),
    ],
)
def test_the_table_allows_and_forbids(here: tuple[str, str], module: str, allowed: bool) -> None:
    assert (violation(here, module) is None) == allowed
