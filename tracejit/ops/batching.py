"""The vocabulary of batching: what ops do on operands with one new leading axis.

Flows in:  terms, of which some have a new leading axis of one size.
Flows out: rules `batch(op, ins, batched, attributes, size, recur) -> results, which of them are batched`. An op without
           a rule of its own or of its kind runs in a loop over the lanes.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply, apply_all, build, constant, iota, select, size_of, spread
from tracejit.ops.derivatives import Attributes

Batched = tuple[list[Term], list[bool]]
Rule = Callable[..., Batched]


def lifted(x: Term, is_batched: bool, size: Size) -> Term:
    """The term with the leading axis, the same in every lane if it has none yet."""
    return x if is_batched else spread(x, (size, *x.shape), (0,))


def all_lifted(change: Callable[..., dict[str, Any]] = lambda ins, size, **attributes: attributes) -> Rule:
    """All operands get the axis; `change(operand types before, size, **attributes)` gives the new attributes."""
    def rule(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
             ) -> Batched:
        changed = change(ins, size, **attributes)
        results = apply_all(op, [lifted(x, b, size) for x, b in zip(ins, batched, strict=True)], changed)
        return results, [True] * len(results)

    return rule


def shifted_axes(ins: Sequence[Term], size: Size, axes: Sequence[int]) -> dict[str, Any]:
    return {"axes": tuple(a + 1 for a in axes)}


def shifted_axis(ins: Sequence[Term], size: Size, axis: int, **others: Any) -> dict[str, Any]:
    return {"axis": axis + 1, **others}


def to_front(x: Term, axis: int) -> Term:
    """Moves one axis to the front."""
    if axis == 0:
        return x
    return apply("transpose", x, permutation=(axis, *(a for a in range(x.rank) if a != axis)))


def lanes(near: Term, size: Size, shape: Sequence[Size]) -> Term:
    """The number of the lane, in the shape (size, *shape)."""
    return iota(near, (size, *shape), 0)


def in_a_loop(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
              ) -> Batched:
    """One op, one lane after the other."""
    probe = Graph([lane_type(x, b) for x, b in zip(ins, batched, strict=True)])
    types = [v.type for v in probe.emit(op, probe.params, dict(attributes))]
    return over_lanes(ins, batched, types, size, lambda mine, i: apply_all(op, mine, dict(attributes), i))


def over_lanes(ins: Sequence[Term], batched: Sequence[bool], types: Sequence[ArrayType], size: Size,
               call: Callable[[list[Term], Term], list[Term]]) -> Batched:
    """A loop over the lanes: `call(operands of one lane, its number)` gives results of `types`."""
    zero = constant(ins[0], 0, ArrayType(I64))
    outs = [spread(constant(ins[0], 0, ArrayType(t.dtype)), (size, *t.shape), range(1 + len(t.shape))) for t in types]

    def body(i: Term, *terms: Term) -> list[Term]:
        memory, operands = terms[:len(outs)], terms[len(outs):]
        mine = [apply("gather", x, i, axes=(0,)) if b else x for x, b in zip(operands, batched, strict=True)]
        return [apply("scatter", m, x, i, axes=(0,), combine="set")
                for m, x in zip(memory, call(mine, i), strict=True)]

    region = build([ArrayType(I64), *(t.type for t in (*outs, *ins))], body)
    results = apply_all("for", [zero, size_of(ins[0], size), zero + 1, *outs, *ins],
                        {"body": region, "carries": len(outs)})
    return results, [True] * len(results)


def lane_type(x: Term, is_batched: bool) -> ArrayType:
    return ArrayType(x.dtype, x.shape[1:]) if is_batched else x.type


# ---- rules of kinds --------------------------------------------------------------------------------------------

KINDS: dict[str, Rule] = {
    "pointwise": all_lifted(),
    "reduction": all_lifted(lambda ins, size, **attributes: shifted_axes(ins, size, **attributes)
                            if "axes" in attributes else shifted_axis(ins, size, **attributes)),
    "cumulative": all_lifted(shifted_axis)}


# ---- views -----------------------------------------------------------------------------------------------------

broadcast_batch = all_lifted(lambda ins, size, shape, dims: {
    "shape": (size, *shape), "dims": (0, *(d + 1 for d in dims))})
reshape_batch = all_lifted(lambda ins, size, shape: {"shape": (size, *shape)})
transpose_batch = all_lifted(lambda ins, size, permutation: {"permutation": (0, *(p + 1 for p in permutation))})
slice_batch = all_lifted(lambda ins, size, start, limit, stride: {
    "start": (0, *start), "limit": (size, *limit), "stride": (1, *stride)})


def pad_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
              ) -> Batched:
    """A padding value that differs from lane to lane is put where a padded mask says."""
    x = lifted(ins[0], batched[0], size)
    low, high, interior = ((0, *attributes[k]) for k in ("low", "high", "interior"))
    if not batched[1]:
        return [apply(op, x, ins[1], low=low, high=high, interior=interior)], [True]
    mask = apply("compare", x, x, direction="EQ")
    ones = select(mask, _true(mask), _true(mask))
    inside = apply(op, ones, constant(x, False, ArrayType(ones.dtype)), low=low, high=high, interior=interior)
    padded = apply(op, x, constant(x, 0, ArrayType(x.dtype)), low=low, high=high, interior=interior)
    return [select(inside, padded, spread(ins[1], padded.shape, range(1, padded.rank)))], [True]


def _true(mask: Term) -> Term:
    return mask.like(True)


# ---- gather and scatter ----------------------------------------------------------------------------------------


def gather_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
                 ) -> Batched:
    (x, *indices), axes = ins, tuple(attributes["axes"])
    if not any(batched[1:]):
        rank = indices[0].rank
        return [to_front(apply(op, x, *indices, axes=tuple(a + 1 for a in axes)), rank)], [True]
    places = [lifted(i, b, size) for i, b in zip(indices, batched[1:], strict=True)]
    if not batched[0]:
        return [apply(op, x, *places, axes=axes)], [True]
    lane = _lane_index(places[0], size)
    return [apply(op, x, lane, *places, axes=(0, *(a + 1 for a in axes)))], [True]


def _lane_index(like: Term, size: Size) -> Term:
    """The number of the lane, in the shape and dtype of batched indices."""
    return iota(like, like.shape, 0, like.dtype)


def scatter_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
                  ) -> Batched:
    (x, updates, *indices), axes = ins, tuple(attributes["axes"])
    x, updates = lifted(x, batched[0], size), lifted(updates, batched[1], size)
    places = [lifted(i, b, size) for i, b in zip(indices, batched[2:], strict=True)]
    axes = (0, *(a + 1 for a in axes))
    result = apply(op, x, updates, _lane_index(places[0], size), *places, axes=axes, combine=attributes["combine"])
    return [result], [True]


def dynamic_slice_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size,
                        recur: Any) -> Batched:
    x, *starts = ins
    sizes = tuple(attributes["sizes"])
    if not any(batched[1:]):
        zero = constant(x, 0, ArrayType(starts[0].dtype if starts else I64))
        return [apply(op, x, zero, *starts, sizes=(size, *sizes))], [True]
    shape = x.shape[1:] if batched[0] else x.shape
    places = _window_indices(starts, batched[1:], shape, sizes, size)
    if batched[0]:
        return [apply("gather", x, iota(places[0], places[0].shape, 0), *places,
                      axes=tuple(range(x.rank)))], [True]
    return [apply("gather", x, *places, axes=tuple(range(x.rank)))], [True]


def dynamic_update_slice_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes,
                               size: Size, recur: Any) -> Batched:
    x, update, *starts = ins
    x, update = lifted(x, batched[0], size), lifted(update, batched[1], size)
    if not any(batched[2:]):
        zero = constant(x, 0, ArrayType(starts[0].dtype if starts else I64))
        return [apply(op, x, update, zero, *starts)], [True]
    places = _window_indices(starts, batched[2:], x.shape[1:], update.shape[1:], size)
    lane = iota(places[0], places[0].shape, 0)
    return [apply("scatter", x, update, lane, *places, axes=tuple(range(x.rank)), combine="set")], [True]


def _window_indices(starts: Sequence[Term], batched: Sequence[bool], shape: Sequence[Size], sizes: Sequence[Size],
                    size: Size) -> list[Term]:
    """For each element of the windows of all lanes its place, starts clamped so that the windows fit."""
    whole = (size, *sizes)
    found = []
    for axis, (start, is_batched, n, taken) in enumerate(zip(starts, batched, shape, sizes, strict=True)):
        room = size_of(start, n - taken)
        begin = apply("convert", start, dtype=I64) if start.dtype is not I64 else start
        last = spread(room, begin.shape, range(begin.rank)) if begin.rank else room
        begin = apply("maximum", apply("minimum", begin, last), begin.like(0))
        spread_axes = range(1, len(whole)) if is_batched else range(len(whole))
        found.append(spread(begin, whole, spread_axes) + iota(begin, whole, axis + 1))
    return found


# ---- contraction -----------------------------------------------------------------------------------------------


def dot_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
              ) -> Batched:
    """A batch axis if both have it, else one more free axis."""
    roles = {k: tuple(v) for k, v in attributes.items()}
    for side, is_batched in zip(("lhs", "rhs"), batched, strict=True):
        if is_batched:
            for role in ("batch", "contract"):
                roles[f"{side}_{role}"] = tuple(a + 1 for a in roles[f"{side}_{role}"])
    if all(batched):
        roles["lhs_batch"], roles["rhs_batch"] = (0, *roles["lhs_batch"]), (0, *roles["rhs_batch"])
        return [apply(op, *ins, **roles)], [True]
    shared, contracted = len(roles["lhs_batch"]), len(roles["lhs_contract"])
    at = shared if batched[0] else ins[0].rank - contracted
    return [to_front(apply(op, *ins, **roles), at)], [True]


# ---- control flow ----------------------------------------------------------------------------------------------


def case_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
               ) -> Batched:
    if batched[0]:
        return in_a_loop(op, ins, batched, attributes, size, recur)
    made = [recur(branch, batched[1:]) for branch in attributes["branches"]]
    flags = [any(column) for column in zip(*(f for _, f in made), strict=True)]
    branches = tuple([recur(branch, batched[1:], flags)[0] for branch in attributes["branches"]])
    return apply_all(op, ins, {"branches": branches}), flags


def for_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
              ) -> Batched:
    if any(batched[:3]):
        return in_a_loop(op, ins, batched, attributes, size, recur)
    return _loop_batch(op, ins, batched, attributes, size, recur, 3, [False])


def while_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any
                ) -> Batched:
    """Where the test differs from lane to lane, each lane runs its own loop."""
    count = attributes["carries"]
    carried = _settled(recur, attributes["body"], [], batched[:count], batched[count:])
    if recur(attributes["cond"], [*carried, *batched[count:]])[1][0]:
        return in_a_loop(op, ins, batched, attributes, size, recur)
    return _loop_batch(op, ins, batched, attributes, size, recur, 0, [])


def _settled(recur: Any, body: Graph, own: Sequence[bool], carries: Sequence[bool], invariants: Sequence[bool]
             ) -> list[bool]:
    flags = list(carries)
    while True:
        found = recur(body, [*own, *flags, *invariants])[1]
        wider = [a or b for a, b in zip(flags, found, strict=True)]
        if wider == flags:
            return flags
        flags = wider


def _loop_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Size, recur: Any,
                first: int, own: Sequence[bool]) -> Batched:
    count = attributes["carries"]
    invariants = list(batched[first + count:])
    flags = _settled(recur, attributes["body"], own, batched[first:first + count], invariants)
    starts = [lifted(x, b, size) if flag else x for x, b, flag in zip(
        ins[first:first + count], batched[first:first + count], flags, strict=True)]
    changed = {**attributes, "body": recur(attributes["body"], [*own, *flags, *invariants], flags)[0]}
    if "cond" in attributes:
        changed["cond"] = recur(attributes["cond"], [*flags, *invariants])[0]
    return apply_all(op, [*ins[:first], *starts, *ins[first + count:]], changed), flags
