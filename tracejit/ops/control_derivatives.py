"""Derivatives of ops with regions.

Flows in:  the op's regions; the transform that asks, as `recur`.
Flows out: `RegionGradient` of case, for and while. Values that the way back needs are kept in arrays where the number
           of rounds is a size, in growing stacks where only the run tells.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64
from tracejit.base.errors import GradientError
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value
from tracejit.ir.op import OPS, Op
from tracejit.ir.terms import Term, apply, apply_all, build, constant, inlined, size_of, splat, sum_in_place
from tracejit.ops.derivatives import Attributes, Terms


@dataclass(frozen=True, slots=True)
class RegionGradient:
    """jvp(op, ins, tangents, attributes, recur) -> results, tangents.

    forward(op, ins, wanted, attributes, recur) -> results, which of them vary, what `vjp` needs.
    vjp(op, ins, outs, cotangents, attributes, wanted, saved, recur) -> a cotangent per operand.
    """

    jvp: Callable[..., tuple[list[Term], Terms]]
    forward: Callable[..., tuple[list[Term], list[bool], Any]]
    vjp: Callable[..., Terms]


def chosen(items: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    return [x for x, take in zip(items, mask, strict=True) if take]


def placed(items: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    """The items where the mask holds, None elsewhere."""
    rest = iter(items)
    return [next(rest) if take else None for take in mask]


def dense(ct: Term | None, like: Term) -> Term:
    return like.like(0) if ct is None else ct


def types_of(terms: Sequence[Term]) -> list[ArrayType]:
    return [t.type for t in terms]


# ---- case ------------------------------------------------------------------------------------------------------


def case_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, recur: Any
             ) -> tuple[list[Term], Terms]:
    active = [t is not None for t in tangents[1:]]
    branches: Sequence[Graph] = attributes["branches"]
    moving = [any(column) for column in zip(*(recur(b, active)[1] for b in branches), strict=True)]
    made = tuple([recur(b, active, moving)[0] for b in branches])
    results = apply_all(op, [*ins, *(t for t in tangents[1:] if t is not None)], {"branches": made})
    count = len(moving)
    return results[:count], placed(results[count:], moving)


@dataclass(frozen=True, slots=True)
class SavedCase:
    """slots: values of any branch; splits: of each branch, with the numbers of its slots."""

    slots: list[Term]
    splits: list[tuple[Any, list[int]]]
    varied: list[bool]


def case_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                 ) -> tuple[list[Term], list[bool], SavedCase]:
    """Each branch gives what it keeps in slots that the branches share by type."""
    branches: Sequence[Graph] = attributes["branches"]
    moving = [any(column) for column in zip(*(recur.varied(b, wanted[1:]) for b in branches), strict=True)]
    splits = [recur.split(b, wanted[1:], moving, [True] * len(wanted[1:])) for b in branches]
    slots: list[ArrayType] = []
    numbers = [_take_slots(slots, s.kept) for s in splits]
    made = tuple([_with_slots(s.forward, len(moving), slots, n) for s, n in zip(splits, numbers, strict=True)])
    results = apply_all(op, ins, {"branches": made})
    count = len(moving)
    return results[:count], moving, SavedCase(results[count:], list(zip(splits, numbers, strict=True)), moving)


def _take_slots(slots: list[ArrayType], types: Sequence[ArrayType]) -> list[int]:
    """A slot for each value: one of its type that this branch does not use yet, or a new one."""
    taken: list[int] = []
    for type in types:
        free = next((k for k, t in enumerate(slots) if t == type and k not in taken), None)
        if free is None:
            slots.append(type)
            free = len(slots) - 1
        taken.append(free)
    return taken


def _with_slots(forward: Graph, count: int, slots: Sequence[ArrayType], numbers: Sequence[int]) -> Graph:
    made = Graph([p.type for p in forward.params])
    results = made.inline(forward, made.params)
    kept = dict(zip(numbers, results[count:], strict=True))
    filled = [kept[k] if k in kept else made.add("constant", value=0, type=t) for k, t in enumerate(slots)]
    made.outputs = (*results[:count], *filled)
    return made


def case_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
             wanted: Sequence[bool], saved: SavedCase, recur: Any) -> Terms:
    cts = chosen([dense(ct, out) if v else None for ct, out, v in zip(cotangents, outs, saved.varied, strict=True)],
                 saved.varied)
    operands = [*saved.slots, *ins[1:], *cts]
    given = [any(column) for column in zip(*(s.given for s, _ in saved.splits), strict=True)]
    made = tuple([_backward_branch(split, numbers, given, saved.slots, ins[1:], cts)
                  for split, numbers in saved.splits])
    results = apply_all(op, [ins[0], *operands], {"branches": made}) if any(given) else []
    return [None, *placed(results, given)]


def _backward_branch(split: Any, numbers: Sequence[int], given: Sequence[bool], slots: Sequence[Term],
                     operands: Sequence[Term], cts: Sequence[Term]) -> Graph:
    def made(*terms: Term) -> list[Term]:
        kept = [terms[k] for k in numbers]
        found = placed(inlined(split.backward, [*kept, *terms[len(slots):]], terms[0]), split.given)
        here = terms[len(slots):len(slots) + len(operands)]
        return [dense(ct, x) for ct, x, wanted in zip(found, here, given, strict=True) if wanted]

    return build(types_of([*slots, *operands, *cts]), made)


# ---- try -------------------------------------------------------------------------------------------------------


def require_fixed_state(ins: Sequence[Term], active: Sequence[bool], attributes: Attributes) -> None:
    """What failures hand to handlers must not depend on what is differentiated: how far the body came decides it."""
    if _sends(attributes["body"], set(chosen(attributes["body"].params, active)), attributes["label"]):
        raise GradientError("a handler of `try` reads values that the body changed before it failed",
                            span=ins[0].span if ins else None,
                            why="derivatives through the part of the body that ran are not kept",
                            fix="compute in the body what can fail, and let the handler read what was there before")


def _sends(graph: Graph, moving: set[Value], label: str) -> bool:
    """Whether a failure that handlers of `label` take carries floats that depend on `moving`."""
    moving = set(moving)
    for node in graph.nodes:
        depends = any(v in moving for v in node.operands)
        if node.op.name == "assert" and node.attributes.get("to", "").rpartition(":")[0] == label and any(
                v in moving and v.dtype.is_inexact for v in node.operands[1:]):
            return True
        if depends:
            moving.update(node.results)
            if any(_sends(region, set(region.params), label) for _, region in node.regions()):
                return True
    return False


def _handler_flags(handler: Graph, active: Sequence[bool]) -> list[bool]:
    """Of a handler's parameters: what a failure hands over, then the operands."""
    return [*([False] * (len(handler.params) - len(active))), *active]


