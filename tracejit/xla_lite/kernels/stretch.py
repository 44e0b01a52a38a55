"""Part of an elementwise loop: the elements `first .. first+count` of arrays that lie flat.

Flows in:  a body that is flat (`flat_body`).
Flows out: a kernel with two parameters more, `s.first` and `s.count`. Arrays of any size share it.
"""
from __future__ import annotations

from tracejit.base.dims import Dim, Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.kernels.expressions import plus
from tracejit.xla_lite.kernels.frame import Frame, Request
from tracejit.xla_lite.kernels.kernel_ir import Kernel, Name, ScalarParam

SIZE = Dim.symbol("n")


def stretch_kernel(request: Request) -> Kernel:
    """The kernel of a `stretch`."""
    frame = Frame(request, request.body)
    first, count = Name("s.first"), Name("s.count")
    frame.params += [ScalarParam(name.name, I64) for name in (first, count)]
    with frame.writer.loop(count, "vector", "j") as j:
        index = (plus(first, j),)
        for value in request.body.outputs:
            frame.elements.at(value, index)     # every load stands before the first store
        for i in range(len(request.body.outputs)):
            frame.store_output(i, index)
    return frame.kernel()


def flat_body(body: Graph) -> Graph | None:
    """The body over `n` elements in a row, if every array is read and written at the position of the loop only."""
    domain = body.outputs[0].shape
    if not domain or any(v.shape != domain for v in body.outputs) or not all(_is_flat(n, domain) for n in body.nodes) \
            or any(p.rank and p.shape != domain for p in body.params):
        return None
    made = Graph([_flat_type(p) for p in body.params])
    env: dict[Value, Value] = dict(zip(body.params, made.params, strict=True))
    for node in body.nodes:
        results = made.emit(node.op, [env[v] for v in node.operands], _flat_attributes(node), node.span)
        env.update(zip(node.results, results, strict=True))
    made.outputs = tuple(env[v] for v in body.outputs)
    return made


def _is_flat(node: Node, domain: tuple[Size, ...]) -> bool:
    if any(v.shape not in ((), domain) for v in node.results):
        return False
    if node.op.name == "broadcast_in_dim":
        return not node.operands[0].rank
    return node.op.kind == "pointwise" or node.op.name == "constant" and not isinstance(node.attributes["value"], tuple)


def _flat_type(value: Value) -> ArrayType:
    return ArrayType(value.dtype, (SIZE,) if value.rank else ())


def _flat_attributes(node: Node) -> dict[str, object]:
    attributes = dict(node.attributes)
    if node.op.name == "broadcast_in_dim":
        attributes["shape"] = _flat_type(node.result).shape
    elif node.op.name == "constant":
        attributes["type"] = _flat_type(node.result)
    return attributes
