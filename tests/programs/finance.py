"""Finance: option prices, risk, returns, bonds.

Flows in: NumPy arrays and Python scalars.  Flows out: rows of the program table.
"""

from collections import namedtuple

import numpy as np

from tests.programs.program import function

Greeks = namedtuple("Greeks", "price delta vega")
TRADING_DAYS = 252


def normal_cdf(x):
    """Abramowitz and Stegun 26.2.17, |error| < 7.5e-8."""
    k = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    poly = k * (0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
    tail = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) * poly
    return np.where(x >= 0, 1.0 - tail, tail)


def black_scholes(spot, strike, years, rate=0.03, sigma=0.2):
    root = sigma * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma**2) * years) / root
    d2 = d1 - root
    discount = strike * np.exp(-rate * years)
    call = spot * normal_cdf(d1) - discount * normal_cdf(d2)
    return call, call - spot + discount


def option_greeks(spot, strike, years):
    sigma, rate = 0.25, 0.01
    d1 = (np.log(spot / strike) + (rate + sigma**2 / 2) * years) / (sigma * np.sqrt(years))
    delta = normal_cdf(d1)
    price = spot * delta - strike * np.exp(-rate * years) * normal_cdf(d1 - sigma * np.sqrt(years))
    return Greeks(price, delta, vega=spot * np.sqrt(years) * np.exp(-(d1**2) / 2) / np.sqrt(2 * np.pi))


def max_drawdown(prices):
    peak = np.maximum.accumulate(prices)
    fall = (peak - prices) / peak
    at = np.argmax(fall)
    return fall[at], at, peak


def sharpe_ratios(prices, risk_free=0.02):
    """prices: f64[days, assets]."""
    daily = np.diff(np.log(prices), axis=0)
    excess = daily.mean(axis=0) * TRADING_DAYS - risk_free
    return excess / (daily.std(axis=0) * np.sqrt(TRADING_DAYS))


def portfolio_risk(weights, returns):
    centred = returns - returns.mean(axis=0)
    cov = centred.T @ centred / (len(returns) - 1)
    variance = weights @ cov @ weights
    contribution = weights * (cov @ weights) / variance
    return np.sqrt(variance), contribution


def bond_price(face, coupon, periods, yield_):
    """Price and duration; `periods` is an int, so that the cash flows are an array of that length."""
    t = np.arange(1, periods + 1)
    flows = np.full(periods, face * coupon)
    flows[-1] += face
    pv = flows / (1 + yield_) ** t
    return pv.sum(), (t * pv).sum() / pv.sum()


def compound(principal, rate, years):
    """Python numbers in, Python number out."""
    grown = principal * (1 + rate) ** years
    return grown, grown - principal


def bollinger_bands(price, width=10, k=2.0):
    windows = price[np.arange(width) + np.arange(len(price) - width + 1)[:, None]]
    middle = windows.mean(axis=1)
    band = k * windows.std(axis=1)
    return {"lower": middle - band, "middle": middle, "upper": middle + band}


def exponential_average(price, half_life):
    """The whole recursion as one weighted sum."""
    decay = 0.5 ** (1.0 / half_life)
    weights = decay ** np.arange(len(price) - 1, -1, -1)
    return np.average(price, weights=weights)


PROGRAMS = [
    function(black_scholes, lambda r: [(80 + 40 * r.random(n), 100.0, 0.1 + r.random(n)) for n in (50, 91)]),
    function(
        option_greeks, lambda r: [(80 + 40 * r.random(n), np.full(n, 100.0), 0.1 + r.random(n)) for n in (30, 17)]
    ),
    function(max_drawdown, lambda r: [(np.exp(np.cumsum(r.normal(size=n)) * 0.1),) for n in (60, 45)]),
    function(
        sharpe_ratios,
        lambda r: [(np.exp(np.cumsum(r.normal(size=s) * 0.01, axis=0)),) for s in [(50, 4), (80, 3)]],
        rtol=1e-9,
    ),
    function(portfolio_risk, lambda r: [(r.random(n), r.normal(size=(60, n))) for n in (4, 7)]),
    function(bond_price, lambda r: [(100.0, 0.05, 10, 0.03), (1000.0, 0.02, 10, 0.04), (100.0, 0.05, 30, 0.03)]),
    function(compound, lambda r: [(1000.0, 0.05, 10), (250.0, 0.01, 3), (7, 1, 2)]),
    function(
        bollinger_bands,
        lambda r: [(100 + np.cumsum(r.normal(size=40)),), (100 + np.cumsum(r.normal(size=25)), 5)],
        rtol=1e-10,
    ),
    function(exponential_average, lambda r: [(r.normal(size=50), 5.0), (r.normal(size=20), 3.0)], rtol=1e-10),
]
