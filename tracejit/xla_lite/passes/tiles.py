"""Arithmetic on arrays that were rolled, padded or joined becomes arithmetic on parts of them: nothing is moved before.

Flows in:  a simplified graph.
Flows out: the same, where a stored array that is computed from `concatenate` and `pad` is put together of tiles:
           in each tile every element comes from one piece. Tiles of one array are one fusion of kind `sweep`.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import live_nodes, map_regions, without_dead_nodes
from tracejit.xla_lite.passes.manager import graph_pass
from tracejit.xla_lite.passes.roots import find_roots

MOST_TILES = 9
MOST_NODES = 900      # of all tiles together
FEWEST_ROWS = 8

Box = tuple[tuple[int, int], ...]      # begin and end on each axis


@graph_pass(needs=("canonical",), gives=("stencils read in place",))
def tile_joined(graph: Graph) -> Graph:
    """Roots that read pieces, in every region."""
    tilings = _tilings(graph)
    changed = {n: a for n in graph.nodes if n.op.kind == "control" and n.op.name != "fusion"
               and (a := map_regions(n, tile_joined.run)) is not None}
    if not tilings and not changed:
        return graph
    copy = Graph([p.type for p in graph.params], graph.names)
    env: dict[Value, Value] = dict(zip(graph.params, copy.params, strict=True))
    for node in graph.nodes:
        if (tiling := tilings.get(node)) is not None:
            made: Sequence[Value] = tiling.emit(copy, env)
        elif node in changed:
            made = copy.emit(node.op, [env[v] for v in node.operands], changed[node], node.span)
        else:
            made = copy.keep(node, [env[v] for v in node.operands])
        env.update(zip(node.results, made, strict=True))
    copy.outputs = tuple(env[v] for v in graph.outputs)
    return without_dead_nodes(copy)


def _tilings(graph: Graph) -> dict[Node, _Tiling]:
    live = live_nodes(graph)
    nodes = [n for n in graph.nodes if n in live]
    if not any(n.op.name in ("concatenate", "pad") for n in nodes):
        return {}
    stored = find_roots(graph, nodes, graph.users()).stored
    return {n: t for n in nodes if n in stored and (t := _tiling(n)) is not None}


@dataclass(slots=True)
class _Tiling:
    """How one value is put together. cuts: on each axis, where tiles begin, and the end."""

    root: Node
    cuts: list[list[int]]
    memo: dict[tuple[Value, Box], Value] = field(default_factory=dict)

    def boxes(self) -> list[Box]:
        return [tuple(b) for b in product(*(list(zip(c, c[1:], strict=False)) for c in self.cuts))]

    def emit(self, copy: Graph, env: dict[Value, Value]) -> tuple[Value, ...]:
        """The fusion, over the arrays that tiles are read from."""
        read = list(dict.fromkeys(_sources(self.root)))
        body = Graph([v.type for v in read])
        inner = dict(zip(read, body.params, strict=True))
        total = body.add("constant", value=_zero(self.root.result.type), type=self.root.result.type)
        for box in self.boxes():
            new = self.part(body, inner, self.root.result, box)
            starts = [body.add("constant", value=low, type=ArrayType(I64)) for low, _ in box]
            total = body.add("dynamic_update_slice", total, new, *starts, span=self.root.span)
        body.outputs = (total,)
        return copy.emit("fusion", [env[v] for v in read], {"body": body, "kind": "sweep"}, self.root.span)

    def part(self, body: Graph, inner: dict[Value, Value], value: Value, box: Box) -> Value:
        """What a value is inside of a box."""
        if (found := self.memo.get((value, box))) is None:
            found = self.memo[value, box] = self.computed(body, inner, value, box)
        return found

    def computed(self, body: Graph, inner: dict[Value, Value], value: Value, box: Box) -> Value:
        node, shape = value.node, tuple(high - low for low, high in box)
        if value in inner:
            return inner[value] if not value.rank or shape == value.shape else body.add(
                "slice", inner[value], start=tuple(a for a, _ in box), limit=tuple(b for _, b in box),
                stride=(1,) * len(box))
        assert node is not None
        if node.op.name == "constant":
            return body.add("constant", value=node.attributes["value"], type=ArrayType(value.dtype, shape))
        if node.op.name == "broadcast_in_dim":
            below = node.operands[0]
            own = tuple(box[d] if below.shape[i] == value.shape[d] else (0, 1)
                        for i, d in enumerate(node.attributes["dims"]))
            return body.add("broadcast_in_dim", self.part(body, inner, below, own), shape=shape,
                            dims=node.attributes["dims"])
        if node.op.kind == "pointwise":
            parts = [self.part(body, inner, v, box if v.rank else ()) for v in node.operands]
            return body.emit(node.op, parts, node.attributes, node.span)[value.index]
        below, moved = _below(node, box)
        if below.rank:
            return self.part(body, inner, below, moved)
        return body.add("broadcast_in_dim", inner[below] if below in inner else self.part(body, inner, below, ()),
                        shape=shape, dims=())


def _below(node: Node, box: Box) -> tuple[Value, Box]:
    """The piece that a box of a slice, a concatenation or a padded array lies in, and where; or the value beside it."""
    if node.op.name == "slice":
        return node.operands[0], _shifted(box, node.attributes["start"])
    if node.op.name == "pad":
        low = node.attributes["low"]
        inside = all(a >= n and b <= n + m for (a, b), n, m in zip(box, low, node.operands[0].shape, strict=True))
        return (node.operands[0], _shifted(box, [-n for n in low])) if inside else (node.operands[1], ())
    axis, begin = node.attributes["axis"], 0
    for piece in node.operands:
        if box[axis][1] <= begin + piece.shape[axis]:
            break
        begin += piece.shape[axis]
    return piece, _shifted(box, [-begin if a == axis else 0 for a in range(len(box))])


def _shifted(box: Box, by: Sequence[int]) -> Box:
    return tuple((a + n, b + n) for (a, b), n in zip(box, by, strict=True))


# ---- where tiles end -------------------------------------------------------------------------------------------


def _tiling(root: Node) -> _Tiling | None:
    """The tiles of a root that reads pieces; None where there are none, or too many."""
    shape = root.results[0].shape
    if root.op.kind != "pointwise" or len(shape) < 2 or not _is_static(root.result) or shape[0] < FEWEST_ROWS:
        return None
    cuts: list[set[int]] = [{0, n} for n in shape if isinstance(n, int)]
    count = _walk(root, cuts)
    tiles = 1
    for c in cuts:
        tiles *= len(c) - 1
    if count is None or tiles == 1 or tiles > MOST_TILES or tiles * count > MOST_NODES \
            or not all(map(_is_in_memory, _sources(root))):
        return None
    return _Tiling(root, [sorted(c) for c in cuts])


def _walk(root: Node, cuts: list[set[int]]) -> int | None:
    """Notes where pieces end, as places of the root; how many nodes there are. None if a piece can't be taken apart."""
    todo = [(root.result, (0,) * len(cuts))]
    seen = set(todo)
    while todo:
        value, offset = todo.pop()
        node = value.node
        if node is None or not value.rank or not _is_inside(node) or not _is_static(value):
            continue
        for axis, places in _ends(node):
            cuts[axis].update(p - offset[axis] for p in places if 0 < p - offset[axis] < root.result.shape[axis])
        for below, by in _operands(node):
            if below.rank == len(cuts):
                item = below, tuple(a + b for a, b in zip(offset, by, strict=True))
                if item not in seen:
                    seen.add(item)
                    todo.append(item)
            elif below.rank and node.op.name != "broadcast_in_dim":
                return None
        if len(seen) > MOST_NODES:
            return None
    return len(seen)


