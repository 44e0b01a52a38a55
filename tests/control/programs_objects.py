"""Lists, dicts and objects of the user's classes that loops and branches change.

Flows in: numbers, small lists and arrays.  Flows out: `TABLE`.
"""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add


def a(*values):
    return np.array(values, dtype=float)


class Particle:
    def __init__(self, position, velocity):
        self.position, self.velocity, self.bounces = position, velocity, 0

    def step(self, dt):
        self.position += dt * self.velocity
        if self.position < 0:
            self.position = -self.position
            self.velocity = -self.velocity
            self.bounces += 1

    @property
    def energy(self):
        return 0.5 * self.velocity ** 2 + 9.81 * self.position


@program("objects of the user's classes", (1.0, -3.0, 20), (1.0, 3.0, 0), (0.5, -8.0, 50))
def bouncing_particle(x, v, steps):
    ball = Particle(x, v)
    for _ in range(steps):
        ball.velocity -= 0.1
        ball.step(0.1)
    return ball.position, ball.bounces, ball.energy


@program("objects of the user's classes", (a(1, 2, 3), 10), (a(-1, 0, 0.5), 3), (a(1, 2, 3), 0))
def many_particles(x, steps):
    swarm = [Particle(x[i] * 1.0, -1.0 - i) for i in range(3)]
    for _ in range(steps):
        for one in swarm:
            one.step(0.25)
    return [one.position for one in swarm], sum(one.bounces for one in swarm)


class Vector:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __mul__(self, factor):
        return Vector(self.x * factor, self.y * factor)

    def __abs__(self):
        return (self.x * self.x + self.y * self.y) ** 0.5

    def __bool__(self):
        return self.x != 0 or self.y != 0

    def __lt__(self, other):
        return abs(self) < abs(other)


@program("objects of the user's classes", (1.0, 0.0, 12), (0.5, 2.0, 0), (3.0, 1.0, 30))
def orbit_with_vectors(x, y, steps):
    position, velocity = Vector(x, y), Vector(0.0, 1.0)
    for _ in range(steps):
        r = abs(position)
        velocity = velocity + position * (-0.05 / r ** 3)
        position = position + velocity * 0.05
    return position.x, position.y, abs(velocity)


@program("objects of the user's classes", (1.0, 2.0), (-1.0, 0.25), (0.0, 0.0))
def truth_and_order_of_objects(x, y):
    p, q = Vector(x, y), Vector(y, 0.5)
    larger = q if p < q else p
    if not p:
        return -1.0
    return larger.x + larger.y


class Account:
    def __init__(self, balance):
        self.balance, self.fees, self.history = balance, 0.0, [0.0, 0.0]

    def __iadd__(self, amount):
        if amount < 0 and self.balance + amount < 0:
            self.fees += 1.0
        else:
            self.balance += amount
            self.history = [self.history[1], amount]
        return self

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return self.history[i]

    def __contains__(self, amount):
        return amount == self.history[0] or amount == self.history[1]


@program("objects of the user's classes", (a(10, -3, -20, 5),), (a(-1, -1, 2, 2),), (a(0, 0, 0, 0),))
def account_with_operators(amounts):
    account = Account(2.0)
    for amount in amounts:
        account += amount * 1.0
    return account.balance, account.fees, account[0] + account[1], 2.0 in account


@dataclass
class Game:
    x: float
    score: int
    lives: int


@program("objects of the user's classes", (a(1, -2, 3, -9, 1),), (a(-9, -9, -9, -9, -9),), (a(0, 0, 0, 0, 0),))
def game_state(moves):
    game = Game(0.0, 0, 3)
    for move in moves:
        if game.lives == 0:
            continue
        game.x += float(move)
        if game.x < -5:
            game.lives -= 1
            game.x = 0.0
        elif move > 0:
            game.score += 10
    return game.x, game.score, game.lives


@program("objects of the user's classes", (Game(1.0, 0, 3), 4), (Game(-1.0, 5, 1), 0))
def dataclass_of_the_caller(game, n):
    for i in range(n):
        game.score += i
        if game.score > 2:
            game.x *= 0.5
    game.lives = game.lives - 1
    return game.score


