"""Errors of the elementary functions in units in the last place.

Flows in: stratified samples in f64 against x86 long double, the C library and mpmath; f32 against f64.
Flows out: the largest error of each function, compared with its limit. `-m full`: every f32 number.
"""

import math

import numpy as np
import pytest

from tests.kernels.elementary_support import (
    AVX2,
    AVX512,
    error_against_f64,
    host_features,
    kernel,
    largest_error_of_all,
    sample,
    ulp_error,
)
from tracejit.xla_lite.kernels.elementary.builder import F32, F64

FEATURES = [AVX2, AVX512] if host_features() == AVX512 else [AVX2]
LONG = np.longdouble
EXACT = 0.0
LIMIT = 2.0
LIMITS = {"exp": 1.2, "exp2": 1.2, "log2": 1.2, "log10": 1.2, "cbrt": 0.51, "tan": 1.2, "hypot": 1.2, "fmod": EXACT}
LIMITS |= {"lgamma": 2.6, "digamma": 2.6}
same_name = "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh cbrt".split()
arcs = {"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh}
UNARY = {name: getattr(np, name) for name in same_name} | arcs
UNARY |= {
    "atanh": np.arctanh,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), LONG(1)) / (1 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}
BINARY = {"atan2": np.arctan2, "pow": np.power, "hypot": np.hypot, "fmod": np.fmod}
LIBRARY = {"erf": math.erf, "erfc": math.erfc, "lgamma": math.lgamma}
F32_UNARY = [*UNARY, "erf", "erfc", "erfinv", "log_sigmoid"]
needs_long_double = pytest.mark.skipif(np.finfo(LONG).nmant != 63, reason="long double is not 64 bits wide here")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, about the special values in samples
by_width = pytest.mark.parametrize("features", FEATURES, ids=lambda f: str(f.vector_bits))


def domain(name, x):
    """Arguments moved to where the function is defined."""
    if name in ("log", "log2", "log10", "rsqrt", "lgamma", "digamma"):
        return np.abs(x)
    if name == "acosh":
        return 1 + np.abs(x)
    if name in ("asin", "acos", "atanh", "erfinv"):
        return np.where(np.abs(x) > 1, 1 / x, x)
    return np.where(x <= -1, -x, x) if name == "log1p" else x


def stratified(name, dtype, count=6000, seed=3):
    """Random bits, small numbers, numbers near 1, near the thresholds of exp, near multiples of pi / 2."""
    rng = np.random.default_rng(seed)
    top = 7 if dtype == np.float32 else 10
    with np.errstate(all="ignore"):
        parts = [
            sample(np.dtype(dtype), count, seed),
            np.exp2(rng.uniform(-40, top, count)) * rng.choice([-1, 1], count),
            1 + np.exp2(rng.uniform(-30, 0, count)),
            rng.uniform(0.4, 1.6, count),
            rng.integers(1, 1 << 40, count) * (np.pi / 2),
        ]
        for edge in (-745.2, -708.4, 709.78, -103.97, -87.33, 88.72, 26.5, 10.05, 0.55, 0.65, 0.11):
            parts.append(np.float64(edge) + np.arange(-100, 100) * float(np.spacing(dtype(edge))))
        x = domain(name, np.concatenate([part.astype(dtype) for part in parts]))
    return x[np.isfinite(x)].astype(dtype)


def split_reference(exact):
    """A long double as two doubles."""
    high = exact.astype(np.float64)
    with np.errstate(all="ignore"):
        return high, np.where(np.isfinite(high), exact - high, 0).astype(np.float64)


def worst(name, type, features, arrays, reference):
    """Asserts the limit."""
    (y,) = kernel(name, type, features)(*arrays)
    error = ulp_error(y, *reference)
    at = int(error.argmax())
    assert error[at] <= LIMITS.get(name, LIMIT), (error[at], [x[at] for x in arrays], y[at])


@needs_long_double
@by_width
@pytest.mark.parametrize("name", UNARY)
def test_double_is_within_its_limit(name, features):
    x = stratified(name, np.float64)
    with np.errstate(all="ignore"):
        worst(name, F64, features, [x], split_reference(UNARY[name](x.astype(LONG))))


