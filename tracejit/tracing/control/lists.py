"""Lists that grow in native loops.

Flows in:  list displays and comprehensions of converted code, lists of the caller; what regions do to them.
Flows out: plain lists while Python knows them; `TracedList`, a native stack, from the next attempt on if a region
           changes how long one is. `Decisions.growing` remembers which and the form of its items, `Decisions.fixed`
           which must stay plain and why.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

from tracejit.base.dims import Dim
from tracejit.base.dims import Size as AnySize
from tracejit.base.dtypes import I64
from tracejit.base.errors import MutationError, UnsupportedError
from tracejit.base.trees import register_node
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.ops.stacks import CHANGING
from tracejit.tracing.arrays import TRACED_LIKE, Array
from tracejit.tracing.building import assert_, constant, convert, emit, lift
from tracejit.tracing.context import Restart, Scope, current, inside
from tracejit.tracing.control.containers import is_instance
from tracejit.tracing.control.iteration import Iteration, iteration_of, traced_range
from tracejit.tracing.control.rows import Rows, RunTimeList
from tracejit.tracing.control.schema import (
    JoinError,
    Leaf,
    Perhaps,
    Schema,
    Static,
    Tree,
    build,
    describe,
    flatten,
    join,
    leaves,
)
from tracejit.tracing.control.streams import Sink, Stream, run
from tracejit.tracing.implements import NUMPY, READ
from tracejit.tracing.scalars import weak
from tracejit.tracing.sizes import Size, declared_range, size_of, sized
from tracejit.tracing.spans import current_span

Key = Any       # what a list is known by from attempt to attempt
NOTHING = Static(None)
SHORT = 32      # rounds of a comprehension that Python runs


class Count:
    """How long a list is, as far as tracing knows: `more` items above `base`, which is None for an empty list or the
    scope of the loop's body that is running. more: None if only the run knows."""

    __slots__ = ("base", "more")

    def __init__(self, base: Scope | None, more: AnySize | None):
        self.base, self.more = base, more


UNKNOWN = Count(None, None)


