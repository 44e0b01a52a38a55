"""Statements: blocks, loops, branches, stores, reductions of scalars; lanes are masked where control differs.

Flows in:  statements of the Kernel IR.
Flows out: the text of one function.
"""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from tracejit.base.dtypes import BOOL, I64
from tracejit.xla_lite.cpu.emitter_addresses import Memory
from tracejit.xla_lite.cpu.emitter_frame import FUEL, GROWING, MOSTLY, RARELY, FunctionFrame
from tracejit.xla_lite.cpu.places import Place, PlaceKind, Value
from tracejit.xla_lite.cpu.types import REGISTER, literal
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Apply,
    Attempt,
    Buffer,
    BufferRef,
    Call,
    Combine,
    Const,
    Expr,
    Fail,
    If,
    Let,
    Load,
    Loop,
    Statement,
    Store,
    Tile,
    TileMatmul,
    TileTranspose,
    While,
    statements,
    walk,
)

_SUMS = frozenset({"add", "subtract", "multiply", "negate"})
_CALL_COST = FUEL >> 6    # of a round that calls kernels: of 64 such rounds one looks at pending signals
_SHORT = 64               # rounds of a loop that never looks
_MOST_TERMS = 6           # of a sum that is kept as one: taken apart everywhere, long sums of sums would grow and grow


