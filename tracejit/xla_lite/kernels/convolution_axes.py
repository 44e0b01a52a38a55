"""The axes of a convolution in normal form, for places of the result that read the same elements of the window.

Flows in:  a `convolution`, and for each axis of space whose input has gaps which of its places are meant.
Flows out: `Axes`: how many places and terms there are, where they are read, and how far one step moves in every array.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from tracejit.base.dims import Size
from tracejit.ir.graph import Node
from tracejit.ops.convolutions import Roles
from tracejit.xla_lite.kernels.elements import At
from tracejit.xla_lite.kernels.expressions import plus, times
from tracejit.xla_lite.kernels.kernel_ir import Const, Expr


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of space. Place s reads element k of the window at (s * stride + k * dilation + start) / gaps, where
    that is a whole number: places phase, phase + gaps, ... read elements first, first + gaps, ..."""

    stride: int
    dilation: int
    gaps: int
    start: int
    phase: int

    @property
    def first(self) -> int:
        return -(self.start + self.phase) % self.gaps

    @property
    def shift(self) -> int:
        """Where the first place reads the first of its elements."""
        return (self.start + self.phase + self.first) // self.gaps


ONE_TO_ONE = Axis(1, 1, 1, 0, 0)


def phases_of(node: Node) -> Iterator[Axes]:
    """The places of the result, those together that read the same elements of the window."""
    for phases in product(*(range(gaps) for gaps in node.attributes["lhs_dilation"])):
        yield Axes(node, phases)


class Axes:
    """Some places of the result: one phase of each axis of space.

    outer, last: the axes of the result; lanes run along the last one.  depths: how much is summed over, by axis.
    """

    def __init__(self, node: Node, phases: Sequence[int]):
        a = node.attributes
        self.node, self.roles = node, Roles.of(a["dims"])
        self.space = {c: Axis(a["strides"][d], a["rhs_dilation"][d], a["lhs_dilation"][d], -a["padding"][d][0], phase)
                      for (d, c), phase in zip(enumerate(self.roles.space), phases, strict=True)}
        self.outer, self.last = list(self.roles.out[:-1]), self.roles.out[-1]
        self.sizes: dict[str, Size] = dict(zip(self.roles.out, node.result.shape, strict=True))
        self.window = dict(zip(self.roles.rhs, node.operands[1].shape, strict=True))
        self.depths = {c: self._every(self.window[c], self.axis(c).first, self.axis(c).gaps)
                       for c in self.roles.summed}
        self.strides = [_strides(names, shape) for names, shape in zip(
            (self.roles.lhs, self.roles.rhs, self.roles.out),
            (*(v.shape for v in node.operands), node.result.shape), strict=True)]

    def axis(self, c: str) -> Axis:
        return self.space.get(c, ONE_TO_ONE)

    @staticmethod
    def _every(size: Size, first: int, step: int) -> Size:
        """How many of first, first + step, ... are below size."""
        return size if step == 1 else (size - first + step - 1) // step

    def places(self, c: str) -> Size:
        """How many places there are along an axis of the result."""
        return self._every(self.sizes[c], self.axis(c).phase, self.axis(c).gaps)

    # ---- elements -----------------------------------------------------------------------------------

    def index(self, place: dict[str, Expr]) -> At:
        """The element of the result at a place."""
        return tuple(plus(times(place[c], Const(self.axis(c).gaps)), Const(self.axis(c).phase)) for c in self.roles.out)

    def factors(self, place: dict[str, Expr], k: dict[str, Expr]) -> tuple[At, At]:
        """Where the operands are read for one term of the sum."""
        left, right = {**place, **k}, {**place, **k}
        for c, axis in self.space.items():
            stride, dilation = (axis.stride, axis.dilation) if axis.gaps == 1 else (1, 1)
            moved = plus(times(place[c], Const(stride)), times(k[c], Const(dilation)))
            left[c] = plus(moved, Const(axis.shift))
            right[c] = plus(times(k[c], Const(axis.gaps)), Const(axis.first))
        return tuple(left[c] for c in self.roles.lhs), tuple(right[c] for c in self.roles.rhs)

    # ---- memory -------------------------------------------------------------------------------------

    def step_of_place(self, c: str) -> tuple[Size, Size, Size]:
        """How far the next place along an axis is in the operands and in the result, in elements."""
        lhs, rhs, out = self.strides
        axis = self.axis(c)
        return lhs.get(c, 0) * (axis.stride if axis.gaps == 1 else 1), 0 if c.isdigit() else rhs.get(c, 0), \
            out[c] * axis.gaps

    def step_of_term(self, c: str) -> tuple[Size, Size, Size]:
        """The same for the next term of the sum."""
        lhs, rhs, _ = self.strides
        axis = self.axis(c)
        return lhs[c] * (axis.dilation if axis.gaps == 1 else 1), rhs[c] * axis.gaps, 0

    def offsets(self) -> tuple[Size, Size, Size]:
        """Where the first place reads first, and where it is."""
        lhs, rhs, out = self.strides
        return (sum((lhs[c] * a.shift for c, a in self.space.items()), 0),
                sum((rhs[c] * a.first for c, a in self.space.items()), 0),
                sum((out[c] * a.phase for c, a in self.space.items()), 0))


def _strides(names: str, shape: Sequence[Size]) -> dict[str, Size]:
    """How far apart neighbours along each axis are, in elements."""
    found: dict[str, Size] = {}
    stride: Size = 1
    for c, n in zip(reversed(names), reversed(shape), strict=True):
        found[c] = stride
        stride = stride * n
    return found
