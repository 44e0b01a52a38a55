"""Random graphs of every dtype, with sorts, joins, control flow and updates of parameters, and ways to call them.

Flows in:  a seed.  Flows out: `random_program(seed)`: a graph, which outputs overwrite which parameters, which
parameters have strides; `check_program`, which compares native code with the evaluator.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.compiled.random_graphs import SIZES, Builder
from tracejit.base.dims import Dim
from tracejit.base.dtypes import BF16, BOOL, C64, C128, F16, F32, F64, I8, I32, I64, U8, U16, DType
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate, round_to_bf16
from tracejit.ir.graph import Graph, Value
from tracejit.xla_lite.compile import Executable, compile_graph
from tracejit.xla_lite.interface import OutputPlace, ParamPlace
from tracejit.xla_lite.replay import run
from tracejit.xla_lite.runtime.signature import ERROR_WORDS

SINGLE = (F64, F32, I64, I32, I8, U8, U16, BOOL, F16, BF16, C64, C128)
SMALL = [(5,), (9,), (40,), (5, 9), (9, 40), (40, 5), (3, 5, 9), (5, 1), (1, 9), (2, 3), (70, 3), (40, 40), (0, 5)]
LARGE = [(70_000,), (3, 5000), (5000, 3), (300, 200), (2000, 33), (40, 40, 17), (1, 9000), (130, 130)]
BINARY = {"f": ("add", "subtract", "multiply", "maximum", "minimum"),
          "i": ("add", "subtract", "multiply", "maximum", "minimum", "and", "or", "xor", "floor_divide", "remainder"),
          "b": ("and", "or", "xor"), "c": ("add", "subtract", "multiply")}
UNARY = {"f": ("negate", "abs", "tanh", "sine", "sign"), "i": ("negate", "abs", "not", "sign"), "b": ("not",),
         "c": ("negate", "conjugate")}
FOLDS = {"f": ("sum", "max", "min"), "i": ("sum", "max", "min"), "b": ("and", "or"), "c": ("sum",)}


def family(dtype: DType) -> str:
    return "i" if dtype.is_integer else "f" if dtype.is_float else "c" if dtype.is_complex else "b"


class ProgramBuilder(Builder):
    """Adds what `Builder` lacks; `depth` counts the regions around it."""

    def __init__(self, rng: np.random.Generator, params: list[ArrayType], depth: int = 0):
        self.rng, self.depth = rng, depth
        self.symbolic = False
        self.graph = Graph(params)
        self.values = list(self.graph.params)
        self.sizes = list(dict.fromkeys(n for p in params for n in p.shape)) or [3]
        self.small = all(not isinstance(p.type.size, int) or p.type.size < 4000 for p in self.graph.params)

    def step(self) -> None:
        rules = [self.unary, self.unary, self.binary, self.binary, self.binary, self.spread, self.reduce, self.back,
                 self.back, self.view, self.compare_select, self.joined, self.convert, self.position, self.running,
                 self.padded, self.parts]
        if self.small:
            rules += [self.take, self.sort, self.product, self.update]
        if self.depth < 2:
            rules += [self.case, self.loop, self.loop]
        made = self.pick(rules)(self.pick(self.values[-8:]))
        if made is not None and isinstance(made.type.size, int) and made.type.size > 400_000:
            return
        if made is not None:
            self.values.append(made)

    def constant(self, value: Any, dtype: DType, shape: tuple[Any, ...] = ()) -> Value:
        return self.graph.add("constant", value=value, type=ArrayType(dtype, shape))

    def like(self, x: Value) -> Value:
        return self.pick([v for v in self.values if v.type == x.type])

    def unary(self, x: Value) -> Value | None:
        name = self.pick(UNARY[family(x.dtype)])
        return None if x.dtype.kind == "u" and name in ("negate", "abs", "sign") else self.graph.add(name, x)

    def binary(self, x: Value) -> Value | None:
        return self.graph.add(self.pick(BINARY[family(x.dtype)]), x, self.like(x))

    def spread(self, x: Value) -> Value | None:
        return self.broadcast(x) if self.small or not x.rank else None

    def reduce(self, x: Value) -> Value | None:
        if not x.rank or 0 in x.shape:
            return None
        axes = tuple(a for a in range(x.rank) if self.rng.random() < 0.5) or (x.rank - 1,)
        return self.graph.add(f"reduce_{self.pick(FOLDS[family(x.dtype)])}", x, axes=axes)

    def back(self, x: Value) -> Value | None:
        if not x.rank or 0 in x.shape:
            return None
        axes = tuple(range(x.rank)) if self.rng.random() < 0.3 else (int(self.rng.integers(x.rank)),)
        small = self.graph.add(f"reduce_{self.pick(FOLDS[family(x.dtype)])}", x, axes=axes)
        wide = self.graph.add("broadcast_in_dim", small, shape=x.shape,
                              dims=tuple(a for a in range(x.rank) if a not in axes))
        return self.graph.add(self.pick(BINARY[family(x.dtype)]), x, wide)

    def compare_select(self, x: Value) -> Value | None:
        directions = ["EQ", "NE"] if x.dtype is BOOL or x.dtype.is_complex else ["LT", "GE", "EQ"]
        test = self.graph.add("compare", x, self.like(x), direction=self.pick(directions))
        if self.rng.random() < 0.3:
            return test
        return self.graph.add("select", test, x, self.like(x))

    def convert(self, x: Value) -> Value | None:
        if x.dtype.is_float:
            return self.graph.add("convert", x, dtype=self.pick([F16, BF16, F32, F64]))
        if x.dtype.is_integer or x.dtype is BOOL:
            return self.graph.add("convert", x, dtype=self.pick([I8, U8, I32, I64, F32, F64]))
        return None

    def parts(self, x: Value) -> Value | None:
        if x.dtype.is_complex:
            return self.graph.add(self.pick(["real", "imag"]), x)
        return self.graph.add("complex", x, self.like(x)) if x.dtype in (F32, F64) else None

    def position(self, x: Value) -> Value | None:
        if not x.rank or 0 in x.shape or x.dtype.is_complex or x.node is not None:
            return None
        return self.graph.add(self.pick(["reduce_argmax", "reduce_argmin"]), x, axis=int(self.rng.integers(x.rank)))

    def running(self, x: Value) -> Value | None:
        if not x.rank or x.dtype is BOOL:
            return None
        name = "cumulative_sum" if x.dtype.is_complex else self.pick(["cumulative_sum", "cumulative_max"])
        return self.graph.add(name, x, axis=int(self.rng.integers(x.rank)), reverse=bool(self.rng.random() < 0.3))

    def padded(self, x: Value) -> Value | None:
        if not x.rank:
            return None
        low, high = ([int(n) for n in self.rng.integers(0, 3, x.rank)] for _ in range(2))
        inside = [int(n) for n in self.rng.integers(0, 2, x.rank)] if self.small else [0] * x.rank
        fill = self.constant(True if x.dtype is BOOL else 1, x.dtype)
        return self.graph.add("pad", x, fill, low=tuple(low), high=tuple(high), interior=tuple(inside))

    def joined(self, x: Value) -> Value | None:
        if not x.rank:
            return None
        parts = [x, self.like(x), *([self.like(x)] if self.rng.random() < 0.3 else [])]
        return self.graph.add("concatenate", *parts, axis=int(self.rng.integers(x.rank)))

    def take(self, x: Value) -> Value | None:
        return self.gather(x) if 0 not in x.shape else None

    def update(self, x: Value) -> Value | None:
        return super().update(x) if 0 not in x.shape else None

    def sort(self, x: Value) -> Value | None:
        """Keys that are parameters or integers: rounding must not change an order."""
        if not x.rank or x.dtype.is_complex or x.dtype.is_float and x.node is not None:
            return None
        axis = int(self.rng.integers(x.rank))
        payload = self.graph.add("iota", dimension=axis, type=ArrayType(I64, x.shape))
        keys, places = self.graph.emit("sort", [x, payload], {"axis": axis, "num_keys": 1,
                                                              "descending": bool(self.rng.random() < 0.5)})
        return self.pick([keys, places])

    # ---- regions ------------------------------------------------------------------------------------

    def region(self, params: list[ArrayType], gives: list[ArrayType]) -> Graph:
        inner = ProgramBuilder(self.rng, params, self.depth + 1)
        inner.small = self.small
        for _ in range(int(self.rng.integers(1, 6))):
            inner.step()
        fits = [[v for v in inner.values if v.type == t] for t in gives]
        inner.graph.outputs = tuple(f[int(self.rng.integers(len(f)))] if self.rng.random() < 0.4 else f[-1]
                                    for f in fits)
        return inner.graph

    def operands(self, x: Value) -> list[Value]:
        return [x, *(self.pick(self.values) for _ in range(int(self.rng.integers(0, 4))))]

    def case(self, x: Value) -> Value | None:
        chosen = self.operands(x)
        types = [v.type for v in chosen]
        branches = tuple(self.region(types, [x.type]) for _ in range(int(self.rng.integers(2, 4))))
        return self.graph.emit("case", [self.index_scalar(), *chosen], {"branches": branches})[0]

    def index_scalar(self) -> Value:
        """A scalar that is 0, 1 or 2, known at run time only."""
        numbers = [v for v in self.values if v.dtype.is_integer and not v.rank]
        at = self.graph.add("convert", self.pick(numbers), dtype=I64) if numbers else self.constant(1, I64)
        return self.graph.add("remainder", at, self.constant(3, I64))

    def loop(self, x: Value) -> Value | None:
        """A `for` or a `while` that counts; its state are x and others."""
        chosen = self.operands(x)
        carries = int(self.rng.integers(1, len(chosen) + 1))
        types = [v.type for v in chosen]
        if self.rng.random() < 0.6:
            body = self.region([ArrayType(I64), *types], types[:carries])
            bounds = [self.constant(0, I64), self.index_scalar(), self.constant(1, I64)]
            return self.graph.emit("for", [*bounds, *chosen], {"body": body, "carries": carries})[0]
        inner = self.region([ArrayType(I64), *types], types[:carries])
        one = inner.add("constant", value=1, type=ArrayType(I64))
        inner.outputs = (inner.add("subtract", inner.params[0], one), *inner.outputs)
        cond = Graph([ArrayType(I64), *types])
        zero = cond.add("constant", value=0, type=ArrayType(I64))
        cond.outputs = (cond.add("compare", cond.params[0], zero, direction="GT"),)
        return self.graph.emit("while", [self.index_scalar(), *chosen],
                               {"cond": cond, "body": inner, "carries": carries + 1})[1]


@dataclass(frozen=True, slots=True)
class RandomProgram:
    """written: output -> parameter that it overwrites.  strided: parameters with strides."""

    graph: Graph
    written: dict[int, int]
    strided: tuple[bool, ...]


def random_program(seed: int, size: int, large: bool = False) -> RandomProgram:
    """A program of about `size` ops."""
    rng = np.random.default_rng(seed)
    shapes = LARGE if large else SMALL
    dtypes = [SINGLE[int(rng.integers(len(SINGLE)))] for _ in range(2)] + [F64]
    params = [ArrayType(dtypes[int(rng.integers(3))], shapes[int(rng.integers(len(shapes)))]) for _ in range(3)]
    params[1] = ArrayType(params[1].dtype, params[0].shape)
    if not large and rng.random() < 0.3:
        params = [ArrayType(p.dtype, tuple(Dim.symbol("nmk"[int(rng.integers(3))]) for _ in p.shape)) for p in params]
        params += [ArrayType(F32, (Dim.symbol(s),)) for s in "nmk"]
    params.append(ArrayType(I64))
    b = ProgramBuilder(rng, params)
    for _ in range(size):
        b.step()
    chosen = [b.values[-1], *(b.pick(b.values) for _ in range(int(rng.integers(0, 4))))]
    written = {}
    for k, p in enumerate(b.graph.params):
        same = [v for v in b.values if v.type == p.type and v is not p and p.dtype is not BF16]
        if p.rank and same and rng.random() < 0.5:
            written[len(chosen)] = k
            chosen.append(same[-1] if rng.random() < 0.7 else b.pick(same))
    b.graph.outputs = tuple(chosen)
    return RandomProgram(b.graph, written, tuple(bool(rng.random() < 0.25) for _ in params))


def program_inputs(graph: Graph, seed: int) -> list[NDArray[Any]]:
    rng = np.random.default_rng(seed + 1)
    return [_draw(p.type, rng) for p in graph.params]


def _draw(type: ArrayType, rng: np.random.Generator) -> NDArray[Any]:
    shape, dtype = type.concrete_shape(SIZES), type.dtype
    if dtype is BOOL:
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.is_integer:
        return np.asarray(rng.integers(0 if dtype.kind == "u" else -9, 10, shape)).astype(dtype.numpy)
    if dtype.is_complex:
        return np.asarray(rng.uniform(-2, 2, shape) + 1j * rng.uniform(-2, 2, shape)).astype(dtype.numpy)
    values = np.asarray(rng.uniform(-2, 2, shape)).astype(dtype.numpy)
    return round_to_bf16(values) if dtype is BF16 else values


def compile_program(program: RandomProgram) -> Executable:
    at, params = ERROR_WORDS, []
    for i, value in enumerate(program.graph.params):
        own = program.strided[i] and value.rank > 0
        params.append(ParamPlace("array", at, at + 1 if own else None, written=i in program.written.values()))
        at += 1 + (value.rank if own else 0)
    dims = sorted({s for p in program.graph.params for s in p.type.symbols()})
    outputs = [OutputPlace("write_back", param=program.written[k]) if k in program.written else OutputPlace("new", k)
               for k in range(len(program.graph.outputs))]
    return compile_graph(program.graph, params, outputs, dim_slots={d: at + i for i, d in enumerate(dims)},
                         first_free_slot=at + len(dims))


def run_program(program: RandomProgram, executable: Executable, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Every output, those that overwrite a parameter read from there."""
    arrays = [_strided(x) if s else x.copy() for x, s in zip(inputs, program.strided, strict=True)]
    found = run(executable, arrays, SIZES)
    return [arrays[program.written[k]] if k in program.written else f for k, f in enumerate(found)]


