"""`tj.vmap`: a function of one example as a function of many.

Flows in:  a function, which axes of its arguments are the examples.
Flows out: a function. In a trace, the function is recorded for one example and its graph is given one more axis.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.api.gradients import derived
from tracejit.base.dims import Size
from tracejit.base.errors import ShapeError
from tracejit.base.trees import TreeDef, flatten, flatten_with_paths, unflatten
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import lift
from tracejit.tracing.context import active
from tracejit.tracing.control.subgraph import put_back, record
from tracejit.tracing.implements import NUMPY
from tracejit.tracing.spans import current_span
from tracejit.transforms.batching import vmap as vmap_graph

Axes = Any      # int, None, or a tree of them


def vmap(fn: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0) -> Callable[..., Any]:
    """`fn` for every lane along an axis of its arguments, with the results along an axis of the result.

    in_axes: an axis or None (the same for all lanes) for each positional argument, or one for all; in place of an axis
    a tree of axes for the leaves of that argument.  out_axes: the same for the result.  Raises ShapeError for axes of
    different size.
    """
    def mapped(*args: Any) -> Any:
        return _Lanes(fn, args, in_axes).result(out_axes)

    key = (in_axes, out_axes) if _is_hashable(in_axes) and _is_hashable(out_axes) else (id(mapped),)
    return derived("vmap", fn, mapped, *key)


def _is_hashable(axes: Any) -> bool:
    return axes is None or isinstance(axes, int) or isinstance(axes, tuple) and all(map(_is_hashable, axes))


class _Lanes:
    """One call: which leaves have lanes, and how many lanes there are."""

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], in_axes: Axes):
        self.fn, self.size = fn, None
        self.leaves: list[Any] = []
        self.structures: list[TreeDef] = []
        self.axes: list[int | None] = []
        per_argument = tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(per_argument) != len(args):
            raise ShapeError(f"in_axes has {len(per_argument)} entries for {len(args)} arguments", span=current_span(2),
                             fix="give one per positional argument")
        for k, (value, axes) in enumerate(zip(args, per_argument, strict=True)):
            found, structure = flatten_with_paths(value, f"argument {k}")
            self.structures.append(structure)
            for (path, leaf), axis in zip(found, spread_axes(axes, value), strict=True):
                self.add(path, leaf, axis)
        self.require_lanes()

    size: Size | None

    def add(self, path: str, leaf: Any, axis: int | None) -> None:
        if axis is None:
            self.leaves.append(leaf)
            self.axes.append(None)
            return
        array = lift(leaf)
        rank = len(array.type.shape)
        if not -rank <= axis < rank:
            raise ShapeError(f"{path} is {array.type}: it has no axis {axis} to map over", span=current_span(2),
                             fix="map over another axis, or give None for arguments that all lanes share")
        axis %= rank
        self.check_size(path, array.type.shape[axis])
        self.leaves.append(NUMPY[np.moveaxis](array, axis, 0) if axis else array)
        self.axes.append(axis)

    def check_size(self, path: str, size: Size) -> None:
        context = active()
        assert context is not None
        if self.size is None:
            self.size = size
        elif size != self.size and not context.equal_sizes(size, self.size):
            raise ShapeError(f"{path} has {size} lanes, an argument before it {self.size}", span=current_span(2),
                             fix="map over axes of one size")

    def require_lanes(self) -> None:
        if self.size is None:
            raise ShapeError("vmap has nothing to map over: all in_axes are None", span=current_span(2),
                             fix="give at least one axis")

    def result(self, out_axes: Axes) -> Any:
        context = active()
        assert context is not None and self.size is not None
        moving = [leaf for leaf, axis in zip(self.leaves, self.axes, strict=True) if axis is not None]
        recorded = record(context.namespace, self.run, moving, [lane_type(a.type) for a in moving])
        lanes = [True] * len(moving) + [False] * len(recorded.operands)
        graph, _ = vmap_graph(recorded.graph, lanes, self.size, [True] * len(recorded.graph.outputs))
        made = put_back(context, graph, moving, recorded.operands)
        if recorded.places:
            raise ShapeError("a function under vmap changes what is outside of it", span=current_span(2),
                             why="each lane would leave another value", fix="return the value")
        result = recorded.restored(made, batched=True)
        return with_axes(result, out_axes)

    def run(self, *moving: Array) -> Any:
        context = active()
        assert context is not None
        rest = iter(moving)
        leaves = iter([leaf if axis is None else next(rest) for leaf, axis in zip(self.leaves, self.axes, strict=True)])
        args = [unflatten(s, [next(leaves) for _ in range(s.num_leaves)]) for s in self.structures]
        return context.namespace.call(self.fn, *args)


def lane_type(type: ArrayType) -> ArrayType:
    return ArrayType(type.dtype, type.shape[1:])


def spread_axes(axes: Axes, value: Any) -> list[int | None]:
    """An axis for each leaf of `value`."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(flatten(value)[0])
    children = list(axes.values()) if isinstance(axes, dict) else list(axes)
    parts = list(value.values()) if isinstance(value, dict) else list(value)
    if len(children) != len(parts):
        raise ShapeError(f"in_axes has {len(children)} entries where the argument has {len(parts)}",
                         span=current_span(2), fix="give an axis for each part, or one for all")
    return [a for axis, part in zip(children, parts, strict=True) for a in spread_axes(axis, part)]


def with_axes(result: Any, out_axes: Axes) -> Any:
    """The result with the lanes where the user wants them."""
    leaves, structure = flatten(result)
    axes: Sequence[int | None] = spread_axes(out_axes, result)
    moved = [leaf if axis in (0, None) or not isinstance(leaf, Array) else NUMPY[np.moveaxis](leaf, 0, axis)
             for leaf, axis in zip(leaves, axes, strict=True)]
    return unflatten(structure, moved)
