"""Optimizers in their pure form: `init(params)` and `update(grads, state, params)`.

Flows in:  pytrees of parameters and gradients of one structure.
Flows out: new parameters and a new state: a dict of the step count and of trees like the parameters.
"""
from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from tracejit.base.errors import SignatureError
from tracejit.base.trees import flatten, tree_map, unflatten
from tracejit.optim.schedules import Schedule
from tracejit.tracing.building import convert
from tracejit.tracing.context import active

Slots = dict[str, Any]


def in_dtype(x: Any, dtype: Any) -> Any:
    """A number in the dtype of a parameter."""
    return x.astype(dtype) if hasattr(x, "astype") else dtype.type(x) if active() is None else convert(x, dtype)


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers do. learning_rate: a number, or a function of the step from 0.

    weight_decay: times the parameter, added to the gradient (AdamW and Lion: decoupled, times the learning rate).
    A subclass names its `slots`, trees like the parameters that start at zero, and gives `change`.
    """

    learning_rate: float | Schedule
    _: KW_ONLY
    weight_decay: float = 0.0

    slots: ClassVar[tuple[str, ...]] = ()
    decoupled: ClassVar[bool] = False

    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step."""
        return {"step": np.int64(0), **{name: tree_map(np.zeros_like, params) for name in self.slots}}

    def update(self, grads: Any, state: dict[str, Any], params: Any) -> tuple[Any, dict[str, Any]]:
        """The parameters and the state after one step. Raises SignatureError if the structures differ."""
        leaves, structure = flatten(params)
        gradients = self._like("gradients", grads, structure)
        slots = {name: self._like(f"state[{name!r}]", state.get(name), structure) for name in self.slots}
        step = state["step"]
        rate = self.learning_rate(step) if callable(self.learning_rate) else self.learning_rate
        count = step + 1
        moved: list[Any] = []
        after: dict[str, list[Any]] = {name: [] for name in self.slots}
        for k, (p, g) in enumerate(zip(leaves, gradients, strict=True)):
            new, changed = self._one(p, g, {name: slots[name][k] for name in self.slots}, rate, count)
            moved.append(new)
            for name in self.slots:
                after[name].append(changed[name])
        return unflatten(structure, moved), {"step": count, **{n: unflatten(structure, v) for n, v in after.items()}}

    def _one(self, p: Any, g: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        """One parameter, in its own dtype whatever that of the rate."""
        dtype = np.result_type(p)
        rate = in_dtype(rate, dtype)
        if self.weight_decay and not self.decoupled:
            g = g + self.weight_decay * p
        change, slots = self.change(g, p, slots, rate, in_dtype(count, dtype))
        if self.weight_decay and self.decoupled:
            change = change + rate * self.weight_decay * p
        return p - change, slots

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        """What is subtracted from a parameter, and its new slots. count: the number of this step, from 1."""
        raise NotImplementedError

    def _like(self, what: str, tree: Any, structure: Any) -> list[Any]:
        leaves, found = flatten(tree)
        if found != structure:
            raise SignatureError(f"the {what} have the structure {found}, the parameters {structure}",
                                 why=f"{type(self).__name__} updates each parameter with what belongs to it",
                                 fix="take the gradient by all parameters, and make the state by init(params)")
        return leaves


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent; with momentum, and that of Nesterov."""

    momentum: float = 0.0
    nesterov: bool = False

    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    def init(self, params: Any) -> dict[str, Any]:
        state = super().init(params)
        return state if self.momentum else {"step": state["step"]}

    def update(self, grads: Any, state: dict[str, Any], params: Any) -> tuple[Any, dict[str, Any]]:
        if self.momentum:
            return super().update(grads, state, params)
        plain = Plain(self.learning_rate, weight_decay=self.weight_decay)
        return plain.update(grads, state, params)

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        velocity = self.momentum * slots["velocity"] + g
        step = g + self.momentum * velocity if self.nesterov else velocity
        return rate * step, {"velocity": velocity}


@dataclass(frozen=True)
class Plain(Optimizer):
    """Gradient descent without any state."""

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        return rate * g, slots


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Source: J. Duchi et al., Adaptive subgradient methods (2011)."""

    epsilon: float = 1e-7
    initial: float = 0.1

    slots: ClassVar[tuple[str, ...]] = ("squares",)

    def init(self, params: Any) -> dict[str, Any]:
        return {**super().init(params), "squares": tree_map(lambda p: np.full_like(p, self.initial), params)}

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        squares = slots["squares"] + g * g
        return rate * g / (np.sqrt(squares) + self.epsilon), {"squares": squares}


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Source: M. Zeiler, ADADELTA (2012)."""

    rho: float = 0.95
    epsilon: float = 1e-7

    slots: ClassVar[tuple[str, ...]] = ("squares", "changes")

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        squares = self.rho * slots["squares"] + (1 - self.rho) * g * g
        step = np.sqrt(slots["changes"] + self.epsilon) / np.sqrt(squares + self.epsilon) * g
        changes = self.rho * slots["changes"] + (1 - self.rho) * step * step
        return rate * step, {"squares": squares, "changes": changes}


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Source: T. Hinton, lecture 6e of Neural networks for machine learning (2012). centered: by the variance."""

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    slots: ClassVar[tuple[str, ...]] = ("squares", "means", "velocity")

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        squares = self.rho * slots["squares"] + (1 - self.rho) * g * g
        means = self.rho * slots["means"] + (1 - self.rho) * g if self.centered else slots["means"]
        spread = squares - means * means if self.centered else squares
        velocity = self.momentum * slots["velocity"] + rate * g / (np.sqrt(spread) + self.epsilon)
        return velocity, {"squares": squares, "means": means, "velocity": velocity}


@dataclass(frozen=True)
class Adam(Optimizer):
    """Source: D. Kingma and J. Ba, Adam (2015)."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    slots: ClassVar[tuple[str, ...]] = ("means", "squares")

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        means, squares = self.moments(g, slots)
        first, second = means / (1 - self.beta1 ** count), squares / (1 - self.beta2 ** count)
        return rate * first / (np.sqrt(second) + self.epsilon), {"means": means, "squares": squares}

    def moments(self, g: Any, slots: Slots) -> tuple[Any, Any]:
        return (self.beta1 * slots["means"] + (1 - self.beta1) * g,
                self.beta2 * slots["squares"] + (1 - self.beta2) * g * g)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay. Source: I. Loshchilov and F. Hutter (2019)."""

    decoupled: ClassVar[bool] = True

    _: KW_ONLY
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Nadam(Adam):
    """Adam with Nesterov's momentum. Source: T. Dozat (2016), with constant momentum."""

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        means, squares = self.moments(g, slots)
        ahead = self.beta1 * means / (1 - self.beta1 ** (count + 1)) + (1 - self.beta1) * g / (1 - self.beta1 ** count)
        second = squares / (1 - self.beta2 ** count)
        return rate * ahead / (np.sqrt(second) + self.epsilon), {"means": means, "squares": squares}


@dataclass(frozen=True)
class Lion(Optimizer):
    """Source: X. Chen et al., Symbolic discovery of optimization algorithms (2023)."""

    beta1: float = 0.9
    beta2: float = 0.99

    slots: ClassVar[tuple[str, ...]] = ("means",)
    decoupled: ClassVar[bool] = True

    def change(self, g: Any, p: Any, slots: Slots, rate: Any, count: Any) -> tuple[Any, Slots]:
        means = slots["means"]
        step = np.sign(self.beta1 * means + (1 - self.beta1) * g)
        return rate * step, {"means": self.beta2 * means + (1 - self.beta2) * g}


def moving_average(average: Any, params: Any, decay: float, step: Any = None) -> Any:
    """decay * average + (1 - decay) * params, over trees; a step keeps the decay below (1 + step) / (10 + step)."""
    rate: Any = decay if step is None else np.minimum(decay, (1 + step) / (10 + step))
    pairs = zip(flatten(average)[0], flatten(params)[0], strict=True)
    return unflatten(flatten(params)[1], [a + (1 - rate) * (p - a) for a, p in pairs])


