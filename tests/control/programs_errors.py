"""What can stop or talk: assert, raise, try, except, finally, print, f-strings, index errors, unbound variables.

Flows in: numbers and small arrays.  Flows out: `TABLE`.
"""

import math

import numpy as np

from tests.control.other_module import check_positive
from tests.control.program import Table

TABLE = Table()
program = TABLE.add
NAN = math.nan


class SolverError(Exception):
    """A user's own exception."""


def a(*values):
    return np.array(values, dtype=float)


@program("assert", (3,), (-3,), (0,))
def assert_without_message(n):
    assert n > 0
    return n * 2


@program("assert", (0.5, 2), (1.5, 2), (-0.5, 7), (NAN, 0))
def assert_with_values(p, n):
    assert 0 <= p <= 1, f"probability {p:.3f} at step {n:>4d} is out of range"
    return p * n


@program("assert", (a(1, 2, 3), 5), (a(1, 2, 3), 0), (a(1, -2, 3), 5), (a(1, 0.001, 300), 9))
def assert_in_a_loop(x, n):
    for i in range(n):
        x = x * 0.5
        assert x.sum() > 0.5, f"round {i}: sum {x.sum()}"
    return x


@program("assert", (a(1, 2),), (a(1, NAN),))
def assert_on_an_array(x):
    assert np.isfinite(x).all(), "values must be finite"
    return x.sum()


@program("raise", (3.0,), (-3.0,), (0.0,))
def checked_log(x):
    if x <= 0:
        raise ValueError(f"log of {x}")
    return math.log(x)


@program("raise", (3,), (0,), (-3,))
def several_exceptions(n):
    if n == 0:
        raise KeyError("zero")
    elif n < 0:
        raise SolverError(f"negative: {n}", n)
    return n


@program("raise", (5.0, 50), (5.0, 2), (5.0, 0), (-5.0, 50))
def raise_after_a_loop(x, limit):
    guess = x
    for _ in range(limit):
        new = 0.5 * (guess + x / guess)
        if abs(new - guess) < 1e-12:
            return new
        guess = new
    raise SolverError(f"no root of {x} after {limit} rounds")


@program("raise", (5, 2), (5, 9), (0, 0))
def raise_in_a_loop(n, bad):
    s = 0
    for i in range(n):
        if i == bad:
            raise RuntimeError(f"bad item {i}, sum so far {s}")
        s += i
    return s


@program("raise", (2.0, 3.0), (-2.0, 3.0), (2.0, 0.0))
def raise_in_another_module(p, q):
    return check_positive(p, "p") * check_positive(q, "q")


@program("try / except", (3.0,), (-3.0,), (NAN,))
def catch_own_error(x):
    try:
        if x < 0:
            raise ValueError("negative")
        y = x * 2
    except ValueError:
        y = 0.0
    return y


@program("try / except", (10, 2), (10, 0), (-10, 3))
def catch_zero_division(m, n):
    try:
        q = m // n
    except ZeroDivisionError:
        q = -1
    return q


@program("try / except", (a(1, 2, 3), 1), (a(1, 2, 3), 5), (a(1, 2, 3), -4), (a(1, 2, 3), -1))
def catch_index_error(x, i):
    try:
        return float(x[i])
    except IndexError:
        return 0.0


@program("try / except", (5, 2), (5, 9), (0, 2), (5, 0))
def catch_in_a_loop(n, bad):
    s = 0
    for i in range(n):
        try:
            if i == bad:
                raise ValueError("bad")
            s += i
        except ValueError:
            s += 100
    return s


@program("try / except", (5, 2), (5, 9), (0, 2), (5, 0))
def catch_around_a_loop(n, bad):
    s = 0
    try:
        for i in range(n):
            assert i != bad
            s += i
    except AssertionError:
        s = -s
    return s


@program("try / except", (2.0,), (-2.0,), (0.0,))
def choose_the_handler(x):
    try:
        if x < 0:
            raise ValueError("v")
        if x == 0:
            raise KeyError("k")
        r = 1
    except (TypeError, ValueError):
        r = 2
    except KeyError:
        r = 3
    else:
        r = 4
    return r


@program("try / except", (2.0,), (-2.0,))
def handler_reads_the_error(x):
    try:
        if x < 0:
            raise ValueError(f"bad value {x}")
        return "fine"
    except ValueError as error:
        return str(error)


