"""Where every value lives: registers, the caller's arrays, another value's memory, or a place in one arena.

Flows in:  a fused graph, and where its outputs must end up.
Flows out: `Plan`: a `Place` per value, the size of the arena, the plans of regions. Lifetimes are intervals of node
           positions; memory is used again by best fit, for symbolic sizes only by blocks of the very same size.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tracejit.base.dims import Size, dim_function, product
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.passes.single_elements import find_elements

ALIGNMENT = 64

PlaceKind = Literal["param", "register", "local", "alias", "arena", "heap", "target", "takeover"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an output goes. param: the array of this parameter is overwritten. direct: kernels may write there.
    private: nobody sees the parameter's array after a failure.
    """

    direct: bool = True
    param: int = -1
    private: bool = False


@dataclass(slots=True)
class Place:
    """kind param: a parameter.  register: a scalar computed in `main`.  local: one element on the stack.
    alias: the memory of `of`, in another shape.  takeover: the memory of `of`, which nobody reads any more.
    arena: from `offset` on.  heap: memory of its own.  target: the memory of output number `target`.
    """

    kind: PlaceKind
    of: Value | None = None
    offset: Size = 0
    target: int = -1


@dataclass(slots=True)
class Plan:
    """places: for every value.  total: bytes of the arena.  regions: (node, attribute name) -> plan and its offset."""

    places: dict[Value, Place] = field(default_factory=dict)
    total: Size = 0
    regions: dict[tuple[Node, str], tuple[Plan, Size]] = field(default_factory=dict)
    copies: list[int] = field(default_factory=list)

    def uses_arena(self) -> bool:
        """Whether anything, perhaps of no bytes, lies in the arena."""
        return any(p.kind == "arena" for p in self.places.values()) or any(
            plan.uses_arena() for plan, _ in self.regions.values())


def byte_size(value: Value) -> Size:
    """Bytes of a value, rounded up to the alignment."""
    return round_up(product(value.shape) * value.dtype.bytes)


def round_up(size: Size) -> Size:
    return dim_function("floordiv", size + (ALIGNMENT - 1), ALIGNMENT) * ALIGNMENT


def plan_buffers(graph: Graph, targets: Sequence[Target], bound: frozenset[str] = frozenset()) -> Plan:
    """The plan of one graph. bound: sizes that are known only after the arena is made."""
    return _Planner(graph, targets, bound).run()


class Arena:
    """Offsets in one block of memory. Free blocks are used again; the total only grows."""

    def __init__(self) -> None:
        self.total: Size = 0
        self.free: list[tuple[Size, Size]] = []     # (size, offset)

    def take(self, size: Size) -> Size:
        fits = [b for b in self.free if b[0] == size or isinstance(b[0], int) and isinstance(size, int) and b[0] > size]
        if fits:
            block = min(fits, key=lambda b: b[0] if isinstance(b[0], int) else 0)
            self.free.remove(block)
            if block[0] != size:
                self.free.append((block[0] - size, block[1] + size))
            return block[1]
        offset, self.total = self.total, self.total + size
        return offset

    def give(self, size: Size, offset: Size) -> None:
        """Joins static neighbours."""
        if isinstance(size, int) and isinstance(offset, int):
            for block in [b for b in self.free if isinstance(b[0], int) and isinstance(b[1], int)]:
                if block[1] == offset + size or block[1] + block[0] == offset:
                    self.free.remove(block)
                    size, offset = size + block[0], min(offset, block[1])  # type: ignore[type-var]
        self.free.append((size, offset))


