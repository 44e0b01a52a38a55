"""Which op made the NaN that an output holds.

Flows in:  a graph and the values of its parameters.
Flows out: `Origin`: the node, in which element and round, and what it was made of; or the parameters that held it.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph, Node

Array = NDArray[Any]
MOST_TRIED = 20     # nodes for which it is tried whether their NaN alone reaches an output
SILENT = ("print", "host_call")     # effects without results, which are not repeated


@dataclass(frozen=True, slots=True)
class Origin:
    """node: the first that made a NaN. operands: what it read.  index: of the first element that is NaN, which nothing
    at the same place of the operands explains.  count, size: how many of its elements.  round: how often it had run.
    infinity: the node that made the infinity which it read, if it did.
    """

    node: Node
    operands: tuple[Array, ...]
    index: tuple[int, ...]
    count: int
    size: int
    round: int
    infinity: Node | None = None


@dataclass(slots=True)
class Origins:
    """The nodes that make NaN, in the order in which they run, and those that make infinities.

    repairs: nodes give 1 in place of the NaN that they make, all but `only`.
    """

    only: Node | None = None
    repairs: bool = False
    made: dict[Node, Origin] = field(default_factory=dict)
    infinite: set[Node] = field(default_factory=set)
    rounds: dict[Node, int] = field(default_factory=dict)

    def run(self, node: Node, operands: Sequence[Array], attributes: dict[str, Any]) -> Any:
        """Does one node."""
        if node.op.name in SILENT and not node.results:
            return ()
        given = node.op.numpy(*operands, **attributes)
        results = list(map(np.asarray, given if isinstance(given, tuple) else (given,)))
        if any(True for _ in node.regions()):
            return tuple(results)
        self.rounds[node] = self.rounds.get(node, 0) + 1
        return tuple(self.seen(node, operands, results))

    def seen(self, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Sequence[Array]:
        """Notes a node that made a NaN; its results as the others go on with them."""
        fresh = [new_nans(node, operands, r) for r in results]
        if any(map(has_infinity, results)) and not any(map(has_infinity, operands)):
            self.infinite.add(node)
        for flags in fresh:
            if flags is not None and node not in self.made:
                index = tuple(int(k) for k in np.argwhere(flags)[0])
                self.made[node] = Origin(node, tuple(operands), index, int(flags.sum()), flags.size, self.rounds[node])
        if not self.repairs or node is self.only:
            return results
        return [r if flags is None else np.where(flags, r.dtype.type(1), r)
                for r, flags in zip(results, fresh, strict=True)]

    def explained(self, node: Node) -> Origin:
        """The origin at a node, with where the infinity comes from that it read."""
        found, pending, known = self.made[node], [node], {node}
        if not any(map(has_infinity, found.operands)):
            return found
        while pending:
            near = pending.pop(0)
            if near in self.infinite:
                return replace(found, infinity=near)
            before = {v.node: None for v in near.operands if v.node is not None and v.node not in known}
            known.update(before)
            pending += before
        return found


def has_nan(array: Array) -> bool:
    return bool(array.dtype.kind in "fc" and np.isnan(array).any())


def has_infinity(array: Array) -> bool:
    return bool(array.dtype.kind in "fc" and np.isinf(array).any())


def new_nans(node: Node, operands: Sequence[Array], result: Array) -> Array | None:
    """Where a result is NaN that is not NaN for an operand's sake; None where it is nowhere."""
    if not has_nan(result):
        return None
    flags = np.isnan(result)
    for operand in operands:
        if has_nan(operand):
            if node.op.kind != "pointwise" or operand.shape != result.shape:
                return None
            flags = flags & ~np.isnan(operand)
    return flags if flags.any() else None


def origin_of_nan(graph: Graph, arrays: Sequence[Array], sizes: Mapping[str, int]) -> Origin | list[int] | None:
    """The first node whose NaN alone reaches an output; or the numbers of parameters whose NaN does; None if op by op
    evaluation gives no NaN."""
    seen = Origins()
    if not _reaches(graph, arrays, sizes, seen):
        return None
    if any(map(has_nan, arrays)) and _reaches(graph, arrays, sizes, Origins(repairs=True)):
        return [k for k, a in enumerate(arrays) if has_nan(a)]
    for node in list(seen.made)[:MOST_TRIED]:
        if len(seen.made) == 1 or _reaches(graph, arrays, sizes, Origins(node, True)):
            return seen.explained(node)
    return seen.explained(next(iter(seen.made))) if seen.made else None


def _reaches(graph: Graph, arrays: Sequence[Array], sizes: Mapping[str, int], origins: Origins) -> bool:
    """Whether an output is NaN. A run with other values may fail where the first did not: then it tells nothing."""
    try:
        return any(map(has_nan, evaluate(graph, arrays, sizes, origins.run)))
    except Exception:
        if not origins.repairs:
            raise
        return False
