"""Training steps: an MLP's loss, gradient and update by SGD; Adam over twenty arrays.

Flows in: parameters, a batch of images and labels, or gradients.  Flows out: `WORKLOADS`.

Everybody updates in place, or in donated memory: a step starts from what the step before has left.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import bench.workloads.training_peers as peers
from tracejit.cli.harness.workload import Case, Workload

SIZES = ((784, 256), (256, 128), (128, 10))
RATE = np.float32(0.01)
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
NO_TRAINING = frozenset({"drjit", "numexpr"})


def mlp_step(params, images, labels, rate):
    """The loss and the parameters after one step: w, b of each layer, the derivative by hand."""
    layers = [(params[k], params[k + 1]) for k in range(0, len(params), 2)]
    activations = [images]
    for w, b in layers[:-1]:
        activations.append(np.maximum(activations[-1] @ w + b, 0))
    logits = activations[-1] @ layers[-1][0] + layers[-1][1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -logs[rows, labels].mean()
    ct = np.exp(logs)
    ct[rows, labels] -= 1
    ct /= np.float32(len(labels))
    after = []
    for (w, b), x in zip(reversed(layers), reversed(activations)):
        after = [w - rate * (x.T @ ct), b - rate * ct.sum(axis=0), *after]
        ct = (ct @ w.T) * (x > 0)
    return loss, after


def adam_step(params, means, squares, count, grads):
    """Parameters, means and squares after one step."""
    count = count + np.float32(1)
    means = [np.float32(BETA1) * m + np.float32(1 - BETA1) * g for m, g in zip(means, grads)]
    squares = [np.float32(BETA2) * v + np.float32(1 - BETA2) * g * g for v, g in zip(squares, grads)]
    first, second = 1 - np.float32(BETA1) ** count, 1 - np.float32(BETA2) ** count
    params = [p - np.float32(1e-3) * (m / first) / (np.sqrt(v / second) + np.float32(EPSILON))
              for p, m, v in zip(params, means, squares)]
    return params, means, squares


# ---- tracejit: a pure function with donation, and Variables ---------------------------------------------------------


def mean_loss(params, images, labels):
    import tracejit as tj

    x = images
    for k in range(0, len(params) - 2, 2):
        x = np.maximum(x @ params[k] + params[k + 1], 0)
    return tj.nn.sparse_softmax_cross_entropy(x @ params[-2] + params[-1], labels).mean()


def tracejit_mlp() -> Callable[..., Any]:
    import tracejit as tj

    @tj.function(donate=("params",))
    def step(params, images, labels, rate):
        loss, grads = tj.value_and_grad(mean_loss)(params, images, labels)
        return loss, [p - rate * g for p, g in zip(params, grads)]

    return step


def tracejit_mlp_variables() -> Callable[..., Any]:
    import tracejit as tj

    @tj.function
    def step(images, labels, rate):
        loss, grads = tj.value_and_grad(mean_loss)([v.value for v in variables], images, labels)
        for v, g in zip(variables, grads):
            v.assign_sub(rate * g)
        return loss

    variables: list[Any] = []

    def run(params, images, labels, rate):
        if not variables:
            variables.extend(map(tj.Variable, params))
        return step(images, labels, rate), [v.array for v in variables]

    return run


def tracejit_adam() -> Callable[..., Any]:
    import tracejit as tj
    from tracejit import optim

    adam = optim.Adam(1e-3, beta1=BETA1, beta2=BETA2, epsilon=EPSILON)

    @tj.function(donate=("params", "means", "squares"))
    def step(params, means, squares, count, grads):
        params, state = adam.update(grads, {"step": count, "means": means, "squares": squares}, params)
        return params, state["means"], state["squares"]

    return step


def tracejit_adam_variables() -> Callable[..., Any]:
    import tracejit as tj
    from tracejit import optim

    adam = optim.Adam(1e-3, beta1=BETA1, beta2=BETA2, epsilon=EPSILON)
    held: list[list[Any]] = []

    @tj.function
    def step(count, grads):
        params, means, squares = ([v.value for v in variables] for variables in held)
        params, state = adam.update(grads, {"step": count, "means": means, "squares": squares}, params)
        for variables, new in zip(held, (params, state["means"], state["squares"])):
            for v, value in zip(variables, new):
                v.assign(value)

    def run(params, means, squares, count, grads):
        if not held:
            held.extend([tj.Variable(a) for a in group] for group in (params, means, squares))
        step(count, grads)
        return [[v.array for v in group] for group in held]

    return run


# ---- inputs ---------------------------------------------------------------------------------------------------------


def batch(size: int, r: np.random.Generator) -> tuple[Any, ...]:
    params: list[Any] = []
    for m, n in SIZES:
        params += [(r.normal(size=(m, n)) / np.sqrt(m)).astype(np.float32), np.zeros(n, np.float32)]
    return params, r.normal(size=(size, SIZES[0][0])).astype(np.float32), r.integers(0, SIZES[-1][1], size), RATE


def twenty_arrays(size: int, r: np.random.Generator) -> tuple[Any, ...]:
    """Twenty arrays of sizes that differ, `size` elements in all; the count of steps before."""
    weights = np.arange(1, 21)
    lengths = np.maximum(size * weights // weights.sum(), 1)

    def made(scale: float) -> list[Any]:
        return [(scale * r.normal(size=n)).astype(np.float32) for n in lengths]

    return made(1.0), made(0.01), [np.abs(a) for a in made(0.001)], np.float32(3), made(0.1)


def mlp_flops(size: int) -> float:
    """Of the products: forward, by the weights, and by the activations of all layers but the first."""
    return 2.0 * size * (3 * sum(m * n for m, n in SIZES) - SIZES[0][0] * SIZES[0][1])


def mlp(name: str, ours: Callable[[], Callable[..., Any]], cold_case: str = "") -> Workload:
    return Workload(
        name=name, numpy=mlp_step, inputs=batch,
        cases=tuple(Case(f"batch {size}", size, 0.9, 0.6, flops=mlp_flops(size)) for size in (32, 128, 1024)),
        smoke=5, peers={"tracejit": ours, **peers.MLP}, complete=True, skip=NO_TRAINING, rtol=2e-4,
        memory_cases=("batch 32", "batch 1024"), cold_case=cold_case, cold_at_most=0.5, cold_strive=0.25)


def adam(name: str, ours: Callable[[], Callable[..., Any]]) -> Workload:
    return Workload(
        name=name, numpy=adam_step, inputs=twenty_arrays,
        cases=tuple(Case(f"{size:.0e}".replace("e+0", "e"), size, 1.0, 0.8, moved=28.0 * size)
                    for size in (1_000_000, 10_000_000)),
        smoke=200, peers={"tracejit": ours, **peers.ADAM}, complete=True, skip=NO_TRAINING, rtol=2e-5)


WORKLOADS = [
    mlp("MLP step", tracejit_mlp, cold_case="batch 128"),
    mlp("MLP step of Variables", tracejit_mlp_variables),
    adam("Adam", tracejit_adam),
    adam("Adam of Variables", tracejit_adam_variables),
]
