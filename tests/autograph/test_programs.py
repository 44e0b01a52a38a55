"""Converted functions do what the originals do: results, mutation, globals, exceptions and the lines of tracebacks.

Flows in:  the table of programs.  Flows out: one test each.
"""
from __future__ import annotations

import copy
import importlib.util
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracejit.autograph import convert, fold_traceback, to_source

_FILE = Path(__file__).with_name("programs.py")


def load_programs() -> Any:
    """A fresh module, so that globals and closures of one run don't reach the other."""
    spec = importlib.util.spec_from_file_location("autograph_programs", _FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLAIN, CONVERTED = load_programs(), load_programs()
NAMES = [f"{i:02}-{fn.__name__}" for i, (fn, _) in enumerate(PLAIN.PROGRAMS)]


def outcome(fn: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The result and the arguments afterwards, or the exception with the lines of its traceback."""
    args = copy.deepcopy(args)
    try:
        result = fn(*args)
    except Exception as error:
        frames = traceback.extract_tb(fold_traceback(error).__traceback__)
        places = [(f.name, f.lineno, f.end_lineno, f.colno, f.end_colno) for f in frames if f.filename == str(_FILE)]
        return "raised", type(error), places, str(error), args
    return "returned", result, args


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray | np.generic):
        alike = type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
        return alike and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if isinstance(a, tuple | list):
        return type(a).__name__ == type(b).__name__ and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and same(list(a.items()), list(b.items()))
    if type(a) is not type(b) and type(a).__name__ == type(b).__name__:    # a class of the other copy of the module
        return repr(a) == repr(b)
    return type(a) is type(b) and bool(a == b)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_converted_function_agrees_with_plain_python(index: int) -> None:
    (plain, cases), (original, _) = PLAIN.PROGRAMS[index], CONVERTED.PROGRAMS[index]
    fn = convert(original)
    assert fn.__code__ is not original.__code__
    for args in cases:
        expected, got = outcome(plain, args), outcome(fn, args)
        assert same(expected, got), f"\nplain     {expected}\nconverted {got}\n{to_source(original)}"


def test_the_table_is_large() -> None:
    assert len(NAMES) >= 60
