"""Convolution: a contraction whose axes of space are read through a window.

Flows in:  the vocabulary of `declare`.
Flows out: `convolution`. Its transposes and its batching are convolutions too, with other roles of the axes.

The attribute `dims` says what the axes are, as einsum does: "b01i,01io->b01o". A letter in the first operand and the
result is a batch axis, in both operands and not in the result it is summed over, in all three it separates groups. A
digit is an axis of space: of the first operand, of the window (second operand), and of the places of the window.
StableHLO's feature groups are a letter too: "b01gi,01igo->b01go".
"""
from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tracejit.base.dims import Size, dim_function
from tracejit.base.dtypes import F64
from tracejit.base.errors import DtypeError, ShapeError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Case, Op
from tracejit.ir.terms import Term, apply
from tracejit.ops.batching import Batched
from tracejit.ops.declare import NUMBER, Index, declare, refuse, require_dtype
from tracejit.ops.derivatives import Attributes, multilinear
from tracejit.ops.references import in_single

Array = NDArray[Any]
Pads = tuple[tuple[Size, Size], ...]


@dataclass(frozen=True, slots=True)
class Roles:
    """`dims` taken apart: the names of the axes of both operands and of the result."""

    lhs: str
    rhs: str
    out: str

    @staticmethod
    def of(dims: str) -> Roles:
        operands, _, out = dims.partition("->")
        lhs, _, rhs = operands.partition(",")
        return Roles(lhs, rhs, out)

    def __str__(self) -> str:
        return f"{self.lhs},{self.rhs}->{self.out}"

    @property
    def space(self) -> str:
        """The digits in order: attributes about space have one entry for each."""
        return "".join(sorted(c for c in self.lhs if c.isdigit()))

    @property
    def summed(self) -> str:
        """What is summed over, in the order of the second operand: places in the window, and letters."""
        return "".join(c for c in self.rhs if c.isdigit() or c not in self.out)

    @property
    def unused(self) -> str:
        """A letter for a new axis."""
        return next(c for c in string.ascii_lowercase if c not in str(self))


def positive(size: Size) -> Size:
    """The size, or 0 if it is negative."""
    return max(size, 0) if isinstance(size, int) else dim_function("max", size, 0)


def window_span(window: Size, dilation: int) -> Size:
    """How many places a window covers."""
    return window if dilation == 1 else (window - 1) * dilation + 1


def dilated(size: Size, dilation: int) -> Size:
    """A size with dilation - 1 gaps between neighbours; a symbolic size is at least 1 where it has gaps."""
    if dilation == 1:
        return size
    return (size - 1) * dilation + 1 if not isinstance(size, int) or size > 0 else 0


