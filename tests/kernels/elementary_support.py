"""Compiles elementary functions into loops over arrays, and measures errors in units in the last place.

Flows in: names of functions, types, lanes and vector features.
Flows out: callables on NumPy arrays; errors in ULP against references of higher precision.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from tracejit.base import dtypes
from tracejit.xla_lite.cpu.text import Body, ModuleText, VectorFeatures, vector_type
from tracejit.xla_lite.cpu.vector_math import TextBuilder, emit_math_results, scalar_name
from tracejit.xla_lite.kernels.elementary.builder import F32, F64, Builder, FloatType, Value
from tracejit.xla_lite.kernels.elementary.functions import FUNCTIONS

Array = np.ndarray[Any, np.dtype[Any]]
AVX512 = VectorFeatures(512, True)
AVX2 = VectorFeatures(256, False)
NEEDED_BY_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
WIDTH_512 = '"prefer-vector-width"="512" "min-legal-vector-width"="512"'


def dtype_of(type: FloatType) -> np.dtype[Any]:
    """NumPy's dtype."""
    return np.dtype(f"f{type.bits // 8}")


@functools.cache
def host_features() -> VectorFeatures:
    """The best that this machine runs."""
    host = llvm.get_host_cpu_features()
    return AVX512 if all(host.get(name) for name in NEEDED_BY_AVX512) else AVX2


def lanes_of(type: FloatType, features: VectorFeatures) -> int:
    """Lanes of a full register."""
    return features.vector_bits // type.bits


def loop_text(
    emit: Callable[[Body, list[str]], list[str]],
    kinds_in: list[str],
    kinds_out: list[str],
    lanes: int,
    features: VectorFeatures,
    repeat: bool = False,
) -> str:
    """A module with `kernel(out..., in..., n)`, n a multiple of the lanes; `repeat` adds a loop around it."""
    module = ModuleText(features, WIDTH_512 if features.avx512 else "")
    body = Body(module)
    names = [f"%o{i}" for i in range(len(kinds_out))] + [f"%p{i}" for i in range(len(kinds_in))]
    if repeat:
        body.branch("outer")
        body.label("outer")
        body.line("%r = phi i64 [ 0, %entry ], [ %r1, %next ]")
    start = body.block
    body.branch("loop")
    body.label("loop")
    place = body.hole()
    loaded = []
    for i, kind in enumerate(kinds_in):
        pointer = body.emit(f"getelementptr inbounds {kind}, ptr %p{i}, i64 %i")
        loaded.append(body.emit(f"load {vector_type(kind, lanes)}, ptr {pointer}, align 1"))
    for i, (kind, value) in enumerate(zip(kinds_out, emit(body, loaded), strict=True)):
        pointer = body.emit(f"getelementptr inbounds {kind}, ptr %o{i}, i64 %i")
        body.line(f"store {vector_type(kind, lanes)} {value}, ptr {pointer}, align 1")
    body.line(f"%next_i = add i64 %i, {lanes}")
    body.line("%more = icmp slt i64 %next_i, %n")
    body.fill(place, [f"%i = phi i64 [ 0, %{start} ], [ %next_i, %{body.block} ]"])
    body.branch_if("%more", "loop", "next")
    body.label("next")
    if repeat:
        body.line("%r1 = add i64 %r, 1")
        body.line("%again = icmp slt i64 %r1, %times")
        body.branch_if("%again", "outer", "leave")
        body.label("leave")
    body.line("ret void")
    parameters = ", ".join([f"ptr noalias {name}" for name in names] + ["i64 %n"] + ["i64 %times"] * repeat)
    module.define("kernel", "void", parameters, body)
    return module.text()