class TracedList(RunTimeList):
    """A list in a native stack. handle: i64[], the same for the same list; two of these may be one list.

    form: of every item; None before anything was put in.  shared: its handle went where tracing can't follow.
    """

    __slots__ = ("form", "handle", "key", "namespace", "shared")
    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None

    def __init__(self, namespace: Any, handle: Array, form: Schema | None, key: Key):
        self.namespace, self.handle, self.form, self.key = namespace, handle, form, key
        self.shared = False

    # What it is made of

    @property
    def types(self) -> tuple[ArrayType, ...]:
        return types_of(self.form)

    def length(self) -> Any:
        """An int, a size or a traced int."""
        known = self.known_length()
        return sized(known) if known is not None else weak(emit("stack_length", self.handle), "i")

    def known_length(self) -> AnySize | None:
        count = count_of(self)
        return count.more if count.base is None else None

    def put(self, value: Any) -> list[Array]:
        """The arrays of an item, in the types of the stack."""
        value = self.as_item(value)
        self.fit(unkept(describe(value, numbers=True)))
        for part in arrays_in(value):
            keep(part)
        return flatten(value, self.form or NOTHING)

    def as_item(self, value: Any) -> Any:
        """An item: lists in it that are changed later become native lists, others rows of which the list has copies."""
        if type(value) is tuple:
            return tuple(map(self.as_item, value))
        if type(value) is list:
            if not value or self.root_key in current().decisions.deep:
                return native_list(self.namespace, value)
            watch(self.namespace, value, partial(go_deep, self.root_key))
            return [self.as_item(v) for v in value]
        if isinstance(value, (dict, set)) or is_instance(value):
            self.give_up(f"it holds a {type(value).__name__}, which can change")
        return value

    @property
    def root_key(self) -> Key:
        """The key of the list that this one was made from."""
        return root_of(self.key)

    def fit(self, form: Schema) -> None:
        """Makes sure that items of `form` can be held: from the next attempt on if they can't yet."""
        try:
            joined = form if self.form is None else join(self.form, form)
        except JoinError:
            self.give_up(f"it holds {self.form} and {form}")
        if late := sorted({s for t in types_of(joined) for s in current().late_symbols(size_product(t))}):
            self.give_up(f"it holds arrays whose size only the run knows ({', '.join(late)})")
        if joined != self.form:
            current().decisions.growing[self.key] = joined
            raise Restart

    def item(self, index: Array) -> Any:
        """The item at a traced index, which is in range."""
        found = emit("stack_get", self.handle, index, types=self.types)
        return self.made(found)

    def made(self, found: Any) -> Any:
        value = build(self.form or NOTHING, iter(found if isinstance(found, tuple) else (found,)))
        for part in arrays_in(value):
            keep(part)
        for row in lists_in(value):
            watch(self.namespace, row, partial(go_deep, self.root_key))
        return value

    def position(self, index: Any, message: str) -> Array:
        """An index as i64[], from the front; IndexError where it is outside."""
        length, known = self.length(), size_of(index)
        if type(known) is int and type(length) is int:
            if not -length <= known < length:
                raise IndexError(message)
            return constant(known % length, I64)
        n = convert(lift(length), I64)
        if type(known) is int:
            need = known + 1 if known >= 0 else -known
            assert_(emit("compare", n, constant(need, I64), direction="GE"), "IndexError", message)
            return constant(known, I64) if known >= 0 else emit("add", n, constant(known, I64))
        i = convert(lift(index), I64)
        if is_in_range(i, length):
            return i
        i = emit("select", emit("compare", i, constant(0, I64), direction="LT"), emit("add", i, n), i)
        inside = emit("and", emit("compare", i, constant(0, I64), direction="GE"),
                      emit("compare", i, n, direction="LT"))
        assert_(inside, "IndexError", message)
        return i

    # Reading

    def at(self, index: Any) -> Any:
        return self.item(convert(lift(index), I64))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            columns = [NUMPY[READ](column, index) for column in self.columns()]
            return self.new("part", columns, columns[0].type.shape[0]) if columns else self.give_up("a slice of it is taken")
        return self.item(self.position(index, "list index out of range"))

    def new(self, kind: str, columns: Sequence[Array], count: AnySize | None) -> TracedList:
        """Another list, of the items in `columns`."""
        made = make(self.namespace, (kind, current_span(3), self.key), self.form)
        made.fit(self.form or NOTHING)
        made.extend_columns(columns, count)
        return made

    def columns(self) -> tuple[Array, ...]:
        """Its items now, an array for each leaf of their form."""
        size = self.known_length()
        if size is None:
            size = run_time_size(emit("stack_length", self.handle))
        return tuple([emit("stack_array", self.handle, constant(0, I64), field=k, types=self.types,
                           type=ArrayType(t.dtype, (size, *t.shape))) for k, t in enumerate(self.types)])

    def rows(self) -> Rows:
        """What leaves the function."""
        if holds_lists(self.form):
            self.give_up("lists in it grow too, and it leaves the function")
        columns, known = self.columns(), self.known_length()
        length = emit("stack_length", self.handle) if known is None else convert(lift(sized(known)), I64)
        return Rows(length, self.form or NOTHING, columns)

    def array(self) -> Array:
        """What `np.array` makes of it."""
        if not self.types or holds_lists(self.form):
            self.give_up("it is used as an array")
        found = iter(self.columns())
        return _stacked(self.form, found)

    def __iter__(self) -> Iterator[Any]:
        length = self.known_length()
        if type(length) is not int:
            self.give_up("Python's own code runs over it")
        return iter([self.item(constant(k, I64)) for k in range(length)])    # type: ignore[arg-type]

    def __len__(self) -> int:
        length = self.known_length()
        if length is None:
            self.give_up("Python needs its length while tracing")
        return int(sized(length))

    def __bool__(self) -> bool:
        return bool(self.length() != 0)

    def __eq__(self, other: object) -> Any:
        if isinstance(other, (list, TracedList)):
            return self.equals(other)
        return False

    def equals(self, other: Any) -> Any:
        if isinstance(other, list) and not other:
            return self.length() == 0
        self.give_up("it is compared with another list")

    # Changing

    def append(self, value: Any) -> None:
        emit("stack_push", self.handle, *self.put(value))
        add_to_count(self, 1)

    def extend(self, values: Any) -> None:
        if isinstance(values, TracedList) and values.form == self.form:
            self.extend_columns(values.columns(), values.known_length())
        elif isinstance(values, (list, tuple)):
            for value in values:
                self.append(value)
        else:
            run(self.namespace, values, Sink(self.append, {}))

    def extend_columns(self, columns: Sequence[Array], count: AnySize | None) -> None:
        if not columns:
            self.give_up("it has no items to copy")
        size = columns[0].type.shape[0]
        emit("stack_extend", self.handle, convert(lift(sized(size)), I64), *columns)
        add_to_count(self, count)

    def __iadd__(self, values: Any) -> TracedList:
        self.extend(values)
        return self

    def __add__(self, other: Any) -> Any:
        made = self.copy()
        made.extend(other)
        return made

    def __radd__(self, other: Any) -> Any:
        made = make(self.namespace, ("sum", current_span(2), self.key), self.form)
        made.extend(other)
        made.extend(self)
        return made

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            self.give_up("a slice of it is assigned to")
        arrays = self.put(value)
        emit("stack_set", self.handle, self.position(index, "list assignment index out of range"), *arrays)

    def __delitem__(self, index: Any) -> None:
        if isinstance(index, slice):
            self.give_up("a slice of it is deleted")
        self.take(index, "list assignment index out of range")

    def pop(self, index: Any = -1) -> Any:
        if type(index) is int and index == -1:
            known = self.known_length()
            if known is None:
                length = emit("stack_length", self.handle)
                assert_(emit("compare", length, constant(0, I64), direction="GT"), "IndexError", "pop from empty list")
            elif type(known) is int and not known:
                raise IndexError("pop from empty list")
            found = emit("stack_pop", self.handle, types=self.types)
            add_to_count(self, -1)
            return self.made(found)
        return self.take(index, "pop index out of range")

    def take(self, index: Any, message: str) -> Any:
        at = self.position(index, message)
        found = emit("stack_remove", self.handle, at, types=self.types)
        add_to_count(self, -1)
        return self.made(found)

    def insert(self, index: Any, value: Any) -> None:
        arrays, n = self.put(value), convert(lift(self.length()), I64)
        zero, i = constant(0, I64), convert(lift(index), I64)
        i = emit("select", emit("compare", i, zero, direction="LT"), emit("add", i, n), i)
        emit("stack_insert", self.handle, emit("minimum", emit("maximum", i, zero), n), *arrays)
        add_to_count(self, 1)

    def clear(self) -> None:
        emit("stack_truncate", self.handle, constant(0, I64))
        set_count(self, Count(None, 0))

    def copy(self) -> TracedList:
        return self.new("copy", self.columns(), self.known_length()) if self.types else self.give_up("it is copied")

    def reverse(self) -> None:
        self.replace([NUMPY[READ](c, slice(None, None, -1)) for c in self.columns()])

    def replace(self, columns: Sequence[Array]) -> None:
        """Other items, as many as there are."""
        emit("stack_truncate", self.handle, constant(0, I64))
        size = columns[0].type.shape[0]
        emit("stack_extend", self.handle, convert(lift(sized(size)), I64), *columns)

    # What can't be done

    def give_up(self, why: str) -> NoReturn:
        """From the next attempt on it is Python's own list; UnsupportedError if that was tried already."""
        fix_list(self.key, why)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not hasattr(list, name):
            raise AttributeError(f"'list' object has no attribute {name!r}")
        self.give_up(f"list.{name} is used")


