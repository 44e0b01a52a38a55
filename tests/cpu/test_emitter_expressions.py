"""Scalar functions and conversions for every dtype, in vectors and alone; random expressions.

Flows in: expressions.  Flows out: differences between native code, the interpreter and NumPy.
"""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cpu.support import agree, apply, array, compile_program, const, load, program, scalar
from tracejit.base.dtypes import BF16, BOOL, F16, F32, F64, FLOATS, I32, I64, INTEGERS, U8, U32, U64
from tracejit.xla_lite.kernels.kernel_ir import Let, Loop, Name, Store

n, i = Name("n"), Name("i")
TYPES = (BOOL, *INTEGERS, *FLOATS)
SPECIAL = [
    0.0,
    -0.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -1.5,
    127.6,
    128.0,
    -129.0,
    255.9,
    256.0,
    300.0,
    65535.5,
    65536.0,
    -40000.0,
    2.0**31,
    2.0**31 - 1,
    -(2.0**31) - 1,
    2.0**32 + 5,
    2.0**53 + 2,
    2.0**63,
    -(2.0**63),
    2.0**63 + 2048,
    2.0**64,
    1e30,
    -1e30,
    65520.0,
    65519.996,
    1e-8,
    5.96e-8,
    2.98e-8,
    3.4e38,
    1.00048828125,
    1.000488281250001,
    1.00146484375,
    np.inf,
    -np.inf,
    np.nan,
]


