"""The way from a graph to machine code, stage by stage: passes, Kernel IR, LLVM text, object code.

Flows in:  a graph and its `Interface`.
Flows out: `Stages`, each made when it is first asked for and timed. Imported when code is not on disk, or looked at.
"""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from tracejit.base.options import config
from tracejit.ir.graph import Graph
from tracejit.xla_lite.cpu.emitter import EmittedModule, emit_program
from tracejit.xla_lite.cpu.target import host
from tracejit.xla_lite.entry import build_program
from tracejit.xla_lite.imports import blas_bits
from tracejit.xla_lite.interface import (
    LARGE,
    LONG_MAIN,
    MOST_TEXT,
    OPTIMISATION,
    SCALAR_LOOPS,
    ErrorSite,
    Interface,
    output_sizes,
)
from tracejit.xla_lite.kernels.kernel_ir import Buffer, Call, Const, Loop, Program, Statement, While, statements
from tracejit.xla_lite.passes.pipeline import optimise
from tracejit.xla_lite.program import ARENA
from tracejit.xla_lite.runtime.engine import engine


class Stages:
    """The way from a graph to LLVM text, each stage made when it is first asked for and timed."""

    def __init__(self, graph: Graph, interface: Interface, precision: str):
        self.graph, self.interface, self.precision = graph, interface, precision
        self.seconds: dict[str, float] = {}
        self.sites: list[ErrorSite] = []
        self.states: list[tuple[int, ...]] = []

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start

    @cached_property
    def fused(self) -> Graph:
        with self.timed("passes"):
            return optimise(self.graph, in_order=self.precision == "strict")

    @cached_property
    def program(self) -> Program:
        fused = self.fused
        with self.timed("kernels"):
            sizes = output_sizes(self.graph, self.interface)
            program, self.sites, self.states = build_program(fused, self.interface, sizes, blas_bits(),
                                                             self.precision != "strict")
        return program

    @cached_property
    def emitted(self) -> EmittedModule:
        program = self.program
        with self.timed("llvm text"):
            return emit_program(program, host(), checked=config.check)

    @cached_property
    def code(self) -> bytes:
        text = self.emitted.text
        with self.timed("machine code"):
            return engine().compile_text(text, self.level)

    @property
    def level(self) -> int:
        """The engine's level: loops of scalars get all that LLVM knows about loops."""
        main = list(statements(self.program.main.body))
        if len(main) > LONG_MAIN:
            return LARGE
        short = len(self.emitted.text) <= MOST_TEXT
        return SCALAR_LOOPS if short and any(map(_is_scalar_loop, main)) else OPTIMISATION

    def metadata(self) -> dict[str, Any]:
        """What a later process needs beside the machine code."""
        return {"what": "function", "exports": list(self.emitted.exports), "imports": list(self.emitted.imports),
                "sites": [_write_site(s) for s in self.sites], "states": self.states,
                "kernels": len(self.program.kernels), "temporaries": _temporaries(self.program)}


def _is_scalar_loop(s: Statement) -> bool:
    """Whether a statement is an innermost loop that calls no kernel."""
    if not isinstance(s, (Loop, While)):
        return False
    body = s.body if isinstance(s, Loop) else (*s.before, *s.body)
    return not any(isinstance(x, (Loop, While, Call)) for x in statements(body))


def _temporaries(program: Program) -> str:
    """The size of the arena in bytes, as text: a number or a formula of sizes."""
    sizes = [s.shape[0] for s in program.main.body if isinstance(s, Buffer) and s.name == ARENA]
    if not sizes:
        return "0"
    return str(sizes[0].value) if isinstance(sizes[0], Const) else "depends on sizes"


def _write_site(site: ErrorSite) -> list[Any]:
    span = site.span
    where = [span.file, span.line, span.column, span.end_line, span.end_column, span.function] if span else None
    return [site.exception, site.message, [d.name for d in site.payload], where]
