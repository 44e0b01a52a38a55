"""A curve is fitted to measurements by Gauss and Newton's method, with the exact Jacobian of the model.

Flows in: a damped oscillation, measured with noise.  Flows out: its parameters with their standard errors.
Shows: tj.jacobian in forward and reverse mode inside of a `while` loop that is compiled; np.linalg in it.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples.show import save_curves  # noqa: E402

NAMES = ("amplitude", "decay", "frequency", "phase", "offset")
TRUE = np.array([2.0, 0.35, 1.7, 0.4, 0.5])
START = np.array([1.0, 0.1, 1.5, 0.0, 0.0])
NOISE = 0.05


def model(p, t):
    """A damped oscillation at the times t."""
    amplitude, decay, frequency, phase, offset = p
    return amplitude * np.exp(-decay * t) * np.cos(2 * np.pi * frequency * t + phase) + offset


def measurements(count=200, seed=0):
    t = np.linspace(0, 4, count)
    return t, model(TRUE, t) + NOISE * np.random.default_rng(seed).normal(size=count)


@tj.function
def fit(start, t, y, tolerance):
    """The parameters of least squares, their covariance, the sum of squares, and the number of steps.

    Levenberg and Marquardt's damping: less after a step that helps, more after one that does not.
    """
    def residual(p):
        return model(p, t) - y

    p, damping, steps, change = start, 1e-3, 0, np.inf
    r = residual(p)
    while change > tolerance and steps < 100:
        jacobian = tj.jacobian(residual, mode="forward")(p)
        normal = jacobian.T @ jacobian
        move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -jacobian.T @ r)
        new, change = residual(p + move), np.abs(move).max()
        steps += 1
        if new @ new < r @ r:
            p, r, damping = p + move, new, damping / 10
        else:
            damping *= 10
    jacobian = tj.jacobian(residual, mode="reverse")(p)
    variance = r @ r / (len(t) - len(start))
    return p, variance * np.linalg.inv(jacobian.T @ jacobian), r @ r, steps


def main():
    t, y = measurements()
    p, covariance, squares, steps = fit(START, t, y, 1e-10)
    print(f"A damped oscillation at {len(t)} times, noise {NOISE}: found in {steps} steps\n")
    print("  parameter      start      true     found      error")
    for name, start, true, found, error in zip(NAMES, START, TRUE, p, np.sqrt(np.diag(covariance)), strict=True):
        print(f"  {name:<10}{start:10.4f}{true:10.4f}{found:10.4f} +- {error:.4f}")
    print(f"\n  noise found {np.sqrt(squares / (len(t) - len(p))):.4f}")
    save_curves("gauss_newton", {"measured": (t, y), "fitted": (t, model(p, t))}, ("time", "value"), False)
    return p, covariance, steps


if __name__ == "__main__":
    main()
