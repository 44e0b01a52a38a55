"""The whole compiled function as Kernel IR: `main` walks the fused graph, kernels do the loops.

Flows in:  a fused graph, the plan of its buffers, where parameters and outputs are found.
Flows out: `Program`, and the sites at which it may fail. Scalars are computed in `main`, in registers; control flow is
           native; every array lives where the plan says.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.interface import ErrorSite
from tracejit.xla_lite.kernels.elements import Elements, store
from tracejit.xla_lite.kernels.expressions import plus, size_expr
from tracejit.xla_lite.kernels.frame import Request, storage, storage_shape
from tracejit.xla_lite.kernels.generate import generate
from tracejit.xla_lite.kernels.kernel_ir import (
    TRUE,
    ZERO,
    Buffer,
    BufferRef,
    Call,
    Const,
    Expr,
    Fail,
    If,
    Kernel,
    Load,
    Name,
    Space,
)
from tracejit.xla_lite.kernels.scalars import Complex, Scalar
from tracejit.xla_lite.kernels.scatter import place_of, update_place
from tracejit.xla_lite.kernels.writer import Writer
from tracejit.xla_lite.passes.in_place import first_version
from tracejit.xla_lite.passes.plan import Place, Plan
from tracejit.xla_lite.runtime.signature import Slot

PAYLOAD = 8      # words of a failure's message
ARENA = "arena"  # the buffer that temporaries are slices of
CONTIGUOUS = ("dot_general", "convolution", "triangular_solve", "lu_solve")    # want operands without strides


@dataclass(frozen=True, slots=True)
class Memory:
    """An array in a buffer. strides: in elements of the buffer, None for contiguous."""

    buffer: str
    strides: tuple[Expr, ...] | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """Where an output goes whose size only the run knows: its memory is made when the size is known.

    cell: the buffer that receives its address, or its value if it is a scalar.  dims: where its sizes are put.
    """

    cell: str
    dims: tuple[int | Slot, ...]


Target = Memory | Late | None


@dataclass(slots=True)
class Handler:
    """Of an attempt. target: its name in Kernel IR.  given: where a failure puts what the handler is given."""

    target: str
    given: list[Memory]
    used: bool = False


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
    strided: dict[str, str] = field(default_factory=dict)   # buffer of a parameter -> the same with its strides
    kept: dict[int, Memory | Late] = field(default_factory=dict)   # number of what failures leave -> where it goes
    states: list[tuple[int, ...]] = field(default_factory=list)    # the numbers that one failure leaves
    state_word: int = 0                                     # of the slots: which state was left
    handlers: dict[str, Handler] = field(default_factory=dict)  # of the attempts around, as failures name them
    lowered: dict[int, Graph] = field(default_factory=dict)    # by id: regions that were lowered somewhere
    elements: Elements = field(init=False)

    def __post_init__(self) -> None:
        self.elements = Elements(self.writer, {})

    def begin(self, region: Graph) -> None:
        """Nodes may share a region: what its values were before, elsewhere, is forgotten."""
        if id(region) not in self.lowered:
            self.lowered[id(region)] = region
            return
        values = {*region.params, *(v for node in region.nodes for v in node.results)}
        for value in values:
            self.elements.sources.pop(value, None)
        for block in self.writer.blocks:
            for key in [k for k in block.memo if isinstance(k, tuple) and not values.isdisjoint(k[:2])]:
                del block.memo[key]

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
        if of is not None and of != ARENA and space != "output":
            self.whole[name] = self.whole.get(of, of)
        return Memory(name)

    def share(self, x: Memory | Scalar, y: Memory) -> bool:
        """Whether both lie in the same memory."""
        return isinstance(x, Memory) and self.root(x.buffer) == self.root(y.buffer)

    def root(self, buffer: str) -> str:
        """The buffer that a view shows."""
        return self.whole.get(buffer, buffer)

    def read(self, value: Value) -> Scalar:
        """The only element of a value in memory, as it is now."""
        memory, at = self.memory[value], (ZERO,) * value.rank
        if value.dtype.is_complex:
            re, im = (self.writer.let_here(Load(memory.buffer, (*at, Const(p)), value.dtype.real)) for p in (0, 1))
            return Complex(re, im, value.dtype)
        return self.writer.let_here(Load(memory.buffer, at, value.dtype))

    def reader(self, value: Value) -> Callable[[tuple[Expr, ...]], Scalar]:
        """Reads elements of an array in memory, each where it is asked for."""
        buffer, dtype = self.addressable(value), value.dtype

        def read(index: tuple[Expr, ...]) -> Scalar:
            if not dtype.is_complex:
                return self.writer.let_here(Load(buffer, index, dtype))
            re, im = (self.writer.let_here(Load(buffer, (*index, Const(p)), dtype.real)) for p in (0, 1))
            return Complex(re, im, dtype)

        return read

    def addressable(self, value: Value) -> str:
        """A buffer whose indices find the value's elements: strides belong to buffers there."""
        memory = self.memory[value]
        if memory.strides is None:
            return memory.buffer
        if memory.buffer not in self.strided:
            name = self.strided[memory.buffer] = self.writer.fresh("x")
            strides = (*memory.strides, Const(1)) if value.dtype.is_complex else memory.strides
            self.writer.blocks[0].statements.append(Buffer(name, storage(value.dtype), storage_shape(value), "local",
                                                           strides, memory.buffer))
        return self.strided[memory.buffer]

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
                 targets: Sequence[Target]):
        self.shared, self.graph, self.plan = shared, graph, plan
        self.arena, self.base, self.targets = arena, base, list(targets)
        self.writer, self.elements = shared.writer, shared.elements

    def run(self) -> None:
        """All nodes, then outputs that are not yet where they belong."""
        k = 0
        while k < len(self.graph.nodes):
            k += self.nodes_from(k)
        self.copy_outputs()

    # ---- nodes ------------------------------------------------------------------------------------

    def nodes_from(self, k: int) -> int:
        """Lowers the node at position k, perhaps with its successors; how many."""
        for rule in SEVERAL:
            if count := rule(self, k):
                return count
        self.node(self.graph.nodes[k])
        return 1

    def node(self, node: Node) -> None:
        if node.op.name == "fusion":
            self.fusion(node, node.attributes["body"], node.attributes["kind"])
        elif node.op.kind in ("library", "contraction"):
            self.fusion(node, _single(node), node.op.name)
        elif node.op.name == "reshape" and self.plan.places[node.result].kind != "register":
            self.reshape(node)
        elif (lower := HANDLERS.get(node.op.name)) is not None:
            lower(self, node)
        elif node.op.kind == "scatter":
            self.write_element(node)
        elif node.op.kind != "source" or not node.result.rank:
            self.element(node)

    def fusion(self, node: Node, body: Graph, kind: str) -> None:
        shared = self.shared
        outputs = [self.allocate(v) for v in node.results]
        dense = {v for n in body.nodes if n.op.name in CONTIGUOUS for v in n.operands}
        operands = [self.operand(v, p in dense) for v, p in zip(node.operands, body.params, strict=True)]
        in_place = any(shared.share(x, o) for x in operands for o in outputs)
        for value, result, made in zip(body.outputs, node.results, outputs, strict=True):
            if kind in ("scatter", "sweep") and (first := first_version(value)).node is None:
                old = operands[body.params.index(first)]
                assert isinstance(old, Memory)
                self.carry_over(result, old, made)
        strided = frozenset(i for i, o in enumerate(operands) if isinstance(o, Memory) and o.strides is not None)
        strided_outputs = frozenset(i for i, o in enumerate(outputs) if o.strides is not None)
        shared.call(Request("", kind, body, strided, strided_outputs, in_place, shared.contract), operands, outputs)
        for value in node.results:
            if not value.rank:
                shared.scalar(value, shared.read(value))

    def operand(self, value: Value, dense: bool) -> Memory | Scalar:
        if not value.rank:
            return self.elements.at(value, ())
        return self.shared.contiguous(value) if dense else self.shared.memory[value]

    def allocate(self, value: Value) -> Memory:
        """Memory for a result, where the plan says."""
        made = self.shared.memory[value] = self.memory_at(self.plan.places[value], value)
        return made

    def memory_at(self, place: Place, value: Value) -> Memory:
        """Memory for `value` at a place."""
        shared = self.shared
        match place.kind:
            case "target":
                target = self.target(place.target)
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
        return made

    def target(self, k: int) -> Memory | None:
        """Where output k goes, allocated by now."""
        found = self.targets[k]
        if isinstance(found, Late):
            found = self.targets[k] = self.open_late(self.graph.outputs[k], found)
        return found

    def open_late(self, value: Value, late: Late) -> Memory:
        """Memory for an output, now that its size is known; a scalar lies in the cell."""
        if not value.rank:
            return self.shared.buffer(value, "late", "local", late.cell)
        for dim, size in zip(late.dims, value.shape, strict=True):
            if isinstance(dim, Slot):
                self.writer.store("slots", (Const(dim.index),), size_expr(size))
        return self.shared.buffer(value, "late", "output", late.cell)

    def reshape(self, node: Node) -> None:
        shared, (operand,) = self.shared, node.operands
        if not operand.rank:
            made = self.allocate(node.result)
            store(self.writer, made.buffer, (ZERO,) * node.result.rank, self.elements.at(operand, ()))
        else:
            memory = shared.contiguous(operand)
            shared.memory[node.result] = shared.buffer(node.result, "t", "local", memory.buffer)

    # ---- single elements ----------------------------------------------------------------------------

    def element(self, node: Node) -> None:
        """A scalar, or an array of one element that stays in a register."""
        self.open_arrays(node.operands)
        for value in node.results:
            self.shared.scalar(value, self.elements.at(value, (ZERO,) * value.rank))

    def open_arrays(self, values: Sequence[Value]) -> None:
        """Elements of arrays in memory are read here and now: later the memory may be another array's."""
        for value in values:
            if value.rank and value in self.shared.memory:
                self.elements.sources[value] = self.shared.reader(value)

    def write_element(self, node: Node) -> None:
        """One element changes; all others stay where they are, or are copied if the old array is still read."""
        shared, target = self.shared, node.operands[0]
        self.open_arrays(node.operands)
        where, inside = place_of(self.elements, node, (ZERO,) * node.operands[1].rank)
        old = shared.memory[target]
        made = self.allocate(node.result)
        self.carry_over(node.result, old, made)
        with self.writer.block() as block:
            update_place(self.elements, node, shared.addressable(node.result), where, (ZERO,) * node.operands[1].rank)
        for s in (If(inside, tuple(block.statements)),) if inside != TRUE else block.statements:
            self.writer.emit(s)

    def carry_over(self, value: Value, old: Memory, made: Memory) -> None:
        """What an update leaves alone, unless it is there already."""
        if self.shared.share(old, made):
            return
        if value not in self.plan.kept:
            self.shared.copy(value.type, old, made)
        for window in self.plan.kept.get(value, ()):
            body = Graph([value.type])
            limit = tuple(a + n for a, n in zip(window.start, window.shape, strict=True))
            part = body.add("slice", body.params[0], start=window.start, limit=limit, stride=(1,) * value.rank)
            starts = [body.add("constant", value=n, type=ArrayType(I64)) for n in window.start]
            body.outputs = (body.add("dynamic_update_slice", body.params[0], part, *starts),)
            self.shared.call(Request("", "scatter", body, _numbers(old.strides), _numbers(made.strides),
                                     contract=self.shared.contract), [old], [made])

    # ---- outputs ------------------------------------------------------------------------------------

    def copy_outputs(self) -> None:
        jobs = [(self.graph.outputs[k], self.target(k)) for k in self.plan.copies]
        written = {self.shared.root(t.buffer) for t in self.targets if isinstance(t, Memory)}
        self.deliver([(value, target) for value, target in jobs if target is not None], written)

    def deliver(self, wanted: Sequence[tuple[Value, Memory]], written: set[str]) -> None:
        """Values to where they belong. Copies that would overwrite what another copy reads go through memory of their
        own. written: the roots of all memory that changes."""
        shared = self.shared
        jobs: list[tuple[Value, Memory | Scalar, Memory]] = []
        for value, target in wanted:
            source = self.found(value)
            if isinstance(source, Memory) and shared.share(source, target):
                continue
            if isinstance(source, Memory) and shared.root(source.buffer) in written:
                kept = shared.buffer(value, "kept", "heap")
                shared.copy(value.type, source, kept)
                source = kept
            jobs.append((value, source, target))
        for value, source, target in jobs:
            if isinstance(source, Memory):
                shared.copy(value.type, source, target)
            else:
                store(self.writer, target.buffer, (), source)

    # ---- regions ------------------------------------------------------------------------------------

    def region(self, node: Node, name: str, graph: Graph, params: Sequence[Memory | Scalar],
               targets: Sequence[Target]) -> list[Memory | Scalar]:
        """Lowers a region here; returns where its outputs are."""
        plan, offset = self.plan.regions[node, name]
        self.shared.begin(graph)
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

    # ---- failures -----------------------------------------------------------------------------------

    def fail(self, node: Node) -> None:
        """Leaves for a handler, or the program with its site noted; what comes with the failure goes first."""
        attributes, values = node.attributes, node.operands[1:]
        if to := attributes.get("to"):
            handler = self.shared.handlers[to]
            handler.used = True
            self.deliver(list(zip(values, handler.given, strict=True)), set())
            self.writer.emit(Fail(0, (), handler.target))
            return
        kept = attributes.get("kept", ())
        count = len(values) - len(kept)
        payload = tuple(map(self.word, values[:min(count, PAYLOAD)]))
        dtypes = tuple(e.dtype for e in payload)
        self.leave_state(values[count:], kept)
        self.shared.sites.append(ErrorSite(attributes["exception"], attributes["message"], dtypes, node.span))
        self.writer.emit(Fail(len(self.shared.sites), payload))

    def word(self, value: Value) -> Expr:
        """A scalar as the message of a failure shows it."""
        scalar = self.elements.at(value, ())
        return scalar.re if isinstance(scalar, Complex) else scalar

    def leave_state(self, values: Sequence[Value], kept: Sequence[int]) -> None:
        """What places outside of the program hold after a failure."""
        if not kept:
            return
        places = [self.shared.kept[number] for number in kept]
        targets = [place if isinstance(place, Memory) else self.open_late(value, place)
                   for value, place in zip(values, places, strict=True)]
        self.deliver(list(zip(values, targets, strict=True)), {self.shared.root(t.buffer) for t in targets})
        states = self.shared.states
        if tuple(kept) not in states:
            states.append(tuple(kept))
        self.writer.store("slots", (Const(self.shared.state_word),), Const(states.index(tuple(kept)) + 1))


def _single(node: Node) -> Graph:
    """A graph of this node alone."""
    body = Graph([v.type for v in node.operands])
    body.outputs = body.emit(node.op, body.params, node.attributes, node.span)
    return body


SEVERAL: list[Callable[[RegionLowering, int], int]] = []    # rules for several nodes; written by `lowers_several`


def lowers_several(rule: Callable[[RegionLowering, int], int]) -> Callable[[RegionLowering, int], int]:
    """Declares a rule (region, position of a node) -> how many nodes from there on it has lowered, perhaps none."""
    SEVERAL.append(rule)
    return rule


Rule = Callable[[RegionLowering, Node], None]
HANDLERS: dict[str, Rule] = {}    # ops that `main` does itself; written at import by `handles`


def handles(op: str) -> Callable[[Rule], Rule]:
    """Declares how `main` does an op."""
    def declare(function: Rule) -> Rule:
        HANDLERS[op] = function
        return function
    return declare
