"""Programs as users bring them: dynamic programs, searches, sorting, graphs, number theory in plain Python.

Flows in: arrays and Python numbers.  Flows out: `TABLE`.
"""

import math

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
RANDOM = np.random.default_rng(4)


@program("scalar loops over arrays", (RANDOM.normal(size=(40, 2)), 3, 20), (RANDOM.normal(size=(40, 2)) * 3, 3, 50))
def kmeans(points, k, limit):
    n, d = points.shape
    centres = points[:3].copy()
    labels = np.zeros(n, dtype=np.int64)
    for rounds in range(limit):
        changed = 0
        for i in range(n):
            best, best_d = -1, np.inf
            for c in range(3):
                dist = ((points[i] - centres[c]) ** 2).sum()
                if dist < best_d:
                    best, best_d = c, dist
            if labels[i] != best:
                labels[i] = best
                changed += 1
        if not changed:
            break
        for c in range(3):
            members = labels == c
            count = members.sum()
            if count > 0:
                centres[c] = (points * members[:, None]).sum(axis=0) / count
    return centres, labels, rounds


@program("item assignment in loops", (RANDOM.random((12, 2)), 3000, 12345), (RANDOM.random((12, 2)), 100, 1))
def anneal_tour(cities, steps, seed):
    n = len(cities)
    tour = np.arange(n)
    def dist(i, j):
        return math.hypot(cities[i, 0] - cities[j, 0], cities[i, 1] - cities[j, 1])
    state = seed
    temperature = 1.0
    cost = 0.0
    for i in range(n):
        cost += dist(tour[i], tour[(i + 1) % n])
    for step in range(steps):
        state = (1103515245 * state + 12345) % 2147483648
        i = state % n
        state = (1103515245 * state + 12345) % 2147483648
        j = state % n
        if i == j:
            continue
        new = tour.copy()
        new[i], new[j] = tour[j], tour[i]
        c = 0.0
        for k in range(n):
            c += dist(new[k], new[(k + 1) % n])
        state = (1103515245 * state + 12345) % 2147483648
        u = state / 2147483648
        if c < cost or u < math.exp((cost - c) / temperature):
            tour = new
            cost = c
        temperature *= 0.999
    return cost, tour


@program("while", (np.array([1, 2, 3, 1, 2]), np.array([2, 3, 1, 1])),
         (np.array([0, 0, 0, 0, 0]), np.array([1, 0, 1, 0])))
def needleman_wunsch(s, t, match=1, mismatch=-1, gap=-2):
    m, n = len(s), len(t)
    f = np.zeros((m + 1, n + 1), dtype=int)
    f[:, 0] = gap * np.arange(m + 1)
    f[0, :] = gap * np.arange(n + 1)
    for i in range(1, m + 1):
        for j in range(1, n + 1):
            score = match if s[i - 1] == t[j - 1] else mismatch
            f[i, j] = max(f[i - 1, j - 1] + score, f[i - 1, j] + gap, f[i, j - 1] + gap)
    i, j = m, n
    steps = matches = 0
    while i > 0 or j > 0:
        score = match if i > 0 and j > 0 and s[i - 1] == t[j - 1] else mismatch
        if i > 0 and j > 0 and f[i, j] == f[i - 1, j - 1] + score:
            matches += score == match
            i -= 1
            j -= 1
        elif i > 0 and f[i, j] == f[i - 1, j] + gap:
            i -= 1
        else:
            j -= 1
        steps += 1
    return f[m, n], steps, matches


@program("break", (np.where(RANDOM.random((8, 8)) < .4, RANDOM.random((8, 8)), np.inf), 0),
         (np.full((8, 8), np.inf), 3))
def dijkstra(graph, source):
    n = graph.shape[0]
    dist = np.full(n, np.inf)
    previous = np.full(n, -1)
    visited = np.zeros(n, dtype=bool)
    dist[source] = 0
    for _ in range(n):
        u = -1
        for v in range(n):
            if not visited[v] and (u == -1 or dist[v] < dist[u]):
                u = v
        if u == -1 or dist[u] == np.inf:
            break
        visited[u] = True
        for v in range(n):
            if graph[u, v] < np.inf:
                alt = dist[u] + graph[u, v]
                if alt < dist[v]:
                    dist[v] = alt
                    previous[v] = u
    return dist, previous


@program("item assignment in loops", (30, np.eye(1, 21, 10, dtype=np.uint8)[0], 10),
         (110, np.ones(21, np.uint8), 5), (90, np.eye(1, 21, 3, dtype=np.uint8)[0], 0))
def cellular(rule, cells, steps):
    n = len(cells)
    history = np.zeros((11, n), dtype=np.uint8)
    history[0] = cells
    for t in range(steps):
        for i in range(n):
            left, mid, right = history[t, i - 1], history[t, i], history[t, (i + 1) % n]
            pattern = (left << 2) | (mid << 1) | right
            history[t + 1, i] = (rule >> pattern) & 1
    return history


