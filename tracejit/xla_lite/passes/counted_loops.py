"""Loops whose rounds are counted only when they begin, or which check what they do, become maps where that is safe.

Flows in:  a simplified graph without the loops that `map_loops` has taken.
Flows out: such a loop in two versions, and a test before them: as it was, and, where no check can fail, without checks.
           In the latter the loops that are maps have a size bound at run time; places in a row are slices.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count as numbers

from tracejit.base.dims import Dim, Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild, without_dead_nodes
from tracejit.xla_lite.passes.canonicalize import canonicalize
from tracejit.xla_lite.passes.element_loops import fuse_element_loops
from tracejit.xla_lite.passes.fuse import sizes_in
from tracejit.xla_lite.passes.loop_claims import Claims, Known, Unsettled
from tracejit.xla_lite.passes.loop_to_map import FEWEST, number_of, serial_loops, unfused_loops, write_map
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.rewriting import splat
from tracejit.xla_lite.passes.vectorise import Unfit


@graph_pass(needs=("loops depend on themselves",), gives=("counted loops are maps",))
def map_counted_loops(graph: Graph) -> Graph:
    """Outer loops first, since one test before a nest is better than one before each of its loops."""
    return _mapped(graph, in_order=False)


@graph_pass(needs=("loops depend on themselves",), gives=("counted loops are maps",))
def map_counted_loops_in_order(graph: Graph) -> Graph:
    """The same, but sums of floats stay loops: their terms are added in the user's order."""
    return _mapped(graph, in_order=True)


def _mapped(graph: Graph, in_order: bool) -> Graph:
    if not any(n.op.kind == "control" for n in graph.nodes):
        return graph
    return _Counted(graph.nodes, in_order).run(graph)


class _Counted:
    """One graph with its regions. names: of sizes that no node has yet.  maps: see `Claims`, of the loop at hand."""

    def __init__(self, nodes: Iterable[Node], in_order: bool):
        self.in_order = in_order
        self.maps: set[int] = set()
        used = {s for n in nodes for s in sizes_in(n)}
        self.names: Iterator[str] = (name for k in numbers(1) if (name := f"rounds{k}") not in used)

    def run(self, graph: Graph) -> Graph:
        return rebuild(graph, self.change)

    def change(self, copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if node.op.kind != "control" or node.op.name == "fusion":
            return None
        if node.op.name == "for" and (made := self.versions(copy, node, operands)) is not None:
            return made
        attributes = map_regions(node, self.run)
        return None if attributes is None else copy.emit(node.op, operands, attributes, node.span)

    def versions(self, copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        """A `case` of the loop and of its fast version; the latter alone where nothing has to be tested."""
        try:
            claims = _claims(node, operands, ())
        except Unsettled:
            return None
        fast = Graph([v.type for v in operands])
        self.maps.clear()
        made = self.loop(fast, node, _with_constants(fast, operands), _without_checks(claims.known))
        if made is None:
            return None
        fast.outputs = tuple(made)
        checks = _claims(node, operands, self.maps).graph
        checks = without_dead_nodes(canonicalize.run(checks))
        if splat(checks.outputs[0]) is True:
            return copy.inline(fast, operands)
        slow = Graph([v.type for v in operands])
        slow.outputs = slow.keep(node, slow.params)
        (safe,) = copy.inline(checks, operands)
        return copy.emit("case", [safe, *operands], {"branches": (slow, fast)}, node.span)

    def loop(self, graph: Graph, node: Node, operands: Sequence[Value],
             plain: Callable[[Graph], Graph]) -> Sequence[Value] | None:
        """The loop with every loop in it that is a map as one, itself too; None if there is none."""
        count, mapped = node.attributes["carries"], False

        def inner(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
            nonlocal mapped
            made = self.loop(copy, node, operands, plain) if node.op.name == "for" else None
            mapped |= made is not None
            return made

        body = canonicalize.run(rebuild(plain(node.attributes["body"]), inner))
        if (made := self.as_map(graph, body, operands, count)) is not None:
            self.maps.add(id(node.attributes["body"]))
            return made
        return graph.emit("for", operands, {"body": body, "carries": count}, node.span) if mapped else None

    def as_map(self, graph: Graph, body: Graph, operands: Sequence[Value], count: int) -> Sequence[Value] | None:
        """The loop's results as a map; None where it is none. Tried apart from the graph first."""
        trial = Graph([v.type for v in operands])
        inner = _with_constants(trial, operands)
        try:
            trial.outputs = tuple(write_map(trial, body, inner, count, self.size(trial, inner), settled=True,
                                            in_order=self.in_order))
        except Unfit:
            return None
        trial = without_dead_nodes(canonicalize.run(trial))
        if unfused_loops(fuse_element_loops.run(trial)) > serial_loops(trial):
            return None
        return graph.inline(trial, operands)

    def size(self, graph: Graph, operands: Sequence[Value]) -> Size:
        """How many rounds there are; bound here if that is not known before."""
        lower, upper = (number_of(v) for v in operands[:2])
        if isinstance(lower, int) and isinstance(upper, int):
            if upper - lower < FEWEST:
                raise Unfit("few rounds")
            return upper - lower
        if lower == 0 and upper is not None:
            return upper
        rounds = graph.add("subtract", operands[1], operands[0])
        rounds = graph.add("maximum", rounds, graph.add("constant", value=0, type=ArrayType(I64)))
        name = next(self.names)
        graph.emit("bind_dim", [rounds], {"dim": name})
        return Dim.symbol(name)


def _claims(node: Node, operands: Sequence[Value], maps: Collection[int]) -> Claims:
    """What a loop needs, as the output of a graph over its operands. Raises Unsettled."""
    graph = Graph([v.type for v in operands])
    claims = Claims(graph, maps)
    claims.loop(node, [Known(v, "fixed") for v in _with_constants(graph, operands)])
    graph.outputs = (claims.all(),)
    return claims


def _with_constants(graph: Graph, operands: Sequence[Value]) -> list[Value]:
    """The graph's parameters, but constants where operands are."""
    return [graph.keep(v.node, ())[0] if v.node is not None and splat(v) is not None else p
            for v, p in zip(operands, graph.params, strict=True)]


def _without_checks(known: set[Node]) -> Callable[[Graph], Graph]:
    """Drops asserts, and selects whose test is known to be false."""
    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if node.op.name == "assert":
            return ()
        return (operands[2],) if node in known else None

    return lambda body: rebuild(body, change)
