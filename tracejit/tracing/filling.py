"""Stacks that are filled in an order known before the run become arrays: a loop that appends once in every round is the
loop that writes element i.

Flows in:  the graph of a trace, with stacks for the lists that grow in loops.
Flows out: the same graph with arrays, carried by loops, in place of every stack whose entries are only read, replaced,
           and added a number of times that sizes tell. Fusion, element loops and gradients then see ordinary ops.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tracejit.base.dims import Dim, Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value

LOOPS = {"for": 3, "while": 0}      # loop -> its operands before the carries
READING = ("stack_get", "stack_length")


def fill_stacks(graph: Graph) -> Graph:
    """The graph with arrays for the stacks that can be; the same graph if it has none."""
    return Filling(graph, {}).run() if any(n.op.name == "stack_new" for n in all_nodes(graph)) else graph


def all_nodes(graph: Graph) -> Iterator[Node]:
    """Nodes of a graph and of all regions in it, however deep, in no particular order."""
    todo = [graph]
    while todo:
        one = todo.pop()
        yield from one.nodes
        todo += [region for node in one.nodes for _, region in node.regions()]


# ---- which stacks ----------------------------------------------------------------------------------------------


class Sizes:
    """What is known of the i64[] values of a graph as sizes. outer: of its parameters."""

    def __init__(self, graph: Graph, outer: dict[Value, Size]):
        self.known = dict(outer)
        self.bound: dict[str, Node] = {}
        for node in graph.nodes:
            name = node.op.name
            if name == "constant" and not node.result.rank and node.result.dtype is I64:
                self.known[node.result] = int(node.attributes["value"])
            elif name == "dimension":
                self.known[node.result] = node.attributes["size"]
            elif name == "bind_dim":
                self.bound[node.attributes["dim"]] = node
                self.known.setdefault(node.operands[0], Dim.symbol(node.attributes["dim"]))
                self.known[node.result] = Dim.symbol(node.attributes["dim"])

    def trips(self, loop: Node) -> Size | None:
        """The rounds of range(0, n)."""
        lower, upper, step = (self.known.get(v) for v in loop.operands[:3])
        return upper if lower == 0 and step == 1 else None

    def inside(self, node: Node, region: Graph, first: int) -> dict[Value, Size]:
        """What is known of a region's parameters; `first` is the first of them that does not change in a loop."""
        shift = len(node.operands) - len(region.params)
        return {p: self.known[v] for p, v in zip(region.params[first:], node.operands[first + shift:], strict=True)
                if v in self.known}


def growth(graph: Graph, handle: Value, sizes: Sizes, inner: bool = False) -> Size | None:
    """How many entries a graph adds to a stack; None if that is not known, or something else happens to it."""
    total: Size = 0
    if handle in graph.outputs:
        return None
    for node in graph.nodes:
        if handle in node.operands:
            more = _growth_by(graph, node, handle, sizes, inner, total)
            if more is None:
                return None
            total = total + more
    return total


def _growth_by(graph: Graph, node: Node, handle: Value, sizes: Sizes, inner: bool, before: Size) -> Size | None:
    name = node.op.name
    if node.operands.count(handle) > 1:
        return None
    if node.op.kind == "effect":
        if node.operands[0] is not handle:
            return None
        match name:
            case "stack_get" | "stack_length" | "stack_set":
                return 0
            case "stack_push":
                return 1
            case "stack_extend":
                count = node.operands[2].shape[0] if len(node.operands) > 2 else None
                return count if sizes.known.get(node.operands[1]) == count else None
            case "stack_array":
                whole = sizes.known.get(node.operands[1]) == 0 and node.result.shape[0] == before
                return 0 if whole and not inner else None
        return None
    return _growth_in(node, handle, sizes) if name in ("for", "while", "case") else None


def _growth_in(node: Node, handle: Value, sizes: Sizes) -> Size | None:
    """By the regions of a node: only loops of a known number of rounds may add to it."""
    at, first = node.operands.index(handle), _first_constant(node)
    if at < first:
        return None
    total: Size = 0
    for _, region in node.regions():
        param = region.params[at - (len(node.operands) - len(region.params))]
        shift = len(node.operands) - len(region.params)
        within = Sizes(region, sizes.inside(node, region, max(first - shift, 0)))
        more = growth(region, param, within, True)
        if more is None or more != 0 and node.op.name != "for":
            return None
        if isinstance(more, Dim) and not more.symbols().isdisjoint(within.bound):
            return None
        total = more
    if total == 0:
        return 0
    trips = sizes.trips(node)
    return None if trips is None else total * trips


