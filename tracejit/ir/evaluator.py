"""Runs any graph with NumPy, op by op: the oracle for every compiled result.

Flows in:  a `Graph` and arrays.
Flows out: arrays, one per output, each exactly of its type.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dims import Dim, evaluate_size
from tracejit.base.dtypes import BF16
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node

Array = NDArray[Any]
Run = Callable[[Node, Sequence[Array], dict[str, Any]], Any]


def evaluate(graph: Graph, arrays: Sequence[Any], sizes: Mapping[str, int] | None = None, run: Run | None = None
             ) -> tuple[Array, ...]:
    """The outputs of `graph`. Effects happen: `assert` raises, `print` prints.

    sizes: values of symbolic sizes; those that stand alone in a parameter's shape are read off the arrays.
    run: does one node, also of a region, given its operands and attributes, in place of its op's `numpy`.
    """
    env = {v: np.asarray(a, v.dtype.numpy) for v, a in zip(graph.params, arrays, strict=True)}
    known = dict(sizes or {})
    for value, array in env.items():
        known.update((d.as_symbol, n) for d, n in zip(value.shape, array.shape, strict=True)
                     if isinstance(d, Dim) and d.as_symbol is not None)
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            operands = [env[v] for v in node.operands]
            if node.op.name == "bind_dim":
                known[node.attributes["dim"]] = int(operands[0])
            attributes = {k: _resolve(v, known, run) for k, v in node.attributes.items()}
            results = run(node, operands, attributes) if run else node.op.numpy(*operands, **attributes)
            for value, result in zip(node.results, results if isinstance(results, tuple) else (results,), strict=True):
                env[value] = _checked(node, value.type, result, known)
    return tuple(env[v] for v in graph.outputs)


def _resolve(value: Any, sizes: dict[str, int], run: Run | None) -> Any:
    """An attribute with its sizes as ints and its regions as callables."""
    if isinstance(value, Dim):
        return value.evaluate(sizes)
    if isinstance(value, ArrayType):
        return ArrayType(value.dtype, value.concrete_shape(sizes))
    if isinstance(value, tuple):
        return tuple(_resolve(v, sizes, run) for v in value)
    return _region(value, sizes, run) if isinstance(value, Graph) else value


def _region(graph: Graph, sizes: dict[str, int], run: Run | None) -> Callable[..., tuple[Array, ...]]:
    return lambda *arrays: evaluate(graph, arrays, dict(sizes), run)


def _checked(node: Node, type: ArrayType, result: Any, sizes: dict[str, int]) -> Array:
    """The result as an array of its type; a wrong shape or dtype is a mistake of the op's `numpy`."""
    array = np.asarray(result)
    if type.dtype is BF16:
        array = round_to_bf16(array)
    expected = tuple(evaluate_size(n, sizes) for n in type.shape)
    if array.shape != expected or array.dtype != type.dtype.numpy:
        raise AssertionError(f"`{node.op.name}` gave {array.dtype}{list(array.shape)}, its type is {type} with {sizes}")
    return array


def round_to_bf16(x: Array) -> Array:
    """float32 values rounded to the nearest bfloat16, ties to even; NaN stays NaN."""
    single = np.asarray(x, np.float32)
    bits = single.view(np.uint32)
    rounded = ((bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) & np.uint32(0xFFFF0000))
    return np.asarray(np.where(np.isnan(single), single, rounded.view(np.float32)), np.float32)
