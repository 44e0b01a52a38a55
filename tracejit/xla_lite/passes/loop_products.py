"""Products that a counted loop adds up become one product behind it: sum over t of x_t^T g_t = X^T G.

Flows in:  `for` nodes with a carry `total + product(x_t, g_t)` that nothing else reads. Derivatives of loops by what
           all rounds share (weights) are such.
Flows out: the same, where the rounds put x_t and g_t into rows of arrays, unless they are there already, and one
           contraction over rows and all adds up.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tracejit.base.dims import Size
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild
from tracejit.xla_lite.passes.counters import Counter
from tracejit.xla_lite.passes.loop_state import Loop, empty_array, row_update
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.rewriting import splat
from tracejit.xla_lite.passes.slice_updates import TYPICAL

FEWEST = 4      # rounds that are worth an array of their rows


@graph_pass(needs=("loops carry what is needed",), gives=("loops add up no products",))
def gather_products(graph: Graph) -> Graph:
    """Linear in the number of nodes. Sums of floats change their order."""
    if not any(n.op.kind == "control" for n in graph.nodes):
        return graph

    def change(copy: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if node.op.kind != "control" or node.op.name == "fusion":
            return None
        attributes = map_regions(node, gather_products.run) or node.attributes
        if node.op.name == "for":
            count = attributes["carries"]
            loop = Loop(attributes["body"], count, operands, tuple(range(count)))
            if made := _gathered(copy, node, loop):
                return made
        return None if attributes is node.attributes else copy.emit(node.op, operands, attributes, node.span)

    return rebuild(graph, change)


@dataclass(frozen=True, slots=True)
class Rows:
    """An array with one row for each round, in the order of `index`.

    kind: an "operand" of the loop, the "result" of one of its carries, or a "new" carry, by `number`.
    """

    kind: str
    number: int
    index: Value


@dataclass(frozen=True, slots=True)
class Sum:
    """carry = carry + term, where term is a contraction of `parts`, or a sum over axes of its only one."""

    carry: int
    term: Node
    parts: list[Rows]


def _gathered(copy: Graph, node: Node, loop: Loop) -> list[Value] | None:
    """The loop's results with its sums of products computed behind it; None if there are none."""
    counter = loop.counter
    if counter is None or counter.rounds is None or isinstance(counter.rounds, int) and counter.rounds < FEWEST:
        return None
    plan = _Plan(loop, counter, counter.rounds)
    sums = [s for k in range(loop.carries) if (s := plan.sum_of(k)) is not None]
    if not sums:
        return None
    made = plan.emit(copy, node, {s.carry for s in sums})
    results = dict(zip([k for k in range(loop.carries) if k not in {s.carry for s in sums}], made, strict=False))
    arrays = {("result", k): v for k, v in results.items()}
    arrays.update((("new", k), v) for k, v in enumerate(made[len(results):]))
    arrays.update((("operand", k), v) for k, v in enumerate(loop.operands))
    for one in sums:
        total = _contracted(copy, one.term, [arrays[r.kind, r.number] for r in one.parts])
        results[one.carry] = copy.add("add", loop.initial(one.carry), total, span=one.term.span)
    return [results[k] for k in range(loop.carries)]


def _contracted(copy: Graph, term: Node, arrays: Sequence[Value]) -> Value:
    """The term of all rounds, added up: their rows are one more contracted axis."""
    if term.op.name == "reduce_sum":
        return copy.add("reduce_sum", *arrays, axes=(0, *(a + 1 for a in term.attributes["axes"])), span=term.span)
    roles = {name: tuple(a + 1 for a in axes) for name, axes in term.attributes.items()}
    roles["lhs_contract"], roles["rhs_contract"] = (0, *roles["lhs_contract"]), (0, *roles["rhs_contract"])
    return copy.add("dot_general", *arrays, **roles, span=term.span)


