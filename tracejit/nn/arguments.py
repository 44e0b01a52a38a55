"""What users pass, brought to one form: arrays of floats, parameters that stand along axes, checks of shapes.

Flows in:  arguments of `tj.nn` functions.
Flows out: traced arrays; ShapeError and the like at the user's line.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.dims import Size
from tracejit.base.dtypes import F64, I64
from tracejit.base.errors import ShapeError
from tracejit.base.types import ArrayType
from tracejit.tracing.building import convert, emit, lift
from tracejit.tracing.spans import current_span

Axes = int | Sequence[int]


def floats(x: Any) -> Any:
    """An array of floats; integers become float64, as in NumPy's functions."""
    array = lift(x)
    return array if array.type.dtype.is_inexact else convert(array, F64)


def like(predictions: Any, targets: Any) -> Any:
    """Targets as floats: integers take the dtype of the predictions."""
    array = lift(targets)
    return array if array.type.dtype.is_inexact else convert(array, predictions.type.dtype)


def require(holds: bool, message: str, *, why: str = "", fix: str = "") -> None:
    """Raises ShapeError at the user's line unless the claim holds."""
    if not holds:
        raise ShapeError(message, span=current_span(2), why=why, fix=fix)


def shape_text(x: Any) -> str:
    return "(" + ", ".join(str(n) for n in x.type.shape) + ")"


def normal_axes(axes: Any, rank: int) -> tuple[int, ...]:
    """Axes as non-negative numbers; None: all."""
    every = range(rank) if axes is None else axes if isinstance(axes, (tuple, list)) else (axes,)
    for axis in every:
        require(-rank <= axis < rank, f"axis {axis} is none of an array of {rank} dimensions",
                fix=f"give an axis from {-rank} to {rank - 1}")
    return tuple([axis % rank for axis in every])


def along(parameter: Any, axes: Axes, rank: int) -> Any:
    """A parameter with one size per axis in `axes`, so that it broadcasts to arrays of this rank.

    Numbers, and arrays of another rank, broadcast as they are.
    """
    array = lift(parameter)
    at = normal_axes(axes, rank)
    if array.ndim != len(at) or not at:
        return array
    sizes = dict(zip(at, array.shape, strict=True))
    return np.reshape(array, tuple([sizes.get(a, 1) for a in range(rank)]))


def positions(shape: tuple[Size, ...], axis: int) -> Any:
    """The position along `axis` of each element."""
    return emit("iota", dimension=axis, type=ArrayType(I64, shape))
