"""Builtins that take all elements of something: sum, any, all, min, max, next, sorted, list, tuple.

Flows in:  generators, `map`, `filter`, ranges, arrays: one captured loop makes their elements; lists of traced values.
Flows out: what the loop leaves in a variable; NotImplemented where plain Python does it over what is known.
"""
from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.errors import TracejitError, UnsupportedError
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, convert, emit, lift
from tracejit.tracing.builtins import METHODS, builtin
from tracejit.tracing.control.growth import grow
from tracejit.tracing.control.iteration import Iteration, iteration_of
from tracejit.tracing.control.lists import TracedList
from tracejit.tracing.control.optional import UNDEFINED, Optional
from tracejit.tracing.control.ordering import holds_traced
from tracejit.tracing.control.schema import JoinError, describe, join
from tracejit.tracing.control.streams import Sink, Stream, Variable, run
from tracejit.tracing.implements import NUMPY
from tracejit.tracing.scalars import common, weak
from tracejit.tracing.spans import current_span

_NOTHING: Any = object()


def is_looped_over(values: Any) -> bool:
    """Whether elements are made by a captured loop rather than by Python."""
    if isinstance(values, (Stream, Iteration)):
        return True
    return type(values) not in (list, tuple, range) and iteration_of(values) is not None


# sum

@builtin(sum)
def total(namespace: Any, values: Any, /, start: Any = 0) -> Any:
    if type(values) is Array and values.ndim:
        made = NUMPY[np.sum](values, axis=0)
        return made if type(start) is int and start == 0 else made + start
    if not is_looped_over(values):
        return NotImplemented
    return folded(namespace, values, operator.add, start, "the sum")


def folded(namespace: Any, values: Any, combine: Callable[[Any, Any], Any], start: Any, name: str) -> Any:
    """`combine(... combine(start, first) ..., last)`."""
    result = Variable(name, start)

    def take(element: Any) -> None:
        result.value = combine(result.value, element)

    run(namespace, values, Sink(take, result.cells))
    return result.value


# any, all

@builtin(any)
def any_of(namespace: Any, values: Any) -> Any:
    return _truth_of_all(namespace, values, np.any)


@builtin(all)
def all_of(namespace: Any, values: Any) -> Any:
    return _truth_of_all(namespace, values, np.all)


def _truth_of_all(namespace: Any, values: Any, function: Any) -> Any:
    if type(values) is Array and values.ndim == 1:
        return weak(NUMPY[function](values), "b")
    if is_looped_over(values):
        return _until(namespace, values, function is np.any)
    if not isinstance(values, (list, tuple)) or not any(type(v) is Array and v.is_scalar for v in values):
        return NotImplemented
    flags = [convert(v if type(v) is Array else bool(v), "bool") for v in values]
    result = flags[0]
    for flag in flags[1:]:
        result = emit("or" if function is np.any else "and", result, flag)
    return weak(result, "b")


def _until(namespace: Any, values: Any, wanted: bool) -> Any:
    """Whether an element's truth is `wanted`; no further element is made then. `not` of that for `all`."""
    found = Variable("the answer", not wanted)

    def take(element: Any) -> None:
        found.value = namespace.not_(namespace.not_(element))

    def go_on() -> Any:
        return namespace.not_(found.value) if wanted else found.value

    run(namespace, values, Sink(take, found.cells, go_on))
    return found.value


# min, max

@builtin(min)
def smallest(namespace: Any, *args: Any, **options: Any) -> Any:
    return _extreme(namespace, min, args, **options)


@builtin(max)
def largest(namespace: Any, *args: Any, **options: Any) -> Any:
    return _extreme(namespace, max, args, **options)


_BETTER = {min: "<", max: ">"}


def _extreme(namespace: Any, function: Any, args: tuple[Any, ...], key: Any = None, default: Any = _NOTHING) -> Any:
    """Python's choice: a later value wins only where it is strictly better."""
    if len(args) == 1 and is_looped_over(args[0]):
        if type(args[0]) is Array and key is None and args[0].ndim == 1:
            return _extreme_of_array(function, args[0])
        return _extreme_of_elements(namespace, function, args[0], key, default)
    values = list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else list(args)
    if len(values) < 2 or len(args) > 1 and default is not _NOTHING:
        return NotImplemented
    keys = values if key is None else [namespace.call(key, v) for v in values]
    if not holds_traced(keys) or any(type(k) is Array and not k.is_scalar for k in keys) or not have_one_form(values):
        return NotImplemented
    return _best(namespace, _BETTER[function], keys, values)


def _extreme_of_array(function: Any, values: Array) -> Any:
    """NaN is never better, and stays where it comes first."""
    if not values.type.dtype.is_float:
        return NUMPY[np.min if function is min else np.max](values)
    first = values[0]
    found = NUMPY[np.where](NUMPY[np.isnan](first), first, NUMPY[np.nanmin if function is min else np.nanmax](values))
    found.boxed = False
    return found


def have_one_form(values: list[Any]) -> bool:
    """Whether one of several values, chosen at run time, has a form."""
    try:
        forms = [describe(v, numbers=True) for v in values]
        functools.reduce(join, forms)
    except (JoinError, TracejitError):
        return False
    return True


