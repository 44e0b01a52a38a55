"""Convolutions: a tile of the result in registers, one vector of it for each place in the tile.

Flows in:  a body with one `convolution` in normal form (`passes/convolutions.py`): no padding, no gaps, lanes along the
           last axis of the result.
Flows out: a kernel. The image is read where it lies: what a tile needs of it is one number for each place, and each
           vector of the window serves all places of the tile.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.dtypes import DType
from tracejit.ops.convolutions import Roles
from tracejit.xla_lite.kernels.elements import At, store
from tracejit.xla_lite.kernels.expressions import (
    Index,
    as_expr,
    minus,
    plus,
    product_of,
    quotient,
    size_expr,
    static_value,
    times,
)
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, Const, Expr, Kernel, Load
from tracejit.xla_lite.kernels.nests import CHUNK_WORK, chunked, unflatten
from tracejit.xla_lite.kernels.scalars import Complex, KernelScalars
from tracejit.xla_lite.kernels.writer import Writer

TILE = 14           # places of a tile: with a vector of the window and one more they fill 16 registers
SYMBOLIC_TILE = 8   # of an axis whose size is not known
UNROLLED = 4        # iterations of an innermost loop that are written out


def convolution_kernel(request: Request) -> Kernel:
    """The kernel of a `convolution`."""
    return _Convolution(Frame(request, request.body)).generate()


@dataclass(frozen=True, slots=True)
class Segment:
    """Part of an axis: `count` tiles of `length` places from `first` on."""

    first: Expr
    count: Expr
    length: int


def segments(size: Size, most: int) -> list[Segment]:
    """An axis in tiles of nearly equal length, at most two lengths."""
    if not isinstance(size, int):
        whole = quotient(size_expr(size), Const(SYMBOLIC_TILE))
        rest = minus(size_expr(size), times(whole, Const(SYMBOLIC_TILE)))
        return [Segment(ZERO, whole, SYMBOLIC_TILE), Segment(times(whole, Const(SYMBOLIC_TILE)), rest, 1)]
    count = -(-size // most)
    longest = -(-size // max(count, 1))
    long = size - count * (longest - 1)
    parts = [Segment(ZERO, Const(long), longest),
             Segment(Const(long * longest), Const(count - long), longest - 1)]
    return [s for s in parts if s.count != ZERO]


class _Convolution:
    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        (self.node,) = frame.body.nodes
        self.x, self.w = self.node.operands
        self.dtype: DType = self.x.dtype
        self.roles = Roles.of(self.node.attributes["dims"])
        *self.outer, self.last = self.roles.out
        self.sizes = dict(zip(self.roles.out, self.node.result.shape))
        window = dict(zip(self.roles.rhs, self.w.shape))
        self.depths = exprs([window[c] for c in self.roles.summed])

    def generate(self) -> Kernel:
        plan = self.tiling()
        for parts in product(*(plan[c] for c in self.outer)):
            self.tiles(dict(zip(self.outer, parts)))
        return self.frame.kernel()

    # ---- tiles --------------------------------------------------------------------------------------

    def tiling(self) -> dict[str, list[Segment]]:
        """Tiles along the innermost axes; axes first along which the vectors of one operand serve all places."""
        other = self.roles.lhs if self.last not in self.roles.rhs else self.roles.rhs
        serving = [c for c in reversed(self.outer) if c.isdigit() or c not in other]
        room, plan = TILE, {}
        for c in (*serving, *(c for c in reversed(self.outer) if c not in serving)):
            plan[c] = segments(self.sizes[c], room)
            room //= max(s.length for s in plan[c]) if plan[c] else 1
            if room < 2:
                room = 1
        return plan

    def tiles(self, parts: dict[str, Segment]) -> None:
        """All tiles of one shape."""
        w, counts = self.writer, tuple(s.count for s in parts.values())
        places = [dict(zip(parts, offsets)) for offsets in product(*(range(s.length) for s in parts.values()))]
        each = times(product_of(self.depths), times(size_expr(self.sizes[self.last]), Const(len(places))))
        total = w.let(product_of(counts))
        chunk = max(1, CHUNK_WORK // max(static_value(each) or CHUNK_WORK // 4, 1))
        with chunked(w, total, Const(chunk), times(total, each)) as (start, count), w.loop(count, "serial", "t") as t:
            at = unflatten(plus(start, t), counts)
            first = {c: w.let(plus(s.first, times(i, Const(s.length)))) for (c, s), i in zip(parts.items(), at)}
            with w.loop(size_expr(self.sizes[self.last]), "vector", "j") as j:
                self.tile([(*(plus(first[c], Const(place[c])) for c in self.outer), j) for place in places])

    def tile(self, indices: Sequence[At]) -> None:
        """The elements at `indices`, each with its own register."""
        w = self.writer
        sums = [Total(w, self.elements.scalars, self.dtype) for _ in indices]
        for k in self.terms():
            where = [self.node.op.lower(tuple(map(Index, i)), k, **self.node.attributes) for i in indices]
            for total, (at_x, at_w) in zip(sums, where, strict=True):
                x, y = (self.elements.at(v, tuple(map(as_expr, at))) for v, at in ((self.x, at_x), (self.w, at_w)))
                total.add_product(x, y)
        for total, index in zip(sums, indices, strict=True):
            store(w, self.frame.outputs[0], index, total.result())

    def terms(self) -> Iterator[tuple[Index, ...]]:
        """Loops over what is summed; a short innermost one is written out."""
        *outer, inner = self.depths or (ONE,)
        length = static_value(inner)
        with ExitStack() as stack:
            k = [stack.enter_context(self.writer.loop(n, "serial", "k")) for n in outer]
            if length is not None and length <= UNROLLED:
                steps: list[Expr] = [Const(n) for n in range(length)]
            else:
                steps = [stack.enter_context(self.writer.loop(inner, "serial", "k"))]
            for step in steps:
                yield tuple(map(Index, (*k, step)[:len(self.depths)]))


class Total:
    """A sum of products in registers: two for complex numbers."""

    def __init__(self, writer: Writer, scalars: KernelScalars, dtype: DType):
        self.writer, self.scalars, self.dtype = writer, scalars, dtype
        self.real = dtype.compute.real
        self.registers = [writer.buffer("a", self.real) for _ in range(2 if dtype.is_complex else 1)]
        for name in self.registers:
            writer.store(name, (), scalars.constant(0, self.real))

    def value(self) -> Any:
        values = [self.writer.let_here(Load(n, (), self.real)) for n in self.registers]
        return Complex(values[0], values[1], self.dtype) if self.dtype.is_complex else values[0]

    def add_product(self, x: Any, y: Any) -> None:
        b = self.scalars
        x, y, old = b.widen(x), b.widen(y), self.value()
        new = b.fma(x, y, old) if self.dtype.is_float else b.add(old, b.multiply(x, y))
        parts = (new.re, new.im) if isinstance(new, Complex) else (new,)
        for name, part in zip(self.registers, parts, strict=True):
            self.writer.store(name, (), part)

    def result(self) -> Any:
        return self.scalars.narrow(self.value(), self.dtype)
