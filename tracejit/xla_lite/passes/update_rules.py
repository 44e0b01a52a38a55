"""Rules for slice updates: what is read back at once is not written, what is written over is not written first.

Flows in:  patterns over slice, dynamic_slice and dynamic_update_slice.
Flows out: rules for `canonicalize`. The measure that shrinks is the number of updates that a value passes through.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.base.dims import Size, product
from tracejit.ir.graph import Node, Value
from tracejit.ir.op import Op
from tracejit.xla_lite.passes.rewriting import Bindings, Results, Rewriter, Rule, rewrite_each, splat

Shape = tuple[Size, ...]
Interval = tuple[Size, Size]


def is_below(x: Size, y: Size) -> bool:
    """Whether x <= y, whatever the symbolic sizes are."""
    difference = y - x
    return difference >= 0 if isinstance(difference, int) else all(count >= 0 for _, count in difference.terms)


def constant_starts(starts: Sequence[Value], source: Shape, window: Shape) -> Shape | None:
    """Starts that are constants and need no clamping."""
    numbers = [splat(s) for s in starts]
    fits = all(n is not None and n >= 0 and is_below(n + size, whole)
               for n, size, whole in zip(numbers, window, source, strict=True))
    return tuple(map(int, numbers)) if fits else None


def update_below(value: Value) -> Node | None:
    """The slice update that makes a value."""
    node = value.node
    return node if node is not None and node.op.name == "dynamic_update_slice" else None


def disappears(g: Rewriter) -> bool:
    """Whether nothing needs the updated array in memory, of which a slice is being rewritten.

    Else that slice is better read from there: what was written is not computed twice, and the array from before is
    free to be overwritten.
    """
    found = g.read_by()
    if found is None:
        return False
    value, readers = found
    return all(n.operands.count(value) == 1 and _needs_parts_only(n, value) for n in readers)


def _needs_parts_only(node: Node, value: Value) -> bool:
    """A slice of what was written or of what was not, or an update that covers what was written."""
    update = update_below(value)
    if update is None or node.operands[0] is not value:
        return False
    target, new = update.operands[:2]
    if node.op.name == "dynamic_slice":
        return node.operands[1:] == update.operands[2:] and node.attributes["sizes"] == new.shape
    starts = constant_starts(update.operands[2:], target.shape, new.shape)
    if node.op.name == "slice" and starts is not None:
        read = list(zip(node.attributes["start"], node.attributes["limit"], strict=True))
        written = spans(starts, new.shape)
        return is_inside(read, written) or is_apart(read, written)
    if node.op.name != "dynamic_update_slice":
        return False
    if node.operands[2:] == update.operands[2:] and node.operands[1].shape == new.shape:
        return True
    later = constant_starts(node.operands[2:], target.shape, node.operands[1].shape)
    return starts is not None and later is not None \
        and is_inside(spans(starts, new.shape), spans(later, node.operands[1].shape))


def spans(start: Shape, shape: Shape) -> list[Interval]:
    """Begin and end on each axis."""
    return [(a, a + n) for a, n in zip(start, shape, strict=True)]


def is_inside(inner: Sequence[Interval], outer: Sequence[Interval]) -> bool:
    return all(is_below(a, c) and is_below(d, b) for (c, d), (a, b) in zip(inner, outer, strict=True))


def is_apart(x: Sequence[Interval], y: Sequence[Interval]) -> bool:
    """Whether two rectangles share no element."""
    return any(is_below(b, c) or is_below(d, a) for (a, b), (c, d) in zip(x, y, strict=True))


@rewrite_each("slice")
def slice_update(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A slice that lies in what was just written reads the update; one beside it reads the array from before."""
    update = update_below(operands[0])
    if update is None:
        return None
    target, new = update.operands[:2]
    starts = constant_starts(update.operands[2:], target.shape, new.shape)
    if starts is None or not disappears(g):
        return None
    written, read = spans(starts, new.shape), list(zip(attributes["start"], attributes["limit"], strict=True))
    if is_inside(read, written):
        begin = tuple(a - s for a, s in zip(attributes["start"], starts, strict=True))
        end = tuple(b - s for b, s in zip(attributes["limit"], starts, strict=True))
        return (g.add("slice", new, start=begin, limit=end, stride=attributes["stride"]),)
    return (g.add("slice", target, **attributes),) if is_apart(read, written) else None


@rewrite_each("dynamic_slice")
def slice_same_window(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """The window that was just written is the update."""
    update = update_below(operands[0])
    same = update is not None and update.operands[2:] == tuple(operands[1:]) \
        and update.operands[1].shape == attributes["sizes"]
    if update is None or not same or product(attributes["sizes"]) != 1 and not disappears(g):
        return None
    return (update.operands[1],)


@rewrite_each("dynamic_update_slice")
def update_whole(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """An update of everything is the update: its starts are clamped to 0."""
    return (operands[1],) if operands[1].shape == operands[0].shape else None


@rewrite_each("dynamic_update_slice")
def update_with_itself(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """Writing back what was read there changes nothing."""
    target, new, *starts = operands
    read = new.node
    if read is None or not read.operands or read.operands[0] is not target:
        return None
    if read.op.name == "dynamic_slice":
        return (target,) if read.operands[1:] == tuple(starts) else None
    known = constant_starts(starts, target.shape, new.shape)
    same = read.op.name == "slice" and read.attributes["start"] == known and set(read.attributes["stride"]) <= {1}
    return (target,) if same else None


@rewrite_each("dynamic_update_slice")
def update_over_update(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """What a later update covers need not be written before, unless somebody reads it between."""
    before = update_below(operands[0])
    if before is None:
        return None
    if g.uses(operands[0]) > 1:
        g.declined = True
        return None
    target, new, starts = before.operands[0], operands[1], operands[2:]
    if before.operands[2:] == tuple(starts) and before.operands[1].shape == new.shape:
        return (g.add("dynamic_update_slice", target, *operands[1:]),)
    first = constant_starts(before.operands[2:], target.shape, before.operands[1].shape)
    second = constant_starts(starts, target.shape, new.shape)
    if first is None or second is None \
            or not is_inside(spans(first, before.operands[1].shape), spans(second, new.shape)):
        return None
    return (g.add("dynamic_update_slice", target, *operands[1:]),)


RULES: tuple[Rule, ...] = (slice_update, slice_same_window, update_whole, update_with_itself, update_over_update)
