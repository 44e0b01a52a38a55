"""np.convolve and np.correlate against NumPy: short and long, even and odd lengths, every mode and kind of number."""
from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj

MODES = ("full", "same", "valid")


def all_modes(a, b):
    return [fn(a, b, mode) for fn in (np.convolve, np.correlate) for mode in MODES]


@pytest.mark.parametrize("lengths", [(1, 1), (1, 4), (5, 2), (4, 4), (4, 9), (3, 8), (120, 40), (40, 121), (50, 50)])
def test_lengths(lengths):
    a, b = (np.random.default_rng(n).normal(size=n) for n in lengths)
    for found, expected in zip(tj.function(lambda a, b: all_modes(a, b))(a, b), all_modes(a, b), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32", "complex128"])
def test_dtypes(dtype):
    r = np.random.default_rng(1)
    for count in (7, 40):
        a, b = (r.integers(0, 2, n).astype(dtype) for n in (60, count))
        if dtype == "complex128":
            a, b = a + 1j * r.normal(size=60), b - 2j * r.normal(size=count)
        for found, expected in zip(tj.function(lambda a, b: all_modes(a, b))(a, b), all_modes(a, b), strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
