"""Arguments that compiled code can't take as they are: byte-swapped or misaligned arrays.

Flows in:  the arguments of a call that no specialisation took.
Flows out: copies in native form; after the call, changes go back to the caller's arrays.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.trees import flatten, unflatten

Copies = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def is_clean(array: Any) -> bool:
    """Whether dispatch takes this array: aligned, in the machine's byte order."""
    return bool(array.flags.aligned and array.dtype.isnative)


def clean_copy(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same values, aligned and in native byte order."""
    copy = array.astype(array.dtype.newbyteorder("="), order="C", copy=True)
    copy.flags.writeable = array.flags.writeable
    return copy


def clean_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Copies]:
    """The arguments with clean copies, and pairs (the caller's array, its copy); no pairs: nothing to do."""
    leaves, structure = flatten((args, kwargs))
    copies: dict[int, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = {}
    for leaf in leaves:
        if type(leaf) is np.ndarray and not is_clean(leaf) and leaf.dtype.kind in "biufc":
            copies.setdefault(id(leaf), (leaf, clean_copy(leaf)))
    if not copies:
        return args, kwargs, []
    cleaned = unflatten(structure, [copies[id(x)][1] if id(x) in copies else x for x in leaves])
    return cleaned[0], cleaned[1], list(copies.values())


def copy_back(copies: Copies, result: Any) -> Any:
    """Writes changed copies to the caller's arrays; the result with the caller's arrays for their copies."""
    originals = {}
    for original, copy in copies:
        originals[id(copy)] = original
        if original.flags.writeable and not np.array_equal(original, copy, equal_nan=copy.dtype.kind in "fc"):
            original[...] = copy
    leaves, structure = flatten(result)
    if not any(id(leaf) in originals for leaf in leaves):
        return result
    return unflatten(structure, [originals.get(id(leaf), leaf) for leaf in leaves])
