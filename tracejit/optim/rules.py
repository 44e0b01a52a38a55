"""The optimizers: each one's published rule.

Flows in:  one parameter, its gradient, its part of the state.
Flows out: what is subtracted from the parameter, and the new part of the state.
"""
from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from tracejit.optim.optimizer import Optimizer, State


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent; with momentum, and that of Nesterov. Source: torch.optim.SGD."""

    momentum: float = 0.0
    nesterov: bool = False

    def names(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def change(self, g: Any, p: Any, slots: State, *factors: Any) -> tuple[Any, State]:
        (rate,) = factors
        if not slots:
            return rate * g, slots
        velocity = self.momentum * slots["velocity"] + g
        step = g + self.momentum * velocity if self.nesterov else velocity
        return rate * step, {"velocity": velocity}


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Source: J. Duchi et al., Adaptive subgradient methods (2011). start: of the sums of squares."""

    epsilon: float = 1e-10
    start: float = 0.0

    def names(self) -> tuple[str, ...]:
        return ("squares",)

    def initial(self, name: str) -> float:
        return self.start

    def change(self, g: Any, p: Any, slots: State, *factors: Any) -> tuple[Any, State]:
        (rate,) = factors
        squares = slots["squares"] + g * g
        return rate * g / (np.sqrt(squares) + self.epsilon), {"squares": squares}


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Source: M. Zeiler, ADADELTA (2012)."""

    rho: float = 0.9
    epsilon: float = 1e-6

    def names(self) -> tuple[str, ...]:
        return "squares", "changes"

    def change(self, g: Any, p: Any, slots: State, *factors: Any) -> tuple[Any, State]:
        (rate,) = factors
        squares = self.rho * slots["squares"] + (1 - self.rho) * g * g
        step = np.sqrt((slots["changes"] + self.epsilon) / (squares + self.epsilon)) * g
        changes = self.rho * slots["changes"] + (1 - self.rho) * step * step
        return rate * step, {"squares": squares, "changes": changes}


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Source: T. Hinton, lecture 6e of Neural networks for machine learning (2012). centered: by the variance."""

    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    centered: bool = False

    def names(self) -> tuple[str, ...]:
        return ("squares", *(["means"] if self.centered else []), *(["velocity"] if self.momentum else []))

    def change(self, g: Any, p: Any, slots: State, *factors: Any) -> tuple[Any, State]:
        (rate,) = factors
        after = {"squares": self.rho * slots["squares"] + (1 - self.rho) * g * g}
        spread = after["squares"]
        if "means" in slots:
            after["means"] = self.rho * slots["means"] + (1 - self.rho) * g
            spread = spread - after["means"] * after["means"]
        step = g / (np.sqrt(spread) + self.epsilon)
        if "velocity" in slots:
            step = after["velocity"] = self.momentum * slots["velocity"] + step
        return rate * step, after


@dataclass(frozen=True)
class Adam(Optimizer):
    """Source: D. Kingma and J. Ba, Adam (2015).

    amsgrad: by the largest mean of squares so far. Source: S. Reddi et al., On the convergence of Adam (2018).
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False

    def names(self) -> tuple[str, ...]:
        return ("means", "squares", *(["largest"] if self.amsgrad else []))

    def factors(self, rate: Any, count: Any) -> tuple[Any, ...]:
        """The rate, the rate over 1 - beta1^t, and 1 / sqrt(1 - beta2^t)."""
        return rate, rate / (1 - self.beta1 ** count), 1 / np.sqrt(1 - self.beta2 ** count)

    def change(self, g: Any, p: Any, slots: State, *factors: Any) -> tuple[Any, State]:
        _, rate, root = factors
        after, spread = self.moments(g, slots)
        return rate * after["means"] / (root * np.sqrt(spread) + self.epsilon), after

    def moments(self, g: Any, slots: State) -> tuple[State, Any]:
        """The state after a gradient, and the mean of squares that the step is divided by."""
        after = {"means": self.beta1 * slots["means"] + (1 - self.beta1) * g,
                 "squares": self.beta2 * slots["squares"] + (1 - self.beta2) * g * g}
        if "largest" not in slots:
            return after, after["squares"]
        after["largest"] = np.maximum(slots["largest"], after["squares"])
        return after, after["largest"]


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay. Source: I. Loshchilov and F. Hutter (2019)."""

    decoupled: ClassVar[bool] = True

    _: KW_ONLY
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Nadam(Adam):
    """Adam with Nesterov's momentum. Source: T. Dozat (2016), with constant momentum, as optax.nadam."""

    def factors(self, rate: Any, count: Any) -> tuple[Any, ...]:
        ahead, now = 1 - self.beta1 ** (count + 1), 1 - self.beta1 ** count
        return (rate, rate * self.beta1 / ahead, rate * (1 - self.beta1) / now, 1 / np.sqrt(1 - self.beta2 ** count))

    def change(self, g: Any, p: Any, slots: State, *factors: Any) -> tuple[Any, State]:
        _, ahead, now, root = factors
        after, spread = self.moments(g, slots)
        return (ahead * after["means"] + now * g) / (root * np.sqrt(spread) + self.epsilon), after


@dataclass(frozen=True)
class Lion(Optimizer):
    """Source: X. Chen et al., Symbolic discovery of optimization algorithms (2023)."""

    beta1: float = 0.9
    beta2: float = 0.99

    decoupled: ClassVar[bool] = True

    def names(self) -> tuple[str, ...]:
        return ("means",)

    def change(self, g: Any, p: Any, slots: State, *factors: Any) -> tuple[Any, State]:
        (rate,) = factors
        means = slots["means"]
        step = np.sign(self.beta1 * means + (1 - self.beta1) * g)
        return rate * step, {"means": self.beta2 * means + (1 - self.beta2) * g}
