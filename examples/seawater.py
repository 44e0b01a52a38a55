"""Sea water: specific volume by the 75-term polynomial of TEOS-10, as a plain NumPy function.

Flows in: Absolute Salinity, Conservative Temperature, sea pressure.  Flows out: specific volume.

Source: F. Roquet, G. Madec, T. J. McDougall, P. M. Barker (2015), Accurate polynomial expressions for the density
and specific volume of seawater using the TEOS-10 standard, Ocean Modelling 90, 29-43.
"""

import numpy as np

# The published check value: specific volume at SA = 34.7118 g/kg, CT = 28.8099 degC, p = 10 dbar.
CHECK_POINT = (34.7118, 28.8099, 10.0)
CHECK_VALUE = 0.000978626852431313


def specific_volume(salinity, temperature, pressure):
    """Specific volume of sea water in m3/kg.

    salinity: Absolute Salinity, g/kg.  temperature: Conservative Temperature, degC.  pressure: sea pressure, dbar.
    The polynomial in s = sqrt(scaled salinity), t = scaled temperature, z = scaled pressure, by Horner's rule in each.
    """
    s = np.sqrt(0.0248826675584615 * salinity + 0.5971840214030754)
    t = 0.025 * temperature
    z = 1e-4 * pressure

    a0 = 1.0769995862e-3 + s * (
        -3.1038981976e-4
        + s
        * (
            6.6928067038e-4
            + s * (-8.5047933937e-4 + s * (5.8086069943e-4 + s * (-2.1092370507e-4 + s * 3.1932457305e-5)))
        )
    )
    a1 = -1.5649734675e-5 + s * (
        3.5009599764e-5 + s * (-4.3592678561e-5 + s * (3.4532461828e-5 + s * (-1.1959409788e-5 + s * 1.3864594581e-6)))
    )
    a2 = 2.7762106484e-5 + s * (-3.7435842344e-5 + s * (3.5907822760e-5 + s * (-1.8698584187e-5 + s * 3.8595339244e-6)))
    a3 = -1.6521159259e-5 + s * (2.4141479483e-5 + s * (-1.4353633048e-5 + s * 2.2863324556e-6))
    a4 = 6.9111322702e-6 + s * (-8.7595873154e-6 + s * 4.3703680598e-6)
    a5 = -8.0539615540e-7 + s * -3.3052758900e-7
    v0 = a0 + t * (a1 + t * (a2 + t * (a3 + t * (a4 + t * (a5 + t * 2.0543094268e-7)))))

    a0 = -6.0799143809e-5 + s * (
        2.4262468747e-5 + s * (-3.4792460974e-5 + s * (3.7470777305e-5 + s * (-1.7322218612e-5 + s * 3.0927427253e-6)))
    )
    a1 = 1.8505765429e-5 + s * (-9.5677088156e-6 + s * (1.1100834765e-5 + s * (-9.8447117844e-6 + s * 2.5909225260e-6)))
    a2 = -1.1716606853e-5 + s * (-2.3678308361e-7 + s * (2.9283346295e-6 + s * -4.8826139200e-7))
    a3 = 7.9279656173e-6 + s * (-3.4558773655e-6 + s * 3.1655306078e-7)
    a4 = -3.4102187482e-6 + s * 1.2956717783e-6
    v1 = a0 + t * (a1 + t * (a2 + t * (a3 + t * (a4 + t * 5.0736766814e-7))))

    a0 = 9.9856169219e-6 + s * (
        -5.8484432984e-7 + s * (-4.8122251597e-6 + s * (4.9263106998e-6 + s * -1.7811974727e-6))
    )
    a1 = -1.1736386731e-6 + s * (-5.5699154557e-6 + s * (5.4620748834e-6 + s * -1.3544185627e-6))
    a2 = 2.1305028740e-6 + s * (3.9137387080e-7 + s * -6.5731104067e-7)
    a3 = -4.6132540037e-7 + s * 7.7618888092e-9
    v2 = a0 + t * (a1 + t * (a2 + t * (a3 + t * -6.3352916514e-8)))

    a0 = -1.1309361437e-6 + s * (3.6310188515e-7 + s * 1.6746303780e-8)
    a1 = -3.6527006553e-7 + s * -2.7295696237e-7
    v3 = a0 + t * (a1 + t * 2.8695905159e-7)

    a0 = 1.0531153080e-7 + s * -1.1147125423e-7
    v4 = a0 + t * 3.1454099902e-7

    return v0 + z * (v1 + z * (v2 + z * (v3 + z * (v4 + z * (-1.2647261286e-8 + z * 1.9613503930e-9)))))


def ocean_grid(points, dtype=np.float64):
    """Salinity, temperature and pressure of `points` points: an idealised section through an ocean.

    Returns three arrays [points]: warm and salty at the surface near the equator, cold and fresher at depth.
    """
    depths = max(d for d in range(1, int(points**0.5) + 1) if points % d == 0)
    stations = points // depths
    pressure = np.linspace(0, 6000, depths)[:, None]
    latitude = np.linspace(-70, 70, stations)[None, :]
    warmth = np.cos(np.radians(latitude)) ** 2 * np.exp(-pressure / 800)
    temperature = -1.0 + 29.0 * warmth + 2.0 * np.exp(-pressure / 3000)
    salinity = 34.6 + 1.8 * warmth - 0.6 * np.exp(-pressure / 200) * np.cos(np.radians(3 * latitude))
    grid = np.broadcast_arrays(salinity, temperature, pressure)
    return tuple(np.ascontiguousarray(a, dtype=dtype).ravel() for a in grid)
