"""Stores past the caches: which outputs are worth it.

Flows in:  a kernel, a vector loop in it.
Flows out: the names of output buffers that are written once, in order, and never read.

Above the size of the last-level cache a plain store first reads the line that it overwrites, and throws out lines that
somebody may want; measured: 1.3 times the speed of plain stores from there on, 0.7 times below.
"""
from __future__ import annotations

from collections.abc import Iterator

from tracejit.xla_lite.cpu.lanes import expressions_of
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    BufferParam,
    BufferRef,
    Call,
    Kernel,
    Load,
    Loop,
    Store,
    statements,
    walk,
)

LINE = 64


def streamed_outputs(kernel: Kernel) -> frozenset[str]:
    """Outputs of a kernel that it only stores to, at one place each."""
    stores = [s.buffer for s in statements(kernel.body) if isinstance(s, Store)]
    outputs = {p.name for p in kernel.params if isinstance(p, BufferParam) and p.written and p.alone and not p.strides}
    return frozenset(name for name in outputs - set(_read(kernel)) if stores.count(name) == 1)


def _read(kernel: Kernel) -> Iterator[str]:
    for s in statements(kernel.body):
        yield from (x.buffer for e in expressions_of(s) for x in walk(e) if isinstance(x, Load))
        if isinstance(s, Accumulate):
            yield from s.buffers
        elif isinstance(s, Call):
            yield from (a.buffer for a in s.args if isinstance(a, BufferRef))


def streamed_stores(loop: Loop, outputs: frozenset[str]) -> list[Store]:
    """The stores to such outputs that every lane of a vector loop does."""
    return [s for s in loop.body if isinstance(s, Store) and s.buffer in outputs and s.index]
