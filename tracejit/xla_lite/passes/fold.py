"""Folding: what is known while compiling is computed while compiling, by the op's own meaning in NumPy.

Flows in:  nodes whose operands are constants.
Flows out: rules for `canonicalize`. Dense constants stay small: arrays of more than 64 elements are not made.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.dtypes import BF16, DType
from tracejit.base.types import ArrayType
from tracejit.ir.attributes import attribute_key
from tracejit.ir.evaluator import round_to_bf16
from tracejit.ir.graph import Value
from tracejit.ir.op import OPS, Op
from tracejit.xla_lite.passes.failures import failures, handler_label
from tracejit.xla_lite.passes.rewriting import Bindings, Results, Rewriter, Rule, rewrite_each, splat

DENSE_LIMIT = 64
MANTISSA_BITS = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53}


def is_constant(value: Value) -> bool:
    return value.node is not None and value.node.op.name == "constant"


def python_number(array: Any, dtype: DType) -> Any:
    """The Python number with the shortest text that gives this element again."""
    number = (round_to_bf16(array) if dtype is BF16 else np.asarray(array, dtype.numpy))[()]
    return float(str(number)) if dtype.kind == "f" else number.item()


def constant_of(g: Rewriter, array: Any, type: ArrayType) -> Results:
    """A constant from an array of `type`, or from its only element."""
    values = np.asarray(array)
    if values.shape == () or values.size == 1:
        value: Any = python_number(values.reshape(()), type.dtype)
    else:
        value = tuple(python_number(v, type.dtype) for v in values.reshape(-1))
        if len({attribute_key(v) for v in value}) == 1:
            value = value[0]
    return g.graph.emit("constant", (), {"value": value, "type": type}, g.span)


def _arrays(operands: Sequence[Value], dense: bool) -> list[Any]:
    """Constants as arrays; as their only element if all are splats."""
    meaning = OPS["constant"].numpy
    return [meaning(value=v.node.attributes["value"], type=v.type if dense else ArrayType(v.dtype))
            for v in operands if v.node is not None]


def _is_small(type: ArrayType) -> bool:
    return type.is_static and 0 < type.size <= DENSE_LIMIT     # type: ignore[operator]


def _folded(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings, dense: bool) -> Results | None:
    """The op applied to constants; None if NumPy refuses the values."""
    (type,) = op.type_rule(*(v.type for v in operands), **attributes)
    if dense and not (_is_small(type) and all(_is_small(v.type) for v in operands)):
        return None
    try:
        with np.errstate(all="ignore"):
            result = op.numpy(*_arrays(operands, dense), **attributes)
    except ValueError:      # integers to negative powers
        return None
    return constant_of(g, result, type)


@rewrite_each("pointwise")
def fold_pointwise(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """f(constants) is a constant. One node fewer."""
    for v in operands:
        if v.node is None or v.node.op.name != "constant":
            return None
    return _folded(g, op, operands, attributes, dense=any(splat(v) is None for v in operands))


@rewrite_each("view")
def fold_view(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A view of one number everywhere is that number everywhere; small dense constants are moved now."""
    if not all(map(is_constant, operands)):
        return None
    numbers = [splat(v) for v in operands]
    if None not in numbers and len({attribute_key(n) for n in numbers}) == 1:
        (type,) = op.type_rule(*(v.type for v in operands), **attributes)
        return g.graph.emit("constant", (), {"value": numbers[0], "type": type}, g.span)
    return _folded(g, op, operands, attributes, dense=True)


@rewrite_each("reduction")
def fold_reduction(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """max(c, c, ...) = c and the like; c + c + ... = n c where that is exact; small dense constants."""
    (x,) = operands
    if not is_constant(x) or not x.type.is_static or not x.type.size:
        return None
    if (number := splat(x)) is None:
        return _folded(g, op, operands, attributes, dense=True)
    (type,) = op.type_rule(x.type, **attributes)
    if op.name == "reduce_sum":
        number = _exact_multiple(number, int(x.type.size) // int(type.size), x.dtype)     # type: ignore[arg-type]
    elif op.name not in ("reduce_min", "reduce_max", "reduce_and", "reduce_or"):
        return None
    return None if number is None else g.graph.emit("constant", (), {"value": number, "type": type}, g.span)


def _exact_multiple(number: Any, count: int, dtype: DType) -> Any:
    """count * number if each partial sum is a whole number that the type holds exactly."""
    if dtype.is_integer:
        return int(number) * count
    if not dtype.is_float or not np.isfinite(number) or number != int(number) or number == 0:
        return None
    return number * count if abs(number) * count <= 1 << MANTISSA_BITS[dtype.name] else None


@rewrite_each("dimension")
def fold_dimension(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A size that is a number is a constant."""
    size = attributes["size"]
    (type,) = op.type_rule(size=size)
    return g.graph.emit("constant", (), {"value": size, "type": type}, g.span) if isinstance(size, int) else None


@rewrite_each("case")
def fold_case(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A known index leaves one branch."""
    index, branches = splat(operands[0]), attributes["branches"]
    if index is None and len(branches) > 1:
        return None
    at = int(index or 0)
    return g.graph.inline(branches[at if 0 <= at < len(branches) else -1], operands[1:])


@rewrite_each("while")
def fold_while(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A loop whose condition is false from the start leaves its carries as they are."""
    cond = attributes["cond"]
    known = splat(cond.outputs[0]) is False and not any(n.has_effect for n in cond.nodes)
    return tuple(operands[:attributes["carries"]]) if known else None


@rewrite_each("for")
def fold_for(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A counted loop without iterations leaves its carries as they are."""
    lower, upper, step = map(splat, operands[:3])
    if None in (lower, upper, step) or (step and len(range(lower, upper, step))):
        return None
    return tuple(operands[3:3 + attributes["carries"]])


@rewrite_each("try")
def fold_try(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """An attempt whose handlers no failure names is its body."""
    body = attributes["body"]
    if any(handler_label(f) == attributes["label"] for f in failures(body.nodes)):
        return None
    return g.graph.inline(body, operands)


@rewrite_each("custom")
def fold_custom(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """A function with derivatives of its own is its body: they are taken before."""
    return g.graph.inline(attributes["body"], operands)


@rewrite_each("checkpoint")
def fold_checkpoint(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """What the way back computes again is its body the first time."""
    return g.graph.inline(attributes["body"], operands)


@rewrite_each("stop_gradient")
def fold_stop_gradient(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """The identity, once derivatives are taken."""
    return operands[0],


RULES: tuple[Rule, ...] = (fold_custom, fold_checkpoint, fold_stop_gradient, fold_pointwise, fold_view,
                           fold_reduction, fold_dimension, fold_case, fold_while, fold_for, fold_try)
