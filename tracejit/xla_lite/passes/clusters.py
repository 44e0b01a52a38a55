"""Clusters of roots that one loop nest can serve, and the rule that decides it.

Flows in:  roots in program order, and how each reads the roots before it.
Flows out: `Cluster` with its `kind`, which names the generator; `can_join`, the whole fusion policy.

Kinds
    elementwise  one loop over a domain; any number of results of that shape
    rows         reductions over the trailing axes: all of a row's stages run while the row is in cache
    full         reductions of a whole array to scalars
    columns      reductions that keep the last axis; what follows on the reduced shape is done at the end
    mixed        any other reduction
    product      a matrix product, and what follows element by element
    and one kind for each op with a nest of its own: concatenate, pad, scatter, cumulative, ...
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracejit.base.dims import Size
from tracejit.ir.graph import Node, Value
from tracejit.ops.reductions import folded_axes
from tracejit.xla_lite.passes.products import takes_followers
from tracejit.xla_lite.passes.roots import Roots, is_inlined
from tracejit.xla_lite.passes.single_elements import OWN_NEST

Shape = tuple[Size, ...]
PRODUCT = "product"

@dataclass(slots=True, eq=False)
class Cluster:
    """Roots of one loop nest. domain: the shape it runs over. axes: reduced ones, None without reductions.

    number, position: of the unit, and of its first root among the nodes.  loops: False for one node that is no loop.
    ancestors: bits of all units that must run before.  readers: units that need this one at first hand.
    """

    number: int
    position: int
    kind: str
    domain: Shape
    axes: tuple[int, ...] | None
    loops: bool
    roots: list[Node] = field(default_factory=list)
    ancestors: int = 0
    readers: dict[Cluster, None] = field(default_factory=dict)

    @property
    def bit(self) -> int:
        return 1 << self.number

    @property
    def key(self) -> Any:
        """Equal for clusters whose loops run alike."""
        return self.kind, self.domain, self.axes

    @property
    def kept(self) -> Shape:
        """The domain without its reduced axes."""
        return tuple(n for i, n in enumerate(self.domain) if i not in (self.axes or ()))

    def add(self, root: Node) -> None:
        if (axes := reduced_axes(root)) is not None and self.axes is None:
            self.axes, self.kind = axes, reduction_kind(self.domain, axes)
        self.roots.append(root)


def new_cluster(node: Node, number: int, position: int, loops: bool = True) -> Cluster:
    axes = reduced_axes(node)
    domain = node.operands[0].shape if axes is not None else node.results[0].shape if node.results else ()
    kind = "elementwise"
    if axes is not None:
        kind = reduction_kind(domain, axes)
    elif own := own_kind(node):
        kind = own
    return Cluster(number, position, kind, domain, axes, loops, [node])


def own_kind(node: Node) -> str | None:
    """The kind of ops that have a loop nest of their own."""
    if node.op.kind in ("scatter", "cumulative"):
        return node.op.kind
    if takes_followers(node):
        return PRODUCT
    return node.op.name if node.op.name in OWN_NEST else None


def reduced_axes(node: Node) -> tuple[int, ...] | None:
    return folded_axes(node.attributes) if node.op.kind == "reduction" else None


def reduction_kind(domain: Shape, axes: tuple[int, ...]) -> str:
    rank = len(domain)
    if len(axes) == rank:
        return "full"
    if axes == tuple(range(rank - len(axes), rank)):
        return "rows"
    return "columns" if rank - 1 not in axes else "mixed"


def can_join(cluster: Cluster, root: Node, reads: dict[Node, set[str]], cluster_of: dict[Node, Cluster]) -> bool:
    """Whether the loop nest of `cluster` can compute `root` too; `reads`: how root reads other roots."""
    inside = {n: how for n, how in reads.items() if cluster_of.get(n) is cluster}
    axes, own = reduced_axes(root), own_kind(root)
    if cluster.kind == PRODUCT and own is None and axes is None:
        return bool(inside) and root.results[0].shape == cluster.domain and _domain_reads(cluster, inside)
    if own or own_kind(cluster.roots[0]):
        return False
    if axes is not None:
        return _joins_as_reduction(cluster, root, axes, inside)
    shape = root.results[0].shape
    if shape == cluster.domain and _domain_reads(cluster, inside):
        return cluster.axes is None or cluster.kind in ("rows", "columns", "full") and _no_reduction(cluster, inside) \
            or cluster.kind == "rows"
    if cluster.axes is not None and cluster.kind in ("rows", "columns"):
        return drop_units(shape, cluster.kept) and all(how == {"identity"} and is_reduced(n, cluster)
                                                       for n, how in inside.items())
    return False


def _joins_as_reduction(cluster: Cluster, root: Node, axes: tuple[int, ...], inside: dict[Node, set[str]]) -> bool:
    if root.operands[0].shape != cluster.domain or cluster.axes not in (None, axes):
        return False
    if not _domain_reads(cluster, inside):
        return False
    return reduction_kind(cluster.domain, axes) == "rows" or _no_reduction(cluster, inside)


def _domain_reads(cluster: Cluster, inside: dict[Node, set[str]]) -> bool:
    """Full-size roots are read element by element, reduced ones as the scalar of their row."""
    return all(how == ({"row"} if is_reduced(n, cluster) else {"identity"}) for n, how in inside.items())


def _no_reduction(cluster: Cluster, inside: dict[Node, set[str]]) -> bool:
    return not any(is_reduced(n, cluster) for n in inside)


def is_reduced(node: Node, cluster: Cluster) -> bool:
    """Whether a root of the cluster has the reduced shape."""
    return node.op.kind == "reduction" or node.results[0].shape != cluster.domain


def drop_units(shape: Shape, kept: Shape) -> bool:
    """Whether `shape` is `kept`, perhaps with unit axes behind it."""
    return shape[:len(kept)] == kept and all(n == 1 for n in shape[len(kept):])


def reads_of(node: Node, roots: Roots) -> dict[Node, set[str]]:
    """The roots and other units that `node` reads through inlined nodes, and how.

    identity: at the same position.  row: at the leading part of the position (broadcast along trailing axes).
    other: anywhere else.
    """
    if node.op.kind in ("scatter", "cumulative", "library", "control", "effect", "contraction", "window"):
        start = "other"
    else:
        start = "identity"
    found: dict[Node, set[str]] = {}
    seen: set[tuple[Value, str]] = set()
    todo = [(v, _step(node, v, start)) for v in node.operands]
    while todo:
        value, how = todo.pop()
        below = value.node
        if below is None or (value, how) in seen:
            continue
        seen.add((value, how))
        if is_inlined(below, roots):
            todo.extend((v, _step(below, v, how)) for v in below.operands)
        else:
            found.setdefault(below, set()).add(how)
    return found


def _step(node: Node, operand: Value, how: str) -> str:
    """How `operand` is read when `node` is read in the way `how`."""
    if how == "other" or node.op.kind in ("pointwise", "reduction"):
        return how
    if node.op.name == "broadcast_in_dim":
        return how if _is_row_broadcast(node, operand) and how == "row" else \
            "row" if _is_row_broadcast(node, operand) and how == "identity" else "other"
    if node.op.name == "reshape" and how == "row":
        return "row" if _differ_by_units(operand.shape, node.result.shape) else "other"
    return "other"


def _is_row_broadcast(node: Node, operand: Value) -> bool:
    """Axis i of the operand becomes axis i; only trailing axes are new or expanded."""
    shape, dims = node.attributes["shape"], node.attributes["dims"]
    if tuple(dims) != tuple(range(operand.rank)):
        return False
    kept = 0
    while kept < operand.rank and operand.shape[kept] == shape[kept]:
        kept += 1
    return all(n == 1 for n in operand.shape[kept:])


def _differ_by_units(x: Shape, y: Shape) -> bool:
    short, long = sorted((x, y), key=len)
    return drop_units(long, short)
