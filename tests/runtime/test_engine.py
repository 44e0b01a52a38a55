"""LLVM text to code: levels, targets, linking, refusals; NumPy's BLAS."""

import ctypes
import threading

import numpy as np
import pytest

from tests.runtime.helpers import link
from tracejit.base.errors import InternalError
from tracejit.xla_lite.runtime.blas import CBLAS, LAPACK, find_blas
from tracejit.xla_lite.runtime.engine import PASSES, engine

ADD = "define i64 @add(i64 %a, i64 %b) {\n  %s = alloca i64\n  store i64 %a, ptr %s\n  %l = load i64, ptr %s\n"
ADD += "  %r = add i64 %l, %b\n  ret i64 %r\n}\n"
VECTOR = "define <4 x float> @product(<4 x float> %a, <4 x float> %b) {\n  %r = fmul <4 x float> %a, %b\n"
VECTOR += "  ret <4 x float> %r\n}\n"


def as_function(address: int) -> "ctypes._CFuncPtr":
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(address)


@pytest.mark.parametrize("level", PASSES)
def test_every_level_gives_working_code(level: int) -> None:
    library = link(ADD, ["add"], level=level)
    assert as_function(library["add"])(40, 2) == 42


def test_imports_are_supplied_at_link_time() -> None:
    text = "@data = external global i64\ndeclare i64 @twice(i64)\n"
    text += "define i64 @run(i64 %a, i64 %b) {\n  %d = load i64, ptr @data\n"
    text += "  %t = call i64 @twice(i64 %d)\n  ret i64 %t\n}\n"
    code = engine().compile_text(text)
    twice = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda v: 2 * v)
    for value in (4, 5):  # one object, two links
        cell = ctypes.c_int64(value)
        imports = {"data": ctypes.addressof(cell), "twice": ctypes.cast(twice, ctypes.c_void_p).value or 0}
        library = engine().link(code, ["run"], imports)
        assert as_function(library["run"])(0, 0) == 2 * value


def test_the_c_library_needs_no_imports() -> None:
    library = link(
        "declare i64 @labs(i64)\ndefine i64 @f(i64 %a, i64 %b) {\n  %r = call i64 @labs(i64 %a)\n  ret i64 %r\n}", ["f"]
    )
    assert as_function(library["f"])(-3, 0) == 3


def test_other_targets_are_emitted() -> None:
    e = engine()
    arm = e.target("aarch64-linux-gnu", "generic", "+neon")
    assert ".4s" in e.assembly(VECTOR, target=arm) and len(e.compile_text(VECTOR, target=arm)) > 100
    assert "ymm" not in e.assembly(VECTOR, target=e.target(cpu="x86-64"))
    assert "alloca" in e.optimized(ADD, 0) and "alloca" not in e.optimized(ADD, 2)


@pytest.mark.parametrize("text", ["define i64 @f( {", "define i64 @f() {\n  ret i32 0\n}", "call nothing"])
def test_bad_text_is_an_internal_error(text: str) -> None:
    with pytest.raises(InternalError):
        engine().compile_text(text)


def test_missing_symbols_are_an_internal_error() -> None:
    text = "declare i64 @no_such_function()\ndefine i64 @f() {\n  %r = call i64 @no_such_function()\n  ret i64 %r\n}"
    with pytest.raises(InternalError):
        link(text, ["f"])


def test_threads_compile_and_link_at_once() -> None:
    results = []

    def work(seed: int) -> None:
        for i in range(5):
            text = f"define i64 @f(i64 %a, i64 %b) {{\n  %r = add i64 %a, {seed * 10 + i}\n  ret i64 %r\n}}"
            library = link(text, ["f"])
            results.append(as_function(library["f"])(0, 0) == seed * 10 + i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 20


@pytest.mark.parametrize(("name", "dtype"), [("f32", "f4"), ("f64", "f8")])
def test_blas_of_numpy_is_found_and_right(name: str, dtype: str) -> None:
    if ("gemm", name) not in find_blas():
        pytest.skip("NumPy has another BLAS")
    gemm, real = find_blas()["gemm", name], ctypes.c_float if name == "f32" else ctypes.c_double
    number = ctypes.c_int64 if gemm.integer_bits == 64 else ctypes.c_int32
    a, b, c = np.arange(6, dtype=dtype).reshape(2, 3), np.arange(12, dtype=dtype).reshape(3, 4), np.empty((2, 4), dtype)
    pointer = ctypes.c_void_p
    kinds = [ctypes.c_int] * 3 + [number] * 3 + [real, pointer, number, pointer, number, real, pointer, number]
    data = [x.ctypes.data for x in (a, b, c)]
    ctypes.CFUNCTYPE(None, *kinds)(gemm.address)(101, 111, 111, 2, 4, 3, 1.0, data[0], 3, data[1], 4, 0.0, data[2], 4)
    np.testing.assert_array_equal(c, a @ b)
    assert {routine for routine, _ in find_blas()} == {*CBLAS, *LAPACK}
