"""From Kernel IR to LLVM text.

Flows in:  a `Program` and the target.
Flows out: `EmittedModule`: the text of one module with its entry points, and the C symbols it wants.
"""
from __future__ import annotations

from dataclasses import dataclass

from tracejit.xla_lite.cpu.check import add_check_functions
from tracejit.xla_lite.cpu.emitter_functions import Function, slot_scalar
from tracejit.xla_lite.cpu.target import Target
from tracejit.xla_lite.cpu.text import ModuleText
from tracejit.xla_lite.cpu.types import REGISTER
from tracejit.xla_lite.kernels.kernel_ir import Binding, BufferParam, Kernel, Param, Program, ScalarParam


@dataclass(frozen=True, slots=True)
class EmittedModule:
    """LLVM text; `imports`: C symbols to link with; `exports`: the entry points, each `i32 (i64* slots, ptr* outs)`.

    accesses: in check mode, (kernel, buffer) of each access that a violation can name.
    """

    text: str
    imports: tuple[str, ...]
    exports: tuple[str, ...]
    accesses: tuple[tuple[str, str], ...] = ()


def emit_program(program: Program, target: Target, *, checked: bool = False) -> EmittedModule:
    """The module of a program. checked: every index is compared with its buffer's shape."""
    bits = target.vector_bits
    module = ModuleText(target.vector_features,
                        f'"prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}"' if target.x86 else "")
    kernels = {k.name: k for k in program.kernels}
    accesses: list[tuple[str, str]] = []

    def function(kernel: Kernel) -> Function:
        f = Function(module, target, kernel, checked)
        f.kernels, f.accesses = kernels, accesses
        return f

    for kernel in program.kernels:
        _kernel(function(kernel))
    exports = ["tj_main"]
    _entry(function(program.main), "tj_main", program.bindings)
    if program.prepare is not None:
        exports.append("tj_prepare")
        _entry(function(program.prepare), "tj_prepare", program.prepare_bindings)
    if checked:
        add_check_functions(module)
    imports = tuple(name for name in module.declarations if not name.startswith("llvm."))
    return EmittedModule(module.text(), imports, tuple(exports), tuple(accesses))


def _kernel(f: Function) -> None:
    """An internal function: the slot array, then the kernel's parameters."""
    kernel = f.kernel
    f.polls = kernel.polls
    texts = {p.name: f.body.fresh() for p in kernel.params}
    f.open_parameters(kernel.params, texts)
    f.block(kernel.body)
    parameters = ", ".join(["ptr %slots", *(_parameter(p, texts[p.name]) for p in kernel.params)])
    f.finish(kernel.name, parameters, "internal", "noinline")


def _parameter(p: Param, text: str) -> str:
    if isinstance(p, ScalarParam):
        return f"{_argument_type(p)} {text}"
    return f"ptr{' noalias' if p.alone else ''}{'' if p.written else ' readonly'} {text}"


def _argument_type(p: ScalarParam) -> str:
    return REGISTER[p.dtype.name]


def _entry(f: Function, name: str, bindings: tuple[Binding, ...]) -> None:
    """The function that the caller sees: takes parameters out of slots and output pointers, then runs."""
    kernel = f.kernel
    f.polls = f.is_entry = True
    params = {p.name: p for p in kernel.params}
    f.open_parameters(kernel.params, {b.param: _bound(f, params[b.param], b) for b in bindings})
    f.block(kernel.body)
    f.finish(name, "ptr %slots, ptr %outs", "")


def _bound(f: Function, p: Param, b: Binding) -> str:
    """The value of one parameter."""
    if b.source == "slots":
        return f.slots
    array = f.slots if b.source == "slot" else "%outs"
    kind = "i64" if isinstance(p, ScalarParam) else "ptr"
    at = f.body.emit(f"getelementptr i64, ptr {array}, i64 {b.index}")
    word = f.body.emit(f"load {kind}, ptr {at}")
    return word if isinstance(p, BufferParam) else slot_scalar(f, word, p.dtype)