class Compiled:
    """A compiled loop."""

    def __init__(self, text: str, features: VectorFeatures, pointers: int, integers: int = 1) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.text = text
        module = llvm.parse_assembly(text)
        module.verify()
        host = llvm.get_host_cpu_features()
        if not features.avx512:
            for name in list(host):
                host[name] = host[name] and not name.startswith(("avx512", "evex512"))
        self.machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=host.flatten(), opt=2, codemodel="jitdefault"
        )
        options = llvm.create_pipeline_tuning_options(speed_level=1)
        options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
        builder = llvm.create_pass_builder(self.machine, options)
        builder.getModulePassManager().run(module, builder)
        self.engine = llvm.create_mcjit_compiler(module, self.machine)
        self.engine.finalize_object()
        signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * pointers, *[ctypes.c_int64] * integers)
        self._entry = signature(self.engine.get_function_address("kernel"))

    def run(self, *arguments: int) -> None:
        """Calls the loop with addresses and counts."""
        self._entry(*arguments)


class Kernel:
    """An elementary function over arrays."""

    def __init__(
        self, name: str, type: FloatType, features: VectorFeatures, lanes: int, form: str = "inline"
    ) -> None:
        entry = FUNCTIONS[name]
        scalar = scalar_name(type)
        dtype = dtypes.F32 if type is F32 else dtypes.F64
        kinds = ["i32" if i in entry.integers else scalar for i in range(entry.operands)]

        def emit(body: Body, loaded: list[str]) -> list[str]:
            return emit_math_results(body, name, dtype, lanes, loaded, form)  # type: ignore[arg-type]

        text = loop_text(emit, kinds, [scalar] * entry.results, lanes, features)
        self.compiled = Compiled(text, features, entry.operands + entry.results)
        self.dtype, self.lanes, self.results = dtype_of(type), lanes, entry.results
        self.inputs = [np.dtype(np.int32) if kind == "i32" else self.dtype for kind in kinds]

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        inputs = np.broadcast_arrays(*[np.asarray(x, t) for x, t in zip(arrays, self.inputs, strict=True)])
        count = inputs[0].size
        padded = -(-count // self.lanes) * self.lanes
        buffers = [np.ones(padded, x.dtype) for x in inputs]
        for buffer, x in zip(buffers, inputs, strict=True):
            buffer[:count] = x.ravel()
        outs = [np.empty(padded, self.dtype) for _ in range(self.results)]
        self.compiled.run(*[a.ctypes.data for a in outs + buffers], padded)
        return tuple(out[:count].reshape(inputs[0].shape) for out in outs)


@functools.cache
def kernel(name: str, type: FloatType, features: VectorFeatures, lanes: int = 0, form: str = "inline") -> Kernel:
    """Compiled once per test run."""
    return Kernel(name, type, features, lanes or lanes_of(type, features), form)


def same_bits(x: Array, y: Array) -> Array:
    """Equal bits, or both NaN."""
    ints = np.dtype(f"i{x.dtype.itemsize}")
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    return (np.isnan(x) & np.isnan(y)) | (x.view(ints) == y.view(ints))


def ulp_error(y: Array, high: Array, low: Array) -> Array:
    """|y - (high + low)| in units in the last place of the reference; 1e30 for a wrong NaN."""
    info = np.finfo(y.dtype)
    limit = 2.0**info.maxexp if y.dtype == np.float32 else np.inf
    y64 = y.astype(np.float64)
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(high)[1] - 1, info.minexp) - info.nmant
        if y.dtype == np.float32:
            y64 = np.where(np.isinf(y64), np.copysign(limit, y64), y64)
            high = np.where(np.abs(high) > limit, np.copysign(limit, high), high)
        error = np.abs(np.ldexp(y64 - high, -exponent) - np.ldexp(low, -exponent))
        error = np.where(y64 == high, np.abs(np.ldexp(low, -exponent)), error)
        error = np.where(np.isinf(y64) & np.isfinite(high) & (np.abs(high) >= float(info.max)), 1.0, error)
        error = np.where(np.isinf(high) & (y64 == high), 0.0, error)
        error = np.where(np.isnan(high) & np.isnan(y64), 0.0, error)
        return np.where(np.isnan(high) != np.isnan(y64), 1e30, error)