def _ends(node: Node) -> list[tuple[int, list[int]]]:
    """On which axes pieces of a value end, and where."""
    if node.op.name == "pad":
        return [(a, [low, low + n]) for a, (low, n) in enumerate(zip(node.attributes["low"], node.operands[0].shape,
                                                                     strict=True))]
    if node.op.name != "concatenate":
        return []
    axis, ends = node.attributes["axis"], [0]
    for piece in node.operands:
        ends.append(ends[-1] + piece.shape[axis])
    return [(axis, ends[1:-1])]


def _operands(node: Node) -> Sequence[tuple[Value, Sequence[int]]]:
    """What a value is taken from, and how far its place is ahead there."""
    rank = node.result.rank
    if node.op.name == "slice":
        return [(node.operands[0], node.attributes["start"])]
    if node.op.name == "pad":
        return [(node.operands[0], [-n for n in node.attributes["low"]]), (node.operands[1], (0,) * rank)]
    if node.op.name == "concatenate":
        made, begin, axis = [], 0, node.attributes["axis"]
        for piece in node.operands:
            made.append((piece, [-begin if a == axis else 0 for a in range(rank)]))
            begin += piece.shape[axis]
        return made
    return [(v, (0,) * rank) for v in node.operands] if node.op.kind == "pointwise" else []


def _is_inside(node: Node) -> bool:
    """Whether tiles compute the node themselves, rather than read it from memory."""
    if not all(map(_is_static, node.operands)):
        return False
    if node.op.name == "slice":
        return set(node.attributes["stride"]) == {1}
    if node.op.name == "pad":
        around = (*node.attributes["low"], *node.attributes["high"])
        return not any(node.attributes["interior"]) and all(isinstance(n, int) and n >= 0 for n in around)
    if node.op.name == "broadcast_in_dim":
        return not node.operands[0].rank
    splat = node.op.name == "constant" and not isinstance(node.attributes["value"], tuple)
    return splat or node.op.name == "concatenate" or node.op.kind == "pointwise" and len(node.results) == 1


def _sources(root: Node) -> list[Value]:
    """The arrays and scalars that tiles read."""
    todo, seen, found = [root.result], {root.result}, []
    while todo:
        value = todo.pop()
        node = value.node
        if node is None or not _is_inside(node) or not value.rank and node.op.name != "constant":
            found.append(value)
            continue
        for v in node.operands:
            if v not in seen:
                seen.add(v)
                todo.append(v)
    return found


def _is_in_memory(value: Value) -> bool:
    """Scalars, and arrays that no reader would compute itself."""
    return not value.rank or value.node is None or value.node.op.kind in (
        "scatter", "control", "library", "contraction", "window", "reduction", "cumulative")


def _is_static(value: Value) -> bool:
    return all(isinstance(n, int) for n in value.shape)


def _zero(type: ArrayType) -> bool | int | float | complex:
    dtype = type.dtype
    return False if dtype.kind == "b" else 0j if dtype.is_complex else 0.0 if dtype.is_float else 0
