"""Reverse mode: cotangents from outputs to parameters.

Flows in:  a `Graph`, which parameters are differentiated, which outputs have cotangents.
Flows out: one graph of values and cotangents (`joint`), or that cut in two (`split`): forward with what is kept, and
           backward.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tracejit.base.dims import symbols_of
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.terms import Term, sum_in_place
from tracejit.ops.control_derivatives import RegionGradient
from tracejit.ops.derivatives import Terms, Transposed, has_gaps, note_gaps
from tracejit.ops.stack_derivatives import StackGradient
from tracejit.transforms.activity import (
    Activity,
    flow,
    is_active,
    new_key,
    stacks_from_outside,
    touches_stacks,
    useful_values,
)
from tracejit.transforms.failing import without_failures
from tracejit.transforms.forward import place_of_derivative, rule_of
from tracejit.transforms.late_sizes import popping, pushing
from tracejit.transforms.saving import binding, has_size_of, kept_values, unbound_sizes


@dataclass(slots=True)
class Applied:
    """A node of the original as it is in the new graph. saved: what the rule of an op with regions keeps."""

    node: Node
    ins: list[Term]
    outs: list[Term]
    wanted: list[bool]
    saved: Any = None


@dataclass(slots=True)
class Pullback:
    """Forward sweep of a graph, in a new one; `pull` goes back.

    key: of companions of stacks.  useful: values of the original that matter; None: all.
    kept: inner values whose cotangents are asked for.
    """

    made: Graph
    primals: dict[Value, Value]
    varied: set[Value]
    key: int
    useful: set[Value] | None = None
    applied: list[Applied] = field(default_factory=list)
    kept: frozenset[Value] = frozenset()

    def push(self, node: Node) -> None:
        """One node forward; noted if a derivative flows through it."""
        operands = [self.primals[v] for v in node.operands]
        wanted = [v in self.varied for v in node.operands]
        if not is_active(node, wanted, self.needed(node)):
            self.primals.update(zip(node.results, self.made.keep(node, operands), strict=True))
            return
        ins = [Term(self.made, v, node.span) for v in operands]
        rule = rule_of(node)
        if isinstance(rule, RegionGradient):
            outs, varied, saved = self.forward(rule, node, ins, wanted)
        else:
            saved = rule.before(node.op, ins) if isinstance(rule, StackGradient) else None
            outs = [Term(self.made, v, node.span) for v in self.made.keep(node, operands)]
            varied = flow(node, wanted)
        self.take(Applied(node, ins, outs, wanted, saved), varied)

    def forward(self, rule: RegionGradient, node: Node, ins: list[Term], wanted: list[bool]
                ) -> tuple[list[Term], list[bool], Any]:
        return rule.forward(node.op, ins, wanted, node.attributes, Reverse(self.key, self.needed(node)))

    def needed(self, node: Node) -> list[bool]:
        return [self.useful is None or v in self.useful for v in node.results]

    def take(self, one: Applied, varied: Sequence[bool]) -> None:
        self.primals.update((v, t.value) for v, t in zip(one.node.results, one.outs, strict=True))
        self.varied.update(v for v, a in zip(one.node.results, varied, strict=True) if a)
        self.applied.append(one)

    def note(self, node: Node) -> None:
        """A node that is in the new graph already."""
        wanted = [v in self.varied for v in node.operands]
        if not is_active(node, wanted, self.needed(node)):
            return
        rule, saved = rule_of(node), None
        ins = [Term(self.made, v, node.span) for v in node.operands]
        outs = [Term(self.made, v, node.span) for v in node.results]
        varied = flow(node, wanted)
        if isinstance(rule, RegionGradient):
            first = len(self.made.nodes)
            outs, varied, saved = self.forward(rule, node, ins, wanted)
            replace_node(self.made, node, first, outs)
        self.take(Applied(node, ins, outs, wanted, saved), varied)

    def pull(self, cotangents: dict[Value, Term]) -> dict[Value, Term]:
        """The cotangents of all varied values of the original graph, from those of its outputs."""
        found = dict(cotangents)
        for one in reversed(self.applied):
            cts = [found.get(v) if v in self.kept else found.pop(v, None) for v in one.node.results]
            if all(ct is None for ct in cts) and not touches_stacks(one.node):
                continue
            rule = rule_of(one.node)
            gaps = isinstance(rule, (RegionGradient, StackGradient)) or rule.gaps or any(
                ct is not None and has_gaps(ct) for ct in cts)
            for value, ct in zip(one.node.operands, self.pull_one(one, cts), strict=True):
                if ct is not None and value in self.varied:
                    if gaps:
                        note_gaps(ct)
                    accumulate(found, value, ct)
        return found

    def pull_one(self, one: Applied, cts: Sequence[Term | None]) -> Terms:
        """The cotangents of a node's operands."""
        rule, op, attributes, span = rule_of(one.node), one.node.op, one.node.attributes, place_of_derivative(one.node)
        cts = [ct and ct.at(span) for ct in cts]
        ins, outs = [x.at(span) for x in one.ins], [y.at(span) for y in one.outs]
        if isinstance(rule, RegionGradient):
            return rule.vjp(op, ins, outs, cts, attributes, one.wanted, one.saved, Reverse(self.key))
        if isinstance(rule, StackGradient):
            return rule.vjp(op, ins, outs, cts, attributes, one.wanted, one.saved, self.key)
        more = (Reverse(self.key),) if isinstance(rule, Transposed) else ()
        return rule.vjp(op, ins, outs, cts, attributes, one.wanted, *more)     # type: ignore[no-any-return]


