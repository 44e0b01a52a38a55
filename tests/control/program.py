"""What a program of the control-flow tables is, how it is run, and what of a run is compared.

Flows in: functions of the modules beside this one.  Flows out: `Program` rows; `outcomes` of all input sets of one.
"""

import copy
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from tracejit.autograph import fold_traceback

Function = Callable[..., Any]
FOLDER = str(Path(__file__).parent)


@dataclass(frozen=True, slots=True)
class Program:
    """One function over a construct, with input sets of one signature.

    source: the function whose text is shown.  build: makes it callable, decorated by its argument.
    state: globals of its module that it changes.  traces: how many its input sets need.
    """

    name: str
    construct: str
    source: Function
    build: Callable[[Callable[[Function], Function]], Function]
    inputs: tuple[tuple[Any, ...], ...]
    state: tuple[str, ...] = ()
    traces: int = 1
    rtol: float = 1e-12


class Table:
    """The programs of one module, filled by its two decorators."""

    def __init__(self) -> None:
        self.programs: list[Program] = []

    def add(self, construct: str, *inputs: tuple[Any, ...], **options: Any) -> Callable[[Function], Function]:
        """Decorates a plain function."""

        def record(fn: Function) -> Function:
            self.programs.append(Program(fn.__name__, construct, fn, lambda jit: jit(fn), inputs, **options))
            return fn

        return record

    def make(self, construct: str, *inputs: tuple[Any, ...], **options: Any) -> Callable[[Function], Function]:
        """Decorates a function which takes the decorator and returns the program: a closure, a method, ..."""

        def record(make: Function) -> Function:
            self.programs.append(Program(make.__name__, construct, make, make, inputs, **options))
            return make

        return record


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that one call did. error: type, text and line of the user's code."""

    result: Any
    error: tuple[type, str, int] | None
    arguments: Any
    attributes: dict[str, Any]
    globals: dict[str, Any]
    printed: str


def outcomes(program: Program, decorate: Callable[[Function], Function]) -> Iterator[Outcome]:
    """Calls the decorated program on every input set in order, then on the first once more."""
    module = sys.modules[program.source.__module__].__dict__
    before = {name: copy.deepcopy(module[name]) for name in program.state}
    try:
        fn = program.build(decorate)
        for args in (*program.inputs, program.inputs[0]):
            yield call(fn, copy.deepcopy(args), lambda: {name: module[name] for name in program.state})
    finally:
        module.update(before)


def call(fn: Function, args: tuple[Any, ...], state: Callable[[], dict[str, Any]]) -> Outcome:
    """One call, observed."""
    result, error, printed = None, None, StringIO()
    with redirect_stdout(printed), np.errstate(all="ignore"):
        try:
            result = fn(*args)
        except Exception as caught:    # what a program raises is part of what it does
            error = type(caught), str(caught), user_line(caught)
    attributes = dict(vars(fn.__self__)) if hasattr(fn, "__self__") else {}
    return Outcome(result, error, args, copy.deepcopy(attributes), copy.deepcopy(state()), printed.getvalue())


def user_line(error: Exception) -> int:
    """The line of the innermost frame in a table's file."""
    frames = traceback.extract_tb(fold_traceback(error).__traceback__)
    lines = [f.lineno or 0 for f in frames if f.filename.startswith(FOLDER) and not f.filename == __file__]
    return lines[-1] if lines else 0


@contextmanager
def python_frames() -> Iterator[list[str]]:
    """Collects the names of functions of the tables which Python runs."""
    names: list[str] = []

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        shown = code.co_qualname == "<module>"    # a line that a traceback names, no code of the user's
        if event == "call" and not shown and code.co_filename.startswith(FOLDER) and code.co_filename != __file__:
            names.append(code.co_qualname)

    sys.setprofile(profile)
    try:
        yield names
    finally:
        sys.setprofile(None)


def difference(actual: Any, expected: Any, rtol: float, where: str) -> str:
    """What differs between two values of any structure, or nothing."""
    if type(actual).__qualname__ != type(expected).__qualname__:    # a class made by `build` has two versions
        return f"{where}: {type(actual).__name__} {actual!r}, not {type(expected).__name__} {expected!r}"
    if isinstance(expected, np.ndarray | np.generic):
        return array_difference(actual, expected, rtol, where)
    if isinstance(expected, dict):
        if list(actual) != list(expected):
            return f"{where}: keys {list(actual)}, not {list(expected)}"
        pairs = [(f"{where}[{key!r}]", actual[key], expected[key]) for key in expected]
    elif isinstance(expected, list | tuple):
        if len(actual) != len(expected):
            return f"{where}: {len(actual)} items, not {len(expected)}: {actual!r}, not {expected!r}"
        pairs = [(f"{where}[{i}]", a, e) for i, (a, e) in enumerate(zip(actual, expected, strict=True))]
    elif isinstance(expected, float):
        both_nan = math.isnan(actual) and math.isnan(expected)
        close = both_nan or math.isclose(actual, expected, rel_tol=rtol, abs_tol=1e-300)
        return "" if close else f"{where}: {actual!r}, not {expected!r}"
    elif hasattr(expected, "__dict__") and not callable(expected):
        pairs = [(f"{where}.__dict__", vars(actual), vars(expected))]
    else:
        return "" if actual == expected else f"{where}: {actual!r}, not {expected!r}"
    return next(filter(None, (difference(a, e, rtol, place) for place, a, e in pairs)), "")


def array_difference(actual: Any, expected: Any, rtol: float, where: str) -> str:
    if (actual.dtype, actual.shape) != (expected.dtype, expected.shape):
        return f"{where}: {actual.dtype}{actual.shape}, not {expected.dtype}{expected.shape}"
    if expected.dtype.kind not in "fc":
        return "" if np.array_equal(actual, expected) else f"{where}: {actual!r}, not {expected!r}"
    tolerance = rtol if expected.dtype in (np.float64, np.complex128) else max(rtol, 1e-5)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 0.0
    close = np.allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    return "" if close else f"{where}: {actual!r}, not {expected!r}"


def outcome_difference(actual: Outcome, expected: Outcome, rtol: float) -> str:
    """The first thing that differs, or nothing."""
    if actual.error != expected.error:
        return f"raised {actual.error}, not {expected.error}"
    fields = ("result", "arguments", "attributes", "globals", "printed")
    found = (difference(getattr(actual, f), getattr(expected, f), rtol, f) for f in fields)
    return next(filter(None, found), "")
