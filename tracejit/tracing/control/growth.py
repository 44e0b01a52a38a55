"""Which lists grow in native loops, as attempts at a trace find it out.

Flows in:  what regions do to plain lists; lists of which there are copies; items that don't fit.
Flows out: `Decisions.growing`: lists that are native from the next attempt on, with the form of their items;
           `Decisions.fixed`: lists that stay plain, with the reason.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from tracejit.base.errors import MutationError, UnsupportedError
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import Array
from tracejit.tracing.context import Restart, current
from tracejit.tracing.control.rows import RunTimeList
from tracejit.tracing.control.schema import JoinError, Leaf, Schema, Tree, describe, join, leaves
from tracejit.tracing.spans import current_span

Key = Any       # what a list is known by from attempt to attempt


def keys_of(namespace: Any, one: list[Any]) -> tuple[Key, ...]:
    """What the lists are known by that a plain list is, or was made of where regions join; none where tracing did not
    see it made, or where one must stay plain."""
    known = namespace.plain_lists.get(id(one))
    argument = namespace.reader.containers.get(id(one))
    if known is None:
        found: tuple[Key, ...] = (("argument", argument.path),) if argument is not None else ()
    else:
        found = known[1][1] if known[1][0] == "joined" else (known[1],)
    return () if any(key in current().decisions.fixed for key in found) else found


def why_plain(namespace: Any, one: Any) -> str:
    """Why a list can't grow in native loops, for errors; empty if nothing is known."""
    known = namespace.plain_lists.get(id(one))
    argument = namespace.reader.containers.get(id(one))
    key = known[1] if known is not None else ("argument", argument.path) if argument is not None else None
    reasons = [current().decisions.fixed.get(k) for k in (key[1] if key and key[0] == "joined" else (key,))]
    return "".join([f", which must be known while tracing: {reason}" for reason in reasons[:1] if reason])


def register_joined(namespace: Any, made: Any, values: Sequence[Any]) -> None:
    """`made` stands for what was one of `values`, or became the next of them in a round."""
    keys = dict.fromkeys(key for v in values if isinstance(v, list) for key in keys_of(namespace, v))
    if isinstance(made, list) and keys:
        namespace.plain_lists[id(made)] = made, ("joined", tuple(keys))


def root_of(key: Key) -> Key:
    """The key of the list that a list was made from, of the list itself."""
    while key[0] in ("part", "sum", "copy", "rows", "keys"):
        key = key[2]
    return key


def grow(namespace: Any, container: Any, items: Iterable[Any]) -> None:
    """A region changes how long a list is: from the next attempt on it grows. Returns if it can't."""
    if not isinstance(container, list):
        return
    if not (keys := keys_of(namespace, container)):
        return
    decide_growth(keys, list(items))


def decide_growth(keys: Sequence[Key], items: Sequence[Any], forms: Sequence[Schema] = ()) -> None:
    """From the next attempt on, the lists known by `keys` hold `items` and items of `forms`. Returns if they can't."""
    decisions = current().decisions
    try:
        form = form_of(items)
        for other in forms:
            form = other if form is None else join(form, other)
    except JoinError:
        if not any(map(lists_in, items)) or decisions.deep.issuperset(keys):
            return
        form = None
        decisions.deep.update(keys)
    if any(not one for item in items for one in lists_in(item)):
        form = None     # empty lists are native lists: of what is seen when they are put in
    decisions.growing.update(dict.fromkeys(keys, form))
    raise Restart


def grow_all(namespace: Any, values: Sequence[Any]) -> None:
    """Values of one variable on several ways: from the next attempt on, lists among them are native. Returns if they
    can't be."""
    found = [v for v in values if isinstance(v, list) and keys_of(namespace, v)]
    forms = [v.form for v in values if isinstance(v, RunTimeList) and v.form is not None]
    if found:
        keys = dict.fromkeys(key for one in found for key in keys_of(namespace, one))
        decide_growth(tuple(keys), [item for one in found for item in one], forms)


def grow_to_compare(namespace: Any, left: list[Any], right: list[Any]) -> None:
    """Whether two lists are one: where only the run knows which list one of them is, both are native."""
    keys = [keys_of(namespace, one) for one in (left, right)]
    known = [namespace.plain_lists.get(id(one)) for one in (left, right)]
    if any(k is not None and k[1][0] == "joined" for k in known) and not set(keys[0]).isdisjoint(keys[1]):
        grow_all(namespace, [left, right])


