"""Element by element: the value of any op of a fusion's body at any index, as expressions.

Flows in:  a body, where its parameters are found, and an index per request.
Flows out: scalars, by asking operands for theirs ("pull"), so that chains of ops fuse by construction. The kinds of
           op are known here and no op by name.
"""
from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, cast

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, I64
from tracejit.ir.graph import Node, Value
from tracejit.ops.declare import Condition, Piece, Piecewise
from tracejit.xla_lite.kernels.element_loops import loop_results
from tracejit.xla_lite.kernels.expressions import Index, as_expr, clamp, minus, modulo, size_expr
from tracejit.xla_lite.kernels.kernel_ir import ONE, TRUE, ZERO, Apply, Const, Expr, Load, Name
from tracejit.xla_lite.kernels.scalars import Complex, KernelScalars, Scalar
from tracejit.xla_lite.kernels.writer import Writer

At = tuple[Expr, ...]
Source = Callable[[At], Scalar]
Steps = Generator[tuple[Value, At], Any, Scalar]


class Elements:
    """Computes elements of a body's values. `sources` says where parameters and stored values are read."""

    def __init__(self, writer: Writer, sources: dict[Value, Source]):
        self.writer, self.sources = writer, sources
        self.scalars = KernelScalars(writer)

    def at(self, value: Value, index: At) -> Scalar:
        """value[index]. Iterative: chains of any length. What is known in an open block is used again."""
        if (known := self.recall(value, index)) is not None:
            return known
        stack = [(value, index, self.steps(value, index))]
        answer: Any = None
        while stack:
            value, index, steps = stack[-1]
            try:
                asked, where = steps.send(answer)
            except StopIteration as done:
                stack.pop()
                answer = done.value
                self.remember(value, index, answer)
                continue
            answer = self.recall(asked, where)
            if answer is None:
                stack.append((asked, where, self.steps(asked, where)))
        return cast(Scalar, answer)

    def recall(self, value: Value, index: At) -> Scalar | None:
        for block in self.writer.blocks:
            if (found := block.memo.get((value, index))) is not None:
                return cast(Scalar, found)
        return None

    def remember(self, value: Value, index: At, scalar: Scalar) -> None:
        parts = (scalar.re, scalar.im) if isinstance(scalar, Complex) else (scalar,)
        depth = max((self.writer.depth_of(p) for p in parts), default=0)
        self.writer.blocks[depth].memo[value, index] = scalar

    def steps(self, value: Value, index: At) -> Steps:
        """A computation that yields the elements it needs and receives them."""
        if (source := self.sources.get(value)) is not None:
            return source(index)
        node = value.node
        assert node is not None, "a parameter of the body has no source"
        match node.op.kind:
            case "pointwise":
                return (yield from self._pointwise(node, index))
            case "source":
                return self._source(node, index)
            case "view":
                return (yield from self._view(node, index))
            case "gather":
                return (yield from self._gather(node, index))
            case "control":
                return (yield from self._loop(node, value, index))
        raise AssertionError(f"`{node.op.name}` has no elements: its fusion must supply them")

    def _loop(self, node: Node, value: Value, index: At) -> Steps:
        """A loop whose state at `index` depends on nothing elsewhere: it runs here, for this element."""
        for operand in node.operands:
            if operand.shape in ((), value.shape):      # others are read inside, wherever the loop asks
                yield operand, index if operand.rank else ()
        results = loop_results(self, node, index)
        for other, scalar in zip(node.results, results, strict=True):
            self.remember(other, index if other.rank else (), scalar)
        return results[value.index]

    def _pointwise(self, node: Node, index: At) -> Steps:
        xs = []
        for operand in node.operands:
            x = yield operand, index
            xs.append(self.scalars.widen(x))
        y = node.op.lower(self.scalars, *xs, **node.attributes)
        return cast(Scalar, self.scalars.narrow(y, node.result.dtype))

    def _source(self, node: Node, index: At) -> Scalar:
        if node.op.name == "constant":
            return self._constant(node, index)
        y = node.op.lower(self.scalars, tuple(map(Index, index)), **node.attributes)
        y = y.expr if isinstance(y, Index) else y
        return cast(Scalar, self.scalars.convert(self.scalars.widen(y), node.result.dtype))

    def _constant(self, node: Node, index: At) -> Scalar:
        """A splat is its number; a small dense constant is a chain of selects over the flat position."""
        value, type = node.attributes["value"], node.result.type
        if not isinstance(value, tuple):
            return self.number(value, node)
        flat: Expr = ZERO
        for i, n in zip(index, type.shape, strict=True):
            flat = as_expr(Index(flat) * n + Index(i))
        if isinstance(flat, Const):
            return self.number(value[int(flat.value)], node)
        result: Any = self.number(value[-1], node)
        for position in range(len(value) - 2, -1, -1):
            here = self.scalars.apply("eq", BOOL, flat, Const(position))
            result = self.scalars.select(here, self.number(value[position], node), result)
        return cast(Scalar, result)

    def number(self, value: Any, node: Node) -> Scalar:
        dtype = node.result.dtype
        return cast(Scalar, self.scalars.narrow(self.scalars.constant(value, dtype.compute), dtype))

    def _view(self, node: Node, index: At) -> Steps:
        wrapped = tuple(map(Index, index))
        if isinstance(node.op.lower, Piecewise):
            return (yield from self._pieces(node, wrapped))
        operand = node.operands[0]
        where = node.op.lower(wrapped, operand.shape, node.result.shape, **node.attributes)
        return cast(Scalar, (yield operand, tuple(map(as_expr, where))))

    def _pieces(self, node: Node, index: tuple[Index, ...]) -> Steps:
        """Each piece at its own index, clamped into range where it does not hold, then selected."""
        shapes = [v.shape for v in node.operands]
        pieces: Sequence[Piece] = node.op.lower.pieces(index, shapes, node.result.shape, **node.attributes)
        result: Any = None
        for piece in reversed(pieces):
            operand = node.operands[piece.operand]
            where = tuple(self.within(as_expr(i), n) if piece.where else as_expr(i)
                          for i, n in zip(piece.index, operand.shape, strict=True))
            x = yield operand, where
            result = x if not piece.where else self.scalars.select(self.holds(piece.where, index), x, result)
        return cast(Scalar, result)

    def holds(self, conditions: Sequence[Condition], index: tuple[Index, ...]) -> Expr:
        total: Expr = TRUE
        for c in conditions:
            i = index[c.axis].expr
            tests = [Apply("ge", (i, as_expr(c.low)), BOOL), Apply("lt", (i, as_expr(c.high)), BOOL)]
            if c.step != 1:
                tests.append(Apply("eq", (modulo(minus(i, as_expr(c.low)), Const(c.step)), ZERO), BOOL))
            for test in tests:
                total = test if total is TRUE else self.scalars.apply("and", BOOL, self.writer.let(total),
                                                                      self.writer.let(test))
        return self.writer.let(total)

    def within(self, i: Expr, size: Size) -> Expr:
        return clamp(i, minus(size_expr(size), ONE))

    def _gather(self, node: Node, index: At) -> Steps:
        """Reads the indices, clamps them, reads there."""
        rule, source = node.op.lower, node.operands[0]
        wrapped = tuple(map(Index, index))
        asked: list[tuple[int, tuple[Any, ...]]] = []

        def note(k: int, i: tuple[Any, ...]) -> Index:
            asked.append((k, i))
            return Index(ZERO)

        rule.index(wrapped, note, source.shape, **node.attributes)
        limits = rule.limits(source.shape, **node.attributes)
        found: dict[tuple[int, At], Index] = {}
        for k, i in asked:
            where = tuple(map(as_expr, i))
            x = yield node.operands[1 + k], where
            found[k, where] = Index(clamp(self.scalars.convert(x, I64), as_expr(limits[k])))
        where = rule.index(wrapped, lambda k, i: found[k, tuple(map(as_expr, i))], source.shape, **node.attributes)
        return cast(Scalar, (yield source, tuple(map(as_expr, where))))


