"""Gradients that can't be: errors that name what, where and the way out, and leave everything as it was."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import GradientError, SignatureError, TracejitError

X = np.array([1.0, 2.0])
held = np.array([2.0, 3.0])
v = tj.Variable([1.0, 1.0], name="v")
kept: list[Any] = []


def doubled(x: Any) -> Any:
    return tj.host_call(np.sin, "f64[2]", x).sum()


def integers(x: Any) -> Any:
    return (x > 1).sum()


def several(x: Any) -> Any:
    return x * 2


def assigned_then(fn: Any) -> Any:
    def call(x: Any) -> Any:
        v.assign_add(1.0)
        held[0] = 50.0
        return fn(x)
    return call


CASES = {
    "integers": (integers, "gives i64[]; a gradient needs a real scalar", None),
    "several": (several, "gives f64[2]; a gradient needs a real scalar", None),
    "host call": (doubled, "`host_call` can't be differentiated", 'tj.host_call(np.sin, "f64[2]", x)'),
}


@pytest.mark.parametrize("where", ["outside", "function", "vjp", "jvp"])
@pytest.mark.parametrize("name", CASES)
def test_what_has_no_gradient_is_an_error_and_nothing_is_changed(name: str, where: str) -> None:
    fn, text, line = CASES[name]
    if where in ("vjp", "jvp") and name != "host call":
        pytest.skip("arrays of any dtype have cotangents and tangents")
    call = assigned_then(fn)
    run = {"outside": tj.grad(call), "function": tj.function(lambda x: tj.grad(call)(x)),
           "vjp": lambda x: tj.vjp(call, x), "jvp": lambda x: tj.jvp(call, (x,), (x,))}[where]
    before, array = v.numpy(), held.copy()
    for _ in range(2):
        with pytest.raises(TracejitError) as caught:
            run(X)
        message = str(caught.value)
        assert text in message and "test_tape_errors.py" in message and "why:" in message and "fix:" in message
        assert line is None or line in message
    np.testing.assert_array_equal(v.numpy(), before)
    np.testing.assert_array_equal(held, array)


@pytest.mark.parametrize("eager", [True, False])
def test_a_tape_through_a_host_call_names_it(eager: bool) -> None:
    inner = tj.function(doubled)

    def f(x: Any) -> Any:
        with tj.GradientTape() as tape:
            tape.watch(x)
            y = inner(x)
        return tape.gradient(y, x)
    with pytest.raises(TracejitError, match=r"`host_call` can't be differentiated[\s\S]*tj\.host_call\(np\.sin"):
        (f if eager else tj.function(f))(tj.constant(X))


def test_a_host_call_that_no_gradient_goes_through_is_no_error() -> None:
    seen = []

    def look(x: Any) -> None:
        seen.append(x.tolist())

    def f(x: Any) -> Any:
        tj.host_call(look, None, x)
        return (tj.stop_gradient(tj.host_call(np.sin, "f64[2]", tj.stop_gradient(x))) * x).sum()
    np.testing.assert_allclose(tj.grad(f)(X), np.sin(X))
    assert seen == [X.tolist()]


def test_a_rule_of_the_users_own_makes_a_host_call_differentiable() -> None:
    @tj.custom_gradient
    def sine(x: Any) -> Any:
        return tj.host_call(np.sin, "f64[2]", x), lambda ct: ct * np.cos(x)
    np.testing.assert_allclose(tj.grad(lambda x: sine(x).sum())(X), np.cos(X))


# ---- arrays that change --------------------------------------------------------------------------------------------


def test_a_pullback_does_not_see_what_changes_after_the_forward_pass() -> None:
    weight, x, w = np.array([2.0, 3.0]), np.ones(2), tj.Variable([1.0, 2.0])
    _, pull = tj.vjp(lambda x: (x * weight * x * w).sum(), x)
    weight[:], x[:] = 100.0, 50.0
    w.assign(7.0)
    np.testing.assert_array_equal(pull(1.0)[0], [4.0, 12.0])


def test_an_eager_tape_does_not_see_what_changes_afterwards() -> None:
    weight, t = np.array([2.0, 3.0]), tj.constant([1.0, 1.0])
    with tj.GradientTape() as tape:
        tape.watch(t)
        y = (t * weight).sum()
    weight[:] = 100.0
    np.testing.assert_array_equal(tape.gradient(y, t), [2.0, 3.0])


def test_gradients_through_captured_arrays_that_the_function_changes() -> None:
    array = np.array([1.0, 2.0])

    def f(y: Any) -> Any:
        array[0] = y * 2
        return (array * y).sum()
    assert float(tj.grad(f)(3.0)) == 14.0       # d/dy (2 y^2 + 2 y)
    assert array.tolist() == [6.0, 2.0]


# ---- tapes that have nothing ---------------------------------------------------------------------------------------


def _asked_twice(x: Any) -> Any:
    with tj.GradientTape() as tape:
        tape.watch(x)
        y = (x * x).sum()
    return tape.gradient(y, x) + tape.gradient(y, x)


@pytest.mark.parametrize("eager", [True, False])
def test_a_tape_that_was_freed_says_so(eager: bool) -> None:
    with pytest.raises(GradientError, match=r"this tape was freed[\s\S]*\^\^\^[\s\S]*persistent=True"):
        (_asked_twice if eager else tj.function(_asked_twice))(tj.constant(X))


def test_every_use_of_a_freed_tape_is_refused() -> None:
    x = tj.constant(X)
    with tj.GradientTape() as tape:
        tape.watch(x)
        y = x * 2
    tape.gradient(y, x)
    for use in (lambda: tape.watch(x), tape.reset, tape.watched_variables, lambda: tape.stop_recording().__enter__()):
        with pytest.raises(GradientError, match="freed"):
            use()
    with tape:      # a new recording
        tape.watch(x)
        y = x * 3
    np.testing.assert_array_equal(tape.gradient(y, x), [3.0, 3.0])


def test_a_tape_that_was_never_entered_says_so() -> None:
    with pytest.raises(GradientError, match="never entered"):
        tj.GradientTape().gradient(tj.constant(1.0), tj.constant(1.0))


def test_a_tape_of_an_ended_call_says_so() -> None:
    @tj.function
    def f(x: Any) -> Any:
        with tj.GradientTape() as tape:
            tape.watch(x)
            y = (x * x).sum()
        kept.append(tape)
        return y
    kept.clear()
    f(X)
    with pytest.raises(GradientError, match="which has ended"):
        kept[0].gradient(tj.constant(1.0), tj.constant(1.0))


def test_a_tape_of_outside_is_not_asked_inside() -> None:
    x = tj.constant(X)
    with tj.GradientTape() as tape:
        tape.watch(x)
        y = (x * x).sum()
    with pytest.raises(GradientError, match="records outside"):
        tj.function(lambda: tape.gradient(y, x))()
    np.testing.assert_array_equal(tape.gradient(y, x), 2 * X)


def test_a_tape_asked_in_another_loop_says_so() -> None:
    @tj.function
    def f(x: Any, n: Any) -> Any:
        with tj.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = (x * x).sum()
        total = x * 0
        for _ in range(n):
            total = total + tape.gradient(y, x)
        return total
    with pytest.raises(GradientError, match="another loop or branch"):
        f(X, 100)


# ---- targets, weights, sources -------------------------------------------------------------------------------------


WRONG = {
    "integer target": (lambda tape, x: tape.gradient((x > 1).sum(), x), GradientError, "has no derivative"),
    "weight's shape": (lambda tape, x: tape.gradient(x * x, x, tj.constant([1.0, 2.0, 3.0])), GradientError,
                       r"output gradient has the shape \(3,\), its target \(2,\)"),
    "weights' structure": (lambda tape, x: tape.gradient([x * x, x], x, tj.constant([1.0, 2.0])), GradientError,
                           "output_gradients have the structure"),
    "option": (lambda tape, x: tape.gradient(x * x, x, unconnected_gradients="zeros"), SignatureError, "zeros"),
    "integers": (lambda tape, x: tape.watch(x > 1), GradientError, "can't watch"),
}


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_questions_are_refused(name: str, eager: bool) -> None:
    ask, error, text = WRONG[name]

    def f(x: Any) -> Any:
        with tj.GradientTape() as tape:
            tape.watch(x)
            return ask(tape, x)
    with pytest.raises(error, match=text):
        (f if eager else tj.function(f))(tj.constant(X))


@pytest.mark.parametrize("thing", [X, 3.0, "text"])
def test_an_eager_tape_watches_tensors_and_variables_alone(thing: Any) -> None:
    with tj.GradientTape() as tape, pytest.raises(GradientError, match="can't watch a"):
        tape.watch([thing])