@program("list append", (0.0, 10.0, 50), (3.0, 3.5, 5), (-10., 10., 7))
def bracket(low, high, pieces):
    def f(x):
        return math.cos(x) - 0.1 * x
    roots = []
    step = (high - low) / pieces
    for i in range(pieces):
        a, b = low + i * step, low + (i + 1) * step
        if f(a) * f(b) < 0:
            roots.append((a, b))
    return len(roots)


@program("scalar functions", (1000, 42), (10, 7), (0, 1))
def monte_carlo_pi(n, seed):
    x = seed & 0xFFFFFFFF
    hits = 0
    for _ in range(n):
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        u = x / 2**32
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        v = x / 2**32
        if u * u + v * v <= 1:
            hits += 1
    return 4 * hits / n if n else float("nan")


@program("scalar loops over arrays",
         (np.array([0, 1, 0, 2, 1]), np.log([.6, .4]), np.log([[.7, .3], [.4, .6]]),
          np.log([[.5, .4, .1], [.1, .3, .6]])),
         (np.array([2, 2, 2, 2, 0]), np.log([.6, .4]), np.log([[.7, .3], [.4, .6]]),
          np.log([[.5, .4, .1], [.1, .3, .6]])))
def viterbi(obs, start, trans, emit):
    n, k = len(obs), len(start)
    score = np.zeros((n, k))
    back = np.zeros((n, k), dtype=int)
    score[0] = start + emit[:, obs[0]]
    for t in range(1, n):
        for s in range(k):
            candidates = score[t - 1] + trans[:, s]
            back[t, s] = np.argmax(candidates)
            score[t, s] = candidates.max() + emit[s, obs[t]]
    path = np.zeros(n, dtype=int)
    path[-1] = np.argmax(score[-1])
    for t in range(n - 2, -1, -1):
        path[t] = back[t + 1, path[t + 1]]
    return path, score[-1].max()


@program("continue", ((RANDOM.random((7, 9)) < .5).astype(int),), (np.zeros((7, 9), int),), (np.ones((7, 9), int),))
def components(grid):
    rows, cols = grid.shape
    label = np.zeros((rows, cols), dtype=np.int32)
    stack = np.zeros((rows * cols * 4, 2), dtype=np.int64)
    count = 0
    for r in range(rows):
        for c in range(cols):
            if grid[r, c] == 0 or label[r, c] != 0:
                continue
            count += 1
            top = 0
            stack[top] = r, c
            top = 1
            while top > 0:
                top -= 1
                y, x = stack[top]
                if label[y, x]:
                    continue
                label[y, x] = count
                for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                    ny, nx = y + dy, x + dx
                    if 0 <= ny < rows and 0 <= nx < cols and grid[ny, nx] and label[ny, nx] == 0:
                        stack[top, 0] = ny
                        stack[top, 1] = nx
                        top += 1
    return count, label


@program("while", (360,), (97,), (1,), (600851475143,))
def factors(n):
    """number of prime factors, largest"""
    count = 0
    largest = 1
    p = 2
    while p * p <= n:
        while n % p == 0:
            n //= p
            count += 1
            largest = p
        p += 1 if p == 2 else 2
    if n > 1:
        count += 1
        largest = n
    return count, largest


@program("while", (np.array([1, 2, 3, 2, 4, 1, 2]), np.array([2, 4, 3, 1, 2, 1])),
         (np.zeros(7, int), np.ones(6, int)))
def lcs(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=np.int64)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    out = np.zeros(table[-1, -1], dtype=a.dtype)
    i, j, k = len(a), len(b), len(out)
    while i and j:
        if a[i - 1] == b[j - 1]:
            k -= 1
            out[k] = a[i - 1]
            i -= 1
            j -= 1
        elif table[i - 1, j] >= table[i, j - 1]:
            i -= 1
        else:
            j -= 1
    return out


@program("break", (np.array([5, 3, 9, 1, 7, 2]),), (np.array([1, 2, 3, 4, 5, 6]),), (np.array([6, 5, 4, 3, 2, 1]),))
def bubble_sort(x):
    x = x.copy()
    n = len(x)
    swaps = 0
    for i in range(n):
        swapped = False
        for j in range(n - 1 - i):
            if x[j] > x[j + 1]:
                x[j], x[j + 1] = x[j + 1], x[j]
                swapped = True
                swaps += 1
        if not swapped:
            break
    return x, swaps