def _first_constant(node: Node) -> int:
    """The first operand that regions see as it is, in every round."""
    if node.op.name in LOOPS:
        return LOOPS[node.op.name] + int(node.attributes["carries"])
    return 1


def is_changed(graph: Graph, handle: Value) -> bool:
    """Whether a region adds entries to a stack or replaces some."""
    for node in graph.nodes:
        if handle in node.operands:
            if node.op.name.startswith("stack_") and node.op.name not in (*READING, "stack_array"):
                return True
            at = node.operands.index(handle) - len(node.operands)
            if any(is_changed(region, region.params[at]) for _, region in node.regions()):
                return True
    return False


# ---- rewriting -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Length:
    """start + size + index * step: how many entries there are. start: a value; index: the counter of the loop."""

    size: Size = 0
    start: Value | None = None
    index: Value | None = None
    step: Size = 0

    def plus(self, more: Size) -> Length:
        return replace(self, size=self.size + more)


@dataclass(slots=True)
class Filled:
    """A stack as arrays: one per field, `capacity` rows."""

    arrays: list[Value]
    length: Length
    capacity: Size


@dataclass(slots=True)
class Filling:
    """Rewrites one graph. outer: what is known of its parameters.  states: parameters that were handles."""

    old: Graph
    outer: dict[Value, Size]
    new: Graph = field(default_factory=lambda: Graph([]))
    env: dict[Value, Value] = field(default_factory=dict)
    states: dict[Value, Filled] = field(default_factory=dict)
    sizes: Sizes = field(init=False)
    least: dict[Value, int] = field(default_factory=dict)     # lengths, and what they are never below

    def __post_init__(self) -> None:
        self.sizes = Sizes(self.old, self.outer)

    def run(self) -> Graph:
        """Of a graph on its own: its parameters stay."""
        self.new = Graph([p.type for p in self.old.params], self.old.names)
        self.env = dict(zip(self.old.params, self.new.params, strict=True))
        self.nodes()
        self.new.outputs = tuple(self.env[v] for v in self.old.outputs)
        return self.new

    def nodes(self) -> None:
        for node in self.old.nodes:
            self.node(node)

    def node(self, node: Node) -> None:
        if all(v in self.env for v in node.results) and node.results:
            return
        if node.op.name == "stack_new" and self.open(node):
            return
        if any(v in self.states for v in node.operands):
            if node.op.name in LOOPS:
                self.loop(node)
            elif node.op.name == "case":
                self.case(node)
            else:
                self.access(node)
        elif not self.is_sure(node):
            self.keep(node)

    def keep(self, node: Node) -> None:
        operands = [self.env[v] for v in node.operands]
        attributes: dict[str, Any] = {}
        for key, value in node.attributes.items():
            if isinstance(value, Graph):
                attributes[key] = self.region(node, value)
            elif isinstance(value, tuple) and value and isinstance(value[0], Graph):
                attributes[key] = tuple([self.region(node, g) for g in value])
        made = self.new.keep(node, operands) if not attributes else self.new.emit(
            node.op, operands, {**node.attributes, **attributes}, node.span)
        self.env.update(zip(node.results, made, strict=True))

    def region(self, node: Node, region: Graph) -> Graph:
        """A region which uses no stack of this graph; it may have its own."""
        if not any(n.op.name == "stack_new" for n in all_nodes(region)):
            return region
        shift = len(node.operands) - len(region.params)
        first = max(_first_constant(node) - shift, 0) if node.op.name in (*LOOPS, "case") else len(region.params)
        return Filling(region, self.sizes.inside(node, region, first)).run()

    def is_sure(self, node: Node) -> bool:
        """Whether a check of a length can't fail. Comparisons of lengths that always hold are noted."""
        if node.op.name != "assert":
            return False
        test = self.env[node.operands[0]].node
        if test is None or test.op.name != "compare" or test.attributes["direction"] not in ("GE", "GT"):
            return False
        bound = test.operands[1].node
        if test.operands[0] not in self.least or bound is None or bound.op.name != "constant":
            return False
        least = self.least[test.operands[0]] - int(test.attributes["direction"] == "GT")
        return least >= int(bound.attributes["value"])

    # Stacks

    def open(self, node: Node) -> bool:
        """Makes the arrays of a stack; False if it stays a stack."""
        capacity = growth(self.old, node.result, self.sizes)
        if capacity is None or not node.attributes["types"] or not self.bind(capacity):
            return False
        arrays = [self.new.add("constant", value=0, type=ArrayType(t.dtype, (capacity, *t.shape)), span=node.span)
                  for t in node.attributes["types"]]
        self.states[node.result] = Filled(arrays, Length(), capacity)
        return True

    def bind(self, size: Size) -> bool:
        """Makes the symbols of a size known here, if what they are computed from can be computed here."""
        wanted = [self.sizes.bound[s] for s in sorted(size.symbols() & self.sizes.bound.keys())] if isinstance(
            size, Dim) else []
        needed = dict.fromkeys(n for node in wanted for n in self.before(node))
        if any(n.has_effect and n.op.name != "bind_dim" for n in needed):
            return False
        order = {n: i for i, n in enumerate(self.old.nodes)}
        for node in sorted(needed, key=order.__getitem__):
            self.node(node)
        return True

    def before(self, node: Node) -> Iterator[Node]:
        """What a node is computed from and is not here yet, and the node."""
        todo, seen = [node], set()
        while todo:
            one = todo.pop()
            if one in seen or all(v in self.env for v in one.results):
                continue
            seen.add(one)
            yield one
            todo += [v.node for v in one.operands if v.node is not None]
            todo += [self.sizes.bound[s] for v in one.operands for s in v.type.symbols() & self.sizes.bound.keys()]

    def number(self, size: Size) -> Value:
        if isinstance(size, int):
            return self.new.add("constant", value=size, type=ArrayType(I64))
        return self.new.add("dimension", size=size)

    def position(self, length: Length) -> Value:
        """A length as a value."""
        total = length.start
        if length.index is not None and length.step != 0:
            moved = length.index if length.step == 1 else self.new.add("multiply", length.index,
                                                                       self.number(length.step))
            total = moved if total is None else self.new.add("add", total, moved)
        if length.size != 0 or total is None:
            size = self.number(length.size)
            total = size if total is None else self.new.add("add", total, size)
        self.least[total] = max(self.least.get(total, 0), _least(length.size))
        return total

    def access(self, node: Node) -> None:
        """One of the ops of `ops/stacks`."""
        state, rest = self.states[node.operands[0]], [self.env[v] for v in node.operands[1:]]
        match node.op.name:
            case "stack_push":
                self.write(state, self.position(state.length), rest)
                state.length = state.length.plus(1)
            case "stack_set":
                self.write(state, rest[0], rest[1:])
            case "stack_extend":
                self.fill(state, rest[1:])
            case "stack_get":
                for k, result in enumerate(node.results):
                    self.env[result] = self.new.add("gather", state.arrays[k], rest[0], axes=(0,), span=node.span)
            case "stack_length":
                self.env[node.result] = self.position(state.length)
            case "stack_array":
                self.env[node.result] = self.whole(state, state.arrays[node.attributes["field"]])

    def whole(self, state: Filled, array: Value) -> Value:
        if state.length.size == state.capacity:
            return array
        rank = array.rank
        return self.new.add("slice", array, start=(0,) * rank, stride=(1,) * rank,
                            limit=(state.length.size, *array.shape[1:]))

    def write(self, state: Filled, index: Value, values: Sequence[Value]) -> None:
        for k, value in enumerate(values):
            array = state.arrays[k]
            if not value.rank:
                state.arrays[k] = self.new.add("scatter", array, value, index, axes=(0,), combine="set")
                continue
            row = self.new.add("reshape", value, shape=(1, *value.shape))
            state.arrays[k] = self.update(array, row, index)

    def update(self, array: Value, rows: Value, index: Value) -> Value:
        zero = self.number(0)
        return self.new.add("dynamic_update_slice", array, rows, index, *[zero] * (array.rank - 1))

    def fill(self, state: Filled, arrays: Sequence[Value]) -> None:
        for k, rows in enumerate(arrays):
            whole = rows.type == state.arrays[k].type
            state.arrays[k] = rows if whole else self.update(state.arrays[k], rows, self.position(state.length))
        state.length = state.length.plus(arrays[0].shape[0])

    # Regions

    def loop(self, node: Node) -> None:
        """Arrays that rounds change are carried, others seen."""
        first, carries = LOOPS[node.op.name], int(node.attributes["carries"])
        hand = Handing(self, node, first + carries)
        regions: dict[str, Graph] = {}
        for name in ("cond", "body"):
            if name in node.attributes:
                regions[name] = hand.region(node.attributes[name], int(node.op.name == "for") + carries, name == "body")
        operands = [*(self.env[v] for v in node.operands[:first + carries]), *hand.changed, *hand.seen]
        made = self.new.emit(node.op, operands, {**node.attributes, **regions, "carries": carries + len(hand.changed)},
                             node.span)
        self.env.update(zip(node.results, made, strict=False))
        hand.take_back(made[carries:], self.sizes.trips(node) if node.op.name == "for" else 0)

    def case(self, node: Node) -> None:
        hand = Handing(self, node, 1)
        branches = tuple([hand.region(branch, 0, True) for branch in node.attributes["branches"]])
        operands = [self.env[node.operands[0]], *hand.changed, *hand.seen]
        made = self.new.emit(node.op, operands, {"branches": branches}, node.span)
        self.env.update(zip(node.results, made, strict=False))
        hand.take_back(made[len(node.results):], 0)


