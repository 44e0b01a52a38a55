"""More programs as users bring them: sorting, searching, simulation, iterations, small tools in plain Python.

Flows in: arrays and Python numbers.  Flows out: `TABLE`.
"""

import math

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
RANDOM = np.random.default_rng(5)


@program("enumerate", (RANDOM.random(30), 0.2), (RANDOM.random(30), 1.5), (np.zeros(30), 0.5))
def run_lengths(x, level):
    longest = current = start = best_start = 0
    for i, v in enumerate(x):
        if v > level:
            if current == 0:
                start = i
            current += 1
            if current > longest:
                longest, best_start = current, start
        else:
            current = 0
    return longest, best_start


@program("return in a loop", (np.array([1, 3, 5, 7, 9, 11]), 7), (np.array([1, 3, 5, 7, 9, 11]), 8),
         (np.array([1, 3, 5, 7, 9, 11]), -4))
def position_or_gap(x, wanted):
    low, high = 0, len(x) - 1
    while low <= high:
        middle = (low + high) // 2
        if x[middle] == wanted:
            return middle
        if x[middle] < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return -(low + 1)


@program("nested loops", (RANDOM.random((5, 4)), RANDOM.random((4, 6))), (np.ones((5, 4)), np.zeros((4, 6))))
def matmul_blocks(a, b):
    n, k = a.shape
    m = b.shape[1]
    c = np.zeros((n, m))
    for i0 in range(0, n, 2):
        for j0 in range(0, m, 2):
            for i in range(i0, min(i0 + 2, n)):
                for j in range(j0, min(j0 + 2, m)):
                    s = 0.0
                    for t in range(k):
                        s += a[i, t] * b[t, j]
                    c[i, j] = s
    return c


@program("nested functions", (np.array([4, 1, 3, 9, 7]), ), (np.array([1, 2, 3, 4, 5]),))
def heap_sort(x):
    x = x.copy()
    n = len(x)
    def sift(start, end):
        root = start
        while 2 * root + 1 <= end:
            child = 2 * root + 1
            if child + 1 <= end and x[child] < x[child + 1]:
                child += 1
            if x[root] < x[child]:
                x[root], x[child] = x[child], x[root]
                root = child
            else:
                return
    for start in range((n - 2) // 2, -1, -1):
        sift(start, n - 1)
    for end in range(n - 1, 0, -1):
        x[end], x[0] = x[0], x[end]
        sift(0, end - 1)
    return x


@program("continue", (np.array([3, 1, 2, 0, 4]),), (np.array([0, 1, 2, 3, 4]),), (np.array([4, 3, 2, 1, 0]),))
def cycles_of_permutation(p):
    seen = np.zeros(len(p), dtype=bool)
    count = 0
    longest = 0
    for i in range(len(p)):
        if seen[i]:
            continue
        length = 0
        j = i
        while not seen[j]:
            seen[j] = True
            j = p[j]
            length += 1
        count += 1
        if length > longest:
            longest = length
    return count, longest


@program("break", (RANDOM.normal(size=(6, 3)), 50, 0.1), (RANDOM.normal(size=(6, 3)), 3, 0.5))
def least_squares_descent(x, steps, rate):
    w = np.zeros(3)
    y = x @ np.array([1.0, -2.0, 0.5])
    for k in range(steps):
        g = x.T @ (x @ w - y) / len(y)
        if np.linalg.norm(g) < 1e-6:
            break
        w -= rate * g
    return w, k


@program("nested loops", (RANDOM.random((6, 6)), 10), (np.eye(6), 3))
def pagerank(a, rounds):
    n = a.shape[0]
    rank = np.full(n, 1 / n)
    out = a.sum(axis=1)
    for _ in range(rounds):
        new = np.full(n, 0.15 / n)
        for i in range(n):
            if out[i] > 0:
                for j in range(n):
                    new[j] += 0.85 * rank[i] * a[i, j] / out[i]
            else:
                new += 0.85 * rank[i] / n
        delta = np.abs(new - rank).sum()
        rank = new
        if delta < 1e-10:
            break
    return rank


@program("sorted", (3.0, 4.0, 5.0), (1.0, 1.0, 3.0), (0.0, 1.0, 1.0))
def triangle_area(a, b, c):
    a, b, c = sorted((a, b, c), reverse=True)
    if c <= 0 or a > b + c:
        raise ValueError(f"no triangle: {a}, {b}, {c}")
    return 0.25 * math.sqrt((a + (b + c)) * (c - (a - b)) * (c + (a - b)) * (a + (b - c)))


@program("while", (np.array([[5, 3, 1], [2, 9, 4], [7, 6, 8]]),), (np.zeros((3, 3), int),))
def spiral_sum(m):
    top, bottom, left, right = 0, m.shape[0] - 1, 0, m.shape[1] - 1
    total, weight = 0, 1
    while top <= bottom and left <= right:
        for j in range(left, right + 1):
            total += weight * m[top, j]
            weight += 1
        top += 1
        for i in range(top, bottom + 1):
            total += weight * m[i, right]
            weight += 1
        right -= 1
        if top <= bottom:
            for j in range(right, left - 1, -1):
                total += weight * m[bottom, j]
                weight += 1
            bottom -= 1
        if left <= right:
            for i in range(bottom, top - 1, -1):
                total += weight * m[i, left]
                weight += 1
            left += 1
    return total


@program("scalar functions", (20, 3), (1, 1), (7, 2))
def josephus(n, k):
    survivor = 0
    for size in range(2, n + 1):
        survivor = (survivor + k) % size
    return survivor + 1


@program("while", (1994,), (4,), (3999,))
def roman_digits(n):
    values = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
    count = 0
    code = 0
    for k, v in enumerate(values):
        while n >= v:
            n -= v
            count += 1
            code = code * 13 + k
    return count, code


@program("item assignment in loops", (RANDOM.random(40), 5), (RANDOM.random(40), 5))
def median_filter(x, w):
    out = x.copy()
    h = w // 2
    for i in range(h, len(x) - h):
        window = np.sort(x[i - 2:i + 3])
        out[i] = window[2]
    return out


@program("return in a loop", (np.array([1., 2, 3, 4]), np.array([1., 4, 9, 16]), 2.5),
         (np.array([1., 2, 3, 4]), np.array([1., 4, 9, 16]), 9.0))
def interpolate(xs, ys, x):
    if x < xs[0] or x > xs[-1]:
        raise ValueError("out of range")
    for i in range(len(xs) - 1):
        if xs[i] <= x <= xs[i + 1]:
            t = (x - xs[i]) / (xs[i + 1] - xs[i])
            return (1 - t) * ys[i] + t * ys[i + 1]


@program("scalar functions", (50, 7), (5, 1))
def queue_simulation(n, seed):
    state = seed
    clock = busy_until = wait = 0.0
    served = 0
    while served < n:
        state = (16807 * state) % 2147483647
        clock += -math.log(state / 2147483647)
        start = max(clock, busy_until)
        wait += start - clock
        state = (16807 * state) % 2147483647
        busy_until = start - 0.8 * math.log(state / 2147483647)
        served += 1
    return wait / served


@program("nested loops", (np.array([2., -1, 0, 3]), 1e-12), (np.array([1., 0, -2, 1]), 1e-12))
def durand_kerner(c, tol):
    n = len(c) - 1
    roots = np.array([(0.4 + 0.9j) ** k for k in range(n)])
    for it in range(200):
        worst = 0.0
        for i in range(n):
            p = 0j
            for a in c:
                p = p * roots[i] + a
            q = c[0] + 0j
            for j in range(n):
                if j != i:
                    q *= roots[i] - roots[j]
            step = p / q
            roots[i] -= step
            worst = max(worst, abs(step))
        if worst < tol:
            break
    return np.sort_complex(roots)


@program("None before the first round", (np.array([10, 20, 30, 5]),), (np.array([40, 20, 30, 10]),))
def matrix_chain(p):
    n = len(p) - 1
    cost = np.zeros((n, n), dtype=np.int64)
    split = np.zeros((n, n), dtype=np.int64)
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            best = None
            for k in range(i, j):
                c = cost[i, k] + cost[k + 1, j] + p[i] * p[k + 1] * p[j + 1]
                if best is None or c < best:
                    best = c
                    split[i, j] = k
            cost[i, j] = best
    return cost[0, n - 1], split


@program("scalar functions", (5.0,), (0.5,), (-3.0,))
def gamma_lanczos(x):
    g = 7
    coef = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
            12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7]
    if x < 0.5:
        if x == math.floor(x):
            raise ValueError(f"gamma has a pole at {x:g}")
        y = 1 - x
    else:
        y = x
    y -= 1
    a = coef[0]
    t = y + g + 0.5
    for i in range(1, g + 2):
        a += coef[i] / (y + i)
    value = math.sqrt(2 * math.pi) * t ** (y + 0.5) * math.exp(-t) * a
    return value if x >= 0.5 else math.pi / (math.sin(math.pi * x) * value)


