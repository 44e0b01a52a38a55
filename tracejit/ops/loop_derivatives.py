"""Derivatives of loops.

Flows in:  the loop's regions; the transform that asks, as `recur`.
Flows out: `RegionGradient` of for and while. Values that the way back needs are kept in arrays with a row for each
           round where the number of rounds is a size, in a growing stack where only the run tells.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value
from tracejit.ir.op import Op
from tracejit.ir.rewriting import without_dead_nodes
from tracejit.ir.terms import Term, apply, apply_all, build, constant, inlined, size_of, splat, sum_in_place
from tracejit.ops.control_derivatives import RegionGradient, chosen, dense, new_stack, placed, types_of
from tracejit.ops.derivatives import Attributes, Terms

WORD = ArrayType(I64)

# ---- which carries ---------------------------------------------------------------------------------------------


def settled(recur: Callable[[list[bool]], Sequence[bool]], carries: Sequence[bool]) -> list[bool]:
    """Flags of carries that one round makes more, until it adds none."""
    active = list(carries)
    while (wider := [a or b for a, b in zip(active, recur(active), strict=True)]) != active:
        active = wider
    return active


def moving_carries(attributes: Attributes, operands: Sequence[bool], recur: Any) -> list[bool]:
    """Which carries have derivatives: those that start with one and those that a round gives one."""
    body, count = attributes["body"], attributes["carries"]
    own = [False] * (len(body.params) - len(operands))
    return settled(lambda a: recur.varied(body, [*own, *a, *operands[count:]]), operands[:count])


def needed_operands(attributes: Attributes, results: Sequence[bool], recur: Any) -> list[bool]:
    """Which carries and invariants the results depend on."""
    body, count = attributes["body"], attributes["carries"]
    own = len(body.params) - _operand_count(attributes)
    carries = settled(lambda a: recur.useful(body, a)[own:own + count], results)
    return [*carries, *recur.useful(body, carries)[own + count:]]


def _operand_count(attributes: Attributes) -> int:
    """Carries and invariants: all that the body gets but for the counter of a `for`."""
    return len(attributes["body"].params) - ("cond" not in attributes)


def for_flow(attributes: Attributes, operands: Sequence[bool], recur: Any) -> list[bool]:
    return moving_carries(attributes, operands[3:], recur)


def for_need(attributes: Attributes, results: Sequence[bool], recur: Any) -> list[bool]:
    return [False, False, False, *needed_operands(attributes, results, recur)]


# ---- forward mode ----------------------------------------------------------------------------------------------


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


# ---- what is kept ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """What rounds keep, in arrays with a row for each."""

    arrays: list[Term]

    @property
    def terms(self) -> list[Term]:
        return self.arrays

    def read(self, terms: Sequence[Term], j: Term, types: Sequence[ArrayType]) -> list[Term]:
        """What round j kept; terms: this memory, as a region sees it."""
        return [apply("gather", m, j, axes=(0,)) for m in terms]


@dataclass(frozen=True, slots=True)
class Log:
    """What rounds keep, in a stack that loops around may share. start: its length before the first round."""

    handle: Term
    start: Term

    @property
    def terms(self) -> list[Term]:
        return [self.handle, self.start]

    def read(self, terms: Sequence[Term], j: Term, types: Sequence[ArrayType]) -> list[Term]:
        """What round j kept; terms: this memory, as a region sees it."""
        handle, start = terms
        return apply_all("stack_get", [handle, start + j], {"types": tuple(types)})


@dataclass(frozen=True, slots=True)
class SavedLoop:
    """active: carries with cotangents.  rounds: their number.  stacks: in which rounds' own loops keep values."""

    split: Any
    active: list[bool]
    rounds: Term
    memory: Rows | Log
    stacks: list[Term]


def loop_split(body: Graph, own: int, count: int, wanted: Sequence[bool], recur: Any, near: Term
               ) -> tuple[Any, list[bool], list[Term]]:
    """The body cut in two; its own parameters and invariants are at hand on the way back. Gives the halves, which
    carries have derivatives, and the stacks of rounds' own loops."""
    attributes = {"body": body, "carries": count, **({} if own else {"cond": body})}
    moving = moving_carries(attributes, wanted, recur)
    useful = needed_operands(attributes, recur.results, recur)[:count]
    active = [m and u for m, u in zip(moving, useful, strict=True)]
    free = [*([True] * own), *([False] * count), *([True] * (len(wanted) - count))]
    split = recur.split(body, [*([False] * own), *active, *wanted[count:]], active, free)
    return split, active, [new_stack(near, types) for types in split.stacks]


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


# ---- the way forward -------------------------------------------------------------------------------------------