def error_against_f64(name: str, x: Array, features: VectorFeatures) -> Array:
    """ULP errors of the f32 function against the f64 one."""
    (y,) = kernel(name, F32, features)(x)
    (reference,) = kernel(name, F64, features)(x.astype(np.float64))
    error = ulp_error(y, reference, np.zeros_like(reference))
    wrong_zero = (y == 0) & (np.signbit(y) != np.signbit(reference))
    return np.where(wrong_zero, 1e20, error)


def error_function(name: str) -> Callable[[Builder, Value], Value]:
    """f32 argument to the error in ULP of the f32 function against the f64 one; 1e20 a wrong zero, 1e30 a wrong NaN."""
    function = FUNCTIONS[name].function

    def error(b: Builder, x: Value) -> Value:
        w = b.twin()
        y, exact = b.widen(function(b, x)), function(w, b.widen(x))
        size = w.abs(exact)
        field = w.bits(size) & (0x7FF << 52)
        field = w.select(field > ((1023 - 126) << 52), field, w.int_const((1023 - 126) << 52))
        per_ulp = w.from_bits(w.int_const((1023 + 23 + 1023) << 52) - field)
        limit = w.const(2.0**128)
        y = w.select(w.abs(y).equals(np.inf), w.copy_sign(limit, y), y)
        clipped = w.select(size > 2.0**128, w.copy_sign(limit, exact), exact)
        distance = w.abs(y - clipped) * w.select(size < 2.0**128, per_ulp, 2.0**-104)
        wrong_zero = ((w.bits(y) ^ w.bits(exact)) < 0) & y.equals(0.0)
        distance = w.select(wrong_zero, 1e20, distance)
        nans = w.is_nan(y), w.is_nan(exact)
        return w.narrow(w.select(nans[0] ^ nans[1], 1e30, w.select(nans[0] & nans[1], 0.0, distance)))

    return error


def largest_error_of_all(name: str, features: VectorFeatures) -> tuple[float, float]:
    """The largest error of the f32 function over all 2^32 arguments, and where it is."""
    lanes = lanes_of(F32, features)

    def emit(body: Body, loaded: list[str]) -> list[str]:
        b = TextBuilder(body, F32, lanes)
        return [str(error_function(name)(b, Value(b, loaded[0], "f")).handle)]

    compiled = Compiled(loop_text(emit, ["float"], ["float"], lanes, features), features, 2)
    count, worst, where = 1 << 20, -1.0, 0.0
    out = np.empty(count, np.float32)
    for start in range(0, 1 << 32, count):
        x = np.arange(start, start + count, dtype=np.uint32).view(np.float32)
        compiled.run(out.ctypes.data, x.ctypes.data, count)
        at = int(out.argmax())
        if out[at] > worst:
            worst, where = float(out[at]), float(x[at])
    return worst, where


SPECIAL = [0.0, 1.0, 0.5, 2.0, 3.0, np.inf, np.nan, 1e-40, 5e-324, 88.8, 104.0, 710.0, 745.2, 1e30, 1e300, 1.7e308]


def sample(dtype: np.dtype[Any], count: int, seed: int) -> Array:
    """Random bits, moderate numbers, numbers in [-1, 1], and specials of both signs; operands pair up shuffled."""
    rng = np.random.default_rng(seed)
    ints = np.dtype(f"i{dtype.itemsize}")
    info = np.iinfo(ints)
    bits = rng.integers(info.min, info.max, count, ints).view(dtype)
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL + [-x for x in SPECIAL]).astype(dtype)
        rest = [rng.uniform(-limit, limit, count).astype(dtype) for limit in (12.0, 1.0)]
    values = np.concatenate([bits, *rest, *[special] * 4])
    return rng.permutation(values) if seed else values