def stored(buffer: str, value: Value, scalars: KernelScalars) -> Source:
    """Reads `value` from a buffer of its shape; complex ones have a last axis of two parts."""
    dtype = value.dtype

    def read(index: At) -> Scalar:
        if dtype.is_complex:
            parts = [scalars.writer.let(Load(buffer, (*index, Const(p)), dtype.real)) for p in (0, 1)]
            return Complex(parts[0], parts[1], dtype)
        return scalars.writer.let(Load(buffer, index, dtype))

    return read


def fixed(scalar: Scalar) -> Source:
    """A value that is one scalar at every index: a finished reduction."""
    return lambda index: scalar


def store(writer: Writer, buffer: str, index: At, scalar: Scalar) -> None:
    if isinstance(scalar, Complex):
        writer.store(buffer, (*index, ZERO), scalar.re)
        writer.store(buffer, (*index, ONE), scalar.im)
    else:
        writer.store(buffer, index, scalar)


def named(name: str, value: Value) -> Source:
    """A rank 0 value that arrives as one scalar parameter, or two for complex."""
    dtype = value.dtype
    if dtype.is_complex:
        pair = Complex(Name(f"{name}.re", dtype.real), Name(f"{name}.im", dtype.real), dtype)
        return lambda index: pair
    return lambda index: Name(name, dtype)
