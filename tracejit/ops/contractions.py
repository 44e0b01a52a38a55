"""Contractions: sums of products over shared axes.

Flows in:  the vocabulary of `declare`.
Flows out: `dot_general`, of which matmul, einsum, tensordot and outer are made.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import F64
from tracejit.base.errors import DtypeError, ShapeError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Case
from tracejit.ir.terms import Term, apply
from tracejit.ops.batching import dot_batch
from tracejit.ops.declare import ANY, Index, declare, refuse
from tracejit.ops.derivatives import multilinear
from tracejit.ops.references import in_single

Array = NDArray[Any]
Axes = tuple[int, ...]


def free_axes(rank: int, batch: Axes, contract: Axes) -> Axes:
    """Axes that are neither batch axes nor summed over, in order."""
    return tuple(a for a in range(rank) if a not in batch and a not in contract)


def _dot_type(x: ArrayType, y: ArrayType, *, lhs_batch: Axes, rhs_batch: Axes, lhs_contract: Axes,
              rhs_contract: Axes) -> list[ArrayType]:
    if x.dtype is not y.dtype:
        refuse(DtypeError, "dot_general", [x, y], "operands must have one dtype", "convert one first")
    for t, batch, contract in ((x, lhs_batch, lhs_contract), (y, rhs_batch, rhs_contract)):
        axes = (*batch, *contract)
        if len(set(axes)) != len(axes) or any(not 0 <= a < t.rank for a in axes):
            refuse(ShapeError, "dot_general", [x, y], f"axes {axes} of {t} are out of range or repeated",
                   "give each axis one role")
    pairs = [*zip(lhs_batch, rhs_batch, strict=True), *zip(lhs_contract, rhs_contract, strict=True)]
    for a, b in pairs:
        if x.shape[a] != y.shape[b]:
            refuse(ShapeError, "dot_general", [x, y], f"axis {a} of the first has size {x.shape[a]}, axis {b} of the "
                   f"second {y.shape[b]}", "paired axes must have equal sizes; transpose one operand if they do")
    left = [x.shape[a] for a in free_axes(x.rank, lhs_batch, lhs_contract)]
    right = [y.shape[a] for a in free_axes(y.rank, rhs_batch, rhs_contract)]
    return [ArrayType(x.dtype, (*(x.shape[a] for a in lhs_batch), *left, *right))]


def _dot(x: Array, y: Array, *, lhs_batch: Axes, rhs_batch: Axes, lhs_contract: Axes, rhs_contract: Axes) -> Array:
    left = free_axes(np.ndim(x), lhs_batch, lhs_contract)
    right = free_axes(np.ndim(y), rhs_batch, rhs_contract)
    lhs, rhs = np.transpose(x, lhs_batch + left + lhs_contract), np.transpose(y, rhs_batch + rhs_contract + right)
    batch, rows = lhs.shape[:len(lhs_batch)], lhs.shape[len(lhs_batch):len(lhs_batch) + len(left)]
    columns, depth = rhs.shape[len(rhs_batch) + len(rhs_contract):], lhs.shape[len(lhs_batch) + len(left):]
    size = [int(np.prod(s, dtype=np.int64)) for s in (batch, rows, depth, columns)]
    product = np.matmul(lhs.reshape(size[0], size[1], size[2]), rhs.reshape(size[0], size[2], size[3]))
    return np.asarray(product.reshape(batch + rows + columns))


def _dot_index(index: Index, k: Index, lhs_rank: int, rhs_rank: int, *, lhs_batch: Axes, rhs_batch: Axes,
               lhs_contract: Axes, rhs_contract: Axes) -> tuple[Index, Index]:
    """index: batch, lhs free, rhs free; k: one per contracted pair."""
    left, right = free_axes(lhs_rank, lhs_batch, lhs_contract), free_axes(rhs_rank, rhs_batch, rhs_contract)
    shared, middle = len(lhs_batch), len(lhs_batch) + len(left)
    at_x = dict(zip((*lhs_batch, *left, *lhs_contract), (*index[:middle], *k)))
    at_y = dict(zip((*rhs_batch, *right, *rhs_contract), (*index[:shared], *index[middle:], *k)))
    return tuple(at_x[a] for a in range(lhs_rank)), tuple(at_y[a] for a in range(rhs_rank))


def _roles(lhs_batch: Axes = (), rhs_batch: Axes = (), lhs_contract: Axes = (), rhs_contract: Axes = ()
           ) -> dict[str, Axes]:
    return {"lhs_batch": lhs_batch, "rhs_batch": rhs_batch, "lhs_contract": lhs_contract,
            "rhs_contract": rhs_contract}


DOT_CASES = ((((2, 3), (3, 4)), _roles(lhs_contract=(1,), rhs_contract=(0,))),
             (((3,), (3,)), _roles(lhs_contract=(0,), rhs_contract=(0,))),
             (((2,), (3,)), _roles()), (((), (2,)), _roles()),
             (((3, 2), (4, 3)), _roles(lhs_contract=(0,), rhs_contract=(1,))),
             (((2, 3, 4), (2, 4, 5)), _roles((0,), (0,), (2,), (1,))),
             (((3, 2, 4), (4, 5, 2)), _roles((1,), (2,), (2,), (0,))),
             (((2, 3, 4), (3, 4, 2)), _roles((), (), (1, 2), (0, 1))),
             (((2, 0), (0, 3)), _roles(lhs_contract=(1,), rhs_contract=(0,))),
             (((0, 2), (2, 3)), _roles(lhs_contract=(1,), rhs_contract=(0,))))


def _dot_cases(full: bool = False) -> Iterator[Case]:
    dtypes = sorted(ANY, key=lambda d: (d is not F64, d.name))
    for i, (shapes, roles) in enumerate(DOT_CASES):
        for dtype in dtypes if full or i == 0 else dtypes[:1]:
            yield tuple(ArrayType(dtype, s) for s in shapes), roles


def _dot_by_lhs(ct: Term, x: Term, y: Term, lhs_batch: Axes, rhs_batch: Axes, lhs_contract: Axes, rhs_contract: Axes
                ) -> Term:
    """ct has batch, free axes of x, free axes of y: the last ones are summed, which leaves those of x."""
    free_x = free_axes(x.rank, lhs_batch, lhs_contract)
    free_y = free_axes(y.rank, rhs_batch, rhs_contract)
    shared = len(lhs_batch)
    product = apply("dot_general", ct, y, lhs_batch=tuple(range(shared)), rhs_batch=rhs_batch,
                    lhs_contract=tuple(range(shared + len(free_x), ct.rank)), rhs_contract=free_y)
    # axes of the product: batch, free axes of x, then contracted axes of y in their order in y
    partner = dict(zip(rhs_contract, lhs_contract, strict=True))
    names = (*lhs_batch, *free_x, *(partner[a] for a in sorted(rhs_contract)))
    order = tuple(names.index(a) for a in range(x.rank))
    return product if order == tuple(range(x.rank)) else apply("transpose", product, permutation=order)


def _dot_by_rhs(ct: Term, x: Term, y: Term, lhs_batch: Axes, rhs_batch: Axes, lhs_contract: Axes, rhs_contract: Axes
                ) -> Term:
    """The same with the operands' parts exchanged: the free axes of x are summed."""
    free_x = free_axes(x.rank, lhs_batch, lhs_contract)
    free_y = free_axes(y.rank, rhs_batch, rhs_contract)
    shared = len(lhs_batch)
    product = apply("dot_general", x, ct, lhs_batch=lhs_batch, rhs_batch=tuple(range(shared)),
                    lhs_contract=free_x, rhs_contract=tuple(range(shared, shared + len(free_x))))
    # axes of the product: batch, contracted axes of x in their order in x, then free axes of y
    partner = dict(zip(lhs_contract, rhs_contract, strict=True))
    names = (*rhs_batch, *(partner[a] for a in sorted(lhs_contract)), *free_y)
    order = tuple(names.index(a) for a in range(y.rank))
    return product if order == tuple(range(y.rank)) else apply("transpose", product, permutation=order)


dot_general = declare("contraction", "dot_general", type_rule=_dot_type, numpy=in_single(_dot), lower=_dot_index,
                      exact=False, cases=_dot_cases,
                      gradient=multilinear(_dot_by_lhs, _dot_by_rhs), batch=dot_batch)
