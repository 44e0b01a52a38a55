"""Where elements are: affine analysis of indices, addresses in pieces that move out of loops, loads and stores by kind.

Flows in:  buffers with shapes and strides, index expressions.
Flows out: scalar, contiguous, interleaved, reversed, gathered and scattered accesses, under the lane mask.

An index is split into terms: integer coefficient times a name, or times an expression that is no sum. The term that is
the index of the vector loop decides how lanes read; every other term is added to the address in the place where it is
known, so that what remains in the innermost loop is one constant offset.
"""
from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

from tracejit.base.dtypes import BOOL, I64, DType
from tracejit.xla_lite.cpu.check import HARMLESS
from tracejit.xla_lite.cpu.emitter_expressions import Expressions
from tracejit.xla_lite.cpu.places import Value
from tracejit.xla_lite.cpu.types import MEMORY, REGISTER, lane_numbers, literal, mangled, shuffle, vector
from tracejit.xla_lite.kernels.kernel_ir import Apply, Const, Expr, Load, Name

Key = object
WIDEST_INTERLEAVE = 4    # up to this step lanes are picked out of whole vectors; beyond it they are gathered


@dataclass(slots=True)
class Form:
    """constant + sum of coefficient * term."""

    constant: int = 0
    terms: dict[Key, int] = field(default_factory=dict)

    def scaled(self, factor: int) -> Form:
        return Form(self.constant * factor, {key: c * factor for key, c in self.terms.items()} if factor else {})

    def plus(self, other: Form) -> Form:
        terms = dict(self.terms)
        for key, c in other.terms.items():
            terms[key] = terms.get(key, 0) + c
        return Form(self.constant + other.constant, {key: c for key, c in terms.items() if c})


@dataclass(slots=True)
class Memory:
    """A buffer in scope. strides: numbers, or values computed once.

    root: the memory it is a view of; two buffers with different roots do not overlap.
    lanes: of a buffer that is private to each lane.  register: rank 0 and local, its address is never taken.
    dense: without gaps, and not on the stack.
    """

    name: str
    dtype: DType
    pointer: Value
    shape: tuple[Expr, ...]
    strides: tuple[int | Value, ...]
    root: str
    lanes: int = 1
    register: bool = False
    dense: bool = False


@dataclass(slots=True)
class Lanes:
    """The vector loop around. base: the index of the first lane.  mask: the live lanes, None for all.

    blend: control flow inside the loop masks lanes, so registers are merged when stored to.
    whole: an i1, whether `mask` has all lanes; empty where it rarely does.
    """

    index: str
    base: Value
    count: int
    depth: int
    mask: Value | None = None
    blend: bool = False
    whole: str = ""


@dataclass(slots=True)
class Location:
    """An address. step: elements between lanes; 0: one element for all lanes; None: `pointer` has one per lane.

    phase: the lane's element within a group of `step` elements which is all inside the buffer; None: no such group.
    inside: in check mode, the lanes whose index is inside the buffer.
    """

    pointer: Value
    step: int | None
    phase: int | None = None
    inside: Value | None = None


