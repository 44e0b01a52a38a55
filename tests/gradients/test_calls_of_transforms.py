"""What the functions of derivatives take and refuse: argnums, pytrees, axes, constants, aux, complex functions."""
from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import GradientError, ShapeError, SignatureError, UnsupportedError

X = np.array([0.31, 0.83, 0.57])
A = np.arange(6.0).reshape(2, 3) / 5
M = np.arange(12.0).reshape(3, 4)


@dataclasses.dataclass
class Model:
    w: Any
    b: Any


Pair = collections.namedtuple("Pair", "w b")


def line(model):
    return (model.w * X).sum() * model.b


@pytest.mark.parametrize("kind", [Model, Pair])
def test_gradients_are_objects_like_the_argument(kind):
    found = tj.grad(line)(kind(X, 2.0))
    assert type(found) is kind
    np.testing.assert_allclose(found.w, 2 * X)
    np.testing.assert_allclose(found.b, (X * X).sum())


def test_keyword_arguments_are_passed_on():
    np.testing.assert_allclose(tj.grad(lambda x, *, scale: (x * scale).sum())(X, scale=2.0), 2.0)


def test_dtypes_and_kinds_of_numbers_stay():
    for dtype in (np.float16, np.float32, np.float64):
        assert tj.grad(lambda x: (x * x).sum())(X.astype(dtype)).dtype == dtype
    square = tj.grad(lambda x: x * x)
    assert type(square(3.0)) is float and type(square(np.float64(3))) is np.float64
    assert square(np.array(3.0)).shape == () and isinstance(square(tj.constant(3.0)), tj.Tensor)


@pytest.mark.parametrize("argnums", ["x", True, 1.0, (0, "y")])
def test_argnums_are_positions(argnums):
    with pytest.raises(SignatureError, match="which is no position"):
        tj.grad(lambda x, y: (x * y).sum(), argnums=argnums)


def test_argnums_name_an_argument_once():
    with pytest.raises(GradientError, match="names an argument twice"):
        tj.grad(lambda x, y: (x * y).sum(), argnums=(0, -2))(X, X)


@pytest.mark.parametrize("name", ["grad", "value_and_grad", "vmap", "jacobian", "hessian"])
def test_values_in_place_of_functions_are_named(name):
    with pytest.raises(SignatureError, match=f"{name} got a float in place of a function"):
        getattr(tj, name)(3.0)


def test_derivatives_of_constants_are_zero():
    np.testing.assert_array_equal(tj.grad(lambda x: 1.0)(X), 0.0)
    value, tangent = tj.jvp(lambda x: (x, 2.0), (X,), (X,))
    np.testing.assert_array_equal(tangent[0], X)
    assert value[1] == 2.0 and tangent[1] == 0.0
    np.testing.assert_array_equal(tj.jacobian(lambda x: 2.0)(X), 0.0)


@pytest.mark.parametrize(("fn", "match"), [
    (lambda x: None, "gives no number"), (lambda x: 3, r"gives i64\[\]"), (lambda x: x.sum() * 1j, "holomorphic=True")])
def test_results_without_gradient_are_named(fn, match):
    with pytest.raises(GradientError, match=match):
        tj.grad(fn)(X)


def test_aux_may_be_anything():
    gradient, aux = tj.grad(lambda x: ((x * x).sum(), {"text": "a", "n": 3, "x": x}), has_aux=True)(X)
    np.testing.assert_allclose(gradient, 2 * X)
    assert aux["text"] == "a" and aux["n"] == 3
    for transform, shape in ((tj.jacobian, (3, 3)), (tj.jacfwd, (3, 3)), (tj.jacrev, (3, 3))):
        found, aux = transform(lambda x: (x ** 3, x.sum()), has_aux=True)(X)
        assert found.shape == shape and aux == X.sum()
    found, aux = tj.hessian(lambda x: ((x ** 3).sum(), "aux"), has_aux=True)(X)
    np.testing.assert_allclose(found, np.diag(6 * X))
    assert aux == "aux"
    _, tangent, aux = tj.jvp(lambda x: (x * x, x.sum()), (X,), (X,), has_aux=True)
    np.testing.assert_allclose(tangent, 2 * X * X)
    assert aux == X.sum()
    with pytest.raises(GradientError, match=r"has_aux=True, but cubed gives f64\[3\]"):
        tj.grad(cubed, has_aux=True)(X)


def cubed(x):
    return x ** 3


def test_forward_and_reverse_jacobians():
    np.testing.assert_allclose(tj.jacfwd(lambda x: np.sin(A @ x))(X), tj.jacrev(lambda x: np.sin(A @ x))(X))


def test_primals_that_are_no_floats_stay():
    y, pull = tj.vjp(lambda x, n, kind: x ** n if kind == "power" else x, X, 3, "power")
    gradient, none, also_none = pull(np.ones(3))
    np.testing.assert_allclose(gradient, 3 * X ** 2)
    assert none is None and also_none is None
    np.testing.assert_allclose(tj.jvp(lambda x, n: x ** n, (X, 3), (X, 0))[1], 3 * X ** 3)
    found = tj.vjp(lambda p: p["x"] ** p["n"], {"x": X, "n": 2})[1](np.ones(3))[0]
    np.testing.assert_allclose(found["x"], 2 * X)
    assert found["n"] is None
    with pytest.raises(SignatureError, match="primals of type ndarray"):
        tj.jvp(cubed, X, X)


def test_pullbacks_do_not_leave_the_function_they_are_made_in():
    pull = tj.function(lambda x: tj.vjp(lambda x: np.sin(x) * x, x)[1])(X)
    with pytest.raises(UnsupportedError, match="an array of a trace that has ended"):
        pull(X)


