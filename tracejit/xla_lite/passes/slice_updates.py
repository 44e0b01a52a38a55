"""What a slice update writes, and how what it writes depends on the array that it changes.

Flows in:  `dynamic_update_slice` nodes, in a graph or in the body of a fusion.
Flows out: `Window`; `reads_of_target`, which decides whether an update may be computed straight into its place.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tracejit.base.dims import Size, product, substitute_size
from tracejit.ir.graph import Graph, Node, Value

Reads = Literal["none", "same", "other"]

STORED = ("scatter", "reduction", "cumulative", "library", "contraction", "window")     # arrays of their own
TYPICAL = 64     # what a symbolic size is taken for when two sizes are compared


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of an array at a place that is known while compiling."""

    start: tuple[int, ...]
    shape: tuple[Size, ...]

    def is_within(self, other: Window) -> bool:
        """Whether it surely lies inside the other one."""
        if self == other:
            return True
        sizes = (*self.shape, *other.shape)
        return all(isinstance(n, int) for n in sizes) and all(
            b <= a and a + n <= b + m  # type: ignore[operator]
            for a, n, b, m in zip(self.start, self.shape, other.start, other.shape, strict=True))


def window_of(update: Node) -> Window | None:
    """What a slice update writes, if that is always the same. `update`: the node, or the fusion with it."""
    node = update
    if update.op.name == "fusion" and update.attributes["kind"] == "scatter":
        body: Graph = update.attributes["body"]
        assert body.outputs[0].node is not None
        node = body.outputs[0].node
    if node.op.name != "dynamic_update_slice":
        return None
    starts = [_number(v) for v in node.operands[2:]]
    known = tuple(s for s in starts if s is not None)
    return Window(known, node.operands[1].shape) if len(known) == len(starts) else None


def _number(value: Value) -> int | None:
    node = value.node
    if node is None or node.op.name != "constant" or isinstance(node.attributes["value"], tuple):
        return None
    return int(node.attributes["value"])


def reads_of_target(update: Node) -> Reads:
    """Where new values read the array that is updated: nowhere, the element that they replace only, or elsewhere.

    Single elements don't count: they are read before.
    """
    target, found = update.operands[0], False
    todo = [(update.operands[1], True)]
    seen = set(todo)
    while todo:
        value, here = todo.pop()
        if value is target:
            return "other"
        node = value.node
        if node is None or node.op.kind in STORED or _is_read_before(node, target):
            continue
        if here and target in node.operands and node.operands.count(target) == 1 and is_same_window(node, update):
            found = True
            below = [v for v in node.operands if v is not target]
        else:
            below = list(node.operands)
        for v in below:
            item = (v, here and node.op.kind == "pointwise")
            if item not in seen:
                seen.add(item)
                todo.append(item)
    return "same" if found else "none"


def _is_read_before(node: Node, target: Value) -> bool:
    """Whether a single element of an array in memory is read, which `main` does."""
    in_memory = target.node is None or target.node.op.kind in ("scatter", "control")
    return in_memory and node.op.name == "gather" and node.operands[0] is target and not node.result.rank \
        and not any(v.rank for v in node.operands[1:])


def is_same_window(read: Node, update: Node) -> bool:
    """Whether a slice of the target reads exactly what the update writes, or the same columns of another row."""
    if read.operands[0] is not update.operands[0] or read.results[0].shape != update.operands[1].shape:
        return False
    places = read.operands[1:] if read.op.name == "dynamic_slice" else read.attributes.get("start", ())
    plain = read.op.name == "dynamic_slice" or read.op.name == "slice" and set(read.attributes["stride"]) <= {1}
    return plain and all(n == 1 or x is y or x == _number(y)
                         for x, y, n in zip(places, update.operands[2:], read.results[0].shape, strict=True))


def is_computed_in_place(update: Node) -> bool:
    """Whether the new values of a slice update are best computed where they go.

    If they read elements elsewhere in the same array, they need a second array then: worth it if most of it is new.
    """
    if update.op.name != "dynamic_update_slice":
        return False
    return reads_of_target(update) != "other" or window_of(update) is not None and \
        2 * _typical(update.operands[1].shape) >= _typical(update.operands[0].shape)


def _typical(shape: tuple[Size, ...]) -> int:
    sizes = {s: TYPICAL for n in shape if not isinstance(n, int) for s in n.symbols()}
    total = substitute_size(product(shape), sizes)
    return total if isinstance(total, int) else 0
