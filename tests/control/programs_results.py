"""What a function gives back: None or a value, arrays whose size the data decide, what stands after an error.

Flows in: numbers and small arrays.  Flows out: `TABLE`.
"""

import numpy as np

from tests.control.program import Table

TABLE = Table()
program, made = TABLE.add, TABLE.make
MAYBE, LATE, LEFT = "result or None", "result whose size the data decide", "an exception leaves what Python leaves"


def a(*values):
    return np.array(values, dtype=float)


def ints(*values):
    return np.array(values, dtype=np.int64)


# ---- None or a value -------------------------------------------------------------------------------------------------


@program(MAYBE, (a(3, 1, 4, 1, 5), 4.0), (a(3, 1, 4, 1, 5), 9.0), (a(2, 2, 2, 2, 2), 2.0))
def index_of(x, value):
    for i in range(len(x)):
        if x[i] == value:
            return i
    return None


@program(MAYBE, (a(1, 2, 3), 1.5), (a(1, 2, 3), 5.0), (a(9, 2, 3), 0.0))
def falls_off_its_end(x, limit):
    if x.sum() > limit * 3:
        return x - limit


@program(MAYBE, (ints(49, 50, 43, 51),), (ints(49, 50, 51, 52),), (ints(49, 65, 43, 51),), (ints(43, 49, 50, 51),))
def parse_sum(text):
    left, value, seen = None, 0, False
    for i in range(len(text)):
        c = text[i]
        if c == 43:
            if not seen:
                return None
            left, value, seen = value, 0, False
        elif 48 <= c <= 57:
            value, seen = value * 10 + int(c) - 48, True
        else:
            return None
    if left is None or not seen:
        return None
    return left, value, left + value


@program(MAYBE, (a(3, 1, 2), 1.5), (a(0, 1, 1), 1.5), (a(9, 9, 9), 1.5))
def first_and_last_above(x, limit):
    first = last = None
    for i in range(len(x)):
        if x[i] > limit:
            first = i if first is None else first
            last = i
    return {"first": first, "last": last, "both": None if first is None else (first, x[last])}


@program(MAYBE, (a(1, 4), 2.0), (a(1, 4), -2.0), (a(0, 4), 2.0))
def roots_of_a_quadratic(c, b):
    d = b * b - 4 * c[0] * c[1]
    if c[0] == 0:
        return None if b == 0 else (-c[1] / b, None)
    if d < -28:
        return None
    return (-b + abs(d) ** 0.5) / (2 * c[0]), (-b - abs(d) ** 0.5) / (2 * c[0])


@made(MAYBE, (a(1, 2),), (a(-1, -2),), (a(5, 0),), (a(-5, 0),))
def keeps_the_best(jit):
    class Search:
        def __init__(self):
            self.best, self.calls = None, 0

        @jit
        def look(self, x):
            self.calls += 1
            self.best = x * 2 if x.sum() > 0 else None
            return self.calls

    return Search().look


@made(MAYBE, (a(1, 2, 3, 4, 5), 2.0), (a(1, 2, 3, 4, 5), 9.0), (a(9, 2, 3, 9, 5), -1.0), (a(9, 2, 3, 9, 5), 4.0))
def keeps_a_log(jit):
    class Log:
        def __init__(self):
            self.last, self.count, self.table = None, 0, {"n": 0.0}

        @jit
        def run(self, x, t):
            found = []
            for v in x:
                if v > t:
                    found.append(None if v > 8 else v)
                    self.table["n"] += float(v)
            self.last = found if len(found) > 1 else None
            if t < 0:
                raise ValueError("negative")
            return None if len(found) == 0 else (found, found[-1])

    return Log().run


# ---- sizes that the data decide --------------------------------------------------------------------------------------


@program(LATE, (ints(1, 3, 2),), (ints(0, 0, 0),), (ints(5, 0, 40),))
def repeated(counts):
    return np.repeat(np.arange(3), counts)


@program(LATE, (ints(1, 3, 2),), (ints(0, 0, 0),), (ints(5, 0, 4000),))
def counted(x):
    return np.bincount(x), np.bincount(x, x * 0.5)


@program(LATE, (ints(1, 3, 2),), (ints(0, 0, 0),), (ints(5, 0, 20_000),))
def range_to_a_sum(x):
    return np.arange(x.sum()), np.arange(x[0], x[0] + x.max(), 2)


@program(LATE, (ints(1, 3, 2), a(2, 4)), (ints(0, 0, 1), a(0, 0)), (ints(5, 0, 2), a(-1, 8)))
def several_late_results(x, y):
    n = int(x.sum())
    squares = np.zeros((n, 2))
    for i in range(n):
        squares[i] = i * i + y
    steps = np.arange(n)
    return {"squares": squares, "n": n, "steps": (steps, steps * 0.5), "large": y[y > 1], "same": steps}