def accumulate(found: dict[Value, Term], value: Value, ct: Term) -> None:
    """Adds to the cotangent of `value`; what is zero but for some elements is added in place."""
    before = found.get(value)
    found[value] = ct if before is None else sum_in_place(before, ct)
    if before is not None and has_gaps(before) and has_gaps(ct):
        note_gaps(found[value])


def sweep(graph: Graph, made: Graph, params: Iterable[Value], wanted: Sequence[bool], active: Sequence[bool],
          key: int) -> Pullback:
    """All nodes of `graph` in `made`, with `params` for its parameters."""
    varied = {p for p, want in zip(graph.params, wanted, strict=True) if want}
    pullback = Pullback(made, dict(zip(graph.params, params, strict=True)), varied, key, useful_values(graph, active))
    for node in graph.nodes:
        pullback.push(node)
    return pullback


def followed(graph: Graph, sources: Iterable[Value]) -> Pullback:
    """A pullback over nodes of a graph under construction, which are given to `pull_in_place`."""
    kept = frozenset(v for v in sources if v.dtype.is_inexact)
    return Pullback(graph, {}, set(kept), new_key(graph.nodes), kept=kept)


def pull_in_place(pullback: Pullback, nodes: Sequence[Node], seeds: dict[Value, Term]) -> dict[Value, Term]:
    """The cotangents of the sources, from those of values that `nodes` made, which are new to the pullback.

    The way back is added at the end of the graph; loops and branches on the way are replaced where they stand by ones
    that keep what it needs.
    """
    for node in nodes:
        pullback.primals.update((v, v) for v in (*node.operands, *node.results))
        pullback.note(node)
    found = pullback.pull({v: ct for v, ct in seeds.items() if v in pullback.varied})
    for handle in stacks_from_outside(nodes):
        pullback.made.emit("stack_release", [handle], {"key": pullback.key})
    return found


def replace_node(graph: Graph, old: Node, first: int, outs: Sequence[Term]) -> None:
    """The nodes from number `first` on, which do what `old` does and more, take its place and its results."""
    if not outs:
        graph.nodes[graph.nodes.index(old):] = [*graph.nodes[first:], *graph.nodes[graph.nodes.index(old) + 1:first]]
        return
    made = outs[0].value.node
    if made is None or made is old or any(t.value.node is not made or t.value.index != k for k, t in enumerate(outs)):
        return
    fresh = graph.nodes[first:]
    del graph.nodes[first:]
    at = graph.nodes.index(old)
    graph.nodes[at:at + 1] = fresh
    for k, value in enumerate(old.results):
        value.node, value.index = made, k
        outs[k].value = value
    made.results = (*old.results, *made.results[len(old.results):])
    graph.forget(old)


@dataclass(frozen=True, slots=True)
class Joint:
    """graph: (params, a cotangent per active output) -> (outputs, a cotangent per wanted parameter that has one).

    given: which parameters have one; all others have zero.  undoing: effects on the way back.
    old_stacks: those that the original makes.
    """

    graph: Graph
    given: list[bool]
    undoing: list[Node]
    old_stacks: set[Value]


