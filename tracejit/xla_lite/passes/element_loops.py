"""Loops over whole arrays whose body is elementwise become one kernel that runs the loop for each element.

Flows in:  a simplified graph.
Flows out: such `while` and `for` nodes inside fusions of kind elementwise, with the cheap ops that feed them. Elements
           whose predicate is false must keep their state for ever: this is proved, or the loop stays as it is. A `for`
           with such a predicate becomes a `while`, which a block of elements leaves when all of them are done.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.loop_forms import LoopForm, cone, emit_loop, loop_form, prune
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.rewriting import splat

LOOPS = ("while", "for")
CANDIDATES = 6      # predicates that are tried for an early exit
LARGEST = 500       # nodes of a body

Shape = tuple[Any, ...]


@graph_pass(needs=("canonical",), gives=("element loops are fusions",))
def fuse_element_loops(graph: Graph) -> Graph:
    """Outer loops first; what stays a loop is looked into. Linear in nodes but for one proof per predicate."""
    if not any(n.op.kind == "control" for n in graph.nodes):
        return graph
    users, outputs = graph.users(), set(graph.outputs)

    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if node.op.name in LOOPS and not node.has_effect:
            used = [k for k, r in enumerate(node.results) if users[r] or r in outputs]
            if (made := _in_one_kernel(copy, node, operands, used)) is not None:
                return made
        if node.op.kind == "control" and node.op.name != "fusion" \
                and (attributes := map_regions(node, fuse_element_loops.run)) is not None:
            return copy.emit(node.op, operands, attributes, node.span)
        return None

    return _absorb(rebuild(graph, change))


def _in_one_kernel(copy: Graph, node: Node, operands: list[Value], used: list[int]) -> Sequence[Value] | None:
    """The results of the loop as fusions; those that nobody reads are the initial values."""
    form = loop_form(node, operands)
    if form is None or (domain := _domain(form)) is None:
        return None
    arrays = [k for k in used if node.results[k].rank]
    scalars = [k for k in used if not node.results[k].rank]
    if not arrays or scalars and form.predicate is not None:
        return None
    pruned, kept = prune(form, arrays)
    hoisted, lifted = _hoist(pruned)
    if not _is_elementwise(hoisted, domain) or not _is_frozen(hoisted):
        return None
    hoisted.invariants += _computed_before(copy, pruned, lifted)
    arrays_form = _with_early_exit(hoisted)
    results = dict(zip(range(len(operands)), form.initial))
    counters = len(arrays_form.initial) - len(kept)
    made = _fusion(copy, arrays_form, [counters + kept.index(k) for k in arrays])
    results.update(zip(arrays, made, strict=True))
    if scalars:
        scalar_form, left = prune(form, scalars)
        alone = emit_loop(copy, scalar_form)
        results.update((k, alone[left.index(k)]) for k in scalars)
    return [results[k] for k in range(len(node.results))]


def _domain(form: LoopForm) -> Shape | None:
    """The one shape of all carried arrays."""
    shapes = dict.fromkeys(v.shape for v in form.carries if v.rank)
    return next(iter(shapes)) if len(shapes) == 1 else None


# ---- which loops -----------------------------------------------------------------------------------------------


def _is_elementwise(form: LoopForm, domain: Shape) -> bool:
    """Whether each element of the state depends on nothing but itself, scalars and what the loop only reads."""
    if len(form.graph.nodes) > LARGEST or form.uniform is not None and form.uniform.rank:
        return False
    if form.predicate is not None and form.predicate.shape != domain:
        return False
    wanted = cone(form.sinks)
    fixed = set(form.fixed)
    return all(_is_local(n, domain, fixed) for n in form.graph.nodes if any(r in wanted for r in n.results))


def _is_local(node: Node, domain: Shape, fixed: set[Value]) -> bool:
    if node.has_effect or any(r.shape not in ((), domain) for r in node.results):
        return False
    if node.op.kind in ("pointwise", "source"):
        return True
    if node.op.name == "broadcast_in_dim":
        return not node.operands[0].rank or node.operands[0] in fixed
    if node.op.name == "gather":
        return node.operands[0] in fixed and node.result.shape == node.operands[1].shape
    if node.op.name not in LOOPS or node.op.name == "while" and not _is_normal(node):
        return False
    inner = loop_form(node, node.operands)
    if inner is None or any(v.shape not in ((), domain) for v in inner.carries):
        return False
    if inner.predicate is not None and any(not v.rank for v in node.results):
        return False
    return _is_elementwise(inner, domain) and _is_frozen(inner)


def _is_normal(node: Node) -> bool:
    """Whether the condition of a nested loop has the form that kernels read."""
    cond = node.attributes["cond"]
    form = loop_form(node, node.operands)
    return form is not None and (form.predicate is None or cond == _emitted_condition(form))


def _emitted_condition(form: LoopForm) -> Graph:
    around = Graph([v.type for v in (*form.initial, *form.invariants)])
    count = len(form.initial)
    moved = replace(form, initial=list(around.params[:count]), invariants=list(around.params[count:]))
    made = emit_loop(around, moved)[0].node
    assert made is not None
    cond: Graph = made.attributes["cond"]
    return cond


# ---- elements that are done ------------------------------------------------------------------------------------


def _is_frozen(form: LoopForm) -> bool:
    """Whether elements whose predicate is false keep their state, and so their predicate."""
    return form.predicate is None or freezes(form, form.predicate) or _settles(form, form.predicate)


def _settles(form: LoopForm, predicate: Value) -> bool:
    """Whether a predicate that the round before has computed freezes elements: `active = ...; y = where(active, ...)`.

    All elements are active at first. If a round finds one done and keeps its state, the next finds the same.
    """
    carry = next((k for k, v in enumerate(form.carries) if v is predicate), None)
    if carry is None or splat(form.initial[carry]) is not True:
        return False
    found = form.following[carry]
    return predicate not in cone([found]) and freezes(form, found, carry)


def freezes(form: LoopForm, predicate: Value, holds: int = -1) -> bool:
    """The body is simplified with the predicate false: what comes out must be what went in.

    The predicate may depend on the element's state only: not on a counter, which goes on changing.
    holds: the number of a carry that is to become the predicate.
    """
    changing = {v for v in form.graph.params[:form.first + len(form.initial)] if not v.rank}
    if cone([predicate]) & changing:
        return False
    after = canonicalize.run(_assuming_false(form, predicate))
    for k, value in enumerate(form.carries):
        if value.rank and after.outputs[k] is not after.params[form.first + k] \
                and not ((value is predicate or k == holds) and splat(after.outputs[k]) is False) \
                and form.following[k] is not value:
            return False
    return True


def _assuming_false(form: LoopForm, predicate: Value) -> Graph:
    """The body, with a constant in the predicate's place."""
    graph = Graph([p.type for p in form.graph.params])
    env: dict[Value, Value] = dict(zip(form.graph.params, graph.params, strict=True))
    env[predicate] = graph.add("constant", value=False, type=predicate.type)
    for node in form.graph.nodes:
        if all(r in env for r in node.results):
            continue
        env.update(zip(node.results, graph.keep(node, [env[v] for v in node.operands]), strict=True))
    graph.outputs = tuple(env[v] for v in form.following)
    return graph


