"""Growing stacks in `main`: entries are pushed, read and written inline; new memory is a call of the runtime.

Flows in:  nodes of `ops/stacks`, in program order.
Flows out: statements of `main`. Entries of `HANDLERS`.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.base.dims import product
from tracejit.base.dtypes import BOOL, I32, I64, U8
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Node, Value
from tracejit.xla_lite.kernels.elements import store
from tracejit.xla_lite.kernels.expressions import minus, plus, size_expr, times
from tracejit.xla_lite.kernels.frame import storage, storage_shape
from tracejit.xla_lite.kernels.kernel_ir import (
    NO_MEMORY,
    ONE,
    ZERO,
    Apply,
    Buffer,
    BufferRef,
    Call,
    Const,
    Expr,
    Fail,
    If,
    Load,
    Name,
)
from tracejit.xla_lite.kernels.scalars import Complex, Scalar
from tracejit.xla_lite.program import Memory, RegionLowering, handles
from tracejit.xla_lite.runtime.native import layout

LENGTH, CAPACITY = Const(layout.STACK_LENGTH // 8), Const(layout.STACK_CAPACITY // 8)
OWNER = "stacks"      # the buffer that all stacks of a run hang on


def data_word(field: int) -> Const:
    return Const((layout.STACK_HEADER + field * layout.STACK_FIELD + layout.STACK_DATA) // 8)


def row_word(field: int) -> Const:
    return Const((layout.STACK_HEADER + field * layout.STACK_FIELD + layout.STACK_ROW) // 8)


def row_bytes(type: ArrayType) -> Expr:
    return size_expr(product(type.shape) * type.dtype.bytes)


class Stack:
    """One stack, where a node uses it. fields: how many arrays an entry has."""

    def __init__(self, region: RegionLowering, handle: Value, fields: int):
        self.region, self.writer = region, region.writer
        address = region.elements.at(handle, ())
        assert not isinstance(address, Complex)
        self.header = self.memory(I64, (Const((layout.STACK_HEADER + fields * layout.STACK_FIELD) // 8),), address)

    def memory(self, dtype: object, shape: tuple[Expr, ...], address: Expr) -> str:
        """A buffer at an address."""
        name = self.writer.fresh("stack")
        self.writer.emit(Buffer(name, dtype, shape, "at", None, None, address))  # type: ignore[arg-type]
        self.writer.ready[name] = len(self.writer.blocks) - 1
        return name

    def word(self, at: Const) -> Name:
        return self.writer.let_here(Load(self.header, (at,), I64))

    def reserve(self, wanted: Expr) -> None:
        """Room for so many entries."""
        writer = self.writer
        full = writer.let_here(Apply("gt", (wanted, self.word(CAPACITY)), BOOL))
        failed = Name(writer.fresh("failed"), I32)
        writer.emit(If(full, (
            Call("tj_stack_grow", (BufferRef(self.header), wanted), failed),
            If(Apply("ne", (failed, Const(0, I32)), BOOL), (Fail(NO_MEMORY),)))))

    def rows(self, field: int, value: Value) -> str:
        """All entries of a field of scalars."""
        return self.memory(storage(value.dtype), (self.word(CAPACITY), *storage_shape(value)),
                           self.word(data_word(field)))

    def row(self, field: int, value: Value, index: Expr) -> Memory:
        """The memory of one array."""
        address = plus(self.word(data_word(field)), times(index, row_bytes(value.type)))
        return Memory(self.memory(storage(value.dtype), storage_shape(value), self.writer.let_here(address)))

    def move(self, field: int, like: Value, target: Expr, source: Expr, count: Expr) -> None:
        """Entries of a field from one place to another."""
        data, row = self.word(data_word(field)), row_bytes(like.type)
        places = [self.writer.let_here(plus(data, times(i, row))) for i in (target, source)]
        block = Buffer(self.writer.fresh("stack"), U8, (times(count, row),), "at", None, None, places[0])
        self.writer.emit(block)
        self.writer.emit(Call("memmove", (BufferRef(block.name), places[1], times(count, row))))

    def write(self, field: int, value: Value, index: Expr) -> None:
        if value.rank:
            self.region.shared.copy(value.type, self.region.shared.memory[value], self.row(field, value, index))
        else:
            store(self.writer, self.rows(field, value), (index,), self.region.elements.at(value, ()))

    def read(self, field: int, result: Value, index: Expr) -> None:
        """An entry's array is copied: the stack may change or move while it is used."""
        region, shared = self.region, self.region.shared
        if result.rank:
            shared.copy(result.type, self.row(field, result, index), region.allocate(result))
            return
        shared.scalar(result, self.load(self.rows(field, result), result, index))

    def load(self, rows: str, result: Value, index: Expr) -> Scalar:
        dtype = result.dtype
        if not dtype.is_complex:
            return self.writer.let_here(Load(rows, (index,), dtype))
        re, im = (self.writer.let_here(Load(rows, (index, Const(p)), dtype.real)) for p in (0, 1))
        return Complex(re, im, dtype)