def follow_lists(namespace: Any, changes: Iterable[Any], world: Any) -> None:
    """A region was traced: lists whose length it changed grow in native code, from the next attempt on."""
    check_watched(namespace)
    decided = False
    for place in changes:
        if place.kind == "content" and isinstance(place.holder, list):
            before = world.containers[place.key][1]
            if len(before) != len(place.holder):
                decided = decides(namespace, place.holder, [*before, *place.holder]) or decided
    if decided:
        raise Restart


def decides(namespace: Any, one: list[Any], items: Sequence[Any]) -> bool:
    """Whether a list is native from the next attempt on; several may be found in one attempt."""
    try:
        grow(namespace, one, items)
    except Restart:
        return True
    return False


def fix_list(key: Key, why: str) -> NoReturn:
    decisions, key = current().decisions, root_of(key)
    if key in decisions.fixed:
        raise UnsupportedError(
            f"a list that grows in a loop can't be compiled: {decisions.fixed[key]}", span=current_span(2),
            why="its length and items are known only at run time",
            fix="write to an array that was made before the loop, or make the number of rounds static")
    decisions.fixed[key] = why
    raise Restart


def go_deep(key: Key) -> None:
    """From the next attempt on, the lists in a growing list are native too."""
    decisions = current().decisions
    if key in decisions.deep:
        return
    decisions.deep.add(key)
    for other in [k for k in decisions.growing if root_of(k) == key]:
        decisions.growing[other] = None
    raise Restart


def watch(namespace: Any, one: list[Any], decide: Callable[[], None]) -> None:
    """A plain list of which there are copies now. If it is changed all the same, `decide` starts another attempt."""
    namespace.watched.append((one, list(one), decide))


def watch_joined(namespace: Any, made: Any, values: Sequence[Any]) -> None:
    """A list that is one of several, chosen at run time: if one is changed after that, all are native."""
    register_joined(namespace, made, values)
    for one in [made, *values] if type(made) is list and type(values[0]) is list else ():
        watch(namespace, one, partial(grow_all, namespace, values))


def check_watched(namespace: Any) -> None:
    """Lists of which there are copies must stay as they are."""
    for one, copy, decide in namespace.watched:
        if len(one) != len(copy) or not all(a is b for a, b in zip(one, copy, strict=True)):
            decide()
            raise MutationError(
                "a list is changed that was put into a list which grows in a loop, or chosen at run time",
                span=current_span(2), why="only the run knows which list that is", fix="copy it first: list(x)")


def form_of(items: Iterable[Any]) -> Schema | None:
    """The form that holds all items; None for none. Raises JoinError."""
    form: Schema | None = None
    for item in items:
        now = unkept(describe(item, numbers=True))
        form = now if form is None else join(form, now)
    return form


def types_of(form: Schema | None) -> tuple[ArrayType, ...]:
    return tuple([leaf.type for leaf in leaves(form)]) if form is not None else ()


def unkept(form: Schema) -> Schema:
    """The form of items, whatever became of the arrays that they were."""
    if isinstance(form, Leaf):
        return replace(form, kept=False) if form.kept else form
    if isinstance(form, Tree):
        return replace(form, children=tuple(map(unkept, form.children)))
    return form


def arrays_in(value: Any) -> Iterator[Array]:
    """Arrays that are no scalars, in a tuple, list or dict."""
    todo = [value]
    while todo:
        one = todo.pop()
        if type(one) is Array and not one.is_scalar:
            yield one
        elif isinstance(one, (list, tuple)):
            todo += one
        elif isinstance(one, dict):
            todo += one.values()


def lists_in(value: Any) -> list[list[Any]]:
    """Plain lists in an item."""
    if type(value) not in (list, tuple):
        return []
    inner = [one for part in value for one in lists_in(part)]
    return [value, *inner] if type(value) is list else inner


def keep(array: Array) -> None:
    """An array is an item now, of which the list has a copy: it may not be written any more."""
    array.owner.kept = True


def refuse_kept_write() -> NoReturn:
    raise MutationError(
        "an array that is in a list which grows in a loop is changed in the next round", span=current_span(2),
        why="the list has a copy of it, plain Python the array itself", fix="append a copy: l.append(x.copy())")
