"""Builtins and `math` at call sites of converted code, where an argument is traced.

Flows in:  `f(namespace, *args, **kwargs)` with `f` looked up in `BUILTINS`.
Flows out: traced results; NotImplemented means: nothing is traced here, call the builtin itself.
"""
from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable
from typing import Any

from tracejit.base.errors import UnsupportedError
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import lift
from tracejit.tracing.context import current
from tracejit.tracing.control import iteration
from tracejit.tracing.control.growth import grow
from tracejit.tracing.control.lists import TracedList
from tracejit.tracing.control.queues import SEEN_AS, new_queue
from tracejit.tracing.control.rows import RunTimeList
from tracejit.tracing.control.streams import Stream, enumerated_stream, filtered, mapped_stream
from tracejit.tracing.host import print_at_run_time
from tracejit.tracing.scalars import convert_to
from tracejit.tracing.sizes import Size
from tracejit.tracing.special_methods import user_method
from tracejit.tracing.text import TracedText, call_text

BUILTINS: dict[Any, Callable[..., Any]] = {}    # written by `builtin` at import
METHODS: dict[tuple[type, str], Callable[..., Any]] = {}    # of Python's containers; written by modules at import


def builtin(*keys: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares what builtins do with traced arguments."""
    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        for key in keys:
            BUILTINS[key] = function
        return function
    return declare


_SEEN_AS: dict[type, type] = {Size: int, TracedText: str, TracedList: list, **SEEN_AS}
_TRACED = (Array, *_SEEN_AS)


def python_type(value: Any) -> type:
    """The class that plain Python would see."""
    if type(value) is Array:
        return value.python_type
    return _SEEN_AS.get(type(value), type(value))


@builtin(isinstance)
def is_instance(_: Any, value: Any, classes: Any) -> Any:
    return issubclass(python_type(value), classes) if type(value) in _TRACED else NotImplemented


@builtin(type)
def type_of(_: Any, *args: Any, **options: Any) -> Any:
    return python_type(args[0]) if len(args) == 1 and not options and type(args[0]) in _TRACED else NotImplemented


@builtin(len)
def length(namespace: Any, value: Any) -> Any:
    if type(value) is Array and value.type.shape:
        return value.shape[0]
    if isinstance(value, RunTimeList):
        return value.length()
    found = attribute_function(value, "__len__")
    return NotImplemented if found is None else namespace.call(value.__len__)


@builtin(int)
def to_int(_: Any, *args: Any) -> Any:
    if len(args) == 1 and type(args[0]) is Size:
        return args[0]
    return convert_to(args[0], "i") if len(args) == 1 and type(args[0]) is Array else NotImplemented


def _conversion(key: Any, kind: str) -> None:
    @builtin(key)
    def function(namespace: Any, *args: Any) -> Any:
        if len(args) == 1 and (method := user_method(args[0], f"__{key.__name__}__")) is not None:
            return key(made) if type(made := namespace.call(method, args[0])) is not Array else convert_to(made, kind)
        value = args[0] if len(args) == 1 else None
        if key is bool and isinstance(value, RunTimeList):
            value = value.length() != 0
            return value
        if type(value) is Size and current().hint(value.dim) is None:
            value = lift(value)
        if type(value) is not Array or value.ndim and value.size != 1:
            return NotImplemented
        return convert_to(value, kind)


_conversion(float, "f")
_conversion(bool, "b")


@builtin(print)
def run_time_print(namespace: Any, *args: Any, **options: Any) -> None:
    """At every call, as plain Python prints."""
    print_at_run_time(namespace, args, options)


@builtin(operator.not_)
def negated(namespace: Any, value: Any) -> Any:
    return namespace.not_(value)


@builtin(operator.truth)
def truth_of(namespace: Any, value: Any) -> Any:
    return namespace.not_(namespace.not_(value))


@builtin(operator.contains)
def contains(namespace: Any, container: Any, item: Any) -> Any:
    return namespace.compare_two("in", item, container)


@builtin(pow)
def power_of(_: Any, base: Any, exponent: Any, modulus: Any = None) -> Any:
    """Of three ints, all of which Python has to know."""
    if modulus is None or not any(type(v) in (Array, Size) for v in (base, exponent, modulus)):
        return NotImplemented
    return pow(*[operator.index(v) for v in (base, exponent, modulus)])


def _text_function(function: Any) -> None:
    @builtin(function)
    def traced(_: Any, *args: Any, **options: Any) -> Any:
        return call_text(function, args, options)


for _function in (str, repr, ascii, format):
    _text_function(_function)


@builtin(range)
def range_of(_: Any, *bounds: Any) -> Any:
    if not any(type(b) in (Array, Size) for b in bounds):
        return NotImplemented
    return iteration.traced_range(*bounds)


@builtin(reversed)
def reversed_of(_: Any, values: Any) -> Any:
    source = iteration.iteration_of(values)
    return NotImplemented if source is None or type(values) in (list, tuple) else iteration.reversed_iteration(source)


@builtin(enumerate)
def enumerate_of(namespace: Any, values: Any, start: Any = 0) -> Any:
    if isinstance(values, Stream):
        return enumerated_stream(namespace, values, start)
    source = iteration.iteration_of(values)
    return NotImplemented if source is None or type(values) in (list, tuple) else iteration.enumerated(source, start)


def grow_beside(namespace: Any, values: tuple[Any, ...]) -> None:
    """A loop runs over native lists and plain ones at once: then all have to be native."""
    if any(isinstance(v, RunTimeList) for v in values):
        for value in values:
            grow(namespace, value, value)


BUILTINS[deque] = new_queue


@builtin(zip)
def zip_of(namespace: Any, *values: Any, **options: Any) -> Any:
    grow_beside(namespace, values)
    sources = [iteration.iteration_of(v) for v in values]
    if options or not values or any(s is None for s in sources) or all(type(v) in (list, tuple) for v in values):
        return NotImplemented
    return iteration.zipped([s for s in sources if s is not None])


@builtin(map)
def map_of(namespace: Any, function: Any, *values: Any) -> Any:
    if len(values) == 1 and isinstance(values[0], Stream):
        return mapped_stream(namespace, lambda element: namespace.call(function, element), values[0])
    grow_beside(namespace, values)
    sources = [iteration.iteration_of(v) for v in values]
    if any(s is None for s in sources) or all(type(v) in (list, tuple) for v in values):
        return NotImplemented
    return iteration.mapped(namespace.call, function, [s for s in sources if s is not None])


@builtin(filter)
def filter_of(namespace: Any, function: Any, values: Any) -> Any:
    def keeps(element: Any) -> Any:
        return element if function is None else namespace.call(function, element)

    if not isinstance(values, Stream) and iteration.iteration_of(values) is None:
        return NotImplemented
    return filtered(namespace, keeps, values)


@builtin(getattr)
def get_attribute(namespace: Any, obj: Any, name: str, *default: Any) -> Any:
    try:
        return namespace.load_attribute(obj, name)
    except AttributeError:
        if default:
            return default[0]
        raise


@builtin(hasattr)
def has_attribute(namespace: Any, obj: Any, name: str) -> bool:
    try:
        namespace.load_attribute(obj, name)
    except (AttributeError, UnsupportedError):
        return False
    return True


@builtin(setattr)
def set_attribute(namespace: Any, obj: Any, name: str, value: Any) -> None:
    namespace.store_attribute(value, obj, name)


def attribute_function(obj: Any, name: str) -> Any:
    """The user's Python function behind a special method of `obj`, if any."""
    from tracejit.autograph import policy
    found = getattr(type(obj), name, None)
    return found if found is not None and policy.is_user_function(found) else None
