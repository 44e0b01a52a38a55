"""Physics: mechanics, fields, lattices, radiation; states in dicts and dataclasses.

Flows in: NumPy arrays and containers of them.  Flows out: rows of the program table.
"""

from dataclasses import dataclass

import numpy as np

from tests.programs.program import function

G = 6.674e-11
C = 299_792_458.0
H_PLANCK, K_BOLTZMANN = 6.62607015e-34, 1.380649e-23


@dataclass
class Particles:
    position: np.ndarray
    velocity: np.ndarray
    time: float


def accelerations(position, mass, softening=0.05):
    d = position[None, :, :] - position[:, None, :]
    r2 = (d * d).sum(axis=-1) + softening**2
    return np.einsum("ijk,ij,j->ik", d, r2**-1.5, mass)


def leapfrog(state, mass, dt):
    """Kick, drift, kick; the state is a dict of arrays and comes back as a new dict."""
    v = state["v"] + 0.5 * dt * accelerations(state["x"], mass)
    x = state["x"] + dt * v
    return {"x": x, "v": v + 0.5 * dt * accelerations(x, mass)}


def advance(particles, dt):
    """Free flight with reflecting walls at 0 and 1: a dataclass in, a dataclass out."""
    x = particles.position + dt * particles.velocity
    outside = (x < 0) | (x > 1)
    v = np.where(outside, -particles.velocity, particles.velocity)
    return Particles(np.clip(x, 0, 1), v, particles.time + dt)


def heat_step_in_place(u, alpha, dt, dx):
    """An explicit step; the boundary stays, the interior of the caller's array is overwritten."""
    laplacian = (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]) / dx**2
    u[1:-1, 1:-1] += alpha * dt * laplacian


def lorenz(state, sigma=10.0, rho=28.0, beta=8 / 3):
    x, y, z = state
    return np.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z])


def runge_kutta(state, dt):
    k1 = lorenz(state)
    k2 = lorenz(state + dt / 2 * k1)
    k3 = lorenz(state + dt / 2 * k2)
    k4 = lorenz(state + dt * k3)
    return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def ising_energy(spins, coupling, field=0.0):
    """Spins of +-1 in int8 on a torus; integer arithmetic where it is exact."""
    s = spins.astype(np.int64)
    bonds = (s * np.roll(s, 1, axis=0)).sum() + (s * np.roll(s, 1, axis=1)).sum()
    return -coupling * bonds - field * s.sum(), np.abs(s.mean())


def planck_radiance(wavelength, temperature):
    """Spectral radiance for every pair of wavelength and temperature."""
    wl = wavelength[:, None]
    x = H_PLANCK * C / (wl * K_BOLTZMANN * temperature)
    return 2 * H_PLANCK * C**2 / wl**5 / np.expm1(x)


def lorentz_boost(events, beta):
    """events f64[n, 4] (ct, x, y, z) along x."""
    gamma = 1 / np.sqrt(1 - beta**2)
    boosted = events.copy()
    boosted[:, 0] = gamma * (events[:, 0] - beta * events[:, 1])
    boosted[:, 1] = gamma * (events[:, 1] - beta * events[:, 0])
    return boosted, gamma


def lattice_boltzmann_equilibrium(rho, u):
    """D2Q9: rho f64[h, w], u f64[2, h, w] to f64[9, h, w]."""
    c = np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1], [1, 1], [-1, 1], [-1, -1], [1, -1]])
    w = np.array([4 / 9] + [1 / 9] * 4 + [1 / 36] * 4)
    cu = np.einsum("qd,dhw->qhw", c, u)
    return rho * w[:, None, None] * (1 + 3 * cu + 4.5 * cu**2 - 1.5 * (u**2).sum(axis=0))


def projectile(v0, angle, t, g=9.81):
    x = v0 * np.cos(angle) * t
    y = np.maximum(v0 * np.sin(angle) * t - 0.5 * g * t**2, 0.0)
    return np.column_stack((x, y))


def kinetic_temperature(velocities, masses):
    """float32 all the way: NumPy 2 keeps it with Python constants."""
    energy = 0.5 * masses * np.sum(velocities**2, axis=1)
    return 2.0 / 3.0 * energy.mean(), energy.max(), energy


def wave_function(x, p0=2.0, width=1.0):
    """A complex Gaussian packet, its norm and its mean momentum by central differences."""
    psi = np.exp(-((x / width) ** 2) / 2 + 1j * p0 * x)
    dx = x[1] - x[0]
    psi = psi / np.sqrt(np.sum(np.abs(psi) ** 2) * dx)
    slope = (psi[2:] - psi[:-2]) / (2 * dx)
    momentum = np.sum(np.conj(psi[1:-1]) * -1j * slope) * dx
    return psi, momentum.real


def bodies(r, n):
    return {"x": r.normal(size=(n, 3)), "v": r.normal(size=(n, 3))}, r.random(n), 0.01


PROGRAMS = [
    function(leapfrog, lambda r: [bodies(r, 6), bodies(r, 11)], rtol=1e-11),
    function(advance, lambda r: [(Particles(r.random((n, 2)), r.normal(size=(n, 2)), 0.5), 0.1) for n in (10, 16)]),
    function(heat_step_in_place, lambda r: [(r.random(s), 0.1, 0.2, 1.0) for s in [(8, 9), (12, 5)]]),
    function(runge_kutta, lambda r: [(r.normal(size=(3, n)), 0.01) for n in (1, 8, 13)]),
    function(
        ising_energy, lambda r: [(r.choice(np.array([-1, 1], np.int8), size=s), 1.0, 0.3) for s in [(6, 6), (5, 9)]]
    ),
    function(
        planck_radiance,
        lambda r: [(1e-7 + 1e-6 * r.random(n), np.array([300.0, 3000.0, 5778.0])) for n in (20, 31)],
        rtol=1e-10,
    ),
    function(lorentz_boost, lambda r: [(r.normal(size=(n, 4)), 0.6) for n in (10, 4)]),
    function(
        lattice_boltzmann_equilibrium, lambda r: [(r.random(s), 0.1 * r.normal(size=(2, *s))) for s in [(4, 5), (7, 6)]]
    ),
    function(projectile, lambda r: [(30.0, 0.7, np.linspace(0, 5, n)) for n in (20, 11)]),
    function(
        kinetic_temperature,
        lambda r: [(r.normal(size=(n, 3)).astype("f4"), r.random(n).astype("f4")) for n in (20, 45)],
    ),
    function(wave_function, lambda r: [(np.linspace(-5, 5, n),) for n in (50, 81)], rtol=1e-9),
]
