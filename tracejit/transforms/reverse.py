"""Reverse mode: cotangents from outputs to parameters.

Flows in:  a `Graph`, which parameters are differentiated, which outputs have cotangents.
Flows out: one graph of values and cotangents (`joint`), or that cut in two (`split`): forward with what is kept, and
           backward.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.terms import Term, sum_in_place
from tracejit.ops.derivatives import Transposed, has_gaps, note_gaps
from tracejit.transforms.forward import place_of_derivative, rule_of
from tracejit.transforms.saving import kept_values


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
    """Forward sweep of a graph, in a new one; `pull` goes back. kept: inner values whose cotangents are asked for."""

    made: Graph
    primals: dict[Value, Value]
    varied: set[Value]
    applied: list[Applied] = field(default_factory=list)
    kept: frozenset[Value] = frozenset()

    def push(self, node: Node) -> None:
        """One node forward; noted if a derivative flows through it."""
        operands = [self.primals[v] for v in node.operands]
        wanted = [v in self.varied for v in node.operands]
        if not any(wanted) or not any(v.dtype.is_inexact for v in node.results):
            if node.op.kind == "effect" and node.op.gradient is not None and any(
                    w and v.dtype.is_inexact for w, v in zip(wanted, node.operands, strict=True)):
                node.op.gradient.vjp(node.op, [Term(self.made, v, node.span) for v in operands], (), (), {}, wanted)
            self.primals.update(zip(node.results, self.made.keep(node, operands), strict=True))
            return
        rule = rule_of(node)
        ins, saved = [Term(self.made, v, node.span) for v in operands], None
        if node.op.kind == "control":
            outs, varied, saved = rule.forward(node.op, ins, wanted, node.attributes, Reverse())
            self.varied.update(v for v, a in zip(node.results, varied, strict=True) if a)
        else:
            outs = [Term(self.made, v, node.span) for v in self.made.keep(node, operands)]
            self.varied.update(v for v in node.results if v.dtype.is_inexact)
        self.primals.update((v, t.value) for v, t in zip(node.results, outs, strict=True))
        self.applied.append(Applied(node, ins, outs, wanted, saved))

    def note(self, node: Node) -> None:
        """A node that is in the new graph already."""
        wanted = [v in self.varied for v in node.operands]
        if not any(wanted) or not any(v.dtype.is_inexact for v in node.results):
            return
        rule, saved = rule_of(node), None
        ins = [Term(self.made, v, node.span) for v in node.operands]
        outs = [Term(self.made, v, node.span) for v in node.results]
        varied = [v.dtype.is_inexact for v in node.results]
        if node.op.kind == "control":
            first = len(self.made.nodes)
            outs, varied, saved = rule.forward(node.op, ins, wanted, node.attributes, Reverse())
            replace_node(self.made, node, first, outs)
        self.varied.update(v for v, a in zip(node.results, varied, strict=True) if a)
        self.applied.append(Applied(node, ins, outs, wanted, saved))

    def pull(self, cotangents: dict[Value, Term]) -> dict[Value, Term]:
        """The cotangents of all varied values of the original graph, from those of its outputs."""
        found = dict(cotangents)
        for one in reversed(self.applied):
            cts = [found.get(v) if v in self.kept else found.pop(v, None) for v in one.node.results]
            if all(ct is None for ct in cts):
                continue
            rule, span = rule_of(one.node), place_of_derivative(one.node)
            cts = [ct and ct.at(span) for ct in cts]
            ins, outs = [x.at(span) for x in one.ins], [y.at(span) for y in one.outs]
            if one.node.op.kind == "control":
                given = rule.vjp(one.node.op, ins, outs, cts, one.node.attributes, one.wanted, one.saved, Reverse())
            else:
                more = (Reverse(),) if isinstance(rule, Transposed) else ()
                given = rule.vjp(one.node.op, ins, outs, cts, one.node.attributes, one.wanted, *more)
            gaps = one.node.op.kind == "control" or rule.gaps or any(ct is not None and has_gaps(ct) for ct in cts)
            for value, ct in zip(one.node.operands, given, strict=True):
                if ct is not None and value in self.varied:
                    if gaps:
                        note_gaps(ct)
                    accumulate(found, value, ct)
        return found


def accumulate(found: dict[Value, Term], value: Value, ct: Term) -> None:
    """Adds to the cotangent of `value`; what is zero but for some elements is added in place."""
    before = found.get(value)
    found[value] = ct if before is None else sum_in_place(before, ct)
    if before is not None and has_gaps(before) and has_gaps(ct):
        note_gaps(found[value])


def sweep(graph: Graph, made: Graph, params: Iterable[Value], wanted: Sequence[bool]) -> Pullback:
    """All nodes of `graph` in `made`, with `params` for its parameters."""
    varied = {p for p, want in zip(graph.params, wanted, strict=True) if want and p.dtype.is_inexact}
    pullback = Pullback(made, dict(zip(graph.params, params, strict=True)), varied)
    for node in graph.nodes:
        pullback.push(node)
    return pullback


def followed(graph: Graph, sources: Iterable[Value]) -> Pullback:
    """A pullback over nodes of a graph under construction, which are given to `pull_in_place`."""
    kept = frozenset(v for v in sources if v.dtype.is_inexact)
    return Pullback(graph, {}, set(kept), kept=kept)


def pull_in_place(pullback: Pullback, nodes: Sequence[Node], seeds: dict[Value, Term]) -> dict[Value, Term]:
    """The cotangents of the sources, from those of values that `nodes` made, which are new to the pullback.

    The way back is added at the end of the graph; loops and branches on the way are replaced where they stand by ones
    that keep what it needs.
    """
    for node in nodes:
        pullback.primals.update((v, v) for v in (*node.operands, *node.results))
        pullback.note(node)
    return pullback.pull({v: ct for v, ct in seeds.items() if v in pullback.varied})


def replace_node(graph: Graph, old: Node, first: int, outs: Sequence[Term]) -> None:
    """The nodes from number `first` on, which do what `old` does and more, take its place and its results."""
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


def varied_outputs(graph: Graph, wanted: Sequence[bool]) -> list[bool]:
    """Which outputs depend on wanted parameters in a way that has a derivative."""
    pullback = sweep(graph, made := Graph([p.type for p in graph.params]), made.params, wanted)
    return [v in pullback.varied for v in graph.outputs]


@dataclass(frozen=True, slots=True)
class Joint:
    """graph: (params, a cotangent per active output) -> (outputs, a cotangent per wanted parameter that has one).

    given: which parameters have one; all others have zero.
    """

    graph: Graph
    given: list[bool]


def joint(graph: Graph, wanted: Sequence[bool], active: Sequence[bool], is_region: bool = False) -> Joint:
    """Forward and backward in one graph. is_region: its cotangents are part of a larger way back."""
    cts = [v.type for v, a in zip(graph.outputs, active, strict=True) if a]
    made = Graph([*(p.type for p in graph.params), *cts], graph.names)
    pullback = sweep(graph, made, made.params[:len(graph.params)], wanted)
    seeds: dict[Value, Term] = {}
    for value, ct in zip([v for v, a in zip(graph.outputs, active, strict=True) if a],
                         made.params[len(graph.params):], strict=True):
        if value in pullback.varied:
            term = Term(made, ct)
            if is_region or term.rank:      # unit vectors, say; if the one number is zero, everything is
                note_gaps(term)
            seeds[value] = seeds[value] + term if value in seeds else term
    found = pullback.pull(seeds)
    given = [found.get(p) if want else None for p, want in zip(graph.params, wanted, strict=True)]
    made.outputs = (*(pullback.primals[v] for v in graph.outputs), *(g.value for g in given if g is not None))
    return Joint(made, [g is not None for g in given])


@dataclass(frozen=True, slots=True)
class Split:
    """forward: params -> (outputs, kept values).  backward: (kept, free parameters, cotangents of active outputs)
    -> cotangents of the parameters that `given` names.
    """

    forward: Graph
    backward: Graph
    kept: list[ArrayType]
    given: list[bool]


class Reverse:
    """What rules of ops with regions ask for."""

    def varied(self, graph: Graph, wanted: Sequence[bool]) -> list[bool]:
        return varied_outputs(graph, wanted)

    def joint(self, graph: Graph, wanted: Sequence[bool], active: Sequence[bool]) -> tuple[Graph, list[bool]]:
        both = joint(graph, wanted, active, is_region=True)
        return both.graph, both.given

    def transposed(self, graph: Graph, first: int) -> tuple[Graph, list[bool]]:
        """Of a graph that is linear in its parameters from `first` on: (params, cotangents) -> their cotangents."""
        wanted = [k >= first for k in range(len(graph.params))]
        both = joint(graph, wanted, [True] * len(graph.outputs))
        cotangents = both.graph.outputs[len(graph.outputs):]
        return extract(both.graph, both.graph.params, cotangents, effects=False), both.given[first:]

    def split(self, graph: Graph, wanted: Sequence[bool], active: Sequence[bool], free: Sequence[bool]) -> Split:
        return split(graph, wanted, active, free, is_region=True)


def split(graph: Graph, wanted: Sequence[bool], active: Sequence[bool], free: Sequence[bool], is_region: bool = False
          ) -> Split:
    """Cuts the joint graph where the least is to be kept. free: parameters that the backward part gets anyway."""
    both = joint(graph, wanted, active, is_region)
    count, outputs = len(graph.params), len(graph.outputs)
    params, cts = both.graph.params[:count], both.graph.params[count:]
    backward = dependent(both.graph, cts)
    cotangents = both.graph.outputs[outputs:]
    at_hand = {p for p, f in zip(params, free, strict=True) if f}
    kept = kept_values(both.graph, params, backward, cotangents, at_hand)
    forward = extract(both.graph, params, (*both.graph.outputs[:outputs], *kept), effects=True, without=backward)
    back = extract(both.graph, (*kept, *(p for p in params if p in at_hand), *cts), cotangents, effects=False)
    return Split(forward, back, [v.type for v in kept], both.given)


def dependent(graph: Graph, roots: Sequence[Value]) -> set[Node]:
    """The nodes that depend on `roots`."""
    reached, nodes = set(roots), set()
    for node in graph.nodes:
        if any(v in reached for v in node.operands):
            nodes.add(node)
            reached.update(node.results)
    return nodes


def extract(graph: Graph, params: Sequence[Value], outputs: Sequence[Value], effects: bool,
            without: set[Node] | None = None) -> Graph:
    """What computes `outputs` from `params`, as a graph of its own. effects: nodes with effects come along."""
    made = Graph([p.type for p in params])
    env = dict(zip(params, made.params, strict=True))
    needed = {v for v in outputs if v not in env}
    live: set[Node] = set()
    for node in reversed(graph.nodes):
        if any(v in needed for v in node.results) or effects and node.has_effect and node not in (without or ()):
            live.add(node)
            needed.update(v for v in node.operands if v not in env)
    for node in graph.nodes:
        if node in live:
            results = made.keep(node, [env[v] for v in node.operands])
            for value, result in zip(node.results, results, strict=True):
                env.setdefault(value, result)
    made.outputs = tuple(env[v] for v in outputs)
    return made
