"""One call of a Python function becomes one graph.

Flows in:  a function, the values of the call, the shapes with their symbols, decisions of earlier attempts.
Flows out: `Trace`: the graph, what it reads, what must hold for it, what it gives back and what it leaves behind.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np

from tracejit.base.deep import with_deep_stack
from tracejit.base.errors import InternalError, TracedIndexError, TracejitError
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph
from tracejit.tracing import heaps, iterators, mathematics, methods, reductions, scalars, sorting
from tracejit.tracing.building import lift
from tracejit.tracing.context import Decisions, Restart, SizeGuard, TraceContext, running
from tracejit.tracing.control.growth import check_watched
from tracejit.tracing.control.regions import Unreachable, as_python
from tracejit.tracing.filling import fill_stacks
from tracejit.tracing.host import belongs_to_run, raise_at_run_time
from tracejit.tracing.implements import load_front_end
from tracejit.tracing.inputs import ArrayInput, NumberInput, Reader, Root, ShapeFor
from tracejit.tracing.kept import Keeper, LeftOut
from tracejit.tracing.namespace import TracingNamespace
from tracejit.tracing.outputs import Out, StoreOut, Writer, container_stores, name_stores, write_backs
from tracejit.tracing.reuse import reuse_stacks
from tracejit.tracing.special_methods import replaced

_ATTEMPTS = 400


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The result of tracing one call.

    graph: one parameter per array and scalar input; outputs are the computed results, then the new contents of the
    arrays in `written`.  roots: arguments first, then names in the order in which they were read.
    hints: sizes of the traced call by symbol.
    kept: number of something that failures leave behind -> the output that gets it.  left: the stores made of those.
    created: Variables that the traced code made, and where.
    """

    graph: Graph
    roots: tuple[Root, ...]
    arrays: tuple[ArrayInput, ...]
    numbers: tuple[NumberInput, ...]
    result: Out
    stores: tuple[StoreOut, ...]
    written: tuple[ArrayInput, ...]
    size_guards: tuple[SizeGuard, ...]
    hints: Mapping[str, int]
    decisions: Decisions
    notes: tuple[str, ...]
    kept: Mapping[int, int]
    left: tuple[LeftOut, ...]
    created: tuple[tuple[Any, SourceSpan | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """The call that is traced. names: how errors and explain() call each argument; static: paths that are never traced.

    convert: whether user functions are converted (autograph).  returns: "like_inputs", "numpy" or "tensor".
    aliases: arrays that are the same memory are traced as one.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    names: Sequence[str]
    static: frozenset[str] = frozenset()
    convert: bool = True
    returns: str = "like_inputs"
    aliases: bool = False


def trace(call: Call, shape_for: ShapeFor, decisions: Decisions | None = None) -> Trace:
    """Traces `call`; starts again after every decision until none is left to take."""
    load_front_end()
    known = decisions or Decisions()
    return with_deep_stack(lambda: _settled(call, shape_for, known), getattr(call.fn, "__qualname__", str(call.fn)))


def _settled(call: Call, shape_for: ShapeFor, decisions: Decisions) -> Trace:
    for _ in range(_ATTEMPTS):
        context = TraceContext(decisions, {}, lift)
        try:
            with running(context), replaced(tuple(decisions.methods)):
                made = _attempt(call, shape_for, context)
            for action in context.afterwards:
                action()
            return made
        except Restart:
            continue
    raise InternalError(f"tracing took {_ATTEMPTS} attempts", why=f"decisions: {decisions}")


def _attempt(call: Call, shape_for: ShapeFor, context: TraceContext) -> Trace:
    reader = Reader(context, shape_for, call.aliases)
    namespace = TracingNamespace(context, reader)
    context.capture = lambda value: namespace.root_of(value, _array_name(value))[1]
    context.call, context.namespace = namespace.call, namespace
    keeper = Keeper(context, reader, namespace, call.returns)
    context.changed = keeper.state
    roots, values = _read_arguments(call, reader)
    reader.in_arguments = False
    args, kwargs = values[:len(call.args)], dict(zip(call.kwargs, values[len(call.args):], strict=True))
    result = _run(call, namespace, args, kwargs)
    check_watched(namespace)
    namespace.check_shared()
    writer = Writer(reader, call.returns)
    out = writer.out(result)
    stores = (*name_stores(namespace, writer), *container_stores(reader, writer))
    written = list(dict.fromkeys([*write_backs(reader), *(array for array, _ in keeper.arrays.values())]))
    kept, left = keeper.outputs(writer, stores, written)
    graph = context.root.graph
    graph.outputs = (*writer.values, *(a.tracer.value for a in written))
    graph = reuse_stacks(fill_stacks(graph))
    return Trace(graph, (*roots, *namespace.roots), tuple(reader.arrays), tuple(reader.numbers), out, stores,
                 tuple(written), tuple(context.size_guards), context.hints, context.decisions, tuple(context.notes),
                 kept, left, tuple(context.created))


def _read_arguments(call: Call, reader: Reader) -> tuple[list[Root], list[Any]]:
    roots, values = [], []
    for i, (value, name) in enumerate(zip((*call.args, *call.kwargs.values()), call.names, strict=True)):
        input_, seen = reader.static(value, name) if name in call.static else reader.read(value, name)
        is_keyword = i >= len(call.args)
        roots.append(Root("keyword" if is_keyword else "positional", i, list(call.kwargs)[i - len(call.args)]
                          if is_keyword else name, input_))
        values.append(seen)
    return roots, values


def _run(call: Call, namespace: TracingNamespace, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Floating point warnings of NumPy calls on constants say nothing about the compiled function."""
    if not isinstance(call.fn, FunctionType):
        namespace.root_of(call.fn, getattr(call.fn, "__name__", type(call.fn).__name__))
    with np.errstate(all="ignore"):
        try:
            return namespace.call(call.fn, *args, **kwargs) if call.convert else call.fn(*args, **kwargs)
        except Unreachable:
            return None
        except Exception as error:
            ours = isinstance(error, (TracejitError, RecursionError)) and not isinstance(error, TracedIndexError)
            if ours or not belongs_to_run(namespace.context, error):
                raise
            raise_at_run_time(namespace.context, as_python(error))
            return None


def _array_name(value: Any) -> str:
    return f"<{type(value).__name__} {getattr(value, 'dtype', '')}{list(getattr(value, 'shape', ()))}>"


__all__ = ["Call", "Trace", "heaps", "iterators", "mathematics", "methods", "reductions", "scalars", "sorting", "trace"]
