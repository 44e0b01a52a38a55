"""`debug_nans` names the op that made the NaN of a result, with the user's line, and leaves everything as it was."""
from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import NaNError
from tracejit.ir.nans import Origin, origin_of_nan

ROOT = Path(__file__).resolve().parents[2]
X = np.array([2.0, -1.0, 3.0])


def masked_then_real(x: Any) -> Any:
    y = np.where(x > 0, np.log(x), 0.0)
    return y.sum() + np.sqrt(x).sum()


def divided(x: Any) -> Any:
    total = (x - x).sum()
    return total / total


def of_a_product(x: Any) -> Any:
    return np.outer(x, x * np.inf * 0) @ x


def in_a_loop(x: Any) -> Any:
    s = 2.0
    for _ in range(5):
        s = np.log(s) + 0 * x.sum()
    return s


def in_a_while(x: Any) -> Any:
    s, k = x.sum(), 0
    while k < 4:
        s = np.sqrt(s - 1.5)
        k += 1
    return s


def in_a_branch(x: Any) -> Any:
    if x[0] > 1:
        return np.arccos(x[0])
    return x[0]


def constant(x: Any) -> Any:
    return x + np.array([1.0, np.nan, 2.0])


def infinities(x: Any) -> Any:
    big = np.exp(x * 1000)
    return big - big


def in_the_derivative(x: Any) -> Any:
    return tj.grad(lambda w: np.sqrt(np.abs(x * w)).sum())(np.zeros(3))


def in_the_derivative_of_a_loop(x: Any) -> Any:
    def loss(w: Any) -> Any:
        s = w
        for _ in range(6):
            s = np.sqrt(s * w)
        return s.sum()
    return tj.grad(loss)(x * 0)


def in_forward_mode(x: Any) -> Any:
    return tj.jvp(lambda w: np.sqrt(np.abs(w)), (x * 0,), (x,))[1]


CASES: list[tuple[Callable[..., Any], str, str]] = [
    (masked_then_real, "`sqrt` gave NaN at [1], in 1 of 3 elements: sqrt(-1.0)", "np.sqrt(x)"),
    (divided, "`divide` gave NaN: divide(0.0, 0.0)", "total / total"),
    (of_a_product, "`multiply` gave NaN at [0], in 3 of 3 elements: multiply(inf, 0.0)", "x * np.inf * 0"),
    (in_a_loop, "`log` gave NaN, in its run number 3: log(-0.36651292058166435)", "np.log(s)"),
    (in_a_while, "`sqrt` gave NaN, in its run number 3: sqrt(-", "np.sqrt(s - 1.5)"),
    (in_a_branch, "gave NaN: acos(2.0)", "np.arccos(x[0])"),
    (constant, "`constant` gave NaN at [1], in 1 of 3 elements: constant()", "np.array([1.0, np.nan, 2.0])"),
    (infinities, "`subtract` gave NaN at [0], in 2 of 3 elements: subtract(inf, inf)", "big - big"),
    (in_the_derivative, "`multiply` in the derivative of `abs` gave NaN at [0]", "np.abs(x * w)"),
    (in_the_derivative_of_a_loop, "in the derivative of `multiply` gave NaN at [0]", "s * w"),
    (in_forward_mode, " gave NaN at [0]", "np.sqrt(np.abs(w))"),
]


