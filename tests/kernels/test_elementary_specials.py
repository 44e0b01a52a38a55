"""Special values of the elementary functions: zeros, infinities, NaN, subnormals, and NumPy's tables on a grid."""

import math

import numpy as np
import pytest

from tests.kernels.elementary_support import AVX2, AVX512, dtype_of, host_features, kernel, same_bits, sample
from tracejit.xla_lite.kernels.elementary.builder import F32, F64
from tracejit.xla_lite.kernels.elementary.functions import FUNCTIONS

FEATURES = [AVX2, AVX512] if host_features() == AVX512 else [AVX2]
INF, NAN, MINUS_ZERO, TINY = math.inf, math.nan, -0.0, "tiny"
UNARY = [name for name, entry in FUNCTIONS.items() if entry.operands == 1 and entry.results == 1]
pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # NumPy's, about the special values in samples
    pytest.mark.parametrize("features", FEATURES, ids=lambda f: str(f.vector_bits)),
    pytest.mark.parametrize("type", [F32, F64], ids=str),
]
ODD = [(MINUS_ZERO, MINUS_ZERO), (0.0, 0.0), (TINY, TINY)]
TABLE = {
    "exp": [(INF, INF), (-INF, 0.0), (0.0, 1.0), (TINY, 1.0)],
    "exp2": [(INF, INF), (-INF, 0.0), (3.0, 8.0), (-1.0, 0.5)],
    "expm1": [*ODD, (INF, INF), (-INF, -1.0)],
    "log": [(0.0, -INF), (MINUS_ZERO, -INF), (-1.0, NAN), (INF, INF), (-INF, NAN), (1.0, 0.0)],
    "log2": [(0.0, -INF), (MINUS_ZERO, -INF), (8.0, 3.0), (-1.0, NAN), (INF, INF), (-INF, NAN), (1.0, 0.0)],
    "log10": [(0.0, -INF), (1000.0, 3.0), (1.0, 0.0), (INF, INF), (-INF, NAN), (-1.0, NAN)],
    "log1p": [*ODD, (-1.0, -INF), (-2.0, NAN), (INF, INF), (-INF, NAN)],
    "sin": [*ODD, (INF, NAN), (-INF, NAN)],
    "cos": [(MINUS_ZERO, 1.0), (-INF, NAN)],
    "tan": [*ODD, (INF, NAN)],
    "asin": [*ODD, (1.5, NAN), (INF, NAN)],
    "acos": [(1.0, 0.0), (-1.5, NAN), (INF, NAN)],
    "atan": [*ODD, (INF, math.pi / 2), (-INF, -math.pi / 2)],
    "sinh": [*ODD, (INF, INF), (-INF, -INF)],
    "cosh": [(-INF, INF), (0.0, 1.0)],
    "tanh": [*ODD, (INF, 1.0), (-INF, -1.0), (30.0, 1.0)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (MINUS_ZERO, 0.5)],
    "softplus": [(INF, INF), (-INF, 0.0)],
    "log_sigmoid": [(INF, MINUS_ZERO), (-INF, -INF)],
    "asinh": [*ODD, (-INF, -INF)],
    "acosh": [(1.0, 0.0), (0.5, NAN), (INF, INF), (-INF, NAN)],
    "atanh": [*ODD, (1.0, INF), (-1.0, -INF), (2.0, NAN)],
    "cbrt": [(MINUS_ZERO, MINUS_ZERO), (-8.0, -2.0), (-INF, -INF), (27.0, 3.0)],
    "rsqrt": [(0.0, INF), (MINUS_ZERO, -INF), (INF, 0.0), (-1.0, NAN)],
    "erf": [(MINUS_ZERO, MINUS_ZERO), (0.0, 0.0), (INF, 1.0), (-INF, -1.0), (9.0, 1.0)],
    "erfc": [(INF, 0.0), (-INF, 2.0), (0.0, 1.0), (MINUS_ZERO, 1.0)],
    "erfinv": [(MINUS_ZERO, MINUS_ZERO), (1.0, INF), (-1.0, -INF), (1.5, NAN), (INF, NAN)],
    "lgamma": [(0.0, INF), (MINUS_ZERO, INF), (1.0, 0.0), (2.0, 0.0), (-7.0, INF), (INF, INF), (-INF, INF)],
    "digamma": [(0.0, -INF), (MINUS_ZERO, INF), (-1.0, NAN), (INF, INF), (-INF, NAN)],
    "spacing": [(INF, NAN), (-INF, NAN), (0.0, TINY)],
}
GRID = [0.0, 1.0, 0.5, 2.0, 3.0, 5.0, 0.25, 1e30, 2.0**24 + 2, 2.0**53, 1e-30, INF]
REMAINDERS = {"fmod": np.fmod, "remainder": np.remainder, "floor_divide": np.floor_divide}
NEAR = {"pow": np.power, "atan2": np.arctan2, "hypot": np.hypot, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2}


