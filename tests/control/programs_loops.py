"""Loops: while, for over ranges, else, break, continue, return inside, nested in one another.

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


@program("while", (10,), (0,), (-3,), (1,))
def countdown(n):
    total = 0
    while n > 0:
        total += n
        n -= 1
    return total, n


@program("while", (a(100, 50), 1.0), (a(0.5, 0.25), 1.0), (a(NAN, 2), 1.0))
def shrink_until_small(x, limit):
    rounds = 0
    while x.max() > limit:
        x = x / 2
        rounds += 1
    return x, rounds


@program("while", (2.0, 1e-12), (2.0, 1e3), (100.0, 1e-12), (0.25, 1e-12))
def newton_root(n, tolerance):
    guess = n
    while abs(guess * guess - n) > tolerance * n:
        guess = 0.5 * (guess + n / guess)
    return guess


@program("while", (20, 3), (20, 0), (0, 3), (2, 3))
def two_conditions(n, budget):
    while n > 1 and budget > 0:
        n //= 2
        budget -= 1
    return n, budget


@program("while true with break", (17,), (1,), (0,))
def leave_in_the_middle(n):
    steps = 0
    while True:
        if n <= 1:
            break
        n = n // 2 if n % 2 == 0 else n - 1
        steps += 1
    return steps


@program("for over a range", (5,), (0,), (-2,), (1,))
def sum_of_squares(n):
    s = 0
    for i in range(n):
        s += i * i
    return s


@program("for over a range", (2, 11, 3), (11, 2, 3), (11, 2, -4), (0, 1, 1))
def range_with_traced_bounds_and_step(start, stop, step):
    count, last = 0, -1
    for i in range(start, stop, step):
        count += 1
        last = i
    return count, last


@program("for over a range", (1, 5, 0), (1, 5, 2))
def range_with_step_zero(start, stop, step):
    s = 0
    for i in range(start, stop, step):
        s += i
    return s


@program("for over a range", (a(1, 2, 3), 4), (a(1, 2, 3), 0), (a(NAN, 2, 3), 2))
def repeat_update(x, n):
    for _ in range(n):
        x = x * 0.5 + 1
    return x


@program("for over a range", (4,), (0,), (1,))
def loop_variable_after_the_loop(n):
    i = -1
    for i in range(n):
        pass
    return i


@program("for over a range", (4,), (0,), (1,))
def loop_variable_without_rounds(n):
    for i in range(n):
        square = i * i
    return i, square


@program("for over a range", (5,), (0,), (3,))
def loop_variable_is_assigned(n):
    s = 0
    for i in range(n):
        i = i * 2
        s += i
    return s


@program("break", (a(1, 2, -1, 4),), (a(-1, 2, 3, 4),), (a(1, 2, 3, 4),), (a(NAN, NAN, -3, 1),))
def first_negative(x):
    where = -1
    for i in range(len(x)):
        if x[i] < 0:
            where = i
            break
    return where


@program("break", (50, 20), (50, 0), (0, 20), (50, 1000))
def break_with_more_code_after(n, limit):
    s = 0
    for i in range(n):
        s += i
        if s > limit:
            s = -s
            break
        s += 1
    return s


@program("break", (100,), (2,), (0,), (7,))
def break_in_while(n):
    d = 2
    while d * d <= n:
        if n % d == 0:
            break
        d += 1
    return d


@program("break", (6, 4), (6, 100), (0, 4), (3, 1))
def break_in_nested_loops(n, limit):
    found = 0
    for i in range(n):
        for j in range(n):
            if i * j > limit:
                break
            found += 1
        if found > 20:
            break
    return found


@program("continue", (10,), (0,), (1,), (3,))
def sum_of_odd(n):
    s = 0
    for i in range(n):
        if i % 2 == 0:
            continue
        s += i
    return s


@program("continue", (10,), (0,), (5,))
def continue_in_while(n):
    i = s = 0
    while i < n:
        i += 1
        if i % 3 == 0:
            continue
        if i % 5 == 0:
            continue
        s += i
    return s


@program("continue", (5, 2), (0, 2), (5, 0), (5, 100))
def break_and_continue(n, k):
    s = 0
    for i in range(n):
        for j in range(n):
            if j == k:
                continue
            if j > i:
                break
            s += i * 10 + j
        else:
            s += 1000
    return s


@program("for ... else", (a(3, 1, 2), 1.0), (a(3, 1, 2), 9.0), (a(3, 1, 2), 3.0), (a(NAN, 1, 2), 2.0))
def position_or_minus_one(x, wanted):
    for i in range(len(x)):
        if x[i] == wanted:
            break
    else:
        i = -1
    return i


@program("for ... else", (13,), (12,), (2,), (1,))
def is_prime(n):
    if n < 2:
        return False
    for d in range(2, n):
        if n % d == 0:
            prime = False
            break
    else:
        prime = True
    return prime


@program("for ... else", (5,), (0,))
def else_without_break(n):
    s = 0
    for i in range(n):
        s += i
    else:
        s += 100
    return s


@program("while ... else", (10, 3), (10, -1), (0, 3), (2, 2))
def search_down(n, wanted):
    while n > 0:
        if n == wanted:
            found = 1
            break
        n -= 1
    else:
        found = 0
    return found, n


@program("return in a loop", (a(1, 2, -3, 4),), (a(-1, 2, 3, 4),), (a(1, 2, 3, 4),))
def return_first_negative(x):
    for i in range(len(x)):
        if x[i] < 0:
            return i
    return -1


@program("return in a loop", (12,), (7,), (1,), (0,))
def smallest_divisor(n):
    d = 2
    while d <= n:
        if n % d == 0:
            return d
        d += 1
    return 0


@program("return in a loop", (np.arange(12.0).reshape(3, 4), 5.0), (np.arange(12.0).reshape(3, 4), 0.0),
         (np.arange(12.0).reshape(3, 4), 50.0))
def find_in_matrix(m, value):
    rows, columns = m.shape
    for i in range(rows):
        for j in range(columns):
            if m[i, j] == value:
                return i, j
    return -1, -1


@program("return in a loop", (a(1, 2), 5, 10.0), (a(1, 2), 0, 10.0), (a(100, 2), 5, 10.0), (a(1, NAN), 5, 10.0))
def return_an_array_from_a_loop(x, n, limit):
    for i in range(n):
        x = x * 2
        if x.sum() > limit:
            return x + i
    return x


@program("nested loops", (4, 3), (0, 3), (4, 0), (1, 1))
def table_sum(m, n):
    s = 0
    for i in range(m):
        for j in range(n):
            s += i * j + 1
    return s


@program("nested loops", (6,), (0,), (1,))
def triangle_with_while(n):
    s = 0
    for i in range(n):
        j = i
        while j > 0:
            s += j
            j -= 2
    return s


@program("nested loops", (3, 4.0), (0, 4.0), (3, -4.0))
def three_levels(n, t):
    s = 0.0
    for i in range(n):
        for j in range(i, n):
            for k in range(j, n):
                if t > 0:
                    s += i + 10 * j + 100 * k
                else:
                    s -= t
    return s


@program("nested loops", (30,), (1,), (0,), (2,))
def primes_below(n):
    count = 0
    for i in range(2, n):
        j = 2
        while j * j <= i:
            if i % j == 0:
                break
            j += 1
        else:
            count += 1
    return count


@program("pass and constant tests", (3,), (0,))
def loop_that_never_runs(n):
    while False:
        n += 1
    for _ in ():
        n += 10
    if True:
        pass
    return n