def try_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, recur: Any
            ) -> tuple[list[Term], Terms]:
    active = [t is not None for t in tangents]
    require_fixed_state(ins, active, attributes)
    regions = [(attributes["body"], active), *((h, _handler_flags(h, active)) for h in attributes["handlers"])]
    moving = [any(column) for column in zip(*(recur(g, flags)[1] for g, flags in regions), strict=True)]
    body, *handlers = [recur(g, flags, moving)[0] for g, flags in regions]
    results = apply_all(op, [*ins, *(t for t in tangents if t is not None)],
                        {**attributes, "body": body, "handlers": tuple(handlers)})
    return results[:len(moving)], placed(results[len(moving):], moving)


def try_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                ) -> tuple[list[Term], list[bool], tuple[Term, SavedCase]]:
    """Body and handlers give what they keep, as branches do, and which of them ran."""
    require_fixed_state(ins, wanted, attributes)
    regions = [(attributes["body"], list(wanted)),
               *((h, _handler_flags(h, wanted)) for h in attributes["handlers"])]
    moving = [any(column) for column in zip(*(recur.varied(g, flags) for g, flags in regions), strict=True)]
    splits = [recur.split(g, flags, moving, _handler_flags(g, [True] * len(wanted))) for g, flags in regions]
    slots: list[ArrayType] = []
    numbers = [_take_slots(slots, s.kept) for s in splits]
    body, *handlers = [_numbered(_with_slots(s.forward, len(moving), slots, n), k)
                       for k, (s, n) in enumerate(zip(splits, numbers, strict=True))]
    *results, ran = apply_all(op, ins, {**attributes, "body": body, "handlers": tuple(handlers)})
    own = [replace(s, given=s.given[len(s.given) - len(ins):]) for s in splits]
    saved = SavedCase(results[len(moving):], list(zip(own, numbers, strict=True)), moving)
    return results[:len(moving)], moving, (ran, saved)