@needs_long_double
@by_width
@pytest.mark.parametrize("type", [F32, F64], ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary_functions_are_within_their_limits(name, type, features):
    dtype = np.float32 if type is F32 else np.float64
    x, y = (stratified("", dtype, seed=seed)[:20000] for seed in (5, 6))
    x, y = x[: min(x.size, y.size)], np.random.default_rng(1).permutation(y)[: min(x.size, y.size)]
    if name == "pow":  # exponents which keep most results in range
        with np.errstate(all="ignore"):
            y = np.where(np.arange(y.size) % 3, (y % 1000) / np.log2(np.abs(x.astype(np.float64))), y).astype(dtype)
        x, y = np.where(np.arange(x.size) % 5, np.abs(x), x), np.where(np.isfinite(y), y, 1)
    with np.errstate(all="ignore"):
        worst(name, type, features, [x, y], split_reference(BINARY[name](x.astype(LONG), y.astype(LONG))))


@by_width
@pytest.mark.parametrize("name", F32_UNARY)
def test_single_agrees_with_double(name, features):
    x = np.concatenate([stratified(name, np.float32), np.arange(0, 1 << 32, 130003).astype(np.uint32).view("f4")])
    x = domain(name, x).astype(np.float32)
    error = error_against_f64(name, x, features)
    at = int(error.argmax())
    assert error[at] <= LIMITS.get(name, LIMIT) + 0.01, (error[at], x[at])


@by_width
@pytest.mark.parametrize("name", LIBRARY)
def test_double_is_near_the_c_library(name, features):
    x = stratified(name, np.float64, 800)
    x = x[np.abs(x) < 1e300]
    x = x[(x > 0) & (np.abs(x - 1.5) > 0.7)] if name == "lgamma" else x  # the library is less exact
    reference = np.array([LIBRARY[name](v) for v in x.tolist()])
    (y,) = kernel(name, F64, features)(x)
    error = ulp_error(y, reference, np.zeros_like(reference))
    assert error.max() <= (60 if name == "lgamma" else LIMIT + 1), x[error.argmax()]


@by_width
@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "lgamma", "digamma"])
def test_double_is_within_its_limit_of_mpmath(name, features):
    mpmath = pytest.importorskip("mpmath")
    function = {"lgamma": mpmath.loggamma, "digamma": mpmath.digamma}.get(name) or getattr(mpmath, name)
    x = stratified(name, np.float64, 60)
    x = x[(np.abs(x) < 26) & (np.abs(x) > 1e-300)]
    x = x[np.abs(x) < 1] if name == "erfinv" else x[x > 0] if "gamma" in name else x
    with mpmath.workprec(160):
        exact = [function(mpmath.mpf(v)) for v in x.tolist()]
        high = np.array([float(v) for v in exact])
        low = np.array([float(v - mpmath.mpf(h)) for v, h in zip(exact, high.tolist(), strict=True)])
    worst(name, F64, features, [x], (high, low))


@by_width
@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_gamma_functions_of_negative_numbers(name, features):
    x = -np.random.default_rng(0).uniform(0.01, 30, 400)
    x = x[np.abs(x - np.rint(x)) > 1e-3]
    with np.errstate(all="ignore"):
        (y,) = kernel(name, F64, features)(x)
    if name == "lgamma":
        want = np.array([math.lgamma(v) for v in x.tolist()])
    else:  # the recurrence, from a positive argument
        shifts = np.arange(31)
        (positive,) = kernel(name, F64, features)(x + 31)
        want = positive - (1 / (x[:, None] + shifts)).sum(axis=1)
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-13)


@pytest.mark.full
@by_width
@pytest.mark.parametrize("name", F32_UNARY)
def test_every_single_is_within_the_limit(name, features):
    worst_error, where = largest_error_of_all(name, features)
    assert worst_error <= LIMITS.get(name, LIMIT) + 0.01, (worst_error, where)
