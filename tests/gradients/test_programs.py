"""Gradients of whole functions against central differences; forward mode against reverse mode."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.gradients.programs import CONTROL, STRAIGHT
from tests.gradients.science import ALGORITHMS, FORMULAS

PROGRAMS = [*STRAIGHT, *FORMULAS, *CONTROL, *ALGORITHMS]
POINTS = [np.array([0.31, 0.83, 0.57, 1.07]), np.array([0.95, 0.24, 0.71, 0.45])]


def differences(fn, x, step=1e-6):
    return np.array([(fn(x + step * e) - fn(x - step * e)) / (2 * step) for e in np.eye(len(x))])


@pytest.mark.parametrize("fn", PROGRAMS, ids=lambda fn: fn.__name__)
def test_gradient_agrees_with_differences(fn):
    gradient = tj.grad(fn)
    for x in POINTS:
        before = x.copy()
        found = gradient(x)
        np.testing.assert_allclose(found, differences(fn, x), rtol=2e-6, atol=2e-7)
        np.testing.assert_array_equal(x, before)
    assert len(gradient.compiled.traces) == 1


@pytest.mark.parametrize("fn", [*STRAIGHT, *CONTROL, *(pytest.param(fn, marks=pytest.mark.slow) for fn in (
    *FORMULAS, *ALGORITHMS))], ids=lambda fn: fn.__name__)
def test_forward_mode_agrees_with_reverse_mode(fn):
    direction = np.array([0.3, -0.2, 0.7, 0.1])
    for x in POINTS:
        value, tangent = tj.jvp(fn, (x,), (direction,))
        np.testing.assert_allclose(value, fn(x), rtol=1e-12)
        np.testing.assert_allclose(tangent, tj.grad(fn)(x) @ direction, rtol=1e-9, atol=1e-12)
