"""Random graphs over elementwise ops, views, reductions, gathers, updates and products, and inputs for them.

Flows in:  a seed.  Flows out: `random_graph(rng, size)`, always well typed, of small shapes that often agree.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import tracejit.ops  # noqa: F401
from tracejit.base.dims import Dim
from tracejit.base.dtypes import BOOL, F32, F64, I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value

UNARY = ("negate", "abs", "tanh", "exponential", "sine", "floor", "logistic", "sign")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")
REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min")
SIZES = {"n": 5, "m": 9, "k": 40}


class Builder:
    """Grows one graph; every step picks values that are there and adds one op."""

    def __init__(self, rng: np.random.Generator, symbolic: bool):
        self.rng, self.symbolic = rng, symbolic
        dims = [Dim.symbol(s) if symbolic else SIZES[s] for s in ("n", "m", "k")]
        self.sizes: list[Any] = [*dims[:int(rng.integers(1, 4))], 3][:3]
        dtypes = [F32, F64] if rng.random() < 0.3 else [F64 if rng.random() < 0.5 else F32]
        shapes = [tuple(self.pick(self.sizes) for _ in range(int(rng.integers(0, 4)))) for _ in range(3)]
        shapes[0] = shapes[0] or (self.sizes[0],)
        types = [ArrayType(self.pick(dtypes), s) for s in shapes]
        named = [ArrayType(F32, (d,)) for d in self.sizes if isinstance(d, Dim)]
        self.graph = Graph([*types, *named])
        self.values: list[Value] = list(self.graph.params)

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def step(self) -> None:
        rule = self.pick([self.unary, self.unary, self.binary, self.binary, self.binary, self.broadcast, self.reduce,
                          self.reduce, self.back, self.back, self.view, self.compare_select, self.gather, self.update,
                          self.cumulative, self.product, self.join, self.convert])
        made = rule(self.pick(self.values[-8:]))
        if made is not None:
            self.values.append(made)

    def unary(self, x: Value) -> Value | None:
        return self.graph.add(self.pick(UNARY), x) if x.dtype.is_float else None

    def binary(self, x: Value) -> Value | None:
        same = [v for v in self.values if v.type == x.type]
        return self.graph.add(self.pick(BINARY), x, self.pick(same)) if x.dtype is not BOOL else None

    def broadcast(self, x: Value) -> Value | None:
        if x.rank > 2:
            return None
        at = int(self.rng.integers(x.rank + 1))
        shape = (*x.shape[:at], self.pick(self.sizes), *x.shape[at:])
        return self.graph.add("broadcast_in_dim", x, shape=shape,
                              dims=tuple(i + (i >= at) for i in range(x.rank)))

    def reduce(self, x: Value) -> Value | None:
        if not x.rank or not x.dtype.is_float:
            return None
        axes = tuple(a for a in range(x.rank) if self.rng.random() < 0.5) or (x.rank - 1,)
        return self.graph.add(self.pick(REDUCTIONS), x, axes=axes)

    def back(self, x: Value) -> Value | None:
        """A reduction along one axis, broadcast to where it came from and combined: rows, columns, whole arrays."""
        if not x.rank or not x.dtype.is_float:
            return None
        axis = int(self.rng.integers(x.rank))
        axes = tuple(range(x.rank)) if self.rng.random() < 0.2 else (axis,)
        small = self.graph.add(self.pick(REDUCTIONS), x, axes=axes)
        if self.rng.random() < 0.4:
            small = self.graph.add(self.pick(UNARY), small)
        wide = self.graph.add("broadcast_in_dim", small, shape=x.shape,
                              dims=tuple(a for a in range(x.rank) if a not in axes))
        return self.graph.add(self.pick(BINARY), x, wide)

    def view(self, x: Value) -> Value | None:
        if not x.rank:
            return None
        kind = self.pick(["transpose", "reverse", "slice", "unit", "flat"])
        if kind == "transpose":
            return self.graph.add("transpose", x, permutation=tuple(map(int, self.rng.permutation(x.rank))))
        if kind == "reverse":
            return self.graph.add("reverse", x, axes=(int(self.rng.integers(x.rank)),))
        if kind == "unit":
            return self.graph.add("reshape", x, shape=(*x.shape, 1)) if x.rank < 3 else None
        if kind == "flat":
            return self.graph.add("reshape", x, shape=(x.type.size,))
        if all(isinstance(n, int) and n > 1 for n in x.shape):
            return self.graph.add("slice", x, start=(1,) * x.rank, limit=x.shape,
                                  stride=tuple(int(s) for s in self.rng.integers(1, 3, x.rank)))
        return None

    def compare_select(self, x: Value) -> Value | None:
        same = [v for v in self.values if v.type == x.type]
        if x.dtype is BOOL:
            return None
        y = self.pick(same)
        test = self.graph.add("compare", x, y, direction=self.pick(["LT", "GE", "EQ"]))
        return self.graph.add("select", test, x, self.pick(same))

    def index(self, like: tuple[Any, ...], high: int) -> Value:
        """Integers of a shape, some out of range."""
        base = self.graph.add("iota", dimension=0, type=ArrayType(I64, like))
        step = self.graph.add("constant", value=int(self.rng.integers(-2, 4)), type=ArrayType(I64, like))
        shift = self.graph.add("constant", value=int(self.rng.integers(-1, high)), type=ArrayType(I64, like))
        return self.graph.add("add", self.graph.add("multiply", base, step), shift)

    def gather(self, x: Value) -> Value | None:
        if not x.rank or x.rank > 2:
            return None
        axis = int(self.rng.integers(x.rank))
        return self.graph.add("gather", x, self.index((self.pick(self.sizes),), 4), axes=(axis,))

    def update(self, x: Value) -> Value | None:
        if not x.rank or not x.dtype.is_float:
            return None
        if self.rng.random() < 0.5 and all(isinstance(n, int) for n in x.shape):
            sizes = tuple(int(self.rng.integers(0, n + 1)) for n in x.shape)
            piece = self.graph.add("constant", value=2.5, type=ArrayType(x.dtype, sizes))
            starts = [self.graph.add("constant", value=int(self.rng.integers(-1, 4)), type=ArrayType(I64))
                      for _ in sizes]
            return self.graph.add("dynamic_update_slice", x, piece, *starts)
        axis = int(self.rng.integers(x.rank))
        at = self.index((4,), 4)
        rest = tuple(n for a, n in enumerate(x.shape) if a != axis)
        row = self.graph.add("constant", value=0.75, type=ArrayType(x.dtype, (4, *rest)))
        return self.graph.add("scatter", x, row, at, axes=(axis,), combine=self.pick(["set", "add", "maximum"]))

    def cumulative(self, x: Value) -> Value | None:
        if not x.rank or not x.dtype.is_float:
            return None
        return self.graph.add(self.pick(["cumulative_sum", "cumulative_max"]), x, axis=int(self.rng.integers(x.rank)),
                              reverse=bool(self.rng.random() < 0.3))

    def product(self, x: Value) -> Value | None:
        fits = [v for v in self.values if v.dtype is x.dtype and v.rank == 2 and x.rank == 2
                and v.shape[0] == x.shape[1]]
        if not fits or not x.dtype.is_float:
            return None
        return self.graph.add("dot_general", x, self.pick(fits), lhs_batch=(), rhs_batch=(), lhs_contract=(1,),
                              rhs_contract=(0,))

    def join(self, x: Value) -> Value | None:
        if not x.rank:
            return None
        same = [v for v in self.values if v.type == x.type]
        return self.graph.add("concatenate", x, self.pick(same), axis=int(self.rng.integers(x.rank)))

    def convert(self, x: Value) -> Value | None:
        return self.graph.add("convert", x, dtype=self.pick([F32, F64])) if x.dtype.is_float else None


def random_graph(seed: int, size: int = 12) -> Graph:
    """A graph of about `size` ops with one to four outputs, the last value among them."""
    rng = np.random.default_rng(seed)
    b = Builder(rng, symbolic=bool(rng.random() < 0.4))
    for _ in range(size):
        b.step()
    chosen = [b.values[-1], *(b.pick(b.values) for _ in range(int(rng.integers(0, 4))))]
    b.graph.outputs = tuple(dict.fromkeys(chosen))
    return b.graph


def random_inputs(graph: Graph, seed: int) -> list[NDArray[Any]]:
    """Values of moderate size, so that float differences stay small."""
    rng = np.random.default_rng(seed + 1)
    return [np.asarray(rng.uniform(-2, 2, p.type.concrete_shape(SIZES))).astype(p.dtype.numpy) for p in graph.params]
