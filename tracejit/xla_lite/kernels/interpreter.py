"""Runs Kernel IR over NumPy buffers, element by element: the oracle for backends. Slow.

Flows in:  a program, the words of its slots and outputs as Python numbers and arrays, Python stand-ins for C symbols.
Flows out: the status; arrays are written in place. An index outside its buffer raises IndexError.
"""
from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.dtypes import DType
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Apply,
    Attempt,
    Binding,
    Buffer,
    BufferParam,
    BufferRef,
    Call,
    Const,
    Expr,
    Fail,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Param,
    Program,
    Statement,
    Store,
    TileMatmul,
    TileTranspose,
    While,
)
from tracejit.xla_lite.kernels.scalar_functions import apply_scalar, from_bits, round_to, to_bits

Word = Any    # a number or an array
Symbol = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `main` returned, and the payload of the `Fail` that ended it."""

    status: int = 0
    payload: tuple[Any, ...] = ()
    outputs: tuple[np.ndarray[Any, Any], ...] = ()    # allocated by `main`; their addresses stand in `outs`


@dataclass(slots=True)
class Memory:
    """A buffer: bytes, where element 0 is, and how indices are laid out."""

    name: str
    dtype: DType
    bytes: np.ndarray[Any, Any]
    base: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def at(self, index: tuple[int, ...]) -> int:
        """The byte where an element begins."""
        if len(index) != len(self.shape):
            raise IndexError(f"{self.name}: {len(index)} indices for rank {len(self.shape)}")
        for axis, (i, n) in enumerate(zip(index, self.shape)):
            if not 0 <= i < n:
                raise IndexError(f"{self.name}: index {i} is out of bounds for axis {axis} with size {n}")
        return self.base + self.dtype.bytes * sum(i * s for i, s in zip(index, self.strides))

    def read(self, index: tuple[int, ...]) -> Any:
        at = self.at(index)
        return from_bits(self.bytes[at:at + self.dtype.bytes], self.dtype)

    def write(self, index: tuple[int, ...], value: Any) -> None:
        at = self.at(index)
        self.bytes[at:at + self.dtype.bytes] = to_bits(value, self.dtype)


@dataclass(frozen=True, slots=True)
class _Element:
    """An element of a block."""

    memory: Memory
    index: tuple[int, ...]

    @property
    def value(self) -> Any:
        return self.memory.read(self.index)


class Failure(Exception):
    """A `Fail` on its way out, or to a handler."""

    def __init__(self, site: int, payload: tuple[Any, ...], to: str) -> None:
        super().__init__(site)
        self.outcome, self.to = Outcome(site, payload), to


def run_program(program: Program, slots: Sequence[Word], outs: Sequence[np.ndarray[Any, Any]] = (),
                symbols: Mapping[str, Symbol] | None = None) -> Outcome:
    """Runs `main`. slots, outs: numbers and arrays at the indices that the bindings name."""
    kernels = {k.name: k for k in program.kernels}
    main = program.main
    given = {b.param: _given(b, slots, outs) for b in program.bindings}
    try:
        frame = _Frame(kernels, symbols or {}, main, [given[p.name] for p in main.params])
        with np.errstate(all="ignore"):
            frame.block(main.body)
    except Failure as failure:
        return failure.outcome
    return Outcome(outputs=tuple(frame.outputs))


def run_kernel(kernel: Kernel, arguments: Sequence[Word], symbols: Mapping[str, Symbol] | None = None) -> None:
    """Runs one kernel that calls no other."""
    with np.errstate(all="ignore"):
        _Frame({}, symbols or {}, kernel, arguments).block(kernel.body)


def _given(binding: Binding, slots: Sequence[Word], outs: Sequence[np.ndarray[Any, Any]]) -> Word:
    if binding.source == "slots":
        return slots
    return (slots if binding.source == "slot" else outs)[binding.index]


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def _bytes_of(array: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """All bytes that an array spans, and where its first element is among them."""
    if array.size == 0:
        return np.zeros(0, np.uint8), 0
    low, high = np.lib.array_utils.byte_bounds(array)
    return _bytes_at(low, high - low), array.ctypes.data - low


def _bytes_at(address: int, count: int) -> np.ndarray[Any, Any]:
    if not count:
        return np.zeros(0, np.uint8)
    return np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(address))


class _Frame:
    """One activation of a kernel."""

    def __init__(self, kernels: Mapping[str, Kernel], symbols: Mapping[str, Symbol], kernel: Kernel,
                 arguments: Sequence[Word]) -> None:
        self.kernels, self.symbols = kernels, symbols
        self.names: dict[str, Any] = {}
        self.buffers: dict[str, Memory] = {}
        self.outputs: list[np.ndarray[Any, Any]] = []
        pairs: list[tuple[Param, Word]] = list(zip(kernel.params, arguments, strict=True))
        for p, word in pairs:
            if not isinstance(p, BufferParam):
                self.names[p.name] = round_to(word, p.dtype)
        for p, word in pairs:
            if isinstance(p, BufferParam):
                self.buffers[p.name] = self._param(p, word)

    def _param(self, p: BufferParam, word: Word) -> Memory:
        shape = self.sizes(p.shape)
        strides = self.sizes(p.strides) if p.strides is not None else _row_major(shape)
        memory, base = (word.bytes, word.base) if isinstance(word, Memory) else _bytes_of(word)
        return Memory(p.name, p.dtype, memory, base, shape, strides)

    def sizes(self, shape: tuple[Expr, ...]) -> tuple[int, ...]:
        return tuple(int(self.value(e)) for e in shape)

    # Expressions.

    def value(self, e: Expr) -> Any:
        if isinstance(e, Const):
            return round_to(e.value, e.dtype)
        if isinstance(e, Load):
            return self.buffers[e.buffer].read(self.sizes(e.index))
        if isinstance(e, Apply):
            return apply_scalar(e.fn, [self.value(x) for x in e.args], e.args[0].dtype, e.dtype)
        return self.names[e.name]

    # Statements.

    def block(self, body: tuple[Statement, ...]) -> None:
        """Runs statements; buffers and names that they declare end with them."""
        names, buffers = dict(self.names), dict(self.buffers)
        self.open(body)
        self.names, self.buffers = names, buffers

    def open(self, body: tuple[Statement, ...]) -> None:
        """Runs statements whose names stay."""
        for s in body:
            _RUN[type(s)](self, s)

    def loop(self, s: Loop) -> None:
        for n in range(int(self.value(s.extent))):
            outer = self.names.get(s.index)
            self.names[s.index] = np.int64(n)
            self.block(s.body)
            self.names[s.index] = outer

    def while_loop(self, s: While) -> None:
        while True:
            self.open(s.before)
            if not self.value(s.condition):
                return
            self.block(s.body)

    def branch(self, s: If) -> None:
        self.block(s.then if self.value(s.condition) else s.orelse)

    def let(self, s: Let) -> None:
        self.names[s.name] = self.value(s.value)

    def store(self, s: Store) -> None:
        self.buffers[s.buffer].write(self.sizes(s.index), self.value(s.value))

    def accumulate(self, s: Accumulate) -> None:
        index = self.sizes(s.index)
        values = [self.value(v) for v in s.values]
        states = [self.buffers[b].read(index) for b in s.buffers]
        outer = dict(self.names)
        for name, value in zip((*s.combine.left, *s.combine.right), (*states, *values)):
            self.names[name.name] = value
        results = [self.value(e) for e in s.combine.results]
        self.names = outer
        for b, result in zip(s.buffers, results):
            self.buffers[b].write(index, result)

    def buffer(self, s: Buffer) -> None:
        shape = self.sizes(s.shape)
        strides = self.sizes(s.strides) if s.strides is not None else _row_major(shape)
        if s.of is not None and s.space != "output":
            root = self.buffers[s.of]
            self.buffers[s.name] = Memory(s.name, s.dtype, root.bytes, root.base + int(self.value(s.offset)), shape,
                                          strides)
            return
        count = 1 + sum((n - 1) * step for n, step in zip(shape, strides)) if all(shape) else 0
        if s.space == "at":
            content = _bytes_at(int(self.value(s.offset)), count * s.dtype.bytes)
        else:
            content = np.full(count * s.dtype.bytes, 0xFB if s.space != "stacks" else 0, np.uint8)
        self.buffers[s.name] = Memory(s.name, s.dtype, content, 0, shape, strides)
        if s.space == "output":
            assert s.of is not None
            self.buffers[s.of].write((0,), content.ctypes.data)
            self.outputs.append(content)

    def call(self, s: Call) -> None:
        arguments = [self._part(a) if isinstance(a, BufferRef) else self.value(a) for a in s.args]
        if (kernel := self.kernels.get(s.function)) is not None:
            _Frame(self.kernels, self.symbols, kernel, arguments).block(kernel.body)
            return
        result = self.symbols[s.function](*arguments)
        if s.result is not None:
            self.names[s.result.name] = round_to(result, s.result.dtype)

    def _part(self, a: BufferRef) -> Memory:
        memory = self.buffers[a.buffer]
        if not a.index:
            return memory
        base = memory.base + memory.dtype.bytes * sum(i * s for i, s in zip(self.sizes(a.index), memory.strides))
        return Memory(memory.name, memory.dtype, memory.bytes, base, memory.shape, memory.strides)

    def tile_matmul(self, s: TileMatmul) -> None:
        add = bool(self.value(s.add))
        for i, j in np.ndindex(*self.sizes((s.rows, s.columns))):
            total = self._tile(s.target, i, j).value if add else 0.0
            for k in range(int(self.value(s.depth))):
                x = self._tile(s.x, k, i) if s.turned else self._tile(s.x, i, k)
                total = apply_scalar("fma", [x.value, self._tile(s.y, k, j).value, round_to(total, x.memory.dtype)],
                                     x.memory.dtype, x.memory.dtype)
            target = self._tile(s.target, i, j)
            target.memory.write(target.index, round_to(total, target.memory.dtype))

    def tile_transpose(self, s: TileTranspose) -> None:
        for i, j in np.ndindex(*self.sizes((s.rows, s.columns))):
            target = self._tile(s.target, j, i)
            target.memory.write(target.index, self._tile(s.source, i, j).value)

    def _tile(self, a: BufferRef, i: int, j: int) -> _Element:
        """The element i, j of a block."""
        *batch, row, column = self.sizes(a.index)
        return _Element(self.buffers[a.buffer], (*batch, row + i, column + j))

    def fail(self, s: Fail) -> None:
        raise Failure(s.site, tuple(self.value(e) for e in s.payload), s.to)

    def attempt(self, s: Attempt) -> None:
        names, buffers = dict(self.names), dict(self.buffers)
        try:
            self.block(s.body)
        except Failure as failure:
            if failure.to not in s.targets():
                raise
            self.names, self.buffers = names, buffers
            self.block(s.handlers[s.targets().index(failure.to)])


_RUN: dict[type, Callable[..., None]] = {    # fixed table
    Loop: _Frame.loop, While: _Frame.while_loop, If: _Frame.branch, Let: _Frame.let, Store: _Frame.store,
    Accumulate: _Frame.accumulate, Buffer: _Frame.buffer, Call: _Frame.call, Fail: _Frame.fail,
    Attempt: _Frame.attempt, TileMatmul: _Frame.tile_matmul, TileTranspose: _Frame.tile_transpose}

