"""`tj.tree`: pytrees by the names that JAX users know.

Flows in:  any nesting of dicts, lists, tuples, namedtuples, dataclasses and registered classes.
Flows out: leaves, structures, trees.
"""
from __future__ import annotations

from typing import Any

from tracejit.base.trees import TreeDef, flatten, flatten_with_paths, register_node, unflatten
from tracejit.base.trees import tree_map as map

__all__ = ["TreeDef", "flatten", "flatten_with_paths", "leaves", "map", "register_node", "structure", "unflatten"]


def leaves(tree: Any) -> list[Any]:
    """The leaves from left to right."""
    return flatten(tree)[0]


def structure(tree: Any) -> TreeDef:
    """The tree without its leaves."""
    return flatten(tree)[1]
