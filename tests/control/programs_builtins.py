"""Builtins, `math`, `itertools` and `match` where traced values decide: each element is made and asked as Python does.

Flows in: small arrays and numbers.  Flows out: `TABLE`.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
NAN = math.nan


def a(*values):
    return np.array(values, dtype=float)


VECTORS = ((a(3, 1, 2, 5, 4, 6),), (a(-3, -1, 0, 5, -4, 0),), (a(NAN, 1, 2, -1, 0, 1),))
COUNTS = ((5,), (0,), (9,), (1,))


@dataclass
class Point:
    x: float
    y: float


@program("any / all", *VECTORS, (a(2, 4, 0, 1, 1, 1),))
def stops_before_it_divides(x):
    return any(1 / float(v) > 0.4 for v in x), all(10 // int(v) > 1 for v in x if v == v)


@program("any / all", (12,), (1,), (97,), (91,))
def is_prime_by_all(n):
    return n > 1 and all(n % k for k in range(2, math.isqrt(n) + 1))


@program("generator expression", *COUNTS)
def pairs_of_a_triangle(n):
    found = any(i * j == 12 for i in range(n) for j in range(i))
    return found, sum(i * j for i in range(n) for j in range(i) if (i + j) % 3)


@program("generator expression", *VECTORS)
def first_that_is_large(x):
    return next((i for i, v in enumerate(x) if v > 4), -1)


@program("generator expression", (3,), (7,), (0,))
def first_or_stop(n):
    return next(i for i in range(n) if i * i > 3)


@program("generator expression", *COUNTS)
def extremes_with_default(n):
    return max((i * 7 % 5 for i in range(n)), default=-1), min((abs(i - 3) for i in range(1, n)), default=99)


@program("generator expression", *VECTORS[:2])
def best_with_its_place(x):
    value, place = max((v, i) for i, v in enumerate(x))
    return value, place


@program("generator expression", *COUNTS)
def used_up(n):
    squares = (i * i for i in range(n))
    return sum(squares), sum(squares)


@program("map and filter", *VECTORS[:2])
def filter_then_enumerate(x):
    total = 0.0
    for i, v in enumerate(filter(lambda t: t > 0, x)):
        if i == 2:
            break
        total += i * v
    else:
        total -= 1
    return float(total)


@program("map and filter", *COUNTS)
def chain_of_maps(n):
    return sum(map(lambda k: k * k, filter(lambda k: k % 2, map(lambda k: k + 3, range(n)))))


@program("zip", *VECTORS)
def zip_is_used_once(x):
    steps = zip(x, x[1:])
    return sum(q - p for p, q in steps if p < q) + 0.5, len(list(steps))


@program("sum / min / max / abs / len", *VECTORS, (a(1, NAN, 0, 3, 2, NAN),))
def extremes_of_nan_and_keys(x):
    return max(x), min(x), max(x, key=lambda v: -v * v), min(x, key=abs)


@program("sum / min / max / abs / len", (7, 3), (-1, 4), (2, 2))
def compare_pairs(p, q):
    return (p, q) < (q, p), (p, 1) >= (1, q), [p, q] == [2, 2], max((p, q), (q, p))


@program("sorted", *VECTORS[:2])
def sort_by_key(x):
    return sorted(x, key=abs)[0], sorted(x, reverse=True)[:2], sorted((v * v, i) for i, v in enumerate(x))[1]


@program("sorted", (3.0, 1.0, 2), (1.0, 1.0, -2))
def sort_a_list_in_place(p, q, n):
    values = [p, q, p * q, float(n)]
    values.sort(reverse=True)
    return values


@program("for over a slice", (a(1, 4, 2, 8, 5, 7), 2), (a(1, 4, 2, 8, 5, 7), 1), (a(1, 4, 2, 8, 5, 7), -2))
def running_mean_of_a_tail(x, start):
    tail = x[start:]
    total = 0.0
    for i, v in enumerate(tail):
        total += v
        tail[i] = total / (i + 1)
    return x, tail.sum()


@program("result whose size the data decide", (4,), (0,), (7,))
def table_of_products(n):
    table = np.zeros((n, n), dtype=np.int64)
    for i in range(n):
        for j in range(i + 1):
            table[i, j] = table[j, i] = (i + 1) * (j + 1)
    return table, np.arange(n) * 2, np.linspace(0.0, 1.0, n)


@program("int / float / bool / round / divmod", (1.115,), (2.675,), (-0.5,), (1234.5,))
def round_exactly(x):
    return round(x, 2), round(x, 1), round(x), round(x, -2), round(int(x * 100), -1)


@program("int / float / bool / round / divmod", (1.5,), (NAN,), (math.inf,))
def no_int_of_nan(x):
    try:
        return int(x)
    except (ValueError, OverflowError):
        return -1


@program("scalar functions", (12, 18, 0.25), (35, 14, 2.0), (-4, 6, -1.0))
def number_theory(n, m, x):
    return math.gcd(n, m), math.lcm(n, m), math.ldexp(x, 3), math.isclose(x, x + 1e-12), math.hypot(x, 1.0, 2.0)


@program("scalar functions", (0.5,), (2.0,), (-1.0,), (NAN,))
def domain_of_functions(x):
    try:
        return math.asin(x) + math.log1p(x)
    except ValueError:
        return 100.0


@program("higher-order functions", *VECTORS[:2])
def reduce_and_accumulate(x):
    product = functools.reduce(lambda p, q: p * q + 1, x)
    return product, sum(itertools.accumulate(x)), sum(p * q for p, q in itertools.pairwise(x))


@program("generator expression", (20,), (0,), (3,))
def iterators_of_itertools(n):
    small = sum(itertools.takewhile(lambda v: v < 10, range(n)))
    places = next(i for i in itertools.count(1) if i * i > n)
    return small, places, sum(i * j for i, j in itertools.product(range(n), range(3)))


@program("match", (Point(0.0, 3.0),), (Point(1.0, 5.0),), (Point(1.0, 1.0),), (Point(4.0, 2.0),))
def match_class(point):
    match point:
        case Point(0, y):
            return y
        case Point(x=1, y=w) if w > 2:
            return w * 2
        case Point(x, y):
            return x + y


@program("match", (1, 3), (7, 1), (0, 0), (2, 5))
def match_alternatives(p, q):
    match p, q:
        case 0, 0:
            return -1
        case (1, z) | (z, 1):
            return z * 10
        case (x, 5 | 6 as y):
            return x * 100 + y
    return 0


@program("match", ([1.0, 2.0, 3.0], 0.0), ([1.0, 2.0, 3.0], 5.0))
def match_star(items, limit):
    match items:
        case []:
            return 0.0
        case [first, *rest] if first > limit:
            return first + sum(rest) * 10
        case [*_, last]:
            return last


@program("match", *COUNTS)
def match_in_a_loop(n):
    total = 0
    for i in range(n):
        match i % 3, i % 2:
            case 0, _:
                total += 1
            case 1, 1:
                total += 10
            case r, s if r > s:
                total += 100
    return total


@program("match", (3, 1.0), (-3, 2.0), (0, 0.5))
def match_of_a_test(n, x):
    match n > 0:
        case True:
            sign = 1
        case False:
            sign = -1
    return sign * x


@program("lists as queues and stacks", (0, 1.5), (1, 1.5), (0, -2.0))
def loop_over_a_list_that_is_empty_so_far(i, y):
    items = []
    x = 0.0
    if i == 0:
        for v in list(items):
            x += v
    items.append(y)
    return x, items


@program("nonlocal", (3, 0.0), (1, 2.0), (0, 0.0))
def inner_function_counts_in_a_test(n, x):
    count = 0

    def counted():
        nonlocal count
        count += 1

    while n > 0:
        n -= 1
        if x or not counted():
            n -= count
    return n, count


@program("an exception leaves what Python leaves", (a(0.5, 0, -2), 3, 1), (a(0.5, 0, -2), 3, 2), (a(1, 1, 1), 2, 9))
def fails_before_the_name_is_bound_anew(x, rounds, last):
    for n in range(1, rounds + 1):
        x[0] = 5.0
        if n == last:
            raise ValueError("stop")
        x = x * 0.5
    return x


@program("an exception leaves what Python leaves", (a(0.5, 1, -2), a(1, 2, 3), 5, 0), (a(0.5, 1, -2), a(1, 2, 3), 5, 1),
         (a(0.5, 1, -2), a(1, 2, 3), 5, 2), (a(0.5, 1, -2), a(1, 2, 3), 3, 9))
def fails_while_buffers_are_swapped(u, v, rounds, last):
    for n in range(rounds):
        v[0] = u[1] * 2 + n
        if n == last:
            raise ValueError("stop")
        u, v = v, u
    return u
