"""The namespace of plain Python: converted functions run on NumPy with the results of the original.

Flows in:  the operators' operands.
Flows out: what Python itself would do; functions that are called are converted as well. Base class of other namespaces.
"""
from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from tracejit.autograph import load, policy
from tracejit.autograph.codes import is_thunk
from tracejit.autograph.frames import user_frame
from tracejit.autograph.namespace import Handler, Scope
from tracejit.autograph.patterns import Match, Pattern
from tracejit.base.errors import SourceUnavailableError

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "is": operator.is_, "is not": operator.is_not,
    "in": lambda left, right: left in right, "not in": lambda left, right: left not in right}

CONVERSIONS: dict[str, Callable[[Any], Any]] = {"": lambda value: value, "r": repr, "s": str, "a": ascii}


class PlainNamespace:
    """Implements `Namespace`. packages: installed packages whose code counts as the user's."""

    slice = slice

    def __init__(self, packages: frozenset[str] = policy.NO_PACKAGES) -> None:
        self.packages = packages

    def converted(self, function: FunctionType) -> Callable[..., Any]:
        """`function` with this namespace; as it is if its source can't be read."""
        try:
            return load.convert_function(function, self)
        except SourceUnavailableError:
            return function

    def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        callee = policy.resolve(fn, self.packages)
        if callee is not None:
            return self.converted(callee.function)(*callee.args, *args, **{**callee.kwargs, **kwargs})
        if isinstance(fn, type) and (init := policy.constructor(fn, self.packages)) is not None:
            return self.construct(fn, init, args, kwargs)
        if _is_higher_order(fn):
            args = tuple(map(self.convert_argument, args))
            kwargs = {name: self.convert_argument(value) for name, value in kwargs.items()}
        return fn(*args, **kwargs)

    def construct(self, cls: type, init: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`cls(*args, **kwargs)` with a converted `__init__`."""
        made: Any = cls.__new__(cls, *args, **kwargs) if issubclass(cls, BaseException) else object.__new__(cls)
        self.converted(init)(made, *args, **kwargs)
        return made

    def convert_argument(self, value: Any) -> Any:
        """A function that a builtin like `map` will call."""
        callee = policy.resolve(value, self.packages) if callable(value) else None
        if callee is None:
            return value
        function = self.converted(callee.function)
        if not callee.args and not callee.kwargs:
            return function
        return lambda *args, **kwargs: function(*callee.args, *args, **{**callee.kwargs, **kwargs})

    def frame_function(self, fn: Any, /) -> Any:
        return fn

    def user_names(self, names: Any, /) -> Any:
        kept = [name for name in names if "!" not in name]
        return {name: names[name] for name in kept} if isinstance(names, dict) else kept

    def load_global(self, scope: Scope, name: str, /) -> Any:
        if name in scope.globals:
            return scope.globals[name]
        if name in scope.builtins:
            return scope.builtins[name]
        raise NameError(f"name {name!r} is not defined", name=name)

    def store_global(self, scope: Scope, name: str, value: Any, /) -> Any:
        scope.globals[name] = value
        return value

    def delete_global(self, scope: Scope, name: str, /) -> None:
        if name not in scope.globals:
            raise NameError(f"name {name!r} is not defined", name=name)
        del scope.globals[name]

    def load_free(self, scope: Scope, name: str, /) -> Any:
        try:
            return scope.cells[name].cell_contents
        except ValueError:
            raise NameError(f"cannot access free variable {name!r} where it is not associated with a value in "
                            "enclosing scope", name=name) from None

    def store_free(self, scope: Scope, name: str, value: Any, /) -> Any:
        scope.cells[name].cell_contents = value
        return value

    def delete_free(self, scope: Scope, name: str, /) -> None:
        self.load_free(scope, name)
        del scope.cells[name].cell_contents

    def load_attribute(self, obj: Any, name: str, /) -> Any:
        getter = policy.property_getter(obj, name, self.packages)
        return getattr(obj, name) if getter is None else self.converted(getter)(obj)

    def store_attribute(self, value: Any, obj: Any, name: str, /) -> None:
        setter = policy.property_setter(obj, name, self.packages)
        if setter is None:
            setattr(obj, name, value)
        else:
            self.converted(setter)(obj, value)

    def delete_attribute(self, obj: Any, name: str, /) -> None:
        delattr(obj, name)

    def load_item(self, obj: Any, index: Any, /) -> Any:
        return obj[index]

    def store_item(self, value: Any, obj: Any, index: Any, /) -> None:
        obj[index] = value

    def delete_item(self, obj: Any, index: Any, /) -> None:
        del obj[index]

    def condition(self, value: Any, /) -> bool:
        return bool(value)

    def not_(self, value: Any, /) -> Any:
        return not self.condition(value)

    def and_(self, first: Any, /, *rest: Callable[[], Any]) -> Any:
        for following in rest:
            if not self.condition(first):
                return first
            first = evaluate(following)
        return first

    def or_(self, first: Any, /, *rest: Callable[[], Any]) -> Any:
        for following in rest:
            if self.condition(first):
                return first
            first = evaluate(following)
        return first

    def compare(self, signs: tuple[str, ...], left: Any, right: Any, /, *rest: Callable[[], Any]) -> Any:
        result = COMPARISONS[signs[0]](left, right)
        for sign, following in zip(signs[1:], rest, strict=True):
            if not self.condition(result):
                return result
            left, right = right, evaluate(following)
            result = COMPARISONS[sign](left, right)
        return result

    def if_expression(self, test: Any, body: Callable[[], Any], orelse: Callable[[], Any], /) -> Any:
        return evaluate(body if self.condition(test) else orelse)

    def assert_(self, test: Any, message: Callable[[], Any] | None = None, /) -> None:
        if not self.condition(test):
            raise AssertionError(*(() if message is None else (evaluate(message),)))

    # Statements

    def if_(self, test: Any, body: Callable[[], None], orelse: Callable[[], None] | None, names: tuple[str, ...],
            /) -> None:
        block = body if self.condition(test) else orelse
        if block is not None:
            try:    # as `evaluate`, without a frame of its own: blocks may be nested deeply
                block()
                return
            except NameError as error:
                failure = as_local(error)
            raise failure

    def while_(self, test: Callable[[], Any], body: Callable[[], None], names: tuple[str, ...], /) -> None:
        while self.condition(evaluate(test)):
            evaluate(body)

    def for_(self, iterable: Any, body: Callable[[Any], None], go_on: Callable[[], Any] | None,
             names: tuple[str, ...], /) -> None:
        for item in iterable:
            evaluate(body, item)
            if go_on is not None and not self.condition(evaluate(go_on)):
                break

    def try_(self, body: Callable[[], None], handlers: tuple[Handler, ...], orelse: Callable[[], None] | None,
             final: Callable[[], Any] | None, names: tuple[str, ...], taken: tuple[str, ...], /) -> None:
        try:
            try:
                evaluate(body)
            except BaseException as error:
                handler = handler_of(error, handlers)
                if handler is None:
                    raise
                evaluate(handler, error)
            else:
                if orelse is not None:
                    evaluate(orelse)
        except BaseException:
            if final is None or not self.condition(evaluate(final)):
                raise
        else:
            if final is not None:
                evaluate(final)

    def with_(self, manager: Any, body: Callable[[Any], None], names: tuple[str, ...], /) -> None:
        with manager as value:
            evaluate(body, value)

    def raise_(self, make_error: Callable[[], Any] | None, make_cause: Callable[[], Any] | None, /) -> None:
        if make_error is None:
            raise    # noqa: PLE0704
        error = evaluate(make_error)
        if make_cause is None:
            raise error
        raise error from evaluate(make_cause)

    def comprehension(self, kind: str, iterable: Any, body: Callable[[Any, Callable[[Any], Any]], None],
                      one_by_one: Callable[[Any], Any] | None = None, /) -> Any:
        if one_by_one is not None:
            return one_by_one(iterable)
        if kind == "generator":
            return elements(iter(iterable), body)
        found: list[Any] = []
        for item in iterable:
            evaluate(body, item, found.append)
        return found if kind == "list" else set(found) if kind == "set" else dict(found)

    def each(self, iterable: Any, body: Callable[[Any, Callable[[Any], Any]], None], emit: Callable[[Any], Any],
             /) -> None:
        for item in iterable:
            evaluate(body, item, emit)

    def when(self, test: Any, body: Callable[[], None], emit: Callable[[Any], Any], /) -> None:
        if self.condition(test):
            evaluate(body)

    def match(self, subject: Any, pattern: Pattern, /) -> Match:
        return Match(self, subject, pattern)

    def captured(self, found: Match, name: str, /) -> Any:
        return found.captured(name)

    def where_present(self, subject: Any, holds: Callable[[Any], Any]) -> Any:
        """Whether a subject has a form that None has not."""
        return holds(subject)

    def known_present(self, subject: Any) -> Any:
        """A subject that has such a form."""
        return subject

    def list_display(self, elements: list[Any], times: Any = 1, /) -> Any:
        return elements if type(times) is int and times == 1 else elements * times

    def defined(self, value: Any, name: str, /) -> Any:
        return value

    def text(self, *parts: Any) -> Any:
        return "".join([part if isinstance(part, str) else format(CONVERSIONS[part[1]](part[0]), part[2])
                        for part in parts])


def elements(items: Iterator[Any], body: Callable[[Any, Callable[[Any], Any]], None]) -> Iterator[Any]:
    """The elements that `body` emits, computed as they are asked for."""
    for item in items:
        emitted: list[Any] = []
        evaluate(body, item, emitted.append)
        yield from emitted


def evaluate(thunk: Callable[..., Any], *args: Any) -> Any:
    """Calls a thunk for an operator. A variable without a value is local to the user, though free in the thunk."""
    try:
        return thunk(*args)
    except NameError as error:
        failure = as_local(error)
    raise failure


def as_local(error: NameError) -> NameError:
    """The error that Python raises where a piece of the user's function is no function of its own."""
    owner = _owner(error)
    if type(error) is not NameError or owner is None or error.name not in owner.co_cellvars:
        return error
    message = f"cannot access local variable {error.name!r} where it is not associated with a value"
    made = UnboundLocalError(message, name=error.name).with_traceback(error.__traceback__)
    made.__context__ = error.__context__
    return made


def _owner(error: NameError) -> CodeType | None:
    """The function of the user's whose piece failed; None if a function that it called did."""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_thunk(code) and not policy.is_internal_file(code.co_filename):
            return None
        traceback = traceback.tb_next
    frame = user_frame(sys._getframe(2))
    while frame is not None and is_thunk(frame.f_code):
        frame = user_frame(frame.f_back)
    return None if frame is None else frame.f_code


def handler_of(error: BaseException, handlers: tuple[Handler, ...]) -> Callable[[BaseException], None] | None:
    """The first handler that catches `error`. As in Python the types are evaluated one after the other."""
    for types, handler in handlers:
        if types is None or catches(evaluate(types), error):
            return handler
    return None


def catches(types: Any, error: BaseException) -> bool:
    """Whether `except types` catches `error`: by its real class, whatever classes claim."""
    every = types if isinstance(types, tuple) else (types,)
    if not all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in every):
        raise TypeError("catching classes that do not inherit from BaseException is not allowed")
    return any(cls in type(error).__mro__ for cls in every)


def _is_higher_order(fn: Any) -> bool:
    try:
        return fn in policy.HIGHER_ORDER
    except TypeError:
        return False
