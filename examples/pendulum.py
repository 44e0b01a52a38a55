"""A double pendulum moves by its Lagrangian alone: the equations of motion are derivatives that nobody wrote down.

Flows in: kinetic and potential energy.  Flows out: the motion; energy is conserved.
Shows: tj.grad, tj.jacobian and tj.hessian inside of a compiled loop over time steps.

Euler and Lagrange: d/dt dL/dv = dL/dq, so that the acceleration solves (d2L/dv2) a = dL/dq - (d2L/dq dv) v.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples.show import save_curves  # noqa: E402

GRAVITY = 9.81
LENGTHS = (1.0, 0.8)
MASSES = (1.0, 0.7)
START = np.array([2.0, 2.5]), np.array([0.0, 0.0])      # angles from hanging down, angular velocities


def energies(q, v):
    """Kinetic and potential energy of angles q and angular velocities v, f64[2]."""
    (l1, l2), (m1, m2) = LENGTHS, MASSES
    first = (l1 * v[0]) ** 2
    second = first + (l2 * v[1]) ** 2 + 2 * l1 * l2 * v[0] * v[1] * np.cos(q[0] - q[1])
    height1 = -l1 * np.cos(q[0])
    height2 = height1 - l2 * np.cos(q[1])
    return 0.5 * m1 * first + 0.5 * m2 * second, GRAVITY * (m1 * height1 + m2 * height2)


def lagrangian(q, v):
    kinetic, potential = energies(q, v)
    return kinetic - potential


def acceleration(q, v):
    force = tj.grad(lagrangian, 0)(q, v)
    mass = tj.hessian(lagrangian, 1)(q, v)
    mixed = tj.jacobian(tj.grad(lagrangian, 1), 0)(q, v)
    return np.linalg.solve(mass, force - mixed @ v)


@tj.function
def simulate(q, v, dt, steps):
    """Angles f64[steps, 2] and the energy f64[steps] after every step of Runge and Kutta's method."""
    angles, energy = np.zeros((steps, 2)), np.zeros(steps)
    for i in range(steps):
        a1 = acceleration(q, v)
        v2 = v + 0.5 * dt * a1
        a2 = acceleration(q + 0.5 * dt * v, v2)
        v3 = v + 0.5 * dt * a2
        a3 = acceleration(q + 0.5 * dt * v2, v3)
        v4 = v + dt * a3
        a4 = acceleration(q + dt * v3, v4)
        q, v = q + dt / 6 * (v + 2 * v2 + 2 * v3 + v4), v + dt / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
        angles[i] = q
        kinetic, potential = energies(q, v)
        energy[i] = kinetic + potential
    return angles, energy


def tip(angles):
    """Where the end of the second arm is: x, y."""
    (l1, l2), (first, second) = LENGTHS, angles.T
    return l1 * np.sin(first) + l2 * np.sin(second), -l1 * np.cos(first) - l2 * np.cos(second)


def drawing(x, y, width=64, height=20):
    """The path as characters: the more often, the darker."""
    reach = sum(LENGTHS)
    counts, _, _ = np.histogram2d(-y, x, bins=(height, width), range=((-y.max(), reach), (-reach, reach)))
    levels = np.ceil(np.minimum(counts / np.quantile(counts[counts > 0], 0.9), 1) * 4).astype(int)
    return "\n".join("  " + "".join(" .:*#"[level] for level in row).rstrip() for row in levels)


def main(seconds=20.0, dt=1e-3):
    steps = round(seconds / dt)
    start = time.perf_counter()
    simulate(*START, dt, 10)
    compiled = time.perf_counter()
    angles, energy = simulate(*START, dt, steps)
    done = time.perf_counter()
    before = sum(energies(*START))
    drift = np.abs(energy - before).max()
    print(f"A double pendulum, {seconds:g} s in {steps} steps: {done - compiled:.3f} s "
          f"({(done - compiled) / steps * 1e6:.2f} us a step), compiled in {compiled - start:.2f} s\n")
    x, y = tip(angles)
    print(drawing(x, y))
    print(f"\n  energy {before:.6f} J at the start, {energy[-1]:.6f} J at the end; largest change {drift:.1e} J")
    save_curves("pendulum", {"path of the tip": (x, y)}, ("x", "y"), False)
    return drift


if __name__ == "__main__":
    main()
