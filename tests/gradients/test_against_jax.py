"""Gradients of the programs against JAX, to 1e-10. Needs JAX beside pytest; skipped where it is missing.

Programs that write into arrays are none to JAX; two others have roots of zeros that they do not use, whose derivative
is NaN to JAX.
"""
from __future__ import annotations

import builtins
import math
import types
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.gradients import programs, science
from tests.gradients.programs import CONTROL, STRAIGHT
from tests.gradients.science import ALGORITHMS, FORMULAS
from tests.gradients.test_programs import POINTS

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

IN_PLACE = ("gather_and_scatter", "in_place", "heat", "cholesky", "scattered", "swap", "normalised_in_place",
            "elimination", "longest_path")
NAN = ("masked_root", "distances")
PROGRAMS, SMOOTH = ([fn for fn in some if fn.__name__ not in (*IN_PLACE, *NAN)] for some in (
    (*STRAIGHT, *FORMULAS, *CONTROL, *ALGORITHMS), (*STRAIGHT, *FORMULAS)))


class Math:
    """`math` of JAX's numbers."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(jax.numpy, name, None)
        return found if callable(found) else getattr(math, name)


def in_jax(fn: types.FunctionType) -> types.FunctionType:
    """The function with JAX's NumPy in place of NumPy, and those of its module that it calls."""
    scope: dict[str, Any] = {**fn.__globals__, "np": jax.numpy, "math": Math(), "__builtins__": builtins}
    for module in (programs, science):
        for name, value in vars(module).items():
            if isinstance(value, types.FunctionType) and name in scope and value is not fn:
                scope[name] = types.FunctionType(value.__code__, scope, name, value.__defaults__)
    return types.FunctionType(fn.__code__, scope, fn.__name__, fn.__defaults__)


@pytest.mark.parametrize("fn", PROGRAMS, ids=lambda fn: fn.__name__)
def test_gradient_agrees_with_jax(fn: types.FunctionType) -> None:
    for x in POINTS:
        value, gradient = jax.value_and_grad(in_jax(fn))(x)
        found, ours = tj.value_and_grad(fn)(x)
        np.testing.assert_allclose(found, value, rtol=1e-10)
        np.testing.assert_allclose(ours, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("fn", SMOOTH, ids=lambda fn: fn.__name__)
def test_hessian_agrees_with_jax(fn: types.FunctionType) -> None:
    x = POINTS[0]
    np.testing.assert_allclose(tj.hessian(fn)(x), jax.hessian(in_jax(fn))(x), rtol=1e-9, atol=1e-9)
