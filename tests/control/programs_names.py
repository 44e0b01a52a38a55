"""Arrays under several names: double buffers, names that are one of several arrays, algorithms in place.

Flows in: small arrays and round counts.  Flows out: `TABLE`.
"""

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add


def a(*values):
    return np.array(values, dtype=float)


HILL = a(0, 0, 1, 3, 1, 0, 0, 2)


@program("arrays under several names", (HILL, np.zeros(8), 0), (HILL, np.zeros(8), 1), (HILL, np.ones(8), 6))
def ping_pong(u, v, steps):
    for _ in range(steps):
        v[1:-1] = 0.25 * u[:-2] + 0.5 * u[1:-1] + 0.25 * u[2:]
        u, v = v, u
    return u.sum(), v[0]


@program("arrays under several names", (HILL, HILL * 0.5, np.zeros(8), 0), (HILL, HILL * 0.5, np.zeros(8), 1),
         (HILL, HILL * 0.5, np.ones(8), 8))
def wave_with_three_buffers(before, now, after, steps):
    for _ in range(steps):
        after[1:-1] = 2 * now[1:-1] - before[1:-1] + 0.1 * (now[2:] - 2 * now[1:-1] + now[:-2])
        before, now, after = now, after, before
    return now[3]


@program("arrays under several names", (HILL, 0), (HILL, 1), (HILL, 7))
def boundary_then_new_array(u, steps):
    for i in range(steps):
        u[0] = i
        u[-1] = u[0] * 2
        u = u * 0.5
    u[1] = -1.0
    return u


@program("arrays under several names", (a(3, 1, 2), a(0, 5, 0), 5), (a(3, 1, 2), a(9, 9, 9), 4),
         (a(0, 0, 0), a(0, 0, 0), 0))
def swap_when_better(best, trial, n):
    i = 0
    while i < n:
        trial[i % 3] = best[(i + 1) % 3] + i
        if trial.sum() > best.sum():
            best, trial = trial, best
        i += 1
    best[0] += 100
    return best.max()


@program("arrays under several names", (a(1, 2), a(3, 4), 1), (a(1, 2), a(3, 4), -1), (a(1, 2), a(3, 4), 0))
def write_to_a_chosen_array(x, y, i):
    z = x if i > 0 else y
    z[0] = 10.0
    z[1:] *= 2
    x += 1
    return z[0], z.sum()


@program("arrays under several names", (a(1, 2, 3, 4), a(5, 6, 7, 8), 6), (a(1, 2, 3, 4), a(5, 6, 7, 8), 0))
def buffers_in_a_list(x, y, n):
    buffers = [x, y]
    for i in range(n):
        source, target = buffers[0], buffers[1]
        target[1:] = source[:-1] + i
        buffers[0], buffers[1] = buffers[1], buffers[0]
    return buffers[0], buffers[1][0]


@program("arrays under several names", (a(1, 2, 3, 4), a(5, 6, 7, 8), 5), (a(1, 2, 3, 4), a(5, 6, 7, 8), 0))
def buffers_by_parity(x, y, n):
    for i in range(n):
        source, target = (x, y) if i % 2 == 0 else (y, x)
        target[0] = source[-1]
        target[1:] = source[:-1]
    return x[0] - y[0]


@program("arrays under several names", (a(1, 2), np.array([0, 1, 1])), (a(1, 2), np.array([0, 0, -1])))
def buffers_by_an_index_of_data(x, order):
    buffers = [x, np.ones(2), np.zeros(2)]
    for k in order:
        chosen = buffers[k]
        chosen[0] += 10
        buffers[k - 1] = chosen * 2
    buffers[order[1]][1] = 100
    return buffers[0], buffers[1], buffers[2]


@program("arrays under several names", (np.zeros((2, 3)), 5), (np.ones((2, 3)), 0), (np.ones((2, 3)), 1))
def cursor_over_two_rows(x, n):
    top, bottom = x[0], x[1]
    row = top
    for i in range(n):
        row[i % 3] += i + 1
        if row.sum() > 5:
            row = bottom
        else:
            row = top
    return row.sum()


@program("arrays under several names", (a(4, 2, 1, 3), 3), (a(4, 2, 1, 3), 0))
def alias_is_seen(x, n):
    same = x
    for i in range(n):
        same[i] += x[3]
        x[3] = same[0]
    return same


@program("arrays under several names", (HILL, 4), (HILL, 0))
def view_of_a_buffer(u, n):
    v = np.zeros_like(u)
    for i in range(n):
        inner = v[1:-1]
        inner[:] = u[2:] + u[:-2]
        inner[0] = i
        u, v = v, u
    return u, v


@program("arrays under several names", (HILL, np.zeros(8), 1e-3), (HILL, np.zeros(8), 10.0))
def relax_between_arguments(u, v, tolerance):
    for rounds in range(200):
        v[1:-1] = 0.5 * (u[:-2] + u[2:])
        change = np.abs(v - u).max()
        u, v = v, u
        if change < tolerance:
            break
    return rounds, u


def partition(x, low, high):
    pivot = x[high]
    i = low
    for j in range(low, high):
        if x[j] < pivot:
            x[i], x[j] = x[j], x[i]
            i += 1
    x[i], x[high] = x[high], x[i]
    return i


@program("arrays under several names", (a(3, 1, 2, 5, 4, 0),), (a(1, 1, 1, 0, 0, 0),), (a(6, 5, 4, 3, 2, 1),))
def quicksort_in_place(x):
    lows, highs = np.zeros(16, np.int64), np.zeros(16, np.int64)
    top = 1
    highs[0] = len(x) - 1
    while top > 0:
        top -= 1
        low, high = lows[top], highs[top]
        if low >= high:
            continue
        middle = partition(x, low, high)
        lows[top], highs[top] = low, middle - 1
        lows[top + 1], highs[top + 1] = middle + 1, high
        top += 2
    return x[0]


def sift_down(heap, start, end):
    root = start
    while 2 * root + 1 < end:
        child = 2 * root + 1
        if child + 1 < end and heap[child] < heap[child + 1]:
            child += 1
        if heap[root] >= heap[child]:
            return
        heap[root], heap[child] = heap[child], heap[root]
        root = child


@program("arrays under several names", (a(3, 1, 2, 5, 4, 0),), (a(1, 1, 1, 0, 0, 0),), (a(6, 5, 4, 3, 2, 1),))
def heapsort(x):
    n = len(x)
    for start in range(n // 2 - 1, -1, -1):
        sift_down(x, start, n)
    for end in range(n - 1, 0, -1):
        x[0], x[end] = x[end], x[0]
        sift_down(x, 0, end)


@program("arrays under several names", (a(3, 1, 2, 5, 4, 0), 3), (a(1, 1, 1, 0, 0, 0), 6), (a(6, 5, 4, 3, 2, 1), 0))
def fenwick_tree(values, upto):
    tree = np.zeros(len(values) + 1)
    for i in range(len(values)):
        k = i + 1
        while k <= len(values):
            tree[k] += values[i]
            k += k & -k
    total, k = 0.0, upto
    while k > 0:
        total += float(tree[k])
        k -= k & -k
    return total
