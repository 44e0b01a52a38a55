"""Stacks: memory that grows while the program runs. Lists of native loops and residuals of loops are stacks.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `effect` on a handle, an i64[]: two values that are the same handle are the same stack.

An entry is a tuple of arrays, one per field: `types` of `stack_new` says which. Ops that read or write entries name the
same types. Whoever emits `stack_pop`, `stack_get` and `stack_set` makes sure that the entry is there. Handles belong to
one run: its end frees all stacks, whichever way it ends.

A stack may have companions, by number: stacks with other values for the floats of its entries. Transforms make them for
tangents and for cotangents.
"""
from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import I64
from tracejit.base.errors import ShapeError, TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ops.declare import declare, refuse
from tracejit.ops.stack_derivatives import (
    ARRAY,
    COMPANION,
    EXTEND,
    GET,
    INSERT,
    LENGTH,
    NEW,
    POP,
    PUSH,
    RELEASE,
    REMOVE,
    SET,
    TRUNCATE,
)

Array = NDArray[Any]
Types = tuple[ArrayType, ...]

WORD = ArrayType(I64)
GROWING = ("stack_push", "stack_extend", "stack_insert")
CHANGING = (*GROWING, "stack_pop", "stack_remove", "stack_truncate")    # ops that change how long a stack is

_numbers = itertools.count(1)
_STACKS: dict[int, list[tuple[Array, ...]]] = {}    # of the evaluator; written by stack_new
_COMPANIONS: dict[tuple[int, int], int] = {}      # (stack, key) -> stack; written by stack_companion, stack_release


def _require_words(op: str, types: Sequence[ArrayType], count: int) -> None:
    if len(types) < count or any(t != WORD for t in types[:count]):
        refuse(TypeRuleError, op, types, "a handle or an index is no i64[]", "convert it to int64")


def _words(op: str, count: int, results: int = 0) -> Any:
    """The type rule of an op that takes a handle and indices alone."""
    def rule(*given: ArrayType) -> list[ArrayType]:
        _require_words(op, given, count)
        return [WORD] * results
    return rule


def _entries(op: str, count: int) -> Any:
    """The type rule of an op that gives an entry."""
    def rule(*given: ArrayType, types: Types) -> list[ArrayType]:
        _require_words(op, given, count)
        return list(types)
    return rule


def _store_type(op: str, words: int) -> Any:
    def rule(*given: ArrayType) -> list[ArrayType]:
        _require_words(op, given, words)
        return []
    return rule


def _extend_type(*given: ArrayType) -> list[ArrayType]:
    _require_words("stack_extend", given, 2)
    if any(not t.shape for t in given[2:]):
        refuse(ShapeError, "stack_extend", given, "a scalar has no rows", "give arrays with one row per entry")
    return []


def _array_type(*given: ArrayType, field: int, types: Types, type: ArrayType) -> list[ArrayType]:
    _require_words("stack_array", given, 2)
    if type.dtype is not types[field].dtype or type.shape[1:] != types[field].shape:
        refuse(ShapeError, "stack_array", given, f"rows of {types[field]} can't be {type}", "use the field's type")
    return [type]


def _new(types: Types, shared: bool = False) -> Array:
    number = next(_numbers)
    _STACKS[number] = []
    return np.int64(number)    # type: ignore[return-value]


def _push(handle: Array, *values: Array) -> tuple[()]:
    _STACKS[int(handle)].append(tuple(np.array(v) for v in values))
    return ()


def _extend(handle: Array, count: Array, *arrays: Array) -> tuple[()]:
    _STACKS[int(handle)] += [tuple(np.array(a[k]) for a in arrays) for k in range(int(count))]
    return ()


def _set(handle: Array, index: Array, *values: Array) -> tuple[()]:
    _STACKS[int(handle)][int(index)] = tuple(np.array(v) for v in values)
    return ()


def _insert(handle: Array, index: Array, *values: Array) -> tuple[()]:
    _STACKS[int(handle)].insert(int(index), tuple(np.array(v) for v in values))
    return ()


def _truncate(handle: Array, length: Array, types: Types = ()) -> tuple[()]:
    del _STACKS[int(handle)][int(length):]
    return ()


