"""The language of the native modules: what it computes, what it refuses."""

import ctypes
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tracejit.xla_lite.runtime.engine import engine
from tracejit.xla_lite.runtime.library import MODULES, PACKAGE
from tracejit.xla_lite.runtime.native.translate import translate

HEAD = "from __future__ import annotations\nfrom tracejit.xla_lite.runtime.native.words import *\n"


def load(tmp_path: Path, source: str) -> ModuleType:
    path = tmp_path / "native_example.py"
    path.write_text(HEAD + source)
    spec = importlib.util.spec_from_file_location("native_example", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(tmp_path: Path, source: str, *operands: int) -> int:
    """The result of `f` in `source`."""
    native = translate([load(tmp_path, source)])
    library = engine().link(engine().compile_text(native.text, 3), native.exports, {})
    return int(ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(operands))(library["f"])(*operands))


PROGRAMS: list[tuple[str, tuple[int, ...], int]] = [
    ("@export\ndef f(a, b):\n    return (a + b * 3 - 1) // 2 << 1 | 64", (4, 5), 82),
    ("@export\ndef f(a, b):\n    return -a if a < 0 else ~b & 7", (-3, 1), 3),
    (
        "@export\ndef f(n):\n    s = 0\n    for i in range(n):\n        if i == 2:\n            continue\n"
        "        if i > 6:\n"
        "            break\n        s += i\n    return s",
        (100,),
        19,
    ),
    ("@export\ndef f(n):\n    s = 0\n    for i in range(2, n):\n        s += i\n    return s", (5,), 9),
    ("@export\ndef f(n):\n    while n < 100 and not n == 64:\n        n = n * 2\n    return n", (1,), 64),
    ("@export\ndef f(a):\n    return (a > 1 or 1 // 0 > 5) + (a == 2)", (2,), 2),
    (
        "def g(p):\n    put_word(p, 8, word(p, 0) + 1)\n\n@export\ndef f(a):\n    p = stack(2)\n"
        "    put_word(p, 0, a)\n    g(p)\n"
        "    return word(p, 8)",
        (41,),
        42,
    ),
    ("K = 5\ncell = static(4)\n@export\ndef f(a):\n    put_byte(cell, 3, a)\n    return byte(cell, 3) + K", (-1,), 260),
    (
        "@export\ndef f(a):\n    p = stack(1)\n    put_int32(p, 0, a)\n    return int32(p, 0) + truncate32(a)",
        (2**32 - 1,),
        -2,
    ),
    (
        "def twice(x: int) -> Int32:\n    return x * 2\n\n@export\ndef f(a):\n"
        "    return twice(a) + call(g, a)\n\ndef g(x):\n"
        "    return x - 1",
        (2**31 - 1,),
        2**31 - 4,
    ),
    ("@export\ndef f(a):\n    return multiply_saturated(a, a)", (2**40,), 2**63 - 1),
    ("@export\ndef f(a):\n    return below(1, a) + shift_right(a, 63) + leading_zeros(1)", (-1,), 65),
    (
        "cell = static(1)\n@export\ndef f(a):\n    x = compare_swap(cell, 0, a) * 10 + compare_swap(cell, 0, a)\n"
        "    return x + atomic_load(cell)",
        (7,),
        17,
    ),
]


@pytest.mark.parametrize(("source", "operands", "expected"), PROGRAMS)
def test_programs_compute(tmp_path: Path, source: str, operands: tuple[int, ...], expected: int) -> None:
    assert run(tmp_path, source, *operands) == expected


@pytest.mark.parametrize(
    "body",
    [
        "return a @ a",
        "return [a]",
        "x, y = a, a",
        "return unknown(a)",
        "for i in a:\n        pass",
        "with a:\n        pass",
        "return a.b",
    ],
)
def test_other_python_is_refused_by_line(tmp_path: Path, body: str) -> None:
    with pytest.raises(SyntaxError, match=r"native_example\.py:\d+"):
        run(tmp_path, f"@export\ndef f(a):\n    {body}\n", 1)


def test_native_functions_do_not_run_in_python() -> None:
    words: Any = importlib.import_module(f"{PACKAGE}.words")
    with pytest.raises(TypeError):
        words.word(0, 0)
    with pytest.raises(TypeError):
        words.external("i64()")()


def test_translation_is_deterministic() -> None:
    modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in MODULES]
    assert translate(modules) == translate(modules)


def test_the_runtime_is_emitted_for_arm() -> None:
    modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in MODULES]
    arm = engine().target("aarch64-linux-gnu", "generic", "")
    assert len(engine().compile_text(translate(modules, "aarch64").text, 2, arm)) > 1000
