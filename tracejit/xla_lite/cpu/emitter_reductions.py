"""Reductions in vector loops: every lane accumulates on its own, then lanes are combined in one fixed order.

Flows in:  `Accumulate` statements inside vector loops.
Flows out: text; results depend on the extents alone, not on threads or alignment.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracejit.xla_lite.cpu.emitter_addresses import Memory
from tracejit.xla_lite.cpu.emitter_control import Control
from tracejit.xla_lite.cpu.lanes import expressions_of
from tracejit.xla_lite.cpu.places import Value
from tracejit.xla_lite.cpu.types import MEMORY, REGISTER, shuffle, vector
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Buffer,
    Const,
    If,
    Load,
    Loop,
    Statement,
    Store,
    While,
    statements,
    walk,
)


@dataclass(slots=True)
class Accumulator:
    """The lanes' share of an element that all lanes add to. registers: one for each component, `lanes` wide."""

    statement: Accumulate
    cells: list[tuple[Memory, Value]]
    registers: list[str]
    lanes: int


class Reductions(Control):
    """Accumulators of the lanes.

    loop_depth: the place in front of the vector loop around.
    kept: registers whose lanes stay apart until a serial loop around ends, and the place in front of that loop.
    """

    accumulators: dict[object, Accumulator]
    loop_depth: int
    kept: dict[str, int]
    kept_accumulators: dict[object, Accumulator]

    def accumulate_lanes(self, s: Accumulate, values: list[Value]) -> bool:
        """Every lane adds to its own copy; `_finish` adds the copies up."""
        assert self.lanes is not None
        memories = [self.buffer(name) for name in s.buffers]
        if all(m.lanes == self.lanes.count for m in memories):
            return False
        lanes = self.lanes.count
        forms = [self.form(e) for e in s.index]
        if any(self.term(key).lanes > 1 for form in forms for key in form.terms):
            return False
        key = (s.buffers, tuple((f.constant, tuple(sorted(f.terms.items(), key=str))) for f in forms), lanes)
        keep = s.buffers[0] in self.kept
        known = self.kept_accumulators if keep else self.accumulators
        if (accumulator := known.get(key)) is None:
            depth = self.kept[s.buffers[0]] if keep else self.loop_depth
            known[key] = accumulator = self._open(s, memories, lanes, depth)
        self._step(accumulator, values)
        return True

    def reducing(self, s: Loop, emit: Callable[[], object]) -> None:
        found = self._kept_apart(s) if self.lanes is None else frozenset()
        outer = self.kept, self.kept_accumulators
        if found - set(self.kept):
            self.kept = self.kept | {name: self.depth for name in found if name not in self.kept}
            self.kept_accumulators = dict(self.kept_accumulators)
        emit()
        if self.kept is not outer[0]:
            new, self.kept, self.kept_accumulators = self.kept_accumulators, *outer
            for key, accumulator in new.items():
                if accumulator.statement.buffers[0] in self.kept:
                    self.kept_accumulators[key] = accumulator
                else:
                    self._finish(accumulator)

    def _kept_apart(self, s: Loop) -> frozenset[str]:
        """Registers declared outside that the loop does nothing with but accumulate in vector loops."""
        inside: set[str] = set()
        for loop in statements(s.body):
            if isinstance(loop, Loop) and loop.kind == "vector":
                inside.update(name for a in statements(loop.body) if isinstance(a, Accumulate) for name in a.buffers)
        if not inside:
            return frozenset()
        for a in statements(s.body):
            inside.difference_update([a.buffer] if isinstance(a, Store) else [a.name] if isinstance(a, Buffer) else ())
            inside.difference_update(x.buffer for e in expressions_of(a) for x in walk(e) if isinstance(x, Load))
        inside.difference_update(_accumulated_outside(s.body))
        inside = {name for name in inside if self.buffer(name).register}
        return frozenset(name for a in statements(s.body) if isinstance(a, Accumulate) and inside >= set(a.buffers)
                         for name in a.buffers)

    def _open(self, s: Accumulate, memories: list[Memory], lanes: int, depth: int) -> Accumulator:
        """Registers that start as the identity, before the loop."""
        cells = [(m, m.pointer if m.register else self._cell(m, s)) for m in memories]
        registers = [self._identity_register(c, lanes, depth) for c in s.combine.identity]
        return Accumulator(s, cells, registers, lanes)

    def _cell(self, memory: Memory, s: Accumulate) -> Value:
        pointer = self.locate(memory, s.index).pointer
        assert pointer.depth <= self.loop_depth, f"accumulation into {memory.name} moves inside the vector loop"
        return pointer

    def _identity_register(self, constant: Const, lanes: int, depth: int) -> str:
        kind = vector(REGISTER[constant.dtype.name], lanes)
        register = self.body.fresh()
        self.allocas.append(f"  {register} = alloca {kind}")
        self.stack[depth].lines.append(f"  store {kind} {self.identity(constant, lanes)}, ptr {register}")
        return register

    def _states(self, accumulator: Accumulator) -> list[Value]:
        kinds = [vector(REGISTER[c.dtype.name], accumulator.lanes) for c in accumulator.statement.combine.identity]
        return [Value(self.body.emit(f"load {kind}, ptr {register}"), accumulator.lanes, self.depth)
                for kind, register in zip(kinds, accumulator.registers)]

    def _step(self, accumulator: Accumulator, values: list[Value]) -> None:
        assert self.lanes is not None
        combine, lanes = accumulator.statement.combine, accumulator.lanes
        states = self._states(accumulator)
        scalars = [REGISTER[c.dtype.name] for c in combine.identity]
        values = [self.splat(v, scalar, lanes) for v, scalar in zip(values, scalars)]
        results = self.combine(combine, states, values)
        for result, state, constant, scalar, register in zip(results, states, combine.identity, scalars,
                                                             accumulator.registers):
            if self.lanes.mask is not None:
                result = self.select(constant.dtype, self.lanes.mask, result, state)
            self.body.line(f"store {vector(scalar, lanes)} {result.text}, ptr {register}")

    def _narrow(self, lanes: int) -> None:
        """Folds the copies of wide vectors to the lanes of the rest."""
        for key, accumulator in list(self.accumulators.items()):
            if accumulator.lanes <= lanes:
                continue
            states = self._folded(accumulator, lanes)
            constants = accumulator.statement.combine.identity
            registers = [self._identity_register(c, lanes, self.loop_depth) for c in constants]
            for state, constant, register in zip(states, constants, registers):
                self.body.line(f"store {vector(REGISTER[constant.dtype.name], lanes)} {state.text}, ptr {register}")
            assert isinstance(key, tuple)
            del self.accumulators[key]
            self.accumulators[(*key[:-1], lanes)] = Accumulator(
                accumulator.statement, accumulator.cells, registers, lanes)

    def _folded(self, accumulator: Accumulator, lanes: int) -> list[Value]:
        """The states with the upper half combined into the lower until `lanes` are left."""
        states = self._states(accumulator)
        combine = accumulator.statement.combine
        while states[0].lanes > lanes:
            half = states[0].lanes // 2
            halves = [[self._half(REGISTER[c.dtype.name], state, part) for c, state in zip(combine.identity, states)]
                      for part in (0, half)]
            states = self.combine(combine, *halves)
        return states

    def _half(self, scalar: str, state: Value, part: int) -> Value:
        kind, half = vector(scalar, state.lanes), state.lanes // 2
        if half == 1:
            return self.at(self.depth, 1, f"extractelement {kind} {state.text}, i64 {part}")
        order = shuffle(tuple(range(part, part + half)))
        return self.at(self.depth, half, f"shufflevector {kind} {state.text}, {kind} poison, {order}")

    def _finish(self, accumulator: Accumulator) -> None:
        """element = combine(element, all lanes)."""
        lanes = self._folded(accumulator, 1)
        combine = accumulator.statement.combine
        before = [self._read_cell(memory, pointer) for memory, pointer in accumulator.cells]
        for (memory, pointer), result in zip(accumulator.cells, self.combine(combine, before, lanes)):
            self._write_cell(memory, pointer, result)

    def _read_cell(self, memory: Memory, pointer: Value) -> Value:
        if memory.register:
            return Value(self.body.emit(f"load {REGISTER[memory.dtype.name]}, ptr {pointer.text}"), 1, self.depth)
        found = Value(self.body.emit(f"load {MEMORY[memory.dtype.name]}, ptr {pointer.text}"), 1, self.depth)
        return self.from_memory(memory.dtype, found)

    def _write_cell(self, memory: Memory, pointer: Value, value: Value) -> None:
        self.stores += 1
        kind = REGISTER[memory.dtype.name]
        if not memory.register:
            value, kind = self.to_memory(memory.dtype, value), MEMORY[memory.dtype.name]
        self.body.line(f"store {kind} {value.text}, ptr {pointer.text}")


def _accumulated_outside(body: tuple[Statement, ...]) -> set[str]:
    """What is accumulated, but not in a vector loop."""
    names: set[str] = set()
    for s in body:
        if isinstance(s, Accumulate):
            names.update(s.buffers)
        elif isinstance(s, Loop) and s.kind != "vector":
            names |= _accumulated_outside(s.body)
        elif isinstance(s, If):
            names |= _accumulated_outside(s.then) | _accumulated_outside(s.orelse)
        elif isinstance(s, While):
            names |= _accumulated_outside((*s.before, *s.body))
    return names