def joint(graph: Graph, wanted: Sequence[bool], active: Sequence[bool]) -> Joint:
    """Forward and backward of a graph that is no region, in one."""
    graph = without_failures(graph)
    key, outside = new_key(graph.nodes), stacks_from_outside(graph.nodes)
    both = joint_region(graph, wanted, active, key, is_region=False)
    first = len(both.graph.nodes)
    for old, new in zip(graph.params, both.graph.params, strict=False):
        if old in outside:
            both.graph.emit("stack_release", [new], {"key": key})
    return replace(both, undoing=[*both.undoing, *both.graph.nodes[first:]])


def joint_region(graph: Graph, wanted: Sequence[bool], active: Sequence[bool], key: int, is_region: bool = True
                 ) -> Joint:
    """Forward and backward in one graph. key: of companions of stacks.  is_region: its cotangents are part of a larger
    way back.
    """
    cts = [v.type for v, a in zip(graph.outputs, active, strict=True) if a]
    made = Graph([*(p.type for p in graph.params), *cts], graph.names)
    pullback = sweep(graph, made, made.params[:len(graph.params)], wanted, active, key)
    seeds: dict[Value, Term] = {}
    for value, ct in zip([v for v, a in zip(graph.outputs, active, strict=True) if a],
                         made.params[len(graph.params):], strict=True):
        if value in pullback.varied:
            term = Term(made, ct)
            if is_region or term.rank:      # unit vectors, say; if the one number is zero, everything is
                note_gaps(term)
            seeds[value] = seeds[value] + term if value in seeds else term
    first = len(made.nodes)
    found = pullback.pull(seeds)
    given = [found.get(p) if want else None for p, want in zip(graph.params, wanted, strict=True)]
    made.outputs = (*(pullback.primals[v] for v in graph.outputs), *(g.value for g in given if g is not None))
    return Joint(made, [g is not None for g in given], [n for n in made.nodes[first:] if n.has_effect],
                 {pullback.primals[v] for n in graph.nodes if n.op.name == "stack_new" for v in n.results})


@dataclass(frozen=True, slots=True)
class Split:
    """forward: params -> (outputs, kept values).  backward: (kept, free parameters, cotangents of active outputs)
    -> cotangents of the parameters that `given` names.

    stacks: types of the entries of stacks that both share; their handles are the last parameters of both.
    """

    forward: Graph
    backward: Graph
    kept: list[ArrayType]
    given: list[bool]
    stacks: list[tuple[ArrayType, ...]]


def lasting_split(graph: Graph, wanted: Sequence[bool], active: Sequence[bool]) -> Split:
    """`split` for two runs: stacks end with a run, and so do sizes that it finds out; if something of them is to be
    kept, the second run does the first once more.

    What both runs would do to the world stands in the way of that; it is not done again.
    """
    halves = split(graph, wanted, active, [False] * len(graph.params))
    sizes = symbols_of(n for t in halves.kept for n in t.shape)
    if not _has_stacks(halves.forward) and sizes.isdisjoint(binding(halves.forward)):
        return halves
    both = joint(graph, wanted, active)
    count = len(graph.params)
    params, outputs = both.graph.params, both.graph.outputs
    effects = [n for n in both.graph.nodes if _is_of_stacks(n) or n.op.name == "bind_dim"]
    back = extract(both.graph, params, outputs[len(graph.outputs):], effects)
    forward = extract(graph, graph.params, (*graph.outputs, *graph.params), [n for n in graph.nodes if n.has_effect])
    return Split(forward, back, [p.type for p in params[:count]], both.given, [])


def _has_stacks(graph: Graph) -> bool:
    return any(_is_of_stacks(n) for n in graph.nodes)


def _is_of_stacks(node: Node) -> bool:
    return isinstance(node.op.gradient, StackGradient) or any(_has_stacks(r) for _, r in node.regions())


class Reverse(Activity):
    """What rules of ops with regions ask for. key: see `joint_region`.  results: which of the op's results matter."""

    def __init__(self, key: int, results: Sequence[bool] = ()):
        self.key, self.results = key, results

    def joint(self, graph: Graph, wanted: Sequence[bool], active: Sequence[bool]) -> tuple[Graph, list[bool]]:
        both = joint_region(graph, wanted, active, self.key)
        return both.graph, both.given

    def transposed(self, graph: Graph, first: int) -> tuple[Graph, list[bool]]:
        """Of a graph that is linear in its parameters from `first` on: (params, cotangents) -> their cotangents."""
        wanted = [k >= first for k in range(len(graph.params))]
        both = joint_region(graph, wanted, [True] * len(graph.outputs), self.key, is_region=False)
        cotangents = both.graph.outputs[len(graph.outputs):]
        return extract(both.graph, both.graph.params, cotangents), both.given[first:]

    def split(self, graph: Graph, wanted: Sequence[bool], active: Sequence[bool], free: Sequence[bool]) -> Split:
        return split(graph, wanted, active, free, self.key)


