"""Training steps as other systems write them best: what is updated stays with them, in place or donated.

Flows in: the arguments of training.py, in the system's own arrays.  Flows out: `MLP`, `ADAM`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

BETA1, BETA2, EPSILON, ADAM_RATE = 0.9, 0.999, 1e-8, 1e-3


def keeps(first: int, step: Callable[..., Any], copy: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function of (state..., rest...) which takes the first `first` arguments from its own last call.

    step: (state, *rest) -> (what is shown besides the state, new state).
    """
    held: list[Any] = []

    def run(*args: Any) -> Any:
        state = held.pop() if held else [copy(a) for a in args[:first]]
        shown, state = step(state, *args[first:])
        held.append(state)
        return (*shown, *state)

    return run


# ---- JAX ------------------------------------------------------------------------------------------------------------


def jax_mlp() -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def loss(params, images, labels):
        x = images
        for k in range(0, len(params) - 2, 2):
            x = jax.nn.relu(x @ params[k] + params[k + 1])
        logs = jax.nn.log_softmax(x @ params[-2] + params[-1])
        return -jnp.take_along_axis(logs, labels[:, None], axis=1).mean()

    def step(state, images, labels, rate):
        value, grads = jax.value_and_grad(loss)(state[0], images, labels)
        return (value,), [[p - rate * g for p, g in zip(state[0], grads)]]

    return keeps(1, jax.jit(step, donate_argnums=0), lambda tree: jax.tree.map(jnp.copy, tree))


def jax_adam() -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def step(state, count, grads):
        params, means, squares = state
        count = count + 1
        means = [BETA1 * m + (1 - BETA1) * g for m, g in zip(means, grads)]
        squares = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(squares, grads)]
        first, second = 1 - BETA1**count, 1 - BETA2**count
        params = [p - ADAM_RATE * (m / first) / (jnp.sqrt(v / second) + EPSILON)
                  for p, m, v in zip(params, means, squares)]
        return (), [params, means, squares]

    return keeps(3, jax.jit(step, donate_argnums=0), lambda tree: jax.tree.map(jnp.copy, tree))


# ---- torch ----------------------------------------------------------------------------------------------------------


def torch_loss(params, images, labels):
    import torch

    x = images
    for k in range(0, len(params) - 2, 2):
        x = torch.relu(torch.addmm(params[k + 1], x, params[k]))
    return torch.nn.functional.cross_entropy(torch.addmm(params[-1], x, params[-2]), labels)


def torch_mlp() -> Callable[..., Any]:
    import torch

    def step(state, images, labels, rate):
        with torch.enable_grad():
            loss = torch_loss(state[0], images, labels)
            grads = torch.autograd.grad(loss, state[0])
        torch._foreach_add_(state[0], grads, alpha=-float(rate))
        return (loss.detach(),), state

    def parameters(tree):
        return [p.clone().requires_grad_() for p in tree]

    run = keeps(1, step, parameters)

    def detached(*args):
        loss, params = run(*args)
        return loss, [p.detach() for p in params]

    return detached


def torch_compiled_mlp() -> Callable[..., Any]:
    import torch

    @torch.compile(dynamic=False)
    def step(params, images, labels, rate):
        grads, loss = torch.func.grad_and_value(torch_loss)(params, images, labels)
        for p, g in zip(params, grads):
            p.sub_(rate * g)
        return loss

    def kept(state, images, labels, rate):
        return (step(state[0], images, labels, float(rate)),), state

    return keeps(1, kept, lambda tree: [p.clone() for p in tree])


def torch_adam_update(params, means, squares, count, grads):
    """Eager: torch's own kernel for all arrays at once."""
    import torch

    torch._fused_adam_(params, grads, means, squares, [], [count] * len(params), lr=ADAM_RATE, beta1=BETA1,
                       beta2=BETA2, weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False)


def torch_adam() -> Callable[..., Any]:
    import torch

    def step(state, count, grads):
        torch_adam_update(*state, torch.tensor(float(count) + 1), grads)
        return (), state

    return keeps(3, step, lambda tree: [p.clone() for p in tree])


def torch_compiled_adam() -> Callable[..., Any]:
    import torch

    @torch.compile(dynamic=False)
    def update(params, means, squares, count, grads):
        first, second = 1 - BETA1**count, 1 - BETA2**count
        for p, m, v, g in zip(params, means, squares, grads):
            m.lerp_(g, 1 - BETA1)
            v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
            p.sub_(ADAM_RATE * (m / first) / ((v / second).sqrt() + EPSILON))

    def step(state, count, grads):
        update(*state, torch.tensor(float(count) + 1), grads)
        return (), state

    return keeps(3, step, lambda tree: [p.clone() for p in tree])


# ---- TensorFlow -----------------------------------------------------------------------------------------------------


def tensorflow_mlp() -> Callable[..., Any]:
    import tensorflow as tf

    held: list[Any] = []

    @tf.function(jit_compile=True, autograph=False)
    def step(images, labels, rate):
        with tf.GradientTape() as tape:
            x = images
            for k in range(0, len(held) - 2, 2):
                x = tf.nn.relu(x @ held[k] + held[k + 1])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x @ held[-2] + held[-1])
            loss = tf.reduce_mean(losses)
        for v, g in zip(held, tape.gradient(loss, held)):
            v.assign_sub(rate * g)
        return loss

    def run(params, images, labels, rate):
        if not held:
            held.extend(map(tf.Variable, params))
        return step(images, labels, rate), held

    return run


