"""Lists in native stacks: what a list of the user's becomes that grows in native loops.

Flows in:  what converted code does to lists.
Flows out: ops of `ops/stacks` on the handle of a `TracedList`, the same for the same list.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from tracejit.base.dims import Size as AnySize
from tracejit.base.dtypes import F64, I64
from tracejit.base.errors import UnsupportedError
from tracejit.base.trees import register_node
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import TRACED_LIKE, Array
from tracejit.tracing.building import assert_, constant, convert, emit, lift
from tracejit.tracing.context import Restart, current
from tracejit.tracing.control.columns import holds_rows, is_ordered, order_of, spelling, stacked
from tracejit.tracing.control.containers import is_instance
from tracejit.tracing.control.growth import (
    Key,
    arrays_in,
    fix_list,
    go_deep,
    grow,
    keep,
    lists_in,
    root_of,
    types_of,
    unkept,
    watch,
)
from tracejit.tracing.control.lengths import (
    UNKNOWN,
    Count,
    add_to_count,
    count_of,
    is_in_range,
    run_time_size,
    set_count,
)
from tracejit.tracing.control.list_forms import Meta, holds_lists, metas_of, resolved
from tracejit.tracing.control.rows import Rows, RunTimeList
from tracejit.tracing.control.schema import (
    JoinError,
    Leaf,
    Schema,
    Static,
    Tree,
    build,
    describe,
    flatten,
    join,
)
from tracejit.tracing.control.streams import Sink, run
from tracejit.tracing.implements import NUMPY, READ
from tracejit.tracing.scalars import weak
from tracejit.tracing.sizes import size_of, sized
from tracejit.tracing.spans import current_span
from tracejit.tracing.truth import negation

NOTHING = Static(None)
INTEGER = Leaf(ArrayType(I64), "i", "python", False)


class TracedList(RunTimeList):
    """A list in a native stack. handle: i64[], the same for the same list; two of these may be one list.

    form: of every item; None if nothing was ever put in, as far as this attempt knows.
    shared: its handle went where tracing can't follow.
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
        if self.form is None:
            return 0
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
                native_list(self.namespace, value)
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
            if holds_rows(self.form) or holds_rows(form):
                go_deep(self.root_key)
            self.give_up(f"it holds {self.form} and {form}")
        if late := sorted({s for t in types_of(joined) for n in t.shape for s in current().late_symbols(n)}):
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
        return self.checked(convert(lift(index), I64), n, length, message)

    def checked(self, i: Array, n: Array, length: Any, message: str) -> Array:
        """A traced index from the front; IndexError at run time where it is outside."""
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
            if not columns and self.form is not None:
                self.give_up("a slice of it is taken")
            return self.new("part", columns, columns[0].type.shape[0] if columns else 0)
        return self.item(self.position(index, "list index out of range"))

    def new(self, kind: str, columns: Sequence[Array], count: AnySize | None) -> TracedList:
        """Another list, of the items in `columns`."""
        made = make(self.namespace, (kind, current_span(3), self.key), self.form)
        if self.form is not None:
            made.fit(self.form)
            made.extend_columns(columns, count)
        return made

    def columns(self, length: AnySize | None = None) -> tuple[Array, ...]:
        """Its items now, an array for each leaf of their form. length: how many there are, if that is known."""
        size = self.known_length() if length is None else length
        if size is None:
            size = run_time_size(emit("stack_length", self.handle))
        return tuple([emit("stack_array", self.handle, constant(0, I64), field=k, types=self.types,
                           type=ArrayType(t.dtype, (size, *t.shape))) for k, t in enumerate(self.types)])

    def rows(self) -> Rows:
        """What leaves the function."""
        columns, known = self.ragged() if holds_lists(self.form) else self.columns(), self.known_length()
        length = emit("stack_length", self.handle) if known is None else convert(lift(sized(known)), I64)
        return Rows(length, self.form or NOTHING, columns)

    def ragged(self) -> tuple[Array, ...]:
        """Columns where items hold native lists: for each of these how many items it has, then the columns of the items
        of all, one after the other."""
        metas, found = list(metas_of(self.form)), []
        lengths = [make(self.namespace, ("lengths", current_span(3), k), INTEGER) for k in range(len(metas))]
        flat = [make(self.namespace, ("rows", (current_span(3), k), m.key), m.form) if m else None
                for k, m in enumerate(metas)]

        def take(item: Any) -> None:
            for k, one in zip([k for k, m in enumerate(metas) if m], native_lists_in(item), strict=True):
                lengths[k].append(one.length())
                flat[k].extend(one)    # type: ignore[union-attr]

        run(self.namespace, self, Sink(take, {}))
        for column, length, items in zip(self.columns(), lengths, flat, strict=True):
            rows = items.rows() if items is not None else None
            found += [column] if rows is None else [*length.columns(), *rows.columns]
        return tuple(found)

    def spelled(self) -> tuple[Array, Any, tuple[Array, ...]]:
        """What text is made of: its length, the form of its items as plain tuples, its columns."""
        rows, spelled = self.rows(), spelling(self.form or NOTHING)
        if rows is None or spelled is None:
            self.give_up("it becomes text, with lists or objects in it")
        return weak(rows.length, "i"), spelled, rows.columns

    def array(self) -> Array:
        """What `np.array` makes of it."""
        if isinstance(self.form, Tree) and self.form.cls is TracedList:
            return self.grid()
        if self.form is None:
            return constant(0, F64, (0,))
        if not self.types or holds_lists(self.form):
            self.give_up("it is used as an array")
        found = iter(self.columns())
        return stacked(self.form, found)

    def grid(self) -> Array:
        """Lists of one length as rows of an array; ValueError where they differ, or where there is none."""
        some = emit("compare", emit("stack_length", self.handle), constant(0, I64), direction="GT")
        assert_(some, "ValueError", "an array of no lists: only the run knows that, so its shape would be (0, 0)")
        first = self.item(constant(0, I64))
        width = run_time_size(emit("stack_length", first.handle))
        flat = make(self.namespace, ("rows", current_span(3), first.key), first.form)

        def take(row: TracedList) -> None:
            same = emit("compare", emit("stack_length", row.handle), convert(lift(sized(width)), I64), direction="EQ")
            assert_(same, "ValueError", "setting an array element with a sequence. The requested array has an "
                    "inhomogeneous shape after 1 dimensions.")
            flat.extend_columns(row.columns(width), width)

        run(self.namespace, self, Sink(take, {}))
        known = self.known_length()
        height = run_time_size(emit("stack_length", self.handle)) if known is None else known
        found = stacked(flat.form, iter(flat.columns(height * width)))
        made: Array = emit("reshape", found, shape=(height, width, *found.type.shape[1:]))
        return made

    def __iter__(self) -> Iterator[Any]:
        length = self.known_length()
        if type(length) is not int:
            self.give_up("Python's own code runs over it")
        return iter([self.item(constant(k, I64)) for k in range(length)])

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

    def __ne__(self, other: object) -> Any:
        equal = self == other
        return negation(equal) if type(equal) is Array else not equal

    def __lt__(self, other: object) -> Any:
        self.give_up("it is compared with another list by order")

    __le__ = __gt__ = __ge__ = __lt__

    def equals(self, other: Any) -> Any:
        if isinstance(other, list) and not other:
            return self.length() == 0
        if isinstance(other, list):
            items, other = other, make(self.namespace, ("sum", current_span(3), self.key), self.form)
            other.extend(items)
        if None in (self.form, other.form):
            return self.length() == other.length()
        if not self.holds_numbers() or not other.holds_numbers():
            self.give_up("it is compared with another list")
        mine, others = (emit("stack_length", one.handle) for one in (self, other))
        common = run_time_size(emit("minimum", mine, others))
        same = NUMPY[np.all](NUMPY[np.equal](self.columns(common)[0], other.columns(common)[0]))
        return weak(emit("and", emit("compare", mine, others, direction="EQ"), convert(same, "bool")), "b")

    # Changing

    def append(self, value: Any) -> None:
        emit("stack_push", self.handle, *self.put(value))
        add_to_count(self, 1)

    def extend(self, values: Any) -> None:
        if isinstance(values, TracedList) and values.form is None:
            return
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
        """Python asks for this in `other += self` too, which changes `other`."""
        grow(self.namespace, other, other)
        made = make(self.namespace, ("sum", current_span(2), self.key), self.form)
        made.extend(other)
        made.extend(self)
        return made

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            self.splice(index, value)
            return
        arrays = self.put(value)
        emit("stack_set", self.handle, self.position(index, "list assignment index out of range"), *arrays)

    def __delitem__(self, index: Any) -> None:
        if isinstance(index, slice):
            self.splice(index, ())
        else:
            self.take(index, "list assignment index out of range")

    def splice(self, part: slice, items: Any) -> None:
        """`self[part] = items`, for bounds that Python knows and that count from the front."""
        start, stop = 0 if part.start is None else part.start, part.stop
        if type(start) is not int or start < 0 or part.step not in (None, 1) or not (
                stop is None or type(stop) is int and stop >= 0):
            self.give_up("a slice of it is replaced whose bounds are traced, negative or have a step")
        items = items.copy() if isinstance(items, TracedList) else items
        rest = self[max(start, stop):] if stop is not None else ()
        length = emit("stack_length", self.handle)
        emit("stack_truncate", self.handle, emit("minimum", length, constant(start, I64)), types=self.types)
        set_count(self, UNKNOWN)
        self.extend(items)
        self.extend(rest)

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
        emit("stack_truncate", self.handle, constant(0, I64), types=self.types)
        set_count(self, Count(None, 0))

    def copy(self) -> TracedList:
        if self.form is not None and not self.types:
            self.give_up("it is copied")
        return self.new("copy", self.columns(), self.known_length())

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> TracedList:
        return self.copy() if not holds_lists(self.form) else self.give_up("it is copied with the lists in it")

    def __mul__(self, times: Any) -> TracedList:
        made = self.copy()
        if type(times) is not int or times < 1:
            self.give_up("it is repeated a number of times that only the run knows")
        for _ in range(times - 1):
            made.extend(self)
        return made

    __rmul__ = __mul__

    def reverse(self) -> None:
        if self.form is not None:
            self.replace([NUMPY[READ](c, slice(None, None, -1)) for c in self.columns()])

    def replace(self, columns: Sequence[Array]) -> None:
        """Other items, as many as there are."""
        emit("stack_truncate", self.handle, constant(0, I64), types=self.types)
        size = columns[0].type.shape[0]
        emit("stack_extend", self.handle, convert(lift(sized(size)), I64), *columns)

    def sort(self, *, key: Any = None, reverse: Any = False) -> None:
        """NaN has no place in an order, so it raises at run time."""
        if self.form is None:
            return
        if type(reverse) is not bool:
            self.give_up("only the run knows in which direction it is sorted")
        by = self if key is None else self.keys(key)
        if not by.types or any(t.shape or t.dtype.is_complex for t in by.types) or not is_ordered(by.form):
            self.give_up("it is sorted by something else than numbers")
        order = order_of(by.columns(), reverse)
        self.replace([NUMPY[READ](column, order) for column in self.columns()])

    def keys(self, key: Any) -> TracedList:
        """What `key` gives for each item."""
        namespace, home = self.namespace, ("keys", current_span(3), self.key)
        made = make(namespace, home, None)
        run(namespace, self, Sink(lambda item: made.append(namespace.call(key, item)), {}))
        return made

    def holds_numbers(self) -> bool:
        return isinstance(self.form, Leaf) and not self.form.type.shape

    def equal(self, value: Any) -> Array:
        """Where its items are equal to `value`."""
        if not self.holds_numbers() and self.form is not None:
            self.give_up("something else than a number is looked for in it")
        found: Array = NUMPY[np.equal](self.array(), value)
        return found

    def count(self, value: Any) -> Any:
        return weak(NUMPY[np.sum](self.equal(value)), "i")

    def index(self, value: Any, start: Any = 0, stop: Any = None) -> Any:
        if type(start) is not int or start or stop is not None:
            self.give_up("list.index is used with bounds")
        equal = self.equal(value)
        assert_(NUMPY[np.any](equal), "ValueError", "{0} is not in list", lift(value))
        rows = NUMPY[np.where](equal, NUMPY[np.arange](sized(equal.type.shape[0])), convert(lift(2**62), I64))
        return weak(NUMPY[np.min](rows), "i")

    def remove(self, value: Any) -> None:
        self.take(self.index(value), "list.remove(x): x not in list")

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


