"""Clamps, tests and guards that can't matter are taken out of a kernel, by what `ranges` knows of its integers.

Flows in:  a kernel or `main`, as it was written.
Flows out: the same with `maximum(minimum(i, n - 1), 0)` as `i` where i is an index of n, with tests that are known, and
           without names that nobody reads. Loops learn how many rounds they have at most.

Inside vector loops conditions are not assumed: lanes that fail a test run on under a mask.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.base.dtypes import BOOL, I64
from tracejit.xla_lite.kernels.kernel_ir import (
    FALSE,
    TRUE,
    ZERO,
    Accumulate,
    Apply,
    Attempt,
    Buffer,
    BufferParam,
    BufferRef,
    Call,
    Const,
    Expr,
    Fail,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Name,
    Statement,
    Store,
    Tile,
    TileMatmul,
    TileTranspose,
    While,
    blocks_of,
    sizes_of,
    statements,
    walk,
)
from tracejit.xla_lite.kernels.merging import merge
from tracejit.xla_lite.kernels.ranges import NEGATED, Facts, Sum

_LARGEST = 1 << 62    # sizes of arrays are less
_NOTED = 1 << 31      # a larger number of rounds is not worth knowing
_TAKEN = {"and": (TRUE, FALSE), "or": (FALSE, TRUE)}    # what leaves the other operand, what is the result


def simplify(kernel: Kernel) -> Kernel:
    """The kernel without what can't matter."""
    walker = _Simplifier(kernel)
    body = walker.block(kernel.body)
    if not walker.changed:
        return kernel
    return Kernel(kernel.name, kernel.params, without_unread(body, set()), kernel.contract, kernel.polls)


