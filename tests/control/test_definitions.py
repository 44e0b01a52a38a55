"""Where functions come from: decorators, lambdas, classes, notebooks, `exec`, edited files; and which are refused.

Flows in: functions made in every way.  Flows out: failures. Errors are checked for file, line and name.
"""

import functools
import linecache
import operator
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tracejit as tj

SOURCE = """\
def step(v):
    if v > 0:
        return v + 1
    assert v > -5, f"{v} is too small"
    return v
"""


def line_of(fn: Any, offset: int = 0) -> int:
    return int(fn.__code__.co_firstlineno) + offset


def plus_one(fn: Callable[..., Any]) -> Callable[..., Any]:
    def inner(*args: Any) -> Any:
        return fn(*args) + 1
    return inner


def plus_ten(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs) + 10
    return inner


# Decorators, lambdas, partials


def test_decorators_around_and_below_are_part_of_the_function() -> None:
    @plus_one
    @tj.function
    @plus_ten
    def doubled(v):
        return v * 2 if v > 0 else v

    assert (doubled(3), doubled(-3)) == (17, 8)


def test_lambdas_of_one_line_are_told_apart() -> None:
    up, down, same = tj.function(lambda v: v + 1 if v > 0 else v), tj.function(lambda v: v - 1 if v > 0 else v), [
        tj.function(lambda v: v * 2) for _ in range(2)]
    assert [up(3), down(3), *(f(3) for f in same)] == [4, 2, 6, 6]


def test_lambda_over_several_lines_inside_other_expressions() -> None:
    table = {"up": tj.function(
        lambda v, by=2:
            (v + by
             if v > 0 else
             v))}
    assert table["up"](3) == 5 and table["up"](-3) == -3 and table["up"](3, by=4) == 7


def test_partial_of_a_partial() -> None:
    def affine(a, b, x, shift=0):
        return a * x + b + shift if x > 0 else b

    fn = tj.function(functools.partial(functools.partial(affine, 2), 3, shift=5))
    assert fn(4) == 16 and fn(-4) == 3


class Gate:
    """Every kind of method, with the decorator in every order."""

    factor = 3

    def __init__(self) -> None:
        self.limit = 2

    @staticmethod
    @tj.function
    def static_outside(v):
        return v * 2 if v > 0 else v

    @tj.function
    @staticmethod
    def static_inside(v):
        return v * 2 if v > 0 else v

    @classmethod
    @tj.function
    def class_outside(cls, v):
        return v * cls.factor if v > 0 else v

    @tj.function
    @classmethod
    def class_inside(cls, v):
        return v * cls.factor if v > 0 else v

    @property
    @tj.function
    def doubled_limit(self):
        return self.limit * 2 if self.limit > 0 else self.limit

    @property
    def plain_limit(self):
        if self.limit > 1:
            return self.limit + 1
        return 0

    @tj.function
    def reads_property(self, v):
        return self.plain_limit * v + self.__hidden(v)

    def __hidden(self, v):
        return self.limit if v > 0 else 0

    @tj.function
    def __call__(self, v):
        return v + self.__hidden(v)


@pytest.mark.parametrize("name", ["static_outside", "static_inside", "class_outside", "class_inside"])
def test_static_and_class_methods_on_class_and_instance(name: str) -> None:
    by = 2 if name.startswith("static") else 3
    for fn in (getattr(Gate, name), getattr(Gate(), name)):
        assert fn(3) == 3 * by and fn(-3) == -3


def test_properties_private_names_and_calls_of_instances() -> None:
    gate = Gate()
    assert (gate.doubled_limit, gate.reads_property(3), gate(3), gate(-3)) == (4, 11, 5, -3)
    gate.limit = 0
    assert (gate.doubled_limit, gate.reads_property(3), gate(3), gate(-3)) == (0, 0, 3, -3)


def test_builtins_and_c_functions_are_traced_without_source() -> None:
    x = np.arange(4.0)
    assert tj.function(len)(x) == 4 and tj.function(abs)(-3) == 3 and tj.function(sum)([1, 2, 3]) == 6
    assert tj.function(operator.add)(1, 2) == 3 and tj.function(x.sum)() == 6


# Source that is not in a file


@pytest.fixture
def cell() -> Iterator[Callable[[str], dict[str, Any]]]:
    """Runs source under the name of a notebook cell, whose lines linecache knows."""
    made: list[str] = []

    def run(name: str, source: str = SOURCE) -> dict[str, Any]:
        linecache.cache[name] = len(source), None, source.splitlines(True), name
        made.append(name)
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, name, "exec"), names)
        return names

    yield run
    for name in made:
        linecache.cache.pop(name, None)


@pytest.mark.parametrize("name", ["<ipython-input-3-0a1b>", "/tmp/ipykernel_77/4021.py", "<cell 5>"])
def test_notebook_cells_are_converted_and_their_errors_name_cell_and_line(name: str, cell: Any) -> None:
    fn = tj.function(cell(name)["step"])
    assert fn(3) == 4 and fn(-3) == -3
    with pytest.raises(AssertionError, match="-8 is too small") as caught:
        fn(-8)
    last = caught.traceback[-1]
    assert (str(last.path), last.lineno + 1, last.name) == (name, 4, "step")


