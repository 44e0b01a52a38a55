"""Reductions, control flow, buffers: native code against the interpreter.

Flows in: small kernels.  Flows out: differences.
"""

import numpy as np
import pytest

from tests.cpu.support import (
    addition,
    agree,
    apply,
    array,
    const,
    load,
    maximum,
    natives,
    program,
    scalar,
    whole,
)
from tracejit.base.dtypes import BOOL, F32, F64, I8, I32, I64
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Buffer,
    Combine,
    Const,
    If,
    Let,
    Loop,
    Name,
    Store,
    While,
)

EXTENTS = (0, 1, 5, 16, 33, 130, 700)
n, m, i, j, k = (Name(name) for name in "nmijk")


def whole_numbers(*shape, dtype=np.float32, seed=0):
    """Sums of these are exact in any order."""
    return np.random.default_rng(seed).integers(-50, 50, shape).astype(dtype)


def reduction(combine, dtype, initial):
    return program(
        [array("x", n, dtype=dtype), array("o", dtype=dtype, written=True), scalar("n")],
        [
            Buffer("acc", dtype, ()),
            Store("acc", (), const(initial, dtype)),
            Loop("i", n, (Accumulate(("acc",), (), combine, (load("x", i, dtype=dtype),)),), "vector"),
            Store("o", (), load("acc", dtype=dtype)),
        ],
    )


@pytest.mark.parametrize("dtype", [F32, F64, I64, I32, I8], ids=str)
def test_sums(dtype):
    p = reduction(addition(dtype), dtype, 0)
    versions = natives(p)
    for count in EXTENTS:
        agree(p, [whole_numbers(count, dtype=dtype.numpy), count], [np.zeros((), dtype.numpy)], versions)


def test_any_and_all():
    left, right = Name("l", BOOL), Name("r", BOOL)
    for fn, neutral in (("or", False), ("and", True)):
        combine = Combine(fn, (left,), (right,), (apply(fn, left, right),), (Const(neutral, BOOL),))
        p = reduction(combine, BOOL, neutral)
        versions = natives(p)
        for count in EXTENTS:
            for x in (np.full(count, neutral), np.arange(count) == count - 1):
                agree(p, [x, count], [np.zeros((), bool)], versions)


def test_argmax_keeps_two_states():
    lv, rv, li, ri = Name("lv", F32), Name("rv", F32), Name("li"), Name("ri")
    better = apply("or", apply("gt", rv, lv), apply("and", apply("eq", rv, lv), apply("lt", ri, li)))
    combine = Combine(
        "argmax",
        (lv, li),
        (rv, ri),
        (apply("select", better, rv, lv), apply("select", better, ri, li)),
        (Const(-np.inf, F32), Const(1 << 62)),
    )
    p = program(
        [array("x", n), array("o", dtype=I64, written=True), scalar("n")],
        [
            Buffer("v", F32, ()),
            Buffer("at", I64, ()),
            Store("v", (), const(-np.inf, F32)),
            Store("at", (), const(1 << 62)),
            Loop("i", n, (Accumulate(("v", "at"), (), combine, (load("x", i), i)),), "vector"),
            Store("o", (), load("at", dtype=I64)),
        ],
    )
    versions = natives(p)
    for count in EXTENTS[1:]:
        x = whole_numbers(count)
        (o,) = agree(p, [x, count], [np.zeros((), np.int64)], versions)
        assert o == x.argmax()


def test_row_reductions_straight_into_memory():
    p = program(
        [array("x", n, m), array("o", n, written=True), scalar("n"), scalar("m")],
        [
            Loop(
                "i",
                n,
                (
                    Store("o", (i,), const(0.0, F32)),
                    Loop("j", m, (Accumulate(("o",), (i,), addition(), (load("x", i, j),)),), "vector"),
                ),
            )
        ],
    )
    versions = natives(p)
    for rows, columns in ((1, 1), (3, 10), (4, 129), (5, 0)):
        agree(p, [whole_numbers(rows, columns), rows, columns], [np.zeros(rows, np.float32)], versions)