class Control(FunctionFrame):
    """Emits statements one by one."""

    is_entry: bool    # an entry point: `main` or `prepare`
    in_lanes: bool    # inside a vector loop, also where it runs lane by lane

    @abstractmethod
    def vector_loop(self, s: Loop) -> None:
        """One program over lanes."""

    @abstractmethod
    def parallel_loop(self, s: Loop) -> None:
        """Iterations on several threads."""

    @abstractmethod
    def call(self, s: Call) -> None:
        """A kernel or a C function."""

    @abstractmethod
    def tile_matmul(self, s: TileMatmul) -> None:
        """A block of a matrix product."""

    @abstractmethod
    def tile_transpose(self, s: TileTranspose) -> None:
        """A block of a matrix, turned."""

    @abstractmethod
    def accumulate_lanes(self, s: Accumulate, values: list[Value]) -> bool:
        """Adds to an accumulator of the lanes; False where the element is each lane's own."""

    @abstractmethod
    def reducing(self, s: Loop, emit: Callable[[], object]) -> None:
        """Emits a serial loop; lanes of vector loops in it keep what they accumulate until it ends."""

    # Blocks.

    def block(self, body: tuple[Statement, ...]) -> None:
        """Statements in order; heap memory is freed at the end."""
        live, k = len(self.heaps), 0
        while k < len(body):
            k += self.statement(body, k)
        self._release_since(live)
        del self.heaps[live:]

    def statement(self, body: tuple[Statement, ...], k: int) -> int:
        """Emits body[k], for stores perhaps with its successors; how many were emitted."""
        s = body[k]
        if type(s) is Store:
            return self.store(body, k)
        _EMIT[type(s)](self, s)
        return 1

    def let(self, s: Let) -> None:
        """Sums of indices are kept as sums: addresses take them apart. Long ones are numbers of the user's."""
        e = s.value
        if e.dtype is I64 and type(e) is Apply and e.fn in _SUMS and not any(type(x) is Load for x in walk(e)):
            form = self.form(e)
            if id(e) not in form.terms and len(form.terms) <= _MOST_TERMS:
                self.bind_form(s.name, form)
                return
        self.bind(s.name, self.value(e))

    def bind_form(self, name: str, form: Any) -> None:
        """Names a sum; its value is computed where it is wanted."""
        self.forms[name] = form

    def store(self, body: tuple[Statement, ...], k: int) -> int:
        """One store, or the parts of an interleaved group together."""
        s = body[k]
        assert isinstance(s, Store)
        if (count := self._interleaved(body, k)) > 1:
            group = [p for p in body[k:k + count] if isinstance(p, Store)]
            memory = self.buffer(s.buffer)
            values = [self.value(p.value) for p in group]
            self.write_interleaved(memory, self.locate(memory, s.index), values)
            return count
        self.write(self.buffer(s.buffer), s.index, self.value(s.value))
        return 1

    def _interleaved(self, body: tuple[Statement, ...], k: int) -> int:
        """How many stores from here on fill [.., 0], [.., 1], ... of a last axis exactly that long."""
        s = body[k]
        assert isinstance(s, Store)
        if self.lanes is None or len(s.index) < 2 or self.lanes.blend or s.index[-1] != Const(0):
            return 1
        memory = self.buffer(s.buffer)
        extent = memory.shape[-1]
        if not isinstance(extent, Const) or not 2 <= extent.value <= 4 or memory.lanes > 1:
            return 1
        group = body[k:k + int(extent.value)]
        fits = len(group) == extent.value and all(
            isinstance(p, Store) and p.buffer == s.buffer and p.index == (*s.index[:-1], Const(n))
            and not any(isinstance(x, Load) and self.buffer(x.buffer).root == memory.root for x in walk(p.value))
            for n, p in enumerate(group))
        return int(extent.value) if fits and self.location_step(memory, s.index) == extent.value else 1

    def location_step(self, memory: Memory, index: tuple[Expr, ...]) -> int | None:
        """The step of `locate`, without an address where it is plain."""
        return self.locate_unchecked(memory, index).step

    # Loops and branches.

    def loop(self, s: Loop) -> None:
        if s.kind == "vector" and not self.in_lanes:
            self.vector_loop(s)
        elif s.kind == "parallel":
            self.parallel_loop(s)
        elif s.kind == "unroll" and isinstance(s.extent, Const):
            self._unrolled(s)
        else:
            self._serial(s)

    def _unrolled(self, s: Loop) -> None:
        """The body once for each index, which is a number in it."""
        assert isinstance(s.extent, Const)
        written = written_roots(self, s.body)
        for n in range(int(s.extent.value)):
            self.push("loop", self.body.block, written)
            known = len(self.expressions)
            self.constants[s.index] = n
            self.bind(s.index, Value(str(n), 1, self.depth))
            self.block(s.body)
            del self.constants[s.index]
            self.forget(known)
            self.splice(self.pop())

    def splice(self, place: Place) -> None:
        """Goes on behind straight-line code that was kept apart."""
        self.body.lines += place.lines
        self.body.block = place.block

    def _serial(self, s: Loop) -> None:
        extent = self.extent(s.extent)
        most = int(extent.text) if extent.is_literal else FUEL + 1 if s.most is None else s.most
        short = most <= (_SHORT if self.is_entry else FUEL)
        nested = any(isinstance(x, (Loop, While, Call)) for x in statements(s.body))
        polls = self.polls and not short and (self.is_entry or self.in_lanes)

        def body(index: str) -> None:
            self.bind(s.index, Value(index, 1, self.depth))
            self.block(s.body)
            if polls and nested:
                self.poll(_cost(s.body))

        with_guard: PlaceKind = "guard"
        if extent.is_literal and int(extent.text) > 0:
            with_guard = "loop"
        emit = self.counted if not polls or nested else self._in_one_piece if most <= FUEL else self._in_chunks
        self.guarded(self.positive(extent), with_guard, lambda: self.reducing(
            s, lambda: emit(extent, 1, body, written_roots(self, s.body))))

    def _in_one_piece(self, limit: Value, step: int, body: Callable[[str], None], written: frozenset[str]) -> str:
        """A light loop that is not long, with a look at pending signals behind it."""
        ends = self.counted(limit, step, body, written)
        self.poll(limit.text)
        return ends

    def _in_chunks(self, limit: Value, step: int, body: Callable[[str], None], written: frozenset[str]) -> str:
        """A light loop in long pieces, with a look at pending signals between them and none inside."""
        self.module.declare("llvm.smin.i64", "i64", "i64, i64")

        def piece(begin: str) -> None:
            far = self.body.emit(f"add nsw i64 {begin}, {FUEL}")
            end = self.body.emit(f"call i64 @llvm.smin.i64(i64 {far}, i64 {limit.text})")
            self.counted(Value(end, 1, self.depth), step, body, written, begin)
            self.poll(self.body.emit(f"sub nsw i64 {end}, {begin}"))

        return self.counted(limit, FUEL, piece, written)

    def extent(self, e: Expr) -> Value:
        """The number of iterations."""
        return self.sum_value(self.form(e)) if e.dtype is I64 else self.value(e)

    def positive(self, extent: Value) -> str:
        """An i1, or a literal: whether a loop runs at all."""
        if extent.is_literal:
            return "true" if int(extent.text) > 0 else "false"
        return self.at(max(extent.depth, self.floor), 1, f"icmp sgt i64 {extent.text}, 0").text

    def guarded(self, condition: str, kind: PlaceKind, emit: Callable[[], object]) -> None:
        """`emit` in a place of its own, entered if the condition holds."""
        if condition == "false":
            return
        label, after = self.body.fresh_label("in"), self.body.fresh_label("out")
        self.push(kind, label)
        emit()
        self.body.branch(after)
        place = self.pop()
        if condition == "true":
            self.body.branch(label)
        else:
            self.body.branch_if(condition, label, after)
        self.body.label(label)
        self.body.lines += place.lines
        self.body.label(after)

    def counted(self, limit: Value, step: int, body: Callable[[str], None], written: frozenset[str],
                begin: str = "0") -> str:
        """A loop that runs at least once: index from `begin` by `step` while it is below the limit; where it ends."""
        label, after = self.body.fresh_label("loop"), self.body.fresh_label("done")
        index, following = self.body.fresh(), self.body.fresh()
        self.push("loop", label, written)
        body(index)
        self.body.line(f"{following} = add nuw nsw i64 {index}, {step}")
        more = self.body.emit(f"icmp slt i64 {following}, {limit.text}")
        self.body.branch_if(more, label, after)
        place = self.pop()
        entry = self.body.block
        self.body.branch(label)
        self.body.label(label)
        self.body.line(f"{index} = phi i64 [ {begin}, %{entry} ], [ {following}, %{place.block} ]")
        self.body.lines += place.lines
        self.body.label(after)
        return following

    def while_loop(self, s: While) -> None:
        if self.lanes is not None and self.lanes.count > 1:
            self._while_lanes(s)
        else:
            self._while(s, None)

    def _while(self, s: While, active: str | None) -> None:
        """`before`, test, `body`. active: the register with the mask of lanes that still run."""
        label, inside, after = (self.body.fresh_label(hint) for hint in ("while", "do", "done"))
        self.push("loop", label, written_roots(self, (*s.before, *s.body)))
        self._take_mask(active)
        live = len(self.heaps)
        self.block_open(s.before)
        condition = self._still_running(s.condition, active)
        self.push("guard", inside)
        self.block(s.body)
        if self.polls:
            self.poll(_cost((*s.before, *s.body)))
        self._release_since(live)
        self.body.branch(label)
        inner = self.pop()
        self.body.branch_if(condition, inside, after)
        self.body.label(inside)
        self.body.lines += inner.lines
        place = self.pop()
        self.body.branch(label)
        self.body.label(label)
        self.body.lines += place.lines
        self.body.label(after)
        self._release_since(live)
        del self.heaps[live:]

    def _release_since(self, live: int) -> None:
        """Frees what was allocated since there were `live` slots."""
        for slot in reversed(self.heaps[live:]):
            self.release(slot)

    def block_open(self, body: tuple[Statement, ...]) -> None:
        """Statements whose names stay visible until the place closes."""
        k = 0
        while k < len(body):
            k += self.statement(body, k)

    def _while_lanes(self, s: While) -> None:
        """Runs until no lane is left; finished lanes are masked."""
        assert self.lanes is not None
        lanes = self.lanes
        outer = lanes.mask, lanes.blend
        kind = f"<{lanes.count} x i1>"
        active = self.body.fresh()
        self.allocas.append(f"  {active} = alloca {kind}")
        start = lanes.mask.text if lanes.mask is not None else "splat (i1 true)"
        self.body.line(f"store {kind} {start}, ptr {active}")
        lanes.blend = True
        self._while(s, active)
        lanes.mask, lanes.blend = outer

    def _take_mask(self, active: str | None) -> None:
        """At the top of a loop over lanes: the lanes that still run."""
        if active is not None and self.lanes is not None:
            count = self.lanes.count
            self.lanes.mask = Value(self.body.emit(f"load <{count} x i1>, ptr {active}"), count, self.depth)

    def _still_running(self, condition: Expr, active: str | None) -> str:
        value = self.value(condition)
        if active is None or self.lanes is None:
            return value.text
        value = self.both(self.lanes.mask, self.splat(value, "i1", self.lanes.count))
        value = Value(value.text, value.lanes, self.depth)
        self.lanes.mask = value
        self.body.line(f"store <{value.lanes} x i1> {value.text}, ptr {active}")
        return self.body.any_lane(value.text, value.lanes)

    def if_statement(self, s: If) -> None:
        condition = self.value(s.condition)
        if condition.lanes > 1:
            self._if_lanes(s, condition)
            return
        if condition.is_literal:
            self._inline(s.then if condition.text == "true" else s.orelse)
            return
        weights = RARELY if _leaves(s.then) else MOSTLY if _leaves(s.orelse) else ""
        self._branch(condition.text, s.then, s.orelse, weights)

    def _inline(self, body: tuple[Statement, ...]) -> None:
        label = self.body.block
        self.push("loop", label, written_roots(self, body))
        self.block(body)
        self.splice(self.pop())

    def _branch(self, condition: str, then: tuple[Statement, ...], orelse: tuple[Statement, ...],
                weights: str = "") -> None:
        first, second, after = (self.body.fresh_label(hint) for hint in ("then", "else", "end"))
        arms = [self._arm(label, body, after) for label, body in ((first, then), (second, orelse)) if body]
        self.body.branch_if(condition, first if then else after, second if orelse else after, weights)
        for label, lines in arms:
            self.body.label(label)
            self.body.lines += lines
        self.body.label(after)

    def _arm(self, label: str, body: tuple[Statement, ...], after: str) -> tuple[str, list[str]]:
        self.push("arm", label)
        self.block(body)
        self.body.branch(after)
        return label, self.pop().lines

    def attempt(self, s: Attempt) -> None:
        """The body, which failures leave for the blocks of the handlers behind it; all go on after them."""
        inside, after = self.body.fresh_label("attempt"), self.body.fresh_label("end")
        labels = [self.body.fresh_label("handler") for _ in s.handlers]
        outer = self.handlers
        self.handlers = outer | {t: (label, len(self.heaps)) for t, label in zip(s.targets(), labels)}
        self.push("guard", inside)
        self.block(s.body)
        self.body.branch(after)
        body = self.pop()
        self.handlers = outer
        arms = [self._arm(label, handler, after) for label, handler in zip(labels, s.handlers)]
        self.body.branch(inside)
        for label, lines in ((inside, body.lines), *arms):
            self.body.label(label)
            self.body.lines += lines
        self.body.label(after)

    def _if_lanes(self, s: If, condition: Value) -> None:
        """Each arm for its lanes, skipped if it has none."""
        assert self.lanes is not None
        outer = self.lanes.mask, self.lanes.blend
        opposite = self.binary("xor", BOOL, condition, Value("true"))
        for body, chosen in ((s.then, condition), (s.orelse, opposite)):
            if not body:
                continue
            mask = self.both(outer[0], chosen)
            some = self.body.any_lane(mask.text, mask.lanes)
            self.lanes.mask, self.lanes.blend = mask, True
            self._branch(some, body, ())
            self.lanes.mask, self.lanes.blend = outer

    # Reductions.

    def accumulate(self, s: Accumulate) -> None:
        values = [self.value(v) for v in s.values]
        if self.lanes is not None and self.lanes.count > 1 and self.accumulate_lanes(s, values):
            return
        memories = [self.buffer(name) for name in s.buffers]
        states = [self.value(Load(m.name, s.index, m.dtype)) for m in memories]
        for memory, result in zip(memories, self.combine(s.combine, states, values)):
            self.write(memory, s.index, result)

    def combine(self, combine: Combine, left: list[Value], right: list[Value]) -> list[Value]:
        """The results of a step; expressions are evaluated afresh for every pair of states."""
        memo, self.memo = self.memo, {}
        names = {n.name: v for n, v in zip((*combine.left, *combine.right), (*left, *right))}
        before = {name: self.names.get(name) for name in names}
        self.names |= names
        results = [self.value(e) for e in combine.results]
        for name, value in before.items():
            if value is None:
                del self.names[name]
            else:
                self.names[name] = value
        self.memo = memo
        return results

    def identity(self, constant: Const, lanes: int) -> str:
        """The neutral element in all lanes."""
        text = literal(constant.value, constant.dtype)
        return text if lanes == 1 else f"splat ({REGISTER[constant.dtype.name]} {text})"


