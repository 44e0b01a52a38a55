"""Ops for derivatives that the user states, for values through which none flows, for what is computed twice.

Flows in:  the vocabulary of `declare`; graphs of the user's rules.
Flows out: `stop_gradient`, `again`; `custom` and `checkpoint`, which mean what their bodies mean.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.errors import GradientError, TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply, apply_all, inlined
from tracejit.ops.batching import Batched, all_lifted, lifted
from tracejit.ops.control_derivatives import RegionGradient, dense, placed
from tracejit.ops.declare import ANY, declare, pointwise, refuse, view
from tracejit.ops.derivatives import ZERO, Attributes, Terms, linear

# The identity, through which no derivative flows.
stop_gradient = pointwise("stop_gradient", dtypes=[ANY], numpy=lambda x: np.array(x), scalar=lambda b, x: x, cost=0,
                          gradient=ZERO)


def _custom_type(*types: ArrayType, name: str, leaves: int, body: Graph, forward: Graph | None,
                 backward: Graph | None, tangent: Graph | None) -> list[ArrayType]:
    if [p.type for p in body.params] != list(types) or not 0 <= leaves <= len(types):
        refuse(TypeRuleError, "custom", types, f"the body of {name} takes other types", "pass what it was traced with")
    return [v.type for v in body.outputs]


def _inexact(outs: Sequence[Term]) -> list[bool]:
    return [o.dtype.is_inexact for o in outs]


def custom_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, recur: Any
               ) -> tuple[list[Term], Terms]:
    """tangent: (operands, tangents of the leaves) -> the results' tangents where inexact."""
    rule = attributes["tangent"]
    if rule is None:
        raise GradientError(f"forward mode asks for the derivative of {attributes['name']}",
                            span=ins[0].span, why="it has a rule for reverse mode only",
                            fix="give it a rule by defjvp, or use reverse mode")
    outs, count = inlined(attributes["body"], ins, ins[0]), attributes["leaves"]
    moves = [dense(t, x) for t, x in zip(tangents[:count], ins[:count], strict=True)]
    return outs, placed(inlined(rule, [*ins, *moves], ins[0]), _inexact(outs))


def custom_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                   ) -> tuple[list[Term], list[bool], list[Term]]:
    """forward: operands -> (results, what the way back needs)."""
    count = len(attributes["body"].outputs)
    if attributes["forward"] is None:
        outs = inlined(attributes["body"], ins, ins[0])
        return outs, _inexact(outs), list(ins)
    results = inlined(attributes["forward"], ins, ins[0])
    return results[:count], _inexact(results[:count]), results[count:]


def custom_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
               wanted: Sequence[bool], saved: list[Term], recur: Any) -> Terms:
    """backward: (saved, cotangents of inexact results) -> cotangents of the leaves. Without one, the tangent rule,
    which is linear in the tangents, is transposed."""
    cts = [dense(ct, out) for ct, out in zip(cotangents, outs, strict=True) if out.dtype.is_inexact]
    count = attributes["leaves"]
    if any(w and x.dtype.is_inexact for w, x in zip(wanted[count:], ins[count:], strict=True)):
        raise GradientError(f"{attributes['name']} reads a value from outside, by which a derivative is asked for",
                            span=ins[0].span, why="its rule gives derivatives by its arguments alone",
                            fix="pass the value as an argument, or stop_gradient it before")
    others: list[Term | None] = [None] * (len(ins) - count)
    if attributes["backward"] is not None:
        return [*inlined(attributes["backward"], [*saved, *cts], ins[0]), *others]
    transposed, given = recur.transposed(attributes["tangent"], len(ins))
    found = inlined(transposed, [*ins, *(x.like(0) for x in ins[:count]), *cts], ins[0])
    return [*placed(found, given), *others]


def custom_flow(attributes: Attributes, operands: Sequence[bool], recur: Any) -> list[bool]:
    return [any(operands) and v.dtype.is_inexact for v in attributes["body"].outputs]