def _strided(array: NDArray[Any]) -> NDArray[Any]:
    """The same values with a gap between elements and the axes turned round in memory."""
    if not array.ndim:
        return array.copy()
    turned = np.empty(tuple(2 * n for n in reversed(array.shape)), array.dtype).T
    view = turned[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def check_program(seed: int, size: int, large: bool = False) -> None:
    """Native code agrees with the evaluator."""
    program = random_program(seed, size, large)
    inputs = program_inputs(program.graph, seed)
    with np.errstate(all="ignore"):
        expected = evaluate(program.graph, inputs, SIZES)
    found = run_program(program, compile_program(program), inputs)
    kinds = {v.dtype for v in _all_values(program.graph)}
    for k, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        _compare(got, wanted, kinds, f"seed {seed}, size {size}, output {k}, {program.written}\n{program.graph}")


def _all_values(graph: Graph) -> list[Value]:
    inner = [v for n in graph.nodes for _, region in n.regions() for v in _all_values(region)]
    return [*graph.params, *(r for n in graph.nodes for r in n.results), *inner]


def _compare(got: NDArray[Any], wanted: NDArray[Any], kinds: set[DType], message: str) -> None:
    assert got.shape == wanted.shape, message
    if wanted.dtype.kind not in "fc":
        inexact = {F16, BF16} & kinds and wanted.dtype.kind != "b" and wanted.size
        np.testing.assert_array_equal(got, wanted, err_msg=message) if not inexact else None
        return
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = float(np.max(finite, initial=1.0))
    rough = 4e-2 if kinds & {F16, BF16} else 2e-3 if kinds & {F32, C64} else 1e-9
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, wanted, rtol=rough, atol=scale * rough, err_msg=message)
