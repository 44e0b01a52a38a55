"""The LLVM text of the elementary functions against the same algorithms over NumPy, bit for bit.

Flows in: every function in both types, with and without AVX-512.  Flows out: differing lanes.
"""

import llvmlite.binding as llvm
import numpy as np
import pytest

from tests.kernels.elementary_support import (
    AVX2,
    AVX512,
    Compiled,
    dtype_of,
    host_features,
    kernel,
    loop_text,
    same_bits,
    sample,
)
from tracejit.base import dtypes
from tracejit.xla_lite.cpu.text import VectorFeatures
from tracejit.xla_lite.cpu.vector_math import emit_integer_power, emit_math_results, scalar_name
from tracejit.xla_lite.kernels.elementary.builder import F32, F64
from tracejit.xla_lite.kernels.elementary.functions import FUNCTIONS
from tracejit.xla_lite.kernels.elementary.numpy_builder import evaluate, fma64

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, about the special values in samples
TYPES = [F32, F64]
FEATURES = [AVX2, AVX512] if host_features() == AVX512 else [AVX2]
feature_name = lambda f: str(f.vector_bits) if isinstance(f, VectorFeatures) else str(f)  # noqa: E731


def both(name, type, features, arrays, lanes=0, form="inline"):
    """Results of both backends."""
    entry = FUNCTIONS[name]
    compiled = kernel(name, type, features, lanes, form)(*arrays)
    arrays = [x.astype(np.int32).astype(x.dtype) if i in entry.integers else x for i, x in enumerate(arrays)]
    return zip(compiled, evaluate(entry.function, type, *arrays, wide=features.avx512), strict=True)


def arguments(name, type, count=300):
    """Samples with all special values, for each operand."""
    entry = FUNCTIONS[name]
    arrays = [sample(dtype_of(type), count, seed) for seed in range(entry.operands)]
    for i in entry.integers:
        arrays[i] = np.rint(np.clip(np.nan_to_num(arrays[i]), -300, 300)).astype(arrays[i].dtype)
    return arrays


@pytest.mark.parametrize("features", FEATURES, ids=feature_name)
@pytest.mark.parametrize("type", TYPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_code_equals_the_numpy_backend(name, type, features):
    arrays = arguments(name, type)
    for got, want in both(name, type, features, arrays):
        wrong = np.flatnonzero(~same_bits(got, want))
        assert wrong.size == 0, [(x[wrong[0]], got[wrong[0]], want[wrong[0]]) for x in arrays]


@pytest.mark.parametrize("lanes", [1, 2, 32])
@pytest.mark.parametrize("name", ["exp", "log", "sin", "tanh", "pow"])
def test_results_do_not_depend_on_the_number_of_lanes(name, lanes):
    for type in TYPES:
        for got, want in both(name, type, host_features(), arguments(name, type), lanes):
            assert same_bits(got, want).all()


@pytest.mark.parametrize("name", ["exp", "sincos", "pow"])
def test_shared_function_equals_inline_code(name):
    for got, want in both(name, F32, host_features(), arguments(name, F32), form="call"):
        assert same_bits(got, want).all()


def test_a_shared_function_is_defined_once():
    def twice(body, loaded):
        (first,) = emit_math_results(body, "exp", dtypes.F32, 8, loaded, "call")
        return emit_math_results(body, "exp", dtypes.F32, 8, [first], "call")

    text = loop_text(twice, ["float"], ["float"], 8, AVX2)
    assert text.count("define internal") == 1
    assert text.count("call fastcc") == 2
    x = np.linspace(-1, 1, 64).astype(np.float32)
    out = np.empty_like(x)
    Compiled(text, AVX2, 2).run(out.ctypes.data, x.ctypes.data, x.size)
    np.testing.assert_allclose(out, np.exp(np.exp(x)), rtol=1e-6)


def text_of(name, type, features, lanes):
    """The module of a loop over one function."""
    entry = FUNCTIONS[name]
    dtype, scalar = (dtypes.F32, "float") if type is F32 else (dtypes.F64, "double")
    kinds = ["i32" if i in entry.integers else scalar for i in range(entry.operands)]
    emit = lambda body, loaded: emit_math_results(body, name, dtype, lanes, loaded)  # noqa: E731
    return loop_text(emit, kinds, [scalar] * entry.results, lanes, features)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_library_call_and_no_fast_math(name):
    for type in TYPES:
        for features in (AVX2, AVX512):
            for line in text_of(name, type, features, features.vector_bits // type.bits).splitlines():
                assert not line.startswith("declare") or "@llvm." in line
                assert not any(f" {flag} " in line for flag in ("fast", "reassoc", "contract", "nnan", "afn", "nsz"))


def test_tables_are_not_used_where_512_bits_are_not_legal():
    for name in ("exp", "log", "tanh"):
        assert "llvm.x86" not in text_of(name, F32, VectorFeatures(256, True), 8)


@pytest.mark.parametrize("name", ["exp", "log", "sin", "tanh", "erf", "atan2", "floor_divide"])
def test_neon_code_calls_no_library(name):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine(opt=2)
    for type in TYPES:
        module = llvm.parse_assembly(text_of(name, type, VectorFeatures(128, False), 128 // type.bits))
        module.verify()
        called = [line.split()[1] for line in machine.emit_assembly(module).splitlines() if line.startswith("\tbl\t")]
        assert all(target.startswith("tj_") for target in called), called


@pytest.mark.parametrize("exponent", [-3, -1, 0, 1, 2, 3, 7, 20])
def test_fixed_integer_power(exponent):
    for dtype, scalar in ((dtypes.F32, "float"), (dtypes.F64, "double")):
        x = np.linspace(-3, 3, 64).astype(dtype.numpy)
        emit = lambda body, loaded, dtype=dtype: [emit_integer_power(body, dtype, 4, loaded[0], exponent)]  # noqa: E731
        out = np.empty_like(x)
        Compiled(loop_text(emit, [scalar], [scalar], 4, AVX2), AVX2, 2).run(out.ctypes.data, x.ctypes.data, x.size)
        bound = 12 * np.finfo(x.dtype).eps
        np.testing.assert_allclose(out, x.astype(np.float64) ** exponent, rtol=bound)


def test_numpy_fma_is_exact():
    from fractions import Fraction

    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 1000))
    z = -x * y * (1 + rng.integers(-3, 4, 1000) * 2.0**-52)
    for a, b, c, got in zip(x, y, z, fma64(x, y, z), strict=True):
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        assert got == exact.numerator / exact.denominator


def test_scalar_names_are_llvms():
    assert (scalar_name(F32), scalar_name(F64)) == ("float", "double")