@program("list append", (np.array([1, 0, 1, 1]), np.array([1, 1, 0, 1])),
         (np.array([0, 0, 0, 0]), np.array([1, 1, 1, 1])))
def add_bits(a, b):
    out = []
    carry = 0
    for x, y in zip(reversed(a), reversed(b)):
        total = x + y + carry
        out.append(total & 1)
        carry = total >> 1
    out.append(carry)
    return np.array(out[::-1])


@program("for ... else", (12, ), (1,), (30,))
def primes_by_division(n):
    found = []
    for k in range(2, n):
        for p in found:
            if p * p > k:
                found.append(k)
                break
            if k % p == 0:
                break
        else:
            found.append(k)
    return len(found), sum(found)


@program("for over a range", (np.array([3, 4, 5, 9, 14]), np.array([3, 4, 4, 10, 15]), 30),
         (np.array([1, 1, 1, 1, 1]), np.array([3, 4, 4, 10, 15]), 0))
def knapsack(weights, values, capacity):
    best = np.zeros(capacity + 1, dtype=np.int64)
    for w, v in zip(weights, values):
        for c in range(capacity, w - 1, -1):
            best[c] = max(best[c], best[c - w] + v)
    return best[capacity]


@program("scalar loops over arrays", (RANDOM.random(30), 5), (RANDOM.random(30), 7), (RANDOM.random(30), 1))
def moving_stats(x, w):
    n = len(x)
    mean = np.empty(n - w + 1)
    low = np.empty(n - w + 1)
    s = 0.0
    for i in range(n):
        s += x[i]
        if i >= w:
            s -= x[i - w]
        if i >= w - 1:
            mean[i - w + 1] = s / w
            m = x[i]
            for k in range(i - w + 1, i):
                m = min(m, x[k])
            low[i - w + 1] = m
    return mean, low


@program("walrus", (27,), (1,), (97,))
def collatz_path(n):
    peak = n
    steps = 0
    while (n := n // 2 if n % 2 == 0 else 3 * n + 1) != 1 and steps < 1000:
        peak = max(peak, n)
        steps += 1
    return steps, peak


@program("list append", (np.array([2, 7, 1, 8, 2, 8]), 3), (np.array([2, 7, 1, 8, 2, 8]), 1))
def histogram_counts(x, bins):
    counts = [0] * 3
    for v in x:
        counts[v % 3] += 1
    return counts