def _with_early_exit(form: LoopForm) -> LoopForm:
    """A `for` that keeps elements as they are once some predicate is false: a `while` with a counter."""
    step = splat(form.bounds[2]) if form.bounds else None
    if not step:
        return form
    for predicate in _candidates(form):
        if freezes(form, predicate):
            return _as_while(form, predicate, up=step > 0)
    return form


def _candidates(form: LoopForm) -> list[Value]:
    """Predicates that select between states."""
    wanted = cone(form.following)
    found = dict.fromkeys(n.operands[0] for n in form.graph.nodes if n.op.name in ("select", "convert")
                          and n.result in wanted and n.operands[0].dtype.kind == "b" and n.operands[0].rank)
    negated = [n.operands[0] for v in found if (n := v.node) is not None and n.op.name == "and"]
    return [*found, *negated][:CANDIDATES]


def _as_while(form: LoopForm, predicate: Value, up: bool) -> LoopForm:
    """The counter becomes the first carry, the upper bound and the step the last invariants."""
    lower, upper, step = form.bounds
    graph = Graph([*(p.type for p in form.graph.params), upper.type, step.type])
    env: dict[Value, Value] = dict(zip(form.graph.params, graph.params[:-2], strict=True))
    for node in form.graph.nodes:
        env.update(zip(node.results, graph.keep(node, [env[v] for v in node.operands]), strict=True))
    counter, limit, by = graph.params[0], *graph.params[-2:]
    uniform = graph.add("compare", counter, limit, direction="LT" if up else "GT")
    following = [graph.add("add", counter, by), *(env[v] for v in form.following)]
    return LoopForm(graph, [], uniform, env[predicate], following, [lower, *form.initial],
                    [*form.invariants, upper, step], form.span)


# ---- what does not change --------------------------------------------------------------------------------------


def _hoist(form: LoopForm) -> tuple[LoopForm, list[Value]]:
    """Arrays that are the same in every iteration are parameters, behind all others; those of the old graph."""
    steady = _steady(form)
    read = {v for n in form.graph.nodes if n not in steady for v in n.operands} | set(form.sinks)
    lifted = [n.results[0] for n in form.graph.nodes if n in steady and n.results[0] in read and _is_worth_lifting(n)]
    if not lifted:
        return form, lifted
    graph = Graph([*(p.type for p in form.graph.params), *(v.type for v in lifted)])
    env = dict(zip([*form.graph.params, *lifted], graph.params, strict=True))
    for node in form.graph.nodes:
        if not all(r in env for r in node.results):
            env.update(zip(node.results, graph.keep(node, [env[v] for v in node.operands]), strict=True))
    moved = replace(form, graph=graph, uniform=form.uniform and env[form.uniform],
                    predicate=form.predicate and env[form.predicate], following=[env[v] for v in form.following])
    moved.invariants = list(form.invariants)
    return moved, lifted


