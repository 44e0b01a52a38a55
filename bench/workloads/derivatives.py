"""Gradients of element-by-element functions: the equation of state of sea water, the Greeks of Black-Scholes prices.

Flows in: vectors of float64.  Flows out: `WORKLOADS`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import bench.workloads.derivatives_peers as peers
from examples.seawater import ocean_grid, specific_volume
from tracejit.cli.harness.workload import Case, Workload

STEP = 1e-40    # of complex differences, which lose nothing however small the step
ONLY_TEXT = frozenset({"numexpr", "tensorflow"})
ROOT_HALF = math.sqrt(0.5)


# ---- meaning, by formulas -------------------------------------------------------------------------------------------


def specific_volume_gradient(salinity, temperature, pressure):
    """By complex differences."""
    point = salinity, temperature, pressure
    moved = [[x + 1j * STEP if i == k else x for i, x in enumerate(point)] for k in range(3)]
    return tuple(specific_volume(*some).imag / STEP for some in moved)


def normal_cdf(x):
    return 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(x * ROOT_HALF))


def normal_density(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def parts(spot, strike, years, rate, volatility):
    root = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / root
    return d1, d1 - root, strike * np.exp(-rate * years)


def greeks(spot, strike, years, rate, volatility):
    """The prices of calls; their derivatives by spot, years, rate and volatility."""
    d1, d2, discounted = parts(spot, strike, years, rate, volatility)
    delta, certain = normal_cdf(d1), discounted * normal_cdf(d2)
    theta = spot * normal_density(d1) * volatility / (2 * np.sqrt(years)) + rate * certain
    return spot * delta - certain, (delta, theta, years * certain, spot * normal_density(d1) * np.sqrt(years))


def delta_and_gamma(spot, strike, years, rate, volatility):
    d1 = parts(spot, strike, years, rate, volatility)[0]
    return normal_cdf(d1), normal_density(d1) / (spot * volatility * np.sqrt(years))


# ---- tracejit -------------------------------------------------------------------------------------------------------


def tracejit_specific_volume() -> Callable[..., Any]:
    import tracejit as tj

    return tj.grad(lambda s, t, p: specific_volume(s, t, p).sum(), argnums=(0, 1, 2))


def tracejit_price(spot, strike, years, rate, volatility):
    from tracejit.numpy.special import erf

    root = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / root
    upper, lower = (0.5 * (1 + erf(x * ROOT_HALF)) for x in (d1, d1 - root))
    return spot * upper - strike * np.exp(-rate * years) * lower


def tracejit_greeks() -> Callable[..., Any]:
    import tracejit as tj

    def total(*args):
        prices = tracejit_price(*args)
        return prices.sum(), prices

    @tj.function
    def run(*args):
        found, prices = tj.grad(total, argnums=(0, 2, 3, 4), has_aux=True)(*args)
        return prices, found

    return run


def tracejit_gamma() -> Callable[..., Any]:
    import tracejit as tj

    def delta(*args):
        found = tj.grad(lambda *args: tracejit_price(*args).sum())(*args)
        return found.sum(), found

    @tj.function
    def run(*args):
        gamma, found = tj.grad(delta, has_aux=True)(*args)
        return found, gamma

    return run


# ---- inputs ---------------------------------------------------------------------------------------------------------


def options(size: int, r: np.random.Generator) -> tuple[Any, ...]:
    return (r.uniform(60, 140, size), r.uniform(60, 140, size), r.uniform(0.2, 3, size), r.uniform(0.01, 0.06, size),
            r.uniform(0.1, 0.5, size))


WORKLOADS = [
    Workload(
        name="gradient of the equation of state", numpy=specific_volume_gradient, inputs=lambda n, r: ocean_grid(n),
        cases=tuple(Case(label, size, 0.8, 0.4, moved=48.0 * size)
                    for label, size in (("4096", 4096), ("64K", 65536), ("1e6", 1_000_000))),
        smoke=100, peers={"tracejit": tracejit_specific_volume, **peers.SEAWATER}, complete=True, skip=ONLY_TEXT,
        rtol=1e-11, cold_case="4096"),
    Workload(
        name="Black-Scholes Greeks", numpy=greeks, inputs=options,
        cases=tuple(Case(label, size, 0.8, 0.4, moved=80.0 * size)
                    for label, size in (("1e4", 10_000), ("1e5", 100_000), ("1e6", 1_000_000))),
        smoke=100, peers={"tracejit": tracejit_greeks, **peers.GREEKS}, complete=True, skip=ONLY_TEXT, rtol=1e-9,
        cold_case="1e4"),
    Workload(
        name="Black-Scholes delta and gamma", numpy=delta_and_gamma, inputs=options,
        cases=(Case("1e6", 1_000_000, 0.8, 0.4, moved=56.0 * 1_000_000),), smoke=100,
        peers={"tracejit": tracejit_gamma, **peers.GAMMA}, complete=True, skip=ONLY_TEXT | {"drjit"}, rtol=1e-9),
]
