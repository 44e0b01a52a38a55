"""What loops carry: types that widen, None before the first round, first set inside, lists that grow, arrays in place.

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


VECTOR = a(3, 1, 2, 5, 4)


@program("weak scalars join the body's type", (a(1, 2, 3, 4, 5),), (a(NAN, 2, 3, 4, 5),))
def int_becomes_float(x):
    s = 0
    for v in x:
        s += v
    return s


@program("weak scalars join the body's type", (3, 0.5), (0, 0.5), (5, -1.0))
def int_becomes_python_float(n, x):
    s = 0
    for _ in range(n):
        s = s + x
    return s + 0.0


@program("weak scalars join the body's type", (np.arange(5, dtype=np.float32), 1.5), (np.ones(5, np.float32), -1.5))
def float32_stays(x, k):
    s = 0.0
    for v in x:
        s = s + v * k
    return s


@program("weak scalars join the body's type", (a(1, 2, 3), 3), (a(1, 2, 3), 0))
def scalar_becomes_array(x, n):
    total = 0
    for i in range(n):
        total = total + x * i
    return total + x


@program("None before the first round", (VECTOR,), (-VECTOR,), (a(NAN, 1, 2, 3, 0),))
def smallest(x):
    best = None
    for v in x:
        if best is None or v < best:
            best = v
    return best


@program("None before the first round", (VECTOR, 3.0), (VECTOR, 100.0), (VECTOR, 0.0))
def nearest_below(x, limit):
    best = None
    for i in range(len(x)):
        if x[i] < limit and (best is None or x[i] > x[best]):
            best = i
    return -1 if best is None else best


@program("None before the first round", (6,), (1,), (2,))
def previous_value(n):
    previous = None
    jumps = 0
    for i in range(n):
        value = i * i % 7
        if previous is not None and value < previous:
            jumps += 1
        previous = value
    return jumps


@program("first set inside a loop", (4,), (1,))
def last_square(n):
    for i in range(n):
        square = i * i + 1
    return square


@program("first set inside a loop", (5, 2), (5, 9), (0, 2))
def set_in_a_branch_of_a_loop(n, k):
    for i in range(n):
        if i == k:
            found = i * 100
    return found


@program("list append", (a(1, 2, 3),), (a(-1, 0, NAN),))
def append_static_count(x):
    out = []
    for i in range(3):
        out.append(x * i)
    return np.stack(out)


@program("list append", (a(1, 2, 3, 4, 5),), (a(-1, 0, NAN, 2, 2),))
def append_per_element(x):
    out = []
    total = 0.0
    for v in x:
        total += v
        out.append(total)
    return np.array(out)


@program("list append", (4, 1.0), (0, 1.0), (9, -1.0))
def append_traced_count(n, x):
    values = [x]
    for i in range(n):
        values.append(values[-1] * 0.5 + i)
    return np.array(values)


@program("list append", (a(3, -1, 2, -5, 4, 0),), (a(-3, -1, -2, -5, -4, -1),), (a(3, 1, 2, 5, 4, 1),))
def append_some(x):
    kept = [0.0]
    for v in x:
        if v > 0:
            kept.append(v)
    return np.array(kept), len(kept)


@program("list append", (27,), (1,), (6,))
def append_in_while(n):
    path = [n]
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        path.append(n)
    return path


@program("list append", (5, a(1, 2)), (0, a(1, 2)), (1, a(3, -4)))
def append_arrays_and_stack(n, x):
    states = [x]
    for _ in range(n):
        x = x * 0.5 + 1
        states.append(x)
    return np.stack(states)


@program("list append", (7,), (3,))
def list_as_a_stack(n):
    stack = [n]
    total = 0
    while stack:
        k = stack.pop()
        total += k
        if k > 1:
            stack.append(k - 1)
            stack.append(k // 2)
    return total


@program("item assignment in loops", (VECTOR,), (a(NAN, 1, 2, -1, 0),))
def running_sum_in_place(x):
    for i in range(1, len(x)):
        x[i] += x[i - 1]
    return x[-1]


@program("item assignment in loops", (VECTOR, 3), (VECTOR, 0), (VECTOR, 5))
def fill_traced_part(x, n):
    y = np.zeros(5)
    for i in range(n):
        y[i] = x[i] * 2
    return y


@program("item assignment in loops", (VECTOR, 1, 3), (VECTOR, 0, 5), (VECTOR, 2, 2), (VECTOR, -2, 9))
def slices_with_traced_bounds(x, start, stop):
    x[start:stop] = x[start:stop] * 10
    x[:start] += 1
    return x


@program("item assignment in loops", (np.arange(12.0).reshape(3, 4), a(1, 2, 3, 4)),
         (-np.arange(12.0).reshape(3, 4), a(0, 0, 0, NAN)))
def rows_in_place(m, v):
    for i in range(m.shape[0]):
        m[i, :] += v * i
        m[i, 0] = 0
    return m


@program("item assignment in loops", (a(5, 2, 4, 1, 3),), (a(1, 2, 3, 4, 5),), (a(2, 2, 2, 2, 2),))
def insertion_sort(x):
    for i in range(1, len(x)):
        value = x[i]
        j = i - 1
        while j >= 0 and x[j] > value:
            x[j + 1] = x[j]
            j -= 1
        x[j + 1] = value
    return x


@program("item assignment in loops", (a(5, 2, 4, 1, 3),), (a(1, 2, 3, 4, 5),))
def bubble_sort_with_swap(x):
    n = len(x)
    swapped = True
    while swapped:
        swapped = False
        for i in range(n - 1):
            if x[i] > x[i + 1]:
                x[i], x[i + 1] = x[i + 1], x[i]
                swapped = True
        n -= 1
    return x


@program("item assignment in loops", (4, 2.0), (0, 2.0), (1, -1.0))
def local_array_written_in_nested_loops(n, k):
    m = np.zeros((4, 4))
    for i in range(n):
        for j in range(i + 1):
            m[i, j] = i * k - j
    return m


@program("item assignment in loops", (VECTOR, 2), (VECTOR, 0), (VECTOR, 7))
def views_written_in_loops(x, n):
    middle = x[1:4]
    for i in range(n):
        middle += 1
        middle[0] = i
    return x.sum()


@program("augmented assignment", (a(1, 2), 3), (a(1, 2), 0), (a(-1, NAN), 2))
def augmented_in_place(x, n):
    y = x
    for i in range(n):
        y += 1
        y *= 2
        y -= i
    return y


@program("augmented assignment", (100, 3), (100, 0), (-7, 2))
def all_augmented_operators(n, rounds):
    for i in range(rounds):
        n += 5
        n -= i
        n *= 3
        n //= 2
        n %= 1000
        n ^= 5
        n |= 1
        n &= 1023
        n <<= 1
        n >>= 1
    return n


@program("unpacking", (10,), (0,), (1,))
def fibonacci(n):
    p, q = 0, 1
    for _ in range(n):
        p, q = q, p + q
    return p


@program("unpacking", ((1.0, 2.0), 4), ((1.0, 2.0), 0), ((-1.0, 0.0), 3))
def tuples_are_carried(state, n):
    for _ in range(n):
        position, speed = state
        if position > 1:
            speed = -speed
        state = (position + 0.5 * speed, speed)
    return state


@program("containers are carried", ({"x": a(1, 2), "n": 0}, 3), ({"x": a(1, 2), "n": 0}, 0))
def dict_is_updated(state, n):
    for _ in range(n):
        state["x"] = state["x"] * 0.5
        if state["x"].sum() < 1:
            state["n"] += 1
    return state["n"]


@program("containers are carried", ([1.0, 2.0, 3.0], 4), ([1.0, 2.0, 3.0], 0), ([0.0, -2.0, 3.0], 1))
def list_is_updated(values, n):
    for i in range(n):
        values[0] += values[1] * 0.5
        values[1] = values[2] - values[0]
    return sum(values)


@program("containers are carried", (3, 2.0), (0, 2.0), (5, -1.0))
def nested_structure(n, x):
    state = {"pair": (x, 0), "list": [x, x]}
    for i in range(n):
        p, count = state["pair"]
        state = {"pair": (p * 0.5, count + 1), "list": [state["list"][1], p]}
    return state


@program("item assignment in loops", (a(1, 2), a(1, 2, 3), 3), (a(1, 2), a(1, 2, 3), 0), (a(-1, 2), a(1, 2, 3), 2))
def arrays_of_two_sizes_are_chosen_and_bound_anew(x, z, n):
    y = np.cos(x)
    for k in range(n):
        if x[0] > 0:
            y = x.copy()
        y[0] = k
        z = np.sin(z)
    return y, z


@program("item assignment in loops", (a(1, 2), a(1, 2, 3), 2), (a(1, 2), a(1, 2, 3), 0), (a(-1, 2), a(1, 2, 3), 2))
def arrays_of_two_sizes_in_a_branch(x, z, n):
    y = np.cos(x)
    if x[1] > 1:
        for k in range(n):
            y[0] = k
            if x[k] > 1:
                y = x * 0.5
            z = np.sin(z)
    return y, z