def _leaves(body: tuple[Statement, ...]) -> bool:
    """Whether a block does not reach its end: such blocks are rarely entered."""
    return any(isinstance(s, Fail) for s in body)


def _cost(body: tuple[Statement, ...]) -> str:
    """What a round takes from the fuel. Loops inside take their own."""
    return str(_CALL_COST if any(isinstance(s, Call) for s in statements(body)) else 1)


def written_roots(b: Control, body: tuple[Statement, ...]) -> frozenset[str]:
    """The memory that statements store to, as far as it is declared outside of them."""
    names: set[str] = set()
    inside: set[str] = set()
    grown: set[str] = set()
    for s in statements(body):
        if isinstance(s, Store):
            names.add(s.buffer)
        elif isinstance(s, Accumulate):
            names.update(s.buffers)
        elif isinstance(s, Call):
            names.update(a.buffer for a in s.args if isinstance(a, BufferRef))
        elif isinstance(s, Tile):
            names.add(s.target.buffer)
        elif isinstance(s, Buffer):
            inside.add(s.name)
            if s.of is not None:
                names.add(s.of)
            elif s.space == "at":
                grown.add(GROWING)
    return frozenset(grown) | frozenset(b.buffer(name).root for name in names - inside) | (names & inside)


_EMIT: dict[type, Callable[..., None]] = {    # fixed table
    Buffer: Control.buffer_statement, Loop: Control.loop, While: Control.while_loop, If: Control.if_statement,
    Let: Control.let, Accumulate: Control.accumulate, Fail: Control.fail, Attempt: Control.attempt,
    Call: lambda b, s: b.call(s), TileMatmul: lambda b, s: b.tile_matmul(s),
    TileTranspose: lambda b, s: b.tile_transpose(s)}