@dataclass(frozen=True, slots=True)
class Meta:
    """What lists that become one of several have in common: the form of their items."""

    form: Schema | None
    key: Key = field(compare=False)
    namespace: Any = field(compare=False, repr=False)

    def unite(self, other: Meta) -> None:
        """From the next attempt on the items of both have one form. Raises JoinError if there is none."""
        known = [f for f in (self.form, other.form) if f is not None]
        joined = known[0] if len(known) == 1 else join(known[0], known[1])
        current().decisions.growing.update({self.key: joined, other.key: joined})
        raise Restart


def _taken_apart(value: TracedList) -> tuple[Sequence[Any], Meta]:
    """Its handle is on the way into a region's results or into another list."""
    value.shared = True
    return (value.handle,), Meta(value.form, value.key, value.namespace)


def _put_together(meta: Meta, children: Sequence[Any]) -> TracedList:
    made = TracedList(meta.namespace, children[0], meta.form, meta.key)
    made.shared = True
    return made


register_node(TracedList, _taken_apart, _put_together)
TRACED_LIKE[TracedList] = TracedList.array


# ---- making them -----------------------------------------------------------------------------------------------


def make(namespace: Any, key: Key, form: Schema | None) -> TracedList:
    """An empty list, of items of the form that earlier attempts found."""
    decided = current().decisions.growing.get(key)
    form = resolved(form if decided is None else decided)
    made = TracedList(namespace, emit("stack_new", types=types_of(form)), form, key)
    set_count(made, Count(None, 0))
    return made


