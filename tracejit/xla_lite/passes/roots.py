"""Which values are stored or reduced (*roots*), and which are computed again wherever they are read.

Flows in:  live nodes and their users.
Flows out: `find_roots`, `is_inlined`, and `tree_cost`, the work of one element.
"""
from __future__ import annotations

from dataclasses import dataclass

from tracejit.base.dims import product
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.passes.products import takes_followers
from tracejit.xla_lite.passes.single_elements import LOOPS, OWN_NEST, find_elements
from tracejit.xla_lite.passes.slice_updates import is_computed_in_place

CHEAP = 6         # additions-worth that may be computed again for a second reader
CHEAP_AGAIN = 2   # ... again for every element of a broadcast, or at random places


@dataclass(frozen=True, slots=True)
class Roots:
    """stored: loops whose results are stored or reduced.  elements: what `main` does, one array element at a time."""

    stored: set[Node]
    elements: set[Node]

    def __contains__(self, node: Node) -> bool:
        return node in self.stored

    def __bool__(self) -> bool:
        return bool(self.stored)


def is_loop(node: Node) -> bool:
    """Whether the node is computed by loops over elements. Scalars are computed in `main`, in registers."""
    if node.op.name in OWN_NEST or takes_followers(node):
        return True
    if node.op.kind not in LOOPS or node.op.name == "reshape":
        return False
    if node.op.kind in ("reduction", "cumulative", "scatter"):
        return True
    return any(r.rank for r in node.results) or node.op.kind in ("view", "gather") and _reads_array(node)


def _reads_array(node: Node) -> bool:
    return any(v.rank for v in node.operands)


def is_inlined(node: Node, roots: Roots) -> bool:
    """Whether readers compute the node themselves. Scalar constants are inlined too."""
    if node in roots.stored or node in roots.elements:
        return False
    return is_loop(node) or not node.operands and node.op.kind == "source"


def find_roots(graph: Graph, nodes: list[Node], users: dict[Value, list[Node]]) -> Roots:
    """Loops whose results must exist as arrays, or are better computed once; and what is no loop at all."""
    outputs, elements = set(graph.outputs), find_elements(graph, nodes, users)
    roots: set[Node] = set()
    costs: dict[Node, int] = {}
    loops = {n for n in nodes if is_loop(n) and n not in elements}
    inline = loops | elements
    for node in nodes:
        if node not in loops:
            continue
        costs[node] = node.op.cost + sum(costs.get(v.node, 0) for v in dict.fromkeys(node.operands)
                                         if v.node is not None and v.node not in roots)
        readers = inline if node.op.kind == "source" else loops
        if _must_be_stored(node, outputs, users, readers) or _worth_storing(node, costs[node], users, loops):
            roots.add(node)
    return Roots(roots, elements)


def _must_be_stored(node: Node, outputs: set[Value], users: dict[Value, list[Node]], loops: set[Node]) -> bool:
    if node.op.kind in ("reduction", "cumulative", "scatter", "contraction") or node.op.name in OWN_NEST:
        return True
    return any(r in outputs or any(u not in loops or u.op.kind == "contraction" for u in users[r])
               for r in node.results)


def _worth_storing(node: Node, cost: int, users: dict[Value, list[Node]], loops: set[Node]) -> bool:
    readers = users[node.results[0]]
    if len(readers) > 1 and cost > CHEAP:
        return True
    if any(_must_wait(u, node.results[0]) for u in readers):
        return True
    return any(_repeats(u, node.results[0]) for u in readers) and cost > CHEAP_AGAIN


def _must_wait(user: Node, value: Value) -> bool:
    """Whether a slice update is computed apart first, since it reads the array elsewhere than where it writes."""
    return user.op.name == "dynamic_update_slice" and user.operands[1] is value and not is_computed_in_place(user)


def _repeats(user: Node, value: Value) -> bool:
    """Whether the user reads elements of `value` many times, or at places known only at run time."""
    if user.op.name == "dynamic_update_slice":
        return user.operands[0] is value
    if user.op.kind in ("gather", "scatter") or user.op.kind in ("cumulative", "library"):
        return user.operands[0] is value or user.op.kind == "scatter"
    if user.op.kind == "window":
        return user.operands[0] is value and windows_overlap(user)
    if user.op.name in OWN_NEST:
        return False
    return user.op.name == "broadcast_in_dim" and product(value.shape) != product(user.attributes["shape"])


def windows_overlap(node: Node) -> bool:
    """Whether an op over windows reads an element more than once."""
    a = node.attributes
    return any(w > 1 and (w - 1) * d + 1 > s for w, s, d in zip(a["window"], a["strides"], a["window_dilation"]))