def custom_need(attributes: Attributes, results: Sequence[bool], recur: Any) -> list[bool]:
    return [any(results) and k < attributes["leaves"] and p.dtype.is_inexact
            for k, p in enumerate(attributes["body"].params)]


def custom_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Any, recur: Any
                 ) -> Batched:
    """Body and rules for every lane."""
    def all_lanes(graph: Graph | None) -> Graph | None:
        if graph is None:
            return None
        made: Graph = recur(graph, [True] * len(graph.params), [True] * len(graph.outputs))[0]
        return made

    changed = {k: v if k in ("name", "leaves") else all_lanes(v) for k, v in attributes.items()}
    results = apply_all(op, [lifted(x, b, size) for x, b in zip(ins, batched, strict=True)], changed)
    return results, [True] * len(results)


# name: what the user calls it.  leaves: the number of operands with derivatives, the first ones.  body: what it
# computes.  forward, backward, tangent: see the rules above; either the first two or the third is given.
custom = declare("control", "custom", type_rule=_custom_type, batch=custom_batch,
                 numpy=lambda *operands, body, **rules: body(*operands),
                 gradient=RegionGradient(custom_jvp, custom_forward, custom_vjp, custom_flow, custom_need))

# ---- checkpoint ------------------------------------------------------------------------------------------------

# The identity, as a value of its own: what is computed from it is not what was computed from its operand.
again = view("again", type_rule=lambda x: [x], numpy=lambda x: np.array(x), index=lambda index, source, target: index,
             cases=[(((2, 3),), {}), (((),), {})], gradient=linear(lambda ct, x: ct), batch=all_lifted())


def _checkpoint_type(*types: ArrayType, body: Graph) -> list[ArrayType]:
    if [p.type for p in body.params] != list(types):
        refuse(TypeRuleError, "checkpoint", types, "the body takes other types", "pass what it was traced with")
    return [v.type for v in body.outputs]


def checkpoint_jvp(op: Op, ins: Sequence[Term], tangents: Terms, attributes: Attributes, recur: Any
                   ) -> tuple[list[Term], Terms]:
    body, moving = recur(attributes["body"], [t is not None for t in tangents])
    results = inlined(body, [*ins, *(t for t in tangents if t is not None)], ins[0])
    return results[:len(moving)], placed(results[len(moving):], moving)


def checkpoint_forward(op: Op, ins: Sequence[Term], wanted: Sequence[bool], attributes: Attributes, recur: Any
                       ) -> tuple[list[Term], list[bool], None]:
    varied = [v and u for v, u in zip(checkpoint_flow(attributes, wanted, recur), recur.results, strict=True)]
    return apply_all(op, ins, dict(attributes)), varied, None


def checkpoint_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                   wanted: Sequence[bool], saved: None, recur: Any) -> Terms:
    """The body once more, then backward."""
    active = [ct is not None for ct in cotangents]
    graph, given = recur.joint(attributes["body"], wanted, active)
    fresh = [apply(again, x) for x in ins]
    results = inlined(graph, [*fresh, *(ct for ct in cotangents if ct is not None)], ins[0])
    return placed(results[len(outs):], given)


def checkpoint_flow(attributes: Attributes, operands: Sequence[bool], recur: Any) -> list[bool]:
    return list(recur.varied(attributes["body"], operands))


def checkpoint_need(attributes: Attributes, results: Sequence[bool], recur: Any) -> list[bool]:
    return list(recur.useful(attributes["body"], results))


def checkpoint_batch(op: Op, ins: Sequence[Term], batched: Sequence[bool], attributes: Attributes, size: Any, recur: Any
                     ) -> Batched:
    body, flags = recur(attributes["body"], batched)
    return apply_all(op, ins, {"body": body}), flags


checkpoint = declare("control", "checkpoint", type_rule=_checkpoint_type, batch=checkpoint_batch,
                     numpy=lambda *operands, body: body(*operands),
                     gradient=RegionGradient(checkpoint_jvp, checkpoint_forward, checkpoint_vjp, checkpoint_flow,
                                             checkpoint_need))
