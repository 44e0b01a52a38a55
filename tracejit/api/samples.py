"""Arguments for compiling ahead: arrays of the types that the user gave.

Flows in:  arguments with `ArrayType`s among them.
Flows out: arrays of these types, with different sizes for different symbols; the types by path.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracejit.base.trees import flatten_with_paths, unflatten
from tracejit.base.types import ArrayType

_SIZES = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61)


def sample_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any], names: Sequence[str]
                     ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, ArrayType]]:
    """Arguments to trace with, and the declared types by path."""
    sizes: dict[str, int] = {}
    declared: dict[str, ArrayType] = {}
    made = []
    for value, name in zip((*args, *kwargs.values()), names, strict=True):
        leaves, structure = flatten_with_paths(value, name)
        declared.update((path, leaf) for path, leaf in leaves if isinstance(leaf, ArrayType))
        made.append(unflatten(structure, [_sample(leaf, sizes) for _, leaf in leaves]))
    return tuple(made[:len(args)]), dict(zip(kwargs, made[len(args):], strict=True)), declared


def _sample(leaf: Any, sizes: dict[str, int]) -> Any:
    """An uninitialised array; nothing reads it."""
    if not isinstance(leaf, ArrayType):
        return leaf
    for name in sorted(leaf.symbols()):
        sizes.setdefault(name, _SIZES[len(sizes) % len(_SIZES)])
    return np.empty(leaf.concrete_shape(sizes), leaf.dtype.numpy)