@program("try / except", (2.0,), (-2.0,), (0.0,))
def error_passes_inner_handler(x):
    try:
        try:
            if x <= 0:
                raise ValueError("not positive")
            return x
        except KeyError:
            return -100.0
    except ValueError:
        return 0.0


@program("try / except", (2.0,), (-2.0,))
def bare_raise(x):
    try:
        if x < 0:
            raise ValueError(f"bad {x}")
    except ValueError:
        x = x * 2
        raise
    return x


@program("try / except", (4.0,), (-4.0,))
def raise_from(x):
    try:
        return check_positive(x, "x")
    except ValueError as error:
        raise SolverError(f"cannot start at {x}") from error


@program("try / finally", ([0.0, 0.0], 2.0), ([0.0, 0.0], -2.0))
def finally_writes(log, x):
    try:
        log[0] = x
        if x < 0:
            raise ValueError(f"x = {x}")
        return x
    finally:
        log[1] = 1.0


@program("try / finally", (5, 2), (5, 9), (0, 1), (5, 0))
def finally_in_a_loop(n, stop):
    visits = s = 0
    for i in range(n):
        try:
            if i == stop:
                break
            if i % 2:
                continue
            s += i
        finally:
            visits += 1
    return s, visits


@program("try / finally", (3.0,), (-3.0,), (0.0,))
def try_with_all_parts(x):
    order = 0
    try:
        order = order * 10 + 1
        if x < 0:
            raise ValueError("negative")
        if x == 0:
            return order
    except ValueError:
        order = order * 10 + 2
    else:
        order = order * 10 + 3
    finally:
        order = order * 10 + 4
    return order


@program("index errors", (a(1, 2, 3), 0), (a(1, 2, 3), 2), (a(1, 2, 3), 3), (a(1, 2, 3), -3), (a(1, 2, 3), -4))
def element_or_error(x, i):
    return x[i] * 2


@program("index errors", (a(1, 2, 3), 2), (a(1, 2, 3), 4), (a(1, 2, 3), 0))
def store_past_the_end(x, n):
    for i in range(n):
        x[i] = i
    return x.sum()


@program("index errors", (np.arange(6.0).reshape(2, 3), 1, 2), (np.arange(6.0).reshape(2, 3), 2, 0),
         (np.arange(6.0).reshape(2, 3), 0, -4))
def matrix_index_errors(m, i, j):
    if i > 0:
        return m[i, j]
    return m[i][j]


@program("division by zero", (7, 2), (7, 0), (-7, 2))
def python_division(m, n):
    return m // n, m % n, m / n


@program("division by zero", (7.0, 2.0), (7.0, 0.0), (-7.0, math.inf))
def float_division(x, y):
    total = 0.0
    for _ in range(2):
        total += x / y
    return total


@program("print", (3, 0.5), (0, 0.5), (2, -1.5))
def print_in_a_loop(n, x):
    print("start", n)
    for i in range(n):
        x = x * 2
        print(i, x, sep=": ")
    print(f"end {x:.2f}")
    return x


@program("print", (2.0,), (-2.0,))
def print_in_a_branch(x):
    if x > 0:
        print("positive", x, end="!\n")
    else:
        print("not positive")
    return x


@program("print", (a(1, 2), 1), (a(0.5, -2), 3))
def print_arrays(x, n):
    for _ in range(n):
        x = x + 1
    print(x, x.sum(), x.shape, "done")


@program("print", (2, 1), (3, 9), (0, 0))
def print_before_an_error(n, bad):
    for i in range(n):
        print("item", i)
        if i == bad:
            raise ValueError(f"item {i}")
    print("all done")


@program("f-strings", (3, 2.5), (-3, 1e10), (0, NAN))
def formatted_error(n, x):
    if n <= 0:
        raise ValueError(f"{n=} {x!r} {x:8.3f}|{x:e}|{n:04d}|{n:+d}|{x:g} {{}}")
    return x


@program("variable unbound at run time", (1,), (0,), (3,))
def unbound_after_loop(n):
    for i in range(n):
        value = i + 1
    return value


@program("variable unbound at run time", (1, 0), (0, 5), (0, 0), (4, -1))
def unbound_after_while(n, m):
    while n > m:
        last = n
        n -= 1
    return last * 2