def split(graph: Graph, wanted: Sequence[bool], active: Sequence[bool], free: Sequence[bool], key: int | None = None
          ) -> Split:
    """Cuts the joint graph where the least is to be kept. free: parameters that the backward part gets anyway.

    key: of companions of stacks, for regions. Stacks for what is kept are made by whoever asks, if they may be shared;
    those of the original are not, since companions end where the way back comes to their beginning.
    """
    both = joint(graph, wanted, active) if key is None else joint_region(graph, wanted, active, key)
    count, outputs = len(graph.params), len(graph.outputs)
    params, cts = both.graph.params[:count], both.graph.params[count:]
    backward = dependent(both.graph, cts, both.undoing)
    cotangents = both.graph.outputs[outputs:]
    at_hand = {p for p, f in zip(params, free, strict=True) if f}
    kept = kept_values(both.graph, params, backward, cotangents, at_hand)
    stacks = [v for v in kept if key is not None and v.node is not None and v.node.attributes.get("shared")
              and v not in both.old_stacks]
    kept = [v for v in kept if v not in stacks]
    made_outside = {v.node for v in stacks}
    effects = [n for n in both.graph.nodes if n.has_effect and n not in backward and n not in made_outside]
    rest = (*(p for p in params if p in at_hand), *cts, *stacks)
    bound = binding(both.graph)
    late = [key is not None and has_size_of(v, frozenset(bound)) for v in kept]
    sizes = unbound_sizes(extract(both.graph, (*kept, *rest), cotangents, both.undoing)) | symbols_of(
        n for v, is_late in zip(kept, late, strict=True) if is_late for n in v.shape)
    binds = [n for dim, n in bound.items() if dim in sizes]
    kept += [v for v in dict.fromkeys(n.operands[0] for n in binds) if v not in kept and v not in at_hand]
    forward = extract(both.graph, (*params, *stacks), (*both.graph.outputs[:outputs], *kept), effects)
    back = extract(both.graph, (*kept, *rest), cotangents, [*binds, *both.undoing])
    late += [False] * (len(kept) - len(late))
    halves = Split(forward, back, [v.type for v in kept], both.given,
                   [v.node.attributes["types"] for v in stacks if v.node is not None])
    return on_stacks(halves, outputs, late) if any(late) else halves


def on_stacks(halves: Split, outputs: int, late: Sequence[bool]) -> Split:
    """The halves of a region with values of late sizes on stacks. outputs: of the original."""
    types = [(ArrayType(t.dtype),) for t, is_late in zip(halves.kept, late, strict=True) if is_late]
    return Split(pushing(halves.forward, outputs, late), popping(halves.backward, late),
                 [t for t, is_late in zip(halves.kept, late, strict=True) if not is_late], halves.given,
                 [*halves.stacks, *types])


def dependent(graph: Graph, roots: Sequence[Value], also: Sequence[Node]) -> set[Node]:
    """The nodes that depend on `roots`, and `also` with those that depend on them."""
    reached, nodes = set(roots), set(also)
    for node in graph.nodes:
        if node in nodes or any(v in reached for v in node.operands):
            nodes.add(node)
            reached.update(node.results)
    return nodes


def extract(graph: Graph, params: Sequence[Value], outputs: Sequence[Value], effects: Iterable[Node] = ()) -> Graph:
    """What computes `outputs` from `params`, as a graph of its own. effects: nodes that come along."""
    made = Graph([p.type for p in params])
    env = dict(zip(params, made.params, strict=True))
    live = set(effects)
    needed = {v for v in outputs if v not in env}
    for node in reversed(graph.nodes):
        if node in live or any(v in needed for v in node.results):
            live.add(node)
            needed.update(v for v in node.operands if v not in env)
    for node in graph.nodes:
        if node in live:
            results = made.keep(node, [env[v] for v in node.operands])
            for value, result in zip(node.results, results, strict=True):
                env.setdefault(value, result)
    made.outputs = tuple(env[v] for v in outputs)
    return made
