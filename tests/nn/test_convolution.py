"""Convolutions against their definition; derivatives by adjoints, which are exact; against torch and JAX."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.nn.checks import check_gradient
from tests.nn.windows import convolution, drawn
from tracejit import nn
from tracejit.base.errors import ShapeError

CONVOLUTIONS = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
RNG = np.random.default_rng(3)


def first(x):
    return np.moveaxis(x, -1, 1)


def close(found, expected, dtype=np.float64):
    scale = np.abs(expected).max(initial=1)
    np.testing.assert_allclose(found, expected, atol=scale * (1e-12 if np.dtype(dtype).itemsize >= 8 else 3e-5))


def compiled(function):
    """A function object of its own for each case, so that no size is symbolic."""
    return tj.function(lambda *args: function(*args))


def adjoint(function, x, moved, ct):
    """<function(moved), ct> = <moved, derivative(ct)> of a function that is linear."""
    back = compiled(lambda x, ct: tj.vjp(function, x)[1](ct)[0])(x, ct)
    assert back.shape == x.shape and back.dtype == x.dtype
    return (compiled(function)(moved) * ct).sum(), (back * moved).sum()


@pytest.mark.parametrize("rank, seed", [(rank, seed) for rank in (1, 2, 3) for seed in range(5)])
def test_any_options(rank, seed):
    r = np.random.default_rng([rank, seed])
    shape, window, options = drawn(r, rank)
    x, kernel = r.normal(size=shape), r.normal(size=window)
    expected = convolution(x, kernel, **options)
    call = compiled(lambda x, k: CONVOLUTIONS[rank](x, k, **options))
    close(call(x, kernel), expected)
    if seed % 2:
        channels_first = compiled(lambda x, k: CONVOLUTIONS[rank](x, k, **options, layout="NCHW"))
        close(channels_first(first(x), kernel), first(expected))
    ct, moved_x, moved_kernel = (r.normal(size=a.shape) for a in (expected, x, kernel))
    close(*adjoint(lambda x: CONVOLUTIONS[rank](x, kernel, **options), x, moved_x, ct))
    close(*adjoint(lambda k: CONVOLUTIONS[rank](x, k, **options), kernel, moved_kernel, ct))


LARGE = {   # shapes that other ways of computing serve: blocks, gaps, one channel, each channel by itself
    "window beyond the cache": ((2, 9, 8, 130), (3, 3, 130, 136), {}),
    "long rows": ((1, 3, 61, 16), (3, 3, 16, 40), {"padding": "same"}),
    "strides": ((2, 17, 19, 8), (3, 4, 8, 24), {"strides": (2, 3), "padding": "same"}),
    "many strides": ((1, 40, 3), (3, 3, 20), {"strides": 4}),
    "one channel": ((3, 28, 30, 1), (5, 5, 1, 16), {"padding": "same"}),
    "to one channel": ((3, 21, 30, 12), (3, 3, 12, 1), {"padding": "same"}),
    "signal": ((1, 300, 1), (7, 1, 1), {"padding": "same"}),
    "a channel by itself": ((2, 9, 9, 20), (3, 3, 1, 20), {"groups": 20}),
    "one place": ((5, 4, 4, 6), (4, 4, 6, 30), {}),
    "a window of one": ((4, 6, 6, 9), (1, 1, 9, 33), {"strides": 2}),
}


@pytest.mark.parametrize("name, dtype", [(name, (np.float32, np.float64)[k % 2]) for k, name in enumerate(LARGE)])
def test_every_way_to_compute(name, dtype):
    shape, window, given = LARGE[name]
    rank = len(window) - 2
    strides = given.get("strides", 1)
    options = {"strides": (strides,) * rank if isinstance(strides, int) else strides, "dilation": (1,) * rank,
               "padding": given.get("padding", "valid"), "groups": given.get("groups", 1)}
    x, kernel = RNG.normal(size=shape).astype(dtype), RNG.normal(size=window).astype(dtype)
    expected = convolution(x.astype(np.float64), kernel.astype(np.float64), **options)
    close(compiled(lambda x, k: CONVOLUTIONS[rank](x, k, **options))(x, kernel), expected, dtype)
    ct, moved_x, moved_kernel = (RNG.normal(size=a.shape).astype(dtype) for a in (expected, x, kernel))
    for found, wanted in (adjoint(lambda x: CONVOLUTIONS[rank](x, kernel, **options), x, moved_x, ct),
                          adjoint(lambda k: CONVOLUTIONS[rank](x, k, **options), kernel, moved_kernel, ct)):
        np.testing.assert_allclose(found, wanted, rtol=1e-3 if dtype is np.float32 else 1e-9, atol=1e-2)


def test_sizes_that_are_not_known():
    """One trace for images of many sizes, gradients included."""
    kernel = RNG.normal(size=(3, 3, 2, 20))

    @tj.function
    def loss_and_gradients(x, kernel):
        return tj.value_and_grad(lambda x, k: (nn.conv2d(x, k, 2, "same") ** 2).sum(), argnums=(0, 1))(x, kernel)

    for sizes in ((5, 6), (9, 12), (20, 7), (8, 31)):
        x = RNG.normal(size=(2, *sizes, 2))
        value, (by_x, by_kernel) = loss_and_gradients(x, kernel)
        y = convolution(x, kernel, (2, 2), "same", (1, 1), 1)
        close(value, (y**2).sum())
        moved = RNG.normal(size=x.shape)
        close((by_x * moved).sum(), (2 * y * convolution(moved, kernel, (2, 2), "same", (1, 1), 1)).sum())
        close((by_kernel * kernel).sum(), 2 * (y**2).sum())
    assert len(loss_and_gradients.traces) <= 3


@pytest.mark.parametrize("dtype", ["int32", "float16", "complex128"])
def test_other_dtypes(dtype):
    x, kernel = (RNG.integers(-3, 4, s).astype(dtype) for s in ((2, 6, 5, 3), (3, 2, 3, 4)))
    found = nn.conv2d(x, kernel, padding="same")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, convolution(x, kernel, (1, 1), "same", (1, 1), 1))


def test_operands_are_promoted():
    x = RNG.normal(size=(1, 4, 4, 2)).astype(np.float32)
    found = nn.conv2d(x, np.ones((2, 2, 2, 1)))
    assert found.dtype == np.float64
    close(found, convolution(x, np.ones((2, 2, 2, 1)), (1, 1), "valid", (1, 1), 1))


def test_infinities_reach_only_what_is_over_them():
    x, kernel = np.ones((1, 7, 7, 2)), np.ones((3, 3, 2, 40))
    x[0, 3, 3, 0] = np.inf
    found = nn.conv2d(x, kernel, padding="same")
    assert np.isinf(found[0, 2:5, 2:5]).all() and np.isinf(found).sum() == 9 * 40
    by_x = tj.grad(lambda x: nn.conv2d(x, kernel, 2, "same").sum())(x)
    assert np.isfinite(by_x).all()


def test_no_images():
    kernel = RNG.normal(size=(3, 3, 2, 4))
    assert nn.conv2d(np.zeros((0, 5, 5, 2)), kernel).shape == (0, 3, 3, 4)
    np.testing.assert_array_equal(tj.grad(lambda k: nn.conv2d(np.zeros((0, 5, 5, 2)), k).sum())(kernel), 0)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_lanes(axes):
    x, kernel = RNG.normal(size=(3, 2, 6, 5, 4)), RNG.normal(size=(3, 2, 2, 2, 6))
    args = [a if axis == 0 else a[0] for a, axis in zip((x, kernel), axes, strict=True)]
    found = tj.vmap(lambda x, k: nn.conv2d(x, k, 2, "same", groups=2), in_axes=axes)(*args)
    for lane in range(3):
        one = [a[lane] if axis == 0 else a for a, axis in zip(args, axes, strict=True)]
        close(found[lane], nn.conv2d(*one, 2, "same", groups=2))


def test_second_derivatives():
    x, kernel = RNG.normal(size=(1, 5, 5, 2)), RNG.normal(size=(2, 2, 2, 3))

    def sharpness(kernel):
        return (tj.grad(lambda x: (nn.conv2d(x, kernel, 2) ** 3).sum())(x) ** 2).sum()

    check_gradient(sharpness, kernel, rtol=1e-4)


# ---- transposed, depthwise, separable --------------------------------------------------------------------------


@pytest.mark.parametrize("strides, padding, dilation, layout", [
    (1, "same", 1, "NHWC"), (2, "same", 1, "NCHW"), (3, "valid", 1, "NHWC"), (2, 1, 2, "NHWC"),
    (3, ((0, 1), (2, 0)), 1, "NHWC"), (2, "same", 2, "NHWC")])
def test_transposed_convolution_is_the_transpose(strides, dilation, padding, layout):
    kernel, y = RNG.normal(size=(3, 4, 2, 5)), RNG.normal(size=(2, 4, 5, 2))
    turned = (lambda a: a) if layout == "NHWC" else first
    back = (lambda a: a) if layout == "NHWC" else (lambda a: np.moveaxis(a, 1, -1))
    made = back(compiled(lambda y, k: nn.conv_transpose2d(y, k, strides, padding, dilation, layout))(turned(y), kernel))
    if padding == "same":
        assert made.shape[1:3] == (4 * strides, 5 * strides)
    x = RNG.normal(size=made.shape)
    forward = compiled(lambda x, k: nn.conv2d(x, k, strides, padding, dilation))(x, np.swapaxes(kernel, 2, 3))
    close((made * x).sum(), (forward * y).sum())
    moved = RNG.normal(size=kernel.shape)
    ct = RNG.normal(size=turned(made).shape)
    close(*adjoint(lambda k: nn.conv_transpose2d(turned(y), k, strides, padding, dilation, layout), kernel, moved, ct))


def test_transposed_in_one_and_three_axes():
    y, kernel = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(4, 3, 2))
    expected = np.zeros((2, 4 * 2 + 4, 2))
    for place in range(5):
        expected[:, 2 * place:2 * place + 4] += np.einsum("bi,wio->bwo", y[:, place], kernel)
    close(nn.conv_transpose1d(y, kernel, 2, "valid"), expected)
    cube = RNG.normal(size=(1, 2, 2, 2, 3))
    close(nn.conv_transpose3d(cube, kernel[:1, None, None], 1, "valid"), cube @ kernel[0])


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_depthwise_and_separable(layout):
    x, kernel, pointwise = (RNG.normal(size=s) for s in ((2, 7, 6, 4), (3, 2, 4, 3), (1, 1, 12, 5)))
    turned = (lambda a: a) if layout == "NHWC" else first
    expected = np.concatenate([convolution(x[..., c:c + 1], kernel[:, :, c:c + 1], (2, 2), "same", (1, 1), 1)
                               for c in range(4)], -1)
    close(nn.depthwise_conv2d(turned(x), kernel, 2, "same", layout=layout), turned(expected))
    close(nn.separable_conv2d(turned(x), kernel, pointwise, 2, "same", layout=layout),
          turned(expected @ pointwise[0, 0]))
    ct, moved_x, moved_kernel = (RNG.normal(size=a.shape) for a in (turned(expected), turned(x), kernel))
    close(*adjoint(lambda x: nn.depthwise_conv2d(x, kernel, 2, "same", layout=layout), turned(x), moved_x, ct))
    close(*adjoint(lambda k: nn.depthwise_conv2d(turned(x), k, 2, "same", layout=layout), kernel, moved_kernel, ct))


# ---- mistakes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call, message", [
    (lambda x, k: nn.conv2d(x, k[:, :, :1]), "does not fit a kernel"),
    (lambda x, k: nn.conv2d(x[0], k), "does not fit a kernel"),
    (lambda x, k: nn.conv2d(x, k, groups=2), "with 2 groups"),
    (lambda x, k: nn.conv2d(x, k, strides=(1, 2, 3)), "does not fit 2 axes"),
    (lambda x, k: nn.conv2d(x, k, strides=0), "strides=0"),
    (lambda x, k: nn.conv2d(x, k, padding="full"), "padding='full'"),
    (lambda x, k: nn.conv2d(x, k, layout="CHW"), "layout='CHW' is unknown"),
    (lambda x, k: nn.conv2d(x, k, dilation=4), "a window of 9 places does not fit into 5"),
    (lambda x, k: nn.max_pool(x, 6), "a window of 6 places does not fit into 5"),
    (lambda x, k: nn.max_pool(x, (2, 2, 2)), "does not fit 2 axes"),
])
def test_errors(call, message):
    with pytest.raises(ShapeError, match=message):
        tj.function(lambda x, k: call(x, k))(np.ones((1, 5, 5, 2)), np.ones((3, 3, 2, 4)))


# ---- other libraries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_torch_agrees(seed):
    torch = pytest.importorskip("torch")
    r = np.random.default_rng([7, seed])
    shape, window, options = drawn(r, 2)
    options["padding"] = tuple(int(r.integers(0, 3)) for _ in range(2))
    x, kernel = r.normal(size=shape), r.normal(size=window)
    turned = first(x), kernel.transpose(3, 2, 0, 1)
    theirs = [torch.from_numpy(np.ascontiguousarray(a)).requires_grad_() for a in turned]
    y = torch.nn.functional.conv2d(*theirs, None, options["strides"], options["padding"], options["dilation"],
                                   options["groups"])
    y.pow(2).sum().backward()
    ours = {**options, "padding": tuple((p, p) for p in options["padding"])}
    value, grads = tj.value_and_grad(lambda x, k: (nn.conv2d(x, k, **ours) ** 2).sum(), argnums=(0, 1))(x, kernel)
    close(value, y.pow(2).sum().item())
    close(first(grads[0]), theirs[0].grad.numpy())
    close(grads[1].transpose(3, 2, 0, 1), theirs[1].grad.numpy())


@pytest.mark.parametrize("seed", range(6))
def test_jax_agrees(seed):
    jax = pytest.importorskip("jax")
    r = np.random.default_rng([8, seed])
    shape, window, options = drawn(r, 2)
    x, kernel = (r.normal(size=s).astype(np.float32) for s in (shape, window))
    padding = options["padding"].upper() if isinstance(options["padding"], str) else options["padding"]

    def theirs(x, k):
        return jax.lax.conv_general_dilated(x, k, options["strides"], padding, rhs_dilation=options["dilation"],
                                            dimension_numbers=("NHWC", "HWIO", "NHWC"),
                                            feature_group_count=options["groups"])

    y, pull = jax.vjp(theirs, x, kernel)
    ct = r.normal(size=y.shape).astype(np.float32)
    made, back = tj.vjp(lambda x, k: nn.conv2d(x, k, **options), x, kernel)
    for found, expected in zip((made, *back(ct)), (y, *pull(ct)), strict=True):
        close(found, np.asarray(expected), np.float32)
