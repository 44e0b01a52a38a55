"""Calls that native dispatch can't compare by itself: aliased arguments, containers of registered classes.

Flows in:  a compiled trace and the arguments of a call.
Flows out: the arguments as its specialisation takes them, or None.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tracejit.api.signature import Signature, reach, unpack
from tracejit.base.trees import flatten
from tracejit.tracing.arrays import ARRAY_LIKE
from tracejit.tracing.inputs import ArrayInput, Input
from tracejit.xla_lite.runtime import python_dispatch

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def admitted(compiled: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments | None:
    """The arguments, unpacked if the signature wants it; None if what was the same (or was not) is otherwise now."""
    signature: Signature = compiled.signature
    ready = tuple(args), dict(kwargs)
    if signature.packed:
        ready = tuple(map(unpack, args)), {k: unpack(v) for k, v in kwargs.items()}
    if not signature.pairs and not signature.distinct:
        return ready
    try:
        roots = [python_dispatch.read_root(root, *ready) for root, _ in signature.roots]
        same = all(_is_same(first, *(reach(signature.places[id(i)], roots) for i in (first, second)))
                   for first, second in signature.pairs)
        same = same and not any(reach(signature.places[id(first)], roots) is reach(signature.places[id(second)], roots)
                                for first, second in signature.distinct)
    except (LookupError, AttributeError, TypeError):
        return None
    return ready if same else None


def _is_same(input_: Input, first: Any, second: Any) -> bool:
    if isinstance(input_, ArrayInput):
        return type(first) is type(second) and _memory(first) == _memory(second)
    return first is second


def _memory(array: Any) -> Any:
    data = array if type(array) is np.ndarray else ARRAY_LIKE[type(array)](array)
    return data.__array_interface__["data"][0], data.dtype.str, data.shape, data.strides


def fits(compiled: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether the call would run this specialisation."""
    ready = admitted(compiled, args, kwargs)
    if ready is None:
        return False
    call = python_dispatch.Call(compiled.specialisation)
    try:
        call.match(*ready)
        call.prepare()
    except python_dispatch.Miss:
        return False
    return True


def arguments_overlap(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether two different arrays among the arguments may share memory."""
    arrays = [x for x in flatten((args, dict(kwargs)))[0] if isinstance(x, np.ndarray) and x.size]
    return any(np.may_share_memory(x, y) for i, x in enumerate(arrays) for y in arrays[:i])
