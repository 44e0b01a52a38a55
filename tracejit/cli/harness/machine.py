"""The machine's limits, measured: copy bandwidth above the caches, multiply-add rate in registers.

Flows in: a number of threads.  Flows out: `Machine` for report.py.
"""

import ctypes
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tracejit.xla_lite.cpu.target import host
from tracejit.xla_lite.runtime.engine import engine

COPY_BYTES = 1 << 28
CHAINS = 12             # independent: two units with latency four, and some to spare
STEPS = 10_000_000


@dataclass(frozen=True, slots=True)
class Machine:
    """What reports say about where they were made."""

    cpu: str
    threads: int
    copy_bandwidth: float    # bytes read plus bytes written, a second
    fma_peak_f32: float      # floating-point operations a second
    system: str

    def __str__(self) -> str:
        return (f"{self.cpu}, {self.threads} threads, copy {self.copy_bandwidth / 1e9:.1f} GB/s, "
                f"f32 multiply-add {self.fma_peak_f32 / 1e9:.0f} GFLOP/s, {self.system}")


def measure_machine(threads: int, quick: bool = False) -> Machine:
    """Measures for about a second; `quick` measures little and badly."""
    size = COPY_BYTES >> 6 if quick else COPY_BYTES
    return Machine(cpu_name(), threads, copy_bandwidth(threads, size), fma_peak(threads, STEPS >> (6 * quick)),
                   f"{platform.system()} {platform.release()}, Python {platform.python_version()}")


def cpu_name() -> str:
    """The processor's name, with its family and model where the name says little."""
    fields: dict[str, str] = {}
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf8") as lines:
            fields = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    name = fields.get("model name") or platform.processor() or platform.machine()
    return f"{name} (family {fields['cpu family']} model {fields['model']})" if "cpu family" in fields else name


def in_threads(threads: int, work: Callable[[int], object]) -> float:
    """Seconds of the fastest of five runs of `work(thread)` on all threads at once."""
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(6):
            start = time.perf_counter()
            list(pool.map(work, range(threads)))
            best = min(best, time.perf_counter() - start)
    return best


def copy_bandwidth(threads: int, size: int) -> float:
    """Bytes read plus written a second, by memmove of disjoint parts (it streams past the cache for large copies)."""
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads)))

    def copy(thread: int) -> None:
        ctypes.memmove(parts[thread][1].ctypes.data, parts[thread][0].ctypes.data, parts[thread][0].size)

    return 2 * size / in_threads(threads, copy)


def fma_peak(threads: int, steps: int) -> float:
    """f32 operations a second of independent multiply-add chains in registers."""
    lanes = host().vector_bits // 32
    library = engine().link(engine().compile_text(fma_text(lanes)), ["fma_chains"], {}).pin()
    chains = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float)(library["fma_chains"])
    return 2.0 * lanes * CHAINS * steps * threads / in_threads(threads, lambda thread: chains(steps, 0.5))


def fma_text(lanes: int) -> str:
    """LLVM IR: a loop of `CHAINS` accumulators, each a * a + x."""
    vector = f"<{lanes} x float>"
    zero = "zeroinitializer"
    phis = [f"  %a{i} = phi {vector} [ %start, %entry ], [ %b{i}, %loop ]" for i in range(CHAINS)]
    steps = [f"  %b{i} = call {vector} @llvm.fma.v{lanes}f32({vector} %a{i}, {vector} %start, {vector} %a{i})"
             for i in range(CHAINS)]
    sums = [f"  %s{i + 1} = fadd {vector} {f'%s{i}' if i else zero}, %b{i}" for i in range(CHAINS)]
    return "\n".join([
        f"declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})",
        "define float @fma_chains(i64 %steps, float %x) {", "entry:",
        f"  %one = insertelement {vector} {zero}, float %x, i32 0",
        f"  %start = shufflevector {vector} %one, {vector} {zero}, <{lanes} x i32> {zero}",
        "  br label %loop", "loop:", "  %n = phi i64 [ 0, %entry ], [ %m, %loop ]", *phis, *steps,
        "  %m = add i64 %n, 1", "  %more = icmp slt i64 %m, %steps",
        "  br i1 %more, label %loop, label %exit", "exit:", *sums,
        f"  %out = extractelement {vector} %s{CHAINS}, i32 0", "  ret float %out", "}"])
