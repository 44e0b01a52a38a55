"""State: globals, attributes, list and dict arguments, del, with.

Flows in: numbers, small arrays, containers and instances.  Flows out: `TABLE`.
"""

import contextlib
import math

import numpy as np

from tests.control.program import Table

TABLE = Table()
program, made = TABLE.add, TABLE.make
NAN = math.nan
COUNT = 0
TOTAL = 0.0
HISTORY = {"last": 0.0, "calls": 0}
WEIGHTS = np.array([1.0, 2.0])


def a(*values):
    return np.array(values, dtype=float)


@program("global", (3,), (0,), (-2,), state=("COUNT",))
def global_counter(n):
    global COUNT
    if n > 0:
        COUNT += n
    return COUNT


@program("global", (3, 0.5), (0, 0.5), (4, -1.0), state=("TOTAL", "COUNT"))
def globals_in_a_loop(n, x):
    global TOTAL, COUNT
    for i in range(n):
        TOTAL += x * i
        if TOTAL > 1:
            COUNT += 1
            TOTAL = 0.0
    return TOTAL


@program("global", (2.0,), (-2.0,), state=("HISTORY",))
def global_dict(x):
    HISTORY["calls"] += 1
    if x > 0:
        HISTORY["last"] = x
    return HISTORY["last"]


@program("global", (a(1, 2), 2), (a(1, 2), 0), state=("WEIGHTS",))
def global_array_in_place(x, n):
    for _ in range(n):
        WEIGHTS[0] += x[0]
        if WEIGHTS[0] > 2:
            WEIGHTS[1] = -1.0
    return WEIGHTS.sum()


@made("attribute assignment", (3,), (0,), (-1,), (5,))
def counting_object(jit):
    class Counter:
        def __init__(self):
            self.count = 0
            self.largest = -1

        @jit
        def add(self, n):
            for i in range(n):
                self.count += 1
                if i > self.largest:
                    self.largest = i
            return self.count

    return Counter().add


@made("attribute assignment", (a(1, 2), 0.1), (a(-100, 2), 0.1), (a(NAN, 2), 0.1))
def optimizer_with_state(jit):
    class Momentum:
        def __init__(self):
            self.velocity = np.zeros(2)
            self.skipped = 0

        @jit
        def step(self, gradient, rate):
            norm = np.sqrt((gradient * gradient).sum())
            if not norm < 10:
                self.skipped += 1
                return self.velocity * 0
            self.velocity = 0.9 * self.velocity - rate * gradient
            return self.velocity

    return Momentum().step


@made("attribute assignment", (2.0,), (-2.0,), (0.5,))
def nested_objects(jit):
    class Limit:
        def __init__(self):
            self.low, self.high = -1.0, 1.0

    class Clamp:
        def __init__(self):
            self.limit = Limit()
            self.hits = 0

        @jit
        def run(self, x):
            if x > self.limit.high:
                self.hits += 1
                self.limit.high = self.limit.high + 0.25
                x = self.limit.high
            elif x < self.limit.low:
                self.hits += 1
                x = self.limit.low
            return x

    return Clamp().run


@made("attribute assignment", (3, 2.0), (0, 2.0), (2, -7.0))
def properties(jit):
    class Ball:
        def __init__(self):
            self.height, self.speed = 1.0, 0.0

        @property
        def energy(self):
            return 0.5 * self.speed * self.speed + 9.81 * self.height

        @jit
        def fall(self, n, push):
            self.speed = push
            for _ in range(n):
                self.speed -= 0.981
                self.height += 0.1 * self.speed
                if self.height < 0:
                    self.height = -self.height
                    self.speed = -0.9 * self.speed
            return self.energy

    return Ball().fall


@program("list and dict arguments", ([1.0, 2.0, 3.0], 2.0), ([1.0, 2.0, 3.0], -2.0))
def change_a_list(values, x):
    if x > 0:
        values[1] = x
    for i in range(len(values)):
        values[i] *= 2
    return values[0]


