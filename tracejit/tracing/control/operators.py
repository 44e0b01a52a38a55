"""The operators of control flow while tracing: what is known runs as Python, what is traced becomes a region.

Flows in:  operators of converted code.
Flows out: Python's own meaning for Python values, `branches` and `loops` for traced ones.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tracejit.autograph.namespace import Handler
from tracejit.autograph.plain import COMPARISONS, PlainNamespace, evaluate
from tracejit.base.dtypes import I64
from tracejit.tracing.arrays import ARRAY_LIKE, Array
from tracejit.tracing.building import emit, lift
from tracejit.tracing.context import TraceContext
from tracejit.tracing.control import displays, loops, several, sharing
from tracejit.tracing.control.branches import branch, choice, known_truth
from tracejit.tracing.control.growth import grow_to_compare
from tracejit.tracing.control.lists import TracedList
from tracejit.tracing.control.managers import with_statement
from tracejit.tracing.control.optional import UNDEFINED, Optional, unwrapped
from tracejit.tracing.control.ordering import compare_sequences, is_sequence_comparison
from tracejit.tracing.control.regions import Unreachable
from tracejit.tracing.control.rows import RunTimeList
from tracejit.tracing.control.streams import Sink, Stream
from tracejit.tracing.control.trying import try_statement
from tracejit.tracing.control.world import CellFunction, World, cells_of
from tracejit.tracing.host import assert_at_run_time, made_error, raise_at_run_time
from tracejit.tracing.inputs import Reader
from tracejit.tracing.scalars import weak
from tracejit.tracing.sizes import Size
from tracejit.tracing.special_methods import user_method
from tracejit.tracing.text import TracedText
from tracejit.tracing.text import text as traced_text
from tracejit.tracing.truth import negation, truth

Thunk = Callable[[], Any]


class ControlFlow(PlainNamespace):
    """The part of the tracing namespace that statements of control flow call."""

    context: TraceContext
    reader: Reader
    stored: dict[tuple[int, str], tuple[str, Any, str, Any]]

    def known(self) -> Iterator[Any]:
        """What regions may change although no variable of theirs holds it."""
        yield from (a.tracer for a in self.reader.arrays)
        yield from (c.traced for c in self.reader.containers.values())

    def related(self, container: Any) -> list[Any]:
        """Objects that change with this one, since it may be them."""
        return several.related(self, container)

    def chosen_by(self, flag: Array, world: World, made: Any, objects: Sequence[Any]) -> bool:
        """Whether `made` stands for one of two objects from before a branch, by its test; noted if so."""
        no, yes = objects
        older = no is not yes and id(no) in world.containers and id(yes) in world.containers
        if not older or made is no or made is yes or not several.can_choose(objects):
            return False
        several.note(self, made, emit("convert", flag, dtype=I64), objects)
        return True

    def check_shared(self) -> None:
        """Objects that may be one of several must not have changed."""
        sharing.check_shared(self)

    def outside(self, key: tuple[int, str], entry: tuple[str, Any, str, Any]) -> Any:
        """What a global, cell or attribute held before it was stored: read as the user's code would."""
        raise NotImplementedError

    # Statements

    def if_(self, test: Any, body: Thunk, orelse: Thunk | None, names: Sequence[str], /) -> None:
        test = self.plain_test(test)
        if type(test) is Array:
            branch(self, test, body, orelse, names)
        elif test:
            evaluate(body)
        elif orelse is not None:
            evaluate(orelse)

    def while_(self, test: Thunk, body: Thunk, names: Sequence[str], /) -> None:
        loops.while_loop(self, test, body, names)

    def for_(self, iterable: Any, body: Callable[[Any], None], go_on: Thunk | None, names: Sequence[str], /) -> None:
        loops.for_loop(self, unwrapped(iterable), body, go_on, names)

    def comprehension(self, kind: str, iterable: Any, body: Any, one_by_one: Any = None, /) -> Any:
        if kind == "generator":
            return Stream(self, unwrapped(iterable), body, one_by_one)
        if kind == "list":
            return displays.comprehension(self, unwrapped(iterable), body)
        return super().comprehension(kind, unwrapped(iterable), body, one_by_one)

    def list_display(self, elements: list[Any], times: Any = 1, /) -> Any:
        return displays.displayed(self, elements, unwrapped(times))

    def where_present(self, subject: Any, holds: Callable[[Any], Any]) -> Any:
        if type(subject) is not Optional or subject.missing is not None:
            return holds(unwrapped(subject))
        return self.and_(self.not_(subject.is_missing()), lambda: holds(subject.value))

    def known_present(self, subject: Any) -> Any:
        return subject.value if type(subject) is Optional else subject

    def each(self, iterable: Any, body: Callable[[Any, Any], None], emit: Any, /) -> None:
        if not isinstance(emit, Sink):
            super().each(iterable, body, emit)
            return
        shared = getattr(body, "cells", {})
        round_ = CellFunction(lambda item: body(item, emit), {**cells_of(body), **emit.cells})
        loops.for_loop(self, unwrapped(iterable), round_, emit.go_on, (*shared, *emit.names))

    def when(self, test: Any, body: Thunk, emit: Any, /) -> None:
        test = self.plain_test(test)
        if type(test) is Array and isinstance(emit, Sink):
            branch(self, test, CellFunction(body, {**cells_of(body), **emit.cells}), None, emit.names)
        elif self.condition(test):
            evaluate(body)

    def try_(self, body: Thunk, handlers: tuple[Handler, ...], orelse: Thunk | None, final: Thunk | None,
             names: tuple[str, ...], taken: tuple[str, ...], /) -> None:
        try_statement(self, body, handlers, orelse, final, names, taken)

    def with_(self, manager: Any, body: Callable[[Any], None], names: tuple[str, ...], /) -> None:
        with_statement(self, unwrapped(manager), body, names)

    def raise_(self, make_error: Thunk | None, make_cause: Thunk | None = None, /) -> None:
        """Where a `try` of the same region catches it, as Python does."""
        context = self.context
        if make_error is None:
            super().raise_(make_error, make_cause)
        assert make_error is not None
        error = made_error(lambda: unwrapped(make_error()), make_cause)
        catcher = context.catcher(type(error))
        if context.scope is context.root or catcher is not None and catcher.scope is context.scope:
            raise error
        raise_at_run_time(context, error)
        raise Unreachable

    def defined(self, value: Any, name: str, /) -> Any:
        if type(value) is Optional and value.missing is UNDEFINED:
            return value.present("UnboundLocalError",
                                 f"cannot access local variable {name!r} where it is not associated with a value")
        return value

    # Truth

    def condition(self, value: Any, /) -> bool:
        return bool(unwrapped(value))

    def plain_test(self, test: Any) -> Any:
        """A test as an `Array` if only the run will tell, else as a bool."""
        test = self.as_test(test)
        if type(test) is not Array:
            return bool(test) if not isinstance(test, tuple(ARRAY_LIKE)) else test
        known = known_truth(test) if not test.type.shape else None
        return test if known is None else known

    def as_test(self, value: Any) -> Any:
        """What says whether a value is true: how long a list is, what the method of a user's object gives."""
        value = unwrapped(value)
        if type(value) is TracedText:
            return value != ""
        if type(value) is Size:
            return value != 0
        if (method := user_method(value, "__bool__")) is not None:
            return self.call(method, value)
        if (method := user_method(value, "__len__")) is not None:
            return self.call(method, value)
        return value.length() != 0 if isinstance(value, RunTimeList) else value

    def not_(self, value: Any, /) -> Any:
        value = self.plain_test(value)
        return negation(value) if type(value) is Array else not value

    def and_(self, first: Any, /, *rest: Thunk) -> Any:
        return self.connect(first, rest, True)

    def or_(self, first: Any, /, *rest: Thunk) -> Any:
        return self.connect(first, rest, False)

    def connect(self, first: Any, rest: Sequence[Thunk], is_and: bool) -> Any:
        if not rest:
            return first
        test = self.plain_test(first)
        if type(test) is not Array:
            return self.connect(evaluate(rest[0]), rest[1:], is_and) if bool(test) is is_and else first

        def following() -> Any:
            return self.connect(evaluate(rest[0]), rest[1:], is_and)

        def itself() -> Any:
            return first

        return choice(self, test, following, itself) if is_and else choice(self, test, itself, following)

    def compare(self, signs: tuple[str, ...], left: Any, right: Any, /, *rest: Thunk) -> Any:
        result = self.compare_two(signs[0], left, right)
        if not rest:
            return result
        following = rest[0]
        return self.and_(result, lambda: self.compare(signs[1:], right, evaluate(following), *rest[1:]))

    def compare_two(self, sign: str, left: Any, right: Any) -> Any:
        if sign in ("is", "is not"):
            return self.identity(left, right, sign == "is not")
        left, right = unwrapped(left), unwrapped(right)
        if sign in ("in", "not in") and (found := self.contains(right, left)) is not NotImplemented:
            return self.not_(found) if sign == "not in" else found
        if is_sequence_comparison(sign, left, right):
            return compare_sequences(self, sign, left, right)
        return COMPARISONS[sign](left, right)

    def identity(self, left: Any, right: Any, negated: bool) -> Any:
        for one, other in ((left, right), (right, left)):
            if type(one) is Optional and other is one.missing:
                flag = one.is_missing()
                return negation(flag) if negated else flag
            if type(one) is Array and one.weak == "b" and type(other) is bool:
                return one if other is not negated else negation(one)
        if isinstance(left, TracedList) and isinstance(right, TracedList) and left is not right:
            same = weak(emit("compare", left.handle, right.handle, direction="EQ"), "b")
            return negation(same) if negated else same
        if type(left) is list and type(right) is list and left is not right:
            grow_to_compare(self, left, right)
        return (left is not right) if negated else (left is right)

    def contains(self, container: Any, item: Any) -> Any:
        """`item in container` where something is traced; NotImplemented if nothing is."""
        if type(container) is Array or isinstance(container, tuple(ARRAY_LIKE)):
            import numpy as np

            from tracejit.tracing.implements import NUMPY
            return weak(NUMPY[np.any](NUMPY[np.equal](container, item)), "b")
        if isinstance(container, RunTimeList):
            return self.contains(lift(container), item)
        if (method := user_method(container, "__contains__")) is not None:
            found = self.as_test(self.call(method, container, item))
            return weak(truth(found), "b") if type(found) is Array else bool(found)
        if not isinstance(container, (list, tuple, set, frozenset, range)):
            return NotImplemented
        if isinstance(container, range):
            return in_range(self, container, item) if type(item) is Array else NotImplemented
        if not any(type(e) in (Array, TracedText) for e in (item, *container)):
            return NotImplemented
        result: Any = False
        for element in container:
            equal = element == item
            result = equal if result is False else weak(emit("or", _flag(result), _flag(equal)), "b")
        return result

    def if_expression(self, test: Any, body: Thunk, orelse: Thunk, /) -> Any:
        test = self.plain_test(test)
        if type(test) is Array:
            return choice(self, test, body, orelse)
        return evaluate(body if test else orelse)

    def assert_(self, test: Any, message: Thunk | None = None, /) -> None:
        test = self.plain_test(test)
        if type(test) is Array:
            assert_at_run_time(self.context, test, message)
        elif not self.condition(test):
            self.raise_(lambda: AssertionError(*(() if message is None else (evaluate(message),))), None)

    def text(self, *parts: Any) -> Any:
        return traced_text(*[(unwrapped(p[0]), *p[1:]) if isinstance(p, tuple) else p for p in parts])


def in_range(namespace: ControlFlow, container: range, item: Any) -> Any:
    """`item in range(...)` for a traced item."""
    low, high = (container[0], container[-1])[::1 if container.step > 0 else -1] if container else (0, -1)
    inside = namespace.and_(low <= item, lambda: item <= high)
    return namespace.and_(inside, lambda: (item - low) % abs(container.step) == 0)


def _flag(value: Any) -> Array:
    from tracejit.tracing.building import convert, lift
    return convert(lift(value), "bool")


__all__ = ["ControlFlow"]
