"""What all optimizers do: the update of parameters by gradients, as a function of trees and on Variables.

Flows in:  parameters and gradients of one structure; the rule of a subclass.
Flows out: new parameters and a new state: a dict of the step count and of trees like the parameters. On Variables both
           are assigned; the state is then held in Variables that are made once.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np

from tracejit.api.gradients import derived
from tracejit.api.tape import GradientTape
from tracejit.api.variable import Variable
from tracejit.base.dtypes import F64, I64, DType, dtype_of
from tracejit.base.errors import DtypeError, GradientError, ShapeError, SignatureError, UnsupportedTypeError
from tracejit.base.trees import TreeDef, flatten, flatten_with_paths, tree_map, unflatten
from tracejit.optim.schedules import Schedule
from tracejit.optim.slots import Slots
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import convert, lift
from tracejit.tracing.context import active, current
from tracejit.tracing.spans import current_span

State = dict[str, Any]
Decays = Callable[[str, Any], bool]


@dataclass(frozen=True)
class Optimizer:
    """A rule by which gradients change parameters.

    learning_rate: a number, a Variable, or a function of the step from 0.  weight_decay: times the parameter, added to
    the gradient (AdamW and Lion: decoupled, times the learning rate).  decays: (name, parameter) -> whether it decays;
    the name is the path in the tree, such as `['w'][0]`, or that of the Variable.  before: functions that the tree of
    gradients goes through first (see `chain`).
    """

    learning_rate: float | Variable | Schedule
    _: KW_ONLY
    weight_decay: float = 0.0
    decays: Decays | None = None
    before: tuple[Callable[[Any], Any], ...] = ()
    slots: Slots = field(default_factory=Slots, init=False, repr=False, compare=False)

    decoupled: ClassVar[bool] = False

    # What a rule says

    def names(self) -> tuple[str, ...]:
        """The trees of the state besides the step."""
        return ()

    def initial(self, name: str) -> float:
        """What a tree of the state is filled with before the first step."""
        return 0.0

    def factors(self, rate: Any, count: Any) -> tuple[Any, ...]:
        """Numbers that all parameters share, computed once in float64. count: the number of this step, from 1."""
        return (rate,)

    def change(self, g: Any, p: Any, slots: State, *factors: Any) -> tuple[Any, State]:
        """What is subtracted from a parameter, and its part of the state."""
        raise NotImplementedError

    # Trees

    def init(self, params: Any) -> State:
        """The state before the first step."""
        return {"step": np.int64(0), **{name: self.like(params, name) for name in self.names()}}

    def like(self, params: Any, name: str) -> Any:
        """A tree of the state before the first step."""
        return tree_map(lambda p: self.filled(p, name), params)

    def filled(self, parameter: Any, name: str) -> Any:
        return np.full_like(parameter, self.initial(name), dtype=_dtype(parameter).compute.numpy)

    def update(self, grads: Any, state: State, params: Any) -> tuple[Any, State]:
        """The parameters and the state after one step.

        Raises SignatureError if the structures differ, ShapeError if an array and its gradient do.
        """
        made: tuple[Any, State] = _compiled(_updated, self, grads, state, params)
        return made

    # Variables

    def apply_gradients(self, pairs: Iterable[tuple[Any, Variable]]) -> None:
        """Assigns new values to Variables, one step on. Pairs without a gradient (None) are left alone.

        The state is held in Variables too, made when a Variable is met first: see `variables`.
        Raises GradientError if no pair has a gradient, ShapeError if a gradient has not the shape of its Variable.
        """
        given = [(g, v) for g, v in pairs if g is not None]
        if not given:
            raise GradientError("apply_gradients got no gradient", span=current_span(2),
                                why="the loss does not depend on any of the Variables, or they were not watched",
                                fix="compute the loss inside of the tape's `with` block, from these Variables")
        variables = [v for _, v in given]
        _require_variables(variables)
        for gradient, variable in given:
            _require_fit(variable.name, variable, gradient)
        _compiled(_assign, self, [g for g, _ in given], variables, self.build(variables))

    def minimize(self, loss: Callable[[], Any], variables: Sequence[Variable]) -> Any:
        """One step down the gradient of `loss()` by the Variables; gives the loss before the step."""
        context = active()
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(variables))
            value = loss() if context is None else context.namespace.call(loss)
        self.apply_gradients(zip(tape.gradient(value, list(variables)), variables, strict=True))
        return value

    def build(self, variables: Sequence[Variable]) -> State:
        """The state of Variables; what is missing is made. To restore a saved state: build, then assign to it."""
        return self.slots.state(variables, self.names(), self.filled)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The Variables that hold the state: the step, and what belongs to each updated Variable."""
        return self.slots.variables()


def chain(*steps: Any) -> Optimizer:
    """An optimizer whose gradients go through functions of trees first: `chain(clip, Adam(1e-3))`."""
    *functions, last = steps
    if not isinstance(last, Optimizer) or not all(map(callable, functions)):
        raise SignatureError("chain takes functions of the gradients, and an optimizer at the end",
                             span=current_span(2), fix="chain(lambda g: clip_by_global_norm(g, 1.0), Adam(1e-3))")
    return dataclasses.replace(last, before=(*functions, *last.before))


# ---- the update ------------------------------------------------------------------------------------------------


def _compiled(work: Callable[..., Any], optimizer: Optimizer, *args: Any) -> Any:
    """Part of a trace inside one; outside, a function that is compiled once for equal optimizers."""
    def run(*args: Any) -> Any:
        return work(optimizer, *args)

    return run(*args) if active() is not None else derived(work.__name__.strip("_"), optimizer, run)(*args)