def tensorflow_adam() -> Callable[..., Any]:
    import tensorflow as tf

    held: list[list[Any]] = []

    @tf.function(jit_compile=True, autograph=False)
    def step(count, grads):
        count = count + 1
        first, second = 1 - BETA1**count, 1 - BETA2**count
        for p, m, v, g in zip(*held, grads):
            m.assign(BETA1 * m + (1 - BETA1) * g)
            v.assign(BETA2 * v + (1 - BETA2) * g * g)
            p.assign_sub(ADAM_RATE * (m / first) / (tf.sqrt(v / second) + EPSILON))

    def run(params, means, squares, count, grads):
        if not held:
            held.extend([tf.Variable(a) for a in group] for group in (params, means, squares))
        step(count, grads)
        return held

    return run


# ---- Numba ----------------------------------------------------------------------------------------------------------


def numba_mlp() -> Callable[..., Any]:
    """Three layers by hand: products by BLAS into buffers that are kept, everything else in loops."""
    import numba

    @numba.njit(fastmath=True)
    def bias_relu(z, b, h):
        for i in range(z.shape[0]):
            for j in range(z.shape[1]):
                h[i, j] = max(z[i, j] + b[j], np.float32(0))

    @numba.njit(fastmath=True)
    def cross_entropy(z, b, labels, ct):
        total = np.float32(0)
        scale = np.float32(1) / np.float32(z.shape[0])
        for i in range(z.shape[0]):
            top = np.float32(-np.inf)
            for j in range(z.shape[1]):
                z[i, j] += b[j]
                top = max(top, z[i, j])
            s = np.float32(0)
            for j in range(z.shape[1]):
                ct[i, j] = np.exp(z[i, j] - top)
                s += ct[i, j]
            total -= z[i, labels[i]] - top - np.log(s)
            for j in range(z.shape[1]):
                ct[i, j] *= scale / s
            ct[i, labels[i]] -= scale
        return total * scale

    @numba.njit(fastmath=True)
    def masked(ct, h):
        for i in range(ct.shape[0]):
            for j in range(ct.shape[1]):
                if not h[i, j] > 0:
                    ct[i, j] = 0

    @numba.njit(fastmath=True)
    def descend(w, b, gw, ct, rate):
        for i in range(w.shape[0]):
            for j in range(w.shape[1]):
                w[i, j] -= rate * gw[i, j]
        for i in range(ct.shape[0]):
            for j in range(ct.shape[1]):
                b[j] -= rate * ct[i, j]

    @numba.njit(fastmath=True)
    def step(w0, b0, w1, b1, w2, b2, x, labels, rate, h0, h1, z, c0, c1, c2, g0, g1, g2):
        np.dot(x, w0, h0)
        bias_relu(h0, b0, h0)
        np.dot(h0, w1, h1)
        bias_relu(h1, b1, h1)
        np.dot(h1, w2, z)
        loss = cross_entropy(z, b2, labels, c2)
        np.dot(c2, w2.T, c1)
        masked(c1, h1)
        np.dot(c1, w1.T, c0)
        masked(c0, h0)
        np.dot(h1.T, c2, g2)
        np.dot(h0.T, c1, g1)
        np.dot(x.T, c0, g0)
        descend(w2, b2, g2, c2, rate)
        descend(w1, b1, g1, c1, rate)
        descend(w0, b0, g0, c0, rate)
        return loss

    kept: list[Any] = []

    def run(params, images, labels, rate):
        if not kept:
            mine, weights, rows = [p.copy() for p in params], params[::2], len(images)
            outputs = [np.empty((rows, w.shape[1]), np.float32) for w in weights]
            kept.extend((mine, [*outputs, *map(np.empty_like, outputs), *map(np.empty_like, weights)]))
        mine, buffers = kept
        return step(*mine, images, labels, rate, *buffers), mine

    return run


def numba_adam() -> Callable[..., Any]:
    """A parallel loop for each array."""
    import numba

    b1, b2, c1, c2 = map(np.float32, (BETA1, BETA2, 1 - BETA1, 1 - BETA2))
    rate, epsilon = np.float32(ADAM_RATE), np.float32(EPSILON)

    @numba.njit(fastmath=True, parallel=True)
    def one(p, m, v, g, first, second):
        for i in numba.prange(p.size):
            m[i] = b1 * m[i] + c1 * g[i]
            v[i] = b2 * v[i] + c2 * (g[i] * g[i])
            p[i] -= rate * (m[i] / first) / (np.sqrt(v[i] / second) + epsilon)

    @numba.njit
    def update(params, means, squares, grads, first, second):
        for k in range(len(params)):
            one(params[k], means[k], squares[k], grads[k], first, second)

    kept: list[Any] = []

    def run(params, means, squares, count, grads):
        if not kept:
            kept.extend(tuple(a.copy() for a in group) for group in (params, means, squares))
            kept.append(tuple(grads))
        t = float(count) + 1
        update(*kept, np.float32(1 - BETA1**t), np.float32(1 - BETA2**t))
        return kept[:3]

    return run


MLP = {"jax": jax_mlp, "torch": torch_mlp, "torch.compile": torch_compiled_mlp, "tensorflow": tensorflow_mlp,
       "numba": numba_mlp}
ADAM = {"jax": jax_adam, "torch": torch_adam, "torch.compile": torch_compiled_adam, "tensorflow": tensorflow_adam,
        "numba": numba_adam}
