"""Branches on traced values: `if`, `a if c else b`, `and`, `or`.

Flows in:  a traced test, functions that hold the branches.
Flows out: a `case` op whose regions give the new content of every place that a branch changes.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from tracejit.base.errors import UnsupportedError
from tracejit.ir.graph import Value
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import emit
from tracejit.tracing.context import Scope, TraceContext, inside
from tracejit.tracing.control import sharing
from tracejit.tracing.control.growth import grow_all, watch_joined
from tracejit.tracing.control.identity import (
    NOTHING,
    OWN,
    Choice,
    choice_of,
    mark_choices,
    memory_parts,
    older_memories,
    with_shared,
)
from tracejit.tracing.control.lengths import after_branches
from tracejit.tracing.control.optional import UNDEFINED
from tracejit.tracing.control.regions import Region, Unreachable, finish, run_region, share_operands
from tracejit.tracing.control.schema import JoinError, Schema, Static, build, describe, flatten, has_sizes, join, zeros
from tracejit.tracing.control.world import Place, World, cells_of
from tracejit.tracing.spans import current_span
from tracejit.tracing.truth import truth

Thunk = Callable[[], Any]
_CHEAP = 12     # ops of a region that is done in place rather than skipped


RESULT = Place("result", "result", None, "the conditional expression")


def branch(namespace: Any, test: Array, body: Thunk, orelse: Thunk | None, names: Sequence[str]) -> None:
    """`if test: body() else: orelse()` for a traced test."""
    world, flag = World(cells_of(body, orelse), names, namespace), truth(test)
    regions = run_branches(namespace.context, world, flag, body, orelse or _nothing)
    merge(namespace.context, world, flag, regions)


def choice(namespace: Any, test: Array, body: Thunk, orelse: Thunk) -> Any:
    """`body() if test else orelse()` for a traced test."""
    world, flag = World(cells_of(body, orelse), (), namespace), truth(test)
    regions = run_branches(namespace.context, world, flag, body, orelse)
    for region in regions:
        if region.reached:
            region.changes[RESULT] = region.result
    return merge(namespace.context, world, flag, regions)


def run_branches(context: TraceContext, world: World, flag: Array, body: Thunk, orelse: Thunk) -> list[Region]:
    """The regions of False and True."""
    regions = []
    for taken, function in ((False, orelse), (True, body)):
        with context.knowing(flag, taken):
            regions.append(run_region(context, world, function))
    return regions


def merge(context: TraceContext, world: World, flag: Array, regions: Sequence[Region]) -> Any:
    """Joins what the branches left, emits the op, and makes the world what it is afterwards; gives `RESULT`."""
    def emitted() -> list[Array]:
        return (select if all(map(is_cheap, regions)) else emit_case)(context, flag, regions)

    return join_regions(world, regions, emitted, flag)


def join_regions(world: World, regions: Sequence[Region], emitted: Callable[[], list[Array]],
                 flag: Array | None = None) -> Any:
    """Gives regions of which one will run the same outputs; what `emitted` makes of them is what places hold then.

    flag: says which of two regions runs; without it, regions themselves say which memory an array is.
    """
    places = sorted(dict.fromkeys(p for r in regions for p in r.changes), key=lambda p: p.kind != "content")
    forms = _forms(places, regions, world)
    choices = with_shared([c for found in _arrays(places, forms, regions, world) for c in _own_choices(*found, world)])
    for k, region in enumerate(regions):
        with world.as_left(region.changes), inside(region.scope):
            indices = [c.index_in(k) for c in choices if c.is_exported(flag)]
            finish(region, _outputs(region, places, forms, world) + indices)
    results, value = iter(emitted()), None
    after_branches([r.scope for r in regions if r.reached])
    arrays: list[Array | None] = []
    for place, form in zip(places, forms, strict=True):
        made = build(form, results)
        left = [_value(place, r, world) for r in regions if r.reached]
        watch_joined(world.namespace, made, left)
        if flag is None or len(left) < 2 or not world.namespace.chosen_by(flag, world, made, left):
            sharing.watch_joined(world, place, form, made, left)
        arrays += memory_parts(made, form)
        if place is RESULT:
            value = made
        else:
            world.put(place, made)
    if not any(r.reached for r in regions):
        raise Unreachable
    mark_choices(arrays, choices, flag, results)
    return value


def _arrays(places: Sequence[Place], forms: Sequence[Schema], regions: Sequence[Region],
            world: World) -> Iterator[tuple[Place, Schema, list[list[Array | None] | None]]]:
    """The arrays that each region left in each place; None where its end is not reached."""
    found: list[list[list[Array | None]] | None] = []
    for region in regions:
        with world.with_entries(region.changes):
            found.append([list(memory_parts(_value(place, region, world), form)) for place, form in zip(
                places, forms, strict=True)] if region.reached else None)
    for i, (place, form) in enumerate(zip(places, forms, strict=True)):
        yield place, form, [None if f is None else f[i] for f in found]


def _own_choices(place: Place, form: Schema, found: Sequence[list[Array | None] | None], world: World) -> list[Choice]:
    """Which memories the arrays in a place may be, one for each array; those whose sizes differ are copied on their
    way."""
    width = max([len(f) for f in found if f is not None], default=0)
    if place.kind == "memory":
        return [Choice(place.name, (OWN,) * len(found), ())] * width
    choices = [choice_of(place.name, [NOTHING if f is None else f[i] for f in found], world) for i in range(width)]
    if not has_sizes(form):
        return choices
    return [replace(c, copied=tuple([m for a in c.arrays for m in older_memories(a, world)])) for c in choices]


def _nothing() -> None:
    """The branch that is not there."""


def emit_case(context: TraceContext, flag: Array, regions: Sequence[Region]) -> list[Array]:
    """Regions as one op; pure and small ones are computed in place and selected."""
    scope = context.scope
    operands = share_operands([r.scope for r in regions])
    index = flag.value if flag.scope is scope else scope.bring(flag.value, flag.scope)
    values = [scope.bring(value, home) for value, home in operands]
    results = context.emit("case", [index, *values], {"branches": tuple([r.scope.graph for r in regions])})
    return [Array(v, scope) for v in results]


def _value(place: Place, region: Region, world: World) -> Any:
    return region.changes[place] if place in region.changes else world.value_before(place)


def _forms(places: Sequence[Place], regions: Sequence[Region], world: World) -> list[Schema]:
    """The form of each place that holds what each region left there."""
    described: list[list[Schema]] = []
    for region in regions:
        with world.with_entries(region.changes):
            described.append([describe(_value(p, region, world), known=world.seen if "!" in p.name else ())
                              for p in places] if region.reached else [])
    return [_form(place, regions, world, [d[i] for d in described if d]) for i, place in enumerate(places)]


def _form(place: Place, regions: Sequence[Region], world: World, forms: Sequence[Schema]) -> Schema:
    values = [_value(place, r, world) for r in regions if r.reached]
    if place.kind == "variable" and "!" in place.name and any(v is not UNDEFINED for v in values):
        forms = [form for form, v in zip(forms, values, strict=True) if v is not UNDEFINED]
        values = [v for v in values if v is not UNDEFINED]
    if values and all(v is values[0] for v in values) and (
            id(values[0]) in world.seen or len(values) == len(regions) > 1 and type(values[0]) is not Array):
        return Static(values[0])
    try:
        return reduce(join, forms)
    except JoinError as problem:
        grow_all(world.namespace, values)
        raise differing(place, forms, values, str(problem)) from None


def differing(place: Place, forms: Sequence[Schema], values: Sequence[Any], what: str) -> UnsupportedError:
    """The error for a variable that is two different things after a branch."""
    if place.kind == "content":
        found = " and ".join(map(str, dict.fromkeys(map(str, values))))
        return UnsupportedError(
            f"{place.name!r} has other entries after one branch than after the other: {found}", span=current_span(3),
            why="the branch depends on traced values, so both must leave the same keys",
            fix="give it all keys before the branch, or make the condition static")
    name = "the returned value" if place.name.startswith("value!") else f"{place.name!r}"
    lines = [f"{form}{where(value)}" for form, value in zip(forms, values, strict=True)]
    kind = {"structure": "structures", "shape": "shapes", "dtype": "dtypes"}.get(what, "values")
    return UnsupportedError(
        f"{name} has different {kind} in the two branches: {' and '.join(lines)}", span=current_span(3),
        why="the branch depends on traced values: what follows must work for both",
        fix="give both branches the same structure, shape and dtype, for example with .astype or np.zeros")


def where(value: Any) -> str:
    """The line that made a value, for a message."""
    span = value.value.span if type(value) is Array else None
    return f" (line {span.line})" if span is not None else ""


def _outputs(region: Region, places: Sequence[Place], forms: Sequence[Schema], world: World) -> list[Array]:
    if not region.reached:
        return [z for form in forms for z in zeros(form)]
    made = []
    for place, form in zip(places, forms, strict=True):
        made += flatten(_value(place, region, world), form)
    return made


def is_cheap(region: Region) -> bool:
    """Whether computing the region costs less than a branch, and can't fail."""
    nodes = region.scope.graph.nodes
    return len(nodes) <= _CHEAP and all(
        not n.has_effect and n.op.kind in ("pointwise", "source") and not n.results[0].rank for n in nodes)