@program("while", (np.array([5, 3, 9, 1, 7, 2, 2]),), (np.arange(7),))
def quick_sort(x):
    x = x.copy()
    stack = np.zeros((64, 2), dtype=np.int64)
    stack[0] = 0, len(x) - 1
    top = 1
    while top:
        top -= 1
        low, high = stack[top]
        if low >= high:
            continue
        pivot = x[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while x[i] < pivot:
                i += 1
            while x[j] > pivot:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        stack[top] = low, j
        stack[top + 1] = i, high
        top += 2
    return x


@program("while true with break", (RANDOM.random((10, 2)),), (RANDOM.random((10, 2)),))
def convex_hull_size(p):
    n = len(p)
    start = 0
    for i in range(1, n):
        if p[i, 0] < p[start, 0]:
            start = i
    count = 0
    current = start
    while True:
        count += 1
        nxt = (current + 1) % n
        for i in range(n):
            to, other = p[nxt] - p[current], p[i] - p[current]
            cross = to[0] * other[1] - to[1] * other[0]
            if cross < 0:
                nxt = i
        current = nxt
        if current == start:
            return count


@program("while", (np.array([[0, 0, 1], [1, 0, 1], [0, 0, 0]]),), (np.ones((3, 3), int),))
def flood_levels(grid):
    """BFS distance with a ring buffer."""
    h, w = grid.shape
    dist = -np.ones((h, w), dtype=int)
    queue = np.empty(h * w, dtype=int)
    head = tail = 0
    if grid[0, 0] == 0:
        dist[0, 0] = 0
        queue[tail] = 0
        tail += 1
    while head < tail:
        y, x = divmod(queue[head], w)
        head += 1
        for dy, dx in [(1, 0), (-1, 0), (0, 1), (0, -1)]:
            ny, nx = y + dy, x + dx
            if ny < 0 or ny >= h or nx < 0 or nx >= w:
                continue
            if grid[ny, nx] or dist[ny, nx] >= 0:
                continue
            dist[ny, nx] = dist[y, x] + 1
            queue[tail] = ny * w + nx
            tail += 1
    return dist


@program("return in a loop", (np.array([3, 1, 4, 1, 5, 9, 2, 6]), 9), (np.array([3, 1, 4, 1, 5, 9, 2, 6]), 100))
def two_sum(x, target):
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            if x[i] + x[j] == target:
                return i, j
    return None


@program("nested loops", (np.array([3, 1, 4, 1, 5, 9, 2, 6]),), (np.array([9, 8, 7, 6, 5, 4, 3, 2]),))
def longest_increasing(x):
    n = len(x)
    best = np.ones(n, dtype=int)
    for i in range(n):
        for j in range(i):
            if x[j] < x[i] and best[j] + 1 > best[i]:
                best[i] = best[j] + 1
    return max(best)


@program("unpacking", (6,), (0,), (1,))
def pascal(n):
    row = np.zeros(12, dtype=int)
    row[0] = 1
    for i in range(n):
        prev = 0
        for j in range(i + 2):
            row[j], prev = row[j] + prev, row[j]
    return row


@program("scalar loops over arrays", (RANDOM.random((6, 5)),), (np.zeros((6, 5)),))
def seam(energy):
    h, w = energy.shape
    cost = energy.copy()
    for i in range(1, h):
        for j in range(w):
            lo, hi = max(j - 1, 0), min(j + 2, w)
            cost[i, j] += cost[i - 1, lo:hi].min()
    path = np.zeros(h, dtype=int)
    path[-1] = cost[-1].argmin()
    for i in range(h - 2, -1, -1):
        j = path[i + 1]
        lo, hi = max(j - 1, 0), min(j + 2, w)
        path[i] = lo + cost[i, lo:hi].argmin()
    return path, cost


@program("nested functions", (np.array([0, 1, 1, 3, 0, 3]), np.array([1, 2, 3, 4, 5, 5]), 7),
         (np.array([0, 2, 4, 0, 0, 0]), np.array([1, 3, 5, 0, 0, 0]), 7))
def merged_sets(a, b, n):
    parent = np.arange(7)
    def find(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i
    merges = 0
    for u, v in zip(a, b):
        ru, rv = find(u), find(v)
        if ru != rv:
            parent[ru] = rv
            merges += 1
    return 7 - merges, parent


@program("unpacking", (12, 18), (7, 13), (0, 5))
def extended_gcd(a, b):
    x0, x1, y0, y1 = 1, 0, 0, 1
    while b:
        q, (a, b) = a // b, (b, a % b)
        x0, x1 = x1, x0 - q * x1
        y0, y1 = y1, y0 - q * y1
    return a, x0, y0


@program("scalar functions", (3, 200, 1009), (2, 10, 1000000007), (5, 0, 7))
def power_mod(base, exponent, modulus):
    result = 1
    base %= modulus
    while exponent > 0:
        if exponent & 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent >>= 1
    return result
