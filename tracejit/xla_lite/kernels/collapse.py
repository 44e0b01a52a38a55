"""Merges neighbouring axes that every access of a body treats alike: [a,b,c] elementwise is one loop over a*b*c.

Flows in:  the body of a fusion, and which of its parameters have strides of their own.
Flows out: an equal body of lower rank; parameters and outputs keep their memory and change their shape.

Method: each value that is read at the position of the loop has a map from its axes to the axes of the domain. A
boundary between two domain axes may go if every map has both sides next to each other or neither.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.base.dims import Size, product
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ops.reductions import folded_axes

Axes = tuple[int, ...]      # domain axis of each axis of a value; -1 for a unit axis that is none


def collapse(body: Graph, domain: Sequence[Size], strided: frozenset[int] = frozenset()) -> Graph:
    """The body over fewer axes; the same graph if no axes can go. strided: numbers of parameters with strides."""
    if len(domain) < 2:
        return body
    maps = _Maps(body, tuple(domain), strided)
    groups = maps.groups()
    return body if len(groups) == len(domain) else _rewrite(body, maps, groups)


class _Maps:
    """Which domain axis each axis of each value is, and the boundaries that must stay."""

    def __init__(self, body: Graph, domain: tuple[Size, ...], strided: frozenset[int]):
        self.domain, self.body = domain, body
        self.axes: dict[Value, Axes] = {}
        self.walls: set[int] = set()       # a stays apart from a - 1
        self.elsewhere: set[Value] = set()     # read at other positions too: keeps its shape
        for value in body.outputs:
            self.place(value, self.output_axes(value))
        for node in reversed(body.nodes):
            if node.results[0] in self.elsewhere:
                self.elsewhere.update(node.operands)
            if self.axes.get(node.results[0]) is not None or node.op.kind == "reduction":
                self.operands_of(node)
        for value in self.elsewhere & self.axes.keys():
            self.wall_in(self.axes[value])
            self.keep_units(self.axes[value])
        for i, param in enumerate(body.params):
            if i in strided and param in self.axes:
                self.wall_in(self.axes[param])
        for axes in self.axes.values():
            self.check(axes)

    def output_axes(self, value: Value) -> Axes:
        if value.node is not None and value.node.op.kind == "reduction":
            return self.reduced(value.node)
        if value.shape == self.domain:
            return tuple(range(len(self.domain)))
        reduction = next(n for n in self.body.nodes if n.op.kind == "reduction")
        kept = self.reduced(reduction)
        return kept + (-1,) * (value.rank - len(kept))

    def reduced(self, node: Node) -> Axes:
        gone = folded_axes(node.attributes)
        if "axis" in node.attributes:
            self.walls.update((node.attributes["axis"], node.attributes["axis"] + 1))
        for a in range(1, len(self.domain)):
            if (a in gone) != (a - 1 in gone):
                self.walls.add(a)
        return tuple(a for a in range(len(self.domain)) if a not in gone)

    def place(self, value: Value, axes: Axes) -> None:
        before = self.axes.setdefault(value, axes)
        if before != axes:
            self.keep_apart(value)

    def keep_apart(self, value: Value) -> None:
        """Nothing is known about how the value is read: no axis that it has may go."""
        self.walls.update(range(len(self.domain) + 1))
        self.axes.setdefault(value, ())

    def operands_of(self, node: Node) -> None:
        axes = self.axes.get(node.results[0])
        if node.op.kind == "pointwise":
            for v in node.operands:
                self.place(v, axes or ())
        elif node.op.kind == "reduction":
            self.reduced(node)
            self.place(node.operands[0], tuple(range(len(self.domain))))
        elif node.op.name == "broadcast_in_dim":
            self.place(node.operands[0], self.below_broadcast(node, axes or ()))
        elif node.op.name == "iota":
            axis = (axes or ())[node.attributes["dimension"]]
            self.walls.update((axis, axis + 1))
        elif node.operands:
            self.wall_in(axes or ())
            self.keep_units(axes or ())
            self.elsewhere.update(node.operands)
        elif node.op.name == "constant" and isinstance(node.attributes["value"], tuple):
            self.wall_in(axes or ())

    def wall_in(self, axes: Axes) -> None:
        """Each of these axes stays as it is."""
        self.walls.update(a for b in axes if b >= 0 for a in (b, b + 1))

    def keep_units(self, axes: Axes) -> None:
        """No axis goes if unit axes that are none stand side by side: they would become one."""
        if (-1, -1) in zip(axes, axes[1:], strict=False):
            self.walls.update(range(len(self.domain)))

    def below_broadcast(self, node: Node, axes: Axes) -> Axes:
        operand, shape = node.operands[0], node.attributes["shape"]
        return tuple(axes[d] if operand.shape[i] == shape[d] and not (operand.shape[i] == 1) else -1
                     for i, d in enumerate(node.attributes["dims"]))

    def check(self, axes: Axes) -> None:
        """A boundary stays if this map has one side of it only, or the sides apart."""
        position = {a: i for i, a in enumerate(axes) if a >= 0}
        for a in range(1, len(self.domain)):
            here, before = position.get(a), position.get(a - 1)
            if (here is None) != (before is None) or here is not None and before is not None and here != before + 1:
                self.walls.add(a)

    def groups(self) -> list[Axes]:
        """Runs of domain axes that become one; axes of size 1 join where they stand."""
        groups: list[list[int]] = []
        for a in range(len(self.domain)):
            if groups and a not in self.walls:
                groups[-1].append(a)
            else:
                groups.append([a])
        return [tuple(g) for g in groups]


def _rewrite(body: Graph, maps: _Maps, groups: list[Axes]) -> Graph:
    group_of = {a: g for g, axes in enumerate(groups) for a in axes}

    def merged(value: Value) -> ArrayType:
        axes = maps.axes.get(value)
        return value.type if axes is None else ArrayType(value.dtype, _merged_shape(value.shape, axes, group_of))

    graph = Graph([merged(p) for p in body.params])
    env: dict[Value, Value] = dict(zip(body.params, graph.params, strict=True))
    for node in body.nodes:
        attributes = _merged_attributes(node, maps.axes, group_of, merged)
        made = graph.emit(node.op, [env[v] for v in node.operands], attributes, node.span)
        env.update(zip(node.results, made, strict=True))
    graph.outputs = tuple(env[v] for v in body.outputs)
    return graph


def _runs(axes: Axes, group_of: dict[int, int]) -> list[list[int]]:
    """Positions of `axes` by group; neighbouring unit axes that are none are one."""
    runs: list[list[int]] = []
    for i, a in enumerate(axes):
        if runs and group_of.get(axes[i - 1], -1) == group_of.get(a, -1):
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _merged_shape(shape: Sequence[Size], axes: Axes, group_of: dict[int, int]) -> tuple[Size, ...]:
    return tuple(product(shape[i] for i in run) for run in _runs(axes, group_of))


def _merged_attributes(node: Node, axes_of: dict[Value, Axes], group_of: dict[int, int],
                       merged: Callable[[Value], ArrayType]) -> dict[str, Any]:
    result, attributes = node.results[0], node.attributes
    if node.op.kind == "reduction":
        operand = axes_of[node.operands[0]]
        if "axis" in attributes:
            return {**attributes, "axis": group_of[operand[attributes["axis"]]]}
        return {**attributes, "axes": tuple(sorted({group_of[operand[a]] for a in attributes["axes"]}))}
    if axes_of.get(result) is None:
        return attributes
    if node.op.name == "broadcast_in_dim":
        return _merged_broadcast(node, axes_of, group_of, merged)
    if node.op.name in ("constant", "iota"):
        dimension = {"dimension": _position(axes_of[result], attributes["dimension"], group_of)} \
            if node.op.name == "iota" else {}
        return {**attributes, **dimension, "type": merged(result)}
    return attributes


def _merged_broadcast(node: Node, axes_of: dict[Value, Axes], group_of: dict[int, int],
                      merged: Callable[[Value], ArrayType]) -> dict[str, Any]:
    result, operand = node.results[0], node.operands[0]
    runs = _runs(axes_of[operand], group_of)
    dims = tuple(_position(axes_of[result], node.attributes["dims"][run[0]], group_of) for run in runs)
    return {"shape": merged(result).shape, "dims": dims}


def _position(axes: Axes, axis: int, group_of: dict[int, int]) -> int:
    """Which run of a value's axes `axis` belongs to."""
    return next(i for i, run in enumerate(_runs(axes, group_of)) if axis in run)
