"""Indexing: masks, gathers, scatters, sorting, sets of rows, run-time sizes.

Flows in: NumPy arrays.  Flows out: rows of the program table.
"""

import numpy as np

from tests.programs.program import function


def one_hot(labels, classes):
    out = np.zeros((labels.shape[0], classes), dtype=np.float32)
    out[np.arange(labels.shape[0]), labels] = 1
    return out


def positive_part(x):
    """The size of the result is known at run time only."""
    return x[x > 0]


def finite_mean(x):
    """Missing values are NaN."""
    good = np.isfinite(x)
    filled = np.where(good, x, 0.0)
    return filled.sum(axis=0) / np.maximum(good.sum(axis=0), 1), x[good].size


def replace_outliers(x, limit):
    y = x.copy()
    y[np.abs(y) > limit] = np.nan
    y[np.isnan(y)] = np.nanmean(y)
    return y


def top_rows(scores, table, k):
    """The rows of the k best scores, best first."""
    order = np.argsort(-scores, kind="stable")[:k]
    return order, table[order], scores[order]


def lexicographic_gather(table, rows, cols):
    block = table[rows][:, cols]
    return block, table[rows[:, None], cols], table[..., -1], table[::-2, 1:]


def histogram_counts(values, bins):
    counts = np.zeros(bins, dtype=int)
    np.add.at(counts, values, 1)
    return counts, np.cumsum(counts) / counts.sum()


def inverse_permutation(p):
    q = np.empty_like(p)
    q[p] = np.arange(p.size)
    return q, p[q]


def causal_mask(n_tokens, scores):
    mask = np.tril(np.ones((n_tokens, n_tokens), dtype=bool))
    return np.where(mask, scores, -np.inf)


def piecewise(x):
    return np.select([x < -1, x < 0, x < 1], [-1.0 + 0 * x, x, x**2], default=1.0)


def bit_fields(words):
    """Unpacks and repacks a 32-bit word: shifts, masks, wrapping arithmetic."""
    low, mid, high = words & 0xFF, (words >> 8) & 0xFFF, words >> 20
    again = (high << 20) | (mid << 8) | low
    mixed = (words ^ (words >> 15)) * np.uint32(2246822519)
    return low, mid, high, again, mixed


def calendar(days):
    """Integer division and remainder of negative numbers, as NumPy rounds them."""
    week, weekday = np.divmod(days, 7)
    return week, weekday, days // -3, days % 5, np.sign(days)


def nonzero_coordinates(grid):
    rows, cols = np.nonzero(grid)
    return rows, cols, grid[rows, cols].sum()


def take_and_put(x, index):
    picked = np.take(x, index, axis=1)
    along = np.take_along_axis(x, np.argsort(x, axis=1), axis=1)
    return picked, along, x.ravel()[index]


def checkerboard(h, w):
    """Shapes from integers: each new one is a guard of the trace."""
    board = np.zeros((h, w), dtype=np.int8)
    board[::2, 1::2] = 1
    board[1::2, ::2] = 1
    return board


def stack_and_split(a, b):
    wide = np.hstack([a, b])
    tall = np.vstack((a, b))
    left, right = np.split(wide, 2, axis=1)
    return (
        np.tile(left, (2, 1)),
        np.repeat(right, 3, axis=0),
        np.concatenate([tall, tall[:1]]),
        np.atleast_2d(a[0]).shape,
    )


def smallest_missing_reading(t, values):
    """Linear interpolation at the middle of each interval, by searching sorted times."""
    middle = 0.5 * (t[1:] + t[:-1])
    at = np.searchsorted(t, middle) - 1
    f = (middle - t[at]) / (t[at + 1] - t[at])
    return values[at] * (1 - f) + values[at + 1] * f


def with_gaps(r, *shape):
    x = r.normal(size=shape)
    x[r.random(shape) < 0.2] = np.nan
    return x


PROGRAMS = [
    function(one_hot, lambda r: [(r.integers(0, 5, 8), 5), (r.integers(0, 5, 12), 5), (r.integers(0, 5, 12), 7)]),
    function(positive_part, lambda r: [(r.normal(size=20),), (r.normal(size=35),), (-r.random(7),)]),
    function(finite_mean, lambda r: [(with_gaps(r, 12, 3),), (with_gaps(r, 20, 4),)]),
    function(replace_outliers, lambda r: [(r.normal(size=30), 1.5), (r.normal(size=(6, 7)), 2.0)]),
    function(top_rows, lambda r: [(r.normal(size=n), r.normal(size=(n, 3)), 4) for n in (10, 15)]),
    function(
        lexicographic_gather,
        lambda r: [(r.integers(0, 99, (7, n)), np.array([5, 0, 2]), np.array([1, -1])) for n in (4, 6)],
    ),
    function(histogram_counts, lambda r: [(r.integers(0, 6, n), 6) for n in (40, 25)]),
    function(inverse_permutation, lambda r: [(r.permutation(n),) for n in (9, 14)]),
    function(causal_mask, lambda r: [(n, r.normal(size=(2, n, n))) for n in (5, 8)]),
    function(piecewise, lambda r: [(3 * r.normal(size=30),), (3 * r.normal(size=(4, 6)),)]),
    function(bit_fields, lambda r: [(r.integers(0, 2**32, n, dtype=np.uint32),) for n in (20, 33)]),
    function(calendar, lambda r: [(r.integers(-99, 99, 20),), (r.integers(-99, 99, 31).astype(np.int32),)]),
    function(nonzero_coordinates, lambda r: [(r.integers(0, 3, s),) for s in [(5, 6), (8, 3)]]),
    function(take_and_put, lambda r: [(r.normal(size=s), np.array([2, 0, 1, 1])) for s in [(3, 4), (5, 3)]]),
    function(checkerboard, lambda r: [(4, 6), (5, 5)]),
    function(stack_and_split, lambda r: [(r.normal(size=(n, 3)), r.normal(size=(n, 3))) for n in (2, 4)]),
    function(
        smallest_missing_reading, lambda r: [(np.sort(r.random(n)), r.normal(size=n)) for n in (10, 24)], rtol=1e-9
    ),
]
