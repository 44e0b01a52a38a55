"""Views: ops that move elements without computing.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `view`; `lower` maps an output index to the operand index read there.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dims import Size
from tracejit.base.errors import DtypeError, ShapeError, TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.terms import Term, apply, constant, total
from tracejit.ops.batching import (
    all_lifted,
    broadcast_batch,
    pad_batch,
    reshape_batch,
    shifted_axes,
    shifted_axis,
    slice_batch,
    transpose_batch,
)
from tracejit.ops.declare import (
    Condition,
    Index,
    Piece,
    Piecewise,
    refuse,
    require_axes,
    require_axis,
    view,
)
from tracejit.ops.derivatives import linear

Array = NDArray[Any]
Shape = tuple[Size, ...]


# ---- broadcast_in_dim ------------------------------------------------------------------------------------------


def _broadcast_type(x: ArrayType, *, shape: Shape, dims: tuple[int, ...]) -> list[ArrayType]:
    if len(dims) != len(x.shape):
        refuse(ShapeError, "broadcast_in_dim", [x], f"dims={dims} must name an output axis for each of {x.rank} axes",
               "give one per operand axis")
    before = -1
    for n, d in zip(x.shape, dims):
        if not before < d < len(shape):
            refuse(ShapeError, "broadcast_in_dim", [x], f"dims={dims} must increase and stay below {len(shape)}",
                   "transpose first to change the order of axes")
        if n != 1 and n != shape[d]:
            refuse(ShapeError, "broadcast_in_dim", [x], f"size {n} can't become size {shape[d]} of axis {d} in "
                   f"{ArrayType(x.dtype, shape)}", "only axes of size 1 expand")
        before = d
    return [ArrayType(x.dtype, shape)]


def _broadcast(x: Array, shape: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    aligned = [1] * len(shape)
    for n, d in zip(np.shape(x), dims):
        aligned[d] = n
    return np.broadcast_to(np.reshape(x, aligned), shape)


def _broadcast_index(index: Index, source: Shape, target: Shape, *, shape: Shape, dims: tuple[int, ...]) -> Index:
    return tuple(0 if n == 1 else index[d] for n, d in zip(source, dims))


def _broadcast_transpose(ct: Term, x: Term, shape: Shape, dims: tuple[int, ...]) -> Term:
    """Sums over new axes and over those that grew from size 1."""
    grown = [d for n, d in zip(x.shape, dims) if n == 1 and shape[d] != 1]
    summed = total(ct, sorted({*range(len(shape))} - {*dims} | {*grown}))
    return apply("reshape", summed, shape=x.shape) if grown else summed


broadcast_in_dim = view("broadcast_in_dim", type_rule=_broadcast_type, numpy=_broadcast, index=_broadcast_index, cases=[
    (((3,),), {"shape": (2, 3), "dims": (1,)}), (((2,),), {"shape": (2, 3), "dims": (0,)}),
    (((),), {"shape": (2, 3), "dims": ()}), (((2, 1),), {"shape": (2, 4), "dims": (0, 1)}),
    (((1, 3),), {"shape": (2, 5, 3), "dims": (0, 2)}), (((1,),), {"shape": (0, 2), "dims": (0,)})],
                        gradient=linear(_broadcast_transpose), batch=broadcast_batch)


# ---- reshape ---------------------------------------------------------------------------------------------------


def _reshape_type(x: ArrayType, *, shape: Shape) -> list[ArrayType]:
    before, after = math.prod(x.shape), math.prod(shape)
    if before != after:
        refuse(ShapeError, "reshape", [x], f"it has {before} elements, shape {_shape(shape)} has {after}",
               "choose a shape with the same number of elements")
    return [ArrayType(x.dtype, shape)]


def _shape(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


def reshape_groups(source: Shape, target: Shape) -> list[tuple[list[int], list[int]]]:
    """Shortest runs of source and target axes that hold the same elements, axes of size 1 left out.

    (6, n, 1) -> (2, 3, n): [([0], [0, 1]), ([1], [2])]. Index arithmetic is needed within a run only.
    """
    rows = [i for i, n in enumerate(source) if n != 1]
    columns = [i for i, n in enumerate(target) if n != 1]
    ends: dict[Size, int] = {}
    total: Size = 1
    for at, i in enumerate(columns):
        total = total * target[i]
        ends[total] = at + 1
    groups, start, stop, total = [], 0, 0, 1
    for at, i in enumerate(rows):
        total = total * source[i]
        if (end := ends.get(total, 0)) > stop:
            groups.append((rows[start:at + 1], columns[stop:end]))
            start, stop = at + 1, end
    if start < len(rows) or stop < len(columns):
        groups.append((rows[start:], columns[stop:]))
    return groups


def _reshape_index(index: Index, source: Shape, target: Shape, *, shape: Shape) -> Index:
    found: list[Any] = [0] * len(source)
    for rows, columns in reshape_groups(source, target):
        flat: Any = 0
        for c in columns:
            flat = index[c] if c == columns[0] else flat * target[c] + index[c]
        for r in reversed(rows[1:]):
            found[r], flat = flat % source[r], flat // source[r]
        if rows:
            found[rows[0]] = flat
    return tuple(found)


reshape = view("reshape", type_rule=_reshape_type, numpy=lambda x, shape: np.reshape(x, shape), index=_reshape_index,
               cases=[(((2, 6),), {"shape": (3, 4)}), (((2, 3),), {"shape": (6,)}), (((),), {"shape": (1, 1)}),
                      (((6, 5, 1),), {"shape": (2, 3, 5)}), (((2, 3, 4),), {"shape": (4, 1, 6)}),
                      (((0, 3),), {"shape": (3, 0, 2)}), (((1,),), {"shape": ()})],
               gradient=linear(lambda ct, x, shape: apply("reshape", ct, shape=x.shape)), batch=reshape_batch)


# ---- transpose, slice, reverse ---------------------------------------------------------------------------------


def _transpose_type(x: ArrayType, *, permutation: tuple[int, ...]) -> list[ArrayType]:
    if len(permutation) != len(x.shape) or sorted(permutation) != list(range(len(x.shape))):
        refuse(ShapeError, "transpose", [x], f"permutation={permutation} is no order of {x.rank} axes",
               f"name each axis from 0 to {x.rank - 1} once")
    return [ArrayType(x.dtype, tuple(x.shape[p] for p in permutation))]


def inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    """Where each axis went: inverse(p)[p[i]] = i."""
    found = [0] * len(permutation)
    for i, p in enumerate(permutation):
        found[p] = i
    return tuple(found)


transpose = view("transpose", type_rule=_transpose_type, numpy=lambda x, permutation: np.transpose(x, permutation),
                 index=lambda index, source, target, permutation: tuple(index[i] for i in inverse(permutation)),
                 cases=[(((2, 3, 4),), {"permutation": (2, 0, 1)}), (((2, 3),), {"permutation": (1, 0)}),
                        (((),), {"permutation": ()}), (((0, 1, 3),), {"permutation": (2, 1, 0)})],
                 gradient=linear(lambda ct, x, permutation: apply("transpose", ct, permutation=inverse(permutation))),
                 batch=transpose_batch)


def _slice_type(x: ArrayType, *, start: Shape, limit: Shape, stride: tuple[int, ...]) -> list[ArrayType]:
    if not len(start) == len(limit) == len(stride) == len(x.shape):
        refuse(ShapeError, "slice", [x], f"start, limit and stride must have {x.rank} entries", "give one per axis")
    return [ArrayType(x.dtype, tuple(_extent(x, *part) for part in zip(x.shape, start, limit, stride)))]


def _extent(x: ArrayType, size: Size, start: Size, limit: Size, stride: int) -> Size:
    if isinstance(start, int) and isinstance(limit, int) and not (
            0 <= start <= limit and (not isinstance(size, int) or limit <= size)) or stride < 1:
        refuse(ShapeError, "slice", [x], f"start {start}, limit {limit}, stride {stride} do not fit size {size}",
               "keep 0 <= start <= limit <= size and stride >= 1; reverse first for negative strides")
    return limit - start if stride == 1 else (limit - start + (stride - 1)) // stride


def _slice_index(index: Index, source: Shape, target: Shape, *, start: Shape, limit: Shape,
                 stride: tuple[int, ...]) -> Index:
    scaled = [i if step == 1 else i * step for i, step in zip(index, stride)]
    return tuple(i if isinstance(s, int) and s == 0 else i + s for i, s in zip(scaled, start))


def _slice_transpose(ct: Term, x: Term, start: Shape, limit: Shape, stride: tuple[int, ...]) -> Term:
    """Zeros around and between; what a stride left over at the end as well."""
    zero = constant(ct, 0, ArrayType(ct.dtype))
    spans = [(m - 1) * s + 1 if s > 1 and m != 0 else m for m, s in zip(ct.shape, stride)]
    high = tuple(n - a - span for n, a, span in zip(x.shape, start, spans))
    return apply("pad", ct, zero, low=start, high=high, interior=tuple(s - 1 for s in stride))


slice_ = view("slice", type_rule=_slice_type, index=_slice_index,
              numpy=lambda x, start, limit, stride: np.asarray(x)[tuple(map(slice, start, limit, stride))],
              cases=[(((4, 5),), {"start": (1, 0), "limit": (3, 5), "stride": (1, 2)}),
                     (((7,),), {"start": (1,), "limit": (7,), "stride": (3,)}),
                     (((3, 2),), {"start": (2, 0), "limit": (2, 2), "stride": (1, 1)}),
                     (((),), {"start": (), "limit": (), "stride": ()})],
              gradient=linear(_slice_transpose, gaps=True), batch=slice_batch)


def _axes_type(x: ArrayType, *, axes: tuple[int, ...]) -> list[ArrayType]:
    require_axes("reverse", x, axes)
    return [x]


reverse = view("reverse", type_rule=_axes_type, numpy=lambda x, axes: np.flip(x, axes),
               index=lambda index, source, target, axes: tuple(
                   target[a] - 1 - i if a in axes else i for a, i in enumerate(index)),
               cases=[(((2, 3),), {"axes": (1,)}), (((2, 3),), {"axes": (0, 1)}), (((4,),), {"axes": ()}),
                      (((0, 3),), {"axes": (0,)})],
               gradient=linear(lambda ct, x, axes: apply("reverse", ct, axes=axes)), batch=all_lifted(shifted_axes))


# ---- pad, concatenate ------------------------------------------------------------------------------------------


def _pad_type(x: ArrayType, value: ArrayType, *, low: Shape, high: Shape, interior: tuple[int, ...]
              ) -> list[ArrayType]:
    if value.shape != () or value.dtype is not x.dtype:
        refuse(TypeRuleError, "pad", [x, value], f"the padding value must be a {x.dtype}[]", "convert it first")
    if not len(low) == len(high) == len(interior) == len(x.shape):
        refuse(ShapeError, "pad", [x, value], f"low, high and interior must have {x.rank} entries",
               "give one per axis")
    if any(isinstance(n, int) and n < 0 for n in (*low, *high, *interior)):
        refuse(ShapeError, "pad", [x, value], f"padding {low}, {high}, {interior} is negative", "slice instead")
    return [ArrayType(x.dtype, tuple(a + n + between * _gaps(n) + b if between else a + n + b
                                     for n, a, b, between in zip(x.shape, low, high, interior)))]


def _gaps(size: Size) -> Size:
    """Places between neighbours. A symbolic size is at least 1 where interior padding is used."""
    return max(size - 1, 0) if isinstance(size, int) else size - 1


def _pad(x: Array, value: Array, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...]) -> Array:
    shape = tuple(a + n + between * max(n - 1, 0) + b
                  for n, a, b, between in zip(np.shape(x), low, high, interior))
    out = np.full(shape, value, np.asarray(x).dtype)
    out[tuple(slice(a, a + n * (between + 1), between + 1) if n else slice(0, 0)
              for a, n, between in zip(low, np.shape(x), interior))] = x
    return out


def _pad_pieces(index: Index, sources: Sequence[Shape], target: Shape, *, low: Shape, high: Shape,
                interior: tuple[int, ...]) -> tuple[Piece, ...]:
    where, at = [], []
    for axis, (i, n, a, b, between) in enumerate(zip(index, sources[0], low, high, interior)):
        if _is_zero(a) and _is_zero(b) and between == 0:
            at.append(i)
            continue
        where.append(Condition(axis, a, a + n + between * _gaps(n), between + 1))
        inner = i if _is_zero(a) else i - a
        at.append(inner // (between + 1) if between else inner)
    return Piece(0, tuple(where), tuple(at)), Piece(1, (), ())


def _is_zero(size: Size) -> bool:
    return isinstance(size, int) and size == 0


def _pad_transpose(ct: Term, x: Term, value: Term, low: Shape, high: Shape, interior: tuple[int, ...]
                   ) -> tuple[Term, Term]:
    limit = tuple(a + n + between * _gaps(n) for n, a, between in zip(x.shape, low, interior))
    inner = apply("slice", ct, start=low, limit=limit, stride=tuple(b + 1 for b in interior))
    return inner, total(ct, range(ct.rank)) - total(inner, range(ct.rank))


pad = view("pad", type_rule=_pad_type, numpy=_pad, index=Piecewise(_pad_pieces), cases=[
    (((2, 3), ()), {"low": (1, 0), "high": (0, 2), "interior": (0, 1)}),
    (((3,), ()), {"low": (2,), "high": (1,), "interior": (0,)}),
    (((3,), ()), {"low": (0,), "high": (0,), "interior": (0,)}), (((), ()), {"low": (), "high": (), "interior": ()}),
    (((0, 2), ()), {"low": (1, 1), "high": (1, 0), "interior": (2, 0)})],
           gradient=linear(_pad_transpose), batch=pad_batch)


def _concatenate_type(*xs: ArrayType, axis: int) -> list[ArrayType]:
    if not xs:
        refuse(TypeRuleError, "concatenate", xs, "it needs at least one operand", "pass an array")
    first = xs[0]
    require_axis("concatenate", first, axis)
    total: Size = 0
    for x in xs:
        if x.dtype is not first.dtype:
            refuse(DtypeError, "concatenate", xs, "operands must have one dtype", "convert them first")
        if x.rank != first.rank or x.shape[:axis] != first.shape[:axis] or x.shape[axis + 1:] != first.shape[axis + 1:]:
            refuse(ShapeError, "concatenate", xs, f"shapes must agree except along axis {axis}",
                   "reshape or broadcast first")
        total = total + x.shape[axis]
    return [ArrayType(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1:]))]


def _concatenate_pieces(index: Index, sources: Sequence[Shape], target: Shape, *, axis: int) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    low: Size = 0
    for k, shape in enumerate(sources):
        high = low + shape[axis]
        at = index[axis] if _is_zero(low) else index[axis] - low
        where = () if k == len(sources) - 1 else (Condition(axis, low, high),)
        pieces.append(Piece(k, where, (*index[:axis], at, *index[axis + 1:])))
        low = high
    return tuple(pieces)


def _concatenate_transpose(ct: Term, *xs: Term, axis: int) -> list[Term]:
    found, low = [], 0
    for x in xs:
        start = tuple(low if a == axis else 0 for a in range(x.rank))
        limit = tuple(low + n if a == axis else n for a, n in enumerate(x.shape))
        found.append(apply("slice", ct, start=start, limit=limit, stride=(1,) * x.rank))
        low = low + x.shape[axis]     # type: ignore[assignment]
    return found


concatenate = view("concatenate", type_rule=_concatenate_type, numpy=lambda *xs, axis: np.concatenate(xs, axis),
                   index=Piecewise(_concatenate_pieces),
                   cases=[(((2, 3), (1, 3)), {"axis": 0}), (((2, 3), (2, 2), (2, 1)), {"axis": 1}),
                          (((4,),), {"axis": 0}), (((0, 2), (2, 2)), {"axis": 0})],
                   gradient=linear(_concatenate_transpose), batch=all_lifted(shifted_axis))
