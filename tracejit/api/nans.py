"""`debug_nans`: where a result of a compiled function is NaN, an error names the op that made it.

Flows in:  traces that are compiled while the option is on; calls of them.
Flows out: graphs that check their outputs; when the check fails, what the call wrote is put back, and the graph is
           evaluated op by op on the arguments to find where the NaN comes from.
"""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from tracejit.api.admission import admitted, fits
from tracejit.api.signature import reach
from tracejit.base.errors import InternalError, NaNError
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph, Node, Value
from tracejit.ir.nans import Origin, origin_of_nan
from tracejit.tracing.arrays import ARRAY_LIKE
from tracejit.tracing.inputs import ArrayInput, NumberInput
from tracejit.xla_lite.runtime import python_dispatch
from tracejit.xla_lite.runtime.dispatch import run_specialisation
from tracejit.xla_lite.runtime.turns import Turns

FOUND = "tracejit found NaN in a result"
_SHOWN = 4      # operands that a message shows
_WHY = "tj.config.debug_nans is on, and this NaN reaches a result; what the call wrote is as it was before"


def with_checks(graph: Graph) -> Graph:
    """The graph, which fails at its end if an output is NaN."""
    made = Graph([p.type for p in graph.params], graph.names)
    env = dict(zip(graph.params, made.params, strict=True))
    for node in graph.nodes:
        env.update(zip(node.results, made.keep(node, [env[v] for v in node.operands]), strict=True))
    made.outputs = tuple(env[v] for v in graph.outputs)
    flags = [_has_nan(made, v) for v in dict.fromkeys(made.outputs) if v.dtype.is_inexact]
    for flag in flags:
        made.emit("assert", made.emit("not", [flag]), {"exception": "FloatingPointError", "message": FOUND})
    return made


def _has_nan(graph: Graph, value: Value) -> Value:
    (flags,) = graph.emit("is_nan", [value])
    return graph.emit("reduce_or", [flags], {"axes": tuple(range(flags.rank))})[0] if flags.rank else flags


def attempt_checked(compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any], span: SourceSpan | None
                    ) -> tuple[bool, Any]:
    """Runs one specialisation with checks if the call fits it. span: the place that errors name, if not the op's."""
    ready = admitted(compiled, args, kwargs)
    if ready is None or not fits(compiled, args, kwargs):
        return False, None
    values = _values(compiled, *ready)
    with _turn(compiled, values):
        before = _copies(compiled, values)
        try:
            return run_specialisation(compiled.specialisation, *ready)
        except FloatingPointError as error:
            if str(error) != FOUND:
                raise
            for param, copy in before.items():
                values[param][...] = copy
        arrays = [np.array(values[k]) for k in range(len(values))]
    raise _error(compiled, arrays, span) from None


def _values(compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int, Any]:
    """What the parameters of the graph are in this call."""
    signature = compiled.signature
    roots = [python_dispatch.read_root(root, args, kwargs) for root, _ in signature.roots]
    found = {}
    for leaf in signature.leaves:
        assert isinstance(leaf, (ArrayInput, NumberInput))
        value = reach(signature.places[id(leaf)], roots)
        found[leaf.param] = ARRAY_LIKE[type(value)](value) if type(value) in ARRAY_LIKE else value
    return found


def _turn(compiled: Any, values: dict[int, Any]) -> AbstractContextManager[None]:
    """The turn on all Variables, for the whole of the call and what follows it."""
    leaves = compiled.signature.leaves
    arrays = [(values[leaves[k].param].ctypes.data, writes)
              for k, writes in compiled.specialisation.turns]
    return Turns(arrays).turn() if arrays else nullcontext()


def _copies(compiled: Any, values: dict[int, Any]) -> dict[int, Any]:
    """The content of all arrays that the call may write."""
    places = compiled.executable.interface.params
    return {k: values[k].copy() for k, place in enumerate(places)
            if place.kind == "array" and (place.written or place.donated)}


def _error(compiled: Any, arrays: Sequence[Any], span: SourceSpan | None) -> Exception:
    trace = compiled.trace
    found = origin_of_nan(trace.graph, arrays, {})
    if isinstance(found, Origin):
        return _named(found, span)
    if found is None:
        return InternalError("compiled code gives NaN where the same ops by NumPy do not",
                             why="a mistake in generated code, or a function that reads random numbers or the clock",
                             fix="compare with the plain function, and report the difference")
    paths = [i.path for i in (*trace.arrays, *trace.numbers) if i.param in found]
    return NaNError(f"{' and '.join(paths)} {'holds' if len(paths) == 1 else 'hold'} NaN, which reaches a result",
                    span=span, why=_WHY, fix="look where it was computed; earlier calls did not check it")


def _named(found: Origin, span: SourceSpan | None) -> NaNError:
    what = f"NaN at {list(found.index)}, in {found.count} of {found.size} elements" if found.index else "NaN"
    if found.round > 1:
        what += f", in its run number {found.round}"
    why = _WHY
    if found.infinity is not None:
        why += f"; the infinity in it was made by {_title(found.infinity)} at {found.infinity.span}"
    return NaNError(f"{_title(found.node)} gave {what}: {_call(found)}", span=span or found.node.span, why=why,
                    fix="keep its operands where it is defined, also on the side of np.where that is not chosen; "
                    "tj.config.debug_nans = False lets NaN pass")


def _title(node: Node) -> str:
    of = node.span.derivative_of if node.span is not None else ""
    return f"`{node.op.name}`" + (f" in the derivative of `{of}`" if of else "")


def _call(found: Origin) -> str:
    """The op on the elements that gave NaN, or on arrays."""
    shown = [_element(x, found) for x in found.operands[:_SHOWN]]
    return f"{found.node.op.name}({', '.join(shown)}{', ...' if len(found.operands) > _SHOWN else ''})"


def _element(operand: Any, found: Origin) -> str:
    shape = found.node.results[0].shape
    if not operand.shape:
        return str(operand.item())
    if found.node.op.kind == "pointwise" and operand.ndim == len(shape):
        return str(operand[found.index].item())
    return f"{operand.dtype}{list(operand.shape)}"
