"""Python that runs when the compiled function runs: `print`, `raise`, `host_call`, with today's values of tracers.

Flows in:  Python objects with tracers in them: arguments of `print`, exceptions, operands of host functions.
Flows out: ops `host_call`, `raise` and `assert`, with functions that put the values back into the objects.
"""
from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.autograph.frames import span_of_code, user_frame
from tracejit.base.dtypes import BOOL, I64
from tracejit.base.errors import UnsupportedError
from tracejit.base.spans import SourceSpan
from tracejit.base.tracebacks import traceback_at
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.ops.effects import host_function
from tracejit.tracing.arrays import KINDS, TRACED_LIKE, Array
from tracejit.tracing.building import assert_, constant, emit, emit_assert, lift
from tracejit.tracing.context import Scope, TraceContext, active, current, inside
from tracejit.tracing.sizes import Size
from tracejit.tracing.spans import current_span
from tracejit.tracing.text import Deferred, TracedText, holds_traced
from tracejit.tracing.truth import truth

_PYTHON: dict[str, Callable[[Any], Any]] = {"b": bool, "i": int, "f": float, "c": complex}
_PAYLOAD = 8     # values that the message of an `assert` can show


@dataclass(frozen=True, slots=True)
class Hole:
    """The place of operand `index`. kind: "array", "scalar" (NumPy), "tensor", or `b i f c` (Python numbers)."""

    index: int
    kind: str


@dataclass(slots=True)
class Template:
    """Python objects with holes for traced values."""

    arrays: list[Array] = field(default_factory=list)

    def cut(self, value: Any) -> Any:
        """`value` with holes in place of its tracers."""
        if not holds_traced(value):
            return value
        if isinstance(value, Array):
            return self.hole(value)
        if isinstance(value, Size):
            return self.hole(lift(value))
        if type(value) in TRACED_LIKE:
            return self.listed(value)
        if isinstance(value, TracedText):
            return Deferred(_joined, tuple([self.cut(p) for p in value.parts]), {})
        if isinstance(value, Deferred):
            return Deferred(value.function, self.cut(value.args), self.cut(dict(value.kwargs)))
        if isinstance(value, BaseException):
            return self.exception(value)
        if isinstance(value, dict):
            return {self.cut(k): self.cut(v) for k, v in value.items()}
        return _rebuilt(value, [self.cut(v) for v in value])

    def hole(self, array: Array) -> Hole:
        kind = array.weak or ("tensor" if array.kind == "tensor" else "scalar" if array.is_scalar else "array")
        self.arrays.append(array.snapshot())
        return Hole(len(self.arrays) - 1, kind)

    def listed(self, value: Any) -> Deferred:
        """A list that grew in native loops, made of its columns."""
        length, item, columns = value.spelled()
        return Deferred(_listed, (self.hole(length), item, *map(self.hole, columns)), {})

    def exception(self, error: BaseException) -> Deferred:
        """Makes a new exception of the class for every run, without running the user's `__init__` again."""
        cause = None if error.__cause__ is None else self.exception(error.__cause__)
        return Deferred(_exception, (type(error), self.cut(error.args), self.cut(dict(vars(error))), cause,
                                     error.__suppress_context__), {})


def _listed(length: int, item: Any, *columns: Any) -> list[Any]:
    """The items of a list, from an array for each number or array in one of them. item: as `RunTimeList.spelled`."""
    return [_item(item, iter([column[k] for column in columns])) for k in range(length)]


def _item(form: Any, values: Iterator[Any]) -> Any:
    kind, *parts = form
    if kind == "known":
        return parts[0]
    if kind in ("list", "tuple"):
        made = [_item(part, values) for part in parts]
        return made if kind == "list" else tuple(made)
    value = next(values)
    if kind == "optional":
        held = _item(parts[0], values)
        return None if value else held
    return value.item() if kind == "plain" else value.copy() if isinstance(value, np.ndarray) else value


def _joined(*parts: str) -> str:
    return "".join(parts)


def _rebuilt(value: Any, items: list[Any]) -> Any:
    """A container of the class of `value`."""
    cls = type(value)
    return cls(*items) if hasattr(cls, "_fields") else cls(items)


def _exception(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any],
               cause: BaseException | None, suppress: bool) -> BaseException:
    error = cls.__new__(cls, *args)
    if cls.__init__ in _BUILTIN_INITS:
        cls.__init__(error, *args)
    error.args = args
    vars(error).update(attributes)
    error.__cause__, error.__suppress_context__ = cause, suppress
    return error


_BUILTIN_INITS = {c.__init__ for c in vars(builtins).values() if isinstance(c, type) and issubclass(c, BaseException)}


