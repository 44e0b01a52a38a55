"""The entry points of a program: how parameters, sizes and outputs are found in slots and output pointers.

Flows in:  a fused graph and its `Interface`.
Flows out: `Program` with `main` and, where sizes must be computed or checked before outputs exist, `prepare`.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tracejit.base.dims import Dim
from tracejit.base.dtypes import BOOL, I64, U8
from tracejit.ir.graph import Graph, Value
from tracejit.xla_lite import effects, loops, stacks, together
from tracejit.xla_lite.interface import (
    LEAST_SIZE,
    ErrorSite,
    Interface,
    OutputSizes,
    ParamPlace,
    SizeGuard,
)
from tracejit.xla_lite.kernels.expressions import maximum, quotient, size_expr
from tracejit.xla_lite.kernels.frame import storage, storage_shape
from tracejit.xla_lite.kernels.kernel_ir import (
    Apply,
    Binding,
    Buffer,
    BufferParam,
    Const,
    Fail,
    If,
    Kernel,
    Name,
    Param,
    Program,
    ScalarParam,
    Statement,
    Store,
)
from tracejit.xla_lite.kernels.simplify import simplify
from tracejit.xla_lite.kernels.versions import checked_at_ends
from tracejit.xla_lite.passes.buffers import plan_buffers
from tracejit.xla_lite.passes.plan import ALIGNMENT, Target
from tracejit.xla_lite.program import ARENA, Late, Lowering, Memory, RegionLowering

HANDLED_BY = effects, loops, stacks, together    # importing them fills the table of ops that `main` does itself


def build_program(graph: Graph, interface: Interface, sizes: OutputSizes, blas: Mapping[str, int],
                  contract: bool) -> tuple[Program, list[ErrorSite], list[tuple[int, ...]]]:
    """Kernel IR of a fused graph, its sites of failure, and the states that they leave: numbers of what is kept.

    sizes: found from the graph before it was fused.
    """
    main = _Main(graph, interface, sizes, Lowering(blas, contract))
    kernel = main.build()
    prepare, bindings = _prepare(interface, sizes)
    kernels = tuple([checked_at_ends(simplify(k)) for k in main.shared.kernels.values()])
    program = Program(kernels, simplify(kernel), tuple(main.bindings), prepare, bindings)
    return program, main.shared.sites, main.shared.states


class _Main:
    """Parameters of `main`, then its body."""

    def __init__(self, graph: Graph, interface: Interface, sizes: OutputSizes, shared: Lowering):
        self.graph, self.interface, self.sizes, self.shared = graph, interface, sizes, shared
        self.writer = shared.writer
        self.params: list[Param] = []
        self.bindings: list[Binding] = []

    def build(self) -> Kernel:
        self.add(BufferParam("slots", I64, (Const(self.sizes.num_slots),), None, True, False), "slots")
        for name, slot in self.interface.dim_slots.items():
            self.add(ScalarParam(name, I64), "slot", slot)
        for i, (value, place) in enumerate(zip(self.graph.params, self.interface.params, strict=True)):
            self.parameter(i, value, place)
        targets = [self.output(k, v) for k, v in enumerate(self.graph.outputs)]
        for number, k in self.interface.kept.items():
            self.shared.kept[number] = targets[k]
        if self.sizes.state:
            self.shared.state_word = self.sizes.state
            self.writer.store("slots", (Const(self.sizes.state),), Const(0))
        plan = plan_buffers(self.graph, [self.target(k) for k in range(len(targets))])
        if plan.uses_arena():
            self.writer.emit(Buffer(ARENA, U8, (maximum(size_expr(plan.total), Const(ALIGNMENT)),), "heap"))
        wanted = [None if p.kind == "left" else t for t, p in zip(targets, self.interface.outputs, strict=True)]
        RegionLowering(self.shared, self.graph, plan, ARENA, Const(0), wanted).run()
        return Kernel("main", tuple(self.params), self.writer.finish(), self.shared.contract)

    def add(self, param: Param, source: Literal["slot", "out", "slots"], index: int = 0) -> None:
        self.params.append(param)
        self.bindings.append(Binding(param.name, source, index))

    def parameter(self, i: int, value: Value, place: ParamPlace) -> None:
        if place.kind == "scalar":
            view = self.shared.buffer(value, "x", "local", "slots", Const(8 * place.slot))
            self.shared.memory[value] = view
            self.shared.scalar(value, self.shared.read(value))
            return
        strides = self.strides(i, value, place)
        self.add(BufferParam(f"a.{i}", storage(value.dtype), storage_shape(value), None, place.written, False),
                 "slot", place.slot)
        self.shared.memory[value] = Memory(f"a.{i}", strides)
        if not value.rank:
            self.shared.scalar(value, self.shared.read(value))

    def strides(self, i: int, value: Value, place: ParamPlace) -> tuple[Name | Apply | Const, ...] | None:
        """Strides in elements of the buffer, from the words that hold them in bytes."""
        if place.strides_slot is None or not value.rank:
            return None
        names = [f"a.{i}.b{axis}" for axis in range(value.rank)]
        for axis, name in enumerate(names):
            self.add(ScalarParam(name, I64), "slot", place.strides_slot + axis)
        size = Const(storage(value.dtype).bytes)
        return tuple(self.writer.let(quotient(Name(name), size)) for name in names)  # type: ignore[misc]

    def output(self, k: int, value: Value) -> Memory | Late:
        place = self.interface.outputs[k]
        if place.kind == "write_back":
            return self.shared.memory[self.graph.params[place.param]]
        name = f"out.{k}"
        if place.kind == "left" or self.sizes.late[k]:
            self.add(BufferParam(name, I64, (Const(2),), None, True, True), "out", place.out)
            return Late(name, self.sizes.dims[k])
        self.add(BufferParam(name, storage(value.dtype), storage_shape(value), None, True, True), "out", place.out)
        return Memory(name)

    def target(self, k: int) -> Target:
        place = self.interface.outputs[k]
        if place.kind != "write_back":
            return Target(place.kind != "left")
        contiguous = self.shared.memory[self.graph.params[place.param]].strides is None
        kept = next((number for number, output in self.interface.kept.items() if output == k), -1)
        return Target(contiguous, place.param, self.interface.params[place.param].donated, kept)


def _prepare(interface: Interface, sizes: OutputSizes) -> tuple[Kernel | None, tuple[Binding, ...]]:
    """Checks the guards of sizes, then computes sizes of outputs."""
    if not interface.dim_slots:
        return None, ()
    params: list[Param] = [BufferParam("slots", I64, (Const(sizes.num_slots),), None, True, False)]
    params += [ScalarParam(name, I64) for name in interface.dim_slots]
    bindings = [Binding("slots", "slots"), *(Binding(n, "slot", s) for n, s in interface.dim_slots.items())]
    body: list[Statement] = []
    guards = [SizeGuard(Dim.symbol(n), "GE", LEAST_SIZE) for n in interface.dim_slots] + list(interface.size_guards)
    for guard in guards:
        holds = Apply(guard.relation.lower(), (size_expr(guard.left), size_expr(guard.right)), BOOL)
        body.append(If(Apply("not", (holds,), BOOL), (Fail(1),)))
    body += [Store("slots", (Const(word),), size_expr(size)) for word, size in sizes.computed.items()]
    return Kernel("prepare", tuple(params), tuple(body)), tuple(bindings)