def _numbered(graph: Graph, number: int) -> Graph:
    """The graph with one more result, a number."""
    graph.outputs = (*graph.outputs, graph.add("constant", value=number, type=ArrayType(I64)))
    return graph


def try_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool], saved: tuple[Term, SavedCase], recur: Any) -> Terms:
    """A branch on what ran."""
    ran, kept = saved
    found = case_vjp(OPS["case"], [ran, *ins], outs, cotangents, attributes, wanted, kept, recur)
    return found[1:]


# ---- for and while, forward mode -------------------------------------------------------------------------------


def settled(recur: Callable[[list[bool]], Sequence[bool]], carries: Sequence[bool]) -> list[bool]:
    """Which carries have derivatives: those that start with one and those that a round gives one."""
    active = list(carries)
    while (wider := [a or b for a, b in zip(active, recur(active), strict=True)]) != active:
        active = wider
    return active


def _loop_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, recur: Any, first: int
              ) -> tuple[list[Term], Terms]:
    """Carries (state, tangents). first: number of operands before the carries, parameters of the body among them."""
    count, body = attributes["carries"], attributes["body"]
    own = [False] * (len(body.params) - (len(ins) - first))
    moving = [t is not None for t in tangents[first:]]
    invariant = moving[count:]
    active = settled(lambda a: recur(body, [*own, *a, *invariant])[1], moving[:count])
    region = recur(body, [*own, *active, *invariant], active)[0]
    extra = sum(active)
    starts = [dense(t, x) for t, x, a in zip(tangents[first:first + count], ins[first:first + count], active,
                                             strict=True) if a]
    fixed = [t for t in tangents[first + count:] if t is not None]

    def rearranged(*terms: Term) -> list[Term]:
        head, rest = terms[:len(own)], terms[len(own):]
        state, ts, invs = rest[:count], rest[count:count + extra], rest[count + extra:]
        plain, tangent_invs = invs[:len(invariant)], invs[len(invariant):]
        return inlined(region, [*head, *state, *plain, *ts, *tangent_invs], terms[0])

    own_types = [p.type for p in body.params[:len(own)]]
    operands = [*ins[first:first + count], *starts, *ins[first + count:], *fixed]
    changed = {**attributes, "carries": count + extra, "body": build([*own_types, *types_of(operands)], rearranged)}
    if "cond" in attributes:
        changed["cond"] = _with_more(attributes["cond"], count, types_of(operands), len(ins) - first - count, extra)
    results = apply_all(op, [*ins[:first], *operands], changed)
    return results[:count], placed(results[count:], active)


def _with_more(cond: Graph, count: int, types: Sequence[ArrayType], invariants: int, extra: int) -> Graph:
    """The test with `extra` carries after its own `count`, and further invariants at the end; it reads neither."""
    made = Graph(types)
    mine = (*made.params[:count], *made.params[count + extra:count + extra + invariants])
    made.outputs = made.inline(cond, mine)
    return made


def for_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, recur: Any
            ) -> tuple[list[Term], Terms]:
    return _loop_jvp(op, ins, tangents, attributes, recur, 3)


def while_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, recur: Any
              ) -> tuple[list[Term], Terms]:
    return _loop_jvp(op, ins, tangents, attributes, recur, 0)


# ---- for and while, reverse mode -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SavedLoop:
    """active: carries with cotangents.  rounds: their number.  kept: arrays with one row per round, or one stack."""

    split: Any
    active: list[bool]
    rounds: Term
    kept: list[Term]
    stacked: bool


def loop_split(body: Graph, own: int, carries: int, wanted: Sequence[bool], recur: Any) -> tuple[Any, list[bool]]:
    """The body cut in two; its own parameters and invariants are at hand on the way back."""
    head, invariant = [False] * own, list(wanted[carries:])
    active = settled(lambda a: recur.varied(body, [*head, *a, *invariant]), wanted[:carries])
    free = [*([True] * own), *([False] * carries), *([True] * len(invariant))]
    return recur.split(body, [*head, *active, *invariant], active, free), active


