"""Elementwise programs: a chain of ten operations, Black-Scholes prices, gelu, sin^2 + cos^2.

Flows in: float32 and float64 vectors.  Flows out: `WORKLOADS`.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tracejit.cli.harness.workload import Case, Workload


def chain(x):
    y = np.abs((x * 2.0 + 1.0) * x - 0.5) + 0.25
    return (np.sqrt(y) - x) * 0.125 + x


def gelu(x):
    return 0.5 * x * (1.0 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def sin2_cos2(x):
    s = np.sin(x)
    c = np.cos(x)
    return s * s + c * c


def normal_cdf(x):
    """Abramowitz and Stegun 26.2.17."""
    k = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    poly = k * (0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
    tail = np.exp(-0.5 * x * x) * 0.3989422804014327 * poly
    return np.where(x >= 0, 1.0 - tail, tail)


def black_scholes(spot, strike, years):
    """Call and put at rate 3 % and volatility 20 %."""
    root = 0.2 * np.sqrt(years)
    d1 = (np.log(spot / strike) + 0.05 * years) / root
    discount = strike * np.exp(-0.03 * years)
    call = spot * normal_cdf(d1) - discount * normal_cdf(d1 - root)
    return call, call - spot + discount


def numba_unary(body: Callable[..., Any]) -> Callable[[], Callable[..., Any]]:
    """A Numba loop over `body(x, t)`, where t converts constants to the dtype (Numba promotes f32 * 0.5 to f64)."""

    def build() -> Callable[..., Any]:
        import numba

        scalar = numba.njit(body, fastmath=True)

        @numba.njit(fastmath=True, parallel=True)
        def run(x):
            out = np.empty_like(x)
            t = x.dtype.type
            for i in numba.prange(x.size):
                out[i] = scalar(x[i], t)
            return out

        return run

    return build


def numba_chain(x, t):
    y = abs((x * t(2.0) + t(1.0)) * x - t(0.5)) + t(0.25)
    return (np.sqrt(y) - x) * t(0.125) + x


def numba_gelu(x, t):
    return t(0.5) * x * (t(1.0) + np.tanh(t(0.7978845608028654) * (x + t(0.044715) * x * x * x)))


def numba_sin2_cos2(x, t):
    s, c = np.sin(x), np.cos(x)
    return s * s + c * c


def numba_black_scholes() -> Callable[..., Any]:
    import numba

    @numba.njit(fastmath=True)
    def cdf(x, t):
        k = t(1.0) / (t(1.0) + t(0.2316419) * abs(x))
        poly = t(1.781477937) + k * (t(-1.821255978) + k * t(1.330274429))
        poly = k * (t(0.319381530) + k * (t(-0.356563782) + k * poly))
        tail = np.exp(t(-0.5) * x * x) * t(0.3989422804014327) * poly
        return t(1.0) - tail if x >= 0 else tail

    @numba.njit(fastmath=True, parallel=True)
    def run(spot, strike, years):
        call, put = np.empty_like(spot), np.empty_like(spot)
        t = spot.dtype.type
        for i in numba.prange(spot.size):
            root = t(0.2) * np.sqrt(years[i])
            d1 = (np.log(spot[i] / strike[i]) + t(0.05) * years[i]) / root
            discount = strike[i] * np.exp(t(-0.03) * years[i])
            call[i] = spot[i] * cdf(d1, t) - discount * cdf(d1 - root, t)
            put[i] = call[i] - spot[i] + discount
        return call, put

    return run


def numexpr(names: str, text: str) -> Callable[[], Callable[..., Any]]:
    """A compiled numexpr expression of the named arguments; constants take the dtype of the first argument."""
    constants = re.findall(r"(?<![\w.])\d+\.\d+(?:e-?\d+)?", text)
    for i, constant in enumerate(constants):
        text = re.sub(rf"(?<![\w.]){re.escape(constant)}(?![\w.])", f"k{i}", text, count=1)

    def build() -> Callable[..., Any]:
        import numexpr as ne

        compiled: dict[Any, Any] = {}

        def run(*args):
            kind = args[0].dtype.type
            if kind not in compiled:
                named = float if kind is np.float32 else kind    # numexpr writes float32 as `float`
                signature = [(name, named) for name in [*names.split(), *(f"k{i}" for i in range(len(constants)))]]
                compiled[kind] = ne.NumExpr(text, signature), [kind(c) for c in constants]
            fn, values = compiled[kind]
            return fn(*args, *values)

        return run

    return build


def torch_gelu() -> Callable[..., Any]:
    from torch.nn.functional import gelu as torch_function

    return lambda x: torch_function(x, approximate="tanh")


def vector(dtype: Any) -> Callable[[int, np.random.Generator], tuple[Any, ...]]:
    return lambda n, r: (r.normal(size=n).astype(dtype),)


def options(dtype: Any) -> Callable[[int, np.random.Generator], tuple[Any, ...]]:
    """Spot, strike and years."""
    return lambda n, r: tuple(
        (low + 80 * r.random(n) * scale).astype(dtype) for low, scale in [(60, 1), (60, 1), (0.1, 0.0125)]
    )


def cases(sizes: Iterable[tuple[str, float, float]], moved: float, flops: float = 0.0) -> tuple[Case, ...]:
    """(size, at most, strive) by size; `moved` bytes and `flops` operations an element."""
    return tuple(
        Case(text, int(float(text)), at_most, strive, moved=moved * float(text), flops=flops * float(text))
        for text, at_most, strive in sizes
    )


def black_scholes_workload(dtype: str, itemsize: int, rtol: float) -> Workload:
    return Workload(
        name=f"Black-Scholes {dtype}",
        numpy=black_scholes,
        inputs=options("f4" if itemsize == 4 else "f8"),
        cases=cases([("1e5", 1.0, 0.7), ("1e6", 1.0, 0.7), ("1e7", 1.0, 0.7)], moved=5 * itemsize),
        smoke=100,
        peers={"numba": numba_black_scholes},
        rtol=rtol,
        cold_case="1e5" if itemsize == 4 else "",
    )


WORKLOADS = [
    Workload(
        name="chain of 10",
        numpy=chain,
        inputs=vector(np.float32),
        cases=cases([("1e3", 0.5, 0.1), ("1e5", 0.9, 0.7), ("1e7", 0.9, 0.6)], moved=8),
        smoke=100,
        peers={
            "numba": numba_unary(numba_chain),
            "numexpr": numexpr("x", "(sqrt(abs((x * 2.0 + 1.0) * x - 0.5) + 0.25) - x) * 0.125 + x"),
        },
        rtol=1e-5,
    ),
    black_scholes_workload("f32", 4, 2e-5),
    black_scholes_workload("f64", 8, 1e-12),
    Workload(
        name="gelu",
        numpy=gelu,
        inputs=vector(np.float32),
        cases=cases([("1e7", 1.0, 0.7)], moved=8),
        smoke=100,
        peers={
            "numba": numba_unary(numba_gelu),
            "numexpr": numexpr("x", "0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))"),
            "torch": torch_gelu,
        },
        rtol=1e-5,
    ),
    Workload(
        name="sin^2+cos^2",
        numpy=sin2_cos2,
        inputs=vector(np.float32),
        cases=cases([("1e7", 1.0, 0.7)], moved=8),
        smoke=100,
        peers={"numba": numba_unary(numba_sin2_cos2), "numexpr": numexpr("x", "sin(x)**2 + cos(x)**2")},
        rtol=1e-5,
    ),
]
