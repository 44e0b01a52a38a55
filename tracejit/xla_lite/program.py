"""The whole compiled function as Kernel IR: `main` walks the fused graph, kernels do the loops.

Flows in:  a fused graph, the plan of its buffers, where parameters and outputs are found.
Flows out: `Program`, and the sites at which it may fail. Scalars are computed in `main`, in registers; control flow is
           native; every array lives where the plan says.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tracejit.base.dtypes import BOOL, DType
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.interface import ErrorSite
from tracejit.xla_lite.kernels.elements import Elements, store
from tracejit.xla_lite.kernels.expressions import Index, as_expr, plus, size_expr
from tracejit.xla_lite.kernels.frame import Request, storage, storage_shape
from tracejit.xla_lite.kernels.generate import generate
from tracejit.xla_lite.kernels.kernel_ir import (
    ZERO,
    Apply,
    Buffer,
    BufferRef,
    Call,
    Const,
    Expr,
    Fail,
    If,
    Kernel,
    Let,
    Load,
    Name,
    Space,
    While,
)
from tracejit.xla_lite.kernels.scalars import Complex, Scalar
from tracejit.xla_lite.kernels.writer import Writer
from tracejit.xla_lite.passes.buffers import Place, Plan

PAYLOAD = 8      # words of a failure's message
ARENA = "arena"  # the buffer that temporaries are slices of


@dataclass(frozen=True, slots=True)
class Memory:
    """An array in a buffer. strides: in elements of the buffer, None for contiguous."""

    buffer: str
    strides: tuple[Expr, ...] | None = None


@dataclass(slots=True)
class Lowering:
    """What the regions of one program share."""

    blas: Mapping[str, int]
    contract: bool
    writer: Writer = field(default_factory=Writer)
    kernels: dict[Any, Kernel] = field(default_factory=dict)
    sites: list[ErrorSite] = field(default_factory=list)
    memory: dict[Value, Memory] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)     # view -> the buffer whose memory it is
    elements: Elements = field(init=False)

    def __post_init__(self) -> None:
        self.elements = Elements(self.writer, {})

    def scalar(self, value: Value, scalar: Scalar) -> None:
        """From here on `value` is this scalar."""
        self.elements.sources[value] = lambda index: scalar

    def kernel(self, request: Request) -> Kernel:
        """The kernel of a request; equal requests share one."""
        key = (request.kind, str(request.body), request.strided, request.strided_outputs, request.in_place)
        if key not in self.kernels:
            name = f"kernel_{len(self.kernels)}_{request.kind}"
            self.kernels[key] = generate(replace(request, name=name), self.blas)
        return self.kernels[key]

    # ---- memory -----------------------------------------------------------------------------------

    def buffer(self, value: Value, prefix: str, space: Space, of: str | None = None,
               offset: Expr = ZERO) -> Memory:
        """A buffer for `value`: memory of its own, or a view of another buffer."""
        name = self.writer.fresh(prefix)
        self.writer.emit(Buffer(name, storage(value.dtype), storage_shape(value), space, None, of, offset))
        self.writer.ready[name] = len(self.writer.blocks) - 1
        if of is not None and of != ARENA:
            self.whole[name] = self.whole.get(of, of)
        return Memory(name)

    def share(self, x: Memory | Scalar, y: Memory) -> bool:
        """Whether both lie in the same memory."""
        return isinstance(x, Memory) and self.whole.get(x.buffer, x.buffer) == self.whole.get(y.buffer, y.buffer)

    def read(self, value: Value) -> Scalar:
        """The only element of a value in memory, as it is now."""
        memory, at = self.memory[value], (ZERO,) * value.rank
        if value.dtype.is_complex:
            re, im = (self.writer.let_here(Load(memory.buffer, (*at, Const(p)), value.dtype.real)) for p in (0, 1))
            return Complex(re, im, value.dtype)
        return self.writer.let_here(Load(memory.buffer, at, value.dtype))

    def contiguous(self, value: Value) -> Memory:
        """The value's memory, copied first if it has strides of its own. Open blocks remember their copies."""
        memory, key = self.memory[value], ("contiguous", value)
        if memory.strides is None:
            return memory
        for block in self.writer.blocks:
            if isinstance(found := block.memo.get(key), Memory):
                return found
        made = self.buffer(value, "copy", "heap")
        self.copy(value.type, memory, made)
        self.writer.blocks[-1].memo[key] = made
        return made

    def copy(self, type: ArrayType, source: Memory, target: Memory) -> None:
        """Copies an array of `type` by a kernel."""
        body = Graph([type])
        body.outputs = body.params
        request = Request("", "elementwise", body, _numbers(source.strides), _numbers(target.strides),
                          contract=self.contract)
        self.call(request, [source], [target])

    def call(self, request: Request, operands: Sequence[Memory | Scalar], outputs: Sequence[Memory]) -> None:
        """Calls the kernel of a request."""
        kernel = self.kernel(request)
        args: list[Expr | BufferRef] = []
        for operand in operands:
            if isinstance(operand, Memory):
                args += [BufferRef(operand.buffer), *(operand.strides or ())]
            elif isinstance(operand, Complex):
                args += [operand.re, operand.im]
            else:
                args.append(operand)
        for output in outputs:
            args += [BufferRef(output.buffer), *(output.strides or ())]
        args += [Name(p.name) for p in kernel.params[len(args):]]
        self.writer.emit(Call(kernel.name, tuple(args)))