def displayed(namespace: Any, items: list[Any], times: Any) -> Any:
    """A list display of converted code, `items * times`."""
    key = "display", current_span(3)
    if type(times) is int:
        return started(namespace, key, items * times if times != 1 else items)
    if type(times) not in (Array, Size) or type(times) is Array and not times.is_scalar:
        return items * times
    return repeated(namespace, key, items, times)


def repeated(namespace: Any, key: Key, items: list[Any], times: Any) -> TracedList:
    """`items * times` for a traced number of times."""
    decisions = current().decisions
    if key in decisions.fixed:
        fix_list(key, decisions.fixed[key])
    made = make(namespace, key, None)
    for _ in range(1 if len(items) == 1 else 0):
        arrays = made.put(items[0])
        count = known_size(times)
        made.extend_columns([broadcast_rows(a, count) for a in arrays], count)
    if len(items) > 1:
        namespace.each(traced_range(times), lambda _, emit_: made.extend(items), Sink(made.append, {}))
    return made


def broadcast_rows(row: Array, count: AnySize) -> Array:
    shape = (count, *row.type.shape)
    made: Array = emit("broadcast_in_dim", row, shape=shape, dims=tuple(range(1, len(shape))))
    return made


def known_size(number: Any) -> AnySize:
    """A number that is not negative, as a size; 0 for a negative one."""
    size = size_of(number)
    if size is not None:
        return max(size, 0) if type(size) is int else size
    return run_time_size(emit("maximum", convert(lift(number), I64), constant(0, I64)))


def started(namespace: Any, key: Key, items: list[Any]) -> Any:
    """A list with these items, which may grow."""
    decisions = current().decisions
    if key not in decisions.growing or key in decisions.fixed:
        namespace.plain_lists[id(items)] = items, key
        return items
    made = make(namespace, key, None)
    made.extend(items)
    return made


def grow(namespace: Any, container: Any, items: Iterable[Any]) -> None:
    """A region changes how long a list is: from the next attempt on it grows. Returns if it can't."""
    if not isinstance(container, list):
        return
    key = key_of(namespace, container)
    if key is None or key in current().decisions.fixed:
        return
    try:
        current().decisions.growing[key] = form_of(items)
    except JoinError:
        return
    raise Restart


def key_of(namespace: Any, one: list[Any]) -> Key | None:
    """What a plain list is known by; None where tracing did not see it made."""
    known = namespace.plain_lists.get(id(one))
    argument = namespace.reader.containers.get(id(one))
    return known[1] if known is not None else ("argument", argument.path) if argument is not None else None


