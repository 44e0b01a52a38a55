"""Derivatives of ops with regions: branches and `try`; what those of loops are stated with.

Flows in:  the op's regions; the transform that asks, as `recur`.
Flows out: `RegionGradient` of case and try.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracejit.base.dtypes import I64
from tracejit.base.errors import GradientError
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value
from tracejit.ir.op import OPS, Op
from tracejit.ir.terms import Term, apply_all, build, inlined
from tracejit.ops.derivatives import Attributes, Terms


@dataclass(frozen=True, slots=True)
class RegionGradient:
    """jvp(op, ins, tangents, attributes, recur) -> results, tangents.

    forward(op, ins, wanted, attributes, recur) -> results, which of them vary, what `vjp` needs.
    vjp(op, ins, outs, cotangents, attributes, wanted, saved, recur) -> a cotangent per operand.
    flow(attributes, operands that vary, recur) -> results that vary.
    need(attributes, results that are needed, recur) -> operands that they depend on.

    recur.results: flags of the results that anything depends on.
    """

    jvp: Callable[..., tuple[list[Term], Terms]]
    forward: Callable[..., tuple[list[Term], list[bool], Any]]
    vjp: Callable[..., Terms]
    flow: Callable[..., list[bool]]
    need: Callable[..., list[bool]]


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


def new_stack(near: Term, types: tuple[ArrayType, ...]) -> Term:
    """A stack that rounds of loops around can share."""
    return apply_all("stack_new", [], {"types": types, "shared": True}, near)[0]


def any_of(columns: Iterable[Sequence[bool]]) -> list[bool]:
    """For each place whether any of the lists is true there."""
    return [any(column) for column in zip(*columns, strict=True)]


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


def case_flow(attributes: Attributes, operands: Sequence[bool], recur: Any) -> list[bool]:
    return any_of(recur.varied(b, operands[1:]) for b in attributes["branches"])


def case_need(attributes: Attributes, results: Sequence[bool], recur: Any) -> list[bool]:
    return [False, *any_of(recur.useful(b, results) for b in attributes["branches"])]


@dataclass(frozen=True, slots=True)
class Part:
    """A branch cut in two. slots: where it puts what it keeps.  stacks: the first of its stacks among those of all."""

    split: Any
    slots: list[int]
    stacks: int

    def own(self, stacks: Sequence[Any]) -> Sequence[Any]:
        return stacks[self.stacks:self.stacks + len(self.split.stacks)]


@dataclass(frozen=True, slots=True)
class SavedCase:
    """slots: values of any branch.  stacks: in which loops of branches keep values.  active: results with cotangents.
    """

    slots: list[Term]
    stacks: list[Term]
    parts: list[Part]
    active: list[bool]


def parts_of(splits: Sequence[Any]) -> tuple[list[Part], list[ArrayType], list[tuple[ArrayType, ...]]]:
    """Branches with their slots and stacks; the types of all slots and of the entries of all stacks."""
    slots: list[ArrayType] = []
    stacks: list[tuple[ArrayType, ...]] = []
    parts = []
    for split in splits:
        parts.append(Part(split, _take_slots(slots, split.kept), len(stacks)))
        stacks += split.stacks
    return parts, slots, stacks


def case_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                 ) -> tuple[list[Term], list[bool], SavedCase]:
    """Each branch gives what it keeps in slots that the branches share by type."""
    branches: Sequence[Graph] = attributes["branches"]
    varied = [v and u for v, u in zip(case_flow(attributes, wanted, recur), recur.results, strict=True)]
    parts, slots, types = parts_of([recur.split(b, wanted[1:], varied, [True] * len(wanted[1:])) for b in branches])
    stacks = [new_stack(ins[0], t) for t in types]
    made = tuple([_with_slots(p, len(varied), slots, len(stacks)) for p in parts])
    results = apply_all(op, [*ins, *stacks], {"branches": made})
    count = len(varied)
    return results[:count], varied, SavedCase(results[count:], stacks, parts, varied)


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


def _with_slots(part: Part, count: int, slots: Sequence[ArrayType], stacks: int) -> Graph:
    """The way forward of a branch, which gets all stacks and fills all slots."""
    forward: Graph = part.split.forward
    own = len(forward.params) - len(part.split.stacks)
    made = Graph([*(p.type for p in forward.params[:own]), *[ArrayType(I64)] * stacks])
    results = made.inline(forward, [*made.params[:own], *part.own(made.params[own:])])
    kept = dict(zip(part.slots, results[count:], strict=True))
    filled = [kept[k] if k in kept else made.add("constant", value=0, type=t) for k, t in enumerate(slots)]
    made.outputs = (*results[:count], *filled)
    return made


def case_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
             wanted: Sequence[bool], saved: SavedCase, recur: Any) -> Terms:
    cts = [dense(ct, out) for ct, out, a in zip(cotangents, outs, saved.active, strict=True) if a]
    operands = [*saved.slots, *ins[1:], *cts, *saved.stacks]
    given = any_of(p.split.given for p in saved.parts)
    made = tuple([_backward_branch(p, given, saved, ins[1:], cts) for p in saved.parts])
    if not any(given) and not any(n.has_effect for branch in made for n in branch.nodes):
        return [None] * len(ins)
    return [None, *placed(apply_all(op, [ins[0], *operands], {"branches": made}), given)]


def _backward_branch(part: Part, given: Sequence[bool], saved: SavedCase, operands: Sequence[Term],
                     cts: Sequence[Term]) -> Graph:
    first, last = len(saved.slots), len(saved.slots) + len(operands) + len(cts)

    def made(*terms: Term) -> list[Term]:
        kept = [terms[k] for k in part.slots]
        found = placed(inlined(part.split.backward, [*kept, *terms[first:last], *part.own(terms[last:])], terms[0]),
                       part.split.given)
        here = terms[first:first + len(operands)]
        return [dense(ct, x) for ct, x, wanted in zip(found, here, given, strict=True) if wanted]

    return build(types_of([*saved.slots, *operands, *cts, *saved.stacks]), made)


# ---- try -------------------------------------------------------------------------------------------------------


def require_fixed_state(ins: Sequence[Term], active: Sequence[bool], attributes: Attributes) -> None:
    """What failures hand to handlers must not depend on what is differentiated: how far the body came decides it."""
    if sends(attributes["body"], set(chosen(attributes["body"].params, active)), attributes["label"]):
        raise GradientError("a handler of `try` reads values that the body changed before it failed",
                            span=ins[0].span if ins else None,
                            why="derivatives through the part of the body that ran are not kept",
                            fix="compute in the body what can fail, and let the handler read what was there before")


def sends(graph: Graph, moving: set[Value], label: str) -> bool:
    """Whether a failure that handlers of `label` take carries floats that depend on `moving`."""
    moving = set(moving)
    for node in graph.nodes:
        depends = any(v in moving for v in node.operands)
        if node.op.name == "assert" and node.attributes.get("to", "").rpartition(":")[0] == label and any(
                v in moving and v.dtype.is_inexact for v in node.operands[1:]):
            return True
        if depends:
            moving.update(node.results)
            if any(sends(region, set(region.params), label) for _, region in node.regions()):
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


def _try_regions(attributes: Attributes, flags: Sequence[bool]) -> list[tuple[Graph, list[bool]]]:
    """Body and handlers with flags of their parameters."""
    return [(attributes["body"], list(flags)), *((h, _handler_flags(h, flags)) for h in attributes["handlers"])]


def try_flow(attributes: Attributes, operands: Sequence[bool], recur: Any) -> list[bool]:
    return any_of(recur.varied(g, flags) for g, flags in _try_regions(attributes, operands))


def try_need(attributes: Attributes, results: Sequence[bool], recur: Any) -> list[bool]:
    """What handlers are given counts for the operands too: the body makes it of them."""
    count = len(attributes["body"].params)
    found = [recur.useful(g, results) for g in (attributes["body"], *attributes["handlers"])]
    sent = any(any(flags[:-count] if count else flags) for flags in found[1:])
    exact = [p.dtype.is_inexact for p in attributes["body"].params]
    return any_of([*(flags[len(flags) - count:] for flags in found), [sent and e for e in exact]])


def try_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                ) -> tuple[list[Term], list[bool], tuple[Term, SavedCase]]:
    """Body and handlers give what they keep, as branches do, and which of them ran."""
    require_fixed_state(ins, wanted, attributes)
    varied = [v and u for v, u in zip(try_flow(attributes, wanted, recur), recur.results, strict=True)]
    splits = [recur.split(g, flags, varied, _handler_flags(g, [True] * len(wanted)))
              for g, flags in _try_regions(attributes, wanted)]
    parts, slots, types = parts_of(splits)
    stacks = [new_stack(ins[0], t) for t in types]
    body, *handlers = [_numbered(_with_slots(p, len(varied), slots, len(stacks)), k) for k, p in enumerate(parts)]
    *results, ran = apply_all(op, [*ins, *stacks], {**attributes, "body": body, "handlers": tuple(handlers)})
    own = [replace(p, split=replace(p.split, given=p.split.given[len(p.split.given) - len(ins):])) for p in parts]
    return results[:len(varied)], varied, (ran, SavedCase(results[len(varied):], stacks, own, varied))


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


TRY = RegionGradient(try_jvp, try_forward, try_vjp, try_flow, try_need)
CASE = RegionGradient(case_jvp, case_forward, case_vjp, case_flow, case_need)
