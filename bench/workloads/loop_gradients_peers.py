"""Gradients of loops in JAX, Dr.Jit and Numba.

Flows in: nothing.  Flows out: `VERSIONS`: builders by workload and system.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Built = Callable[..., Any]
ROUNDS = 8      # after which every start has settled
STEPS = 1000


# ---- Newton ----------------------------------------------------------------------------------------------------------


def jax_anomaly(m: Any, e: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def round_(state: Any, _: Any) -> Any:
        x, step = state
        found = (x - e * jnp.sin(x) - m) / (1 - e * jnp.cos(x))
        go_on = jnp.abs(step) > 1e-12
        return (jnp.where(go_on, x - found, x), jnp.where(go_on, found, step)), None

    x = m + e * jnp.sin(m)
    return jax.lax.scan(round_, (x, jnp.ones_like(x)), None, length=ROUNDS)[0][0]


def jax_one() -> Built:
    import jax

    return jax.grad(jax_anomaly, argnums=(0, 1))


def jax_all() -> Built:
    import jax

    return jax.grad(lambda m, e: jax_anomaly(m, e).sum())


def drjit_all() -> Built:
    import drjit as dr
    from drjit.llvm.ad import Float64

    def run(m: Any, e: Any) -> Any:
        m = Float64(m)
        dr.enable_grad(m)
        x = m + e * dr.sin(m)
        for _ in range(ROUNDS):
            x = x - (x - e * dr.sin(x) - m) / (1 - e * dr.cos(x))
        dr.backward(dr.sum(x))
        return dr.grad(m)

    return run


def numba_one() -> Built:
    import numba

    @numba.njit(fastmath=True)
    def run(m, e):
        kept = np.empty(100)
        x, step, n = m + e * math.sin(m), 1.0, 0
        while abs(step) > 1e-12:
            kept[n] = x
            step = (x - e * math.sin(x) - m) / (1.0 - e * math.cos(x))
            x -= step
            n += 1
        ct, by_m, by_e = 1.0, 0.0, 0.0
        for k in range(n - 1, -1, -1):
            s, c = math.sin(kept[k]), math.cos(kept[k])
            below = 1.0 - e * c
            quotient = (kept[k] - e * s - m) / below
            by_m += ct / below
            by_e += ct * (s - quotient * c) / below
            ct = ct * quotient * e * s / below
        return by_m + ct * (1.0 + e * math.cos(m)), by_e + ct * math.sin(m)

    return run


def numba_all() -> Built:
    import numba

    one = numba_one()

    @numba.njit(fastmath=True, parallel=True)
    def run(m, e):
        found = np.empty_like(m)
        for i in numba.prange(len(m)):
            found[i] = one(m[i], e)[0]
        return found

    return run


# ---- time steps ------------------------------------------------------------------------------------------------------


def predator_prey_gradient(p, h):
    """States are kept, slopes are computed again on the way back."""
    a, b, c, d = p[0], p[1], p[2], p[3]
    us, vs = np.empty(STEPS), np.empty(STEPS)
    u = v = 1.0
    for n in range(STEPS):
        us[n], vs[n] = u, v
        u1, v1 = u * (a - b * v), v * (c * u - d)
        x, y = u + 0.5 * h * u1, v + 0.5 * h * v1
        u2, v2 = x * (a - b * y), y * (c * x - d)
        x, y = u + 0.5 * h * u2, v + 0.5 * h * v2
        u3, v3 = x * (a - b * y), y * (c * x - d)
        x, y = u + h * u3, v + h * v3
        u4, v4 = x * (a - b * y), y * (c * x - d)
        u += h / 6 * (u1 + 2 * u2 + 2 * u3 + u4)
        v += h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
    cu, cv = v, u
    ca = cb = cc = cd = 0.0
    xs, ys = np.empty(4), np.empty(4)
    offsets, weights = np.array([0.0, 0.5, 0.5, 1.0]), np.array([1.0, 2.0, 2.0, 1.0])
    for n in range(STEPS - 1, -1, -1):
        x, y, dx, dy = us[n], vs[n], 0.0, 0.0
        for k in range(4):
            if k:
                x, y = us[n] + offsets[k] * h * dx, vs[n] + offsets[k] * h * dy
            xs[k], ys[k] = x, y
            dx, dy = x * (a - b * y), y * (c * x - d)
        next_u, next_v, from_x, from_y = cu, cv, 0.0, 0.0
        for k in range(3, -1, -1):
            x, y = xs[k], ys[k]
            su = h / 6 * weights[k] * cu + (offsets[k + 1] * h * from_x if k < 3 else 0.0)
            sv = h / 6 * weights[k] * cv + (offsets[k + 1] * h * from_y if k < 3 else 0.0)
            ca += su * x
            cb -= su * x * y
            cc += sv * x * y
            cd -= sv * y
            from_x, from_y = su * (a - b * y) + sv * y * c, sv * (c * x - d) - su * x * b
            next_u += from_x
            next_v += from_y
        cu, cv = next_u, next_v
    return np.array([ca, cb, cc, cd])


def numba_predator_prey() -> Built:
    import numba

    return numba.njit(fastmath=True)(predator_prey_gradient)


def jax_predator_prey() -> Built:
    import jax

    def slope(p: Any, u: Any, v: Any) -> Any:
        return u * (p[0] - p[1] * v), v * (p[2] * u - p[3])

    def run(p: Any, h: Any) -> Any:
        def step(state: Any, _: Any) -> Any:
            u, v = state
            u1, v1 = slope(p, u, v)
            u2, v2 = slope(p, u + 0.5 * h * u1, v + 0.5 * h * v1)
            u3, v3 = slope(p, u + 0.5 * h * u2, v + 0.5 * h * v2)
            u4, v4 = slope(p, u + h * u3, v + h * v3)
            return (u + h / 6 * (u1 + 2 * u2 + 2 * u3 + u4), v + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)), None

        u, v = jax.lax.scan(step, (1.0, 1.0), None, length=STEPS)[0]
        return u * v

    return jax.grad(run)


def jax_network() -> Built:
    import jax
    import jax.numpy as jnp

    def run(y: Any, w: Any, h: Any) -> Any:
        def step(y: Any, _: Any) -> Any:
            middle = jnp.tanh(w @ (y + 0.5 * h * jnp.tanh(w @ y)))
            return y + h * middle - 0.01 * h * y, None

        y = jax.lax.scan(step, y, None, length=STEPS)[0]
        return (y * y).sum()

    return jax.grad(run, argnums=(0, 1))


def numba_network() -> Built:
    import numba

    @numba.njit(fastmath=True)
    def run(y, w, h):
        n = len(y)
        ys, firsts, points, middles = (np.empty((STEPS, n)), np.empty((STEPS, n)), np.empty((STEPS, n)),
                                       np.empty((STEPS, n)))
        state = y.copy()
        for k in range(STEPS):
            ys[k] = state
            firsts[k] = np.tanh(w @ state)
            points[k] = state + 0.5 * h * firsts[k]
            middles[k] = np.tanh(w @ points[k])
            state = state + h * middles[k] - 0.01 * h * state
        ct, by_w = 2 * state, np.zeros_like(w)
        back = np.ascontiguousarray(w.T)
        for k in range(STEPS - 1, -1, -1):
            ct_middle = h * ct * (1 - middles[k] * middles[k])
            ct_point = back @ ct_middle
            ct_first = 0.5 * h * ct_point * (1 - firsts[k] * firsts[k])
            for i in range(n):
                for j in range(n):
                    by_w[i, j] += ct_middle[i] * points[k, j] + ct_first[i] * ys[k, j]
            ct = ct - 0.01 * h * ct + ct_point + back @ ct_first
        return ct, by_w

    return run


VERSIONS: dict[str, dict[str, Callable[[], Built]]] = {
    "anomaly": {"jax": jax_one, "numba": numba_one},
    "sum_of_anomalies": {"jax": jax_all, "numba": numba_all, "drjit": drjit_all},
    "predator_prey": {"jax": jax_predator_prey, "numba": numba_predator_prey},
    "network": {"jax": jax_network, "numba": numba_network},
}
