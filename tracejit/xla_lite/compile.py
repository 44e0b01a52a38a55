"""Joins the parts: graph -> passes -> fused graph -> Kernel IR -> LLVM -> machine code, through the object cache.

Flows in:  a graph, and where the caller keeps its parameters and wants its outputs.
Flows out: `Executable`: entry points, sizes of outputs, sites of failure; every stage can be looked at.
"""
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tracejit.base.dtypes import DType
from tracejit.base.errors import TracejitError
from tracejit.base.options import config
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph
from tracejit.xla_lite.cpu.emitter import EmittedModule, emit_program
from tracejit.xla_lite.cpu.target import host
from tracejit.xla_lite.entry import Interface, OutputPlace, ParamPlace, SizeGuard, build_program, output_sizes
from tracejit.xla_lite.kernels.contraction import GEMM
from tracejit.xla_lite.kernels.kernel_ir import Buffer, Const, Program
from tracejit.xla_lite.kernels.printer import print_program
from tracejit.xla_lite.passes.pipeline import optimise
from tracejit.xla_lite.program import ARENA, ErrorSite
from tracejit.xla_lite.reproducer import internal_error
from tracejit.xla_lite.runtime.blas import find_blas
from tracejit.xla_lite.runtime.engine import Library, engine
from tracejit.xla_lite.runtime.host import symbols
from tracejit.xla_lite.runtime.object_cache import object_cache
from tracejit.xla_lite.runtime.signature import Slot, Work
from tracejit.xla_lite.work import work_of

VERSION = "1"      # part of every key: changes whenever generated code means something else
OPTIMISATION = 2


@dataclass(slots=True, eq=False)
class Executable:
    """Compiled code of one graph.

    output_dims: per output, sizes for allocation; final_dims: per output None, or sizes to read after `main` ran.
    error_sites: status k > 0 is site k - 1, its message's values in slots[0..7].  seconds: per stage.
    """

    graph: Graph
    interface: Interface
    precision: str
    main_address: int
    prepare_address: int
    library: Library
    num_slots: int
    output_dims: list[tuple[int | Slot, ...]]
    final_dims: list[tuple[int | Slot, ...] | None]
    error_sites: list[ErrorSite]
    work: Work
    num_kernels: int
    temporaries: str
    from_cache: bool
    seconds: dict[str, float]
    _stages: dict[str, Any] = field(default_factory=dict)

    @property
    def stages(self) -> Stages:
        """The stages in between, made again when they are asked for."""
        if "all" not in self._stages:
            self._stages["all"] = Stages(self.graph, self.interface, self.precision)
        found: Stages = self._stages["all"]
        return found

    @property
    def fused(self) -> Graph:
        return self.stages.fused

    @property
    def kernels_text(self) -> str:
        return print_program(self.stages.program)

    def llvm_text(self) -> str:
        return self.stages.emitted.text

    def assembly(self) -> str:
        return engine().assembly(self.stages.emitted.text, OPTIMISATION)


class Stages:
    """The way from a graph to LLVM text, each stage made when it is first asked for and timed."""

    def __init__(self, graph: Graph, interface: Interface, precision: str):
        self.graph, self.interface, self.precision = graph, interface, precision
        self.seconds: dict[str, float] = {}
        self.sites: list[ErrorSite] = []

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start

    @cached_property
    def fused(self) -> Graph:
        with self.timed("passes"):
            return optimise(self.graph)

    @cached_property
    def program(self) -> Program:
        fused = self.fused
        with self.timed("kernels"):
            sizes = output_sizes(self.graph, self.interface)
            program, self.sites = build_program(fused, self.interface, sizes, _blas_bits(), self.precision != "strict")
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
            return engine().compile_text(text, OPTIMISATION)


def compile_graph(graph: Graph, params: Sequence[ParamPlace], outputs: Sequence[OutputPlace], *,
                  dim_slots: Mapping[str, int], first_free_slot: int, size_guards: Sequence[SizeGuard] = (),
                  name: str = "f", precision: str = "default") -> Executable:
    """The executable of `graph`. Raises InternalError, with a file that replays it, if the compiler fails."""
    interface = Interface(tuple(params), tuple(outputs), dict(dim_slots), first_free_slot, tuple(size_guards))
    try:
        return _compile(graph, interface, precision)
    except (TracejitError, KeyboardInterrupt, MemoryError):
        raise
    except Exception as e:
        raise internal_error(graph, name, e) from e


def _compile(graph: Graph, interface: Interface, precision: str) -> Executable:
    cache, start = object_cache(), time.perf_counter()
    key = cache.key(_key_parts(graph, interface, precision))
    stages = Stages(graph, interface, precision)
    found = cache.get(key)
    if found is None:
        code, metadata = stages.code, _metadata(stages)
        cache.put(key, code, metadata)
    else:
        code, metadata = found.code, found.metadata
    with stages.timed("link"):
        library = engine().link(code, metadata["exports"], _addresses(metadata["imports"]))
    sizes = output_sizes(graph, interface)
    seconds = {**stages.seconds, "total": time.perf_counter() - start}
    return Executable(
        graph, interface, precision, library["tj_main"], library.addresses.get("tj_prepare", 0), library,
        sizes.num_slots, sizes.allocated, sizes.final, _read_sites(metadata["sites"]),
        work_of(graph, interface.dim_slots), metadata["kernels"], metadata["temporaries"], found is not None, seconds,
        {} if found is not None else {"all": stages})


def _key_parts(graph: Graph, interface: Interface, precision: str) -> list[str]:
    """Everything that the machine code depends on. Spans of failing nodes count: messages name them."""
    spans = [str(n.span) for n in _all_nodes(graph) if n.op.has_effect]
    return [VERSION, str(graph), repr(interface), precision, repr(spans), repr(config.check),
            repr(config.vector_bits), repr(sorted(_blas_bits().items())), repr(OPTIMISATION)]


def _all_nodes(graph: Graph) -> Iterator[Any]:
    for node in graph.nodes:
        yield node
        for _, region in node.regions():
            yield from _all_nodes(region)


def _blas_bits() -> dict[str, int]:
    """The products that generated code may call, and the width of their integers."""
    return {_symbol(d): f.integer_bits for (routine, d), f in find_blas().items() if routine == "gemm"}


def _symbol(dtype: str) -> str:
    """What generated code calls the product of a dtype."""
    return f"tj_{GEMM[DType.parse(dtype)]}"


def _addresses(names: Sequence[str]) -> dict[str, int]:
    """Addresses of the C symbols that code imports."""
    known: dict[str, int] = dict(symbols())
    known.update({_symbol(d): f.address for (r, d), f in find_blas().items() if r == "gemm"})
    return {n: known[n] for n in names if n in known}


def _metadata(stages: Stages) -> dict[str, Any]:
    return {"what": "function", "exports": list(stages.emitted.exports), "imports": list(stages.emitted.imports),
            "sites": [_write_site(s) for s in stages.sites], "kernels": len(stages.program.kernels),
            "temporaries": _temporaries(stages.program)}


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


def _read_sites(rows: Sequence[Sequence[Any]]) -> list[ErrorSite]:
    return [ErrorSite(e, m, tuple(map(DType.parse, p)), SourceSpan(*w) if w else None) for e, m, p, w in rows]