class _Plan:
    """Which rows are where. new: values of the body whose rows get an array, in order, with their index."""

    def __init__(self, loop: Loop, counter: Counter, rounds: Size):
        self.loop, self.counter, self.rounds = loop, counter, rounds
        self.users = loop.body.users()
        self.new: dict[Value, tuple[int, Value]] = {}
        self.kept: dict[Value, Rows] = {}
        for k in range(loop.carries):
            self._note_result(k)

    def _note_result(self, k: int) -> None:
        """A carry that gets a row in each round. What is added to 0 is in it too, but for signs of zeros."""
        update = row_update(self.loop, k)
        if update is None or update.attributes["combine"] != "set" or not self.covers(
                update.operands[2], self.loop.param(k).shape[0]):
            return
        value, rows = update.operands[1], Rows("result", k, update.operands[2])
        self.kept[value] = rows
        if value.node is not None and value.node.op.name == "add":
            for zero, other in (value.node.operands, value.node.operands[::-1]):
                if splat(zero) == 0:
                    self.kept.setdefault(other, rows)

    def covers(self, index: Value, size: Size) -> bool:
        return self.counter.covers(index, size)

    def sum_of(self, k: int) -> Sum | None:
        """Carry k as a sum whose terms can be had as rows at little cost."""
        term = self.term_of(k)
        if term is None:
            return None
        found = [self.rows_of(v) for v in term.operands]
        index = next((r.index for r in found if r is not None), self.own_index())
        if index is None:
            return None
        there = [r if r is not None and r.index is index else None for r in found]
        missing = [v for v, r in zip(term.operands, there, strict=True) if r is None and v not in self.new]
        most = 0 if term.op.name == "reduce_sum" else _elements(term.result)
        if sum(map(_elements, missing)) > most:
            return None
        return Sum(k, term, [r or self.new_rows(v, index) for v, r in zip(term.operands, there, strict=True)])

    def term_of(self, k: int) -> Node | None:
        """What is added to carry k, if it is a contraction or a sum that nobody else reads."""
        param, total = self.loop.param(k), self.loop.body.outputs[k]
        if total.node is None or total.node.op.name != "add" or param not in total.node.operands \
                or self.users[param] != [total.node] or self.users[total] or self.loop.body.outputs.count(total) > 1:
            return None
        (other,) = [v for v in total.node.operands if v is not param] or [param]
        term = other.node
        if term is None or term.op.name not in ("dot_general", "reduce_sum") or self.users[other] != [total.node] \
                or other in self.loop.body.outputs or other.dtype.kind == "b":
            return None
        return term

    def rows_of(self, value: Value) -> Rows | None:
        """An array that has the value as a row of each round."""
        node, params = value.node, self.loop.body.params
        if node is not None and node.op.name == "gather" and node.attributes["axes"] == (0,) \
                and node.operands[0] in params[1 + self.loop.carries:] and self.covers(
                    node.operands[1], node.operands[0].shape[0]):
            return Rows("operand", params.index(node.operands[0]) + 2, node.operands[1])
        return self.kept.get(value)

    def own_index(self) -> Value | None:
        """The counter, if it numbers the rounds in some order."""
        counter = self.loop.body.params[0]
        return counter if self.covers(counter, self.rounds) else None

    def new_rows(self, value: Value, index: Value) -> Rows:
        number, at = self.new.setdefault(value, (len(self.new), index))
        return Rows("new", number, at)

    def emit(self, copy: Graph, node: Node, sums: Collection[int]) -> Sequence[Value]:
        """The loop without the sums, with arrays of new rows behind its other carries."""
        old, loop = self.loop.body, self.loop
        kept = [k for k in range(loop.carries) if k not in sums]
        rows = [v.type.with_shape((self.rounds, *v.shape)) for v in self.new]
        invariants = old.params[1 + loop.carries:]
        body = Graph([old.params[0].type, *(loop.param(k).type for k in kept), *rows, *(p.type for p in invariants)])
        carried = body.params[1:1 + len(kept)]
        env = {old.params[0]: body.params[0], **dict(zip(map(loop.param, kept), carried, strict=True)),
               **dict(zip(invariants, body.params[1 + len(kept) + len(rows):], strict=True))}
        skipped = {old.outputs[k].node for k in sums}
        skipped |= {v.node for n in skipped if n is not None for v in n.operands if self.users[v] == [n]}
        for n in old.nodes:
            if n not in skipped:
                env.update(zip(n.results, body.keep(n, [env[v] for v in n.operands]), strict=True))
        memories = body.params[1 + len(kept):1 + len(kept) + len(rows)]
        stored = [body.add("scatter", memory, env[v], env[at], axes=(0,), combine="set")
                  for memory, (v, (_, at)) in zip(memories, self.new.items(), strict=True)]
        body.outputs = (*(env[old.outputs[k]] for k in kept), *stored)
        fresh = [empty_array(copy, type) for type in rows]
        operands = [*loop.operands[:3], *map(loop.initial, kept), *fresh, *loop.operands[3 + loop.carries:]]
        return copy.emit("for", operands, {"body": body, "carries": len(kept) + len(rows)}, node.span)


def _elements(value: Value) -> int:
    total = 1
    for n in value.shape:
        total *= n if isinstance(n, int) else TYPICAL
    return total