@program("list and dict arguments", ({"a": 1.0, "b": 2.0}, 1), ({"a": 1.0, "b": 2.0}, 0), ({"a": -5.0, "b": 0.0}, 3))
def change_a_dict(d, n):
    for _ in range(n):
        if d["a"] > 0:
            d["a"] -= d["b"]
        else:
            d["b"] += 1
    d["sum"] = d["a"] + d["b"]
    return len(d)


@program("list and dict arguments", ({"w": [a(1, 2), a(3)]}, 0.5), ({"w": [a(-1, 2), a(3)]}, 2.0))
def change_nested_arrays(params, rate):
    for w in params["w"]:
        if w[0] > 0:
            w -= rate
    params["w"][1] = params["w"][1] * 2


@program("list and dict arguments", ([], 1.5), ([], -1.5))
def append_to_an_argument(log, x):
    log.append(x)
    log.append(x * x if x > 0 else 0.0)
    return len(log)


@program("list and dict arguments", ([1.0, 2.0], 1.5), ([3.0, 2.0], -1.5))
def list_methods(values, x):
    values.append(x)
    values.insert(0, -x)
    first = values.pop()
    values.reverse()
    values.extend([first, first + 1])
    return values[-1] if x > 0 else values[0]


@program("list and dict arguments", ({"a": 1.0}, 2.0), ({"a": 4.0}, -2.0))
def dict_methods(d, x):
    total = d.get("a", 0.0) + d.get("b", x)
    d.update(b=total, c=x)
    d.setdefault("e", total if x > 0 else x)
    return d.pop("a"), sorted(d)


@program("del", ({"a": 1.0, "b": 2.0}, 1.0), ({"a": 1.0, "b": 2.0}, -1.0))
def delete_items(d, x):
    values = [x, x + 1, x + 2]
    del values[0]
    del d["a"]
    return sum(values) if x > 0 else d["b"]


@program("del", (4,), (0,))
def delete_a_variable_in_a_loop(n):
    s = 0
    for i in range(n):
        square = i * i
        s += square
        del square
    return s


@program("with", (a(4, 0),), (a(-4, 0),))
def with_errstate(x):
    with np.errstate(all="ignore"):
        if x[0] > 0:
            y = 1 / x
        else:
            y = x / x
    return y


@program("with", (3.0,), (-3.0,))
def with_own_manager(x):
    log = []

    @contextlib.contextmanager
    def scope(name):
        log.append(name)
        yield len(log)
        log.append("end " + name)

    with scope("a") as p, scope("b") as q:
        if x > 0:
            x = x * p
        else:
            x = x * q
    return x, log


@program("with", (3.0,), (-3.0,))
def with_suppress(x):
    with contextlib.suppress(ValueError):
        if x < 0:
            raise ValueError("negative")
        x = math.sqrt(x)
    return x


@program("with", (3, 2.0), (0, 2.0), (4, -1.0))
def with_in_a_loop(n, x):
    for i in range(n):
        with np.errstate(over="ignore"):
            if x > 10:
                break
            x = x * (i + 1)
    return x


@program("an exception leaves what Python leaves", ([1.0, 2.0], a(1, 2), 3.0), ([1.0, 2.0], a(1, 2), -3.0))
def changes_before_an_error(values, x, t):
    values[0] = t
    x[0] = t
    if t < 0:
        raise ValueError(f"t is {t}")
    values[1] = t
    x[1] = t
    return t


@made("an exception leaves what Python leaves", (3,), (-1,), (20,))
def object_changed_before_an_error(jit):
    class Account:
        def __init__(self):
            self.balance, self.operations = 10, 0

        @jit
        def withdraw(self, n):
            self.operations += 1
            assert n >= 0, f"cannot withdraw {n}"
            if n > self.balance:
                raise ValueError(f"{n} is more than {self.balance}")
            self.balance -= n
            return self.balance

    return Account().withdraw