def _steady(form: LoopForm) -> set[Node]:
    """What depends on invariants only."""
    moving = set(form.graph.params[:form.first + len(form.initial)])
    for node in form.graph.nodes:
        if node.has_effect or any(v in moving for v in node.operands):
            moving.update(node.results)
    return {n for n in form.graph.nodes if n.results[0] not in moving}


def _computed_before(copy: Graph, form: LoopForm, lifted: Sequence[Value]) -> list[Value]:
    """`lifted` in the graph around the loop."""
    env = dict(zip(form.fixed, form.invariants, strict=True))
    wanted = cone(lifted)
    for node in form.graph.nodes:
        if node.results[0] in wanted:
            env.update(zip(node.results, copy.keep(node, [env[v] for v in node.operands]), strict=True))
    return [env[v] for v in lifted]


def _is_worth_lifting(node: Node) -> bool:
    """Constants, counters and copies of a scalar cost nothing inside."""
    if not node.results[0].rank or node.op.kind == "source":
        return False
    return node.op.name != "broadcast_in_dim" or node.operands[0].rank > 0


# ---- the kernel ------------------------------------------------------------------------------------------------


def _fusion(copy: Graph, form: LoopForm, wanted: list[int]) -> Sequence[Value]:
    """The loop alone in the body of a fusion."""
    operands = list(dict.fromkeys([*form.bounds, *form.initial, *form.invariants]))
    body = Graph([v.type for v in operands])
    env = dict(zip(operands, body.params, strict=True))
    inner = replace(form, bounds=[env[v] for v in form.bounds], initial=[env[v] for v in form.initial],
                    invariants=[env[v] for v in form.invariants])
    results = emit_loop(body, inner)
    body.outputs = tuple(results[k] for k in wanted)
    return copy.emit("fusion", operands, {"body": body, "kind": "elementwise"}, form.span)


def _absorb(graph: Graph) -> Graph:
    """Takes into each fusion the ops that feed it alone, and those that cost nothing."""
    if not any(n.op.name == "fusion" for n in graph.nodes):
        return graph
    users, outputs = graph.users(), set(graph.outputs)
    inside: dict[Node, Node] = {}      # node -> the only fusion that needs it
    for node in reversed(graph.nodes):
        readers = {inside.get(u, u) for v in node.results for u in users[v]}
        if len(readers) == 1 and _is_absorbed(node) and not any(r in outputs for r in node.results):
            (reader,) = readers
            if reader.op.name == "fusion":
                inside[node] = reader

    copy = Graph([p.type for p in graph.params], graph.names)
    env: dict[Value, Value] = dict(zip(graph.params, copy.params, strict=True))
    for node in graph.nodes:
        if node.op.name == "fusion":
            made = _grown(copy, env, node, [n for n in graph.nodes if inside.get(n) is node])
        elif node in inside:
            continue
        else:
            made = copy.keep(node, [env[v] for v in node.operands])
        env.update(zip(node.results, made, strict=True))
    copy.outputs = tuple(env[v] for v in graph.outputs)
    return copy


def _is_absorbed(node: Node) -> bool:
    if node.op.name in ("reshape", "concatenate", "pad") or not node.results or not node.results[0].rank:
        return False
    return node.op.kind in ("pointwise", "source", "view")


def _is_free(value: Value) -> bool:
    """Constants and counters."""
    node = value.node
    return node is not None and (node.op.name == "iota" or splat(value) is not None)


def _grown(copy: Graph, outer: dict[Value, Value], fusion: Node, nodes: list[Node]) -> Sequence[Value]:
    """The fusion with these nodes, and with the free values that it or they read."""
    free = list(dict.fromkeys(v for n in (*nodes, fusion) for v in n.operands if v.node not in nodes and _is_free(v)))
    outside = list(dict.fromkeys(v for n in (*nodes, fusion) for v in n.operands
                                 if v.node not in nodes and v not in free))
    whole = Graph([v.type for v in outside])
    env = dict(zip(outside, whole.params, strict=True))
    for value in free:
        assert value.node is not None
        env[value] = whole.keep(value.node, ())[0]
    for node in nodes:
        env.update(zip(node.results, whole.keep(node, [env[v] for v in node.operands]), strict=True))
    whole.outputs = whole.inline(fusion.attributes["body"], [env[v] for v in fusion.operands])
    return copy.emit("fusion", [outer[v] for v in outside], {"body": whole, "kind": "elementwise"}, fusion.span)
