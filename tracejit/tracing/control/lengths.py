"""How long lists in native stacks are, as far as tracing knows: then arrays of them have sizes that are known too.

Flows in:  what is appended and taken, rounds of loops, branches.
Flows out: `Count`s, kept as facts of scopes: those of a region end with it, and whoever emits its op says what is left.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracejit.base.dims import Dim
from tracejit.base.dims import Size as AnySize
from tracejit.base.dtypes import I64
from tracejit.ir.graph import Graph, Value
from tracejit.ops.stacks import CHANGING
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, constant, convert, emit, lift
from tracejit.tracing.context import Scope, current, inside
from tracejit.tracing.control.rows import RunTimeList
from tracejit.tracing.sizes import Size, declared_range, size_of, sized


class Count:
    """How long a list is, as far as tracing knows: `more` items above `base`, which is None for an empty list or the
    scope of the loop's body that is running. more: None if only the run knows."""

    __slots__ = ("base", "more")

    def __init__(self, base: Scope | None, more: AnySize | None):
        self.base, self.more = base, more


UNKNOWN = Count(None, None)


def count_of(one: RunTimeList) -> Count:
    found: Count | None = current().scope.fact(("count", id(one)))
    return UNKNOWN if found is None or one.shared else found


def set_count(one: RunTimeList, count: Count) -> None:
    facts = current().scope.facts
    facts["count", id(one)], facts["list", id(one)] = count, one


def add_to_count(one: RunTimeList, more: AnySize | None) -> None:
    now = count_of(one)
    set_count(one, UNKNOWN if more is None or now.more is None else Count(now.base, now.more + more))


def forget_counts(scopes: Sequence[Scope]) -> None:
    """Lists that regions changed are of unknown length after them."""
    for scope in scopes:
        for one in counted_lists(scope).values():
            set_count(one, UNKNOWN)


def shared_from_outside(namespace: Any, scope: Scope) -> int:
    """How many lists from outside a region were shared so far: of those no length is known any more."""
    assert scope.parent is not None
    return sum(scope.parent.fact(("list", id(one))) is not None for one in namespace.shared_lists)


def is_known_here(size: AnySize) -> bool:
    """Whether a size was known before the regions inside of this scope."""
    context = current()
    return all(context.scope.fact(("bound", name)) for name in context.late_symbols(size))


def counted_lists(scope: Scope) -> dict[int, Any]:
    """Lists from outside whose length changed in a region."""
    assert scope.parent is not None
    return {key[1]: one for key, one in scope.facts.items() if isinstance(key, tuple) and key[0] == "list"
            and scope.parent.fact(key) is not None}


def begin_round(scope: Scope, changing: Mapping[int, Any], counted: bool) -> None:
    """In the body of a loop, lengths of lists that rounds change count from the beginning of the round; in a loop whose
    test may ask for lengths those of all lists do."""
    outer: Scope | None = scope.parent
    lists = dict(changing)
    while outer is not None and not counted:
        lists |= {key[1]: one for key, one in outer.facts.items() if isinstance(key, tuple) and key[0] == "list"}
        outer = outer.parent
    for key in lists:
        scope.facts["count", key] = Count(scope, 0)


def after_loop(body: Scope, changing: Mapping[int, Any], before: Mapping[int, Count],
               trips: AnySize | None) -> None:
    """Lengths after a loop of so many rounds."""
    for key, one in changing.items():
        start, end = before[key], body.facts["count", key]
        if one.shared or trips is None or start.more is None or end.more is None or end.base is not body \
                or not is_known_here(end.more):
            set_count(one, UNKNOWN)
        else:
            set_count(one, Count(start.base, start.more + end.more * trips))


def after_branches(scopes: Sequence[Scope]) -> None:
    """Lengths that are the same after each branch that is run to its end."""
    lists = {key: one for scope in scopes for key, one in counted_lists(scope).items()}
    for key, one in lists.items():
        ends = [scope.fact(("count", key)) for scope in scopes]
        first = ends[0]
        if all(end.more is not None and end.base is first.base and end.more == first.more for end in ends):
            set_count(one, first)


def changes_lengths(graph: Graph) -> bool:
    """Whether a loop's body changes the length of a stack that it did not make itself."""
    own = {v for node in graph.nodes if node.op.name == "stack_new" for v in node.results}
    for node in graph.nodes:
        if node.op.name in CHANGING and node.operands[0] not in own:
            return True
        if any(changes_lengths(region) for _, region in node.regions()):
            return True
    return False


def is_in_range(index: Array, length: Any) -> bool:
    """Whether an index is the counter of a loop over as many rounds."""
    found = declared_range(index.value)
    return found is not None and type(found.lower) is int and found.lower >= 0 and found.step > 0 and (
        type(found.upper) is type(length) and type(length) in (int, Size) and bool(found.upper == length))


def run_time_size(count: Array) -> AnySize:
    """A size with the value of `count`, known as far outside as that is."""
    count = moved_out(count)
    if (known := current().scope.fact(("length", count.value))) is not None:
        return known    # type: ignore[no-any-return]
    with inside(count.scope):
        size = count.scope.facts["length", count.value] = bound_size(count)
    return size


def moved_out(number: Array) -> Array:
    """The same number, computed outside of the loops and branches that it does not depend on."""
    while number.scope.parent is not None:
        if (outer := in_parent(number.value, number.scope)) is None:
            return number
        number = Array(outer, number.scope.parent, number.kind, number.weak)
    return number


def in_parent(value: Value, scope: Scope) -> Value | None:
    """A scalar of a region, computed in the scope around it; None if only the region knows it."""
    assert scope.parent is not None
    if (source := scope.source(value)) is not None:
        return scope.parent.bring(*source)
    node = value.node
    if node is None or node.has_effect or node.op.kind not in ("pointwise", "source") or node.op.name == "dimension":
        return None
    operands = [in_parent(v, scope) for v in node.operands]
    if any(v is None for v in operands):
        return None
    return scope.parent.graph.keep(node, [v for v in operands if v is not None])[value.index]


def bound_size(count: Array) -> AnySize:
    """A new size with the value of `count`."""
    context = current()
    name = context.fresh_dim()
    size = context.decisions.resolve(Dim.symbol(name))
    if size == Dim.symbol(name):
        emit("bind_dim", count, dim=name)
        context.scope.facts["bound", name] = True
        return size
    expected = convert(lift(sized(size)), I64)
    assert_(emit("compare", count, expected, direction="EQ"), "ValueError",
            "operands could not be broadcast together with shapes ({0},) ({1},)", expected, count)
    return size


def known_size(number: Any) -> AnySize:
    """A number that is not negative, as a size; 0 for a negative one."""
    size = size_of(number)
    if size is not None:
        return max(size, 0) if type(size) is int else size
    return run_time_size(emit("maximum", convert(lift(number), I64), constant(0, I64)))