def argument(namespace: Any, path: str, items: Any) -> Any:
    """A list of the caller, as the trace sees it."""
    key, decisions = ("argument", path), current().decisions
    if type(items) is not list or key not in decisions.growing or key in decisions.fixed:
        return items
    with inside(current().root):
        made = make(namespace, key, None)
        made.extend(items)
    return made


def form_of(items: Iterable[Any]) -> Schema | None:
    """The form that holds all items; None for none. Raises JoinError."""
    form: Schema | None = None
    for item in items:
        now = unkept(describe(item, numbers=True))
        form = now if form is None else join(form, now)
    return form


def comprehension(namespace: Any, iterable: Any, body: Callable[[Any, Any], None]) -> Any:
    """`[... for item in iterable]`: in a native loop, unless it is short."""
    key = "comprehension", current_span(3)
    found, scope = started(namespace, key, []), current().scope

    def take(element: Any) -> None:
        if current().scope is not scope and type(found) is list:
            note_comprehension(key, element)
        found.append(element)

    emit_, source = Sink(take, {}), iteration_of(iterable)
    rounds = source.length if source is not None else 0
    if type(iterable) is Stream or type(rounds) is not int or rounds > SHORT:
        run_rounds(namespace, iterable, body, emit_)
    else:
        for item in iterable:
            body(item, emit_)
    return found


def run_rounds(namespace: Any, iterable: Any, body: Callable[[Any, Any], None], emit_: Sink) -> None:
    if type(iterable) is Stream:
        iterable.run(emit_.before(lambda item: body(item, emit_)))
    else:
        namespace.each(iterable, body, emit_)


def note_comprehension(key: Key, element: Any) -> None:
    """A region of a comprehension makes an element: its list grows, if it may."""
    decisions = current().decisions
    if key in decisions.fixed:
        fix_list(key, decisions.fixed[key])
    decisions.growing[key] = None if lists_in(element) else unkept(describe(element, numbers=True))
    raise Restart


def root_of(key: Key) -> Key:
    """The key of the list that a list was made from, of the list itself."""
    while key[0] in ("part", "sum", "copy"):
        key = key[2]
    return key


def native_list(namespace: Any, items: list[Any]) -> TracedList:
    """A list that is put into a native list, as a native list."""
    known = namespace.plain_lists.get(id(items))
    if known is not None and known[1] not in current().decisions.fixed:
        current().decisions.growing[known[1]] = form_of(items)
        raise Restart
    made = make(namespace, ("item", current_span(3)), None)
    made.extend(items)
    watch(namespace, items, lambda: None)
    return made


def watch(namespace: Any, one: list[Any], decide: Callable[[], None]) -> None:
    """A plain list of which there are copies now. If it is changed all the same, `decide` starts another attempt."""
    namespace.watched.append((one, list(one), decide))


def check_watched(namespace: Any) -> None:
    """Lists of which there are copies must stay as they are."""
    for one, copy, decide in namespace.watched:
        if len(one) != len(copy) or not all(a is b for a, b in zip(one, copy, strict=True)):
            decide()
            raise MutationError(
                "a list is changed that was put into a list which grows in a loop, or chosen at run time",
                span=current_span(2), why="only the run knows which list that is", fix="copy it first: list(x)")


def go_deep(key: Key) -> None:
    """From the next attempt on, the lists in a growing list are native too."""
    decisions = current().decisions
    if key in decisions.deep:
        return
    decisions.deep.add(key)
    for other in [k for k in decisions.growing if root_of(k) == key]:
        decisions.growing[other] = None
    raise Restart


def watch_joined(namespace: Any, made: Any, values: Sequence[Any]) -> None:
    """A list that is one of several, chosen at run time: if one is changed after that, all are native."""
    for one in [made, *values] if type(made) is list and type(values[0]) is list else ():
        watch(namespace, one, partial(grow_all, namespace, values))