def test_lanes_stay_apart_through_nests_of_serial_loops():
    add = lambda name, value: Accumulate((name,), (), addition(), (value,))  # noqa: E731
    p = program(
        [array("x", n, n, m), array("o", const(3), written=True), scalar("n"), scalar("m")],
        [
            *(step for r in "abc" for step in (Buffer(r, F32, ()), Store(r, (), const(1.0, F32)))),
            Loop(
                "i",
                n,
                (
                    Loop(
                        "j",
                        n,
                        (
                            Loop("k", m, (add("a", load("x", i, j, k)), add("b", load("x", i, j, k))), "vector"),
                            Loop("k", const(3), (add("a", apply("convert", k, dtype=F32)),), "vector"),
                        ),
                    ),
                    Loop("k", m, (add("c", load("b")),), "vector"),
                ),
            ),
            *(Store("o", (const(at),), load(r)) for at, r in enumerate("abc")),
        ],
    )
    versions = natives(p)
    for rows, columns in ((0, 3), (1, 1), (2, 10), (3, 70), (2, 0)):
        agree(p, [whole_numbers(rows, rows, columns), rows, columns], [np.zeros(3, np.float32)], versions)


@pytest.mark.parametrize("columns", [1, 3, 16, 64, 70, 600])
def test_column_sums_in_a_local_array(columns):
    size = const(columns)
    p = program(
        [array("x", n, size), array("o", size, written=True), scalar("n")],
        [
            Buffer("acc", F32, (size,)),
            Loop("j", size, (Store("acc", (j,), const(0.0, F32)),), "vector"),
            Loop("i", n, (Loop("j", size, (Accumulate(("acc",), (j,), addition(), (load("x", i, j),)),), "vector"),)),
            Loop("j", size, (Store("o", (j,), load("acc", j)),), "vector"),
        ],
    )
    versions = natives(p)
    for rows in (0, 1, 7):
        agree(p, [whole_numbers(rows, columns), rows], [np.zeros(columns, np.float32)], versions)


def test_unrolled_accumulators_stay_apart():
    p = program(
        [array("x", n, const(4)), array("o", const(4), written=True), scalar("n")],
        [
            Buffer("acc", F32, (const(4),)),
            Loop("k", const(4), (Store("acc", (k,), const(0.0, F32)),), "unroll"),
            Loop(
                "i",
                n,
                (Loop("k", const(4), (Accumulate(("acc",), (k,), addition(), (load("x", i, k),)),), "unroll"),),
                "vector",
            ),
            Loop("k", const(4), (Store("o", (k,), load("acc", k)),), "unroll"),
        ],
    )
    versions = natives(p)
    for count in EXTENTS:
        agree(p, [whole_numbers(count, 4), count], [np.zeros(4, np.float32)], versions)


def test_serial_loops_inside_vector_loops_keep_registers_of_lanes():
    p = program(
        [array("x", n, m), array("y", m, k), array("o", n, k, written=True), scalar("n"), scalar("m"), scalar("k")],
        [
            Loop(
                "i",
                n,
                (
                    Loop(
                        "j",
                        k,
                        (
                            Buffer("acc", F32, ()),
                            Store("acc", (), const(0.0, F32)),
                            Loop(
                                "q",
                                m,
                                (
                                    Accumulate(
                                        ("acc",),
                                        (),
                                        addition(),
                                        (apply("multiply", load("x", i, Name("q")), load("y", Name("q"), j)),),
                                    ),
                                ),
                            ),
                            Store("o", (i, j), load("acc")),
                        ),
                        "vector",
                    ),
                ),
            )
        ],
    )
    versions = natives(p)
    for a, b, c in ((1, 1, 1), (3, 5, 17), (2, 0, 3), (4, 7, 70)):
        agree(p, [whole_numbers(a, b), whole_numbers(b, c), a, b, c], [np.zeros((a, c), np.float32)], versions)


