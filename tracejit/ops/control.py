"""Control flow: ops that run regions.

Flows in:  the vocabulary of `declare`; regions are graphs in attributes, and arrive in `numpy` as callables.
Flows out: ops of kind `control`. Carries have the same types in every iteration.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import BOOL, I32, I64
from tracejit.base.errors import TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.ops.batching import case_batch, for_batch, while_batch
from tracejit.ops.control_derivatives import CASE, TRY
from tracejit.ops.declare import declare, refuse
from tracejit.ops.effects import Caught
from tracejit.ops.loop_derivatives import FOR, WHILE

Array = NDArray[Any]
Region = Callable[..., tuple[Array, ...]]
SCALAR_BOOL, SCALAR_I64 = ArrayType(BOOL), ArrayType(I64)


def _types(values: Sequence[Any]) -> list[ArrayType]:
    return [v.type for v in values]


def _text(types: Sequence[ArrayType]) -> str:
    return f"({', '.join(map(str, types))})"


def _require_region(op: str, types: Sequence[ArrayType], name: str, region: Graph, takes: Sequence[ArrayType],
                    gives: Sequence[ArrayType]) -> None:
    """The region's parameters and outputs are what the op hands to it and expects of it."""
    if _types(region.params) != list(takes):
        refuse(TypeRuleError, op, types, f"region `{name}` takes {_text(_types(region.params))} but gets "
               f"{_text(takes)}", "give the region one parameter per operand, of its type")
    if _types(region.outputs) != list(gives):
        refuse(TypeRuleError, op, types, f"region `{name}` gives {_text(_types(region.outputs))}, expected "
               f"{_text(gives)}", "keep dtype and shape of every carried value the same in each iteration or branch")


def _require_carries(op: str, types: Sequence[ArrayType], carries: int) -> None:
    if not 0 <= carries <= len(types):
        refuse(TypeRuleError, op, types, f"carries={carries} of {len(types)} operands", "count the carried operands")


# ---- while -----------------------------------------------------------------------------------------------------


def _while_type(*types: ArrayType, cond: Graph, body: Graph, carries: int) -> list[ArrayType]:
    _require_carries("while", types, carries)
    _require_region("while", types, "cond", cond, types, [SCALAR_BOOL])
    _require_region("while", types, "body", body, types, types[:carries])
    return list(types[:carries])


def _while(*operands: Array, cond: Region, body: Region, carries: int) -> tuple[Array, ...]:
    state, invariants = operands[:carries], operands[carries:]
    while cond(*state, *invariants)[0]:
        state = body(*state, *invariants)
    return state


while_ = declare("control", "while", type_rule=_while_type, numpy=_while, gradient=WHILE, batch=while_batch)


# ---- for -------------------------------------------------------------------------------------------------------


def _for_type(*types: ArrayType, body: Graph, carries: int) -> list[ArrayType]:
    if len(types) < 3 or any(t != SCALAR_I64 for t in types[:3]):
        refuse(TypeRuleError, "for", types, "lower, upper and step must be i64[]", "convert them to int64")
    operands = types[3:]
    _require_carries("for", operands, carries)
    _require_region("for", types, "body", body, [SCALAR_I64, *operands], operands[:carries])
    return list(operands[:carries])


def _for(lower: Array, upper: Array, step: Array, *operands: Array, body: Region, carries: int) -> tuple[Array, ...]:
    """Python's range; a step of 0 runs nothing (front ends raise ValueError before)."""
    state, invariants = operands[:carries], operands[carries:]
    for i in range(int(lower), int(upper), int(step)) if step else ():
        state = body(np.int64(i), *state, *invariants)
    return state


for_ = declare("control", "for", type_rule=_for_type, numpy=_for, gradient=FOR, batch=for_batch)


# ---- try -------------------------------------------------------------------------------------------------------


def _try_type(*types: ArrayType, label: str, body: Graph, handlers: tuple[Graph, ...]) -> list[ArrayType]:
    gives = _types(body.outputs)
    _require_region("try", types, "body", body, types, gives)
    if not handlers or not label:
        refuse(TypeRuleError, "try", types, "it needs a label and handlers", "use the body alone")
    for k, handler in enumerate(handlers):
        takes = _types(handler.params)
        caught = takes[:max(0, len(takes) - len(types))]
        _require_region("try", types, f"handlers{k}", handler, [*caught, *types], gives)
    return gives


def _try(*operands: Array, label: str, body: Region, handlers: tuple[Region, ...]) -> tuple[Array, ...]:
    try:
        return body(*operands)
    except Caught as caught:
        name, _, number = caught.to.rpartition(":")
        if name != label:
            raise
        values = caught.values
    return handlers[int(number)](*values, *operands)


# The body; where an `assert` in it, at any depth, fails and names a handler, that handler in place of the rest. A
# handler takes what the `assert` hands to it, then the operands. Labels differ from those of every `try` around.
try_ = declare("control", "try", type_rule=_try_type, numpy=_try, gradient=TRY)


# ---- case, fusion ----------------------------------------------------------------------------------------------


def _case_type(*types: ArrayType, branches: tuple[Graph, ...]) -> list[ArrayType]:
    if not types or types[0].shape != () or types[0].dtype not in (BOOL, I32, I64):
        refuse(TypeRuleError, "case", types, "the index must be bool[], i32[] or i64[]", "convert it first")
    if not branches:
        refuse(TypeRuleError, "case", types, "it has no branches", "give at least one")
    gives = _types(branches[0].outputs)
    for k, branch in enumerate(branches):
        _require_region("case", types, f"branches{k}", branch, types[1:], gives)
    return gives


def _case(index: Array, *operands: Array, branches: tuple[Region, ...]) -> tuple[Array, ...]:
    """An index that is out of range takes the last branch, as in StableHLO."""
    at = int(index)
    return branches[at if 0 <= at < len(branches) else -1](*operands)


case = declare("control", "case", type_rule=_case_type, numpy=_case, gradient=CASE, batch=case_batch)


def _fusion_type(*types: ArrayType, body: Graph, kind: str) -> list[ArrayType]:
    gives = _types(body.outputs)
    _require_region("fusion", types, "body", body, types, gives)
    return gives


# Means what its body means; `kind` says how the body is scheduled. Made by the fusion pass only.
fusion = declare("control", "fusion", type_rule=_fusion_type,
                 numpy=lambda *operands, body, kind: body(*operands))
