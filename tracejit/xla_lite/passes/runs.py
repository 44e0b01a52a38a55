"""Places in a row: which gathers and scatters of a loop's body touch consecutive elements, and what is only added up.

Flows in:  the body of a loop whose counter grows by 1.
Flows out: `Run` per gather or scatter; `Fold` per scalar that rounds only combine.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracejit.base.dims import Size
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.passes.rewriting import splat

# op -> its reduction, and whether a carry may stand on the right
FOLDS = {"add": ("reduce_sum", True), "subtract": ("reduce_sum", False), "multiply": ("reduce_prod", True),
         "maximum": ("reduce_max", True), "minimum": ("reduce_min", True), "and": ("reduce_and", True),
         "or": ("reduce_or", True)}

INDICES = {"gather": 1, "scatter": 2, "dynamic_slice": 1, "dynamic_update_slice": 2}    # op -> its first index


@dataclass(frozen=True, slots=True)
class Run:
    """One index grows with the counter, the others stay. axis: which of the array's. starts: per axis that is indexed.

    own: a gather of what the same round writes.
    """

    axis: int
    starts: tuple[Value, ...]
    own: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """carry = op(carry, term)."""

    node: Node
    term: Value

    def write(self, graph: Graph, initial: Value, terms: Value) -> Value:
        """What the rounds make of the carry. terms: of all rounds."""
        total = graph.add(FOLDS[self.node.op.name][0], terms, axes=(0,))
        return graph.add(self.node.op, initial, total, span=self.node.span)


def folds_of(body: Graph, count: int, recurrent: set[Node], in_order: bool) -> dict[int, Fold]:
    """Scalars that a round combines with something that depends on no other round. in_order: no sums of floats."""
    users, found = body.users(), {}
    for k in range(count):
        param, node = body.params[1 + k], body.outputs[k].node
        if param.rank or node is None or node.op.name not in FOLDS or users[param] != [node] or param in body.outputs \
                or in_order and param.dtype.is_inexact or users[node.result] or body.outputs.count(node.result) != 1:
            continue
        x, y = node.operands
        term = y if x is param else x
        if (x is param or FOLDS[node.op.name][1]) and term is not param and term.node not in recurrent \
                and term not in body.params[1:1 + count]:
            found[k] = Fold(node, term)
    return found


def reads_what_it_writes(gather: Node, scatter: Node) -> bool:
    """Whether a gather reads the element that a scatter of the same round changes."""
    return gather.op.name == "gather" and scatter.op.name == "scatter" \
        and gather.attributes["axes"] == scatter.attributes["axes"] \
        and gather.operands[0] is scatter.operands[0] and gather.operands[1:] == scatter.operands[2:]


def find_runs(graph: Graph, body: Graph, count: int, arguments: Sequence[Value]) -> dict[Node, Run]:
    """The runs of a body. arguments: of its parameters in the first round; `graph` gets the places where runs begin."""
    factors, first = _factors(graph, body, count, arguments)
    runs = {n: r for n in body.nodes if n.op.name in INDICES and (r := _run(n, factors, first)) is not None}
    scatters = [n for n in runs if n.op.name == "scatter"]
    own = {n for n in runs for s in scatters if reads_what_it_writes(n, s)}
    return {n: Run(r.axis, r.starts, n in own) for n, r in runs.items()}


def _run(node: Node, factors: dict[Value, int], first: dict[Value, Value]) -> Run | None:
    """One index grows by 1, the others stay; before its axis there is nothing but single places."""
    indices, array = node.operands[INDICES[node.op.name]:], node.operands[0]
    found = [factors.get(v) for v in indices]
    if found.count(1) != 1 or any(f not in (0, 1) for f in found) or any(v.rank for v in indices) \
            or node.attributes.get("combine", "set") != "set":
        return None
    axes = node.attributes.get("axes", range(array.rank))
    sizes = dict.fromkeys(axes, 1) if "axes" in node.attributes else dict(enumerate(window_shape(node)))
    axis = axes[found.index(1)]
    if any(sizes.get(a) != 1 for a in range(axis + 1)):
        return None
    return Run(axis, tuple(first[v] for v in indices))


def window_shape(node: Node) -> tuple[Size, ...]:
    """What a slice at a run-time place reads or writes."""
    shape: tuple[Size, ...] = node.attributes["sizes"] if node.op.name == "dynamic_slice" else node.operands[1].shape
    return shape


def _factors(graph: Graph, body: Graph, count: int,
             arguments: Sequence[Value]) -> tuple[dict[Value, int], dict[Value, Value]]:
    """The factor of the counter in each scalar that is a sum with it; what these scalars are at first."""
    factors = {body.params[0]: 1, **dict.fromkeys(body.params[1 + count:], 0)}
    first = dict(zip(body.params, arguments, strict=True))
    for node in body.nodes:
        if node.op.kind not in ("pointwise", "source", "gather") or node.result.rank \
                or any(v not in factors for v in node.operands) or (factor := _factor(node, factors)) is None:
            continue
        factors[node.result] = factor
        first.update(zip(node.results, graph.keep(node, [first[v] for v in node.operands]), strict=True))
    return factors, first


def _factor(node: Node, factors: dict[Value, int]) -> int | None:
    found = [factors[v] for v in node.operands]
    if not any(found):
        return 0
    match node.op.name:
        case "add":
            return found[0] + found[1]
        case "subtract":
            return found[0] - found[1]
        case "multiply":
            x, y = (splat(v) for v in node.operands)
            return found[0] * y if isinstance(y, int) else found[1] * x if isinstance(x, int) else None
    return None
