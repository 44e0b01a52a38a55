"""Derivatives through `try` whose handlers read what the body has computed before it failed."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj


def changed_before(x):
    y = x * x
    try:
        y = y * math.sin(x)
        if y > 0.5:
            raise ValueError
        y = y * 3
    except ValueError:
        y = y * y + 1
    return y * x


def in_a_loop(x):
    s = 0.0
    try:
        for i in range(10):
            s = s + x * i * math.cos(s)
            if s > 5:
                raise ArithmeticError
        s = s * 2
    except ArithmeticError:
        s = s * s * x
    return s


def loop_in_attempt_in_loop(x):
    s = 0.0
    for k in range(4):
        t = x * k
        try:
            t = t * t
            v = t
            while v > 0.1:
                v = v * 0.7
                t = t + v * v
                if t > 4:
                    raise ValueError
            t = t + 1
        except ValueError:
            t = math.sqrt(t) * v
        finally:
            s = s + 0.1 * t
        s = s * 1.1 + t
    return s


def several_handlers(x):
    y = x
    try:
        y = y * y
        if y > 1.5:
            raise ValueError
        y = y + x
        if y > 1.2:
            raise KeyError
        y = y * 2
    except ValueError:
        y = math.sin(y)
    except KeyError:
        y = math.cos(y) * y
    return y


def nested(x):
    y = x
    try:
        try:
            y = y * 1.5
            if y > 1.7:
                raise ValueError
            y = y * y
        except ValueError:
            y = y * 0.5
            if y > 0.9:
                raise KeyError from None
            y = y + x * x
        y = y + 1
    except KeyError:
        y = y ** 3
    return y


def until_the_end_of_a_list(x):
    parts = [x, x * x, x * x * x]
    s, i = 1.0, 0
    try:
        while True:
            s = s * parts[i] + x
            i += 1
    except IndexError:
        s = s * s
    return s


def writes_an_array(x):
    y = np.zeros(4)
    try:
        for i in range(4):
            y[i] = x * (i + 1)
            if y[i] > 2.5:
                raise ValueError
    except ValueError:
        y = y * y
    return y.sum()


PROGRAMS = [changed_before, in_a_loop, loop_in_attempt_in_loop, several_handlers, nested, until_the_end_of_a_list,
            writes_an_array]


def slope(f, x, h=1e-6):
    return (f(x + h) - f(x - h)) / (2 * h)


@pytest.mark.parametrize("program", PROGRAMS)
def test_derivatives_go_through_the_part_of_the_body_that_ran(program):
    gradient = tj.function(tj.grad(program))
    for x in (0.4, 0.9, 1.3):
        assert gradient(x) == pytest.approx(slope(program, x), rel=1e-6)
        assert tj.jvp(program, (x,), (1.0,))[1] == pytest.approx(gradient(x), rel=1e-12)


def test_gradients_of_gradients_go_through_attempts():
    twice = tj.grad(tj.grad(changed_before))
    for x in (0.4, 1.3):
        assert twice(x) == pytest.approx(slope(lambda v: slope(changed_before, v, 1e-4), x, 1e-4), rel=1e-5)