def scalar(region: RegionLowering, value: Value) -> Expr:
    """An i64 operand, computed before anything that follows."""
    found = region.elements.at(value, ())
    assert not isinstance(found, Complex)
    return region.writer.let(found)


@handles("stack_new")
def lower_new(region: RegionLowering, node: Node) -> None:
    handle = new_stack(region, node.attributes["types"])
    region.shared.scalar(node.result, handle)


def new_stack(region: RegionLowering, types: Sequence[ArrayType]) -> Name:
    """The handle of an empty stack."""
    writer = region.writer
    outermost = writer.blocks[0]
    if OWNER not in outermost.memo:
        outermost.memo[OWNER] = True
        outermost.statements.append(Buffer(OWNER, I64, (ONE,), "stacks"))
    handle = Name(writer.fresh("handle"), I64)
    writer.depth[handle.name] = len(writer.blocks) - 1
    writer.emit(Call("tj_stack_new", (BufferRef(OWNER), Const(len(types))), handle))
    writer.emit(If(Apply("eq", (handle, ZERO), BOOL), (Fail(NO_MEMORY),)))
    header = writer.fresh("stack")
    writer.emit(Buffer(header, I64, (row_word(len(types)),), "at", None, None, handle))
    for k, type in enumerate(types):
        writer.store(header, (row_word(k),), row_bytes(type))
    return handle


@handles("stack_companion")
def lower_companion(region: RegionLowering, node: Node) -> None:
    """Made where it is asked for first."""
    writer, types, key = region.writer, node.attributes["types"], Const(node.attributes["key"])
    stack = Stack(region, node.operands[0], 0)
    handle = writer.buffer("companion", I64)
    found, failed = Name(writer.fresh("found"), I64), Name(writer.fresh("failed"), I32)
    writer.depth[found.name] = len(writer.blocks) - 1
    writer.emit(Call("tj_stack_companion", (BufferRef(stack.header), key), found))
    writer.store(handle, (), found)
    with writer.when(Apply("eq", (found, ZERO), BOOL)):
        made = new_stack(region, types)
        writer.emit(Call("tj_stack_accompany", (BufferRef(stack.header), made, key), failed))
        writer.emit(If(Apply("ne", (failed, Const(0, I32)), BOOL), (Fail(NO_MEMORY),)))
        writer.store(handle, (), made)
    region.shared.scalar(node.result, writer.let_here(Load(handle, (), I64)))


@handles("stack_release")
def lower_release(region: RegionLowering, node: Node) -> None:
    writer, stack = region.writer, Stack(region, node.operands[0], 0)
    found = Name(writer.fresh("found"), I64)
    writer.depth[found.name] = len(writer.blocks) - 1
    writer.emit(Call("tj_stack_release", (BufferRef(stack.header), Const(node.attributes["key"])), found))
    region.shared.scalar(node.result, found)


@handles("stack_push")
def lower_push(region: RegionLowering, node: Node) -> None:
    values = node.operands[1:]
    stack = Stack(region, node.operands[0], len(values))
    length = stack.word(LENGTH)
    following = region.writer.let(plus(length, ONE))
    stack.reserve(following)
    for k, value in enumerate(values):
        stack.write(k, value, length)
    region.writer.store(stack.header, (LENGTH,), following)


@handles("stack_extend")
def lower_extend(region: RegionLowering, node: Node) -> None:
    """The arrays behind the last entry, each by one copy."""
    arrays, shared = node.operands[2:], region.shared
    stack = Stack(region, node.operands[0], len(arrays))
    length = stack.word(LENGTH)
    following = region.writer.let_here(plus(length, scalar(region, node.operands[1])))
    stack.reserve(following)
    for k, array in enumerate(arrays):
        shared.copy(array.type, shared.memory[array], _behind(stack, k, array, length))
    region.writer.store(stack.header, (LENGTH,), following)