def _numbers(strides: tuple[Expr, ...] | None) -> frozenset[int]:
    return frozenset({0}) if strides is not None else frozenset()


class RegionLowering:
    """Lowers one graph: `main` itself, or a region of control flow."""

    def __init__(self, shared: Lowering, graph: Graph, plan: Plan, arena: str | None, base: Expr,
                 targets: Sequence[Memory | None]):
        self.shared, self.graph, self.plan = shared, graph, plan
        self.arena, self.base, self.targets = arena, base, targets
        self.writer, self.elements = shared.writer, shared.elements

    def run(self) -> None:
        """All nodes, then outputs that are not yet where they belong."""
        for node in self.graph.nodes:
            self.node(node)
        self.copy_outputs()

    # ---- nodes ------------------------------------------------------------------------------------

    def node(self, node: Node) -> None:
        if node.op.name == "fusion":
            self.fusion(node, node.attributes["body"], node.attributes["kind"])
        elif node.op.kind in ("library", "contraction"):
            self.fusion(node, _single(node), node.op.name)
        elif node.op.name == "reshape":
            self.reshape(node)
        elif (lower := HANDLERS.get(node.op.name)) is not None:
            lower(self, node)
        else:
            for value in node.results:
                self.shared.scalar(value, self.elements.at(value, ()))

    def fusion(self, node: Node, body: Graph, kind: str) -> None:
        shared = self.shared
        outputs = [self.allocate(v) for v in node.results]
        operands = [self.operand(v, kind) for v in node.operands]
        in_place = any(shared.share(x, o) for x in operands for o in outputs)
        if kind == "scatter" and (root := body.outputs[0].node) is not None and root.operands[0].node is None:
            old = operands[body.params.index(root.operands[0])]
            if isinstance(old, Memory) and not shared.share(old, outputs[0]):
                shared.copy(node.results[0].type, old, outputs[0])
        strided = frozenset(i for i, o in enumerate(operands) if isinstance(o, Memory) and o.strides is not None)
        strided_outputs = frozenset(i for i, o in enumerate(outputs) if o.strides is not None)
        shared.call(Request("", kind, body, strided, strided_outputs, in_place, shared.contract), operands, outputs)
        for value in node.results:
            if not value.rank:
                shared.scalar(value, shared.read(value))

    def operand(self, value: Value, kind: str) -> Memory | Scalar:
        if not value.rank:
            return self.elements.at(value, ())
        return self.shared.contiguous(value) if kind == "dot_general" else self.shared.memory[value]

    def allocate(self, value: Value) -> Memory:
        """Memory for a result, where the plan says."""
        place: Place = self.plan.places[value]
        shared = self.shared
        match place.kind:
            case "target":
                target = self.targets[place.target]
                assert target is not None
                made = target if target.strides is not None else shared.buffer(value, "o", "local", target.buffer)
            case "arena":
                assert self.arena is not None
                offset = plus(self.base, size_expr(place.offset))
                made = shared.buffer(value, "t", "local", self.arena, offset)
            case "takeover":
                assert place.of is not None
                made = shared.buffer(value, "t", "local", shared.memory[place.of].buffer)
            case "heap":
                made = shared.buffer(value, "h", "heap")
            case _:
                made = shared.buffer(value, "r", "local")
        shared.memory[value] = made
        return made

    def reshape(self, node: Node) -> None:
        shared, (operand,) = self.shared, node.operands
        if not node.result.rank:
            shared.scalar(node.result, shared.read(operand) if operand.rank else self.elements.at(operand, ()))
        elif not operand.rank:
            made = self.allocate(node.result)
            store(self.writer, made.buffer, (ZERO,) * node.result.rank, self.elements.at(operand, ()))
        else:
            memory = shared.contiguous(operand)
            shared.memory[node.result] = shared.buffer(node.result, "t", "local", memory.buffer)

    # ---- outputs ------------------------------------------------------------------------------------

    def copy_outputs(self) -> None:
        """Copies that would overwrite what another copy reads go through memory of their own."""
        shared = self.shared
        written = {t.buffer for t in self.targets if t is not None}
        jobs: list[tuple[Value, Memory | Scalar, Memory]] = []
        for k in self.plan.copies:
            value, target = self.graph.outputs[k], self.targets[k]
            if target is None:
                continue
            source = shared.memory[value] if value.rank else self.elements.at(value, ())
            if isinstance(source, Memory) and source.buffer == target.buffer:
                continue
            if isinstance(source, Memory) and self.origin(value) in written:
                kept = shared.buffer(value, "kept", "heap")
                shared.copy(value.type, source, kept)
                source = kept
            jobs.append((value, source, target))
        for value, source, target in jobs:
            if isinstance(source, Memory):
                shared.copy(value.type, source, target)
            else:
                store(self.writer, target.buffer, (), source)

    def origin(self, value: Value) -> str:
        """The buffer that holds a value, through reshapes."""
        place = self.plan.places[value]
        while place.kind in ("alias", "takeover") and place.of is not None:
            value, place = place.of, self.plan.places[place.of]
        return self.shared.memory[value].buffer

    # ---- regions ------------------------------------------------------------------------------------

    def region(self, node: Node, name: str, graph: Graph, params: Sequence[Memory | Scalar],
               targets: Sequence[Memory | None]) -> list[Memory | Scalar]:
        """Lowers a region here; returns where its outputs are."""
        plan, offset = self.plan.regions[node, name]
        for value, found in zip(graph.params, params, strict=True):
            if isinstance(found, Memory):
                self.shared.memory[value] = found
            else:
                self.shared.scalar(value, found)
        inner = RegionLowering(self.shared, graph, plan, self.arena, plus(self.base, size_expr(offset)), targets)
        inner.run()
        return [self.elements.at(v, ()) if not v.rank else self.shared.memory[v] for v in graph.outputs]

    def found(self, value: Value) -> Memory | Scalar:
        return self.shared.memory[value] if value.rank else self.elements.at(value, ())

    def fail(self, node: Node, exception: str, message: str, values: Sequence[Value]) -> Fail:
        """The statement that leaves the program, its site noted."""
        payload: list[Expr] = []
        dtypes: list[DType] = []
        for value in values[:PAYLOAD]:
            scalar = self.elements.at(value, ())
            real = scalar.re if isinstance(scalar, Complex) else scalar
            payload.append(real)
            dtypes.append(real.dtype)
        self.shared.sites.append(ErrorSite(exception, message, tuple(dtypes), node.span))
        return Fail(len(self.shared.sites), tuple(payload))


