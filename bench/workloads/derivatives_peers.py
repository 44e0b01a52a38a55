"""Gradients of the workloads of derivatives.py as other systems write them best.

Flows in: vectors in the system's own arrays.  Flows out: `SEAWATER`, `GREEKS`, `GAMMA`.
"""

import math
from collections.abc import Callable
from typing import Any

from examples.seawater import specific_volume
from tracejit.cli.harness.workload import rebind

Built = Callable[..., Any]
ROOT_HALF, ROOT_TWO_PI = math.sqrt(0.5), math.sqrt(2 * math.pi)

# The polynomial of examples/seawater.py: powers of z, of t, of s.
COEFFICIENTS = (
    ((1.0769995862e-3, -3.1038981976e-4, 6.6928067038e-4, -8.5047933937e-4, 5.8086069943e-4, -2.1092370507e-4,
      3.1932457305e-5),
     (-1.5649734675e-5, 3.5009599764e-5, -4.3592678561e-5, 3.4532461828e-5, -1.1959409788e-5, 1.3864594581e-6),
     (2.7762106484e-5, -3.7435842344e-5, 3.5907822760e-5, -1.8698584187e-5, 3.8595339244e-6),
     (-1.6521159259e-5, 2.4141479483e-5, -1.4353633048e-5, 2.2863324556e-6),
     (6.9111322702e-6, -8.7595873154e-6, 4.3703680598e-6),
     (-8.0539615540e-7, -3.3052758900e-7),
     (2.0543094268e-7,),),
    ((-6.0799143809e-5, 2.4262468747e-5, -3.4792460974e-5, 3.7470777305e-5, -1.7322218612e-5, 3.0927427253e-6),
     (1.8505765429e-5, -9.5677088156e-6, 1.1100834765e-5, -9.8447117844e-6, 2.5909225260e-6),
     (-1.1716606853e-5, -2.3678308361e-7, 2.9283346295e-6, -4.8826139200e-7),
     (7.9279656173e-6, -3.4558773655e-6, 3.1655306078e-7),
     (-3.4102187482e-6, 1.2956717783e-6),
     (5.0736766814e-7,),),
    ((9.9856169219e-6, -5.8484432984e-7, -4.8122251597e-6, 4.9263106998e-6, -1.7811974727e-6),
     (-1.1736386731e-6, -5.5699154557e-6, 5.4620748834e-6, -1.3544185627e-6),
     (2.1305028740e-6, 3.9137387080e-7, -6.5731104067e-7),
     (-4.6132540037e-7, 7.7618888092e-9),
     (-6.3352916514e-8,),),
    ((-1.1309361437e-6, 3.6310188515e-7, 1.6746303780e-8),
     (-3.6527006553e-7, -2.7295696237e-7),
     (2.8695905159e-7,),),
    ((1.0531153080e-7, -1.1147125423e-7),
     (3.1454099902e-7,),),
    ((-1.2647261286e-8,),),
    ((1.9613503930e-9,),),
)