def places(size: Size, window: Size, stride: int, padding: tuple[Size, Size], lhs_dilation: int,
           rhs_dilation: int) -> Size:
    """How often a window fits. Symbolic sizes are taken to be large enough."""
    room = dilated(size, lhs_dilation) + padding[0] + padding[1] - window_span(window, rhs_dilation)
    return max(room // stride + 1, 0) if isinstance(room, int) else room // stride + 1


def _convolution_type(x: ArrayType, w: ArrayType, *, dims: str, strides: tuple[int, ...], padding: Pads,
                      lhs_dilation: tuple[int, ...], rhs_dilation: tuple[int, ...]) -> list[ArrayType]:
    require_dtype("convolution", [x, w], 0, NUMBER)
    if x.dtype is not w.dtype:
        refuse(DtypeError, "convolution", [x, w], "operands must have one dtype", "convert one first")
    roles = Roles.of(dims)
    _require_roles(x, w, roles, dims)
    for values in (strides, padding, lhs_dilation, rhs_dilation):
        if len(values) != len(roles.space):
            refuse(ShapeError, "convolution", [x, w], f"{values} must have an entry for each axis of space",
                   f"give {len(roles.space)}")
    if any(n < 1 for n in (*strides, *lhs_dilation, *rhs_dilation)):
        refuse(ShapeError, "convolution", [x, w], "strides and dilations must be positive", "use 1 for none")
    left, right = dict(zip(roles.lhs, x.shape)), dict(zip(roles.rhs, w.shape))
    made = {**left, **right}
    for c in set(left) & set(right):
        if c.isdigit():
            d = roles.space.index(c)
            made[c] = places(left[c], right[c], strides[d], padding[d], lhs_dilation[d], rhs_dilation[d])
        elif left[c] != right[c]:
            refuse(ShapeError, "convolution", [x, w], f"axis {c!r} of {dims!r} has size {left[c]} in the first and "
                   f"{right[c]} in the second", "axes with one name must have equal sizes")
    return [ArrayType(x.dtype, tuple(made[c] for c in roles.out))]


def _require_roles(x: ArrayType, w: ArrayType, roles: Roles, dims: str) -> None:
    """Every name stands once in an operand, and in two places at least; digits stand in all three."""
    strings = (roles.lhs, roles.rhs, roles.out)
    counts = {c: sum(c in s for s in strings) for s in strings for c in s}
    bad = [c for c, n in counts.items() if n < 2 or c.isdigit() and n < 3 or not c.isalnum()]
    if bad or len(roles.lhs) != x.rank or len(roles.rhs) != w.rank or any(len(set(s)) != len(s) for s in strings):
        refuse(ShapeError, "convolution", [x, w], f"dims={dims!r} does not name their axes",
               'name each axis once, in at least two places, as in "b01i,01io->b01o"')


def _convolution(x: Array, w: Array, *, dims: str, strides: tuple[int, ...], padding: tuple[tuple[int, int], ...],
                 lhs_dilation: tuple[int, ...], rhs_dilation: tuple[int, ...]) -> Array:
    """Places of the window as axes of their own, with capital letters; then einsum."""
    roles = Roles.of(dims)
    window = dict(zip(roles.rhs, np.shape(w)))
    names = {c: chr(ord("A") + 2 * k) for k, c in enumerate(roles.space)}
    inside = {c: chr(ord("B") + 2 * k) for k, c in enumerate(roles.space)}
    shape = [places(n, window[c], strides[d], padding[d], lhs_dilation[d], rhs_dilation[d])
             for d, (c, n) in enumerate((c, np.shape(x)[roles.lhs.index(c)]) for c in roles.space)]
    if any(n == 0 for n in (*shape, *window.values())):
        sizes = {**dict(zip(roles.lhs, np.shape(x))), **window, **dict(zip(roles.space, shape))}
        return np.zeros([int(sizes[c]) for c in roles.out], np.result_type(x, w))
    for d, c in enumerate(roles.space):
        x = _windows(x, roles.lhs.index(c), window[c], strides[d], padding[d], lhs_dilation[d], rhs_dilation[d])
    lhs = "".join(names.get(c, c) for c in roles.lhs) + "".join(inside[c] for c in roles.space)
    rhs, out = ("".join(table.get(c, c) for c in s) for table, s in ((inside, roles.rhs), (names, roles.out)))
    return np.asarray(np.einsum(f"{lhs},{rhs}->{out}", x, w))


def _windows(x: Array, axis: int, window: int, stride: int, padding: tuple[int, int], gaps: int, dilation: int
             ) -> Array:
    """x with the places of the window along `axis`, and what is under the window on a new last axis."""
    low, high = padding
    shape = list(x.shape)
    shape[axis] = dilated(shape[axis], gaps)
    spread = np.zeros(shape, x.dtype)
    spread[(slice(None),) * axis + (slice(None, None, gaps),)] = x
    pads = [(0, 0)] * x.ndim
    pads[axis] = max(low, 0), max(high, 0)
    cut = slice(max(-low, 0), shape[axis] + max(low, 0) + max(high, 0) - max(-high, 0))
    padded = np.pad(spread, pads)[(slice(None),) * axis + (cut,)]
    found = sliding_window_view(padded, (window - 1) * dilation + 1, axis)
    return np.asarray(found[(slice(None),) * axis + (slice(None, None, stride),)][..., ::dilation])


def _index(index: Index, k: Index, *, dims: str, strides: tuple[int, ...], padding: Pads,
           lhs_dilation: tuple[int, ...], rhs_dilation: tuple[int, ...]) -> tuple[Index, Index]:
    """Where the operands are read for one element and one term of its sum; without padding and gaps."""
    roles = Roles.of(dims)
    at, summed = dict(zip(roles.out, index)), dict(zip(roles.summed, k))
    lhs = {**at, **summed}
    for d, c in enumerate(roles.space):
        lhs[c] = at[c] * strides[d] + summed[c] * rhs_dilation[d]
    right = {**at, **summed}
    return tuple(lhs[c] for c in roles.lhs), tuple(right[c] for c in roles.rhs)


# ---- derivatives -----------------------------------------------------------------------------------------------


def _space_sizes(roles: str, term: Term, space: str) -> list[Size]:
    return [term.shape[roles.index(c)] for c in space]


def _by_lhs(ct: Term, x: Term, w: Term, dims: str, strides: tuple[int, ...], padding: Pads,
            lhs_dilation: tuple[int, ...], rhs_dilation: tuple[int, ...]) -> Term:
    """The window turned round goes over the cotangent, whose elements lie `strides` apart."""
    roles = Roles.of(dims)
    sizes = zip(_space_sizes(roles.lhs, x, roles.space), _space_sizes(roles.rhs, w, roles.space),
                _space_sizes(roles.out, ct, roles.space), strict=True)
    pads = []
    for d, (n, k, m) in enumerate(sizes):
        span = window_span(k, rhs_dilation[d])
        low = span - 1 - padding[d][0]
        pads.append((low, dilated(n, lhs_dilation[d]) + span - 1 - dilated(m, strides[d]) - low))
    turned = apply("reverse", w, axes=tuple(sorted(roles.rhs.index(c) for c in roles.space))) if roles.space else w
    return apply("convolution", ct, turned, dims=str(Roles(roles.out, roles.rhs, roles.lhs)), strides=lhs_dilation,
                 padding=tuple(pads), lhs_dilation=strides, rhs_dilation=rhs_dilation)


def _by_rhs(ct: Term, x: Term, w: Term, dims: str, strides: tuple[int, ...], padding: Pads,
            lhs_dilation: tuple[int, ...], rhs_dilation: tuple[int, ...]) -> Term:
    """The cotangent is the window: its elements lie `strides` apart."""
    roles = Roles.of(dims)
    sizes = zip(_space_sizes(roles.lhs, x, roles.space), _space_sizes(roles.rhs, w, roles.space),
                _space_sizes(roles.out, ct, roles.space), strict=True)
    if any(isinstance(n, int) and n == 0 for n in ct.shape):
        return w.like(0)
    pads = []
    for d, (n, k, m) in enumerate(sizes):
        low = padding[d][0]
        high = window_span(k, rhs_dilation[d]) + dilated(m, strides[d]) - 1 - dilated(n, lhs_dilation[d]) - low
        pads.append((low, high))
    return apply("convolution", x, ct, dims=str(Roles(roles.lhs, roles.out, roles.rhs)), strides=rhs_dilation,
                 padding=tuple(pads), lhs_dilation=lhs_dilation, rhs_dilation=strides)


def _convolution_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size,
                       recur: Any) -> Batched:
    """One more letter: of groups if both operands have the axis."""
    roles = Roles.of(attributes["dims"])
    new = roles.unused
    changed = Roles(new * batched[0] + roles.lhs, new * batched[1] + roles.rhs, new + roles.out)
    return [apply(op, *ins, **{**attributes, "dims": str(changed)})], [True]


