"""Attempts: failures inside a body go on in handlers; native code against the interpreter.

Flows in: small programs.  Flows out: differences.
"""

import numpy as np
import pytest

from tests.cpu.support import agree, apply, array, const, load, natives, scalar, whole
from tracejit.base.dtypes import F64, I64
from tracejit.xla_lite.kernels.kernel_ir import Attempt, Buffer, Fail, If, Let, Loop, Name, Store, While
from tracejit.xla_lite.kernels.printer import print_program
from tracejit.xla_lite.kernels.verify import KernelError, verify_program

n, m, i, j = (Name(name) for name in "nmij")


def add(buffer, value):
    return Store(buffer, (), apply("add", load(buffer, dtype=I64), value))


def put(*index, value):
    return Store("o", tuple(map(const, index)), value)


def over(*body, words=1):
    return whole([array("o", const(words), dtype=I64, written=True), scalar("n"), scalar("m")], body)


def check(p, inputs, words=1):
    versions = natives(p)
    return [list(agree(p, row, [np.zeros(words, np.int64)], versions)[0]) for row in inputs]


def loop_until(limit, to):
    """Adds up indices, with a failure at one of them."""
    return Loop("i", n, (If(apply("eq", i, limit), (Store("at", (), i), Fail(0, (), to))), add("s", i)))


def test_a_failure_in_a_loop_goes_on_in_the_handler():
    p = over(
        Buffer("s", I64, ()),
        Buffer("at", I64, ()),
        Store("s", (), const(0)),
        Attempt(
            "t",
            (loop_until(m, "t:0"), put(0, value=load("s", dtype=I64))),
            ((put(0, value=apply("subtract", const(-100), load("at", dtype=I64))),),),
        ),
        put(1, value=load("s", dtype=I64)),
        words=2,
    )
    assert check(p, [(5, 9), (5, 2), (0, 0)], 2) == [[10, 10], [-102, 1], [0, 0]]
    assert "attempt t\n    loop i < n serial" in print_program(p) and "  handler t:0\n" in print_program(p)


def test_the_inner_handler_may_fail_to_the_outer_one():
    inner = Attempt("in", (loop_until(m, "in:0"),), ((If(apply("gt", n, const(5)), (Fail(0, (), "out:1"),)),),))
    skip = If(apply("lt", m, const(0)), (Fail(0, (), "out:0"),))
    p = over(
        Buffer("s", I64, ()),
        Buffer("at", I64, ()),
        Store("s", (), const(0)),
        Attempt("out", (skip, inner, add("s", const(1000))), ((add("s", const(-1)),), (add("s", const(-2)),))),
        put(0, value=load("s", dtype=I64)),
    )
    assert check(p, [(5, 9), (5, 2), (7, 2), (7, -1)]) == [[1010], [1001], [-1], [-1]]


def test_an_attempt_in_a_loop_is_tried_in_every_round():
    round_ = Attempt("t", (If(apply("eq", i, m), (Fail(0, (), "t:0"),)), add("s", i)), ((add("s", const(100)),),))
    p = over(
        Buffer("s", I64, ()),
        Store("s", (), const(0)),
        Loop("i", n, (round_,)),
        While((Let("go", apply("lt", load("s", dtype=I64), const(7))),), Name("go", apply("lt", n, m).dtype),
              (add("s", const(3)),)),
        put(0, value=load("s", dtype=I64)),
    )
    assert check(p, [(5, 9), (5, 2), (0, 0), (1, 0)]) == [[10], [108], [9], [100]]


def test_memory_of_the_body_is_freed_where_it_fails():
    around = Loop("j", n, (Buffer("h", F64, (n,), "heap"), Store("h", (j,), const(1.0, F64)),
                           If(apply("eq", j, m), (Fail(0, (), "t:0"),))))
    p = over(
        Buffer("first", F64, (n,), "heap"),
        Attempt("t", (Buffer("g", F64, (n,), "heap"), around, put(0, value=const(1))), ((put(0, value=const(2)),),)),
    )
    assert check(p, [(5, 9), (5, 2)]) == [[1], [2]]


def test_a_failure_without_a_handler_leaves_the_program():
    p = over(Attempt("t", (If(apply("lt", m, n), (Fail(4, (m,)),)), put(0, value=n)), ((put(0, value=m),),)))
    assert check(p, [(5, 9), (5, 2)]) == [[5], [0]]


@pytest.mark.parametrize(("body", "message"), [
    ((Fail(0, (), "t:1"),), "no handler t:1"),
    ((Fail(3, (), "t:0"),), "has no site"),
    ((Loop("i", n, (Fail(0, (), "t:0"),), "vector"),), "fail inside"),
])
def test_failures_that_reach_no_handler_are_refused(body, message):
    with pytest.raises(KernelError, match=message):
        verify_program(over(Attempt("t", body, ((),))))


def test_a_handler_is_outside_of_its_attempt():
    with pytest.raises(KernelError, match="no handler t:0"):
        verify_program(over(Attempt("t", (Fail(0, (), "t:0"),), ((Fail(0, (), "t:0"),),))))