def traced_again(value: Any, arrays: Sequence[Any]) -> Any:
    """The object of a template while tracing, with other tracers in its holes: the inverse of `Template.cut`."""
    if type(value) is Hole:
        return arrays[value.index]
    if type(value) is Deferred:
        args, kwargs = (traced_again(v, arrays) for v in (value.args, dict(value.kwargs)))
        if value.function is _exception:
            return _exception(*args)
        return TracedText(*args) if value.function is _joined else Deferred(value.function, args, kwargs)
    if type(value) is dict:
        return {traced_again(k, arrays): traced_again(v, arrays) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return _rebuilt(value, [traced_again(v, arrays) for v in value])
    return value


def fill(value: Any, values: Sequence[Any]) -> Any:
    """The object of a template, with values of the run in its holes."""
    kind = type(value)
    if kind is Hole:
        return _shown(values[value.index], value.kind)
    if kind is Deferred:
        args, kwargs = fill(value.args, values), fill(dict(value.kwargs), values)
        return value.function(*args, **kwargs)
    if kind is dict:
        return {fill(k, values): fill(v, values) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return _rebuilt(value, [fill(v, values) for v in value])
    return value


def _shown(array: Any, kind: str) -> Any:
    """An operand as the object that plain Python would have."""
    if kind in _PYTHON:
        return _PYTHON[kind](array.item())
    if kind == "tensor":
        return KINDS["tensor"](array)
    return np.asarray(array)[()] if kind == "scalar" else array


class Filled:
    """Calls `function` with the objects of a template. Equal where the same function gets the same objects, so that
    attempts at a trace, and traces in other processes, find the same names."""

    __slots__ = ("function", "key", "parts")

    def __init__(self, function: Callable[..., Any], *parts: Any):
        self.function, self.parts, self.key = function, parts, (function, identity(parts))

    def __call__(self, *values: Any) -> Any:
        return self.function(*fill(self.parts, values))

    def __eq__(self, other: object) -> bool:
        return type(other) is Filled and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def identity(value: Any) -> Any:
    """Equal for what is the same in every respect: 1 and True differ. Objects are known by their ids."""
    kind = type(value)
    if kind in (str, bytes, int, float, complex, bool, type(None), SourceSpan, Hole):
        return kind, repr(value)
    if kind is Deferred:
        return kind, id(value.function), identity(value.args), identity(dict(value.kwargs))
    if kind is dict:
        return kind, tuple([(identity(k), identity(v)) for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(identity, value))
    return kind, id(value)


def emit_host(op: str, name: str, function: Callable[..., Any], arrays: Sequence[Array], span: SourceSpan | None,
              **attributes: Any) -> tuple[Array, ...]:
    """Adds a node that runs `function` on today's values of `arrays`."""
    context = current()
    scope = context.scope
    operands = [scope.bring(a.value, a.scope) for a in arrays]
    results = scope.graph.emit(op, operands, {"name": host_function(name, function), **attributes}, span)
    return tuple([Array(r, scope) for r in results])


# print

def print_at_run_time(_: Any, args: Sequence[Any], kwargs: Any) -> None:
    """`print(*args, **kwargs)` at every call, in its place among the effects, as plain Python would print it."""
    template, span = Template(), current_span(2)
    parts, options = template.cut(tuple(args)), template.cut(dict(kwargs))
    emit_host("host_call", f"print at {span}", Filled(_print, parts, options), template.arrays, span, types=())


def _print(args: Sequence[Any], options: dict[str, Any]) -> None:
    print(*args, **options)


def print_values(*args: Any, **kwargs: Any) -> None:
    """`tj.print`: prints at every call, also inside functions whose source is not converted."""
    if active() is None:
        print(*args, **kwargs)
    else:
        print_at_run_time(None, args, kwargs)


# host_call

def host_call(function: Callable[..., Any], result_types: Any, *args: Any) -> Any:
    """Runs a Python function at every call of the compiled function, in program order.

    result_types: an ArrayType, its text such as "f32[3]", a sequence of them, or None for no result. The function gets
    NumPy arrays and numbers as plain Python would pass them, and gives values of these types.
    """
    single = result_types is None or isinstance(result_types, (str, ArrayType))
    wanted = () if result_types is None else (result_types,) if single else tuple(result_types)
    if active() is None:
        return function(*args)
    types = tuple([ArrayType.parse(t) if isinstance(t, str) else t for t in wanted])
    template, span = Template(), current_span(1)
    if any(statement.watches for statement in current().catching):
        raise UnsupportedError("a host_call inside `try` (or `with`) can't be compiled", span=span,
                               why="an exception of the Python function leaves the compiled function at once",
                               fix="catch the exception in the Python function, or around the compiled one")
    parts = template.cut(args)
    name = f"{getattr(function, '__qualname__', type(function).__name__)} at {span}"
    results = emit_host("host_call", name, Filled(_called, function, parts), template.arrays, span, types=types)
    if single:
        return results[0] if results else None
    return results


def _called(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    return function(*args)


# raise

def raise_at_run_time(context: TraceContext, error: BaseException) -> None:
    """Raises `error`, or one like it with today's values, when the running scope runs; its line is the user's."""
    if is_out_of_stack(error):
        raise error
    for holds, span in origins(context, error):
        if (target := context.target(type(error))) is not None:
            target.catch(holds, error, span)
        else:
            leave(context, holds, error, span)


def is_out_of_stack(error: BaseException) -> bool:
    """Whether tracing itself went too deep, which says nothing about the run: it has a larger stack to try."""
    return type(error) is RecursionError and str(error).startswith("maximum recursion depth exceeded")


def origins(context: TraceContext, error: BaseException) -> list[tuple[Array | None, SourceSpan | None]]:
    """The lines that raise `error`, each with what holds if it is not this one; of the last, None."""
    _, site, spans = context.origins.get(id(error), (None, None, ()))
    if site is None or not context.scope.sees(site.scope):
        return [(None, raised_at(error) or current_span(2))]
    tests = [emit("compare", site, constant(k, I64), direction="NE") for k in range(len(spans) - 1)]
    return list(zip([*tests, None], spans, strict=True))


def leave(context: TraceContext, holds: Array | None, error: BaseException, span: SourceSpan | None) -> None:
    """`error` leaves the function unless `holds`."""
    if (simple := message_of(error)) is not None:
        message, arrays = simple
        emit_assert(constant(False, BOOL) if holds is None else holds, arrays, type(error).__name__, message, span)
    elif holds is not None:
        inner = Scope(Graph([]), context.scope)
        with inside(inner):
            leave(context, None, error, span)
        only_if_not(context, holds, inner)
    else:
        template = Template()
        made = Filled(_placed, template.exception(error), span)
        changed, kept = context.changed()
        attributes = {"kept": kept} if kept else {}
        emit_host("raise", f"{type(error).__qualname__} at {span}", made, [*template.arrays, *changed], span,
                  **attributes)


def only_if_not(context: TraceContext, holds: Array, failing: Scope) -> None:
    """A region without results that runs where `holds` does not."""
    operands = [context.scope.bring(value, home) for value, home in failing.operands]
    index = context.scope.bring(holds.value, holds.scope)
    context.emit("case", [index, *operands],
                 {"branches": (failing.graph, Graph([p.type for p in failing.graph.params]))})


def _placed(error: BaseException, span: SourceSpan | None) -> BaseException:
    return error.with_traceback(None if span is None else traceback_at(span))


def belongs_to_run(context: TraceContext, error: BaseException) -> bool:
    """Whether an exception that ends the traced function shows values of the run, or comes after effects of the run or
    after changes of what the caller sees."""
    return holds_traced(error) or any(n.has_effect for n in context.root.graph.nodes) or bool(context.changed()[1])


def raised_at(error: BaseException) -> SourceSpan | None:
    """The user's expression that raised `error`."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        if user_frame(traceback.tb_frame) is traceback.tb_frame:
            found = span_of_code(traceback.tb_frame.f_code, traceback.tb_lasti)
        traceback = traceback.tb_next
    return found


def message_of(error: BaseException) -> tuple[str, list[Array]] | None:
    """The message of a builtin exception as the format of an `assert`, if that says everything about the exception."""
    cls, args = type(error), error.args
    if getattr(builtins, cls.__name__, None) is not cls or cls is MemoryError or vars(error) or error.__cause__:
        return None
    if not args:
        return "", []
    if len(args) != 1 or not isinstance(args[0], (str, TracedText)) or args[0].__class__ is str and not args[0]:
        return None
    return format_of(args[0])


def format_of(message: str | TracedText) -> tuple[str, list[Array]] | None:
    """Text with real scalars in it as a format and its values; None for anything more."""
    arrays: list[Array] = []
    found = ""
    for part in (message,) if isinstance(message, str) else message.parts:
        if isinstance(part, str):
            found += part.replace("{", "{{").replace("}", "}}")
            continue
        if part.function not in (format, str) or part.kwargs or len(part.args) > 2:
            return None
        value, spec = (*part.args, "")[:2]
        if not _is_real_scalar(value) or not isinstance(spec, str) or "{" in spec or "}" in spec:
            return None
        found += f"{{{len(arrays)}{':' if spec else ''}{spec}}}"
        arrays.append(value)
    return (found, arrays) if len(arrays) <= _PAYLOAD else None


def _is_real_scalar(value: Any) -> bool:
    return type(value) is Array and value.is_scalar and value.kind != "tensor" and not value.type.dtype.is_complex


# assert

def assert_at_run_time(context: TraceContext, test: Array, message: Callable[[], Any] | None) -> None:
    """`assert test, message()`: what only the message needs is computed only where the assertion fails."""
    holds, scope = truth(test), Scope(Graph([]), context.scope)
    with inside(scope):
        error = made_error(lambda: AssertionError(*(() if message is None else (message(),))))
    if not scope.graph.nodes and (simple := message_of(error)) is not None:
        assert_(holds, "AssertionError", simple[0], *simple[1])
        return
    with inside(scope):
        raise_at_run_time(context, error)
    only_if_not(context, holds, scope)


def made_error(make: Callable[[], Any], make_cause: Callable[[], Any] | None = None) -> BaseException:
    """The exception of `raise make() from make_cause()`."""
    error = _instance(make())
    if make_cause is not None:
        cause = make_cause()
        error.__cause__ = None if cause is None else _instance(cause)
    return error


def _instance(error: Any) -> BaseException:
    """What `raise error` raises."""
    made = error() if isinstance(error, type) else error
    if not isinstance(made, BaseException):
        raise TypeError("exceptions must derive from BaseException")
    return made