def _updated(optimizer: Optimizer, grads: Any, state: State, params: Any) -> tuple[Any, State]:
    named, structure = flatten_with_paths(params)
    names, leaves = [n for n, _ in named], [p for _, p in named]
    gradients = _like(optimizer, "gradients", grads, structure)
    slots = {name: _like(optimizer, f"state[{name!r}]", state.get(name), structure) for name in optimizer.names()}
    for name, p, g, *held in zip(names, leaves, gradients, *slots.values(), strict=True):
        _require_fit(name or "the parameter", p, g)
        for kind, slot in zip(slots, held, strict=True):
            _require_fit(f"{name or 'the parameter'} in state[{kind!r}]", p, slot)
    for function in optimizer.before:
        gradients = _like(optimizer, "changed gradients",
                          current().namespace.call(function, unflatten(structure, gradients)), structure)
    moved, after, count = _all(optimizer, gradients, slots, leaves, names, state["step"])
    return unflatten(structure, moved), {"step": count, **{n: unflatten(structure, v) for n, v in after.items()}}


def _assign(optimizer: Optimizer, gradients: list[Any], variables: list[Variable], state: State) -> None:
    for function in optimizer.before:
        gradients = current().namespace.call(function, gradients)
    slots = {name: [v.value for v in state[name]] for name in optimizer.names()}
    moved, after, count = _all(optimizer, gradients, slots, [v.value for v in variables], [v.name for v in variables],
                               state["step"].value)
    for name, held in after.items():
        for variable, value in zip(state[name], held, strict=True):
            variable.assign(value)
    for variable, value in zip(variables, moved, strict=True):
        variable.assign(value)
    state["step"].assign(count)


def _all(optimizer: Optimizer, gradients: Sequence[Any], slots: dict[str, list[Any]], params: Sequence[Any],
         names: Sequence[str], step: Any) -> tuple[list[Any], dict[str, list[Any]], Any]:
    """All parameters and their slots after a step, and the count of steps."""
    count: Any = convert(lift(step), I64)
    count = count + 1
    rate = rate_at(optimizer.learning_rate, step)
    factors = current().namespace.call(optimizer.factors, rate, convert(count, F64))
    moved: list[Any] = []
    after: dict[str, list[Any]] = {name: [] for name in slots}
    for k, (name, p, g) in enumerate(zip(names, params, gradients, strict=True)):
        new, held = _one(optimizer, name, p, g, {kind: slots[kind][k] for kind in slots}, factors)
        moved.append(new)
        for kind in slots:
            after[kind].append(held[kind])
    return moved, after, count


def rate_at(learning_rate: Any, step: Any) -> Array:
    """The learning rate of a step."""
    found = current().namespace.call(learning_rate, step) if _is_schedule(learning_rate) else learning_rate
    return convert(lift(found), F64)


def _is_schedule(learning_rate: Any) -> bool:
    return callable(learning_rate) and not isinstance(learning_rate, (Variable, Array))


def _one(optimizer: Optimizer, name: str, p: Any, g: Any, slots: State, factors: Sequence[Any]) -> tuple[Any, State]:
    """One parameter, in its own dtype whatever that of the gradient and the rate; 16-bit floats in float32."""
    kept = _dtype(p)
    wide = kept.compute
    p, g = convert(lift(p), wide), convert(lift(g), wide)
    rate, *_ = factors = [convert(f, wide) for f in factors]
    decays = bool(optimizer.weight_decay) and (
        optimizer.decays is None or bool(current().namespace.call(optimizer.decays, name, p)))
    if decays and not optimizer.decoupled:
        g = g + optimizer.weight_decay * p
    change, slots = current().namespace.call(optimizer.change, g, p, slots, *factors)
    if decays and optimizer.decoupled:
        change = change + rate * optimizer.weight_decay * p
    return convert(p - change, kept), slots


# ---- checks ----------------------------------------------------------------------------------------------------


def _like(optimizer: Optimizer, what: str, tree: Any, structure: TreeDef) -> list[Any]:
    leaves, found = flatten(tree)
    if found != structure:
        raise SignatureError(f"the {what} have the structure {found}, the parameters {structure}",
                             span=current_span(2),
                             why=f"{type(optimizer).__name__} updates each parameter with what belongs to it",
                             fix="take the gradient by all parameters, and make the state by init(params)")
    return leaves


def _require_variables(variables: Sequence[Any]) -> None:
    for v in variables:
        if not isinstance(v, Variable):
            raise UnsupportedTypeError(f"apply_gradients got a {type(v).__name__} to assign to", span=current_span(2),
                                       why="only Variables can be changed in place",
                                       fix="pass pairs (gradient, Variable); arrays are for `update`")
    ids = [id(v) for v in variables]
    if (twice := next((v for k, v in enumerate(variables) if id(v) in ids[:k]), None)) is not None:
        raise SignatureError(f"apply_gradients got {twice.name} twice", span=current_span(2),
                             why="a step moves each Variable once", fix="add its gradients first")


def _dtype(parameter: Any) -> DType:
    """The dtype of a parameter: floats."""
    found = dtype_of(getattr(parameter, "dtype", np.dtype(np.float64)))
    if not found.is_float:
        raise DtypeError(f"an optimizer can't change {found} parameters", span=current_span(2),
                         why="there is no derivative by integers, and a complex step has no order",
                         fix="keep parameters as floats; complex ones as real and imaginary parts")
    return found


def _require_fit(name: str, parameter: Any, other: Any) -> None:
    expected, found = _shape(parameter), _shape(other)
    if expected != found:
        raise ShapeError(f"{name} has the shape {expected}, what belongs to it {found}", span=current_span(2),
                         why="each element is moved by its own derivative",
                         fix="take the gradient by this parameter, and make the state by init(params)")


def _shape(x: Any) -> tuple[Any, ...]:
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