def _single(node: Node) -> Graph:
    """A graph of this node alone."""
    body = Graph([v.type for v in node.operands])
    body.outputs = body.emit(node.op, body.params, node.attributes, node.span)
    return body


# ---- effects and control flow ----------------------------------------------------------------------------------


def lower_assert(region: RegionLowering, node: Node) -> None:
    holds = region.elements.at(node.operands[0], ())
    assert not isinstance(holds, Complex)
    fail = region.fail(node, node.attributes["exception"], node.attributes["message"], node.operands[1:])
    region.writer.emit(If(region.writer.let(Apply("not", (holds,), BOOL)), (fail,)))


def lower_bind_dim(region: RegionLowering, node: Node) -> None:
    scalar = region.elements.at(node.operands[0], ())
    assert not isinstance(scalar, Complex)
    name = node.attributes["dim"]
    region.writer.emit(Let(name, scalar))
    region.writer.depth[name] = len(region.writer.blocks) - 1
    region.shared.scalar(node.result, scalar)


class Carries:
    """The state of a loop: registers for scalars, memory for arrays."""

    def __init__(self, region: RegionLowering, node: Node, initial: Sequence[Value]):
        self.region, self.shared, self.writer = region, region.shared, region.writer
        self.values = node.results
        self.state = [self.open(result, value) for result, value in zip(node.results, initial, strict=True)]

    def open(self, result: Value, value: Value) -> Memory:
        if not result.rank:
            made = self.shared.buffer(result, "s", "local")
            store(self.writer, made.buffer, (), self.shared.elements.at(value, ()))
            return made
        made = self.region.allocate(result)
        self.shared.copy(value.type, self.shared.memory[value], made)
        return made

    def current(self) -> list[Memory | Scalar]:
        """What a region gets: arrays where they are, scalars as they are now."""
        return [m if v.rank else self.read(v, m) for v, m in zip(self.values, self.state, strict=True)]

    def read(self, value: Value, memory: Memory) -> Scalar:
        self.shared.memory[value] = memory
        return self.shared.read(value)

    def targets(self) -> list[Memory | None]:
        return list(self.state)

    def finish(self) -> None:
        for value, memory in zip(self.values, self.state, strict=True):
            if value.rank:
                self.shared.memory[value] = memory
            else:
                self.shared.scalar(value, self.read(value, memory))


