"""Where every value lives: registers, the caller's arrays, another value's memory, or a place in one arena.

Flows in:  a fused graph, and where its outputs must end up.
Flows out: `Plan`: a `Place` per value, the size of the arena, the plans of regions. Lifetimes are intervals of node
           positions; memory is used again by best fit, for symbolic sizes only by blocks of the very same size.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.base.dims import Size
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.passes.attempts import states_in_results
from tracejit.xla_lite.passes.failures import failures, leaves_state
from tracejit.xla_lite.passes.in_place import CONTROL, LOOPS, Known, makes_memory, overwrites, updated
from tracejit.xla_lite.passes.plan import Arena, Place, Plan, Slots, Target, byte_size
from tracejit.xla_lite.passes.single_elements import find_elements
from tracejit.xla_lite.passes.slice_updates import window_of


def plan_buffers(graph: Graph, targets: Sequence[Target], bound: frozenset[str] = frozenset(),
                 first: int | None = None, known: Known | None = None) -> Plan:
    """The plan of one graph. bound: sizes that are known only after the arena is made.

    first: of a loop's body, the number of the first carried parameter.  known: what the graph around found out.
    """
    return _Planner(graph, targets, bound, first, {} if known is None else known).run()


class _Planner:
    def __init__(self, graph: Graph, targets: Sequence[Target], bound: frozenset[str], first: int | None, known: Known):
        self.graph, self.targets, self.first, self.known = graph, targets, first, known
        self.bound = bound | {n.attributes["dim"] for n in graph.nodes if n.op.name == "bind_dim"}
        self.position = {n: i for i, n in enumerate(graph.nodes)}
        self.users = graph.users()
        self.elements = find_elements(graph, graph.nodes, self.users)
        self.plan = Plan()
        self.arena = Arena()
        self.base: dict[Value, Value] = {}              # the value whose memory it is
        self.last: dict[Value, int] = {}                # base -> position of the last reader
        self.target_of: dict[Value, int] = {}
        self.rotations: list[tuple[int, list[tuple[Size, Size]]]] = []     # last reader, blocks that it frees
        self.failures = [(i, f) for n, i in self.position.items() for f in failures([n])]
        self.continued: set[Value] = set()              # bases that a result of the present node has taken over

    def run(self) -> Plan:
        for param in self.graph.params:
            self.place(param, Place("param"))
        for node in self.graph.nodes:
            if self.is_alias(node):
                self.base[node.result] = self.root(node.operands[0])
        self.find_lifetimes()
        for node in self.graph.nodes:
            if (first := LOOPS.get(node.op.name)) is not None:
                body = node.attributes["body"]
                self.plan.regions[node, "body"] = (self.plan_body(body, first), 0)
        if self.first is None:
            self.choose_targets()
        else:
            self.choose_slots(self.first)
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
        for k, (value, target) in enumerate(zip(self.graph.outputs, self.targets, strict=True)):
            base = self.root(value)
            if not target.direct or not self.is_free(base):
                continue
            if target.param < 0 or self.may_overwrite(base, target):
                self.claim(base, k, target)

    def is_free(self, value: Value) -> bool:
        """Whether the value is written by something that can write it anywhere."""
        node = value.node
        if value in self.target_of or node is None or not makes_memory(node) or self.rotates(value):
            return False
        return node.op.name not in CONTROL or bool(value.rank)

    def rotates(self, value: Value) -> bool:
        """Whether the value is the state of a loop that moves from block to block."""
        if value.node is None or value.node.op.name not in LOOPS:
            return False
        slots = self.plan.regions[value.node, "body"][0].slots
        return slots is not None and slots.rotates(value.index)

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
        return value.node is not None and self.root(value) is value and self.is_free(value) \
            and self.last[value] == self.position[node] \
            and [self.root(v) for v in node.operands].count(value) == 1 \
            and value.type == follower.type and overwrites(node, value, follower, self.known) \
            and (target.param < 0 or self.may_overwrite(value, target))

    def may_overwrite(self, value: Value, target: Target) -> bool:
        """Nobody reads the parameter later, no later failure leaves it as it was, and the node reads it only where it
        writes."""
        node = value.node
        assert node is not None
        position, param = self.position[node], self.graph.params[target.param]
        if self.last[param] > position or param in self.graph.outputs:
            return False
        if not target.private and any(i >= position and not leaves_state(f, target) for i, f in self.failures):
            return False
        aliases = [v for v in self.base if self.root(v) is param]
        if any(a in node.operands for a in aliases):
            return False
        return param not in node.operands or overwrites(node, param, value, self.known)

    def place_results(self, node: Node, position: int) -> None:
        self.continued = set()
        if self.is_alias(node):
            self.place(node.result, Place("alias", of=node.operands[0]))
            return
        for value in node.results:
            self.place(value, self.place_of(value, node, position))
        moving = [v for v in node.results if self.rotates(v)]
        if moving:
            self.place_spares(node, moving, position)

    def place_spares(self, node: Node, moving: list[Value], position: int) -> None:
        """Blocks beside a loop's state: which of them holds the result is known at run time, so all live alike."""
        slots = self.plan.regions[node, "body"][0].slots
        assert slots is not None
        sizes = [byte_size(node.results[like]) for like, _ in slots.spares]
        self.plan.spares[node] = [self.arena.take(size) for size in sizes]
        blocks = [(byte_size(v), self.plan.places[v].offset) for v in moving]
        blocks += zip(sizes, self.plan.spares[node], strict=True)
        self.rotations.append((max(position, *(self.last.get(v, -1) for v in moving)), blocks))

    def place_of(self, value: Value, node: Node, position: int) -> Place:
        if self.rotates(value):
            return Place("rotating", offset=self.arena.take(byte_size(value)))
        if value in self.target_of:
            return Place("target", target=self.target_of[value])
        if node in self.elements and node.op.kind != "scatter" or node.op.kind == "source":
            return Place("register")
        if not value.rank:
            return Place("local" if makes_memory(node) and node.op.name not in CONTROL else "register")
        if value.type.symbols() & self.bound:
            return Place("heap")
        for operand in node.operands:
            base = self.root(operand)
            in_arena = self.plan.places[base].kind == "arena" and self.plan.places[operand].kind != "alias"
            if in_arena and self.last[base] == position and base not in self.continued \
                    and [self.root(v) for v in node.operands].count(base) == 1 \
                    and overwrites(node, operand, value, self.known) \
                    and byte_size(operand) == byte_size(value):
                self.continued.add(base)
                self.base[value] = base
                self.last[base] = max(self.last[base], self.last.get(value, -1))
                return Place("takeover", of=operand)
        return Place("arena", offset=self.arena.take(byte_size(value)))

    def plan_regions(self, node: Node) -> None:
        """A region's arena is a block of this one, live while the node runs. Regions run one at a time."""
        plans, states = {}, self.plan_states(node)
        for name, region in node.regions():
            if node.op.name in LOOPS and name == "body" or (node, name) in self.plan.regions:
                plans[name] = self.plan.regions[node, name][0]
            elif node.op.name != "fusion":
                plans[name] = plan_buffers(region, self.region_targets(node, region), self.bound, known=self.known)
        for name, plan in plans.items():
            offset = self.arena.take(plan.total) if plan.total != 0 else 0
            self.plan.regions[node, name] = (plan, offset)
        used = [(p.total, offset) for p, offset in (self.plan.regions[node, n] for n in plans) if p.total != 0]
        for size, offset in [*states, *used]:
            self.arena.give(size, offset)

    def region_targets(self, node: Node, region: Graph) -> list[Target]:
        """Branches and attempts give what may lie on what they get; the rest of a loop gives scalars."""
        if node.op.name == "case" or node.op.name == "try":
            return [Target(bool(v.rank), self.lies_on(node, v), True) for v in node.results]
        return [Target(bool(v.rank), -1, True) for v in region.outputs]

    def plan_states(self, node: Node) -> list[tuple[Size, Size]]:
        """Of an attempt: its body and what is handed to its handlers; blocks of the arena that only this needs."""
        if node.op.name != "try":
            return []
        body: Graph = node.attributes["body"]
        plan = plan_buffers(body, self.region_targets(node, body), self.bound, known=self.known)
        self.plan.regions[node, "body"] = (plan, 0)
        lies_on = {self.lies_on(node, v): v.index for v in node.results}
        blocks: list[tuple[Size, Size]] = []
        for k, handler in enumerate(node.attributes["handlers"]):
            homes = states_in_results(node, k, plan, lies_on)
            given = handler.params[:len(homes)]
            self.plan.states[node, k] = [self.place_state(v, r, blocks) for v, r in zip(given, homes, strict=True)]
            targets = [Target(bool(v.rank), homes.index(v.index) if v.index in homes else -1, True)
                       for v in node.results]
            self.plan.regions[node, f"handlers{k}"] = (plan_buffers(handler, targets, self.bound, known=self.known), 0)
        return blocks

    def place_state(self, value: Value, result: int | None, blocks: list[tuple[Size, Size]]) -> Place:
        """Where a handler finds one part of the state. result: the one in whose memory it is already."""
        if result is not None:
            return Place("target", target=result)
        if not value.rank:
            return Place("local")
        if value.type.symbols() & self.bound:
            return Place("heap")
        block = byte_size(value), self.arena.take(byte_size(value))
        blocks.append(block)
        return Place("arena", offset=block[1])

    def plan_body(self, body: Graph, first: int) -> Plan:
        """What a loop's body gives goes where the state is, which the body's own parameters lie on."""
        targets = [Target(bool(v.rank), first + k, True) for k, v in enumerate(body.outputs)]
        return plan_buffers(body, targets, self.bound, first, self.known)

    def lies_on(self, node: Node, result: Value) -> int:
        """The parameter of branches, or of an attempt's body, in whose memory a result lies, or -1."""
        place = self.plan.places[result]
        for k, operand in enumerate(node.operands[node.op.name == "case":]):
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
        for last, blocks in self.rotations:
            if last == position:
                for size, offset in blocks:
                    self.arena.give(size, offset)

    # ---- loops ----------------------------------------------------------------------------------------

    def choose_slots(self, first: int) -> None:
        """Where each part of a loop's state goes: its own block if it may be overwritten, another's, a spare one."""
        outputs = self.graph.outputs
        state = self.graph.params[first:first + len(outputs)]
        slots = {k: k for k, v in enumerate(outputs) if not v.rank}
        for k, value in enumerate(outputs):
            base = self.root(value)
            if k not in slots and base in state and self.may_move(state, k, j := state.index(base), slots):
                slots[k] = j
        waiting = [k for k in range(len(outputs)) if k not in slots]
        for k, j in [*((k, k) for k in waiting), *((k, j) for k in waiting for j in range(len(outputs)))]:
            base, target = self.root(outputs[k]), Target(True, first + j, True)
            if k not in slots and self.may_move(state, k, j, slots) and self.is_free(base) \
                    and self.may_overwrite(base, target):
                self.claim(base, k, target)
                slots[k] = j
        self.take_spares(state, slots)

    def may_move(self, state: Sequence[Value], k: int, j: int, slots: dict[int, int]) -> bool:
        """Whether the next value of carry k may lie in the block of carry j."""
        if j in slots.values():
            return False
        return k == j or byte_size(state[k]) == byte_size(state[j]) and self.is_sized(state[k]) \
            and self.is_sized(state[j])

    def is_sized(self, value: Value) -> bool:
        """Whether the arena has room for it: its size is known before."""
        return bool(value.rank) and not value.type.symbols() & self.bound

    def take_spares(self, state: Sequence[Value], slots: dict[int, int]) -> None:
        spares: list[int] = []
        for k, value in enumerate(self.graph.outputs):
            if k in slots:
                continue
            base = self.root(value)
            fresh = self.is_sized(state[k]) and self.is_free(base)
            if not fresh and k not in slots.values():
                slots[k] = k
                continue
            slots[k] = len(state) + len(spares)
            spares.append(k)
            if fresh:
                self.claim(base, k, Target(True, -1, True))
        begun = [self.keeps(state[k], k) if k not in slots.values() else False for k in spares]
        left = [j for j in range(len(state) + len(spares)) if j not in slots.values()]
        following = [self.follow(k, left, state, spares) for k in spares]
        self.plan.slots = Slots(tuple(slots[k] for k in range(len(state))), tuple(zip(spares, begun, strict=True)),
                                tuple(following))

    def follow(self, k: int, left: list[int], state: Sequence[Value], spares: list[int]) -> int:
        """A block that is free after the iteration, of the size of carry k; its own if that is free."""
        def size(j: int) -> Size:
            return byte_size(state[j] if j < len(state) else state[spares[j - len(state)]])

        found = k if k in left else next(j for j in left if size(j) == byte_size(state[k]))
        left.remove(found)
        return found

    def keeps(self, param: Value, k: int) -> bool:
        """Whether carry k goes to and fro between two blocks by updates of known windows.

        What no window covers is the same in both blocks for ever; other windows are copied when the block changes.
        """
        chain, value = [], self.root(self.graph.outputs[k])
        while value is not param:
            before = None if value.node is None else updated(value.node)
            window = None if value.node is None else window_of(value.node)
            if before is None or window is None:
                return False
            chain.append((value, window))
            value = before
        moved = [i for i, (v, _) in enumerate(chain) if self.target_of.get(v) == k]
        value, window = chain[moved[-1]]
        if moved[-1] != len(chain) - 1:
            return False
        self.plan.kept[value] = tuple(w for _, w in chain if not w.is_within(window))
        return True
