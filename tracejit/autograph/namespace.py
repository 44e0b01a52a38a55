"""What converted code calls: the protocol that plain Python and tracing implement.

Flows in:  converted code, which reaches its namespace through a closure cell of its own.
Flows out: `Namespace` (the operators) and `Scope` (where a converted function's outer names live).

Operators may ask for the user's line with `frames.span_of_frame(sys._getframe())`; it costs nothing when not asked.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The globals and closure cells of one live function. Functions inside it share its scope.

    function: the user's own, unconverted.  cells: its closure, by name.
    """

    function: FunctionType
    cells: dict[str, CellType]

    @property
    def globals(self) -> dict[str, Any]:
        return self.function.__globals__

    @property
    def builtins(self) -> dict[str, Any]:
        """The builtins that this function sees."""
        found: dict[str, Any] = getattr(self.function, "__builtins__")    # noqa: B009
        return found


# What `except` names, None for all, and what handles the error.
Handler = tuple[Callable[[], Any] | None, Callable[[BaseException], None]]


class Namespace(Protocol):
    """The operators of converted code, each with Python's own meaning for Python values.

    Thunks (`Callable[[], Any]`) keep laziness: Python calls them only where it would evaluate the expression.
    """

    def slice(self, start: Any, stop: Any, step: Any = None, /) -> Any:
        """`start:stop:step` inside an index."""

    def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """`fn(*args, **kwargs)`. User code that is called this way is converted; library code is called as it is."""

    def frame_function(self, fn: Any, /) -> Any:
        """`fn`, one of eval, exec, globals, locals, vars, dir, which the converted code calls itself right after."""

    def user_names(self, names: Any, /) -> Any:
        """The result of `locals()`, `vars()` or `dir()` without the names that conversion added."""

    def load_global(self, scope: Scope, name: str, /) -> Any:
        """The global or builtin `name`. Raises NameError."""

    def store_global(self, scope: Scope, name: str, value: Any, /) -> Any:
        """`name = value` under `global name`. Returns `value`."""

    def delete_global(self, scope: Scope, name: str, /) -> None:
        """`del name` under `global name`."""

    def load_free(self, scope: Scope, name: str, /) -> Any:
        """The content of the closure cell `name`. Raises NameError when it is empty."""

    def store_free(self, scope: Scope, name: str, value: Any, /) -> Any:
        """`name = value` under `nonlocal name`. Returns `value`."""

    def delete_free(self, scope: Scope, name: str, /) -> None:
        """`del name` under `nonlocal name`."""

    def load_attribute(self, obj: Any, name: str, /) -> Any:
        """`obj.name`; also the function part of `obj.name(...)`."""

    def store_attribute(self, value: Any, obj: Any, name: str, /) -> None:
        """`obj.name = value`. Python evaluates the value first, hence the order."""

    def delete_attribute(self, obj: Any, name: str, /) -> None:
        """`del obj.name`."""

    def load_item(self, obj: Any, index: Any, /) -> Any:
        """`obj[index]`."""

    def store_item(self, value: Any, obj: Any, index: Any, /) -> None:
        """`obj[index] = value`. Python evaluates the value first, hence the order."""

    def delete_item(self, obj: Any, index: Any, /) -> None:
        """`del obj[index]`."""

    def condition(self, value: Any, /) -> bool:
        """The truth of a test that kept its form: of a comprehension, a case guard, a function that yields."""

    def not_(self, value: Any, /) -> Any:
        """`not value`."""

    def and_(self, first: Any, /, *rest: Callable[[], Any]) -> Any:
        """`first and rest[0]() and ...`."""

    def or_(self, first: Any, /, *rest: Callable[[], Any]) -> Any:
        """`first or rest[0]() or ...`."""

    def compare(self, signs: tuple[str, ...], left: Any, right: Any, /, *rest: Callable[[], Any]) -> Any:
        """`left signs[0] right signs[1] rest[0]() ...`, one sign or more; a single `<`, `==` ... is Python's own."""

    def if_expression(self, test: Any, body: Callable[[], Any], orelse: Callable[[], Any], /) -> Any:
        """`body() if test else orelse()`."""

    def assert_(self, test: Any, message: Callable[[], Any] | None = None, /) -> None:
        """`assert test, message()`."""

    # Statements. Their blocks are functions that share the variables of the user's function as closure cells. `names`
    # are variables that a block may bind or delete and that are read afterwards; those with "!" are the converter's.

    def if_(self, test: Any, body: Callable[[], None], orelse: Callable[[], None] | None, names: tuple[str, ...],
            /) -> None:
        """`if test: body` and `else: orelse`."""

    def while_(self, test: Callable[[], Any], body: Callable[[], None], names: tuple[str, ...], /) -> None:
        """`while test: body`. names: what one round hands to the next or to the code after the loop."""

    def for_(self, iterable: Any, body: Callable[[Any], None], go_on: Callable[[], Any] | None,
             names: tuple[str, ...], /) -> None:
        """`for item in iterable: body(item)`. go_on: asked after every round; false leaves the loop."""

    def try_(self, body: Callable[[], None], handlers: tuple[Handler, ...], orelse: Callable[[], None] | None,
             final: Callable[[], Any] | None, names: tuple[str, ...], taken: tuple[str, ...], /) -> None:
        """`try: body`, `except types: handler(error)` for each, `else: orelse`, `finally: final`. final: true where it
        ends with a jump, which drops the error.  taken: variables that a part may bind or delete and that handlers or
        `final` may read."""

    def with_(self, manager: Any, body: Callable[[Any], None], names: tuple[str, ...], /) -> None:
        """`with manager as value: body(value)`."""

    def raise_(self, make_error: Callable[[], Any] | None, make_cause: Callable[[], Any] | None, /) -> None:
        """`raise make_error() from make_cause()`; without an error the one that is being handled is raised again."""

    def comprehension(self, kind: str, iterable: Any, body: Callable[[Any, Callable[[Any], Any]], None],
                      one_by_one: Callable[[Any], Any] | None = None, /) -> Any:
        """A "list", "set", "dict" or "generator" of what `body(item, emit)` emits for the items; pairs for "dict".

        one_by_one: the generator of an iterable as Python's own, where rounds make several elements that are taken one
        after the other.
        """

    def each(self, iterable: Any, body: Callable[[Any, Callable[[Any], Any]], None], emit: Callable[[Any], Any],
             /) -> None:
        """A `for` inside a comprehension: `body(item, emit)` for every item."""

    def when(self, test: Any, body: Callable[[], None], emit: Callable[[Any], Any], /) -> None:
        """`if test` inside a comprehension: `body()`, which emits, where it holds."""

    def match(self, subject: Any, pattern: Any, /) -> Any:
        """Something whose `test` says whether `subject` has the form of a pattern of `match`."""

    def captured(self, found: Any, name: str, /) -> Any:
        """What a name in the pattern stands for, where the test of `match` holds."""

    def list_display(self, elements: list[Any], times: Any = 1, /) -> Any:
        """`[...]`, `[...] * times`, or a sum with `[...]`."""

    def defined(self, value: Any, name: str, /) -> Any:
        """`value`, read from the variable `name`, which may have no value on some path to here."""

    def text(self, *parts: Any) -> Any:
        """An f-string. A part is text, or (value, conversion, spec) with conversion "", "r", "s" or "a"."""
