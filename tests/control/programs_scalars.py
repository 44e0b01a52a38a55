"""Scalar programs: number theory, root finding, integration, as functions of Python numbers.

Flows in: Python ints and floats.  Flows out: `TABLE`.
"""

import math

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
NAN, INF = math.nan, math.inf


@program("scalar functions", (27,), (1,), (97,), (2,))
def collatz_length(n):
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n //= 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


@program("scalar functions", (60,), (1,), (2,))
def longest_collatz(limit):
    best, best_start = 0, 1
    for start in range(1, limit):
        n, steps = start, 0
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        if steps > best:
            best, best_start = steps, start
    return best_start, best


@program("scalar functions", (48, 18), (17, 5), (0, 5), (5, 0), (0, 0))
def gcd(m, n):
    while n:
        m, n = n, m % n
    return m


@program("scalar functions", (12,), (1,), (0,))
def gcd_sum(n):
    total = 0
    for i in range(1, n):
        for j in range(1, i):
            p, q = i, j
            while q != 0:
                p, q = q, p % q
            total += p
    return total


@program("scalar functions", (3, 13, 1000), (2, 0, 7), (5, 62, 1000003), (-3, 5, 10))
def power_modulo(base, exponent, modulus):
    result = 1
    base %= modulus
    while exponent > 0:
        if exponent & 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent >>= 1
    return result


@program("scalar functions", (0.0, 2.0), (1.0, 1.0), (2.0, 0.0), (NAN, 1.0))
def bisection(low, high):
    for _ in range(60):
        middle = (low + high) / 2
        if middle * middle - 2 > 0:
            high = middle
        else:
            low = middle
    return low


@program("scalar functions", (1.0, 0.0), (1.0, 2.0), (0.1, 0.5))
def adaptive_rk4(y, end):
    def slope(t, y):
        return math.cos(t) * y

    def step(t, y, h):
        k1 = slope(t, y)
        k2 = slope(t + h / 2, y + h / 2 * k1)
        k3 = slope(t + h / 2, y + h / 2 * k2)
        k4 = slope(t + h, y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    t, h, rejected = 0.0, 0.1, 0
    while t < end:
        h = min(h, end - t)
        whole, halves = step(t, y, h), step(t + h / 2, step(t, y, h / 2), h / 2)
        error = abs(whole - halves)
        if error > 1e-8:
            h = h / 2
            rejected += 1
            continue
        t, y = t + h, halves
        if error < 1e-10:
            h = h * 2
    return y, rejected


@program("scalar functions", (-0.5, 0.5, 50), (2.0, 2.0, 50), (0.0, 0.0, 0), (-0.75, 0.1, 50))
def mandelbrot_escape(cr, ci, limit):
    zr = zi = 0.0
    for i in range(limit):
        if zr * zr + zi * zi > 4.0:
            return i
        zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
    return limit


@program("scalar functions", (1 + 2j, 3), (0j, 0), (-0.5 + 0.5j, 10))
def complex_iteration(c, n):
    z = 0j
    for _ in range(n):
        z = z * z + c
        if abs(z) > 2:
            break
    return z


@program("scalar functions", (30,), (0,), (1,), (2,))
def sieve(n):
    is_prime = np.ones(31, dtype=bool)
    is_prime[:2] = False
    i = 2
    while i * i <= n:
        if is_prime[i]:
            for j in range(i * i, n + 1, i):
                is_prime[j] = False
        i += 1
    return is_prime[: 31].sum() - 0


@program("scalar functions", (10.0,), (0.0,), (-1.0,), (1e-3,))
def exponential_series(x):
    term, total, k = 1.0, 1.0, 0
    while abs(term) > 1e-16:
        k += 1
        term *= x / k
        total += term
    return total, k


@program("scalar functions", (1234,), (0,), (7,), (900,))
def digit_sum(n):
    s = 0
    while n:
        n, digit = divmod(n, 10)
        s += digit
    return s


@program("scalar functions", (100.0, 0.07, 5), (100.0, 0.0, 0), (0.0, 0.5, 3))
def compound_interest(balance, rate, years):
    for year in range(years):
        balance *= 1 + rate
        if year % 2 == 1:
            balance -= 5
    return round(balance, 2)


@program("scalar functions", (12345, 6), (12345, 0), (1, 3))
def linear_congruential(seed, n):
    s = 0.0
    for _ in range(n):
        seed = (1103515245 * seed + 12345) % 2147483648
        s += seed / 2147483648
    return s, seed


@program("scalar functions", (5, 3), (0, 0), (3, 5), (6, 6))
def binomial(n, k):
    if k < 0 or k > n:
        return 0
    result = 1
    for i in range(1, k + 1):
        result = result * (n - k + i) // i
    return result


@program("scalar functions", (np.float32(2.0), 3), (np.float32(-1.5), 0), (np.float32(0.1), 7))
def numpy_scalars_keep_their_type(x, n):
    y = x
    for _ in range(n):
        y = y * x + 1
    return y


@program("scalar functions", (0.5,), (-INF,), (INF,), (NAN,), (-0.0,))
def special_values(x):
    n = 0
    while x < 100 and n < 10:
        x = x * 3 + 1
        n += 1
    if math.isnan(x):
        return -1.0, n
    return x, n
