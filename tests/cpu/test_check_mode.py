"""Check mode: correct programs run as always, an index outside its buffer is named and does no harm.

Flows in: kernels, right and wrong.  Flows out: the status and the sentence.
"""

import numpy as np
import pytest

from tests.cpu import test_emitter_programs as programs
from tests.cpu import test_emitter_statements as statements
from tests.cpu.support import agree, apply, array, compile_program, const, load, program, scalar, targets
from tracejit.base.dtypes import F32
from tracejit.xla_lite.cpu.check import CHECK_FAILED, describe_violation
from tracejit.xla_lite.kernels.kernel_ir import Buffer, If, Loop, Name, Store

n, i = Name("n"), Name("i")


@pytest.mark.parametrize("build", [statements.softmax, statements.escape_time, programs.failing])
def test_correct_programs_are_not_disturbed(build):
    p = build()
    rows = build is statements.softmax
    for target in targets():
        native = compile_program(p, target, checked=True)
        x = np.random.default_rng(0).uniform(-2, 1, (5, 20) if rows else 37).astype(np.float32)
        outs = [np.zeros(x.shape, np.int32 if build is statements.escape_time else np.float32)]
        if build is programs.failing:
            x, outs = abs(x), [np.zeros(1, np.float32)]
        agree(p, [x, *x.shape], outs, [native], exact=not rows)


def wrong(index, kind, target):
    p = program(
        [array("x", n), array("o", n, written=True), scalar("n")],
        [Loop("i", n, (Store("o", (i,), load("x", index)),), kind)],
    )
    return compile_program(p, target, checked=True)


@pytest.mark.parametrize("kind", ["vector", "serial", "parallel"])
@pytest.mark.parametrize("target", targets(), ids=lambda t: f"{t.cpu}-{t.vector_bits}")
def test_reads_outside_are_reported_once_and_read_nothing(kind, target):
    index = apply("add", i, const(3))
    native = wrong(index, kind, target)
    for count in (5, 100):
        x, o = np.ones(count, np.float32), np.zeros(count + 200, np.float32)
        assert native([x, count], [o]) == CHECK_FAILED
        assert not o[count:].any() and o[: count - 3].all()
        sentence = describe_violation(native.module.accesses, [int(w) for w in native.words])
        assert sentence == f"kernel kernel: index {count} of x is out of bounds for axis 0 with size {count}"
        assert native([x, 0], [o]) == 0


def test_writes_outside_go_nowhere():
    for index in (apply("multiply", i, const(2)), apply("subtract", const(5), i), apply("multiply", i, i), const(-1)):
        kind = "serial" if index == const(-1) else "vector"
        p = program(
            [array("o", n, written=True), scalar("n")],
            [Loop("i", n, (Store("o", (index,), const(1.0, F32)),), kind)],
        )
        native = compile_program(p, checked=True)
        memory = np.zeros(300, np.float32)
        assert native([40], [memory[100:140]]) == CHECK_FAILED
        assert not memory[:100].any() and not memory[140:].any()


def test_local_arrays_are_checked_and_branches_not_taken_are_not():
    table = load("t", apply("add", i, const(1)))
    p = program(
        [array("o", n, written=True), scalar("n")],
        [
            Buffer("t", F32, (const(8),)),
            Loop("i", const(8), (Store("t", (i,), const(1.0, F32)),)),
            Loop("i", n, (If(apply("lt", i, const(7)), (Store("o", (i,), table),)),), "vector"),
        ],
    )
    native = compile_program(p, checked=True)
    o = np.zeros(20, np.float32)
    assert native([20], [o]) == 0
    np.testing.assert_array_equal(o, np.arange(20) < 7)
