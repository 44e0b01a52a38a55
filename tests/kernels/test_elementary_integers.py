"""Integer division, remainder, power and greatest common divisor against NumPy, on edges and random values."""

import numpy as np
import pytest

from tests.kernels.elementary_support import AVX2, AVX512, Compiled, host_features, loop_text
from tracejit.base import dtypes
from tracejit.xla_lite.cpu.vector_math import emit_integer

NAMES = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"]
FUNCTIONS = {"floor_divide": np.floor_divide, "remainder": np.remainder, "power": np.power, "gcd": np.gcd}
FEATURES = [AVX2, AVX512] if host_features() == AVX512 else [AVX2]


def operands(dtype):
    """All pairs of edges, then random numbers of random size; a multiple of 64 of them."""
    info, numpy_dtype, rng = np.iinfo(dtype.numpy), dtype.numpy, np.random.default_rng(0)
    edges = [0, 1, 2, 3, 5, 7, 10, info.max, info.max - 1, info.min, info.min + 1, info.max // 2]
    edges += [-1, -2, -3, -7] * (dtype.kind == "i")
    x, y = (grid.ravel() for grid in np.meshgrid(np.array(edges, numpy_dtype), np.array(edges, numpy_dtype)))
    big = rng.integers(info.min, info.max, (2, 2000), numpy_dtype, endpoint=True)
    small = big[1] >> rng.integers(0, dtype.bits - 1, 2000).astype(numpy_dtype)
    x, y = np.concatenate([x, big[0], big[0], small]), np.concatenate([y, big[1], small, big[0] % 50])
    count = x.size // 64 * 64
    return x[:count].copy(), y[:count].copy()


@pytest.mark.parametrize("features", FEATURES, ids=lambda f: str(f.vector_bits))
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_integer_functions_equal_numpy(name, function, features):
    dtype = getattr(dtypes, name.upper())
    x, y = operands(dtype)
    if function == "power":
        y = (y % np.array(20, y.dtype)).astype(y.dtype)
    with np.errstate(all="ignore"):
        want = FUNCTIONS[function](x, y)
    kind = f"i{dtype.bits}"
    for lanes in (1, features.vector_bits // dtype.bits):
        emit = lambda body, loaded, n=lanes: [emit_integer(body, function, dtype, n, loaded)]  # noqa: E731
        out = np.empty_like(x)
        compiled = Compiled(loop_text(emit, [kind, kind], [kind], lanes, features), features, 3)
        compiled.run(out.ctypes.data, x.ctypes.data, y.ctypes.data, x.size)
        wrong = np.flatnonzero(out != want)
        assert wrong.size == 0, (x[wrong[0]], y[wrong[0]], out[wrong[0]], want[wrong[0]])


def test_negative_powers_are_zero_unless_the_base_is_a_unit():
    x = np.array([2, 1, -1, -1, 0, -3, 7, 1], np.int32)
    y = np.array([-1, -5, -2, -3, -1, -1, -9, -1], np.int32)
    emit = lambda body, loaded: [emit_integer(body, "power", dtypes.I32, 8, loaded)]  # noqa: E731
    out = np.empty_like(x)
    Compiled(loop_text(emit, ["i32", "i32"], ["i32"], 8, AVX2), AVX2, 3).run(
        out.ctypes.data, x.ctypes.data, y.ctypes.data, 8
    )
    assert out.tolist() == [0, 1, 1, -1, 0, 0, 0, 1]
