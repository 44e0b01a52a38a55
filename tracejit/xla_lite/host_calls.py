"""What compiled code hands to Python and takes back: operands and results of `print`, `host_call` and `raise`.

Flows in:  graphs with ops that run Python code; the frames that compiled code fills.
Flows out: `HostSite`s, called by numbers that are the same in every process, so that code on disk can name them.

A frame is an array of words: the address of each operand, of each result, then their symbolic sizes in order.
"""
from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dims import Dim
from tracejit.base.dtypes import BF16, DType
from tracejit.ir.attributes import print_attribute
from tracejit.ir.evaluator import round_to_bf16
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.rewriting import map_regions, rebuild
from tracejit.ops.effects import HOST_OPS
from tracejit.xla_lite.runtime.host import share

Array = NDArray[Any]


def frame_values(node: Node) -> tuple[Value, ...]:
    """Whose addresses stand in the frame."""
    return (*shown_operands(node), *node.results)


def shown_operands(node: Node) -> tuple[Value, ...]:
    """What Python sees: not the state that a failure leaves behind."""
    return node.operands[:len(node.operands) - len(node.attributes.get("kept", ()))]


def frame_sizes(node: Node) -> list[Dim]:
    """The sizes that stand behind the addresses."""
    return [n for v in frame_values(node) for n in v.shape if isinstance(n, Dim)]


def site_number(node: Node) -> int:
    """The number of a node's site: equal for equal nodes."""
    attributes = [f"{k}={print_attribute(v)}" for k, v in sorted(node.attributes.items())]
    types = [[str(v.type) for v in values] for values in (shown_operands(node), node.results)]
    text = repr((node.op.name, attributes, types))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "little")


def host_sites(graph: Graph) -> list[Any]:
    """The sites of all nodes that run Python code, ready to be called as long as the list is held."""
    return [share(site_number(node), HostSite(node)) for node in _host_nodes(graph)]


def without_missing_routines(graph: Graph, routines: Container[tuple[str, str]]) -> Graph:
    """The graph with ops on the host where BLAS or LAPACK lacks what their kernels call: (routine, dtype)."""
    def replace(made: Graph, node: Node, operands: list[Value]) -> Sequence[Value] | None:
        if all((r, node.operands[0].dtype.name) in routines for r in node.op.facts.get("routines", ())):
            changed = map_regions(node, lambda region: without_missing_routines(region, routines))
            return None if changed is None else made.emit(node.op, operands, changed, node.span)
        arguments = tuple(sorted(node.attributes.items()))
        return made.emit("on_host", operands, {"name": node.op.name, "arguments": arguments, "types": tuple(
            v.type for v in node.results)}, node.span)

    return rebuild(graph, replace)


def _host_nodes(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        if node.op.name in HOST_OPS:
            yield node
        elif node.has_effect:
            for _, region in node.regions():
                yield from _host_nodes(region)


class HostSite:
    """Runs the meaning of one node on the memory that a frame describes."""

    __slots__ = ("__weakref__", "node")

    def __init__(self, node: Node):
        self.node = node

    def __call__(self, frame: int) -> None:
        node = self.node
        arrays = list(_arrays(node, frame))
        shown = shown_operands(node)
        operands = [from_memory(a, v.type.dtype) for a, v in zip(arrays, shown)]
        results = node.op.numpy(*operands, **{k: v for k, v in node.attributes.items() if k != "kept"})
        for target, result, value in zip(arrays[len(shown):], results, node.results, strict=True):
            if np.shape(result) != target.shape:
                raise ValueError(f"{node.attributes['name']} gave an array of shape {np.shape(result)}, "
                                 f"declared was {value.type}")
            target[...] = to_memory(result, value.type.dtype)


def _arrays(node: Node, frame: int) -> Iterator[Array]:
    """The memory of every operand and result."""
    values, sizes = frame_values(node), len(frame_sizes(node))
    words = (ctypes.c_int64 * (len(values) + sizes)).from_address(frame)
    late = iter(words[len(values):])
    for value, address in zip(values, words):
        shape = tuple(next(late) if isinstance(n, Dim) else n for n in value.shape)
        dtype = memory_dtype(value.type.dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        memory: Any = (ctypes.c_char * size).from_address(address) if size else bytearray()
        yield np.frombuffer(memory, dtype).reshape(shape)


def memory_dtype(dtype: DType) -> np.dtype[Any]:
    """How elements lie in memory: NumPy has no bfloat16."""
    return np.dtype(np.uint16) if dtype is BF16 else dtype.numpy


def to_memory(array: Array, dtype: DType) -> Array:
    """float32 values as bfloat16 where that is the type."""
    if dtype is not BF16:
        return array
    return np.asarray(round_to_bf16(array).view(np.uint32) >> np.uint32(16), np.uint16)


def from_memory(array: Array, dtype: DType) -> Array:
    """A copy of the memory; bfloat16 as float32."""
    if dtype is not BF16:
        return array.copy()
    return np.asarray((array.astype(np.uint32) << np.uint32(16)).view(np.float32))