def _best(namespace: Any, sign: str, keys: list[Any], values: list[Any]) -> Any:
    best_key, best = keys[0], values[0]
    for key, value in zip(keys[1:], values[1:], strict=True):
        test = namespace.compare_two(sign, key, best_key)
        best = choose(namespace, test, value, best)
        best_key = best if keys is values else choose(namespace, test, key, best_key)
    return best


def choose(namespace: Any, test: Any, x: Any, y: Any) -> Any:
    """`x if test else y`; two Python numbers give a Python number, two scalars a scalar."""
    if type(test) is not Array:
        return x if test else y
    if not all(isinstance(v, (int, float, complex, np.generic)) or type(v) is Array and v.is_scalar for v in (x, y)):
        return namespace.if_expression(test, lambda: x, lambda: y)
    left, right = lift(x), lift(y)
    if left.weak is not None and right.weak is not None:
        kind, operands = common(left, right, least="b")
        return weak(emit("select", convert(test, "bool"), *operands), kind)
    chosen = NUMPY[np.where](test, left, right)
    chosen.boxed = False    # one of the two scalars, where np.where makes an array
    return chosen


def _extreme_of_elements(namespace: Any, function: Any, values: Any, key: Any, default: Any) -> Any:
    best, best_key = Variable("the best element"), Variable("its key")

    def take(element: Any) -> None:
        measure = element if key is None else namespace.call(key, element)
        if best.value is UNDEFINED:
            best.value, best_key.value = element, measure
            return
        test = better(measure)
        best.value = choose(namespace, test, element, _held(best))
        best_key.value = best.value if key is None else choose(namespace, test, measure, _held(best_key))

    def better(measure: Any) -> Any:
        """Also where there is no best element yet."""
        test = namespace.compare_two(_BETTER[function], measure, _held(best if key is None else best_key))
        if type(best.value) is not Optional:
            return test
        return weak(emit("or", convert(lift(test), "bool"), best.value.flag), "b")

    cells = best.cells if key is None else {**best.cells, **best_key.cells}
    run(namespace, values, Sink(take, cells))
    return _or_default(namespace, best.value, function, default)


def _held(variable: Variable) -> Any:
    """The value, whatever it is where there is none."""
    value = variable.value
    return value.value if type(value) is Optional else value


def _or_default(namespace: Any, found: Any, function: Any, default: Any) -> Any:
    """What a loop found; what Python does where it found nothing."""
    if found is UNDEFINED:
        return function((), **({} if default is _NOTHING else {"default": default}))
    if type(found) is not Optional or found.missing is not UNDEFINED:
        return found
    if default is not _NOTHING:
        return namespace.if_expression(found.is_missing(), lambda: default, lambda: found.value)
    try:
        function(())
    except ValueError as error:
        return found.present("ValueError", str(error))


# next

@builtin(next)
def next_of(namespace: Any, values: Any, default: Any = _NOTHING) -> Any:
    """The first element of a generator that nobody took elements of; it can't be asked again."""
    if type(values) is not Stream or values.is_started or iteration_of(values.source) is None:
        return NotImplemented
    first, missing = Variable("the element"), Variable("whether there is none", True)

    def take(element: Any) -> None:
        first.value, missing.value = element, False

    values.take_some(Sink(take, {**first.cells, **missing.cells}, lambda: missing.value))
    if default is not _NOTHING:
        return _or_default(namespace, first.value, min, default)
    if type(first.value) is Optional:
        assert_(emit("not", first.value.flag), "StopIteration", "")
        return first.value.value
    if first.value is UNDEFINED:
        raise StopIteration
    return first.value


# list, tuple

@builtin(list)
def list_of(namespace: Any, *args: Any) -> Any:
    if len(args) != 1 or not is_looped_over(args[0]) or type(args[0]) is Array:
        return NotImplemented
    values = args[0]
    if isinstance(values, TracedList) and values.types:
        return values.copy()
    if type(values) is Stream and values.one_by_one is None:
        return namespace.comprehension("list", values.source, values.body) if values.use_up() else []
    return namespace.comprehension("list", values, lambda item, emit: emit(item))


def extend_list(namespace: Any, values: list[Any], items: Any) -> Any:
    """`values.extend(items)` of a list that must grow, if only the run knows how many items there are."""
    source = iteration_of(items) if is_looped_over(items) and type(items) is not Stream else None
    if source is not None and type(source.length) is not int:
        grow(namespace, values, values)
    return NotImplemented


METHODS[list, "extend"] = extend_list


@builtin(tuple)
def tuple_of(namespace: Any, *args: Any) -> Any:
    made = list_of(namespace, *args)
    if made is NotImplemented or type(made) is list:
        return made if made is NotImplemented else tuple(made)
    if isinstance(made, TracedList) and type(made.known_length()) is int:
        return tuple(made)
    raise UnsupportedError("this tuple has as many elements as the run finds", span=current_span(2),
                           why="tuples have a length that is known while tracing",
                           fix="make a list, or an array with a count")
