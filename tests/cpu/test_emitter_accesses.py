"""Loads and stores of vector loops, by the way that lanes read: every kind of step, dtype and extent.

Flows in: small kernels.  Flows out: differences between native code and the interpreter.
"""

import numpy as np
import pytest

from tests.cpu.support import agree, apply, array, const, load, natives, program, scalar
from tracejit.base.dtypes import BF16, BOOL, C64, C128, DTYPES, F16, F32, I32, I64
from tracejit.xla_lite.kernels.kernel_ir import BufferParam, Let, Loop, Name, Store

EXTENTS = (0, 1, 3, 16, 17, 64, 129)
n, i = Name("n"), Name("i")
REAL = [d for d in DTYPES.values() if d not in (C64, C128)]


def bits(count, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype is BOOL:
        return rng.integers(0, 2, count).astype(bool)
    if dtype is BF16:
        return rng.integers(0, 1 << 15, count).astype(np.uint16)
    return (
        (rng.normal(size=count) * 50).astype(dtype.numpy)
        if dtype.is_float
        else rng.integers(0, 100, count).astype(dtype.numpy)
    )


@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_copies_of_every_dtype_touch_only_their_elements(dtype):
    p = program(
        [array("x", n, dtype=dtype), array("o", n, dtype=dtype, written=True), scalar("n")],
        [Loop("i", n, (Store("o", (i,), load("x", i, dtype=dtype)),), "vector")],
    )
    versions = natives(p)
    for count in EXTENTS:
        x = bits(count, dtype)
        (o,) = agree(p, [x, count], [np.zeros_like(x)], versions)
        np.testing.assert_array_equal(o, x)


def test_shifted_and_repeated_reads_of_a_stencil():
    size = apply("add", n, const(2))
    total = apply(
        "add", apply("add", load("x", i), load("x", apply("add", i, const(1)))), load("x", apply("add", i, const(2)))
    )
    p = program(
        [array("x", size), array("o", n, written=True), scalar("n")],
        [Loop("i", n, (Store("o", (i,), total),), "vector")],
    )
    versions = natives(p)
    for count in EXTENTS:
        agree(p, [bits(count + 2, F32), count], [np.zeros(count, np.float32)], versions)


@pytest.mark.parametrize("step", [-3, -1, 2, 3, 4, 5, 7])
def test_constant_steps(step):
    first = apply("multiply", apply("subtract", n, const(1)), const(-step if step < 0 else 0))
    index = apply("add", apply("multiply", i, const(step)), first)
    p = program(
        [
            array("x", apply("add", apply("multiply", n, const(abs(step))), const(1))),
            array("o", n, written=True),
            scalar("n"),
        ],
        [Loop("i", n, (Store("o", (i,), load("x", index)),), "vector")],
    )
    versions = natives(p)
    for count in EXTENTS[1:]:
        x = bits(abs(step) * (count - 1) + 1, F32)
        agree(p, [x, count], [np.zeros(count, np.float32)], versions)


@pytest.mark.parametrize("step", [-1, 2, 3, 6])
def test_stores_with_steps_leave_the_elements_between_alone(step):
    first = apply("multiply", apply("subtract", n, const(1)), const(-step if step < 0 else 0))
    index = apply("add", apply("multiply", i, const(step)), first)
    size = apply("multiply", n, const(abs(step)))
    p = program(
        [array("x", n), array("o", size, written=True), scalar("n")],
        [Loop("i", n, (Store("o", (index,), load("x", i)),), "vector")],
    )
    versions = natives(p)
    for count in EXTENTS[1:]:
        agree(p, [bits(count, F32), count], [np.full(abs(step) * count, 7, np.float32)], versions)


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize("dtype", [F32, I64], ids=str)
def test_interleaved_parts_are_read_and_written_in_groups(parts, dtype):
    lets = [Let(f"v{k}", load("x", i, const(k), dtype=dtype)) for k in range(parts)]
    stores = [Store("o", (i, const(k)), Name(f"v{parts - 1 - k}", dtype)) for k in range(parts)]
    p = program(
        [array("x", n, const(parts), dtype=dtype), array("o", n, const(parts), dtype=dtype, written=True), scalar("n")],
        [Loop("i", n, (*lets, *stores), "vector")],
    )
    versions = natives(p)
    for count in EXTENTS:
        x = bits(count * parts, dtype).reshape(count, parts)
        (o,) = agree(p, [x, count], [np.zeros_like(x)], versions)
        np.testing.assert_array_equal(o, x[:, ::-1])


def test_gathers_and_scatters_by_data():
    at = apply("convert", load("ix", i, dtype=I32), dtype=I64)
    p = program(
        [
            array("x", const(50)),
            array("ix", n, dtype=I32),
            array("o", n, written=True),
            array("q", const(200), written=True),
            scalar("n"),
        ],
        [Loop("i", n, (Store("o", (i,), load("x", at)), Store("q", (at,), load("x", at))), "vector")],
    )
    versions = natives(p)
    for count in EXTENTS:
        ix = np.random.default_rng(1).integers(0, 50, count).astype(np.int32)
        agree(p, [bits(50, F32), ix, count], [np.zeros(count, np.float32), np.zeros(200, np.float32)], versions)


@pytest.mark.parametrize("stride", [1, 2, 3, 0])
def test_run_time_strides(stride):
    s = Name("s")
    p = program(
        [BufferParam("x", F32, (n,), (s,)), array("o", n, written=True), scalar("n"), scalar("s")],
        [Loop("i", n, (Store("o", (i,), apply("multiply", load("x", i), const(2.0, F32))),), "vector")],
    )
    versions = natives(p)
    for count in EXTENTS[1:]:
        x = bits((count - 1) * stride + 1, F32)
        agree(p, [x, count, stride], [np.zeros(count, np.float32)], versions)


def test_rows_of_matrices_with_run_time_strides_in_a_nest():
    m, s, t, j = Name("m"), Name("s"), Name("t"), Name("j")
    p = program(
        [
            BufferParam("x", F32, (n, m), (s, t)),
            array("o", n, m, written=True),
            scalar("n"),
            scalar("m"),
            scalar("s"),
            scalar("t"),
        ],
        [
            Loop(
                "i",
                n,
                (Loop("j", m, (Store("o", (i, j), apply("add", load("x", i, j), load("x", i, const(0)))),), "vector"),),
            )
        ],
    )
    versions = natives(p)
    x = bits(40 * 40, F32)
    for rows, columns, strides in (
        (3, 20, (40, 1)),
        (20, 3, (1, 40)),
        (7, 17, (80, 2)),
        (1, 1, (1, 1)),
        (0, 3, (1, 1)),
    ):
        agree(p, [x, rows, columns, *strides], [np.zeros((rows, columns), np.float32)], versions)


def test_16_bit_floats_are_converted_at_loads_and_stores():
    for dtype in (F16, BF16):
        twice = apply("multiply", apply("convert", load("x", i, dtype=dtype), dtype=F32), const(1.7, F32))
        p = program(
            [array("x", n, dtype=dtype), array("o", n, dtype=dtype, written=True), scalar("n")],
            [Loop("i", n, (Store("o", (i,), apply("convert", twice, dtype=dtype)),), "vector")],
        )
        versions = natives(p)
        for count in EXTENTS:
            x = bits(count, dtype)
            agree(p, [x, count], [np.zeros_like(x)], versions)


def test_the_index_is_a_value():
    p = program(
        [array("o", n, dtype=I32, written=True), array("q", n, written=True), scalar("n")],
        [
            Loop(
                "i",
                n,
                (
                    Store("o", (i,), apply("convert", apply("multiply", i, i), dtype=I32)),
                    Store("q", (i,), apply("convert", i, dtype=F32)),
                ),
                "vector",
            )
        ],
    )
    versions = natives(p)
    for count in EXTENTS:
        agree(p, [count], [np.zeros(count, np.int32), np.zeros(count, np.float32)], versions)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 10, 16, 40, 64, 100, 1000])
def test_constant_extents(count):
    p = program(
        [array("x", const(count)), array("o", const(count), written=True)],
        [Loop("i", const(count), (Store("o", (i,), apply("add", load("x", i), const(1.0, F32))),), "vector")],
    )
    agree(p, [bits(count, F32)], [np.zeros(count, np.float32)])
