"""Derivatives of loops and branches, written as graphs."""
from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.gradients import check_gradients
from tracejit import ops  # noqa: F401
from tracejit.base.dtypes import BOOL, F64, I64
from tracejit.base.types import ArrayType
from tracejit.ir.terms import apply, apply_all, build, compare, constant, select, splat, spread, total

SCALAR, WORD, FLAG = ArrayType(F64), ArrayType(I64), ArrayType(BOOL)
VECTOR, MATRIX = ArrayType(F64, (4,)), ArrayType(F64, (4, 4))


def counter(near, *numbers):
    return [constant(near, n, WORD) for n in numbers]


def for_(carries, invariants, body, lower=0, upper=5, step=1, dynamic=None):
    """`body(i, carries, invariants)`; dynamic: an i64 that the upper end is."""
    region = build([WORD, *(t.type for t in (*carries, *invariants))],
                   lambda i, *rest: body(i, rest[:len(carries)], rest[len(carries):]))
    low, high, by = counter(carries[0], lower, upper, step)
    return apply_all("for", [low, high if dynamic is None else dynamic, by, *carries, *invariants],
                     {"body": region, "carries": len(carries)})


def while_(carries, invariants, cond, body):
    types = [t.type for t in (*carries, *invariants)]
    regions = {name: build(types, lambda *rest, f=f: f(rest[:len(carries)], rest[len(carries):]))
               for name, f in (("cond", lambda c, i: [cond(c, i)]), ("body", body))}
    return apply_all("while", [*carries, *invariants], {**regions, "carries": len(carries)})


def rnn(x, w):
    return for_([x], [w], lambda i, c, inv: [apply("tanh", matvec(inv[0], c[0]))])


def matvec(w, x):
    return apply("dot_general", w, x, lhs_batch=(), rhs_batch=(), lhs_contract=(1,), rhs_contract=(0,))


def read_rows(x, w):
    """Reads one row per round: the way back adds rows in place."""
    def body(i, c, inv):
        row = apply("gather", inv[0], i, axes=(0,))
        return [c[0] + apply("sine", row) * c[0]]
    return for_([x], [w], body, lower=3, upper=-1, step=-1)


def write_elements(x, w):
    """Writes into the array that it carries, and reads what the round before wrote."""
    def body(i, c, inv):
        before = apply("gather", c[0], i - 1, axes=(0,))
        return [apply("scatter", c[0], before * apply("gather", inv[0], i, i, axes=(0, 1)), i, axes=(0,),
                      combine="set")]
    return for_([x], [w], body, lower=1, upper=4)


def with_step(x, w):
    def body(i, c, inv):
        return [c[0] * c[0] + splat(apply("convert", i, dtype=F64), (4,))]
    return for_([x], [w], body, lower=1, upper=8, step=3)


def dynamic_rounds(x, w, n):
    return for_([x], [w], lambda i, c, inv: [apply("tanh", matvec(inv[0], c[0])) * c[0]], dynamic=n)


def nested(x, w, n):
    def outer(i, c, inv):
        inner = for_([c[0]], [inv[0]], lambda j, d, v: [apply("sine", matvec(v[0], d[0]))], dynamic=i)
        return [inner[0] + c[0]]
    return for_([x], [w], outer, upper=4)


def newton(x, w):
    """While the largest element is above a bound."""
    def cond(c, inv):
        return compare("GT", apply("reduce_max", c[0], axes=(0,)), 0.1)
    return while_([x], [w], cond, lambda c, inv: [c[0] * 0.5 + 0.01 * apply("sine", matvec(inv[0], c[0]))])


def branches(x, w, flag):
    yes = build([VECTOR, MATRIX], lambda a, b: [apply("sine", matvec(b, a)), a])
    no = build([VECTOR, MATRIX], lambda a, b: [a * a * a, a.like(2.0)])
    return apply_all("case", [flag, x, w], {"branches": (no, yes)})


def branch_in_loop(x, w):
    def body(i, c, inv):
        flag = compare("GT", total(c[0], (0,)), 0.5)
        yes = build([VECTOR, MATRIX], lambda a, b: [apply("sine", matvec(b, a))])
        no = build([VECTOR, MATRIX], lambda a, b: [apply("exponential", a)])
        return apply_all("case", [flag, c[0], inv[0]], {"branches": (no, yes)})
    return for_([x], [w], body)


def masked(x, w):
    """where(x > 0, sqrt(x), 0) has no NaN in its derivative."""
    return [select(compare("GT", x, 0), apply("sqrt", x), 0) * spread(total(w, (0, 1)), (4,), (0,))]


PROGRAMS = [rnn, read_rows, write_elements, with_step, newton, branch_in_loop, masked]


@pytest.mark.parametrize("program", PROGRAMS)
def test_derivatives_of_control_flow(program):
    rng = np.random.default_rng(3)
    graph = build([VECTOR, MATRIX], program)
    check_gradients(graph, [rng.uniform(-1, 1, 4), rng.uniform(-0.6, 0.6, (4, 4))], rng)


@pytest.mark.parametrize("program, type, values", [
    (dynamic_rounds, WORD, (0, 1, 5)), (nested, WORD, (0,)), (branches, FLAG, (True, False))])
def test_derivatives_where_the_run_decides(program, type, values):
    rng = np.random.default_rng(3)
    graph = build([VECTOR, MATRIX, type], program)
    for value in values:
        point = [rng.uniform(-1, 1, 4), rng.uniform(-0.6, 0.6, (4, 4)), np.asarray(value, type.dtype.numpy)]
        check_gradients(graph, point, rng)