class _Simplifier:
    """One walk in program order. registers: the sum that each i64 register holds now.

    stored: what is ever stored to a register.  definitions: of names.
    """

    def __init__(self, kernel: Kernel):
        self.facts, self.changed, self.in_lanes = Facts(), False, False
        self.registers: dict[str, Sum] = {}
        self.shapes = {p.name: p.shape for p in kernel.params if type(p) is BufferParam}
        self.wholes: dict[str, tuple[Any, ...]] = {}    # views of a whole buffer: that buffer
        self.names: dict[str, Expr] = {}    # names that are other names, or numbers
        self.memo: dict[int, tuple[Expr, Expr]] = {}
        self.stored: dict[str, list[Expr]] = {}
        self.definitions: dict[str, Expr] = {}
        for name in dict.fromkeys(x.name for p in kernel.params if type(p) is BufferParam for e in p.shape
                                  for x in walk(e) if type(x) is Name):
            self.facts.bound(name, 0, _LARGEST)
        for s in statements(kernel.body):
            if type(s) is Store and not s.index:
                self.stored.setdefault(s.buffer, []).append(s.value)
            elif type(s) is Let:
                self.definitions[s.name] = s.value

    # ---- expressions --------------------------------------------------------------------------------

    def expr(self, e: Expr) -> Expr:
        if type(e) is Const:
            return e
        if type(e) is Name:
            return self.names.get(e.name, e)
        if (found := self.memo.get(id(e))) is not None:
            return found[1]
        if type(e) is Load:
            made: Expr = self.rebuilt(e, e.index)
        else:
            assert type(e) is Apply
            made = self.apply(self.rebuilt(e, e.args))
        self.memo[id(e)] = e, made
        self.changed = self.changed or made is not e
        return made

    def rebuilt(self, e: Any, parts: tuple[Expr, ...]) -> Any:
        made = tuple(map(self.expr, parts))
        if all(a is b for a, b in zip(made, parts, strict=True)):
            return e
        return Load(e.buffer, made, e.dtype) if type(e) is Load else Apply(e.fn, made, e.dtype)

    def apply(self, e: Apply) -> Expr:
        """The expression, or what it is known to be."""
        fn, args = e.fn, e.args
        if fn in ("minimum", "maximum") and e.dtype is I64:
            x, y = map(self.facts.sum_of, args)
            larger, smaller = args if self.facts.never_negative(x.minus(y)) else args[::-1]
            known = larger is args[0] or self.facts.never_negative(y.minus(x))
            return (smaller if fn == "minimum" else larger) if known else e
        if fn in NEGATED and args[0].dtype is I64:
            found = self.facts.holds(fn, *args)
            return e if found is None else Const(found, BOOL)
        if fn == "select" and type(args[0]) is Const:
            return args[1] if args[0].value else args[2]
        if fn == "not" and type(args[0]) is Const:
            return Const(not args[0].value, BOOL)
        if fn in _TAKEN and e.dtype is BOOL:
            neutral, strong = _TAKEN[fn]
            if strong in args:
                return strong
            return args[1] if args[0] == neutral else args[0] if args[1] == neutral else e
        return e

    def exprs(self, items: Sequence[Any]) -> tuple[Any, ...]:
        """Expressions, and buffers that are arguments."""
        return tuple([BufferRef(e.buffer, self.exprs(e.index)) if type(e) is BufferRef else self.expr(e)
                      for e in items])

    # ---- statements ---------------------------------------------------------------------------------

    def block(self, body: Sequence[Statement]) -> tuple[Statement, ...]:
        made: list[Statement] = []
        for s in body:
            self.memo.clear()
            made += self.statement(s)
        return tuple(made)

    def statement(self, s: Statement) -> Sequence[Statement]:
        match s:
            case Let(name=name, value=value):
                return self.let(name, value)
            case If():
                return self.branch(s)
            case Loop():
                return [self.loop(s)]
            case While():
                return [self.while_(s)]
            case Store(buffer=buffer, index=index, value=value):
                made = Store(buffer, self.exprs(index), self.expr(value))
                if buffer in self.registers:
                    self.registers[buffer] = self.facts.sum_of(made.value)
                return [made]
            case Buffer():
                return [self.buffer(s)]
            case Accumulate(buffers=buffers):
                self.forget(buffers)
                return [Accumulate(buffers, self.exprs(s.index), s.combine, self.exprs(s.values))]
            case Call():
                self.forget([a.buffer for a in s.args if type(a) is BufferRef])
                return [Call(s.function, self.exprs(s.args), s.result)]
            case TileMatmul():
                self.forget([s.target.buffer])
                target, x, y, rows, columns, depth, add = self.exprs((*blocks_of(s), *sizes_of(s)))
                return [TileMatmul(target, x, y, rows, columns, depth, s.turned, add)]
            case TileTranspose():
                self.forget([s.target.buffer])
                return [TileTranspose(*self.exprs((*blocks_of(s), *sizes_of(s))))]
            case Fail():
                return [Fail(s.site, self.exprs(s.payload), s.to)]
            case Attempt():
                return [self.attempt(s)]

    def let(self, name: str, value: Expr) -> Sequence[Statement]:
        made = self.expr(value)
        if type(made) is Load and made.buffer in self.registers:
            self.facts.sums[name] = self.registers[made.buffer]
        else:
            self.facts.define(name, made)
        if type(made) in (Const, Name):
            self.names[name] = made
            return ()
        return [Let(name, made)]

    def buffer(self, s: Buffer) -> Buffer:
        if s.dtype is I64 and s.space == "local" and not s.shape and s.of is None:
            self.registers[s.name] = self.facts.fresh()
        strides = None if s.strides is None else self.exprs(s.strides)
        self.shapes[s.name] = s.shape
        if s.of is not None and s.offset == ZERO and strides is None and self.shapes.get(s.of) == s.shape:
            self.wholes[s.name] = self.wholes.get(s.of, (s.of, s.dtype))
        return Buffer(s.name, s.dtype, self.exprs(s.shape), s.space, strides, s.of, self.expr(s.offset))

    def branch(self, s: If) -> Sequence[Statement]:
        condition = self.expr(s.condition)
        decided = condition.value if type(condition) is Const else self.facts.decide(condition)
        if decided is not None:
            self.changed = True
            return self.block(s.then if decided else s.orelse)
        before, blocks, after, known = dict(self.registers), [], [], len(self.facts.bounds)
        for body, truth in ((s.then, True), (s.orelse, False)):
            self.registers = dict(before)
            with self.facts.scope():
                self.assume(condition, truth)
                blocks.append(self.block(body))
            after.append(self.registers)
        if not self.in_lanes and (merged := merge(condition, blocks, self.place, self.is_inside)) is not None:
            self.registers, self.changed = before, True
            return self.block(merged)
        ends = [bool(b) and type(b[-1]) is Fail for b in blocks]
        if ends[0] != ends[1]:
            self.registers = after[ends[0]]
            self.assume(condition, ends[1])
        else:
            self.registers = {name: self.joined(after[0][name], after[1][name], known) for name in before}
        return [If(condition, *blocks)]

    def place(self, s: Store) -> tuple[Any, ...]:
        """Where a store goes: the buffer that is no view, and sums."""
        sums = [self.facts.sum_of(i) for i in s.index]
        return *self.wholes.get(s.buffer, (s.buffer,)), *((i.constant, *sorted(i.terms.items(), key=str)) for i in sums)

    def is_inside(self, definitions: Sequence[Let | Buffer], loads: Sequence[Load]) -> bool:
        """Whether loads stay inside their buffers if the definitions stand here."""
        facts = self.facts
        for s in definitions:
            if type(s) is Let:
                facts.define(s.name, s.value)
        return all(load.buffer in self.shapes and all(
            facts.never_negative(facts.sum_of(i)) and facts.never_negative(
                facts.sum_of(n).minus(facts.sum_of(i)).shifted(-1))
            for i, n in zip(load.index, self.shapes[load.buffer], strict=True)) for load in loads)

    def joined(self, x: Sum, y: Sum, known: int) -> Sum:
        """What a register holds after two branches, before which there were `known` terms."""
        facts = self.facts
        if (x.constant, x.terms) == (y.constant, y.terms):
            return x
        made = facts.fresh()
        bounds = facts.bounds_of(made)
        for bound in (x, y):
            if any(facts.bounds[key].number >= known for key in bound.terms):
                continue
            if facts.never_negative(x.minus(bound)) and facts.never_negative(y.minus(bound)):
                bounds.lows.append(bound)
            if facts.never_negative(bound.minus(x)) and facts.never_negative(bound.minus(y)):
                bounds.highs.append(bound)
        return made

    def assume(self, condition: Expr, truth: bool) -> None:
        if not self.in_lanes:
            self.facts.assume(condition, truth)

    def attempt(self, s: Attempt) -> Attempt:
        names = _stored((s,))
        with self.facts.scope():
            body = self.block(s.body)
        handlers = []
        for handler in s.handlers:
            self.forget(names)
            with self.facts.scope():
                handlers.append(self.block(handler))
        self.forget(names)
        return Attempt(s.label, body, tuple(handlers))

    # ---- loops --------------------------------------------------------------------------------------

    def loop(self, s: Loop) -> Loop:
        extent = self.expr(s.extent)
        rounds = self.facts.sum_of(extent)
        outside, self.in_lanes = self.in_lanes, self.in_lanes or s.kind == "vector"
        changing = self.enter_loop(s.body)
        with self.facts.scope():
            self.facts.assume_positive(rounds.shifted(-1))
            index = self.facts.sums[s.index] = self.facts.fresh()
            self.facts.assume_positive(index)
            self.facts.assume_positive(rounds.shifted(-1).minus(index))
            known = None if type(extent) is Const else self.facts.most(rounds)
            known = known if known is not None and known <= _NOTED else None
            body = self.block(s.body)
        self.in_lanes = outside
        self.registers.update(changing)
        work = None if s.work is None else self.expr(s.work)
        self.changed = self.changed or known is not None
        return Loop(s.index, extent, body, s.kind, work, known)

    def while_(self, s: While) -> While:
        changing = self.enter_loop((*s.before, *s.body))
        with self.facts.scope():
            before = self.block(s.before)
            condition = self.expr(s.condition)
            with self.facts.scope():
                self.assume(condition, True)
                body = self.block(s.body)
        self.registers.update(changing)
        return While(before, condition, body)

    def enter_loop(self, body: Sequence[Statement]) -> dict[str, Sum]:
        """Registers that rounds change hold something unknown; gives what they hold after the loop.

        One that rounds only increase is never below what it was before, and the other way round.
        """
        after: dict[str, Sum] = {}
        for name in _stored(body) & self.registers.keys():
            first, steps = self.registers[name], self.steps(name)
            for holder in (self.registers, after):
                holder[name] = self.facts.fresh()
                known = self.facts.bounds_of(holder[name])
                known.lows += [first] if steps is not None and min(steps) >= 0 else []
                known.highs += [first] if steps is not None and max(steps) <= 0 else []
        return after

    def steps(self, name: str) -> set[int] | None:
        """How far stores move a register from what was in it, over the whole kernel; None if they do more than move it.

        The first store, of a number, is not one of a loop's.
        """
        found: set[int] = set()
        for value in self.stored.get(name, ())[1:]:
            steps = self.distance(value, name, 12)
            if steps is None:
                return None
            found |= steps
        return found or None

    def distance(self, e: Expr, name: str, fuel: int) -> set[int] | None:
        if fuel == 0:
            return None
        if type(e) is Name:
            e = self.definitions.get(e.name, e)
        if type(e) is Load and not e.index:
            if e.buffer == name:
                return {0}
            return self.union(self.stored.get(e.buffer, ()), name, fuel)
        if type(e) is not Apply:
            return None
        if e.fn in ("add", "subtract") and type(e.args[1]) is Const and e.dtype is I64:
            by = int(e.args[1].value) * (1 if e.fn == "add" else -1)
            found = self.distance(e.args[0], name, fuel - 1)
            return None if found is None else {d + by for d in found}
        return self.union(e.args[1:], name, fuel) if e.fn == "select" else None

    def union(self, values: Sequence[Expr], name: str, fuel: int) -> set[int] | None:
        found: set[int] = set()
        for value in values:
            steps = self.distance(value, name, fuel - 1)
            if steps is None:
                return None
            found |= steps
        return found or None

    def forget(self, names: Any) -> None:
        for name in names:
            if name in self.registers:
                self.registers[name] = self.facts.fresh()


