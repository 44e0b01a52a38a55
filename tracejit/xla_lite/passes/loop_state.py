"""What a counted loop carries from round to round is only what later rounds or readers of its results need.

Flows in:  a simplified graph with `for` nodes.
Flows out: the same, where bodies see constants instead of parameters, arrays whose rows are each touched in one round
           are read where they come from, what is written over is not there before, and carries that nobody needs are
           gone. Loops that derivatives make carry
           cotangents of arrays that they read or write row by row: those become inputs and results.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from tracejit.base.dims import Size
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild, without_dead_nodes
from tracejit.xla_lite.passes.counters import Counter, counter_of, settle_tests
from tracejit.xla_lite.passes.loop_to_map import number_of
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.rewriting import splat


@dataclass(frozen=True, slots=True)
class Loop:
    """A `for`. operands: bounds, first state, invariants.  kept: which carries of the loop as it was these are."""

    body: Graph
    carries: int
    operands: list[Value]
    kept: tuple[int, ...]
    counter: Counter | None = field(init=False)

    def __post_init__(self) -> None:
        bounds: list[Size | None] = [number_of(v) for v in self.operands[:3]]
        object.__setattr__(self, "counter", counter_of(self.body, bounds))

    def initial(self, k: int) -> Value:
        return self.operands[3 + k]

    def param(self, k: int) -> Value:
        return self.body.params[1 + k]


@graph_pass(needs=("canonical",), gives=("loops carry what is needed",))
def simplify_loop_state(graph: Graph) -> Graph:
    """Inner loops first. Linear in the number of nodes."""
    if not any(n.op.kind == "control" for n in graph.nodes):
        return graph
    read = {v for n in graph.nodes for v in n.operands} | set(graph.outputs)

    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if node.op.kind != "control" or node.op.name == "fusion":
            return None
        attributes = map_regions(node, simplify_loop_state.run) or node.attributes
        if node.op.name == "for":
            count = attributes["carries"]
            before = Loop(attributes["body"], count, operands, tuple(range(count)))
            after = simplified(before, {k for k, v in enumerate(node.results) if v in read})
            after = _with_empty_arrays(copy, after)
            if after is not before:
                return emitted(copy, node, after, before)
        return None if attributes is node.attributes else copy.emit(node.op, operands, attributes, node.span)

    return rebuild(graph, change)


def simplified(loop: Loop, wanted: Collection[int]) -> Loop:
    """The loop with less state, or the same one. wanted: carries whose results are read."""
    loop = _with(loop, _with_constants(loop))
    if loop.counter is not None:
        loop = _with(loop, settle_tests(loop.body, loop.counter))
    for k in range(loop.carries):
        loop = _without_own_reads(loop, k, k in wanted)
    return _pruned(loop, wanted)


def _with(loop: Loop, body: Graph) -> Loop:
    return loop if body is loop.body else replace(loop, body=body)


def emitted(copy: Graph, node: Node, after: Loop, before: Loop) -> list[Value]:
    """Results of the loop in place of the old ones. What is no longer carried has no readers."""
    made = copy.emit("for", after.operands, {"body": after.body, "carries": after.carries}, node.span)
    found = dict(zip(after.kept, made, strict=True))
    return [found.get(k, before.initial(k)) for k in range(before.carries)]


def _with_constants(loop: Loop) -> Graph:
    """The body, where scalar invariants that are constants or sizes are nodes of its own."""
    first = 1 + loop.carries
    sources = {p: v.node for p, v in zip(loop.body.params[first:], loop.operands[2 + first:], strict=True)
               if v.node is not None and v.node.op.kind == "source" and not v.rank}
    used = {v for n in loop.body.nodes for v in n.operands} | set(loop.body.outputs)
    if not any(p in used for p in sources):
        return loop.body
    made = Graph([p.type for p in loop.body.params], loop.body.names)
    arguments = [made.keep(sources[p], ())[0] if p in sources else q
                 for p, q in zip(loop.body.params, made.params, strict=True)]
    made.outputs = made.inline(loop.body, arguments)
    return made


# ---- rows that one round touches ---------------------------------------------------------------------------------


def row_update(loop: Loop, k: int) -> Node | None:
    """The scatter that hands carry k on, if each round changes another row and nobody else sees the result."""
    param, output = loop.param(k), loop.body.outputs[k]
    node = output.node
    if node is None or loop.counter is None or node.op.name != "scatter" or node.operands[0] is not param:
        return None
    once = loop.body.outputs.count(output) == 1 and not any(output in n.operands for n in loop.body.nodes)
    row = node.attributes["axes"] == (0,) and not node.operands[2].rank and node.operands.count(param) == 1
    return node if once and row and loop.counter.stays_within(node.operands[2], param.shape[0]) else None


def _without_own_reads(loop: Loop, k: int, wanted: bool) -> Loop:
    """A row is as it was before the loop until the round that changes it: it is read from there.

    Only where the array from before costs nothing: it is a constant, or nobody wants what becomes of it.
    """
    update, number = row_update(loop, k), splat(loop.initial(k))
    if update is None or wanted and number is None:
        return loop
    param, index, combine = loop.param(k), update.operands[2], update.attributes["combine"]
    readers = {n for n in loop.body.nodes if param in n.operands and n is not update}
    if any(n.op.name != "gather" or n.operands != (param, index) or n.attributes["axes"] != (0,) for n in readers):
        return loop
    if not readers and not (wanted and combine == "add"):
        return loop
    source: list[Value] = []     # the array from before, once it is a parameter

    def row(copy: Graph, at: Value) -> Value:
        if number is not None:
            return copy.add("constant", value=number, type=param.type.with_shape(param.shape[1:]))
        if not source:
            source.append(copy.add_param(param.type))
        return copy.add("gather", source[0], at, axes=(0,))

    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if node in readers:
            return (row(copy, operands[1]),)
        if node is not update or combine != "add":
            return None
        total = copy.add("add", row(copy, operands[2]), operands[1], span=node.span)
        return (copy.add("scatter", operands[0], total, operands[2], axes=(0,), combine="set", span=node.span),)

    body = rebuild(loop.body, change)
    return replace(loop, body=body, operands=[*loop.operands, *([loop.initial(k)] if source else [])])


def empty_array(copy: Graph, type: ArrayType) -> Value:
    """An array of its own, all of which is written before it is read."""
    return copy.add("empty", type=type, number=len(copy.nodes))


def _with_empty_arrays(copy: Graph, loop: Loop) -> Loop:
    """Constants that a loop writes over, row by row, need not be there."""
    operands = list(loop.operands)
    for k in range(loop.carries):
        update, param = row_update(loop, k), loop.param(k)
        if update is None or loop.counter is None or splat(loop.initial(k)) is None or update.attributes[
                "combine"] != "set" or [n for n in loop.body.nodes if param in n.operands] != [update]:
            continue
        if loop.counter.covers(update.operands[2], param.shape[0]):
            operands[3 + k] = empty_array(copy, param.type)
    return loop if operands == loop.operands else replace(loop, operands=operands)


# ---- carries and invariants that nobody reads --------------------------------------------------------------------


def _pruned(loop: Loop, wanted: Collection[int]) -> Loop:
    """The loop without carries that neither results nor effects depend on, and without unread invariants."""
    body, count = loop.body, loop.carries
    needed, more = set(wanted), set(wanted)
    reached: set[Value | Node] = set()
    while more or not reached:
        reached = {body.params[0], *_reached(body, [body.outputs[k] for k in needed])}
        more = {k for k in range(count) if body.params[1 + k] in reached} - needed
        needed |= more
    kept = sorted(needed)
    places = [0, *(1 + k for k in kept), *(k for k in range(1 + count, len(body.params)) if body.params[k] in reached)]
    if len(places) == len(body.params):
        return loop
    made = Graph([body.params[p].type for p in places])
    env = dict(zip((body.params[p] for p in places), made.params, strict=True))
    for node in body.nodes:
        if node in reached:
            env.update(zip(node.results, made.keep(node, [env[v] for v in node.operands]), strict=True))
    made.outputs = tuple(env[body.outputs[k]] for k in kept)
    operands = [*loop.operands[:3], *(loop.operands[2 + p] for p in places[1:])]
    return Loop(without_dead_nodes(made), len(kept), operands, tuple(loop.kept[k] for k in kept))


def _reached(body: Graph, outputs: Sequence[Value]) -> set[Value | Node]:
    """Values and nodes that the outputs and all effects need."""
    found: set[Value | Node] = set(outputs)
    for node in reversed(body.nodes):
        if node.has_effect or any(v in found for v in node.results):
            found.add(node)
            found.update(node.operands)
    return found