def price(np: Any, erf: Built) -> Built:
    """The price of a call, with the functions of a system."""
    def run(spot, strike, years, rate, volatility):
        root = volatility * np.sqrt(years)
        d1 = (np.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / root
        upper, lower = (0.5 * (1 + erf(x * ROOT_HALF)) for x in (d1, d1 - root))
        return spot * upper - strike * np.exp(-rate * years) * lower

    return run


# ---- JAX ------------------------------------------------------------------------------------------------------------


def jax_seawater() -> Built:
    import jax
    import jax.numpy as jnp

    fn = rebind(specific_volume, np=jnp)
    return jax.jit(jax.grad(lambda *args: fn(*args).sum(), argnums=(0, 1, 2)))


def jax_greeks() -> Built:
    import jax
    import jax.numpy as jnp

    fn = price(jnp, jax.scipy.special.erf)

    @jax.jit
    def run(*args):
        prices, pull = jax.vjp(fn, *args)
        delta, _, theta, rho, vega = pull(jnp.ones_like(prices))
        return prices, (delta, theta, rho, vega)

    return run


def jax_gamma() -> Built:
    import jax
    import jax.numpy as jnp

    fn = price(jnp, jax.scipy.special.erf)

    def delta(*args):
        found = jax.grad(lambda *args: fn(*args).sum())(*args)
        return found.sum(), found

    @jax.jit
    def run(*args):
        gamma, found = jax.grad(delta, has_aux=True)(*args)
        return found, gamma

    return run


# ---- torch ----------------------------------------------------------------------------------------------------------


def torch_gradients(fn: Built, numbers: tuple[int, ...], args: tuple[Any, ...]) -> tuple[Any, Any]:
    """Values, and gradients by some of the arguments, by the tape."""
    import torch

    with torch.enable_grad():
        args = tuple(a.detach().requires_grad_(k in numbers) for k, a in enumerate(args))
        value = fn(*args)
        return value.detach(), torch.autograd.grad(value.sum(), [args[k] for k in numbers])


def torch_seawater() -> Built:
    import torch

    fn = rebind(specific_volume, np=torch)
    return lambda *args: torch_gradients(fn, (0, 1, 2), args)[1]


def torch_compiled_seawater() -> Built:
    import torch

    fn = torch.compile(rebind(specific_volume, np=torch), dynamic=False)
    return lambda *args: torch_gradients(fn, (0, 1, 2), args)[1]


def torch_greeks() -> Built:
    import torch

    fn = price(torch, torch.erf)
    return lambda *args: torch_gradients(fn, (0, 2, 3, 4), args)


def torch_compiled_greeks() -> Built:
    import torch

    fn = torch.compile(price(torch, torch.erf), dynamic=False)
    return lambda *args: torch_gradients(fn, (0, 2, 3, 4), args)


def torch_gamma() -> Built:
    import torch

    fn = price(torch, torch.erf)

    def run(*args):
        with torch.enable_grad():
            args = (args[0].detach().requires_grad_(), *args[1:])
            (delta,) = torch.autograd.grad(fn(*args).sum(), args[0], create_graph=True)
            (gamma,) = torch.autograd.grad(delta.sum(), args[0])
        return delta.detach(), gamma

    return run


def torch_compiled_gamma() -> Built:
    import torch

    fn = price(torch, torch.erf)

    def delta(*args):
        found = torch.func.grad(lambda *args: fn(*args).sum())(*args)
        return found.sum(), found

    def run(*args):
        gamma, found = torch.func.grad(delta, has_aux=True)(*args)
        return found, gamma

    return torch.compile(run, dynamic=False)


# ---- Dr.Jit ---------------------------------------------------------------------------------------------------------


def drjit_gradients(fn: Built, numbers: tuple[int, ...]) -> Built:
    """A frozen function of values and gradients by some of the arguments."""
    import drjit as dr
    from drjit.llvm import ad

    @dr.freeze
    def run(*args):
        args = [ad.Float64(a) for a in args]
        moving = [args[k] for k in numbers]
        dr.enable_grad(*moving)
        value = fn(*args)
        dr.backward(value)
        return dr.detach(value), tuple(dr.grad(x) for x in moving)

    return run


def drjit_seawater() -> Built:
    import drjit as dr

    run = drjit_gradients(rebind(specific_volume, np=dr), (0, 1, 2))
    return lambda *args: run(*args)[1]


def drjit_greeks() -> Built:
    import drjit as dr

    return drjit_gradients(price(dr, dr.erf), (0, 2, 3, 4))


# ---- Numba: derivatives by hand -------------------------------------------------------------------------------------


def horner(name: str, terms: list[str], variable: str, lines: list[str]) -> None:
    """Lines that compute a polynomial and, in `name`_d, its derivative."""
    lines += [f"{name} = {terms[-1]}", f"{name}_d = 0.0"]
    for term in reversed(terms[:-1]):
        lines += [f"{name}_d = {name} + {variable} * {name}_d", f"{name} = {term} + {variable} * {name}"]


def seawater_text() -> str:
    """The derivatives of the specific volume by s, t and z, as one would write them: Horner's rule in each."""
    lines: list[str] = []
    for k, rows in enumerate(COEFFICIENTS):
        for j, row in enumerate(rows):
            horner(f"a{j}", [repr(c) for c in row], "s", lines)
        horner(f"v{k}", [f"a{j}" for j in range(len(rows))], "t", lines)
        horner(f"w{k}", [f"a{j}_d" for j in range(len(rows))], "t", lines)
    orders = range(len(COEFFICIENTS))
    for name, terms in (("z", [f"v{k}" for k in orders]), ("p", [f"v{k}_d" for k in orders]),
                        ("q", [f"w{k}" for k in orders])):
        horner(f"sum_{name}", terms, "z", lines)
    lines.append("return sum_q, sum_p, sum_z_d")
    return "def slopes(s, t, z):\n" + "\n".join(f"    {line}" for line in lines)


def numba_seawater() -> Built:
    import numba
    import numpy as np

    scope: dict[str, Any] = {}
    exec(seawater_text(), scope)
    slopes = numba.njit(scope["slopes"], fastmath=True)
    scale = 0.0248826675584615

    @numba.njit(fastmath=True, parallel=True)
    def run(salinity, temperature, pressure):
        by_s, by_t, by_p = np.empty_like(salinity), np.empty_like(salinity), np.empty_like(salinity)
        for i in numba.prange(salinity.size):
            s = np.sqrt(scale * salinity[i] + 0.5971840214030754)
            a, b, c = slopes(s, 0.025 * temperature[i], 1e-4 * pressure[i])
            by_s[i], by_t[i], by_p[i] = a * 0.5 * scale / s, b * 0.025, c * 1e-4
        return by_s, by_t, by_p

    return run


def numba_greeks() -> Built:
    import numba
    import numpy as np

    @numba.njit(fastmath=True, parallel=True)
    def run(spot, strike, years, rate, volatility):
        prices, delta, theta, rho, vega = (np.empty_like(spot), np.empty_like(spot), np.empty_like(spot),
                                           np.empty_like(spot), np.empty_like(spot))
        for i in numba.prange(spot.size):
            square = np.sqrt(years[i])
            root = volatility[i] * square
            d1 = (np.log(spot[i] / strike[i]) + (rate[i] + 0.5 * volatility[i] * volatility[i]) * years[i]) / root
            upper = 0.5 * (1 + math.erf(d1 * ROOT_HALF))
            certain = strike[i] * np.exp(-rate[i] * years[i]) * 0.5 * (1 + math.erf((d1 - root) * ROOT_HALF))
            density = spot[i] * np.exp(-0.5 * d1 * d1) / ROOT_TWO_PI
            prices[i], delta[i], rho[i] = spot[i] * upper - certain, upper, years[i] * certain
            theta[i], vega[i] = density * volatility[i] / (2 * square) + rate[i] * certain, density * square
        return prices, (delta, theta, rho, vega)

    return run


def numba_gamma() -> Built:
    import numba
    import numpy as np

    @numba.njit(fastmath=True, parallel=True)
    def run(spot, strike, years, rate, volatility):
        delta, gamma = np.empty_like(spot), np.empty_like(spot)
        for i in numba.prange(spot.size):
            root = volatility[i] * np.sqrt(years[i])
            d1 = (np.log(spot[i] / strike[i]) + (rate[i] + 0.5 * volatility[i] * volatility[i]) * years[i]) / root
            delta[i] = 0.5 * (1 + math.erf(d1 * ROOT_HALF))
            gamma[i] = np.exp(-0.5 * d1 * d1) / (ROOT_TWO_PI * spot[i] * root)
        return delta, gamma

    return run


SEAWATER = {"jax": jax_seawater, "torch": torch_seawater, "torch.compile": torch_compiled_seawater,
            "drjit": drjit_seawater, "numba": numba_seawater}
GREEKS = {"jax": jax_greeks, "torch": torch_greeks, "torch.compile": torch_compiled_greeks, "drjit": drjit_greeks,
          "numba": numba_greeks}
GAMMA = {"jax": jax_gamma, "torch": torch_gamma, "torch.compile": torch_compiled_gamma, "numba": numba_gamma}
