"""Runs programs of the Kernel IR natively and in the interpreter, and compares.

Flows in: programs, arrays.  Flows out: assertions; arrays that end where memory ends, so that reads beyond them crash.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.dtypes import BOOL, F32, I64, DType
from tracejit.xla_lite.cpu.emitter import EmittedModule, emit_program
from tracejit.xla_lite.cpu.target import Target, host
from tracejit.xla_lite.kernels.interpreter import run_program
from tracejit.xla_lite.kernels.kernel_ir import (
    Apply,
    Binding,
    BufferParam,
    BufferRef,
    Call,
    Combine,
    Const,
    Expr,
    Kernel,
    Load,
    Name,
    Param,
    Program,
    ScalarParam,
    Statement,
)
from tracejit.xla_lite.kernels.verify import verify_program
from tracejit.xla_lite.runtime.engine import Target as Machine
from tracejit.xla_lite.runtime.engine import engine

AVX2_FEATURES = frozenset("avx2 avx fma f16c bmi bmi2 lzcnt popcnt sse4.2 sse4.1 ssse3 sse3 movbe".split())
AVX512_FEATURES = AVX2_FEATURES | frozenset("avx512f avx512bw avx512dq avx512vl avx512cd".split())


def avx2() -> Target:
    """The host's triple with 256-bit vectors."""
    return Target(host().triple, "x86-64-v3", AVX2_FEATURES, 256)


def targets() -> list[Target]:
    """Every kind of code that this machine can run."""
    here = host()
    narrow = Target(here.triple, here.cpu, here.features, 256)
    return [here, narrow, avx2()] if here.avx512 else [here]


def target_name(target: Target) -> str:
    """For test ids."""
    return f"{'avx512' if target.avx512 else 'avx2'}-{target.vector_bits}"


# Short forms of the constructs.


def const(value: Any, dtype: DType = I64) -> Const:
    return Const(value, dtype)


def load(buffer: str, *index: Expr, dtype: DType = F32) -> Load:
    return Load(buffer, index, dtype)


def apply(fn: str, *args: Expr, dtype: DType | None = None) -> Apply:
    if dtype is None:
        dtype = BOOL if fn in ("eq", "ne", "lt", "le", "gt", "ge") else args[-1].dtype
    return Apply(fn, args, dtype)


def scalar(name: str, dtype: DType = I64) -> ScalarParam:
    return ScalarParam(name, dtype)


def array(name: str, *shape: Expr, dtype: DType = F32, written: bool = False, **more: Any) -> BufferParam:
    return BufferParam(name, dtype, shape, written=written, **more)


def addition(dtype: DType = F32) -> Combine:
    left, right = Name("l", dtype), Name("r", dtype)
    return Combine(
        "add", (left,), (right,), (apply("add", left, right),), (Const(0 if dtype.is_integer else 0.0, dtype),)
    )


def maximum(dtype: DType = F32) -> Combine:
    left, right = Name("l", dtype), Name("r", dtype)
    larger = apply("select", apply("gt", left, right), left, right)
    return Combine("max", (left,), (right,), (larger,), (Const(-np.inf, dtype),))


def program(params: Sequence[Param], body: Sequence[Statement], contract: bool = False) -> Program:
    """One kernel that `main` calls; parameters that are written come from the outputs, others from slots."""
    kernel = Kernel("kernel", tuple(params), tuple(body), contract)
    arguments = tuple(BufferRef(p.name) if isinstance(p, BufferParam) else Name(p.name, p.dtype) for p in params)
    main = Kernel("main", tuple(params), (Call("kernel", arguments),))
    return Program((kernel,), main, bindings(params))


def whole(params: Sequence[Param], body: Sequence[Statement]) -> Program:
    """A program that is all `main`."""
    return Program((), Kernel("main", tuple(params), tuple(body), False), bindings(params))


def bindings(params: Sequence[Param]) -> tuple[Binding, ...]:
    found = []
    counts = {"slot": 0, "out": 0}
    for p in params:
        source = "out" if isinstance(p, BufferParam) and p.written else "slot"
        found.append(Binding(p.name, source, counts[source]))  # type: ignore[arg-type]
        counts[source] += 1
    return tuple(found)


# Running.


@ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
def _parallel_for(function: int, context: int, count: int) -> int:
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(function)
    JOBS.append(count)
    for chunk in reversed(range(count)):
        run(context, chunk)
    return 0


