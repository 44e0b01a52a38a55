"""LLVM text to machine code: compile to an object, link it into the process, print assembly for any target.

Flows in:  LLVM text which names everything of this process as external symbols; addresses for those at link time.
Flows out: object bytes (valid in every process of this machine), `Library` with the addresses of its exports.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tracejit.base.errors import InternalError
from tracejit.xla_lite.runtime.locks import hold_while_forking, runtime_lock

# What each level does before code generation, and the level of code generation itself.  Below 4 LLVM's vectorisers
# never run: kernels come with explicit vectors.  Level 3 inlines `alwaysinline` functions as well.  Level 4 is LLVM's
# own pipeline with everything for loops of scalars: three times the compile time, up to twice the speed.  Level 5 is
# for functions of ten thousands of instructions: the time of what it leaves out grows with the square of their length.
PASSES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("instruction_combine", "simplify_cfg"),
    2: ("sroa", "instruction_combine", "simplify_cfg", "dead_store_elimination"),
    3: ("always_inliner", "sroa", "instruction_combine", "simplify_cfg", "new_gvn", "jump_threading",
        "instruction_combine", "simplify_cfg"),
    5: ("sroa", "simplify_cfg", "dead_store_elimination"),
}  # fmt: skip
EVERYTHING = 4

# LLVM makes branches of conditional moves on the critical path of a loop, as in a chain of minima, which go wrong where
# data decides: selections stay selections. The last major version known to have the option.
CMOV_OPTION = 22
CODEGEN_LEVEL = {0: 0, 1: 1, 2: 2, 3: 2, EVERYTHING: 2, 5: 2}


@dataclass(frozen=True, slots=True)
class Target:
    """What code is generated for: LLVM's triple, CPU name and feature list."""

    triple: str
    cpu: str
    features: str


class Library:
    """Linked code. The addresses are valid while this object lives, so whoever holds one holds the library too."""

    __slots__ = ("_tracker", "addresses", "name")

    def __init__(self, name: str, tracker: Any, exports: Iterable[str]) -> None:
        self.name = name
        self._tracker = tracker
        self.addresses: dict[str, int] = {export: tracker[export] for export in exports}

    def __getitem__(self, name: str) -> int:
        return self.addresses[name]

    def pin(self) -> Library:
        """Never unload: for code that other threads or late destructors may still run."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._tracker))
        return self


class Engine:
    """LLVM in this process. One per process (`engine()`), thread-safe, never disposed.

    Worker threads and destructors that run while the interpreter ends may still execute its code.
    """

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        self._llvm = llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        if llvm.get_process_triple().startswith("x86_64") and llvm.llvm_version_info[0] <= CMOV_OPTION:
            llvm.set_option("tracejit", "-x86-cmov-converter=false")
        self._foreign_targets_ready = False
        self.host = Target(
            llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        )
        hold_while_forking(llvm.ffi.lib._lock.__enter__, llvm.ffi.lib._lock.__exit__)
        self._machines: dict[tuple[Target, int], Any] = {}
        self._linked = 0
        # Position-independent code reaches imported symbols through a table, so they may lie anywhere.
        self._jit = llvm.create_lljit_compiler(self._machine(self.host, 2))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._jit))

    @property
    def versions(self) -> tuple[str, str]:
        """llvmlite's version and LLVM's."""
        import llvmlite

        return llvmlite.__version__, ".".join(map(str, self._llvm.llvm_version_info))

    def target(self, triple: str = "", cpu: str = "", features: str = "") -> Target:
        """The host, or the foreign target `triple` (`aarch64-linux-gnu`)."""
        if not triple:
            return Target(self.host.triple, cpu or self.host.cpu, features or ("" if cpu else self.host.features))
        return Target(triple, cpu, features)

    def compile_text(self, text: str, level: int = 2, target: Target | None = None) -> bytes:
        """Object code. level 0: fast code generation, no passes; 1 to 3 and 5: `PASSES`; 4: all of LLVM's."""
        target = target or self.host
        with runtime_lock:
            module = self._prepare(text, level, target)
            return bytes(self._machine(target, level).emit_object(module))

    def assembly(self, text: str, level: int = 2, target: Target | None = None) -> str:
        """The machine code of `compile_text` as assembly."""
        target = target or self.host
        with runtime_lock:
            module = self._prepare(text, level, target)
            return str(self._machine(target, level).emit_assembly(module))

    def optimized(self, text: str, level: int = 2, target: Target | None = None) -> str:
        """The LLVM text after the passes of `level`."""
        with runtime_lock:
            return str(self._prepare(text, level, target or self.host))

    def link(self, code: bytes, exports: Iterable[str], imports: Mapping[str, int]) -> Library:
        """Loads an object. Names that are not in `imports` are looked up in the process (libc, libm)."""
        exports = list(exports)
        with runtime_lock:
            builder = self._llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
            for name in exports:
                builder.export_symbol(name)
            for name, address in imports.items():
                builder.import_symbol(name, address)
            self._linked += 1
            name = f"tracejit-{self._linked}"
            try:
                return Library(name, builder.link(self._jit, name), exports)
            except RuntimeError as error:
                raise InternalError(f"linking failed: {error}") from None

    def _prepare(self, text: str, level: int, target: Target) -> Any:
        """The parsed module after its passes."""
        machine = self._machine(target, level)
        try:
            module = self._llvm.parse_assembly(text, self._llvm.create_context())
            module.triple = target.triple
            module.data_layout = str(machine.target_data)
            module.verify()
        except RuntimeError as error:
            raise InternalError(f"LLVM refuses the generated text: {error}") from None
        if level == EVERYTHING:
            tuning = self._llvm.create_pipeline_tuning_options(speed_level=2)
            builder = self._llvm.create_pass_builder(machine, tuning)
            builder.getModulePassManager().run(module, builder)
        elif PASSES[level]:
            self._run_passes(module, machine, level)
        return module

    def _run_passes(self, module: Any, machine: Any, level: int) -> None:
        tuning = self._llvm.create_pipeline_tuning_options(speed_level=2)
        builder = self._llvm.create_pass_builder(machine, tuning)
        manager = self._llvm.create_new_module_pass_manager()
        for name in PASSES[level]:
            getattr(manager, f"add_{name}_pass")()
        manager.run(module, builder)

    def _machine(self, target: Target, level: int) -> Any:
        """One machine per target and level; they are not thread-safe, so callers hold the lock."""
        key = (target, CODEGEN_LEVEL[level])
        if key not in self._machines:
            if target.triple != self.host.triple and not self._foreign_targets_ready:
                self._llvm.initialize_all_targets()
                self._llvm.initialize_all_asmprinters()
                self._foreign_targets_ready = True
            self._machines[key] = self._llvm.Target.from_triple(target.triple).create_target_machine(
                cpu=target.cpu, features=target.features, opt=key[1], reloc="pic", codemodel="small"
            )
        return self._machines[key]


_engine: Engine | None = None  # written by engine() at the first compile or link


def engine() -> Engine:
    """The engine of this process, made at the first call."""
    global _engine
    if _engine is None:
        with runtime_lock:
            if _engine is None:
                _engine = Engine()
    return _engine