def test_complex_functions():
    z = 1 + 2j
    assert tj.grad(lambda z: z ** 3, holomorphic=True)(z) == pytest.approx(3 * z ** 2)
    assert tj.grad(tj.grad(lambda z: z ** 3, holomorphic=True), holomorphic=True)(z) == pytest.approx(6 * z)
    np.testing.assert_allclose(tj.jacobian(lambda z: z ** 2)(np.array([z, 3])), np.diag([2 * z, 6]))
    np.testing.assert_allclose(tj.jacobian(lambda x: x * z)(X), np.eye(3) * z)
    np.testing.assert_allclose(tj.jacobian(lambda z: np.abs(z) ** 2)(np.array([z, 3])), np.diag([2 * np.conj(z), 6]))
    with pytest.raises(GradientError, match="mode='reverse' can't give the Jacobian between real and complex"):
        tj.jacrev(lambda x: x * z)(X)
    with pytest.raises(GradientError, match="an argument is real"):
        tj.grad(lambda x: x.sum() * z, holomorphic=True)(X)


def test_vmap_takes_trees_of_axes():
    np.testing.assert_allclose(tj.vmap(lambda p: p.w * p.b, in_axes=(Model(0, None),))(Model(X, 2.0)), 2 * X)
    np.testing.assert_allclose(tj.vmap(lambda p: p["a"] - p["b"], in_axes=({"b": None, "a": 0},))({"a": X, "b": 1.0}),
                               X - 1)
    np.testing.assert_allclose(tj.vmap(lambda x, y: x * y)(X, y=X), X * X)
    found = tj.vmap(lambda x: {"a": x * np.ones(2), "b": x}, out_axes={"b": 0, "a": 1})(X)
    assert found["a"].shape == (2, 3) and found["b"].shape == (3,)


def test_vmap_gives_what_all_lanes_share():
    np.testing.assert_array_equal(tj.vmap(lambda x: 1.0)(X), np.ones(3))
    lanes, once, text = tj.vmap(lambda x, y: (x, y, "a"), in_axes=(0, None), out_axes=(0, None, None))(X, 5.0)
    np.testing.assert_array_equal(lanes, X)
    assert once == 5.0 and text == "a"
    np.testing.assert_array_equal(tj.vmap(lambda x: x, in_axes=None, axis_size=2)(X), np.stack([X, X]))


@pytest.mark.parametrize(("options", "error", "match"), [
    ({"in_axes": "0"}, SignatureError, "in_axes holds '0'"), ({"in_axes": ({"c": 0},)}, ShapeError, r"dict\(c=\*\)"),
    ({"in_axes": (0, 0)}, ShapeError, "2 entries for 1"), ({"in_axes": 3}, ShapeError, "no axis 3"),
    ({"out_axes": None}, ShapeError, "differs from lane to lane"), ({"out_axes": 1.0}, SignatureError, "holds 1.0")])
def test_axes_that_do_not_fit_are_named(options, error, match):
    with pytest.raises(error, match=match):
        tj.vmap(lambda p: p["a"], **options)({"a": X})


def test_sizes_of_lanes_may_differ_inside():
    np.testing.assert_allclose(tj.vmap(lambda v: v[v > 4].sum())(M), [0, 18, 38])
    np.testing.assert_allclose(tj.vmap(tj.grad(lambda v: (v[v > 4] ** 2).sum()))(M), np.where(M > 4, 2 * M, 0))


def test_sizes_found_by_the_run_are_found_again_on_the_way_back():
    def kept_in_loops(x):
        s = 0.1
        while s < 3:
            s = s + 1 + (x[x > 0.1 * s] ** 2).sum()
        parts = []
        for k in range(9):
            parts = parts + [x[0] * k]
        return s * sum(parts)
    x = np.array([0.3, -0.2, 0.75, 0.12])
    step = 1e-6 * np.eye(4)
    expected = [(kept_in_loops(x + e) - kept_in_loops(x - e)) / 2e-6 for e in step]
    np.testing.assert_allclose(tj.grad(kept_in_loops)(x), expected, rtol=1e-6, atol=1e-6)
    for fn in (kept_in_loops, lambda x: (x[x > 0] ** 2).sum()):
        np.testing.assert_allclose(tj.vjp(fn, x)[1](1.0)[0], tj.grad(fn)(x))
    inside = tj.function(lambda x: [pull(np.ones_like(y))[0] for y, pull in [tj.vjp(lambda x: np.sqrt(x[x > 0]), x)]])
    np.testing.assert_allclose(inside(x)[0], np.where(x > 0, 0.5 / np.sqrt(np.abs(x)), 0))
    with pytest.raises(GradientError, match="whose size only the run knows"):
        tj.vjp(lambda x: x[x > 0], x)[1](np.ones(3))


def test_custom_rules_and_mixed_arguments():
    power = tj.custom_gradient(lambda p: p["w"] ** p["n"])
    power.defvjp(lambda p: (p["w"] ** p["n"], p), lambda p, ct: ({"w": ct * 10 * p["w"], "n": None},))
    np.testing.assert_allclose(tj.grad(lambda w: power({"w": w, "n": 2}).sum())(X), 10 * X)


def test_custom_rules_say_nothing_of_values_from_outside():
    def scaled(w, x):
        by_w = tj.custom_gradient(lambda x: x * w)
        by_w.defvjp(lambda x: (x * w, None), lambda saved, ct: (ct * w,))
        return by_w(x).sum()
    np.testing.assert_allclose(tj.grad(scaled, argnums=1)(np.array(3.0), X), 3.0)
    with pytest.raises(GradientError, match="reads a value from outside"):
        tj.grad(scaled)(np.array(3.0), X)