def grow_all(namespace: Any, values: Sequence[Any]) -> None:
    """Values of one variable on several ways: from the next attempt on, lists among them are native. Returns if they
    can't be."""
    found = [v for v in values if type(v) is list and (key := key_of(namespace, v)) is not None
             and key not in current().decisions.fixed]
    forms = [v.form for v in values if type(v) is TracedList and v.form is not None]
    try:
        form = form_of([item for one in found for item in one])
        for other in forms:
            form = other if form is None else join(form, other)
    except JoinError:
        return
    for one in found:
        current().decisions.growing[key_of(namespace, one)] = form
    if found:
        raise Restart


def fix_list(key: Key, why: str) -> NoReturn:
    decisions, key = current().decisions, root_of(key)
    if key in decisions.fixed:
        raise UnsupportedError(
            f"a list that grows in a loop can't be compiled: {decisions.fixed[key]}", span=current_span(2),
            why="its length and items are known only at run time",
            fix="write to an array that was made before the loop, or make the number of rounds static")
    decisions.fixed[key] = why
    raise Restart


# ---- forms -----------------------------------------------------------------------------------------------------


def types_of(form: Schema | None) -> tuple[ArrayType, ...]:
    return tuple([leaf.type for leaf in leaves(form)]) if form is not None else ()


def size_product(type: ArrayType) -> AnySize:
    total: AnySize = 0
    for n in type.shape:
        total = total + n
    return total


def resolved(form: Schema | None) -> Schema | None:
    """A form of an earlier attempt, with sizes as they are now."""
    if form is None:
        return None
    resolve = current().decisions.resolve
    if isinstance(form, Leaf):
        return replace(form, type=ArrayType(form.type.dtype, tuple([resolve(n) for n in form.type.shape])))
    if isinstance(form, Tree):
        meta = form.meta
        if type(meta) is Meta:
            meta = replace(meta, form=resolved(current().decisions.growing.get(meta.key, meta.form)))
        return replace(form, meta=meta, children=tuple([resolved(c) for c in form.children]))
    if isinstance(form, Perhaps):
        return replace(form, inner=resolved(form.inner))
    return form


def unkept(form: Schema) -> Schema:
    """The form of items, whatever became of the arrays that they were."""
    if isinstance(form, Leaf):
        return replace(form, kept=False) if form.kept else form
    if isinstance(form, Tree):
        return replace(form, children=tuple(map(unkept, form.children)))
    return form


def holds_lists(form: Schema | None) -> bool:
    return isinstance(form, Tree) and (form.cls is TracedList or any(map(holds_lists, form.children)))


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


def _stacked(form: Schema | None, columns: Iterator[Array]) -> Array:
    """np.array of items of `form`: trees become axes."""
    import numpy as np
    if isinstance(form, Tree) and form.cls in (list, tuple):
        parts = [_stacked(child, columns) for child in form.children]
        made: Array = NUMPY[np.stack](parts, axis=1)
        return made
    return next(columns)


def run_time_size(count: Array) -> AnySize:
    """A size with the value of `count`, known from here on."""
    context = current()
    name = context.fresh_dim()
    size = context.decisions.resolve(Dim.symbol(name))
    if size == Dim.symbol(name):
        emit("bind_dim", count, dim=name)
        return size
    expected = convert(lift(sized(size)), I64)
    assert_(emit("compare", count, expected, direction="EQ"), "ValueError",
            "operands could not be broadcast together with shapes ({0},) ({1},)", expected, count)
    return size


# ---- lengths that tracing knows --------------------------------------------------------------------------------


def count_of(one: TracedList) -> Count:
    found: Count | None = current().scope.fact(("count", id(one)))
    return UNKNOWN if found is None or one.shared else found


def set_count(one: TracedList, count: Count) -> None:
    facts = current().scope.facts
    facts["count", id(one)], facts["list", id(one)] = count, one