@pytest.mark.parametrize(("fn", "text", "code"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_the_first_op_that_made_the_nan_is_named_with_its_line(fn: Callable[..., Any], text: str, code: str) -> None:
    compiled = tj.function(fn)
    compiled(X)
    with tj.options(debug_nans=True), pytest.raises(NaNError) as caught:
        compiled(X)
    message = str(caught.value)
    assert text in message and "test_debug_nans.py" in message and "debug_nans" in message
    lines = message.splitlines()
    carets = next(k for k, line in enumerate(lines) if "^" in line)
    start, end = lines[carets].index("^"), lines[carets].rindex("^") + 1
    assert lines[carets - 1][start:end] == code
    assert isinstance(caught.value, FloatingPointError)


def test_an_infinity_that_became_nan_is_named_too() -> None:
    with tj.options(debug_nans=True), pytest.raises(NaNError, match=r"infinity in it was made by `divide` in the "
                                                                    r"derivative of `sqrt` at .*test_debug_nans"):
        tj.function(in_the_derivative)(X)


@pytest.mark.parametrize("fn", [lambda x: np.where(x > 0, np.log(x), 0.0), lambda x: np.nanmax(np.sqrt(x)),
                                lambda x: np.isnan(np.log(x)), lambda x: np.nan_to_num(np.sqrt(x)),
                                lambda x: np.exp(x * 1000)])
def test_nan_that_reaches_no_result_is_no_error(fn: Callable[..., Any]) -> None:
    with tj.options(debug_nans=True):
        np.testing.assert_array_equal(tj.function(fn)(X), tj.function(fn)(X))


def test_nan_of_an_argument_is_named_by_its_path() -> None:
    f = tj.function(lambda tree, k: tree["w"][0] * k + np.log(1.0 + k))
    with tj.options(debug_nans=True):
        with pytest.raises(NaNError, match=r"tree\['w'\]\[0\] holds NaN, which reaches a result"):
            f({"w": [np.array([1.0, np.nan])]}, 2.0)
        with pytest.raises(NaNError, match="k holds NaN"):
            f({"w": [np.ones(2)]}, float("nan"))


def test_everything_is_left_as_it_was() -> None:
    v, x, log = tj.Variable(np.ones(3), name="v"), np.array([4.0, 1.0, 9.0]), {"loss": 0.0}

    @tj.function
    def step(x: Any) -> Any:
        v.assign_sub(x)
        x[0] = 7.0
        log["loss"] = np.sqrt(v.value).sum()
        return log["loss"]
    address = v.array.ctypes.data
    with tj.options(debug_nans=True), pytest.raises(NaNError, match="sqrt"):
        step(x)
    assert v.numpy().tolist() == [1, 1, 1] and x.tolist() == [4, 1, 9] and log == {"loss": 0.0}
    assert v.array.ctypes.data == address
    step(x)
    assert v.numpy().tolist() == [-3, 0, -8] and x[0] == 7 and np.isnan(log["loss"])


def test_donated_arguments_are_left_as_they_were() -> None:
    f, x = tj.function(lambda x: np.sqrt(x - 2), donate=("x",)), np.arange(4.0)
    with tj.options(debug_nans=True), pytest.raises(NaNError, match=r"sqrt\(-2.0\)"):
        f(x)
    assert x.tolist() == [0, 1, 2, 3]


def test_values_that_are_stored_are_results() -> None:
    class Model:
        last: Any = None

        @tj.function
        def __call__(self, x: Any) -> None:
            self.last = np.log(x)
    model = Model()
    with tj.options(debug_nans=True), pytest.raises(NaNError, match="log"):
        model(X)
    assert model.last is None


def test_the_option_is_part_of_the_signature() -> None:
    f = tj.function(lambda x: np.sqrt(x))
    assert np.isnan(f(X)[1])
    for _ in range(2):
        with tj.options(debug_nans=True):
            for _ in range(2):
                assert f(X + 1).tolist() == np.sqrt(X + 1).tolist()
                with pytest.raises(NaNError):
                    f(X)
        assert np.isnan(f(X)[1])
    assert len(f.traces) == 2 and f.traces[1].reasons == ["tj.config.debug_nans is on"]
    assert "is_nan" not in str(f.stages().graph)


def test_it_is_on_for_the_process_or_for_one_thread() -> None:
    f, found = tj.function(lambda x: np.sqrt(x)), []
    tj.config.debug_nans = True
    try:
        with pytest.raises(NaNError):
            f(X)
        with tj.options(debug_nans=False):
            assert np.isnan(f(X)[1])
    finally:
        tj.config.debug_nans = False
    with tj.options(debug_nans=True):
        thread = threading.Thread(target=lambda: found.append(f(X)))
        thread.start()
        thread.join()
    assert np.isnan(found[0][1]) and len(f.traces) == 2


def test_it_costs_nothing_when_it_is_off() -> None:
    f = tj.function(lambda x: np.sqrt(x))
    f(X)
    before = str(f.stages(X).kernels)
    with tj.options(debug_nans=True):
        f(X + 1)
    f.clear()
    f(X)
    assert str(f.stages(X).kernels) == before and "nan" not in before


@pytest.mark.parametrize("operation", [lambda t: np.log(t), lambda t: t ** 0.5, lambda t: t.sum() / (t - t).sum() * 0,
                                       lambda t: tj.nn.softmax(t * np.inf)])
def test_operations_on_tensors_are_checked_one_by_one(operation: Callable[[Any], Any]) -> None:
    t = tj.constant(X)
    operation(t)
    with tj.options(debug_nans=True), pytest.raises(NaNError) as caught:
        operation(t)
    assert caught.value.span is not None and caught.value.span.file == __file__


def test_python_dispatch_checks_too() -> None:
    with tj.options(native_dispatch=False):
        f = tj.function(lambda x: np.sqrt(x))
        f(X)
        with tj.options(debug_nans=True), pytest.raises(NaNError, match="sqrt"):
            f(X)


def test_a_users_own_error_is_left_alone() -> None:
    @tj.function
    def f(x: Any) -> Any:
        if x[0] > 0:
            raise FloatingPointError("my own")
        return x
    with tj.options(debug_nans=True), pytest.raises(FloatingPointError, match="my own"):
        f(X)


def test_printing_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    @tj.function
    def f(x: Any) -> Any:
        print("sum", x.sum())
        return np.sqrt(x)
    with tj.options(debug_nans=True), pytest.raises(NaNError):
        f(X)
    assert capsys.readouterr().out == "sum 4.0\n"


def test_the_environment_variable_turns_it_on() -> None:
    program = "import numpy as np, tracejit as tj\nprint(tj.function(np.sqrt)(np.array([-1.0])))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120,
                          env={**os.environ, "TRACEJIT_DEBUG_NANS": "1", "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 1 and "NaNError: `sqrt` gave NaN at [0], in 1 of 1 elements: sqrt(-1.0)" in done.stderr


def test_a_nan_that_another_covers_is_not_blamed() -> None:
    f = tj.function(lambda x: np.where(x > 0, np.log(x), 0.0) / (x * 0))
    f(X)
    found = origin_of_nan(f.traces[0].graph, [np.array([1.0, -1.0, 1.0])], {})
    assert isinstance(found, Origin) and found.node.op.name == "divide" and found.count == 3