def escape_time():
    squared, more = Name("squared", F32), apply("lt", load("count", dtype=I32), const(40, I32))
    return program(
        [array("c", n), array("o", n, dtype=I32, written=True), scalar("n")],
        [
            Loop(
                "i",
                n,
                (
                    Buffer("z", F32, ()),
                    Store("z", (), const(0.0, F32)),
                    Buffer("count", I32, ()),
                    Store("count", (), const(0, I32)),
                    While(
                        (Let("squared", apply("multiply", load("z"), load("z"))),),
                        apply("and", apply("lt", squared, const(4.0, F32)), more),
                        (
                            Store("z", (), apply("add", squared, load("c", i))),
                            Store("count", (), apply("add", load("count", dtype=I32), const(1, I32))),
                        ),
                    ),
                    If(
                        apply("eq", apply("and", load("count", dtype=I32), const(1, I32)), const(0, I32)),
                        (
                            Store("count", (), apply("add", load("count", dtype=I32), const(1000, I32))),
                            Store("o", (i,), load("count", dtype=I32)),
                        ),
                        (Store("o", (i,), apply("negate", load("count", dtype=I32))),),
                    ),
                ),
                "vector",
            )
        ],
    )


def test_lanes_leave_loops_and_branches_on_their_own():
    p = escape_time()
    versions = natives(p)
    for count in EXTENTS:
        c = np.random.default_rng(count).uniform(-2.2, 0.6, count).astype(np.float32)
        agree(p, [c, count], [np.zeros(count, np.int32)], versions)


def test_a_branch_that_no_lane_takes_reads_nothing():
    outside = load("x", apply("add", i, const(1 << 40)))
    p = program(
        [array("x", n), array("o", n, written=True), scalar("n")],
        [
            Loop(
                "i",
                n,
                (If(apply("lt", i, const(0)), (Store("o", (i,), outside),), (Store("o", (i,), load("x", i)),)),),
                "vector",
            )
        ],
    )
    agree(p, [whole_numbers(33), 33], [np.zeros(33, np.float32)])


def test_branches_of_scalars_and_counted_loops_in_main():
    p = whole(
        [array("x", n), array("o", n, written=True), scalar("n"), scalar("flag", BOOL)],
        [
            If(
                Name("flag", BOOL),
                (Loop("i", n, (Store("o", (i,), load("x", i)),)),),
                (
                    Loop(
                        "i",
                        n,
                        (
                            Store(
                                "o",
                                (i,),
                                apply("negate", load("x", apply("subtract", apply("subtract", n, const(1)), i))),
                            ),
                        ),
                    ),
                ),
            )
        ],
    )
    versions = natives(p)
    for flag in (0, 1):
        agree(p, [whole_numbers(20), 20, flag], [np.zeros(20, np.float32)], versions)


def softmax():
    row, e = load("x", i, j), Name("e", F32)
    return program(
        [array("x", n, m), array("o", n, m, written=True), scalar("n"), scalar("m")],
        [
            Loop(
                "i",
                n,
                (
                    Buffer("top", F32, ()),
                    Store("top", (), const(-np.inf, F32)),
                    Loop("j", m, (Accumulate(("top",), (), maximum(), (row,)),), "vector"),
                    Buffer("sum", F32, ()),
                    Store("sum", (), const(0.0, F32)),
                    Loop(
                        "j",
                        m,
                        (
                            Let("e", apply("exp", apply("subtract", row, load("top")))),
                            Store("o", (i, j), e),
                            Accumulate(("sum",), (), addition(), (e,)),
                        ),
                        "vector",
                    ),
                    Let("scale", apply("divide", const(1.0, F32), load("sum"))),
                    Loop(
                        "j", m, (Store("o", (i, j), apply("multiply", load("o", i, j), Name("scale", F32))),), "vector"
                    ),
                ),
                "parallel",
                apply("multiply", apply("multiply", n, m), const(20)),
            )
        ],
    )


def test_softmax_serial_and_in_chunks():
    p = softmax()
    versions = natives(p)
    for rows, columns in ((1, 1), (3, 10), (5, 140)):
        x = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
        found = agree(p, [x, rows, columns], [np.zeros_like(x)], versions, exact=False)
        np.testing.assert_allclose(found[0].sum(1), 1, rtol=1e-5)


def test_elementary_functions_inline_and_shared():
    value = load("x", i)
    for _ in range(7):
        value = apply("tanh", apply("add", value, const(0.25, F32)))
    p = program(
        [array("x", n), array("o", n, written=True), scalar("n")],
        [Loop("i", n, (Store("o", (i,), apply("sqrt", apply("abs", value))),), "vector")],
    )
    for count in (1, 40):
        agree(p, [np.linspace(-3, 3, count, dtype=np.float32), count], [np.zeros(count, np.float32)], exact=False)


