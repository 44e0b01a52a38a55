"""Ops without operands: constants, counters and sizes.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `source`.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import I64
from tracejit.base.errors import DtypeError, ShapeError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Case
from tracejit.ops.declare import ANY, REAL, SHAPES, declare, names_of, refuse
from tracejit.ops.derivatives import ZERO

Array = NDArray[Any]


def _constant_type(*, value: Any, type: ArrayType) -> list[ArrayType]:
    if isinstance(value, tuple) and len(value) != type.size:
        refuse(ShapeError, "constant", [type], f"{len(value)} values for {type.size} elements", "give one per element")
    return [type]


def _constant(value: Any, type: ArrayType) -> Array:
    """Python integers wrap, as NumPy's own constants in expressions would after conversion."""
    shape = tuple(int(n) for n in type.shape)     # type: ignore[arg-type]
    values = np.array([_wrapped(v, type) for v in (value if isinstance(value, tuple) else (value,))], type.dtype.numpy)
    return np.broadcast_to(values.reshape(shape if isinstance(value, tuple) else ()), shape)


def _wrapped(value: Any, type: ArrayType) -> Any:
    if not type.dtype.is_integer:
        return value
    low = 1 << (type.dtype.bits - 1) if type.dtype.is_signed else 0
    return (int(value) + low) % (1 << type.dtype.bits) - low


def _constant_cases(full: bool = False) -> Iterator[Case]:
    for dtype in sorted(ANY, key=lambda d: d.name):
        yield (), {"value": 1, "type": ArrayType(dtype, (2, 3))}
    for shape in SHAPES:
        yield (), {"value": -0.0, "type": ArrayType.parse("f64").with_shape(shape)}
    yield (), {"value": (1.5, float("inf"), float("nan"), -0.0), "type": ArrayType.parse("f32[2,2]")}
    yield (), {"value": (1, 2, 3), "type": ArrayType.parse("i64[3]")}
    yield (), {"value": complex(1, -0.0), "type": ArrayType.parse("c64[2]")}


# A scalar value is a splat of `type`; a tuple holds the elements in row-major order: generators place it in memory,
# `lower` is asked for splats only.
constant = declare("source", "constant", type_rule=_constant_type, numpy=_constant, cost=0, cases=_constant_cases,
                   lower=lambda b, index, value, type: b.constant(value, type.dtype.compute),
                   gradient=ZERO)


def _iota_type(*, dimension: int, type: ArrayType) -> list[ArrayType]:
    if type.dtype not in REAL:
        refuse(DtypeError, "iota", [type], f"it counts in {names_of(REAL)}", "convert the result")
    if not 0 <= dimension < type.rank:
        refuse(ShapeError, "iota", [type], f"dimension {dimension} is no axis of it", "count along an axis")
    return [type]


def _iota(dimension: int, type: ArrayType) -> Array:
    shape = tuple(int(n) for n in type.shape)     # type: ignore[arg-type]
    along = np.arange(shape[dimension]).astype(type.dtype.numpy)
    return np.broadcast_to(along.reshape([-1 if a == dimension else 1 for a in range(len(shape))]), shape)


iota = declare("source", "iota", type_rule=_iota_type, numpy=_iota, cost=0,
               lower=lambda b, index, dimension, type: b.convert(index[dimension], type.dtype.compute),
               cases=[*(("", {"dimension": 0, "type": ArrayType(d, (5,))}) for d in sorted(REAL, key=str)),
                      ("", {"dimension": 1, "type": ArrayType(I64, (2, 3))}),
                      ("", {"dimension": 0, "type": ArrayType(I64, (0, 2))})],
               gradient=ZERO)


# The run-time value of a size, a polynomial of symbols.
dimension = declare("source", "dimension", type_rule=lambda *, size: [ArrayType(I64)], cost=0,
                    numpy=lambda size: np.int64(size), lower=lambda b, index, size: b.dimension(size),
                    cases=[("", {"size": 7})],
                    gradient=ZERO)
