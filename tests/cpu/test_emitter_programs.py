"""Parallel loops, memory, failure, calls and signals: what joins kernels to the runtime.

Flows in: small kernels.  Flows out: differences.
"""

import ctypes

import numpy as np

from tests.cpu import support
from tests.cpu.support import (
    agree,
    apply,
    array,
    compile_program,
    const,
    load,
    natives,
    program,
    scalar,
    whole,
)
from tracejit.base.dtypes import BOOL, F32, F64, I8, I64
from tracejit.xla_lite.kernels.kernel_ir import (
    Binding,
    Buffer,
    BufferRef,
    Call,
    Fail,
    If,
    Kernel,
    Let,
    Loop,
    Name,
    Program,
    Store,
    While,
)

EXTENTS = (0, 1, 5, 16, 33, 130, 700)
n, m, i, j, k = (Name(name) for name in "nmijk")


def whole_numbers(*shape, dtype=np.float32, seed=0):
    """Sums of these are exact in any order."""
    return np.random.default_rng(seed).integers(-50, 50, shape).astype(dtype)


def test_chunks_cover_every_iteration_once():
    p = program(
        [array("o", n, dtype=I64, written=True), scalar("n")],
        [
            Loop(
                "i", n, (Store("o", (i,), apply("add", load("o", i, dtype=I64), const(1))),), "parallel", const(1 << 40)
            )
        ],
    )
    versions = natives(p)
    for count in (0, 1, 2, 255, 256, 1000):
        (o,) = agree(p, [count], [np.zeros(count, np.int64)], versions)
        assert (o == 1).all()


def test_threads_get_a_loop_if_it_is_worth_handing_over(monkeypatch):
    p = program(
        [array("o", n, dtype=I64, written=True), scalar("n"), scalar("m")],
        [Loop("i", n, (Store("o", (i,), i),), "parallel", m)],
    )
    native, target = compile_program(p), support.host()
    for work, ready, handed in (
        (1, 1, False),
        (target.parallel_work, 0, False),
        (target.parallel_work, 1, True),
        (target.wake_work, 0, True),
    ):
        monkeypatch.setattr(support, "READY", [ready])
        support.JOBS.clear()
        agree(p, [50, work], [np.zeros(50, np.int64)], [native])
        assert bool(support.JOBS) == handed


def test_captured_scalars_and_buffers_reach_parallel_bodies():
    p = program(
        [array("x", n), array("o", n, written=True), scalar("n"), scalar("a", F32), scalar("flag", BOOL)],
        [
            Buffer("reg", F32, ()),
            Store("reg", (), const(3.0, F32)),
            Let("b", apply("multiply", Name("a", F32), load("reg"))),
            Let("last", apply("subtract", n, const(1))),
            Buffer("table", F32, (const(4),)),
            Loop("k", const(4), (Store("table", (k,), apply("convert", k, dtype=F32)),)),
            Loop(
                "i",
                n,
                (
                    Store(
                        "o",
                        (apply("subtract", Name("last"), i),),
                        apply(
                            "add",
                            apply("multiply", load("x", i), Name("b", F32)),
                            apply("select", Name("flag", BOOL), load("reg"), load("table", apply("and", i, const(3)))),
                        ),
                    ),
                ),
                "parallel",
                const(1 << 40),
            ),
        ],
    )
    versions = natives(p)
    for flag in (0, 1):
        agree(p, [whole_numbers(77), 77, 2.0, flag], [np.zeros(77, np.float32)], versions)


def test_heap_buffers_and_views_are_freed():
    p = program(
        [array("x", n), array("o", n, written=True), scalar("n")],
        [
            Buffer("arena", I8, (apply("add", apply("multiply", n, const(8)), const(64)),), "heap"),
            Buffer("t", F32, (n,), of="arena", offset=const(64)),
            Loop("i", n, (Store("t", (i,), apply("add", load("x", i), load("x", i))),), "vector"),
            Loop(
                "i", n, (Store("o", (i,), load("t", apply("subtract", apply("subtract", n, const(1)), i))),), "vector"
            ),
        ],
    )
    versions = natives(p)
    for count in EXTENTS:
        agree(p, [whole_numbers(count), count], [np.zeros(count, np.float32)], versions)


def test_running_out_of_memory_is_a_status(monkeypatch):
    p = program(
        [scalar("n")],
        [Buffer("a", F32, (n,), "heap"), Buffer("b", F32, (n,), "heap"), Store("b", (const(0),), const(0.0, F32))],
    )
    native = compile_program(p)
    monkeypatch.setattr(support, "ALLOCATION_LIMIT", [1])
    assert native([100]) == -2
    assert not support.LIVE


def failing():
    check = Kernel(
        "check",
        (array("x", n), scalar("n")),
        (
            Buffer("t", F32, (n,), "heap"),
            Loop("i", n, (If(apply("lt", load("x", i), const(0.0, F32)), (Fail(3, (i, load("x", i))),)),)),
        ),
    )
    main = Kernel(
        "main",
        (array("x", n), array("o", const(1), written=True), scalar("n")),
        (Call("check", (BufferRef("x"), n)), Store("o", (const(0),), const(1.0, F32))),
    )
    return Program((check,), main, (Binding("x", "slot", 0), Binding("o", "out", 0), Binding("n", "slot", 1)))


def test_failures_leave_with_site_and_payload_and_free_memory():
    p = failing()
    native = compile_program(p)
    x = np.ones(10, np.float32)
    agree(p, [x, 10], [np.zeros(1, np.float32)], [native])
    x[7] = -2
    (o,) = agree(p, [x, 10], [np.zeros(1, np.float32)], [native])
    assert o == 0 and native.words[0] == 7 and native.words[1:2].view(np.float64) == -2


def test_c_symbols_are_called_with_plain_arguments():
    symbol = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, ctypes.c_double, ctypes.c_void_p)(
        lambda size, value, p: size + value + ctypes.c_float.from_address(p).value
    )
    p = whole(
        [array("x", n), array("o", const(1), dtype=F64, written=True), scalar("n"), scalar("v", F64)],
        [
            Call("twice", (n, Name("v", F64), BufferRef("x", (const(2),))), Name("r", F64)),
            Store("o", (const(0),), Name("r", F64)),
        ],
    )
    o = np.zeros(1)
    assert compile_program(p, symbols={"twice": symbol})([np.arange(5, dtype=np.float32), 5, 0.5], [o]) == 0
    assert o == 7.5


def test_long_loops_of_main_poll_for_signals(monkeypatch):
    register = Buffer("c", I64, ())
    p = whole(
        [scalar("n")],
        [
            register,
            Store("c", (), const(0)),
            While(
                (),
                apply("lt", load("c", dtype=I64), n),
                (Store("c", (), apply("add", load("c", dtype=I64), const(1))),),
            ),
        ],
    )
    native = compile_program(p)
    support.POLLS.clear()
    monkeypatch.setattr(support, "POLL_LIMIT", [3])
    assert native([(1 << 21) + 3]) == 0 and len(support.POLLS) == 2
    assert native([1 << 30]) == -1
