"""The table on the terminal and the JSON file.

Flows in: rows of steady.py and cold.py, the machine.  Flows out: text, and everything measured as JSON.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tracejit.cli.harness.cold import ColdRow
from tracejit.cli.harness.machine import Machine
from tracejit.cli.harness.steady import Row
from tracejit.cli.harness.systems import SYSTEMS

OURS = "tracejit"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned, the first to the left."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]

    def text(line: list[str]) -> str:
        return "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))]).rstrip()

    return "\n".join([text(lines[0]), "  ".join("-" * w for w in widths), *map(text, lines[1:])])


def duration(seconds: float | None) -> str:
    """Three digits and a unit."""
    if seconds is None:
        return "-"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def columns_of(names: Iterable[str]) -> list[str]:
    """Systems in the order of the registry, tracejit first."""
    present = set(names)
    return [name for name in (OURS, *(s for s in SYSTEMS if s != OURS)) if name in present]


def ratio_of(row: Row) -> float | None:
    """tracejit's time / the time it is compared with."""
    ours = row.best_of(OURS)
    peers = [name for name in SYSTEMS if name != OURS] if row.workload.against == "best" else [row.workload.against]
    others = [m.best for name in peers if (m := row.best_of(name))]
    return ours.best / min(others) if ours and others else None


def verdict(ratio: float | None, at_most: float, strive: float) -> str:
    """The ratio with the bound it has to keep; `!` where it does not."""
    if ratio is None:
        return "-"
    bound = f"{'!' if ratio > at_most else ' '} {at_most:g}/{strive:g}" if at_most else ""
    return f"{ratio:.2f} {bound}".rstrip()


def steady_table(rows: Sequence[Row], machine: Machine) -> str:
    """Minimum time per system (better allocation mode), ratio to the best peer, share of the machine's limits."""
    systems = columns_of(mode.system for row in rows for mode in row.modes)
    lines = []
    for row in rows:
        best = {name: row.best_of(name) for name in systems}
        ours = best.get(OURS)
        lines.append([
            f"{row.workload.name} {row.case.label}",
            *(duration(m.best if m else None) for m in best.values()),
            verdict(ratio_of(row), row.case.at_most, row.case.strive),
            share(row.case.moved, machine.copy_bandwidth, ours.best if ours else None),
            share(row.case.flops, machine.fma_peak_f32, ours.best if ours else None),
        ])
    return table(["workload", *systems, "ratio  at most/strive", "of copy", "of FMA"], lines)


def share(amount: float, rate: float, seconds: float | None) -> str:
    """Which fraction of the limit `rate` is reached."""
    return f"{amount / rate / seconds:.0%}" if amount and rate and seconds else "-"


def cold_table(rows: Sequence[ColdRow]) -> str:
    """Median per system; ratio to the system it is compared with."""
    systems = columns_of(name for row in rows for name in [*row.results, *row.errors] if name != "numpy")
    lines = []
    for row in rows:
        ours, other = row.typical(OURS), compared(row)
        ratio = ours if row.against == "milliseconds" else ours / other if ours is not None and other else None
        cells = [(t := row.typical(name)) is not None and f"{t:.3g} {row.unit}" or "-" for name in systems]
        lines.append([row.name, *cells, verdict(ratio, row.at_most, row.strive)])
    return table(["in a fresh process", *systems, "ratio  at most/strive"], lines)


def compared(row: ColdRow) -> float | None:
    """What tracejit's number is divided by."""
    if row.against != "best":
        return row.typical(row.against)
    return min((t for name in row.results if name not in (OURS, "numpy") and (t := row.typical(name))), default=None)


def problems(rows: Iterable[Row], cold: Iterable[ColdRow]) -> str:
    """Every system that failed, with its message."""
    lines = [f"{row.workload.name} {row.case.label}: {mode}: {m.error}"
             for row in rows for mode, m in row.modes.items() if m.error]
    lines += [f"{row.name}: {system}: {error}" for row in cold for system, error in row.errors.items()]
    return "\n".join(lines)


def as_json(rows: Iterable[Row], cold: Iterable[ColdRow], machine: Machine, versions: dict[str, str],
            ) -> dict[str, Any]:
    """Everything measured."""
    steady = [{
        "workload": row.workload.name, "case": row.case.label, "at_most": row.case.at_most,
        "strive": row.case.strive, "ratio": ratio_of(row), "bytes": row.case.moved, "flops": row.case.flops,
        "systems": {str(mode): {"min": m.best if m.samples else None, "median": m.median if m.samples else None,
                                "samples": len(m.samples), "difference": m.difference, "error": m.error}
                    for mode, m in row.modes.items()},
    } for row in rows]
    once = [{"name": row.name, "at_most": row.at_most, "strive": row.strive, "against": row.against,
             "unit": row.unit, "results": row.results, "errors": row.errors} for row in cold]
    return {"machine": {name: getattr(machine, name) for name in machine.__slots__}, "versions": versions,
            "steady": steady, "once": once}
