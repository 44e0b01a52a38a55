"""Branches: if, elif, else, the conditional expression, and, or, not, chained comparisons, walrus, match.

Flows in: numbers and small arrays.  Flows out: `TABLE`.
"""

import math

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
NAN = math.nan


def a(*values):
    return np.array(values, dtype=float)


@program("if / elif / else", (3.0,), (-2.0,), (0.0,), (NAN,))
def sign_name(x):
    if x > 0:
        r = 1
    elif x < 0:
        r = -1
    else:
        r = 0
    return r


@program("if / elif / else", (a(1, 2, 3),), (a(-1, -2, 0.5),), (a(NAN, 1, 2),))
def scale_by_sum(x):
    if x.sum() > 0:
        x = x / x.sum()
    return x * 2


@program("if / elif / else", (a(1, 2, 3), 0.5), (a(1, 2, 3), 10.0), (a(1, 2, 3), -1.0))
def clip_norm(g, limit):
    norm = np.sqrt((g * g).sum())
    if limit > 0 and norm > limit:
        g = g * (limit / norm)
    return g, norm


@program("if / elif / else", (5,), (50,), (500,), (-5,), (0,))
def tax(income):
    owed = 0.0
    if income > 0:
        if income < 10:
            owed = 0.1 * income
        elif income < 100:
            owed = 1 + 0.2 * (income - 10)
        else:
            owed = 19 + 0.3 * (income - 100)
    return owed


@program("if / elif / else", (a(3, 4), 1), (a(3, 4), 0), (a(3, 4), -7))
def nested_branches(x, n):
    out = x
    if n != 0:
        if n > 0:
            out = out + n
        else:
            out = out - n
        out = out * 2
    return out


@program("if / elif / else", (1.0, 2.0), (2.0, 1.0), (NAN, 1.0))
def two_variables(p, q):
    if p > q:
        low, high = q, p
    else:
        low, high = p, q
    return low, high, high - low


@program("if / elif / else", (a(1, 5, 2), 2.0), (a(1, 5, 2), -2.0))
def branch_changes_an_argument(x, t):
    if t > 0:
        x[0] = t
    else:
        x *= t
    return x.sum()


@program("if / elif / else", ({"a": a(1, 2), "b": 3.0}, 1), ({"a": a(1, 2), "b": 3.0}, 0))
def branches_give_dicts(d, n):
    if n:
        out = {"x": d["a"] + 1, "y": d["b"]}
    else:
        out = {"x": d["a"], "y": -d["b"]}
    return out


@program("conditional expression", (4.0,), (-4.0,), (NAN,))
def safe_root(x):
    return math.sqrt(x) if x >= 0 else -1.0


@program("conditional expression", (a(1, 2, 3), 2), (a(1, 2, 3), 0), (a(1, 2, 3), -1))
def conditional_arrays(x, n):
    y = x + n if n > 0 else x - 1 if n < 0 else x * 0
    return y.sum()


@program("conditional expression", (0,), (4,))
def guarded_division(n):
    return 10 / n if n else 0.0


@program("and / or / not", (3, 4), (0, 4), (3, 0), (-1, -1))
def logic_values(m, n):
    return m and n, m or n, not m, not (m and n)


@program("and / or / not", (0, 5), (2, 5), (10, 5))
def lazy_and(d, n):
    return d != 0 and n // d > 1


@program("and / or / not", (a(1, 2),), (a(-1, 2),), (a(-1, -2),))
def any_or_all(x):
    if np.all(x > 0) or not np.any(x > 0):
        return x.sum()
    return x.prod()


@program("and / or / not", (0.0, 2.0), (1.5, 2.0))
def default_by_or(x, fallback):
    return (x or fallback) * 2


@program("chained comparison", (5,), (0,), (10,), (-3,))
def in_range(n):
    return 0 < n < 10, 0 <= n <= 10 != 5