def _stored(body: Sequence[Statement]) -> set[str]:
    """Buffers that statements may change."""
    found: set[str] = set()
    for s in statements(tuple(body)):
        if type(s) is Store:
            found.add(s.buffer)
        elif type(s) is Accumulate:
            found.update(s.buffers)
        elif type(s) is Call:
            found.update(a.buffer for a in s.args if type(a) is BufferRef)
        elif isinstance(s, Tile):
            found.add(s.target.buffer)
    return found


# ---- names that nobody reads ----------------------------------------------------------------------------------------


def without_unread(body: tuple[Statement, ...], read: set[str]) -> tuple[Statement, ...]:
    """The block without `Let`s of names that are not read. read: names that are read behind it; grows."""
    made: list[Statement] = []
    for s in reversed(body):
        if type(s) is Let and s.name not in read:
            continue
        if type(s) is Loop:
            s = Loop(s.index, s.extent, without_unread(s.body, read), s.kind, s.work, s.most)
        elif type(s) is While:
            inner = without_unread(s.body, read)
            _note(s.condition, read)
            s = While(without_unread(s.before, read), s.condition, inner)
        elif type(s) is If:
            s = If(s.condition, without_unread(s.then, read), without_unread(s.orelse, read))
            if not s.then and not s.orelse:
                continue
        elif type(s) is Attempt:
            handlers = tuple([without_unread(h, read) for h in s.handlers])
            s = Attempt(s.label, without_unread(s.body, read), handlers)
        for e in _expressions(s):
            _note(e, read)
        made.append(s)
    return tuple(reversed(made))


def _note(e: Expr, read: set[str]) -> None:
    read.update(x.name for x in walk(e) if type(x) is Name)


def _expressions(s: Statement) -> list[Expr]:
    """The expressions of a statement itself."""
    match s:
        case Let(value=value):
            return [value]
        case Store(index=index, value=value):
            return [*index, value]
        case Accumulate(index=index, values=values):
            return [*index, *values]
        case Loop(extent=extent, work=work):
            return [extent] if work is None else [extent, work]
        case If(condition=condition) | While(condition=condition):
            return [condition]
        case Call(args=args):
            parts = [a.index if isinstance(a, BufferRef) else (a,) for a in args]
            return [e for part in parts for e in part]
        case TileMatmul() | TileTranspose():
            return [*sizes_of(s), *(e for block in blocks_of(s) for e in block.index)]
        case Fail(payload=payload):
            return list(payload)
        case Buffer(shape=shape, strides=strides, offset=offset):
            return [*shape, *(strides or ()), offset]
    return []
