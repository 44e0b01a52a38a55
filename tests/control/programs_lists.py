"""Lists that grow, shrink and hold others in loops whose rounds only the run knows.

Flows in: numbers, small arrays and lists.  Flows out: `TABLE`.
"""

import copy
import heapq
from collections import deque

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add


def a(*values):
    return np.array(values, dtype=float)


MIXED = (a(3, -1, 2, -5, 4, 0),), (a(-3, -1, -2, -5, -4, -1),), (a(3, 1, 2, 5, 4, 1),)


@program("lists as queues and stacks", (9,), (1,), (2,))
def breadth_first(n):
    parents = [-1]
    queue = [0]
    for node in queue:
        for child in (2 * node + 1, 2 * node + 2):
            if child < n:
                queue.append(child)
                parents.append(node)
    return queue, parents


@program("lists as queues and stacks", (9,), (1,), (30,))
def take_from_the_front(n):
    queue = [1]
    seen = 0
    while len(queue) > 0:
        node = queue.pop(0)
        seen = seen * 3 % 1009 + node
        if 2 * node <= n:
            queue.append(2 * node)
        if 2 * node + 1 <= n:
            queue.insert(0, 2 * node + 1)
    return seen


@program("lists as queues and stacks", (10,), (1,), (25,))
def depth_first(n):
    neighbours = [[] for _ in range(n)]
    for i in range(1, n):
        neighbours[i // 2].append(i)
        neighbours[i].append(i // 2)
    visited = [False] * n
    stack = [0]
    order = []
    while stack:
        node = stack.pop()
        if visited[node]:
            continue
        visited[node] = True
        order.append(node)
        for other in neighbours[node]:
            if not visited[other]:
                stack.append(other)
    return order


@program("lists as queues and stacks", (9,), (1,), (30,))
def queue_with_two_ends(n):
    queue, total = deque([0]), 0
    while queue:
        node = queue.popleft()
        total = total * 2 % 1009 + node
        if 2 * node + 1 < n:
            queue.append(2 * node + 1)
        if 2 * node + 2 < n:
            queue.appendleft(2 * node + 2)
    return total


@program("lists as queues and stacks", (np.arange(10.0) % 4, 2), (np.arange(10.0) % 4, 9), (np.arange(10.0), 1))
def queue_of_a_window(x, n):
    window, total = deque(np.zeros(3), maxlen=3), 0.0
    for i in range(n):
        window.append(x[i])
        total += (window[0] + window[1] + window[2]) / window.maxlen
        if x[i] > 2:
            window.appendleft(x[i])
            window.rotate(1)
    late = deque(range(5), 3)
    late.extend([1, 2])
    late.appendleft(7)
    return total, window[0], sum(late)


WEIGHTS = np.array([[0, 7, 9, 0, 0, 14], [7, 0, 10, 15, 0, 0], [9, 10, 0, 11, 0, 2], [0, 15, 11, 0, 6, 0],
                    [0, 0, 0, 6, 0, 9], [14, 0, 2, 0, 9, 0]], float)


@program("lists as queues and stacks", (WEIGHTS,), (WEIGHTS[::-1, ::-1].copy(),), (WEIGHTS * 0,))
def shortest_paths(weights):
    distances = np.full(len(weights), np.inf)
    distances[0] = 0
    heap = [(0.0, 0)]
    while heap:
        distance, node = heapq.heappop(heap)
        if distance > distances[node]:
            continue
        for other in range(len(weights)):
            step = weights[node, other]
            if step > 0 and distance + step < distances[other]:
                distances[other] = distance + step
                heapq.heappush(heap, (distance + step, other))
    return distances


@program("lists as queues and stacks", (20,), (2,), (1,))
def level_by_level(n):
    frontier = [1]
    widths = []
    while frontier:
        widths.append(len(frontier))
        following = []
        for node in frontier:
            if 2 * node <= n:
                following.append(2 * node)
            if 2 * node + 1 <= n:
                following.append(2 * node + 1)
        frontier = following
    return widths


@program("lists as queues and stacks", (3,), (1,), (0,))
def pop_from_empty(n):
    numbers = [1]
    for _ in range(n):
        numbers.pop()
    return len(numbers)


@program("list append", (50,), (10,), (2,))
def collect_primes(n):
    primes = []
    for k in range(2, n):
        for p in primes:
            if k % p == 0:
                break
        else:
            primes.append(k)
    return primes


@program("list append", (30,), (3,), (100,))
def sieve_of_flags(n):
    is_prime = [True] * (n + 1)
    primes = []
    for i in range(2, n + 1):
        if is_prime[i]:
            primes.append(i)
            for j in range(i * i, n + 1, i):
                is_prime[j] = False
    return primes


@program("list append", (a(1, 0), 0.1, 7), (a(0, 2), 0.5, 1), (a(0, 2), 0.5, 0))
def trajectory(state, step, n):
    times, states = [0.0], [state]
    for i in range(n):
        state = state + step * np.array([state[1], -state[0]])
        states.append(state)
        times.append((i + 1) * step)
    return np.array(times), np.array(states), np.stack(states, axis=1).sum(axis=1)


@program("list append", *MIXED)
def running_maxima(x):
    best, maxima = -np.inf, []
    for v in x:
        best = max(best, v)
        maxima.append(best)
    return np.array(maxima)


@program("list append", *MIXED)
def positive_and_negative(x):
    positive, negative = [], []
    for i, v in enumerate(x):
        if v > 0:
            positive.append((i, v))
        else:
            negative.append((i, -v))
    return positive, negative


@program("list append", (20,), (3,), (0,))
def append_under_break_and_continue(n):
    found = []
    for i in range(n):
        if i % 2:
            continue
        if i > 6:
            break
        found.append(i)
    return found


@program("list append", (4,), (1,), (0,))
def rows_of_rows(n):
    rows = []
    for i in range(n):
        row = []
        for j in range(i + 1):
            row.append(i * j)
        rows.append(row)
    total = 0
    for row in rows:
        total += sum(row) * len(row)
    return total


@program("list append", (4,), (1,))
def pairs_that_change(n):
    pairs = []
    for i in range(n):
        pairs.append([i, 2 * i])
    for i in range(n):
        pairs[i][0] += pairs[i - 1][1]
    return np.array(pairs)


@program("list append", (4,), (0,), (1,))
def lists_of_lists_are_results(n):
    triangle = []
    for i in range(n):
        row = []
        for j in range(i):
            cell = []
            for k in range(j):
                cell.append((k, k * 0.5))
            row.append(cell)
        triangle.append((i, row, [i]))
    by_rest = [[] for _ in range(3)]
    for i in range(n):
        by_rest[i % 3].append(i)
    return triangle, by_rest


@program("list append", (3,), (0,), (2,))
def printed_lists(n):
    numbers, pairs = [], []
    for i in range(n):
        numbers.append(i * 0.5)
        pairs.append((i, None if i % 2 else i))
    print(numbers, len(pairs))
    assert n != 2, pairs
    return f"{numbers}: {pairs}"


@program("list append", (3,), (0,))
def copies_are_lists_of_their_own(n):
    numbers = []
    for i in range(n):
        numbers.append(i)
    other = copy.copy(numbers)
    other.append(7)
    return numbers, other, numbers * 2, copy.deepcopy(numbers), numbers == other, numbers != other


def _remember(memory, value):
    memory.append(value)
    return len(memory)


def _empty():
    return []


@program("list append", (5,), (0,), (1,))
def list_of_a_helper(n):
    memory, sizes = _empty(), 0
    for i in range(n):
        sizes += _remember(memory, i * 0.5)
    return memory, sizes


@program("list append", (4,), (2,), (0,))
def append_to_one_of_two(n):
    first, second = [0], [1]
    chosen = first if n > 3 else second
    for i in range(n):
        chosen.append(i)
    return len(first), len(second), chosen is first


@program("list append", (4, 1), (4, -1), (0, 1))
def length_of_a_list_that_may_be_another(n, t):
    first, second, seen = [1], [2], 0
    for i in range(n):
        seen = seen * 3 + len(first)
        chosen = first if t > 0 else second
        chosen.append(i)
    return seen, np.array(first), np.array(second)


@program("list append", (3,), (0,), (5,))
def append_before_an_error(n):
    found = []
    for i in range(n):
        found.append(i)
        if i == 3:
            raise ValueError("too many")
    return found


@program("list append", (3,), (5,), (0,))
def append_in_a_handler(n):
    found = []
    try:
        for i in range(n):
            found.append(i)
            if i == 3:
                raise ValueError("too many")
    except ValueError:
        found.append(-1)
    return found


@program("list append", ([1, 2], 5), ([1, 2], 0))
def list_of_the_caller(numbers, n):
    for i in range(n):
        numbers.append(numbers[-1] + i)
    return len(numbers)


class _Memory:
    def __init__(self):
        self.items = []

    def add(self, item):
        self.items.append(item)


@program("list append", (3,), (1,))
def list_in_an_object(n):
    memory = _Memory()
    for i in range(n):
        memory.add(i)
    return memory.items[-1], len(memory.items)


@program("list append", (3,), (0,))
def lists_in_a_dict(n):
    columns = {"i": [], "half": []}
    for i in range(n):
        columns["i"].append(i)
        columns["half"].append(i * 0.5)
    return columns


@program("list append", (8.0, 0.1), (0.01, 0.1))
def collect_until(x, tolerance):
    history = [x]
    while abs(x) > tolerance:
        x = x / 2
        history.append(x)
    return np.array(history)


@program("list methods", (4,), (1,), (0,))
def methods_that_change(n):
    numbers = [5]
    for i in range(n):
        numbers.append(i)
    numbers.insert(1, 77)
    del numbers[0]
    numbers.extend([8, 9])
    numbers += [1]
    numbers.reverse()
    copy = numbers.copy()
    numbers.clear()
    return copy, len(numbers), 8 in copy, numbers == []


@program("list methods", (10,), (1,), (4,))
def slices_of_a_list(n):
    numbers = []
    for i in range(n):
        numbers.append(i)
    return numbers[2:5], numbers[::-1], numbers[-3:], numbers[:], numbers + [1]


@program("list methods", (a(3, -1, 2, -5, 4, 0), 0.0), (a(3, -1, 2, -5, 4, 0), -10.0))
def search_and_sort(x, low):
    kept = []
    for v in x:
        if v > low:
            kept.append(v)
    kept.sort()
    where, how_many = kept.index(3.0), kept.count(2.0)
    kept.remove(3.0)
    kept.sort(reverse=True)
    return kept, where, how_many, min(kept), max(kept), sum(kept)


@program("list methods", (a(3, -1, 2, -5, 4, 0, 7, 8, 2, 3),), (a(3, 1, 2, -5, 4, 0, 7, -8, 2, 3),))
def sort_by_keys(x):
    pairs = []
    for i in range(len(x)):
        if x[i] > -3:
            pairs.append((x[i] // 2, i))
    pairs.sort(reverse=True)
    by_index = sorted(pairs, key=lambda pair: pair[1])
    by_value = list(by_index)
    by_value.sort(key=lambda pair: pair[0], reverse=True)
    return pairs, by_value


@program("list methods", (6,), (1,), (3,))
def slices_that_change(n):
    numbers = []
    for i in range(n):
        numbers.append(i)
    del numbers[1:3]
    numbers[0:1] = [9, 9]
    return numbers


@program("list methods", (5,), (1,))
def table_of_numbers(n):
    ways = [0] * (n + 1)
    ways[0] = 1
    for step in range(1, n + 1):
        for k in range(step, n + 1):
            ways[k] += ways[k - step]
    return ways[n], len(ways)


@program("list comprehension", (5,), (0,), (50,))
def nested_with_traced_counts(n):
    return [i * j for i in range(n) for j in range(i) if (i + j) % 2 == 0]


@program("list comprehension", (2, 3), (1, 4), (40, 2))
def comprehension_of_comprehensions(n, m):
    return np.array([[i * 10 + j for j in range(m)] for i in range(n)])


@program("list comprehension", (a(3, -1, 2, -5, 4, 0), 0.0), (a(-3, -1, -2, -5, -4, -1), 0.0))
def filter_and_map(x, low):
    return [v * 2 for v in x if v > low], [i for i in range(3) if x[i] > low]


@program("lists that change", (a(1, 2, 3, 4), 1.5), (a(1, -2, 3, -4), -1.5))
def list_bound_to_longer_ones_by_both_branches(x, t):
    parts = []
    if t > 0:
        parts = parts + [t]
    else:
        parts = parts + [t * 2]
    return sum(parts) + x[0], len(parts)


@program("lists that change", (a(1, 2, 3, 4), 1.5), (a(1, -2, 3, -4), -1.5))
def list_bound_to_longer_ones_in_a_while(x, t):
    parts = []
    k = 0
    while k < 4 and t < 9:
        k += 1
        for s in x[1:]:
            if s > t:
                parts = parts + [s * t]
            else:
                t += 0.5
                parts = parts + [t]
            parts.append(t * 2)
    return sum(parts) + t, len(parts)
