"""`tj.jacobian` (`tj.jacfwd`, `tj.jacrev`), `tj.hessian`: all partial derivatives at once.

Flows in:  a function of arrays and pytrees of arrays.
Flows out: functions. In a trace the function is recorded once; rows (reverse mode) or columns (forward mode) of its
           Jacobian are lanes of the batched derivative graph.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tracejit.api.gradients import Argnums, Call, derived, grad, leading, require_function, wanted
from tracejit.base.dims import Size
from tracejit.base.errors import GradientError, SignatureError
from tracejit.base.trees import flatten, unflatten
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Value
from tracejit.ir.terms import Term, apply, compare, convert, iota
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant
from tracejit.tracing.context import TraceContext, active
from tracejit.tracing.control.subgraph import Recorded, put_back, record
from tracejit.tracing.spans import current_span
from tracejit.transforms.batching import vmap as vmap_graph
from tracejit.transforms.forward import jvp as jvp_graph
from tracejit.transforms.reverse import joint

Function = Callable[..., Any]
MODES = ("auto", "forward", "reverse")


def jacobian(fn: Function, argnums: Argnums = 0, mode: str = "auto", has_aux: bool = False) -> Function:
    """The derivatives of every element of the result by every element of the arguments at `argnums`.

    In place of each array of the result there is a structure like the argument (a tuple of them for several argnums),
    whose leaves have the shape (*result, *argument). mode: "forward" goes column by column, "reverse" row by row,
    "auto" takes whichever is fewer, and rows where a custom rule is for reverse mode only. has_aux: fn returns (result,
    aux), the new function (jacobian, aux). Complex functions are taken as holomorphic. Raises GradientError for
    arguments or results that are no floats.
    """
    require_function("jacobian", fn, argnums)
    if mode not in MODES:
        raise SignatureError(f"mode={mode!r} is unknown", fix=f"mode= one of {', '.join(map(repr, MODES))}")

    def of(*args: Any, **kwargs: Any) -> Any:
        return _Jacobian(Call(fn, args, kwargs, argnums, has_aux), mode).result()

    return derived("jacobian", fn, of, argnums, mode, has_aux)


def jacfwd(fn: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """`jacobian` by forward mode, column by column: for few inputs."""
    return jacobian(fn, argnums, "forward", has_aux)


def jacrev(fn: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """`jacobian` by reverse mode, row by row: for few outputs."""
    return jacobian(fn, argnums, "reverse", has_aux)


def hessian(fn: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The second derivatives of `fn`, which gives a real scalar: forward mode over its gradient.

    For one argument of shape s an array of shape (*s, *s); structures nest. has_aux: fn returns (value, aux), the new
    function (hessian, aux).
    """
    require_function("hessian", fn, argnums)
    return jacobian(grad(fn, argnums, has_aux), argnums, "forward", has_aux)


def has_tangents(graph: Graph) -> bool:
    """Whether forward mode has a rule for every node: `custom_gradient` may have one for reverse mode only."""
    return all((node.op.name != "custom" or node.attributes["tangent"] is not None)
               and all(has_tangents(region) for _, region in node.regions()) for node in graph.nodes)


