"""Loops inside a kernel: `while` and `for` over whole arrays, run for each element on its own.

Flows in:  a loop that the element-loop pass has put into the body of a fusion: its body is elementwise, and its
           condition is a scalar, `reduce_or` of one predicate per element, or both joined by `and`.
Flows out: statements over registers. Each lane leaves by its own predicate: elements whose predicate is false keep
           their state for ever, which the pass has proved.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tracejit.base.dtypes import DType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.kernels.expressions import Index, as_expr, minus, plus, quotient
from tracejit.xla_lite.kernels.kernel_ir import TRUE, Const, Expr, Load, While
from tracejit.xla_lite.kernels.scalars import Complex, KernelScalars, Scalar
from tracejit.xla_lite.kernels.writer import Writer

At = tuple[Expr, ...]
UNALIGNED = 2           # additions-worth of a load at a shifted place
UNKNOWN_TRIPS = 32      # iterations that a loop is taken to make where it does not say


class Puller(Protocol):
    """What `Elements` is to this module."""

    writer: Writer
    scalars: KernelScalars
    sources: dict[Value, Callable[[At], Scalar]]

    def at(self, value: Value, index: At) -> Scalar:
        """value[index]."""


def loop_results(elements: Puller, node: Node, index: At) -> list[Scalar]:
    """Writes the loop for the element at `index`; its results there."""
    return _for(elements, node, index) if node.op.name == "for" else _while(elements, node, index)


def _while(elements: Puller, node: Node, index: At) -> list[Scalar]:
    """What the condition computed is known in the body, where the predicate holds for every lane that runs."""
    writer, count = elements.writer, node.attributes["carries"]
    joint = Graph([v.type for v in node.operands])
    (test,) = joint.inline(node.attributes["cond"], joint.params)
    following = joint.inline(node.attributes["body"], joint.params)
    uniform, predicate = split_condition(test)
    state = _State(elements, node.results, _initial(elements, node.operands[:count], index))
    _bind_invariants(elements, joint.params[count:], node.operands[count:])
    with writer.block() as before:
        state.bind(joint.params[:count])
        condition = _condition(elements, uniform, predicate, index)
    with writer.block() as inside:
        inside.known.update(before.known)
        if predicate is not None:
            elements.sources[predicate] = lambda _: TRUE
        state.write(following, index)
    writer.emit(While(tuple(before.statements), condition, tuple(inside.statements)))
    return state.read()


def split_condition(test: Value) -> tuple[Value | None, Value | None]:
    """The scalar part and the predicate of the elements."""
    node = test.node
    if node is not None and node.op.name == "reduce_or":
        return None, node.operands[0]
    if node is not None and node.op.name == "and":
        for one, other in (node.operands, node.operands[::-1]):
            if other.node is not None and other.node.op.name == "reduce_or":
                return one, other.node.operands[0]
    return test, None


def _condition(elements: Puller, uniform: Value | None, predicate: Value | None, index: At) -> Expr:
    parts: list[Any] = [elements.at(v, index if v.rank else ()) for v in (uniform, predicate) if v is not None]
    condition: Expr = parts[0] if len(parts) == 1 else elements.scalars.and_(*parts)
    return condition


def _for(elements: Puller, node: Node, index: At) -> list[Scalar]:
    body, count = node.attributes["body"], node.attributes["carries"]
    bounds = [elements.at(v, ()) for v in node.operands[:3]]
    trips, lower, step = trip_count(elements.scalars, bounds), as_expr(bounds[0]), as_expr(bounds[2])
    state = _State(elements, node.results, _initial(elements, node.operands[3:3 + count], index))
    joint = Graph([v.type for v in body.params])
    following = joint.inline(body, joint.params)
    _bind_invariants(elements, joint.params[1 + count:], node.operands[3 + count:])
    with elements.writer.loop(trips, "serial", "n") as n:
        i = elements.writer.let((Index(lower) + Index(n) * Index(step)).expr)
        elements.sources[joint.params[0]] = lambda _: i
        state.bind(joint.params[1:1 + count])
        state.write(following, index)
    return state.read()


def trip_count(b: KernelScalars, bounds: Sequence[Any]) -> Expr:
    """ceil((upper - lower) / step), where less than 1 is none; a step of 0 makes none."""
    lower, upper, step = bounds
    if all(isinstance(x, Const) for x in bounds):
        known = [int(x.value) for x in bounds]
        return Const(len(range(*known)) if known[2] else 0)
    if isinstance(step, Const) and step.value:
        ahead = minus(upper, lower) if step.value > 0 else minus(lower, upper)
        size = abs(int(step.value))
        return b.writer.let(quotient(plus(ahead, Const(size - 1)), Const(size)))
    up = b.compare("GT", step, Const(0))
    distance = b.select(up, b.subtract(upper, lower), b.subtract(lower, upper))
    size = b.select(up, step, b.negate(step))
    trips = b.call("floor_divide", b.add(distance, b.subtract(size, Const(1))), size)
    runs = b.and_(b.compare("GT", distance, Const(0)), b.compare("NE", step, Const(0)))
    chosen: Expr = b.select(runs, trips, Const(0))
    return chosen


def _initial(elements: Puller, values: Sequence[Value], index: At) -> list[Scalar]:
    return [elements.at(v, index if v.rank else ()) for v in values]


def _bind_invariants(elements: Puller, params: Sequence[Value], values: Sequence[Value]) -> None:
    """What the loop only reads may be read anywhere."""
    for param, value in zip(params, values, strict=True):
        elements.sources[param] = _elsewhere(elements, value)


def _elsewhere(elements: Puller, value: Value) -> Callable[[At], Scalar]:
    return lambda index: elements.at(value, index)


class _State:
    """What one iteration hands to the next, in registers; scalars of the graph have one for all lanes."""

    def __init__(self, elements: Puller, values: Sequence[Value], initial: Sequence[Scalar]):
        self.elements, self.writer, self.values = elements, elements.writer, values
        self.registers = [self.open(v, scalar) for v, scalar in zip(values, initial, strict=True)]

    def open(self, value: Value, scalar: Scalar) -> list[str]:
        names = []
        for part in _parts(scalar):
            make = self.writer.buffer if value.rank else self.writer.uniform
            names.append(make("s", part.dtype))
            self.writer.store(names[-1], (), part)
        return names

    def read(self) -> list[Scalar]:
        return [_joined([self.writer.let_here(Load(name, (), v.dtype.real)) for name in names], v.dtype)
                for v, names in zip(self.values, self.registers, strict=True)]

    def bind(self, params: Sequence[Value]) -> None:
        """From here on `params` are the state as it is now."""
        for param, scalar in zip(params, self.read(), strict=True):
            self.elements.sources[param] = _always(scalar)

    def write(self, values: Sequence[Value], index: At) -> None:
        """All new values first, then the stores."""
        found = [self.elements.at(v, index if v.rank else ()) for v in values]
        for names, scalar in zip(self.registers, found, strict=True):
            for name, part in zip(names, _parts(scalar), strict=True):
                self.writer.store(name, (), part)


def _always(scalar: Scalar) -> Callable[[At], Scalar]:
    return lambda index: scalar


def _parts(scalar: Scalar) -> tuple[Expr, ...]:
    return (scalar.re, scalar.im) if isinstance(scalar, Complex) else (scalar,)


def _joined(parts: Sequence[Expr], dtype: DType) -> Scalar:
    return Complex(parts[0], parts[1], dtype) if dtype.is_complex else parts[0]


def loops_in(body: Graph) -> bool:
    """Whether the body has a loop of its own."""
    return any(n.op.kind == "control" for n in body.nodes)


def element_cost(body: Graph) -> int:
    """Additions-worth of one element, loops included. What is read at shifted places is loaded across cache lines."""
    shifted = sum(UNALIGNED for n in body.nodes if n.op.name in ("slice", "dynamic_slice"))
    return max(1, sum(map(_node_cost, body.nodes)) + shifted + len(body.params) + len(body.outputs))


def _node_cost(node: Node) -> int:
    if node.op.kind != "control":
        return node.op.cost
    return _trips(node) * sum(_node_cost(n) for _, region in node.regions() for n in region.nodes)


def _trips(node: Node) -> int:
    """How often the loop runs, as far as it is known while compiling."""
    bounds = [v.node.attributes["value"] for v in node.operands[:3] if v.node is not None
              and v.node.op.name == "constant"] if node.op.name == "for" else []
    return len(range(*map(int, bounds))) if len(bounds) == 3 and bounds[2] else UNKNOWN_TRIPS
