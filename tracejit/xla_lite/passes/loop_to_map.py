"""Loops whose iterations don't see each other become maps: `for i: out[i] = f(x[i])` is arithmetic on arrays.

Flows in:  a simplified graph; arrays are written by `scatter` at the loop's index and not read otherwise.
Flows out: the same without such loops. What a scalar carries from one iteration to the next (sums, the best so far)
           stays in a second loop, in order, which reads what the map has computed.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild, without_dead_nodes
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.element_loops import LOOPS, fuse_element_loops
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.rewriting import splat
from tracejit.xla_lite.passes.runs import find_runs, folds_of, reads_what_it_writes
from tracejit.xla_lite.passes.vectorise import Batched, Unfit, Vectoriser

FEWEST = 8      # iterations that are worth a map
MAPPED_INSIDE = ("for", "while", "case", "try")


@graph_pass(needs=("canonical",), gives=("loops depend on themselves",))
def map_loops(graph: Graph) -> Graph:
    """Inner loops first: a nest becomes one map. A map whose own loops would not run in one kernel is not made."""
    return _with_maps(graph, simplified=True)


@graph_pass(gives=("loops depend on themselves",))
def map_loops_as_written(graph: Graph) -> Graph:
    """The same before derivatives are taken: what is computed stays as the user wrote it, so that they do too."""
    return _with_maps(graph, simplified=False)


def _with_maps(graph: Graph, simplified: bool) -> Graph:
    if not any(n.op.kind == "control" for n in graph.nodes):
        return graph

    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if node.op.name not in MAPPED_INSIDE:
            return None
        attributes = map_regions(node, lambda region: _with_maps(region, simplified))
        if node.op.name == "for":
            body = (attributes or node.attributes)["body"]
            if (made := _mapped(copy, body, node, operands, simplified)) is not None:
                return made
        return None if attributes is None else copy.emit(node.op, operands, attributes, node.span)

    return rebuild(graph, change)


def _mapped(copy: Graph, body: Graph, node: Node, operands: list[Value], simplified: bool) -> Sequence[Value] | None:
    """The loop's results as a map; None where it is none. Tried apart from the graph first."""
    count = node.attributes["carries"]
    size = _rounds(operands[:3])
    if size is None or isinstance(size, int) and size < FEWEST or any(n.has_effect for n in body.nodes):
        return None
    trial = Graph([v.type for v in operands])
    try:
        inner = [trial.keep(v.node, ())[0] if v.node is not None and splat(v) is not None else p
                 for v, p in zip(operands, trial.params, strict=True)]
        trial.outputs = tuple(write_map(trial, body, inner, count, size))
    except Unfit:
        return None
    simple = without_dead_nodes(canonicalize.run(trial))
    if unfused_loops(fuse_element_loops.run(simple)) > serial_loops(simple):
        return None
    return copy.inline(simple if simplified else trial, operands)


def _rounds(bounds: Sequence[Value]) -> Size | None:
    """How many iterations, as a size."""
    lower, upper, step = (number_of(v) for v in bounds)
    if isinstance(lower, int) and isinstance(step, int) and isinstance(upper, int):
        return len(range(lower, upper, step)) if step else 0
    return upper if lower == 0 and step == 1 else None


def number_of(value: Value) -> Size | None:
    """What a scalar is, if it is known while compiling."""
    node = value.node
    if node is not None and node.op.name == "dimension":
        size: Size = node.attributes["size"]
        return size
    number = splat(value)
    return number if isinstance(number, int) else None


def unfused_loops(graph: Graph) -> int:
    """Loops that would run over arrays in memory."""
    return sum(n.op.name in LOOPS for n in graph.nodes)


def serial_loops(graph: Graph) -> int:
    """Loops that carry scalars alone, or write single elements."""
    return sum(n.op.name == "for" and bool(n.results) and all(not r.rank for r in n.results) for n in graph.nodes)


