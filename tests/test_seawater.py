"""The sea-water polynomial of the demo agrees with published values.

Flows in: examples/seawater.py.  Flows out: trust in the numbers that demo and benchmark print.
"""

import numpy as np
import pytest

from examples.seawater import CHECK_POINT, CHECK_VALUE, ocean_grid, specific_volume

# Computed with the reference implementation, GSW 3.6: (salinity, temperature, pressure, specific volume).
REFERENCE = [
    (34.5, 5.0, 4000.0, 0.0009570711707580556),
    (35.0, 25.0, 2000.0, 0.000969429311180351),
]


def test_check_value_is_reached() -> None:
    assert specific_volume(*map(np.float64, CHECK_POINT)) == pytest.approx(CHECK_VALUE, rel=1e-14)


@pytest.mark.parametrize(("salinity", "temperature", "pressure", "expected"), REFERENCE)
def test_reference_values_are_reached(salinity: float, temperature: float, pressure: float, expected: float) -> None:
    assert specific_volume(salinity, temperature, pressure) == pytest.approx(expected, rel=1e-12)


def test_the_grid_has_the_size_asked_for_and_sea_water_in_it() -> None:
    salinity, temperature, pressure = ocean_grid(10_000)
    assert salinity.size == 10_000 and salinity.shape == temperature.shape == pressure.shape
    density = 1 / specific_volume(salinity, temperature, pressure)
    assert 1010 < density.min() < density.max() < 1070