@program("objects of the user's classes", (3.0, 5), (0.5, 0), (-2.0, 4))
def players_take_turns(x, n):
    players = [Particle(0.0, 1.0), Particle(1.0, 2.0), Particle(2.0, -3.0)]
    for turn in range(n):
        one = players[turn % 3]
        one.step(0.5)
        players[0].velocity += x
    leader = players[0] if players[0].position > players[1].position else players[1]
    leader.bounces += 100
    return [p.position for p in players], [p.bounces for p in players], leader.energy


Node = namedtuple("Node", "value weight")


@program("objects of the user's classes", (a(1, 5, 2, 4),), (a(-1, -5, -2, -4),))
def records_are_replaced(values):
    best, last = Node(values[0], 0), Node(0.0, 0)
    for i in range(1, len(values)):
        last = Node(values[i], i)
        if last.value > best.value:
            best = last._replace(weight=last.weight * 2)
    return best, last.weight


class Simulation:
    def __init__(self, u, v):
        self.u, self.v, self.time, self.stats = u, v, 0.0, {"steps": 0, "peak": 0.0}

    def advance(self, dt):
        self.v[1:-1] = self.u[1:-1] + dt * (self.u[2:] - 2 * self.u[1:-1] + self.u[:-2])
        self.u, self.v = self.v, self.u
        self.time += dt
        self.stats["steps"] += 1
        self.stats["peak"] = max(self.stats["peak"], float(self.u.max()))


@program("objects of the user's classes", (a(0, 1, 4, 1, 0), 3), (a(0, 1, 4, 1, 0), 0), (a(0, 0, 9, 0, 0), 8))
def simulation_object(u, steps):
    run = Simulation(u, np.zeros(5))
    for _ in range(steps):
        run.advance(0.1)
    return run.u, run.time, run.stats["steps"], run.stats["peak"]


@program("objects of the user's classes", (2.0, 3), (-2.0, 3), (0.5, 0))
def attribute_that_one_branch_sets(x, n):
    box = Vector(x, 0.0)
    for i in range(n):
        if x > 0:
            box.y = box.y + i
    cell = Particle(x, 0.0)
    if x > 0:
        cell.mark = x * 2
    return box.y + cell.mark


@program("dicts that change", (a(1, -2, 0, 4), 0.5), (a(0, 0, 0, 0), 0.5), (a(9, 9, 9, 9), -1.0))
def counts_by_name(x, limit):
    counts = {"up": 0, "down": 0, "level": 0}
    for v in x:
        if v > limit:
            counts["up"] += 1
        elif v < -limit:
            counts["down"] += 1
        else:
            counts["level"] += 1
    return counts


@program("dicts that change", (np.array([0, 1, 1, 0, 1, 1, 1]),), (np.array([1, 1, 1, 1, 1, 1, 1]),),
         (np.array([0, 0, 0, 0, 0, 0, 0]),))
def state_machine(bits):
    machine = {"state": 0, "accepted": False, "path": [0, 0, 0]}
    for bit in bits:
        if machine["state"] == 0:
            machine["state"] = 1 if bit == 1 else 0
        elif machine["state"] == 1:
            machine["state"] = 2 if bit == 1 else 0
        else:
            machine["accepted"] = True
        machine["path"][machine["state"]] += 1
    return machine


@program("dicts that change", ({"w": a(1, 2), "bias": 0.5, "steps": 0}, 5),
         ({"w": a(-1, 2), "bias": 0.0, "steps": 3}, 0))
def parameters_are_trained(params, n):
    for _ in range(n):
        gradient = 2 * params["w"] + params["bias"]
        params["w"] -= 0.1 * gradient
        params["bias"] = params["bias"] - 0.1 * float(gradient.sum())
        params["steps"] += 1
    return params["w"].sum()


@program("dicts that change", (3, 2.0), (0, 2.0), (6, -1.0))
def nested_dicts(n, x):
    world = {"player": {"hp": 10.0, "pos": [0.0, 0.0]}, "round": 0}
    for i in range(n):
        world["player"]["hp"] -= x
        world["player"]["pos"][i % 2] += x
        world["round"] = i
    return world