def _behind(stack: Stack, field: int, array: Value, start: Expr) -> Memory:
    """Entries from `start` on, as memory of the array's shape."""
    row = row_bytes(ArrayType(array.dtype, array.shape[1:]))
    address = plus(stack.word(data_word(field)), times(start, row))
    return Memory(stack.memory(storage(array.dtype), storage_shape(array), stack.writer.let_here(address)))


@handles("stack_pop")
def lower_pop(region: RegionLowering, node: Node) -> None:
    stack = Stack(region, node.operands[0], len(node.results))
    last = region.writer.let_here(plus(stack.word(LENGTH), Const(-1)))
    _read_all(stack, node.results, last)
    region.writer.store(stack.header, (LENGTH,), last)


@handles("stack_get")
def lower_get(region: RegionLowering, node: Node) -> None:
    stack, index = Stack(region, node.operands[0], len(node.results)), scalar(region, node.operands[1])
    still = _stays(region, node)
    for k, result in enumerate(node.results):
        if result.rank and still and _is_only_read(region, result):
            region.shared.memory[result] = stack.row(k, result, index)
        else:
            stack.read(k, result, index)


def _stays(region: RegionLowering, node: Node) -> bool:
    """Whether no stack changes behind a node of a region: entries can be read where they are."""
    nodes = region.graph.nodes
    return not any(map(_changes_stacks, nodes[nodes.index(node):]))


def _changes_stacks(node: Node) -> bool:
    if node.op.name.startswith("stack_"):
        return node.op.name not in ("stack_get", "stack_length", "stack_new")
    return node.has_effect and any(_changes_stacks(n) for _, region in node.regions() for n in region.nodes)


def _is_only_read(region: RegionLowering, value: Value) -> bool:
    """Whether nothing is computed in the memory of a value, and it does not leave its region."""
    names, places = {value}, region.plan.places
    for node in region.graph.nodes:
        names.update(v for v in node.results if v in places and places[v].kind == "alias" and places[v].of in names)
    return names.isdisjoint(region.graph.outputs) and not any(
        place.kind == "takeover" and place.of in names for place in places.values())


def _read_all(stack: Stack, results: Sequence[Value], index: Expr) -> None:
    for k, result in enumerate(results):
        stack.read(k, result, index)


@handles("stack_set")
def lower_set(region: RegionLowering, node: Node) -> None:
    values, index = node.operands[2:], scalar(region, node.operands[1])
    stack = Stack(region, node.operands[0], len(values))
    for k, value in enumerate(values):
        stack.write(k, value, index)


@handles("stack_remove")
def lower_remove(region: RegionLowering, node: Node) -> None:
    index = scalar(region, node.operands[1])
    stack = Stack(region, node.operands[0], len(node.results))
    last = region.writer.let_here(plus(stack.word(LENGTH), Const(-1)))
    _read_all(stack, node.results, index)
    count = region.writer.let_here(minus(last, index))
    for k, result in enumerate(node.results):
        stack.move(k, result, index, plus(index, ONE), count)
    region.writer.store(stack.header, (LENGTH,), last)


@handles("stack_insert")
def lower_insert(region: RegionLowering, node: Node) -> None:
    values, index = node.operands[2:], scalar(region, node.operands[1])
    stack = Stack(region, node.operands[0], len(values))
    length = stack.word(LENGTH)
    following = region.writer.let_here(plus(length, ONE))
    stack.reserve(following)
    count = region.writer.let_here(minus(length, index))
    for k, value in enumerate(values):
        stack.move(k, value, plus(index, ONE), index, count)
        stack.write(k, value, index)
    region.writer.store(stack.header, (LENGTH,), following)


@handles("stack_length")
def lower_length(region: RegionLowering, node: Node) -> None:
    region.shared.scalar(node.result, Stack(region, node.operands[0], 0).word(LENGTH))


@handles("stack_truncate")
def lower_truncate(region: RegionLowering, node: Node) -> None:
    stack = Stack(region, node.operands[0], 0)
    region.writer.store(stack.header, (LENGTH,), scalar(region, node.operands[1]))


@handles("stack_array")
def lower_array(region: RegionLowering, node: Node) -> None:
    stack = Stack(region, node.operands[0], len(node.attributes["types"]))
    source = _behind(stack, node.attributes["field"], node.result, scalar(region, node.operands[1]))
    region.shared.copy(node.result.type, source, region.allocate(node.result))
