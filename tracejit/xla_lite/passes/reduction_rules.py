"""Rules for reductions and contractions.

Flows in:  patterns over reductions and dot_general.
Flows out: rules for `canonicalize`. The measure that shrinks is the number of elements folded, or of nodes.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.graph import Value
from tracejit.ir.op import Op
from tracejit.ops.contractions import free_axes
from tracejit.ops.reductions import folded_axes
from tracejit.xla_lite.passes.rewriting import Bindings, Results, Rewriter, Rule, rewrite_each
from tracejit.xla_lite.passes.view_rules import unit_map

REPEATABLE = frozenset(("reduce_min", "reduce_max", "reduce_and", "reduce_or"))    # x combined with x is x


@rewrite_each("reduction")
def reduce_single_elements(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """Reducing axes of size 1 only, or none, is a reshape; a sum also adds its start, 0.0, which changes -0.0."""
    (x,), axes = operands, attributes.get("axes")
    if axes is None or any(x.shape[a] != 1 for a in axes):
        return None
    result = g.add("reshape", x, shape=tuple(n for a, n in enumerate(x.shape) if a not in axes))
    if op.name == "reduce_sum" and x.dtype.is_inexact and axes:
        result = g.add("add", result, g.constant(0.0, result))
    return (result,)


@rewrite_each("reduction")
def merge_reductions(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A reduction of the same reduction folds all axes at once; for float sums and products order would change."""
    inner = operands[0].node
    if inner is None or inner.op is not op or not (op.name in REPEATABLE or operands[0].dtype.is_integer):
        return None
    if "axes" not in attributes:
        return None
    x, first = inner.operands[0], inner.attributes["axes"]
    kept = [a for a in range(x.rank) if a not in first]
    return g.emit(op, [x], {"axes": tuple(sorted((*first, *(kept[a] for a in attributes["axes"]))))})


@rewrite_each("reduction")
def reduce_before_reshape(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """max(reshape(x)) = max(x) where the reshape adds or drops axes of size 1 and all axes are folded; sums of floats
    may have another order."""
    made, axes = operands[0].node, attributes.get("axes")
    if made is None or made.op.name != "reshape" or axes is None or len(axes) != operands[0].rank:
        return None
    (x,) = made.operands
    if unit_map(x.shape, operands[0].shape) is None or not (op.name in REPEATABLE or x.dtype.is_integer):
        return None
    return g.emit(op, [x], {"axes": tuple(range(x.rank))})


@rewrite_each("reduction")
def reduce_before_broadcast(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """max(x, x, ..., x) = x: axes along which a broadcast repeats need no folding."""
    made = operands[0].node
    if made is None or made.op.name != "broadcast_in_dim" or op.name not in REPEATABLE:
        return None
    (x,), shape, dims, axes = made.operands, made.attributes["shape"], made.attributes["dims"], attributes["axes"]
    own = {d for n, d in zip(x.shape, dims) if n == shape[d]}
    if all(a in own for a in axes) or not all(isinstance(shape[a], int) and shape[a] > 0 for a in axes):
        return None
    (small,) = g.emit(op, [x], {"axes": tuple(i for i, d in enumerate(dims) if d in axes)})
    place = {a: i for i, a in enumerate(a for a in range(len(shape)) if a not in axes)}
    return (g.add("broadcast_in_dim", small, shape=tuple(shape[a] for a in place),
                  dims=tuple(place[d] for d in dims if d in place)),)


@rewrite_each("reduction", exact=False)
def reduce_before_transpose(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """reduce(transpose(x)) = transpose(reduce(x)): x is read in its own order, and less is moved."""
    made = operands[0].node
    if made is None or made.op.name != "transpose":
        return None
    (x,), order, axes = made.operands, made.attributes["permutation"], folded_axes(attributes)
    folded = tuple(sorted(order[a] for a in axes))
    (small,) = g.emit(op, [x], {"axes": folded} if "axes" in attributes else {"axis": folded[0]})
    left = [order[a] for a in range(len(order)) if a not in axes]
    ranks = {a: i for i, a in enumerate(sorted(left))}
    return (g.add("transpose", small, permutation=tuple(ranks[a] for a in left)),)


@rewrite_each("dot_general")
def contract_transposed(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """dot_general names axes, so a transpose before it is a change of names, if the free axes keep their order.

    Batch axes must come first, as products are normalised to have them.
    """
    sides, roles, changed = list(operands), dict(attributes), False
    for k, side in enumerate(("lhs", "rhs")):
        made = operands[k].node
        if made is None or made.op.name != "transpose":
            continue
        order = made.attributes["permutation"]
        batch, contract = (tuple(order[a] for a in roles[f"{side}_{r}"]) for r in ("batch", "contract"))
        free = [order[a] for a in free_axes(len(order), roles[f"{side}_batch"], roles[f"{side}_contract"])]
        if free == sorted(free) and batch == tuple(range(len(batch))):
            sides[k], roles[f"{side}_batch"], roles[f"{side}_contract"] = made.operands[0], batch, contract
            changed = True
    return g.emit(op, sides, roles) if changed else None


RULES: tuple[Rule, ...] = (reduce_single_elements, merge_reductions, reduce_before_reshape, reduce_before_broadcast,
                           reduce_before_transpose, contract_transposed)
