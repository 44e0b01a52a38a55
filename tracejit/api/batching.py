"""`tj.vmap`: a function of one example as a function of many.

Flows in:  a function, which axes of its arguments are the examples.
Flows out: a function. In a trace, the function is recorded for one example and its graph is given one more axis.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracejit.api.gradients import NUMBERS, derived, require_function
from tracejit.base.dims import Size
from tracejit.base.errors import ShapeError, SignatureError
from tracejit.base.trees import TreeDef, flatten, flatten_with_paths, node_type, unflatten
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_to, lift
from tracejit.tracing.context import active
from tracejit.tracing.control.subgraph import put_back, record
from tracejit.tracing.implements import NUMPY
from tracejit.tracing.spans import current_span
from tracejit.transforms.batching import vmap as vmap_graph

Axes = Any      # int, None, or a tree of them


def vmap(fn: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0, axis_size: int | None = None
         ) -> Callable[..., Any]:
    """`fn` for every lane along an axis of its arguments, with the results along an axis of the result.

    in_axes: an axis or None (the same for all lanes) for each positional argument, or one for all; in place of an axis
    a tree of axes, which may end above the leaves. Keyword arguments are mapped along their first axis.
    out_axes: the same for the result; None for what is the same in all lanes, which comes back once.
    axis_size: the number of lanes, needed if no argument tells.  Raises ShapeError for axes of different size.
    """
    def mapped(*args: Any, **kwargs: Any) -> Any:
        return _Lanes(fn, args, kwargs, in_axes, axis_size).result(out_axes)

    require_function("vmap", fn)
    for axes, what in ((in_axes, "in_axes"), (out_axes, "out_axes")):
        require_axes(axes, what)
    key = [(tuple(leaves), structure) for leaves, structure in (flatten(in_axes), flatten(out_axes))]
    return derived("vmap", fn, mapped, *key, axis_size)


def require_axes(axes: Axes, what: str) -> None:
    """Axes are ints."""
    for axis in flatten(axes)[0]:
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise SignatureError(f"{what} holds {axis!r}", fix=f"{what}= an int, None, or containers of them")


class _Lanes:
    """One call: which leaves have lanes, and how many lanes there are."""

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], in_axes: Axes,
                 size: int | None):
        self.fn, self.size, self.names = fn, size, tuple(kwargs)
        self.leaves: list[Any] = []
        self.structures: list[TreeDef] = []
        self.axes: list[int | None] = []
        per_argument = tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(per_argument) != len(args):
            raise ShapeError(f"in_axes has {len(per_argument)} entries for {len(args)} arguments", span=current_span(2),
                             fix="give one per positional argument")
        titles = [*(f"argument {k}" for k in range(len(args))), *kwargs]
        for title, value, axes in zip(titles, (*args, *kwargs.values()), (*per_argument, *(0 for _ in kwargs)),
                                      strict=True):
            found, structure = flatten_with_paths(value, title)
            self.structures.append(structure)
            for (path, leaf), axis in zip(found, spread_axes(axes, value, "in_axes"), strict=True):
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
                             fix="give at least one axis, or axis_size")

    def result(self, out_axes: Axes) -> Any:
        context = active()
        assert context is not None and self.size is not None
        moving = [leaf for leaf, axis in zip(self.leaves, self.axes, strict=True) if axis is not None]
        recorded = record(context.namespace, self.run, moving, [lane_type(a.type) for a in moving])
        lanes = [True] * len(moving) + [False] * len(recorded.operands)
        graph, flags = vmap_graph(recorded.graph, lanes, self.size)
        made = put_back(context, graph, moving, recorded.operands)
        if recorded.places:
            raise ShapeError("a function under vmap changes what is outside of it", span=current_span(2),
                             why="each lane would leave another value", fix="return the value")
        return with_axes(recorded.restored(made, batched=True), out_axes, iter(flags), self.size)

    def run(self, *moving: Array) -> Any:
        context = active()
        assert context is not None
        rest = iter(moving)
        leaves = iter([leaf if axis is None else next(rest) for leaf, axis in zip(self.leaves, self.axes, strict=True)])
        args = [unflatten(s, [next(leaves) for _ in range(s.num_leaves)]) for s in self.structures]
        count = len(args) - len(self.names)
        return context.namespace.call(self.fn, *args[:count], **dict(zip(self.names, args[count:], strict=True)))


def lane_type(type: ArrayType) -> ArrayType:
    return ArrayType(type.dtype, type.shape[1:])


def spread_axes(axes: Axes, value: Any, what: str) -> list[int | None]:
    """An axis for each leaf of `value`: the tree of axes begins like the value, and may end above its leaves."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(flatten(value)[0])
    own, node = node_type(axes), node_type(value)
    assert own is not None      # `require_axes`
    children = list(own.flatten(axes)[0])
    parts = list(node.flatten(value)[0]) if node is not None else []
    if isinstance(axes, dict) and isinstance(value, dict) and axes.keys() == value.keys():
        children = [axes[key] for key in value]
    elif len(children) != len(parts) or node is None or isinstance(axes, dict) or isinstance(value, dict):
        raise ShapeError(f"{what} has {flatten(axes)[1]} where the value is {flatten(value)[1]}", span=current_span(2),
                         fix="give an axis for each part, or one for all")
    return [a for axis, part in zip(children, parts, strict=True) for a in spread_axes(axis, part, what)]


def with_axes(result: Any, out_axes: Axes, batched: Iterator[bool], size: Size) -> Any:
    """The result with the lanes where the user wants them. batched: which arrays of it have lanes, as axis 0."""
    leaves, structure = flatten(result)
    axes = spread_axes(out_axes, result, "out_axes")
    return unflatten(structure, [_with_axis(leaf, axis, isinstance(leaf, Array) and next(batched), size)
                                 for leaf, axis in zip(leaves, axes, strict=True)])


def _with_axis(leaf: Any, axis: int | None, has_lanes: bool, size: Size) -> Any:
    if axis is None:
        if has_lanes:
            raise ShapeError("out_axes is None for a result that differs from lane to lane", span=current_span(2),
                             fix="give it an axis")
        return leaf
    if not isinstance(leaf, (Array, *NUMBERS)):
        return leaf
    array = lift(leaf)
    if not has_lanes:
        array = broadcast_to(array, (size, *array.type.shape))
    return NUMPY[np.moveaxis](array, 0, axis) if axis else array