def add_to_count(one: TracedList, more: AnySize | None) -> None:
    now = count_of(one)
    set_count(one, UNKNOWN if more is None or now.more is None else Count(now.base, now.more + more))


def is_in_range(index: Array, length: Any) -> bool:
    """Whether an index is the counter of a loop over as many rounds."""
    found = declared_range(index.value)
    return found is not None and type(found.lower) is int and found.lower >= 0 and found.step > 0 and (
        type(found.upper) is type(length) and type(length) in (int, Size) and bool(found.upper == length))


def follow_lists(namespace: Any, changes: Iterable[Any], world: Any) -> None:
    """A region was traced: lists whose length it changed grow in native code, from the next attempt on."""
    check_watched(namespace)
    for place in changes:
        if place.kind == "content" and isinstance(place.holder, list):
            before = world.containers[place.key][1]
            if len(before) != len(place.holder):
                grow(namespace, place.holder, [*before, *place.holder])


class LiveList(Iteration):
    """A list whose length changes while a loop runs over it."""

    __slots__ = ("source",)

    def __init__(self, source: TracedList):
        self.source, self.item, self.once = source, source.at, None

    @property
    def length(self) -> Any:    # type: ignore[override]
        return self.source.length()


def changes_lengths(graph: Graph) -> bool:
    """Whether a loop's body changes the length of a stack that it did not make itself."""
    own = {v for node in graph.nodes if node.op.name == "stack_new" for v in node.results}
    for node in graph.nodes:
        if node.op.name in CHANGING and node.operands[0] not in own:
            return True
        if any(changes_lengths(region) for _, region in node.regions()):
            return True
    return False


def as_test(value: Any) -> Any:
    """What decides whether a loop goes on: of a list, whether there is something in it."""
    return value.length() != 0 if isinstance(value, RunTimeList) else value


def refuse_kept_write() -> NoReturn:
    raise MutationError(
        "an array that is in a list which grows in a loop is changed in the next round", span=current_span(2),
        why="the list has a copy of it, plain Python the array itself", fix="append a copy: l.append(x.copy())")


def after_branches(scopes: Sequence[Scope]) -> None:
    """Lengths that are the same after each branch that is run to its end."""
    lists = {key: one for scope in scopes for key, one in counted_lists(scope).items()}
    for key, one in lists.items():
        ends = [scope.fact(("count", key)) for scope in scopes]
        first = ends[0]
        if all(end.more is not None and end.base is first.base and end.more == first.more for end in ends):
            set_count(one, first)


def forget_counts(scopes: Sequence[Scope]) -> None:
    """Lists that regions changed are of unknown length after them."""
    for scope in scopes:
        for one in counted_lists(scope).values():
            set_count(one, UNKNOWN)


def counted_lists(scope: Scope) -> dict[int, TracedList]:
    """Lists from outside whose length changed in a region."""
    assert scope.parent is not None
    return {key[1]: one for key, one in scope.facts.items() if isinstance(key, tuple) and key[0] == "list"
            and scope.parent.fact(key) is not None}


def begin_round(scope: Scope, changing: dict[int, TracedList], counted: bool) -> None:
    """In the body of a loop, lengths of lists that rounds change count from the beginning of the round; in a loop whose
    test may ask for lengths those of all lists do."""
    outer, lists = scope.parent, dict(changing)
    while outer is not None and not counted:
        lists |= {key[1]: one for key, one in outer.facts.items() if isinstance(key, tuple) and key[0] == "list"}
        outer = outer.parent
    for key in lists:
        scope.facts["count", key] = Count(scope, 0)


def after_loop(body: Scope, changing: dict[int, TracedList], before: dict[int, Count], trips: AnySize | None) -> None:
    """Lengths after a loop of so many rounds."""
    for key, one in changing.items():
        start, end = before[key], body.facts["count", key]
        if one.shared or trips is None or start.more is None or end.more is None or end.base is not body \
                or current().late_symbols(end.more):
            set_count(one, UNKNOWN)
        else:
            set_count(one, Count(start.base, start.more + end.more * trips))
