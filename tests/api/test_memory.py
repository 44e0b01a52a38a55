"""What `explain()` tells of the memory of derivatives, and that reading elements costs what it costs."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj

RNG = np.random.default_rng(5)
WEIGHTS = [RNG.normal(size=(16, 32)), RNG.normal(size=(32, 32)), RNG.normal(size=(32, 4))]
IMAGES = RNG.normal(size=(64, 16))
LAYER = 64 * 32 * 8      # bytes of one hidden layer


def hidden(p, x):
    x = np.tanh(x @ p[0])
    return np.tanh(x @ p[1])


def loss(p, x):
    return ((hidden(p, x) @ p[2]) ** 2).sum()


def loss_in_parts(p, x):
    return ((tj.checkpoint(hidden)(p, x) @ p[2]) ** 2).sum()


def explained(fn, *args):
    """The gradient of `fn`, compiled, and its only trace."""
    @tj.function
    def gradient(*args):
        return tj.grad(fn)(*args)
    gradient(*args)
    return gradient, gradient.traces[0]


def test_what_is_kept_is_listed_with_bytes_and_lines():
    gradient, trace = explained(loss, WEIGHTS, IMAGES)
    assert [k.bytes for k in trace.memory.kept] == [LAYER, LAYER] and trace.memory.bytes == 2 * LAYER
    first = hidden.__code__.co_firstlineno
    assert {k.span.line for k in trace.memory.kept} == {first + 1, first + 2}
    assert f"keeps for the way back {LAYER} bytes: f64[64,32] of {__file__}:{first + 1} in hidden" in str(
        gradient.explain())


def test_checkpoints_keep_less_and_compute_again():
    _, plain = explained(loss, WEIGHTS, IMAGES)
    gradient, trace = explained(loss_in_parts, WEIGHTS, IMAGES)
    assert trace.memory.bytes < plain.memory.bytes
    assert {"dot_general", "tanh"} <= {op for op, _ in trace.memory.again}
    assert "computes again on the way back" in str(gradient.explain())
    for one, other in zip(gradient(WEIGHTS, IMAGES), tj.grad(loss)(WEIGHTS, IMAGES), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_functions_without_derivatives_keep_nothing():
    f = tj.function(loss)
    f(WEIGHTS, IMAGES)
    assert f.traces[0].memory.kept == () and "way back" not in str(f.explain())


def recurrence(x, rounds):
    s = x
    for _ in range(rounds):
        s = math.sin(s * s) + x
    return s


def test_loops_keep_rows_or_so_much_a_round():
    _, by_size = explained(lambda x: recurrence(x, 100), 0.3)
    (kept,) = by_size.memory.kept
    assert kept.bytes == 800 and kept.span.function == "recurrence"
    _, by_run = explained(recurrence, 0.3, 100)
    (kept,) = by_run.memory.kept
    assert kept.each_round and kept.bytes == 8 and "8 bytes a round" in str(kept)


def reads(x):
    s = 0.0
    for i in range(len(x)):
        s = math.tanh(s + x[i])
    return s


def reads_until(x):
    s, k = 0.0, 0
    while k < len(x) and s < 1e9:
        s = s * 0.5 + x[k] * x[k]
        k += 1
    return s


def writes(x):
    y = np.zeros_like(x)
    s = 0.0
    for i in range(len(x)):
        s = math.sin(s + x[i])
        y[i] = s * x[i]
    return (y * y).sum()


def updates(x):
    y = x.copy()
    for i in range(1, len(x)):
        y[i] = y[i - 1] * 0.9 + x[i] * y[i - 1]
    return y.sum()


def reads_slices(x):
    s = 0.0
    for i in range(len(x) - 4):
        s = math.tanh(s + x[i:i + 4].sum())
    return s


@pytest.mark.parametrize("program", [reads, reads_until, writes, updates, reads_slices])
def test_reading_and_writing_elements_costs_no_pass_over_the_array_in_a_round(program):
    """No kernel that a loop of `main` calls touches an array of n elements, but by an index."""
    n = 1000
    gradient, trace = explained(program, np.linspace(0.1, 0.9, n))
    text = str(gradient.stages(np.linspace(0.1, 0.9, n)).kernels)
    main = text[text.index("kernel main"):]
    called = {line.split("call ")[1].split("(")[0] for line in main.splitlines() if line.startswith("    ")
              and "call kernel_" in line}
    for name in called:
        body = text[text.index(f"kernel {name}("):].split("\n\n")[0]
        assert f"loop j.1 < {n}" not in body and f"< {n} vector" not in body, body


def test_gradients_of_biases_and_of_rows_of_tables_are_right():
    x, b = RNG.normal(size=(50, 6)), RNG.normal(size=6)
    np.testing.assert_allclose(tj.grad(lambda b: ((x + b) ** 2).sum())(b), 2 * (x + b).sum(axis=0), rtol=1e-12)
    table, rows = RNG.normal(size=(9, 4)), np.array([1, 8, 1, 3, 1])
    expected = np.zeros_like(table)
    np.add.at(expected, rows, 2 * table[rows])
    np.testing.assert_allclose(tj.grad(lambda t: (t[rows] ** 2).sum())(table), expected, rtol=1e-12)
    _, trace = explained(lambda b: ((IMAGES[:, :6] + b) ** 2).sum(), b)
    assert trace.memory.kept == ()      # neither the sum nor its derivative is stored
