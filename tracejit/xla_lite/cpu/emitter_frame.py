"""What a function owns: buffers on the stack and in allocated memory, and the ways out of it.

Flows in:  `Buffer` and `Fail` statements.
Flows out: text; whatever was allocated is freed on every way out.
"""
from __future__ import annotations

from abc import abstractmethod

from tracejit.base.dtypes import I64
from tracejit.xla_lite.cpu.emitter_addresses import Addresses, Memory
from tracejit.xla_lite.cpu.places import Value
from tracejit.xla_lite.cpu.types import MEMORY, REGISTER, vector
from tracejit.xla_lite.kernels.kernel_ir import RAISED, Apply, Buffer, Const, Expr, Fail

OUT_OF_MEMORY = -2    # what an entry returns; CHECK_FAILED is in `check`
FUEL = 1 << 20            # rounds of a light loop between two looks at pending signals
STACK_BYTES = 64 << 10    # a larger local buffer is allocated; some systems give a thread half a megabyte
GROWING = "stacks!"       # the root of all memory of growing stacks
RARELY = ', !prof !{!"branch_weights", i32 1, i32 2000}'
MOSTLY = ', !prof !{!"branch_weights", i32 2000, i32 1}'


class FunctionFrame(Addresses):
    """Buffers and exits.

    allocas: first instructions of the function.  heaps: slots of memory to free at the end of the blocks around.
    all_heaps: every such slot, null where nothing is allocated.  releases: slots that are freed in another way, and the
    function that gets the slot.  polls: whether long loops, of kernels those of lanes, look at signals.
    fuel: the slot that counts down to the next look, empty before the first loop.
    handlers: of the attempts around: its block, and how many of `heaps` live longer than the attempt.
    """

    status: str
    allocas: list[str]
    heaps: list[str]
    all_heaps: list[str]
    releases: dict[str, str]
    polls: bool
    fuel: str
    failed: bool
    handlers: dict[str, tuple[str, int]]

    # Buffers.

    def buffer_statement(self, s: Buffer) -> None:
        """Registers and small arrays on the stack, views, everything else from the allocator."""
        strides = self.strides_of(s.shape, s.strides)
        if s.space == "output":
            self._output(s, strides)
            return
        if s.of is not None:
            self._view(s, strides)
            return
        if s.space in ("at", "stacks"):
            self._growing(s, strides)
            return
        lanes = self.lanes.count if self.lanes is not None else 1
        size = 1
        for n in s.shape:
            size = size * int(n.value) if isinstance(n, Const) and size >= 0 else -1
        if s.space == "local" and 0 <= size * lanes * s.dtype.bytes <= STACK_BYTES:
            self._stack_buffer(s, strides, size, lanes)
            return
        assert lanes == 1, f"buffer {s.name} inside a vector loop does not fit the stack"
        pointer = self.allocate(self._bytes(s))
        self.declare(Memory(s.name, s.dtype, pointer, s.shape, strides, s.name, dense=s.strides is None))

    def _stack_buffer(self, s: Buffer, strides: tuple[int | Value, ...], size: int, lanes: int) -> None:
        register = not s.shape
        kind = vector((REGISTER if register else MEMORY)[s.dtype.name], lanes)
        pointer = self.body.fresh()
        amount = kind if register else f"[{max(size, 1)} x {kind}], align 64"
        self.allocas.append(f"  {pointer} = alloca {amount}")
        depth = self.depth if lanes > 1 else 0
        self.declare(Memory(s.name, s.dtype, Value(pointer, 1, depth), s.shape, strides, s.name, lanes, register))

    def _growing(self, s: Buffer, strides: tuple[int | Value, ...]) -> None:
        """Memory of a growing stack, or the word that all of them hang on."""
        if s.space == "stacks":
            slot = self.body.fresh()
            self.allocas += [f"  {slot} = alloca ptr", f"  store ptr null, ptr {slot}"]
            self.releases[slot] = "tj_stacks_free"
            self.heaps.append(slot)
            self.all_heaps.append(slot)
            pointer = Value(slot)
        else:
            address = self.sum_value(self.form(s.offset))
            pointer = self.at(max(address.depth, self.floor), 1, f"inttoptr i64 {address.text} to ptr")
        self.declare(Memory(s.name, s.dtype, pointer, s.shape, strides, GROWING))

    def _bytes(self, s: Buffer) -> Value:
        """The size of a buffer; as large as can be where it fits no word, so that there is no memory for it."""
        total = Value(str(s.dtype.bytes))
        for n in s.shape:
            extent = self.sum_value(self.form(n))
            total = self._product_of_sizes(total, extent)
        return total

    def _product_of_sizes(self, x: Value, y: Value) -> Value:
        if x.is_literal and y.is_literal:
            return Value(str(int(x.text) * int(y.text)))
        if "1" in (x.text, y.text):
            return y if x.text == "1" else x
        self.module.declare("llvm.smul.with.overflow.i64", "{i64, i1}", "i64, i64")
        pair = self.body.emit(f"call {{i64, i1}} @llvm.smul.with.overflow.i64(i64 {x.text}, i64 {y.text})")
        product = self.body.emit(f"extractvalue {{i64, i1}} {pair}, 0")
        overflow = self.body.emit(f"extractvalue {{i64, i1}} {pair}, 1")
        return Value(self.body.emit(f"select i1 {overflow}, i64 {2**63 - 1}, i64 {product}"), 1, self.depth)

    def _output(self, s: Buffer, strides: tuple[int | Value, ...]) -> None:
        """Memory for the caller, who finds its address in a cell, whatever happens later."""
        assert s.of is not None
        self.module.declare("tj_alloc", "ptr", "i64")
        pointer = self.body.emit(f"call ptr @tj_alloc(i64 {self._bytes(s).text})")
        self.body.line(f"store ptr {pointer}, ptr {self.buffer(s.of).pointer.text}")
        self.leave_if(self.body.emit(f"icmp eq ptr {pointer}, null"), str(OUT_OF_MEMORY))
        self.declare(Memory(s.name, s.dtype, Value(pointer, 1, self.depth), s.shape, strides, s.name,
                            dense=s.strides is None))

    def _view(self, s: Buffer, strides: tuple[int | Value, ...]) -> None:
        assert s.of is not None
        base = self.buffer(s.of)
        offset = self.sum_value(self.form(s.offset))
        pointer = base.pointer
        if offset.text != "0":
            pointer = self.at(max(offset.depth, pointer.depth, self.floor), 1,
                              f"getelementptr i8, ptr {pointer.text}, i64 {offset.text}")
        self.declare(Memory(s.name, s.dtype, pointer, s.shape, strides, base.root, base.lanes,
                            dense=base.dense and s.strides is None))

    @abstractmethod
    def declare(self, memory: Memory) -> None:
        """Brings a buffer into scope until the innermost place closes."""

    def strides_of(self, shape: tuple[Expr, ...], strides: tuple[Expr, ...] | None) -> tuple[int | Value, ...]:
        """Strides as numbers where they are constant, else as values."""
        if strides is not None:
            return tuple(self._stride(e) for e in strides)
        found: list[int | Value] = []
        step: Expr = Const(1)
        for extent in reversed(shape):
            found.append(self._stride(step))
            step = _product((step, extent))
        return tuple(reversed(found))

    def _stride(self, e: Expr) -> int | Value:
        form = self.form(e)
        return self.sum_value(form) if form.terms else form.constant

    def allocate(self, size: Value) -> Value:
        """Memory of `size` bytes until the block ends; the slot that holds it is freed on every way out."""
        self.module.declare("tj_alloc", "ptr", "i64")
        slot = self.body.fresh()
        self.allocas += [f"  {slot} = alloca ptr", f"  store ptr null, ptr {slot}"]
        pointer = self.body.emit(f"call ptr @tj_alloc(i64 {size.text})")
        self.body.line(f"store ptr {pointer}, ptr {slot}")
        self.heaps.append(slot)
        self.all_heaps.append(slot)
        self.leave_if(self.body.emit(f"icmp eq ptr {pointer}, null"), str(OUT_OF_MEMORY))
        return Value(pointer, 1, self.depth)

    def release(self, slot: str) -> None:
        """Frees what a slot holds."""
        if (function := self.releases.get(slot)) is not None:
            self.module.declare(function, "void", "ptr")
            self.body.line(f"call void @{function}(ptr {slot})")
            return
        self.module.declare("tj_free", "void", "ptr")
        pointer = self.body.emit(f"load ptr, ptr {slot}")
        self.body.line(f"call void @tj_free(ptr {pointer})")
        self.body.line(f"store ptr null, ptr {slot}")

    # Leaving.

    def fail(self, s: Fail) -> None:
        """Payload words first, then the site as status; or off to a handler, without what the attempt allocated."""
        if s.to:
            label, live = self.handlers[s.to]
            for slot in reversed(self.heaps[live:]):
                self.release(slot)
            self.body.branch(label)
            self.body.label(self.body.fresh_label("dead"))
            return
        for k, e in enumerate(s.payload):
            self.payload_word(k, self.value(e), e)
        self.body.line(f"store i32 {s.site}, ptr {self.status}")
        self.failed = True
        self.body.branch("leave")
        self.body.label(self.body.fresh_label("dead"))

    @abstractmethod
    def payload_word(self, k: int, value: Value, e: Expr) -> None:
        """Stores one word of a failure's payload."""

    def leave_if(self, condition: str, status: str) -> None:
        """Leaves the function with a status if the i1 holds."""
        out, on = self.body.fresh_label("fail"), self.body.fresh_label("on")
        self.body.branch_if(condition, out, on, RARELY)
        self.body.label(out)
        self.body.line(f"store i32 {status}, ptr {self.status}")
        self.failed = True
        self.body.branch("leave")
        self.body.label(on)

    def poll(self, cost: str) -> None:
        """Looks at pending signals whenever the fuel, which each round of a loop takes its cost from, is used up.

        The call is said to leave memory alone: a handler raises, or changes nothing that this function reads.
        """
        self.module.declare("tj_poll", "i32", "")
        if not self.fuel:
            self.fuel = self.body.fresh()
            self.allocas += [f"  {self.fuel} = alloca i64", f"  store i64 {FUEL}, ptr {self.fuel}"]
        left = self.body.emit(f"sub i64 {self.body.emit(f'load i64, ptr {self.fuel}')}, {cost}")
        self.body.line(f"store i64 {left}, ptr {self.fuel}")
        look, on = self.body.fresh_label("poll"), self.body.fresh_label("on")
        self.body.branch_if(self.body.emit(f"icmp slt i64 {left}, 0"), look, on, RARELY)
        self.body.label(look)
        self.body.line(f"store i64 {FUEL}, ptr {self.fuel}")
        status = self.body.emit("call i32 @tj_poll() nounwind memory(inaccessiblemem: readwrite)")
        self.leave_if(self.body.emit(f"icmp ne i32 {status}, 0"), str(RAISED))
        self.body.branch(on)
        self.body.label(on)


def _product(factors: tuple[Expr, ...]) -> Expr:
    product: Expr = Const(1)
    for factor in factors:
        if isinstance(product, Const) and product.value == 1:
            product = factor
        elif not (isinstance(factor, Const) and factor.value == 1):
            product = Apply("multiply", (product, factor), I64)
    return product