class _Jacobian:
    """One call in a trace."""

    def __init__(self, call: Call, mode: str):
        context = active()
        assert context is not None
        self.context: TraceContext = context
        self.call = call
        self.recorded: Recorded = record(context.namespace, call.run, call.leaves)
        self.outputs: tuple[Value, ...] = self.recorded.graph.outputs[:leading(self.recorded, call.has_aux)]
        self.require_floats()
        only = self.only_mode()
        if only is not None and mode not in ("auto", only):
            raise GradientError(f"mode={mode!r} can't give the Jacobian between real and complex arrays",
                                span=current_span(2), why="their derivatives are two real numbers each",
                                fix=f"use mode={only!r}, or real and imaginary parts")
        self.forward = (only or mode) == "forward" or (only or mode) == "auto" and (
            self.is_tall() and has_tangents(self.recorded.graph))

    def require_floats(self) -> None:
        for output in self.outputs:
            if not output.dtype.is_inexact:
                raise GradientError(f"the result is {output.type}: it has no derivative", span=current_span(2),
                                    fix="give floats, or leave it out of the result")

    def only_mode(self) -> str | None:
        """Forward mode takes real arguments to complex results, reverse mode complex ones to real results."""
        leaves, outputs = ({v.dtype.is_complex for v in some} for some in (
            [leaf.type for leaf in self.call.leaves], self.outputs))
        if len(leaves) != 1 or len(outputs) != 1 or leaves == outputs:
            return None
        return "reverse" if leaves == {True} else "forward"

    def is_tall(self) -> bool:
        """Whether there are no more columns than rows, as far as is known."""
        columns = [n for leaf in self.call.leaves if isinstance(n := elements(leaf.type), int)]
        rows = [n for v in self.outputs if isinstance(n := elements(v.type), int)]
        if len(columns) == len(self.call.leaves) and len(rows) == len(self.outputs):
            return sum(columns) <= sum(rows)
        return len(self.outputs) > 1

    def result(self) -> Any:
        parts = self.columns() if self.forward else self.rows()      # parts[output][leaf]
        values = put_back(self.context, self.recorded.graph, self.call.leaves, self.recorded.operands)
        result = self.recorded.restored(values)
        structure = flatten(result[0] if self.call.has_aux else result)[1]
        trees = [self.call.trees(row) for row in parts]
        made = unflatten(structure, [t[0] if self.call.is_one else t for t in trees])
        return (made, result[1]) if self.call.has_aux else made

    def columns(self) -> list[list[Array]]:
        """By forward mode, one batched graph per leaf."""
        by_leaf = [self.column(k) for k in range(len(self.call.leaves))]
        return [[column[m] for column in by_leaf] for m in range(len(self.outputs))]

    def column(self, k: int) -> list[Array]:
        leaf, graph = self.call.leaves[k], self.recorded.graph
        moving = [j == k for j in range(len(graph.params))]
        dense = [m < len(self.outputs) for m in range(len(graph.outputs))]
        pushed, given = jvp_graph(graph, moving, dense)
        made = self.batched(pushed, 1, leaf.type)[len(graph.outputs):]
        tangents = [made[sum(given[:m])] for m in range(len(self.outputs))]
        return [folded(t, v.type, leaf.type, first=False) for t, v in zip(tangents, self.outputs, strict=True)]

    def rows(self) -> list[list[Array]]:
        """By reverse mode, one batched graph per array of the result."""
        return [self.row(m) for m in range(len(self.outputs))]

    def row(self, m: int) -> list[Array]:
        graph, output = self.recorded.graph, self.outputs[m]
        both = joint(graph, wanted(self.call, self.recorded), [j == m for j in range(len(graph.outputs))])
        made = iter(self.batched(both.graph, 1, output.type)[len(graph.outputs):])
        found = []
        for leaf, has in zip(self.call.leaves, both.given, strict=False):
            type = ArrayType(leaf.type.dtype, (*output.shape, *leaf.type.shape))
            found.append(folded(next(made), output.type, leaf.type, first=True) if has
                         else constant(0, type.dtype, type.shape))
        return found

    def batched(self, graph: Graph, moving: int, type: ArrayType) -> list[Array]:
        """The graph with every unit vector of `type` for its last parameter, in lanes; all outputs have them."""
        count = len(graph.params) - moving
        lanes = [False] * count + [True] * moving
        made, _ = vmap_graph(graph, lanes, elements(type), [True] * len(graph.outputs))
        return put_back(self.context, made, self.call.leaves, self.recorded.operands, [units(self.context, type)])


def elements(type: ArrayType) -> Size:
    return math.prod(type.shape)


def units(context: TraceContext, type: ArrayType) -> Array:
    """All unit vectors: an array of shape (elements, *shape)."""
    scope, count = context.scope, elements(type)
    near = Term(scope.graph, constant(0, type.dtype).value)
    row, column = (iota(near, (count, count), axis) for axis in (0, 1))
    eye = convert(compare("EQ", row, column), type.dtype)
    return Array(apply("reshape", eye, shape=(count, *type.shape)).value, scope)


def folded(made: Array, result: ArrayType, argument: ArrayType, first: bool) -> Array:
    """Lanes as axes: (*result, *argument). first: lanes are elements of the result, and come first already."""
    term = Term(made.scope.graph, made.value)
    if not first:
        term = apply("transpose", term, permutation=(*range(1, term.rank), 0))
    return Array(apply("reshape", term, shape=(*result.shape, *argument.shape)).value, made.scope)


__all__: Sequence[str] = ["hessian", "jacfwd", "jacobian", "jacrev"]