def lower_while(region: RegionLowering, node: Node) -> None:
    cond, body, count = node.attributes["cond"], node.attributes["body"], node.attributes["carries"]
    carries = Carries(region, node, node.operands[:count])
    invariants = [region.found(v) for v in node.operands[count:]]
    with region.writer.block() as before:
        (go,) = region.region(node, "cond", cond, [*carries.current(), *invariants], [None])
    with region.writer.block() as inside:
        region.region(node, "body", body, [*carries.current(), *invariants], carries.targets())
    assert not isinstance(go, (Memory, Complex))
    region.writer.emit(While(tuple(before.statements), go, tuple(inside.statements)))
    carries.finish()


def lower_for(region: RegionLowering, node: Node) -> None:
    """range(lower, upper, step): the number of trips first, then a serial loop."""
    body, count = node.attributes["body"], node.attributes["carries"]
    bounds = [region.elements.at(v, ()) for v in node.operands[:3]]
    carries = Carries(region, node, node.operands[3:3 + count])
    invariants = [region.found(v) for v in node.operands[3 + count:]]
    trips, lower, step = _trips(region, bounds), as_expr(bounds[0]), as_expr(bounds[2])
    with region.writer.loop(trips, "serial", "n") as n:
        i = region.writer.let((Index(lower) + Index(n) * Index(step)).expr)
        region.region(node, "body", body, [i, *carries.current(), *invariants], carries.targets())
    carries.finish()


def _trips(region: RegionLowering, bounds: Sequence[Any]) -> Expr:
    """max(0, ceil((upper - lower) / step)); a step of 0 makes none."""
    b = region.elements.scalars
    lower, upper, step = bounds
    up = b.compare("GT", step, Const(0))
    distance = b.select(up, b.subtract(upper, lower), b.subtract(lower, upper))
    size = b.select(up, step, b.negate(step))
    trips = b.call("floor_divide", b.add(distance, b.subtract(size, Const(1))), size)
    runs = b.and_(b.compare("GT", distance, Const(0)), b.compare("NE", step, Const(0)))
    chosen: Expr = b.select(runs, trips, Const(0))
    return chosen


def lower_case(region: RegionLowering, node: Node) -> None:
    """Nested tests; each branch writes the results to one place."""
    branches: tuple[Graph, ...] = node.attributes["branches"]
    index = region.elements.at(node.operands[0], ())
    assert not isinstance(index, Complex)
    operands = [region.found(v) for v in node.operands[1:]]
    made = [region.shared.buffer(v, "s", "local") if not v.rank else region.allocate(v) for v in node.results]
    blocks = []
    for k, branch in enumerate(branches):
        with region.writer.block() as block:
            region.region(node, f"branches{k}", branch, operands, list(made))
        blocks.append(tuple(block.statements))
    statement = blocks[-1]
    for k in range(len(blocks) - 2, -1, -1):
        if index.dtype is BOOL:
            test: Expr = region.writer.let(Apply("not", (index,), BOOL))
        else:
            test = region.writer.let(Apply("eq", (index, Const(k, index.dtype)), BOOL))
        statement = (If(test, blocks[k], statement),)
    for s in statement:
        region.writer.emit(s)
    for value, memory in zip(node.results, made, strict=True):
        region.shared.memory[value] = memory
        if not value.rank:
            region.shared.scalar(value, region.shared.read(value))


HANDLERS: dict[str, Callable[[RegionLowering, Node], None]] = {    # fixed table: ops that `main` treats itself
    "assert": lower_assert, "bind_dim": lower_bind_dim, "while": lower_while, "for": lower_for, "case": lower_case}
