"""Convolutions: a tile of the result in registers, one vector of it for each place in the tile.

Flows in:  a body with one `convolution` in normal form (`passes/convolutions.py`): nothing outside of the input is
           read, lanes run along the last axis of the result.
Flows out: a kernel. The input is read where it lies: what a tile needs of it is one number for each place, and each
           vector of the window serves all places of the tile. Larger ones are products of blocks (`convolution_tiles`).
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product

from tracejit.base.dims import Size
from tracejit.base.dtypes import DType
from tracejit.xla_lite.kernels.convolution_axes import Axes, phases_of
from tracejit.xla_lite.kernels.convolution_tiles import Blocks, plan_of
from tracejit.xla_lite.kernels.elements import store
from tracejit.xla_lite.kernels.expressions import minus, plus, product_of, quotient, size_expr, static_value, times
from tracejit.xla_lite.kernels.frame import Frame, Request
from tracejit.xla_lite.kernels.kernel_ir import ZERO, Const, Expr, Kernel
from tracejit.xla_lite.kernels.nests import CHUNK_WORK, chunked, unflatten
from tracejit.xla_lite.kernels.totals import Total

TILE = 14           # places of a tile: with a vector of the window and one more they fill 16 registers
SYMBOLIC_TILE = 8   # of an axis whose size is not known
UNROLLED = 4        # iterations of an innermost loop that are written out


def convolution_kernel(request: Request) -> Kernel:
    """The kernel of a `convolution`."""
    frame = Frame(request, request.body)
    (node,) = request.body.nodes
    for axes in phases_of(node):
        plan = plan_of(axes)
        if plan is not None and not request.strided_outputs:
            Blocks(frame, axes, plan).generate()
        else:
            _Tiles(frame, axes).generate()
    return frame.kernel()


@dataclass(frozen=True, slots=True)
class Segment:
    """Part of an axis: `count` tiles of `length` places from `first` on."""

    first: Expr
    count: Expr
    length: int


def segments_of(size: Size, most: int) -> list[Segment]:
    """An axis in tiles of nearly equal length, at most two lengths."""
    if not isinstance(size, int):
        length = min(SYMBOLIC_TILE, most)
        whole = quotient(size_expr(size), Const(length))
        behind = times(whole, Const(length))
        rest = [Segment(behind, minus(size_expr(size), behind), 1)]
        return [Segment(ZERO, whole, length), *(rest if length > 1 else ())]
    count = -(-size // most)
    longest = -(-size // max(count, 1))
    long = size - count * (longest - 1)
    parts = [Segment(ZERO, Const(long), longest), Segment(Const(long * longest), Const(count - long), longest - 1)]
    return [s for s in parts if s.count != ZERO]


class _Tiles:
    """The places of one phase."""

    def __init__(self, frame: Frame, axes: Axes):
        self.frame, self.axes, self.writer, self.elements = frame, axes, frame.writer, frame.elements
        self.x, self.w = axes.node.operands
        self.dtype: DType = self.x.dtype

    def generate(self) -> None:
        plan = self.tiling()
        for parts in product(*(plan[c] for c in self.axes.outer)):
            self.tiles(dict(zip(self.axes.outer, parts)))

    def tiling(self) -> dict[str, list[Segment]]:
        """Tiles along the innermost axes; axes first along which the vectors of one operand serve all places."""
        roles, inner_first = self.axes.roles, self.axes.outer[::-1]
        from_window = self.axes.last.isalpha() and self.axes.last in roles.rhs
        serving = [c for c in inner_first if (c.isdigit() or c not in roles.rhs if from_window else c not in roles.lhs)]
        room, plan = TILE, {}
        for c in (*serving, *(c for c in inner_first if c not in serving)):
            plan[c] = segments_of(self.axes.places(c), room)
            room = max(1, room // max((s.length for s in plan[c]), default=1))
        return plan

    def tiles(self, parts: dict[str, Segment]) -> None:
        """All tiles of one shape."""
        w, counts = self.writer, tuple(s.count for s in parts.values())
        places = [dict(zip(parts, offsets)) for offsets in product(*(range(s.length) for s in parts.values()))]
        lanes = size_expr(self.axes.places(self.axes.last))
        terms = product_of([size_expr(n) for n in self.axes.depths.values()])
        each = times(terms, times(lanes, Const(len(places))))
        total = w.let(product_of(counts))
        chunk = max(1, CHUNK_WORK // max(static_value(each) or CHUNK_WORK // 4, 1))
        with chunked(w, total, Const(chunk), times(total, each)) as (start, count), w.loop(count, "serial", "t") as t:
            at = unflatten(plus(start, t), counts)
            first = {c: w.let(plus(s.first, times(i, Const(s.length)))) for (c, s), i in zip(parts.items(), at)}
            with w.loop(lanes, "vector", "j") as j:
                self.tile([{**{c: plus(first[c], Const(place[c])) for c in parts}, self.axes.last: j}
                           for place in places])

    def tile(self, places: Sequence[dict[str, Expr]]) -> None:
        """The elements at some places, each with its own register."""
        w, at = self.writer, self.elements.at
        sums = [Total(w, self.elements.scalars, self.dtype) for _ in places]
        for k in self.terms():
            for total, place in zip(sums, places, strict=True):
                x, y = self.axes.factors(place, k)
                total.add_product(at(self.x, x), at(self.w, y))
        for total, place in zip(sums, places, strict=True):
            store(w, self.frame.outputs[0], self.axes.index(place), total.result())

    def terms(self) -> Iterator[dict[str, Expr]]:
        """Loops over what is summed; a short innermost one is written out."""
        extents = {c: size_expr(n) for c, n in self.axes.depths.items()}
        inner = next(reversed(extents), None)
        length = None if inner is None else static_value(extents[inner])
        short = length is not None and length <= UNROLLED
        with ExitStack() as stack:
            k = {c: stack.enter_context(self.writer.loop(extent, "serial", "k"))
                 for c, extent in extents.items() if not (short and c == inner)}
            steps = [{inner: Const(n)} for n in range(length or 0)] if short and inner is not None else [{}]
            for step in steps:
                yield {**k, **step}
