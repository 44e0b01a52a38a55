"""`tj.custom_gradient`, `tj.stop_gradient`: derivatives as the user states them.

Flows in:  functions, and functions that give their derivatives.
Flows out: functions. In a trace a call becomes one `custom` op, which holds the function and its rules as graphs.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.api.gradients import Call, derived, is_float
from tracejit.api.library import Anywhere
from tracejit.base.errors import GradientError
from tracejit.base.trees import TreeDef, flatten, unflatten
from tracejit.ir.graph import Graph
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, convert, emit, lift
from tracejit.tracing.context import Scope, active, inside
from tracejit.tracing.control.regions import finish, run_region, share_operands
from tracejit.tracing.control.schema import Schema, build, describe
from tracejit.tracing.control.schema import flatten as flatten_schema
from tracejit.tracing.control.schema import leaves as leaves_of
from tracejit.tracing.control.subgraph import record
from tracejit.tracing.control.world import World, cells_of
from tracejit.tracing.inputs import FIXED_CALLABLES
from tracejit.tracing.spans import current_span

Function = Callable[..., Any]
NESTED = 2      # a rule may call its own function: derivatives of that call are by the rule again, then by the body


def stop_gradient(tree: Any) -> Any:
    """The same values, through which no derivative flows. Any pytree; outside a trace the tree itself."""
    if active() is None:
        return tree
    leaves, structure = flatten(tree)
    return unflatten(structure, [_like(x, emit("stop_gradient", lift(x))) if _is_number(x) else x for x in leaves])


def checkpoint(fn: Function) -> Function:
    """`fn`, of which reverse mode keeps the arguments alone: what is between is computed again on the way back.

    The memory of a long chain of functions becomes that of its arguments plus one function; the time grows by one
    forward pass. The same values, derivatives and effects (those that are repeated must not have any).
    """
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        context = active()
        assert context is not None
        call = Call(fn, args, kwargs, tuple(range(len(args))), lenient=True)
        recorded = record(context.namespace, call.run, call.leaves)
        scope = context.scope
        values = [*(scope.bring(a.value, a.scope) for a in call.leaves),
                  *(scope.bring(v, home) for v, home in recorded.operands)]
        made = context.emit("checkpoint", values, {"body": recorded.graph})
        return recorded.restored([Array(v, scope) for v in made])

    return derived("checkpoint", fn, checkpointed)


def _is_number(x: Any) -> bool:
    return isinstance(x, (Array, int, float, complex)) and not isinstance(x, bool) or hasattr(x, "dtype")


def _like(x: Any, made: Array) -> Any:
    return build(describe(lift(x)), iter([made]))


class Custom(Anywhere):
    """A function with derivatives of its own.

    As `@tj.custom_gradient`, the function returns (result, gradient), where gradient(cotangent of the result) gives the
    cotangents of the arguments. Or: `f = tj.custom_gradient(fn)` with `f.defvjp(forward, backward)`, where
    forward(*args) gives (result, residuals) and backward(residuals, cotangent) the cotangents; or `f.defjvp(rule)`,
    where rule(primals, tangents) gives (result, tangent of the result).
    """

    def __init__(self, fn: Function):
        super().__init__(lambda *args, **kwargs: self.traced(*args, **kwargs), fn, _name_of(fn))
        self.fn = fn
        self.forward: Function | None = None
        self.backward: Function | None = None
        self.rule: Function | None = None

    def defvjp(self, forward: Function, backward: Function) -> None:
        """Reverse mode: forward(*args) -> (result, residuals); backward(residuals, cotangent) -> cotangents."""
        self.forward, self.backward = forward, backward

    def defjvp(self, rule: Function) -> Function:
        """Forward mode, transposed for reverse mode: rule(primals, tangents) -> (result, tangent)."""
        self.rule = rule
        return rule

    def traced(self, /, *args: Any, **kwargs: Any) -> Any:
        """A call in a trace."""
        context = active()
        assert context is not None
        depth = context.depth.get(self, 0)
        if depth == NESTED:
            return context.namespace.call(self.fn, *args, **kwargs)
        context.depth[self] = depth + 1
        try:
            return CustomCall(self, args, kwargs).result()
        finally:
            context.depth[self] = depth


def _name_of(fn: Any) -> str:
    return str(getattr(fn, "__name__", type(fn).__name__))


FIXED_CALLABLES.add(Custom)
custom_gradient = Custom


class CustomCall:
    """One call in a trace."""

    def __init__(self, custom: Custom, args: tuple[Any, ...], kwargs: dict[str, Any]):
        context = active()
        assert context is not None
        self.custom, self.kwargs, self.context, self.namespace = custom, kwargs, context, context.namespace
        self.structures: list[TreeDef] = []
        self.fixed: list[list[tuple[bool, Any]]] = []    # of each argument: which leaves are no floats, and all leaves
        self.args = args
        self.leaves: list[Array] = []
        for value in args:
            leaves, structure = flatten(value)
            self.structures.append(structure)
            self.fixed.append([(not is_float(x), x) for x in leaves])
            self.leaves += [lift(x) for x in leaves if is_float(x)]

    def filled(self, leaves: Sequence[Any]) -> list[Any]:
        """The arguments with other leaves in place of their floats."""
        rest = iter(leaves)
        return [value if all(stays for stays, _ in fixed) else
                unflatten(structure, [leaf if stays else next(rest) for stays, leaf in fixed])
                for value, structure, fixed in zip(self.args, self.structures, self.fixed, strict=True)]

    def result(self) -> Any:
        """Records function and rules, emits the op, rebuilds the result."""
        body, result = self.region(self.run)
        scopes = [body]
        attributes: dict[str, Any] = {"name": self.custom.__name__, "leaves": len(self.leaves), "body": body.graph,
                                      "forward": None, "backward": None, "tangent": None}
        if self.custom.rule is not None:
            tangent, _ = self.region(lambda *leaves: self.pushed(leaves, result), twice=True)
            scopes.append(tangent)
            attributes["tangent"] = tangent.graph
        else:
            forward, _ = self.reverse(attributes)
            scopes.append(forward)
            attributes["forward"] = forward.graph
        count = len(self.leaves)
        operands = share_operands(scopes, firsts=[count, count if attributes["tangent"] is None else 2 * count])
        if attributes["tangent"] is not None:
            moved_last(attributes["tangent"], len(self.leaves))
        scope = self.context.scope
        values = [scope.bring(a.value, a.scope) for a in self.leaves]
        values += [scope.bring(v, home) for v, home in operands]
        results = self.context.emit("custom", values, attributes)
        return build(result, iter([Array(v, scope) for v in results]))

    def region(self, function: Function, twice: bool = False) -> tuple[Scope, Schema]:
        """`function(*leaves)` in a scope of its own; its result are the outputs. twice: the leaves, then tangents."""
        scope = Scope(Graph([]), self.context.scope)
        scope.facts["recorded"] = True      # it runs as often as what is around it
        copies = [Array(scope.graph.add_param(a.type), scope, a.kind, a.weak, a.boxed)
                  for a in (*self.leaves, *(self.leaves if twice else ()))]
        world = World(cells_of(self.custom.fn), (), self.namespace)
        region = run_region(self.context, world, lambda: function(*copies), scope)
        if region.changes or not region.reached:
            raise GradientError(f"{self.custom.__name__} changes what is outside of it, or never returns",
                                span=current_span(2), why="its derivative is stated for its result alone",
                                fix="return the values")
        with inside(scope):
            schema = describe(region.result)
            finish(region, flatten_schema(region.result, schema))
        return scope, schema

    def reverse(self, attributes: dict[str, Any]) -> tuple[Scope, Schema]:
        """The forward rule's region; the backward rule's goes to `attributes`: what it reads of the other is saved."""
        def forward(*leaves: Array) -> Any:
            if self.custom.forward is not None and self.custom.backward is not None:
                result, residuals = self.call(self.custom.forward, *self.filled(leaves), **self.kwargs)
                back = self.custom.backward
                return self.backward(result, lambda ct: self.call(back, residuals, ct), attributes)
            result, gradient = self.pair(self.call(self.custom.fn, *self.filled(leaves), **self.kwargs))
            return self.backward(result, lambda ct: self.call(gradient, ct), attributes)

        return self.region(forward)

    def backward(self, result: Any, gradient: Function, attributes: dict[str, Any]) -> tuple[Any, ...]:
        """Records gradient(cotangents like the result); gives the result and what the gradient reads."""
        home = self.context.scope
        scope = Scope(Graph([]), home)
        schema = describe(result)
        cts = iter([Array(scope.graph.add_param(leaf.type), scope) for leaf in leaves_of(schema)
                    if leaf.type.dtype.is_inexact])
        with inside(scope):
            whole = iter([next(cts) if leaf.type.dtype.is_inexact else constant(0, leaf.type.dtype, leaf.type.shape)
                          for leaf in leaves_of(schema)])
            found = self.cotangents(gradient(build(schema, whole)))
            scope.graph.outputs = tuple([scope.bring(a.value, a.scope) for a in found])
        count = len(scope.graph.params) - len(scope.operands)
        read = [home.bring(value, owner) for value, owner in scope.operands]
        scope.graph.params = (*scope.graph.params[count:], *scope.graph.params[:count])
        renumber(scope.graph)
        attributes["backward"] = scope.graph
        return result, *[Array(v, home) for v in read]

    def cotangents(self, given: Any) -> list[Array]:
        """One cotangent per leaf of the arguments."""
        trees = given if isinstance(given, (tuple, list)) and len(self.args) != 1 else (given,)
        if len(trees) == 1 and isinstance(trees[0], tuple) and len(trees[0]) == 1 and len(self.args) == 1:
            trees = trees[0]
        if len(trees) != len(self.args):
            raise GradientError(f"the gradient of {self.custom.__name__} gives {len(trees)} cotangents for "
                                f"{len(self.args)} arguments", span=current_span(2), fix="return one per argument")
        found: list[Any] = []
        for tree, fixed in zip(trees, self.fixed, strict=True):
            moving = [k for k, (stays, _) in enumerate(fixed) if not stays]
            leaves = [None] * len(fixed) if tree is None else flatten(tree)[0]
            found += [leaves[k] for k in moving] if len(leaves) == len(fixed) else leaves
        if len(found) != len(self.leaves):
            raise GradientError(f"the gradient of {self.custom.__name__} gives {len(found)} arrays for "
                                f"{len(self.leaves)} arrays of floats in its arguments", span=current_span(2),
                                fix="give each cotangent the structure of its argument, or None for one that is zero")
        return [self.fitted(x, leaf) for x, leaf in zip(found, self.leaves, strict=True)]

    def fitted(self, x: Any, leaf: Array) -> Array:
        if x is None:
            return constant(0, leaf.type.dtype, leaf.type.shape)
        made = convert(lift(x), leaf.type.dtype)
        if made.type.shape != leaf.type.shape:
            raise GradientError(f"the gradient of {self.custom.__name__} gives {made.type} for an argument {leaf.type}",
                                span=current_span(2), fix="give each cotangent the shape of its argument")
        return made

    def pushed(self, leaves: Sequence[Array], result: Schema) -> list[Array]:
        """The tangents of the results by the user's rule."""
        half = len(leaves) // 2
        rule = self.custom.rule
        assert rule is not None
        primals, tangents = self.filled(leaves[:half]), self.filled(leaves[half:])
        made = self.call(rule, tuple(primals), tuple(tangents))
        found = flatten(made[1])[0]
        wanted = [leaf for leaf in leaves_of(result) if leaf.type.dtype.is_inexact]
        return [convert(lift(x), leaf.type.dtype) for x, leaf in zip(found, wanted, strict=True)]

    def call(self, fn: Function, *args: Any, **kwargs: Any) -> Any:
        return self.namespace.call(fn, *args, **kwargs)

    def run(self, *leaves: Array) -> Any:
        result = self.call(self.custom.fn, *self.filled(leaves), **self.kwargs)
        return result if self.has_rules else self.pair(result)[0]

    @property
    def has_rules(self) -> bool:
        return self.custom.rule is not None or self.custom.forward is not None

    def pair(self, result: Any) -> Any:
        """What a function gives that states its own gradient."""
        if not isinstance(result, tuple) or len(result) != 2 or not callable(result[1]):
            raise GradientError(f"{self.custom.__name__} has no derivative", span=current_span(2),
                                why="a function under custom_gradient returns (result, gradient function)",
                                fix="return both, or state rules by defvjp or defjvp")
        return result


def moved_last(graph: Graph, count: int) -> None:
    """(leaves, tangents, imported) becomes (leaves, imported, tangents)."""
    leaves, tangents, imported = graph.params[:count], graph.params[count:2 * count], graph.params[2 * count:]
    graph.params = (*leaves, *imported, *tangents)
    renumber(graph)


def renumber(graph: Graph) -> None:
    for index, param in enumerate(graph.params):
        param.index = index
