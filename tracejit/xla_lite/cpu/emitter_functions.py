"""Functions: parameters, calls, parallel loops outlined into functions of their own, the way out.

Flows in:  kernels, with the parameters that they declare or, for an outlined loop, that they turn out to need.
Flows out: function definitions in the module.
"""
from __future__ import annotations

from dataclasses import dataclass

from tracejit.base.dtypes import BOOL, F64, I64, DType
from tracejit.xla_lite.cpu.emitter_addresses import Form, Lanes, Memory
from tracejit.xla_lite.cpu.emitter_control import written_roots
from tracejit.xla_lite.cpu.emitter_conversions import convert
from tracejit.xla_lite.cpu.emitter_frame import FUEL
from tracejit.xla_lite.cpu.emitter_reductions import Accumulator
from tracejit.xla_lite.cpu.emitter_streams import streamed_outputs
from tracejit.xla_lite.cpu.emitter_tiles import Tiles
from tracejit.xla_lite.cpu.places import Value
from tracejit.xla_lite.cpu.target import Target
from tracejit.xla_lite.cpu.text import ModuleText
from tracejit.xla_lite.cpu.types import REGISTER
from tracejit.xla_lite.kernels.kernel_ir import (
    RAISED,
    BufferParam,
    BufferRef,
    Call,
    Const,
    Expr,
    Kernel,
    Load,
    Loop,
    Name,
    Param,
    ScalarParam,
)

MOST_CHUNKS = 256    # a parallel loop is cut into at most so many pieces


@dataclass(slots=True)
class Capture:
    """A value of the function around that an outlined loop takes as a parameter. root: of a buffer's pointer."""

    outer: Value
    kind: str
    inner: str
    root: str = ""


def quoted(name: str) -> str:
    """A global's name as LLVM wants it."""
    return name if name.replace("_", "a").replace(".", "a").isalnum() else f'"{name}"'


