"""Convolutions: a CNN's training step by Adam; one layer of a large network, forward, and with its gradients.

Flows in: parameters, images (batch, height, width, channels), labels.  Flows out: `WORKLOADS`.

The steps update in place, or in donated memory: each starts from what the one before has left.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import bench.workloads.convolution_peers as peers
from bench.workloads.convolution_peers import BETA1, BETA2, EPSILON, RATE
from tracejit.cli.harness.workload import Case, Workload

NO_CONVOLUTION = frozenset({"drjit", "numexpr", "numba", "tensorflow"})


# ---- by NumPy -------------------------------------------------------------------------------------------------------


def columns(x, height, width):
    """What is under each place of the window: (batch, rows, columns, window, channels)."""
    rows, across = x.shape[1] - height + 1, x.shape[2] - width + 1
    return np.stack([x[:, i:i + rows, j:j + across] for i in range(height) for j in range(width)], axis=3)


def convolution(x, kernel):
    """ "same", of odd windows."""
    height, width, inside, outside = kernel.shape
    padded = np.pad(x, ((0, 0), (height // 2,) * 2, (width // 2,) * 2, (0, 0)))
    return np.tensordot(columns(padded, height, width), kernel.reshape(-1, inside, outside), 2)


def convolution_gradients(x, kernel, ct):
    height, width, inside, outside = kernel.shape
    padded = np.pad(x, ((0, 0), (height // 2,) * 2, (width // 2,) * 2, (0, 0)))
    by_kernel = np.tensordot(columns(padded, height, width), ct, ((0, 1, 2), (0, 1, 2)))
    return convolution(ct, kernel[::-1, ::-1].transpose(0, 1, 3, 2)), by_kernel.reshape(kernel.shape)


def pooled(x):
    """The largest of 2 x 2, and where it is, once."""
    batch, height, width, channels = x.shape
    parts = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 5, 2, 4)
    parts = parts.reshape(*parts.shape[:4], 4)
    return parts.max(axis=-1), np.arange(4) == parts.argmax(axis=-1)[..., None]


def unpooled(ct, where):
    parts = np.where(where, ct[..., None], np.float32(0))
    batch, height, width, channels, _ = parts.shape
    parts = parts.reshape(batch, height, width, channels, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(batch, 2 * height, 2 * width, channels)


def cnn_gradients(params, images, labels):
    """The loss and its derivatives by the parameters: two convolutions with pooling, two dense layers."""
    w1, b1, w2, b2, w3, b3, w4, b4 = params
    a1 = np.maximum(convolution(images, w1) + b1, 0)
    p1, where1 = pooled(a1)
    a2 = np.maximum(convolution(p1, w2) + b2, 0)
    p2, where2 = pooled(a2)
    flat = p2.reshape(len(images), -1)
    a3 = np.maximum(flat @ w3 + b3, 0)
    logits = a3 @ w4 + b4
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    chosen = np.arange(logits.shape[1]) == labels[:, None]
    ct = (np.exp(logs) - chosen) / np.float32(len(labels))
    ct3 = (ct @ w4.T) * (a3 > 0)
    ct2 = unpooled((ct3 @ w3.T).reshape(p2.shape), where2) * (a2 > 0)
    by_p1, by_w2 = convolution_gradients(p1, w2, ct2)
    ct1 = unpooled(by_p1, where1) * (a1 > 0)
    by_w1 = convolution_gradients(images, w1, ct1)[1]
    return -logs[chosen].mean(), [by_w1, ct1.sum(axis=(0, 1, 2)), by_w2, ct2.sum(axis=(0, 1, 2)), flat.T @ ct3,
                                  ct3.sum(axis=0), a3.T @ ct, ct.sum(axis=0)]


def cnn_step(params, means, squares, count, images, labels):
    """The loss, and what Adam makes of parameters, means and squares."""
    loss, grads = cnn_gradients(params, images, labels)
    count = count + np.float32(1)
    means = [np.float32(BETA1) * m + np.float32(1 - BETA1) * g for m, g in zip(means, grads)]
    squares = [np.float32(BETA2) * v + np.float32(1 - BETA2) * g * g for v, g in zip(squares, grads)]
    first, second = 1 - np.float32(BETA1) ** count, 1 - np.float32(BETA2) ** count
    params = [p - np.float32(RATE) * (m / first) / (np.sqrt(v / second) + np.float32(EPSILON))
              for p, m, v in zip(params, means, squares)]
    return loss, params, means, squares


# ---- tracejit -------------------------------------------------------------------------------------------------------


def cnn_loss(params, images, labels):
    from tracejit import nn

    w1, b1, w2, b2, w3, b3, w4, b4 = params
    x = images
    for w, b in ((w1, b1), (w2, b2)):
        x = nn.max_pool(np.maximum(nn.conv2d(x, w, padding="same") + b, 0), 2)
    x = np.maximum(x.reshape(-1, w3.shape[0]) @ w3 + b3, 0)
    return nn.sparse_softmax_cross_entropy(x @ w4 + b4, labels).mean()


def tracejit_cnn() -> Callable[..., Any]:
    import tracejit as tj
    from tracejit import optim

    adam = optim.Adam(RATE, beta1=BETA1, beta2=BETA2, epsilon=EPSILON)

    @tj.function(donate=("params", "means", "squares"))
    def step(params, means, squares, count, images, labels):
        loss, grads = tj.value_and_grad(cnn_loss)(params, images, labels)
        params, state = adam.update(grads, {"step": count, "means": means, "squares": squares}, params)
        return loss, params, state["means"], state["squares"]

    return step


def tracejit_layer() -> Callable[..., Any]:
    import tracejit as tj
    from tracejit import nn

    return tj.function(lambda x, kernel: nn.conv2d(x, kernel, padding="same"))


def tracejit_layer_gradients() -> Callable[..., Any]:
    import tracejit as tj
    from tracejit import nn

    @tj.function
    def gradients(x, kernel, ct):
        y, pull = tj.vjp(lambda x, kernel: nn.conv2d(x, kernel, padding="same"), x, kernel)
        return (y, *pull(ct))

    return gradients


def layer_gradients(x, kernel, ct):
    return (convolution(x, kernel), *convolution_gradients(x, kernel, ct))


# ---- inputs ---------------------------------------------------------------------------------------------------------


def network(size: tuple[int, int, int, int, int], r: np.random.Generator) -> tuple[Any, ...]:
    """size: batch, side of the images, channels of both convolutions, units."""
    batch, side, first, second, units = size
    shapes = [(3, 3, 1, first), (3, 3, first, second), (side // 4 * (side // 4) * second, units), (units, 10)]
    params: list[Any] = []
    for shape in shapes:
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        params += [(scale * r.normal(size=shape)).astype(np.float32), np.zeros(shape[-1], np.float32)]
    means = [(0.01 * r.normal(size=p.shape)).astype(np.float32) for p in params]
    squares = [(0.001 + 0.001 * r.random(p.shape)).astype(np.float32) for p in params]
    images = r.normal(size=(batch, side, side, 1)).astype(np.float32)
    return params, means, squares, np.float32(3), images, r.integers(0, 10, batch)


def layer(size: tuple[int, int, int], r: np.random.Generator) -> tuple[Any, ...]:
    """size: batch, side, channels."""
    batch, side, channels = size
    kernel = r.normal(size=(3, 3, channels, channels)) / np.sqrt(9 * channels)
    return r.normal(size=(batch, side, side, channels)).astype(np.float32), kernel.astype(np.float32)


def layer_and_cotangent(size: tuple[int, int, int], r: np.random.Generator) -> tuple[Any, ...]:
    x, kernel = layer(size, r)
    return x, kernel, r.normal(size=x.shape).astype(np.float32)


def cnn_flops(size: tuple[int, int, int, int, int]) -> float:
    """Of convolutions and products: all but the first convolution three times, that one twice."""
    batch, side, first, second, units = size
    one, two = side * side * 9 * first, (side // 2) ** 2 * 9 * first * second
    dense = (side // 4) ** 2 * second * units + units * 10
    return 2.0 * batch * (2 * one + 3 * two + 3 * dense)


def layer_flops(size: tuple[int, int, int]) -> float:
    batch, side, channels = size
    return 2.0 * batch * side * side * 9 * channels * channels


DIGITS, MNIST, LAYER = (32, 8, 16, 32, 64), (32, 28, 32, 64, 128), (8, 56, 64)

WORKLOADS = [
    Workload(
        name="CNN step", numpy=cnn_step, inputs=network,
        cases=(Case("8x8, batch 32", DIGITS, 1.1, 0.8, flops=cnn_flops(DIGITS)),
               Case("28x28, batch 32", MNIST, 1.1, 0.8, flops=cnn_flops(MNIST))),
        smoke=(3, 8, 4, 5, 6), peers={"tracejit": tracejit_cnn, **peers.CNN}, complete=True, skip=NO_CONVOLUTION,
        rtol=5e-4, cold_case="8x8, batch 32", cold_at_most=1.0, cold_strive=0.5),
    Workload(
        name="conv2d", numpy=convolution, inputs=layer,
        cases=(Case("8x56x56x64, 3x3", LAYER, 1.1, 0.8, flops=layer_flops(LAYER)),),
        smoke=(2, 6, 5), peers={"tracejit": tracejit_layer, **peers.LAYER}, complete=True, skip=NO_CONVOLUTION,
        rtol=2e-4),
    Workload(
        name="conv2d and gradients", numpy=layer_gradients, inputs=layer_and_cotangent,
        cases=(Case("8x56x56x64, 3x3", LAYER, 1.1, 0.8, flops=3 * layer_flops(LAYER)),),
        smoke=(2, 6, 5), peers={"tracejit": tracejit_layer_gradients, **peers.GRADIENTS}, complete=True,
        skip=NO_CONVOLUTION, rtol=5e-4),
]
