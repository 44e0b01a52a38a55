"""Results that take the memory of arguments which the caller gives away.

Flows in:  a complete trace, the names of donated parameters.
Flows out: the trace with such results written to the donated arrays, which are then what the call returns.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tracejit.tracing.inputs import ArrayInput
from tracejit.tracing.outputs import ComputedOut, InputOut, Out, StoreOut, parts, replaced
from tracejit.tracing.trace import Trace


def donate(trace: Trace, donated: Collection[str]) -> Trace:
    """Each donated array takes the first new result of its dtype and shape."""
    free = [a for a in trace.arrays if is_donated(a.path, donated) and _is_free(a, trace)]
    taken: dict[int, ArrayInput] = {}
    for out in _leaves(trace.result):
        shown = set(trace.kept.values()) | set(taken)
        if isinstance(out, ComputedOut) and out.form == "array" and out.index not in shown:
            fitting = next((a for a in free if a.type == out.type), None)
            if fitting is not None:
                taken[out.index] = fitting
                free.remove(fitting)
    return _with_written(trace, taken) if taken else trace


def is_donated(path: str, donated: Collection[str]) -> bool:
    """Whether the array at `path` is a donated parameter, or in one."""
    return any(path == name or path.startswith((name + "[", name + ".")) for name in donated)


def _is_free(array: ArrayInput, trace: Trace) -> bool:
    """Whether nothing else knows the array or its memory, and results laid out as new ones fit there."""
    plain = array.holder is np.ndarray and array.layout == "C" and array.data.flags.writeable
    outs = [trace.result, *(s.value for s in (*trace.stores, *(left.store for left in trace.left)))]
    returned = any(isinstance(leaf, InputOut) and leaf.input is array for out in outs for leaf in _leaves(out))
    shared = array in trace.written or array.same_as is not None or any(
        a is not array and np.may_share_memory(a.data, array.data) for a in trace.arrays)
    return plain and not returned and not shared


def _leaves(out: Out | None) -> Iterator[Out]:
    """What a value is made of."""
    if out is not None and not (below := parts(out)):
        yield out
    elif out is not None:
        for part in below:
            yield from _leaves(part)


def _with_written(trace: Trace, taken: Mapping[int, ArrayInput]) -> Trace:
    """The results `taken` as new contents of arrays, after all other outputs of the graph."""
    graph = trace.graph
    results = len(graph.outputs) - len(trace.written)
    kept = [i for i in range(results) if i not in taken]
    number = {old: new for new, old in enumerate(kept)}

    def leaf(out: Any) -> Any:
        return InputOut(taken[out.index]) if out.index in taken else replace(out, index=number[out.index])

    def moved(store: StoreOut) -> StoreOut:
        return replace(store, value=replaced(store.value, leaf))

    outputs = graph.outputs
    graph.outputs = (*[outputs[i] for i in kept], *outputs[results:], *[outputs[i] for i in taken])
    places = {place: number.get(output, output - len(taken)) for place, output in trace.kept.items()}
    left = [replace(made, store=moved(made.store), flag=replaced(made.flag, leaf)) for made in trace.left]
    return replace(trace, result=replaced(trace.result, leaf), stores=tuple(map(moved, trace.stores)), kept=places,
                   left=tuple(left), written=(*trace.written, *taken.values()))
