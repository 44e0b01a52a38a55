"""What every generator starts with: a kernel's parameters, where its values are found, and its writer.

Flows in:  the body of a fusion, which parameters have strides, which outputs overwrite a parameter.
Flows out: `Frame`; `Frame.kernel()` when the statements are written.

Parameters of a kernel, in order: for each operand `p.0, p.1, ...` a buffer (with strides `p.0.s0, ...` behind it), or
scalars for rank 0 (two for complex); for each output a buffer `o.0, o.1, ...`, with strides behind it if it has its
own; then the symbolic sizes by name (names of ours have dots, so that no size can have one of them).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracejit.base.dims import Dim, Size
from tracejit.base.dtypes import I64, DType
from tracejit.ir.graph import Graph, Value
from tracejit.xla_lite.kernels.element_loops import loops_in
from tracejit.xla_lite.kernels.elements import At, Elements, named, store, stored
from tracejit.xla_lite.kernels.expressions import size_expr
from tracejit.xla_lite.kernels.kernel_ir import BufferParam, Const, Expr, Kernel, Name, Param, ScalarParam
from tracejit.xla_lite.kernels.writer import Writer


@dataclass(frozen=True, slots=True)
class Request:
    """One kernel to be generated. kind: as the fusion pass names it.

    strided, strided_outputs: operands and outputs with strides of their own.
    in_place: an output overwrites an operand.
    """

    name: str
    kind: str
    body: Graph
    strided: frozenset[int] = frozenset()
    strided_outputs: frozenset[int] = frozenset()
    in_place: bool = False
    contract: bool = True


class Frame:
    """The kernel being generated."""

    def __init__(self, request: Request, body: Graph):
        self.request, self.body = request, body
        self.writer = Writer()
        self.elements = Elements(self.writer, {})
        self.params: list[Param] = []
        for i, value in enumerate(body.params):
            self.add_operand(i, value)
        self.outputs = [self.add_output(i, v) for i, v in enumerate(body.outputs)]
        self.params += [ScalarParam(s, I64) for s in sorted(symbols_in(body))]

    def add_operand(self, i: int, value: Value) -> None:
        name = f"p.{i}"
        if value.rank == 0:
            self.params += scalar_params(name, value.dtype)
            self.elements.sources[value] = named(name, value)
            return
        self.add_buffer(name, value, i in self.request.strided, written=False)
        self.elements.sources[value] = stored(name, value, self.elements.scalars)

    def add_output(self, i: int, value: Value) -> str:
        name = f"o.{i}"
        self.add_buffer(name, value, i in self.request.strided_outputs, written=True)
        return name

    def add_buffer(self, name: str, value: Value, strided: bool, written: bool) -> None:
        """A buffer parameter, its strides behind it. Strides of complex arrays count real parts."""
        strides = tuple(Name(f"{name}.s{a}") for a in range(value.rank)) if strided and value.rank else ()
        inner: tuple[Expr, ...] | None = (*strides, Const(1)) if strides and value.dtype.is_complex else strides or None
        self.params.append(BufferParam(name, storage(value.dtype), storage_shape(value), inner, written,
                                       not self.request.in_place))
        self.params += [ScalarParam(s.name, I64) for s in strides]

    def store_output(self, i: int, index: At) -> None:
        """Output i at `index`; an output that is a parameter is copied."""
        value = self.body.outputs[i]
        scalar = self.elements.at(value, index)
        store(self.writer, self.outputs[i], index, self.elements.scalars.narrow(scalar, value.dtype))

    def store_value(self, value: Value, index: At) -> None:
        """Every output that is `value`, at `index`."""
        for i, output in enumerate(self.body.outputs):
            if output is value:
                self.store_output(i, index)

    def kernel(self) -> Kernel:
        return Kernel(self.request.name, tuple(self.params), self.writer.finish(), self.request.contract,
                      loops_in(self.body))


def scalar_params(name: str, dtype: DType) -> list[ScalarParam]:
    if dtype.is_complex:
        return [ScalarParam(f"{name}.re", dtype.real), ScalarParam(f"{name}.im", dtype.real)]
    return [ScalarParam(name, dtype)]


def storage(dtype: DType) -> DType:
    """The element type of a buffer: the real type for complex numbers."""
    return dtype.real


def storage_shape(value: Value) -> tuple[Expr, ...]:
    shape = tuple(map(size_expr, value.shape))
    return (*shape, Const(2)) if value.dtype.is_complex else shape


def exprs(sizes: Sequence[Size]) -> tuple[Expr, ...]:
    return tuple(map(size_expr, sizes))


def values_of(body: Graph) -> list[Value]:
    return [*body.params, *(r for n in body.nodes for r in n.results)]


def symbols_in(body: Graph) -> set[str]:
    """Every symbolic size of types and attributes."""
    found = {s for v in values_of(body) for s in v.type.symbols()}
    todo = [a for n in body.nodes for a in n.attributes.values()]
    while todo:
        item = todo.pop()
        if isinstance(item, tuple):
            todo.extend(item)
        elif isinstance(item, Dim):
            found |= item.symbols()
        elif isinstance(item, Graph):
            found |= symbols_in(item)
    return found


def tree_costs(body: Graph) -> dict[Value, int]:
    """Additions-worth of computing one element of each value from the parameters."""
    costs: dict[Value, int] = dict.fromkeys(body.params, 1)
    for node in body.nodes:
        cost = node.op.cost + sum(costs[v] for v in dict.fromkeys(node.operands))
        costs.update((r, cost) for r in node.results)
    return costs


def body_cost(body: Graph) -> int:
    """Additions-worth of one element of the domain, everything together."""
    return max(1, sum(n.op.cost for n in body.nodes) + len(body.params) + len(body.outputs))