def for_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                ) -> tuple[list[Term], list[bool], SavedLoop]:
    count = attributes["carries"]
    split, active, stacks = loop_split(attributes["body"], 1, count, wanted[3:], recur, ins[0])
    rounds = rounds_of(*ins[:3])
    number = counted(*ins[:3]) if rounds is None else size_of(ins[0], rounds)
    memory: Rows | Log
    if split.kept and (rounds is None or isinstance(rounds, int) and rounds == 0):
        results, memory = _pushing(op, ins, 3, attributes, split, stacks)
    else:
        size = 0 if rounds is None else rounds
        rows = [splat(constant(ins[0], 0, ArrayType(t.dtype)), (size, *t.shape)) for t in split.kept]
        results = _storing(op, ins, attributes, split, rows, stacks)
        memory = Rows(results[count:])
    return results[:count], active, SavedLoop(split, active, number, memory, stacks)


def _storing(op: Op, ins: Sequence[Term], attributes: Attributes, split: Any, rows: Sequence[Term],
             stacks: Sequence[Term]) -> list[Term]:
    """The loop with arrays among its carries, of which each round writes one row."""
    count, first, step = attributes["carries"], ins[0], ins[2]
    more = [first, step] if rows and not _is_plain(first, step) else []
    operands = [*ins[3:3 + count], *rows, *ins[3 + count:], *stacks, *more]

    def body(i: Term, *terms: Term) -> list[Term]:
        state, memory = terms[:count], terms[count:count + len(rows)]
        rest = terms[count + len(rows):len(terms) - len(more)]
        results = inlined(split.forward, [i, *state, *rest], i)
        at = apply("floor_divide", i - terms[-2], terms[-1]) if more else i
        stored = [apply("scatter", m, x, at, axes=(0,), combine="set")
                  for m, x in zip(memory, results[count:], strict=True)]
        return [*results[:count], *stored]

    made = build([WORD, *types_of(operands)], body)
    return apply_all(op, [*ins[:3], *operands], {"body": made, "carries": count + len(rows)})


def _is_plain(first: Term, step: Term) -> bool:
    """Whether the counter is the number of the round."""
    return known_size(first) == 0 and known_size(step) == 1


def _pushing(op: Op, ins: Sequence[Term], first: int, attributes: Attributes, split: Any, stacks: Sequence[Term]
             ) -> tuple[list[Term], Log]:
    """The loop whose rounds push what they keep on a stack; its results and the stack."""
    count = attributes["carries"]
    handle = new_stack(ins[0], tuple(split.kept))
    log = Log(handle, apply("stack_length", handle))
    operands = [*ins[first:], *stacks, handle]

    def body(*terms: Term) -> list[Term]:
        results = inlined(split.forward, terms[:-1], terms[-1])
        apply_all("stack_push", [terms[-1], *results[count:]], {})
        return results[:count]

    return _run(op, ins, first, attributes, operands, body), log


def _run(op: Op, ins: Sequence[Term], first: int, attributes: Attributes, operands: Sequence[Term],
         body: Callable[..., list[Term]]) -> list[Term]:
    """The loop with another body and further invariants."""
    count = attributes["carries"]
    changed = {**attributes, "body": build([*([WORD] if first else []), *types_of(operands)], body)}
    if "cond" in attributes:
        changed["cond"] = _with_more(attributes["cond"], count, types_of(operands), len(ins) - first - count, 0)
    return apply_all(op, [*ins[:first], *operands], changed)


def while_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                  ) -> tuple[list[Term], list[bool], SavedLoop]:
    """Rounds push what they keep, which counts them too; if there is nothing to keep they are counted."""
    count = attributes["carries"]
    split, active, stacks = loop_split(attributes["body"], 0, count, wanted, recur, ins[0])
    if split.kept:
        results, log = _pushing(op, ins, 0, attributes, split, stacks)
        rounds = apply("stack_length", log.handle) - log.start
        return results, active, SavedLoop(split, active, rounds, log, stacks)
    zero = constant(ins[0], 0, WORD)
    operands = [*ins[:count], zero, *ins[count:], *stacks]

    def counting(*terms: Term) -> list[Term]:
        return [*inlined(split.forward, [*terms[:count], *terms[count + 1:]], terms[0]), terms[count] + 1]

    changed = {"body": build(types_of(operands), counting), "carries": count + 1,
               "cond": _with_more(attributes["cond"], count, types_of(operands), len(ins) - count, 1)}
    results = apply_all(op, operands, changed)
    return results[:count], active, SavedLoop(split, active, results[count], Rows([]), stacks)


# ---- the way back ----------------------------------------------------------------------------------------------


def for_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
            wanted: Sequence[bool], saved: SavedLoop, recur: Any) -> Terms:
    count = attributes["carries"]
    return [None, None, None, *_loop_vjp(ins[3 + count:], outs, cotangents, saved, (ins[0], ins[2]))]


def while_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
              wanted: Sequence[bool], saved: SavedLoop, recur: Any) -> Terms:
    return _loop_vjp(ins[attributes["carries"]:], outs, cotangents, saved, None)


