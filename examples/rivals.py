"""The training steps of digits_mlp and digits_cnn written for NumPy (derivatives by hand), JAX and torch.

Flows in: first parameters, a batch of images and labels.  Flows out: for each system a function that does one step of
Adam and gives the loss. All compute the same numbers; parameters stay where the system keeps them.
"""

import importlib.util
from functools import partial

import numpy as np

RATE, BETA1, BETA2, EPSILON = 2e-3, 0.9, 0.999, 1e-8
MLP = ("d0", "d1", "d2")


def makers(threads):
    """{name: makers of a step} of the systems that are installed; torch with one thread and with all of them."""
    found = {"NumPy, by hand": [numpy_step]}
    if importlib.util.find_spec("jax"):
        found["JAX, compiled"] = [jax_step]
    if importlib.util.find_spec("torch"):
        found["torch, eager"] = [partial(torch_step, threads=n) for n in sorted({1, threads})]
    return found


def make(maker, kind, params, images, labels):
    """A step for the network `kind`, "mlp" or "cnn". params: {layer: (weights, bias)} as NumPy arrays."""
    return maker(kind, {k: (w.copy(), b.copy()) for k, (w, b) in params.items()}, images, labels)


# ---- NumPy -----------------------------------------------------------------------------------------------------


def numpy_step(kind, params, images, labels):
    forward = numpy_mlp if kind == "mlp" else numpy_cnn
    leaves = [x for layer in params.values() for x in layer]
    means, squares = [np.zeros_like(x) for x in leaves], [np.zeros_like(x) for x in leaves]
    count = 0

    def step():
        nonlocal count
        count += 1
        logits, backward = forward(params, images)
        value, slope = cross_entropy(logits, labels)
        grads = backward(slope)
        rate, root = RATE / (1 - BETA1 ** count), 1 / np.sqrt(1 - BETA2 ** count)
        for p, g, m, v in zip(leaves, [g for k in params for g in grads[k]], means, squares, strict=True):
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            p -= np.float32(rate) * m / (np.float32(root) * np.sqrt(v) + EPSILON)
        return value
    return step