class Handing:
    """How the stacks of a graph get into the regions of a node, as arrays, and back.

    changed: arrays that regions give back.  seen: everything else that regions see, behind the changed arrays.
    """

    def __init__(self, filling: Filling, node: Node, first: int):
        self.filling, self.node, self.first = filling, node, first
        self.handles = {k: v for k, v in enumerate(node.operands[first:]) if v in filling.states}
        self.others = {k: v for k, v in enumerate(node.operands[first:]) if v not in filling.states}
        self.grown = {v: self.growth(v) for v in self.handles.values()}
        self.is_changed = {v: self.changes(v) for v in self.handles.values()}
        states = filling.states
        self.changed = [a for v in self.handles.values() if self.is_changed[v] for a in states[v].arrays]
        self.seen = [filling.env[v] for v in self.others.values()]
        self.seen += [a for v in self.handles.values() if not self.is_changed[v] for a in states[v].arrays]
        self.starts: dict[Value, Value] = {}
        for v in self.handles.values():
            length = states[v].length
            if length.start is not None or length.index is not None:
                self.starts[v] = filling.position(length)
        self.seen += self.starts.values()

    def params_of(self, handle: Value) -> Iterator[tuple[Graph, Value]]:
        at = self.node.operands.index(handle) - len(self.node.operands)
        for _, region in self.node.regions():
            yield region, region.params[at]

    def changes(self, handle: Value) -> bool:
        return any(is_changed(region, param) for region, param in self.params_of(handle))

    def growth(self, handle: Value) -> Size:
        """By one round."""
        if self.node.op.name != "for":
            return 0
        sizes = self.filling.sizes
        (region, param), = self.params_of(handle)
        found = growth(region, param, Sizes(region, sizes.inside(self.node, region, self.first - 2)), True)
        assert found is not None, "a stack in a loop was found to grow by a known number"
        return found

    def region(self, old: Graph, own: int, gives: bool) -> Graph:
        """A region rewritten. own: its parameters before those from `first` on.  gives: changed arrays are results."""
        filling, new = self.filling, Graph([p.type for p in old.params[:own]])
        inner = Filling(old, filling.sizes.inside(self.node, old, own), new)
        inner.env = dict(zip(old.params[:own], new.params, strict=True))
        values = iter([new.add_param(v.type) for v in (*self.changed, *self.seen)])
        states, handles = filling.states, list(self.handles.values())
        rows = {v: [next(values) for _ in states[v].arrays] for v in handles if self.is_changed[v]}
        inner.env.update((old.params[own + k], next(values)) for k in self.others)
        rows |= {v: [next(values) for _ in states[v].arrays] for v in handles if not self.is_changed[v]}
        starts = {v: next(values) for v in self.starts}
        for k, v in self.handles.items():
            inner.states[old.params[own + k]] = self.inside(v, rows[v], starts.get(v), new, inner)
        inner.nodes()
        new.outputs = tuple([inner.env[v] for v in old.outputs] + ([
            a for k, v in self.handles.items() if self.is_changed[v] for a in inner.states[old.params[own + k]].arrays]
            if gives else []))
        return new

    def inside(self, handle: Value, rows: list[Value], start: Value | None, new: Graph, inner: Filling) -> Filled:
        state = self.filling.states[handle]
        index = new.params[0] if self.node.op.name == "for" else None
        size = 0 if start is not None else state.length.size
        if start is not None:
            inner.least[start] = self.filling.least.get(self.starts[handle], 0)
        return Filled(rows, Length(size, start, index, self.grown[handle]), state.capacity)

    def take_back(self, made: Sequence[Value], trips: Size | None) -> None:
        results = iter(made)
        for v in self.handles.values():
            state = self.filling.states[v]
            if self.is_changed[v]:
                state.arrays = [next(results) for _ in state.arrays]
            if self.grown[v] != 0:
                assert trips is not None, "a stack grows in a loop of a known number of rounds"
                state.length = state.length.plus(self.grown[v] * trips)


def _least(size: Size) -> int:
    """What a size is never below."""
    if isinstance(size, int):
        return size
    return sum(c for m, c in size.terms if not m) if all(c > 0 for _, c in size.terms) else 0


__all__ = ["fill_stacks"]