def _array(handle: Array, start: Array, field: int, types: Types, type: ArrayType) -> Array:
    shape = type.concrete_shape({})
    rows = [entry[field] for entry in _STACKS[int(handle)][int(start):int(start) + shape[0]]]
    return np.array(rows, type.dtype.numpy).reshape(shape)


def _companion(handle: Array, types: Types, key: int) -> Array:
    """Entries of zeros at first."""
    place = int(handle), key
    if place not in _COMPANIONS:
        _COMPANIONS[place] = int(_new(types))
        zeros = tuple(np.zeros(t.concrete_shape({}), t.dtype.numpy) for t in types)
        _STACKS[_COMPANIONS[place]] = [zeros for _ in _STACKS[int(handle)]]
    return np.int64(_COMPANIONS[place])    # type: ignore[return-value]


# An empty stack. shared: whoever reads it notes how long it was before; rounds of a loop can have one together.
stack_new = declare("effect", "stack_new", type_rule=lambda *, types, shared=False: [WORD], numpy=_new,
                    has_effect=True, gradient=NEW)
# (handle, *entry) -> ()
stack_push = declare("effect", "stack_push", type_rule=_store_type("stack_push", 1), numpy=_push, has_effect=True,
                     gradient=PUSH)
# (handle, count, *arrays) -> (): an entry for each of the first `count` rows of the arrays.
stack_extend = declare("effect", "stack_extend", type_rule=_extend_type, numpy=_extend, has_effect=True,
                       gradient=EXTEND)
# (handle) -> the last entry, which goes.
stack_pop = declare("effect", "stack_pop", type_rule=_entries("stack_pop", 1), has_effect=True,
                    numpy=lambda handle, types: _STACKS[int(handle)].pop(), gradient=POP)
# (handle, index) -> an entry
stack_get = declare("effect", "stack_get", type_rule=_entries("stack_get", 2), has_effect=True,
                    numpy=lambda handle, index, types: _STACKS[int(handle)][int(index)], gradient=GET)
# (handle, index, *entry) -> ()
stack_set = declare("effect", "stack_set", type_rule=_store_type("stack_set", 2), numpy=_set, has_effect=True,
                    gradient=SET)
# (handle, index) -> the entry, which goes; those behind it move up.
stack_remove = declare("effect", "stack_remove", type_rule=_entries("stack_remove", 2), has_effect=True,
                       numpy=lambda handle, index, types: _STACKS[int(handle)].pop(int(index)), gradient=REMOVE)
# (handle, index, *entry) -> (): before the entry at `index`.
stack_insert = declare("effect", "stack_insert", type_rule=_store_type("stack_insert", 2), numpy=_insert,
                       has_effect=True, gradient=INSERT)
# (handle) -> i64[]
stack_length = declare("effect", "stack_length", type_rule=_words("stack_length", 1, 1), has_effect=True,
                       numpy=lambda handle: np.int64(len(_STACKS[int(handle)])), gradient=LENGTH)
# (handle, length) -> (): entries from `length` on go. types: of entries; derivatives ask for them.
stack_truncate = declare("effect", "stack_truncate", numpy=_truncate, has_effect=True, gradient=TRUNCATE,
                         type_rule=lambda *given, types=(): _words("stack_truncate", 2)(*given))
# (handle, start) -> `type.shape[0]` rows of one field from entry `start` on, as an array.
stack_array = declare("effect", "stack_array", type_rule=_array_type, numpy=_array, has_effect=True, gradient=ARRAY)
# (handle) -> the handle of a companion, which is made of zeros where there is none. types: of its entries.
stack_companion = declare("effect", "stack_companion", numpy=_companion, has_effect=True, gradient=COMPANION,
                          type_rule=lambda *given, types, key: _words("stack_companion", 1, 1)(*given))
# (handle) -> the handle of a companion, 0 if there is none; there is none from now on.
stack_release = declare("effect", "stack_release", has_effect=True, gradient=RELEASE,
                        type_rule=lambda *given, key: _words("stack_release", 1, 1)(*given),
                        numpy=lambda handle, key: np.int64(_COMPANIONS.pop((int(handle), key), 0)))
