"""Scatter and slice updates: elements written where indices say, into a buffer that holds the old content.

Flows in:  a body with one scatter op; updates and indices are computed on the way.
Flows out: a kernel. If the operand is a parameter of the body, the caller has put its content into `o0` before; else
           the kernel fills it. Updates that may meet (several indices) go in program order; windows go in parallel.
"""
from __future__ import annotations

from tracejit.base.dtypes import BOOL, I64
from tracejit.ir.graph import Node, Value
from tracejit.xla_lite.kernels.elements import At, Elements, store, stored
from tracejit.xla_lite.kernels.elementwise import element_nest
from tracejit.xla_lite.kernels.expressions import Index, as_expr, clamp, less, product_of, size_expr
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import TRUE, ZERO, Apply, Expr, Kernel
from tracejit.xla_lite.kernels.nests import unflatten


def scatter_kernel(request: Request) -> Kernel:
    """The kernel of a `scatter` fusion."""
    return _Scatter(Frame(request, request.body)).generate()


class _Scatter:
    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        (self.node,) = [n for n in frame.body.nodes if n.op.kind == "scatter"]
        self.target, self.updates = self.node.operands[:2]

    def generate(self) -> Kernel:
        if self.target.node is not None:
            self.fill()
        shape = exprs(self.updates.shape)
        first_index: Value | None = self.node.operands[2] if len(self.node.operands) > 2 else None
        rank = 0 if first_index is None else first_index.rank
        if rank == 0:
            with element_nest(self.frame, shape) as indices:
                for index in indices:
                    self.put(index)
        else:
            self.in_order(shape, rank)
        return self.frame.kernel()

    def fill(self) -> None:
        with element_nest(self.frame, exprs(self.target.shape)) as indices:
            for index in indices:
                store(self.writer, self.frame.outputs[0], index, self.elements.at(self.target, index))

    def in_order(self, shape: tuple[Expr, ...], rank: int) -> None:
        """One update after the other; the axes behind the indexed ones in vectors."""
        with self.writer.loop(product_of(shape[:rank]), "serial", "u") as u:
            front = tuple(self.writer.let(i) for i in unflatten(u, shape[:rank]))
            self.window(front, shape[rank:], ())

    def window(self, front: At, rest: tuple[Expr, ...], at: At) -> None:
        if len(at) == len(rest):
            self.put((*front, *at))
            return
        kind = "vector" if len(at) == len(rest) - 1 else "serial"
        with self.writer.loop(rest[len(at)], kind, "j") as j:  # type: ignore[arg-type]
            self.window(front, rest, (*at, j))

    def put(self, index: At) -> None:
        """Combines one update into its place, if that is inside."""
        where, inside = place_of(self.elements, self.node, index)
        if inside == TRUE:
            self.combine(where, index)
        else:
            with self.writer.when(inside):
                self.combine(where, index)

    def combine(self, where: At, index: At) -> None:
        output = self.frame.outputs[0]
        self.elements.at(self.updates, index)
        if self.node.attributes.get("combine", "set") != "set":    # what is there now is read anew each time
            self.writer.ready[output] = len(self.writer.blocks) - 1
            self.writer.blocks[-1].known.clear()
        update_place(self.elements, self.node, output, where, index)


def update_place(elements: Elements, node: Node, buffer: str, where: At, index: At) -> None:
    """buffer[where] = what the op makes of it and of updates[index]."""
    b, dtype = elements.scalars, node.result.dtype
    new, old = b.widen(elements.at(node.operands[1], index)), None
    if node.attributes.get("combine", "set") != "set":
        old = b.widen(stored(buffer, node.result, b)(where))
    value = node.op.lower.combine(b, old, new, **node.attributes)
    store(elements.writer, buffer, where, b.narrow(value, dtype))


def place_of(elements: Elements, node: Node, index: At) -> tuple[At, Expr]:
    """Where update `index` of a scatter goes, and whether that is inside."""
    b, shapes, writer = elements.scalars, (node.operands[0].shape, node.operands[1].shape), elements.writer
    limits = node.op.lower.limits(*shapes, **node.attributes)

    def read(k: int, i: tuple[object, ...]) -> Index:
        x = b.convert(elements.at(node.operands[2 + k], tuple(map(as_expr, i))), I64)
        return Index(x if limits is None else writer.let(clamp(x, as_expr(limits[k]))))

    where = tuple(map(as_expr, node.op.lower.index(tuple(map(Index, index)), read, *shapes, **node.attributes)))
    if limits is not None:
        return where, TRUE
    inside: Expr = TRUE
    for axis in node.attributes["axes"]:
        i = where[axis]
        for test in (Apply("ge", (i, ZERO), BOOL), less(i, size_expr(shapes[0][axis]))):
            inside = writer.let(test) if inside is TRUE else b.and_(inside, writer.let(test))
    return where, inside
