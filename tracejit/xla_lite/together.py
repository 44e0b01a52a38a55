"""Elementwise fusions that do the same to arrays of different sizes run together: one kernel, one parallel loop.

Flows in:  neighbouring fusions of a graph, as an optimizer's update of many parameters leaves them.
Flows out: a loop in `main` over pieces of all arrays, each a call of the kernel for a stretch of one of them.

Arrays are updated in place, or are small: what is written anew and large goes past the caches, in a loop of its own.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracejit.ir.graph import Graph, Node
from tracejit.ir.graph import Value as GraphValue
from tracejit.xla_lite.kernels.element_loops import element_cost
from tracejit.xla_lite.kernels.expressions import (
    chunks_of,
    less,
    minimum,
    minus,
    plus,
    product_of,
    size_expr,
    static_value,
    times,
)
from tracejit.xla_lite.kernels.frame import Request
from tracejit.xla_lite.kernels.kernel_ir import ZERO, BufferRef, Call, Const, Expr, If, Kernel, Statement
from tracejit.xla_lite.kernels.nests import chunk_elements
from tracejit.xla_lite.kernels.scalars import Complex, Scalar
from tracejit.xla_lite.kernels.stretch import flat_body
from tracejit.xla_lite.program import Lowering, Memory, RegionLowering, lowers_several

SMALL = 1 << 16     # elements of an array that may also be written anew
PIECES = 4          # usual pieces in one call


@dataclass(frozen=True, slots=True)
class Member:
    """One fusion of a group, and where its arrays are."""

    node: Node
    operands: tuple[Memory | Scalar, ...]
    outputs: tuple[Memory, ...]

    @property
    def size(self) -> Expr:
        return product_of([size_expr(n) for n in self.node.results[0].shape])

    @property
    def arrays(self) -> list[Memory]:
        return [m for m in (*self.operands, *self.outputs) if isinstance(m, Memory)]


@lowers_several
def run_together(lowering: RegionLowering, k: int) -> int:
    """Lowers the similar fusions from position k on; how many they are, 0 if they are better done one by one."""
    flat, nodes = similar(lowering.graph, k)
    if flat is None or len(nodes) < 2 or not all(_suits(lowering, n) for n in nodes):
        return 0
    members = [Member(n, tuple([lowering.operand(v, False) for v in n.operands]),
                      tuple([lowering.allocate(v) for v in n.results])) for n in nodes]
    _Group(lowering.shared, flat, members).emit()
    return len(nodes)


def similar(graph: Graph, k: int) -> tuple[Graph | None, list[Node]]:
    """The flat body that fusions from position k on share, and those of them that read nothing of each other."""
    wanted = _flat(graph.nodes[k])
    found: list[Node] = []
    results: set[GraphValue] = set()
    for node in graph.nodes[k:] if wanted is not None else ():
        flat = _flat(node)
        if flat is None or str(flat) != str(wanted) or results.intersection(node.operands):
            break
        found.append(node)
        results.update(node.results)
    return wanted, found


def _flat(node: Node) -> Graph | None:
    """The flat body of an elementwise fusion."""
    if node.op.name != "fusion" or node.attributes["kind"] != "elementwise":
        return None
    return flat_body(node.attributes["body"])


def _suits(lowering: RegionLowering, node: Node) -> bool:
    """Whether arrays have no gaps, and results need no memory that was another array's a moment ago."""
    if any(v.rank and lowering.shared.memory[v].strides is not None for v in node.operands):
        return False
    return all(_place_suits(lowering, node, k) for k in range(len(node.results)))


def _place_suits(lowering: RegionLowering, node: Node, k: int) -> bool:
    result = node.results[k]
    place = lowering.plan.places[result]
    if place.kind == "takeover":
        return place.of in node.operands
    target = lowering.target(place.target) if place.kind == "target" else None
    if target is None or target.strides is not None:
        return False
    size = static_value(product_of([size_expr(n) for n in result.shape]))
    return size is not None and size <= SMALL or any(
        v.rank and lowering.shared.share(lowering.shared.memory[v], target) for v in node.operands)


class _Group:
    """Fusions that are lowered together."""

    def __init__(self, shared: Lowering, flat: Graph, members: Sequence[Member]):
        self.shared, self.flat, self.members = shared, flat, members
        self.writer = shared.writer

    def emit(self) -> None:
        """The loop over pieces; single calls if an array of one is written by another."""
        if self.meet():
            for member in self.members:
                self.call_alone(member)
            return
        w, cost = self.writer, element_cost(self.flat)
        chunk = PIECES * chunk_elements(cost)
        kernel = self.shared.kernel(Request("", "stretch", self.flat, in_place=any(map(self.in_place, self.members)),
                                            contract=self.shared.contract))
        starts: list[Expr] = [ZERO]
        total: Expr = ZERO
        for member in self.members:
            starts.append(w.let(plus(starts[-1], chunks_of(member.size, Const(chunk)))))
            total = plus(total, member.size)
        with w.loop(starts[-1], "parallel", "c", w.let(times(total, Const(cost)))) as c:
            for s in self.choose(kernel, starts, chunk, c, 0, len(self.members)):
                w.emit(s)

    def meet(self) -> bool:
        """Whether one writes what another reads or writes."""
        return any(self.shared.share(x, o) for a in self.members for b in self.members if a is not b
                   for x in a.arrays for o in b.outputs)

    def in_place(self, member: Member) -> bool:
        return any(self.shared.share(x, o) for x in member.operands for o in member.outputs)

    def call_alone(self, member: Member) -> None:
        request = Request("", "elementwise", member.node.attributes["body"], in_place=self.in_place(member),
                          contract=self.shared.contract)
        self.shared.call(request, member.operands, member.outputs)

    def choose(self, kernel: Kernel, starts: Sequence[Expr], chunk: int, c: Expr, low: int, high: int,
               ) -> Sequence[Statement]:
        """The call for piece c, which is one of members low .. high, by halving."""
        with self.writer.block(arm=True) as block:
            if high - low == 1:
                self.call_piece(kernel, self.members[low], chunk, minus(c, starts[low]))
            else:
                middle = (low + high) // 2
                condition = self.writer.let(less(c, starts[middle]))
                arms = [tuple(self.choose(kernel, starts, chunk, c, *part))
                        for part in ((low, middle), (middle, high))]
                self.writer.emit(If(condition, *arms))
        return block.statements

    def call_piece(self, kernel: Kernel, member: Member, chunk: int, number: Expr) -> None:
        """Elements of piece `number` of a member."""
        w = self.writer
        first = w.let(times(number, Const(chunk)))
        count = w.let(minimum(Const(chunk), minus(member.size, first)))
        args: list[Expr | BufferRef] = []
        for operand in member.operands:
            if isinstance(operand, Memory):
                args.append(BufferRef(operand.buffer))
            else:
                args += [operand.re, operand.im] if isinstance(operand, Complex) else [operand]
        args += [BufferRef(o.buffer) for o in member.outputs]
        w.emit(Call(kernel.name, (*args, w.let(member.size), first, count)))