def write_map(graph: Graph, body: Graph, operands: Sequence[Value], count: int, size: Size,
              settled: bool = False, in_order: bool = False) -> list[Value]:
    """The map, and behind it the loop over what depends on the iterations before.

    settled: indices are inside of their arrays; scalars that are only added up are reductions, in_order: not of floats.
    """
    lower, _, step = operands[:3]
    initial, invariants = operands[3:3 + count], operands[3 + count:]
    written = {k for k in range(count) if _is_written_only(body, k, settled)}
    recurrent = _recurrent(body, count, written)
    folds = folds_of(body, count, recurrent, in_order) if settled else {}
    recurrent -= {fold.node for fold in folds.values()}
    heavy = [n for n in body.nodes if n not in recurrent and n.op.kind == "control"]
    scalars = [k for k in range(count) if k not in written and k not in folds]
    moving = recurrent or any(body.outputs[k] is not body.params[1 + k] for k in scalars)
    if moving and not heavy or any(initial[k].rank for k in scalars):
        raise Unfit("recurrence")
    states = {initial[k] for k in written}
    if states & set(invariants):
        raise Unfit("one array in two roles")
    index = _indices(graph, lower, step, size)
    work = Vectoriser(graph, size, states=states)
    arguments = [Batched(index, True), *(Batched(v, False) for v in (*initial, *invariants))]
    env = dict(zip(body.params, arguments, strict=True))
    if settled:
        work.runs = find_runs(graph, body, count, [lower, *initial, *invariants])
    work.nodes([n for n in body.nodes if n not in recurrent and n not in {f.node for f in folds.values()}], env)
    results = {k: env[body.outputs[k]].value for k in written}
    if any(env[body.outputs[k]].many for k in written):
        raise Unfit("result")
    results.update({k: fold.write(graph, initial[k], work.many(env[fold.term])) for k, fold in folds.items()})
    results.update(_second_loop(graph, body, operands, recurrent, env, scalars, work))
    return [results[k] for k in range(count)]


def _is_written_only(body: Graph, k: int, settled: bool) -> bool:
    """Whether the carry is handed on by one scatter, which nobody else sees, or as it came.

    settled: a round may read the very element that it writes, since no other round writes it.
    """
    param, output = body.params[1 + k], body.outputs[k]
    if not param.rank:
        return False
    readers = [n for n in body.nodes if param in n.operands]
    if output is param:
        return not readers
    node = output.node
    if node is not None and settled:
        readers = [n for n in readers if not reads_what_it_writes(n, node)]
    return node is not None and node.op.kind == "scatter" and readers == [node] and node.operands[0] is param \
        and node.operands.count(param) == 1 and not any(output in n.operands for n in body.nodes) \
        and body.outputs.count(output) == 1


def _recurrent(body: Graph, count: int, written: set[int]) -> set[Node]:
    """What depends on carries that iterations hand on."""
    moving = {body.params[1 + k] for k in range(count) if k not in written}
    found: set[Node] = set()
    for node in body.nodes:
        if any(v in moving for v in node.operands):
            found.add(node)
            moving.update(node.results)
    return found


def _indices(graph: Graph, lower: Value, step: Value, size: Size) -> Value:
    """lower + step * iota."""
    type = ArrayType(I64, (size,))
    index = graph.add("iota", dimension=0, type=type)
    if splat(step) != 1:
        index = graph.add("multiply", index, graph.add("broadcast_in_dim", step, shape=(size,), dims=()))
    if splat(lower) == 0:
        return index
    return graph.add("add", index, graph.add("broadcast_in_dim", lower, shape=(size,), dims=()))


def _second_loop(graph: Graph, body: Graph, operands: Sequence[Value], recurrent: set[Node],
                 env: dict[Value, Batched], scalars: Sequence[int], work: Vectoriser) -> dict[int, Value]:
    """for n: scalars = what remains of the body, on elements n of what the map has computed."""
    if not scalars:
        return {}
    moving = {body.params[1 + k] for k in scalars} | {r for n in recurrent for r in n.results}
    read = list(dict.fromkeys(v for v in [*(v for n in body.nodes if n in recurrent for v in n.operands),
                                          *(body.outputs[k] for k in scalars)] if v not in moving))
    initial = [operands[3 + k] for k in scalars]
    outer = [env[v] for v in read]
    region = Graph([ArrayType(I64), *(v.type for v in initial), *(x.value.type for x in outer)])
    local = dict(zip((body.params[1 + k] for k in scalars), region.params[1:], strict=False))
    for value, x, param in zip(read, outer, region.params[1 + len(scalars):], strict=True):
        local[value] = region.add("gather", param, region.params[0], axes=(0,)) if x.many else param
    for node in body.nodes:
        if node in recurrent:
            local.update(zip(node.results, region.keep(node, [local[v] for v in node.operands]), strict=True))
    region.outputs = tuple(local[body.outputs[k]] for k in scalars)
    zero, one = (graph.add("constant", value=n, type=ArrayType(I64)) for n in (0, 1))
    trips = graph.add("dimension", size=work.size) if not isinstance(work.size, int) else \
        graph.add("constant", value=work.size, type=ArrayType(I64))
    made = graph.emit("for", [zero, trips, one, *initial, *(x.value for x in outer)],
                      {"body": region, "carries": len(scalars)})
    return dict(zip(scalars, made, strict=True))