@program("chained comparison", (0.2,), (0.7,), (1.2,), (NAN,))
def band(x):
    if 0 <= x < 0.5:
        return 1
    if 0.5 <= x < 1:
        return 2
    return 3


@program("chained comparison", (1, 2, 2), (1, 2, 3), (3, 2, 1), (2, 2, 2))
def triangle_kind(p, q, r):
    if p == q == r:
        return 3
    return 2 if p == q or q == r or p == r else 1


@program("walrus", (30,), (10,), (2,))
def halves(n):
    if (half := n // 2) > 10:
        return half
    return half + 100


@program("walrus", (a(1, 2, 3),), (a(-1, -2, -3),))
def walrus_in_expression(x):
    y = (total := x.sum()) * 2 + (total if total > 0 else 0.0)
    return y, total


@program("walrus", (100,), (7,), (1,), (0,))
def walrus_in_while(n):
    steps = 0
    while (n := n // 2) > 0:
        steps += 1
    return steps, n


@program("match", (0,), (1,), (2,), (7,), (-1,))
def month_days(n):
    match n:
        case 0:
            days = 31
        case 1:
            days = 28
        case 2 | 3:
            days = 30
        case _ if n < 0:
            days = -1
        case _:
            days = 0
    return days


@program("match", ((1.0, 2.0),), ((0.0, 3.0),), ((4.0, 0.0),))
def match_sequence(point):
    match point:
        case (x, y) if x == 0:
            return y
        case (x, y) if y == 0:
            return x
        case (x, y):
            return x * y


@program("match", ({"kind": "circle", "r": 2.0},), ({"kind": "circle", "r": -1.0},))
def match_mapping(shape):
    match shape:
        case {"kind": "circle", "r": r} if r > 0:
            return math.pi * r * r
        case {"kind": "square", "side": s}:
            return s * s
        case _:
            return 0.0


@program("early return", (3,), (-3,), (0,))
def early_return(n):
    if n < 0:
        return -1
    n = n * 2
    if n == 0:
        return 0
    return n + 1


@program("early return", (a(1, 2), 1), (a(1, 2), 0))
def return_in_one_branch(x, n):
    if n:
        y = x * 2
        return y + 1
    y = x - 1
    return y


@program("early return", (2.0,), (-2.0,), (0.5,), (NAN,))
def nested_returns(x):
    if x > 0:
        if x > 1:
            return x
        y = x * 10
    else:
        y = -x
        if y > 1:
            return y * 3
    return y + 1


@program("early return", (1,), (-1,))
def return_none_always(n):
    if n > 0:
        return
    n += 1


@program("variable defined in one branch", (a(1, 2), 1), (a(1, 2), 2))
def defined_by_both_in_the_end(x, n):
    if n > 1:
        y = x * n
    if n <= 1:
        y = x
    return y


@program("variable defined in one branch", (3,), (-3,), (4,))
def unbound_after_branch(n):
    if n > 0:
        value = n * 2
    return value


@program("variable defined in one branch", (3.0,), (-3.0,))
def deleted_in_branch(x):
    y = x + 1
    if x < 0:
        del y
    return y


@program("weak scalars join the other branch's type", (a(1, 2, 3), 1), (a(1, 2, 3), -1))
def zero_or_sum(x, n):
    total = 0.0
    if n > 0:
        total = x.sum()
    return total + x


@program("early return", (3, a(1, -2, 0.5)), (0, a(1, -2, 0.5)), (-1, a(1, -2, 0.5)))
def write_to_one_of_two_arrays(i, x):
    if i > 0:
        x = np.abs(x)
    if i < 0:
        return x
    x[0] = 7.0
    return x


@program("early return", (0, 1, a(1, -2, 0.5)), (7, 3, a(1, -2, 0.5)), (-7, 5, a(-1, -2, 0.5)))
def store_and_return_in_an_elif(i, j, x):
    if -3 < i <= 4:
        i = i + 1
    elif x[i % 3] > 0:
        x[1] = 2.0
        if 4 > j:
            return i, j, x
    return j, i, x