def test_a_cell_that_runs_again_with_other_source_is_read_again(cell: Any) -> None:
    first = tj.function(cell("<cell 6>")["step"])
    second = tj.function(cell("<cell 6>", SOURCE.replace("+ 1", "+ 100"))["step"])
    assert second(3) == 103
    with pytest.raises(tj.errors.SourceUnavailableError, match="'step' is not what runs"):
        first(3)


def test_executed_source_without_lines_is_refused_by_name() -> None:
    names: dict[str, Any] = {}
    exec(compile(SOURCE, "<made up>", "exec"), names)
    with pytest.raises(tj.errors.SourceUnavailableError, match="source of 'step'") as caught:
        tj.function(names["step"])(3)
    assert (caught.value.span.file, caught.value.span.line) == ("<made up>", 1)
    assert "autograph=False" in str(caught.value)
    assert tj.function(names["step"], autograph=False, static="v")(3) == 4


def test_helper_without_source_runs_over_tracers() -> None:
    names: dict[str, Any] = {}
    exec("def helper(v):\n    return v * 2 + 1\n", names)

    def calls_it(v):
        return names["helper"](v) if v > 0 else v

    assert tj.function(calls_it)(3) == 7 and tj.function(calls_it)(-3) == -3


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ModuleType]]:
    """A module in a file of its own."""
    path = tmp_path / "edited_module.py"
    path.write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda: import_module("edited_module")
    sys.modules.pop("edited_module", None)


@pytest.mark.parametrize("edit", ["# a new first line\n" + SOURCE, SOURCE.replace("+ 1", "+ 2"), "", "def step(:\n"])
def test_a_file_edited_after_import_is_refused_not_misread(edit: str, module: Any) -> None:
    loaded = module()
    Path(loaded.__file__).write_text(edit)
    linecache.checkcache(loaded.__file__)
    with pytest.raises(tj.errors.SourceUnavailableError, match="'step'") as caught:
        tj.function(loaded.step)(3)
    assert (caught.value.span.file, caught.value.span.line) == (loaded.__file__, 1)


def test_an_edit_elsewhere_in_the_file_changes_nothing(module: Any) -> None:
    loaded = module()
    Path(loaded.__file__).write_text(SOURCE + "\n\nOTHER = 3\n")
    linecache.checkcache(loaded.__file__)
    assert tj.function(loaded.step)(3) == 4


# What can't be compiled


async def waits(v):
    return v + 1


async def waits_and_yields(v):
    yield v


def yields(v):
    for i in range(3):
        yield v * i


@pytest.mark.parametrize("fn", [waits, waits_and_yields, yields])
def test_coroutines_and_generators_are_refused_with_their_line(fn: Any) -> None:
    with pytest.raises(tj.errors.UnsupportedError, match=f"{fn.__name__} is a generator or coroutine") as caught:
        tj.function(fn)
    assert (caught.value.span.file, caught.value.span.line) == (__file__, line_of(fn))


def awaits_a_helper(v):
    if v > 0:
        return waits(v)
    return v


def test_a_coroutine_that_is_called_is_refused_with_its_line() -> None:
    with pytest.raises(tj.errors.UnsupportedError, match="async function 'waits'") as caught:
        tj.function(awaits_a_helper)(3)
    assert (caught.value.span.file, caught.value.span.line) == (__file__, line_of(waits))


class Chain:
    """Methods that call themselves."""

    def endless(self, v):
        return self.endless(v) + 1


def ends_by_a_traced_value(x):
    return ends_by_a_traced_value(x * 0.5) + 1 if x.sum() > 1 else x


@pytest.mark.parametrize(("fn", "function"), [(Chain().endless, Chain.endless),
                                              (ends_by_a_traced_value, ends_by_a_traced_value)])
def test_unbounded_recursion_names_function_and_line(fn: Any, function: Any) -> None:
    with pytest.raises(tj.errors.RecursionLimitError, match=function.__qualname__) as caught:
        tj.function(fn)(np.ones(3))
    assert (caught.value.span.file, caught.value.span.line) == (__file__, line_of(function, 1))


def test_names_of_the_users_are_never_the_converters() -> None:
    def names(ag, scope, v):
        ag_, body_1, part_1, break_1, value, thunk = ag, 1, scope, 2, 3, 4
        for item in range(v):
            if item > ag:
                break
            if item == scope:
                return value + break_1 + thunk
        return ag_ + scope + v + part_1 + body_1

    for args in ((2, 5, 10), (9, 5, 10), (2, 5, 0)):
        assert tj.function(names)(*args) == names(*args)


def test_functions_that_look_at_their_frame_run_while_tracing() -> None:
    def looks(v):
        y = v + 1
        exec("y = 3")
        return y + locals()["y"] + eval("v * 2")

    assert tj.function(looks)(3) == looks(3)
