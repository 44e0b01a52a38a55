"""Blocks of matrices: products and turned copies, native code against the interpreter.

Flows in: blocks of every height and width around the tiles.  Flows out: differences.
"""

import numpy as np
import pytest

from tests.cpu.support import agree, array, assembly, avx2, compile_program, const, natives, program, scalar, targets
from tests.cpu.test_foreign_targets import APPLE, NEON, SKYLAKE
from tracejit.base.dtypes import BOOL, F32, F64
from tracejit.xla_lite.cpu.check import CHECK_FAILED, describe_violation
from tracejit.xla_lite.kernels.interpreter import run_program
from tracejit.xla_lite.kernels.kernel_ir import BufferRef, Name, TileMatmul, TileTranspose
from tracejit.xla_lite.kernels.printer import print_program

m, n, k = (Name(name) for name in "mnk")
ORIGIN = (const(0), const(0))


def matmul(rows, columns, depth, dtype=F32, turned=False, add=False):
    """o = [o +] x @ y."""
    left = (k, m) if turned else (m, k)
    params = [array("x", *left, dtype=dtype), array("y", k, n, dtype=dtype),
              array("o", m, n, dtype=dtype, written=True), scalar("m"), scalar("n"), scalar("k")]
    return program(params, [TileMatmul(BufferRef("o", ORIGIN), BufferRef("x", ORIGIN), BufferRef("y", ORIGIN), rows,
                                       columns, depth, turned, const(add, BOOL))])


def operands(rows, columns, depth, turned, dtype):
    """Whole numbers, whose sums are exact."""
    r = np.random.default_rng(rows * columns + depth)
    shapes = (depth, rows) if turned else (rows, depth), (depth, columns), (rows, columns)
    return [r.integers(-9, 9, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("turned", [False, True], ids=["plain", "turned"])
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_products_of_sizes_that_are_known_at_run_time(dtype, turned):
    p = matmul(m, n, k, dtype, turned)
    versions = natives(p)
    for rows, columns, depth in ((1, 1, 1), (3, 5, 0), (8, 48, 7), (15, 50, 4), (17, 97, 3), (0, 4, 2), (4, 0, 2)):
        x, y, o = operands(rows, columns, depth, turned, dtype.numpy)
        agree(p, [x, y, rows, columns, depth], [o], versions)


@pytest.mark.parametrize("rows", [1, 5, 8, 23])
@pytest.mark.parametrize("columns", [8, 17, 60])
def test_products_of_sizes_that_are_constants(rows, columns):
    x, y, o = operands(rows, columns, 5, False, np.float32)
    p = matmul(const(rows), const(columns), const(5))
    agree(p, [x, y, rows, columns, 5], [o])


def test_products_are_added_to_what_is_there():
    p = matmul(m, n, k, add=True)
    x, y, o = operands(11, 21, 6, False, np.float32)
    found = agree(p, [x, y, 11, 21, 6], [o])
    np.testing.assert_array_equal(found[0], o + x @ y)


def test_each_product_is_added_in_order_by_a_fused_step():
    """Bit for bit the same for every tile that an element may be in."""
    r = np.random.default_rng(0)
    x, y = r.normal(size=(9, 30)).astype(np.float32), r.normal(size=(30, 35)).astype(np.float32)
    agree(matmul(m, n, k), [x, y, 9, 35, 30], [np.zeros((9, 35), np.float32)])
    agree(matmul(m, n, k, turned=True), [x.T.copy(), y, 9, 35, 30], [np.zeros((9, 35), np.float32)])


def turn(dtype):
    params = [array("x", m, n, dtype=dtype), array("o", n, m, dtype=dtype, written=True), scalar("m"), scalar("n")]
    return program(params, [TileTranspose(BufferRef("o", ORIGIN), BufferRef("x", ORIGIN), m, n)])


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_turned_blocks(dtype):
    p = turn(dtype)
    versions = natives(p)
    for rows, columns in ((1, 1), (8, 8), (3, 20), (20, 3), (16, 24), (17, 33), (0, 3)):
        x = np.arange(rows * columns, dtype=dtype.numpy).reshape(rows, columns)
        found = agree(p, [x, rows, columns], [np.zeros((columns, rows), dtype.numpy)], versions)
        np.testing.assert_array_equal(found[0], x.T)


@pytest.mark.parametrize("target", [NEON, APPLE, SKYLAKE, avx2()], ids=lambda t: t.cpu)
def test_tiles_become_assembly_of_other_machines(target):
    text = assembly(matmul(const(16), const(48), k), target)
    assert {"skylake-avx512": "vfmadd231ps", "x86-64-v3": "vfmadd231ps"}.get(target.cpu, "fmla") in text
    assert assembly(turn(F32), target)


@pytest.mark.parametrize("target", targets(), ids=lambda t: f"{t.cpu}-{t.vector_bits}")
def test_blocks_outside_are_reported(target):
    x, y, o = operands(4, 5, 6, False, np.float32)
    for rows, columns, depth, expected in ((m, n, k, 0), (const(5), n, k, CHECK_FAILED)):
        native = compile_program(matmul(rows, columns, depth), target, checked=True)
        large = np.zeros((9, 9), np.float32)
        assert native([np.resize(x, 200), np.resize(y, 200), 4, 5, 6], [large]) == expected
        if expected:
            sentence = describe_violation(native.module.accesses, [int(w) for w in native.words])
            assert sentence == "kernel kernel: index 4 of o is out of bounds for axis 0 with size 4"


def test_tiles_are_printed():
    text = print_program(matmul(m, n, k, turned=True))
    assert "tile_matmul &o[0, 0] = &x[0, 0] turned @ &y[0, 0] sizes m n k add false" in text
    assert "tile_transpose &o[0, 0] = &x[0, 0] sizes m n" in print_program(turn(F32))


def test_the_interpreter_names_an_index_outside():
    x, y, o = operands(2, 3, 4, False, np.float32)
    with pytest.raises(IndexError, match="x: index 4 is out of bounds for axis 1 with size 4"):
        run_program(matmul(m, n, const(5)), [np.resize(x, (2, 5)), y, 2, 3, 4], [o])
