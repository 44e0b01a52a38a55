"""Pytrees: any nesting of containers as a flat list of leaves and a structure.

Flows in:  dicts, lists, tuples, namedtuples, dataclasses, None, registered classes; everything else is a leaf.
Flows out: `flatten`, `unflatten`, `TreeDef` (hashable, printable), `register_node`, `register_leaf`.
"""
from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TreeDef:
    """The structure of a pytree without its leaves.

    kind: the container's class, or None for a leaf.  meta: keys, field names or what `register_node` returned.
    """

    kind: type | None
    meta: Any = None
    children: tuple[TreeDef, ...] = ()

    @property
    def num_leaves(self) -> int:
        return 1 if self.kind is None else sum(c.num_leaves for c in self.children)

    def __str__(self) -> str:
        if self.kind is None:
            return "*"
        if self.kind is type(None):
            return "None"
        inner = [f"{k}={c}" if k else str(c) for k, c in zip(self.labels(), self.children, strict=True)]
        return f"{self.kind.__name__}({', '.join(inner)})"

    def labels(self) -> list[str]:
        """What each child is called in a path: a key, a field, or an empty text for positions."""
        named = isinstance(self.meta, tuple) and len(self.meta) == len(self.children) and self.kind not in (list, tuple)
        return [str(k) for k in self.meta] if named else [""] * len(self.children)


@dataclass(frozen=True, slots=True)
class NodeType:
    """How one class of container is taken apart and rebuilt.

    flatten(node) -> (children, meta); meta must be hashable.  unflatten(meta, children) -> node.
    path(meta, i) -> the text that follows a node's name to reach child i, such as `["w"]` or `.w`.
    """

    flatten: Callable[[Any], tuple[Iterable[Any], Any]]
    unflatten: Callable[[Any, Sequence[Any]], Any]
    path: Callable[[Any, int], str]


LEAF = TreeDef(None)
_REGISTRY: dict[type, NodeType] = {}    # written by register_node, at import or by users
_LEAVES: set[type] = set()    # written by register_leaf, at import or by users


def register_node(cls: type, flatten: Callable[[Any], tuple[Iterable[Any], Any]],
                  unflatten: Callable[[Any, Sequence[Any]], Any],
                  path: Callable[[Any, int], str] = lambda meta, i: f"<{i}>") -> None:
    """Makes `cls` a container: its children are traced, its meta (hashable) belongs to the signature."""
    _REGISTRY[cls] = NodeType(flatten, unflatten, path)


def register_leaf(cls: type) -> None:
    """Makes the dataclass or namedtuple `cls` a leaf: its fields are not taken apart."""
    _LEAVES.add(cls)


def node_type(tree: Any) -> NodeType | None:
    """How to take `tree` apart; None for a leaf."""
    cls = type(tree)
    if (found := _REGISTRY.get(cls)) is not None:
        return found
    if cls in _LEAVES:
        return None
    if isinstance(tree, tuple) and hasattr(cls, "_fields"):
        return NodeType(lambda t: (t, t._fields), lambda meta, c: cls(*c), lambda meta, i: f".{meta[i]}")
    if dataclasses.is_dataclass(cls):
        names = tuple(f.name for f in dataclasses.fields(cls))
        return NodeType(lambda t: ([getattr(t, n) for n in names], names),
                        lambda meta, c: _build_dataclass(cls, meta, c), lambda meta, i: f".{meta[i]}")
    return None


def flatten(tree: Any) -> tuple[list[Any], TreeDef]:
    """Leaves from left to right, and the structure. Dicts keep their insertion order."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> TreeDef:
    if (node := node_type(tree)) is None:
        leaves.append(tree)
        return LEAF
    children, meta = node.flatten(tree)
    return TreeDef(type(tree), meta, tuple(_flatten(c, leaves) for c in children))


def flatten_with_paths(tree: Any, name: str = "") -> tuple[list[tuple[str, Any]], TreeDef]:
    """As `flatten`, each leaf with its path as one would write it: `params["w"][0]`."""
    found: list[tuple[str, Any]] = []

    def walk(t: Any, path: str) -> TreeDef:
        if (node := node_type(t)) is None:
            found.append((path, t))
            return LEAF
        children, meta = node.flatten(t)
        return TreeDef(type(t), meta, tuple(walk(c, path + node.path(meta, i)) for i, c in enumerate(children)))

    return found, walk(tree, name)


def unflatten(structure: TreeDef, leaves: Iterable[Any]) -> Any:
    """The pytree of `structure` with `leaves` in it. Raises ValueError if their number differs."""
    source = iter(leaves)
    try:
        tree = _unflatten(structure, source)
    except StopIteration:
        raise ValueError(f"too few leaves for {structure}") from None
    if next(source, source) is not source:
        raise ValueError(f"too many leaves for {structure}")
    return tree


def _unflatten(structure: TreeDef, leaves: Any) -> Any:
    if structure.kind is None:
        return next(leaves)
    children = []
    for child in structure.children:
        children.append(_unflatten(child, leaves))
    if (node := _REGISTRY.get(structure.kind)) is not None:
        return node.unflatten(structure.meta, children)
    if dataclasses.is_dataclass(structure.kind):
        return _build_dataclass(structure.kind, structure.meta, children)
    return structure.kind(*children)    # a namedtuple


def tree_map(fn: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Applies `fn` to each leaf of `tree` and the leaves at the same place of the other trees."""
    leaves, structure = flatten(tree)
    others = [_leaves_like(structure, r) for r in rest]
    return unflatten(structure, [fn(*xs) for xs in zip(leaves, *others, strict=True)])


def _leaves_like(structure: TreeDef, tree: Any) -> list[Any]:
    leaves, other = flatten(tree)
    if other != structure:
        raise ValueError(f"trees differ: {structure} and {other}")
    return leaves


def _build_dataclass(cls: type, names: Sequence[str], children: Sequence[Any]) -> Any:
    """Sets fields without running __init__, so that fields with init=False and frozen classes work."""
    made: Any = object.__new__(cls)
    for name, child in zip(names, children, strict=True):
        object.__setattr__(made, name, child)
    return made


def _dict_node(cls: type, build: Callable[[Any, Sequence[Any]], Any]) -> None:
    register_node(cls, lambda d: (d.values(), tuple(d)), build, lambda meta, i: f"[{meta[i]!r}]")


register_node(type(None), lambda t: ((), None), lambda meta, c: None)
register_node(list, lambda t: (t, len(t)), lambda meta, c: list(c), lambda meta, i: f"[{i}]")
register_node(tuple, lambda t: (t, len(t)), lambda meta, c: tuple(c), lambda meta, i: f"[{i}]")
_dict_node(dict, lambda meta, c: dict(zip(meta, c, strict=True)))
_dict_node(OrderedDict, lambda meta, c: OrderedDict(zip(meta, c, strict=True)))
register_node(defaultdict, lambda d: (d.values(), (d.default_factory, tuple(d))),
              lambda meta, c: defaultdict(meta[0], zip(meta[1], c, strict=True)), lambda meta, i: f"[{meta[1][i]!r}]")
