"""Convolutions as other systems run them best: torch with channels last, what is updated stays with the system.

Flows in: the arguments of convolution.py, in the system's own arrays.  Flows out: `CNN`, `LAYER`, `GRADIENTS`.
"""

from collections.abc import Callable
from typing import Any

from bench.workloads.training_peers import keeps

BETA1, BETA2, EPSILON, RATE = 0.9, 0.999, 1e-8, 1e-3

# ---- JAX ------------------------------------------------------------------------------------------------------------


def jax_convolution(x, kernel):
    import jax

    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def jax_loss(params, images, labels):
    import jax
    import jax.numpy as jnp

    w1, b1, w2, b2, w3, b3, w4, b4 = params
    x = images
    for w, b in ((w1, b1), (w2, b2)):
        x = jax.nn.relu(jax_convolution(x, w) + b)
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(x.reshape(-1, w3.shape[0]) @ w3 + b3)
    logs = jax.nn.log_softmax(x @ w4 + b4)
    return -jnp.take_along_axis(logs, labels[:, None], axis=1).mean()


def jax_cnn() -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def step(state, count, images, labels):
        params, means, squares = state
        loss, grads = jax.value_and_grad(jax_loss)(params, images, labels)
        count = count + 1
        means = [BETA1 * m + (1 - BETA1) * g for m, g in zip(means, grads)]
        squares = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(squares, grads)]
        first, second = 1 - BETA1**count, 1 - BETA2**count
        params = [p - RATE * (m / first) / (jnp.sqrt(v / second) + EPSILON) for p, m, v in zip(params, means, squares)]
        return (loss,), [params, means, squares]

    return keeps(3, jax.jit(step, donate_argnums=0), lambda tree: jax.tree.map(jnp.copy, tree))


def jax_layer() -> Callable[..., Any]:
    import jax

    return jax.jit(jax_convolution)


def jax_gradients() -> Callable[..., Any]:
    import jax

    def gradients(x, kernel, ct):
        y, pull = jax.vjp(jax_convolution, x, kernel)
        return (y, *pull(ct))

    return jax.jit(gradients)


# ---- torch ----------------------------------------------------------------------------------------------------------


def image_first(x):
    """(batch, height, width, channels) as torch names the axes: the memory stays as it is."""
    return x.permute(0, 3, 1, 2)


def image_last(x):
    return x.permute(0, 2, 3, 1)


def kernel_first(kernel):
    """(height, width, in, out) as torch has it, channels last in memory."""
    import torch

    return kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def kernel_last(kernel):
    return kernel.permute(2, 3, 1, 0)


def torch_loss(params, images, labels):
    import torch
    from torch.nn import functional

    w1, b1, w2, b2, w3, b3, w4, b4 = params
    x = image_first(images)
    for w, b in ((w1, b1), (w2, b2)):
        x = functional.max_pool2d(torch.relu(functional.conv2d(x, w, b, padding="same")), 2)
    x = torch.relu(torch.addmm(b3, image_last(x).reshape(-1, w3.shape[0]), w3))
    return functional.cross_entropy(torch.addmm(b4, x, w4), labels)


def own_layout(tree):
    """Copies of parameters, or of what belongs to them, in torch's layout."""
    return [(kernel_first(p) if p.ndim == 4 else p).clone() for p in tree]


def given_layout(tree):
    return [kernel_last(p.detach()) if p.ndim == 4 else p.detach() for p in tree]


def with_layout(run: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        loss, *state = run(*args)
        return (loss, *map(given_layout, state))

    return call


def torch_cnn() -> Callable[..., Any]:
    import torch

    def step(state, count, images, labels):
        params, means, squares = state
        with torch.enable_grad():
            loss = torch_loss(params, images, labels)
            grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            steps = [torch.tensor(float(count) + 1) for _ in params]
            torch._fused_adam_(params, list(grads), means, squares, [], steps, lr=RATE, beta1=BETA1, beta2=BETA2,
                               weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False)
        return (loss.detach(),), state

    def owned(tree):
        return [p.requires_grad_() for p in own_layout(tree)]

    return with_layout(keeps(3, step, owned))


def torch_compiled_cnn() -> Callable[..., Any]:
    import torch

    @torch.compile(dynamic=False)
    def step(params, means, squares, first, second, images, labels):
        grads, loss = torch.func.grad_and_value(torch_loss)(params, images, labels)
        for p, m, v, g in zip(params, means, squares, grads):
            m.mul_(BETA1).add_(g, alpha=1 - BETA1)
            v.mul_(BETA2).add_(g * g, alpha=1 - BETA2)
            p.sub_(RATE * (m / first) / ((v / second).sqrt() + EPSILON))
        return loss

    def kept(state, count, images, labels):
        count = float(count) + 1
        first, second = (torch.tensor(1 - b**count) for b in (BETA1, BETA2))
        return (step(*state, first, second, images, labels),), state

    return with_layout(keeps(3, kept, own_layout))


def torch_layer() -> Callable[..., Any]:
    import torch

    held: list[Any] = []

    def run(x, kernel):
        if not held:
            held.append(kernel_first(kernel))
        with torch.no_grad():
            return image_last(torch.nn.functional.conv2d(image_first(x), held[0], padding=1))

    return run


def torch_gradients() -> Callable[..., Any]:
    import torch

    held: list[Any] = []

    def run(x, kernel, ct):
        if not held:
            held.append(kernel_first(kernel))
        x, ct = image_first(x), image_first(ct)
        with torch.no_grad():
            y = torch.nn.functional.conv2d(x, held[0], padding=1)
            by_x, by_kernel, _ = torch.ops.aten.convolution_backward(
                ct, x, held[0], None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False])
        return image_last(y), image_last(by_x), kernel_last(by_kernel)

    return run


CNN = {"jax": jax_cnn, "torch": torch_cnn, "torch.compile": torch_compiled_cnn}
LAYER = {"jax": jax_layer, "torch": torch_layer}
GRADIENTS = {"jax": jax_gradients, "torch": torch_gradients}
