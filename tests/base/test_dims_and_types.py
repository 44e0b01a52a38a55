"""Symbolic sizes, dtypes, array types: arithmetic, promotion, text."""
from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracejit.base.dims import Dim, Size, dim_function, divide_exactly, evaluate_size, product
from tracejit.base.dtypes import BF16, BOOL, C64, DTYPES, F16, F32, F64, I8, I32, I64, dtype_of, promote, weak_result
from tracejit.base.types import ArrayType

N, M = Dim.symbol("n"), Dim.symbol("m")


def sizes(depth: int = 3) -> st.SearchStrategy[Size]:
    leaf = st.one_of(st.integers(-4, 9), st.sampled_from([N, M]))
    return st.recursive(leaf, lambda s: st.one_of(
        st.tuples(s, s).map(lambda p: p[0] + p[1]), st.tuples(s, s).map(lambda p: p[0] - p[1]),
        st.tuples(s, s).map(lambda p: p[0] * p[1]), st.tuples(s, st.integers(1, 5)).map(lambda p: p[0] // p[1]),
        st.tuples(s, st.integers(1, 5)).map(lambda p: p[0] % p[1]),
        st.tuples(st.sampled_from(["max", "min"]), s, s).map(lambda p: dim_function(*p))), max_leaves=6)


@given(sizes(), sizes(), st.integers(1, 7), st.integers(1, 7))
def test_arithmetic_agrees_with_integers(x: Size, y: Size, n: int, m: int) -> None:
    at = {"n": n, "m": m}
    a, b = evaluate_size(x, at), evaluate_size(y, at)
    assert evaluate_size(x + y, at) == a + b
    assert evaluate_size(x - y, at) == a - b
    assert evaluate_size(x * y, at) == a * b


@given(sizes(), st.integers(1, 7), st.integers(1, 7))
def test_text_is_read_back(x: Size, n: int, m: int) -> None:
    assert Dim.parse(str(x)) == x
    assert evaluate_size(Dim.parse(str(x)), {"n": n, "m": m}) == evaluate_size(x, {"n": n, "m": m})


def test_a_polynomial_without_symbols_is_an_int() -> None:
    assert isinstance(N - N, int) and N - N == 0
    assert isinstance(dim_function("floordiv", N, N), int)
    assert (N + 3 - N) == 3 and isinstance(N + 3 - N, int)


def test_equal_products_in_any_order_are_equal() -> None:
    assert product([N, 4, M]) == product([M, N, 4])
    assert hash(product([N, 4, M])) == hash(product([M, N, 4]))
    assert str(product([N, M, 2]) + 1) == "2*m*n+1"


def test_exact_division() -> None:
    assert divide_exactly(6 * N * M, 2 * N) == 3 * M
    assert divide_exactly(6 * N + 1, 2) is None
    assert divide_exactly(12, 5) is None


@pytest.mark.parametrize("x", [d for d in DTYPES.values() if d is not BF16], ids=str)
@pytest.mark.parametrize("y", [d for d in DTYPES.values() if d is not BF16], ids=str)
def test_promotion_is_numpys(x: object, y: object) -> None:
    assert promote(x, y).numpy == np.promote_types(x.numpy, y.numpy)     # type: ignore[attr-defined, arg-type]


def test_bfloat16_promotes_as_float16_does() -> None:
    assert promote(BF16, F16) is F32 and promote(BF16, I8) is BF16 and promote(I32, BF16) is F64
    assert promote(BF16, F32) is F32 and promote(BOOL, BF16) is BF16 and promote(BF16, C64) is C64


@pytest.mark.parametrize(("scalar", "dtype"), [(True, "int8"), (1, "int8"), (1, "float32"), (1.0, "int32"),
                                               (1.0, "float16"), (1j, "float32"), (1j, "float64"), (1, "bool"),
                                               (1.0, "bool"), (1.0, "complex64")])
def test_weak_scalars_promote_as_nep_50_says(scalar: complex, dtype: str) -> None:
    kind = {bool: "b", int: "i", float: "f", complex: "c"}[type(scalar)]
    assert weak_result(kind, dtype_of(dtype)).numpy == (np.ones(1, dtype) * scalar).dtype


def test_dtypes_are_unique_also_after_pickling() -> None:
    assert all(pickle.loads(pickle.dumps(d)) is d for d in DTYPES.values())
    assert dtype_of(np.float32) is F32 and dtype_of(">f8") is F64 and dtype_of("i64") is I64 and dtype_of(int) is I64


@pytest.mark.parametrize("spec", [object, "U3", "datetime64[s]", np.longdouble])
def test_types_without_an_equal_are_refused(spec: object) -> None:
    with pytest.raises(TypeError, match="no compiled equal"):
        dtype_of(spec)


@pytest.mark.parametrize("text", ["f32[]", "f32[n,784]", "bool[2*n+1,m*n]", "c128[max(n,m),3]", "i8[floordiv(n,2)]"])
def test_array_types_print_as_parsed(text: str) -> None:
    assert str(ArrayType.parse(text)) == text and ArrayType.parse(f" {text} ") == ArrayType.parse(text)
    assert ArrayType(text) == ArrayType.parse(text)


@pytest.mark.parametrize("text", ["f33[2]", "f32[2", "[2]", "f32[a b]", "f32[2.5]", ""])
def test_text_that_is_no_array_type_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="not an array type"):
        ArrayType.parse(text)
