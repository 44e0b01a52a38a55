"""What loops run over: arrays, lists, dicts, enumerate, zip, reversed, map, filter; comprehensions and reductions.

Flows in: small arrays and containers of one structure.  Flows out: `TABLE`.
"""

import math

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
NAN = math.nan


def a(*values):
    return np.array(values, dtype=float)


VECTORS = ((a(3, 1, 2, 5, 4, 6),), (a(-3, -1, 0, 5, -4, 0),), (a(NAN, 1, 2, -1, 0, 1),))
MATRICES = ((np.arange(12.0).reshape(6, 2),), (-np.arange(12.0).reshape(6, 2),))


@program("for over an array", *VECTORS)
def sum_positive(x):
    s = 0.0
    for v in x:
        if v > 0:
            s += v
    return s


@program("for over an array", *MATRICES)
def rows_of_a_matrix(m):
    total = np.zeros(2)
    for row in m:
        total = total + row * row.sum()
    return total


@program("for over an array", (np.array([3, 0, 2, 2, 5, 1]),), (np.array([0, 0, 0, 0, 0, 0]),))
def count_by_value(ids):
    counts = np.zeros(6, dtype=np.int64)
    for i in ids:
        counts[i] += 1
    return counts


@program("for over a slice", (a(1, 4, 2, 8, 5, 7), 2), (a(1, 4, 2, 8, 5, 7), 0), (a(1, 4, 2, 8, 5, 7), 6))
def loop_over_a_tail(x, start):
    best = 0.0
    for v in x[start:]:
        best = max(best, v)
    return float(best)


@program("enumerate", *VECTORS)
def weighted_sum(x):
    s = 0.0
    for i, v in enumerate(x):
        s += i * v
    return s


@program("enumerate", (a(1, 2, 3, 4, 5), 1), (a(1, 2, 3, 4, 5), -4))
def enumerate_from(x, first):
    s = 0.0
    for i, v in enumerate(x, first):
        s += i * v
    return s


@program("zip", (a(1, 2, 3, 4, 5), a(5, 4, 3, 2, 1)), (a(1, NAN, 3, 4, 5), a(0, 4, 0, 2, 1)))
def dot_by_hand(x, y):
    s = 0.0
    for p, q in zip(x, y):
        s += p * q
    return s


@program("zip", (a(1, 2, 3, 4, 5, 6), a(6, 5, 4, 3, 2, 1)), (a(3, 2, 3, 2, 1, 0), a(-6, 5, 4, 3, 2, 1)))
def nested_unpacking(x, y):
    s = 0.0
    for i, (p, q) in enumerate(zip(x, y[::-1])):
        if p > q:
            s += i
        else:
            s -= p
    return s


@program("reversed", *VECTORS)
def horner(coefficients):
    value = 0.0
    for c in reversed(coefficients):
        value = value * 0.5 + c
    return value


@program("reversed", (5,), (0,), (1,))
def reversed_range(n):
    digits = 0
    for i in reversed(range(n)):
        digits = digits * 10 + i
    return digits


@program("map and filter", *VECTORS)
def map_over_array(x):
    s = 0.0
    for v in map(lambda t: t * t + 1, x):
        s += v
    return s


@program("map and filter", (5,), (0,), (9,))
def filter_range(n):
    s = 0
    for i in filter(lambda k: k % 3 != 1, range(n)):
        s += i
    return s


@program("map and filter", ([1.0, -2.0, 3.0],), ([-1.0, -2.0, 0.0],))
def map_to_list(values):
    return list(map(lambda v: v * 2 if v > 0 else 0.0, values))


@program("lists, tuples and dicts", ([a(1, 2), a(3, 4), a(5, 6)],), ([a(-1, 2), a(3, -4), a(0, 0)],))
def loop_over_a_list_of_arrays(rows):
    total = np.zeros(2)
    for row in rows:
        if row.sum() > 0:
            total += row
    return total


@program("lists, tuples and dicts", ({"w": a(1, 2), "b": a(3.0)},), ({"w": a(-1, 2), "b": a(-3.0)},))
def dict_items(params):
    out = {}
    for name, value in params.items():
        out[name] = value * 2 if value.sum() > 0 else value
    return out


@program("lists, tuples and dicts", ({"a": 1.0, "b": 2.0, "c": 3.0}, 2.5), ({"a": -1.0, "b": 2.0, "c": 0.0}, 0.5))
def dict_keys_and_values(d, t):
    best = ""
    total = sum(d.values())
    for key in d:
        best = best + key
    return total * t, best, len(d)


