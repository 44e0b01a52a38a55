"""Gradients of loops: Newton's iteration until it has settled, and a thousand time steps of differential equations.

Flows in: parameters and starting points.  Flows out: `WORKLOADS`. The plain versions have their derivatives by hand.

JAX has no reverse mode through `while_loop`, so its users run a fixed number of rounds. Dr.Jit's has none through loops
without a bound either; its Newton iteration is unrolled.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import bench.workloads.loop_gradients_peers as peers
from tracejit.cli.harness.workload import Case, Workload

OTHERS = frozenset({"torch", "torch.compile", "drjit", "numexpr", "tensorflow"})


# ---- Kepler's equation by Newton's iteration -------------------------------------------------------------------------


def anomaly(m, e):
    """E - e sin E = m"""
    x = m + e * math.sin(m)
    step = 1.0
    while abs(step) > 1e-12:
        step = (x - e * math.sin(x) - m) / (1.0 - e * math.cos(x))
        x = x - step
    return x


def sum_of_anomalies(m, e):
    """All starts at once, until the last one has settled."""
    x = m + e * np.sin(m)
    step = np.ones_like(m)
    while np.abs(step).max() > 1e-12:
        step = (x - e * np.sin(x) - m) / (1.0 - e * np.cos(x))
        x = x - step
    return x.sum()


def sum_one_by_one(m, e):
    """The same, each start in a loop of its own."""
    found = np.empty_like(m)
    for i in range(len(m)):
        found[i] = anomaly(m[i], e)
    return found.sum()


def anomaly_gradient(m, e):
    """By the implicit function theorem."""
    x = anomaly(m, e)
    slope = 1 / (1 - e * math.cos(x))
    return slope, math.sin(x) * slope


def anomalies_gradient(m, e):
    x = m + e * np.sin(m)
    for _ in range(8):
        x = x - (x - e * np.sin(x) - m) / (1 - e * np.cos(x))
    return 1 / (1 - e * np.cos(x))


# ---- a thousand steps ------------------------------------------------------------------------------------------------


def predator_prey(p, h):
    """Lotka-Volterra by classical Runge-Kutta; p: its four rates."""
    u = v = 1.0
    a, b, c, d = p[0], p[1], p[2], p[3]
    for _ in range(1000):
        u1, v1 = u * (a - b * v), v * (c * u - d)
        x, y = u + 0.5 * h * u1, v + 0.5 * h * v1
        u2, v2 = x * (a - b * y), y * (c * x - d)
        x, y = u + 0.5 * h * u2, v + 0.5 * h * v2
        u3, v3 = x * (a - b * y), y * (c * x - d)
        x, y = u + h * u3, v + h * v3
        u4, v4 = x * (a - b * y), y * (c * x - d)
        u += h / 6 * (u1 + 2 * u2 + 2 * u3 + u4)
        v += h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
    return u * v


def network(y, w, h):
    """y' = tanh(w y) - y / 100 by the midpoint rule."""
    for _ in range(1000):
        middle = np.tanh(w @ (y + 0.5 * h * np.tanh(w @ y)))
        y = y + h * middle - 0.01 * h * y
    return (y * y).sum()


def network_gradient(y, w, h):
    """The adjoint equations, back from the end, by hand."""
    states = []
    for _ in range(1000):
        first = np.tanh(w @ y)
        point = y + 0.5 * h * first
        middle = np.tanh(w @ point)
        states.append((y, first, point, middle))
        y = y + h * middle - 0.01 * h * y
    ct, by_w = 2 * y, np.zeros_like(w)
    for y, first, point, middle in reversed(states):
        ct_middle = h * ct * (1 - middle * middle)
        by_w += np.outer(ct_middle, point)
        ct_point = w.T @ ct_middle
        ct_first = 0.5 * h * ct_point * (1 - first * first)
        by_w += np.outer(ct_first, y)
        ct = ct - 0.01 * h * ct + ct_point + w.T @ ct_first
    return ct, by_w


def derived(fn: Callable[..., Any], argnums: Any = 0) -> Callable[[], Callable[..., Any]]:
    """A builder of its gradient."""
    def build() -> Callable[..., Any]:
        import tracejit as tj

        return tj.function(lambda *args: tj.grad(fn, argnums)(*args), name=f"gradient of {fn.__name__}")
    return build


def starts(n: int, r: np.random.Generator) -> tuple[Any, ...]:
    return r.random(n) * 6, 0.3


def neurons(n: int, r: np.random.Generator) -> tuple[Any, ...]:
    return r.normal(size=n) * 0.1, r.normal(size=(n, n)), 0.01


def rates(size: int, r: np.random.Generator) -> tuple[Any, ...]:
    return np.array([1.1, 0.4, 0.1, 0.4]), 0.01


def workload(name: str, fn: Callable[..., Any], by_hand: Callable[..., Any], inputs: Callable[..., tuple[Any, ...]],
             cases: tuple[tuple[str, Any], ...], smoke: Any, argnums: Any = 0, of: str = "",
             against: str = "best") -> Workload:
    """The gradient of `fn`; peers are those of `of`. Adjoints written by hand, for Numba, are there to compare with."""
    versions = peers.VERSIONS[of or fn.__name__]
    return Workload(f"gradient: {name}", by_hand, inputs, tuple(Case(label, size, 0.5, 0.2) for label, size in cases),
                    smoke, peers={"tracejit": derived(fn, argnums), **versions},
                    skip=(OTHERS | {"jax", "numba"}) - versions.keys(), rtol=1e-8, cold_case=cases[0][0],
                    against=against)


WORKLOADS = [
    workload("Newton, one start", anomaly, anomaly_gradient, lambda n, r: (1.3, 0.3), (("one", 1),), 1, (0, 1),
             against="jax"),
    workload("Newton, all starts", sum_of_anomalies, anomalies_gradient, starts, (("1e4", 10_000), ("1e5", 100_000)),
             9),
    workload("Newton, one by one", sum_one_by_one, anomalies_gradient, starts, (("1e4", 10_000), ("1e5", 100_000)), 9,
             of="sum_of_anomalies"),
    workload("ODE of scalars", predator_prey, peers.predator_prey_gradient, rates, (("1000 steps", 1),), 1,
             against="jax"),
    workload("ODE of a vector", network, network_gradient, neurons, (("8x1000", 8), ("64x1000", 64)), 4,
             (0, 1)),
]
