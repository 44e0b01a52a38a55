"""Objects: methods, attributes, closures, arguments that are changed, containers in and out.

Flows in: NumPy arrays, containers and instances.  Flows out: rows of the program table.
"""

import functools

import numpy as np

from tests.programs.program import closure, function, method

CALIBRATION = {"gain": np.array([1.5, 0.5, 2.0]), "offset": -0.25}


class Scaler:
    """Fitted once, applied often."""

    def __init__(self, mean, scale):
        self.mean = mean
        self.scale = scale

    def transform(self, x):
        return (x - self.mean) / self.scale


class KalmanFilter:
    """A scalar filter: `update` reads and assigns its attributes."""

    def __init__(self):
        self.state = np.zeros(3)
        self.variance = 1.0
        self.process_noise = 0.01

    def update(self, measurement, noise):
        predicted = self.variance + self.process_noise
        gain = predicted / (predicted + noise)
        self.state = self.state + gain * (measurement - self.state)
        self.variance = (1 - gain) * predicted
        return self.state


class Histogrammer:
    """Counts into its own array, in place."""

    def __init__(self):
        self.counts = np.zeros(4, dtype=np.int64)

    def add(self, values):
        self.counts += (values[:, None] == np.arange(4)).sum(axis=0)
        return self.counts.sum()


def make_scaler():
    return Scaler(np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 4.0]))


def make_smoother():
    """A closure over an array and a number."""
    kernel, bias = np.array([0.25, 0.5, 0.25]), 0.125

    def smooth(x):
        return kernel[0] * x[:-2] + kernel[1] * x[1:-1] + kernel[2] * x[2:] + bias

    return smooth


def make_polynomial():
    """A closure over a list of Python numbers, used by Horner's rule."""
    coefficients = [1.0, -0.5, 0.25, 3.0]

    def evaluate(x):
        return functools.reduce(lambda acc, c: acc * x + c, coefficients)

    return evaluate


def calibrate(raw):
    """Reads a global dict."""
    return raw * CALIBRATION["gain"] + CALIBRATION["offset"]


def normalize_rows_in_place(x):
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def scale_into(x, factor, out):
    """Writes through `out=` and returns it."""
    return np.multiply(x, factor, out=out)


def shift_through_view(x, amount):
    """Changes the argument through a view of a slice."""
    middle = x[1:-1]
    middle += amount
    first = x[0]
    first[...] = -1
    return x.sum()


def swap_columns(x, i, j):
    x[:, [i, j]] = x[:, [j, i]]


def momentum_update(params, grads, velocity, rate, momentum=0.9):
    """Updates dicts of arrays in place, as optimizers written in NumPy do."""
    for name in params:
        velocity[name] *= momentum
        velocity[name] -= rate * grads[name]
        params[name] += velocity[name]


def summarize(table):
    """A dict of columns to a dict of lists of tuples, with None and text among the values."""
    means = {name: (column.mean(), column.dtype.kind) for name, column in table.items()}
    return {"means": means, "sizes": [column.size for column in table.values()], "note": None, "label": "table"}


def accumulate_in_loop(rows):
    """A list of arrays in; a static loop over it."""
    total = np.zeros_like(rows[0])
    largest = []
    for row in rows:
        total += row
        largest.append(row.max())
    return total, tuple(largest)


def return_inputs(x, y):
    """An argument comes back unchanged beside something new."""
    return x, y + 1, [x, y]


def keyword_options(x, *scales, power=1, **extra):
    for s in scales:
        x = x * s
    return x**power + sum(extra.values())


def columns(r, n):
    return {"a": r.normal(size=n), "b": r.integers(0, 9, n), "c": r.random(n).astype("f4")}


def weights(r, n):
    return [{"w": r.normal(size=(n, 2)), "b": r.normal(size=2)} for _ in range(3)]


PROGRAMS = [
    method(make_scaler, "transform", lambda r: [(r.normal(size=(n, 3)),) for n in (5, 8)]),
    method(KalmanFilter, "update", lambda r: [(r.normal(size=3), 0.5) for _ in range(3)]),
    method(Histogrammer, "add", lambda r: [(r.integers(0, 4, n),) for n in (10, 30, 7)]),
    closure(make_smoother, lambda r: [(r.normal(size=n),) for n in (12, 20)]),
    closure(make_polynomial, lambda r: [(r.normal(size=n),) for n in (12, 20)]),
    function(calibrate, lambda r: [(r.normal(size=(n, 3)),) for n in (4, 6)]),
    function(normalize_rows_in_place, lambda r: [(r.normal(size=(n, 4)),) for n in (3, 7)]),
    function(scale_into, lambda r: [(r.normal(size=n), 2.5, np.empty(n)) for n in (6, 11)]),
    function(shift_through_view, lambda r: [(r.normal(size=(n, 3)), 0.5) for n in (5, 9)]),
    function(swap_columns, lambda r: [(r.normal(size=(n, 4)), 0, 2) for n in (3, 6)]),
    function(momentum_update, lambda r: [(*weights(r, n), 0.1) for n in (3, 5)]),
    function(summarize, lambda r: [(columns(r, n),) for n in (6, 9)]),
    function(accumulate_in_loop, lambda r: [([r.normal(size=n) for _ in range(3)],) for n in (4, 7)]),
    function(return_inputs, lambda r: [(r.normal(size=n), r.normal(size=n)) for n in (4, 7)]),
    function(keyword_options, lambda r: [(r.normal(size=n), 2.0, 0.5) for n in (4, 7)]),
]
