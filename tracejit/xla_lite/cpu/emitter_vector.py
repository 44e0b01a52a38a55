"""Vector loops: one loop over whole vectors, and what is left over under a mask or lane by lane.

Flows in:  loops of kind vector.
Flows out: text.
"""
from __future__ import annotations

from abc import abstractmethod

from tracejit.base.dtypes import I64
from tracejit.xla_lite.cpu.emitter_addresses import Lanes
from tracejit.xla_lite.cpu.emitter_control import written_roots
from tracejit.xla_lite.cpu.emitter_streams import Streams
from tracejit.xla_lite.cpu.lanes import LanePlan, expressions_of, plan_lanes
from tracejit.xla_lite.cpu.places import PlaceKind, Value
from tracejit.xla_lite.cpu.types import lane_numbers, vector
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Const,
    Expr,
    Let,
    Load,
    Loop,
    Name,
    Store,
    statements,
    walk,
)


class VectorLoops(Streams):
    """One program over lanes."""

    unit: dict[Expr, int]

    def vector_loop(self, s: Loop) -> None:
        """Strided buffers whose stride turns out to be 1 get a loop of their own."""
        strides = [e for e in self._lane_strides(s) if e not in self.unit]
        if not strides:
            self._vector_loop(s)
            return
        tests = [self.binary("icmp eq", e.dtype, self.value(e), Value("1")) for e in strides]
        condition = tests[0]
        for test in tests[1:]:
            condition = self.both(condition, test)
        yes, no, after = (self.body.fresh_label(hint) for hint in ("dense", "strided", "end"))
        arms = [self._version(label, s, strides, stride, after) for label, stride in ((yes, 1), (no, 0))]
        self.body.branch_if(condition.text, yes, no)
        for label, lines in zip((yes, no), arms):
            self.body.label(label)
            self.body.lines += lines
        self.body.label(after)

    def _version(self, label: str, s: Loop, strides: list[Expr], stride: int, after: str) -> list[str]:
        """The loop with the strides known to be 1, or not known (0)."""
        self.push("arm", label)
        before = self.unit
        self.unit = before | dict.fromkeys(strides, stride)
        self._vector_loop(s)
        self.unit = before
        self.body.branch(after)
        return self.pop().lines

    def _lane_strides(self, s: Loop) -> list[Expr]:
        """The run-time strides that the loop's index is multiplied with."""
        found: dict[Expr, None] = {}
        names = {s.index}
        for inner in statements(s.body):
            if isinstance(inner, Let) and any(isinstance(x, Name) and x.name in names for x in walk(inner.value)):
                names.add(inner.name)
        for name, index in _accesses(s):
            strides = self.stride_expressions(name)
            for e, stride in zip(index, strides or ()):
                if not isinstance(stride, Const) and any(isinstance(x, Name) and x.name in names for x in walk(e)):
                    found[stride] = None
        return list(found)

    @abstractmethod
    def stride_expressions(self, name: str) -> tuple[Expr, ...] | None:
        """The strides that a buffer was declared with; None if it is dense or declared further in."""

    def _vector_loop(self, s: Loop) -> None:
        extent = self.extent(s.extent)
        constant = int(extent.text) if extent.is_literal else None
        plan = plan_lanes(s, self.target, constant)
        kind: PlaceKind = "loop" if constant else "guard"
        self.guarded(self.positive(extent), kind, lambda: self._lanes_over(s, extent, plan))

    def _lanes_over(self, s: Loop, extent: Value, plan: LanePlan) -> None:
        """Whole vectors, the rest, then the accumulators of the lanes go to their elements."""
        outer = self.accumulators, self.loop_depth
        self.accumulators, self.loop_depth = {}, self.depth
        written = written_roots(self, s.body)
        begin = "0"
        constant = int(extent.text) if extent.is_literal else None
        if plan.main and (constant is None or constant >= plan.main):
            begin = self._main(s, extent, constant, plan, written)
        if constant is None or constant % plan.main if plan.main else True:
            self._rest(s, extent, constant, plan, written, begin)
        for accumulator in self.accumulators.values():
            self._finish(accumulator)
        self.accumulators, self.loop_depth = outer

    # Whole vectors.

    def _main(self, s: Loop, extent: Value, constant: int | None, plan: LanePlan, written: frozenset[str]) -> str:
        """The loop over whole vectors; the index that it leaves off at."""
        if constant is not None and constant // plan.main <= plan.unroll:
            for n in range(constant // plan.main):
                self._straight(s, n * plan.main, plan.main, None, written)
            self._narrow(plan.rest)
            return str(constant - constant % plan.main)
        if constant is not None:
            self._whole_vectors(s, extent, plan, written)
            self._narrow(plan.rest)
            return str(constant - constant % plan.main)
        return self._guarded_main(s, extent, plan, written)

    def _guarded_main(self, s: Loop, extent: Value, plan: LanePlan, written: frozenset[str]) -> str:
        reached = self.body.fresh()
        self.allocas.append(f"  {reached} = alloca i64")
        self.body.line(f"store i64 0, ptr {reached}")
        enough = self.at(max(extent.depth, self.floor), 1, f"icmp sge i64 {extent.text}, {plan.main}").text

        def whole() -> None:
            last = self._whole_vectors(s, extent, plan, written)
            self.body.line(f"store i64 {last}, ptr {reached}")
            self._narrow(plan.rest)

        self.guarded(enough, "guard", whole)
        return self.body.emit(f"load i64, ptr {reached}")

    def _whole_vectors(self, s: Loop, extent: Value, plan: LanePlan, written: frozenset[str]) -> str:
        """At least one; the index behind the last."""
        limit = self.binary("sub", I64, extent, Value(str(plan.main - 1)))

        def emit() -> None:
            self.counted(limit, plan.main, lambda index: self._body(s, index, plan.main, None), written)

        stores = self.streamed_in(s, plan.main)
        if stores:
            self.past_caches(s, stores, emit)
        else:
            emit()
        return self.binary("and", I64, extent, Value(str(-plan.main))).text

    def _straight(self, s: Loop, index: int, lanes: int, mask: Value | None, written: frozenset[str]) -> None:
        """One vector at a constant index."""
        self.push("loop", self.body.block, written)
        if mask is not None:
            mask.depth = self.depth
        known = len(self.expressions)
        self._body(s, str(index), lanes, mask)
        self.forget(known)
        self.splice(self.pop())

    def _body(self, s: Loop, index: str, lanes: int, mask: Value | None, whole: str = "") -> None:
        """The program for lanes index, index + 1, ..."""
        outer = self.lanes
        base = Value(index, 1, self.depth)
        if lanes == 1:
            self.bind(s.index, base)
        else:
            self.forms.pop(s.index, None)
            self.lanes = Lanes(s.index, base, lanes, self.depth, mask, whole=whole)
        self.in_lanes = True
        self.block(s.body)
        self.lanes, self.in_lanes = outer, False

    def lane_index(self) -> Value:
        """The index of each lane."""
        assert self.lanes is not None
        lanes = self.lanes
        first = self.splat(lanes.base, "i64", lanes.count)
        value = self.at(lanes.depth, lanes.count, f"add {vector('i64', lanes.count)} {first.text}, "
                                                  f"{lane_numbers(64, lanes.count)}")
        self.stack[lanes.depth].bound.append((lanes.index, self.names.get(lanes.index)))
        self.names[lanes.index] = value
        return value

    # The rest.

    def _rest(self, s: Loop, extent: Value, constant: int | None, plan: LanePlan, written: frozenset[str],
              begin: str) -> None:
        """What is left, under a mask or lane by lane."""
        if constant is not None:
            left = constant - int(begin)
            if plan.masked and left <= plan.rest * plan.unroll:
                for at in range(int(begin), constant, plan.rest):
                    self._straight(s, at, plan.rest, _first_lanes(constant - at, plan.rest), written)
                return
        step = plan.rest if plan.masked else 1
        start = Value(begin, 1, self.depth)
        more = self.positive(self.binary("sub", I64, extent, start)) if begin != "0" else "true"
        once = plan.masked and plan.main == plan.rest

        def run() -> None:
            if once:
                self._masked(s, extent, begin, plan.rest, once)
            else:
                self.counted(extent, step, lambda index: self._masked(s, extent, index, step, once), written, begin)

        self.guarded(more, "guard" if more != "true" else "loop", run)

    def _masked(self, s: Loop, extent: Value, index: str, lanes: int, once: bool) -> None:
        """One vector whose lanes beyond the extent are dead. once: some surely are."""
        if lanes == 1:
            self._body(s, index, 1, None)
            return
        left = self.body.emit(f"sub i64 {extent.text}, {index}")
        whole = "" if once else self.body.emit(f"icmp sge i64 {left}, {lanes}")
        bits = max(8, min(64, self.target.vector_bits // lanes))
        if bits < 64:
            self.module.declare("llvm.smin.i64", "i64", "i64, i64")
            left = self.body.emit(f"call i64 @llvm.smin.i64(i64 {left}, i64 {lanes})")
            left = self.body.emit(f"trunc i64 {left} to i{bits}")
        many = self.splat(Value(left, 1, self.depth), f"i{bits}", lanes)
        mask = self.at(self.depth, lanes, f"icmp ugt <{lanes} x i{bits}> {many.text}, {lane_numbers(bits, lanes)}")
        self._body(s, index, lanes, mask, whole)


def _first_lanes(left: int, lanes: int) -> Value | None:
    """The mask of the first lanes; None where all are live."""
    if left >= lanes:
        return None
    return Value("<" + ", ".join(f"i1 {'true' if n < left else 'false'}" for n in range(lanes)) + ">", lanes)


def _accesses(s: Loop) -> list[tuple[str, tuple[Expr, ...]]]:
    """Every (buffer, index) in the loop."""
    found: list[tuple[str, tuple[Expr, ...]]] = []
    for inner in statements(s.body):
        if isinstance(inner, (Store, Accumulate)):
            found += [(name, inner.index) for name in ([inner.buffer] if isinstance(inner, Store) else inner.buffers)]
        for e in expressions_of(inner):
            found += [(x.buffer, x.index) for x in walk(e) if isinstance(x, Load)]
    return found