@ctypes.CFUNCTYPE(ctypes.c_int32)
def _workers_ready() -> int:
    return READY[0]


@ctypes.CFUNCTYPE(ctypes.c_int32)
def _poll() -> int:
    return int(POLLS.append(1) or len(POLLS) >= POLL_LIMIT[0])  # type: ignore[func-returns-value]


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)
def _alloc(size: int) -> int | None:
    if len(LIVE) >= ALLOCATION_LIMIT[0]:
        return None
    memory = np.full(size + 64, 0xFB, np.uint8)
    address: int = (memory.ctypes.data + 63) // 64 * 64
    LIVE[address] = memory
    return address


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _free(address: int | None) -> None:
    if address is not None:
        del LIVE[address]


LIVE: dict[int, Any] = {}
POLLS: list[int] = []
POLL_LIMIT = [1 << 60]
READY = [0]
JOBS: list[int] = []
ALLOCATION_LIMIT = [1 << 60]
SYMBOLS = {
    "tj_parallel_for": _parallel_for,
    "tj_workers_ready": _workers_ready,
    "tj_poll": _poll,
    "tj_alloc": _alloc,
    "tj_free": _free,
}


@dataclass
class Native:
    """A compiled program."""

    module: EmittedModule
    library: Any
    run: Callable[..., int]

    def __call__(self, slots: Sequence[Any], outs: Sequence[np.ndarray[Any, Any]] = ()) -> int:
        self.words = np.zeros(max(8, len(slots)), np.int64)
        for k, word in enumerate(slots):
            self.words[k] = as_word(word)
        pointers = np.array([o.ctypes.data for o in outs], np.int64)
        return self.run(self.words.ctypes.data, pointers.ctypes.data)


def as_word(word: Any) -> Any:
    if isinstance(word, np.ndarray):
        return word.ctypes.data
    if isinstance(word, float):
        return np.float64(word).view(np.int64)
    return word


def machine(target: Target) -> Machine:
    here = host()
    return engine().host if target.cpu == here.cpu else Machine(target.triple, target.cpu, target.feature_text)


def compile_program(p: Program, target: Target | None = None, checked: bool = False, symbols: Any = None) -> Native:
    target = target or host()
    verify_program(p)
    module = emit_program(p, target, checked=checked)
    code = engine().compile_text(module.text, 2, machine(target))
    known = {**SYMBOLS, **(symbols or {})}
    imports = {name: ctypes.cast(known[name], ctypes.c_void_p).value or 0 for name in module.imports if name in known}
    library = engine().link(code, module.exports, imports)
    run = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(library["tj_main"])
    return Native(module, library, run)


def assembly(p: Program, target: Target | None = None) -> str:
    target = target or host()
    return engine().assembly(emit_program(p, target).text, 2, machine(target))


def at_the_end(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy whose last byte is the last before memory that must not be touched."""
    page = mmap.PAGESIZE
    pages = -(-values.nbytes // page) or 1
    memory = mmap.mmap(-1, (pages + 1) * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + pages * page), ctypes.c_size_t(page), 0)
    copy = np.frombuffer(memory, values.dtype, values.size, pages * page - values.nbytes).reshape(values.shape)
    copy[...] = values
    return copy


def agree(
    p: Program,
    slots: Sequence[Any],
    outs: Sequence[np.ndarray[Any, Any]],
    natives: Sequence[Native] | None = None,
    exact: bool = True,
) -> list[np.ndarray[Any, Any]]:
    """The interpreter's outputs, after every native version gave the same."""
    expected = [o.copy() for o in outs]
    given = [w.copy() if isinstance(w, np.ndarray) else w for w in slots]
    outcome = run_program(p, given, expected)
    for native in natives or [compile_program(p, t) for t in targets()]:
        found = [at_the_end(o) for o in outs]
        status = native([at_the_end(w) if isinstance(w, np.ndarray) else w for w in slots], found)
        assert status == outcome.status
        for x, y in zip(found, expected, strict=True):
            if exact:
                np.testing.assert_array_equal(x, y)
            else:
                np.testing.assert_allclose(x, y, rtol=1e-5 if x.dtype == np.float32 else 1e-12)
    assert not LIVE, "memory was not freed"
    return expected


def natives(p: Program) -> list[Native]:
    return [compile_program(p, t) for t in targets()]
