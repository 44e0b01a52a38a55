"""Vector loops: how many lanes, the loop over whole vectors, the masked rest, and accumulators of the lanes.

Flows in:  loops of kind vector.
Flows out: text; reductions combine lanes in one fixed order, so results depend on the extents alone.
"""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from tracejit.base.dtypes import I64
from tracejit.xla_lite.cpu.emitter_addresses import Lanes, Memory
from tracejit.xla_lite.cpu.emitter_control import Control, written_roots
from tracejit.xla_lite.cpu.lanes import LanePlan, expressions_of, plan_lanes
from tracejit.xla_lite.cpu.places import PlaceKind, Value
from tracejit.xla_lite.cpu.streams import LINE, streamed_stores
from tracejit.xla_lite.cpu.types import MEMORY, REGISTER, lane_numbers, shuffle, vector
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Buffer,
    Const,
    Expr,
    If,
    Let,
    Load,
    Loop,
    Name,
    Statement,
    Store,
    While,
    statements,
    walk,
)


@dataclass(slots=True)
class Accumulator:
    """The lanes' share of an element that all lanes add to. registers: one for each component, `lanes` wide."""

    statement: Accumulate
    cells: list[tuple[Memory, Value]]
    registers: list[str]
    lanes: int


class VectorLoops(Control):
    """One program over lanes."""

    accumulators: dict[object, Accumulator]
    loop_depth: int
    kept: dict[str, int]    # registers whose lanes stay apart until a serial loop at this depth ends
    kept_accumulators: dict[object, Accumulator]
    unit: dict[Expr, int]

    def vector_loop(self, s: Loop) -> None:
        """Strided buffers whose stride turns out to be 1 get a loop of their own."""
        strides = [e for e in self._lane_strides(s) if e not in self.unit]
        if not strides:
            self._vector_loop(s)
            return
        tests = [self.binary("icmp eq", e.dtype, self.value(e), Value("1")) for e in strides]
        condition = tests[0]
        for test in tests[1:]:
            condition = self.both(condition, test)
        yes, no, after = (self.body.fresh_label(hint) for hint in ("dense", "strided", "end"))
        arms = [self._version(label, s, strides, stride, after) for label, stride in ((yes, 1), (no, 0))]
        self.body.branch_if(condition.text, yes, no)
        for label, lines in zip((yes, no), arms):
            self.body.label(label)
            self.body.lines += lines
        self.body.label(after)

    def _version(self, label: str, s: Loop, strides: list[Expr], stride: int, after: str) -> list[str]:
        """The loop with the strides known to be 1, or not known (0)."""
        self.push("arm", label)
        before = self.unit
        self.unit = before | dict.fromkeys(strides, stride)
        self._vector_loop(s)
        self.unit = before
        self.body.branch(after)
        return self.pop().lines

    def _lane_strides(self, s: Loop) -> list[Expr]:
        """The run-time strides that the loop's index is multiplied with."""
        found: dict[Expr, None] = {}
        names = {s.index}
        for inner in statements(s.body):
            if isinstance(inner, Let) and any(isinstance(x, Name) and x.name in names for x in walk(inner.value)):
                names.add(inner.name)
        for name, index in _accesses(s):
            strides = self.stride_expressions(name)
            for e, stride in zip(index, strides or ()):
                if not isinstance(stride, Const) and any(isinstance(x, Name) and x.name in names for x in walk(e)):
                    found[stride] = None
        return list(found)

    @abstractmethod
    def stride_expressions(self, name: str) -> tuple[Expr, ...] | None:
        """The strides that a buffer was declared with; None if it is dense or declared further in."""

    def _vector_loop(self, s: Loop) -> None:
        extent = self.extent(s.extent)
        constant = int(extent.text) if extent.is_literal else None
        plan = plan_lanes(s, self.target, constant)
        kind: PlaceKind = "loop" if constant else "guard"
        self.guarded(self.positive(extent), kind, lambda: self._lanes_over(s, extent, plan))

    def _lanes_over(self, s: Loop, extent: Value, plan: LanePlan) -> None:
        """Whole vectors, the rest, then the accumulators of the lanes go to their elements."""
        outer = self.accumulators, self.loop_depth
        self.accumulators, self.loop_depth = {}, self.depth
        written = written_roots(self, s.body)
        begin = "0"
        constant = int(extent.text) if extent.is_literal else None
        if plan.main and (constant is None or constant >= plan.main):
            begin = self._main(s, extent, constant, plan, written)
        if constant is None or constant % plan.main if plan.main else True:
            self._rest(s, extent, constant, plan, written, begin)
        for accumulator in self.accumulators.values():
            self._finish(accumulator)
        self.accumulators, self.loop_depth = outer

    # Whole vectors.

    def _main(self, s: Loop, extent: Value, constant: int | None, plan: LanePlan, written: frozenset[str]) -> str:
        """The loop over whole vectors; the index that it leaves off at."""
        if constant is not None and constant // plan.main <= plan.unroll:
            for n in range(constant // plan.main):
                self._straight(s, n * plan.main, plan.main, None, written)
            self._narrow(plan.rest)
            return str(constant - constant % plan.main)
        if constant is not None:
            self._whole_vectors(s, extent, plan, written)
            self._narrow(plan.rest)
            return str(constant - constant % plan.main)
        return self._guarded_main(s, extent, plan, written)

    def _guarded_main(self, s: Loop, extent: Value, plan: LanePlan, written: frozenset[str]) -> str:
        reached = self.body.fresh()
        self.allocas.append(f"  {reached} = alloca i64")
        self.body.line(f"store i64 0, ptr {reached}")
        enough = self.at(max(extent.depth, self.floor), 1, f"icmp sge i64 {extent.text}, {plan.main}").text

        def whole() -> None:
            last = self._whole_vectors(s, extent, plan, written)
            self.body.line(f"store i64 {last}, ptr {reached}")
            self._narrow(plan.rest)

        self.guarded(enough, "guard", whole)
        return self.body.emit(f"load i64, ptr {reached}")

    def _whole_vectors(self, s: Loop, extent: Value, plan: LanePlan, written: frozenset[str]) -> str:
        """At least one; the index behind the last."""
        limit = self.binary("sub", I64, extent, Value(str(plan.main - 1)))

        def emit() -> None:
            self.counted(limit, plan.main, lambda index: self._body(s, index, plan.main, None), written)

        stores = self._streamed(s, plan.main)
        if stores:
            self._past_caches(s, stores, emit)
        else:
            emit()
        return self.binary("and", I64, extent, Value(str(-plan.main))).text

    # Stores past the caches.

    outputs: frozenset[str]    # see `streamed_outputs`

    def _streamed(self, s: Loop, lanes: int) -> list[Store]:
        """Contiguous stores of whole cache lines to outputs that may be large enough."""
        if not self.target.x86 or self.checked or lanes == 1:
            return []
        found = []
        for store in streamed_stores(s, self.outputs):
            memory = self.buffer(store.buffer)
            size = self.byte_size(memory)
            small = size.is_literal and int(size.text) < self.target.llc
            if not small and lanes * memory.dtype.bytes % LINE == 0 and self._contiguous(s, store, memory):
                found.append(store)
        return found

    def _contiguous(self, s: Loop, store: Store, memory: Memory) -> bool:
        """Whether neighbouring lanes store to neighbouring elements."""
        last = self.form(store.index[-1])
        return (memory.strides[-1] == 1 and last.terms.get(s.index) == 1
                and not any(s.index in self.form(e).terms for e in store.index[:-1])
                and all(self._is_outside(key, s.index) for e in store.index for key in self.form(e).terms))

    def _is_outside(self, key: object, index: str) -> bool:
        """Whether a term of an address is known before the loop over `index`."""
        if isinstance(key, str):
            return key == index or key in self.names or key in self.constants
        inside = {x.name for x in walk(self.opaque[key]) if isinstance(x, Name)}
        return inside <= set(self.names) | set(self.constants) and index not in inside

    def byte_size(self, memory: Memory) -> Value:
        """Of a dense buffer."""
        total = Value(str(memory.dtype.bytes))
        for extent in memory.shape:
            size = self.sum_value(self.form(extent))
            both = total.is_literal and size.is_literal
            total = Value(str(int(total.text) * int(size.text))) if both else self._shared("mul", size, total)
        return total

    def _past_caches(self, s: Loop, stores: list[Store], emit: Callable[[], object]) -> None:
        """Two loops: past the caches if every output is large and its first element starts a line."""
        tests: Value | None = None
        for store in stores:
            memory = self.buffer(store.buffer)
            size = self.byte_size(memory)
            if not size.is_literal:
                tests = self.both(tests, self.binary("icmp uge", I64, size, Value(str(self.target.llc))))
            tests = self.both(tests, self._starts_line(s, store, memory))
        assert tests is not None
        past, plain, after = (self.body.fresh_label(hint) for hint in ("past", "plain", "end"))
        arms = [self._stored(past, frozenset(store.buffer for store in stores), emit, after),
                self._stored(plain, frozenset(), emit, after)]
        self.body.branch_if(tests.text, past, plain)
        for label, lines in zip((past, plain), arms):
            self.body.label(label)
            self.body.lines += lines
        self.body.label(after)

    def _starts_line(self, s: Loop, store: Store, memory: Memory) -> Value:
        """Whether the element of the first lane is at the start of a vector."""
        self.constants[s.index] = 0
        pointer = self.locate_unchecked(memory, store.index).pointer
        del self.constants[s.index]
        address = self.at(max(pointer.depth, self.floor), 1, f"ptrtoint ptr {pointer.text} to i64")
        return self.binary("icmp eq", I64, self.binary("and", I64, address, Value(str(LINE - 1))), Value("0"))

    def _stored(self, label: str, streams: frozenset[str], emit: Callable[[], object], after: str) -> list[str]:
        """One of the two loops; a fence orders what went past the caches before all that follows."""
        known = len(self.expressions)
        self.push("arm", label)
        self.streams = streams
        emit()
        self.streams = frozenset()
        if streams:
            if "!0 = !{i32 1}" not in self.module.header:
                self.module.header.append("!0 = !{i32 1}")
            self.module.declare("llvm.x86.sse.sfence", "void", "")
            self.body.line("call void @llvm.x86.sse.sfence()")
        self.body.branch(after)
        self.forget(known)
        return self.pop().lines

    def _straight(self, s: Loop, index: int, lanes: int, mask: Value | None, written: frozenset[str]) -> None:
        """One vector at a constant index."""
        self.push("loop", self.body.block, written)
        if mask is not None:
            mask.depth = self.depth
        known = len(self.expressions)
        self._body(s, str(index), lanes, mask)
        self.forget(known)
        self.splice(self.pop())

    def _body(self, s: Loop, index: str, lanes: int, mask: Value | None) -> None:
        """The program for lanes index, index + 1, ..."""
        outer = self.lanes
        base = Value(index, 1, self.depth)
        if lanes == 1:
            self.bind(s.index, base)
        else:
            self.forms.pop(s.index, None)
            self.lanes = Lanes(s.index, base, lanes, self.depth, mask)
        self.in_lanes = True
        self.block(s.body)
        self.lanes, self.in_lanes = outer, False

    def lane_index(self) -> Value:
        """The index of each lane."""
        assert self.lanes is not None
        lanes = self.lanes
        first = self.splat(lanes.base, "i64", lanes.count)
        value = self.at(lanes.depth, lanes.count, f"add {vector('i64', lanes.count)} {first.text}, "
                                                  f"{lane_numbers(64, lanes.count)}")
        self.stack[lanes.depth].bound.append((lanes.index, self.names.get(lanes.index)))
        self.names[lanes.index] = value
        return value

    # The rest.

    def _rest(self, s: Loop, extent: Value, constant: int | None, plan: LanePlan, written: frozenset[str],
              begin: str) -> None:
        """What is left, under a mask or lane by lane."""
        if constant is not None:
            left = constant - int(begin)
            if plan.masked and left <= plan.rest * plan.unroll:
                for at in range(int(begin), constant, plan.rest):
                    self._straight(s, at, plan.rest, _first_lanes(constant - at, plan.rest), written)
                return
        step = plan.rest if plan.masked else 1
        start = Value(begin, 1, self.depth)
        more = self.positive(self.binary("sub", I64, extent, start)) if begin != "0" else "true"
        once = plan.masked and plan.main == plan.rest

        def run() -> None:
            if once:
                self._masked(s, extent, begin, plan.rest)
            else:
                self.counted(extent, step, lambda index: self._masked(s, extent, index, step), written, begin)

        self.guarded(more, "guard" if more != "true" else "loop", run)

    def _masked(self, s: Loop, extent: Value, index: str, lanes: int) -> None:
        """One vector whose lanes beyond the extent are dead."""
        if lanes == 1:
            self._body(s, index, 1, None)
            return
        left = self.body.emit(f"sub i64 {extent.text}, {index}")
        bits = max(8, min(64, self.target.vector_bits // lanes))
        if bits < 64:
            self.module.declare("llvm.smin.i64", "i64", "i64, i64")
            left = self.body.emit(f"call i64 @llvm.smin.i64(i64 {left}, i64 {lanes})")
            left = self.body.emit(f"trunc i64 {left} to i{bits}")
        many = self.splat(Value(left, 1, self.depth), f"i{bits}", lanes)
        mask = self.at(self.depth, lanes, f"icmp ugt <{lanes} x i{bits}> {many.text}, {lane_numbers(bits, lanes)}")
        self._body(s, index, lanes, mask)

    # Accumulators.

    def accumulate_lanes(self, s: Accumulate, values: list[Value]) -> bool:
        """Every lane adds to its own copy; `_finish` adds the copies up."""
        assert self.lanes is not None
        memories = [self.buffer(name) for name in s.buffers]
        if all(m.lanes == self.lanes.count for m in memories):
            return False
        lanes = self.lanes.count
        forms = [self.form(e) for e in s.index]
        if any(self.term(key).lanes > 1 for form in forms for key in form.terms):
            return False
        key = (s.buffers, tuple((f.constant, tuple(sorted(f.terms.items(), key=str))) for f in forms), lanes)
        keep = s.buffers[0] in self.kept
        known = self.kept_accumulators if keep else self.accumulators
        if (accumulator := known.get(key)) is None:
            depth = self.kept[s.buffers[0]] if keep else self.loop_depth
            known[key] = accumulator = self._open(s, memories, lanes, depth)
        self._step(accumulator, values)
        return True

    def reducing(self, s: Loop, emit: Callable[[], object]) -> None:
        found = self._kept_apart(s) if self.lanes is None else frozenset()
        outer = self.kept, self.kept_accumulators
        if found - set(self.kept):
            self.kept = self.kept | {name: self.depth for name in found if name not in self.kept}
            self.kept_accumulators = dict(self.kept_accumulators)
        emit()
        if self.kept is not outer[0]:
            new, self.kept, self.kept_accumulators = self.kept_accumulators, *outer
            for key, accumulator in new.items():
                if accumulator.statement.buffers[0] in self.kept:
                    self.kept_accumulators[key] = accumulator
                else:
                    self._finish(accumulator)

    def _kept_apart(self, s: Loop) -> frozenset[str]:
        """Registers declared outside that the loop does nothing with but accumulate in vector loops."""
        inside: set[str] = set()
        for loop in statements(s.body):
            if isinstance(loop, Loop) and loop.kind == "vector":
                inside.update(name for a in statements(loop.body) if isinstance(a, Accumulate) for name in a.buffers)
        if not inside:
            return frozenset()
        for a in statements(s.body):
            inside.difference_update([a.buffer] if isinstance(a, Store) else [a.name] if isinstance(a, Buffer) else ())
            inside.difference_update(x.buffer for e in expressions_of(a) for x in walk(e) if isinstance(x, Load))
        inside.difference_update(_accumulated_outside(s.body))
        inside = {name for name in inside if self.buffer(name).register}
        return frozenset(name for a in statements(s.body) if isinstance(a, Accumulate) and inside >= set(a.buffers)
                         for name in a.buffers)

    def _open(self, s: Accumulate, memories: list[Memory], lanes: int, depth: int) -> Accumulator:
        """Registers that start as the identity, before the loop."""
        cells = [(m, m.pointer if m.register else self._cell(m, s)) for m in memories]
        registers = [self._identity_register(c, lanes, depth) for c in s.combine.identity]
        return Accumulator(s, cells, registers, lanes)

    def _cell(self, memory: Memory, s: Accumulate) -> Value:
        pointer = self.locate(memory, s.index).pointer
        assert pointer.depth <= self.loop_depth, f"accumulation into {memory.name} moves inside the vector loop"
        return pointer

    def _identity_register(self, constant: Const, lanes: int, depth: int) -> str:
        kind = vector(REGISTER[constant.dtype.name], lanes)
        register = self.body.fresh()
        self.allocas.append(f"  {register} = alloca {kind}")
        self.stack[depth].lines.append(f"  store {kind} {self.identity(constant, lanes)}, ptr {register}")
        return register

    def _states(self, accumulator: Accumulator) -> list[Value]:
        kinds = [vector(REGISTER[c.dtype.name], accumulator.lanes) for c in accumulator.statement.combine.identity]
        return [Value(self.body.emit(f"load {kind}, ptr {register}"), accumulator.lanes, self.depth)
                for kind, register in zip(kinds, accumulator.registers)]

    def _step(self, accumulator: Accumulator, values: list[Value]) -> None:
        assert self.lanes is not None
        combine, lanes = accumulator.statement.combine, accumulator.lanes
        states = self._states(accumulator)
        scalars = [REGISTER[c.dtype.name] for c in combine.identity]
        values = [self.splat(v, scalar, lanes) for v, scalar in zip(values, scalars)]
        results = self.combine(combine, states, values)
        for result, state, constant, scalar, register in zip(results, states, combine.identity, scalars,
                                                             accumulator.registers):
            if self.lanes.mask is not None:
                result = self.select(constant.dtype, self.lanes.mask, result, state)
            self.body.line(f"store {vector(scalar, lanes)} {result.text}, ptr {register}")

    def _narrow(self, lanes: int) -> None:
        """Folds the copies of wide vectors to the lanes of the rest."""
        for key, accumulator in list(self.accumulators.items()):
            if accumulator.lanes <= lanes:
                continue
            states = self._folded(accumulator, lanes)
            constants = accumulator.statement.combine.identity
            registers = [self._identity_register(c, lanes, self.loop_depth) for c in constants]
            for state, constant, register in zip(states, constants, registers):
                self.body.line(f"store {vector(REGISTER[constant.dtype.name], lanes)} {state.text}, ptr {register}")
            assert isinstance(key, tuple)
            del self.accumulators[key]
            self.accumulators[(*key[:-1], lanes)] = Accumulator(
                accumulator.statement, accumulator.cells, registers, lanes)

    def _folded(self, accumulator: Accumulator, lanes: int) -> list[Value]:
        """The states with the upper half combined into the lower until `lanes` are left."""
        states = self._states(accumulator)
        combine = accumulator.statement.combine
        while states[0].lanes > lanes:
            half = states[0].lanes // 2
            halves = [[self._half(REGISTER[c.dtype.name], state, part) for c, state in zip(combine.identity, states)]
                      for part in (0, half)]
            states = self.combine(combine, *halves)
        return states

    def _half(self, scalar: str, state: Value, part: int) -> Value:
        kind, half = vector(scalar, state.lanes), state.lanes // 2
        if half == 1:
            return self.at(self.depth, 1, f"extractelement {kind} {state.text}, i64 {part}")
        order = shuffle(tuple(range(part, part + half)))
        return self.at(self.depth, half, f"shufflevector {kind} {state.text}, {kind} poison, {order}")

    def _finish(self, accumulator: Accumulator) -> None:
        """element = combine(element, all lanes)."""
        lanes = self._folded(accumulator, 1)
        combine = accumulator.statement.combine
        before = [self._read_cell(memory, pointer) for memory, pointer in accumulator.cells]
        for (memory, pointer), result in zip(accumulator.cells, self.combine(combine, before, lanes)):
            self._write_cell(memory, pointer, result)

    def _read_cell(self, memory: Memory, pointer: Value) -> Value:
        if memory.register:
            return Value(self.body.emit(f"load {REGISTER[memory.dtype.name]}, ptr {pointer.text}"), 1, self.depth)
        found = Value(self.body.emit(f"load {MEMORY[memory.dtype.name]}, ptr {pointer.text}"), 1, self.depth)
        return self.from_memory(memory.dtype, found)

    def _write_cell(self, memory: Memory, pointer: Value, value: Value) -> None:
        self.stores += 1
        kind = REGISTER[memory.dtype.name]
        if not memory.register:
            value, kind = self.to_memory(memory.dtype, value), MEMORY[memory.dtype.name]
        self.body.line(f"store {kind} {value.text}, ptr {pointer.text}")


def _first_lanes(left: int, lanes: int) -> Value | None:
    """The mask of the first lanes; None where all are live."""
    if left >= lanes:
        return None
    return Value("<" + ", ".join(f"i1 {'true' if n < left else 'false'}" for n in range(lanes)) + ">", lanes)


def _accumulated_outside(body: tuple[Statement, ...]) -> set[str]:
    """What is accumulated, but not in a vector loop."""
    names: set[str] = set()
    for s in body:
        if isinstance(s, Accumulate):
            names.update(s.buffers)
        elif isinstance(s, Loop) and s.kind != "vector":
            names |= _accumulated_outside(s.body)
        elif isinstance(s, If):
            names |= _accumulated_outside(s.then) | _accumulated_outside(s.orelse)
        elif isinstance(s, While):
            names |= _accumulated_outside((*s.before, *s.body))
    return names


def _accesses(s: Loop) -> list[tuple[str, tuple[Expr, ...]]]:
    """Every (buffer, index) in the loop."""
    found: list[tuple[str, tuple[Expr, ...]]] = []
    for inner in statements(s.body):
        if isinstance(inner, (Store, Accumulate)):
            found += [(name, inner.index) for name in ([inner.buffer] if isinstance(inner, Store) else inner.buffers)]
        for e in expressions_of(inner):
            found += [(x.buffer, x.index) for x in walk(e) if isinstance(x, Load)]
    return found