def test_names_of_one_arm_do_not_reach_the_other():
    p = program(
        [array("x", n), array("o", n, written=True), scalar("n")],
        [
            Loop(
                "i",
                n,
                (
                    If(
                        apply("gt", load("x", i), const(0.0, F32)),
                        (Let("t", apply("add", i, const(1))), Store("o", (i,), apply("convert", Name("t"), dtype=F32))),
                        (
                            Let("t", apply("convert", load("x", i), dtype=I64)),
                            Store("o", (i,), apply("convert", Name("t"), dtype=F32)),
                        ),
                    ),
                ),
                "vector",
            )
        ],
    )
    agree(p, [whole_numbers(40), 40], [np.zeros(40, np.float32)])


def test_stores_between_loads_are_seen():
    p = program(
        [array("o", n, written=True), scalar("n")],
        [
            Loop(
                "i",
                n,
                (
                    Store("o", (i,), const(1.0, F32)),
                    Store("o", (i,), apply("add", load("o", i), load("o", i))),
                    Store("o", (i,), apply("add", load("o", i), const(3.0, F32))),
                ),
                "vector",
            ),
            Buffer("r", F32, ()),
            Store("r", (), const(0.0, F32)),
            Loop("i", n, (Store("r", (), apply("add", load("r"), load("o", i))), Store("o", (i,), load("r")))),
        ],
    )
    for count in (1, 20):
        agree(p, [count], [np.zeros(count, np.float32)])


@pytest.mark.parametrize("kind", ["unroll", "serial", "vector"])
def test_loads_stay_behind_stores_of_the_same_body(kind):
    once = load("o", const(0))
    p = program(
        [array("o", const(4), written=True)],
        [
            Store("o", (const(0),), const(5.0, F32)),
            Loop(
                "i",
                const(4),
                (
                    Store("o", (i,), const(2.0, F32)),
                    If(Const(True, BOOL), (Store("o", (i,), apply("add", load("o", i), const(3.0, F32))),)),
                    *(() if kind == "vector" else (Store("o", (i,), apply("add", load("o", i), once)),)),
                ),
                kind,
            ),
        ],
    )
    agree(p, [], [np.zeros(4, np.float32)])


@pytest.mark.parametrize("kind", ["unroll", "serial", "vector"])
def test_copies_of_a_body_do_not_share_values(kind):
    t, u = Name("t", F32), Name("u", F32)
    for count in (3, 7, 40):
        p = program(
            [array("x", const(count)), array("o", const(count), written=True)],
            [
                Loop(
                    "i",
                    const(count),
                    (Let("t", load("x", i)), Let("u", apply("multiply", t, t)), Store("o", (i,), apply("add", u, t))),
                    kind,
                )
            ],
        )
        agree(p, [whole_numbers(count)], [np.zeros(count, np.float32)])


def test_vector_loops_inside_vector_loops_run_for_every_lane():
    t = load("t")
    p = program(
        [array("x", n), array("o", n, written=True), scalar("n")],
        [
            Loop("i", n, (
                Buffer("t", F32, ()),
                Store("t", (), load("x", i)),
                Loop("j", const(3), (Store("t", (), apply("add", t, apply("convert", j, dtype=F32))),), "vector"),
                Store("o", (i,), t),
            ), "vector"),
        ],
    )  # fmt: skip
    versions = natives(p)
    for count in EXTENTS:
        agree(p, [whole_numbers(count), count], [np.zeros(count, np.float32)], versions)


def test_conditions_that_no_lane_changes():
    p = program(
        [array("o", n, written=True), scalar("n"), scalar("m")],
        [
            Loop("i", n, (
                Buffer("k", I64, ()),
                Store("k", (), const(0)),
                While((), apply("lt", load("k", dtype=I64), apply("and", m, const(7))),
                      (Store("k", (), apply("add", load("k", dtype=I64), const(1))),)),
                If(apply("lt", m, const(3)), (Store("k", (), apply("negate", load("k", dtype=I64))),)),
                Store("o", (i,), apply("convert", load("k", dtype=I64), dtype=F32)),
            ), "vector"),
        ],
    )  # fmt: skip
    versions = natives(p)
    for limit in (0, 2, 5):
        agree(p, [19, limit], [np.zeros(19, np.float32)], versions)
