"""A trace becomes a specialisation: signature, places, machine code, outputs.

Flows in:  `Trace`.
Flows out: `Compiled`: the runtime's specialisation and the executable behind it.
"""
from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tracejit.api.donation import is_donated
from tracejit.api.failures import error_raiser
from tracejit.api.nans import with_checks
from tracejit.api.results import Results
from tracejit.api.signature import Signature, inputs_of, signature_of
from tracejit.base.dims import Dim
from tracejit.tracing.arrays import KINDS
from tracejit.tracing.inputs import IN_TURNS, ArrayInput, ObjectInput
from tracejit.tracing.trace import Trace
from tracejit.xla_lite.compile import Executable, compile_graph
from tracejit.xla_lite.interface import ParamPlace, SizeGuard
from tracejit.xla_lite.runtime import signature as rt


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """One specialisation of a function. checks_nans: it fails where a result is NaN."""

    trace: Trace
    signature: Signature
    executable: Executable
    specialisation: rt.Specialisation
    checks_nans: bool = False


def compile_trace(trace: Trace, name: str, precision: str, donated: Collection[str] = (), checks_nans: bool = False,
                  compile: Callable[..., Executable] = compile_graph) -> Compiled:
    """Compiles the graph for the places where dispatch puts its parameters and outputs."""
    signature = signature_of(trace)
    roots: rt.Roots = tuple(signature.roots)
    layout = rt.slot_layout(roots)
    results = Results(trace, signature)
    guards = [SizeGuard(g.left, g.relation, g.right) for g in trace.size_guards]
    guards += [SizeGuard(Dim.symbol(n), "EQ", size) for n, size in signature.compound.items()]
    graph = with_checks(trace.graph) if checks_nans else trace.graph
    executable = compile(graph, _params(trace, signature, layout, donated), results.places(),
                         dim_slots=layout.dims, first_free_slot=layout.extra, size_guards=guards, kept=trace.kept,
                         name=name, precision=precision)
    outputs, finish, left = results.build(executable.sizes)
    written = tuple(i for i, leaf in enumerate(signature.leaves) if any(leaf is w for w in trace.written))
    specialisation = rt.Specialisation(
        roots=roots, outputs=outputs, main_address=executable.main_address,
        on_error=error_raiser(executable.error_sites), prepare_address=executable.prepare_address,
        extra_words=executable.sizes.num_slots - layout.extra, work=executable.work, finish=finish,
        left=left, recover=_recovery(results, executable), state_slot=executable.sizes.state, written=written,
        turns=_turns(trace, signature), tensor_class=KINDS.get("tensor"), library=executable.library,
        keep=(executable, results))
    return Compiled(trace, signature, executable, specialisation, checks_nans)


def _turns(trace: Trace, signature: Signature) -> tuple[tuple[int, bool], ...]:
    """The leaves on which calls take turns, and whether this one writes them."""
    numbers = {id(leaf): i for i, leaf in enumerate(signature.leaves)}
    owned = [i.attributes.get(IN_TURNS[i.cls]) for i in inputs_of(trace)
             if isinstance(i, ObjectInput) and i.cls in IN_TURNS]
    return tuple((numbers[id(a)], any(a is w for w in trace.written)) for a in owned if id(a) in numbers)


def _recovery(results: Results, executable: Executable) -> Callable[[int, Any], None] | None:
    """What makes the stores of state number `state`, counted from 1; None if failures leave none."""
    if not results.trace.left:
        return None
    states = [frozenset(numbers) for numbers in executable.states]
    return lambda state, made: results.recover(states[state - 1], made)


def _params(trace: Trace, signature: Signature, layout: rt.SlotLayout, donated: Collection[str]) -> list[ParamPlace]:
    """Where each parameter of the graph is found."""
    written = {id(w) for w in trace.written}
    places: dict[int, ParamPlace] = {}
    for leaf, where in zip(signature.leaves, layout.leaves, strict=True):
        if isinstance(leaf, ArrayInput):
            strides = where.slot + 1 if leaf.layout == "strided" else None
            places[leaf.param] = ParamPlace("array", where.slot, strides, is_donated(leaf.path, donated),
                                            id(leaf) in written)
        else:
            places[leaf.param] = ParamPlace("scalar", where.slot)    # type: ignore[attr-defined]
    return [places[i] for i in range(len(trace.graph.params))]

