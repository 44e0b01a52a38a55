"""Kernel IR: what is printed, what the verifier refuses, what the interpreter reports.

Flows in: small kernels.  Flows out: text and errors.
"""

import numpy as np
import pytest

from tracejit.base.dtypes import BOOL, F16, F32, I32, I64
from tracejit.xla_lite.kernels.interpreter import Outcome, run_kernel, run_program
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Apply,
    Binding,
    Buffer,
    BufferParam,
    BufferRef,
    Call,
    Combine,
    Const,
    Fail,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Name,
    Program,
    ScalarParam,
    Store,
    While,
)
from tracejit.xla_lite.kernels.printer import print_expr, print_kernel, print_program
from tracejit.xla_lite.kernels.verify import KernelError, verify_kernel, verify_program

n, i = Name("n"), Name("i")
LEFT, RIGHT = Name("l", F32), Name("r", F32)
ADD = Combine("add", (LEFT,), (RIGHT,), (Apply("add", (LEFT, RIGHT), F32),), (Const(0.0, F32),))
PARAMS = (BufferParam("x", F32, (n,)), BufferParam("o", F32, (n,), written=True), ScalarParam("n", I64))


def kernel(*body):
    return Kernel("k", PARAMS, body)


def vector(*body):
    return kernel(Loop("i", n, body, "vector"))


def x(*index):
    return Load("x", index or (i,), F32)


def test_printed_kernel():
    k = Kernel(
        "row_sums",
        (
            BufferParam("x", F32, (n, Const(256)), (Name("s"), Const(1))),
            BufferParam("o", F32, (n,), written=True, alone=False),
            ScalarParam("n", I64),
            ScalarParam("s", I64),
        ),
        (
            Loop(
                "i",
                n,
                (
                    Buffer("acc", F32, ()),
                    Store("acc", (), Const(0.0, F32)),
                    Loop(
                        "j",
                        Const(256),
                        (
                            Accumulate(
                                ("acc",), (), ADD, (Apply("multiply", (Load("x", (i, Name("j")), F32),) * 2, F32),)
                            ),
                        ),
                        "vector",
                    ),
                    If(
                        Apply("lt", (Load("acc", (), F32), Const(0.0, F32)), BOOL),
                        (Fail(2, (i,)),),
                        (Store("o", (i,), Load("acc", (), F32)),),
                    ),
                    While(
                        (Let("more", Const(False, BOOL)),),
                        Name("more", BOOL),
                        (Call("tj_step", (BufferRef("o", (i,)), n), Name("r", I32)),),
                    ),
                    Buffer("view", F32, (Const(4),), of="o", offset=Const(16)),
                ),
                "parallel",
                Apply("multiply", (n, Const(256)), I64),
            ),
        ),
        False,
    )
    assert (
        print_kernel(k)
        == """\
kernel row_sums(x: f32[n,256] strides (s, 1), o: f32[n] written shared, n: i64, s: i64) strict
  loop i < n parallel work (n * 256)
    buffer acc: f32[] local
    store acc = 0.0
    loop j < 256 vector
      accumulate acc add= (x[i, j] * x[i, j])
    if (acc < 0.0)
      fail 2(i)
    else
      store o[i] = acc
    while
      let more: bool = false
    do more
      r = call tj_step(&o[i], n)
    buffer view: f32[4] of o + 16"""
    )


def test_printed_program_says_where_parameters_come_from():
    main = Kernel("main", PARAMS, (Call("k", (BufferRef("x"), BufferRef("o"), n)),))
    p = Program(
        (vector(Store("o", (i,), x())),),
        main,
        (Binding("x", "slot", 1), Binding("o", "out", 0), Binding("n", "slot", 0)),
    )
    verify_program(p)
    assert "kernel main(x: f32[n] = slot 1, o: f32[n] written = out 0, n: i64 = slot 0)" in print_program(p)
    values = np.arange(3, dtype=np.float32)
    out = np.zeros(3, np.float32)
    assert run_program(p, [3, values], [out]) == Outcome() and (out == values).all()


def test_deep_expressions_are_printed_and_verified():
    e = Const(1.0, F32)
    for _ in range(20_000):
        e = Apply("negate", (e,), F32)
    assert len(print_expr(e)) == 20_000 * len("negate()") + 3
    verify_kernel(kernel(Store("o", (Const(0),), e)))


WRONG = {
    "unknown name": vector(Store("o", (Name("q"),), x())),
    "used as f32": vector(Store("o", (i,), Apply("add", (x(), Name("n", F32)), F32))),
    "unknown buffer z": vector(Store("o", (i,), Load("z", (i,), F32))),
    "wrong number of indices": vector(Store("o", (i,), x(i, i))),
    "i32 stored into f32": vector(Store("o", (i,), Const(1, I32))),
    "all lanes store to one element": vector(Store("o", (Const(0),), x())),
    "add of": vector(Store("o", (i,), Apply("add", (x(), Const(1, I32)), F32))),
    "storage type": kernel(Let("h", Apply("add", (Const(1.0, F16), Const(1.0, F16)), F16))),
    "the condition is no bool": kernel(If(x(Const(0)), ())),
    "fail inside": vector(Fail(1)),
    "a site from 1": kernel(Fail(0)),
    "call inside a vector loop": vector(Call("tj_poll", ())),
    "needs a constant extent": kernel(Loop("i", n, (), "unroll")),
    "heap buffer inside": vector(Buffer("h", F32, (n,), "heap")),
    "differ in number": kernel(Accumulate(("o",), (Const(0),), ADD, ())),
    "select of": vector(Store("o", (i,), Apply("select", (x(), x(), x()), F32))),
}


@pytest.mark.parametrize("message", WRONG)
def test_the_verifier_names_the_mistake(message):
    with pytest.raises(KernelError, match=message):
        verify_kernel(WRONG[message])


def test_names_end_with_their_block():
    with pytest.raises(KernelError, match="unknown name t"):
        verify_kernel(kernel(Loop("i", n, (Let("t", i),)), Let("u", Name("t"))))


def test_calls_must_fit_their_kernel():
    callee = Kernel("callee", (BufferParam("x", F32, (n,)), ScalarParam("n", I64)), ())
    for arguments, message in (((n,), "takes 2 arguments"), ((n, n), "other kind"), ((BufferRef("h"), n), "got f16")):
        caller = kernel(Buffer("h", F16, (n,)), Call("callee", arguments))
        with pytest.raises(KernelError, match=message):
            verify_kernel(caller, {"callee": callee})


@pytest.mark.parametrize("offset", [-1, 1])
def test_the_interpreter_reports_an_index_out_of_bounds(offset):
    k = vector(Store("o", (i,), x(Apply("add", (i, Const(offset)), I64))))
    with pytest.raises(IndexError, match=r"x: index (-1|3) is out of bounds for axis 0 with size 3"):
        run_kernel(k, [np.zeros(3, np.float32), np.zeros(3, np.float32), 3])


def test_the_interpreter_sees_strided_and_reversed_arrays():
    k = Kernel(
        "k",
        (BufferParam("x", F32, (n,), (Name("s"),)), *PARAMS[1:], ScalarParam("s", I64)),
        (Loop("i", n, (Store("o", (i,), x()),)),),
    )
    values = np.arange(12, dtype=np.float32)
    for array in (values[::3], values[::-2]):
        out = np.zeros(len(array), np.float32)
        run_kernel(k, [array, out, len(array), array.strides[0] // 4])
        np.testing.assert_array_equal(out, array)
