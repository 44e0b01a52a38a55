"""Where sources come from, and when they can't be used.

Flows in:  functions made in every way.  Flows out: facts about `convert` and its errors.
"""
# ruff: noqa: E731
from __future__ import annotations

import functools
import importlib.util
import linecache
import os
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from tracejit.autograph import convert, to_source
from tracejit.base.errors import SourceUnavailableError, UnsupportedError


def decorate(*_: Any) -> Any:
    return lambda fn: fn


def from_text(text: str, file: str, name: str = "f", register: bool = True) -> Any:
    if register:
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    space: dict[str, Any] = {"np": np}
    exec(compile(text, file, "exec"), space)
    return space[name]


def test_lambdas_on_one_line_are_told_apart() -> None:
    pair = [lambda v: v + 1, lambda v: v + 2]; nested = lambda v: (lambda w: w * v)(3)    # noqa: E702
    assert [convert(f)(1) for f in pair] == [2, 3]
    assert convert(nested)(2) == 6
    assert convert((lambda k: lambda v: v - k)(1))(5) == 4


def test_equal_lambdas_on_one_line_work() -> None:
    pair = (lambda v: v + 1, lambda v: v + 1)
    assert [convert(f)(1) for f in pair] == [2, 2]


def test_lambda_over_several_lines() -> None:
    table = {
        "a": lambda v: (v +
                        1),
        "b": functools.partial(lambda k, v: k * v,
                               2)}
    assert convert(table["a"])(1) == 2 and convert(table["b"])(4) == 8


def test_decorators_are_dropped() -> None:
    @decorate(1,
              2)
    @decorate()
    def f(v: int) -> int:
        return v + 1
    assert convert(f)(1) == 2
    assert "decorate" not in to_source(f)


def test_wrapped_function_is_converted_as_itself_and_calls_the_inner_one() -> None:
    def wrap(fn: Any) -> Any:
        @functools.wraps(fn)
        def run(v: int) -> Any:
            return fn(v) * 10
        return run

    @wrap
    def f(v: int) -> int:
        return v + 1
    assert convert(f)(1) == 20


def test_partial_method_static_and_callable() -> None:
    class Model:
        k = 3

        def __call__(self, v: int) -> int: return self.k * v

        @staticmethod
        def static(v: int) -> int: return v + 1

        @classmethod
        def of_class(cls, v: int) -> int: return cls.k + v
    model = Model()
    assert convert(model)(2) == 6
    assert convert(model.__call__)(2) == 6
    assert convert(Model.static)(1) == 2
    assert convert(Model.of_class)(1) == 4
    assert convert(functools.partial(model, 5))() == 15
    assert convert(Model.__dict__["static"]).__func__(1) == 2


def test_exec_and_notebook_sources_are_read_through_linecache() -> None:
    f = from_text("def f(x):\n    return np.exp(x)\n", "<ipython-input-7-abc>")
    assert convert(f)(0.0) == 1.0


def test_function_without_source_is_named() -> None:
    f = from_text("def f(x):\n    return x\n", "<no lines>", register=False)
    with pytest.raises(SourceUnavailableError, match="'f' can't be read") as caught:
        convert(f)
    assert caught.value.span.line == 1 and caught.value.span.file == "<no lines>"
    with pytest.raises(SourceUnavailableError):
        convert(f)
    assert convert(lambda v: f(v) + 1)(1) == 2


@pytest.mark.parametrize("thing", [len, np.exp, int, 3, functools.partial(len)])
def test_what_is_no_python_function_is_refused(thing: Any) -> None:
    with pytest.raises(SourceUnavailableError, match="is no Python function"):
        convert(thing)


@pytest.mark.parametrize("edited", ["def f(x):\n    return x - 1\n", "# moved\ndef f(x):\n    return x + 1\n",
                                    "def f(y):\n    return y + 1\n", "def f(x):\n    return x + 2\n",
                                    "syntax error (\n", "", "g = 1\n"])