# ---- declaration -----------------------------------------------------------------------------------------------


def _case(shapes: str, dims: str, strides: tuple[int, ...], padding: Pads, lhs_dilation: tuple[int, ...] = (),
          rhs_dilation: tuple[int, ...] = ()) -> tuple[str, dict[str, Any]]:
    ones = (1,) * len(strides)
    return shapes, {"dims": dims, "strides": strides, "padding": padding, "lhs_dilation": lhs_dilation or ones,
                    "rhs_dilation": rhs_dilation or ones}


CASES = (
    _case("[2,5,4,3] [3,2,3,4]", "b01i,01io->b01o", (1, 1), ((1, 1), (0, 1))),
    _case("[2,6,5,3] [3,2,3,4]", "b01i,01io->b01o", (2, 1), ((1, 0), (0, 0))),
    _case("[1,7,4] [2,4,3]", "b0i,0io->b0o", (1,), ((2, -1),), (1,), (3,)),
    _case("[2,4,3] [3,3,2]", "b0i,0io->b0o", (2,), ((1, 3),), (3,), (1,)),
    _case("[2,4,4,2,3] [2,2,3,2,2]", "b01gi,01igo->b01go", (1, 1), ((0, 1), (1, 0))),
    _case("[2,3,5,4] [4,3,2,2]", "bi01,oi01->bo01", (1, 2), ((0, 0), (1, 0))),
    _case("[9] [4]", "0,0->0", (1,), ((3, 3),)),
    _case("[2,2,4,4,2] [2,3,2,2,3]", "b012i,012io->b012o", (1, 1, 2), ((0, 0), (1, 1), (0, 1))),
    _case("[2,3] [3,4]", "bi,io->bo", (), ()),
    _case("[0,4,2] [2,2,3]", "b0i,0io->b0o", (1,), ((0, 0),)),
    _case("[2,3,2] [5,2,3]", "b0i,0io->b0o", (1,), ((0, 0),)))


def _cases(full: bool = False) -> Iterator[Case]:
    dtypes = sorted(NUMBER, key=lambda d: (d is not F64, d.name))
    for k, (shapes, attributes) in enumerate(CASES):
        for dtype in dtypes if full or k == 0 else dtypes[:1]:
            yield tuple(ArrayType.parse(f"{dtype}{s}") for s in shapes.split()), attributes


convolution = declare("contraction", "convolution", type_rule=_convolution_type, numpy=in_single(_convolution),
                      lower=_index, exact=False, ulps=16.0, domain=(0.25, 3.0), cases=_cases,
                      gradient=multilinear(_by_lhs, _by_rhs), batch=_convolution_batch)