def select(context: TraceContext, flag: Array, regions: Sequence[Region]) -> list[Array]:
    """Both regions computed here, their results selected."""
    no, yes = [inline(context, r.scope) for r in regions]
    result = []
    for x, y in zip(yes, no, strict=True):
        test = flag if not x.type.shape else emit("broadcast_in_dim", flag, shape=x.type.shape, dims=())
        result.append(emit("select", test, x, y))
    return result


def inline(context: TraceContext, region: Scope) -> list[Array]:
    """The nodes of a region, emitted in the running scope."""
    scope = context.scope
    values: dict[Value, Value] = {}
    imported = {inner: outer for outer, inner in region.imported.items()}
    homes = dict(region.operands)
    for param in region.graph.params:
        outer = imported[param]
        values[param] = scope.bring(outer, homes[outer])
    for node in region.graph.nodes:
        made = scope.graph.keep(node, [values[v] for v in node.operands])
        values.update(zip(node.results, made, strict=True))
    return [Array(values[v], scope) for v in region.graph.outputs]


def known_truth(value: Any) -> bool | None:
    """The truth of a test that is known while tracing; None if only the run will tell."""
    if type(value) is not Array:
        return bool(value)
    node = value.value.node
    if node is not None and node.op.name == "constant" and not value.type.shape:
        return bool(node.attributes["value"])
    return None
