"""Runs a NumPy function plainly and traced, and compares value, dtype, shape and mutation of arguments.

Flows in:  a function of arrays and Python numbers.  Flows out: nothing, or an AssertionError that prints the graph.
"""
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import tracejit.numpy.implementations  # noqa: F401  (fills the table of implementations)
import tracejit.ops
import tracejit.tracing.methods  # noqa: F401
import tracejit.tracing.scalars  # noqa: F401
from tracejit.base.dims import Dim
from tracejit.base.dtypes import dtype_of
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.verifier import verify
from tracejit.tracing import building
from tracejit.tracing.arrays import Array
from tracejit.tracing.context import Decisions, Restart, TraceContext, running
from tracejit.tracing.sizes import Size

WEAK = {bool: ("b", "bool"), int: ("i", "i64"), float: ("f", "f64"), complex: ("c", "c128")}


class Traced:
    """One trace: the graph, how its outputs make the result, and what it was evaluated with."""

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], symbolic: bool = False):
        decisions = Decisions()
        for _ in range(50):
            try:
                return self.attempt(fn, args, decisions, symbolic)
            except Restart:
                continue
        raise AssertionError("too many restarts")

    def attempt(self, fn: Callable[..., Any], args: tuple[Any, ...], decisions: Decisions, symbolic: bool) -> None:
        sizes: dict[str, int] = {}
        context = TraceContext(decisions, sizes, building._lift_size)
        self.inputs: list[Any] = []
        self.arrays: list[Array] = []

        def enter(x: Any) -> Any:
            if isinstance(x, (list, tuple)):
                return type(x)(map(enter, x))
            path = f"a{len(self.inputs)}"
            if isinstance(x, (np.ndarray, np.generic)):
                names = [f"{path}_{i}" for i in range(x.ndim)]
                for name, n in zip(names, x.shape):
                    sizes[name] = n
                shape = tuple(decisions.resolve(Dim.symbol(s)) if symbolic and n > 1 else n
                              for s, n in zip(names, x.shape))
                value = context.input(ArrayType(dtype_of(x.dtype), shape), path, False)
                self.inputs.append(x.copy())
                array = Array(value, context.root, boxed=isinstance(x, np.ndarray))
                self.arrays.append(array)
                return array
            if type(x) in WEAK and type(x) is not bool and path not in decisions.static:
                weak, dtype = WEAK[type(x)]
                value = context.input(ArrayType(dtype_of(dtype)), path, True)
                self.inputs.append(np.asarray(x, dtype_of(dtype).numpy))
                return Array(value, context.root, "python", weak)
            return x

        with running(context):
            traced_args = [enter(a) for a in args]
            result = fn(*traced_args)
            leaves: list[Array] = []
            self.structure = self.record(result, leaves)
            self.writes = [i for i, a in enumerate(self.arrays) if a.version]
            outputs = [*leaves, *(self.arrays[i] for i in self.writes)]
            context.root.graph.outputs = tuple(a.value for a in outputs)
        self.graph: Graph = context.root.graph
        self.sizes, self.leaves = sizes, leaves

    def record(self, x: Any, leaves: list[Array]) -> Any:
        if isinstance(x, (list, tuple)):
            return type(x), [self.record(i, leaves) for i in x], getattr(x, "_fields", None)
        if isinstance(x, Size):
            x = building.lift(x)
        if isinstance(x, Array):
            leaves.append(x)
            return len(leaves) - 1
        return "static", x

    def run(self) -> tuple[Any, list[Any]]:
        verify(self.graph)
        values = evaluate(self.graph, self.inputs, self.sizes)

        def build(s: Any) -> Any:
            if isinstance(s, int):
                return values[s]
            if s[0] == "static":
                return s[1]
            kind, items, fields = s
            return tuple(map(build, items)) if fields or kind is tuple else list(map(build, items))
        return build(self.structure), list(values[len(self.leaves):])


def node_count(fn: Callable[..., Any], *args: Any) -> int:
    from tracejit.ir.rewriting import live_nodes
    return len(live_nodes(Traced(fn, args).graph))


def check(fn: Callable[..., Any], *args: Any, symbolic: bool = False, rtol: float | None = None,
          traced: Callable[..., Any] | None = None) -> None:
    """Plain and traced calls agree; both are given copies of `args`. traced: what is traced, if not `fn`."""
    plain_args = [_copy(a) for a in args]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            expected = fn(*plain_args)
        except Exception as error:  # noqa: BLE001
            return _check_raises(traced or fn, args, error, symbolic)
        trace = Traced(traced or fn, args, symbolic)
        found, written = trace.run()
    try:
        compare(found, expected, rtol)
        flat = [a for a in _flat(plain_args) if isinstance(a, (np.ndarray, np.generic))]
        before = [a for a in _flat(args) if isinstance(a, (np.ndarray, np.generic))]
        for i, (a, b) in enumerate(zip(flat, before)):
            if i in trace.writes:
                compare(written[trace.writes.index(i)], a, rtol)
            else:
                assert np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"), "the plain call changed its argument"
    except AssertionError as error:
        raise AssertionError(f"{error}\n{trace.graph}") from None


def _check_raises(fn: Callable[..., Any], args: tuple[Any, ...], error: Exception, symbolic: bool) -> None:
    try:
        found, _ = Traced(fn, args, symbolic).run()
    except Exception as raised:  # noqa: BLE001
        kinds = (type(error), *(t for t in type(error).__mro__ if t in (ValueError, TypeError, IndexError)))
        assert isinstance(raised, kinds), f"plain raises {error!r}, traced {raised!r}"
        return
    raise AssertionError(f"plain raises {error!r}, traced gives {found}")


def compare(found: Any, expected: Any, rtol: float | None = None) -> None:
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), f"{len(found)} results, expected {len(expected)}"
        for f, e in zip(found, expected):
            compare(f, e, rtol)
        return
    if not isinstance(expected, (np.ndarray, np.generic, bool, int, float, complex)):
        assert found == expected, f"{found!r}, expected {expected!r}"
        return
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    assert found.dtype == expected.dtype, f"dtype {found.dtype}, expected {expected.dtype}"
    if expected.dtype.kind in "biu":
        assert np.array_equal(found, expected), f"{found}, expected {expected}"
        return
    tolerance = rtol or {2: 2e-3, 4: 1e-5, 8: 1e-12, 16: 1e-12}[expected.dtype.itemsize // (
        2 if expected.dtype.kind == "c" and expected.dtype.itemsize == 8 else 1)]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    if expected.dtype.kind == "f":
        zeros = (expected == 0) & (found == 0)
        assert np.array_equal(np.signbit(found)[zeros], np.signbit(expected)[zeros]), "signs of zeros differ"


def _flat(x: Any) -> list[Any]:
    return [leaf for item in x for leaf in _flat(item)] if isinstance(x, (list, tuple)) else [x]


def _copy(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x)(map(_copy, x))
    return x.copy() if isinstance(x, np.ndarray) else x