class Function(Tiles):
    """One function under construction."""

    def __init__(self, module: ModuleText, target: Target, kernel: Kernel, checked: bool,
                 around: Function | None = None) -> None:
        super().__init__(module, target, kernel.contract)
        self.kernel, self.checked, self.around = kernel, checked, around
        self.kernels: dict[str, Kernel] = {}
        self.accesses: list[tuple[str, str]] = []
        self.is_entry = False
        self.lanes: Lanes | None = None
        self.buffers: dict[str, Memory] = {}
        self.strides: dict[str, tuple[Expr, ...] | None] = {}
        self.scopes: list[tuple[int, str, Memory | None]] = []
        self.constants: dict[str, int] = dict(around.constants) if around is not None else {}
        self.forms: dict[str, Form] = {}
        self.opaque: dict[object, Expr] = {}
        self.unit: dict[Expr, int] = dict(around.unit) if around is not None else {}
        self.accumulators: dict[object, Accumulator] = {}
        self.kept_accumulators: dict[object, Accumulator] = {}
        self.kept: dict[str, int] = {}
        self.loop_depth = self.stores = 0
        self.allocas: list[str] = []
        self.heaps: list[str] = []
        self.all_heaps: list[str] = []
        self.releases: dict[str, str] = {}
        self.handlers: dict[str, tuple[str, int]] = {}
        self.captures: dict[str, Capture] = {}
        self.streams: frozenset[str] = frozenset()
        self.fence = ""
        self.outputs = around.outputs if around is not None else streamed_outputs(kernel)
        self.polls = self.failed = self.in_lanes = False
        self.fuel = ""
        self.status = "%status"
        self.slots = "%slots"
        self.outlined = 0

    # Names and buffers in scope.

    def bind(self, name: str, value: Value) -> None:
        self.forms.pop(name, None)
        super().bind(name, value)

    def name(self, e: Name) -> Value:
        if e.name in self.constants:
            return Value(str(self.constants[e.name]))
        if (form := self.forms.get(e.name)) is not None:
            return self.sum_value(form)
        if self.lanes is not None and e.name == self.lanes.index:
            return self.lane_index()
        assert self.around is not None, f"unknown name {e.name} in {self.kernel.name}"
        value = self.capture(self.around.value(e), REGISTER[e.dtype.name])
        self.names[e.name] = value
        return value

    def capture(self, outer: Value, kind: str, root: str = "") -> Value:
        """A value of the function around, as a parameter of this one."""
        if outer.is_literal:
            return Value(outer.text)
        if outer.text not in self.captures:
            self.captures[outer.text] = Capture(outer, kind, self.body.fresh(), root)
        return Value(self.captures[outer.text].inner)

    def declare(self, memory: Memory) -> None:
        self.scopes.append((self.depth, memory.name, self.buffers.get(memory.name)))
        self.buffers[memory.name] = memory
        self.strides[memory.name] = None

    def buffer(self, name: str) -> Memory:
        memory = self.buffers.get(name)
        if memory is None:
            assert self.around is not None, f"unknown buffer {name} in {self.kernel.name}"
            memory = self._captured_buffer(self.around.buffer(name))
            self.buffers[name] = memory
            self.strides[name] = self.around.stride_expressions(name)
        if self.unit and (strides := self.strides.get(name)) is not None:
            return self._with_unit_strides(memory, strides)
        return memory

    def _with_unit_strides(self, memory: Memory, strides: tuple[Expr, ...]) -> Memory:
        known: list[int | Value] = [1 if self.unit.get(e) == 1 else s for e, s in zip(strides, memory.strides)]
        return Memory(memory.name, memory.dtype, memory.pointer, memory.shape, tuple(known), memory.root, memory.lanes,
                      memory.register, memory.dense)

    def _captured_buffer(self, outer: Memory) -> Memory:
        """A register is captured by its value, memory by its address."""
        assert self.around is not None
        if outer.register:
            value = self.capture(self.around.value(Load(outer.name, (), outer.dtype)), REGISTER[outer.dtype.name])
            pointer = self.body.fresh()
            kind = REGISTER[outer.dtype.name]
            self.allocas += [f"  {pointer} = alloca {kind}", f"  store {kind} {value.text}, ptr {pointer}"]
            return Memory(outer.name, outer.dtype, Value(pointer), (), (), outer.name, 1, True)
        pointer_value = self.capture(outer.pointer, "ptr", outer.root)
        strides = tuple(s if isinstance(s, int) else self.capture(s, "i64") for s in outer.strides)
        return Memory(outer.name, outer.dtype, pointer_value, outer.shape, strides, outer.root, dense=outer.dense)

    def stride_expressions(self, name: str) -> tuple[Expr, ...] | None:
        if name not in self.buffers and self.around is not None and self.around.knows(name):
            self.buffer(name)
        return self.strides.get(name)

    def knows(self, name: str) -> bool:
        """Whether a buffer is in scope."""
        return name in self.buffers or self.around is not None and self.around.knows(name)

    # Parameters.

    def open_parameters(self, params: tuple[Param, ...], texts: dict[str, str]) -> None:
        """Declares parameters. texts: the SSA name of each."""
        for p in params:
            if isinstance(p, ScalarParam):
                self.names[p.name] = Value(texts[p.name])
        for p in params:
            if isinstance(p, BufferParam):
                strides = self.strides_of(p.shape, p.strides)
                root = p.name if p.alone else ""
                self.buffers[p.name] = Memory(p.name, p.dtype, Value(texts[p.name]), p.shape, strides, root,
                                               dense=p.strides is None)
                self.strides[p.name] = p.strides

    def finish(self, name: str, parameters: str, linkage: str, attributes: str = "") -> None:
        """Closes the function: allocations first, then the body, then the way out."""
        body = self.body
        self.emit_fence()
        body.line("br label %done" if self.failed else f"ret i32 {self._verdict('0')}")
        if self.failed:
            self._way_out()
        body.lines[:0] = self.allocas
        self.module.define(quoted(name), "i32", parameters, body, linkage, attributes)

    def _way_out(self) -> None:
        body = self.body
        self.allocas.append(f"  {self.status} = alloca i32")
        body.label("done")
        body.line(f"ret i32 {self._verdict('0')}")
        body.label("leave")
        for slot in reversed(self.all_heaps):
            self.release(slot)
        body.line(f"ret i32 {self._verdict(body.emit(f'load i32, ptr {self.status}'))}")

    def _verdict(self, status: str) -> str:
        """In check mode an entry returns CHECK_FAILED if something was reported."""
        if not (self.checked and self.is_entry):
            return status
        return self.body.emit(f"call i32 @tj.verdict(ptr {self.slots}, i32 {status})")

    # Calls.

    def call(self, s: Call) -> None:
        inside = s.function in self.kernels
        arguments = [self._buffer_argument(a) if isinstance(a, BufferRef) else self._scalar_argument(a, inside)
                     for a in s.args]
        if inside:
            arguments.insert(0, f"ptr {self.slots_value()}")
            status = self.body.emit(f"call i32 @{quoted(s.function)}({', '.join(arguments)})")
            self.leave_if(self.body.emit(f"icmp ne i32 {status}, 0"), status)
            return
        kinds = ", ".join(a.split(" ", 1)[0] for a in arguments)
        result = "void" if s.result is None else REGISTER[s.result.dtype.name]
        if s.result is not None and s.result.dtype is BOOL:
            result = "i8"
        self.module.declare(quoted(s.function), result, kinds)
        text = f"call {result} @{quoted(s.function)}({', '.join(arguments)})"
        if s.result is None:
            self.body.line(text)
            return
        value = self.body.emit(text)
        if s.result.dtype is BOOL:
            value = self.body.emit(f"icmp ne i8 {value}, 0")
        self.bind(s.result.name, Value(value, 1, self.depth))

    def slots_value(self) -> str:
        """The slot array; an outlined loop gets it as any other value."""
        if self.around is None:
            return self.slots
        return self.capture(Value(self.around.slots_value()), "ptr").text

    def _buffer_argument(self, a: BufferRef) -> str:
        memory = self.buffer(a.buffer)
        if memory.register or not a.index:
            return f"ptr {memory.pointer.text}"
        return f"ptr {self.locate_unchecked(memory, a.index).pointer.text}"

    def _scalar_argument(self, e: Expr, inside: bool) -> str:
        """A bool is an i1 among kernels and a byte in C."""
        value = self.value(e)
        if e.dtype is BOOL and not inside:
            return f"i8 {self.to_memory(BOOL, value).text}"
        return f"{REGISTER[e.dtype.name]} {value.text}"

    def payload_word(self, k: int, value: Value, e: Expr) -> None:
        """Floats as f64 bits, everything else as i64, into slot k."""
        text = convert(self.body, value.text, e.dtype, F64 if e.dtype.is_float else I64, 1)
        kind = "double" if e.dtype.is_float else "i64"
        at = self.body.emit(f"getelementptr i64, ptr {self.slots_value()}, i64 {k}")
        self.body.line(f"store {kind} {text}, ptr {at}")

    def check(self, memory: Memory, index: tuple[Expr, ...]) -> Value | None:
        inside: Value | None = None
        for axis, (e, extent) in enumerate(zip(index, memory.shape)):
            at, size = self.sum_value(self.form(e)), self.sum_value(self.form(extent))
            fits = self.binary("icmp ult", I64, at, size)
            self._report(memory, axis, at, size, fits)
            inside = self.both(inside, fits)
        return inside

    def _report(self, memory: Memory, axis: int, at: Value, size: Value, fits: Value) -> None:
        """Calls `tj.report` if a live lane does not fit; of several lanes the first one's index."""
        access = len(self.accesses)
        self.accesses.append((self.kernel.name, memory.name))
        wrong = self.binary("xor", BOOL, fits, Value("true"))
        index = at.text
        if wrong.lanes > 1:
            assert self.lanes is not None
            live = self.both(self.lanes.mask, wrong)
            some = self.body.any_lane(live.text, live.lanes)
            bits = self.body.emit(f"bitcast <{live.lanes} x i1> {live.text} to i{live.lanes}")
            self.module.declare(f"llvm.cttz.i{live.lanes}", f"i{live.lanes}", f"i{live.lanes}, i1")
            lane = self.body.emit(f"call i{live.lanes} @llvm.cttz.i{live.lanes}(i{live.lanes} {bits}, i1 false)")
        else:
            some, lane = wrong.text, ""
        out, on = self.body.fresh_label("outside"), self.body.fresh_label("on")
        self.body.branch_if(some, out, on)
        self.body.label(out)
        if lane:
            index = self.body.emit(f"extractelement <{at.lanes} x i64> {at.text}, i{live.lanes} {lane}")
        self.body.line(f"call void @tj.report(i64 {access}, i64 {axis}, i64 {index}, i64 {size.text})")
        self.body.branch(on)
        self.body.label(on)

    # Parallel loops.

    def parallel_loop(self, s: Loop) -> None:
        """The body becomes a function of (captures, begin, end); serial calls run it at once over everything."""
        if self.around is not None or self.lanes is not None:
            self._serial(s)
            return
        self.outlined += 1
        name = f"{self.kernel.name}.p{self.outlined}"
        inner = self._outline(s, name)
        extent, captures = self.extent(s.extent), list(inner.captures.values())
        arguments = ", ".join(f"{c.kind} {c.outer.text}" for c in captures)
        whole = f"call i32 @{quoted(name)}({arguments}{', ' if captures else ''}i64 0, i64 {extent.text})"
        if s.work is None or (isinstance(s.work, Const) and s.work.value < self.target.parallel_work):
            self._check_status(self.body.emit(whole))
            return
        self._wrapper(name, captures)
        self._either_way(s.work, extent, name, captures, whole)

    def _check_status(self, status: str) -> None:
        self.leave_if(self.body.emit(f"icmp ne i32 {status}, 0"), status)

    def _outline(self, s: Loop, name: str) -> Function:
        """The function that runs iterations begin .. end."""
        inner = Function(self.module, self.target, self.kernel, self.checked, self)
        inner.kernels, inner.uses, inner.accesses = self.kernels, self.uses, self.accesses
        inner.polls = self.kernel.polls
        begin, end = inner.body.fresh(), inner.body.fresh()

        def body(index: str) -> None:
            inner.bind(s.index, Value(index, 1, inner.depth))
            inner.block(s.body)
            if inner.polls:
                inner.poll(str(FUEL + 1))

        some = inner.body.emit(f"icmp slt i64 {begin}, {end}")
        inner.guarded(some, "guard", lambda: inner.counted(
            Value(end), 1, body, written_roots(inner, s.body), begin))
        roots = [c.root for c in inner.captures.values()]
        kinds = [f"{c.kind} {'noalias ' if c.root and roots.count(c.root) == 1 else ''}{c.inner}"
                 for c in inner.captures.values()]
        inner.finish(name, ", ".join([*kinds, f"i64 {begin}", f"i64 {end}"]), "internal", "noinline")
        return inner

    def _wrapper(self, name: str, captures: list[Capture]) -> None:
        """fn(context, chunk): takes the captures out of the context and finds the chunk's part of the iterations."""
        lines = ["  %n = load i64, ptr %ctx", "  %cp = getelementptr i64, ptr %ctx, i64 1",
                 "  %chunks = load i64, ptr %cp"]
        arguments = []
        for k, c in enumerate(captures):
            lines += [f"  %a{k} = getelementptr i64, ptr %ctx, i64 {k + 3}", f"  %c{k} = load {c.kind}, ptr %a{k}"]
            arguments.append(f"{c.kind} %c{k}")
        lines += ["  %next = add i64 %chunk, 1", "  %low = mul i64 %chunk, %n", "  %begin = udiv i64 %low, %chunks",
                  "  %high = mul i64 %next, %n", "  %end = udiv i64 %high, %chunks",
                  f"  %status = call i32 @{quoted(name)}({', '.join([*arguments, 'i64 %begin', 'i64 %end'])})",
                  "  %bad = icmp ne i32 %status, 0", "  br i1 %bad, label %report, label %done", "report:",
                  "  %wide = sext i32 %status to i64", "  %sp = getelementptr i64, ptr %ctx, i64 2",
                  "  store atomic i64 %wide, ptr %sp monotonic, align 8", "  br label %done", "done:", "  ret void"]
        self.module.functions[f"{name}.chunk"] = "\n".join(
            [f"define internal void @{quoted(name + '.chunk')}(ptr %ctx, i64 %chunk) #0 {{", "entry:", *lines, "}"])

    def _either_way(self, work: Expr, extent: Value, name: str, captures: list[Capture], whole: str) -> None:
        """Serial if the work is small, else chunks for the threads."""
        amount = self.extent(work)
        large = self.body.emit(f"icmp sge i64 {amount.text}, {self.target.parallel_work}")
        several = self.body.emit(f"icmp sgt i64 {extent.text}, 1")
        many = self.body.emit(f"and i1 {large}, {several}")
        result = self.body.fresh()
        self.allocas.append(f"  {result} = alloca i32")
        threads, serial, after = (self.body.fresh_label(hint) for hint in ("threads", "serial", "end"))
        self._choose(amount, many, threads, serial)
        self.body.label(serial)
        self.body.line(f"store i32 {self.body.emit(whole)}, ptr {result}")
        self.body.branch(after)
        self.body.label(threads)
        self.body.line(f"store i32 {self._threads(amount, extent, name, captures)}, ptr {result}")
        self.body.branch(after)
        self.body.label(after)
        self._check_status(self.body.emit(f"load i32, ptr {result}"))

    def _choose(self, amount: Value, many: str, threads: str, serial: str) -> None:
        """Much work goes to the threads, less only if they are spinning for it."""
        body = self.body
        enough, ask = body.fresh_label("enough"), body.fresh_label("ask")
        body.branch_if(many, enough, serial)
        body.label(enough)
        body.branch_if(body.emit(f"icmp sge i64 {amount.text}, {self.target.wake_work}"), threads, ask)
        body.label(ask)
        self.module.declare("tj_workers_ready", "i32", "")
        body.branch_if(body.emit(f"icmp ne i32 {body.emit('call i32 @tj_workers_ready()')}, 0"), threads, serial)

    def _threads(self, amount: Value, extent: Value, name: str, captures: list[Capture]) -> str:
        """Fills the context, runs the chunks; the status that one of them reported."""
        body = self.body
        context = body.fresh()
        self.allocas.append(f"  {context} = alloca [{len(captures) + 3} x i64], align 16")
        for intrinsic in ("smin", "smax"):
            self.module.declare(f"llvm.{intrinsic}.i64", "i64", "i64, i64")
        wanted = body.emit(f"sdiv i64 {amount.text}, {self.target.chunk_work}")
        wanted = body.emit(f"call i64 @llvm.smin.i64(i64 {wanted}, i64 {MOST_CHUNKS})")
        wanted = body.emit(f"call i64 @llvm.smax.i64(i64 {wanted}, i64 2)")
        chunks = body.emit(f"call i64 @llvm.smin.i64(i64 {wanted}, i64 {extent.text})")
        words = [("i64", extent.text), ("i64", chunks), ("i64", "0"), *((c.kind, c.outer.text) for c in captures)]
        for k, (kind, text) in enumerate(words):
            at = body.emit(f"getelementptr i64, ptr {context}, i64 {k}") if k else context
            body.line(f"store {kind} {text}, ptr {at}")
        self.module.declare("tj_parallel_for", "i32", "ptr, ptr, i64")
        ran = body.emit(f"call i32 @tj_parallel_for(ptr @{quoted(name + '.chunk')}, ptr {context}, i64 {chunks})")
        at = body.emit(f"getelementptr i64, ptr {context}, i64 2")
        status = body.emit(f"trunc i64 {body.emit(f'load i64, ptr {at}')} to i32")
        if not self.kernel.polls:
            return status
        return body.emit(f"select i1 {body.emit(f'icmp slt i32 {ran}, 0')}, i32 {RAISED}, i32 {status}")


def slot_scalar(f: Function, word: str, dtype: DType) -> str:
    """A slot's word as a scalar: floats are f64 bits, everything else an i64."""
    if dtype.is_float:
        return convert(f.body, f.body.emit(f"bitcast i64 {word} to double"), F64, dtype, 1)
    return convert(f.body, word, I64, dtype, 1)