def _loop_vjp(invariants: Sequence[Term], outs: Sequence[Term], cotangents: Terms, saved: SavedLoop,
              counter: tuple[Term, Term] | None) -> Terms:
    """Rounds in reverse order: cotangents of the carries go through, those of invariants add up.

    counter: first value and step of the number that the body gets.
    """
    split, active, count = saved.split, saved.active, len(outs)
    own = len(split.given) - count - len(invariants)
    given = split.given[own + count:]
    region, groups = _with_terms(split.backward, sum(given), isinstance(saved.memory, Rows))
    through = [dense(ct, out) for ct, out, a in zip(cotangents, outs, active, strict=True) if a]
    sums = [x.like(0) for x, terms in zip(chosen(invariants, given), groups, strict=True) for _ in range(terms)]
    moving = [*through, *sums]
    head = list(counter) if counter and not _is_plain(*counter) else []
    memory = saved.memory.terms
    fixed = [*memory, *head, *invariants, *saved.stacks]

    def body(j: Term, *terms: Term) -> list[Term]:
        cts, rest = terms[:len(through)], terms[len(moving):]
        kept = saved.memory.read(rest[:len(memory)], j, split.kept) if split.kept else []
        rest = rest[len(memory):]
        number = [rest[0] + j * rest[1] if head else j] if counter else []
        free, stacks = rest[len(head):len(head) + len(invariants)], rest[len(head) + len(invariants):]
        found = inlined(region, [*kept, *number, *free, *cts, *stacks], j)
        by_carry = placed(found[:len(found) - len(sums)], split.given[:own + count])
        back = [dense(ct, out) for ct, out in zip(chosen(by_carry[own:], active), cts, strict=True)]
        return [*back, *map(sum_in_place, terms[len(through):len(moving)], found[len(found) - len(sums):])]

    made = build([WORD, *types_of([*moving, *fixed])], body)
    results = _back(made, saved.rounds, moving, fixed, len(through))
    totals = iter(results[len(through):])
    summed = [functools.reduce(sum_in_place, [next(totals) for _ in range(terms)]) for terms in groups]
    return [*placed(results[:len(through)], active), *placed(summed, given)]


def _with_terms(backward: Graph, sums: int, apart: bool) -> tuple[Graph, list[int]]:
    """The way back of a round. apart: of its last outputs, which rounds add up, those that are sums of products are
    given as their terms, which are added up one by one: each can become one product of all rounds. Gives the number of
    terms of each."""
    first = len(backward.outputs) - sums
    terms = [_products(v) if apart else [v] for v in backward.outputs[first:]]
    made = Graph([p.type for p in backward.params])
    env = dict(zip(backward.params, made.params, strict=True))
    for node in backward.nodes:
        env.update(zip(node.results, made.keep(node, [env[v] for v in node.operands]), strict=True))
    made.outputs = tuple(env[v] for v in (*backward.outputs[:first], *(t for group in terms for t in group)))
    return made, [len(group) for group in terms]


MOST_TERMS = 4


def _products(total: Value) -> list[Value]:
    """The terms of a sum of products; the value itself if it is none."""
    found, todo = [], [total]
    while todo:
        value = todo.pop()
        if value.node is not None and value.node.op.name == "add":
            todo += reversed(value.node.operands)
        elif value.node is not None and value.node.op.name == "dot_general":
            found.append(value)
        else:
            return [total]
        if len(found) + len(todo) > MOST_TERMS:
            return [total]
    return found


def _back(region: Graph, rounds: Term, moving: Sequence[Term], fixed: Sequence[Term], through: int) -> list[Term]:
    """Runs rounds in reverse order; in any order, so forwards, where all that goes through them stays as it is. What
    they don't read need not be kept for them.
    """
    region = without_dead_nodes(region)
    read = {v for n in region.nodes for v in n.operands} | set(region.outputs)
    reads = [p in read for p in region.params[1 + len(moving):]]
    steady = [region.outputs[k] is region.params[1 + k] for k in range(len(moving))]
    carries = chosen(moving, [not s for s in steady])
    operands = [*carries, *chosen(moving, steady), *chosen(fixed, reads)]

    def body(j: Term, *terms: Term) -> list[Term]:
        changing, staying = iter(terms[:len(carries)]), iter(terms[len(carries):len(moving)])
        state, rest = [next(staying if s else changing) for s in steady], iter(terms[len(moving):])
        given = [next(rest) if r else j for r in reads]
        return chosen(inlined(region, [j, *state, *given], j), [not s for s in steady])

    made = build([WORD, *types_of(operands)], body)
    last = rounds - 1
    free = all(steady[:through]) and all(n.op.name == "stack_get" or not n.has_effect for n in region.nodes)
    bounds = [rounds.like(0), rounds, rounds.like(1)] if free else [last, last.like(-1), last.like(-1)]
    results = iter(apply_all("for", [*bounds, *operands], {"body": made, "carries": len(carries)}))
    return [x if s else next(results) for x, s in zip(moving, steady, strict=True)]


FOR = RegionGradient(for_jvp, for_forward, for_vjp, for_flow, for_need)
WHILE = RegionGradient(while_jvp, while_forward, while_vjp, moving_carries, needed_operands)