class Addresses(Expressions):
    """Buffers, indices, loads and stores."""

    buffers: dict[str, Memory]
    lanes: Lanes | None
    constants: dict[str, int]
    forms: dict[str, Form]
    opaque: dict[Key, Expr]
    stores: int    # how many stores were emitted: wide loads are shared between them

    @abstractmethod
    def buffer(self, name: str) -> Memory:
        """The buffer called `name`."""

    @abstractmethod
    def check(self, memory: Memory, index: tuple[Expr, ...]) -> Value | None:
        """In check mode: whether the index is inside the buffer; reports where it is not."""

    # Sums.

    def form(self, e: Expr) -> Form:
        """An i64 expression as a sum."""
        if type(e) is Const:
            return Form(int(e.value))
        if type(e) is Name:
            if e.name in self.constants:
                return Form(self.constants[e.name])
            return self.forms.get(e.name) or Form(0, {e.name: 1})
        if type(e) is Apply and e.dtype is I64 and (found := self._sum(e)) is not None:
            return found
        self.opaque[id(e)] = e
        return Form(0, {id(e): 1})

    def _sum(self, e: Apply) -> Form | None:
        if e.fn in ("add", "subtract"):
            x, y = map(self.form, e.args)
            return x.plus(y if e.fn == "add" else y.scaled(-1))
        if e.fn == "multiply":
            x, y = map(self.form, e.args)
            if not x.terms:
                return y.scaled(x.constant)
            return x.scaled(y.constant) if not y.terms else None
        return self.form(e.args[0]).scaled(-1) if e.fn == "negate" else None

    def term(self, key: Key) -> Value:
        """The value of a term."""
        if type(key) is str:
            return self.names.get(key) or self.name(Name(key))
        return self.value(self.opaque[key])

    def sum_value(self, form: Form) -> Value:
        """A sum as a value, each part added where it is known."""
        parts = sorted(((self.term(key), c) for key, c in form.terms.items()), key=lambda p: (p[0].depth, p[0].lanes))
        total: Value | None = None
        for value, c in parts:
            product = self._times(value, c)
            total = product if total is None else self._shared("add", total, product)
        if total is None:
            return Value(_word(form.constant))
        return self._shared("add", total, Value(_word(form.constant))) if form.constant else total

    def _times(self, value: Value, c: int) -> Value:
        return value if c == 1 else self._shared("mul", value, Value(_word(c)))

    def _shared(self, instruction: str, x: Value, y: Value) -> Value:
        """i64 arithmetic, remembered by its operands."""
        key = (instruction, x.text, y.text)
        if (found := self.memo.get(key)) is not None:
            return found[1]
        return self.remember(key, self.binary(instruction, I64, x, y))

    # Addresses.

    def locate(self, memory: Memory, index: tuple[Expr, ...]) -> Location:
        """Where buffer[index] is for every lane."""
        location = self.locate_unchecked(memory, index)
        if self.checked and (inside := self.check(memory, index)) is not None:
            if inside.lanes > 1:
                location.inside = inside
            else:
                location.pointer = self._redirected(location.pointer, inside)
        return location

    checked: bool

    def _redirected(self, pointer: Value, inside: Value) -> Value:
        """The pointer, or a harmless one."""
        harmless = self.splat(Value(HARMLESS), "ptr", pointer.lanes)
        kind = vector("ptr", pointer.lanes)
        return self.at(max(pointer.depth, inside.depth, self.floor), pointer.lanes,
                       f"select i1 {inside.text}, {kind} {pointer.text}, {kind} {harmless.text}")

    def locate_unchecked(self, memory: Memory, index: tuple[Expr, ...]) -> Location:
        """The same without a look at the shape."""
        flat, dynamic = Form(), []
        for e, stride in zip(index, memory.strides):
            form = self.form(e)
            if type(stride) is int:
                flat = flat.plus(form.scaled(stride))
            else:
                dynamic.append((form, stride))
        if memory.lanes > 1:
            flat = flat.scaled(memory.lanes)
        last = index[-1] if index else None
        grouped = isinstance(last, Const) and memory.strides[-1] == 1 and memory.shape[-1] == Const(step_of(flat, self))
        return self._assemble(memory, flat, dynamic, grouped)

    def _assemble(self, memory: Memory, flat: Form, dynamic: list[tuple[Form, int | Value]],
                  grouped: bool) -> Location:
        """Uniform parts by depth, then the part of each lane, then the constant."""
        uniform: list[Value] = []
        varying: list[Value] = []
        step = 0
        for key, c in flat.terms.items():
            if self.lanes is not None and key == self.lanes.index:
                step = c
                continue
            product = self._times(self.term(key), c)
            (uniform if product.lanes == 1 else varying).append(product)
        for form, stride in dynamic:
            assert isinstance(stride, Value)
            product = self._shared("mul", self.sum_value(form), stride)
            (uniform if product.lanes == 1 else varying).append(product)
        pointer = self._chain(memory, uniform)
        if varying or (step and (abs(step) > WIDEST_INTERLEAVE or step < -1)):
            return self._per_lane(memory, pointer, varying, step, flat.constant)
        if step:
            assert self.lanes is not None
            pointer = self._offset(memory, pointer, self._times(self.lanes.base, step))
        if memory.lanes > 1:
            return Location(self._offset(memory, pointer, Value(_word(flat.constant))), 1)
        phase = flat.constant % step if grouped and step > 1 else None
        return Location(self._offset(memory, pointer, Value(_word(flat.constant - (phase or 0)))), step, phase)

    def _chain(self, memory: Memory, parts: list[Value]) -> Value:
        """The buffer's pointer plus uniform offsets, outermost first."""
        pointer = memory.pointer
        for part in sorted(parts, key=lambda p: p.depth):
            pointer = self._offset(memory, pointer, part)
        return pointer

    def _offset(self, memory: Memory, pointer: Value, offset: Value) -> Value:
        if offset.text == "0":
            return pointer
        key = ("at", pointer.text, offset.text)
        if (found := self.memo.get(key)) is not None:
            return found[1]
        lanes = max(pointer.lanes, offset.lanes)
        depth = max(pointer.depth, offset.depth, self.floor)
        gep = f"getelementptr {MEMORY[memory.dtype.name]}, {vector('ptr', pointer.lanes)} {pointer.text}, "
        return self.remember(key, self.at(depth, lanes, gep + f"{vector('i64', offset.lanes)} {offset.text}"))

    def _per_lane(self, memory: Memory, pointer: Value, varying: list[Value], step: int, constant: int) -> Location:
        """One address for each lane."""
        if step:
            assert self.lanes is not None
            varying.append(self._times(self.term(self.lanes.index), step))
        if memory.lanes > 1:
            varying.append(Value(lane_numbers(64, memory.lanes), memory.lanes))
        total = varying[0]
        for part in varying[1:]:
            total = self._shared("add", total, part)
        pointer = self._offset(memory, pointer, Value(_word(constant)))
        return Location(self._offset(memory, pointer, total), None if total.lanes > 1 else 0)

    # Loads.

    def load(self, e: Load) -> Value:
        memory = self.buffer(e.buffer)
        if memory.register:
            return self._load_register(memory)
        return self.read(memory, self.locate(memory, e.index))

    def _load_register(self, memory: Memory) -> Value:
        scalar = REGISTER[memory.dtype.name]
        depth = self._load_depth(memory, memory.pointer.depth)
        kind = vector(scalar, memory.lanes)
        return self.at(depth, memory.lanes, f"load {kind}, ptr {memory.pointer.text}")

    def _load_depth(self, memory: Memory, depth: int) -> int:
        """How far out a load may move: not out of loops that write to its memory, nor of what may not run."""
        at = self.depth
        while at > max(depth, self.floor):
            place = self.stack[at]
            if place.kind == "guard" or memory.root in place.written:
                break
            at -= 1
        return at

    def read(self, memory: Memory, location: Location) -> Value:
        """The elements at a location, bools as i1."""
        lanes = 1 if self.lanes is None or location.step == 0 else self.lanes.count
        if lanes == 1:
            depth = self._load_depth(memory, location.pointer.depth)
            kind = MEMORY[memory.dtype.name]
            found = self.at(depth, 1, f"load {kind}, ptr {location.pointer.text}, align {memory.dtype.bytes}")
            return self.from_memory(memory.dtype, found)
        assert self.lanes is not None
        mask = None if memory.lanes > 1 else self.lanes.mask
        if location.inside is not None:
            mask = self.both(mask, location.inside)
        depth = self._load_depth(memory, max(location.pointer.depth, mask.depth if mask is not None else 0))
        rest = mask is not None and mask is self.lanes.mask and not self.lanes.blend
        if mask is not None and rest and location.step == 1 and memory.dense:
            return self.from_memory(memory.dtype, self._read_past(memory, location.pointer, lanes, depth, mask))
        return self.from_memory(memory.dtype, self._read_lanes(memory.dtype, location, lanes, depth, mask))

    def _read_past(self, memory: Memory, pointer: Value, lanes: int, depth: int, mask: Value) -> Value:
        """A whole vector although lanes are dead, if it ends inside the buffer: masked loads that miss are slow."""
        scalar, bytes_ = MEMORY[memory.dtype.name], lanes * memory.dtype.bytes
        limit = self._limit(memory, bytes_)
        depth = max(depth, limit.depth)
        here = self.enter(depth)
        kind = vector(scalar, lanes)
        fits = self.body.emit(f"icmp ule ptr {pointer.text}, {limit.text}")
        full, part, after = (self.body.fresh_label(hint) for hint in ("full", "part", "loaded"))
        self.body.branch_if(fits, full, part)
        self.body.label(full)
        plain = self.body.emit(f"load {kind}, ptr {pointer.text}, align {memory.dtype.bytes}")
        self.body.branch(after)
        self.body.label(part)
        masked = self.body.emit(self._masked_load(memory.dtype, pointer, lanes, mask))
        self.body.branch(after)
        self.body.label(after)
        found = self.body.emit(f"phi {kind} [ {plain}, %{full} ], [ {masked}, %{part} ]")
        self.leave(depth, here)
        return Value(found, lanes, depth)

    def _limit(self, memory: Memory, bytes_: int) -> Value:
        """The last address at which so many bytes are inside a dense buffer."""
        key = ("limit", memory.pointer.text, bytes_)
        if (found := self.memo.get(key)) is not None:
            return found[1]
        size = self._shared("sub", self.byte_size(memory), Value(str(bytes_)))
        depth = max(memory.pointer.depth, size.depth, self.floor)
        return self.remember(key, self.at(depth, 1, f"getelementptr i8, ptr {memory.pointer.text}, i64 {size.text}"))

    def byte_size(self, memory: Memory) -> Value:
        """Of a dense buffer."""
        total = Value(str(memory.dtype.bytes))
        for extent in memory.shape:
            size = self.sum_value(self.form(extent))
            both = total.is_literal and size.is_literal
            total = Value(str(int(total.text) * int(size.text))) if both else self._shared("mul", size, total)
        return total

    def from_memory(self, dtype: DType, found: Value) -> Value:
        if dtype is not BOOL:
            return found
        kind = vector("i8", found.lanes)
        zero = "0" if found.lanes == 1 else "zeroinitializer"
        return self.at(found.depth, found.lanes, f"icmp ne {kind} {found.text}, {zero}")

    def _read_lanes(self, dtype: DType, location: Location, lanes: int, depth: int, mask: Value | None) -> Value:
        step = location.step
        if step is None:
            return self._gather(dtype, location.pointer, lanes, depth, mask)
        if step == 1:
            return self._read_vector(dtype, location.pointer, lanes, depth, mask)
        if step == -1:
            return self._read_reversed(dtype, location.pointer, lanes, depth, mask)
        return self._read_interleaved(dtype, location, lanes, depth, mask)

    def _read_vector(self, dtype: DType, pointer: Value, lanes: int, depth: int, mask: Value | None) -> Value:
        scalar = MEMORY[dtype.name]
        kind = vector(scalar, lanes)
        if mask is None:
            return self.at(depth, lanes, f"load {kind}, ptr {pointer.text}, align {dtype.bytes}")
        return self.at(depth, lanes, self._masked_load(dtype, pointer, lanes, mask))

    def _masked_load(self, dtype: DType, pointer: Value, lanes: int, mask: Value) -> str:
        scalar = MEMORY[dtype.name]
        kind, name = vector(scalar, lanes), f"llvm.masked.load.{mangled(scalar, lanes)}.p0"
        self.module.declare(name, kind, f"ptr, i32, <{lanes} x i1>, {kind}")
        return (f"call {kind} @{name}(ptr {pointer.text}, i32 {dtype.bytes}, <{lanes} x i1> {mask.text}, "
                f"{kind} {_harmless(dtype)})")

    def _read_reversed(self, dtype: DType, pointer: Value, lanes: int, depth: int, mask: Value | None) -> Value:
        """Lane k is k elements below the pointer."""
        scalar = MEMORY[dtype.name]
        low = self.at(depth, 1, f"getelementptr {scalar}, ptr {pointer.text}, i64 {1 - lanes}")
        if mask is not None:
            mask = self._shuffled("i1", mask, mask, tuple(range(lanes))[::-1], depth)
        found = self._read_vector(dtype, low, lanes, depth, mask)
        return self._shuffled(scalar, found, found, tuple(range(lanes))[::-1], depth)

    def _shuffled(self, scalar: str, x: Value, y: Value, order: tuple[int, ...], depth: int) -> Value:
        kind = vector(scalar, x.lanes)
        return self.at(depth, len(order), f"shufflevector {kind} {x.text}, {kind} {y.text}, {shuffle(order)}")

    def _read_interleaved(self, dtype: DType, location: Location, lanes: int, depth: int, mask: Value | None) -> Value:
        """Every step-th element of whole vectors; elements that belong to nobody are masked out."""
        step, phase = location.step, location.phase
        assert step
        scalar, wide = MEMORY[dtype.name], lanes * step
        if phase is None:
            chosen = self.both(self._wide_mask(lanes, step, mask, depth), _every(step, 0, wide))
            whole = self._read_vector(dtype, location.pointer, wide, max(depth, chosen.depth), chosen)
            return self._shuffled(scalar, whole, whole, tuple(range(0, wide, step)), whole.depth)
        key = ("wide", location.pointer.text, mask.text if mask else "", depth, self.stores)
        found = self.memo.get(key)
        if found is None:
            whole = self._read_vector(dtype, location.pointer, wide, depth, self._wide_mask(lanes, step, mask, depth))
            self.remember(key, whole)
        else:
            whole = found[1]
        return self._shuffled(scalar, whole, whole, tuple(range(phase, wide, step)), depth)

    def _wide_mask(self, lanes: int, step: int, mask: Value | None, depth: int) -> Value | None:
        """The lane mask, every lane `step` times."""
        if mask is None:
            return None
        return self._shuffled("i1", mask, mask, tuple(n // step for n in range(lanes * step)), depth)

    def _gather(self, dtype: DType, pointers: Value, lanes: int, depth: int, mask: Value | None) -> Value:
        scalar = MEMORY[dtype.name]
        kind, all_lanes = vector(scalar, lanes), f"<{lanes} x ptr>"
        name = f"llvm.masked.gather.{mangled(scalar, lanes)}.v{lanes}p0"
        self.module.declare(name, kind, f"{all_lanes}, i32, <{lanes} x i1>, {kind}")
        live = mask.text if mask is not None else "splat (i1 true)"
        return self.at(depth, lanes, f"call {kind} @{name}({all_lanes} {pointers.text}, i32 {dtype.bytes}, "
                                     f"<{lanes} x i1> {live}, {kind} {_harmless(dtype)})")

    # Stores.

    def write(self, memory: Memory, index: tuple[Expr, ...], value: Value) -> None:
        """buffer[index] = value."""
        self.stores += 1
        if memory.register:
            self.write_register(memory, value)
            return
        location = self.locate(memory, index)
        if self.lanes is not None and self.lanes.count > 1 and location.step != 0:
            value = self.splat(value, REGISTER[memory.dtype.name], self.lanes.count)
            self._write_lanes(memory, location, self.to_memory(memory.dtype, value))
            return
        assert value.lanes == 1, f"store of lanes into one element of {memory.name}"
        value = self.to_memory(memory.dtype, value)
        kind = MEMORY[memory.dtype.name]
        self.body.line(f"store {kind} {value.text}, ptr {location.pointer.text}, align {memory.dtype.bytes}")

    def write_register(self, memory: Memory, value: Value) -> None:
        """Lanes that control flow has masked keep what they hold."""
        scalar = REGISTER[memory.dtype.name]
        assert value.lanes <= memory.lanes, f"store of lanes into the scalar {memory.name}"
        value = self.splat(value, scalar, memory.lanes)
        kind = vector(scalar, memory.lanes)
        if self.lanes is not None and self.lanes.blend and memory.lanes > 1:
            assert self.lanes.mask is not None
            old = self.at(self.depth, memory.lanes, f"load {kind}, ptr {memory.pointer.text}")
            value = self.select(memory.dtype, self.lanes.mask, value, old)
        self.body.line(f"store {kind} {value.text}, ptr {memory.pointer.text}")

    def to_memory(self, dtype: DType, value: Value) -> Value:
        if dtype is not BOOL:
            return value
        if value.is_literal and value.lanes == 1:
            return Value("1" if value.text == "true" else "0")
        return self.at(self.depth, value.lanes,
                       f"zext {vector('i1', value.lanes)} {value.text} to {vector('i8', value.lanes)}")

    def _write_lanes(self, memory: Memory, location: Location, value: Value) -> None:
        assert self.lanes is not None
        dtype, lanes, step, pointer = memory.dtype, self.lanes.count, location.step, location.pointer
        mask = self.lanes.mask if memory.lanes == 1 or self.lanes.blend else None
        if location.inside is not None:
            mask = self.both(mask, location.inside)
        scalar = MEMORY[dtype.name]
        if step is None:
            self._scatter(dtype, pointer, value, mask)
            return
        if step == -1:
            reverse = tuple(range(lanes))[::-1]
            pointer = self.at(self.depth, 1, f"getelementptr {scalar}, ptr {pointer.text}, i64 {1 - lanes}")
            value = self._shuffled(scalar, value, value, reverse, self.depth)
            mask = self._shuffled("i1", mask, mask, reverse, self.depth) if mask is not None else None
        elif step != 1:
            self._write_apart(dtype, location, value, mask)
            return
        self._write_vector(dtype, pointer, value, mask, memory.name in self.streams)

    streams: frozenset[str]    # outputs whose whole vectors go past the caches, at aligned addresses

    def _write_vector(self, dtype: DType, pointer: Value, value: Value, mask: Value | None, past: bool = False) -> None:
        scalar, lanes = MEMORY[dtype.name], value.lanes
        kind = vector(scalar, lanes)
        if mask is None:
            how = "align 64, !nontemporal !0" if past else f"align {dtype.bytes}"
            self.body.line(f"store {kind} {value.text}, ptr {pointer.text}, {how}")
            return
        name = f"llvm.masked.store.{mangled(scalar, lanes)}.p0"
        self.module.declare(name, "void", f"{kind}, ptr, i32, <{lanes} x i1>")
        masked = (f"call void @{name}({kind} {value.text}, ptr {pointer.text}, i32 {dtype.bytes}, "
                  f"<{lanes} x i1> {mask.text})")
        if self.lanes is not None and self.lanes.whole and mask is self.lanes.mask and not self.lanes.blend:
            plain = f"store {kind} {value.text}, ptr {pointer.text}, align {dtype.bytes}"
            self._whole_or(self.lanes.whole, plain, masked)
        else:
            self.body.line(masked)

    def _whole_or(self, whole: str, plain: str, masked: str) -> None:
        """The plain instruction where all lanes are live: masked stores that miss the caches are four times slower."""
        full, part, after = (self.body.fresh_label(hint) for hint in ("full", "part", "stored"))
        self.body.branch_if(whole, full, part)
        for label, instruction in ((full, plain), (part, masked)):
            self.body.label(label)
            self.body.line(instruction)
            self.body.branch(after)
        self.body.label(after)

    def _write_apart(self, dtype: DType, location: Location, value: Value, mask: Value | None) -> None:
        """Every step-th element: whole vectors under a mask that leaves the elements between alone."""
        step, phase = location.step, location.phase or 0
        assert step
        scalar, wide = MEMORY[dtype.name], value.lanes * step
        spread = self._shuffled(scalar, value, value,
                                tuple(n // step if n % step == phase else -1 for n in range(wide)), self.depth)
        live = self._wide_mask(value.lanes, step, mask, self.depth)
        self._write_vector(dtype, location.pointer, spread, self.both(live, _every(step, phase, wide)))

    def write_interleaved(self, memory: Memory, location: Location, values: list[Value]) -> None:
        """The parts of consecutive groups, `values[k]` at phase k, in whole vectors."""
        assert self.lanes is not None
        self.stores += 1
        step, lanes, scalar = len(values), self.lanes.count, MEMORY[memory.dtype.name]
        values = [self.to_memory(memory.dtype, self.splat(v, REGISTER[memory.dtype.name], lanes)) for v in values]
        whole, order = values[0], tuple(range(lanes))
        for k, value in enumerate(values[1:], 2):
            widened = value if k == 2 else self._shuffled(
                scalar, value, value, tuple(n if n < lanes else -1 for n in range(whole.lanes)), self.depth)
            both = tuple(range(whole.lanes)) + tuple(whole.lanes + n for n in range(lanes))
            whole = self._shuffled(scalar, whole, widened, both, self.depth)
        order = tuple(n % step * lanes + n // step for n in range(step * lanes))
        whole = self._shuffled(scalar, whole, whole, order, self.depth)
        mask = self.lanes.mask if location.inside is None else self.both(self.lanes.mask, location.inside)
        mask = self._wide_mask(lanes, step, mask, self.depth)
        self._write_vector(memory.dtype, location.pointer, whole, mask)

    def _scatter(self, dtype: DType, pointers: Value, value: Value, mask: Value | None) -> None:
        scalar, lanes = MEMORY[dtype.name], value.lanes
        kind, all_lanes = vector(scalar, lanes), f"<{lanes} x ptr>"
        name = f"llvm.masked.scatter.{mangled(scalar, lanes)}.v{lanes}p0"
        self.module.declare(name, "void", f"{kind}, {all_lanes}, i32, <{lanes} x i1>")
        live = mask.text if mask is not None else "splat (i1 true)"
        self.body.line(f"call void @{name}({kind} {value.text}, {all_lanes} {pointers.text}, i32 {dtype.bytes}, "
                       f"<{lanes} x i1> {live})")


def _word(n: int) -> str:
    """An i64, wrapped."""
    return str((n + (1 << 63)) % (1 << 64) - (1 << 63))


def _harmless(dtype: DType) -> str:
    """What a dead lane reads: 1, so that functions stay on their common path."""
    text = "1" if dtype is BOOL else literal(1, dtype)
    return f"splat ({MEMORY[dtype.name]} {text})"


def _every(step: int, phase: int, lanes: int) -> Value:
    """The mask of lanes phase, phase + step, ..."""
    return Value("<" + ", ".join(f"i1 {'true' if n % step == phase else 'false'}" for n in range(lanes)) + ">", lanes)


def step_of(flat: Form, b: Addresses) -> int:
    """The coefficient of the vector loop's index."""
    return flat.terms.get(b.lanes.index, 0) if b.lanes is not None else 0
