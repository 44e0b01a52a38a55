"""Text with traced values in it: f-strings, `str(x)`, `"%g" % x`, `.format`, made when the compiled function runs.

Flows in:  formatting of converted code, with tracers among its operands.
Flows out: `TracedText`, which messages of errors and `print` accept; plain text where nothing is traced.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinMethodType, MethodWrapperType
from typing import Any, NoReturn

from tracejit.base.errors import ConcretizationError
from tracejit.tracing.arrays import TRACED_LIKE, Array, static_value
from tracejit.tracing.sizes import Size
from tracejit.tracing.spans import current_span

_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}


@dataclass(frozen=True, slots=True, eq=False)
class Deferred:
    """A call of a Python function that only the run can make: its arguments hold traced values."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class TracedText:
    """A `str` that is known when the compiled function runs. parts: text, and calls that give text.

    index, choices: if it is one of several texts, which it is (i64[]) and these.
    """

    __slots__ = ("choices", "index", "parts")

    def __init__(self, *parts: str | Deferred):
        self.parts = parts
        self.index: Any = None
        self.choices: tuple[Any, ...] = ()

    def __add__(self, other: Any) -> Any:
        return text(self, other) if isinstance(other, (str, TracedText)) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return text(other, self) if isinstance(other, str) else NotImplemented

    def __mod__(self, values: Any) -> TracedText:
        return defer(str.__mod__, self, values)

    def __mul__(self, count: Any) -> TracedText:
        return defer(str.__mul__, self, count)

    __rmul__ = __mul__

    def __getitem__(self, index: Any) -> TracedText:
        return defer(str.__getitem__, self, index)

    def __getattr__(self, name: str) -> Any:
        """Methods that give text give traced text."""
        if name in _TEXT_METHODS:
            method = getattr(str, name)
            return lambda *args, **kwargs: defer(method, self, *args, **kwargs)
        if hasattr(str, name):
            self._refuse()
        raise AttributeError(f"'str' object has no attribute {name!r}", name=name, obj=self)

    def __eq__(self, other: object) -> Any:
        """Known where it is one of several texts that are known."""
        if not isinstance(other, str) or not all(isinstance(c, str) for c in self.choices) or not self.choices:
            return self._refuse() if isinstance(other, (str, TracedText)) else False
        found: Any = False
        for k, choice in enumerate(self.choices):
            if choice == other:
                found = self.index == k if found is False else found | (self.index == k)
        return found

    def __ne__(self, other: object) -> Any:
        found = self == other
        return not found if isinstance(found, bool) else found == False    # noqa: E712  (a tracer)

    def __bool__(self) -> bool:
        return bool(self != "")

    def _refuse(self, *_: Any) -> NoReturn:
        for value in self._scalars(self):
            static_value(value, "text")     # starts again with the value where an input gives it
        raise ConcretizationError(
            "Python needs text that is made of traced values", span=current_span(2),
            why="the values are known only when the compiled function runs",
            fix="use such text in print, in messages of assert and as arguments of exceptions")

    def _scalars(self, text: TracedText) -> list[Array]:
        """The traced numbers in it."""
        found: list[Array] = []
        for part in text.parts:
            for value in part.args if isinstance(part, Deferred) else ():
                found += self._scalars(value) if type(value) is TracedText else [value] if type(value) is Array else []
        return found

    __str__ = __format__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __len__ = __iter__ = __contains__ = _refuse

    def __repr__(self) -> str:
        return f"TracedText({', '.join('...' if isinstance(p, Deferred) else repr(p) for p in self.parts)})"


_TEXT_METHODS = frozenset("""capitalize casefold center expandtabs format format_map join ljust lower lstrip
    removeprefix removesuffix __mod__ replace rjust rstrip strip swapcase title translate upper zfill""".split())


def text(*parts: Any) -> Any:
    """An f-string: str or TracedText if something in it is traced.

    part: text, or (value, conversion, spec) with conversion one of "", "r", "s", "a", and spec text (or traced text).
    """
    found: list[str | Deferred] = []
    for part in parts:
        found += _pieces(part)
    if not any(isinstance(p, Deferred) for p in found):
        return "".join(found)    # type: ignore[arg-type]
    return TracedText(*found)


def _pieces(part: Any) -> tuple[str | Deferred, ...]:
    """One part of an f-string as text and calls."""
    if isinstance(part, str):
        return (part,)
    if isinstance(part, TracedText):
        return part.parts
    value, conversion, spec = part
    if isinstance(value, TracedText) and conversion in ("", "s") and spec == "":
        return value.parts
    if conversion and holds_traced(value):
        value = Deferred(_CONVERSIONS[conversion], (value,), {})
    elif conversion:
        value = _CONVERSIONS[conversion](value)
    if holds_traced(value) or holds_traced(spec):
        return (Deferred(format, (value, spec), {}),)
    return (format(value, spec),)


def one_of(index: Any, choices: Sequence[str | TracedText]) -> TracedText:
    """The text `choices[index]`."""
    made = TracedText(Deferred(_choose, (index, *choices), {}))
    made.index, made.choices = index, tuple(choices)
    return made


def _choose(index: int, *choices: str) -> str:
    return choices[index]


def defer(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> TracedText:
    """The text that a function will give."""
    return TracedText(Deferred(function, args, kwargs))


def call_text(fn: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A call of `str`, `repr`, `ascii`, `format` or of a method of a text, where an argument is traced; else
    NotImplemented. str: the same function of NumPy scalars, arrays, lists and dicts."""
    if not holds_traced((args, kwargs)):
        return NotImplemented
    if fn in (str, repr, ascii, format):
        return defer(fn, *args, **kwargs)
    if is_text_method(fn):
        return defer(getattr(str, fn.__name__), fn.__self__, *args, **kwargs)
    return NotImplemented


def is_text_method(fn: Any) -> bool:
    """Whether `fn` is a bound method of a text which gives text: `"...".format`."""
    return type(fn) in (BuiltinMethodType, MethodWrapperType) and type(fn.__self__) is str and (
        fn.__name__ in _TEXT_METHODS)


def holds_traced(value: Any) -> bool:
    """Whether a value, container or exception has something traced in it."""
    pending, seen = [value], set[int]()
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind in (Array, Size, TracedText, Deferred) or kind in TRACED_LIKE:
            return True
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (list, tuple, set, frozenset)):
            pending += value
        elif isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, BaseException):
            pending += [value.args, vars(value), value.__cause__]
    return False
