"""Reductions inside kernels: the state of one fold, its step as a Kernel IR `Combine`, its result.

Flows in:  the `Combine` of an op's declaration and the dtype of its operand.
Flows out: `Fold`: state buffers, accumulation of items and of partial states, the finished scalar.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from tracejit.base.dtypes import I64, DType
from tracejit.ir.graph import Node
from tracejit.ir.op import OPS, Op
from tracejit.ops.reductions import folded_axes
from tracejit.ops.windows import FOLDS
from tracejit.xla_lite.kernels.elements import At
from tracejit.xla_lite.kernels.kernel_ir import Apply, Combine, Const, Expr, Load, Name, Space
from tracejit.xla_lite.kernels.scalars import Complex, KernelScalars, Scalar
from tracejit.xla_lite.kernels.writer import Writer


class TreeScalars(KernelScalars):
    """Builds expression trees without naming anything: for the step of a `Combine`."""

    def __init__(self) -> None:
        super().__init__(Writer())

    def apply(self, fn: str, dtype: DType, *args: Any) -> Expr:
        return Apply(fn, tuple(args), dtype)


@dataclass(frozen=True, slots=True)
class Fold:
    """One reduction or cumulative op. parts: the real components of its state, complex parts split.

    takes_position: items are (value, position).  answer: the component that is the result.
    """

    node: Node
    parts: tuple[DType, ...]
    step: Combine
    takes_position: bool
    answer: int

    @staticmethod
    def of(node: Node) -> Fold:
        return Fold._of(node, OPS[FOLDS[node.attributes["combine"]]] if node.op.kind == "window" else node.op)

    @staticmethod
    def values_of(node: Node) -> Fold:
        """For a position reduction: the fold of values alone, whose answer stands at the position looked for."""
        return Fold._of(node, OPS[node.op.facts["values"]])

    @staticmethod
    def _of(node: Node, op: Op) -> Fold:
        spec, dtype = op.lower, node.operands[0].dtype
        state: tuple[DType, ...] = spec.state(dtype)
        b = TreeScalars()
        left, right = _names("l", state), _names("r", state)
        results = spec.combine(b, tuple(left), tuple(right))
        identity = [b.constant(v, d) for v, d in zip(spec.identity(dtype), state, strict=True)]
        step = Combine(op.name, _flat(left), _flat(right), _flat(results), _flat(identity))
        return Fold(node, tuple(p.dtype for p in _flat(left)), step, spec.takes_position, spec.result)

    def item(self, scalars: KernelScalars, value: Scalar, position: Expr | None) -> tuple[Expr, ...]:
        """One element as a state."""
        wide = scalars.widen(value)
        parts = (wide, position) if self.takes_position else (wide,)
        return tuple(p if i else scalars.convert(p, self.parts[0]) if not isinstance(p, Complex) else p.re
                     for i, p in enumerate(parts)) if not isinstance(wide, Complex) else (wide.re, wide.im)

    def open(self, writer: Writer, shape: tuple[Expr, ...] = (), space: Space = "local") -> tuple[str, ...]:
        """Buffers for the state, not yet initialised."""
        return tuple(writer.buffer("a", d, shape, space) for d in self.parts)

    def start(self, writer: Writer, state: tuple[str, ...], index: At = ()) -> None:
        """Stores the identity."""
        for name, value in zip(state, self.step.identity, strict=True):
            writer.store(name, index, value)

    def add(self, writer: Writer, state: tuple[str, ...], index: At, item: tuple[Expr, ...]) -> None:
        writer.accumulate(state, index, self.step, item)

    def read(self, writer: Writer, state: tuple[str, ...], index: At = ()) -> tuple[Expr, ...]:
        """The state as it is now."""
        return tuple(writer.let_here(Load(name, index, d)) for name, d in zip(state, self.parts, strict=True))

    def merge(self, scalars: KernelScalars, left: tuple[Expr, ...], right: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """The step written out: for states in names instead of buffers."""
        env = {n.name: e for n, e in zip(self.step.left + self.step.right, left + right, strict=True)}
        return tuple(_substitute(scalars, e, env) for e in self.step.results)

    def result(self, scalars: KernelScalars, state: tuple[Expr, ...]) -> Scalar:
        """The answer in the result's dtype."""
        dtype = self.node.result.dtype
        if dtype.is_complex:
            return Complex(state[0], state[1], dtype)
        answer = state[self.answer]
        if self.takes_position and answer.dtype is not dtype:
            answer = scalars.convert(answer, dtype)
        return cast(Scalar, scalars.narrow(answer, dtype))


def _names(prefix: str, state: tuple[DType, ...]) -> list[Scalar]:
    made: list[Scalar] = []
    for i, d in enumerate(state):
        if d.is_complex:
            made.append(Complex(Name(f"{prefix}.{i}.re", d.real), Name(f"{prefix}.{i}.im", d.real), d))
        else:
            made.append(Name(f"{prefix}.{i}", d))
    return made


def _flat(scalars: Any) -> tuple[Any, ...]:
    return tuple(p for s in scalars for p in ((s.re, s.im) if isinstance(s, Complex) else (s,)))


def _substitute(scalars: KernelScalars, e: Expr, env: dict[str, Expr]) -> Expr:
    if isinstance(e, Name):
        return env[e.name]
    if isinstance(e, Apply):
        return scalars.apply(e.fn, e.dtype, *(_substitute(scalars, a, env) for a in e.args))
    assert isinstance(e, Const)
    return e


def reduced_axes(node: Node) -> tuple[int, ...]:
    """The axes a reduction folds away."""
    return folded_axes(node.attributes)


def position_of(node: Node, index: At) -> Expr | None:
    """The position along the axis of a position reduction at a full index."""
    return index[node.attributes["axis"]] if "axis" in node.attributes else None




LAST = (1 << 63) - 1


def first_position() -> Combine:
    """The least of positions; `LAST` for none."""
    x, y = Name("l.0", I64), Name("r.0", I64)
    return Combine("first", (x,), (y,), (Apply("minimum", (x, y), I64),), (Const(LAST),))
