"""Failures: which may leave a node, who handles them, what they leave behind.

Flows in:  nodes of a graph.
Flows out: `failures`, `handler_label`, `leaves_state`.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracejit.ir.graph import Node
from tracejit.ops.effects import HOST_OPS
from tracejit.xla_lite.passes.plan import Target

FAILING = ("assert", *HOST_OPS)     # other effects fail for want of memory only


def handler_label(failure: Node) -> str:
    """The label of the attempt that handles a failure; "" where it leaves the function."""
    to: str = failure.attributes.get("to", "")
    return to.rpartition(":")[0]


def failures(nodes: Iterable[Node]) -> Iterator[Node]:
    """What may leave the nodes before their end: at any depth, but for what an attempt in them handles."""
    for node in nodes:
        if not node.has_effect:
            continue
        if node.op.name in FAILING:
            yield node
        for name, region in node.regions():
            own = node.attributes["label"] if node.op.name == "try" and name == "body" else None
            yield from (f for f in failures(region.nodes) if own is None or handler_label(f) != own)


def leaves_state(failure: Node, target: Target) -> bool:
    """Whether a failure of the whole function says what it leaves in the target's array."""
    return target.kept in failure.attributes.get("kept", ())
