"""Derivatives, of every order, through lists and loops whose length only the run tells."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.transforms.reverse import joint

POINT = 1.2


def root(a):
    r = 1.0
    while abs(r * r - a) > 1e-12:
        r = 0.5 * (r + a / r)
    return r


def picked(x):
    parts = []
    v = x
    while v > 0.1:
        if v * 7 % 2 > 0.7:
            parts.append(v * v)
        v = v * 0.83
    s = 0.0
    for i in range(len(parts)):
        s += parts[i] * parts[len(parts) - 1 - i]
    return s + parts[-1] ** 3


def popped(x):
    parts, s, n = [x], 0.0, 0
    while len(parts) > 0 and n < 30:
        v = parts.pop()
        if v > 0.31:
            parts.append(v * 0.5)
            parts.append(v * v * 0.3)
        s += math.sin(v)
        n += 1
    return s


def as_array(x):
    parts, v = [], x
    while v > 0.2:
        parts.append(v)
        v = v * v * 0.7
    a = np.array(parts)
    return (a * a * a).sum()


def replaced(x):
    parts, v = [], x
    while v > 0.2:
        parts.append(v)
        v = v * 0.8
    for i in range(1, len(parts)):
        parts[i] = parts[i] * parts[i - 1]
    parts.insert(1, x * x)
    y = parts.pop(2)
    return sum(parts) + y * y


def cleared(x):
    parts, s, v = [], 0.0, x
    while v > 0.2:
        parts.append(v * v)
        v = v * 0.8
        if len(parts) > 3:
            s += parts[1] * parts[2]
            parts.clear()
    for p in parts:
        s += p
    return s


def loops_in_loops(x):
    s, i = 0.0, 0
    while i < 4:
        v = x + i
        while v > 0.5:
            v = v * 0.6 * math.cos(0.1 * v)
        s += v * v
        i += 1
    return s


def one_of_several(x):
    best, k = [], 0
    while k < 3:
        mine, v = [], x + k
        while v > 0.4:
            mine.append(v)
            v *= 0.6
        if len(mine) > len(best):
            best = mine
        k += 1
    return sum(v * v * v for v in best)


def from_outside(x):
    seen = []

    def inner(y):
        v = y
        while v > 0.3:
            seen.append(v * v)
            v *= 0.7
        return sum(seen)
    return inner(x) * x


def array_in_a_branch(x):
    """Its size is known in the branch alone, which keeps it for the way back."""
    parts, v = [], x
    while v > 0.2:
        parts.append(v)
        v = v * 0.7
    if v > 0.15:
        a = np.array(parts) ** 2
        return (a * np.sin(a)).sum()
    return v * v


def arrays_in_rounds(x):
    t = x
    for k in range(6):
        rows = []
        for j in range(2, 9):
            if t * j > 0.3 * k:
                rows.append(np.array([t, j * 0.1]) * x)
        m = np.array(rows)
        t = np.cos(t) + 0.1 * np.tanh((m @ m.T).sum()) * x
    return t


PROGRAMS = [root, picked, popped, as_array, replaced, cleared, loops_in_loops, one_of_several, from_outside,
            array_in_a_branch, arrays_in_rounds]


def slope(f, x, h=1e-4):
    return (f(x + h) - f(x - h)) / (2 * h)


@pytest.mark.parametrize("program", PROGRAMS)
def test_gradients_and_gradients_of_gradients(program):
    first, second = tj.value_and_grad(tj.grad(program))(POINT)
    assert first == pytest.approx(slope(program, POINT), rel=1e-5)
    assert second == pytest.approx(slope(lambda x: slope(program, x, 1e-3), POINT, 1e-3), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("program", [root, popped, replaced, one_of_several])
def test_modes_and_their_compositions_agree(program):
    first, second = tj.value_and_grad(tj.grad(program))(POINT)
    assert tj.jvp(program, (POINT,), (1.0,))[1] == pytest.approx(first, rel=1e-12)
    assert tj.hessian(program)(POINT) == pytest.approx(second, rel=1e-10)
    assert tj.grad(lambda x: tj.jvp(program, (x,), (1.0,))[1])(POINT) == pytest.approx(second, rel=1e-10)


def derivative(graph):
    """The gradient of a scalar function of a scalar, as a graph of the same kind."""
    both = joint(graph, [True], [k == 0 for k in range(len(graph.outputs))]).graph
    made = Graph([both.params[0].type])
    outputs = made.inline(both, [made.params[0], made.add("constant", value=1.0, type=both.params[1].type)])
    made.outputs = (outputs[len(graph.outputs)],)
    return made


@pytest.mark.parametrize("program", [root, picked, popped, cleared, loops_in_loops, array_in_a_branch])
def test_third_derivatives(program):
    traced = tj.function(lambda x: tj.grad(program)(x))
    traced(POINT)
    third = derivative(derivative(traced.traces[0].graph))
    twice = tj.grad(tj.grad(program))
    assert evaluate(third, [np.float64(POINT)])[0] == pytest.approx(slope(twice, POINT), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("program", [root, picked])
def test_a_pullback_works_in_later_calls_and_more_than_once(program):
    value, pull = tj.vjp(program, POINT)
    assert value == pytest.approx(program(POINT))
    gradient = tj.grad(program)(POINT)
    assert [pull(1.0)[0], pull(2.0)[0]] == pytest.approx([gradient, 2 * gradient])

    @tj.function
    def both(x):
        pull = tj.vjp(program, x)[1]
        return pull(1.0)[0], pull(3.0)[0]
    assert both(POINT) == pytest.approx((gradient, 3 * gradient))


def test_lanes_of_gradients_of_loops():
    points = np.array([1.1, 2.0, 3.5])
    expected = 0.5 / np.sqrt(points)
    np.testing.assert_allclose(tj.vmap(tj.grad(root))(points), expected, rtol=1e-10)
    np.testing.assert_allclose(tj.grad(lambda x: tj.vmap(root)(x).sum())(points), expected, rtol=1e-10)
    hessian = tj.hessian(lambda x: tj.vmap(root)(x).prod())(points)
    for mode in ("forward", "reverse"):
        twice = tj.jacobian(tj.grad(lambda x: tj.vmap(root)(x).prod()), mode=mode)(points)
        np.testing.assert_allclose(twice, hessian, rtol=1e-6)
    per_lane = tj.vmap(tj.grad(tj.grad(root)))(points)
    np.testing.assert_allclose(per_lane, -0.25 * points ** -1.5, rtol=1e-6)


def test_rounds_of_a_loop_share_one_stack_for_what_their_loops_keep():
    @tj.function
    def gradient(x):
        return tj.grad(loops_in_loops)(x)
    gradient(POINT)
    graph = gradient.traces[0].graph
    made = [n for n in graph.nodes if n.op.name == "stack_new"]
    assert len(made) == 2 and str(graph).count("stack_new") == 2