def test_source_edited_after_import_is_refused(tmp_path: Path, edited: str) -> None:
    path = tmp_path / "edited.py"
    text = "def f(x):\n    return x + 1\n"
    f = from_text(text, str(path), register=False)
    path.write_text(edited)
    with pytest.raises(SourceUnavailableError, match="edited after import|can't be read"):
        convert(f)


def test_a_module_loaded_again_after_an_edit_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "reloaded.py"
    for step in (1, 22):
        path.write_text(f"def f(x):\n    return x + {step}\n")
        os.utime(path, (step, step))
        spec = importlib.util.spec_from_file_location("reloaded", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = before
        assert convert(module.f)(1) == 1 + step


def test_closures_of_one_code_object_keep_their_cells() -> None:
    def make(k: int) -> FunctionType:
        def f(v: int) -> int:
            nonlocal k
            k += v
            return k
        return f
    first, second = make(1), make(100)
    a, b = convert(first), convert(second)
    assert (a(1), b(1), a(1), first(1)) == (2, 101, 3, 4)
    assert a.__code__ is b.__code__


def test_names_and_defaults_are_kept() -> None:
    def f(a: int, b: int = 2, *, c: int = 3) -> int:
        """Doc."""
        return a + b + c
    f.mark = 1    # type: ignore[attr-defined]
    g = convert(f)
    assert (g.__name__, g.__qualname__, g.__doc__, g.__module__) == (f.__name__, f.__qualname__, "Doc.", __name__)
    assert (g.__defaults__, g.__kwdefaults__, g.__annotations__, g.mark) == ((2,), {"c": 3}, f.__annotations__, 1)


@pytest.mark.parametrize(("text", "line"), [
    ("async def f(x):\n    return x\n", 1),
    ("def f(x):\n    x = 1\n    async def g(): return await x\n    return g\n", 3),
    ("def f():\n    class A:\n        global q\n        q = 1\n    return A\n", 3)])
def test_what_can_not_be_converted_names_the_line(text: str, line: int) -> None:
    with pytest.raises(UnsupportedError) as caught:
        convert(from_text(text, f"<unsupported {line} {len(text)}>"))
    assert caught.value.span is not None and caught.value.span.line == line
    assert caught.value.why and caught.value.fix


def test_future_annotations_are_respected() -> None:
    text = "from __future__ import annotations\ndef f():\n    def g(a: Missing) -> Nowhere: return a\n    return g\n"
    assert convert(from_text(text, "<future>"))().__annotations__ == {"a": "Missing", "return": "Nowhere"}


def test_tabs_strings_at_the_margin_and_comments() -> None:
    text = 'if 1:\n\tdef f(x):\n\t\ts = """\ndef g(): pass\n"""\n# comment\n\t\treturn s + x\n\ty = 1\n'
    assert convert(from_text(text, "<tabs>"))("x") == "\ndef g(): pass\nx"


def test_private_names_outside_classes_stay() -> None:
    text = "__hidden = 4\ndef f(o):\n    o.__dict__['__k'] = 1\n    return __hidden + o.__k\n"

    class Box:
        """Takes any attribute."""
    assert convert(from_text(text, "<private>"))(Box()) == 5


def test_long_functions_and_deep_nesting_convert() -> None:
    long = "def f(x):\n" + "    x = x + 1 if x else abs(x)\n" * 5000 + "    return x\n"
    assert convert(from_text(long, "<long>"))(1) == 5001
    deep = "def f(x):\n" + "".join(" " * (i + 1) + f"if x > {i}:\n" for i in range(95)) + " " * 96 + "return x\n"
    assert convert(from_text(deep, "<deep>"))(200) == 200
    chain = "def f(x):\n    if x == 0: return 0\n" + "".join(f"    elif x == {i}: return {i}\n" for i in range(1, 250))
    assert convert(from_text(chain, "<chain>"))(249) == 249
    total = "def f(x):\n    return " + " + ".join(["x"] * 1500) + "\n"
    assert convert(from_text(total, "<sum>"))(1) == 1500
    assert sys.getrecursionlimit() < 20_000 and "x + x" in to_source(from_text(total, "<sum>"))
