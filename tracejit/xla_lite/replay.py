"""Compiles and runs a graph from text, on arrays drawn from a seed, beside the evaluator.

Flows in:  a graph.
Flows out: arrays from native code; what tests and reproducers call.
"""
from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import DType
from tracejit.base.errors import exception_class
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.xla_lite.compile import Executable, compile_graph
from tracejit.xla_lite.host_calls import from_memory, memory_dtype, to_memory
from tracejit.xla_lite.interface import OutputPlace, ParamPlace
from tracejit.xla_lite.runtime.buffers import buffers
from tracejit.xla_lite.runtime.signature import ERROR_WORDS, Slot

Array = NDArray[Any]


class StatusError(RuntimeError):
    """The native code returned a status that is no error site."""


def compile_for_arrays(graph: Graph, strided: Sequence[bool] = (), precision: str = "default") -> Executable:
    """Every parameter an array in a slot of its own, every output a fresh array."""
    at, params = ERROR_WORDS, []
    for i, value in enumerate(graph.params):
        own = bool(i < len(strided) and strided[i]) and value.rank > 0
        params.append(ParamPlace("array", at, at + 1 if own else None))
        at += 1 + (value.rank if own else 0)
    dims = sorted({s for p in graph.params for s in p.type.symbols()})
    outputs = [OutputPlace("new", k) for k in range(len(graph.outputs))]
    return compile_graph(graph, params, outputs, dim_slots={d: at + i for i, d in enumerate(dims)},
                         first_free_slot=at + len(dims), precision=precision)


def run(executable: Executable, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None) -> tuple[Array, ...]:
    """Calls the native code on arrays of the parameters' types; bfloat16 goes in and out as float32."""
    graph, interface = executable.graph, executable.interface
    layout = executable.sizes
    slots = (ctypes.c_int64 * max(1, layout.num_slots))()
    known = dict(sizes or {})
    kept = []
    for value, place, array in zip(graph.params, interface.params, arrays, strict=True):
        given = to_memory(np.asarray(array, value.dtype.numpy), value.dtype)
        if place.strides_slot is None:
            given = np.ascontiguousarray(given).reshape(given.shape)
        else:
            slots[place.strides_slot:place.strides_slot + given.ndim] = list(given.strides)
        kept.append(given)
        slots[place.slot] = given.ctypes.data
        known.update((str(d), n) for d, n in zip(value.shape, given.shape, strict=True) if not isinstance(d, int))
    for name, slot in interface.dim_slots.items():
        slots[slot] = known[name]
    if executable.prepare_address and _call(executable.prepare_address, slots, None):
        raise StatusError("sizes are outside of what was compiled for")
    outs = [np.zeros(2, np.int64) if late else np.zeros(_sizes(d, slots), memory_dtype(v.type.dtype))
            for d, late, v in zip(layout.dims, layout.late, graph.outputs, strict=True)]
    pointers = (ctypes.c_void_p * max(1, len(outs)))(*(a.ctypes.data for a in outs))
    _raise(executable, _call(executable.main_address, slots, pointers), slots)
    return tuple(from_memory(_content(a, _sizes(d, slots), v.dtype) if late else a, v.dtype)
                 for a, d, late, v in zip(outs, layout.dims, layout.late, graph.outputs, strict=True))


def replay(graph: Graph, seed: int = 0, size: int = 5) -> None:
    """Compiles, runs on drawn arrays, compares with the evaluator; symbolic sizes are `size`."""
    rng = np.random.default_rng(seed)
    names = sorted({s for p in graph.params for s in p.type.symbols()})
    sizes = dict.fromkeys(names, size)
    arrays = [_drawn(p.type, sizes, rng) for p in graph.params]
    expected = evaluate(graph, arrays, sizes)
    for got, wanted in zip(run(compile_for_arrays(graph), arrays, sizes), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    print("compiled code and evaluator agree")


def _drawn(type: ArrayType, sizes: Mapping[str, int], rng: np.random.Generator) -> Array:
    return np.asarray(rng.uniform(-3, 3, type.concrete_shape(sizes)) * 4).astype(type.dtype.numpy)


def _call(address: int, slots: Any, pointers: Any) -> int:
    if pointers is None:
        return int(ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(address)(slots, None))
    return int(ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(address)(slots, pointers))


def _raise(executable: Executable, status: int, slots: Any) -> None:
    if status > 0:
        site = executable.error_sites[status - 1]
        kind = exception_class(site.exception)
        assert kind is not None
        raise kind(site.message)
    if status < 0:
        raise StatusError(f"native code returned {status}, words {list(slots[:ERROR_WORDS])}")


def _sizes(dims: Sequence[int | Slot], slots: Any) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) else int(slots[d.index]) for d in dims)


def _content(cell: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """A copy of the block whose address stands in a cell; the block is freed."""
    made = np.empty(shape, memory_dtype(dtype))
    ctypes.memmove(made.ctypes.data, int(cell[0]), made.nbytes)
    buffers().free(int(cell[0]))
    return made