class _Planner:
    def __init__(self, graph: Graph, targets: Sequence[Target], bound: frozenset[str]):
        self.graph, self.targets = graph, targets
        self.bound = bound | {n.attributes["dim"] for n in graph.nodes if n.op.name == "bind_dim"}
        self.position = {n: i for i, n in enumerate(graph.nodes)}
        self.users = graph.users()
        self.elements = find_elements(graph, graph.nodes, self.users)
        self.plan = Plan()
        self.arena = Arena()
        self.base: dict[Value, Value] = {}              # the value whose memory it is
        self.last: dict[Value, int] = {}                # base -> position of the last reader
        self.last_failure = max((i for n, i in self.position.items() if n.has_effect), default=-1)

    def run(self) -> Plan:
        for param in self.graph.params:
            self.place(param, Place("param"))
        for node in self.graph.nodes:
            if self.is_alias(node):
                self.base[node.result] = self.root(node.operands[0])
        self.find_lifetimes()
        self.choose_targets()
        for position, node in enumerate(self.graph.nodes):
            self.place_results(node, position)
            self.plan_regions(node)
            self.release(node, position)
        self.plan.total = self.arena.total
        self.plan.copies = [k for k, v in enumerate(self.graph.outputs) if self.target_of.get(self.root(v)) != k]
        return self.plan

    def is_alias(self, node: Node) -> bool:
        """Whether the node only gives memory another shape."""
        return node.op.name == "reshape" and bool(node.result.rank and node.operands[0].rank) \
            and node not in self.elements

    def root(self, value: Value) -> Value:
        while value in self.base:
            value = self.base[value]
        return value

    def place(self, value: Value, place: Place) -> None:
        self.plan.places[value] = place

    def find_lifetimes(self) -> None:
        end = len(self.graph.nodes)
        for value, readers in self.users.items():
            base = self.root(value)
            self.last[base] = max(self.last.get(base, -1), max((self.position[n] for n in readers), default=-1))
        for value in self.graph.outputs:
            self.last[self.root(value)] = end

    def choose_targets(self) -> None:
        """Outputs whose producer may write straight to where they go."""
        self.target_of: dict[Value, int] = {}
        for k, (value, target) in enumerate(zip(self.graph.outputs, self.targets, strict=True)):
            base = self.root(value)
            if base in self.target_of or base.node is None or not target.direct or not makes_memory(base.node):
                continue
            if base.node.op.name in CONTROL and not base.rank:
                continue
            if target.param < 0 or self.may_overwrite(base, target):
                self.claim(base, k, target)

    def claim(self, value: Value, k: int, target: Target) -> None:
        """Output k is computed at its place, and so are the values before it which it overwrites."""
        last = value
        while last.node is not None and last not in self.target_of:
            self.target_of[last] = k
            before = [v for v in last.node.operands if self.may_precede(v, last, target)]
            if before:
                last = before[0]

    def may_precede(self, value: Value, follower: Value, target: Target) -> bool:
        """Whether `value` may lie where the follower goes, which overwrites it."""
        node = follower.node
        assert node is not None
        return value.node is not None and self.root(value) is value and makes_memory(value.node) \
            and self.last[value] == self.position[node] and value not in self.target_of \
            and [self.root(v) for v in node.operands].count(value) == 1 \
            and value.type == follower.type and overwrites(node, value, follower) \
            and (target.param < 0 or self.may_overwrite(value, target))

    def may_overwrite(self, value: Value, target: Target) -> bool:
        """Nobody reads the parameter later, nothing can fail later, and the node reads it only where it writes."""
        node = value.node
        assert node is not None
        position, param = self.position[node], self.graph.params[target.param]
        if self.last[param] > position or param in self.graph.outputs:
            return False
        if self.last_failure >= position and not target.private:
            return False
        aliases = [v for v in self.base if self.root(v) is param]
        if any(a in node.operands for a in aliases):
            return False
        return param not in node.operands or overwrites(node, param, value)

    def place_results(self, node: Node, position: int) -> None:
        if self.is_alias(node):
            self.place(node.result, Place("alias", of=node.operands[0]))
            return
        for value in node.results:
            self.place(value, self.place_of(value, node, position))

    def place_of(self, value: Value, node: Node, position: int) -> Place:
        if value in self.target_of:
            return Place("target", target=self.target_of[value])
        if node in self.elements and node.op.kind != "scatter":
            return Place("register")
        if not value.rank:
            return Place("local" if makes_memory(node) and node.op.name not in CONTROL else "register")
        if value.type.symbols() & self.bound:
            return Place("heap")
        for operand in node.operands:
            base = self.root(operand)
            in_arena = self.plan.places[base].kind == "arena" and self.plan.places[operand].kind != "alias"
            if in_arena and self.last[base] == position \
                    and [self.root(v) for v in node.operands].count(base) == 1 and overwrites(node, operand, value) \
                    and byte_size(operand) == byte_size(value):
                self.base[value] = base
                self.last[base] = max(self.last[base], self.last.get(value, -1))
                return Place("takeover", of=operand)
        return Place("arena", offset=self.arena.take(byte_size(value)))

    def plan_regions(self, node: Node) -> None:
        """A region's arena is a block of this one, live while the node runs. Regions run one at a time."""
        plans = {}
        for name, region in node.regions():
            if node.op.name != "fusion":
                plans[name] = plan_buffers(region, self.region_targets(node, name, region), self.bound)
        for name, plan in plans.items():
            offset = self.arena.take(plan.total) if plan.total != 0 else 0
            self.plan.regions[node, name] = (plan, offset)
        for plan, offset in (self.plan.regions[node, n] for n in plans):
            if plan.total != 0:
                self.arena.give(plan.total, offset)

    def region_targets(self, node: Node, name: str, region: Graph) -> list[Target]:
        """What a loop's body gives goes where the state is, which the body's own parameters lie on."""
        if node.op.name == "case":
            return [Target(bool(v.rank), self.lies_on(node, v), True) for v in node.results]
        first = {"while": 0, "for": 1}.get(node.op.name) if name == "body" else None
        return [Target(bool(v.rank), -1 if first is None else first + k, True) for k, v in enumerate(region.outputs)]

    def lies_on(self, node: Node, result: Value) -> int:
        """The parameter of branches in whose memory a result of `case` lies, or -1."""
        place = self.plan.places[result]
        for k, operand in enumerate(node.operands[1:]):
            if not operand.rank or node.operands.count(operand) != 1:
                continue
            if place.kind == "takeover" and place.of is operand:
                return k
            if place.kind == "target" and self.in_target(operand, place.target):
                return k
        return -1

    def in_target(self, value: Value, k: int) -> bool:
        """Whether a value lies where output k goes."""
        base, param = self.root(value), self.targets[k].param
        return self.target_of.get(base) == k or param >= 0 and base is self.graph.params[param]

    def release(self, node: Node, position: int) -> None:
        """Arena blocks whose last reader was here."""
        for base in dict.fromkeys(self.root(v) for v in (*node.operands, *node.results)):
            place = self.plan.places[base]
            if place.kind == "arena" and self.last[base] <= position:
                self.arena.give(byte_size(base), place.offset)


