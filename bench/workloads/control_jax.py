"""JAX versions of the control-flow workloads, with its own loops; what it has no natural form for is missing.

Flows in: nothing.  Flows out: builders with the names of the functions of control.py.
"""

from collections.abc import Callable
from typing import Any

Built = Callable[..., Any]


def mandelbrot_arrays() -> Built:
    import jax
    import jax.numpy as jnp

    def run(c, limit):
        def body(_, state):
            z, counts = state
            inside = z.real * z.real + z.imag * z.imag <= 4.0
            return jnp.where(inside, z * z + c, z), counts + inside

        return jax.lax.fori_loop(0, limit, body, (jnp.zeros_like(c), jnp.zeros(c.shape, jnp.int64)))[1]

    return run


def cube_roots() -> Built:
    import jax
    import jax.numpy as jnp

    def run(x):
        def body(state):
            y, active = state
            new = (2.0 * y + x / (y * y)) / 3.0
            active = jnp.abs(new - y) > 1e-12 * jnp.abs(new)
            return jnp.where(active, new, y), active

        start = jnp.where(x > 1, x, 1.0), jnp.ones(x.shape, bool)
        return jax.lax.while_loop(lambda state: state[1].any(), body, start)[0]

    return run


def predator_prey() -> Built:
    import jax

    def slope(u, v):
        return u * (1.1 - 0.4 * v), v * (0.1 * u - 0.4)

    def run(u, v, h, steps):
        def body(_, state):
            u, v = state
            u1, v1 = slope(u, v)
            u2, v2 = slope(u + 0.5 * h * u1, v + 0.5 * h * v1)
            u3, v3 = slope(u + 0.5 * h * u2, v + 0.5 * h * v2)
            u4, v4 = slope(u + h * u3, v + h * v3)
            return u + h / 6 * (u1 + 2 * u2 + 2 * u3 + u4), v + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)

        return jax.lax.fori_loop(0, steps, body, (u, v))

    return run


def longest_collatz() -> Built:
    import jax

    def run(limit):
        def length(start):
            return jax.lax.while_loop(
                lambda s: s[0] != 1, lambda s: (jax.lax.select(s[0] % 2 == 0, s[0] // 2, 3 * s[0] + 1), s[1] + 1),
                (start, 0))[1]

        def body(start, best):
            steps = length(start)
            return jax.lax.cond(steps > best[1], lambda: (start, steps), lambda: best)

        return jax.lax.fori_loop(1, limit, body, (1, 0))

    return run


def bisection() -> Built:
    import jax
    import jax.numpy as jnp

    def run(target, tolerance):
        def body(state):
            low, high = state
            middle = 0.5 * (low + high)
            above = middle * middle * middle + middle > target
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        return jax.lax.while_loop(lambda s: s[1] - s[0] > tolerance, body, (0.0, target + 1.0))[0]

    return run


def logistic() -> Built:
    import jax

    return lambda x, rate, steps: jax.lax.fori_loop(0, steps, lambda _, x: rate * x * (1.0 - x), x)


def edit_distance() -> Built:
    import jax
    import jax.numpy as jnp

    def run(s, t):
        j = jnp.arange(t.size + 1)

        def body(i, row):
            new = jnp.minimum(row[1:] + 1, row[:-1] + (t != s[i]))
            return jax.lax.cummin(jnp.concatenate([(i + 1)[None], new]) - j) + j

        return jax.lax.fori_loop(0, s.size, body, j)[-1]

    return run


def kepler() -> Built:
    import jax
    import jax.numpy as jnp

    def run(anomalies, eccentricity):
        def body(_, state):
            low, high = state
            middle = 0.5 * (low + high)
            above = middle - eccentricity * jnp.sin(middle) > anomalies
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        low, high = jax.lax.fori_loop(0, 35, body, (anomalies - 1.0, anomalies + 1.0))
        return 0.5 * (low + high)

    return run


def heat_2d() -> Built:
    import jax

    def run(u, steps):
        def body(_, u):
            around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
            return u.at[1:-1, 1:-1].add(0.1 * (around - 4.0 * u[1:-1, 1:-1]))

        return jax.lax.fori_loop(0, steps, body, u)

    return run


def jacobi_1d() -> Built:
    import jax

    def run(u, steps):
        return jax.lax.fori_loop(0, steps, lambda _, u: u.at[1:-1].set(0.33333 * (u[:-2] + u[1:-1] + u[2:])), u)

    return run


def fdtd_2d() -> Built:
    import jax

    def run(ex, ey, hz, steps):
        def body(t, state):
            ex, ey, hz = state
            ey = ey.at[0, :].set(t).at[1:, :].add(-0.5 * (hz[1:, :] - hz[:-1, :]))
            ex = ex.at[:, 1:].add(-0.5 * (hz[:, 1:] - hz[:, :-1]))
            hz = hz.at[:-1, :-1].add(-0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1]))
            return ex, ey, hz

        return jax.lax.fori_loop(0, steps, body, (ex, ey, hz))

    return run


def life() -> Built:
    import jax
    import jax.numpy as jnp

    def run(board, generations):
        def body(_, board):
            rows = jnp.roll(board, 1, 0) + board + jnp.roll(board, -1, 0)
            around = jnp.roll(rows, 1, 1) + rows + jnp.roll(rows, -1, 1) - board
            return ((around == 3) | ((around == 2) & (board == 1))).astype(board.dtype)

        return jax.lax.fori_loop(0, generations, body, board)

    return run