@program("lists that change", (np.array([0, 3, 3, 1]),), (np.array([2, 2, 2, 2]),), (np.array([-1, -4, 0, 3]),))
def list_histogram(values):
    counts = [0] * 4
    for v in values:
        counts[v] += 1
    return counts, counts[-1], sum(counts)


@program("lists that change", (np.array([0, 5, 1]),), (np.array([0, -5, 1]),), (np.array([0, 1, 2]),))
def list_index_out_of_range(values):
    counts = [0, 0, 0, 0]
    for v in values:
        counts[v] = counts[v] + 1
    return counts


@program("lists that change", ([3.0, 1.0, 2.0, 5.0, 4.0], 5), ([3.0, 1.0, 2.0, 5.0, 4.0], 1),
         ([1.0, 1.0, 0.0, 0.0, 2.0], 5))
def bubble_sort_of_a_list(values, n):
    for i in range(n):
        for j in range(n - 1 - i):
            if values[j] > values[j + 1]:
                values[j], values[j + 1] = values[j + 1], values[j]
    return values[0]


@program("lists that change", ([[1.0, 2.0], [3.0, 4.0]], 5), ([[1.0, 1.0], [1.0, 0.0]], 0),
         ([[2.0, 0.0], [0.0, 2.0]], 3))
def power_of_a_list_matrix(m, n):
    result = [[1.0, 0.0], [0.0, 1.0]]
    for _ in range(n):
        result = [[sum(result[i][k] * m[k][j] for k in range(2)) for j in range(2)] for i in range(2)]
    return result


@program("lists that change", (5,), (0,), (7,))
def pascals_triangle(n):
    table = [[0] * 8 for _ in range(8)]
    for i in range(n):
        table[i][0] = 1
        for j in range(1, i + 1):
            table[i][j] = table[i - 1][j - 1] + table[i - 1][j]
    return table[max(n - 1, 0)]


def find(parent, x):
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@program("lists that change", (3, 1), (0, 2), (5, 3))
def union_find(n, seed):
    parent = list(range(10))
    for k in range(n):
        one, other = find(parent, (k * seed) % 10), find(parent, (k * k + seed) % 10)
        if one != other:
            parent[one] = other
    return parent, find(parent, 3)


@program("lists that change", (a(1, 2, 3, 4, 5), 2), (a(1, 2, 3, 4, 5), 0), (a(5, 0, 5, 0, 5), 1))
def ring_buffer(x, extra):
    ring, head = [0.0, 0.0, 0.0], 0
    for v in x:
        ring[head] = v * 1.0
        head = (head + 1) % 3
    for _ in range(extra):
        head = (head + 1) % 3
    return ring[head] + 0.0, head


@program("lists that change", (np.array([1, 2, 3, 1, 4, 2]),), (np.array([1, 1, 1, 1, 1, 1]),),
         (np.array([1, 2, 3, 4, 5, 6]),))
def least_recently_used(requests):
    pages, ages, misses = [-1, -1, -1], [0, 0, 0], 0
    for page in requests:
        hit, oldest = -1, 0
        for k in range(3):
            ages[k] += 1
            if pages[k] == page:
                hit = k
            if ages[k] > ages[oldest]:
                oldest = k
        if hit < 0:
            misses += 1
            hit = oldest
            pages[hit] = int(page)
        ages[hit] = 0
    return misses, pages, ages


@program("lists that change", ([1.0, 2.0], [3.0, 4.0], 3), ([1.0, 2.0], [3.0, 4.0], 0), ([0.0, 0.0], [1.0, 1.0], 4))
def lists_are_exchanged(x, y, n):
    for _ in range(n):
        y[0] = x[0] + x[1]
        x, y = y, x
    return x[0]


@program("lists that change", (1, 5.0), (0, 5.0), (-1, 5.0))
def one_of_two_lists(i, v):
    x, y = [1.0, 2.0], [3.0, 4.0]
    z = x if i > 0 else y
    z[0] = v
    return x, y, z[1]


@program("lists that change", ((0.0, (1.0, (2.0, None))), 3), ((5.0, (1.0, (2.0, None))), 0))
def linked_tuples(chain, n):
    total = 0.0
    while chain is not None:
        value, chain = chain
        for _ in range(n):
            value = value * 0.5 + 1
        total += value
    return total