CONTROL = ("while", "for", "case")


def makes_memory(node: Node) -> bool:
    """Whether a kernel writes the node's results, rather than `main` computing scalars."""
    return node.op.name in ("fusion", *CONTROL) or node.op.kind in ("library", "contraction", "scatter")


def overwrites(node: Node, operand: Value, result: Value) -> bool:
    """Whether a result may lie on `operand`: each element is read before it is written, and nowhere else."""
    if node.operands.count(operand) != 1:
        return False
    if node.op.kind == "scatter":
        return node.operands[0] is operand
    if node.op.name in CONTROL:
        return operand.type == result.type and _continues(node, operand, result)
    if node.op.name != "fusion":
        return False
    body: Graph = node.attributes["body"]
    param = body.params[node.operands.index(operand)]
    if node.attributes["kind"] == "scatter":
        root = body.outputs[0].node
        assert root is not None
        return root.operands[0] is param and len(body.users()[param]) == 1 and root.operands.count(param) == 1
    return node.attributes["kind"] == "elementwise" and _read_in_place(body, param)


def _continues(node: Node, operand: Value, result: Value) -> bool:
    """Whether a result of control flow is what becomes of `operand`: a loop's state, or what branches update."""
    position = node.operands.index(operand)
    if node.op.name != "case":
        return position == result.index + (3 if node.op.name == "for" else 0)
    branches: tuple[Graph, ...] = node.attributes["branches"]
    return any(_descends(b.outputs[result.index], b.params[position - 1]) for b in branches)


def _descends(value: Value, param: Value) -> bool:
    """Whether a value is `param` after updates in place."""
    todo, seen = [value], {value}
    while todo:
        if (value := todo.pop()) is param:
            return True
        if value.node is not None and makes_memory(value.node):
            before = {v for v in value.node.operands if v.type == value.type and overwrites(value.node, v, value)}
            todo += before - seen
            seen |= before
    return False


def _read_in_place(body: Graph, param: Value) -> bool:
    """Only pointwise ops stand between the parameter and the outputs, all of its shape and element size."""
    users, todo, seen = body.users(), [param], {param}
    while todo:
        value = todo.pop()
        for node in users[value]:
            if node.op.kind != "pointwise" or node.result.shape != param.shape:
                return False
            if node.result not in seen:
                seen.add(node.result)
                todo.append(node.result)
    return all(v.shape == param.shape and v.dtype.bytes == param.dtype.bytes for v in body.outputs)