def rounds_of(lower: Term, upper: Term, step: Term) -> Size | None:
    """The number of rounds where it is a size."""
    begin, end, by = map(known_size, (lower, upper, step))
    if begin is None or end is None or not isinstance(by, int) or by == 0:
        return None
    if isinstance(begin, int) and isinstance(end, int):
        return len(range(begin, end, by))
    return end - begin if by == 1 else begin - end if by == -1 else None


def known_size(x: Term) -> Size | None:
    node = x.value.node
    if node is None:
        return None
    if node.op.name == "dimension":
        return node.attributes["size"]      # type: ignore[no-any-return]
    return int(node.attributes["value"]) if node.op.name == "constant" else None


def counted(lower: Term, upper: Term, step: Term) -> Term:
    """The number of rounds at run time: ceil((upper - lower) / step), at least 0."""
    distance = -apply("floor_divide", lower - upper, step)
    return apply("maximum", distance, distance.like(0))


def for_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                ) -> tuple[list[Term], list[bool], SavedLoop]:
    count = attributes["carries"]
    split, active = loop_split(attributes["body"], 1, count, wanted[3:], recur)
    rounds = rounds_of(*ins[:3])
    number = counted(*ins[:3]) if rounds is None else size_of(ins[0], rounds)
    if not split.kept:
        return apply_all(op, ins, dict(attributes)), active, SavedLoop(split, active, number, [], False)
    if rounds is None or isinstance(rounds, int) and rounds == 0:
        results, handle = _pushing(op, ins, 3, attributes, split)
        return results, active, SavedLoop(split, active, number, [handle], True)
    rows = [splat(constant(ins[0], 0, ArrayType(t.dtype)), (rounds, *t.shape)) for t in split.kept]
    results = _storing(op, ins, attributes, split, rows)
    return results[:count], active, SavedLoop(split, active, number, results[count:], False)


def _storing(op: Op, ins: Sequence[Term], attributes: Attributes, split: Any, rows: Sequence[Term]) -> list[Term]:
    """The loop with arrays among its carries, of which each round writes one row."""
    count, first, step = attributes["carries"], ins[0], ins[2]
    operands = [*ins[3:3 + count], *rows, *ins[3 + count:], first, step]

    def body(i: Term, *terms: Term) -> list[Term]:
        state, memory = terms[:count], terms[count:count + len(rows)]
        *invariants, lower, by = terms[count + len(rows):]
        results = inlined(split.forward, [i, *state, *invariants], i)
        at = row_number(i, lower, by, first, step)
        stored = [store_row(m, x, at) for m, x in zip(memory, results[count:], strict=True)]
        return [*results[:count], *stored]

    made = build([ArrayType(I64), *types_of(operands)], body)
    return apply_all(op, [*ins[:3], *operands], {"body": made, "carries": count + len(rows)})


def row_number(i: Term, lower: Term, by: Term, first: Term, step: Term) -> Term:
    """(i - lower) / step; i itself where both are known to be trivial."""
    if known_size(first) == 0 and known_size(step) == 1:
        return i
    return apply("floor_divide", i - lower, by)


def store_row(memory: Term, x: Term, at: Term) -> Term:
    return apply("scatter", memory, x, at, axes=(0,), combine="set")


def load_row(memory: Term, at: Term) -> Term:
    return apply("gather", memory, at, axes=(0,))


def _pushing(op: Op, ins: Sequence[Term], first: int, attributes: Attributes, split: Any) -> tuple[list[Term], Term]:
    """The loop whose rounds push what they keep on a new stack; its results and the stack's handle."""
    count = attributes["carries"]
    handle = Term(ins[0].graph, ins[0].graph.emit("stack_new", (), {"types": tuple(split.kept)})[0], ins[0].span)
    operands = [*ins[first:], handle]
    own = [ArrayType(I64)] if first else []

    def body(*terms: Term) -> list[Term]:
        results = inlined(split.forward, terms[:-1], terms[-1])
        apply_all("stack_push", [terms[-1], *results[count:]], {})
        return results[:count]

    changed = {**attributes, "body": build([*own, *types_of(operands)], body)}
    if "cond" in attributes:
        changed["cond"] = _with_more(attributes["cond"], count, types_of(operands), len(ins) - first - count, 0)
    return apply_all(op, [*ins[:first], *operands], changed), handle