@program("list comprehension", (a(1, 2, 3),), (a(-1, 0, NAN),))
def squares(x):
    return np.array([v * v + 1 for v in x])


@program("list comprehension", ([a(1, 2), a(3, 4)], 2.0), ([a(-1, 2), a(0, 0)], 0.0))
def comprehension_of_arrays(rows, k):
    return [r * k for r in rows], np.stack([r + k for r in rows])


@program("list comprehension", (7,), (0,), (1,))
def comprehension_with_traced_count(n):
    return np.array([i * 0.5 for i in range(n)]).sum()


@program("list comprehension", (a(1, 2, 3),), (a(-1, 0, 4),))
def nested_comprehension(x):
    return np.array([[p * q for q in x] for p in x])


@program("dict and set comprehension", ({"a": 1.0, "b": -2.0},), ({"a": -1.0, "b": 5.0},))
def dict_comprehension(d):
    return {k: (v if v > 0 else 0.0) for k, v in d.items()}


@program("generator expression", *VECTORS)
def sum_of_generator(x):
    return sum(v * v for v in x)


@program("generator expression", (10,), (0,), (1,))
def sum_with_condition(n):
    return sum(i * i for i in range(n) if i % 2)


@program("generator expression", *VECTORS)
def any_and_all(x):
    return any(v < 0 for v in x), all(v > 0 for v in x)


@program("generator expression", *VECTORS[:2])
def max_of_generator(x):
    return max(abs(v) for v in x), min(v * v for v in x)


@program("generators that can be unrolled", (1.0,), (-2.0,))
def own_generator(x):
    def powers(v):
        p = 1.0
        for _ in range(3):
            yield p
            p = p * v

    return sum(powers(x))


@program("sum / min / max / abs / len", *VECTORS[:2])
def builtins_on_arrays(x):
    return sum(x), min(x), max(x), len(x), abs(x)


@program("sum / min / max / abs / len", (3, -5, 2), (0, 0, 0), (-1, -2, -3))
def builtins_on_numbers(p, q, r):
    return min(p, q, r), max(p, q, r), abs(q), sum([p, q, r]), max([p, q], default=0)


@program("any / all", (a(1, 1, 0),), (a(0, 0, 0),), (a(1, 1, 1),))
def any_all_of_array(x):
    if any(x):
        return 2 if all(x) else 1
    return 0


@program("sorted", (3.0, 1.0, 2.0), (1.0, 2.0, 3.0), (2.0, 2.0, -1.0))
def sort_three(p, q, r):
    low, mid, high = sorted([p, q, r])
    return low, mid, high


@program("sorted", (a(3, 1, 2),), (a(-3, 1, -2),))
def sorted_array(x):
    s = sorted(x)
    return s[0], s[-1], len(s)


@program("int / float / bool / round / divmod", (7.6,), (-7.6,), (0.0,), (2.5,))
def conversions_of_floats(x):
    return int(x), float(x), bool(x), round(x), round(x, 1), x // 2, divmod(x, 2.0)


@program("int / float / bool / round / divmod", (17, 5), (-17, 5), (17, -5), (0, 3))
def conversions_of_ints(m, n):
    return divmod(m, n), float(m), bool(m), m // n, m % n, int(m / n)


@program("int / float / bool / round / divmod", (a(2.7, -1.2), 1), (a(0.2, 1e6), 0))
def conversions_of_elements(x, i):
    n = int(x[i])
    s = 0
    for k in range(n):
        s += k
    return s, float(x[0]), bool(x[1] > 0)


@program("for over a tuple of functions", (2.0,), (-2.0,), (NAN,))
def loop_over_functions(x):
    for f in (np.sin, np.cos, abs, lambda v: v + 1):
        x = f(x)
    return x


@program("for over an array", (a(0.1, 0.2, 0.3, 0.4), 3), (a(0.1, 0.2, 0.3, 0.4), 2))
def array_that_a_while_leaves(y, n):
    y, t = y * 2, 0.0
    for t in y:
        y[-1] = y[0] + t
        k = 0
        while k < 1 and n % 2 == 0:
            k += 1
            y = y[::-1].copy()
            y[0] = t
    return t, y


@program("zip", (a(0.1, 0.2, 0.3, 0.4), 3), (a(0.1, 0.2, 0.3, 0.4), 2))
def zipped_array_that_a_while_leaves(y, n):
    y, s = y * 2, 0.0
    pairs = zip(reversed(y), y)
    for v, w in pairs:
        k = 0
        while k < 1 and n % 2 == 0:
            k += 1
            y = y + 1
        y[2] = v + w
        s += v - 2 * w
    return s, y