def grid(type):
    """All pairs of special values of either sign."""
    points = [*GRID, type.max, type.min_subnormal, type.min_normal, 1 + type.epsilon, 1 - type.epsilon / 2]
    points = np.array(points + [-x for x in points] + [NAN]).astype(dtype_of(type))
    return [side.ravel() for side in np.meshgrid(points, points)]


@pytest.mark.parametrize("name", TABLE)
def test_special_values(name, type, features):
    tiny = type.min_subnormal
    rows = [tuple(tiny if v is TINY else v for v in row) for row in [*TABLE[name], (NAN, NAN)]]
    x, want = (np.array(column).astype(dtype_of(type)) for column in zip(*rows, strict=True))
    (got,) = kernel(name, type, features)(x)
    wrong = np.flatnonzero(~same_bits(got, want))
    assert wrong.size == 0, (x[wrong], got[wrong], want[wrong])


@pytest.mark.parametrize("name", UNARY)
def test_every_nan_stays_nan(name, type, features):
    ints = np.dtype(f"i{type.bits // 8}")
    infinity = np.array([INF], dtype_of(type)).view(ints)[0]
    nans = infinity | np.random.default_rng(0).integers(1, 1 << type.mantissa, 512).astype(ints)
    nans = np.concatenate([nans, nans | np.array(type.sign_bit, ints)]).view(dtype_of(type))
    assert np.isnan(kernel(name, type, features)(nans)[0]).all()


@pytest.mark.parametrize("name", REMAINDERS)
def test_remainders_equal_numpy(name, type, features):
    x, y = (np.concatenate([a, sample(dtype_of(type), 3000, k)]) for k, a in enumerate(grid(type)))
    with np.errstate(all="ignore"):
        want = REMAINDERS[name](x, y)
    (got,) = kernel(name, type, features)(x, y)
    wrong = np.flatnonzero(~same_bits(got, want))
    assert wrong.size == 0, [(x[k], y[k], got[k], want[k]) for k in wrong[:5]]


@pytest.mark.parametrize("name", NEAR)
def test_binary_specials_equal_numpy(name, type, features):
    x, y = grid(type)
    with np.errstate(all="ignore"):
        want = NEAR[name](x, y)
        (got,) = kernel(name, type, features)(x, y)
        scale = np.maximum(np.abs(x), np.abs(y)) if name.startswith("logadd") else np.abs(want)  # a sum that cancels
        near = np.abs(got - want) <= 4 * type.epsilon * scale + type.min_subnormal
    ok = same_bits(got, want) | (near & ((got != 0) | (want != 0)))
    wrong = np.flatnonzero(~ok)
    assert wrong.size == 0, [(x[k], y[k], got[k], want[k]) for k in wrong[:5]]


def test_representation_functions_equal_numpy(type, features):
    x, y = (np.concatenate([a, sample(dtype_of(type), 500, k)]) for k, a in enumerate(grid(type)))
    n = (np.arange(x.size) % 4500 - 2250).astype(np.int32)
    with np.errstate(all="ignore"):
        wanted = {
            "nextafter": [(x, y), (np.nextafter(x, y),)],
            "ldexp": [(x, n), (np.ldexp(x, n),)],
            "frexp": [(x,), (np.frexp(x)[0], np.frexp(x)[1].astype(x.dtype))],
            "modf": [(x,), np.modf(x)],
            "spacing": [(np.abs(x),), (np.where(np.abs(x) == type.max, INF, np.spacing(np.abs(x))).astype(x.dtype),)],
        }
    for name, (arguments, results) in wanted.items():
        for got, want in zip(kernel(name, type, features)(*arguments), results, strict=True):
            wrong = np.flatnonzero(~same_bits(got, want))
            assert wrong.size == 0, (name, [(a[wrong[0]]) for a in arguments], got[wrong[0]], want[wrong[0]])
