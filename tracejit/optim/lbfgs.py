"""L-BFGS: minimises smooth functions by gradients, with a line search.

Flows in:  a function of a tree (or of Variables) that gives a real scalar.
Flows out: where it is smallest. The whole search, every evaluation included, is one compiled function.

Source: D. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization (1989).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.api.gradients import derived, value_and_grad
from tracejit.api.tape import GradientTape
from tracejit.api.variable import Variable
from tracejit.base.dtypes import BOOL, I64
from tracejit.base.errors import SignatureError
from tracejit.base.trees import flatten, unflatten
from tracejit.tracing.building import constant, convert, emit, lift
from tracejit.tracing.context import current
from tracejit.tracing.spans import current_span

Evaluate = Callable[[Any], tuple[Any, Any]]
State = dict[str, Any]


@dataclass(frozen=True)
class Minimum:
    """What a search found. converged: the largest derivative is within the tolerance."""

    params: Any
    value: Any
    gradient: Any
    steps: Any
    converged: Any


@dataclass(frozen=True)
class LBFGS:
    """history: how many steps the curvature is estimated from.  tolerance: the largest derivative at the end.

    steps: at most so many.  evaluations: at most so many in a line search.  armijo, curvature: the conditions of Wolfe.
    """

    history: int = 10
    tolerance: float = 1e-6
    steps: int = 1000
    evaluations: int = 40
    armijo: float = 1e-4
    curvature: float = 0.9

    def minimize(self, fun: Callable[..., Any], x0: Any, *args: Any) -> Minimum:
        """Where fun(x, *args) is smallest, from x0 downhill. If x0 is made of Variables: fun(*args) reads them,
        and they end at the minimum."""
        def search(x0: Any, *args: Any) -> Minimum:
            return _minimize(self, fun, x0, args)

        made: Minimum = derived("lbfgs", fun, search, self)(x0, *args)
        return made

    def init(self, fun: Callable[..., Any], params: Any, *args: Any) -> State:
        """The state before the first step; evaluates `fun` once."""
        def first(params: Any, *args: Any) -> State:
            point = _Point(params)
            return _start(self, point.vector, _function(fun, point, args))

        made: State = derived("lbfgs_init", fun, first, self)(params, *args)
        return made

    def update(self, fun: Callable[..., Any], state: State, params: Any, *args: Any) -> tuple[Any, State]:
        """The parameters and the state after one step, with its line search. state: step, value, gradient (a vector of
        all parameters), moves and changes (of the last steps), stuck (no lower value was found)."""
        def step(state: State, params: Any, *args: Any) -> tuple[Any, State]:
            point = _Point(params)
            _require_vector(state["gradient"], point.vector)
            x, after = _step(self, point.vector, state, _function(fun, point, args))
            return point.restored(x), after

        made: tuple[Any, State] = derived("lbfgs_update", fun, step, self)(state, params, *args)
        return made


# ---- parameters as one vector ----------------------------------------------------------------------------------


class _Point:
    """A tree of arrays or Variables as a vector."""

    def __init__(self, tree: Any):
        self.leaves, self.structure = flatten(tree)
        if not self.leaves:
            raise SignatureError("there is nothing to minimise by", span=current_span(2), fix="pass arrays to begin at")
        self.arrays = [lift(x) for x in self.leaves]
        self.is_variable = any(isinstance(x, Variable) for x in self.leaves)
        self.vector = self.joined(self.arrays)

    def joined(self, arrays: Sequence[Any]) -> Any:
        return np.concatenate([np.reshape(lift(a), (-1,)) for a in arrays])

    def parts(self, vector: Any) -> list[Any]:
        """The arrays that a vector is made of."""
        found, start = [], 0
        for array in self.arrays:
            part = vector[start:start + array.size]
            found.append(convert(lift(np.reshape(part, array.shape)), array.type.dtype))
            start = start + array.size
        return found

    def restored(self, vector: Any) -> Any:
        return unflatten(self.structure, self.parts(vector))

    def assign(self, vector: Any) -> None:
        for variable, value in zip(self.leaves, self.parts(vector), strict=True):
            variable.assign(value)


def _function(fun: Callable[..., Any], point: _Point, args: tuple[Any, ...]) -> Evaluate:
    """Value and gradient as functions of a vector."""
    def of_tree(x: Any) -> tuple[Any, Any]:
        value, gradient = value_and_grad(fun)(point.restored(x), *args)
        return value, point.joined(flatten(gradient)[0])

    def of_variables(x: Any) -> tuple[Any, Any]:
        point.assign(x)
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point.leaves)
            value = current().namespace.call(fun, *args)
        return lift(value), point.joined(tape.gradient(value, point.leaves, unconnected_gradients="zero"))

    return of_variables if point.is_variable else of_tree


def _require_vector(gradient: Any, vector: Any) -> None:
    if np.shape(gradient) != np.shape(vector):
        raise SignatureError(f"the state is that of {np.shape(gradient)[0]} numbers, there are {np.shape(vector)[0]}",
                             span=current_span(2), fix="make the state by init(fun, params)")


# ---- the search ------------------------------------------------------------------------------------------------


def _minimize(options: LBFGS, fun: Callable[..., Any], x0: Any, args: tuple[Any, ...]) -> Minimum:
    point = _Point(x0)
    evaluate = _function(fun, point, args)
    x, state = point.vector, _start(options, point.vector, evaluate)

    def test() -> Any:
        return (np.max(np.abs(state["gradient"])) > options.tolerance) & (state["step"] < options.steps) & (
            np.logical_not(state["stuck"]))

    def body() -> None:
        nonlocal x, state
        x, state = _step(options, x, state, evaluate)

    current().namespace.while_(test, body, ("x", "state"))
    if point.is_variable:
        point.assign(x)
    small = np.max(np.abs(state["gradient"])) <= options.tolerance
    return Minimum(point.restored(x), state["value"], point.restored(state["gradient"]), state["step"], small)


def _start(options: LBFGS, x: Any, evaluate: Evaluate) -> State:
    value, gradient = evaluate(x)
    array = lift(x)
    moves, changes = [constant(0, array.type.dtype, (options.history, array.type.shape[0])) for _ in range(2)]
    return {"step": constant(0, I64), "value": value, "gradient": gradient, "moves": moves, "changes": changes,
            "stuck": constant(False, BOOL)}


def _step(options: LBFGS, x: Any, state: State, evaluate: Evaluate) -> tuple[Any, State]:
    way = _direction(state, options.history)
    found, value, gradient, lower = _line_search(options, x, state, way, evaluate)
    return np.where(lower, found, x), {
        "step": state["step"] + 1, "value": emit("select", lift(lower), lift(value), lift(state["value"])),
        "gradient": np.where(lower, gradient, state["gradient"]),
        "moves": _shifted(state["moves"], found - x, lower),
        "changes": _shifted(state["changes"], gradient - state["gradient"], lower), "stuck": np.logical_not(lower)}


def _shifted(rows: Any, newest: Any, keep: Any) -> Any:
    """The rows without the oldest and with one more at the end."""
    return np.where(keep, np.concatenate([rows[1:], newest[None]]), rows)


def _direction(state: State, history: int) -> Any:
    """Minus the gradient times the estimate of the inverse Hessian, by two loops over the last steps."""
    namespace = current().namespace
    moves, changes = state["moves"], state["changes"]
    products = np.sum(moves * changes, axis=1)
    weights = np.where(products > 0, 1 / np.where(products > 0, products, 1), 0)
    q, used = state["gradient"], weights * 0

    def back(i: Any) -> None:
        nonlocal q, used
        k = history - 1 - i
        share = weights[k] * np.sum(moves[k] * q)
        used = emit("scatter", lift(used), _single(share), _single(k), axes=(0,), combine="set")
        q = q - share * changes[k]

    def forth(k: Any) -> None:
        nonlocal q
        q = q + (used[k] - weights[k] * np.sum(changes[k] * q)) * moves[k]

    namespace.for_(namespace.call(range, history), back, None, ("q", "used"))
    q = q * _scale(state["gradient"], products[-1], changes[-1])
    namespace.for_(namespace.call(range, history), forth, None, ("q",))
    return -q


def _single(number: Any) -> Any:
    return np.reshape(lift(number), (1,))


def _scale(gradient: Any, product: Any, change: Any) -> Any:
    """What stands for the inverse Hessian at first: from the last step; before it, a step of length 1 at most."""
    size = np.sqrt(np.sum(gradient * gradient))
    known = product > 0
    return np.where(known, product / np.where(known, np.sum(change * change), 1), 1 / np.maximum(size, 1))


def _line_search(options: LBFGS, x: Any, state: State, way: Any, evaluate: Evaluate) -> tuple[Any, Any, Any, Any]:
    """The point, value and gradient of a step along `way` that meets Wolfe's conditions, and whether one was found.

    By doubling and bisection. Source: A. Lewis and M. Overton, Nonsmooth optimization via quasi-Newton methods (2013);
    near the minimum, where values differ by rounding only, with the condition of W. Hager and H. Zhang, A new conjugate
    gradient method with guaranteed descent (2005).
    """
    dtype = lift(x).type.dtype
    value, gradient, slope = state["value"], state["gradient"], np.sum(state["gradient"] * way)
    size: Any = constant(1, dtype)
    low: Any = constant(0, dtype)
    high: Any = constant(np.inf, dtype)
    count: Any = constant(0, I64)
    done: Any = constant(False, BOOL)
    found, new, derivative = x, value, gradient
    slack = 4 * float(np.finfo(dtype.numpy).eps) * np.abs(value)

    def test() -> Any:
        return np.logical_not(done) & (count < options.evaluations)

    def body() -> None:
        nonlocal size, low, high, count, done, found, new, derivative
        found = x + size * way
        new, derivative = evaluate(found)
        steep = np.sum(derivative * way)
        lower = (new <= value + options.armijo * size * slope) | (
            (new <= value + slack) & (steep <= (2 * options.armijo - 1) * slope))
        flat = steep >= options.curvature * slope
        done, count = lower & flat, count + 1
        low, high = np.where(lower & np.logical_not(flat), size, low), np.where(lower, high, size)
        size = np.where(done, size, np.where(np.isinf(high), 2 * size, 0.5 * (low + high)))

    current().namespace.while_(test, body, ("size", "low", "high", "count", "done", "found", "new", "derivative"))
    return found, new, derivative, done | (new < value)
