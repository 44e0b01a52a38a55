"""Random graphs of nested attempts, loops and branches with failures in them, over numbers and arrays.

Flows in:  a seed.  Flows out: `random_attempts(seed, whole)`: a function of two integers, a real number, two arrays, a
complex number and a bool; or the same function as the body of one attempt, whose handler gives what a failure leaves.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tracejit.ops  # noqa: F401
from tracejit.base.dims import Dim, Size
from tracejit.base.dtypes import BOOL, C128, F64, I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value

SIZE = 5
NUMBER, REAL = ArrayType(I64), ArrayType(F64)
NAMES = ("i", "j", "x", "a", "b", "z", "f")
PLACES = ("a", "b", "i")    # what a failure of the function leaves changed: two arguments and a stored number
REST = ("x", "j", "z", "f")
Variables = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Handler:
    """What failures may name, and what they hand over."""

    to: str
    payload: int
    state: tuple[str, ...]


@dataclass(slots=True)
class Writer:
    """Writes blocks. changed: variables that may differ from the function's arguments.  whole: failures of the function
    go to the handler `all:0`."""

    rng: np.random.Generator
    whole: bool
    size: Size
    handlers: list[Handler] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    labels: int = 0

    @property
    def types(self) -> dict[str, ArrayType]:
        array = ArrayType(F64, (self.size,))
        return {"i": NUMBER, "j": NUMBER, "x": REAL, "a": array, "b": array, "z": ArrayType(C128), "f": ArrayType(BOOL)}

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    # ---- statements -------------------------------------------------------------------------------

    def block(self, g: Graph, now: Variables, depth: int) -> None:
        for _ in range(int(self.rng.integers(1, 4))):
            rules = [self.number, self.element, self.element, self.array, self.fail, self.fail]
            if depth < 3:
                rules += [self.branch, self.count, self.loop, self.attempt, self.attempt]
            self.pick(rules)(g, now, depth)

    def assign(self, now: Variables, name: str, value: Value) -> None:
        now[name] = value
        self.changed.add(name)

    def constant(self, g: Graph, value: int | float) -> Value:
        return g.add("constant", value=value, type=NUMBER if isinstance(value, int) else REAL)

    def small(self, g: Graph, now: Variables) -> Value:
        """An index of the arrays."""
        size = g.add("dimension", size=self.size)
        return g.add("remainder", now[self.pick("ij")], size)

    def number(self, g: Graph, now: Variables, depth: int) -> None:
        name = self.pick("ijxzf")
        if name == "x":
            made = g.add("add", g.add("select", now["f"], now["x"], g.add("imag", now["z"])), self.constant(g, 0.25))
        elif name == "z":
            made = g.add("add", now["z"], g.add("complex", now["x"], now["x"]))
        elif name == "f":
            made = g.add("compare", now["i"], now["j"], direction="LT")
        else:
            made = g.add(self.pick(["add", "subtract"]), now[self.pick("ij")], self.constant(g, self.pick([1, 2, 3])))
        self.assign(now, name, made)

    def element(self, g: Graph, now: Variables, depth: int) -> None:
        """a[i] = x, or a[i] += b[j]."""
        name, at = self.pick("ab"), self.small(g, now)
        update = g.add("reshape", now["x"], shape=(1,))
        if self.rng.random() < 0.5:
            update = g.add("add", update, g.add("dynamic_slice", now[self.pick("ab")], self.small(g, now), sizes=(1,)))
        self.assign(now, name, g.add("dynamic_update_slice", now[name], update, at))

    def array(self, g: Graph, now: Variables, depth: int) -> None:
        """a = a * x + 1, a = b, or the two change places."""
        name = self.pick("ab")
        other = "b" if name == "a" else "a"
        if (kind := self.rng.random()) < 0.2:
            now["a"], now["b"] = now["b"], now["a"]
            self.changed |= {"a", "b"}
        elif kind < 0.4:
            self.assign(now, name, now[other])
        else:
            wide = g.add("broadcast_in_dim", now["x"], shape=(self.size,), dims=())
            half = g.add("constant", value=0.5, type=self.types["a"])
            made = g.add("add", g.add("multiply", now[name], half), wide)
            self.assign(now, name, g.add("reverse", made, axes=(0,)) if self.rng.random() < 0.3 else made)

    def fail(self, g: Graph, now: Variables, depth: int) -> None:
        """assert i != 3, for a handler around or out of the function."""
        test = g.add("compare", self.small(g, now), self.constant(g, self.pick([0, 1, 2, 7, 8])), direction="NE")
        if self.handlers and self.rng.random() < 0.75:
            handler = self.pick(self.handlers)
            operands = [now["j"]] * handler.payload + [now[n] for n in handler.state]
            g.emit("assert", [test, *operands], {"exception": "ValueError", "message": "", "to": handler.to})
        elif self.whole:
            g.emit("assert", [test, *(now[n] for n in PLACES)],
                   {"exception": "ValueError", "message": "", "to": "all:0"})
        else:
            kept = tuple(k for k, n in enumerate(PLACES) if n in self.changed)
            g.emit("assert", [test, now["j"], *(now[PLACES[k]] for k in kept)],
                   {"exception": "ValueError", "message": "{0}", "kept": kept})

    # ---- regions ----------------------------------------------------------------------------------

    def region(self, write: Callable[[Graph, Variables], None], before: Sequence[ArrayType] = (),
               names: Sequence[str] = ()) -> Graph:
        """A graph from all variables, behind other parameters. names: variables that these stand for."""
        g = Graph([*before, *self.types.values()])
        now = dict(zip(NAMES, g.params[len(before):], strict=True))
        now.update(zip(names, g.params[len(before) - len(names):], strict=False))
        write(g, now)
        g.outputs = tuple(now.values())
        return g

    def finish(self, now: Variables, values: Sequence[Value]) -> None:
        now.update(zip(NAMES, values, strict=True))

    def inside(self, depth: int) -> Callable[[Graph, Variables], None]:
        return lambda g, now: self.block(g, now, depth + 1)

    def branch(self, g: Graph, now: Variables, depth: int) -> None:
        """What one branch changes is not changed in the other."""
        test = g.add("compare", self.small(g, now), self.constant(g, 2), direction="LT")
        branches, before = [], set(self.changed)
        after: set[str] = set()
        for _ in range(2):
            self.changed = set(before)
            branches.append(self.region(self.inside(depth)))
            after |= self.changed
        self.changed = after
        self.finish(now, g.emit("case", [test, *now.values()], {"branches": tuple(branches)}))

    def count(self, g: Graph, now: Variables, depth: int) -> None:
        self.changed |= set(NAMES)
        trips = g.add("remainder", now["j"], self.constant(g, 4))
        body = self.region(self.inside(depth), [NUMBER], ["i"] if self.rng.random() < 0.5 else [])
        bounds = [self.constant(g, 0), trips, self.constant(g, 1)]
        self.finish(now, g.emit("for", [*bounds, *now.values()], {"body": body, "carries": len(NAMES)}))

    def loop(self, g: Graph, now: Variables, depth: int) -> None:
        """While a counter of its own is below 3 and x is not too large."""
        self.changed |= set(NAMES)
        cond = Graph([NUMBER, *self.types.values()])
        cond.outputs = (cond.add("compare", cond.params[0], self.constant(cond, 3), direction="LT"),)
        body = self.region(self.inside(depth), [NUMBER])
        body.outputs = (body.add("add", body.params[0], self.constant(body, 1)), *body.outputs)
        made = g.emit("while", [self.constant(g, 0), *now.values()],
                      {"cond": cond, "body": body, "carries": 1 + len(NAMES)})
        self.finish(now, made[1:])

    def attempt(self, g: Graph, now: Variables, depth: int) -> None:
        self.labels += 1
        label, names = f"t{self.labels}", NAMES
        own = [Handler(f"{label}:{k}", int(self.rng.integers(2)), tuple(n for n in names if self.rng.random() < 0.7))
               for k in range(int(self.rng.integers(1, 3)))]
        self.handlers += own
        body = self.region(self.inside(depth))
        del self.handlers[-len(own):]
        handlers = []
        for handler in own:
            types = [*[NUMBER] * handler.payload, *(self.types[n] for n in handler.state)]
            quiet = self.rng.random() < 0.4
            handlers.append(self.region((lambda g, now: None) if quiet else self.inside(depth), types, handler.state))
        self.finish(now, g.emit("try", list(now.values()),
                                {"label": label, "body": body, "handlers": tuple(handlers)}))


def random_attempts(seed: int, whole: bool) -> Graph:
    """Outputs: a, b, i, then the rest. whole: a last output says whether the function failed."""
    writer = Writer(np.random.default_rng(seed), whole, Dim.symbol("n") if seed % 3 == 1 else SIZE)
    g = Graph(writer.types.values())
    now = dict(zip(NAMES, g.params, strict=True))
    for _ in range(4):
        writer.block(g, now, 0)
    g.outputs = tuple(now[n] for n in (*PLACES, *REST))
    return _as_one_attempt(g, writer.types) if whole else g


def _as_one_attempt(body: Graph, types: dict[str, ArrayType]) -> Graph:
    body.outputs = (*body.outputs, body.add("constant", value=False, type=ArrayType(BOOL)))
    handler = Graph([*(types[n] for n in PLACES), *types.values()])
    state, operands = handler.params[:len(PLACES)], dict(zip(NAMES, handler.params[len(PLACES):], strict=True))
    handler.outputs = (*state, *(operands[n] for n in REST),
                       handler.add("constant", value=True, type=ArrayType(BOOL)))
    g = Graph(types.values())
    g.outputs = g.emit("try", g.params, {"label": "all", "body": body, "handlers": (handler,)})
    return g


def random_arguments(seed: int) -> list[NDArray[Any]]:
    """i, j, x, a, b, z, f."""
    rng = np.random.default_rng(seed + 7)
    i, j = rng.integers(-9, 20, 2)
    return [np.asarray(i), np.asarray(j), np.asarray(rng.uniform(-1, 1)), rng.uniform(-2, 2, SIZE),
            rng.uniform(-2, 2, SIZE), np.asarray(complex(*rng.uniform(-1, 1, 2))), np.asarray(rng.random() < 0.5)]
