"""JAX versions of the PolyBench-like programs which it has a natural form for: products, solvers, loops over steps.

Flows in: nothing.  Flows out: builders with the names of the functions of polybench.py.
"""

from collections.abc import Callable
from typing import Any

Built = Callable[..., Any]


def gemm() -> Built:
    return lambda alpha, beta, c, a, b: alpha * a @ b + beta * c


def atax() -> Built:
    return lambda a, x: (a @ x) @ a


def trisolv() -> Built:
    from jax.scipy.linalg import solve_triangular

    return lambda l, b: solve_triangular(l, b, lower=True)


def cholesky() -> Built:
    import jax.numpy as jnp

    return lambda a: jnp.tril(jnp.linalg.cholesky(a)) + jnp.triu(a, 1)


def covariance() -> Built:
    import jax.numpy as jnp

    return lambda data: jnp.cov(data, rowvar=False)


def floyd_warshall() -> Built:
    import jax
    import jax.numpy as jnp

    def run(path):
        body = lambda k, p: jnp.minimum(p, p[:, k, None] + p[k])
        return jax.lax.fori_loop(0, path.shape[0], body, path)

    return run


floyd_warshall_loops = floyd_warshall


def jacobi_2d() -> Built:
    import jax

    def step(a):
        return 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])

    def run(steps, a, b):
        def body(_, state):
            a, b = state
            b = b.at[1:-1, 1:-1].set(step(a))
            return a.at[1:-1, 1:-1].set(step(b)), b

        return jax.lax.fori_loop(0, steps, body, (a, b))

    return run


def heat_3d() -> Built:
    import jax

    def step(u):
        return 0.25 * u[1:-1, 1:-1, 1:-1] + 0.125 * (
            u[2:, 1:-1, 1:-1] + u[:-2, 1:-1, 1:-1] + u[1:-1, 2:, 1:-1] + u[1:-1, :-2, 1:-1]
            + u[1:-1, 1:-1, 2:] + u[1:-1, 1:-1, :-2])

    def run(steps, a, b):
        def body(_, state):
            a, b = state
            b = b.at[1:-1, 1:-1, 1:-1].set(step(a))
            return a.at[1:-1, 1:-1, 1:-1].set(step(b)), b

        return jax.lax.fori_loop(0, steps, body, (a, b))[0]

    return run