def cross_entropy(logits, labels):
    """The mean of -log p(label), and its derivative by the logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    slope = e / total
    slope[rows, labels] -= 1
    return (np.log(total[:, 0]) - shifted[rows, labels]).mean(), slope / np.float32(len(labels))


def dense(params, layers, x):
    """Layers with relu between them; and from the derivative by the result, those by the layers and by x."""
    inputs = []
    for k, name in enumerate(layers):
        w, b = params[name]
        inputs.append(x)
        x = x @ w + b
        if k + 1 < len(layers):
            np.maximum(x, 0, out=x)

    def backward(slope):
        grads = {}
        for k in reversed(range(len(layers))):
            grads[layers[k]] = inputs[k].T @ slope, slope.sum(axis=0)
            slope = slope @ params[layers[k]][0].T
            if k:
                slope *= inputs[k] > 0
        return grads, slope
    return x, backward


def numpy_mlp(params, images):
    logits, backward = dense(params, MLP, images)
    return logits, lambda slope: backward(slope)[0]


def numpy_cnn(params, images):
    x, back1 = convolved(*params["c1"], images.reshape(-1, 8, 8, 1))
    x, back2 = convolved(*params["c2"], x)
    x, back_pool = pooled(x)
    logits, back3 = dense(params, ("d1", "d2"), x.reshape(len(x), -1))

    def backward(slope):
        grads, slope = back3(slope)
        grads["c2"], slope = back2(back_pool(slope.reshape(x.shape)))
        grads["c1"], _ = back1(slope)
        return grads
    return logits, backward


def convolved(w, b, x):
    """3 x 3 convolution and relu; and from the derivative by the result, those by w, b and x."""
    n, height, width, channels = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
    columns = windows.reshape(n * height * width, 9 * channels)
    y = np.maximum(columns @ w.reshape(9 * channels, -1) + b, 0)

    def backward(slope):
        flat = slope.reshape(y.shape) * (y > 0)
        grads = (columns.T @ flat).reshape(w.shape), flat.sum(axis=0)
        back = (flat @ w.reshape(9 * channels, -1).T).reshape(n, height, width, 3, 3, channels)
        total = np.zeros_like(padded)
        for i in range(3):
            for j in range(3):
                total[:, i:i + height, j:j + width] += back[:, :, :, i, j]
        return grads, total[:, 1:-1, 1:-1]
    return y.reshape(n, height, width, -1), backward


def pooled(x):
    """The largest of 2 x 2, the first of equal ones."""
    n, height, width, channels = x.shape
    half = n, height // 2, width // 2
    quads = x.reshape(n, height // 2, 2, width // 2, 2, channels).swapaxes(2, 3).reshape(*half, 4, channels)
    first = quads.argmax(axis=3)[:, :, :, None]

    def backward(slope):
        spread = np.zeros_like(quads)
        np.put_along_axis(spread, first, slope[:, :, :, None], 3)
        return spread.reshape(*half, 2, 2, channels).swapaxes(2, 3).reshape(x.shape)
    return np.take_along_axis(quads, first, 3)[:, :, :, 0], backward


# ---- JAX -------------------------------------------------------------------------------------------------------


def jax_step(kind, params, images, labels):
    import jax
    import jax.numpy as jnp

    def logits(p, x):
        layers = MLP if kind == "mlp" else ("d1", "d2")
        if kind == "cnn":
            x = x.reshape(-1, 8, 8, 1)
            for name in ("c1", "c2"):
                x = jax.lax.conv_general_dilated(x, p[name][0], (1, 1), "SAME",
                                                 dimension_numbers=("NHWC", "HWIO", "NHWC"))
                x = jax.nn.relu(x + p[name][1])
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            x = x.reshape(len(x), -1)
        for k, name in enumerate(layers):
            x = x @ p[name][0] + p[name][1]
            x = jax.nn.relu(x) if k + 1 < len(layers) else x
        return x

    def loss(p, x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(logits(p, x)), y[:, None], 1).mean()

    def update(state, x, y):
        p, m, v, count = state
        value, g = jax.value_and_grad(loss)(p, x, y)
        count = count + 1
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        rate, root = RATE / (1 - BETA1 ** count), 1 / jnp.sqrt(1 - BETA2 ** count)
        p = jax.tree.map(lambda p, m, v: p - rate * m / (root * jnp.sqrt(v) + EPSILON), p, m, v)
        return value, (p, m, v, count)

    compiled = jax.jit(update, donate_argnums=0)
    zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
    state = (jax.tree.map(jnp.array, params), *zeros, jnp.float32(0))
    images, labels = jnp.asarray(images), jnp.asarray(labels)

    def step():
        nonlocal state
        value, state = compiled(state, images, labels)
        return float(value)
    return step


# ---- torch -----------------------------------------------------------------------------------------------------


def torch_step(kind, params, images, labels, threads=1):
    import torch
    import torch.nn.functional as F

    p = {k: (torch.tensor(w, requires_grad=True), torch.tensor(b, requires_grad=True)) for k, (w, b) in params.items()}
    if kind == "cnn":
        p |= {k: (torch.tensor(np.ascontiguousarray(params[k][0].transpose(3, 2, 0, 1)), requires_grad=True), p[k][1])
              for k in ("c1", "c2")}
    optimizer = torch.optim.Adam([x for layer in p.values() for x in layer], lr=RATE, fused=True)
    y = torch.tensor(labels)

    def step():
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        x = torch.from_numpy(images)
        if kind == "cnn":
            x = x.reshape(-1, 1, 8, 8)
            for name in ("c1", "c2"):
                x = F.relu(F.conv2d(x, *p[name], padding=1))
            x = F.max_pool2d(x, 2)
            x = x.permute(0, 2, 3, 1).reshape(len(x), -1)
        layers = MLP if kind == "mlp" else ("d1", "d2")
        for k, name in enumerate(layers):
            x = torch.addmm(p[name][1], x, p[name][0])
            x = F.relu(x) if k + 1 < len(layers) else x
        value = F.cross_entropy(x, y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.item()
    return step