def samples(dtype):
    if dtype is BOOL:
        return np.array([False, True] * 10)
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        values = [
            info.min,
            info.max,
            0,
            1,
            2,
            3,
            7,
            100,
            info.max // 2,
            info.max // 3,
            info.max - 1,
            info.max // 2 + 1,
            info.min + 1,
        ]
        return np.array(values * 2, dtype.numpy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dtype is BF16:
            return (np.array(SPECIAL, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return np.array(SPECIAL, np.float64).astype(dtype.numpy)


def storage(dtype):
    return np.dtype(np.uint16) if dtype is BF16 else dtype.numpy


def elementwise(source, result, build):
    return program(
        [
            array("x", n, dtype=source),
            array("o", n, dtype=result, written=True),
            array("q", n, dtype=result, written=True),
            scalar("n"),
        ],
        [
            Loop("i", n, (Store("o", (i,), build(load("x", i, dtype=source))),), "vector"),
            Loop("i", n, (Store("q", (i,), build(load("x", i, dtype=source))),)),
        ],
    )


@pytest.mark.parametrize("source", TYPES, ids=str)
def test_conversions_are_those_of_numpy(source):
    for result in TYPES:
        x = samples(source)
        if result is U32 and source.is_float:  # NumPy's own loops differ by position beyond this range
            x = x[:13] if source is F16 else x[:17]
        p = elementwise(source, result, lambda e, t=result: apply("convert", e, dtype=t))
        outs = [np.zeros(len(x), storage(result)) for _ in range(2)]
        found = agree(p, [x, len(x)], outs, [compile_program(p)])
        if BF16 not in (source, result):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                np.testing.assert_array_equal(found[0], x.astype(result.numpy), err_msg=f"{source} to {result}")


INTEGER_UNARY = ("negate", "not", "abs", "popcount")
INTEGER_BINARY = (
    "add",
    "subtract",
    "multiply",
    "and",
    "or",
    "xor",
    "minimum",
    "maximum",
    "floor_divide",
    "remainder",
    "gcd",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
)


@pytest.mark.parametrize("dtype", [*INTEGERS, BOOL], ids=str)
def test_integer_functions(dtype):
    x = samples(dtype)
    for fn in INTEGER_UNARY if dtype.is_integer else ("not",):
        p = elementwise(dtype, dtype, lambda e, fn=fn: apply(fn, e))
        agree(p, [x, len(x)], [np.zeros_like(x), np.zeros_like(x)], [compile_program(p)])
    reverse = apply("subtract", apply("subtract", n, const(1)), i)
    for fn in INTEGER_BINARY if dtype.is_integer else ("and", "or", "xor", "add", "multiply", "eq", "lt"):
        p = elementwise(dtype, dtype, lambda e, fn=fn: apply(fn, e, load("x", reverse, dtype=dtype)))
        if fn in ("eq", "ne", "lt", "le", "gt", "ge"):
            p = elementwise(dtype, BOOL, lambda e, fn=fn: apply(fn, e, load("x", reverse, dtype=dtype)))
        out = np.zeros(len(x), bool if fn in ("eq", "ne", "lt", "le", "gt", "ge") else dtype.numpy)
        agree(p, [x, len(x)], [out, out.copy()], [compile_program(p)])


def test_shifts_and_bitcasts():
    for dtype in INTEGERS:
        x = samples(dtype)
        for fn in ("shift_left", "shift_right_logical", "shift_right_arithmetic"):
            if fn == "shift_right_arithmetic" and not dtype.is_signed:
                continue
            p = elementwise(dtype, dtype, lambda e, fn=fn, d=dtype: apply(fn, e, const(3, d)))
            agree(p, [x, len(x)], [np.zeros_like(x), np.zeros_like(x)], [compile_program(p)])
    for source, result in ((F32, I32), (I32, F32), (F64, U64), (BOOL, U8), (F16, BF16)):
        p = elementwise(source, result, lambda e, t=result: apply("bitcast", e, dtype=t))
        x = samples(source)
        agree(p, [x, len(x)], [np.zeros(len(x), storage(result)) for _ in range(2)], [compile_program(p)])


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_float_functions(dtype):
    x = samples(dtype)
    for fn in ("negate", "sqrt", "floor", "ceil", "rint", "trunc", "abs"):
        p = elementwise(dtype, dtype, lambda e, fn=fn: apply(fn, e))
        agree(p, [x, len(x)], [np.zeros_like(x), np.zeros_like(x)], [compile_program(p)])
    reverse = load("x", apply("subtract", apply("subtract", n, const(1)), i), dtype=dtype)
    for fn in ("add", "subtract", "multiply", "divide", "copysign", "eq", "ne", "lt", "le", "gt", "ge"):
        result = BOOL if fn in ("eq", "ne", "lt", "le", "gt", "ge") else dtype
        p = elementwise(dtype, result, lambda e, fn=fn: apply(fn, e, reverse))
        agree(p, [x, len(x)], [np.zeros(len(x), result.numpy) for _ in range(2)], [compile_program(p)])
    p = elementwise(dtype, dtype, lambda e: apply("fma", e, reverse, e))
    agree(p, [x[4:12], 8], [np.zeros(8, dtype.numpy) for _ in range(2)], [compile_program(p)])


@st.composite
def expressions(draw, dtype, depth=3):
    """An expression of a type over `x` (f32), `y` (i32) and `z` (f64)."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        name = {F32: "x", I32: "y", F64: "z"}.get(dtype)
        if name is None:
            return apply("lt", load("x", i), const(draw(st.floats(-2, 2, width=32)), F32))
        at = draw(st.sampled_from([i, const(0), apply("subtract", apply("subtract", n, const(1)), i)]))
        return load(name, at, dtype=dtype)
    deeper = lambda d: draw(expressions(d, depth - 1))  # noqa: E731
    kind = draw(st.sampled_from(["arithmetic", "select", "convert", "unary"]))
    if dtype is BOOL:
        source = draw(st.sampled_from([F32, I32, F64]))
        return apply(draw(st.sampled_from(["lt", "ge", "ne"])), deeper(source), deeper(source))
    if kind == "select":
        return apply("select", deeper(BOOL), deeper(dtype), deeper(dtype))
    if kind == "convert":
        return apply("convert", deeper(draw(st.sampled_from([F32, I32, F64]))), dtype=dtype)
    if kind == "unary":
        return apply("negate", deeper(dtype))
    fns = ["add", "subtract", "multiply"] + (["divide"] if dtype.is_float else ["and", "minimum", "floor_divide"])
    return apply(draw(st.sampled_from(fns)), deeper(dtype), deeper(dtype))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from([F32, I32, F64]), st.sampled_from([1, 7, 16, 40]))
def test_random_expressions(data, dtype, count):
    e = data.draw(expressions(dtype))
    rng = np.random.default_rng(count)
    p = program(
        [
            array("x", n),
            array("y", n, dtype=I32),
            array("z", n, dtype=F64),
            array("o", n, dtype=dtype, written=True),
            scalar("n"),
        ],
        [Loop("i", n, (Store("o", (i,), e),), "vector")],
    )
    x = rng.normal(size=count).astype(np.float32)
    y = rng.integers(-100, 100, count).astype(np.int32)
    agree(p, [x, y, rng.normal(size=count), count], [np.zeros(count, dtype.numpy)], [compile_program(p)])


def test_index_arithmetic_is_data_too():
    square = apply("multiply", i, i)
    mixed = apply("add", apply("multiply", square, const(3)), apply("remainder", i, const(7)))
    p = program(
        [array("o", n, dtype=I64, written=True), scalar("n")], [Loop("i", n, (Store("o", (i,), mixed),), "vector")]
    )
    agree(p, [50], [np.zeros(50, np.int64)])


def test_index_arithmetic_wraps():
    big = const((1 << 62) + 12345)
    value = apply("multiply", apply("add", apply("multiply", i, big), big), const(7919))
    p = program(
        [array("o", n, dtype=I64, written=True), scalar("n")],
        [Loop("i", n, (Let("t", value), Store("o", (i,), apply("add", Name("t"), Name("t")))), "vector")],
    )
    agree(p, [20], [np.zeros(20, np.int64)])