@program(LATE, (a(3, 1, 2), 2.0), (a(9, 1, 2), 2.0), (a(1, 1, 1), 2.0), (a(-9, 3, 3), 2.0))
def late_result_or_error(x, limit):
    large = x[x > limit]
    if len(large) == 0:
        raise ValueError(f"nothing above {limit}")
    assert x.sum() > 0, "the sum is negative"
    return large / x.sum(), np.flatnonzero(x > limit)


@program(LATE, (a(3, 1, 2), ints(2, 1)), (a(0, 1, 2), ints(0, 3)))
def late_results_of_later_sizes(x, counts):
    rows = np.repeat(x[x > 0], 2)
    return np.ones((counts.sum(), 3)) * np.arange(3), np.cumsum(rows), rows.reshape(-1, 2)


@program(LATE, (a(3, 1, 2), 2.0), (a(9, 1, 2), 0.0), (a(1, 1, 1), 9.0))
def filtered_or_none(x, limit):
    mask = x > limit
    if not mask.any():
        return None
    return x[mask], {"count": mask.sum(), "where": np.flatnonzero(mask)}


@program(LATE, (a(3, 1, 2), 2), (a(9, 1, 2), 0), (a(1, 1, 1), 7))
def sizes_differ_between_branches(x, n):
    y = np.repeat(x, 2) if n > 1 else x[x > 1]
    if n > 5:
        y = np.append(y, y)
    return y, y.sum(), len(y)


@program(LATE, (2,), (9,), (0,))
def an_array_grows_in_a_loop(n):
    found, k = np.zeros(0, np.int64), 2
    while len(found) < n:
        if np.all(k % found != 0):
            found = np.append(found, k)
        k += 1
    return found


@program(LATE, (a(5, 3, 9, 1, 4), 0.5), (a(5, 5, 5, 5, 5), 0.5), (a(1, 2, 3, 4, 5), 9.0))
def an_array_shrinks_in_a_loop(x, step):
    rounds = 0
    while len(x) > 1 and rounds < 20:
        x = x[x > x.min()] - step
        rounds += 1
    return x, rounds


@program(LATE, (a(3, 1, 2, 5, 4), 1.5), (a(0, 1, 0, 1, 0), 1.5), (a(1, 2, 1, 2, 1), 1.5))
def a_list_grows_in_a_body_and_in_its_handler(x, limit):
    found = []
    for i in range(len(x)):
        try:
            found.append(i + 0.0)
            if x[i] > limit:
                raise ValueError("large")
            found.append(float(x[i]))
        except ValueError:
            found.append(-float(x[i]))
            found.append(i * 10.0)
    return found, len(found)


@program(LATE, (a(3, 1, 2, 5, 4), 1.5), (a(3, 3, 3, 3, 3), 1.5), (a(-1, 2, -1, 2, -3), 1.5))
def a_size_that_a_body_finds_in_its_handler(x, limit):
    y = x * 1
    try:
        y = y[y != 3][::-1] * 1
        if y.sum() > limit:
            raise ValueError("large")
        y = np.append(y, limit)
    except ValueError:
        y = np.append(y, y)
    return y


# ---- errors ----------------------------------------------------------------------------------------------------------


@program(LEFT, ([1.0, 2.0], {"n": 0}, a(1, 2), 1.0), ([1.0, 2.0], {"n": 0}, a(1, 2), -1.0),
         ([1.0, 2.0], {"n": 0}, a(1, 2), -5.0))
def a_list_grows_before_an_error(values, table, x, t):
    values.append(t)
    table["n"] = x.sum()
    if t < 0:
        table["bad"] = t
        values[0] = x * t
        assert t > -3, f"t is {t}"
        raise KeyError("small")
    values.append(x)
    return len(values)


@made(LEFT, (a(1, 2), 1.0), (a(1, 2), -1.0), (a(3, 4), 7.0), (a(3, 4), -7.0), (a(3, 4), 3.0))
def attributes_change_form_before_an_error(jit):
    class Fit:
        def __init__(self):
            self.state, self.steps, self.log = None, 0, ()

        @jit
        def step(self, x, t):
            self.state = (t, x)
            self.log = x[x > t]
            for _ in range(3):
                self.steps += 1
                if t < 0:
                    raise ArithmeticError(f"{t} after {self.steps} steps")
            self.state = None if t > 5 else x + t
            assert t < 6, "large"
            return self.steps

    return Fit().step


TOTAL = 0.0


@program(LEFT, (a(1, 2, 3), 10.0), (a(1, 2, 3), 2.5), (a(4, 5, 6), 2.5), state=("TOTAL",))
def a_global_before_an_error(x, limit):
    global TOTAL
    for i in range(len(x)):
        TOTAL += float(x[i])
        if TOTAL > limit * 10:
            raise OverflowError(f"{TOTAL} at {i}")
    return x / TOTAL
