"""Functions: nested, closures, lambdas, helpers of other modules, recursion, methods, decorators, star-arguments.

Flows in: numbers and small arrays.  Flows out: `TABLE`.
"""

import functools
import math

import numpy as np

from tests.control import other_module
from tests.control.other_module import bisect
from tests.control.program import Table

TABLE = Table()
program, made = TABLE.add, TABLE.make
NAN = math.nan


def a(*values):
    return np.array(values, dtype=float)


@program("nested functions", (3.0,), (-3.0,), (0.0,))
def inner_function_with_branch(x):
    def relu(v):
        if v > 0:
            return v
        return 0.0

    return relu(x) + 2 * relu(-x)


@program("nested functions", (5,), (0,), (-2,))
def inner_function_with_loop(n):
    def triangle(k):
        s = 0
        for i in range(k):
            s += i
        return s

    total = 0
    for i in range(n):
        total += triangle(i)
    return total


@program("nonlocal", (5,), (0,), (1,))
def nonlocal_counter(n):
    count = 0

    def tick(k):
        nonlocal count
        if k % 2 == 0:
            count += k

    for i in range(n):
        tick(i)
    return count


@made("closures", (a(1, 2), 1), (a(1, 2), 4), (a(1, 2), 0))
def closure_over_parameters(jit):
    scale, offsets = 1.5, np.array([0.5, -0.5])

    @jit
    def apply(x, n):
        for _ in range(n):
            if x.sum() < 20:
                x = x * scale + offsets
        return x

    return apply


@made("nonlocal", (2.0,), (-1.0,), (3.0,))
def nonlocal_of_a_closure(jit):
    total, calls = 0.0, 0

    @jit
    def add(x):
        nonlocal total, calls
        calls += 1
        if x > 0:
            total += x
        return total, calls

    return add


@program("lambdas", (3.0, 2), (-3.0, 2), (3.0, 0))
def lambda_with_condition(x, n):
    step = lambda v: v / 2 if v > 1 else v * 3
    for _ in range(n):
        x = step(x)
    return x


@made("lambdas", (4,), (-4,), (0,))
def decorated_lambda(jit):
    return jit(lambda n: sum(i for i in range(n)) if n > 0 else -1)


@program("helpers of other modules", (0.0, 2.0), (1.0, 5.0), (1.5, 1.5))
def helper_with_loop(low, high):
    return bisect(lambda v: v * v - 2.0, low, high)


@program("helpers of other modules", (a(1, 5, 2, 8), 4.0), (a(1, 5, 2, 8), 0.0), (a(1, 5, 2, 8), 100.0))
def helper_through_module(x, limit):
    return other_module.count_above(x, limit) * 2


@program("recursion", (2.0,), (-1.0,), (0.0,))
def recursion_bounded_while_tracing(x):
    def power(v, n):
        if n == 0:
            return 1.0
        half = power(v, n // 2)
        return half * half * v if n % 2 else half * half

    return power(x, 11)


@program("recursion", ([1.0, [2.0, [3.0, 4.0]], 5.0],), ([-1.0, [2.0, [0.0, 4.0]], 5.0],))
def recursion_over_structure(tree):
    def total(t):
        if isinstance(t, list):
            return sum(total(s) for s in t)
        return t if t > 0 else 0.0

    return total(tree)


@made("methods", (a(1, 2), 3), (a(-1, 2), 0), (a(1, -2), 1))
def method_with_loop(jit):
    class Filter:
        def __init__(self):
            self.gain = 0.5
            self.limit = 4.0

        def step(self, x):
            if x.max() > self.limit:
                return x * self.gain
            return x + 1

        @jit
        def run(self, x, n):
            for _ in range(n):
                x = self.step(x)
            return x

    return Filter().run


@made("methods", (3,), (0,), (8,))
def static_and_class_methods(jit):
    class Tools:
        base = 10

        @staticmethod
        def is_even(n):
            return n % 2 == 0

        @classmethod
        def shifted(cls, n):
            return n + cls.base if cls.is_even(n) else n - cls.base

    @jit
    def run(n):
        s = 0
        for i in range(n):
            s += Tools.shifted(i)
        return s

    return run


@made("methods", (2.0, 3), (2.0, 0), (-2.0, 4))
def operators_of_a_class(jit):
    class Pair:
        def __init__(self, p, q):
            self.p, self.q = p, q

        def __mul__(self, other):
            return Pair(self.p * other.p, self.p * other.q + self.q * other.p)

    @jit
    def derivative_of_power(x, n):
        result, factor = Pair(1.0, 0.0), Pair(x, 1.0)
        for _ in range(n):
            result = result * factor
        return result.p, result.q

    return derivative_of_power


@made("decorators", (3,), (-3,), (0,))
def decorator_below(jit):
    def twice(fn):
        @functools.wraps(fn)
        def wrapper(n):
            return fn(fn(n))
        return wrapper

    @jit
    @twice
    def step(n):
        return n // 2 if n % 2 == 0 else 3 * n + 1

    return step


@made("decorators", (2.0,), (-2.0,))
def partial_function(jit):
    def clamp(low, high, x):
        if x < low:
            return low
        return high if x > high else x

    return jit(functools.partial(clamp, -1.0, 1.0))


@program("star-arguments", (1.0, 2.0, 3.0), (-1.0, -2.0, -3.0))
def star_arguments(*values):
    best = values[0]
    for v in values[1:]:
        if v > best:
            best = v
    return best


@program("star-arguments", (2.0, 3), (-2.0, 1), (2.0, 0))
def star_call_in_loop(x, n):
    def combine(p, q=1.0, *rest, scale=2.0, **more):
        return p * scale + q + sum(rest) + more.get("extra", 0.0)

    state = (x, 1.0)
    for _ in range(n):
        state = (combine(*state, 0.5, **{"extra": 0.25, "scale": 0.5}), state[0])
    return state


@program("default arguments", (5,), (0,), (-1,))
def defaults_in_helpers(n):
    def add(k, step=1, *, twice=False):
        if k > 2:
            k += step
        return k * 2 if twice else k

    s = 0
    for i in range(n):
        s += add(i) + add(i, 3, twice=True)
    return s


@program("higher-order functions", (a(1, 4, 2),), (a(-1, -4, 9),))
def reduce_with_branch(x):
    return functools.reduce(lambda p, q: p if p > q else q, x)


@program("higher-order functions", (1.0, 10), (1.0, 0), (-1.0, 3))
def function_as_argument(x, n):
    def repeat(f, v, times):
        for _ in range(times):
            v = f(v)
        return v

    return repeat(math.cos, x, n), repeat(lambda v: v * v if v < 10 else 1.0, x + 1, n)


@program("higher-order functions", (3, 2.0), (0, 2.0), (1, -1.0))
def functions_made_in_a_loop(n, x):
    def adder(k):
        return lambda v: v + k

    for i in range(n):
        x = adder(i)(x)
    return x