def taken_apart(value: TracedList) -> tuple[Sequence[Any], Meta]:
    """Its handle is on the way into a region's results or into another list."""
    if not value.shared:
        value.shared = True
        value.namespace.shared_lists.append(value)
    return (value.handle,), Meta(value.form, value.key, value.namespace)


def _put_together(meta: Meta, children: Sequence[Any]) -> TracedList:
    made = TracedList(meta.namespace, children[0], meta.form, meta.key)
    made.shared = True
    return made


register_node(TracedList, taken_apart, _put_together)
TRACED_LIKE[TracedList] = TracedList.array


def make(namespace: Any, key: Key, form: Schema | None, cls: type[TracedList] | None = None) -> TracedList:
    """An empty list, of items of the form that earlier attempts found."""
    decided = current().decisions.growing.get(key)
    form = resolved(form if decided is None else decided)
    made = (cls or TracedList)(namespace, emit("stack_new", types=types_of(form)), form, key)
    set_count(made, Count(None, 0))
    return made


def native_list(namespace: Any, items: list[Any]) -> NoReturn:
    """A list that is put into a native list has to be one itself: from the next attempt on."""
    grow(namespace, items, items)
    raise UnsupportedError(
        "a list is put into a list that grows in a loop, and can't grow itself", span=current_span(3),
        why="its items have different types, or code that tracing does not see made it", fix="append a copy: [*row]")


def native_lists_in(item: Any) -> Iterator[TracedList]:
    """In the order of the leaves of its form."""
    if isinstance(item, TracedList):
        yield item
    elif isinstance(item, (tuple, list)):
        for part in item:
            yield from native_lists_in(part)
