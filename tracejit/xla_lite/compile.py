"""Joins the parts: graph -> passes -> fused graph -> Kernel IR -> LLVM -> machine code, through the object cache.

Flows in:  a graph, and where the caller keeps its parameters and wants its outputs.
Flows out: `Executable`: entry points, sizes of outputs, sites of failure; every stage can be looked at.
"""
from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from tracejit.base.deep import with_deep_stack
from tracejit.base.dtypes import DType
from tracejit.base.errors import TracejitError
from tracejit.base.options import config
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph
from tracejit.xla_lite.host_calls import host_sites, without_missing_routines
from tracejit.xla_lite.imports import addresses, blas_bits
from tracejit.xla_lite.interface import (
    OPTIMISATION,
    ErrorSite,
    Interface,
    OutputPlace,
    OutputSizes,
    ParamPlace,
    SizeGuard,
    output_sizes,
)
from tracejit.xla_lite.runtime.blas import find_blas
from tracejit.xla_lite.runtime.engine import Library, engine
from tracejit.xla_lite.runtime.object_cache import CachedObject, object_cache
from tracejit.xla_lite.runtime.signature import Work
from tracejit.xla_lite.work import work_of

if TYPE_CHECKING:
    from tracejit.xla_lite.stages import Stages

# The folders of sources that decide what code is generated.
FOLDERS = ("", "passes", "kernels", "kernels/elementary", "kernels/linalg", "cpu", "../ops")


@dataclass(slots=True, eq=False)
class Executable:
    """Compiled code of one graph.

    sizes: how large outputs are, and which of them `main` allocates.  states: what failures leave, see `Interface`.
    error_sites: status k > 0 is site k - 1, its message's values in slots[0..7].  seconds: per stage.
    """

    graph: Graph
    interface: Interface
    precision: str
    main_address: int
    prepare_address: int
    library: Library
    sizes: OutputSizes
    error_sites: list[ErrorSite]
    states: list[tuple[int, ...]]
    work: Work
    num_kernels: int
    temporaries: str
    from_cache: bool
    seconds: dict[str, float]
    _stages: dict[str, Any] = field(default_factory=dict)
    host_sites: list[Any] = field(default_factory=list)

    @property
    def stages(self) -> Stages:
        """The stages in between, made again when they are asked for."""
        from tracejit.xla_lite.stages import Stages
        if "all" not in self._stages:
            self._stages["all"] = Stages(self.graph, self.interface, self.precision)
        found: Stages = self._stages["all"]
        return found

    @property
    def fused(self) -> Graph:
        return self.stages.fused

    @property
    def kernels_text(self) -> str:
        from tracejit.xla_lite.kernels.printer import print_program
        return print_program(self.stages.program)

    def llvm_text(self) -> str:
        return self.stages.emitted.text

    def assembly(self) -> str:
        return engine().assembly(self.stages.emitted.text, self.stages.level)


def compile_graph(graph: Graph, params: Sequence[ParamPlace], outputs: Sequence[OutputPlace], *,
                  dim_slots: Mapping[str, int], first_free_slot: int, size_guards: Sequence[SizeGuard] = (),
                  kept: Mapping[int, int] | None = None, name: str = "f", precision: str = "default") -> Executable:
    """The executable of `graph`. Raises InternalError, with a file that replays it, if the compiler fails."""
    graph = with_deep_stack(lambda: without_missing_routines(graph, find_blas()), name)
    interface = Interface(tuple(params), tuple(outputs), dict(dim_slots), first_free_slot, tuple(size_guards),
                          dict(kept or {}))
    try:
        return with_deep_stack(lambda: _compile(graph, interface, precision), name)
    except (TracejitError, KeyboardInterrupt, MemoryError):
        raise
    except Exception as e:
        from tracejit.xla_lite.reproducer import internal_error
        raise internal_error(graph, name, e) from e


def _compile(graph: Graph, interface: Interface, precision: str) -> Executable:
    objects, start = object_cache(), time.perf_counter()
    key = objects.key(_key_parts(graph, interface, precision))
    found, stages = objects.get(key), None
    seconds: dict[str, float] = {}
    if found is None:
        found, stages = _make(graph, interface, precision)
        objects.put(key, found.code, found.metadata)
        seconds = stages.seconds
    metadata, linking = found.metadata, time.perf_counter()
    library = engine().link(found.code, metadata["exports"], addresses(metadata["imports"]))
    seconds["link"] = time.perf_counter() - linking
    sizes = output_sizes(graph, interface)
    seconds["total"] = time.perf_counter() - start
    return Executable(
        graph, interface, precision, library["tj_main"], library.addresses.get("tj_prepare", 0), library,
        sizes, _read_sites(metadata["sites"]), [tuple(numbers) for numbers in metadata["states"]],
        work_of(graph, interface.dim_slots), metadata["kernels"], metadata["temporaries"], stages is None, seconds,
        {} if stages is None else {"all": stages}, host_sites(graph))


def _make(graph: Graph, interface: Interface, precision: str) -> tuple[CachedObject, Stages]:
    """Machine code that is not on disk. Only this way needs the compiler's modules."""
    from tracejit.xla_lite.stages import Stages
    stages = Stages(graph, interface, precision)
    return CachedObject(stages.code, stages.metadata()), stages


@cache
def compiler_stamp() -> str:
    """Names, sizes and times of the compiler's sources: what another version generated is no use."""
    here = os.path.dirname(__file__)
    files = [entry for folder in FOLDERS for entry in os.scandir(os.path.join(here, folder))]
    stats = [(f.name, f.stat()) for f in files if f.name.endswith(".py")]
    return repr(sorted((name, s.st_size, s.st_mtime_ns) for name, s in stats))


def _key_parts(graph: Graph, interface: Interface, precision: str) -> list[str]:
    """Everything that the machine code depends on. Spans of failing nodes count: messages name them."""
    spans = [str(n.span) for n in _all_nodes(graph) if n.op.has_effect]
    return [compiler_stamp(), str(graph), repr(interface), precision, repr(spans), repr(config.check),
            repr(config.vector_bits), repr(sorted(blas_bits().items())), repr(OPTIMISATION)]


def _all_nodes(graph: Graph) -> Iterator[Any]:
    for node in graph.nodes:
        yield node
        for _, region in node.regions():
            yield from _all_nodes(region)


def _read_sites(rows: Sequence[Sequence[Any]]) -> list[ErrorSite]:
    return [ErrorSite(e, m, tuple(map(DType.parse, p)), SourceSpan(*w) if w else None) for e, m, p, w in rows]