def while_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                  ) -> tuple[list[Term], list[bool], SavedLoop]:
    """Counts its rounds and pushes what each keeps."""
    count = attributes["carries"]
    zero = constant(ins[0], 0, ArrayType(I64))
    operands = [*ins[:count], zero, *ins[count:]]

    def counting(*terms: Term) -> list[Term]:
        results = inlined(attributes["body"], [*terms[:count], *terms[count + 1:]], terms[0])
        return [*results, terms[count] + 1]

    changed = {"body": build(types_of(operands), counting), "carries": count + 1,
               "cond": _with_more(attributes["cond"], count, types_of(operands), len(ins) - count, 1)}
    split, active = loop_split(changed["body"], 0, count + 1, [*wanted[:count], False, *wanted[count:]], recur)
    if split.kept:
        results, handle = _pushing(op, operands, 0, changed, split)
        kept = [handle]
    else:
        results, kept = apply_all(op, operands, changed), []
    return results[:count], active[:count], SavedLoop(split, active, results[count], kept, bool(kept))


def for_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool], saved: SavedLoop, recur: Any) -> Terms:
    count = attributes["carries"]
    found = _loop_vjp(ins[3:3 + count], ins[3 + count:], outs, cotangents, saved, (ins[0], ins[2]))
    return [None, None, None, *found]


def while_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
              wanted: Sequence[bool], saved: SavedLoop, recur: Any) -> Terms:
    """The counter of rounds is one more carry of the loop that was run."""
    count = attributes["carries"]
    counter = saved.rounds
    found = _loop_vjp([*ins[:count], counter], ins[count:], [*outs, counter], [*cotangents, None], saved, None)
    return [*found[:count], *found[count + 1:]]


def _loop_vjp(carries: Sequence[Term], invariants: Sequence[Term], outs: Sequence[Term], cotangents: Terms,
              saved: SavedLoop, counter: tuple[Term, Term] | None) -> Terms:
    """Rounds in reverse order: cotangents of the carries go through, those of invariants add up.

    counter: first value and step of the number that the body gets.
    """
    split, active, count = saved.split, saved.active, len(carries)
    own = len(split.given) - count - len(invariants)
    through = [dense(ct, out) for ct, out, a in zip(cotangents, outs, active, strict=True) if a]
    given = split.given[own + count:]
    sums = [x.like(0) for x in chosen(invariants, given)]
    fixed = [*saved.kept, *(counter or ()), *invariants]
    moving = [*through, *sums]

    def body(j: Term, *terms: Term) -> list[Term]:
        cts, rest = terms[:len(through)], terms[len(moving):]
        memory, rest = rest[:len(saved.kept)], rest[len(saved.kept):]
        head = [rest[0] + j * rest[1]] if counter else []
        free = rest[2 if counter else 0:]
        kept = apply_all("stack_pop", memory, {"types": tuple(split.kept)}) if saved.stacked else [
            load_row(m, j) for m in memory]
        found = placed(inlined(split.backward, [*kept, *head, *free, *cts], j), split.given)
        back = [dense(ct, out) for ct, out in zip(chosen(found[own:own + count], active), cts, strict=True)]
        added = [sum_in_place(acc, ct) for acc, ct in zip(terms[len(through):len(moving)],
                                                          chosen(found[own + count:], given), strict=True)]
        return [*back, *added]

    region = build([ArrayType(I64), *types_of([*moving, *fixed])], body)
    last = saved.rounds - 1
    results = apply_all("for", [last, last.like(-1), last.like(-1), *moving, *fixed],
                        {"body": region, "carries": len(moving)})
    return [*placed(results[:len(through)], active), *placed(results[len(through):], given)]


TRY = RegionGradient(try_jvp, try_forward, try_vjp)
CASE = RegionGradient(case_jvp, case_forward, case_vjp)
FOR = RegionGradient(for_jvp, for_forward, for_vjp)
WHILE = RegionGradient(while_jvp, while_forward, while_vjp)
